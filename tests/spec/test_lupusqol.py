"""LupusQoL: eight domain scores of 0 to 100."""

title = "LupusQoL: domain scores"
text = """
34 items with codes 0 to 4, last 4 weeks, no item reversed. A domain's score is the mean of its answered items,
divided by 4, times 100; 0 is the worst, 100 the best. It needs at least half of the domain's items: exactly half
is enough. 'Not applicable' counts as unanswered. There is no total score.
"""


def test_physical_health_needs_four_of_eight(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq01 | lq02 | lq03 | lq04 | lq05 | lq06 | lq07 | lq08 | = physical_health |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    0 |                 0 |
        |    4 |    4 |    4 |    4 |    4 |    4 |    4 |    4 |               100 |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |    1 |             3.125 |
        |    3 |    3 |    3 |    3 |      |      |      |      |                75 |
        |      |    3 |      |    3 |      |    3 |      |    3 |                75 |
        |    3 |    3 |    3 |      |      |      |      |      |                 - |
        |    0 |    0 |    0 |    0 |      |      |      |      |                 0 |
        |    2 |      |      |      |      |      |      |      |                 - |
        |      |      |      |      |      |      |      |      |                 - |
    """,
    )


def test_pain_needs_two_of_three(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq09 | lq10 | lq11 | = pain            |
        |    4 |    2 |    0 |                50 |
        |    1 |    0 |    0 | 8.333333333333334 |
        |    4 |    4 |    3 | 91.66666666666667 |
        |    4 |    1 |      |              62.5 |
        |    4 |      |      |                 - |
        |      |      |      |                 - |
    """,
    )


def test_planning_needs_two_of_three(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq12 | lq13 | lq14 | = planning |
        |    1 |    2 |    3 |         50 |
        |    1 |      |    2 |       37.5 |
        |      |      |    2 |          - |
    """,
    )


def test_one_of_the_two_intimate_items_is_enough(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq15 | lq16 | = intimate_relationships |
        |    2 |   NA |                       50 |
        |   NA |    2 |                       50 |
        |    2 |      |                       50 |
        |    1 |    0 |                     12.5 |
        |   NA |   NA |                        - |
        |   NA |      |                        - |
        |      |      |                        - |
    """,
    )


def test_burden_to_others_needs_two_of_three(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq17 | lq18 | lq19 | = burden_to_others |
        |    0 |    4 |    2 |                 50 |
        |      |    3 |    3 |                 75 |
        |      |      |    3 |                  - |
    """,
    )


def test_emotional_health_needs_three_of_six(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq20 | lq21 | lq22 | lq23 | lq24 | lq25 | = emotional_health |
        |    1 |    0 |    0 |    0 |    0 |    0 |  4.166666666666667 |
        |    1 |    2 |    3 |      |      |      |                 50 |
        |      |      |      |    4 |    4 |    4 |                100 |
        |    4 |    4 |      |      |      |      |                  - |
        |      |      |      |      |      |    4 |                  - |
    """,
    )


def test_body_image_needs_three_of_five(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq26 | lq27 | lq28 | lq29 | lq30 | = body_image |
        |    1 |    0 |    0 |    0 |    0 |            5 |
        |    2 |    3 |    4 |      |      |           75 |
        |    2 |    3 |   NA |   NA |    4 |           75 |
        |    2 |    2 |   NA |   NA |   NA |            - |
        |    2 |    2 |      |      |      |            - |
        |      |      |   NA |   NA |   NA |            - |
    """,
    )


def test_fatigue_needs_two_of_four(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq31 | lq32 | lq33 | lq34 | = fatigue |
        |    1 |    0 |    0 |    0 |      6.25 |
        |    3 |      |      |    2 |      62.5 |
        |      |    4 |      |      |         - |
        |      |      |      |      |         - |
    """,
    )


def test_domains_do_not_touch_each_other(scoring_spec):
    scoring_spec(
        "lupusqol",
        "1.0",
        """
        | lq08 | lq09 | lq10 | lq11 | lq12 | = physical_health | = pain | = planning | = fatigue |
        |    4 |    0 |    0 |    0 |    4 |                 - |      0 |          - |         - |
    """,
    )
