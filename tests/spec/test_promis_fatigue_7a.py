"""PROMIS Fatigue 7a: raw sum, T-score and its standard error."""

title = "PROMIS Fatigue 7a: raw sum, T-score, standard error"
text = """
7 items with codes 1 to 5, past 7 days. Item 7 is worded the other way and counts 6 - code; its code is stored by
the words, from 1 for never to 5 for always. The raw sum is the sum of the scored items, 7 to 35. T-score (29.4 to
83.2; mean 50, SD 10 in the US public) and standard error are looked up in a table. They are a published copy of
the owner's table. All 7 items are needed. Higher is more fatigue.
"""


def test_every_raw_sum(scoring_spec):
    scoring_spec(
        "promis_fatigue_7a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | pf07 | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    1 |    1 |    1 |    5 |         7 |      29.4 |  5.3 |
        |    1 |    1 |    1 |    1 |    1 |    1 |    4 |         8 |      33.4 |  4.8 |
        |    1 |    1 |    1 |    1 |    1 |    2 |    4 |         9 |      36.9 |  4.3 |
        |    1 |    1 |    1 |    1 |    2 |    2 |    4 |        10 |      39.6 |    4 |
        |    1 |    1 |    1 |    2 |    2 |    2 |    4 |        11 |      41.9 |  3.8 |
        |    1 |    1 |    2 |    2 |    2 |    2 |    4 |        12 |      43.9 |  3.5 |
        |    1 |    2 |    2 |    2 |    2 |    2 |    4 |        13 |      45.8 |  3.3 |
        |    2 |    2 |    2 |    2 |    2 |    2 |    4 |        14 |      47.6 |  3.2 |
        |    2 |    2 |    2 |    2 |    2 |    2 |    3 |        15 |      49.2 |  3.1 |
        |    2 |    2 |    2 |    2 |    2 |    3 |    3 |        16 |      50.8 |    3 |
        |    2 |    2 |    2 |    2 |    3 |    3 |    3 |        17 |      52.2 |    3 |
        |    2 |    2 |    2 |    3 |    3 |    3 |    3 |        18 |      53.7 |    3 |
        |    2 |    2 |    3 |    3 |    3 |    3 |    3 |        19 |      55.1 |    3 |
        |    2 |    3 |    3 |    3 |    3 |    3 |    3 |        20 |      56.4 |  2.9 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    3 |        21 |      57.8 |  2.9 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    2 |        22 |      59.2 |  2.9 |
        |    3 |    3 |    3 |    3 |    3 |    4 |    2 |        23 |      60.6 |  2.9 |
        |    3 |    3 |    3 |    3 |    4 |    4 |    2 |        24 |        62 |  2.9 |
        |    3 |    3 |    3 |    4 |    4 |    4 |    2 |        25 |      63.4 |  2.9 |
        |    3 |    3 |    4 |    4 |    4 |    4 |    2 |        26 |      64.8 |  2.9 |
        |    3 |    4 |    4 |    4 |    4 |    4 |    2 |        27 |      66.3 |  2.9 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    2 |        28 |      67.8 |  2.9 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    1 |        29 |      69.4 |  2.9 |
        |    4 |    4 |    4 |    4 |    4 |    5 |    1 |        30 |      71.1 |    3 |
        |    4 |    4 |    4 |    4 |    5 |    5 |    1 |        31 |      72.9 |    3 |
        |    4 |    4 |    4 |    5 |    5 |    5 |    1 |        32 |      74.8 |  3.1 |
        |    4 |    4 |    5 |    5 |    5 |    5 |    1 |        33 |      77.1 |  3.3 |
        |    4 |    5 |    5 |    5 |    5 |    5 |    1 |        34 |      79.8 |  3.6 |
        |    5 |    5 |    5 |    5 |    5 |    5 |    1 |        35 |      83.2 |  4.1 |
    """,
    )


def test_one_code_throughout(scoring_spec):
    """Item 7 counts 6 - code, so the sum is six times the code and its turned one."""
    scoring_spec(
        "promis_fatigue_7a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | pf07 | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    1 |    1 |    1 |    1 |        11 |      41.9 |  3.8 |
        |    2 |    2 |    2 |    2 |    2 |    2 |    2 |        16 |      50.8 |    3 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    3 |        21 |      57.8 |  2.9 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    4 |        26 |      64.8 |  2.9 |
        |    5 |    5 |    5 |    5 |    5 |    5 |    5 |        31 |      72.9 |    3 |
    """,
    )


def test_only_item_7_is_reversed(scoring_spec):
    """A 5 for one item among ones, which come to 11: four more for items 1 to 6, four fewer for item 7."""
    scoring_spec(
        "promis_fatigue_7a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | pf07 | = raw_sum | = t_score | = se |
        |    5 |    1 |    1 |    1 |    1 |    1 |    1 |        15 |      49.2 |  3.1 |
        |    1 |    5 |    1 |    1 |    1 |    1 |    1 |        15 |      49.2 |  3.1 |
        |    1 |    1 |    5 |    1 |    1 |    1 |    1 |        15 |      49.2 |  3.1 |
        |    1 |    1 |    1 |    5 |    1 |    1 |    1 |        15 |      49.2 |  3.1 |
        |    1 |    1 |    1 |    1 |    5 |    1 |    1 |        15 |      49.2 |  3.1 |
        |    1 |    1 |    1 |    1 |    1 |    5 |    1 |        15 |      49.2 |  3.1 |
        |    1 |    1 |    1 |    1 |    1 |    1 |    5 |         7 |      29.4 |  5.3 |
    """,
    )


def test_every_item_is_needed(scoring_spec):
    scoring_spec(
        "promis_fatigue_7a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | pf07 | = raw_sum       | = t_score       | = se            |
        |      |    3 |    3 |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |      |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |    3 |      |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |    3 |    3 |      | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
    """,
    )
