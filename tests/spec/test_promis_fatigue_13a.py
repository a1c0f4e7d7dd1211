"""PROMIS Fatigue 13a: raw sum, T-score and its standard error."""

title = "PROMIS Fatigue 13a: raw sum, T-score, standard error"
text = """
13 items with codes 1 to 5, past 7 days; the items are those of FACIT-Fatigue. Items 7 and 8 are worded the other
way and count 6 - code; their codes are stored by the words. The raw sum is the sum of the scored items, 13 to 65.
T-score (30.3 to 84.2; mean 50, SD 10 in the US public) and standard error are looked up in a table, which was
recomputed and not seen in print. All 13 items are needed. Higher is more fatigue.
"""


def test_raw_sums_13_to_25(scoring_spec):
    """Items 7 and 8 turned count as the rest, 1: ten items come to 10, and items 1 to 3 make up the sum."""
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf07 | pf08 | rest | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    5 |    5 |    1 |        13 |      30.3 |  4.8 |
        |    1 |    1 |    2 |    5 |    5 |    1 |        14 |        35 |  3.5 |
        |    1 |    2 |    2 |    5 |    5 |    1 |        15 |        38 |    3 |
        |    2 |    2 |    2 |    5 |    5 |    1 |        16 |      40.3 |  2.8 |
        |    2 |    2 |    3 |    5 |    5 |    1 |        17 |      42.1 |  2.6 |
        |    2 |    3 |    3 |    5 |    5 |    1 |        18 |      43.7 |  2.5 |
        |    3 |    3 |    3 |    5 |    5 |    1 |        19 |        45 |  2.3 |
        |    3 |    3 |    4 |    5 |    5 |    1 |        20 |      46.3 |  2.2 |
        |    3 |    4 |    4 |    5 |    5 |    1 |        21 |      47.3 |  2.1 |
        |    4 |    4 |    4 |    5 |    5 |    1 |        22 |      48.3 |    2 |
        |    4 |    4 |    5 |    5 |    5 |    1 |        23 |      49.3 |    2 |
        |    4 |    5 |    5 |    5 |    5 |    1 |        24 |      50.1 |  1.9 |
        |    5 |    5 |    5 |    5 |    5 |    1 |        25 |        51 |  1.9 |
    """,
    )


def test_raw_sums_26_to_32(scoring_spec):
    """Items 7 and 8 turned count as the rest, 2: ten items come to 20, and items 1 to 3 make up the sum."""
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf07 | pf08 | rest | = raw_sum | = t_score | = se |
        |    2 |    2 |    2 |    4 |    4 |    2 |        26 |      51.7 |  1.9 |
        |    2 |    2 |    3 |    4 |    4 |    2 |        27 |      52.5 |  1.9 |
        |    2 |    3 |    3 |    4 |    4 |    2 |        28 |      53.2 |  1.9 |
        |    3 |    3 |    3 |    4 |    4 |    2 |        29 |      53.9 |  1.8 |
        |    3 |    3 |    4 |    4 |    4 |    2 |        30 |      54.6 |  1.8 |
        |    3 |    4 |    4 |    4 |    4 |    2 |        31 |      55.3 |  1.8 |
        |    4 |    4 |    4 |    4 |    4 |    2 |        32 |      55.9 |  1.8 |
    """,
    )


def test_raw_sums_33_to_45(scoring_spec):
    """Items 7 and 8 turned count as the rest, 3: ten items come to 30, and items 1 to 3 make up the sum."""
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf07 | pf08 | rest | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    3 |    3 |    3 |        33 |      56.6 |  1.8 |
        |    1 |    1 |    2 |    3 |    3 |    3 |        34 |      57.2 |  1.8 |
        |    1 |    2 |    2 |    3 |    3 |    3 |        35 |      57.8 |  1.8 |
        |    2 |    2 |    2 |    3 |    3 |    3 |        36 |      58.4 |  1.8 |
        |    2 |    2 |    3 |    3 |    3 |    3 |        37 |        59 |  1.8 |
        |    2 |    3 |    3 |    3 |    3 |    3 |        38 |      59.6 |  1.8 |
        |    3 |    3 |    3 |    3 |    3 |    3 |        39 |      60.2 |  1.8 |
        |    3 |    3 |    4 |    3 |    3 |    3 |        40 |      60.8 |  1.8 |
        |    3 |    4 |    4 |    3 |    3 |    3 |        41 |      61.4 |  1.8 |
        |    4 |    4 |    4 |    3 |    3 |    3 |        42 |        62 |  1.8 |
        |    4 |    4 |    5 |    3 |    3 |    3 |        43 |      62.6 |  1.8 |
        |    4 |    5 |    5 |    3 |    3 |    3 |        44 |      63.2 |  1.8 |
        |    5 |    5 |    5 |    3 |    3 |    3 |        45 |      63.8 |  1.8 |
    """,
    )


def test_raw_sums_46_to_52(scoring_spec):
    """Items 7 and 8 turned count as the rest, 4: ten items come to 40, and items 1 to 3 make up the sum."""
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf07 | pf08 | rest | = raw_sum | = t_score | = se |
        |    2 |    2 |    2 |    2 |    2 |    4 |        46 |      64.4 |  1.8 |
        |    2 |    2 |    3 |    2 |    2 |    4 |        47 |        65 |  1.8 |
        |    2 |    3 |    3 |    2 |    2 |    4 |        48 |      65.6 |  1.8 |
        |    3 |    3 |    3 |    2 |    2 |    4 |        49 |      66.2 |  1.9 |
        |    3 |    3 |    4 |    2 |    2 |    4 |        50 |      66.9 |  1.9 |
        |    3 |    4 |    4 |    2 |    2 |    4 |        51 |      67.5 |  1.9 |
        |    4 |    4 |    4 |    2 |    2 |    4 |        52 |      68.2 |  1.9 |
    """,
    )


