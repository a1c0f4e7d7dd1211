"""The one place that reads the clock.

Everything else takes the hour as an argument or asks `now()` at its door, so that the whole system can be
run on a moved clock: a rehearsal of a year, a demo with weeks of history, a test of tomorrow's diary.
Two ways to move it: `moved_to(instant)` for code in this process, and the setting EPRO_CLOCK_OFFSET_FILE,
a file with a number of seconds that several processes read at each look (refused in production).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

_moved: ContextVar[Callable[[], datetime] | None] = ContextVar("epro_clock", default=None)


def now() -> datetime:
    """This instant, aware, in UTC, to the microsecond."""
    moved = _moved.get()
    if moved is not None:
        return moved()
    return unmoved() + _offset()


def unmoved() -> datetime:
    """The machine's own hour, for a metronome that beats in real time whatever the hour is moved to. Nothing else
    asks for it."""
    return datetime.now(UTC)


@contextmanager
def moved_to(instant: datetime) -> Iterator[None]:
    """Within the block `now()` stands still at `instant` (aware)."""
    token = _moved.set(lambda: instant.astimezone(UTC))
    try:
        yield
    finally:
        _moved.reset(token)


def _offset() -> timedelta:
    path = os.environ.get("EPRO_CLOCK_OFFSET_FILE")
    if not path:
        return timedelta()
    try:
        with open(path) as file:
            return timedelta(seconds=float(file.read().strip() or 0))
    except (OSError, ValueError, OverflowError):
        return timedelta()


def monotonic() -> float:
    """Seconds for measuring how long something takes; never for telling the hour."""
    return time.monotonic()
