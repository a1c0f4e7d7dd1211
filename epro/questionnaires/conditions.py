"""Conditions as data: a closed list of comparisons on answers, joined by `all` and `any`. Pure.

A condition is true, false, or unknown (None) where the answer it asks about is missing. An item that was itself
not asked makes every comparison false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "above": lambda a, b: a > b,
    "at_least": lambda a, b: a >= b,
    "below": lambda a, b: a < b,
    "at_most": lambda a, b: a <= b,
}
NOT_ASKED = "NOT_ASKED"
"""The answer of an item that a condition left out; see kinds.py."""

Condition = Mapping[str, Any]


def holds(condition: Condition, codes: Mapping[str, Any]) -> bool | None:
    """Whether it is true of `codes` (item id -> code, NOT_ASKED, or anything else for missing)."""
    if "all" in condition:
        return _all([holds(part, codes) for part in condition["all"]])
    if "any" in condition:
        found = _all([_opposite(holds(part, codes)) for part in condition["any"]])
        return _opposite(found)
    return _compared(condition, codes)


def items_of(condition: Condition) -> Iterator[str]:
    """The items it asks about."""
    for part in [*condition.get("all", ()), *condition.get("any", ())]:
        yield from items_of(part)
    yield from (condition[key] for key in ("item", "other_item") if key in condition)


def _compared(condition: Condition, codes: Mapping[str, Any]) -> bool | None:
    left = codes.get(condition["item"])
    if condition["is"] == "answered":
        return type(left) is int
    right = codes.get(condition["other_item"]) if "other_item" in condition else condition["code"]
    if NOT_ASKED in (left, right):
        return False
    if type(left) is not int or type(right) is not int:
        return None
    return bool(COMPARISONS[condition["is"]](left, right))


def _all(found: list[bool | None]) -> bool | None:
    if False in found:
        return False
    return None if None in found else True


def _opposite(found: bool | None) -> bool | None:
    return None if found is None else not found
