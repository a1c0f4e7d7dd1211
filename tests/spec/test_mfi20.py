"""MFI-20: five subscales of 4 to 20."""

title = "MFI-20: five subscales"
text = """
20 items with codes 1 to 5. Items 2, 5, 9, 10, 13, 14, 16, 17, 18 and 19 are reversed (6 - code). Each subscale is
the sum of its four scored items, 4 to 20: general 1, 5, 12, 16; physical 2, 8, 14, 20; reduced activity 3, 6, 10,
17; reduced motivation 4, 9, 15, 18; mental 7, 11, 13, 19. No rule for missing items was found, so all four are
needed. Higher is more fatigue. There is no total.
"""


def test_one_code_throughout(scoring_spec):
    """Two of each four are reversed, so every code comes to 12."""
    scoring_spec(
        "mfi20",
        "1.0",
        """
        | rest | = general_fatigue | = physical_fatigue | = reduced_activity | = reduced_motivation | = mental_fatigue |
        |    1 |                12 |                 12 |                 12 |                   12 |               12 |
        |    2 |                12 |                 12 |                 12 |                   12 |               12 |
        |    3 |                12 |                 12 |                 12 |                   12 |               12 |
        |    4 |                12 |                 12 |                 12 |                   12 |               12 |
        |    5 |                12 |                 12 |                 12 |                   12 |               12 |
    """,
    )


def test_general_fatigue(scoring_spec):
    scoring_spec(
        "mfi20",
        "1.0",
        """
        | mf01 | mf05 | mf12 | mf16 | = general_fatigue |
        |    1 |    5 |    1 |    5 |                 4 |
        |    5 |    1 |    5 |    1 |                20 |
        |    2 |    3 |    4 |    5 |                10 |
        |    5 |    1 |    1 |    1 |                16 |
        |    1 |    5 |    1 |    1 |                 8 |
        |    1 |    1 |    5 |    1 |                16 |
        |    1 |    1 |    1 |    5 |                 8 |
        |      |    3 |    3 |    3 |   too_few_answers |
        |    3 |      |    3 |    3 |   too_few_answers |
        |    3 |    3 |      |    3 |   too_few_answers |
        |    3 |    3 |    3 |      |   too_few_answers |
        |    3 |    3 |      |      |   too_few_answers |
        |    1 |      |      |      |   too_few_answers |
        |      |      |      |      |   too_few_answers |
    """,
    )


def test_physical_fatigue(scoring_spec):
    scoring_spec(
        "mfi20",
        "1.0",
        """
        | mf02 | mf08 | mf14 | mf20 | = physical_fatigue |
        |    5 |    1 |    5 |    1 |                  4 |
        |    1 |    5 |    1 |    5 |                 20 |
        |    2 |    3 |    4 |    5 |                 14 |
        |    5 |    1 |    1 |    1 |                  8 |
        |    1 |    5 |    1 |    1 |                 16 |
        |    1 |    1 |    5 |    1 |                  8 |
        |    1 |    1 |    1 |    5 |                 16 |
        |      |    3 |    3 |    3 |    too_few_answers |
        |    3 |      |    3 |    3 |    too_few_answers |
        |    3 |    3 |      |    3 |    too_few_answers |
        |    3 |    3 |    3 |      |    too_few_answers |
        |    3 |    3 |      |      |    too_few_answers |
        |    1 |      |      |      |    too_few_answers |
        |      |      |      |      |    too_few_answers |
    """,
    )


def test_reduced_activity(scoring_spec):
    scoring_spec(
        "mfi20",
        "1.0",
        """
        | mf03 | mf06 | mf10 | mf17 | = reduced_activity |
        |    1 |    1 |    5 |    5 |                  4 |
        |    5 |    5 |    1 |    1 |                 20 |
        |    2 |    3 |    4 |    5 |                  8 |
        |    5 |    1 |    1 |    1 |                 16 |
        |    1 |    5 |    1 |    1 |                 16 |
        |    1 |    1 |    5 |    1 |                  8 |
        |    1 |    1 |    1 |    5 |                  8 |
        |      |    3 |    3 |    3 |    too_few_answers |
        |    3 |      |    3 |    3 |    too_few_answers |
        |    3 |    3 |      |    3 |    too_few_answers |
        |    3 |    3 |    3 |      |    too_few_answers |
        |    3 |    3 |      |      |    too_few_answers |
        |    1 |      |      |      |    too_few_answers |
        |      |      |      |      |    too_few_answers |
    """,
    )


def test_reduced_motivation(scoring_spec):
    scoring_spec(
        "mfi20",
        "1.0",
        """
        | mf04 | mf09 | mf15 | mf18 | = reduced_motivation |
        |    1 |    5 |    1 |    5 |                    4 |
        |    5 |    1 |    5 |    1 |                   20 |
        |    2 |    3 |    4 |    5 |                   10 |
        |    5 |    1 |    1 |    1 |                   16 |
        |    1 |    5 |    1 |    1 |                    8 |
        |    1 |    1 |    5 |    1 |                   16 |
        |    1 |    1 |    1 |    5 |                    8 |
        |      |    3 |    3 |    3 |      too_few_answers |
        |    3 |      |    3 |    3 |      too_few_answers |
        |    3 |    3 |      |    3 |      too_few_answers |
        |    3 |    3 |    3 |      |      too_few_answers |
        |    3 |    3 |      |      |      too_few_answers |
        |    1 |      |      |      |      too_few_answers |
        |      |      |      |      |      too_few_answers |
    """,
    )


def test_mental_fatigue(scoring_spec):
    scoring_spec(
        "mfi20",
        "1.0",
        """
        | mf07 | mf11 | mf13 | mf19 | = mental_fatigue |
        |    1 |    1 |    5 |    5 |                4 |
        |    5 |    5 |    1 |    1 |               20 |
        |    2 |    3 |    4 |    5 |                8 |
        |    5 |    1 |    1 |    1 |               16 |
        |    1 |    5 |    1 |    1 |               16 |
        |    1 |    1 |    5 |    1 |                8 |
        |    1 |    1 |    1 |    5 |                8 |
        |      |    3 |    3 |    3 |  too_few_answers |
        |    3 |      |    3 |    3 |  too_few_answers |
        |    3 |    3 |      |    3 |  too_few_answers |
        |    3 |    3 |    3 |      |  too_few_answers |
        |    3 |    3 |      |      |  too_few_answers |
        |    1 |      |      |      |  too_few_answers |
        |      |      |      |      |  too_few_answers |
    """,
    )


def test_subscales_do_not_touch_each_other(scoring_spec):
    scoring_spec(
        "mfi20",
        "1.0",
        """
        | mf01 | rest | = general_fatigue | = physical_fatigue | = reduced_activity |
        |      |    3 |   too_few_answers |                 12 |                 12 |
        |    5 |    1 |                16 |                 12 |                 12 |
    """,
    )
