"""`epro instrument`: list, show, score."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from epro.cli import epro
from epro.cli.instrument import instrument

FOUR = {f"fss{number}": 4 for number in range(1, 10)}


def run(*words: str, stdin: bytes = b""):
    return CliRunner().invoke(instrument, [str(word) for word in words], input=stdin)


def lines(*responses: dict) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in responses)


def test_list_names_every_bundled_instrument():
    result = run("list")
    assert result.exit_code == 0
    for word in ("lupusqol 1.0", "facit_fatigue 1.0", "fss 1.0", "fatigue_diary 1.0", "zh-CN placeholder"):
        assert word in result.stdout


def test_show_as_json_prints_the_definition():
    shown = json.loads(run("show", "lupusqol", "--json").stdout)
    assert [(item["id"], item["number"]) for item in shown["items"]][14:16] == [("lq15", 15), ("lq16", 16)]
    assert [scale["name"] for scale in shown["scales"]][:2] == ["physical_health", "pain"]
    assert shown["scales"][1]["items"] == ["lq09", "lq10", "lq11"]
    assert len(shown["digest"]) == 64


def test_show_in_one_language():
    shown = json.loads(run("show", "fatigue_diary", "--json", "--lang", "zh-CN").stdout)
    assert (shown["language"], shown["title"]) == ("zh-CN", "疲劳日记")
    assert "疲劳日记" in run("show", "fatigue_diary", "--lang", "zh-CN").stdout


def test_show_in_chinese_is_chinese_but_for_ids_and_methods():
    text = run("show", "facit_fatigue", "--lang", "zh-CN").stdout
    assert "超过一半" in text and text.count("反向计分") == 11 and "zh-CN 文本：占位文本" in text
    names = {"facit_fatigue", "zh", "CN", "total", "prorated_sum"}
    assert {word for word in re.findall(r"\b[A-Za-z_]{2,}\b", text) if not re.match("ff", word)} - names <= {
        "FACIT",
        "Fatigue",
    }
    assert "所需回答：至少4项" in run("show", "fatigue_diary_weekly", "--lang", "zh-CN").stdout


def test_an_explanation_says_what_the_marks_of_its_sources_mean():
    answers = json.dumps({f"fss{n}": 1 for n in range(1, 10)})
    told = run("explain", "fss", "-", stdin=answers).stdout
    assert told.endswith("[V]: read in the source; [M]: from the literature, to be checked\n")
    assert "[V]：已核对原始来源" in run("explain", "fss", "-", "--lang", "zh-CN", stdin=answers).stdout


def test_show_for_people_says_how_it_is_scored():
    text = run("show", "facit_fatigue").stdout
    assert "total: Total, 0-52, higher_is_better" in text
    assert "prorated_sum 1, needs more_than_half of ff01" in text
    assert text.count("reversed") == 11


@pytest.mark.parametrize("words", [
    ("show", "nope"), ("show", "fss", "--version", "9"), ("show", "fss", "--lang", "fr"), ("score", "nope", "-", "-"),
    ("score", "fss", "-"), ("score", "fss", "/nowhere/at/all", "-"), ("score", "fss", "-", "/nowhere/at/all"),
    ("score", "fss", "-", "-", "--version", "9"),
])  # fmt: skip
def test_a_wrong_call_ends_with_two(words):
    result = run(*words)
    assert result.exit_code == 2
    assert "Error:" in result.stderr
    assert "Traceback" not in result.output


def test_score_from_file_to_file(tmp_path):
    source, sink = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    source.write_bytes(lines({"id": "a", "answers": FOUR}, {"id": "b", "answers": {"fss1": None}}))
    result = run("score", "fss", source, sink)
    assert (result.exit_code, result.output) == (0, "")
    first, second = map(json.loads, sink.read_text().splitlines())
    four = {"value": 4.0, "answered": 9, "expected": 9, "reason": None}
    assert first == {
        "id": "a",
        "scores": {"fss9_mean": four, "fss7_mean": four | {"answered": 7, "expected": 7}},
    }
    assert second["scores"]["fss9_mean"] == {
        "value": None, "answered": 0, "expected": 9, "reason": "too_few_answers",
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.ndjson", "out.ndjson"]


def test_invalid_answers_are_told_and_the_rest_is_scored(tmp_path):
    sink = tmp_path / "out.ndjson"
    result = run(
        "score", "fss", "-", sink, stdin=lines({"id": 1, "answers": {"fss1": 8}}, {"id": 2, "answers": FOUR})
    )
    assert result.exit_code == 1
    assert "1 of 2 responses" in result.stderr
    first, second = map(json.loads, sink.read_text().splitlines())
    assert first["findings"][0] == {
        "code": "out_of_range", "item": "fss1", "detail": "The code is not among the choices of this item.",
    }  # fmt: skip
    assert second["scores"]["fss7_mean"]["value"] == 4.0


def test_a_bad_line_stops_it_and_leaves_what_was_there(tmp_path):
    sink = tmp_path / "out.ndjson"
    sink.write_text("yesterday\n")
    result = run("score", "fss", "-", sink, stdin=lines({"id": 1, "answers": {}}) + b'{"id":2,"answers":3}\n')
    assert result.exit_code == 1
    assert result.stderr == "Error: line 2, at /answers: an object from item ids to codes is needed.\n"
    assert sink.read_text() == "yesterday\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.ndjson"]


def test_input_and_output_may_not_be_one_file(tmp_path):
    source = tmp_path / "in.ndjson"
    source.write_bytes(lines({"id": 1, "answers": {}}))
    os.link(source, tmp_path / "same.ndjson")
    assert run("score", "fss", source, tmp_path / "same.ndjson").exit_code == 2
    assert source.read_bytes() == lines({"id": 1, "answers": {}})


def test_in_a_pipe_it_needs_no_database_and_stays_silent(tmp_path):
    code = "import sys; from epro.cli.instrument import instrument; instrument()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EPRO_")}
    environment |= {"EPRO_DATABASE_URL": "sqlite:////nowhere/at/all.db", "PYTHONPATH": os.getcwd()}
    result = subprocess.run(
        [sys.executable, "-c", code, "score", "fss", "-", "/dev/stdout"],
        input=lines({"id": 1, "answers": FOUR}), capture_output=True, env=environment, cwd=os.getcwd(), check=True,
    )  # fmt: skip
    assert json.loads(result.stdout)["scores"]["fss9_mean"]["value"] == 4.0
    assert result.stderr == b""


@pytest.fixture
def own(tmp_path):
    """A definition of one's own, in a file."""
    file = tmp_path / "sleepy-1.0.json"
    made = every("new", "sleepy", "--items", "3", "--codes", "4", "--out", file)
    assert made.exit_code == 0 and made.stderr == ""
    return file


