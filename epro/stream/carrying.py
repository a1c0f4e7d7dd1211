"""Carrying the feed to the sinks whose position we keep: claim, deliver, then move the position.

A crash between delivery and position delivers again: the receiver knows the event id, and files know their last line.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import sqlalchemy as sa
from flask import Flask

from epro.errors import places
from epro.stream import cursors, feed, outlets
from epro.stream.cursors import WAITS, Key
from epro.stream.feed import Entry
from epro.stream.models import SinkRow
from epro.stream.records import records_of, waits
from epro.stream.sequencer import SEQUENCER, last_position
from epro.stream.sinks import Behind, Outlet, SinkGone, SinkUnavailable
from epro.tx import AWAY, Tx, begin, look

log = logging.getLogger(__name__)
Tell = Callable[[Tx, str, str], int]
"""Says of a study and its sink that nothing is delivered until a person has looked; first of all in the act."""
AT_ONCE = 500  # batches for one sink before the others, and pauses, are looked at again


class Carriers:
    """The open outlets of one worker, each carried by a thread of its own: one that hangs holds up no other."""

    def __init__(self, worker: str, dice: random.Random | None = None, tell: Tell = lambda *_: 0):
        self.worker, self.dice, self.tell = worker, dice or random.Random(), tell
        self._open: dict[Key, tuple[Any, Outlet]] = {}
        self._busy: dict[Key, Future[int]] = {}
        self._pool = ThreadPoolExecutor(8, "carrier")

    def strike(self, app: Flask) -> None:
        """Set every sink going that is not at it already."""
        for key in keys_of():
            if not to_do(key):
                continue
            busy = self._busy.get(key)
            if busy is None or busy.done():
                self._busy[key] = self._pool.submit(copy_context().run, self._within, app, key)

    def carry_all(self) -> int:
        """Carry to every sink, one after the other; returns how many entries."""
        return sum(self.carry(key) for key in keys_of())

    def carry(self, key: Key) -> int:
        """Bring one sink up to date; nothing when another worker is at it, or it is paused or away."""
        if not to_do(key):
            return 0
        with begin(SEQUENCER) as tx:
            position = cursors.claim(tx, key, self.worker)
            row = tx.get(SinkRow, key.study_id, key.name)
        if position is None or row is None:
            return 0
        try:
            return _bring_up(self, key, self._outlet(key, row), position)
        except AWAY:
            raise  # our own database is away
        except SinkGone as gone:
            _pause(self, key, str(gone))
        except Exception as fault:
            _note(self, key, fault)
        finally:
            with begin(SEQUENCER) as tx:
                cursors.release(tx, key, self.worker)
        return 0

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for _, outlet in self._open.values():
            outlet.close()
        self._open.clear()

    def _within(self, app: Flask, key: Key) -> int:
        with app.app_context():
            try:
                return self.carry(key)
            except AWAY:
                return 0

    def _outlet(self, key: Key, row: SinkRow) -> Outlet:
        wanted = outlets.revision(row)
        known = self._open.get(key)
        if known is None or known[0] != wanted:
            if known is not None:
                known[1].close()
            self._open[key] = known = (wanted, outlets.open_outlet(row))
        return known[1]


def keys_of() -> list[Key]:
    """Every sink that is to be carried to, of every study."""
    query = sa.select(SinkRow.study_id, SinkRow.name).where(
        SinkRow.paused_at.is_(None), SinkRow.removed_at.is_(None), SinkRow.kind != "trial_database"
    )
    with look(SEQUENCER) as tx:
        return [Key(*row) for row in tx.session.execute(query.order_by(SinkRow.study_id, SinkRow.name))]


def to_do(key: Key) -> bool:
    """Whether there is anything to deliver now: a sink that has everything costs a look, and writes nothing."""
    with look(SEQUENCER) as tx:
        row = tx.get(SinkRow, key.study_id, key.name)
        if row is None or (row.next_try_at is not None and row.next_try_at > tx.now):
            return False
        ahead = last_position(tx, key.study_id) > row.position
        return ahead or bool(cursors.due(cursors.parked(tx, key), tx.now))


def _bring_up(carriers: Carriers, key: Key, outlet: Outlet, position: int) -> int:
    carried = _retry(carriers, key, outlet)
    for _ in range(AT_ONCE):
        with look(SEQUENCER) as tx:
            entries = feed.after(tx, key.study_id, position, outlet.batch)
            behind = [row.records for row in cursors.parked(tx, key)]
            now = tx.now
        if not entries:
            break
        ready, held = _split(entries, behind)
        try:
            refused = outlet.deliver(ready, now) if ready else {}
        except Behind as missing:
            refused, ready, held, entries = {}, [], {}, []
            after = missing.position
        else:
            after = entries[-1].position
        if not _move(carriers, key, position, after, _parked(entries, held, refused)):
            break  # another worker, or a replay, took over
        position = after
        carried += len(ready)
    return carried


def _split(
    entries: Sequence[Entry], behind: list[list[str]]
) -> tuple[list[Entry], dict[int, tuple[Entry, str]]]:
    """The entries to deliver, and those that stand behind a parked one of their record."""
    if not behind:
        return list(entries), {}
    ready: list[Entry] = []
    held: dict[int, tuple[Entry, str]] = {}
    blocked: list[Any] = list(behind)
    for entry in entries:
        if waits(entry.content, blocked):
            held[entry.position] = (entry, WAITS)
            blocked.append(records_of(entry.content))
        else:
            ready.append(entry)
    return ready, held


def _parked(
    entries: Sequence[Entry], held: dict[int, tuple[Entry, str]], refused: dict[int, str]
) -> dict[int, tuple[Entry, str]]:
    by_position = {entry.position: entry for entry in entries}
    return held | {position: (by_position[position], why) for position, why in refused.items()}


def _move(
    carriers: Carriers, key: Key, before: int, after: int, parked: dict[int, tuple[Entry, str]]
) -> bool:
    """The position and what was parked on the way, in one act."""
    with begin(SEQUENCER) as tx:
        if not cursors.advance(tx, key, carriers.worker, before, after):
            return False
        cursors.park(tx, key, parked, carriers.dice)
    for position, (_, reason) in parked.items():
        told = {"action": "entry.parked", "sink": key.name, "study": key.study_id, "position": position}
        log.error("entry parked: %s", reason, extra=told)
    return True


def _retry(carriers: Carriers, key: Key, outlet: Outlet) -> int:
    """Try parked entries whose hour has come, and those that nothing stands before any more.

    Each with the lease renewed before it, for none takes as long as a lease holds.
    """
    delivered = 0
    while True:
        with begin(SEQUENCER) as tx:
            if not cursors.hold(tx, key, carriers.worker):
                return delivered
            due = [row.position for row in cursors.due(cursors.parked(tx, key), tx.now)][:1]
            entries = [entry for position in due for entry in feed.after(tx, key.study_id, position - 1, 1)]
            now = tx.now
        if not entries:
            return delivered
        refused = outlet.deliver(entries, now).get(entries[0].position)
        with begin(SEQUENCER) as tx:
            tried = key, carriers.worker, entries[0].position, refused, carriers.dice
            if not cursors.note_tried(tx, *tried):
                return delivered
        delivered += refused is None


def _note(carriers: Carriers, key: Key, fault: Exception) -> None:
    away = isinstance(fault, SinkUnavailable)
    why = str(fault) if away else type(fault).__name__
    after = fault.after if isinstance(fault, SinkUnavailable) else 0.0
    told = {"action": "sink.away", "sink": key.name, "study": key.study_id, "fault": why}
    log.warning("sink away" if away else f"sink away at {places(fault)}", extra=told)
    with begin(SEQUENCER) as tx:
        if cursors.gives_up(tx, key):
            carriers.tell(tx, key.study_id, key.name)
        cursors.note_failure(tx, key, carriers.worker, why, after, carriers.dice)


def _pause(carriers: Carriers, key: Key, why: str) -> None:
    log.error("sink paused", extra={"action": "sink.paused", "sink": key.name, "study": key.study_id})
    with begin(SEQUENCER) as tx:
        carriers.tell(tx, key.study_id, key.name)
        row = tx.get(SinkRow, key.study_id, key.name, lock=True)
        if row is not None:
            cursors.pause(tx, row, why)
