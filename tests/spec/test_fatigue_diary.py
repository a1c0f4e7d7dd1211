"""Daily fatigue rating: the answer is the score."""

title = "Fatigue diary: worst fatigue"
text = """
One rating of 0 to 10 of the worst fatigue in the last 24 hours, in our own wording. Its value is the score.
"""


def test_worst_fatigue(scoring_spec):
    scoring_spec(
        "fatigue_diary",
        "1.0",
        """
        | worst_fatigue | = worst_fatigue |
        |             0 |               0 |
        |             7 |               7 |
        |            10 |              10 |
        |               |               - |
    """,
    )
