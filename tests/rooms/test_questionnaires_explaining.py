"""A score explains itself: what counted, what was missing, which rule, in both languages."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from epro.cli import epro
from epro.questionnaires import reference
from epro.questionnaires.explaining import POSITIONS, SOURCES, explain, fact_name, position, shown
from epro.questionnaires.explaining_numbers import NEEDS, OF_METHODS, WORDS
from epro.questionnaires.instrument import parse
from epro.questionnaires.library import bundled, bundled_instrument
from epro.questionnaires.methods import METHODS
from epro.questionnaires.scoring import InvalidAnswers, score

BRANCHING = {
    **reference.draft("branching", 3, 5),
    "refused_label": {"en": "Prefer not to answer", "zh-CN": "不愿回答"},
}
BRANCHING["items"][1] |= {"asked_if": {"item": "i01", "is": "above", "code": 0}, "not_asked_as": 0}
BRANCHING["items"][2] |= {"refusable": True, "reversed": True}


def of(found, name):
    return next(one for one in found if one["scale"] == name)


def test_it_says_what_counted_and_what_did_not():
    lupusqol = bundled_instrument("lupusqol")
    told = of(explain(lupusqol, {"lq15": 2, "lq16": "NA"}, "en"), "intimate_relationships")
    assert (told["value"], told["shown"], told["answered"], told["expected"]) == (50, "50.00", 1, 2)
    assert [(item["number"], item["kind"], item["raw"], item["used"]) for item in told["items"]] == [
        (15, "answered", 2, 2),
        (16, "not_applicable", "NA", None),
    ]
    assert told["rule"] == {
        "name": "at_least_half",
        "words": "At least half of the items must be answered: 1 of 2.",
    }
    assert told["instrument"]["digest"] == lupusqol.digest


def test_it_says_why_there_is_none_in_the_language_asked_for():
    told = of(explain(bundled_instrument("lupusqol"), {"lq01": 3}, "zh-CN"), "physical_health")
    assert told["value"] is None and told["shown"] is None
    assert (told["reason"], told["reason_words"]) == (
        "too_few_answers",
        "已回答的条目太少，无法计算该得分。",
    )
    assert told["rule"]["words"] == "至少须回答一半条目：8项中的4项。"


def test_a_reversed_item_shows_both_values():
    told = of(explain(bundled_instrument("facit_fatigue"), {f"ff{n:02}": 1 for n in range(1, 14)}), "total")
    assert [(item["raw"], item["used"]) for item in told["items"][5:8]] == [(1, 3), (1, 1), (1, 1)]


def test_an_item_that_was_not_asked_counts_as_its_definition_says():
    told = of(explain(parse(BRANCHING), {"i01": 0, "i03": "REFUSED"}), "total")
    assert [(item["kind"], item["raw"], item["used"]) for item in told["items"]] == [
        ("answered", 0, 0),
        ("not_asked", None, 0),
        ("refused", "REFUSED", None),
    ]
    assert (told["value"], told["answered"], told["missing"]) == (0, 2, ["i03"])


@pytest.mark.parametrize("one", bundled(), ids=lambda one: one.code)
def test_every_explanation_agrees_with_its_score(one):
    answers = {item.id: min(item.codes) for item in one.items[:-1]}
    scores = {found.scale: found for found in score(one, answers)}
    for language in one.languages:
        for told in explain(one, answers, language):
            found = scores[told["scale"]]
            assert (told["value"], told["reason"]) == (found.value, found.reason)
            assert tuple(i["id"] for i in told["items"] if i["used"] is not None) == found.items_used
            assert tuple(told["missing"]) == found.items_missing


def numbers_of(code, answers, scale, language="en"):
    told = of(explain(bundled_instrument(code), answers, language), scale)
    return {one["name"]: one["value"] for one in told["numbers"]}


def test_it_says_the_numbers_behind_the_formula():
    phq9 = dict.fromkeys([f"phq0{n}" for n in range(1, 10)], 1)
    four = dict(
        zip([item.id for item in bundled_instrument("promis_fatigue_4a").items], (2, 3, 1, 2), strict=True)
    )
    work = {"wp01": 1, "wp02": 10, "wp03": 0, "wp04": 30, "wp05": 4, "wp06": 4}
    assert numbers_of("phq9", phq9, "severity_band") == {"Σx": 9, "cut": [5, 10, 15, 20], "reached": [5]}
    assert numbers_of("promis_fatigue_4a", four, "t_score") == {"Σx": 8, "table": 48.6}
    assert numbers_of("promis_fatigue_4a", {}, "t_score") == {"Σx": 0, "table": None}
    assert numbers_of("facit_fatigue", {"ff01": 1, "ff02": 3}, "total") == {"Σx": 6 - 2 + 0, "n": 2, "N": 13}
    assert numbers_of("lupusqol", {"lq15": 2, "lq16": "NA"}, "intimate_relationships") == {
        "Σx": 2, "n": 1, "lowest": 0, "highest": 4,
    }  # fmt: skip
    assert numbers_of("wpai_lupus", work, "overall_work_impairment") == {
        "employed": 1, "missed": 10, "worked": 30, "effect": 4, "a": 0.25,
    }  # fmt: skip
    symptom = bundled_instrument("pro_ctcae_sle").scale("22_composite").items
    cell = dict(zip(symptom, (2, 3, 1), strict=True))
    told = numbers_of("pro_ctcae_sle", cell, "22_composite")
    assert told["cell"] == [2, 3, 1] and told["grid"] in (0, 1, 2, 3)
    assert numbers_of("pro_ctcae_sle", {symptom[0]: 0}, "22_composite") == {"cell": [0], "grid": 0}
    assert numbers_of("pro_ctcae_sle", {symptom[0]: 1}, "22_composite") == {"cell": None, "grid": None}


@pytest.mark.parametrize("name", sorted({name for name, _ in METHODS}))
def test_every_method_tells_its_numbers(name):
    assert name in OF_METHODS


def test_every_own_word_is_told_in_both_languages():
    for words in (WORDS, NEEDS, POSITIONS):
        assert all(set(texts) == {"en", "zh-CN"} for texts in words.values())


@pytest.mark.parametrize(
    ("fact", "value", "where"),
    [
        ({"kind": "band", "from": 5, "to": 9}, 5, "in"),
        ({"kind": "band", "from": 5, "to": 9}, 9, "in"),
        ({"kind": "band", "from": 5, "to": 9}, 9.1, "not_in"),
        ({"kind": "band", "to": 55}, 20, "in"),
        ({"kind": "band", "from": 70.1}, 70, "not_in"),
        ({"kind": "band", "value": 2}, 2, "in"),
        ({"kind": "band", "value": 2}, 1, "not_in"),
        ({"kind": "band"}, 1, None),
        ({"kind": "cut_off", "value": 10}, 9.9, "below"),
        ({"kind": "cut_off", "value": 10}, 10, "at"),
        ({"kind": "cut_off", "value": 10}, 11, "above"),
        ({"kind": "cut_off", "value": 10}, None, None),
        ({"kind": "norm", "value": 10}, 11, None),
    ],
)
def test_where_a_score_lies_by_a_fact(fact, value, where):
    assert position(fact, value) == where


def test_sources_that_are_our_own_words_are_told_in_chinese():
    told = of(explain(bundled_instrument("pgi_c"), {"pgic01": 4}, "zh-CN"), "change")["interpretation"]
    assert {(fact["source"], fact["source_words"]) for fact in told} == {
        ("our own definition", "我方自拟定义")
    }
    assert [fact["position_words"] for fact in told[:2]] == ["该得分不在此范围内", "该得分在此范围内"]
    known = {fact["source"] for one in bundled() for scale in one.scales for fact in scale.interpretation}
    assert set(SOURCES) <= known
    assert not [one for one in known - set(SOURCES) if re.match("our |literature|recomputed|general", one)]


def test_a_method_that_decides_for_itself_says_what_it_needs():
    told = of(explain(bundled_instrument("wpai_lupus"), {}, "en"), "absenteeism")["rule"]
    assert (
        told["words"] == "Of 3 items, hours missed and worked are needed. Who is not employed has no score."
    )


def test_answers_that_do_not_fit_are_refused():
    with pytest.raises(InvalidAnswers):
        explain(bundled_instrument("fss"), {"fss1": 8})


@pytest.mark.parametrize(
    ("value", "decimals", "wanted"),
    [(26, 0, "26"), (0.125, 2, "0.12"), (0.375, 2, "0.38"), (2.675, 2, "2.68"), (-0.391, 3, "-0.391")],
)
def test_display_rounds_half_to_even_in_decimals(value, decimals, wanted):
    assert shown(value, decimals) == wanted


def test_the_command_explains(tmp_path):
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"answers": {"lq09": 4, "lq10": 2}}))
    done = CliRunner().invoke(epro, ["instrument", "explain", "lupusqol", str(file), "--scale", "pain"])
    assert done.exit_code == 0
    assert "Pain (pain): 75.00" in done.output
    assert "skipped, not used" in done.output and "2 of 3" in done.output
    told = CliRunner().invoke(epro, ["instrument", "explain", "lupusqol", str(file), "--json"])
    assert of(json.loads(told.output), "pain")["value"] == 75
    piped = CliRunner().invoke(
        epro, ["instrument", "explain", "lupusqol", "-", "--json"], input=file.read_bytes()
    )
    assert piped.output == told.output


def test_the_command_says_where_a_band_lies(tmp_path):
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(dict.fromkeys([f"phq0{n}" for n in range(1, 10)], 1)))
    said = CliRunner().invoke(epro, ["instrument", "explain", "phq9", str(file)]).output
    assert "  band from 5 to 9: Severity band 1 (the score lies in it; " in said
    assert "  band 1: Mild: total 5-9 (" in said
    assert "  From 10 on: a case" in said and "(the score lies below 10; " in said
    assert "  reached = 5, cut points that the sum reaches" in said


@pytest.mark.parametrize("instrument", bundled(), ids=lambda one: one.code)
def test_an_explanation_in_chinese_has_no_english_but_names(instrument, tmp_path):
    """Names: of scales, methods, instruments, sources, and of Likert."""
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({item.id: item.codes[0] for item in instrument.items[::2]}))
    said = (
        CliRunner()
        .invoke(epro, ["instrument", "explain", instrument.code, str(file), "--lang", "zh-CN"])
        .output
    )
    lines = [line for line in said.splitlines() if line and instrument.digest not in line]
    names = [scale.name for scale in instrument.scales]
    plain = [re.sub(r" \(.*\[[VM?]\]\)$|\((" + "|".join(names) + r")\)|max|Likert", "", one) for one in lines]
    assert lines and [line for line in plain if re.search("[a-z]{3,}", line)] == []


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        ({"kind": "cut_off", "value": 10}, "cut off"),
        ({"kind": "band", "to": 55}, "band to 55"),
        ({"kind": "band", "from": 70.1}, "band from 70.1"),
        ({"kind": "band"}, "band"),
    ],
)
def test_the_name_of_a_fact(fact, name):
    assert fact_name(fact) == name


@pytest.mark.parametrize(
    ("content", "arguments", "code", "said"),
    [
        ("{", [], 1, "cannot be read as JSON"),
        ("[1]", [], 1, "holds no object of answers"),
        ('{"lq01": 9}', [], 1, "out_of_range"),
        ('{"lq01": 1}', ["--scale", "pian"], 2, "No such scale"),
        ('{"lq01": 1}', ["--lang", "fr"], 2, "no wording in this language"),
    ],
)
def test_bad_calls_are_told_in_a_line(tmp_path, content, arguments, code, said):
    file = tmp_path / "answers.json"
    file.write_text(content)
    done = CliRunner().invoke(epro, ["instrument", "explain", "lupusqol", str(file), *arguments])
    assert (done.exit_code, said in done.output, "Traceback" in done.output) == (code, True, False)


def test_a_new_definition_has_no_faults_and_is_not_written_over(tmp_path):
    file = tmp_path / "mine.json"
    make = ["instrument", "new", "my_scale", "--items", "7", "--out", str(file)]
    assert CliRunner().invoke(epro, make).exit_code == 0
    done = CliRunner().invoke(epro, ["instrument", "check", str(file)])
    assert done.exit_code == 0 and "my_scale 1.0 has no faults" in done.output
    assert CliRunner().invoke(epro, make).exit_code == 2


def test_the_check_names_every_fault_with_its_place(tmp_path):
    data = reference.draft("my_scale", 3, 5)
    data["items"][1]["choices"] = "levels"
    data["scales"][0]["range"] = [0, 5]
    data["scales"][0]["items"].append("i09")
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(data))
    done = CliRunner().invoke(epro, ["instrument", "check", str(file)])
    assert done.exit_code == 1
    assert "/items/1/choices" in done.output and "[unknown_choice_set]" in done.output
    assert "/scales/0/items" in done.output and "[unknown_item]" in done.output


def test_pages_that_are_not_ours_are_left_alone(tmp_path):
    mine = tmp_path / "mine.md"
    mine.write_text("# My notes")
    done = CliRunner().invoke(epro, ["instrument", "reference", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "mine.md" in done.output
    assert [page.name for page in tmp_path.iterdir()] == ["mine.md"]


def test_a_column_of_a_table_has_the_same_decimals_in_every_row():
    pages = reference.pages(bundled())
    seven = pages["promis_fatigue_7a-1.0.md"]
    assert "| 24 | 62.0 | 2.9 |" in seven and "| 34 | 79.8 | 3.6 |" in seven
    assert "| range | 41.0 to 79.4." in pages["promis29-1.0.md"]
    assert "1 decimals" not in "".join(pages.values()) and "1 decimal;" in seven


def test_the_reference_pages_are_those_of_the_definitions():
    """`make docs` has been run since a definition changed."""
    folder = Path(__file__).resolve().parents[2] / "docs" / "instruments"
    pages = reference.pages(bundled())
    assert {page.name for page in folder.glob("*.md")} == set(pages)
    assert [name for name, text in pages.items() if (folder / name).read_text(encoding="utf-8") != text] == []
