"""GAD-7: a total of 0 to 21 and its band."""

title = "GAD-7: total and severity band"
text = """
7 items with codes 0 to 3, past 2 weeks, none reversed. The total is their sum, 0 to 21, and all seven are needed.
The band counts the cuts 5, 10 and 15 that the total reaches: 0-4, 5-9, 10-14, 15-21 are bands 0 to 3. Item 8, on
difficulty, is not scored. Higher is worse.
"""


def test_total_and_band(scoring_spec):
    scoring_spec(
        "gad7",
        "1.0",
        """
        | gad01 | gad02 | gad03 | gad04 | gad05 | gad06 | gad07 | = total | = severity_band |
        |     0 |     0 |     0 |     0 |     0 |     0 |     0 |       0 |               0 |
        |     1 |     1 |     1 |     1 |     1 |     1 |     1 |       7 |               1 |
        |     2 |     2 |     2 |     2 |     2 |     2 |     2 |      14 |               2 |
        |     3 |     3 |     3 |     3 |     3 |     3 |     3 |      21 |               3 |
        |     0 |     0 |     0 |     0 |     0 |     0 |     1 |       1 |               0 |
    """,
    )


def test_a_band_begins_at_its_cut(scoring_spec):
    scoring_spec(
        "gad7",
        "1.0",
        """
        | gad01 | gad02 | gad03 | gad04 | gad05 | rest | = total | = severity_band |
        |     3 |     1 |     0 |     0 |     0 |    0 |       4 |               0 |
        |     3 |     2 |     0 |     0 |     0 |    0 |       5 |               1 |
        |     3 |     3 |     3 |     0 |     0 |    0 |       9 |               1 |
        |     3 |     3 |     3 |     1 |     0 |    0 |      10 |               2 |
        |     3 |     3 |     3 |     3 |     2 |    0 |      14 |               2 |
        |     3 |     3 |     3 |     3 |     3 |    0 |      15 |               3 |
    """,
    )


def test_all_seven_are_needed(scoring_spec):
    scoring_spec(
        "gad7",
        "1.0",
        """
        | gad01 | gad02 | gad03 | gad04 | gad05 | gad06 | gad07 | = total         | = severity_band |
        |     1 |     1 |     1 |     1 |     1 |     1 |       | too_few_answers | too_few_answers |
        |       |     3 |     3 |     3 |     3 |     3 |     3 | too_few_answers | too_few_answers |
        |     2 |     2 |     2 |     2 |       |       |       |               - |               - |
        |     3 |       |       |       |       |       |       |               - |               - |
        |       |       |       |       |       |       |       |               - |               - |
    """,
    )


def test_difficulty_is_not_scored(scoring_spec):
    scoring_spec(
        "gad7",
        "1.0",
        """
        | gad08 | rest | = total | = severity_band |
        |     0 |    1 |       7 |               1 |
        |     3 |    1 |       7 |               1 |
        |       |    1 |       7 |               1 |
        |     3 |      |       - |               - |
    """,
    )
