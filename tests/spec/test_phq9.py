"""PHQ-9: a total of 0 to 27 and its band."""

title = "PHQ-9: total and severity band"
text = """
9 items with codes 0 to 3, past 2 weeks, none reversed. The total is their sum, 0 to 27, and all nine are needed.
The band counts the cuts 5, 10, 15 and 20 that the total reaches: 0-4, 5-9, 10-14, 15-19, 20-27 are bands 0 to 4.
Item 10, on difficulty, is not scored. Higher is worse.
"""


def test_total_and_band(scoring_spec):
    scoring_spec(
        "phq9",
        "1.0",
        """
        | phq01 | phq02 | phq03 | phq04 | phq05 | phq06 | phq07 | phq08 | phq09 | = total | = severity_band |
        |     0 |     0 |     0 |     0 |     0 |     0 |     0 |     0 |     0 |       0 |               0 |
        |     1 |     1 |     1 |     1 |     1 |     1 |     1 |     1 |     1 |       9 |               1 |
        |     2 |     2 |     2 |     2 |     2 |     2 |     2 |     2 |     2 |      18 |               3 |
        |     3 |     3 |     3 |     3 |     3 |     3 |     3 |     3 |     3 |      27 |               4 |
        |     0 |     0 |     0 |     0 |     0 |     0 |     0 |     0 |     3 |       3 |               0 |
    """,
    )


def test_a_band_begins_at_its_cut(scoring_spec):
    scoring_spec(
        "phq9",
        "1.0",
        """
        | phq01 | phq02 | phq03 | phq04 | phq05 | phq06 | phq07 | rest | = total | = severity_band |
        |     3 |     1 |     0 |     0 |     0 |     0 |     0 |    0 |       4 |               0 |
        |     3 |     2 |     0 |     0 |     0 |     0 |     0 |    0 |       5 |               1 |
        |     3 |     3 |     3 |     0 |     0 |     0 |     0 |    0 |       9 |               1 |
        |     3 |     3 |     3 |     1 |     0 |     0 |     0 |    0 |      10 |               2 |
        |     3 |     3 |     3 |     3 |     2 |     0 |     0 |    0 |      14 |               2 |
        |     3 |     3 |     3 |     3 |     3 |     0 |     0 |    0 |      15 |               3 |
        |     3 |     3 |     3 |     3 |     3 |     3 |     1 |    0 |      19 |               3 |
        |     3 |     3 |     3 |     3 |     3 |     3 |     2 |    0 |      20 |               4 |
    """,
    )


def test_all_nine_are_needed(scoring_spec):
    scoring_spec(
        "phq9",
        "1.0",
        """
        | phq01 | phq02 | phq03 | phq04 | phq05 | phq06 | phq07 | phq08 | phq09 | = total         | = severity_band |
        |     1 |     1 |     1 |     1 |     1 |     1 |     1 |     1 |       | too_few_answers | too_few_answers |
        |       |     3 |     3 |     3 |     3 |     3 |     3 |     3 |     3 | too_few_answers | too_few_answers |
        |     2 |     2 |     2 |     2 |     2 |       |       |       |       |               - |               - |
        |       |       |       |       |       |       |       |       |     3 |               - |               - |
        |       |       |       |       |       |       |       |       |       |               - |               - |
    """,
    )


def test_difficulty_is_not_scored(scoring_spec):
    scoring_spec(
        "phq9",
        "1.0",
        """
        | phq10 | rest | = total | = severity_band |
        |     0 |    1 |       9 |               1 |
        |     3 |    1 |       9 |               1 |
        |       |    1 |       9 |               1 |
        |     3 |      |       - |               - |
    """,
    )
