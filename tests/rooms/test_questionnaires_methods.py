"""The arithmetic of each scoring method on numbers of its own, where no bundled instrument goes."""

from __future__ import annotations

from typing import Any

import pytest

from epro.questionnaires.bulk import encode, outcomes, score_codes
from epro.questionnaires.instrument import Instrument, parse
from epro.questionnaires.methods import METHODS, TOO_FEW_ANSWERS, Span
from epro.questionnaires.scoring import score

FROM_ONE = Span(expected=4, lowest=1, highest=5, least=4, most=20)
FROM_TWO = Span(
    expected=3, lowest=2, highest=3, least=6, most=9, table=(40.5, 30.25, 20.0, 60.0), cuts=(6, 7, 9)
)

VALUES = [  # method, what it takes, span; the value
    ("mean_to_0_100", (4, 4), FROM_ONE, 0),
    ("mean_to_0_100", (20, 4), FROM_ONE, 100),
    ("mean_to_0_100", (4, 2), FROM_ONE, 25),
    ("mean_to_0_100", (7, 3), FROM_TWO, 100 / 3),
    ("prorated_sum", (9, 3), FROM_ONE, 12),
    ("prorated_sum", (5, 2), FROM_TWO, 7.5),
    ("mean", (7, 2), FROM_ONE, 3.5),
    ("item_value", (5, 1), FROM_ONE, 5),
    ("sum", (11, 4), FROM_ONE, 11),
    ("table", (6, 3), FROM_TWO, 40.5),
    ("table", (9, 3), FROM_TWO, 60.0),
    ("band", (6, 3), FROM_TWO, 1),
    ("band", (8, 3), FROM_TWO, 2),
    ("band", (9, 3), FROM_TWO, 3),
    ("one_minus_thousandths", (1391, 5), FROM_ONE, -0.391),
    ("count", (20, 3), FROM_ONE, 3),
    ("highest", (5, 3), FROM_ONE, 5),
]


@pytest.mark.parametrize(("name", "taken", "span", "value"), VALUES)
def test_the_value_of_a_method_by_sum_or_highest(name, taken, span, value):
    assert METHODS[name, 1].value(*taken, span) == value


def test_a_method_goes_by_sum_by_the_highest_or_by_pattern():
    assert {method.by for method in METHODS.values()} == {"sum", "highest", "pattern"}
    assert {method.takes for method in METHODS.values()} == {None, "table", "cuts", "grid"}


GRADES = Span(expected=2, lowest=0, highest=2, least=0, most=4, grid=((0, 0, 0), (1, 1, 2), (2, 3, 3)))
PATTERNS = [  # pattern; grade
    ((0, None), 0.0),  # nothing else is asked of the grid
    ((None, 0), TOO_FEW_ANSWERS),
    ((1, None), TOO_FEW_ANSWERS),
    ((1, 2), 2.0),
    ((2, 1), 3.0),
]


@pytest.mark.parametrize(("pattern", "grade"), PATTERNS)
def test_a_grade_where_the_first_attribute_is_nought_or_one_is_missing(pattern, grade):
    assert METHODS["grade", 1].value(pattern, GRADES) == grade


LIMITS = [  # method, span; the least and the most it can say
    ("mean_to_0_100", FROM_ONE, (0, 100)),
    ("prorated_sum", FROM_ONE, (4, 20)),
    ("prorated_sum", FROM_TWO, (6, 9)),
    ("mean", FROM_TWO, (2, 3)),
    ("item_value", FROM_ONE, (1, 5)),
    ("sum", FROM_TWO, (6, 9)),
    ("table", FROM_TWO, (20.0, 60.0)),
    ("band", FROM_TWO, (0, 3)),
    ("one_minus_thousandths", FROM_TWO, (0.991, 0.994)),
    ("count", FROM_TWO, (1, 3)),
    ("highest", FROM_TWO, (2, 3)),
    ("digits", FROM_TWO, (222, 999)),
]


@pytest.mark.parametrize(("name", "span", "limits"), LIMITS)
def test_the_range_of_a_method(name, span, limits):
    assert METHODS[name, 1].limits(span) == limits


def instrument(method: str, limits: list[float], missing: dict[str, Any], **more: Any) -> Instrument:
    """Three items with codes 1 to 5, the second turned, on one scale."""
    shared = {"number": 1, "label": {"en": "-"}, "choices": "five", "not_applicable": False, "blinded": False}
    scale = {
        "name": "s", "label": {"en": "-"}, "method": method, "method_version": 1, "items": ["a", "b", "c"],
        "missing": missing, "range": limits, "direction": "none", "blinded": False,
    }  # fmt: skip
    return parse({
        "format": 1, "code": "x", "version": "1.0", "title": {"en": "-"}, "wording": {"en": {"status": "own"}},
        "choice_sets": {"five": [{"code": code, "label": {"en": "-"}} for code in range(1, 6)]},
        "items": [shared | {"id": name, "reversed": name == "b"} for name in "abc"],
        "scales": [scale | more], "notes": [],
    })  # fmt: skip


HALF, ONE = {"kind": "at_least_half"}, {"kind": "at_least", "k": 1}
SCORED = [  # method, range, missing rule; answers; value (b is turned: 5 counts as 1)
    ("mean_to_0_100", [0, 100], HALF, {"a": 1, "b": 5, "c": 1}, 0.0),
    ("mean_to_0_100", [0, 100], HALF, {"a": 5, "b": 1, "c": 5}, 100.0),
    ("mean_to_0_100", [0, 100], HALF, {"a": 2, "b": 3}, 37.5),
    ("mean_to_0_100", [0, 100], HALF, {"b": 3}, None),
    ("prorated_sum", [3, 15], HALF, {"b": 1, "c": 4}, 13.5),
    ("prorated_sum", [3, 15], ONE, {"b": 4}, 6.0),
    ("highest", [1, 5], ONE, {"a": 2, "b": 2, "c": 3}, 4.0),
    ("highest", [1, 5], ONE, {"b": 4}, 2.0),
    ("highest", [1, 5], ONE, {}, None),
    ("digits", [111, 999], ONE, {"a": 1, "b": 2, "c": 3}, 143.0),
    ("digits", [111, 999], ONE, {"c": 3}, 993.0),
    ("digits", [111, 999], ONE, {}, None),
    ("count", [1, 3], ONE, {"a": 5, "c": 5}, 2.0),
]


@pytest.mark.parametrize(("method", "limits", "missing", "answers", "value"), SCORED)
def test_codes_that_begin_at_one_and_a_turned_item(method, limits, missing, answers, value):
    made = instrument(method, limits, missing)
    (one,) = score(made, answers)
    (column,) = score_codes(made, encode(made, [answers, {}]))
    assert one.value == value
    assert outcomes(made, column)[0] == (one.value, one.reason)
    assert column.answered.tolist() == [one.answered, 0]


def test_which_methods_need_complete_answers_and_which_need_items_alike():
    """A mean or a prorated sum of items on different codes means nothing; nor does a sum with gaps."""
    assert {name for (name, _), method in METHODS.items() if method.needs_all} == {
        "sum", "table", "band", "one_minus_thousandths",
    }  # fmt: skip
    assert {name for (name, _), method in METHODS.items() if method.same_codes} == {
        "mean_to_0_100", "prorated_sum", "mean", "highest", "digits",
    }  # fmt: skip
