"""The trial database: the first sink. Any SQLAlchemy URL; SQLite and PostgreSQL are tested."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)

from epro import clock, db, statements
from epro.export.rows import Row
from epro.stream.feed import Entry
from epro.stream.sinks import SinkUnavailable
from epro.stream.sinks import trial_tables as tables
from epro.stream.sinks.trial_rows import Definitions, Rows, digest, rows_of
from epro.trail.entries import instant

log = logging.getLogger(__name__)

TABLES = {
    "responses": tables.responses,
    "answers": tables.answers,
    "scores": tables.scores,
    "weeks": tables.weeks,
    "amendments": tables.amendments,
    "entries": tables.entries,
}


REFUSED = (DataError, IntegrityError)  # what no repeating mends: this entry is not for these tables


class FeedGap(Exception):
    """An entry does not follow the last one applied: the feed was not read as it must be."""


class TrialDatabase:
    """The sink that keeps the trial database exactly where the feed is."""

    name = "trial_database"

    def __init__(self, url: str, definitions: Definitions):
        self.engine = _engine(url)
        self._definitions = definitions
        self._ready, self._guard = False, Lock()

    def position(self, study_id: str) -> int:
        with self._open() as connection:
            return _position(connection, study_id)

    def apply(self, study_id: str, entries: Sequence[Entry]) -> int:
        try:
            return self._apply_whole(study_id, entries)
        except REFUSED as fault:
            if len(entries) == 1:
                return self._park(study_id, entries[0], type(fault.orig).__name__)
        return [self.apply(study_id, [entry]) for entry in entries][-1]

    def parked(self, study_id: str) -> dict[int, str]:
        """Positions of the entries that were refused and have not been applied since, with the reason."""
        parked, entries = tables.parked.c, tables.entries.c
        applied = sa.exists().where(entries.STUDYID == parked.STUDYID, entries.POSITION == parked.POSITION)
        query = sa.select(parked.POSITION, parked.REASON).where(parked.STUDYID == study_id, ~applied)
        with self._open() as connection:
            return {row.POSITION: row.REASON for row in connection.execute(query.order_by(parked.POSITION))}

    def _apply_whole(self, study_id: str, entries: Sequence[Entry]) -> int:
        rows = rows_of(list(entries), self._definitions)
        return self._advance_by(study_id, entries, lambda connection, after: _write(connection, rows, after))

    def _park(self, study_id: str, entry: Entry, reason: str) -> int:
        row = _parked_row(entry, reason)
        log.error(
            "entry parked: %s",
            reason,
            extra={"action": "entry.parked", "study": study_id, "position": entry.position},
        )
        return self._advance_by(
            study_id, [entry], lambda connection, after: _insert(connection, tables.parked, [row])
        )

    def _advance_by(
        self, study_id: str, entries: Sequence[Entry], write: Callable[[sa.Connection, int], None]
    ) -> int:
        """Write what lies behind the position, and the new position, in one transaction. Raises FeedGap."""
        with self._open() as connection:
            last = _position(connection, study_id, lock=True)
            fresh = [entry for entry in entries if entry.position > last]
            if not fresh:
                return last
            if fresh[0].position != last + 1:
                raise FeedGap(f"{study_id}: position {fresh[0].position} does not follow {last}")
            write(connection, last)
            _advance(connection, study_id, fresh[-1].position)
            return fresh[-1].position

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _open(self) -> Iterator[sa.Connection]:
        try:
            self._make_tables()
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, ProgrammingError) as fault:
            self._ready = (
                False  # another database may stand in its place when it is back, an empty one for instance
            )
            raise SinkUnavailable(type(fault.orig).__name__) from None

    def _make_tables(self) -> None:
        """Create what is missing, once as long as all goes well; a second process doing the same is no fault."""
        with self._guard:
            if self._ready:
                return
            try:
                tables.metadata.create_all(self.engine)
            except DBAPIError:
                tables.metadata.create_all(self.engine)
            with self.engine.begin() as connection:
                _insert(connection, tables.schema_state, [{"ONE": 1, "VERSION": tables.VERSION}])
            self._ready = True


def _engine(url: str) -> sa.Engine:
    made = sa.create_engine(db.driver_url(url), pool_pre_ping=True, hide_parameters=True, **_options(url))
    db.prepare(made, None)
    if made.dialect.name in NEVER_HANG:
        event.listen(made, "connect", _never_hang(NEVER_HANG[made.dialect.name]))
    return made


def _options(url: str) -> dict[str, Any]:
    if url.startswith("postgres"):
        return {"connect_args": {"connect_timeout": 3, "tcp_user_timeout": 10_000}, "pool_size": 4}
    if url.startswith("sqlite"):
        return {
            "poolclass": sa.NullPool
        }  # an open file stays open when it is moved away: look for it each time
    return {}


# A worker that waits long for the trial database could not be told to stop meanwhile.
NEVER_HANG = {
    "postgresql": ("SET lock_timeout = '3s'", "SET statement_timeout = '60s'", "COMMIT"),
    "sqlite": ("PRAGMA busy_timeout=3000",),
}


def _never_hang(statements: Sequence[str]) -> Callable[[Any, Any], None]:
    def limit(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    return limit


def _position(connection: sa.Connection, study_id: str, *, lock: bool = False) -> int:
    query = sa.select(tables.feed_state.c.POSITION).where(tables.feed_state.c.STUDYID == study_id)
    if lock:
        start = {"STUDYID": study_id, "POSITION": 0, "APPLIEDDTC": instant(clock.now())}
        _insert(connection, tables.feed_state, [start])
        query = query.with_for_update()
    return connection.scalar(query) or 0


def _write(connection: sa.Connection, rows: Rows, after: int) -> None:
    for name, table in TABLES.items():
        fresh = [row for row in getattr(rows, name) if row["POSITION"] > after]
        _insert(connection, table, fresh)


def _parked_row(entry: Entry, reason: str) -> Row:
    return {
        "STUDYID": entry.study_id,
        "POSITION": entry.position,
        "EVENTID": str(entry.event_id),
        "DIGEST": digest(entry.body),
        "REASON": reason,
        "BODY": entry.body,
        "PARKEDDTC": instant(clock.now()),
    }


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    """Insert what is not there yet: a key that is there keeps its row."""
    if not rows:
        return
    name = connection.dialect.name
    if name in ("mysql", "mariadb"):
        connection.execute(mysql.insert(table).prefix_with("IGNORE"), rows)
        return
    if name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
        return
    names = list(rows[0])
    given = postgresql.insert(table).from_select(names, statements.records(table, names))
    connection.execute(given.on_conflict_do_nothing(), {"rows0": statements.records_text(table, rows)})


def _advance(connection: sa.Connection, study_id: str, position: int) -> None:
    connection.execute(
        sa.update(tables.feed_state)
        .where(tables.feed_state.c.STUDYID == study_id)
        .values(POSITION=position, APPLIEDDTC=instant(clock.now()))
    )
