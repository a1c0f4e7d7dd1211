"""How far each sink has come, where the sink keeps no position of its own: who carries, what is parked, when next.

A worker holds a sink's lease while it carries. Every step says which position it goes on from, so that one who lost
the lease changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from epro import trail
from epro.stream.feed import Entry
from epro.stream.models import ParkedEntry, SinkRow
from epro.stream.records import records_of
from epro.tx import Tx

LEASE = timedelta(minutes=2)
LONGEST = timedelta(minutes=15)  # between two tries
ENOUGH = 8  # times that one entry is refused before it is left to a person
GIVES_UP_AFTER = timedelta(days=5)
WAITS = "waits"
WELL = {"failing_since": None, "failures": 0, "next_try_at": None, "last_fault": None}


@dataclass(frozen=True)
class Key:
    """One sink of one study."""

    study_id: str
    name: str

    def is_it(self) -> sa.ColumnElement[bool]:
        return sa.and_(SinkRow.study_id == self.study_id, SinkRow.name == self.name)

    def parked(self) -> sa.ColumnElement[bool]:
        return sa.and_(ParkedEntry.study_id == self.study_id, ParkedEntry.sink == self.name)


def back_off(failures: int, dice: random.Random) -> timedelta:
    """How long to wait after so many failures: doubling from two seconds, a random half of it taken off."""
    longest = min(2.0 ** min(failures, 20), LONGEST.total_seconds())
    return timedelta(seconds=longest * (0.5 + dice.random() / 2))


def claim(tx: Tx, key: Key, worker: str) -> int | None:
    """Take the lease; the position to go on from, or None when another has it, or nothing is to be tried now."""
    free = sa.or_(SinkRow.leased_until.is_(None), SinkRow.leased_until < tx.now, SinkRow.leased_by == worker)
    due = sa.or_(SinkRow.next_try_at.is_(None), SinkRow.next_try_at <= tx.now)
    active = sa.and_(SinkRow.paused_at.is_(None), SinkRow.removed_at.is_(None))
    lease = {"leased_by": worker, "leased_until": tx.now + LEASE}
    if not _changed(tx, sa.and_(key.is_it(), free, due, active), lease):
        return None
    found: int = tx.one(sa.select(SinkRow.position).where(key.is_it())) or 0
    return found


def hold(tx: Tx, key: Key, worker: str) -> bool:
    """Hold the lease for as long again; False when it is another's by now, or nobody is to deliver any more."""
    active = sa.and_(SinkRow.paused_at.is_(None), SinkRow.removed_at.is_(None))
    mine = sa.and_(key.is_it(), SinkRow.leased_by == worker, active)
    return _changed(tx, mine, {"leased_until": tx.now + LEASE})


def release(tx: Tx, key: Key, worker: str) -> None:
    """Give the lease back."""
    mine = sa.and_(key.is_it(), SinkRow.leased_by == worker)
    _changed(tx, mine, {"leased_by": None, "leased_until": None})


def advance(tx: Tx, key: Key, worker: str, before: int, after: int) -> bool:
    """Go on from one position to another; False when somebody else went on meanwhile."""
    mine = sa.and_(key.is_it(), SinkRow.leased_by == worker, SinkRow.position == before)
    moved = {"position": after, "delivered_at": tx.now, "leased_until": tx.now + LEASE}
    return _changed(tx, mine, moved | WELL)


def gives_up(tx: Tx, key: Key) -> bool:
    """Whether one more failure is one too many: the sink has been away too long."""
    row = tx.get(SinkRow, key.study_id, key.name)
    since = row.failing_since if row is not None else None
    return since is not None and tx.now - since > GIVES_UP_AFTER


def note_failure(tx: Tx, key: Key, worker: str, why: str, after: float, dice: random.Random) -> None:
    """The sink is away: when to try again; paused, with an entry in the trail, when it has been away too long."""
    row = tx.get(SinkRow, key.study_id, key.name, lock=True)
    if row is None or row.leased_by != worker:
        return
    row.failures += 1
    row.failing_since = row.failing_since or tx.now
    row.next_try_at = tx.now + max(back_off(row.failures, dice), timedelta(seconds=min(after, 900)))
    row.last_fault = why[:200]
    if tx.now - row.failing_since > GIVES_UP_AFTER:
        pause(tx, row, f"failing since {trail.instant(row.failing_since)}: {why[:100]}")


