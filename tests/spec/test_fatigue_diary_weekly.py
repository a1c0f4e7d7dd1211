"""The fatigue diary by the week: mean and worst of the days, and how many there were."""

from epro.questionnaires.library import bundled_instrument

title = "Fatigue diary, weekly"
text = """
The items are seven consecutive days of the fatigue diary's one item, 0 to 10; nobody is asked them. The weekly value
is the mean, or the worst, of the days that were answered, and needs at least 4 of 7: a convention, not an
instrument's rule. Higher is worse. The number of days answered is told beside it.
"""


def test_four_days_of_seven_are_enough_and_three_are_not(scoring_spec):
    scoring_spec(
        "fatigue_diary_weekly",
        "1.0",
        """
        | day1 | day2 | day3 | day4 | day5 | day6 | day7 | = weekly_mean     | = n_days        |  = weekly_worst |
        |    0 |    0 |    0 |    0 |    0 |    0 |    0 |                 0 |               7 |               0 |
        |   10 |   10 |   10 |   10 |   10 |   10 |   10 |                10 |               7 |              10 |
        |    4 |    5 |    6 |    7 |    4 |    5 |    6 | 5.285714285714286 |               7 |               7 |
        |    4 |    5 |    6 |    7 |      |      |      |               5.5 |               4 |               7 |
        |      |    3 |      |    3 |    4 |      |    3 |              3.25 |               4 |               4 |
        |    9 |    8 |    8 |    2 |    1 |      |      |               5.6 |               5 |               9 |
        |    4 |    5 |    6 |      |      |      |      |   too_few_answers |               3 | too_few_answers |
        |      |      |      |      |      |      |   10 |   too_few_answers |               1 | too_few_answers |
        |      |      |      |      |      |      |      |   too_few_answers | too_few_answers | too_few_answers |
    """,
    )


def test_its_items_are_days_of_the_diary():
    weekly = bundled_instrument("fatigue_diary_weekly", "1.0")
    derived = weekly.derived_from
    assert derived is not None and derived["days"] == len(weekly.items) == 7
    asked = bundled_instrument(derived["instrument"]).item(derived["item"])
    assert {item.codes for item in weekly.items} == {asked.codes}
