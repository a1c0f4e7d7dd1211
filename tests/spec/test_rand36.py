"""RAND-36: eight scales of 0 to 100."""

title = "RAND-36: eight scales"
text = """
36 items, most about the past 4 weeks. Each code is recoded to a value of 0 to 100, and a scale is the mean of its
answered items. One answered item is enough. 0 is the worst, 100 the best. Item 2, the change in a year, is in no
scale.

Recoding: 1, 2, 20, 22, 34, 36 count 100, 75, 50, 25, 0; 32, 33, 35 the other way round; 3-12 count 0, 50, 100;
13-19 count 0, 100; 21, 23, 26, 27, 30 count 100, 80, 60, 40, 20, 0; 24, 25, 28, 29, 31 the other way round.
"""


def test_every_item_with_code_one(scoring_spec):
    """The published check value."""
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rest | = physical_functioning | = role_physical | = role_emotional | = energy_fatigue |
        |    1 |                      0 |               0 |                0 |               50 |
    """,
    )
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rest | = emotional_wellbeing | = social_functioning | = pain | = general_health |
        |    1 |                    40 |                   50 |    100 |               60 |
    """,
    )


def test_physical_functioning(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd03 | rd04 | rd05 | rd06 | rd07 | rd08 | rd09 | rd10 | rd11 | rd12 | = physical_functioning |
        |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |    1 |                      0 |
        |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |    2 |                     50 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |                    100 |
        |    1 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |                     90 |
        |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    3 |    2 |                     95 |
        |    3 |    3 |    3 |    3 |    1 |      |      |      |      |      |                     80 |
        |    2 |      |      |    3 |      |      |      |      |    3 |      |      83.33333333333333 |
        |      |      |      |      |      |      |      |      |      |    2 |                     50 |
        |      |      |      |      |      |      |      |      |      |      |                      - |
    """,
    )


def test_role_limits(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd13 | rd14 | rd15 | rd16 | = role_physical | rd17 | rd18 | rd19 | = role_emotional   |
        |    2 |    2 |    2 |    2 |             100 |    2 |    2 |    2 |                100 |
        |    2 |    1 |    1 |    1 |              25 |    2 |    1 |    1 | 33.333333333333336 |
        |    1 |    2 |    2 |    2 |              75 |    2 |    2 |    1 |  66.66666666666667 |
        |    2 |    1 |      |      |              50 |      |    2 |    1 |                 50 |
        |      |      |      |    2 |             100 |    1 |      |      |                  0 |
        |      |      |      |      |               - |      |      |      |                  - |
    """,
    )


def test_energy_and_fatigue(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd23 | rd27 | rd29 | rd31 | = energy_fatigue |
        |    1 |    1 |    6 |    6 |              100 |
        |    6 |    6 |    1 |    1 |                0 |
        |    6 |    6 |    6 |    6 |               50 |
        |    2 |    3 |    4 |    6 |               75 |
        |    2 |      |    2 |      |               50 |
        |    2 |    1 |    1 |      |               60 |
        |      |      |      |    5 |               80 |
        |      |      |      |      |                - |
    """,
    )


def test_emotional_wellbeing(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd24 | rd25 | rd26 | rd28 | rd30 | = emotional_wellbeing |
        |    6 |    6 |    1 |    6 |    1 |                   100 |
        |    1 |    1 |    6 |    1 |    6 |                     0 |
        |    6 |    6 |    6 |    6 |    6 |                    60 |
        |    5 |    6 |    2 |    4 |    3 |                    76 |
        |    5 |    6 |      |    6 |      |     93.33333333333333 |
        |      |      |      |      |    5 |                    20 |
        |      |      |      |      |      |                     - |
    """,
    )


def test_social_functioning_and_pain(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd20 | rd32 | = social_functioning | rd21 | rd22 | = pain |
        |    1 |    5 |                  100 |    1 |    1 |    100 |
        |    5 |    1 |                    0 |    6 |    5 |      0 |
        |    5 |    5 |                   50 |    2 |    3 |     65 |
        |    2 |    4 |                   75 |    5 |    2 |   47.5 |
        |    2 |      |                   75 |    3 |      |     60 |
        |      |    2 |                   25 |      |    4 |     25 |
        |      |      |                    - |      |      |      - |
    """,
    )


def test_general_health(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd01 | rd33 | rd34 | rd35 | rd36 | = general_health  |
        |    1 |    5 |    1 |    5 |    1 |               100 |
        |    5 |    1 |    5 |    1 |    5 |                 0 |
        |    5 |    5 |    5 |    5 |    5 |                40 |
        |    2 |    4 |    2 |    3 |    1 |                75 |
        |    2 |    4 |      |    3 |      | 66.66666666666667 |
        |      |      |    4 |      |      |                25 |
        |      |      |      |      |      |                 - |
    """,
    )


def test_each_code_of_six(scoring_spec):
    """One item alone is its own mean, so it shows its recoding."""
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd21 | = pain | rd23 | = energy_fatigue | rd26 | = emotional_wellbeing |
        |    1 |    100 |    1 |              100 |    1 |                   100 |
        |    2 |     80 |    2 |               80 |    2 |                    80 |
        |    3 |     60 |    3 |               60 |    3 |                    60 |
        |    4 |     40 |    4 |               40 |    4 |                    40 |
        |    5 |     20 |    5 |               20 |    5 |                    20 |
        |    6 |      0 |    6 |                0 |    6 |                     0 |
    """,
    )
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd29 | = energy_fatigue | rd24 | = emotional_wellbeing |
        |    1 |                0 |    1 |                     0 |
        |    2 |               20 |    2 |                    20 |
        |    3 |               40 |    3 |                    40 |
        |    4 |               60 |    4 |                    60 |
        |    5 |               80 |    5 |                    80 |
        |    6 |              100 |    6 |                   100 |
    """,
    )


def test_the_turned_items_one_by_one(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd27 | rd31 | rd25 | rd28 | rd30 | = energy_fatigue | = emotional_wellbeing |
        |    2 |      |      |      |    2 |               80 |                    80 |
        |      |    2 |    2 |      |      |               20 |                    20 |
        |      |    3 |      |    3 |      |               40 |                    40 |
    """,
    )


def test_each_code_of_five(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd20 | = social_functioning | rd22 | = pain | rd01 | = general_health |
        |    1 |                  100 |    1 |    100 |    1 |              100 |
        |    2 |                   75 |    2 |     75 |    2 |               75 |
        |    3 |                   50 |    3 |     50 |    3 |               50 |
        |    4 |                   25 |    4 |     25 |    4 |               25 |
        |    5 |                    0 |    5 |      0 |    5 |                0 |
    """,
    )
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd32 | = social_functioning | rd33 | = general_health |
        |    1 |                    0 |    1 |                0 |
        |    2 |                   25 |    2 |               25 |
        |    3 |                   50 |    3 |               50 |
        |    4 |                   75 |    4 |               75 |
        |    5 |                  100 |    5 |              100 |
    """,
    )


def test_the_other_items_of_general_health_one_by_one(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd34 | rd35 | rd36 | = general_health |
        |    2 |      |      |               75 |
        |      |    2 |      |               25 |
        |      |      |    2 |               75 |
    """,
    )


def test_the_change_in_a_year_is_in_no_scale(scoring_spec):
    scoring_spec(
        "rand36",
        "1.0",
        """
        | rd02 | rest | = general_health | = physical_functioning | = emotional_wellbeing | = pain |
        |    5 |    1 |               60 |                      0 |                    40 |    100 |
        |    1 |      |                - |                      - |                     - |      - |
    """,
    )
