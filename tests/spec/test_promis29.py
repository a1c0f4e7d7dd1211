"""PROMIS-29 v2.0: seven domains, each with raw sum, T-score and standard error, and pain intensity."""

title = "PROMIS-29 profile v2.0: seven domains and pain intensity"
text = """
Items 1 to 28 have codes 1 to 5, four for each domain in order: physical function, anxiety, depression, fatigue,
sleep disturbance, ability to participate, pain interference. The codes printed on the form are the scored ones, so
none is turned here. A domain's raw sum is 4 to 20; T-score and standard error are looked up in its table, and
fatigue has the table of PROMIS Fatigue 4a. All four items are needed. Higher is more of the named thing: better
for physical function and ability to participate, worse for the others. Item 29, pain intensity, is 0 to 10 and its
answer is its score. Standard errors are published copies, but those of physical function, which were recomputed;
the one of depression at 20 is probably a misprint.
"""


def test_physical_function(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr01 | pr02 | pr03 | pr04 | = physical_function_raw | = physical_function_t | = physical_function_se |
        |    1 |    1 |    1 |    1 |                       4 |                  22.9 |                    3.9 |
        |    1 |    1 |    1 |    2 |                       5 |                  26.9 |                    2.7 |
        |    1 |    1 |    2 |    2 |                       6 |                  29.1 |                    2.4 |
        |    1 |    2 |    2 |    2 |                       7 |                  30.7 |                    2.2 |
        |    2 |    2 |    2 |    2 |                       8 |                  32.1 |                    2.2 |
        |    2 |    2 |    2 |    3 |                       9 |                  33.3 |                    2.1 |
        |    2 |    2 |    3 |    3 |                      10 |                  34.4 |                    2.1 |
        |    2 |    3 |    3 |    3 |                      11 |                  35.6 |                    2.1 |
        |    3 |    3 |    3 |    3 |                      12 |                  36.7 |                    2.1 |
        |    3 |    3 |    3 |    4 |                      13 |                  37.9 |                    2.2 |
        |    3 |    3 |    4 |    4 |                      14 |                  39.1 |                    2.2 |
        |    3 |    4 |    4 |    4 |                      15 |                  40.4 |                    2.2 |
        |    4 |    4 |    4 |    4 |                      16 |                  41.8 |                    2.3 |
        |    4 |    4 |    4 |    5 |                      17 |                  43.4 |                    2.4 |
        |    4 |    4 |    5 |    5 |                      18 |                  45.3 |                    2.6 |
        |    4 |    5 |    5 |    5 |                      19 |                    48 |                    3.1 |
        |    5 |    5 |    5 |    5 |                      20 |                  56.9 |                    6.7 |
    """,
    )


def test_anxiety(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr05 | pr06 | pr07 | pr08 | = anxiety_raw | = anxiety_t | = anxiety_se |
        |    1 |    1 |    1 |    1 |             4 |        40.3 |          6.1 |
        |    1 |    1 |    1 |    2 |             5 |          48 |          3.6 |
        |    1 |    1 |    2 |    2 |             6 |        51.2 |          3.1 |
        |    1 |    2 |    2 |    2 |             7 |        53.7 |          2.8 |
        |    2 |    2 |    2 |    2 |             8 |        55.8 |          2.7 |
        |    2 |    2 |    2 |    3 |             9 |        57.7 |          2.6 |
        |    2 |    2 |    3 |    3 |            10 |        59.5 |          2.6 |
        |    2 |    3 |    3 |    3 |            11 |        61.4 |          2.6 |
        |    3 |    3 |    3 |    3 |            12 |        63.4 |          2.6 |
        |    3 |    3 |    3 |    4 |            13 |        65.3 |          2.7 |
        |    3 |    3 |    4 |    4 |            14 |        67.3 |          2.7 |
        |    3 |    4 |    4 |    4 |            15 |        69.3 |          2.7 |
        |    4 |    4 |    4 |    4 |            16 |        71.2 |          2.7 |
        |    4 |    4 |    4 |    5 |            17 |        73.3 |          2.7 |
        |    4 |    4 |    5 |    5 |            18 |        75.4 |          2.7 |
        |    4 |    5 |    5 |    5 |            19 |        77.9 |          2.9 |
        |    5 |    5 |    5 |    5 |            20 |        81.6 |          3.7 |
    """,
    )


