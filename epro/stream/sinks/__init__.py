"""Where the feed goes. A sink knows how far it has come and takes entries so that none counts twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from epro.stream.feed import Entry

AHEAD, FOREIGN = "ahead", "foreign"


class SinkUnavailable(Exception):
    """The sink does not answer just now. Nothing is lost: the feed waits, and delivery goes on by itself.

    `after`: the seconds that it asked to be left alone.
    """

    def __init__(self, why: str, *, after: float = 0.0):
        super().__init__(why)
        self.after = after


class SinkGone(Exception):
    """The sink asked not to be told anything any more: it is paused until a person lets it go on."""


class Astray(Exception):
    """The sink stands at no place of this feed, so nothing is written to it: a person must look.

    `fault` is AHEAD (the feed ends before it) or FOREIGN (another entry stands at its position).
    """

    def __init__(self, fault: str):
        super().__init__(fault)
        self.fault = fault


class Behind(Exception):
    """The sink has less than was delivered to it, only up to `position`: a folder put back from a copy, say."""

    def __init__(self, position: int):
        super().__init__(position)
        self.position = position


@dataclass(frozen=True)
class Place:
    """Where a sink says it is: its position, and the id of the entry that it has there, where it knows that.

    `beyond` is the last entry that it has past its position: it was taken back, and is being told again.
    """

    position: int
    event_id: str | None = None
    beyond: Place | None = None


class Sink(Protocol):
    """One place that the feed is streamed to."""

    name: str

    def position(self, study_id: str) -> int:
        """The last position applied; 0 when none was. Raises SinkUnavailable."""
        ...

    def place(self, study_id: str) -> Place:
        """The same, with what it has there. Raises SinkUnavailable."""
        ...

    def prepare(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The same entries, made ready while the ones before are being applied. May give them back as they are."""
        ...

    def apply(self, study_id: str, entries: Sequence[Entry]) -> int:
        """Apply entries that follow the position without a gap; entry and position stand or fall together.

        Entries applied before change nothing; one that the place refuses is parked there and holds up no other.
        Returns the new position. Raises SinkUnavailable.
        """
        ...


class Outlet(Protocol):
    """A place that is told entries and keeps no position that we could ask for: we keep it."""

    batch: int

    def deliver(self, entries: Sequence[Entry], now: datetime) -> dict[int, str]:
        """Deliver entries, in order. It returns when they are safe there: the positions of those that it objects to
        for good, with the reason. Raises SinkUnavailable, SinkGone, Behind.
        """
        ...

    def close(self) -> None: ...
