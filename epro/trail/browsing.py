"""Reading the trail page by page, the newest first, by person, participant, time and act.

A page begins behind a place and not after so many rows: the hundredth costs what the first does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.trail.models import Event, Leaf
from epro.tx import Tx


@dataclass(frozen=True)
class Wanted:
    """Which entries of a study; what is blank asks for all."""

    study_id: str
    actor: str | None = None
    subject_id: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Not itself within."""


@dataclass(frozen=True)
class Place:
    """Where a page ends: the instant of its last entry, and that entry."""

    at: datetime
    event_id: UUID

    def __str__(self) -> str:
        return f"{self.at.isoformat()}_{self.event_id}"


def place(text: str | None) -> Place | None:
    """A place as it stands in an address; what cannot be read is the beginning."""
    try:
        at, _, event_id = (text or "").partition("_")
        found = Place(datetime.fromisoformat(at), UUID(event_id))
    except ValueError:
        return None
    return found if found.at.tzinfo else None


def page(
    tx: Tx, wanted: Wanted, scope: sa.ColumnElement[bool], behind: Place | None, limit: int
) -> list[Event]:
    """Entries that are wanted and within `scope` (whoever reads says what she may see), the newest first."""
    query = sa.select(Event).where(*_conditions(wanted), scope)
    if behind is not None:
        query = query.where(Event.at <= behind.at, sa.or_(Event.at < behind.at, Event.id < behind.event_id))
    return tx.all(query.order_by(Event.at.desc(), Event.id.desc()).limit(limit))


def leaves(tx: Tx, events: Sequence[Event]) -> dict[UUID, int]:
    """Event -> its place in the log; one that waits for a place has none yet."""
    rows = tx.session.execute(
        sa.select(Leaf.event_id, Leaf.leaf).where(Leaf.event_id.in_([one.id for one in events]))
    )
    return {row.event_id: row.leaf for row in rows} if events else {}


def _conditions(wanted: Wanted) -> list[Any]:
    asked = (
        (Event.actor, wanted.actor),
        (Event.subject_id, wanted.subject_id),
        (Event.action, wanted.action),
    )
    found = [Event.study_id == wanted.study_id, *(column == value for column, value in asked if value)]
    if wanted.since:
        found.append(Event.at >= wanted.since)
    if wanted.until:
        found.append(Event.at < wanted.until)
    return found
