"""Instrument definitions: what the bundled ones say, and which faults are named."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from typing import Any

import pytest
import rfc8785
from jsonschema import Draft202012Validator

from epro.questionnaires.instrument import InstrumentFault, UnknownLanguage, localised, parse
from epro.questionnaires.library import UnknownInstrument, bundled, bundled_instrument
from epro.questionnaires.shape import schema

every_instrument = pytest.mark.parametrize(
    "instrument", bundled(), ids=lambda one: f"{one.code}-{one.version}"
)


@pytest.fixture
def definition() -> dict[str, Any]:
    """A small good definition: two items, one reversed and one that may not apply, one scale."""
    items = [
        {"id": "m1", "number": 1, "label": both("Calm"), "choices": "often", "reversed": True},
        {"id": "m2", "number": 2, "label": both("Sad"), "choices": "often", "reversed": False},
    ]
    return {
        "format": 1, "code": "mood", "version": "1.0", "title": both("Mood"),
        "wording": {"en": {"status": "own"}, "zh-CN": {"status": "own"}},
        "not_applicable_label": both("Not applicable"),
        "choice_sets": {"often": [{"code": code, "label": both(str(code))} for code in range(4)]},
        "items": [item | {"not_applicable": item["id"] == "m2", "blinded": False} for item in items],
        "scales": [{
            "name": "total", "label": both("Total"), "method": "prorated_sum", "method_version": 1,
            "items": ["m1", "m2"], "missing": {"kind": "at_least_half"}, "range": [0, 6],
            "direction": "higher_is_worse", "blinded": False,
        }],
        "notes": [],
    }  # fmt: skip


def both(text: str) -> dict[str, str]:
    return {"en": text, "zh-CN": f"{text}（中）"}


def faults(definition: Any) -> set[tuple[str, str]]:
    with pytest.raises(InstrumentFault) as caught:
        parse(definition)
    assert caught.value.status == 422
    return {(fault["pointer"], fault["code"]) for fault in caught.value.errors}


# Bundled


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(schema())


@every_instrument
def test_bundled_definitions_satisfy_the_schema(instrument):
    Draft202012Validator(schema()).validate(instrument.document())


@every_instrument
def test_the_digest_is_sha256_of_canonical_json(instrument):
    assert instrument.digest == hashlib.sha256(rfc8785.dumps(instrument.document())).hexdigest()


@every_instrument
def test_sdtm_names_are_there_and_unique(instrument):
    tests = [part.sdtm for part in (*instrument.items, *instrument.scales)]
    assert all(tests)
    assert len({test.qstestcd for test in tests}) == len({test.qstest for test in tests}) == len(tests)


@every_instrument
def test_copyrighted_instruments_carry_placeholders_only(instrument):
    own = instrument.code in ("fatigue_diary", "fatigue_diary_weekly", "pgi_s", "pgi_c")
    assert set(instrument.wording.values()) == {"own" if own else "placeholder"}
    assert set(instrument.languages) == {"en", "zh-CN"}
    assert own or all(item.text is item.label for item in instrument.items)


def test_lupusqol_has_34_items_in_8_domains_without_overlap():
    lupusqol = bundled_instrument("lupusqol")
    assert [item.number for item in lupusqol.items] == list(range(1, 35))
    assert [len(scale.items) for scale in lupusqol.scales] == [8, 3, 3, 2, 3, 6, 5, 4]
    assert [name for scale in lupusqol.scales for name in scale.items] == [item.id for item in lupusqol.items]
    assert {item.number for item in lupusqol.items if item.not_applicable} == {15, 16, 28, 29, 30}
    assert not any(item.reversed for item in lupusqol.items)


def test_facit_fatigue_reverses_all_but_7_and_8():
    facit = bundled_instrument("facit_fatigue")
    assert {item.number for item in facit.items if not item.reversed} == {7, 8}
    assert [item.sdtm.qstestcd for item in facit.items] == [f"FAC070{number:02d}" for number in range(1, 14)]
    assert facit.scale("total").sdtm.qstestcd == "FAC07014"
    assert facit.scale("total").direction == "higher_is_better"


def test_the_newest_version_is_the_default_and_unknown_ones_are_refused():
    assert bundled_instrument("fss") == bundled_instrument("fss", "1.0")
    for code, version in [("nope", None), ("fss", "0.9"), ("FSS", None)]:
        with pytest.raises(UnknownInstrument):
            bundled_instrument(code, version)


# One language


@every_instrument
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_phone_gets_one_language_and_the_status_of_its_wording(instrument, language):
    shown = localised(instrument, language)
    assert shown["language"] == language
    assert shown["wording"] == {"status": instrument.wording[language]}
    assert shown["digest"] == instrument.digest
    first, item = shown["items"][0], instrument.items[0]
    assert (first["label"], first["text"]) == (item.label[language], item.text[language])
    assert codes_of(first) == list(item.codes)
    assert [scale["name"] for scale in shown["scales"]] == [scale.name for scale in instrument.scales]
    assert not has_languages(shown, set(instrument.languages))


def codes_of(shown: dict[str, Any]) -> list[int]:
    if "range" in shown:
        return list(range(shown["range"]["lowest"]["code"], shown["range"]["highest"]["code"] + 1))
    return [choice["code"] for choice in shown["choices"]]


def has_languages(value: Any, languages: set[str]) -> bool:
    if isinstance(value, dict):
        return bool(languages & value.keys()) or any(
            has_languages(part, languages) for part in value.values()
        )
    return isinstance(value, list) and any(has_languages(part, languages) for part in value)


@pytest.mark.parametrize("language", ["fr", "zh", "EN", ""])
def test_there_is_no_falling_back_to_another_language(language):
    with pytest.raises(UnknownLanguage):
        localised(bundled_instrument("fss"), language)


# Reading


def test_a_definition_is_read(definition):
    mood = parse(definition)
    assert mood.item("m1").scored_codes == {0: 3, 1: 2, 2: 1, 3: 0}
    assert mood.item("m2").scored_codes == {0: 0, 1: 1, 2: 2, 3: 3}
    assert mood.document() == definition


def test_key_order_and_4_point_0_do_not_change_the_digest(definition):
    other = dict(reversed(definition.items())) | {"format": 1.0}
    assert parse(other) == parse(definition)
    other["title"] = both("Moods")
    assert parse(other) != parse(definition)


def test_a_read_instrument_does_not_follow_its_source(definition):
    mood = parse(definition)
    definition["items"][0]["label"]["en"] = "Changed"
    assert mood.item("m1").label["en"] == "Calm"
    with pytest.raises(TypeError):
        mood.item("m1").label["en"] = "Changed"


MISSING_RULES = [  # kind, k, then the least number answered of 1, 2, 3, 4, 5, 13 items
    ("at_least_half", None, [1, 1, 2, 2, 3, 7]),
    ("more_than_half", None, [1, 2, 2, 3, 3, 7]),
    ("all", None, [1, 2, 3, 4, 5, 13]),
    ("at_least", 1, [1, 1, 1, 1, 1, 1]),
]


@pytest.mark.parametrize(("kind", "k", "minimum"), MISSING_RULES)
def test_missing_rules(kind, k, minimum, definition):
    definition["scales"][0]["missing"] = {"kind": kind} | ({"k": k} if k else {})
    rule = parse(definition).scale("total").missing
    assert [rule.minimum(expected) for expected in (1, 2, 3, 4, 5, 13)] == minimum
    assert str(rule) == (f"{kind}_{k}" if k else kind)


# Faults


def put(*path: Any, value: Any) -> Any:
    def change(definition: dict[str, Any]) -> None:
        at: Any = definition
        for part in path[:-1]:
            at = at[part]
        at[path[-1]] = value

    return change


FAULTS = [
    (put("items", 1, "id", value="m1"), "/items", "duplicate_id"),
    (put("scales", 0, "items", value=["m1", "m9"]), "/scales/0/items", "unknown_item"),
    (put("scales", 0, "items", value=["m1", "m1"]), "/scales/0/items", "duplicate_item"),
    (put("scales", 0, "method", value="eval"), "/scales/0/method", "unknown_method"),
    (put("scales", 0, "method_version", value=2), "/scales/0/method", "unknown_method"),
    (put("scales", 0, "method", value="item_value"), "/scales/0/items", "one_item_needed"),
    (put("scales", 0, "range", value=[0, 8]), "/scales/0/range", "wrong_range"),
    (
        put("scales", 0, "missing", value={"kind": "at_least", "k": 3}),
        "/scales/0/missing/k",
        "more_than_items",
    ),
    (put("scales", 0, "missing", value={"kind": "at_least"}), "/scales/0/missing", "shape"),
    (put("scales", 0, "missing", value={"kind": "most"}), "/scales/0/missing", "shape"),
    (put("items", 0, "choices", value="never"), "/items/0/choices", "unknown_choice_set"),
    (put("items", 0, "label", value={"en": "Calm"}), "/items/0/label", "missing_language"),
    (put("title", value=both("Mood") | {"fr": "Humeur"}), "/title", "undeclared_language"),
    (put("items", 0, "blinded", value=True), "/scales/0/blinded", "unblinds"),
    (put("choice_sets", "often", 0, "code", value=3), "/choice_sets/often", "duplicate_code"),
    (put("choice_sets", "often", 0, "code", value=251), "/choice_sets/often/0/code", "shape"),
    (put("format", value=2), "/format", "shape"),
    (put("version", value="1.x"), "/version", "shape"),
    (put("expression", value="1 + 1"), "", "shape"),
]


@pytest.mark.parametrize(
    ("change", "pointer", "code"), FAULTS, ids=[f"{code} {at}" for _, at, code in FAULTS]
)
def test_a_fault_is_named_with_its_place(definition, change, pointer, code):
    change(definition)
    assert (pointer, code) in faults(definition)


def test_items_of_one_scale_share_their_lowest_and_highest_code(definition):
    definition["choice_sets"]["wide"] = [{"code": code, "label": both(str(code))} for code in range(8)]
    definition["items"][0]["choices"] = "wide"
    assert faults(definition) == {("/scales/0/items", "mixed_codes")}


def test_not_applicable_needs_a_label(definition):
    del definition["not_applicable_label"]
    assert faults(definition) == {("", "missing_not_applicable_label")}


def test_all_faults_are_named_at_once(definition):
    broken = deepcopy(definition)
    for change, *_ in FAULTS[:1] + FAULTS[3:4] + FAULTS[12:13] + FAULTS[17:18]:
        change(broken)
    assert faults(broken) == {
        ("/items", "duplicate_id"), ("/scales/0/items", "unknown_item"), ("/scales/0/method", "unknown_method"),
        ("/title", "undeclared_language"), ("/version", "shape"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "thing", [None, [], 3, "x", {}, {"items": 3}, {"scales": [3]}, {"a": float("nan")}, {1: 2}]
)
def test_what_is_no_definition_at_all_is_refused_by_name(thing):
    assert faults(thing)


@pytest.mark.parametrize("part", ["items", "scales", "choice_sets", "wording", "title", "recall"])
@pytest.mark.parametrize("thing", [None, 3, "x", [], {}, [None], [[]], [{}], {"a": None}, {"a": [{}]}])
def test_a_wrong_part_is_refused_by_name(definition, part, thing):
    definition[part] = thing
    assert faults(definition)
