"""One study with what is rare, in every format: nothing that one of them tells is missing from another.

A diary's week, a scale that only a later definition has, an upload that a person filed, remarks without number,
instants as odd phones write them, scores that do not exist for a reason of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import polars as pl
import pyreadstat
import pytest
from lxml import etree

from epro.export import odm_content, registry
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.questionnaires.instrument import parse
from epro.questionnaires.library import bundled_instrument
from tests.export import test_generated, test_odm
from tests.export.studies import Feed, scores
from tests.export.test_dataset_json import datasets, faults_of, records
from tests.export.test_other_formats import DEF, DEFINE_SCHEMA

WHO = "101-001"
ASIDE = "70000000-0000-4000-8000-000000000001"
WEEK = test_odm.WEEK | {"sources": {"day1": "10000000-0000-4000-8000-000000000002"}}
REMARKS = [f"remark_number_{number:02}" for number in range(30)]
SPACE = {"o": test_odm.NS["o"], "d": DEF}


def later() -> Any:
    """A definition of the diary with another scale in the place of the first one's."""
    document = bundled_instrument("fatigue_diary").document()
    told = {"qstestcd": "FATNEW", "qstest": "FATD-Another score", "origin": "sponsor"}
    scale = {**document["scales"][0], "name": "another", "sdtm": told}
    return parse({**document, "version": "1.1", "scales": [scale]})


def rare() -> Extract:
    feed = Feed(test_generated.study())
    feed.enrolled(WHO)
    diary = {"code": "fatigue_diary", "version": "1.1", "digest": later().digest}
    odd = {"completed_at": "20260402T200000,5+0800", "started_at": "2026-04-02 19:58:00+08:00"}
    findings = [{"code": code, "detail": "odd"} for code in (*REMARKS, *REMARKS)]
    first = feed.response(WHO, "fatigue_diary", {"worst_fatigue": 7}, findings=findings, **odd)
    made = [one | {"run": 1} for one in scores(later(), {"worst_fatigue": 7})]
    feed.add(WHO, "response.rescored", rescored={"response_id": first, "instrument": diary}, scores=made)
    aside = {"id": ASIDE, "response_id": None, "digest": "ef" * 32, "received_at": "2026-04-10T10:00:00Z"}
    feed.add(WHO, "response.held", set_aside=aside | {"findings": [{"code": "outside_window", "detail": ""}]})
    filed = feed.response(WHO, "fss", {f"fss{number}": 7 for number in range(1, 10)}, settled_from=ASIDE)
    settled = {"settled_by": "staff:ines", "settled_at": "2026-04-20T09:00:00.000000Z", "response_id": filed}
    settled |= {"set_aside_id": ASIDE, "outcome": "filed", "reason": "the day was clear"}
    feed.add(WHO, "response.settled", settlement=settled)
    feed.response(WHO, "wpai_lupus", {"wp01": 0, "wp06": 3})
    given = {f"day{number}": number for number in range(1, 8)}
    feed.add(WHO, "week.scored", week=WEEK, scores=scores(bundled_instrument("fatigue_diary_weekly"), given))
    asked = {"code": "fatigue_diary", "version": "1.1"}  # by an amendment that is in force elsewhere
    feed.missed(WHO, "diary", protocol_version=feed.protocol.version, instrument=asked)

    feed.add(WHO, "anchor.set", anchor={"id": "infusion", "date": "2026-04-03", "by": "key:edc"})
    left = {"at": "2026-04-28T09:00:00.000000Z", "by": "staff:noor"}
    feed.add(WHO, "participant.withdrawn", withdrawal=left)

    def instrument(code: str, version: str | None = None) -> Any:
        known = (code, version) == ("fatigue_diary", "1.1")
        return later() if known else test_generated.instrument(code, version)

    return feed.extract(instrument=instrument)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Folder]:
    folders = {}
    for name in ("csv", "parquet", "dataset-json", "xpt", "odm"):
        folders[name] = Folder(tmp_path_factory.mktemp(name))
        registry.find(name).write(rare(), folders[name], Options())
    return folders


def table(made: dict[str, Folder], name: str) -> list[dict[str, Any]]:
    return pl.read_csv(made["csv"].at(f"{name}.csv"), infer_schema_length=0).to_dicts()


def sdtm(made: dict[str, Folder]) -> list[dict[str, Any]]:
    """Every row of every dataset, with the dataset it is from."""
    return [
        row | {"of": name} for name, told in datasets(made["dataset-json"]).items() for row in records(told)
    ]


def scored(rows: list[dict[str, Any]], code: str) -> dict[str, str | None]:
    """Test code -> the score or why there is none, as a format of SDTM names them."""
    return {
        row["QSTESTCD"]: row["QSSTRESC"] or row["QSREASND"]
        for row in rows
        if row.get("QSTESTCD", "").startswith(code)
    }


