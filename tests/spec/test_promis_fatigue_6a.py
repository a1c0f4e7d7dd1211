"""PROMIS Fatigue 6a: raw sum, T-score and its standard error."""

title = "PROMIS Fatigue 6a: raw sum, T-score, standard error"
text = """
6 items with codes 1 to 5, past 7 days. No item is reversed. The raw sum is the sum of the scored items, 6 to 30.
T-score (33.4 to 76.8; mean 50, SD 10 in the US public) and standard error are looked up in a table. They were
recomputed and not seen in print. All 6 items are needed. Higher is more fatigue.
"""


def test_every_raw_sum(scoring_spec):
    scoring_spec(
        "promis_fatigue_6a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    1 |    1 |    1 |         6 |      33.4 |  4.9 |
        |    1 |    1 |    1 |    1 |    1 |    2 |         7 |      39.1 |  2.9 |
        |    1 |    1 |    1 |    1 |    2 |    2 |         8 |        42 |  2.4 |
        |    1 |    1 |    1 |    2 |    2 |    2 |         9 |      44.2 |  2.2 |
        |    1 |    1 |    2 |    2 |    2 |    2 |        10 |      46.1 |  2.1 |
        |    1 |    2 |    2 |    2 |    2 |    2 |        11 |      47.8 |  2.1 |
        |    2 |    2 |    2 |    2 |    2 |    2 |        12 |      49.4 |  2.1 |
        |    2 |    2 |    2 |    2 |    2 |    3 |        13 |      50.9 |    2 |
        |    2 |    2 |    2 |    2 |    3 |    3 |        14 |      52.4 |    2 |
        |    2 |    2 |    2 |    3 |    3 |    3 |        15 |      53.7 |    2 |
        |    2 |    2 |    3 |    3 |    3 |    3 |        16 |      55.1 |    2 |
        |    2 |    3 |    3 |    3 |    3 |    3 |        17 |      56.3 |  1.9 |
        |    3 |    3 |    3 |    3 |    3 |    3 |        18 |      57.5 |  1.9 |
        |    3 |    3 |    3 |    3 |    3 |    4 |        19 |      58.8 |  1.9 |
        |    3 |    3 |    3 |    3 |    4 |    4 |        20 |        60 |  1.9 |
        |    3 |    3 |    3 |    4 |    4 |    4 |        21 |      61.2 |  1.9 |
        |    3 |    3 |    4 |    4 |    4 |    4 |        22 |      62.4 |  1.9 |
        |    3 |    4 |    4 |    4 |    4 |    4 |        23 |      63.7 |    2 |
        |    4 |    4 |    4 |    4 |    4 |    4 |        24 |        65 |    2 |
        |    4 |    4 |    4 |    4 |    4 |    5 |        25 |      66.4 |    2 |
        |    4 |    4 |    4 |    4 |    5 |    5 |        26 |      67.8 |    2 |
        |    4 |    4 |    4 |    5 |    5 |    5 |        27 |      69.3 |    2 |
        |    4 |    4 |    5 |    5 |    5 |    5 |        28 |        71 |  2.1 |
        |    4 |    5 |    5 |    5 |    5 |    5 |        29 |        73 |  2.5 |
        |    5 |    5 |    5 |    5 |    5 |    5 |        30 |      76.8 |  3.8 |
    """,
    )


def test_no_item_is_reversed(scoring_spec):
    """A 5 for one item among ones gives the same sum, whichever item it is."""
    scoring_spec(
        "promis_fatigue_6a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | = raw_sum | = t_score | = se |
        |    5 |    1 |    1 |    1 |    1 |    1 |        10 |      46.1 |  2.1 |
        |    1 |    5 |    1 |    1 |    1 |    1 |        10 |      46.1 |  2.1 |
        |    1 |    1 |    5 |    1 |    1 |    1 |        10 |      46.1 |  2.1 |
        |    1 |    1 |    1 |    5 |    1 |    1 |        10 |      46.1 |  2.1 |
        |    1 |    1 |    1 |    1 |    5 |    1 |        10 |      46.1 |  2.1 |
        |    1 |    1 |    1 |    1 |    1 |    5 |        10 |      46.1 |  2.1 |
    """,
    )


def test_every_item_is_needed(scoring_spec):
    scoring_spec(
        "promis_fatigue_6a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | = raw_sum       | = t_score       | = se            |
        |      |    3 |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |      |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |    3 |      | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
    """,
    )
