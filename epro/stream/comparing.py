"""Comparisons of the trial database with the feed that somebody asks for; a worker makes them like the daily one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict
from epro.stream import delivering, keeping, reconciling
from epro.stream.models import Comparison
from epro.stream.sequencer import SEQUENCER, last_position
from epro.stream.sinks import Sink, SinkUnavailable
from epro.stream.sinks.trial_db import TrialDatabase
from epro.tx import Tx, begin, look

log = logging.getLogger(__name__)


class ComparisonWaits(Conflict):
    """A comparison was asked for already; its result will stand here."""

    code = "comparison_waits"


def ask(tx: Tx, study_id: str) -> Comparison:
    """Note that a comparison is wanted. Raises ComparisonWaits while one is."""
    head = trail.study_chain(tx, study_id)  # one at a time
    if tx.one(_waiting().where(Comparison.study_id == study_id)) is not None:
        raise ComparisonWaits()
    row = tx.add(Comparison(id=uuid4(), study_id=study_id, asked_at=tx.now, asked_by=str(tx.actor)))
    trail.record(tx, head, "trial_database.comparison_asked", "comparison", row.id)
    return row


def of(tx: Tx, study_id: str, count: int) -> list[Comparison]:
    """The last ones that were asked for, the newest first."""
    mine = sa.select(Comparison).where(Comparison.study_id == study_id)
    return tx.all(mine.order_by(Comparison.asked_at.desc(), Comparison.id).limit(count))


def run_due(sinks: Iterable[Sink], tell: keeping.Tell = lambda *_: 0) -> int:
    """Make those that wait; how many that was. While the trial database is away they go on waiting."""
    with look(SEQUENCER) as tx:
        due = tx.all(_waiting().order_by(Comparison.asked_at))
    targets = [sink for sink in sinks if isinstance(sink, TrialDatabase)] if due else []
    return sum(_make(target, row, tell) for target in targets for row in due)


def _make(target: TrialDatabase, row: Comparison, tell: keeping.Tell) -> int:
    with look(SEQUENCER) as tx:
        count = last_position(tx, row.study_id)
    try:
        found = list(
            islice(reconciling.differences(target, row.study_id, delivering.definitions()), keeping.MOST)
        )
    except SinkUnavailable:
        return 0
    with begin(SEQUENCER) as tx:
        if found:
            tell(tx, row.study_id, tx.now.astimezone(UTC).date(), len(found))
        return _note(tx, row.id, count, found)


def _note(tx: Tx, comparison_id: UUID, count: int, found: list[Any]) -> int:
    plain = tx.get(Comparison, comparison_id)
    assert plain is not None
    head = trail.study_chain(tx, plain.study_id)
    row = tx.get(Comparison, comparison_id, lock=True)
    if row is None or row.finished_at is not None:
        return 0  # another worker was quicker
    row.finished_at, row.entries, row.differences = tx.now, count, len(found)
    row.named = [str(one) for one in found[: keeping.NAMED]]
    told = {"entries": count, "differences": len(found)}
    trail.record(tx, head, "trial_database.compared", "comparison", row.id, reason=None, **told)
    return 1


def _waiting() -> sa.Select[Any]:
    return sa.select(Comparison).where(Comparison.finished_at.is_(None))
