"""What a virtual participant answers: plausible, with gaps, and the same again for the same seed. Pure.

She is tired, less so after the infusion, and no two evenings are alike. A *burden* is a number from 0 (no
trouble at all) to 1 (as bad as it gets); an item's code is found from it, whichever way the item counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

LIGHTER_WHEN_HIGHER = {"lupusqol": None, "facit_fatigue": ("ff07", "ff08")}  # None: every item of it
SKIPPED = 0.03  # of the items of a long questionnaire
NEVER_APPLIES = 0.3  # of the people, for an item that offers 'not applicable'
LONG = 5  # items; a shorter instrument is answered whole


def burden(person: Random, day: Random, days_since_infusion: int | None) -> float:
    """How heavy it is on one day. `person` decides what stays, `day` what differs from evening to evening.

    Two of three get better after the infusion, most of it within three weeks.
    """
    usual, gain = person.uniform(0.62, 0.85), person.choice((0.1, 0.3, 0.4))
    since = max(0, days_since_infusion or 0)
    return _within(usual - gain * (1 - math.exp(-since / 12)) + day.gauss(0, 0.07))


def answers(
    code: str, items: Sequence[Mapping[str, Any]], heavy: float, person: Random, day: Random
) -> dict[str, Any]:
    """An answer for each item of an instrument as the phone has it: a code, None (skipped) or "NA"."""
    # Always drawn, for the items that do not offer it too: one person, one attitude to each item.
    applies = [person.random() >= NEVER_APPLIES for _ in items]
    return {
        item["id"]: "NA"
        if item["not_applicable"] and not fits
        else _answer(code, item, heavy, day, len(items) > LONG)
        for item, fits in zip(items, applies, strict=True)
    }


def _answer(code: str, item: Mapping[str, Any], heavy: float, day: Random, may_skip: bool) -> int | None:
    if may_skip and day.random() < SKIPPED:
        return None
    codes = sorted(choice["code"] for choice in item["choices"]) or _between(item["range"])
    felt = _within(heavy + day.gauss(0, 0.1))
    return int(codes[round((1 - felt if _lighter(code, item["id"]) else felt) * (len(codes) - 1))])


def _between(ends: Mapping[str, Any]) -> list[int]:
    """The codes of an item whose answer is a number."""
    return list(range(ends["lowest"]["code"], ends["highest"]["code"] + 1))


def _lighter(code: str, item_id: str) -> bool:
    """Whether a higher code means less trouble."""
    named = LIGHTER_WHEN_HIGHER.get(code, ())
    return named is None or item_id in named


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))
