"""Checking the whole trail, and keeping what came of it: chains, records, the log with its checkpoints, their file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from epro import db, trail
from epro.trail import checkpoint_file, log_checking, verifying
from epro.trail.entries import Fault
from epro.trail.models import Event, TrailCheck
from epro.tx import Tx, begin, look, system

log = logging.getLogger(__name__)
AUDITOR = system("auditor")
EVERY = timedelta(days=1)
NAMED = 50  # faults that a row names
Records = Callable[[Tx], Iterable[Fault]]
"""What else is to be as the trail says: rooms above this one know it."""


def faults(
    tx: Tx,
    participants: type[Any],
    records: Records,
    *,
    kept: dict[str, Any] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Fault]:
    """Every break of the trail, wherever it shows. Raises ValueError when the kept head is not genuine."""
    yield from verifying.faults(tx, participants, kept=kept, progress=progress)
    yield from records(tx)
    yield from log_checking.faults(tx)
    yield from checkpoint_file.faults(tx, db.settings()["CHECKPOINT_FILE"])


def keep(tx: Tx, entries: int, leaves: int, found: list[Fault]) -> TrailCheck:
    """Put on record that the trail was checked and what was found; the entry of that is the next check's."""
    named = [[one.study_id, one.chain, one.seq, one.what] for one in found[:NAMED]]
    row = TrailCheck(
        id=uuid4(),
        at=tx.now,
        by=str(tx.actor),
        entries=entries,
        leaves=leaves,
        faults=len(found),
        named=named,
    )
    tx.add(row)
    head = trail.study_chain(tx)
    trail.record(
        tx, head, "trail.checked", "trail_check", row.id, entries=entries, leaves=leaves, faults=len(found)
    )
    if found:
        log.error("the trail is not whole", extra={"action": "trail.faulty", "faults": len(found)})
    return row


def check_due(participants: type[Any], records: Records, now: datetime | None = None) -> int:
    """Check it once a day; whether it was done."""
    with look(AUDITOR, now) as tx:
        last = newest(tx, 1)
        if last and last[0].at > tx.now - EVERY:
            return 0
        entries, leaves = counted(tx), log_checking.size(tx)
        found = list(faults(tx, participants, records))
    with begin(AUDITOR, now) as tx:
        keep(tx, entries, leaves, found)
    return 1


def newest(tx: Tx, count: int) -> list[TrailCheck]:
    """The last checks, the newest first."""
    return tx.all(sa.select(TrailCheck).order_by(TrailCheck.at.desc(), TrailCheck.id).limit(count))


def counted(tx: Tx) -> int:
    """How many entries there are."""
    return int(tx.session.scalar(sa.select(sa.func.count()).select_from(Event)) or 0)
