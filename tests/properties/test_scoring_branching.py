"""Branching by the column is branching by the response: random conditions, random instruments, random answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.questionnaires import bulk
from epro.questionnaires.bulk import WORDS, encode, outcomes, score_codes
from epro.questionnaires.checking import REMARKS, check, remarks
from epro.questionnaires.conditions import COMPARISONS, holds, items_of
from epro.questionnaires.instrument import Instrument, parse
from epro.questionnaires.kinds import settled
from epro.questionnaires.scoring import score

often = settings(max_examples=40, deadline=None)
NAMES = ("a", "b", "c", "d", "e")
CODES = (0, 1, 2, 3)


def conditions(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Any condition on these items, joined up to a few levels deep."""
    item, comparison = st.sampled_from(names), st.sampled_from(sorted(COMPARISONS))
    code = st.sampled_from([*CODES, 250])
    plain = st.one_of(
        st.fixed_dictionaries({"item": item, "is": st.just("answered")}),
        st.fixed_dictionaries({"item": item, "is": comparison, "code": code}),
        st.fixed_dictionaries({"item": item, "is": comparison, "other_item": item}),
    )
    return st.recursive(plain, joined, max_leaves=5)


def joined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(st.fixed_dictionaries({word: several}) for word in ("all", "any"))


ANSWERS = st.sampled_from([*CODES, *WORDS])


@often
@given(
    conditions(NAMES), st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, ANSWERS)), min_size=1, max_size=8)
)
def test_a_condition_on_columns_holds_where_it_holds_on_each_response(condition, rows):
    columns = {name: np.array([coded(row[name]) for row in rows], dtype=np.uint8) for name in NAMES}
    found = bulk._held(condition, columns, len(rows))
    assert [{1: True, 0: False, -1: None}[one] for one in found.tolist()] == [
        holds(condition, row) for row in rows
    ]


def coded(answer: Any) -> int:
    return WORDS.get(answer, answer)


@often
@given(conditions(NAMES), st.fixed_dictionaries(dict.fromkeys(NAMES, ANSWERS)))
def test_a_condition_is_decided_by_the_truth_of_every_way_to_fill_its_gaps(condition, row):
    """What is told true or false stays so whatever the missing answers turn out to be; no gap, no doubt."""
    now = holds(condition, row)
    open_items = [name for name in set(items_of(condition)) if row[name] in (None, "NA", "REFUSED")]
    if now is not None and not asks_whether_answered(condition):
        for code in CODES:
            assert holds(condition, row | dict.fromkeys(open_items, code)) is now
    if not open_items:
        assert now is not None


def asks_whether_answered(condition: Mapping[str, Any]) -> bool:
    parts = [*condition.get("all", ()), *condition.get("any", ())]
    return condition.get("is") == "answered" or any(map(asks_whether_answered, parts))


@st.composite
def branching_instruments(draw: st.DrawFn) -> Instrument:
    """Five items, each but the first perhaps asked on condition of those before; one scale by sum, one by pattern."""
    items = [item(name, draw(rules(NAMES[:at]))) for at, name in enumerate(NAMES)]
    common = {
        "label": {"en": "-"},
        "method_version": 1,
        "items": list(NAMES),
        "direction": "none",
        "blinded": False,
    }
    scales = [
        {"name": "mean", "method": "mean", "missing": {"kind": "at_least", "k": 2}, "range": [0, 3]},
        {"name": "profile", "method": "digits", "missing": {"kind": "at_least", "k": 1}, "range": [0, 99999]},
        {"name": "most", "method": "highest", "missing": {"kind": "at_least", "k": 1}, "range": [0, 3]},
    ]
    return parse({
        "format": 1, "code": "branching", "version": "1.0", "title": {"en": "-"}, "wording": {"en": {"status": "own"}},
        "not_applicable_label": {"en": "-"}, "refused_label": {"en": "-"}, "notes": [],
        "choice_sets": {"four": [{"code": code, "label": {"en": "-"}} for code in CODES]},
        "items": items, "scales": [common | scale for scale in scales],
        "checks": [
            {"id": "check", "level": "soft", "fails_if": draw(conditions(NAMES)), "message": {"en": "-"}},
        ],
    })  # fmt: skip


