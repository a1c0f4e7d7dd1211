"""Chalder Fatigue Scale (CFQ-11): Likert total and its two parts, and a bimodal total."""

title = "Chalder Fatigue Scale (CFQ-11): Likert and bimodal totals"
text = """
11 items with codes 0 to 3 by column, last month, none reversed. The Likert total is the sum, 0 to 33; items 1 to 7
are physical fatigue (0 to 21), items 8 to 11 mental fatigue (0 to 12). For the bimodal total the columns count 0,
0, 1, 1, so it is 0 to 11; 4 or more is a case. No rule for missing items was found, so all items of a scale are
needed. Higher is more fatigue.
"""


def test_one_code_throughout(scoring_spec):
    scoring_spec(
        "chalder_cfq11",
        "1.0",
        """
        | rest | = likert_total | = likert_physical | = likert_mental | = bimodal_total |
        |    0 |              0 |                 0 |               0 |               0 |
        |    1 |             11 |                 7 |               4 |               0 |
        |    2 |             22 |                14 |               8 |              11 |
        |    3 |             33 |                21 |              12 |              11 |
    """,
    )


def test_physical_is_items_1_to_7_and_mental_8_to_11(scoring_spec):
    scoring_spec(
        "chalder_cfq11",
        "1.0",
        """
        | cf07 | cf08 | rest | = likert_total | = likert_physical | = likert_mental | = bimodal_total |
        |    3 |    0 |    0 |              3 |                 3 |               0 |               1 |
        |    0 |    3 |    0 |              3 |                 0 |               3 |               1 |
        |    0 |    1 |    1 |             10 |                 6 |               4 |               0 |
        |    1 |    3 |    2 |             22 |                13 |               9 |              10 |
    """,
    )


def test_the_two_lower_columns_count_0_and_the_two_upper_1(scoring_spec):
    """Three above make no case, four do: the Likert total may say the opposite."""
    scoring_spec(
        "chalder_cfq11",
        "1.0",
        """
        | cf01 | cf02 | cf03 | cf04 | cf05 | rest | = likert_total | = bimodal_total |
        |    3 |    3 |    3 |    1 |    1 |    0 |             11 |               3 |
        |    2 |    2 |    2 |    2 |    0 |    0 |              8 |               4 |
        |    1 |    1 |    1 |    1 |    1 |    1 |             11 |               0 |
        |    0 |    1 |    2 |    3 |    0 |    1 |             12 |               2 |
    """,
    )


def test_item_11_counts_as_the_others(scoring_spec):
    scoring_spec(
        "chalder_cfq11",
        "1.0",
        """
        | cf11 | rest | = likert_total | = likert_physical | = likert_mental | = bimodal_total |
        |    0 |    0 |              0 |                 0 |               0 |               0 |
        |    1 |    0 |              1 |                 0 |               1 |               0 |
        |    2 |    0 |              2 |                 0 |               2 |               1 |
        |    3 |    0 |              3 |                 0 |               3 |               1 |
    """,
    )


def test_every_item_of_a_scale_is_needed(scoring_spec):
    scoring_spec(
        "chalder_cfq11",
        "1.0",
        """
        | cf01 | cf11 | rest | = likert_total  | = likert_physical | = likert_mental | = bimodal_total |
        |      |    1 |    1 | too_few_answers |   too_few_answers |               4 | too_few_answers |
        |    1 |      |    1 | too_few_answers |                 7 | too_few_answers | too_few_answers |
        |      |      |    1 | too_few_answers |   too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |      | too_few_answers |   too_few_answers | too_few_answers | too_few_answers |
        |      |      |      | too_few_answers |   too_few_answers | too_few_answers | too_few_answers |
    """,
    )


def test_half_of_the_mental_items_is_not_enough(scoring_spec):
    scoring_spec(
        "chalder_cfq11",
        "1.0",
        """
        | cf08 | cf09 | cf10 | cf11 | = likert_total  | = likert_physical | = likert_mental | = bimodal_total |
        |    2 |    2 |      |      | too_few_answers |   too_few_answers | too_few_answers | too_few_answers |
        |    2 |    2 |    2 |      | too_few_answers |   too_few_answers | too_few_answers | too_few_answers |
        |    2 |    2 |    2 |    2 | too_few_answers |   too_few_answers |               8 | too_few_answers |
    """,
    )
