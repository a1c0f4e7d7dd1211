"""How the feed and its sinks are: how far each has come, how long what waits has waited, and what is the matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from epro import db
from epro.stream import cursors, delivering
from epro.stream.cursors import Key
from epro.stream.models import ParkedEntry, SinkRow
from epro.stream.outlets import TRIAL_DATABASE
from epro.stream.sequencer import last_position
from epro.stream.sinks import AHEAD, FOREIGN, SinkUnavailable
from epro.stream.sinks.trial_db import TrialDatabase
from epro.trail.models import FeedEntry
from epro.tx import Tx

PAUSED, AWAY, BEHIND, UP_TO_DATE = "paused", "away", "behind", "up_to_date"
ASTRAY = (AHEAD, FOREIGN)  # states of a sink that stands at no place of this feed


@dataclass(frozen=True)
class Feed:
    """Where a study's feed is."""

    position: int
    newest_at: datetime | None
    without_position: int


@dataclass(frozen=True)
class Health:
    """One sink. `position` is unknown while it does not answer; `why` never holds a secret."""

    name: str
    kind: str
    state: str
    position: int | None
    lag: int | None
    waiting_since: datetime | None
    parked: int
    since: datetime | None = None
    why: str | None = None
    delivered_at: datetime | None = None


@dataclass(frozen=True)
class Parked:
    """An entry that a sink refused, or that waits behind one."""

    position: int
    reason: str
    attempts: int | None = None
    parked_at: datetime | None = None
    next_try_at: datetime | None = None


def feed(tx: Tx, study_id: str) -> Feed:
    """The feed of a study: its newest position, and what waits for one."""
    newest = sa.select(FeedEntry.positioned_at).where(FeedEntry.study_id == study_id)
    waiting = sa.select(sa.func.count()).where(FeedEntry.study_id == study_id, FeedEntry.position.is_(None))
    return Feed(
        last_position(tx, study_id),
        tx.one(newest.where(FeedEntry.position.is_not(None)).order_by(FeedEntry.position.desc())),
        tx.session.scalar(waiting) or 0,
    )


def sinks(tx: Tx, study_id: str) -> list[Health]:
    """Every sink of a study, that of the settings first."""
    rows = tx.all(
        sa.select(SinkRow)
        .where(SinkRow.study_id == study_id, SinkRow.removed_at.is_(None))
        .order_by(SinkRow.name)
    )
    own = next((row for row in rows if row.kind == "trial_database"), None)
    newest = last_position(tx, study_id)
    found = [_added(tx, row, newest) for row in rows if row is not own]
    return [_of_the_settings(tx, study_id, own, newest), *found] if has_trial_database() else found


def parked(tx: Tx, study_id: str, name: str) -> list[Parked]:
    """What is parked for a sink, in the order of the feed. Raises SinkUnavailable."""
    if name == TRIAL_DATABASE:
        with trial_database() as target:
            return [Parked(position, why) for position, why in target.parked(study_id).items()]
    rows = cursors.parked(tx, Key(study_id, name))
    return [Parked(row.position, row.reason, row.attempts, row.parked_at, row.next_try_at) for row in rows]


def has_trial_database() -> bool:
    """Whether the settings name one."""
    return bool(db.settings()["TRIAL_DATABASE_URL"])


@contextmanager
def trial_database() -> Iterator[TrialDatabase]:
    """The trial database of the settings. This process keeps it, and closes it with its other databases."""
    url = db.settings()["TRIAL_DATABASE_URL"] or ""
    kept = db.remembered().get(("trial database", url))
    if kept is None:
        kept = TrialDatabase(url, delivering.definitions())
        kept = db.remembered().setdefault(("trial database", url), kept)
        db.keep("trial database", kept.engine)
    yield kept


def _added(tx: Tx, row: SinkRow, newest: int) -> Health:
    count = sa.select(sa.func.count()).where(
        ParkedEntry.study_id == row.study_id, ParkedEntry.sink == row.name
    )
    return _told(
        tx, row.study_id, row.name, row.kind, row, row.position, newest, tx.session.scalar(count) or 0
    )


def _of_the_settings(tx: Tx, study_id: str, row: SinkRow | None, newest: int) -> Health:
    kind = "trial_database"
    try:
        with trial_database() as target:
            place, astray = delivering.judged(target, study_id)
            waiting = len(target.parked(study_id))
    except SinkUnavailable as fault:
        return Health(TRIAL_DATABASE, kind, AWAY, None, None, None, 0, why=str(fault))
    if astray:
        last = place.beyond or place
        return Health(TRIAL_DATABASE, kind, astray, last.position, None, None, waiting)
    return _told(tx, study_id, TRIAL_DATABASE, kind, row, place.position, newest, waiting)


def _told(
    tx: Tx, study_id: str, name: str, kind: str, row: SinkRow | None, position: int, newest: int, waiting: int
) -> Health:
    lag = max(0, newest - position)
    state, since, why = BEHIND if lag else UP_TO_DATE, None, None
    if row is not None and row.paused_at:
        state, since, why = PAUSED, row.paused_at, row.paused_why
    elif row is not None and row.failing_since:
        state, since, why = AWAY, row.failing_since, row.last_fault
    waited = _positioned_at(tx, study_id, position + 1) if lag else None
    delivered = row.delivered_at if row is not None else None
    return Health(name, kind, state, position, lag, waited, waiting, since, why, delivered)


def _positioned_at(tx: Tx, study_id: str, position: int) -> datetime | None:
    found: datetime | None = tx.one(
        sa.select(FeedEntry.positioned_at).where(
            FeedEntry.study_id == study_id, FeedEntry.position == position
        )
    )
    return found
