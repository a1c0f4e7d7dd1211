"""Scoring against an independent reading of the published rules, and what must hold for any answers.

`published` below was written from the rules alone and shares nothing with the definitions or the engine: it has
its own item numbers and computes with exact fractions.
"""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.questionnaires.bulk import encode, score_codes, score_file
from epro.questionnaires.checking import check
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.library import bundled
from epro.questionnaires.scoring import InvalidAnswers, score

often = settings(max_examples=100, deadline=None)

LUPUSQOL = {
    "physical_health": range(1, 9),
    "pain": range(9, 12),
    "planning": range(12, 15),
    "intimate_relationships": range(15, 17),
    "burden_to_others": range(17, 20),
    "emotional_health": range(20, 26),
    "body_image": range(26, 31),
    "fatigue": range(31, 35),
}


def published(code: str, answers: dict[str, Any]) -> dict[str, Fraction | None]:
    """Scores as the instruments' rules say, by scale; None where there is no score."""
    given_codes = {name: Fraction(answer) for name, answer in answers.items() if answer not in (None, "NA")}
    rules = {"lupusqol": lupusqol, "facit_fatigue": facit, "fss": fss, "fatigue_diary": diary}
    return rules[code](given_codes)


def lupusqol(codes: dict[str, Fraction]) -> dict[str, Fraction | None]:
    return {domain: lupusqol_domain(codes, list(numbers)) for domain, numbers in LUPUSQOL.items()}


def lupusqol_domain(codes: dict[str, Fraction], numbers: list[int]) -> Fraction | None:
    answered = [codes[f"lq{number:02d}"] for number in numbers if f"lq{number:02d}" in codes]
    if not answered or Fraction(len(answered), len(numbers)) < Fraction(1, 2):
        return None
    return sum(answered) / len(answered) / 4 * 100


def facit(codes: dict[str, Fraction]) -> dict[str, Fraction | None]:
    scored = [code if name in ("ff07", "ff08") else 4 - code for name, code in codes.items()]
    return {"total": sum(scored) * 13 / len(scored) if len(scored) >= 7 else None}


def fss(codes: dict[str, Fraction]) -> dict[str, Fraction | None]:
    nine = sum(codes.values()) / 9 if len(codes) == 9 else None
    last = [codes[f"fss{number}"] for number in range(3, 10) if f"fss{number}" in codes]
    return {"fss9_mean": nine, "fss7_mean": sum(last) / 7 if len(last) == 7 else None}


def diary(codes: dict[str, Fraction]) -> dict[str, Fraction | None]:
    return {"worst_fatigue": codes.get("worst_fatigue")}


@st.composite
def answered(draw: st.DrawFn, instrument: Instrument) -> dict[str, Any]:
    """Valid answers, with as many gaps as chance likes: null, absent, not applicable, 2.0 for 2."""
    gaps = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9]))
    answers = {}
    for item in instrument.items:
        offered = [None, "NA"] if item.not_applicable else [None]
        if draw(st.floats(0, 1)) >= gaps:
            offered = [*item.codes, float(item.codes[0])]
        answers[item.id] = draw(st.sampled_from(offered))
    absent = draw(st.sets(st.sampled_from([item.id for item in instrument.items]))) if gaps else set()
    return {name: answer for name, answer in answers.items() if name not in absent}


def valid() -> st.SearchStrategy[tuple[Instrument, dict[str, Any]]]:
    return st.sampled_from(bundled()).flatmap(lambda one: answered(one).map(lambda answers: (one, answers)))


def anything(instrument: Instrument) -> st.SearchStrategy[dict[str, Any]]:
    """What a faulty or hostile sender may send under known and unknown items."""
    names = st.sampled_from([*(item.id for item in instrument.items), "lq99", "", "name"])
    odd = st.sampled_from(
        [True, False, "NA", "3", "na", 2.9, -1, 99, 2**63, 1e300, 253, 254, 255, [1], {"a": 1}]
    )
    codes = st.sampled_from([None, 0, 1, 2, 3, 4, 2.0])
    return st.dictionaries(names, st.one_of(codes, codes, odd), max_size=8)


def values(instrument: Instrument, answers: dict[str, Any]) -> dict[str, float | None]:
    return {one.scale: one.value for one in score(instrument, answers)}


def bits(value: float | None) -> bytes | None:
    return None if value is None or np.isnan(value) else np.float64(value).tobytes()


