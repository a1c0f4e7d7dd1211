"""CSV: read back by a reader that we did not write, safe where a spreadsheet would run it, the same bytes again."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import polars as pl
import pytest

from epro.export import csv_files, registry
from epro.export.extract import Options
from epro.export.files import Folder, digest_of, told
from epro.questionnaires.library import bundled_instrument
from tests.export.studies import Feed, eventful, scores


def written(extract, folder, **options):
    made = Folder(folder)
    folder.mkdir(exist_ok=True)
    registry.find("csv").write(extract, made, Options(**options))
    return made


@pytest.fixture
def made(tmp_path):
    return written(eventful().extract(), tmp_path / "out")


def frame(folder, name):
    return pl.read_csv(
        folder.at(name), infer_schema_length=None, schema_overrides={"QSORRES": pl.String, "CODES": pl.String}
    )


def test_every_kind_of_answer_has_its_line(made):
    long = frame(made, "long.csv")
    lines = long.filter(pl.col("INSTRUMENT") == "lupusqol", pl.col("KIND") == "item")
    second = lines.filter(pl.col("POSITION") == 4)
    told = {row["NAME"]: (row["QSORRES"], row["QSSTAT"], row["QSREASND"]) for row in second.to_dicts()}
    assert len(lines) == 68 and len(told) == 34
    assert told["lq01"] == ("3", None, None)
    assert told["lq02"] == (None, "NOT DONE", "SKIPPED")
    assert told["lq15"] == (None, "NOT DONE", "NOT APPLICABLE")
    scores = long.filter(pl.col("POSITION") == 4, pl.col("KIND") == "score")
    assert len(scores) == 8 and set(scores["QSREASND"]) == {"too_few_answers"}


def test_what_counts_is_the_amendment_and_it_says_so(made):
    rows = frame(made, "wide_fatigue_diary.csv").to_dicts()
    assert [(row["AMENDMENT"], row["FATD01"]) for row in rows] == [(1, 6), (0, 0)]
    assert rows[0]["ORIGINALID"] != rows[0]["RESPONSEID"] and rows[1]["ORIGINALID"] == rows[1]["RESPONSEID"]


def test_a_missed_questionnaire_is_one_line(made):
    missed = frame(made, "long.csv").filter(pl.col("KIND") == "questionnaire").to_dicts()
    assert [(row["ASSESSMENT"], row["QSTESTCD"], row["QSREASND"]) for row in missed] == [
        ("lupusqol", "QSALL", "MISSED")
    ]


def test_a_response_is_a_row_with_its_codes_and_scores(made):
    first, second = frame(made, "wide_lupusqol.csv").to_dicts()
    assert first["NOTDONE"] is None and first["LUPQ01"] == 1
    assert "LUPQ15=NOT APPLICABLE" in second["NOTDONE"] and "LUPQ02=SKIPPED" in second["NOTDONE"]
    assert len(first) == 26 + 34 + 8 + 2 and (first["DEFVER"], first["INSTRVER"]) == (1.0, 1.0)


def test_of_two_answers_to_one_occurrence_the_one_completed_first_counts(tmp_path):
    feed = eventful()
    first = feed.entries[1]["response"]
    for id, minute in (("later", "59"), ("earlier", "00")):
        feed.response("101-001", "fatigue_diary", {"worst_fatigue": 1}, id=id, occurrence_id=first["occurrence_id"],
                      corrected_at=f"2026-04-02T10:{minute}:00.000000Z")  # fmt: skip
    rows = frame(written(feed.extract(), tmp_path / "two"), "wide_fatigue_diary.csv").to_dicts()
    assert {row["ORIGINALID"]: row["COUNTS"] for row in rows if row["LOCALDAY"] != "2026-04-08"} == {
        first["id"]: "N",
        "later": "N",
        "earlier": "Y",
    }


def test_a_week_stands_with_its_latest_scores(tmp_path):
    feed = eventful()
    weekly = bundled_instrument("fatigue_diary_weekly")
    answers = {item.id: 4 for item in weekly.items}
    told = {"assessment": "diary", "number": 1, "first_study_day": 1, "first_day": "2026-04-01",
            "last_day": "2026-04-07", "instrument": {"code": weekly.code, "version": weekly.version}}  # fmt: skip
    for run, given in enumerate(({}, answers), 1):
        feed.add("101-001", "week.scored", week=told | {"run": run}, scores=scores(weekly, given))
    rows = frame(written(feed.extract(), tmp_path / "weeks"), "weeks.csv").to_dicts()
    assert [row["RUN"] for row in rows] == [2, 2, 2] and {row["WEEK"] for row in rows} == {1}
    assert [row["QSSTRESN"] for row in rows][0] == 4


def test_people_are_told_once_each(made):
    ada, ben = frame(made, "subjects.csv").to_dicts()
    assert (ada["RESPONSES"], ada["MISSED"], ada["WAITING"], ada["INFUSION"]) == (5, 1, 1, "2026-04-03")
    assert ben["WDRWDTC"] == "2026-04-20T09:00:00.000000Z"


def test_the_dictionary_explains_every_column_and_every_code(made):
    lines = frame(made, "dictionary.csv").to_dicts()
    columns = {(line["TABLE"], line["NAME"]) for line in lines if line["KIND"] == "column"}
    for name in ("long", "wide_fss", "subjects"):
        assert {(name, column) for column in frame(made, f"{name}.csv").columns} <= columns
    item = next(line for line in lines if line["ID"] == "fss1")
    assert item["CODES"].startswith("1 = Level 1 (fits least); 2 = ")


def test_the_same_cut_gives_the_same_bytes(tmp_path):
    once, again = (told(written(eventful().extract(), tmp_path / name)) for name in ("one", "two"))
    assert once == again and digest_of(once) == digest_of(again)


def test_a_study_without_data_has_its_columns(tmp_path):
    empty = written(Feed().extract(), tmp_path / "out")
    assert frame(empty, "long.csv").height == 0 and "LUPQ01" in frame(empty, "wide_lupusqol.csv").columns


def test_answers_kept_from_the_reader_leave_no_trace(tmp_path):
    feed = eventful()
    for entry in feed.entries:
        entry.get("response", {}).pop("answers", None)
        if "scores" in entry:
            entry["scores"] = []
    made = written(feed.extract(), tmp_path / "out")
    assert set(frame(made, "long.csv")["KIND"]) == {"questionnaire"}
    rows = frame(made, "wide_fss.csv").to_dicts()
    assert len(rows) == 1 and rows[0]["FSS0101"] is None and rows[0]["NOTDONE"] is None


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "  =1+1",
    "＝1+1",
    "＋1",
    "－1",
    "＠A",
    "x\";=cmd|' /C calc'!A0",
    "a,=1+1",
    "a\n=1+1",
    "a\t@A1",
    "a|=1",
    "\n=1",
    '=HYPERLINK("https://example.org","x")',
]


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_no_spreadsheet_finds_a_formula(text, separator):
    """However a spreadsheet of another country takes the line apart."""
    line = csv_files.encoded([["id", text, 3]], csv_files.safe).decode()
    rows = csv.reader(io.StringIO(line, newline=""), delimiter=separator)
    begun = [cell.lstrip(' "\t\r\n')[:1] for row in rows for cell in row]
    assert not set(begun) & set("=+-@＝＋－＠"), begun


@pytest.mark.parametrize("text", [*FORMULAS, "", " ", 'a "quoted" word', "甲状腺", "a\r\nb"])
def test_raw_is_read_back_as_it_was(text):
    line = csv_files.encoded([["id", text, None]]).decode()
    assert next(csv.reader(io.StringIO(line, newline=""))) == ["id", text, ""]


def test_numbers_are_never_guarded():
    assert csv_files.encoded([[-1.5, 3.0, None, -2, "2026-03-02T18:00:00+08:00"]], csv_files.safe) == (
        b"-1.5,3,,-2,2026-03-02T18:00:00+08:00\r\n"
    )


def test_safe_files_say_that_they_are_utf8(tmp_path):
    made = written(eventful().extract(), tmp_path / "out", flavour="safe")
    assert made.at("long.csv").read_bytes().startswith(b"\xef\xbb\xbfSTUDYID,")
    assert frame(made, "long.csv").columns[0] == "STUDYID"


def test_a_blinded_table_has_no_column_of_what_is_blinded(tmp_path):
    feed = eventful()
    extract = feed.extract()

    def instrument(code, version):
        found = extract.instrument(code, version)
        if code != "fss":
            return found
        items = (replace(found.items[0], blinded=True), *found.items[1:])
        scales = (replace(found.scales[0], blinded=True), *found.scales[1:])
        return replace(found, items=items, scales=scales)

    made = written(replace(extract, instrument=instrument, blinded=True), tmp_path / "out")
    told = made.at("wide_fss.csv").read_text() + made.at("long.csv").read_text()
    assert "FSS0101" not in told and "FSSMEAN9" not in told and "FSS0102" in told
    assert "FSS0101" not in made.at("dictionary.csv").read_text()
