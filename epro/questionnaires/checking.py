"""What is wrong with a set of answers, item by item, and what is remarkable. Findings never repeat an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from epro.questionnaires.conditions import NOT_ASKED, holds
from epro.questionnaires.instrument import Instrument, Item
from epro.questionnaires.kinds import NOT_APPLICABLE, REFUSED, settled_and_counted

LONGEST_NAME = 64  # of an unknown item id that a finding repeats

DETAILS = {
    "unknown_item": "The instrument has no item with this id.",
    "wrong_type": 'An answer is a whole number, null or, where offered, "NA" or "REFUSED".',
    "out_of_range": "The code is not among the choices of this item.",
    "not_applicable_not_offered": "This item does not offer 'not applicable'.",
    "refusal_not_offered": "This item does not offer 'prefer not to answer'.",
    "not_asked_not_offered": "This item is asked whatever the other answers.",
}
REMARKS = {
    "answered_though_not_asked": "By the other answers this item was not to be asked.",
    "not_asked_though_due": "By the other answers this item was to be asked.",
    "required_missing": "This item was to be answered.",
}


class Finding(NamedTuple):
    """`code` is a key of DETAILS or REMARKS or `edit_check`, `item` the item id the answer came under."""

    code: str
    item: str
    detail: str


def check(instrument: Instrument, answers: Mapping[str, Any]) -> list[Finding]:
    """Findings on answers (see kinds.py), in their order; empty when each fits its item.

    2.0 is taken as 2; true, "2" and 2.5 are wrong types.
    """
    items = _items(instrument)
    codes = [(name, _fault(items.get(name), answer)) for name, answer in answers.items()]
    return [Finding(code, str(name)[:LONGEST_NAME], DETAILS[code]) for name, code in codes if code]


def remarks(instrument: Instrument, answers: Mapping[str, Any]) -> list[Finding]:
    """What the definition's branching and edit checks say of answers that `check` finds nothing wrong with.

    The phone applies the same rules; whatever comes in spite of them is flagged and kept.
    """
    if not _has_rules(instrument):
        return []
    found, counted = settled_and_counted(instrument, answers)
    said = [
        Finding(code, item.id, REMARKS[code])
        for item in instrument.items
        for code in _remarkable(item, answers.get(item.id), found, counted)
    ]
    return said + [
        Finding("edit_check", str(one["id"]), f"The {one['level']} edit check {one['id']} fails.")
        for one in instrument.checks
        if holds(one["fails_if"], counted)
    ]


def _remarkable(
    item: Item, answer: Any, found: Mapping[str, Any], counted: Mapping[str, Any]
) -> Iterator[str]:
    left_out = item.asked_if is not None and holds(item.asked_if, counted) is False
    if left_out and answer is not None and answer != NOT_ASKED:
        yield "answered_though_not_asked"
    if answer == NOT_ASKED and found[item.id] is None:
        yield "not_asked_though_due"
    elif item.required and found[item.id] is None:
        yield "required_missing"


@lru_cache(maxsize=128)
def _has_rules(instrument: Instrument) -> bool:
    return bool(instrument.checks) or any(item.asked_if or item.required for item in instrument.items)


@lru_cache(maxsize=128)
def _items(instrument: Instrument) -> dict[str, tuple[Item, frozenset[int]]]:
    return {item.id: (item, frozenset(item.codes)) for item in instrument.items}


def _fault(known: tuple[Item, frozenset[int]] | None, answer: Any) -> str | None:
    if known is None:
        return "unknown_item"
    item, codes = known
    if answer is None:
        return None
    if type(answer) is str:
        return _fault_of_word(item, answer)
    if not _is_whole(answer):
        return "wrong_type"
    return None if answer in codes else "out_of_range"


def _fault_of_word(item: Item, answer: str) -> str | None:
    if answer == NOT_APPLICABLE:
        return None if item.not_applicable else "not_applicable_not_offered"
    if answer == REFUSED:
        return None if item.refusable else "refusal_not_offered"
    if answer == NOT_ASKED:
        return None if item.asked_if is not None else "not_asked_not_offered"
    return "wrong_type"


def _is_whole(answer: Any) -> bool:
    """By exact type, because bool is an int in Python and true is no code."""
    return type(answer) is int or (type(answer) is float and answer.is_integer())
