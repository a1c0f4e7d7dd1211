"""Does the trial database hold exactly what the feed says? Every row is worked out again and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from epro.stream import feed
from epro.stream.sequencer import SEQUENCER, last_position
from epro.stream.sinks.trial_db import TrialDatabase
from epro.stream.sinks.trial_rows import Definitions, Row, Rows, rows_of
from epro.stream.sinks.trial_tables import APPLIED as TABLES
from epro.tx import look

BATCH = 1000


@dataclass(frozen=True)
class Difference:
    """One row that is not as the feed has it. `what` is missing, changed, extra, behind, ahead or parked."""

    what: str
    table: str
    key: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}: {self.table} {self.key}" + (
            f" ({', '.join(self.columns)})" if self.columns else ""
        )


def differences(
    target: TrialDatabase,
    study_id: str,
    known: Definitions,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Difference]:
    """Every difference between the feed of a study and the trial database, batch by batch."""
    newest = _newest(study_id)
    applied = target.position(study_id)
    reached = _newest(study_id)
    if not newest <= applied <= reached:
        what = "ahead" if applied > reached else "behind"
        yield Difference(what, "feed_state", f"{study_id} is at {applied} of {newest}")
    parked = target.parked(study_id)
    for position, reason in parked.items():
        yield Difference("parked", "entries", f"{study_id}/{position}", (reason,))
    target.summarize()
    for first in range(0, newest, BATCH):
        with look(SEQUENCER) as tx:
            batch = [entry for entry in feed.after(tx, study_id, first, BATCH) if entry.position <= newest]
        wanted = rows_of([entry for entry in batch if entry.position not in parked], known)
        yield from _compare_batch(target, study_id, wanted, first, min(first + BATCH, newest))
        progress(len(batch))
    yield from _beyond(target, study_id, newest)


def _compare_batch(
    target: TrialDatabase, study_id: str, wanted: Rows, after: int, until: int
) -> Iterator[Difference]:
    with target.engine.connect() as connection:
        for name, table in TABLES.items():
            rows = _rows(connection, table, study_id, after, until)
            if len(rows) != len(wanted[name]) or set(rows) != set(wanted[name]):
                yield from _named(table, rows, wanted[name])


def _named(table: sa.Table, rows: Sequence[Row], wanted: Sequence[Row]) -> Iterator[Difference]:
    """What differs between the rows that are there and those that should be."""
    there = {_key(table, row): row for row in rows}
    for row in wanted:
        key = _key(table, row)
        found = there.pop(key, None)
        if found is None:
            yield Difference("missing", table.name, key)
        elif changed := _changed(table, row, found):
            yield Difference("changed", table.name, key, changed)
    for key in there:
        yield Difference("extra", table.name, key)


def _beyond(target: TrialDatabase, study_id: str, newest: int) -> Iterator[Difference]:
    """Rows whose position the feed has not reached, or never gives."""
    for name, table in TABLES.items():
        outside = sa.or_(table.c.POSITION > newest, table.c.POSITION < 1)
        query = sa.select(table).where(table.c.STUDYID == study_id, outside)
        with target.engine.connect() as connection:
            there = list(connection.execute(query))
        reached = _newest(study_id)  # asked afterwards: what came while we looked is not too many
        for row in there:
            if not 1 <= row.POSITION <= reached:
                yield Difference("extra", name, _key(table, row))


def _newest(study_id: str) -> int:
    with look(SEQUENCER) as tx:
        return last_position(tx, study_id)


def _rows(connection: sa.Connection, table: sa.Table, study_id: str, after: int, until: int) -> list[Row]:
    query = sa.select(table).where(
        table.c.STUDYID == study_id, table.c.POSITION > after, table.c.POSITION <= until
    )
    return list(map(tuple, connection.execute(query)))


def _key(table: sa.Table, row: Any) -> str:
    names = table.columns.keys()
    return "/".join(str(row[names.index(column.name)]) for column in table.primary_key)


def _changed(table: sa.Table, wanted: Row, found: Row) -> tuple[str, ...]:
    pairs = zip(table.columns, wanted, found, strict=True)
    return tuple(sorted(column.name for column, mine, theirs in pairs if mine != theirs))
