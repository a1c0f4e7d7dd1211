"""PROMIS Fatigue 4a: raw sum, T-score and its standard error."""

title = "PROMIS Fatigue 4a: raw sum, T-score, standard error"
text = """
4 items with codes 1 to 5, past 7 days. No item is reversed. The raw sum is the sum of the scored items, 4 to 20.
T-score (33.7 to 75.8; mean 50, SD 10 in the US public) and standard error are looked up in a table. They are
published copies of the owner's table. All 4 items are needed. Higher is more fatigue.
"""


def test_every_raw_sum(scoring_spec):
    scoring_spec(
        "promis_fatigue_4a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    1 |         4 |      33.7 |  4.9 |
        |    1 |    1 |    1 |    2 |         5 |      39.7 |  3.1 |
        |    1 |    1 |    2 |    2 |         6 |      43.1 |  2.7 |
        |    1 |    2 |    2 |    2 |         7 |        46 |  2.6 |
        |    2 |    2 |    2 |    2 |         8 |      48.6 |  2.5 |
        |    2 |    2 |    2 |    3 |         9 |        51 |  2.5 |
        |    2 |    2 |    3 |    3 |        10 |      53.1 |  2.4 |
        |    2 |    3 |    3 |    3 |        11 |      55.1 |  2.4 |
        |    3 |    3 |    3 |    3 |        12 |        57 |  2.3 |
        |    3 |    3 |    3 |    4 |        13 |      58.8 |  2.3 |
        |    3 |    3 |    4 |    4 |        14 |      60.7 |  2.3 |
        |    3 |    4 |    4 |    4 |        15 |      62.7 |  2.4 |
        |    4 |    4 |    4 |    4 |        16 |      64.6 |  2.4 |
        |    4 |    4 |    4 |    5 |        17 |      66.7 |  2.4 |
        |    4 |    4 |    5 |    5 |        18 |        69 |  2.5 |
        |    4 |    5 |    5 |    5 |        19 |      71.6 |  2.7 |
        |    5 |    5 |    5 |    5 |        20 |      75.8 |  3.9 |
    """,
    )


def test_no_item_is_reversed(scoring_spec):
    """A 5 for one item among ones gives the same sum, whichever item it is."""
    scoring_spec(
        "promis_fatigue_4a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | = raw_sum | = t_score | = se |
        |    5 |    1 |    1 |    1 |         8 |      48.6 |  2.5 |
        |    1 |    5 |    1 |    1 |         8 |      48.6 |  2.5 |
        |    1 |    1 |    5 |    1 |         8 |      48.6 |  2.5 |
        |    1 |    1 |    1 |    5 |         8 |      48.6 |  2.5 |
    """,
    )


def test_every_item_is_needed(scoring_spec):
    scoring_spec(
        "promis_fatigue_4a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf04 | = raw_sum       | = t_score       | = se            |
        |      |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |      | too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
    """,
    )