def test_depression(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr09 | pr10 | pr11 | pr12 | = depression_raw | = depression_t | = depression_se |
        |    1 |    1 |    1 |    1 |                4 |             41 |             6.2 |
        |    1 |    1 |    1 |    2 |                5 |             49 |             3.2 |
        |    1 |    1 |    2 |    2 |                6 |           51.8 |             2.7 |
        |    1 |    2 |    2 |    2 |                7 |           53.9 |             2.4 |
        |    2 |    2 |    2 |    2 |                8 |           55.7 |             2.3 |
        |    2 |    2 |    2 |    3 |                9 |           57.3 |             2.3 |
        |    2 |    2 |    3 |    3 |               10 |           58.9 |             2.3 |
        |    2 |    3 |    3 |    3 |               11 |           60.5 |             2.3 |
        |    3 |    3 |    3 |    3 |               12 |           62.2 |             2.3 |
        |    3 |    3 |    3 |    4 |               13 |           63.9 |             2.3 |
        |    3 |    3 |    4 |    4 |               14 |           65.7 |             2.3 |
        |    3 |    4 |    4 |    4 |               15 |           67.5 |             2.3 |
        |    4 |    4 |    4 |    4 |               16 |           69.4 |             2.3 |
        |    4 |    4 |    4 |    5 |               17 |           71.2 |             2.4 |
        |    4 |    4 |    5 |    5 |               18 |           73.3 |             2.4 |
        |    4 |    5 |    5 |    5 |               19 |           75.7 |             2.6 |
        |    5 |    5 |    5 |    5 |               20 |           79.4 |             2.6 |
    """,
    )


def test_fatigue(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr13 | pr14 | pr15 | pr16 | = fatigue_raw | = fatigue_t | = fatigue_se |
        |    1 |    1 |    1 |    1 |             4 |        33.7 |          4.9 |
        |    1 |    1 |    1 |    2 |             5 |        39.7 |          3.1 |
        |    1 |    1 |    2 |    2 |             6 |        43.1 |          2.7 |
        |    1 |    2 |    2 |    2 |             7 |          46 |          2.6 |
        |    2 |    2 |    2 |    2 |             8 |        48.6 |          2.5 |
        |    2 |    2 |    2 |    3 |             9 |          51 |          2.5 |
        |    2 |    2 |    3 |    3 |            10 |        53.1 |          2.4 |
        |    2 |    3 |    3 |    3 |            11 |        55.1 |          2.4 |
        |    3 |    3 |    3 |    3 |            12 |          57 |          2.3 |
        |    3 |    3 |    3 |    4 |            13 |        58.8 |          2.3 |
        |    3 |    3 |    4 |    4 |            14 |        60.7 |          2.3 |
        |    3 |    4 |    4 |    4 |            15 |        62.7 |          2.4 |
        |    4 |    4 |    4 |    4 |            16 |        64.6 |          2.4 |
        |    4 |    4 |    4 |    5 |            17 |        66.7 |          2.4 |
        |    4 |    4 |    5 |    5 |            18 |          69 |          2.5 |
        |    4 |    5 |    5 |    5 |            19 |        71.6 |          2.7 |
        |    5 |    5 |    5 |    5 |            20 |        75.8 |          3.9 |
    """,
    )


def test_sleep_disturbance(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr17 | pr18 | pr19 | pr20 | = sleep_disturbance_raw | = sleep_disturbance_t | = sleep_disturbance_se |
        |    1 |    1 |    1 |    1 |                       4 |                    32 |                    5.2 |
        |    1 |    1 |    1 |    2 |                       5 |                  37.5 |                      4 |
        |    1 |    1 |    2 |    2 |                       6 |                  41.1 |                    3.7 |
        |    1 |    2 |    2 |    2 |                       7 |                  43.8 |                    3.5 |
        |    2 |    2 |    2 |    2 |                       8 |                  46.2 |                    3.5 |
        |    2 |    2 |    2 |    3 |                       9 |                  48.4 |                    3.4 |
        |    2 |    2 |    3 |    3 |                      10 |                  50.5 |                    3.4 |
        |    2 |    3 |    3 |    3 |                      11 |                  52.4 |                    3.4 |
        |    3 |    3 |    3 |    3 |                      12 |                  54.3 |                    3.4 |
        |    3 |    3 |    3 |    4 |                      13 |                  56.1 |                    3.4 |
        |    3 |    3 |    4 |    4 |                      14 |                  57.9 |                    3.3 |
        |    3 |    4 |    4 |    4 |                      15 |                  59.8 |                    3.3 |
        |    4 |    4 |    4 |    4 |                      16 |                  61.7 |                    3.3 |
        |    4 |    4 |    4 |    5 |                      17 |                  63.8 |                    3.4 |
        |    4 |    4 |    5 |    5 |                      18 |                    66 |                    3.4 |
        |    4 |    5 |    5 |    5 |                      19 |                  68.8 |                    3.7 |
        |    5 |    5 |    5 |    5 |                      20 |                  73.3 |                    4.6 |
    """,
    )


def test_ability_to_participate(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr21 | pr22 | pr23 | pr24 | = ability_to_participate_raw | = ability_to_participate_t |
        |    1 |    1 |    1 |    1 |                            4 |                       27.5 |
        |    1 |    1 |    1 |    2 |                            5 |                       31.8 |
        |    1 |    1 |    2 |    2 |                            6 |                         34 |
        |    1 |    2 |    2 |    2 |                            7 |                       35.7 |
        |    2 |    2 |    2 |    2 |                            8 |                       37.3 |
        |    2 |    2 |    2 |    3 |                            9 |                       38.8 |
        |    2 |    2 |    3 |    3 |                           10 |                       40.5 |
        |    2 |    3 |    3 |    3 |                           11 |                       42.3 |
        |    3 |    3 |    3 |    3 |                           12 |                       44.2 |
        |    3 |    3 |    3 |    4 |                           13 |                       46.2 |
        |    3 |    3 |    4 |    4 |                           14 |                       48.1 |
        |    3 |    4 |    4 |    4 |                           15 |                         50 |
        |    4 |    4 |    4 |    4 |                           16 |                       51.9 |
        |    4 |    4 |    4 |    5 |                           17 |                       53.7 |
        |    4 |    4 |    5 |    5 |                           18 |                       55.8 |
        |    4 |    5 |    5 |    5 |                           19 |                       58.3 |
        |    5 |    5 |    5 |    5 |                           20 |                       64.2 |
    """,
    )


