"""Lengths of time and hours of the day, as a study file writes them.

A length is a whole number and a unit: `90m`, `12h`, `3d`. It is elapsed time, so `1d` is 24 hours, also
across a clock change. An hour of the day is `HH:MM` on the participant's own clock; `24:00` is the end of it.
"""

from __future__ import annotations

import re
from datetime import timedelta

DURATION = re.compile(r"([0-9]{1,5})([mhd])")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


def parse_duration(text: str) -> timedelta:
    """`"12h"` as a timedelta. Raises ValueError for anything but a whole number and m, h or d."""
    found = DURATION.fullmatch(text)
    if not found:
        raise ValueError("a duration is a whole number and m, h or d")
    return int(found[1]) * _UNITS[found[2]]


def format_duration(length: timedelta) -> str:
    """The one way to write this length: in the largest unit that divides it. Whole minutes only."""
    for unit, size in _UNITS.items():
        if length and not length % size:
            return f"{length // size}{unit}"
    return "0m"


def parse_clock(text: str) -> int:
    """`"18:30"` as minutes after midnight, 0 to 1440. Raises ValueError for what no clock shows."""
    if not CLOCK.fullmatch(text):
        raise ValueError("an hour is HH:MM")
    return int(text[:2]) * 60 + int(text[3:])


def format_clock(minutes: int) -> str:
    """Minutes after midnight, 0 to 1440, as `HH:MM`."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
