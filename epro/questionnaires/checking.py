"""What is wrong with a set of answers, item by item. Findings never repeat an answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from epro.questionnaires.instrument import NOT_APPLICABLE, Instrument, Item

LONGEST_NAME = 64  # of an unknown item id that a finding repeats

DETAILS = {
    "unknown_item": "The instrument has no item with this id.",
    "wrong_type": 'An answer is a whole number, null or, where offered, "NA".',
    "out_of_range": "The code is not among the choices of this item.",
    "not_applicable_not_offered": "This item does not offer 'not applicable'.",
}


class Finding(NamedTuple):
    """`code` is a key of DETAILS, `item` the item id the answer came under."""

    code: str
    item: str
    detail: str


def check(instrument: Instrument, answers: Mapping[str, Any]) -> list[Finding]:
    """Findings on answers (item id -> code, None or "NA"), in their order; empty when all is good.

    Absent and None mean not answered. 2.0 is taken as 2; true, "2" and 2.5 are wrong types.
    """
    items = _items(instrument)
    codes = [(name, _fault(items.get(name), answer)) for name, answer in answers.items()]
    return [Finding(code, str(name)[:LONGEST_NAME], DETAILS[code]) for name, code in codes if code]


@lru_cache(maxsize=128)
def _items(instrument: Instrument) -> dict[str, tuple[Item, frozenset[int]]]:
    return {item.id: (item, frozenset(item.codes)) for item in instrument.items}


def _fault(known: tuple[Item, frozenset[int]] | None, answer: Any) -> str | None:
    if known is None:
        return "unknown_item"
    item, codes = known
    if answer is None:
        return None
    if type(answer) is str and answer == NOT_APPLICABLE:
        return None if item.not_applicable else "not_applicable_not_offered"
    if not _is_whole(answer):
        return "wrong_type"
    return None if answer in codes else "out_of_range"


def _is_whole(answer: Any) -> bool:
    """By exact type, because bool is an int in Python and true is no code."""
    return type(answer) is int or (type(answer) is float and answer.is_integer())
