"""What must hold for any answers to any bundled instrument, whatever its rules."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.questionnaires.bulk import encode, score_codes, score_file
from epro.questionnaires.checking import check
from epro.questionnaires.instrument import Instrument, Scale
from epro.questionnaires.kinds import settled
from epro.questionnaires.library import bundled
from epro.questionnaires.methods import METHODS
from epro.questionnaires.scoring import InvalidAnswers, Score, score
from tests.properties.answering import Answers, answered, borders, open_to_all_kinds

some = settings(max_examples=20, deadline=None)
every_instrument = pytest.mark.parametrize("instrument", bundled(), ids=lambda one: one.code)
WORDS = (None, "NA", "REFUSED", "NOT_ASKED")


def anything(instrument: Instrument) -> st.SearchStrategy[Answers]:
    """What a faulty or hostile sender may send under known and unknown items."""
    names = st.sampled_from([*(item.id for item in instrument.items), "lq99", "", "name"])
    odd = st.sampled_from([
        True, False, "NA", "REFUSED", "NOT_ASKED", "3", "na", 2.9, -1, 99, 2**63, 1e300, 252, 253, 254, 255, [1],
        {"a": 1},
    ])  # fmt: skip
    codes = st.sampled_from([None, 0, 1, 2, 3, 4, 2.0])
    return st.dictionaries(names, st.one_of(codes, codes, odd), max_size=8)


def scores(instrument: Instrument, answers: Answers) -> dict[str, Score]:
    return {one.scale: one for one in score(instrument, answers)}


def bits(value: float | None) -> bytes | None:
    return None if value is None or np.isnan(value) else np.float64(value).tobytes()


@every_instrument
@some
@given(st.data())
def test_scores_stay_in_their_range_and_count_their_items(instrument, data):
    answers = data.draw(answered(instrument))
    assert_sound(instrument, answers)


@every_instrument
def test_scores_stay_in_their_range_at_the_borders_and_reach_both_its_ends(instrument):
    reached: dict[str, set[float | None]] = {scale.name: set() for scale in instrument.scales}
    for answers in borders(instrument):
        assert_sound(instrument, answers)
        for name, one in scores(instrument, answers).items():
            reached[name].add(one.value)
    for scale in instrument.scales:
        ends = (
            {scale.range[0]} if scale.method == "digits" else set(scale.range)
        )  # all digits 9 is no answer at all
        assert {None, *ends} <= reached[scale.name]


def assert_sound(instrument: Instrument, answers: Answers) -> None:
    """Range, reason and items of every score. An item left out counts as answered where it counts as a code."""
    found = settled(instrument, answers)
    counts = {
        item.id: answer not in WORDS or (answer == "NOT_ASKED" and item.not_asked_as is not None)
        for item, answer in zip(instrument.items, found.values(), strict=True)
    }
    for scale, one in zip(instrument.scales, score(instrument, answers), strict=True):
        assert one.scale == scale.name
        assert one.value is None or scale.range[0] <= one.value <= scale.range[1]
        assert type(one.value) in (float, type(None))
        assert (one.value is None) == (one.reason is not None)
        assert one.items_used == tuple(name for name in scale.items if counts[name])
        assert one.items_missing == tuple(name for name in scale.items if not counts[name])
        assert (one.answered, one.expected) == (len(one.items_used), len(scale.items))


# Raising one answer


Rule = Callable[[float, float, int], bool]
"""Whether a value may go from here to there when the scored code of the item at this place rises."""


def up(before: float, after: float, at: int) -> bool:
    return after > before


def never_down(before: float, after: float, at: int) -> bool:
    return after >= before


def same(before: float, after: float, at: int) -> bool:
    return after == before


def down(before: float, after: float, at: int) -> bool:
    return after < before


def never_down_but_for(hours_worked: int) -> Rule:
    return lambda before, after, at: after <= before if at == hours_worked else after >= before


WHEN_ONE_RISES: dict[str, Rule] = {
    "mean_to_0_100": up,
    "prorated_sum": up,
    "mean": up,
    "item_value": up,
    "sum": up,
    "table": up,
    "band": never_down,
    "one_minus_thousandths": down,
    "count": same,
    "highest": never_down,
    "digits": up,
    "grade": never_down,
    "wpai_absenteeism": never_down_but_for(2),
    "wpai_presenteeism": lambda before, after, at: after == before if at == 1 else after > before,
    "wpai_overall": never_down_but_for(2),
}


def test_every_method_has_a_rule_for_raising_an_answer():
    assert set(WHEN_ONE_RISES) == {name for name, _ in METHODS}


def scored(instrument: Instrument, scale: Scale, name: str, code: int) -> int:
    """The scored code, read from the definition."""
    data = instrument.document()
    (item,) = [item for item in data["items"] if item["id"] == name]
    (told,) = [one for one in data["scales"] if one["name"] == scale.name]
    recode = told.get("recode", item.get("recode"))
    if recode is not None:
        return int(data["recodes"][recode][str(code)])
    return -code if item["reversed"] else code


@every_instrument
@some
@given(st.data())
def test_raising_one_answer_moves_its_scales_the_right_way_and_no_others(instrument, data):
    answers = data.draw(answered(instrument))
    raisable = [n for n, a in answers.items() if a not in WORDS and a < max(instrument.item(n).codes)]
    if not raisable:
        return
    name = data.draw(st.sampled_from(raisable))
    old, new = int(answers[name]), int(answers[name]) + 1
    before, after = scores(instrument, answers), scores(instrument, answers | {name: new})
    for scale in instrument.scales:
        if name not in scale.items:
            assert after[scale.name] == before[scale.name]
        elif may_move(scale, before[scale.name], after[scale.name]):
            turn = scored(instrument, scale, name, new) - scored(instrument, scale, name, old)
            assert_moved(scale, before[scale.name].value, after[scale.name].value, name, turn)


def may_move(scale: Scale, before: Score, after: Score) -> bool:
    """Whether there is a value before and after; only where branching decides may a change of code take one away."""
    if before.value is None or after.value is None:
        assert before.reason == after.reason or scale.missing.kind == "by_method"
        return False
    return scale.method != "table" or scale.direction != "none"  # a standard error has no direction


def assert_moved(scale: Scale, before: Any, after: Any, name: str, turn: int) -> None:
    rule, at = WHEN_ONE_RISES[scale.method], scale.items.index(name)
    if turn == 0:
        assert after == before
    elif turn > 0:
        assert rule(before, after, at)
    else:
        assert rule(after, before, at)


# Ways of saying the same


@every_instrument
@some
@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(instrument, data, random):
    answers = data.draw(answered(instrument))
    shuffled = list(answers.items())
    random.shuffle(shuffled)
    assert score(instrument, dict(shuffled)) == score(instrument, answers)


@every_instrument
@some
@given(st.data())
def test_null_absent_and_not_asked_are_settled_by_the_rules_alone(instrument, data):
    answers = data.draw(answered(instrument))
    silent = {name: answer for name, answer in answers.items() if answer not in (None, "NOT_ASKED")}
    null = {item.id: None for item in instrument.items} | silent
    not_asked = {item.id: "NOT_ASKED" for item in instrument.items if item.asked_if} | silent
    assert score(instrument, answers) == score(instrument, silent)
    assert score(instrument, null) == score(instrument, not_asked) == score(instrument, silent)


@every_instrument
@some
@given(st.data())
def test_declining_scores_like_not_applicable(instrument, data):
    instrument = open_to_all_kinds(instrument)
    answers = data.draw(answered(instrument))
    one, other = (
        {n: w if a in ("NA", "REFUSED") else a for n, a in answers.items()} for w in ("NA", "REFUSED")
    )
    assert score(instrument, one) == score(instrument, other) == score(instrument, answers)


@pytest.mark.parametrize(
    "instrument",
    [open_to_all_kinds(one) for one in bundled() if not any(item.asked_if for item in one.items)],
    ids=lambda one: one.code,
)
@some
@given(st.data())
def test_without_branching_every_kind_of_gap_scores_like_an_absent_answer(instrument, data):
    answers = data.draw(answered(instrument))
    present = {name: answer for name, answer in answers.items() if answer not in WORDS}
    assert score(instrument, present) == score(instrument, answers)


# Singly, in bulk, in a file


@every_instrument
@some
@given(st.data())
def test_bulk_equals_single_bit_for_bit(instrument, data):
    instrument = open_to_all_kinds(instrument)
    many = data.draw(st.lists(answered(instrument), max_size=6))
    columns = score_codes(instrument, encode(instrument, many))
    assert [column.scale for column in columns] == [scale.name for scale in instrument.scales]
    for row, answers in enumerate(many):
        for column, one in zip(columns, score(instrument, answers), strict=True):
            assert bits(column.value[row]) == bits(one.value)
            assert (column.answered[row], column.expected, column.rule) == (
                one.answered,
                one.expected,
                one.rule,
            )


@every_instrument
@some
@given(st.data())
def test_a_file_equals_single_bit_for_bit(instrument, data):
    instrument = open_to_all_kinds(instrument)
    many = data.draw(st.lists(answered(instrument), max_size=6))
    for row, (line, answers) in enumerate(zip(written(instrument, many), many, strict=True)):
        assert line["id"] == row
        for one in score(instrument, answers):
            result = line["scores"][one.scale]
            assert bits(result.pop("value")) == bits(one.value)
            assert result == {"answered": one.answered, "expected": one.expected, "reason": one.reason}


@every_instrument
@some
@given(st.data())
def test_all_three_ways_refuse_the_same_answers(instrument, data):
    answers = data.draw(anything(instrument))
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


def written(instrument: Instrument, many: list[Answers]) -> list[dict[str, Any]]:
    lines = [orjson.dumps({"id": row, "answers": answers}) for row, answers in enumerate(many)]
    sink = BytesIO()
    score_file(instrument, BytesIO(b"\n".join(lines)), sink)
    return [orjson.loads(line) for line in sink.getvalue().splitlines()]