def every(*words: str):
    return CliRunner().invoke(epro, ["instrument", *map(str, words)])


def test_a_definition_of_ones_own_is_tried_by_its_file(own, tmp_path):
    answers = {"id": 1, "answers": {item["id"]: 2 for item in json.loads(own.read_text())["items"]}}
    (tmp_path / "in").write_bytes(lines(answers))
    scored = every("score", own, tmp_path / "in", "-")
    assert scored.exit_code == 0 and '"value":2.0' in scored.stdout
    assert "sleepy 1.0" in every("show", own).stdout
    assert "sleepy 1.0" in every("explain", own, tmp_path / "in").stdout
    assert "is version 1.0" in every("show", own, "--version", "2.0").stderr
    assert "There is no file" in every("show", tmp_path / "other.json").stderr


@pytest.mark.parametrize(("text", "said"), [
    ("null", "holds no definition"), ("[]", "holds no definition"), ("{", "it is not JSON"),
    ("{}", "items is missing: add it"),
])  # fmt: skip
@pytest.mark.parametrize("command", ["check", "show"])
def test_a_file_that_is_no_definition_is_refused_in_plain_words(tmp_path, command, text, said):
    file = tmp_path / "x.json"
    file.write_text(text)
    told = every(command, file)
    assert told.exit_code == 1 and said in told.stderr and "body" not in told.stderr


def test_what_was_perhaps_meant_is_named():
    assert "Is fss meant?" in run("show", "FSS").stderr
    assert "fss is bundled in no such version, but in: 1.0." in run("show", "fss", "--version", "9").stderr
    assert " 1 item;" in run("list").stdout and " 1 items;" not in run("list").stdout


def test_a_new_definition_needs_a_name_of_its_own(tmp_path):
    said = every("new", "My Scale", "--out", tmp_path / "x.json")
    assert said.exit_code == 2 and "a small letter" in said.stderr and "^" not in said.stderr
    assert "folder that does not exist" in every("new", "mine", "--out", tmp_path / "no" / "x.json").stderr
    taken = every("new", "fss", "--out", tmp_path / "fss.json")
    assert taken.exit_code == 0 and "take another code" in taken.stderr
    assert "take another code" in every("check", tmp_path / "fss.json").stderr
