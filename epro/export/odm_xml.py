"""What both versions of ODM write alike: the frame of a file, and the definitions that differ by name only. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any

from lxml import etree

from epro.export.define import study_oid, version_oid
from epro.export.extract import Extract
from epro.export.odm_content import Definitions, ItemDef, Place, Texts, Values
from epro.export.records import Subject
from epro.signing.meanings import MEANINGS

LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
CANNOT_STAND = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # in any XML 1.0 document
Parts = Iterable[tuple[Any, int]]
"""Elements of participants, each with the number of values in it."""


@dataclass(frozen=True)
class Dialect:
    """One version of ODM: its namespace, how a form is referred to, and what its texts say of themselves."""

    namespace: str
    form_ref: str
    form_oid: str
    of_texts: Mapping[str, str] = field(default_factory=dict)

    def element(self, name: str, **attributes: str) -> Any:
        return etree.Element(f"{{{self.namespace}}}{name}", attributes, nsmap={None: self.namespace})

    def add(self, parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:
        made = etree.SubElement(parent, f"{{{self.namespace}}}{name}", attributes)
        made.text = text
        return made

    def texts(self, parent: Any, texts: Texts) -> None:
        for language, text in texts.items():
            self.add(parent, "TranslatedText", clean(text), **self.of_texts).set(LANGUAGE, language)

    def document(
        self, file: Any, head: Mapping[str, str], extract: Extract, before: Iterable[Any], data: Parts
    ) -> int:
        """Write a file: what comes `before` the clinical data, and these; returns how many values stand in it."""
        count = 0
        with etree.xmlfile(file, encoding="UTF-8") as xml:
            xml.write_declaration()
            with xml.element(f"{{{self.namespace}}}ODM", nsmap={None: self.namespace}, **head):
                for part in before:
                    xml.write(part)
                with xml.element(f"{{{self.namespace}}}ClinicalData", **_version(extract)):
                    for element, values in data:
                        xml.write(element)
                        count += values
        return count

    def events(self, definitions: Definitions) -> Iterator[Any]:
        for event in definitions.events:
            kind = "Scheduled" if event.scheduled else "Unscheduled"
            made = self.element("StudyEventDef", OID=event.oid, Name=event.name, Repeating="Yes", Type=kind)
            self.texts(self.add(made, "Description"), event.label)
            for form in event.forms:
                self.add(made, self.form_ref, **{self.form_oid: form.oid}, Mandatory="No")
            yield made

    def forms(self, definitions: Definitions, name: str, **kind: str) -> Iterator[Any]:
        for form in definitions.forms():
            made = self.element(name, OID=form.oid, Name=form.name, **kind)
            self.texts(self.add(made, "Description"), form.label)
            for number, group in enumerate(form.groups, 1):
                place = {"OrderNumber": str(number), "Mandatory": "No"}
                self.add(made, "ItemGroupRef", ItemGroupOID=group.oid, **place)
            yield made

    def groups(self, definitions: Definitions, **kind: str) -> Iterator[Any]:
        for group in definitions.groups():
            made = self.element("ItemGroupDef", OID=group.oid, Name=group.name, Repeating="No", **kind)
            for number, item in enumerate(group.items, 1):
                place = {"OrderNumber": str(number), "Mandatory": "No"}
                reference = self.add(made, "ItemRef", ItemOID=item.oid, **place)
                if item.method:
                    reference.set("MethodOID", item.method)
            yield made

    def items(self, definitions: Definitions, sizes: Callable[[ItemDef], Mapping[str, str]]) -> Iterator[Any]:
        for item in definitions.items():
            made = self.element("ItemDef", OID=item.oid, Name=item.name, DataType=item.type, **sizes(item))
            self.texts(self.add(made, "Question"), item.label)
            if item.codes:
                self.add(made, "CodeListRef", CodeListOID=item.codes)
            if item.alias:
                self.add(made, "Alias", Context="SDTM", Name=item.alias)
            yield made

    def code_lists(self, definitions: Definitions) -> Iterator[Any]:
        for listed in definitions.lists:
            made = self.element("CodeList", OID=listed.oid, Name=listed.name, DataType=listed.type)
            for number, (code, label) in enumerate(listed.codes.items(), 1):
                item = self.add(made, "CodeListItem", CodedValue=code, Rank=str(number))
                self.texts(self.add(item, "Decode"), label or {"en": code})
            yield made

    def locations(self, admin: Any, extract: Extract, definitions: Definitions, **kind: str) -> None:
        """The sites, from the day of the cut on."""
        since = extract.cut.at.astimezone(UTC).date().isoformat()
        for site in definitions.sites:
            place = self.add(admin, "Location", OID=f"L.{site}", Name=site, **kind)
            self.add(place, "MetaDataVersionRef", **_version(extract), EffectiveDate=since)

    def meanings(self, admin: Any, definitions: Definitions) -> None:
        """What signatures mean."""
        for meaning in definitions.meanings:
            said = self.add(admin, "SignatureDef", OID=f"SD.{meaning}", Methodology="Electronic")
            self.add(said, "Meaning", meaning)
            self.add(said, "LegalReason", MEANINGS[meaning]["en"])

    def sign(self, form: Any, named: tuple[str, str], by: str, site: str, meaning: str, at: str) -> None:
        """A signature under a form."""
        made = self.add(form, "Signature", ID=".".join(("SIG", *named)))
        self.add(made, "UserRef", UserOID=by)
        self.add(made, "LocationRef", LocationOID=f"L.{site}")
        self.add(made, "SignatureRef", SignatureOID=f"SD.{meaning}")
        self.add(made, "DateTimeStamp", at)

    def subject(
        self,
        subject: Subject,
        current: Iterable[tuple[Place, Values]],
        fill: Callable[[Any, Place, Values], int],
    ) -> tuple[Any, int]:
        """A participant as she stands, and how many values are in her element. `fill` adds a form to its event."""
        made = self.element("SubjectData", SubjectKey=subject.usubjid)
        self.add(made, "SiteRef", LocationOID=f"L.{subject.site}")
        events: dict[tuple[str, str], Any] = {}
        count = 0
        for place, values in current:
            key = (place.event, place.event_key)
            if key not in events:
                named = {"StudyEventOID": place.event, "StudyEventRepeatKey": place.event_key}
                events[key] = self.add(made, "StudyEventData", **named)
            count += fill(events[key], place, values)
        return made, count


def head(extract: Extract, file_type: str, kind: str, version: str) -> dict[str, str]:
    """What a file says of itself."""
    cut = extract.cut
    return {
        "FileType": file_type,
        "FileOID": f"{extract.study_id}.{cut.position}.{kind}",
        # The first whole second after the cut: nothing in the file may be younger than the file.
        "CreationDateTime": (cut.at.astimezone(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "AsOfDateTime": cut.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "ODMVersion": version,
        **_granularity(extract),
        "Originator": "epro",
        "SourceSystem": "epro",
        "SourceSystemVersion": extract.software,
    }


def _granularity(extract: Extract) -> dict[str, str]:
    """How much of the study is in it; for some of its sites the standard has no word."""
    if extract.sites is None:
        return {"Granularity": "AllClinicalData"}
    return {"Granularity": "SingleSite"} if len(extract.sites) == 1 else {}


def clean(text: str) -> str:
    """A text as XML can hold it: what it cannot becomes the replacement character."""
    return CANNOT_STAND.sub("\ufffd", text)


def _version(extract: Extract) -> dict[str, str]:
    return {"StudyOID": study_oid(extract), "MetaDataVersionOID": version_oid(extract)}
