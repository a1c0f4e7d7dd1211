"""Brief Fatigue Inventory: a global score, severity and interference of 0 to 10."""

title = "Brief Fatigue Inventory: global score, severity, interference"
text = """
An opening yes or no, which is not scored, then 9 ratings of 0 to 10: 1 to 3 severity, 4 to 9 interference with
living. The global score is the mean of those of the 9 that were answered; it needs at least 5. Severity and
interference are the means of their answered ratings; no rule was found, so more than half is needed: 2 of 3, 4 of
6. Higher is worse.
"""


def test_one_code_throughout(scoring_spec):
    """The opening item moves nothing."""
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf00 | rest | = global_score | = severity | = interference |
        |    0 |    0 |              0 |          0 |              0 |
        |    0 |    1 |              1 |          1 |              1 |
        |    0 |    2 |              2 |          2 |              2 |
        |    0 |    3 |              3 |          3 |              3 |
        |    0 |    4 |              4 |          4 |              4 |
        |    0 |    5 |              5 |          5 |              5 |
        |    0 |    6 |              6 |          6 |              6 |
        |    0 |    7 |              7 |          7 |              7 |
        |    0 |    8 |              8 |          8 |              8 |
        |    0 |    9 |              9 |          9 |              9 |
        |    0 |   10 |             10 |         10 |             10 |
        |    1 |    0 |              0 |          0 |              0 |
        |    1 |   10 |             10 |         10 |             10 |
    """,
    )


def test_the_global_score_keeps_full_precision(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf01 | bf02 | bf03 | bf04 | bf05 | bf06 | bf07 | bf08 | bf09 | = global_score     |
        |   10 |   10 |   10 |    0 |    0 |    0 |    0 |    0 |    0 | 3.3333333333333335 |
        |    0 |    0 |    0 |   10 |   10 |   10 |   10 |   10 |   10 |  6.666666666666667 |
        |    3 |    4 |    8 |    2 |    1 |    0 |    5 |    2 |    0 | 2.7777777777777777 |
        |    1 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 | 0.1111111111111111 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    1 | 0.1111111111111111 |
    """,
    )


def test_severity_and_interference_are_kept_apart(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf01 | bf02 | bf03 | bf04 | bf05 | bf06 | bf07 | bf08 | bf09 | = severity        | = interference |
        |   10 |   10 |   10 |    0 |    0 |    0 |    0 |    0 |    0 |                10 |              0 |
        |    0 |    0 |    0 |   10 |   10 |   10 |   10 |   10 |   10 |                 0 |             10 |
        |    3 |    4 |    7 |    2 |    1 |    0 |    5 |    2 |    2 | 4.666666666666667 |              2 |
        |    0 |    0 |    3 |    0 |    0 |    0 |    0 |    0 |    3 |                 1 |            0.5 |
    """,
    )


def test_severity_keeps_full_precision(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf01 | bf02 | bf03 | bf04 | bf05 | bf06 | bf07 | bf08 | bf09 | = severity         |
        |    1 |      |    0 |      |      |      |      |      |      |                0.5 |
        |    1 |    0 |    0 |      |      |      |      |      |      | 0.3333333333333333 |
    """,
    )


def test_interference_keeps_full_precision(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf01 | bf02 | bf03 | bf04 | bf05 | bf06 | bf07 | bf08 | bf09 | = interference      |
        |      |      |      |    1 |    0 |    0 |    0 |    0 |    0 | 0.16666666666666666 |
        |      |      |      |    1 |    0 |    2 |    1 |    1 |      |                   1 |
    """,
    )


def test_five_of_nine_are_enough_and_four_are_not(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf01 | bf02 | bf03 | bf04 | bf05 | bf06 | bf07 | bf08 | bf09 | = global_score  |
        |    7 |    7 |    7 |    3 |    3 |      |      |      |      |             5.4 |
        |      |      |      |      |    4 |    4 |    4 |    4 |    9 |               5 |
        |    7 |    7 |    7 |    3 |      |      |      |      |      | too_few_answers |
        |      |      |      |      |      |    4 |    4 |    4 |    4 | too_few_answers |
        |    5 |      |      |      |      |      |      |      |      | too_few_answers |
        |      |      |      |      |      |      |      |      |      | too_few_answers |
    """,
    )


def test_severity_needs_two_of_three(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf01 | bf02 | bf03 | bf04 | bf05 | bf06 | bf07 | bf08 | bf09 | = severity      | = interference  |
        |    4 |      |    7 |      |      |      |      |      |      |             5.5 | too_few_answers |
        |      |    4 |    7 |      |      |      |      |      |      |             5.5 | too_few_answers |
        |    4 |      |      |      |      |      |      |      |      | too_few_answers | too_few_answers |
        |      |      |      |    6 |    6 |    6 |    6 |    6 |    6 | too_few_answers |               6 |
    """,
    )


def test_interference_needs_four_of_six_and_half_is_not_enough(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf01 | bf02 | bf03 | bf04 | bf05 | bf06 | bf07 | bf08 | bf09 | = severity      | = interference  |
        |      |      |      |    2 |    2 |    2 |    3 |      |      | too_few_answers |            2.25 |
        |      |      |      |      |      |    2 |    2 |    2 |    3 | too_few_answers |            2.25 |
        |      |      |      |    2 |    2 |    2 |      |      |      | too_few_answers | too_few_answers |
        |    8 |    8 |    8 |    2 |    2 |    2 |      |      |      |               8 | too_few_answers |
        |      |      |      |    2 |      |      |      |      |      | too_few_answers | too_few_answers |
    """,
    )


def test_the_opening_item_alone_scores_nothing(scoring_spec):
    scoring_spec(
        "bfi",
        "1.0",
        """
        | bf00 | = global_score  | = severity      | = interference  |
        |    1 | too_few_answers | too_few_answers | too_few_answers |
        |    0 | too_few_answers | too_few_answers | too_few_answers |
    """,
    )