def test_a_week_stands_in_every_format(made):
    wanted = {"FATWMEAN": "4", "FATWWRST": "7", "FATWDAYS": "7"}
    assert {row["QSTESTCD"]: row["QSORRES"] for row in table(made, "weeks")} == wanted
    rows = sdtm(made)
    week = [row for row in rows if row["of"] == "qsfw"]
    assert scored(week, "FATW") == wanted
    assert {
        (row["QSDTC"], row["QSDRVFL"], row["QSORRES"], row["VISITDY"], row["QSEVLINT"]) for row in week
    } == {("2026-04-08", "Y", None, 1, "-P7D")}
    told = {row["QNAM"]: row["QVAL"] for row in rows if row["of"] == "suppqsfw"}
    assert told == {"QSINSTRV": "1.0", "QSPROTV": "1.0", "QSWEEK": "1", "QSWKDAY1": "2026-04-02"}
    frame, _ = pyreadstat.read_xport(str(made["xpt"].at("qsfw.xpt")))
    assert dict(zip(frame["QSTESTCD"], frame["QSSTRESC"], strict=True)) == wanted
    values = test_odm.values_of(test_odm.parsed(made["odm"], "snapshot.xml"), test_odm.NS)
    assert {value for key, value in values.items() if key[3] == "F.fatigue_diary_weekly.1.0"} >= {"4", "7"}


def test_a_scale_that_only_a_later_definition_has_stands_in_every_format(made):
    (long,) = [row for row in table(made, "long") if row["QSTESTCD"] == "FATNEW"]
    assert (long["QSSTRESN"], long["DEFVER"]) == ("7", "1.1")
    (wide,) = table(made, "wide_fatigue_diary")
    assert (wide["FATNEW"], wide["FATDS01"], wide["DEFVER"]) == ("7", None, "1.1")
    rows = sdtm(made)
    assert scored(rows, "FAT")["FATNEW"] == "7" and "FATDS01" not in scored(rows, "FAT")
    root = test_odm.parsed(made["odm"], "archive.xml")
    oid = "S.fatigue_diary.1.0.another"
    assert root.xpath(f"//o:ItemDef[@OID='{oid}']/o:Alias/@Name", namespaces=SPACE) == [
        "QSORRES where QSTESTCD=FATNEW"
    ]
    values = {key[6]: value for key, value in test_odm.played(root).items()}
    assert values[oid] == "7" and values["IG.fatigue_diary.1.0.SCORES.DEFVER"] == "1.1"


def test_the_dictionary_explains_every_row_that_there_is(made):
    told = json.loads(made["csv"].at("dictionary.json").read_bytes())
    explained = {(one["INSTRUMENT"], one["INSTRVER"], one["NAME"]) for one in told if one["KIND"] != "column"}
    rows = [row for name in ("long", "weeks") for row in table(made, name) if row["NAME"]]
    assert {
        (row["INSTRUMENT"], row["DEFVER"] or row["INSTRVER"], row["QSTESTCD"]) for row in rows
    } <= explained
    assert not [key for key in explained if key[2].startswith("FATW0")]  # its days are nobody's items


def test_what_was_missed_is_told_as_it_was_asked(made):
    (missed,) = [row for row in table(made, "long") if row["QSTESTCD"] == "QSALL"]
    assert (missed["INSTRUMENT"], missed["INSTRVER"], missed["PROTVER"]) == ("fatigue_diary", "1.1", "1.0")
    (row,) = [row for row in sdtm(made) if row.get("QSTESTCD") == "QSALL"]
    assert row["of"] == "qsfd"


def test_that_a_person_filed_it_is_told(made):
    (aside,) = table(made, "set_aside")
    assert (aside["OUTCOME"], aside["SETTLEMENT"], aside["SETTLEDBY"]) == ("held", "filed", "staff:ines")
    assert (aside["REASON"], aside["FINDINGS"]) == ("the day was clear", '["outside_window"]')
    (fss,) = table(made, "wide_fss")
    assert aside["RESPONSEID"] == fss["RESPONSEID"]
    (mark,) = [row for row in sdtm(made) if row.get("QNAM") == "QSSETTLD"]
    assert (mark["IDVARVAL"], mark["QVAL"]) == (fss["RESPONSEID"], "2026-04-20T09:00:00.000000Z")
    root = test_odm.parsed(made["odm"], "archive.xml")
    (record,) = root.xpath("//o:AuditRecord[o:UserRef/@UserOID='U.staff.ines']", namespaces=SPACE)
    assert record.findtext("o:ReasonForChange", None, test_odm.NS) == "the day was clear"
    changed = {
        item.get("ItemOID"): item.get("Value") for item in record.getparent().iterfind(".//o:ItemData", SPACE)
    }
    assert changed == {
        "I.PARADATA.settled_at": "2026-04-20T09:00:00.000000Z",
        "I.PARADATA.settled_by": "staff:ines",
    }


