"""The study file: what is read from it, and every fault that is told.

Each file in tests/faulty_studies says in comments which faults it holds: on the line itself, `#!`, the code, the
place and, after a bar, the mend. A file is right when exactly those come out, on those lines.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from epro.cli.study import known_instruments
from epro.notifications.wording import faults_of_own
from epro.scheduling import contradictions, message_checks, pairs
from epro.scheduling.checks import RULES, Draft, Known
from epro.scheduling.durations import format_duration, parse_clock, parse_duration
from epro.scheduling.patterns import ends_soon
from epro.scheduling.protocol import Protocol
from epro.scheduling.reading import read
from epro.scheduling.shape import check_shape, schema
from epro.scheduling.source import MAX_CHARACTERS, Fault, parse

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "studies" / "msc-sle.yaml").read_text("utf-8")
FAULTY = sorted((ROOT / "tests" / "faulty_studies").glob("*.yaml"))
REFERENCE = (ROOT / "docs" / "study-file.md").read_text("utf-8")

BUNDLED = known_instruments()
KNOWN = {
    ("fatigue_diary", "1.0"): Known(("en", "zh-CN"), {"worst_fatigue": (0, 10)}, {"worst_fatigue": (0, 10)}),
    ("fatigue_diary_weekly", "1.0"): Known(("en", "zh-CN"), asked=False),
    ("fss", "1.0"): Known(("en", "zh-CN"), {"fss1": (1, 7), "fss2": (1, 7)}, {"fss9_mean": (1, 7)}),
    ("fss", "2.0"): Known(("en",)),
}
NOTE = re.compile(r"#! (\S+) (\S+) \| (.+)$")


def codes(text: str, known=None) -> list[str]:
    return [fault.code for fault in read(text, known)[1]]


def expected(text: str) -> list[tuple[int, str, str, str]]:
    notes = ((n, NOTE.search(line)) for n, line in enumerate(text.splitlines(), 1))
    return [(n, note[1], note[2], note[3]) for n, note in notes if note]


def told(faults: list[Fault]) -> list[tuple[int, str, str, str]]:
    return [(fault.line, fault.code, fault.place or "/", fault.mend) for fault in faults]


@pytest.mark.parametrize("file", FAULTY, ids=lambda file: file.stem)
def test_faults_come_out_with_line_place_and_mend(file):
    text = file.read_text("utf-8")
    protocol, faults = read(text, KNOWN, faults_of_own)
    assert protocol is None
    assert told(faults) == expected(text) != []
    assert all(fault.message for fault in faults)


def test_seven_faults_of_seven_kinds_come_out_in_one_go():
    text = (ROOT / "tests" / "faulty_studies" / "seven_faults.yaml").read_text("utf-8")
    assert len(set(codes(text, KNOWN))) == 7


def test_every_code_that_the_reference_page_lists_has_a_faulty_file_and_the_other_way_round():
    listed = set(re.findall(r"^\| `([a-z_]+)` \|", REFERENCE.split("## Faults")[1], re.M))
    shown = {code for file in FAULTY for _, code, _, _ in expected(file.read_text("utf-8"))}
    assert listed == shown | {"too_large"}  # shown below, not by a file


def test_every_key_of_the_schema_is_on_the_reference_page():
    found = {word for span in re.findall(r"`[^`\n]+`", REFERENCE) for word in re.findall(r"[a-z_]+", span)}
    parts = [schema(), *schema()["$defs"].values(), *schema()["$defs"]["assessment"]["properties"].values()]
    keys = {key for part in parts for key in part.get("properties", {})}
    assert len(keys) > 40
    assert keys <= found


def test_every_limit_of_the_schema_names_its_fault():
    limits = {"pattern", "enum", "const", "minimum", "maximum", "minLength", "maxLength", "maxProperties"}
    parts = list(walk(schema()))
    limited = [part for part in parts if limits & part.keys()]
    assert len(limited) > 15
    assert all("x-fault" in part and "description" in part for part in limited)


def walk(part):
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from walk(inner)


# The example


def test_the_example_study_has_no_fault():
    protocol, faults = read(EXAMPLE, BUNDLED)
    assert faults == []
    assert (protocol.study_id, protocol.version, protocol.languages) == ("msc-sle", "1.0", ("zh-CN", "en"))
    assert protocol.required_anchors == ("enrolment",)
    assert protocol.assessment("diary").sync_grace == timedelta(hours=12)
    assert protocol.assessment("fss").sync_grace == timedelta(days=1)  # from the defaults
    assert protocol.visit("week4").day == 28
    assert protocol.site("101").time_zone == "Asia/Shanghai"


def test_the_example_says_that_it_is_illustrative():
    protocol, _ = read(EXAMPLE)
    assert "illustration" in protocol.note["en"]
    assert "演示" in protocol.note["zh-CN"]


def test_the_example_reminds_nobody_at_night():
    protocol, _ = read(EXAMPLE)
    for assessment in protocol.assessments:
        for reminder in assessment.reminders:
            after = reminder.after_opening
            hour = assessment.window.opens + after.total_seconds() / 60 if after is not None else None
            if hour is None:
                hour = assessment.window.closing - reminder.before_closing.total_seconds() / 60
            assert 8 * 60 <= hour % (24 * 60) <= 21 * 60


def test_the_schema_is_sound_and_the_canonical_form_is_itself_a_study_file():
    Draft202012Validator.check_schema(schema())
    protocol, _ = read(EXAMPLE)
    written_out = protocol.canonical()
    assert list(Draft202012Validator(schema()).iter_errors(written_out)) == []
    assert read(json.dumps(written_out, ensure_ascii=False), BUNDLED) == (protocol, [])
    assert Protocol.from_canonical(json.loads(json.dumps(written_out))).digest == protocol.digest


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("sync_grace: 12h", "sync_grace: 720m", True),
        ("sync_grace: 12h", "sync_grace: 13h", False),
        ("languages: [zh-CN, en]", "languages:\n    - zh-CN\n    - 'en'", True),
        ("default_language: zh-CN\n", "default_language: en\n", False),
        ("# The example study", "# Another comment", True),
        ("days: 1, from: 0,", "days: 1, open_for: 1, from: 0,", True),
    ],
)
def test_the_digest_follows_the_meaning_and_not_the_writing(old, new, same):
    assert EXAMPLE.count(old) == 1
    changed, faults = read(EXAMPLE.replace(old, new))
    assert faults == []
    assert (changed.digest == read(EXAMPLE)[0].digest) is same


# YAML's surprises


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{opens: "18:00", closes: "24:00"}', "{opens: 18:00, closes: 24:00}"),
        ('{opens: "18:00", closes: "24:00"}', "{opens: '18:00', closes: 24:00}"),
        ("id: enrolment\n", "id: 'enrolment'\n"),
    ],
)
def test_hours_need_no_quotes(old, new):
    assert EXAMPLE.count(old) == 1
    assert read(EXAMPLE.replace(old, new))[0] == read(EXAMPLE)[0]


def test_no_is_norwegian():
    text = EXAMPLE.replace("[zh-CN, en]", "[no, en]").replace("zh-CN", "no")
    protocol, faults = read(text)
    assert faults == []
    assert protocol.languages == ("no", "en")
    assert protocol.title["no"]


def test_merge_keys_and_alias_keys_are_refused():
    text = "base: &a {x: 1}\nformat: 1\nstudy:\n  <<: *a\n  *a : 2\n"
    assert codes(text).count("alias") == 2


def test_a_bomb_of_aliases_is_defused():
    lines = ["format: 1", "a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)
    ]
    assert codes("\n".join(lines)).count("alias") == 29 * 9


@pytest.mark.parametrize("text", ["", "\n\n", "---\n", "null", "~"])
def test_an_empty_file(text):
    assert codes(text) == ["empty_file"]


@pytest.mark.parametrize("text", ["just words", "- a\n- list", "42", "'quoted'"])
def test_a_file_that_is_no_mapping(text):
    assert codes(text) == ["wrong_type"]


@pytest.mark.parametrize(
    "text", ["a: [", "a: 'b", "\tx: 1", "a: \x00", "a: \ud800", "{" * 5000, "- " * 3000, "%%%"]
)
def test_what_is_not_yaml_is_one_fault(text):
    assert codes(text) == ["not_yaml"]


def test_a_huge_file_is_not_even_read():
    assert codes("#" * (MAX_CHARACTERS + 1)) == ["too_large"]
    assert codes("#" * MAX_CHARACTERS) == ["empty_file"]


@pytest.mark.parametrize("format", ["2", "'1'", "true", "1.5", "null", "[1]"])
def test_another_format_is_told_as_that_and_no_further(format):
    assert codes(EXAMPLE.replace("format: 1", f"format: {format}")) == ["wrong_format"]


def test_a_missing_format_is_told_beside_the_rest():
    assert codes(EXAMPLE.replace("format: 1", "fromat: 1")) == ["missing_key", "unknown_key"]


@pytest.mark.parametrize("day", ["9" * 5000, "1e3", "0x10", "010", "1_000", ".inf", "18:00", "2026-03-01"])
def test_what_only_some_readers_take_for_a_number_is_text(day):
    assert codes(EXAMPLE.replace("day: 28", f"day: {day}")) == ["wrong_type"]


def test_a_time_zone_with_no_letters_at_all():
    assert codes(EXAMPLE.replace("  time_zone: Asia/Shanghai\n  zone", "  time_zone: ''\n  zone")) == [
        "unknown_time_zone"
    ]


@pytest.mark.parametrize(
    ("pattern", "told"), [("a" * 200, []), ("a" * 201, ["bad_pattern"]), ("''", ["bad_pattern"])]
)
def test_the_pattern_of_subject_ids_has_a_length(pattern, told):
    without = re.sub(r"  subject_id_pattern: .*\n", "", EXAMPLE)
    assert codes(without.replace("study:\n", f"study:\n  subject_id_pattern: {pattern}\n", 1)) == told


@pytest.mark.parametrize(
    ("pattern", "sound"),
    [
        ("[0-9]{3}-[0-9]{4}", True), ("(CN|DE)-[A-Z]{1,3}[0-9]+", True), ("([0-9]{2}-){3}[0-9]{3}", True),
        ("a*-b*-c*", True), ("(?=1)1(?:[0-9]|x)*", True), ("(a+)+b", False), ("(a|a)*b", False),
        ("((a?){20}){20}", False), ("(a|a)" * 30 + "b", False), ("(a*)*?", False), ("a*a*a*a*a*a*b", False),
        ("(?=(a+)+b)a*", False), ("[A-Z]+-[0-9]+-[0-9]+-[0-9]+", True),
    ],
)  # fmt: skip
def test_a_pattern_that_could_match_for_ever_is_refused(pattern, sound):
    assert ends_soon(pattern) == sound
    without = re.sub(r"  subject_id_pattern: .*\n", "", EXAMPLE)
    written = without.replace("study:\n", f"study:\n  subject_id_pattern: '{pattern}'\n", 1)
    assert codes(written) == ([] if sound else ["bad_pattern"])


# One fault hides no other, and says nothing twice


@pytest.mark.parametrize(
    "name", ["study", "anchors", "sites", "visits", "assessments", "defaults", "blinding"]
)
@pytest.mark.parametrize("instead", ["5", "[]", "{}", "[5]", "[[]]", "{a: 1}", "words", "null", "[null]"])
def test_any_part_may_be_nonsense_and_the_rest_is_still_checked(name, instead):
    text = re.sub(rf"^{name}:.*?(?=^\S)", f"{name}: {instead}\n", EXAMPLE + "format2: x\n", flags=re.M | re.S)
    assert "unknown_key" in codes(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- before_closing: 3h  ", "- before_closing: 6h  "),  # at the opening
        ("- after_opening: 1h  ", "- after_opening: 359m  "),  # a minute before the closing
        ("at_risk: {before_closing: 3h}", "at_risk: {before_closing: 359m}"),
        ("from: 0, to: 84", "from: 84, to: 84"),
        ('{opens: "18:00", closes: "24:00"}', '{opens: "18:00", closes: "17:59"}'),
        ("    day: 84\n    before: 7\n", "    day: 84\n    before: 52\n"),  # opens the morning after week 4
    ],
)
def test_what_just_fits_is_no_fault(old, new):
    assert EXAMPLE.count(old) == 1
    assert codes(EXAMPLE.replace(old, new)) == []


def test_windows_may_touch():
    whole_days = EXAMPLE.replace(
        'window: {opens: "08:00", closes: "22:00"}', 'window: {opens: "00:00", closes: "24:00"}'
    )
    assert codes(whole_days.replace("    day: 84\n    before: 7\n", "    day: 84\n    before: 52\n")) == []
    assert (
        codes(whole_days.replace("    day: 84\n    before: 7\n", "    day: 84\n    before: 53\n"))
        == ["overlapping_visits"] * 3
    )
    assert (
        codes(EXAMPLE.replace('{opens: "18:00", closes: "24:00"}', '{opens: "00:00", closes: "24:00"}')) == []
    )


@pytest.mark.parametrize(
    ("until", "burst", "told"),
    [
        ("{anchor: infusion}", "{days: 3, around: [later]}", []),  # the infusion may have been by then
        ("{anchor: infusion}", "{days: 3, around: [baseline]}", ["overlapping_diaries"]),
        ("{day: 30}", "{days: 3, around: [later]}", []),
        ("{day: 60}", "{days: 3, around: [later]}", ["overlapping_diaries"]),
        ("{day: 90}", "{days: 3, around: [baseline, later]}\n    until: {anchor: enrolment}", []),
    ],
)
def test_a_diary_and_a_burst_overlap_where_their_ends_let_them(until, burst, told):
    file = ROOT / "tests" / "faulty_studies" / "pairs.yaml"
    head = file.read_text("utf-8").partition("assessments:\n")[0]
    later = "  - {id: later, label: {en: Later}, number: 6, anchor: enrolment, day: 60}\ndefaults:"
    text = (
        head.replace("defaults:", later)
        + f"""assessments:
  - id: run-in
    label: {{en: Run-in}}
    instrument: {{code: fatigue_diary, version: "1.0"}}
    every: {{days: 1, from: 0, anchor: enrolment}}
    until: {until}
  - id: again
    label: {{en: Again}}
    instrument: {{code: fatigue_diary, version: "1.0"}}
    burst: {burst}
