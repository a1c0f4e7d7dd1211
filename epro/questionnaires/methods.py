"""Scoring methods by name and version: a closed list, pure arithmetic.

A method takes the sum of the scored codes of the answered items, how many were answered (at least one) and
the `Span` of the scale. It is written with operators only, so that the same function serves one response
(int) and a whole column (numpy int64): every intermediate is an exact integer and there is one division,
hence both give the same double, bit for bit.

A method never changes once released. A mended one gets the next version; the old one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """What a method may know of a scale: number of items, lowest and highest scored code of an item."""

    expected: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Method:
    """`value(total, answered, span)` is the score; `limits(span)` the range it can take."""

    value: Callable[[Any, Any, Span], Any]
    limits: Callable[[Span], tuple[int, int]]


def _mean_to_0_100(total: Any, answered: Any, span: Span) -> Any:
    """Mean of the answered items, stretched to 0-100 (LupusQoL: mean / 4 * 100)."""
    return (total - span.lowest * answered) * 100 / ((span.highest - span.lowest) * answered)


def _prorated_sum(total: Any, answered: Any, span: Span) -> Any:
    """Sum as if all had been answered: sum * expected / answered (FACIT)."""
    return total * span.expected / answered


def _mean(total: Any, answered: Any, span: Span) -> Any:
    """Mean of the answered items."""
    return total / answered


METHODS: dict[tuple[str, int], Method] = {
    ("mean_to_0_100", 1): Method(_mean_to_0_100, lambda span: (0, 100)),
    ("prorated_sum", 1): Method(
        _prorated_sum, lambda span: (span.lowest * span.expected, span.highest * span.expected)
    ),
    ("mean", 1): Method(_mean, lambda span: (span.lowest, span.highest)),
    ("item_value", 1): Method(_mean, lambda span: (span.lowest, span.highest)),  # of exactly one item
}
