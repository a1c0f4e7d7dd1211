"""Checking answers, and what a score tells about itself. The values stand in tests/spec."""

from __future__ import annotations

import pytest

from epro.questionnaires.checking import Finding, check
from epro.questionnaires.library import bundled_instrument
from epro.questionnaires.scoring import InvalidAnswers, score

LUPUSQOL = bundled_instrument("lupusqol")

GOOD = [None, 0, 4, 2.0, -0.0]
BAD = [
    (True, "wrong_type"), (False, "wrong_type"), ("3", "wrong_type"), ("", "wrong_type"), ("na", "wrong_type"),
    (2.9, "wrong_type"), (float("nan"), "wrong_type"), (float("inf"), "wrong_type"), ([3], "wrong_type"),
    ({"code": 3}, "wrong_type"), (-1, "out_of_range"), (5, "out_of_range"), (254, "out_of_range"),
    (255, "out_of_range"), (5.0, "out_of_range"), (10**400, "out_of_range"), (1e300, "out_of_range"),
    ("NA", "not_applicable_not_offered"),
]  # fmt: skip


@pytest.mark.parametrize("answer", GOOD)
def test_a_good_answer_has_no_finding(answer):
    assert check(LUPUSQOL, {"lq01": answer}) == []


@pytest.mark.parametrize(("answer", "code"), BAD, ids=[f"{str(answer)[:9]}" for answer, _ in BAD])
def test_a_bad_answer_has_one_finding_that_does_not_repeat_it(answer, code):
    (finding,) = check(LUPUSQOL, {"lq01": answer, "lq02": 1})
    assert (finding.code, finding.item) == (code, "lq01")
    assert finding.detail == check(LUPUSQOL, {"lq03": answer})[0].detail


def test_not_applicable_counts_where_it_is_offered():
    assert check(LUPUSQOL, {"lq15": "NA", "lq28": "NA"}) == []
    assert [finding.item for finding in check(LUPUSQOL, {"lq14": "NA", "lq15": "NA"})] == ["lq14"]


def test_the_lowest_code_of_the_fss_is_one():
    fss = bundled_instrument("fss")
    assert [finding.code for finding in check(fss, {"fss1": 0, "fss2": 1, "fss3": 8})] == ["out_of_range"] * 2


def test_an_unknown_item_is_found_and_its_name_cut():
    findings = check(LUPUSQOL, {"lq35": 1, "x" * 500: 2})
    assert [(finding.code, len(finding.item)) for finding in findings] == [
        ("unknown_item", 4),
        ("unknown_item", 64),
    ]


def test_findings_come_in_the_order_of_the_answers():
    assert [finding.item for finding in check(LUPUSQOL, {"lq09": 9, "lq01": 9, "lq05": 9})] == [
        "lq09",
        "lq01",
        "lq05",
    ]


@pytest.mark.parametrize("answers", [{"lq01": 5}, {"lq01": True}, {"lq35": 1}, {"lq01": [1]}, {"lq01": "NA"}])
def test_answers_that_do_not_fit_are_not_scored_at_all(answers):
    with pytest.raises(InvalidAnswers) as caught:
        score(LUPUSQOL, answers)
    assert caught.value.errors == [Finding(*finding)._asdict() for finding in check(LUPUSQOL, answers)]


def test_a_score_explains_itself():
    pain = score(LUPUSQOL, {"lq09": 4, "lq11": 1, "lq10": None})[1]
    assert pain._asdict() == {
        "scale": "pain", "value": 62.5, "reason": None, "answered": 2, "expected": 3, "rule": "at_least_half",
        "items_used": ("lq09", "lq11"), "items_missing": ("lq10",), "method": "mean_to_0_100", "method_version": 1,
        "instrument_code": "lupusqol", "instrument_version": "1.0", "instrument_digest": LUPUSQOL.digest,
        "blinded": False,
    }  # fmt: skip


def test_nothing_answered_is_no_score_and_never_zero():
    for code in ("lupusqol", "facit_fatigue", "fss", "fatigue_diary"):
        for one in score(bundled_instrument(code), {}):
            assert (one.value, one.reason, one.answered, one.items_used) == (None, "too_few_answers", 0, ())


def test_the_stored_code_is_not_turned_by_reversal():
    answers = {f"ff{number:02d}": 1 for number in range(1, 14)}
    score(bundled_instrument("facit_fatigue"), answers)
    assert set(answers.values()) == {1}