"""
    )
    assert codes(text) == told


def test_a_fault_in_the_defaults_is_told_once_though_three_assessments_take_it():
    text = EXAMPLE.replace("before_closing: 36h", "before_closing: 90d")
    assert codes(text) == ["reminder_outside_window"]


def test_a_reference_to_something_misnamed_is_not_told_as_well():
    assert codes(EXAMPLE.replace("infusion", "In Fusion")) == ["bad_id"]


@pytest.mark.parametrize(
    "rule", RULES + contradictions.RULES + pairs.RULES + message_checks.RULES, ids=lambda rule: rule.__name__
)
def test_no_rule_is_idle(rule):
    """Each rule finds something in the faulty files: dropping it would let a fault through."""
    assert any(list(rule(draft)) for draft in faulty_drafts())


@cache
def faulty_drafts() -> list[Draft]:
    sources = [parse(file.read_text("utf-8")) for file in FAULTY]
    return [
        Draft(check_shape(one)[1], one, KNOWN, faults_of_own) for one in sources if isinstance(one.data, dict)
    ]


COURSE = (ROOT / "tests" / "studies" / "course.yaml").read_text("utf-8")
WRITTEN = [EXAMPLE, COURSE, *(file.read_text("utf-8") for file in FAULTY if "circle" in file.stem)]
WRITTEN += [(ROOT / "tests" / "faulty_studies" / f"{name}.yaml").read_text("utf-8") for name in (
    "anchor_by_answer", "bursts", "messages", "conditions", "ends", "order_without_partner", "rhythms",
    "windows_of_a_day", "pairs",
)]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_that_is_written_makes_the_reader_stumble(data):
    """Lines taken out, doubled, cut or given another value: a protocol or faults, never an exception."""
    lines = data.draw(st.sampled_from(WRITTEN)).splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        n = data.draw(st.integers(0, len(lines) - 1))
        value = data.draw(
            st.sampled_from(["", "5", "-1", "[]", "{}", "null", "x", "1.5", "'24:00'", "0m", "[{}]"])
        )
        kind = data.draw(st.sampled_from(["drop", "double", "value", "cut"]))
        if kind == "drop":
            lines[n] = ""
        elif kind == "double":
            lines.insert(n, lines[n])
        elif kind == "value":
            lines[n] = lines[n].split(":")[0] + ": " + value
        else:
            lines[n] = lines[n][: len(lines[n]) // 2]
    protocol, faults = read("\n".join(lines), BUNDLED)
    assert (protocol is None) == bool(faults)
    assert faults == sorted(faults, key=lambda fault: fault.line)
    assert all(1 <= fault.line <= len(lines) + 1 and fault.message and fault.mend for fault in faults)


# Lengths and hours


@pytest.mark.parametrize(
    ("text", "minutes"), [("0m", 0), ("90m", 90), ("12h", 720), ("3d", 4320), ("99999m", 99999)]
)
def test_durations(text, minutes):
    assert parse_duration(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "12", "h", "1.5h", "-1h", "1 h", "1w", "1H", "123456m", "1h30m", "１h"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 99999))
def test_a_duration_is_written_in_one_way_and_read_back(minutes):
    assert parse_duration(format_duration(timedelta(minutes=minutes))) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "minutes"), [("00:00", 0), ("18:30", 1110), ("23:59", 1439), ("24:00", 1440)]
)
def test_clocks(text, minutes):
    assert parse_clock(text) == minutes


@pytest.mark.parametrize("text", ["24:01", "25:00", "8:00", "18.00", "18:60", "", "18:00:00", "-1:00"])
def test_what_no_clock_shows(text):
    with pytest.raises(ValueError, match="HH:MM"):
        parse_clock(text)
