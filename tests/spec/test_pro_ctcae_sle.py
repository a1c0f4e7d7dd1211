"""PRO-CTCAE, symptoms in SLE: a composite grade of 0 to 3 for each symptom."""

import pytest

from epro.questionnaires.checking import remarks
from epro.questionnaires.library import bundled_instrument

title = "PRO-CTCAE: composite grade"
text = """
Each symptom has one to three attributes with codes 0 to 4, past 7 days: frequency, severity, interference. The grade
is looked up from the codes in that order. When the first is 0 the grade is 0. The second is asked only if the first
is above 0, the third only if the second is above 0; what is left out so counts as 0. A missing attribute that is
needed leaves no grade. Presence items (rash, sunlight, injection site) have no grade.
"""

# One row for each code 0 to 4 of the first attribute; columns: the second.
SEVERITY_INTERFERENCE = """
0 0 0 0 0
1 1 1 2 2
1 1 2 2 3
1 2 2 3 3
2 2 2 3 3
"""

# One row for each code 0 to 4 of the frequency, in it one group for each severity; columns: interference.
FREQUENCY_SEVERITY_INTERFERENCE = """
0 0 0 0 0 / 0 0 0 0 0 / 0 0 0 0 0 / 0 0 0 0 0 / 0 0 0 0 0
0 1 1 2 2 / 1 1 1 2 2 / 1 2 2 2 3 / 2 2 2 3 3 / 2 2 3 3 3
0 1 1 2 2 / 1 1 1 2 2 / 2 2 2 3 3 / 2 2 2 3 3 / 2 2 3 3 3
1 1 1 2 2 / 1 1 1 2 2 / 2 2 2 3 3 / 2 2 3 3 3 / 2 2 3 3 3
1 1 1 2 2 / 1 1 2 2 3 / 2 2 2 3 3 / 2 2 3 3 3 / 2 2 3 3 3
"""


def test_amount(scoring_spec):
    scoring_spec(
        "pro_ctcae_sle",
        "1.0",
        """
        | s27a | = 27_composite  |
        |    0 |               0 |
        |    1 |               1 |
        |    2 |               1 |
        |    3 |               2 |
        |    4 |               2 |
        |      | too_few_answers |
    """,
    )


def test_severity_and_interference_in_every_pair(scoring_spec):
    rows = [
        f"| {severity} | {interference} | {grade} |"
        for severity, line in enumerate(SEVERITY_INTERFERENCE.split("\n")[1:-1])
        for interference, grade in enumerate(line.split())
    ]
    assert len(rows) == 25
    scoring_spec("pro_ctcae_sle", "1.0", "\n".join(["| s53a | s53b | = 53_composite |", *rows]))


def test_frequency_severity_and_interference_in_every_triple(scoring_spec):
    rows = [
        f"| {frequency} | {severity} | {interference} | {grade} |"
        for frequency, line in enumerate(FREQUENCY_SEVERITY_INTERFERENCE.split("\n")[1:-1])
        for severity, group in enumerate(line.split("/"))
        for interference, grade in enumerate(group.split())
    ]
    assert len(rows) == 125
    scoring_spec("pro_ctcae_sle", "1.0", "\n".join(["| s48a | s48b | s48c | = 48_composite |", *rows]))


@pytest.mark.parametrize("symptom", [3, 39, 46, 47, 52, 53])
def test_severity_before_interference(scoring_spec, symptom):
    """Codes whose grade changes when two attributes change places; all else is at its lowest, or at its highest."""
    a, b = (f"s{symptom:02}{letter}" for letter in "ab")
    scoring_spec(
        "pro_ctcae_sle",
        "1.0",
        f"""
        | {a} | {b} | = {symptom}_composite |
        | 4 | 0 | 2 |
        | 1 | 4 | 2 |
        | 4 | 1 | 2 |
        | 2 | 1 | 1 |
        | 0 | 4 | 0 |
    """,
    )


@pytest.mark.parametrize("symptom", [22, 48, 49, 50, 51, 54, 55, 56])
def test_frequency_before_severity_before_interference(scoring_spec, symptom):
    """Codes whose grade changes when two attributes change places."""
    a, b, c = (f"s{symptom:02}{letter}" for letter in "abc")
    scoring_spec(
        "pro_ctcae_sle",
        "1.0",
        f"""
        | {a} | {b} | {c} | = {symptom}_composite |
        | 1 | 3 | 0 | 2 |
        | 3 | 1 | 0 | 1 |
        | 2 | 2 | 0 | 2 |
        | 2 | 0 | 2 | 1 |
        | 0 | 3 | 1 | 0 |
    """,
    )


def test_symptoms_do_not_touch_each_other(scoring_spec):
    scoring_spec(
        "pro_ctcae_sle",
        "1.0",
        """
        | rest | s46a | s46b | = 46_composite | = 47_composite | = 56_composite | = 27_composite | = 3_composite |
        |    0 |    4 |    4 |              3 |              0 |              0 |              0 |             0 |
        |      |    4 |    4 |              3 |              - |              - |              - |             - |
    """,
    )


def test_what_branching_leaves_out_counts_as_zero(scoring_spec):
    scoring_spec(
        "pro_ctcae_sle",
        "1.0",
        """
        | s48a | s48b      | s48c      | = 48_composite | s53a | s53b      | = 53_composite |
        |    0 |           |           |              0 |    0 |           |              0 |
        |    0 | NOT_ASKED | NOT_ASKED |              0 |    0 | NOT_ASKED |              0 |
        |    2 |         0 |           |              0 |    1 |         0 |              1 |
        |    3 |         0 |           |              1 |    4 |         0 |              2 |
        |    3 |         0 | NOT_ASKED |              1 |    4 |         0 |              2 |
    """,
    )


def test_a_missing_attribute_leaves_no_grade(scoring_spec):
    scoring_spec(
        "pro_ctcae_sle",
        "1.0",
        """
        | s48a | s48b      | s48c      | = 48_composite  | s53a | s53b      | = 53_composite  |
        |    2 |         3 |           | too_few_answers |    3 |           | too_few_answers |
        |    2 |           |         3 | too_few_answers |      |         3 | too_few_answers |
        |      |         2 |         3 | too_few_answers |      |         0 | too_few_answers |
        |    2 | NOT_ASKED | NOT_ASKED | too_few_answers |    3 | NOT_ASKED | too_few_answers |
        |    4 |           |           |               - |      |           |               - |
        |      |           |           |               - |      |           |               - |
    """,
    )


def test_presence_has_no_grade():
    instrument = bundled_instrument("pro_ctcae_sle", "1.0")
    graded = {name for scale in instrument.scales for name in scale.items}
    assert {item.id for item in instrument.items} - graded == {"s24a", "s34a", "s79a"}
    assert {instrument.item(name).codes for name in ("s24a", "s34a", "s79a")} == {(0, 1)}


def test_a_symptom_that_was_never_there_asks_for_no_severity():
    instrument = bundled_instrument("pro_ctcae_sle", "1.0")
    asked_in_vain = remarks(instrument, {"s48a": 0, "s48b": 2, "s48c": 1, "s53a": 1, "s53b": 2})
    assert [(one.code, one.item) for one in asked_in_vain] == [("answered_though_not_asked", "s48b")]
