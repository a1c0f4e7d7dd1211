"""SDTM and Dataset-JSON: CDISC's own schema, the faults that it lets pass, a second reader, and SDTM's rules."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import pytest
from jsonschema import Draft201909Validator
from odmlib.dataset_json_1_1 import DatasetJSON

from epro.export import registry, sdtm
from epro.export.extract import Options
from epro.export.files import Folder, told
from epro.questionnaires.library import bundled
from tests.export.studies import Feed, eventful

SCHEMA = json.loads(
    (Path(__file__).parents[1] / "conformance" / "cdisc" / "dataset.schema.json").read_text(encoding="utf-8")
)
FITS = {
    "string": str,
    "datetime": str,
    "date": str,
    "integer": int,
    "float": (int, float),
}
INSTANT = {
    "datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
}


def written(extract, folder, name="dataset-json", **options):
    folder.mkdir(exist_ok=True)
    made = Folder(folder)
    registry.find(name).write(extract, made, Options(**options))
    return made


def faults_of(dataset):
    """What the official schema says, and the four faults that it lets pass."""
    found = [error.message for error in Draft201909Validator(SCHEMA).iter_errors(dataset)]
    columns = dataset["columns"]
    found += [f"row {n} is short" for n, row in enumerate(dataset["rows"]) if len(row) != len(columns)]
    if dataset["records"] != len(dataset["rows"]):
        found.append("records is not the number of rows")
    for row in dataset["rows"]:
        for column, value in zip(columns, row, strict=False):
            kind = FITS[column["dataType"]]
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                found.append(f"{column['name']} is {value!r}")
            form = INSTANT.get(column["dataType"])
            if form and isinstance(value, str) and not form.fullmatch(value):
                found.append(f"{column['name']} is {value!r}")
    if not re.fullmatch(r"1\.1(\.\d+)?", dataset["datasetJSONVersion"]):
        found.append("version")
    if dataset["dbLastModifiedDateTime"] > dataset["datasetJSONCreationDateTime"]:
        found.append("made before it was last changed")
    return found


@pytest.fixture
def made(tmp_path):
    return written(eventful().extract(), tmp_path / "out")


def datasets(folder):
    return {
        name.partition(".")[0]: json.loads(folder.at(name).read_bytes())
        for name in folder.files
        if name.endswith(".json") and name != "dictionary.json"
    }


def records(dataset):
    names = [column["name"] for column in dataset["columns"]]
    return [dict(zip(names, row, strict=True)) for row in dataset["rows"]]


def test_every_dataset_fits_the_schema_and_our_own_rules(made):
    found = datasets(made)
    assert sorted(found) == ["qsfa", "qsfd", "qsfs", "qslq", "suppqsfa", "suppqsfd", "suppqsfs", "suppqslq"]
    assert {name: faults_of(dataset) for name, dataset in found.items()} == dict.fromkeys(found, [])


def test_planted_faults_are_found(made):
    dataset = datasets(made)["qslq"]
    for plant in (
        lambda d: d["rows"][0].pop(),
        lambda d: d.update(records=1),
        lambda d: d["rows"][0].__setitem__(3, "one"),
        lambda d: d["rows"][0].__setitem__(4, {"an": "object"}),
        lambda d: d.update(datasetJSONVersion="1x1"),
        lambda d: d["rows"][0].__setitem__(-2, "01/03/2024 08:30"),
    ):
        broken = json.loads(json.dumps(dataset))
        plant(broken)
        assert faults_of(broken)


def test_a_reader_we_did_not_write_reads_it(made):
    for name in (name for name in made.files if re.fullmatch(r"(supp)?qs..\.json", name)):
        read = DatasetJSON.read_json(str(made.at(name)))
        assert read.records == made.files[name] == len(read.rows), name


def test_the_other_containers_hold_the_same(tmp_path):
    made = written(eventful().extract(), tmp_path / "out", extra={"container": "all"})
    whole = datasets(made)["qslq"]
    lines = made.at("qslq.ndjson").read_bytes().splitlines()
    head = json.loads(lines[0])
    assert head == {name: value for name, value in whole.items() if name != "rows"}
    assert [json.loads(line) for line in lines[1:]] == whole["rows"]
    assert zlib.decompress(made.at("qslq.dsjc").read_bytes()) == made.at("qslq.ndjson").read_bytes()
    assert DatasetJSON.read_ndjson(str(made.at("qslq.ndjson"))).records == whole["records"]


def test_rules_of_sdtm_hold(made):
    """One by one what a validator of SDTM would say."""
    found = datasets(made)
    rows = [row for name, dataset in found.items() if name.startswith("qs") for row in records(dataset)]
    assert not {"QSEVAL", "QSEVALID"} & set(rows[0])
    for subject in {row["USUBJID"] for row in rows}:
        numbers = [row["QSSEQ"] for row in rows if row["USUBJID"] == subject]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))  # unique across all the splits
    names = {(row["QSTESTCD"], row["QSTEST"]) for row in rows}
    assert len({code for code, _ in names}) == len(names)  # one name to one code
    for row in rows:
        assert re.fullmatch(r"[A-Z_][A-Z0-9_]{0,7}", row["QSTESTCD"]) and len(row["QSTEST"]) <= 40
        done = row["QSSTAT"] is None
        assert done == (row["QSORRES"] is not None) == (row["QSREASND"] is None)
        assert row["QSSTAT"] in (None, "NOT DONE") and (done or row["QSSTRESN"] is None)
        assert row["QSSTRESC"] is None or float(row["QSSTRESC"]) == row["QSSTRESN"]
        assert row["DOMAIN"] == "QS" and row["VISITDY"] != 0 and row["QSDRVFL"] is None


def test_missing_answers_missed_questionnaires_and_scores_say_why(made):
    found = datasets(made)
    lupus = [(row["QSTESTCD"], row["QSSTAT"], row["QSREASND"]) for row in records(found["qslq"])]
    assert ("LUPQ02", "NOT DONE", "SKIPPED") in lupus and ("LUPQ15", "NOT DONE", "NOT APPLICABLE") in lupus
    assert ("LUPQPH", "NOT DONE", "TOO FEW ITEMS ANSWERED") in lupus
    assert ("QSALL", "NOT DONE", "MISSED") in lupus
    fatigue = records(found["qsfa"])
    assert {row["QSREASND"] for row in fatigue[:13]} == {"SKIPPED"}
    (score,) = [row for row in records(found["qsfs"]) if row["QSTESTCD"] == "FSSMEAN9"]
    assert (score["QSORRES"], score["QSSTRESC"], score["QSSTRESN"]) == ("7", "7", 7)
    assert score["QSEVLINT"] == "-P7D" and score["QSDTC"].endswith("+08:00")


def test_scores_may_stand_as_derived(tmp_path):
    made = written(eventful().extract(), tmp_path / "out", scores="derived")
    (score,) = [row for row in records(datasets(made)["qsfs"]) if row["QSTESTCD"] == "FSSMEAN9"]
    assert (score["QSORRES"], score["QSSTRESC"], score["QSDRVFL"]) == (None, "7", "Y")


def test_what_counts_is_the_amendment_and_a_qualifier_says_so(made):
    found = datasets(made)
    assert [row["QSSTRESC"] for row in records(found["qsfd"]) if row["QSTESTCD"] == "FATD01"] == ["6", "0"]
    qualifiers = records(found["suppqsfd"])
    amended = [row for row in qualifiers if row["QNAM"] == "QSAMEND"]
    assert [(row["IDVAR"], row["QVAL"]) for row in amended] == [("QSGRPID", "1")]
    sittings = {row["QSGRPID"] for row in records(found["qsfd"])}
    assert {row["IDVARVAL"] for row in qualifiers} <= sittings
    assert len(sdtm.QUALIFIERS) == len(dict(sdtm.QUALIFIERS)) and all(
        len(label) <= 40 for _, label in sdtm.QUALIFIERS
    )


def test_a_study_without_data_is_valid_too(tmp_path):
    found = datasets(written(Feed().extract(), tmp_path / "out"))
    assert {name: (faults_of(one), one["records"]) for name, one in found.items()} == dict.fromkeys(
        ["qsfa", "qsfd", "qsfs", "qslq"], ([], 0)
    )


def test_the_same_cut_gives_the_same_bytes(tmp_path):
    once, again = (
        told(written(eventful().extract(), tmp_path / name, extra={"container": "all"})) for name in "ab"
    )
    assert once == again
    assert not [path for path in (tmp_path / "a").iterdir() if path.name.startswith(".")]


def test_every_bundled_instrument_has_a_split_of_its_own():
    letters = {one.code: sdtm.split(one.code) for one in bundled()}
    assert set(letters) == set(sdtm.LETTERS) and len(set(letters.values())) == len(letters)
    for instrument in bundled():
        for part in (*instrument.items, *instrument.scales):
            assert sdtm.test_code(part) and len(sdtm.plain(part.sdtm.qstest)) <= 40
