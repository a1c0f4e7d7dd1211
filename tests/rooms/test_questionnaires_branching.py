"""Conditions, kinds of answers, and what is remarked on answers that came in spite of the rules."""

from __future__ import annotations

from typing import Any

import pytest

from epro.questionnaires.checking import check, remarks
from epro.questionnaires.conditions import holds, items_of
from epro.questionnaires.instrument import Instrument, parse
from epro.questionnaires.kinds import kind_of, settled
from epro.questionnaires.library import bundled_instrument
from epro.questionnaires.scoring import score

YES, NO, OPEN = ({"item": name, "is": "equal", "code": 1} for name in ("yes", "no", "open"))
CODES = {"yes": 1, "no": 0, "open": None, "left_out": "NOT_ASKED", "na": "NA", "refused": "REFUSED", "two": 2}

COMPARED = [  # comparison, then what it says of 1, 2 and 3 beside 2
    ("equal", [False, True, False]),
    ("not_equal", [True, False, True]),
    ("above", [False, False, True]),
    ("at_least", [False, True, True]),
    ("below", [True, False, False]),
    ("at_most", [True, True, False]),
]


@pytest.mark.parametrize(("comparison", "expected"), COMPARED)
def test_comparisons_with_a_code_and_with_another_item(comparison, expected):
    with_code = {"item": "x", "is": comparison, "code": 2}
    with_item = {"item": "x", "is": comparison, "other_item": "two"}
    assert [holds(with_code, {"x": code}) for code in (1, 2, 3)] == expected
    assert [holds(with_item, {"x": code, "two": 2}) for code in (1, 2, 3)] == expected


@pytest.mark.parametrize(("comparison", "_"), COMPARED)
@pytest.mark.parametrize("missing", ["open", "na", "refused", "absent"])
def test_a_comparison_with_something_missing_is_unknown(comparison, _, missing):
    assert holds({"item": missing, "is": comparison, "code": 2}, CODES) is None
    assert holds({"item": "two", "is": comparison, "other_item": missing}, CODES) is None
    assert holds({"item": missing, "is": comparison, "other_item": "two"}, CODES) is None


@pytest.mark.parametrize(("comparison", "_"), COMPARED)
@pytest.mark.parametrize("other", ["two", "open", "na", "left_out"])
def test_a_comparison_with_an_item_not_asked_is_false(comparison, _, other):
    assert holds({"item": "left_out", "is": comparison, "code": 2}, CODES) is False
    assert holds({"item": "left_out", "is": comparison, "other_item": other}, CODES) is False
    assert holds({"item": other, "is": comparison, "other_item": "left_out"}, CODES) is False


@pytest.mark.parametrize(
    ("item", "expected"),
    [("yes", True), ("no", True), ("open", False), ("na", False), ("refused", False), ("left_out", False),
     ("absent", False)],
)  # fmt: skip
def test_answered_is_never_unknown(item, expected):
    assert holds({"item": item, "is": "answered"}, CODES) is expected


JOINED = [  # parts, all, any
    ([YES], True, True),
    ([NO], False, False),
    ([OPEN], None, None),
    ([YES, YES], True, True),
    ([YES, NO], False, True),
    ([YES, OPEN], None, True),
    ([NO, OPEN], False, None),
    ([OPEN, OPEN], None, None),
    ([NO, NO], False, False),
    ([YES, NO, OPEN], False, True),
    ([OPEN, NO, NO], False, None),
    ([OPEN, YES, YES], None, True),
]


@pytest.mark.parametrize(("parts", "of_all", "of_any"), JOINED)
def test_all_and_any_with_three_truths(parts, of_all, of_any):
    assert [holds({"all": order}, CODES) for order in (parts, parts[::-1])] == [of_all] * 2
    assert [holds({"any": order}, CODES) for order in (parts, parts[::-1])] == [of_any] * 2


def test_all_and_any_stand_within_each_other():
    condition = {"any": [{"all": [YES, OPEN]}, {"all": [YES, {"any": [NO, YES]}]}]}
    assert holds(condition, CODES) is True
    assert holds({"all": [{"any": [OPEN, NO]}, YES]}, CODES) is None


def test_the_items_of_a_condition():
    compared = {"item": "x", "is": "above", "other_item": "two"}
    assert list(items_of({"any": [YES, {"all": [NO, compared]}]})) == ["yes", "no", "x", "two"]


# Kinds


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(0, "answered"), (3, "answered"), (None, "skipped"), ("NA", "not_applicable"), ("REFUSED", "refused"),
     ("NOT_ASKED", "not_asked")],
)  # fmt: skip
def test_the_kind_of_an_answer(answer, kind):
    assert kind_of(answer) == kind


def chain(**changes: dict[str, Any]) -> Instrument:
    """`a`; `b`, asked if a is above 0, else counting as 0; `c`, asked if b is above 0. The scale adds a and b."""
    above = {name: {"asked_if": {"item": name, "is": "above", "code": 0}} for name in "ab"}
    rules = {"a": {}, "b": above["a"] | {"not_asked_as": 0}, "c": above["b"]}
    items = [
        {
            "id": name, "number": at, "label": {"en": "-"}, "choices": "four", "reversed": False, "blinded": False,
            "not_applicable": True, "refusable": True,
        } | rules[name] | changes.get(name, {})
        for at, name in enumerate("abc")
    ]  # fmt: skip
    scale = {
        "name": "sum", "label": {"en": "-"}, "method": "sum", "method_version": 1, "items": ["a", "b"],
        "missing": {"kind": "all"}, "range": [0, 6], "direction": "none", "blinded": False,
    }  # fmt: skip
    return parse({
        "format": 1, "code": "chain", "version": "1.0", "title": {"en": "-"}, "wording": {"en": {"status": "own"}},
        "not_applicable_label": {"en": "-"}, "refused_label": {"en": "-"}, "notes": [],
        "choice_sets": {"four": [{"code": code, "label": {"en": "-"}} for code in range(4)]},
        "items": items, "scales": [scale],
        "checks": [
            {"id": "c_over_a", "level": "hard", "message": {"en": "-"},
             "fails_if": {"item": "c", "is": "above", "other_item": "a"}},
        ],
    })  # fmt: skip


