"""Whether matching a regular expression ends soon whatever it is given. Pure.

A pattern such as `(a+)+b` tries so many ways to divide a text that a short one keeps a process busy for years. The ways
in which a pattern can take a subject id are counted from its structure: where they are few, no text makes it slow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import Any

LONGEST = 32  # characters of a subject id
MOST_WAYS = 2_000_000  # [A-Z]+-[0-9]+-[0-9]+-[0-9]+ has a million, tried in an instant


def ends_soon(pattern: str) -> bool:
    """Whether there are few ways to try. Raises re.error for what is no regular expression."""
    parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    return _ways(parsed) <= MOST_WAYS


def _ways(parsed: Sequence[tuple[Any, Any]]) -> int:
    """In how many ways these parts, one after the other, can take a text; no more than just over the limit."""
    ways = 1
    for kind, told in parsed:
        ways = min(ways * _ways_of(str(kind), told), MOST_WAYS + 1)
    return ways


def _ways_of(kind: str, told: Any) -> int:
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, body = told
        return _repeated(_ways(body), int(least), min(int(most), max(LONGEST, int(least))))
    inner = [_ways(part) for part in _parts(told)]
    return sum(inner) if kind == "BRANCH" else prod(inner)


def _repeated(ways: int, least: int, most: int) -> int:
    total, each = 0, min(ways**least, MOST_WAYS + 1) if ways > 1 else 1
    for _ in range(least, most + 1):
        total, each = total + each, each * ways
        if total > MOST_WAYS:
            break
    return total


def _parts(told: Any) -> list[Any]:
    """The patterns within a part: of a group, of each branch, of a look ahead or behind."""
    if isinstance(told, re._parser.SubPattern):  # type: ignore[attr-defined]
        return [told]
    return [part for one in told for part in _parts(one)] if isinstance(told, list | tuple) else []
