"""Lupus Impact Tracker: one total of 0 to 100."""

title = "Lupus Impact Tracker: total"
text = """
10 items with codes 0 to 4, last 4 weeks, none reversed. The total is the sum times 2.5, 0 to 100. No rule for
missing items was found, so all ten are needed. Higher is MORE impact, so worse.
"""


def test_one_code_throughout(scoring_spec):
    scoring_spec(
        "lupus_impact_tracker",
        "1.0",
        """
        | rest | = total |
        |    0 |       0 |
        |    1 |      25 |
        |    2 |      50 |
        |    3 |      75 |
        |    4 |     100 |
    """,
    )


def test_the_total_is_the_sum_times_two_and_a_half(scoring_spec):
    scoring_spec(
        "lupus_impact_tracker",
        "1.0",
        """
        | li01 | li02 | li03 | li04 | li05 | li06 | li07 | li08 | li09 | li10 | = total |
        |    1 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |     2.5 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    1 |     2.5 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    4 |      10 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    3 |    97.5 |
        |    1 |    2 |    3 |    4 |    0 |    1 |    2 |    0 |    0 |    0 |    32.5 |
        |    0 |    1 |    0 |    2 |    0 |    3 |    0 |    4 |    0 |    1 |    27.5 |
        |    3 |    3 |    3 |    3 |    3 |    2 |    2 |    2 |    2 |    2 |    62.5 |
    """,
    )


def test_every_item_counts_alike(scoring_spec):
    scoring_spec(
        "lupus_impact_tracker",
        "1.0",
        """
        | li01 | li02 | li03 | li04 | li05 | li06 | li07 | li08 | li09 | li10 | = total |
        |    2 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |       5 |
        |    0 |    2 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |       5 |
        |    0 |    0 |    2 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |       5 |
        |    0 |    0 |    0 |    2 |    0 |    0 |    0 |    0 |    0 |    0 |       5 |
        |    0 |    0 |    0 |    0 |    2 |    0 |    0 |    0 |    0 |    0 |       5 |
        |    0 |    0 |    0 |    0 |    0 |    2 |    0 |    0 |    0 |    0 |       5 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    2 |    0 |    0 |    0 |       5 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    2 |    0 |    0 |       5 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    2 |    0 |       5 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    2 |       5 |
    """,
    )


def test_every_item_is_needed(scoring_spec):
    scoring_spec(
        "lupus_impact_tracker",
        "1.0",
        """
        | li01 | li02 | li03 | li04 | li05 | li06 | li07 | li08 | li09 | li10 | = total         |
        |      |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 | too_few_answers |
        |    2 |    2 |    2 |    2 |      |    2 |    2 |    2 |    2 |    2 | too_few_answers |
        |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |      | too_few_answers |
        |    2 |    2 |    2 |    2 |    2 |      |      |      |      |      | too_few_answers |
        |    4 |      |      |      |      |      |      |      |      |      | too_few_answers |
        |      |      |      |      |      |      |      |      |      |      | too_few_answers |
    """,
    )
