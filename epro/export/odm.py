"""ODM-XML 1.3.2: a snapshot of what counts now, and an archive of every change with who, when and why. Pure.

Written as a stream, participant by participant. The archive (`Archival="Yes"`) holds only Insert, Update, Remove and
Context, each with its audit record. Source: CDISC ODM 1.3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from epro.export.define import study_oid, version_oid
from epro.export.extract import Extract
from epro.export.odm_changes import CONTEXT, INSERT, Change, changes_of
from epro.export.odm_content import Content, Definitions, ItemDef, Place, Values
from epro.export.odm_xml import Dialect, Parts, clean, head
from epro.export.records import Subject

ODM = Dialect("http://www.cdisc.org/ns/odm/v1.3", "FormRef", "FormOID")
VERSION = "1.3.2"


def snapshot(file: Any, content: Content, definitions: Definitions) -> int:
    """What counts now; returns how many values stand in it."""
    extract = content.extract
    data = (ODM.subject(one, content.current(one), _form) for one in extract.subjects())
    return _document(file, extract, definitions, head(extract, "Snapshot", "snapshot", VERSION), data)


def archive(file: Any, content: Content, definitions: Definitions) -> int:
    """Every change; returns how many values stand in it."""
    extract = content.extract
    data = (change for one in extract.subjects() for change in _history(content, one))
    about = head(extract, "Transactional", "archive", VERSION) | {"Archival": "Yes"}
    return _document(file, extract, definitions, about, data)


def _document(
    file: Any, extract: Extract, definitions: Definitions, about: dict[str, str], data: Parts
) -> int:
    before = (_study(extract, definitions), _admin(extract, definitions))
    return ODM.document(file, about, extract, before, data)


def _study(extract: Extract, definitions: Definitions) -> Any:
    protocol = extract.protocol
    study = ODM.element("Study", OID=study_oid(extract))
    named = ODM.add(study, "GlobalVariables")
    ODM.add(named, "StudyName", extract.study_id)
    ODM.add(named, "StudyDescription", protocol.title.get("en") or next(iter(protocol.title.values())))
    ODM.add(named, "ProtocolName", extract.study_id)
    name = f"{protocol.study_id} {protocol.version}"
    version = ODM.add(study, "MetaDataVersion", OID=version_oid(extract), Name=name)
    planned = ODM.add(version, "Protocol")
    for number, event in enumerate(definitions.events, 1):
        ODM.add(planned, "StudyEventRef", StudyEventOID=event.oid, OrderNumber=str(number), Mandatory="No")
    version.extend(ODM.events(definitions))
    version.extend(ODM.forms(definitions, "FormDef", Repeating="Yes"))
    version.extend(ODM.groups(definitions))
    version.extend(ODM.items(definitions, _sizes))
    version.extend(ODM.code_lists(definitions))
    version.extend(_methods(definitions))
    return study


def _sizes(item: ItemDef) -> dict[str, str]:
    found = {"Length": str(item.longest)} if item.type in ("text", "integer", "float") else {}
    return found | ({"SignificantDigits": "16"} if item.type == "float" else {})


def _methods(definitions: Definitions) -> Iterator[Any]:
    for method in definitions.methods:
        made = ODM.element("MethodDef", OID=method.oid, Name=method.name, Type="Computation")
        ODM.texts(ODM.add(made, "Description"), {"en": method.words})
        ODM.add(made, "FormalExpression", method.expression, Context="epro")
        yield made


def _admin(extract: Extract, definitions: Definitions) -> Any:
    admin = ODM.element("AdminData", StudyOID=study_oid(extract))
    for user in definitions.users:
        # The standard knows no participant among its kinds of user: she is Other.
        kind = "Investigator" if user.startswith(("U.site.", "U.staff.")) else "Other"
        made = ODM.add(admin, "User", OID=user, UserType=kind)
        ODM.add(made, "LoginName", user.removeprefix("U."))
        if user in definitions.signers:
            ODM.add(made, "FullName", clean(definitions.signers[user]))
    ODM.locations(admin, extract, definitions, LocationType="Site")
    ODM.meanings(admin, definitions)
    return admin


def _form(event: Any, place: Place, values: Values) -> int:
    form = ODM.add(event, "FormData", FormOID=place.form, FormRepeatKey=place.form_key)
    for group, items in values.items():
        inside = ODM.add(form, "ItemGroupData", ItemGroupOID=group)
        for oid, value in items.items():
            ODM.add(inside, "ItemData", ItemOID=oid, Value=clean(value))
    return sum(map(len, values.values()))


def _history(content: Content, subject: Subject) -> Iterator[tuple[Any, int]]:
    """Every change of hers, each an element of its own; the first brings her in."""
    known: set[tuple[str, str]] = set()
    for change in changes_of(content, subject):
        made = ODM.element(
            "SubjectData",
            SubjectKey=subject.usubjid,
            TransactionType=CONTEXT if known else INSERT,
        )
        _audited(made, change, subject.site)
        if not known:
            ODM.add(made, "SiteRef", LocationOID=f"L.{subject.site}")
        event = (change.place.event, change.place.event_key)
        yield made, _changed(made, change, CONTEXT if event in known else INSERT, subject.site)
        known.add(event)


def _audited(made: Any, change: Change, site: str) -> None:
    record = ODM.add(made, "AuditRecord")
    if change.edit_point:
        record.set("EditPoint", change.edit_point)
    ODM.add(record, "UserRef", UserOID=change.by)
    ODM.add(record, "LocationRef", LocationOID=f"L.{site}")
    ODM.add(record, "DateTimeStamp", change.at)
    if change.reason:
        ODM.add(record, "ReasonForChange", clean(change.reason))
    ODM.add(record, "SourceID", change.source)


def _signed(form: Any, change: Change, site: str) -> None:
    """Whose signature stands under the form as it is at this point of the file."""
    assert change.signed
    ODM.sign(form, (change.source, change.place.form_key), change.by, site, change.signed, change.at)


def _changed(made: Any, change: Change, event_comes: str, site: str) -> int:
    place, count = change.place, 0
    event = ODM.add(
        made,
        "StudyEventData",
        StudyEventOID=place.event,
        StudyEventRepeatKey=place.event_key,
        TransactionType=event_comes,
    )
    form = ODM.add(
        event, "FormData", FormOID=place.form, FormRepeatKey=place.form_key, TransactionType=change.how
    )
    if change.signed:
        _signed(form, change, site)
    for group, steps in change.items.items():
        how = INSERT if change.how == INSERT else CONTEXT
        inside = ODM.add(form, "ItemGroupData", ItemGroupOID=group, TransactionType=how)
        for oid, step, value in steps:
            item = ODM.add(inside, "ItemData", ItemOID=oid, TransactionType=step)
            if value is not None:
                item.set("Value", clean(value))
        count += len(steps)
    return count