SETTLED = [  # sent for a, b, c; settled for b, c; the sum
    ((0, None, None), ("NOT_ASKED", "NOT_ASKED"), 0),
    ((0, "NOT_ASKED", "NOT_ASKED"), ("NOT_ASKED", "NOT_ASKED"), 0),
    ((0, 2, 3), (2, 3), 2),
    ((0, 2, None), (2, None), 2),
    ((0, "NA", None), ("NA", None), None),
    ((2, 0, None), (0, "NOT_ASKED"), 2),
    ((2, 0, "NOT_ASKED"), (0, "NOT_ASKED"), 2),
    ((2, None, None), (None, None), None),
    ((2, "NOT_ASKED", "NOT_ASKED"), (None, None), None),
    ((2, "REFUSED", None), ("REFUSED", None), None),
    ((2, 1, "REFUSED"), (1, "REFUSED"), 3),
    ((None, None, None), (None, None), None),
    (("NA", "NOT_ASKED", 1), (None, 1), None),
    ((2.0, 1.0, 3.0), (1, 3), 3),
]


@pytest.mark.parametrize(("sent", "kept", "total"), SETTLED)
def test_branching_settles_what_is_missing_and_nothing_else(sent, kept, total):
    instrument, answers = chain(), dict(zip("abc", sent, strict=True))
    assert check(instrument, answers) == []
    found = settled(instrument, answers)
    assert (found["b"], found["c"]) == kept
    assert all(type(answer) is not float for answer in found.values())
    assert score(instrument, answers)[0].value == total


# Remarks


def said(instrument: Instrument, answers: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding.code, finding.item) for finding in remarks(instrument, answers)]


REMARKED = [  # answers; what is said of them
    ({"a": 1, "b": 1, "c": 1}, []),
    ({"a": 0}, []),
    ({"a": 0, "b": "NOT_ASKED", "c": "NOT_ASKED"}, []),
    ({"a": 0, "b": 1}, [("answered_though_not_asked", "b")]),
    ({"a": 0, "b": "NA"}, [("answered_though_not_asked", "b")]),
    ({"a": 0, "b": "REFUSED"}, [("answered_though_not_asked", "b")]),
    ({"a": 0, "c": 1}, [("answered_though_not_asked", "c"), ("edit_check", "c_over_a")]),
    ({"a": 1, "b": "NOT_ASKED"}, [("not_asked_though_due", "b")]),
    ({"b": "NOT_ASKED"}, [("required_missing", "a"), ("not_asked_though_due", "b")]),
    ({"a": 2, "b": 1, "c": "NOT_ASKED"}, [("not_asked_though_due", "c")]),
    ({"a": None, "b": 1}, [("required_missing", "a")]),
    ({"a": "NA", "b": 1}, []),
    ({"a": "REFUSED", "b": 1}, []),
    ({}, [("required_missing", "a")]),
    ({"a": 2, "b": 1, "c": 3}, [("edit_check", "c_over_a")]),
    ({"a": 2, "b": 1, "c": None}, []),
]


@pytest.mark.parametrize(("answers", "expected"), REMARKED)
def test_what_comes_in_spite_of_the_rules_is_remarked(answers, expected):
    instrument = chain(a={"required": "soft"})
    assert check(instrument, answers) == []
    assert said(instrument, answers) == expected


def test_an_item_that_was_rightly_left_out_is_not_required():
    instrument = chain(b={"required": "hard"})
    assert said(instrument, {"a": 0}) == []
    assert said(instrument, {"a": 2}) == [("required_missing", "b")]
    assert said(instrument, {"a": 2, "b": "NOT_ASKED"}) == [("not_asked_though_due", "b")]


def test_a_remark_never_tells_an_answer():
    """Two sets of answers that break the same rules are remarked on in the same words."""
    wpai = bundled_instrument("wpai_lupus")
    broken = {"wp01": 0, "wp02": 99, "wp03": 131, "wp04": "NOT_ASKED", "wp05": 7, "wp06": 3}
    other = {"wp01": 0, "wp02": 157, "wp03": 85, "wp04": "NOT_ASKED", "wp05": 2, "wp06": 9}
    told = remarks(wpai, broken)
    assert said(wpai, broken) == [
        ("answered_though_not_asked", "wp02"), ("answered_though_not_asked", "wp03"),
        ("answered_though_not_asked", "wp05"), ("edit_check", "many_hours_missed"),
        ("edit_check", "many_hours_missed_otherwise"),
    ]  # fmt: skip
    assert told == remarks(wpai, other)


def test_without_rules_nothing_is_remarked():
    assert remarks(bundled_instrument("fss"), {"fss1": 1}) == []


def test_remarks_and_branching_read_an_item_left_out_alike():
    """c is asked if b is 0, and b, when left out, counts as 0: then c is due and its answer unremarkable."""
    instrument = chain(c={"asked_if": {"item": "b", "is": "equal", "code": 0}})
    assert settled(instrument, {"a": 0}) == {"a": 0, "b": "NOT_ASKED", "c": None}
    assert said(instrument, {"a": 0, "c": 1}) == [("edit_check", "c_over_a")]
