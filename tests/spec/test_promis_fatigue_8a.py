"""PROMIS Fatigue 8a: raw sum, T-score and its standard error."""

title = "PROMIS Fatigue 8a: raw sum, T-score, standard error"
text = """
8 items with codes 1 to 5, past 7 days. No item is reversed. The raw sum is the sum of the scored items, 8 to 40.
T-score (33.1 to 77.8; mean 50, SD 10 in the US public) and standard error are looked up in a table. They are a
published copy of the owner's table. All 8 items are needed. Higher is more fatigue.
"""


def test_every_raw_sum(scoring_spec):
    scoring_spec(
        "promis_fatigue_8a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | pf07 | pf08 | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |         8 |      33.1 |  4.8 |
        |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    2 |         9 |      38.5 |  2.7 |
        |    1 |    1 |    1 |    1 |    1 |    1 |    2 |    2 |        10 |        41 |  2.2 |
        |    1 |    1 |    1 |    1 |    1 |    2 |    2 |    2 |        11 |      42.8 |    2 |
        |    1 |    1 |    1 |    1 |    2 |    2 |    2 |    2 |        12 |      44.3 |  1.9 |
        |    1 |    1 |    1 |    2 |    2 |    2 |    2 |    2 |        13 |      45.6 |  1.8 |
        |    1 |    1 |    2 |    2 |    2 |    2 |    2 |    2 |        14 |      46.9 |  1.8 |
        |    1 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |        15 |      48.1 |  1.8 |
        |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |        16 |      49.2 |  1.8 |
        |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    3 |        17 |      50.4 |  1.8 |
        |    2 |    2 |    2 |    2 |    2 |    2 |    3 |    3 |        18 |      51.5 |  1.7 |
        |    2 |    2 |    2 |    2 |    2 |    3 |    3 |    3 |        19 |      52.5 |  1.7 |
        |    2 |    2 |    2 |    2 |    3 |    3 |    3 |    3 |        20 |      53.6 |  1.7 |
        |    2 |    2 |    2 |    3 |    3 |    3 |    3 |    3 |        21 |      54.6 |  1.7 |
        |    2 |    2 |    3 |    3 |    3 |    3 |    3 |    3 |        22 |      55.6 |  1.7 |
        |    2 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |        23 |      56.6 |  1.7 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |        24 |      57.5 |  1.7 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    4 |        25 |      58.5 |  1.7 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    4 |    4 |        26 |      59.4 |  1.7 |
        |    3 |    3 |    3 |    3 |    3 |    4 |    4 |    4 |        27 |      60.4 |  1.7 |
        |    3 |    3 |    3 |    3 |    4 |    4 |    4 |    4 |        28 |      61.3 |  1.7 |
        |    3 |    3 |    3 |    4 |    4 |    4 |    4 |    4 |        29 |      62.3 |  1.7 |
        |    3 |    3 |    4 |    4 |    4 |    4 |    4 |    4 |        30 |      63.3 |  1.7 |
        |    3 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |        31 |      64.3 |  1.7 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |        32 |      65.3 |  1.7 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    5 |        33 |      66.4 |  1.7 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    5 |    5 |        34 |      67.5 |  1.7 |
        |    4 |    4 |    4 |    4 |    4 |    5 |    5 |    5 |        35 |      68.6 |  1.7 |
        |    4 |    4 |    4 |    4 |    5 |    5 |    5 |    5 |        36 |      69.8 |  1.8 |
        |    4 |    4 |    4 |    5 |    5 |    5 |    5 |    5 |        37 |        71 |  1.8 |
        |    4 |    4 |    5 |    5 |    5 |    5 |    5 |    5 |        38 |      72.4 |    2 |
        |    4 |    5 |    5 |    5 |    5 |    5 |    5 |    5 |        39 |      74.2 |  2.4 |
        |    5 |    5 |    5 |    5 |    5 |    5 |    5 |    5 |        40 |      77.8 |  3.7 |
    """,
    )


def test_no_item_is_reversed(scoring_spec):
    """A 5 for one item among ones gives the same sum, whichever item it is."""
    scoring_spec(
        "promis_fatigue_8a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | pf07 | pf08 | = raw_sum | = t_score | = se |
        |    5 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |        12 |      44.3 |  1.9 |
        |    1 |    5 |    1 |    1 |    1 |    1 |    1 |    1 |        12 |      44.3 |  1.9 |
        |    1 |    1 |    5 |    1 |    1 |    1 |    1 |    1 |        12 |      44.3 |  1.9 |
        |    1 |    1 |    1 |    5 |    1 |    1 |    1 |    1 |        12 |      44.3 |  1.9 |
        |    1 |    1 |    1 |    1 |    5 |    1 |    1 |    1 |        12 |      44.3 |  1.9 |
        |    1 |    1 |    1 |    1 |    1 |    5 |    1 |    1 |        12 |      44.3 |  1.9 |
        |    1 |    1 |    1 |    1 |    1 |    1 |    5 |    1 |        12 |      44.3 |  1.9 |
        |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    5 |        12 |      44.3 |  1.9 |
    """,
    )


def test_every_item_is_needed(scoring_spec):
    scoring_spec(
        "promis_fatigue_8a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | pf05 | pf06 | pf07 | pf08 | = raw_sum       | = t_score       | = se            |
        |      |    3 |    3 |    3 |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |      |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |    3 |      |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |    3 |    3 |      |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |    3 |    3 |    3 |      | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
    """,
    )