def test_ability_to_participate_standard_error(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr21 | pr22 | pr23 | pr24 | = ability_to_participate_se |
        |    1 |    1 |    1 |    1 |                         4.1 |
        |    1 |    1 |    1 |    2 |                         2.5 |
        |    1 |    1 |    2 |    2 |                         2.3 |
        |    1 |    2 |    2 |    2 |                         2.2 |
        |    2 |    2 |    2 |    2 |                         2.1 |
        |    2 |    2 |    2 |    3 |                         2.2 |
        |    2 |    2 |    3 |    3 |                         2.3 |
        |    2 |    3 |    3 |    3 |                         2.3 |
        |    3 |    3 |    3 |    3 |                         2.3 |
        |    3 |    3 |    3 |    4 |                         2.3 |
        |    3 |    3 |    4 |    4 |                         2.2 |
        |    3 |    4 |    4 |    4 |                         2.2 |
        |    4 |    4 |    4 |    4 |                         2.2 |
        |    4 |    4 |    4 |    5 |                         2.3 |
        |    4 |    4 |    5 |    5 |                         2.3 |
        |    4 |    5 |    5 |    5 |                         2.7 |
        |    5 |    5 |    5 |    5 |                         5.1 |
    """,
    )


def test_pain_interference(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr25 | pr26 | pr27 | pr28 | = pain_interference_raw | = pain_interference_t | = pain_interference_se |
        |    1 |    1 |    1 |    1 |                       4 |                  41.6 |                    6.1 |
        |    1 |    1 |    1 |    2 |                       5 |                  49.6 |                    2.5 |
        |    1 |    1 |    2 |    2 |                       6 |                    52 |                      2 |
        |    1 |    2 |    2 |    2 |                       7 |                  53.9 |                    1.9 |
        |    2 |    2 |    2 |    2 |                       8 |                  55.6 |                    1.9 |
        |    2 |    2 |    2 |    3 |                       9 |                  57.1 |                    1.9 |
        |    2 |    2 |    3 |    3 |                      10 |                  58.5 |                    1.8 |
        |    2 |    3 |    3 |    3 |                      11 |                  59.9 |                    1.8 |
        |    3 |    3 |    3 |    3 |                      12 |                  61.2 |                    1.8 |
        |    3 |    3 |    3 |    4 |                      13 |                  62.5 |                    1.8 |
        |    3 |    3 |    4 |    4 |                      14 |                  63.8 |                    1.8 |
        |    3 |    4 |    4 |    4 |                      15 |                  65.2 |                    1.8 |
        |    4 |    4 |    4 |    4 |                      16 |                  66.6 |                    1.8 |
        |    4 |    4 |    4 |    5 |                      17 |                    68 |                    1.8 |
        |    4 |    4 |    5 |    5 |                      18 |                  69.7 |                    1.9 |
        |    4 |    5 |    5 |    5 |                      19 |                  71.6 |                    2.1 |
        |    5 |    5 |    5 |    5 |                      20 |                  75.6 |                    3.7 |
    """,
    )


def test_no_code_is_turned_in_the_first_four_domains(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | rest | = physical_function_raw | = anxiety_raw | = depression_raw | = fatigue_raw |
        |    1 |                       4 |             4 |                4 |             4 |
        |    2 |                       8 |             8 |                8 |             8 |
        |    3 |                      12 |            12 |               12 |            12 |
        |    4 |                      16 |            16 |               16 |            16 |
        |    5 |                      20 |            20 |               20 |            20 |
    """,
    )


def test_no_code_is_turned_in_the_last_three_domains(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | rest | = sleep_disturbance_raw | = ability_to_participate_raw | = pain_interference_raw |
        |    1 |                       4 |                            4 |                       4 |
        |    2 |                       8 |                            8 |                       8 |
        |    3 |                      12 |                           12 |                      12 |
        |    4 |                      16 |                           16 |                      16 |
        |    5 |                      20 |                           20 |                      20 |
    """,
    )


