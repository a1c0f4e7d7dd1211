"""WPAI:Lupus: four percentages."""

from epro.questionnaires.checking import remarks
from epro.questionnaires.library import bundled_instrument

title = "WPAI:Lupus: absenteeism, presenteeism, overall work impairment, activity impairment"
text = """
Six items, past 7 days without today: 1 employed (1 yes, 0 no), 2 hours missed for lupus, 3 hours missed otherwise,
4 hours worked, 5 effect while working (0 to 10), 6 effect on daily activities (0 to 10). All scores are per cent and
higher is worse.

Absenteeism is item 2 of items 2 and 4 together; presenteeism is item 5 times 10; overall is the share missed plus,
of the rest, the share impaired; activity is item 6 times 10. Item 3 is in no score. People who are not employed have
no work scores, and neither have those who worked no hour and missed none. When hours were missed and none worked,
absenteeism and overall are 100 and there is no presenteeism.
"""


def test_published_values(scoring_spec):
    scoring_spec(
        "wpai_lupus",
        "1.0",
        """
        | wp01 | wp02 | wp04 | wp05 | = absenteeism | = presenteeism | = overall_work_impairment |
        |    1 |    8 |   32 |    5 |            20 |             50 |                        60 |
        |    1 |    0 |   40 |    0 |             0 |              0 |                         0 |
        |    1 |    0 |   40 |   10 |             0 |            100 |                       100 |
        |    1 |   40 |   40 |   10 |            50 |            100 |                       100 |
        |    1 |   20 |   20 |    0 |            50 |              0 |                        50 |
        |    1 |  168 |  168 |    2 |            50 |             20 |                        60 |
    """,
    )


def test_full_precision_is_kept(scoring_spec):
    """1 of 3 hours missed, effect 5: a third, and a third plus half of two thirds."""
    scoring_spec(
        "wpai_lupus",
        "1.0",
        """
        | wp01 | wp02 | wp04 | wp05 | = absenteeism      | = presenteeism | = overall_work_impairment |
        |    1 |    1 |    2 |    5 | 33.333333333333336 |             50 |         66.66666666666667 |
        |    1 |    2 |    5 |    3 | 28.571428571428573 |             30 |                        50 |
        |    1 |    5 |   30 |    7 | 14.285714285714286 |             70 |         74.28571428571429 |
    """,
    )


def test_hours_missed_otherwise_do_not_count(scoring_spec):
    scoring_spec(
        "wpai_lupus",
        "1.0",
        """
        | wp01 | wp02 | wp03 | wp04 | wp05 | = absenteeism   | = presenteeism | = overall_work_impairment |
        |    1 |    8 |    0 |   32 |    5 |              20 |             50 |                        60 |
        |    1 |    8 |   40 |   32 |    5 |              20 |             50 |                        60 |
        |    1 |      |   40 |   32 |    5 | too_few_answers |             50 |           too_few_answers |
    """,
    )


def test_who_is_not_employed_has_no_work_scores(scoring_spec):
    scoring_spec(
        "wpai_lupus",
        "1.0",
        """
        | wp01 | wp02      | wp04      | wp05      | = absenteeism | = presenteeism | = overall_work_impairment |
        |    0 |           |           |           |  not_employed |   not_employed |              not_employed |
        |    0 | NOT_ASKED | NOT_ASKED | NOT_ASKED |  not_employed |   not_employed |              not_employed |
        |    0 |         8 |        32 |         5 |  not_employed |   not_employed |              not_employed |
    """,
    )


def test_activity_is_for_everybody(scoring_spec):
    scoring_spec(
        "wpai_lupus",
        "1.0",
        """
        | wp01 | wp02 | wp04 | wp05 | wp06 | = activity_impairment |
        |    1 |    8 |   32 |    5 |    5 |                    50 |
        |    1 |    0 |    0 |      |   10 |                   100 |
        |    0 |      |      |      |    3 |                    30 |
        |    0 |      |      |      |    0 |                     0 |
        |      |      |      |      |    7 |                    70 |
        |    1 |    8 |   32 |    5 |      |       too_few_answers |
        |    0 |      |      |      |      |       too_few_answers |
        |      |      |      |      |      |       too_few_answers |
    """,
    )


def test_no_hour_worked(scoring_spec):
    """The effect is not asked; hours missed and none worked is our policy."""
    scoring_spec(
        "wpai_lupus",
        "1.0",
        """
        | wp01 | wp02 | wp04 | wp05      | = absenteeism   | = presenteeism | = overall_work_impairment |
        |    1 |    8 |    0 |           |             100 | nothing_worked |                       100 |
        |    1 |    8 |    0 | NOT_ASKED |             100 | nothing_worked |                       100 |
        |    1 |    0 |    0 |           |        no_hours | nothing_worked |                  no_hours |
        |    1 |      |    0 |           | too_few_answers | nothing_worked |           too_few_answers |
    """,
    )


def test_what_is_needed_must_be_answered(scoring_spec):
    scoring_spec(
        "wpai_lupus",
        "1.0",
        """
        | wp01 | wp02 | wp04 | wp05 | = absenteeism   | = presenteeism  | = overall_work_impairment |
        |    1 |    8 |   32 |      |              20 | too_few_answers |           too_few_answers |
        |    1 |    8 |      |    5 | too_few_answers |              50 |           too_few_answers |
        |    1 |      |   32 |    5 | too_few_answers |              50 |           too_few_answers |
        |    1 |      |      |      | too_few_answers | too_few_answers |           too_few_answers |
        |      |      |      |      | too_few_answers | too_few_answers |           too_few_answers |
    """,
    )


def test_more_than_half_a_week_of_one_kind_of_hours_asks_again():
    answers = {"wp01": 1, "wp02": 84, "wp03": 85, "wp04": 100, "wp05": 0, "wp06": 0}
    found = remarks(bundled_instrument("wpai_lupus"), answers)
    assert [remark.item for remark in found] == ["many_hours_missed_otherwise", "many_hours_worked"]


def test_answers_that_were_not_to_be_asked_are_remarked():
    answers = {"wp01": 0, "wp02": 8, "wp04": 0, "wp05": 5, "wp06": 0}
    found = remarks(bundled_instrument("wpai_lupus"), answers)
    assert [(remark.code, remark.item) for remark in found] == [
        ("answered_though_not_asked", item) for item in ("wp02", "wp04", "wp05")
    ]
