"""Positions of the feed, given after the commit by one hand at a time.

An entry gets its position when it is visible, never before: so positions have no gaps and nothing ever appears
behind a reader. On PostgreSQL an advisory lock makes one sequencer of many workers; SQLite has one writer.
"""

from __future__ import annotations

import sqlalchemy as sa

from epro.trail.models import FeedEntry
from epro.tx import Tx, begin, system

SEQUENCER = system("sequencer")
LOCK = 0x6570726F  # "epro": the advisory lock's number


def sequence(limit: int = 1000) -> int:
    """Give positions to up to `limit` entries; returns how many. 0 too when another worker is at it."""
    with begin(SEQUENCER) as tx:
        if not _alone(tx):
            return 0
        waiting = tx.session.execute(
            sa.select(FeedEntry.no, FeedEntry.study_id)
            .where(FeedEntry.position.is_(None))
            .order_by(FeedEntry.no)
            .limit(limit)
        ).all()
        _give(tx, [(row.no, row.study_id) for row in waiting])
        return len(waiting)


def _alone(tx: Tx) -> bool:
    if tx.connection.dialect.name != "postgresql":
        return True
    return bool(tx.session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(LOCK))))


def _give(tx: Tx, waiting: list[tuple[int, str]]) -> None:
    last: dict[str, int] = {}
    rows = []
    for no, study_id in waiting:
        if study_id not in last:
            last[study_id] = last_position(tx, study_id)
        last[study_id] += 1
        rows.append({"row_no": no, "new_position": last[study_id], "moment": tx.now})
    if not rows:
        return
    statement = (
        sa.update(FeedEntry)
        .where(FeedEntry.no == sa.bindparam("row_no"), FeedEntry.position.is_(None))
        .values(position=sa.bindparam("new_position"), positioned_at=sa.bindparam("moment"))
        .execution_options(synchronize_session=False)
    )
    tx.connection.execute(statement, rows)


def last_position(tx: Tx, study_id: str) -> int:
    """The newest position of a study's feed; 0 when it is empty."""
    query = sa.select(sa.func.max(FeedEntry.position)).where(FeedEntry.study_id == study_id)
    return tx.session.scalar(query) or 0
