"""ODM-XML 1.3.2: a snapshot of what counts now, and an archive of every change with who, when and why. Pure.

Written as a stream, participant by participant. The archive (`Archival="Yes"`) holds only Insert, Update, Remove and
Context, each with its audit record. Source: CDISC ODM 1.3.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

from lxml import etree

from epro.export.extract import Extract
from epro.export.odm_changes import CONTEXT, INSERT, Change, changes_of
from epro.export.odm_content import Content, Definitions, Texts, Values
from epro.export.records import Subject

NS = "http://www.cdisc.org/ns/odm/v1.3"
XML = "http://www.w3.org/XML/1998/namespace"
CANNOT_STAND = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # in any XML 1.0 document


def document(file: Any, content: Content, definitions: Definitions, *, archive: bool) -> int:
    """The snapshot, or the archive; returns how many values stand in it."""
    extract, count = content.extract, 0
    with etree.xmlfile(file, encoding="UTF-8") as xml:
        xml.write_declaration()
        with xml.element(f"{{{NS}}}ODM", nsmap={None: NS}, **head(extract, archive=archive)):
            xml.write(_study(extract, definitions))
            xml.write(_admin(extract, definitions))
            with xml.element(
                f"{{{NS}}}ClinicalData",
                StudyOID=study_oid(extract),
                MetaDataVersionOID=version_oid(extract),
            ):
                for subject in extract.subjects():
                    for element, values in (_history if archive else _now)(content, subject):
                        xml.write(element)
                        count += values
    return count


def head(extract: Extract, *, archive: bool) -> dict[str, str]:
    cut = extract.cut
    kind = "archive" if archive else "snapshot"
    known = {
        "FileType": "Transactional" if archive else "Snapshot",
        "FileOID": f"{extract.study_id}.{cut.position}.{kind}",
        # The first whole second after the cut: nothing in the file may be younger than the file.
        "CreationDateTime": (cut.at.astimezone(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "AsOfDateTime": cut.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "ODMVersion": "1.3.2",
        "Granularity": "AllClinicalData",
        "Originator": "epro",
        "SourceSystem": "epro",
        "SourceSystemVersion": extract.software,
    }
    if archive:
        known["Archival"] = "Yes"
    return known


def study_oid(extract: Extract) -> str:
    return f"STDY.{extract.study_id}"


def version_oid(extract: Extract) -> str:
    return f"MDV.{extract.study_id}.{extract.protocol.version}"


def effective(extract: Extract) -> str:
    """The day from which the definitions are said to hold at a site: the cut's."""
    return extract.cut.at.astimezone(UTC).date().isoformat()


def _study(extract: Extract, definitions: Definitions) -> Any:
    protocol = extract.protocol
    study = etree.Element(f"{{{NS}}}Study", OID=study_oid(extract))
    named = _add(study, "GlobalVariables")
    _add(named, "StudyName", extract.study_id)
    _add(named, "StudyDescription", protocol.title.get("en") or next(iter(protocol.title.values())))
    _add(named, "ProtocolName", extract.study_id)
    version = _add(
        study, "MetaDataVersion", OID=version_oid(extract), Name=f"{protocol.study_id} {protocol.version}"
    )
    planned = _add(version, "Protocol")
    for number, event in enumerate(definitions.events, 1):
        _add(planned, "StudyEventRef", StudyEventOID=event.oid, OrderNumber=str(number), Mandatory="No")
    for part in (_events, _forms, _groups, _items, _lists, _methods):
        version.extend(part(definitions))
    return study


def _events(definitions: Definitions) -> Iterator[Any]:
    for event in definitions.events:
        kind = "Scheduled" if event.scheduled else "Unscheduled"
        made = etree.Element(
            f"{{{NS}}}StudyEventDef", OID=event.oid, Name=event.name, Repeating="Yes", Type=kind
        )
        _texts(_add(made, "Description"), event.label)
        for form in event.forms:
            _add(made, "FormRef", FormOID=form.oid, Mandatory="No")
        yield made


def _forms(definitions: Definitions) -> Iterator[Any]:
    for form in definitions.forms():
        made = etree.Element(f"{{{NS}}}FormDef", OID=form.oid, Name=form.name, Repeating="Yes")
        _texts(_add(made, "Description"), form.label)
        for number, group in enumerate(form.groups, 1):
            _add(made, "ItemGroupRef", ItemGroupOID=group.oid, OrderNumber=str(number), Mandatory="No")
        yield made


def _groups(definitions: Definitions) -> Iterator[Any]:
    for group in definitions.groups():
        made = etree.Element(f"{{{NS}}}ItemGroupDef", OID=group.oid, Name=group.name, Repeating="No")
        for number, item in enumerate(group.items, 1):
            reference = _add(made, "ItemRef", ItemOID=item.oid, OrderNumber=str(number), Mandatory="No")
            if item.method:
                reference.set("MethodOID", item.method)
        yield made


def _items(definitions: Definitions) -> Iterator[Any]:
    for item in definitions.items():
        made = etree.Element(f"{{{NS}}}ItemDef", OID=item.oid, Name=item.name, DataType=item.type)
        if item.type in ("text", "integer", "float"):
            made.set("Length", str(item.longest))
        if item.type == "float":
            made.set("SignificantDigits", "16")
        _texts(_add(made, "Question"), item.label)
        if item.codes:
            _add(made, "CodeListRef", CodeListOID=item.codes)
        if item.alias:
            _add(made, "Alias", Context="SDTM", Name=item.alias)
        yield made


