"""When machine keys end, and when that is told beforehand. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from epro.errors import Invalid

LONGEST = timedelta(days=366)  # a year, whichever
TOLD_BEFORE = (30, 7)  # days


def of(now: datetime, days: int) -> datetime:
    """When a key ends that is made now for so many days. Raises Invalid."""
    if not 1 <= days <= LONGEST.days:
        raise Invalid(f"A key lives one day to {LONGEST.days}.")
    return now + timedelta(days=days)


def to_be_told(made: datetime, ends: datetime, told: int | None, now: datetime) -> int | None:
    """Of how many days before its end is to be told now; None where that was told, or the key was made later."""
    if now >= ends:
        return None
    due = [days for days in TOLD_BEFORE if made <= ends - timedelta(days=days) <= now]
    return min(due) if due and (told is None or min(due) < told) else None


def is_near(ends: datetime, now: datetime) -> bool:
    """Whether a key that still opens will soon not."""
    return now < ends <= now + timedelta(days=max(TOLD_BEFORE))