def test_who_set_a_day_and_who_withdrew_her_is_named(made):
    root = test_odm.parsed(made["odm"], "archive.xml")
    by = {
        item.get("ItemOID"): item.xpath("ancestor::o:SubjectData//o:UserRef/@UserOID", namespaces=SPACE)
        for item in root.iterfind(".//o:ItemData", SPACE)
        if item.get("ItemOID").startswith("I.SUBJECT.")
    }
    assert by["I.SUBJECT.anchor.infusion"] == ["U.key.edc"]
    assert by["I.SUBJECT.withdrawn_at"] == ["U.staff.noor"]
    herself = {"site": "101", "anchor": {"by": "participant:diary/101-001"}}  # by an answer of hers
    assert odm_content.of_herself(herself) == "U.participant.101-001"
    assert by["I.SUBJECT.enrolled_at"] == ["U.site.101"]  # an entry of before it was told
    known = set(root.xpath("//o:User/@OID", namespaces=SPACE))
    assert set(root.xpath("//o:UserRef/@UserOID", namespaces=SPACE)) <= known


def test_odm_is_valid_and_both_versions_and_the_archive_say_the_same(made):
    first, second, archive = (
        test_odm.parsed(made["odm"], name) for name in ("snapshot.xml", "snapshot-odm2.xml", "archive.xml")
    )
    for schema, root in (
        (test_odm.SCHEMA_1, first),
        (test_odm.SCHEMA_1, archive),
        (test_odm.SCHEMA_2, second),
    ):
        schema.assertValid(root)
    values = test_odm.values_of(first, test_odm.NS)
    assert values == test_odm.values_of_2(second) == test_odm.played(archive)
    events = {entry["event_id"] for subject in rare().subjects() for entry in subject.entries}
    assert set(archive.xpath("//o:SourceID/text()", namespaces=SPACE)) <= events
    kinds = {one.get("OID"): one.get("DataType") for one in first.iterfind(".//o:ItemDef", test_odm.NS)}
    reads = {"integer": int, "float": float, "datetime": instant, "date": date.fromisoformat, "text": str}
    for key, value in values.items():
        reads[kinds[key[6]]](value)


def instant(text: str) -> datetime:
    """As XML Schema has it."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text), text
    return datetime.fromisoformat(text)


def test_instants_of_odd_phones_are_such_as_sdtm_takes(made):
    found = datasets(made["dataset-json"])
    assert {name: faults_of(told) for name, told in found.items()} == dict.fromkeys(found, [])
    (answer,) = [row for row in records(found["qsfd"]) if row["QSTESTCD"] == "FATD01"]
    assert answer["QSDTC"] == "2026-04-02T12:00:00Z"
    (long,) = [row for row in table(made, "long") if row["QSTESTCD"] == "FATD01"]
    assert long["QSDTC"] == "20260402T200000,5+0800"  # as the phone wrote it


def test_remarks_without_number_keep_nothing_from_travelling(made):
    told = {row["QNAM"]: row["QVAL"] for row in sdtm(made) if row.get("QNAM", "").startswith("QSFIND")}
    assert ";".join(told[name] for name in ("QSFINDGS", "QSFINDG1", "QSFINDG2")).split(";") == REMARKS
    assert max(map(len, told.values())) <= 200


def test_every_value_is_one_that_the_define_allows(made):
    """Of every dataset each variable and each question: its list, its length, its type."""
    tree = etree.parse(str(made["dataset-json"].at("define.xml")))
    etree.XMLSchema(etree.parse(str(DEFINE_SCHEMA))).assertValid(tree)
    items = {one.get("OID"): one for one in tree.iterfind(".//o:ItemDef", SPACE)}
    lists = {
        one.get("OID"): {code.get("CodedValue") for code in one if code.get("CodedValue")}
        for one in tree.iterfind(".//o:CodeList", SPACE)
    }
    rows = sdtm(made)
    assert {row.get("QSREASND") for row in rows} >= {"NOT EMPLOYED", "NOT ASKED", "MISSED"}
    for row in rows:
        for item, value in _described(items, row):
            listed = item.find("o:CodeListRef", SPACE)
            if listed is not None and item.get("DataType") != "float":
                assert value in lists[listed.get("CodeListOID")], (item.get("OID"), value)
            if item.get("DataType") == "text":
                assert len(value.encode()) <= int(item.get("Length")), item.get("OID")


def _described(items: dict[str, Any], row: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    name = row["of"].upper()
    for variable, value in row.items():
        if variable == "of" or value is None:
            continue
        yield items[f"IT.{name}.{variable}"], value
        question = items.get(f"IT.{name}.{variable}.{row.get('QSTESTCD')}")
        if question is not None:
            yield question, value