def _lists(definitions: Definitions) -> Iterator[Any]:
    for listed in definitions.lists:
        made = etree.Element(f"{{{NS}}}CodeList", OID=listed.oid, Name=listed.name, DataType=listed.type)
        for number, (code, label) in enumerate(listed.codes.items(), 1):
            item = _add(made, "CodeListItem", CodedValue=code, Rank=str(number))
            _texts(_add(item, "Decode"), label or {"en": code})
        yield made


def _methods(definitions: Definitions) -> Iterator[Any]:
    for method in definitions.methods:
        made = etree.Element(f"{{{NS}}}MethodDef", OID=method.oid, Name=method.name, Type="Computation")
        _texts(_add(made, "Description"), {"en": method.words})
        _add(made, "FormalExpression", method.expression, Context="epro")
        yield made


def _admin(extract: Extract, definitions: Definitions) -> Any:
    admin = etree.Element(f"{{{NS}}}AdminData", StudyOID=study_oid(extract))
    for user in definitions.users:
        # The standard knows no participant among its kinds of user: she is Other.
        kind = "Investigator" if user.startswith(("U.site.", "U.staff.")) else "Other"
        _add(_add(admin, "User", OID=user, UserType=kind), "LoginName", user.removeprefix("U."))
    for site in definitions.sites:
        place = _add(admin, "Location", OID=f"L.{site}", Name=site, LocationType="Site")
        _add(
            place,
            "MetaDataVersionRef",
            StudyOID=study_oid(extract),
            MetaDataVersionOID=version_oid(extract),
            EffectiveDate=effective(extract),
        )
    return admin


def _now(content: Content, subject: Subject) -> Iterator[tuple[Any, int]]:
    """The participant as she stands: one element, and how many values are in it."""
    made = etree.Element(f"{{{NS}}}SubjectData", SubjectKey=subject.usubjid)
    _add(made, "SiteRef", LocationOID=f"L.{subject.site}")
    events: dict[tuple[str, str], Any] = {}
    count = 0
    for place, values in content.current(subject):
        key = (place.event, place.event_key)
        if key not in events:
            events[key] = _add(
                made, "StudyEventData", StudyEventOID=place.event, StudyEventRepeatKey=place.event_key
            )
        form = _add(events[key], "FormData", FormOID=place.form, FormRepeatKey=place.form_key)
        count += _values(form, values)
    yield made, count


def _values(form: Any, values: Values) -> int:
    count = 0
    for group, items in values.items():
        inside = _add(form, "ItemGroupData", ItemGroupOID=group)
        for oid, value in items.items():
            _add(inside, "ItemData", ItemOID=oid, Value=clean(value))
        count += len(items)
    return count


def _history(content: Content, subject: Subject) -> Iterator[tuple[Any, int]]:
    """Every change of hers, each an element of its own; the first brings her in."""
    known: set[tuple[str, str]] = set()
    for change in changes_of(content, subject):
        made = etree.Element(
            f"{{{NS}}}SubjectData",
            SubjectKey=subject.usubjid,
            TransactionType=CONTEXT if known else INSERT,
        )
        _audited(made, change, subject.site)
        if not known:
            _add(made, "SiteRef", LocationOID=f"L.{subject.site}")
        event = (change.place.event, change.place.event_key)
        yield made, _changed(made, change, CONTEXT if event in known else INSERT)
        known.add(event)


def _audited(made: Any, change: Change, site: str) -> None:
    record = _add(made, "AuditRecord")
    if change.edit_point:
        record.set("EditPoint", change.edit_point)
    _add(record, "UserRef", UserOID=change.by)
    _add(record, "LocationRef", LocationOID=f"L.{site}")
    _add(record, "DateTimeStamp", change.at)
    if change.reason:
        _add(record, "ReasonForChange", clean(change.reason))
    _add(record, "SourceID", change.source)


def _changed(made: Any, change: Change, event_comes: str) -> int:
    place, count = change.place, 0
    event = _add(
        made,
        "StudyEventData",
        StudyEventOID=place.event,
        StudyEventRepeatKey=place.event_key,
        TransactionType=event_comes,
    )
    form = _add(
        event, "FormData", FormOID=place.form, FormRepeatKey=place.form_key, TransactionType=change.how
    )
    for group, steps in change.items.items():
        how = INSERT if change.how == INSERT else CONTEXT
        inside = _add(form, "ItemGroupData", ItemGroupOID=group, TransactionType=how)
        for oid, step, value in steps:
            item = _add(inside, "ItemData", ItemOID=oid, TransactionType=step)
            if value is not None:
                item.set("Value", clean(value))
        count += len(steps)
    return count


def clean(text: str) -> str:
    """A text as XML can hold it: what it cannot becomes the replacement character."""
    return CANNOT_STAND.sub("\ufffd", text)


def _texts(parent: Any, texts: Texts) -> None:
    for language, text in texts.items():
        _add(parent, "TranslatedText", clean(text)).set(f"{{{XML}}}lang", language)


def _add(parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:
    made = etree.SubElement(parent, f"{{{NS}}}{name}", attributes)
    made.text = text
    return made
