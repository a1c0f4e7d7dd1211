"""Where the feed goes. A sink knows how far it has come and takes entries so that none counts twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from epro.stream.feed import Entry


class SinkUnavailable(Exception):
    """The sink does not answer just now. Nothing is lost: the feed waits, and delivery goes on by itself."""


class Sink(Protocol):
    """One place that the feed is streamed to."""

    name: str

    def position(self, study_id: str) -> int:
        """The last position applied; 0 when none was. Raises SinkUnavailable."""
        ...

    def apply(self, study_id: str, entries: Sequence[Entry]) -> int:
        """Apply entries that follow the position without a gap; entry and position stand or fall together.

        Entries applied before change nothing; one that the place refuses is parked there and holds up no other.
        Returns the new position. Raises SinkUnavailable.
        """
        ...
