"""ODM 2.0: what counts now, in the newer standard. Pure.

A form is an item group of type Form that holds groups of type Section; an answer is an element of its own.
Source: CDISC ODM 2.0. History is exported as ODM 1.3.2, which defines an archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from epro.export.define import study_oid, version_oid
from epro.export.extract import Extract
from epro.export.odm_content import Content, Definitions, ItemDef, Place, Values
from epro.export.odm_xml import Dialect, clean, head
from epro.export.records import Subject

ODM = Dialect("http://www.cdisc.org/ns/odm/v2.0", "ItemGroupRef", "ItemGroupOID", {"Type": "text/plain"})


def snapshot(file: Any, content: Content, definitions: Definitions) -> int:
    """What counts now; returns how many values stand in it."""
    extract = content.extract
    about = head(extract, "Snapshot", "snapshot.odm2", "2.0") | {"Context": "Exchange"}
    before = (_study(extract, definitions), _admin(extract, definitions))
    data = (ODM.subject(one, _filled(content, one), _form) for one in extract.subjects())
    return ODM.document(file, about, extract, before, data)


def _study(extract: Extract, definitions: Definitions) -> Any:
    protocol = extract.protocol
    study = ODM.element(
        "Study",
        OID=study_oid(extract),
        StudyName=extract.study_id,
        ProtocolName=extract.study_id,
        VersionID=protocol.version,
    )
    ODM.texts(ODM.add(study, "Description"), protocol.title)
    name = f"{protocol.study_id} {protocol.version}"
    version = ODM.add(study, "MetaDataVersion", OID=version_oid(extract), Name=name)
    planned = ODM.add(version, "Protocol")
    ODM.add(planned, "StudyEventGroupRef", StudyEventGroupOID="SEG.ALL", Mandatory="Yes")
    group = ODM.add(version, "StudyEventGroupDef", OID="SEG.ALL", Name="All events")
    for number, event in enumerate(definitions.events, 1):
        ODM.add(group, "StudyEventRef", StudyEventOID=event.oid, OrderNumber=str(number), Mandatory="No")
    version.extend(ODM.events(definitions))
    version.extend(ODM.forms(definitions, "ItemGroupDef", Repeating="Simple", Type="Form"))
    version.extend(ODM.groups(definitions, Type="Section"))
    version.extend(ODM.items(definitions, _sizes))
    version.extend(ODM.code_lists(definitions))
    version.extend(_methods(definitions))
    return study


def _sizes(item: ItemDef) -> dict[str, str]:
    return {"Length": str(item.longest)} if item.type == "text" else {}


def _methods(definitions: Definitions) -> Iterator[Any]:
    for method in definitions.methods:
        made = ODM.element("MethodDef", OID=method.oid, Name=method.name, Type="Computation")
        ODM.texts(ODM.add(made, "Description"), {"en": method.words})
        ODM.add(made, "MethodSignature")
        ODM.add(ODM.add(made, "FormalExpression", Context="epro"), "Code", method.expression)
        yield made


def _admin(extract: Extract, definitions: Definitions) -> Any:
    admin = ODM.element("AdminData", StudyOID=study_oid(extract))
    ODM.locations(admin, extract, definitions, Role="Site")
    return admin


def _filled(content: Content, subject: Subject) -> Iterator[tuple[Place, Values]]:
    """An item group without anything in it may not stand here."""
    return ((place, values) for place, values in content.current(subject) if values)


def _form(event: Any, place: Place, values: Values) -> int:
    form = ODM.add(event, "ItemGroupData", ItemGroupOID=place.form, ItemGroupRepeatKey=place.form_key)
    for group, items in values.items():
        inside = ODM.add(form, "ItemGroupData", ItemGroupOID=group)
        for oid, value in items.items():
            ODM.add(ODM.add(inside, "ItemData", ItemOID=oid), "Value", clean(value))
    return sum(map(len, values.values()))
