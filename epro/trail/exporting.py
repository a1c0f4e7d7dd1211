"""The trail as a file that anyone can check: one JSON object a line, in the order of the log; see docs/trail.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.trail import sealing
from epro.trail.entries import copies_of, instant
from epro.trail.models import Checkpoint, Event, Leaf, WaitingEvent
from epro.tx import Tx

FORMAT = 1
PAGE = 1000
Stored = Callable[[Tx, Sequence[Any]], dict[UUID, str | None]]
"""Of some events the digests of the records that they tell of, as they are stored now; None: it is gone."""


def lines(tx: Tx, study_id: str | None, stored: Stored) -> Iterator[str]:
    """The export, line by line. Of other studies than the one asked for there are hashes only."""
    newest = sealing.last(tx)
    size = newest.size if newest else 0
    counts = {"leaves": 0, "checkpoints": 0, "unsealed": 0}
    yield _line(
        epro_trail_export=FORMAT,
        origin=sealing.origin(tx),
        key=sealing.public_key(tx),
        at=instant(tx.now),
        study=study_id,
        size=size,
    )
    for kind, line in _parts(tx, study_id, size, stored):
        counts[kind] += 1
        yield line
    waiting = tx.session.scalar(sa.select(sa.func.count()).select_from(WaitingEvent))
    yield _line(end={**counts, "waiting": waiting})


def _parts(tx: Tx, study_id: str | None, size: int, stored: Stored) -> Iterator[tuple[str, str]]:
    notes = _checkpoints(tx)
    waiting = next(notes, None)
    for row, told in _with_digests(tx, _leaves(tx, size), stored):
        yield "leaves", _leaf(row, study_id, told)
        while waiting is not None and waiting.size <= row.leaf + 1:
            yield "checkpoints", _line(checkpoint=waiting.note)
            waiting = next(notes, None)
    while waiting is not None:
        yield "checkpoints", _line(checkpoint=waiting.note)
        waiting = next(notes, None)
    for row in _unsealed(tx, study_id, size):
        yield "unsealed", _line(unsealed=True, **_entry(row))


def _leaves(tx: Tx, size: int) -> Iterator[Sequence[Any]]:
    columns = [column for column in Event.__table__.columns if column.name != "id"]
    query = sa.select(Leaf.leaf, Leaf.hash, Leaf.event_id, Event.id, *columns).outerjoin(
        Event, Event.id == Leaf.event_id
    )
    begin = 0
    while True:
        page = tx.session.execute(
            query.where(Leaf.leaf >= begin, Leaf.leaf < size).order_by(Leaf.leaf).limit(PAGE)
        ).all()
        if not page:
            return
        yield page
        begin = page[-1].leaf + 1


def _checkpoints(tx: Tx) -> Iterator[Checkpoint]:
    size = -1
    while found := sealing.after(tx, size, PAGE):
        yield from found
        size = found[-1].size


def _unsealed(tx: Tx, study_id: str | None, size: int) -> Iterable[Any]:
    """What stands in the trail and is under no checkpoint: of the last minute, or put there by nobody of ours."""
    query = (
        sa.select(*Event.__table__.columns)
        .outerjoin(Leaf, Leaf.event_id == Event.id)
        .where(sa.or_(Leaf.leaf.is_(None), Leaf.leaf >= size))
        .order_by(Event.study_id, Event.chain, Event.seq)
    )
    if study_id:
        query = query.where(Event.study_id == study_id)
    return tx.session.execute(query.execution_options(yield_per=PAGE))


def _with_digests(
    tx: Tx, pages: Iterable[Sequence[Any]], stored: Stored
) -> Iterator[tuple[Any, dict[str, str | None]]]:
    for page in pages:
        found = stored(tx, [row for row in page if row.id is not None])
        for row in page:
            yield row, ({"stored": found[row.id]} if row.id in found else {})


def _leaf(row: Any, study_id: str | None, told: dict[str, Any]) -> str:
    place = {"leaf": row.leaf, "hash": row.hash.hex()}
    if row.id is None:
        return _line(**place, missing=True, event=str(row.event_id))
    if study_id and row.study_id != study_id:
        return _line(**place)
    return _line(**place, **_entry(row), **told)


def _entry(row: Any) -> dict[str, Any]:
    """An event: its bytes and its place. Copies beside them are named only where they differ, for they must not."""
    entry = {"study": row.study_id, "chain": row.chain, "seq": row.seq, "mac": row.mac, "body": row.body}
    copies = {
        "id": str(row.id),
        "at": instant(row.at),
        "actor": row.actor,
        "action": row.action,
        "subject_id": row.subject_id,
        "object_type": row.object_type,
        "object_id": row.object_id,
    }
    try:
        wanted = copies_of(json.loads(row.body))
    except (ValueError, KeyError, TypeError):
        wanted = {}
    wrong = {name: value for name, value in copies.items() if wanted.get(name, value) != value}
    return {**entry, "columns": wrong} if wrong else entry


def _line(**content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
