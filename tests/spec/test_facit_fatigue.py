"""FACIT-Fatigue: one total of 0 to 52."""

title = "FACIT-Fatigue: total"
text = """
13 items with codes 0 to 4, past 7 days. Every item but 7 and 8 is reversed (4 - code). The total is the sum of the
scored items, times 13, divided by the number answered; it needs more than half, so 7 of 13. 0 to 52, and higher is
LESS fatigue.
"""


def test_total(scoring_spec):
    scoring_spec(
        "facit_fatigue",
        "1.0",
        """
        | ff01 | ff02 | ff03 | ff04 | ff05 | ff06 | ff07 | ff08 | ff09 | ff10 | ff11 | ff12 | ff13 | = total |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |      44 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |       8 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    4 |    4 |    0 |    0 |    0 |    0 |    0 |      52 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    0 |    0 |    4 |    4 |    4 |    4 |    4 |       0 |
        |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |      35 |
    """,
    )


def test_seven_of_thirteen_are_enough_and_six_are_not(scoring_spec):
    scoring_spec(
        "facit_fatigue",
        "1.0",
        """
        | ff01 | ff02 | ff03 | ff04 | ff05 | ff06 | ff07 | ff08 | ff09 | ff10 | ff11 | ff12 | ff13 | = total           |
        |    2 |    2 |    2 |    2 |    2 |    2 |    2 |      |      |      |      |      |      |                26 |
        |      |      |      |      |      |      |    4 |    4 |    0 |    0 |    0 |    0 |    4 | 44.57142857142857 |
        |    2 |    2 |    2 |    2 |    2 |    2 |      |      |      |      |      |      |      |                 - |
        |    2 |      |      |      |      |      |      |      |      |      |      |      |      |                 - |
        |      |      |      |      |      |      |      |      |      |      |      |      |      |                 - |
    """,
    )


def test_full_precision_is_kept(scoring_spec):
    """Twelve answered with a scored sum of 25: 25 * 13 / 12."""
    scoring_spec(
        "facit_fatigue",
        "1.0",
        """
        | ff01 | ff02 | ff03 | ff04 | ff05 | ff06 | ff07 | ff08 | ff09 | ff10 | ff11 | ff12 | = total            |
        |    1 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 | 27.083333333333332 |
    """,
    )
