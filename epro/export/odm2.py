"""ODM 2.0: what counts now, in the newer standard. Pure.

A form is an item group of type Form that holds groups of type Section; an answer is an element of its own. A form has
the signature that holds for it, and a query stands with the item, or the form, that it is about.
Source: CDISC ODM 2.0. History is exported as ODM 1.3.2, which defines an archive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from epro.export.define import study_oid, version_oid
from epro.export.extract import Extract
from epro.export.odm_content import Content, Definitions, ItemDef, Place, Values, user
from epro.export.odm_xml import Dialect, clean, head
from epro.export.records import Signature, Subject, Told

ODM = Dialect("http://www.cdisc.org/ns/odm/v2.0", "ItemGroupRef", "ItemGroupOID", {"Type": "text/plain"})
PEOPLE = {"investigator": "Investigator", "monitor": "Monitor", "nurse": "Care provider"}
ASKED_BY = {"data_manager": "Data Management", "monitor": "Site Monitor"}
STATES = {"asked": "Open", "answered": "Answered", "closed": "Closed"}
UNTOLD = "The text is not told to this reader."


def snapshot(file: Any, content: Content, definitions: Definitions) -> int:
    """What counts now; returns how many values stand in it."""
    extract = content.extract
    about = head(extract, "Snapshot", "snapshot.odm2", "2.0") | {"Context": "Exchange"}
    before = (_study(extract, definitions), _admin(extract, definitions))
    data = (ODM.subject(one, _filled(content, one), _Said(one).form) for one in extract.subjects())
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
    for oid in sorted({*definitions.signers, *definitions.speakers}):
        role = "investigator" if oid in definitions.signers else definitions.speakers[oid]
        made = ODM.add(admin, "User", OID=oid, UserType=PEOPLE.get(role, "Other"))
        if oid in definitions.signers:
            ODM.add(made, "FullName", clean(definitions.signers[oid]))
    ODM.locations(admin, extract, definitions, Role="Site")
    ODM.meanings(admin, definitions)
    return admin


def _filled(content: Content, subject: Subject) -> Iterator[tuple[Place, Values]]:
    """An item group without anything in it may not stand here."""
    return ((place, values) for place, values in content.current(subject) if values)


class _Said:
    """What people have said of one participant's forms, by the id of the response that was filed first."""

    def __init__(self, subject: Subject):
        self.site = subject.site
        self.signed: dict[str, Signature] = {}
        self.asked: dict[str, dict[str, list[Told]]] = {}
        for signature in subject.signatures:
            for one in signature.told["responses"]:
                if one["original_id"] not in signature.breaks:
                    self.signed[one["original_id"]] = signature
        for entry in subject.queries:
            of_response = self.asked.setdefault(entry["query"]["original_id"], {})
            of_response.setdefault(entry["query"]["id"], []).append(entry)

    def form(self, event: Any, place: Place, values: Values) -> int:
        form = ODM.add(event, "ItemGroupData", ItemGroupOID=place.form, ItemGroupRepeatKey=place.form_key)
        made: dict[str, Any] = {}
        for group, items in values.items():
            inside = ODM.add(form, "ItemGroupData", ItemGroupOID=group)
            for oid, value in items.items():
                made[oid.removesuffix(".ND")] = item = ODM.add(inside, "ItemData", ItemOID=oid)
                ODM.add(item, "Value", clean(value))
        if signature := self.signed.get(place.form_key):
            told, named = signature.told, (signature.event_id, place.form_key)
            ODM.sign(form, named, user(told["signed_by"]), self.site, told["meaning"], told["signed_at"])
        for steps in self.asked.get(place.form_key, {}).values():
            about = f"I.{place.form.removeprefix('F.')}.{steps[0]['query']['item']}"
            self._query(made.get(about, form), steps)
        return sum(map(len, values.values()))

    def _query(self, about: Any, steps: Sequence[Told]) -> None:
        first, last = steps[0]["query"], steps[-1]["query"]
        made = ODM.add(
            about,
            "Query",
            OID=f"Q.{first['id']}",
            Source=ASKED_BY.get(first["role"], "System"),
            Type="Manual",
            State=STATES[last["kind"]],
            LastUpdateDatetime=last["said_at"],
        )
        ODM.add(made, "Value", clean(first.get("text") or UNTOLD))
        for step in steps:
            told = step["query"]
            record = ODM.add(made, "AuditRecord")
            ODM.add(record, "UserRef", UserOID=user(told["said_by"]))
            ODM.add(record, "LocationRef", LocationOID=f"L.{self.site}")
            ODM.add(record, "DateTimeStamp", told["said_at"])
            if told.get("text"):
                ODM.add(record, "ReasonForChange", clean(f"{told['kind']}: {told['text']}"))
            ODM.add(record, "SourceID", step["event_id"])