def test_raw_sums_53_to_65(scoring_spec):
    """Items 7 and 8 turned count as the rest, 5: ten items come to 50, and items 1 to 3 make up the sum."""
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | pf01 | pf02 | pf03 | pf07 | pf08 | rest | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    1 |    1 |    5 |        53 |      68.9 |    2 |
        |    1 |    1 |    2 |    1 |    1 |    5 |        54 |      69.6 |    2 |
        |    1 |    2 |    2 |    1 |    1 |    5 |        55 |      70.4 |    2 |
        |    2 |    2 |    2 |    1 |    1 |    5 |        56 |      71.2 |  2.1 |
        |    2 |    2 |    3 |    1 |    1 |    5 |        57 |        72 |  2.2 |
        |    2 |    3 |    3 |    1 |    1 |    5 |        58 |      72.9 |  2.3 |
        |    3 |    3 |    3 |    1 |    1 |    5 |        59 |      73.9 |  2.4 |
        |    3 |    3 |    4 |    1 |    1 |    5 |        60 |        75 |  2.5 |
        |    3 |    4 |    4 |    1 |    1 |    5 |        61 |      76.2 |  2.7 |
        |    4 |    4 |    4 |    1 |    1 |    5 |        62 |      77.5 |  2.9 |
        |    4 |    4 |    5 |    1 |    1 |    5 |        63 |      79.2 |  3.1 |
        |    4 |    5 |    5 |    1 |    1 |    5 |        64 |      81.3 |  3.5 |
        |    5 |    5 |    5 |    1 |    1 |    5 |        65 |      84.2 |    4 |
    """,
    )


def test_one_code_throughout(scoring_spec):
    """65 less the raw sum is the FACIT-Fatigue total: 44 where all codes are lowest, 8 where highest."""
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | rest | = raw_sum | = t_score | = se |
        |    1 |        21 |      47.3 |  2.1 |
        |    2 |        30 |      54.6 |  1.8 |
        |    3 |        39 |      60.2 |  1.8 |
        |    4 |        48 |      65.6 |  1.8 |
        |    5 |        57 |        72 |  2.2 |
    """,
    )


def test_items_7_and_8_are_reversed(scoring_spec):
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | pf06 | pf07 | pf08 | pf09 | rest | = raw_sum | = t_score | = se |
        |    1 |    1 |    1 |    1 |    1 |        21 |      47.3 |  2.1 |
        |    5 |    1 |    1 |    1 |    1 |        25 |        51 |  1.9 |
        |    1 |    5 |    1 |    1 |    1 |        17 |      42.1 |  2.6 |
        |    1 |    1 |    5 |    1 |    1 |        17 |      42.1 |  2.6 |
        |    1 |    1 |    1 |    5 |    1 |        25 |        51 |  1.9 |
        |    1 |    5 |    5 |    1 |    1 |        13 |      30.3 |  4.8 |
        |    5 |    1 |    1 |    5 |    5 |        65 |      84.2 |    4 |
    """,
    )


def test_every_item_is_needed(scoring_spec):
    scoring_spec(
        "promis_fatigue_13a",
        "1.0",
        """
        | pf01 | pf07 | pf08 | pf13 | rest | = raw_sum       | = t_score       | = se            |
        |      |    3 |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |    3 |      | too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
    """,
    )