@often
@given(valid())
def test_the_engine_agrees_with_the_published_rules(case):
    instrument, answers = case
    assert not check(instrument, answers)
    rules = published(instrument.code, answers)
    correctly_rounded = {name: None if value is None else float(value) for name, value in rules.items()}
    assert values(instrument, answers) == correctly_rounded


@often
@given(valid())
def test_scores_stay_in_their_range_and_count_their_items(case):
    instrument, answers = case
    for one in score(instrument, answers):
        scale = instrument.scale(one.scale)
        assert one.value is None or scale.range[0] <= one.value <= scale.range[1]
        assert (one.value is None) == (one.reason is not None)
        assert one.answered == len(one.items_used)
        assert one.expected == len(scale.items)
        assert sorted(one.items_used + one.items_missing) == sorted(scale.items)
        assert all(answers.get(name) not in (None, "NA") for name in one.items_used)
        assert all(answers.get(name) in (None, "NA") for name in one.items_missing)


@often
@given(valid(), st.data())
def test_raising_one_answer_moves_its_scales_the_right_way(case, data):
    instrument, answers = case
    raisable = [n for n, a in answers.items() if a not in (None, "NA") and a < max(instrument.item(n).codes)]
    if not raisable:
        return
    name = data.draw(st.sampled_from(raisable))
    before, after = values(instrument, answers), values(instrument, answers | {name: int(answers[name]) + 1})
    for scale in instrument.scales:
        if before[scale.name] is None or name not in scale.items:
            assert after[scale.name] == before[scale.name]
        elif instrument.item(name).reversed:
            assert after[scale.name] < before[scale.name]
        else:
            assert after[scale.name] > before[scale.name]


@often
@given(valid(), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(case, random):
    instrument, answers = case
    shuffled = list(answers.items())
    random.shuffle(shuffled)
    assert score(instrument, dict(shuffled)) == score(instrument, answers)


@often
@given(valid())
def test_null_absent_and_not_applicable_score_alike(case):
    instrument, answers = case
    present = {name: answer for name, answer in answers.items() if answer not in (None, "NA")}
    assert score(instrument, present) == score(instrument, answers)


@often
@given(
    st.sampled_from(bundled()).flatmap(
        lambda one: st.tuples(st.just(one), st.lists(answered(one), max_size=12))
    )
)
def test_bulk_equals_single_bit_for_bit(case):
    instrument, many = case
    columns = score_codes(instrument, encode(instrument, many))
    for row, answers in enumerate(many):
        for column, one in zip(columns, score(instrument, answers), strict=True):
            assert bits(column.value[row]) == bits(one.value)
            assert (column.scale, column.answered[row], column.expected, column.rule) == (
                one.scale,
                one.answered,
                one.expected,
                one.rule,
            )


@often
@given(
    st.sampled_from(bundled()).flatmap(
        lambda one: st.tuples(st.just(one), st.lists(answered(one), max_size=12))
    )
)
def test_a_file_equals_single_bit_for_bit(case):
    instrument, many = case
    for row, (line, answers) in enumerate(zip(written(instrument, many), many, strict=True)):
        assert line["id"] == row
        for one in score(instrument, answers):
            result = line["scores"][one.scale]
            assert bits(result.pop("value")) == bits(one.value)
            assert result == {"answered": one.answered, "expected": one.expected, "reason": one.reason}


@often
@given(st.sampled_from(bundled()).flatmap(lambda one: st.tuples(st.just(one), anything(one))))
def test_all_three_ways_refuse_the_same_answers(case):
    instrument, answers = case
    findings = check(instrument, answers)
    (line,) = written(instrument, [answers])
    if not findings:
        score(instrument, answers)
        encode(instrument, [answers])
        assert "findings" not in line
        return
    assert line["findings"] == [finding._asdict() for finding in findings]
    assert {result["reason"] for result in line["scores"].values()} == {"invalid_answers"}
    assert {result["value"] for result in line["scores"].values()} == {None}
    with pytest.raises(InvalidAnswers):
        score(instrument, answers)
    with pytest.raises(InvalidAnswers):
        encode(instrument, [{}, answers])


def written(instrument: Instrument, many: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = [orjson.dumps({"id": row, "answers": answers}) for row, answers in enumerate(many)]
    sink = BytesIO()
    score_file(instrument, BytesIO(b"\n".join(lines)), sink)
    return [orjson.loads(line) for line in sink.getvalue().splitlines()]
