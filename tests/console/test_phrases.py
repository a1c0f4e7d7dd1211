"""What the rooms say in English has words in Chinese: every fault of a study file, every reason of production."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest
import yaml

from epro import config
from epro.console import phrases, saying
from epro.notifications.study_files import known_instruments
from epro.notifications.wording import faults_of_own
from epro.questionnaires import checking
from epro.scheduling.reading import read
from epro.scheduling.shape import schema

FAULTY = sorted((Path(__file__).parents[1] / "faulty_studies").glob("*.yaml"))


CODE = re.compile(
    r"`[^`]*`|\{[^}]*\}|'[^']*'|：.* at position \d+"
)  # what stands in code, values, Python's words
ENGLISH = re.compile(r"[a-z']{2,} [a-z']{2,} [a-z']{2,}")


def is_told(text: str) -> bool:
    """In Chinese, and to the end: three English words in a row are no name."""
    words, language = phrases.spoken(text, "zh-CN")
    told = language == "zh-CN" and bool(re.search(r"[\u4e00-\u9fff]", words))
    return told and not ENGLISH.search(CODE.sub("", words))


def test_every_fault_of_a_study_file_and_its_mend_is_told():
    known, silent = known_instruments(), set()
    for file in FAULTY:
        _, faults = read(file.read_text(encoding="utf-8", errors="replace"), known, faults_of_own)
        silent |= {text for one in faults for text in (one.message, one.mend) if not is_told(text)}
    assert len(FAULTY) > 80 and silent == set()


def described(part: object) -> set[str]:
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    own = (
        {part["description"]}
        if isinstance(part, dict) and isinstance(part.get("description"), str)
        else set()
    )
    return own.union(*map(described, inner))


def test_whatever_a_study_file_wants_at_a_place_is_told():
    assert [text for text in described(schema()) if not is_told(text)] == []


def test_whatever_production_refuses_is_told():
    nothing = dict.fromkeys((one.name.removeprefix("EPRO_") for one in config.SETTINGS), "x")
    worst = nothing | {"SESSIONS_AT_ONCE": "99", "SESSION_IDLE_MINUTES": "99", "SSO_CLIENT_ID": None}
    worst |= {f"{name}_SENDER": "console" for name in ("SMS", "SMS_CN", "EMAIL", "PUSH")}
    found = config.refusals(worst | {"SECRET_KEY": config.DEMO_SECRET}) + config.refusals(worst)
    assert len(set(found)) > 18 and [one for one in found if not is_told(one)] == []


def test_what_a_setting_is_for_is_told():
    only_names = re.compile(r"(`\w+`[, ]*|or )+")
    listed = [one.help for one in config.SETTINGS if not only_names.fullmatch(one.help)]
    assert len(listed) > 55 and [text for text in listed if not is_told(text)] == []


def test_why_production_does_not_start_with_placeholders_is_told_to_the_end():
    text = (
        "study msc-sle asks fss 1.0, whose wording is a placeholder in en, zh-CN: import the licensed wording first "
        "(`epro wording template fss --lang en`, fill it, `epro wording import FILE`, and two people: "
        "`epro wording approve`)"
    )
    assert is_told(text) and "template fss --lang en`" in phrases.spoken(text, "zh-CN")[0]


def test_what_is_found_about_an_upload_is_told():
    """Each finding of `responses` and of what checks answers: its code in both languages, its detail in Chinese."""
    calls = [
        node
        for file in (Path(phrases.__file__).parents[1] / "responses").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Finding", "_held")
    ]
    parts = [[one.value for one in call.args[:2] if isinstance(one, ast.Constant)] for call in calls]
    of_calls = [part for part in parts if len(part) == 2]
    listed = [*checking.DETAILS.items(), *checking.REMARKS.items(), *of_calls]
    assert len(listed) > 35
    assert [code for code, _ in listed if f"finding.{code}" not in saying.texts()] == []
    assert [detail for _, detail in listed if not is_told(detail)] == [] and is_told("And 7 more.")


def test_both_languages_have_the_same_places_and_no_phrase_stands_twice():
    listed = yaml.safe_load(phrases.FILE.read_text(encoding="utf-8"))

    def places(text):
        return sorted(name for _, name, _, _ in Formatter().parse(text) if name)

    assert [pair for pair in listed if places(pair[0]) != places(pair[1])] == []
    assert len({pair[0] for pair in listed}) == len(listed)


def test_a_value_that_repeats_the_words_costs_no_more_than_its_length():
    """Such a value in a study file would keep whatever tries all ways busy for hours."""
    value = "x goes from 1 to 2: 3 4 goes from " * 7_000
    assert value in phrases.spoken(f"Use one of: {value}.", "zh-CN")[0]
    assert phrases.spoken(value, "zh-CN") == (value, "en")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("this is text, not a whole number", ("此处是文本，而不是整数", "zh-CN")),
        ("there is no anchor text", ("没有起点日 text", "zh-CN")),
        ("nobody has written this", ("nobody has written this", "en")),
    ],
    ids=["a phrase within one", "a value stays as it is", "what is in no list"],
)
def test_values_stay_and_phrases_are_told(text, told):
    assert phrases.spoken(text, "zh-CN") == told
    assert phrases.spoken(text, "en") == (text, "en")