def item(name: str, rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name, "number": 1, "label": {"en": "-"}, "choices": "four", "reversed": False, "blinded": False,
        "not_applicable": True, "refusable": True,
    } | rule  # fmt: skip


def rules(before: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Asked always, asked on condition, or asked on condition and counting as a code where it is left out."""
    required = {"required": st.sampled_from(["soft", "hard"])}
    if not before:
        return st.fixed_dictionaries({}, optional=required)
    asked = {"asked_if": conditions(before)}
    return st.one_of(
        st.fixed_dictionaries({}, optional=required),
        st.fixed_dictionaries(asked, optional=required),
        st.fixed_dictionaries(asked | {"not_asked_as": st.sampled_from(CODES)}),
    )


ROWS = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, st.one_of(ANSWERS, st.just(2.0)))),
    min_size=1,
    max_size=4,
)
cases = st.tuples(branching_instruments(), ROWS).map(
    lambda case: (case[0], [fitting(case[0], row) for row in case[1]])
)


def fitting(instrument: Instrument, answers: dict[str, Any]) -> dict[str, Any]:
    """The answers, where NOT_ASKED stands only where it is offered."""
    offered = {one.id for one in instrument.items if one.asked_if is not None}
    return {name: None if a == "NOT_ASKED" and name not in offered else a for name, a in answers.items()}


@often
@given(cases)
def test_branching_in_columns_settles_what_it_settles_in_each_response(case):
    instrument, many = case
    columns = np.ascontiguousarray(encode(instrument, many).T)
    bulk._settle(bulk._grid(instrument), columns)
    expected = [[coded(answer) for answer in settled(instrument, answers).values()] for answers in many]
    assert columns.T.tolist() == expected


@often
@given(cases)
def test_random_instruments_score_alike_singly_and_in_columns(case):
    instrument, many = case
    codes = encode(instrument, many)
    kept = codes.copy()
    columns = {column.scale: column for column in score_codes(instrument, codes)}
    assert (codes == kept).all(), "the caller's codes are not touched"
    found = {name: outcomes(instrument, column) for name, column in columns.items()}
    for row, answers in enumerate(many):
        for one in score(instrument, answers):
            assert found[one.scale][row] == (one.value, one.reason)
            assert columns[one.scale].answered[row] == one.answered


@often
@given(cases)
def test_settling_keeps_what_was_answered_and_settles_for_good(case):
    instrument, (answers, *_) = case
    found = settled(instrument, answers)
    assert list(found) == [item.id for item in instrument.items]
    assert settled(instrument, found) == found
    for one in instrument.items:
        sent, kept = answers.get(one.id), found[one.id]
        if sent not in (None, "NOT_ASKED"):
            assert kept == sent and type(kept) in (int, str)
        else:
            assert kept in ((None, "NOT_ASKED") if one.asked_if else (None,))


@often
@given(cases)
def test_remarks_are_made_of_the_definition_alone_and_never_of_answers(case):
    instrument, many = case
    possible = {(code, one.id, detail) for code, detail in REMARKS.items() for one in instrument.items}
    possible.add(("edit_check", "check", "The soft edit check check fails."))
    for answers in many:
        assert not check(instrument, answers)
        said = remarks(instrument, answers)
        assert possible.issuperset(said)
        assert len(set(said)) == len(said)


@often
@given(cases)
def test_what_was_required_is_remarked_exactly_when_it_was_asked_and_skipped(case):
    instrument, (answers, *_) = case
    found = settled(instrument, answers)
    lacking = [one.id for one in instrument.items if one.required and found[one.id] is None]
    said = {finding.item for finding in remarks(instrument, answers) if finding.code == "required_missing"}
    due = {finding.item for finding in remarks(instrument, answers) if finding.code == "not_asked_though_due"}
    assert said == {name for name in lacking if answers.get(name) != "NOT_ASKED"}
    assert due == {name for name, answer in answers.items() if answer == "NOT_ASKED" and found[name] is None}