def pause(tx: Tx, row: SinkRow, why: str) -> None:
    """Deliver nothing until a person lets it go on."""
    row.paused_at, row.paused_why = tx.now, why
    _record(tx, row, "sink.paused", why)


def resume(tx: Tx, row: SinkRow, why: str) -> None:
    """Go on from where it stood, now."""
    row.paused_at = row.paused_why = row.failing_since = row.next_try_at = row.last_fault = None
    row.failures = 0
    _record(tx, row, "sink.resumed", why)


def replay(tx: Tx, row: SinkRow, first: int, why: str) -> None:
    """Deliver again from this position on; nothing that was not delivered before is passed over."""
    row.position = max(0, min(row.position, first - 1))
    row.leased_by = row.leased_until = None  # whoever carries just now loses the lease
    _record(tx, row, "sink.replayed", why, first=first)


def park(tx: Tx, key: Key, refused: Mapping[int, tuple[Entry, str]], dice: random.Random) -> None:
    """Put aside what was refused, or waits behind that; what is parked already stays as it is."""
    there = set(tx.all(sa.select(ParkedEntry.position).where(key.parked())))
    for position, (entry, reason) in refused.items():
        if position not in there:
            waits = reason == WAITS
            tx.add(
                ParkedEntry(
                    study_id=key.study_id,
                    sink=key.name,
                    position=position,
                    event_id=entry.event_id,
                    records=sorted(records_of(entry.content)),
                    reason=reason,
                    attempts=0 if waits else 1,
                    parked_at=tx.now,
                    next_try_at=None if waits else tx.now + back_off(1, dice),
                )
            )
    tx.session.flush()


def parked(tx: Tx, key: Key) -> list[ParkedEntry]:
    """What is parked, in the order of the feed."""
    return tx.all(sa.select(ParkedEntry).where(key.parked()).order_by(ParkedEntry.position))


def due(rows: Sequence[ParkedEntry], now: datetime) -> list[ParkedEntry]:
    """Of parked entries those to be tried now: their hour has come, and nothing of their record stands before them."""
    found, before = list[ParkedEntry](), set[str]()
    for row in rows:
        ripe = row.next_try_at is not None and row.next_try_at <= now
        if before.isdisjoint(row.records) and (ripe or row.reason == WAITS):
            found.append(row)
        before.update(row.records)
    return found


def note_tried(
    tx: Tx, key: Key, worker: str, position: int, refused: str | None, dice: random.Random
) -> bool:
    """A parked entry was tried: it is gone, or tried again later, or, after enough, left to a person.

    False, and nothing noted, when another worker has the lease by now. That the sink answered is noted too.
    """
    mine = sa.and_(key.is_it(), SinkRow.leased_by == worker)
    if not _changed(tx, mine, WELL | {"leased_until": tx.now + LEASE}):
        return False
    row = tx.get(ParkedEntry, key.study_id, key.name, position)
    if row is not None and refused is None:
        tx.session.delete(row)
    elif row is not None:
        row.attempts, row.reason = row.attempts + 1, str(refused)
        row.next_try_at = tx.now + back_off(row.attempts, dice) if row.attempts < ENOUGH else None
    return True


def try_now(tx: Tx, key: Key, position: int | None) -> int:
    """Let parked entries be tried again at once: one, or all; returns how many."""
    rows = [row for row in parked(tx, key) if position in (None, row.position) and row.reason != WAITS]
    for row in rows:
        row.next_try_at, row.attempts = tx.now, min(row.attempts, ENOUGH - 1)
    return len(rows)


def forget_parked(tx: Tx, key: Key) -> int:
    """Let go of everything that is parked; returns how many."""
    rows = parked(tx, key)
    for row in rows:
        tx.session.delete(row)
    return len(rows)


def _changed(tx: Tx, which: sa.ColumnElement[bool], values: dict[str, object]) -> bool:
    statement = sa.update(SinkRow).where(which).values(values).execution_options(synchronize_session=False)
    return bool(tx.session.execute(statement).rowcount)  # type: ignore[attr-defined]


def _record(tx: Tx, row: SinkRow, action: str, why: str, **details: object) -> None:
    head = trail.study_chain(tx, row.study_id)
    trail.record(tx, head, action, "sink", row.name, reason=why, **details)
