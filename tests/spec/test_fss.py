"""Fatigue Severity Scale: two means of 1 to 7."""

title = "Fatigue Severity Scale: means of nine and of seven items"
text = """
9 items with codes 1 to 7, past week, none reversed. The score is the mean of all nine; the seven-item form is the
mean of items 3 to 9. No rule for missing items is published, so all items of a scale are needed. Higher is more
fatigue.
"""


def test_means(scoring_spec):
    scoring_spec(
        "fss",
        "1.0",
        """
        | fss1 | fss2 | fss3 | fss4 | fss5 | fss6 | fss7 | fss8 | fss9 | = fss9_mean        | = fss7_mean       |
        |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |                  1 |                 1 |
        |    7 |    7 |    7 |    7 |    7 |    7 |    7 |    7 |    7 |                  7 |                 7 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |                  4 |                 4 |
        |    7 |    7 |    1 |    1 |    1 |    1 |    1 |    1 |    1 | 2.3333333333333335 |                 1 |
        |    1 |    2 |    3 |    4 |    5 |    6 |    7 |    5 |    4 |  4.111111111111111 | 4.857142857142857 |
    """,
    )


def test_all_items_are_needed(scoring_spec):
    scoring_spec(
        "fss",
        "1.0",
        """
        | fss1 | fss2 | fss3 | fss4 | fss5 | fss6 | fss7 | fss8 | fss9 | = fss9_mean | = fss7_mean |
        |      |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |           - |           4 |
        |      |      |    4 |    4 |    4 |    4 |    4 |    4 |    4 |           - |           4 |
        |    4 |    4 |      |    4 |    4 |    4 |    4 |    4 |    4 |           - |           - |
        |    4 |    4 |    4 |    4 |    4 |      |      |      |      |           - |           - |
        |      |      |      |      |    4 |      |      |      |      |           - |           - |
        |      |      |      |      |      |      |      |      |      |           - |           - |
    """,
    )