def test_single_items_of_sleep_disturbance_are_not_turned(scoring_spec):
    """Sleep quality and refreshing sleep are printed 5 to 1 already."""
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr17 | pr18 | pr19 | pr20 | = sleep_disturbance_raw | = sleep_disturbance_t |
        |    5 |    1 |    1 |    1 |                       8 |                  46.2 |
        |    1 |    5 |    1 |    1 |                       8 |                  46.2 |
        |    1 |    1 |    5 |    1 |                       8 |                  46.2 |
        |    1 |    1 |    1 |    5 |                       8 |                  46.2 |
    """,
    )


def test_pain_intensity_is_its_answer(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr29 | = pain_intensity |
        |    0 |                0 |
        |    1 |                1 |
        |    2 |                2 |
        |    3 |                3 |
        |    4 |                4 |
        |    5 |                5 |
        |    6 |                6 |
        |    7 |                7 |
        |    8 |                8 |
        |    9 |                9 |
        |   10 |               10 |
        |      |  too_few_answers |
    """,
    )


def test_physical_function_needs_all_four(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr01 | pr02 | pr03 | pr04 | = physical_function_raw | = physical_function_t | = physical_function_se |
        |      |    3 |    3 |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |      |    3 |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |      |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |    3 |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |    5 |      |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |      |      |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
    """,
    )


def test_anxiety_needs_all_four(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr05 | pr06 | pr07 | pr08 | = anxiety_raw   | = anxiety_t     | = anxiety_se    |
        |      |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |      | too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
    """,
    )


def test_depression_needs_all_four(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr09 | pr10 | pr11 | pr12 | = depression_raw | = depression_t  | = depression_se |
        |      |    3 |    3 |    3 |  too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 |  too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 |  too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      |  too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |      |  too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      |  too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      |  too_few_answers | too_few_answers | too_few_answers |
    """,
    )


def test_fatigue_needs_all_four(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr13 | pr14 | pr15 | pr16 | = fatigue_raw   | = fatigue_t     | = fatigue_se    |
        |      |    3 |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |      |    3 |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |    3 | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |    3 |      | too_few_answers | too_few_answers | too_few_answers |
        |    3 |    3 |      |      | too_few_answers | too_few_answers | too_few_answers |
        |    5 |      |      |      | too_few_answers | too_few_answers | too_few_answers |
        |      |      |      |      | too_few_answers | too_few_answers | too_few_answers |
    """,
    )


def test_sleep_disturbance_needs_all_four(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr17 | pr18 | pr19 | pr20 | = sleep_disturbance_raw | = sleep_disturbance_t | = sleep_disturbance_se |
        |      |    3 |    3 |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |      |    3 |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |      |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |    3 |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |    5 |      |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |      |      |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
    """,
    )


def test_ability_to_participate_needs_all_four(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr21 | pr22 | pr23 | pr24 | = ability_to_participate_raw | = ability_to_participate_t |
        |      |    3 |    3 |    3 |              too_few_answers |            too_few_answers |
        |    3 |      |    3 |    3 |              too_few_answers |            too_few_answers |
        |    3 |    3 |      |    3 |              too_few_answers |            too_few_answers |
        |    3 |    3 |    3 |      |              too_few_answers |            too_few_answers |
        |    3 |    3 |      |      |              too_few_answers |            too_few_answers |
        |    5 |      |      |      |              too_few_answers |            too_few_answers |
        |      |      |      |      |              too_few_answers |            too_few_answers |
    """,
    )


def test_pain_interference_needs_all_four(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr25 | pr26 | pr27 | pr28 | = pain_interference_raw | = pain_interference_t | = pain_interference_se |
        |      |    3 |    3 |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |      |    3 |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |      |    3 |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |    3 |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |    3 |    3 |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |    5 |      |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
        |      |      |      |      |         too_few_answers |       too_few_answers |        too_few_answers |
    """,
    )


def test_domains_do_not_touch_each_other(scoring_spec):
    scoring_spec(
        "promis29",
        "1.0",
        """
        | pr05 | pr29 | rest | = physical_function_t | = anxiety_t     | = depression_t | = pain_intensity |
        |      |      |    3 |                  36.7 | too_few_answers |           62.2 |  too_few_answers |
        |    1 |   10 |    5 |                  56.9 |            71.2 |           79.4 |               10 |
    """,
    )
