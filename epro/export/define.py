"""Define-XML 2.1: what the SDTM datasets of a study hold, down to each question. Pure.

Value-level metadata for every QSTESTCD: what may stand in QSORRES, QSSTRESC and QSSTRESN, from whom it comes, and for a
score by which method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree

from epro.export import rows, sdtm
from epro.export.extract import Extract, Options
from epro.export.sdtm import Dataset, Variable
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.questionnaires.methods import REASONS

ODM = "http://www.cdisc.org/ns/odm/v1.3"
DEF = "http://www.cdisc.org/ns/def/v2.1"
XLINK = "http://www.w3.org/1999/xlink"
XML = "http://www.w3.org/XML/1998/namespace"
TYPES = {
    sdtm.STRING: "text",
    sdtm.INTEGER: "integer",
    sdtm.FLOAT: "float",
    sdtm.DATETIME: "datetime",
    sdtm.DATE: "date",
}
DECIMALS = "14"  # of a score: a third or a seventh has no last one, and no double has more
RESULTS = ("QSORRES", "QSSTRESC", "QSSTRESN")
SDTMIG, CT = "STD.SDTMIG", "STD.CT"
CT_VERSION = "2024-09-27"
Described = Sequence[tuple[Dataset, list[int], str]]
"""Datasets, with the longest text of each variable and the file they stand in."""


def study_oid(extract: Extract) -> str:
    return f"STDY.{extract.study_id}"


def version_oid(extract: Extract) -> str:
    return f"MDV.{extract.study_id}.{extract.protocol.version}"


def group_oid(dataset: Dataset) -> str:
    return f"IG.{dataset.name}"


def item_oid(dataset: Dataset, variable: str) -> str:
    return f"IT.{dataset.name}.{variable}"


def document(extract: Extract, options: Options, described: Described) -> bytes:
    """define.xml, whole: it grows with the questionnaires, not with the data."""
    cut, protocol = extract.cut, extract.protocol
    root = etree.Element(f"{{{ODM}}}ODM", nsmap={None: ODM, "def": DEF, "xlink": XLINK})
    root.attrib.update(
        {
            "ODMVersion": "1.3.2",
            "FileType": "Snapshot",
            "FileOID": f"{extract.study_id}.{cut.position}.define",
            "CreationDateTime": cut.stamp,
            "AsOfDateTime": cut.stamp,
            "Originator": "epro",
            "SourceSystem": "epro",
            "SourceSystemVersion": extract.software,
            f"{{{DEF}}}Context": "Other",
        }
    )
    study = _add(root, "Study", OID=study_oid(extract))
    variables = _add(study, "GlobalVariables")
    _add(variables, "StudyName", extract.study_id)
    _add(variables, "StudyDescription", protocol.title.get("en") or next(iter(protocol.title.values())))
    _add(variables, "ProtocolName", extract.study_id)
    _Version(extract, options, described).into(study)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


class _Version:
    """The MetaDataVersion, its parts gathered first and set down in the order that the standard asks for."""

    def __init__(self, extract: Extract, options: Options, described: Described):
        self.extract, self.options, self.described = extract, options, described
        self.lists: dict[str, etree._Element] = {}
        self.methods: dict[str, etree._Element] = {}
        self.items: list[etree._Element] = []
        self.values: list[etree._Element] = []
        self.wheres: list[etree._Element] = []

    def into(self, study: Any) -> None:
        protocol = self.extract.protocol
        version = _add(
            study,
            "MetaDataVersion",
            OID=version_oid(self.extract),
            Name=f"{protocol.study_id} {protocol.version}",
        )
        version.set(f"{{{DEF}}}DefineVersion", "2.1.0")
        self._standards(version)
        self._plain_lists()
        groups = [self._group(*one) for one in self.described]
        for dataset, widths, _ in self.described:
            self._variables(dataset, widths)
        parts = (self.values, self.wheres, groups, self.items, self.lists.values(), self.methods.values())
        for part in parts:
            version.extend(part)

    def _standards(self, version: Any) -> None:
        standards = _add(version, "Standards", ns=DEF)
        ig = {"OID": SDTMIG, "Name": "SDTMIG", "Type": "IG", "Version": "3.4", "Status": "Final"}
        ct = {
            "OID": CT,
            "Name": "CDISC/NCI",
            "Type": "CT",
            "PublishingSet": "SDTM",
            "Version": CT_VERSION,
            "Status": "Final",
        }
        _add(standards, "Standard", ns=DEF, **ig)
        _add(standards, "Standard", ns=DEF, **ct)

    def _group(self, dataset: Dataset, widths: list[int], file: str) -> Any:
        group = etree.Element(f"{{{ODM}}}ItemGroupDef")
        group.attrib.update(
            {
                "OID": group_oid(dataset),
                "Name": dataset.name,
                "Domain": "QS",
                "SASDatasetName": dataset.name,
                "Repeating": "Yes",
                "IsReferenceData": "No",
                "Purpose": "Tabulation",
                f"{{{DEF}}}Structure": "One record per supplemental qualifier per sitting"
                if dataset.supplemental
                else "One record per questionnaire per question per time point per subject",
                f"{{{DEF}}}StandardOID": SDTMIG,
                f"{{{DEF}}}ArchiveLocationID": f"LF.{dataset.name}",
            }
        )
        _described(group, dataset.label)
        for number, one in enumerate(dataset.variables, 1):
            reference = _add(
                group,
                "ItemRef",
                ItemOID=item_oid(dataset, one.name),
                OrderNumber=str(number),
                Mandatory="Yes" if one.core else "No",
            )
            if one.key:
                reference.set("KeySequence", str(one.key))
            reference.set("Role", one.role)
        if not dataset.supplemental:
            _add(group, "Alias", Context="DomainDescription", Name="Questionnaires")
        kind = "RELATIONSHIP" if dataset.supplemental else "FINDINGS"
        _add(group, "Class", ns=DEF, Name=kind)
        leaf = _add(group, "leaf", ns=DEF, ID=f"LF.{dataset.name}")
        leaf.set(f"{{{XLINK}}}href", file)
        _add(leaf, "title", file, ns=DEF)
        return group

    def _variables(self, dataset: Dataset, widths: list[int]) -> None:
        instruments = [one for one in self.extract.definitions() if one.code == dataset.instrument]
        valued = not dataset.supplemental
        if valued:
            self._tests(dataset, instruments)
        for number, one in enumerate(dataset.variables):
            item = self._item(item_oid(dataset, one.name), one, widths[number] if widths else 0)
            if valued and one.name in RESULTS:
                self._value_level(dataset, one, instruments)
                _described(item, one.label)
                _add(item, "ValueListRef", ns=DEF, ValueListOID=f"VL.{dataset.name}.{one.name}")
                continue
            _described(item, one.label)
            self._listed(item, dataset, one)
            _origin(item, one.origin)

    def _item(self, oid: str, variable: Variable, width: int) -> Any:
        item = etree.Element(f"{{{ODM}}}ItemDef", OID=oid, Name=variable.name, DataType=TYPES[variable.type])
        if variable.type == sdtm.STRING:
            item.set("Length", str(max(width, 1)))
        elif variable.type == sdtm.INTEGER:
            item.set("Length", "8")
        elif variable.type == sdtm.FLOAT:
            item.set("Length", "20")
            item.set("SignificantDigits", DECIMALS)
        item.set("SASFieldName", variable.name)
        self.items.append(item)
        return item

    def _listed(self, item: Any, dataset: Dataset, variable: Variable) -> None:
        own = {"QSTESTCD": f"CL.{dataset.name}.TESTCD", "QSTEST": f"CL.{dataset.name}.TEST"}
        shared = {
            "QSSTAT": "CL.ND",
            "QSREASND": "CL.REASND",
            "QSLOBXFL": "CL.Y",
            "QSDRVFL": "CL.Y",
            "QNAM": "CL.QNAM",
        }
        oid = (shared if dataset.supplemental else own | shared).get(variable.name)
        if oid:
            _add(item, "CodeListRef", CodeListOID=oid)

    def _plain_lists(self) -> None:
        reasons = [*rows.NOT_DONE.values(), rows.MISSED, *rows.EXCUSED.values(), *map(sdtm.reason, REASONS)]
        self._enumerated("CL.ND", "Not Done", ["NOT DONE"], "C66789", "C49484")
        self._enumerated("CL.Y", "Yes only", ["Y"])
        self._enumerated("CL.REASND", "Reason not done", reasons)
        self._coded("CL.QNAM", "Supplemental qualifiers", dict(sdtm.QUALIFIERS), "text")

    def _tests(self, dataset: Dataset, instruments: list[Instrument]) -> None:
        parts: dict[str, str] = {}
        for instrument in instruments:
            for part in self._parts(instrument):
                parts.setdefault(sdtm.test_code(part), sdtm.plain(rows.test_name(part)))
        parts["QSALL"] = "Questionnaires"
        self._coded(f"CL.{dataset.name}.TESTCD", f"{dataset.name} test codes", parts, "text")
        self._enumerated(
            f"CL.{dataset.name}.TEST", f"{dataset.name} test names", list(dict.fromkeys(parts.values()))
        )

    def _parts(self, instrument: Instrument) -> list[Item | Scale]:
        return [*self.extract.items(instrument), *self.extract.scales(instrument)]

    def _value_level(self, dataset: Dataset, variable: Variable, instruments: list[Instrument]) -> None:
        listed = etree.Element(f"{{{DEF}}}ValueListDef", OID=f"VL.{dataset.name}.{variable.name}")
        self.values.append(listed)
        seen: set[str] = set()
        for instrument in reversed(instruments):  # of several versions the newest says what a test is
            for part in self._parts(instrument):
                code = sdtm.test_code(part)
                if code in seen:
                    continue
                seen.add(code)
                self._value(listed, dataset, variable, instrument, part, len(seen))

    def _value(
        self,
        listed: Any,
        dataset: Dataset,
        variable: Variable,
        instrument: Instrument,
        part: Item | Scale,
        number: int,
    ) -> None:
        code = sdtm.test_code(part)
        oid, where = f"{item_oid(dataset, variable.name)}.{code}", f"WC.{dataset.name}.{code}"
        reference = _add(listed, "ItemRef", ItemOID=oid, OrderNumber=str(number), Mandatory="No")
        if isinstance(part, Scale):
            reference.set("MethodOID", self._method(instrument, part))
        _add(reference, "WhereClauseRef", ns=DEF, WhereClauseOID=where)
        if variable.name == RESULTS[0]:
            self._where(where, dataset, code)
        item = self._item(oid, variable, _longest(part, variable))
        _described(item, rows.test_name(part))
        if isinstance(part, Item):
            _add(item, "CodeListRef", CodeListOID=self._choices(instrument, part, variable))
            _origin(item, sdtm.COLLECTED)
        elif self.options.scores == "derived" or instrument.derived_from:
            _add(item, "Origin", ns=DEF, Type="Derived", Source="Vendor")
        else:
            _add(item, "Origin", ns=DEF, Type="Collected", Source="Vendor")

    def _where(self, oid: str, dataset: Dataset, code: str) -> None:
        where = etree.Element(f"{{{DEF}}}WhereClauseDef", OID=oid)
        check = _add(where, "RangeCheck", Comparator="EQ", SoftHard="Soft")
        check.set(f"{{{DEF}}}ItemOID", item_oid(dataset, "QSTESTCD"))
        _add(check, "CheckValue", code)
        self.wheres.append(where)

    def _choices(self, instrument: Instrument, item: Item, variable: Variable) -> str:
        """The list of what may stand there, shared by all items that are answered by the same choices."""
        pairs = {str(one.code): sdtm.label(item, one) for one in item.choices}
        name = f"{instrument.code}.{next(one.id for one in instrument.items if one.choices == item.choices)}"
        if variable.name == "QSORRES":
            oid = f"CL.{name}.TEXT"
            if oid not in self.lists:
                self._enumerated(oid, f"{name} answers", list(dict.fromkeys(pairs.values())))
            return oid
        kind = "float" if variable.type == sdtm.FLOAT else "text"
        oid = f"CL.{name}.{'NUMBER' if kind == 'float' else 'CODE'}"
        if oid not in self.lists:
            self._coded(oid, f"{name} codes", pairs, kind)
        return oid

    def _enumerated(self, oid: str, name: str, values: list[str], ct: str = "", term: str = "") -> None:
        found = self._list(oid, name, "text", ct)
        for value in values:
            item = _add(found, "EnumeratedItem", CodedValue=value)
            if term:
                _add(item, "Alias", Context="nci:ExtCodeID", Name=term)
        if ct:
            _add(found, "Alias", Context="nci:ExtCodeID", Name=ct)

    def _coded(self, oid: str, name: str, pairs: dict[str, str], kind: str) -> None:
        found = self._list(oid, name, kind, "")
        for code, text in pairs.items():
            decode = _add(_add(found, "CodeListItem", CodedValue=code), "Decode")
            _add(decode, "TranslatedText", text).set(f"{{{XML}}}lang", "en")

    def _list(self, oid: str, name: str, kind: str, ct: str) -> Any:
        found = self.lists[oid] = etree.Element(f"{{{ODM}}}CodeList", OID=oid, Name=name, DataType=kind)
        if ct:
            found.set(f"{{{DEF}}}StandardOID", CT)
        else:
            found.set(f"{{{DEF}}}IsNonStandard", "Yes")
        return found

    def _method(self, instrument: Instrument, scale: Scale) -> str:
        oid = f"MT.{instrument.code}.{instrument.version}.{scale.name}"
        if oid not in self.methods:
            method = etree.Element(
                f"{{{ODM}}}MethodDef", OID=oid, Name=f"{instrument.code} {scale.name}", Type="Computation"
            )
            words = (
                f"{rows.test_name(scale)}: method {scale.method}, version {scale.method_version}, from items"
                f" {', '.join(scale.items)}; needs {scale.missing}; range {scale.range[0]:g} to {scale.range[1]:g};"
                f" {scale.direction.replace('_', ' ')}. Definition {instrument.code} {instrument.version},"
                f" SHA-256 {instrument.digest}."
            )
            _described(method, words)
            self.methods[oid] = method
        return oid


def _longest(part: Item | Scale, variable: Variable) -> int:
    if isinstance(part, Scale):
        return 20
    texts = [sdtm.label(part, one) if variable.name == "QSORRES" else str(one.code) for one in part.choices]
    return max(len(text.encode()) for text in texts)


def _origin(item: Any, kind: str) -> None:
    if kind == sdtm.COLLECTED:
        _add(item, "Origin", ns=DEF, Type=kind, Source="Subject")
    else:
        _add(item, "Origin", ns=DEF, Type=kind, Source="Sponsor")


def _described(parent: Any, text: str) -> None:
    _add(_add(parent, "Description"), "TranslatedText", text).set(f"{{{XML}}}lang", "en")


def _add(parent: Any, name: str, text: str | None = None, *, ns: str = ODM, **attributes: str) -> Any:
    made = etree.SubElement(parent, f"{{{ns}}}{name}", **attributes)
    made.text = text
    return made
