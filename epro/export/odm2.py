"""ODM 2.0: what counts now, in the newer standard. Pure.

A form is an item group of type Form that holds groups of type Section; an answer is an element of its own.
Source: CDISC ODM 2.0. History is exported as ODM 1.3.2, which defines an archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml import etree

from epro.export import odm
from epro.export.odm_content import Content, Definitions, Texts
from epro.export.records import Subject

NS = "http://www.cdisc.org/ns/odm/v2.0"
TYPES = {"text": "text", "integer": "integer", "float": "float", "date": "date", "datetime": "datetime"}


def document(file: Any, content: Content, definitions: Definitions) -> int:
    """The file; returns how many values stand in it."""
    extract, count = content.extract, 0
    head = odm.head(extract, archive=False) | {"ODMVersion": "2.0", "Context": "Exchange"}
    head["FileOID"] += ".odm2"
    with etree.xmlfile(file, encoding="UTF-8") as xml:
        xml.write_declaration()
        with xml.element(f"{{{NS}}}ODM", nsmap={None: NS}, **head):
            xml.write(_study(content, definitions))
            xml.write(_admin(content, definitions))
            with xml.element(
                f"{{{NS}}}ClinicalData",
                StudyOID=odm.study_oid(extract),
                MetaDataVersionOID=odm.version_oid(extract),
            ):
                for subject in extract.subjects():
                    element, values = _subject(content, subject)
                    xml.write(element)
                    count += values
    return count


def _study(content: Content, definitions: Definitions) -> Any:
    extract, protocol = content.extract, content.extract.protocol
    study = etree.Element(
        f"{{{NS}}}Study",
        OID=odm.study_oid(extract),
        StudyName=extract.study_id,
        ProtocolName=extract.study_id,
        VersionID=protocol.version,
    )
    _texts(_add(study, "Description"), protocol.title)
    name = f"{protocol.study_id} {protocol.version}"
    version = _add(study, "MetaDataVersion", OID=odm.version_oid(extract), Name=name)
    _add(_add(version, "Protocol"), "StudyEventGroupRef", StudyEventGroupOID="SEG.ALL", Mandatory="Yes")
    group = _add(version, "StudyEventGroupDef", OID="SEG.ALL", Name="All events")
    for number, event in enumerate(definitions.events, 1):
        _add(group, "StudyEventRef", StudyEventOID=event.oid, OrderNumber=str(number), Mandatory="No")
    for part in (_events, _forms, _sections, _items, _lists, _methods):
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
            _add(made, "ItemGroupRef", ItemGroupOID=form.oid, Mandatory="No")
        yield made


def _forms(definitions: Definitions) -> Iterator[Any]:
    for form in definitions.forms():
        made = _group(form.oid, form.name, "Form", "Simple")
        _texts(_add(made, "Description"), form.label)
        for number, group in enumerate(form.groups, 1):
            _add(made, "ItemGroupRef", ItemGroupOID=group.oid, OrderNumber=str(number), Mandatory="No")
        yield made


def _sections(definitions: Definitions) -> Iterator[Any]:
    for group in definitions.groups():
        made = _group(group.oid, group.name, "Section", "No")
        for number, item in enumerate(group.items, 1):
            reference = _add(made, "ItemRef", ItemOID=item.oid, OrderNumber=str(number), Mandatory="No")
            if item.method:
                reference.set("MethodOID", item.method)
        yield made


def _group(oid: str, name: str, kind: str, repeating: str) -> Any:
    return etree.Element(f"{{{NS}}}ItemGroupDef", OID=oid, Name=name, Repeating=repeating, Type=kind)


def _items(definitions: Definitions) -> Iterator[Any]:
    for item in definitions.items():
        made = etree.Element(f"{{{NS}}}ItemDef", OID=item.oid, Name=item.name, DataType=TYPES[item.type])
        if item.type == "text":
            made.set("Length", str(item.longest))
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
        _add(made, "MethodSignature")
        _add(_add(made, "FormalExpression", Context="epro"), "Code", method.expression)
        yield made


def _admin(content: Content, definitions: Definitions) -> Any:
    extract = content.extract
    admin = etree.Element(f"{{{NS}}}AdminData", StudyOID=odm.study_oid(extract))
    for site in definitions.sites:
        place = _add(admin, "Location", OID=f"L.{site}", Name=site, Role="Site")
        _add(
            place,
            "MetaDataVersionRef",
            StudyOID=odm.study_oid(extract),
            MetaDataVersionOID=odm.version_oid(extract),
            EffectiveDate=odm.effective(extract),
        )
    return admin


def _subject(content: Content, subject: Subject) -> tuple[Any, int]:
    made = etree.Element(f"{{{NS}}}SubjectData", SubjectKey=subject.usubjid)
    _add(made, "SiteRef", LocationOID=f"L.{subject.site}")
    events: dict[tuple[str, str], Any] = {}
    count = 0
    for place, values in content.current(subject):
        if not values:
            continue
        key = (place.event, place.event_key)
        if key not in events:
            events[key] = _add(
                made, "StudyEventData", StudyEventOID=place.event, StudyEventRepeatKey=place.event_key
            )
        form = _add(events[key], "ItemGroupData", ItemGroupOID=place.form, ItemGroupRepeatKey=place.form_key)
        for group, items in values.items():
            inside = _add(form, "ItemGroupData", ItemGroupOID=group)
            for oid, value in items.items():
                _add(_add(inside, "ItemData", ItemOID=oid), "Value", odm.clean(value))
            count += len(items)
    return made, count


def _texts(parent: Any, texts: Texts) -> None:
    for language, text in texts.items():
        made = _add(parent, "TranslatedText", odm.clean(text), Type="text/plain")
        made.set(f"{{{odm.XML}}}lang", language)


def _add(parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:
    made = etree.SubElement(parent, f"{{{NS}}}{name}", attributes)
    made.text = text
    return made
