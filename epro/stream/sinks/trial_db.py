"""The trial database: the first sink. Any SQLAlchemy URL; PostgreSQL, MariaDB and SQLite are tested."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import orjson
import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from epro import clock, db
from epro.stream.feed import Entry
from epro.stream.records import records_of, waits
from epro.stream.sinks import Place, SinkUnavailable, trial_schema
from epro.stream.sinks import trial_tables as tables
from epro.stream.sinks.trial_bulk import insert
from epro.stream.sinks.trial_rows import Definitions, Row, Rows, digest, rows_of
from epro.trail.entries import instant

log = logging.getLogger(__name__)

REFUSED = (DataError, IntegrityError)  # what no repeating mends: this entry is not for these tables
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)  # it is not written as its kind must be
# So many entries at once are a backlog: the disk is waited for at its end only. A crash that takes some of them back
# takes the position back with them, and they are told again.
MANY = 500
ANSWERS_WITHIN, PATIENCE = 60, 6 * 3600  # seconds; the second for changes of the schema
WAITS = "Waits"  # the reason of an entry that only stands behind another of its record


class FeedGap(Exception):
    """An entry does not follow the last one applied: the feed was not read as it must be."""


class Prepared(list[Entry]):
    """Entries with the rows that they come to, made while the ones before are still being written."""

    def __init__(self, entries: Sequence[Entry], rows: Rows):
        super().__init__(entries)
        self.rows = rows


class TrialDatabase:
    """The sink that keeps the trial database exactly where the feed is."""

    name = "trial_database"

    def __init__(self, url: str, definitions: Definitions):
        self.engine, self._patient = _engine(url), _engine(url, patient=True)
        self._definitions = definitions
        self._schema = trial_schema.Known(definitions)
        self._ready, self._guard = False, Lock()

    def position(self, study_id: str) -> int:
        with self._open() as connection:
            return _position(connection, study_id)

    def place(self, study_id: str) -> Place:
        with self._open() as connection:
            position = _position(connection, study_id)
            event_id = _event_at(connection, study_id, position) if position else None
            return Place(position, event_id, _beyond(connection, study_id, position))

    def prepare(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The same entries, with what can be thought out before their turn."""
        try:
            return Prepared(entries, rows_of(entries, self._definitions))
        except UNREADABLE:
            return entries  # `apply` finds out which one

    def apply(self, study_id: str, entries: Sequence[Entry]) -> int:
        if not entries:
            return self.position(study_id)
        try:
            return self._apply_whole(study_id, entries)
        except (*REFUSED, *UNREADABLE) as fault:
            if len(entries) == 1:
                return self._park(study_id, entries[0], type(getattr(fault, "orig", fault)).__name__)
        return [self.apply(study_id, [entry]) for entry in entries][-1]

    def parked(self, study_id: str) -> dict[int, str]:
        """Positions of the entries that were refused and have not been applied since, with the reason."""
        with self._open() as connection:
            return {row.POSITION: row.REASON for row in _unresolved(connection, study_id)}

    def retry(self, study_id: str, entry: Entry) -> bool:
        """Apply a parked entry now; False when it must wait behind another. Raises what the database says."""
        rows = rows_of([entry], self._definitions)
        with self._open() as connection:
            self._schema.hold(connection, rows)
        with self._open() as connection:
            _position(connection, study_id, lock=True)
            before = [row for row in _unresolved(connection, study_id) if row.POSITION < entry.position]
            if waits(entry.content, map(_records, before)):
                return False
            _write(connection, rows)
            return True

    def counted(self, study_id: str) -> Iterator[tuple[int, str, str, str, str]]:
        """What a manifest counts, as it stands here: position, site, assessment, kind, digest; in order."""
        there = tables.entries.c
        asked = (there.POSITION, there.SITEID, there.ASSESSMENT, there.KIND, there.DIGEST)
        query = sa.select(*asked).where(there.STUDYID == study_id).order_by(there.POSITION)
        with self._open() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                yield (row.POSITION, row.SITEID or "", row.ASSESSMENT or "", row.KIND, row.DIGEST)

    def summarize(self) -> None:
        """Before rows are read by position: PostgreSQL learns where the newest stand, or would look at all."""
        with self._open() as connection:
            if connection.dialect.name == "postgresql":
                indexes = (f'"ix_{name}_POSITION"' for name in ("responses", "scores"))
                for index in indexes:
                    connection.execute(sa.select(sa.func.brin_summarize_new_values(sa.cast(index, REGCLASS))))

    def rewind(self, study_id: str, position: int) -> None:
        """Let everything after this position be applied again: rows that are there stay, missing ones come back."""
        with self._open() as connection:
            if _position(connection, study_id, lock=True) > position:
                _advance(connection, study_id, position)

    def _apply_whole(self, study_id: str, entries: Sequence[Entry]) -> int:
        rows = entries.rows if isinstance(entries, Prepared) else rows_of(entries, self._definitions)
        with self._open() as connection:
            self._schema.hold(connection, rows)

        def write(connection: sa.Connection, fresh: Sequence[Entry]) -> None:
            ready, behind = _ready_and_waiting(connection, study_id, fresh)
            whole = len(ready) == len(entries)
            _write(connection, rows if whole else rows_of(ready, self._definitions))
            insert(connection, tables.parked, [_parked_row(entry, WAITS) for entry in behind])

        return self._advance_by(study_id, entries, write)

    def _park(self, study_id: str, entry: Entry, reason: str) -> int:
        row = _parked_row(entry, reason)
        log.error(
            "entry parked: %s",
            reason,
            extra={"action": "entry.parked", "study": study_id, "position": entry.position},
        )
        return self._advance_by(
            study_id, [entry], lambda connection, fresh: insert(connection, tables.parked, [row])
        )

    def _advance_by(
        self,
        study_id: str,
        entries: Sequence[Entry],
        write: Callable[[sa.Connection, Sequence[Entry]], None],
    ) -> int:
        """Write what lies behind the position, and the new position, in one transaction. Raises FeedGap."""
        with self._open() as connection:
            last = _begun(connection, study_id)
            fresh = [entry for entry in entries if entry.position > last]
            if not fresh:
                return last
            if fresh[0].position != last + 1:
                raise FeedGap(f"{study_id}: position {fresh[0].position} does not follow {last}")
            if len(fresh) >= MANY and connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            write(connection, fresh)
            _advance(connection, study_id, fresh[-1].position)
            return fresh[-1].position

    def close(self) -> None:
        self.engine.dispose()
        self._patient.dispose()

    @contextmanager
    def _open(self) -> Iterator[sa.Connection]:
        try:
            self._make_tables()
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, ProgrammingError, psycopg.OperationalError) as fault:
            # Another database may stand in its place when it is back, an empty one for instance.
            self._ready = False
            self._schema.forget()
            raise SinkUnavailable(type(getattr(fault, "orig", fault)).__name__) from None

    def _make_tables(self) -> None:
        """Bring the schema to our version, once as long as all goes well."""
        with self._guard:
            if not self._ready:
                trial_schema.bring_up(self._patient)
                self._ready = True


def _engine(url: str, *, patient: bool = False) -> sa.Engine:
    """`patient`: for changes of the schema, which may take hours where there are many millions of rows."""
    options = _options(url, patient)
    made = sa.create_engine(db.driver_url(url), pool_pre_ping=True, hide_parameters=True, **options)
    db.prepare(made, None)
    if made.dialect.name in NEVER_HANG:
        event.listen(made, "connect", _never_hang(NEVER_HANG[made.dialect.name]))
    return made


def _options(url: str, patient: bool) -> dict[str, Any]:
    kind = make_url(db.driver_url(url)).get_backend_name()
    if kind == "postgresql":
        pool: dict[str, Any] = {"poolclass": sa.NullPool} if patient else {"pool_size": 4}
        return {"connect_args": {"connect_timeout": 3, "tcp_user_timeout": 10_000}, **pool}
    if kind in ("mysql", "mariadb"):
        wait = PATIENCE if patient else ANSWERS_WITHIN
        limits = {"connect_timeout": 3, "read_timeout": wait, "write_timeout": wait}
        pool = {"poolclass": sa.NullPool} if patient else {}
        return {"connect_args": {"charset": "utf8mb4", **limits}, "isolation_level": "READ COMMITTED", **pool}
    # An open file stays open when it is moved away: look for it each time.
    return {"poolclass": sa.NullPool} if kind == "sqlite" else {}


# A worker that waits long for the trial database could not be told to stop meanwhile.
STRICT = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
NEVER_HANG = {
    "postgresql": ("SET lock_timeout = '3s'", "SET statement_timeout = '60s'", "COMMIT"),
    "sqlite": ("PRAGMA busy_timeout=3000", "PRAGMA cache_size=-65536"),
    "mysql": ("SET SESSION innodb_lock_wait_timeout = 3", STRICT),
    "mariadb": ("SET SESSION innodb_lock_wait_timeout = 3", STRICT),
}


def _never_hang(statements: Sequence[str]) -> Callable[[Any, Any], None]:
    def limit(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    return limit


def _begun(connection: sa.Connection, study_id: str) -> int:
    """The position, locked, with nothing of version 1 in the way of what is told again."""
    last = _stands_at(connection, study_id, lock=True)
    if last == trial_schema.TO_BE_EMPTIED:
        trial_schema.empty_what_grew(connection, study_id)
    return max(last, 0)


def _position(connection: sa.Connection, study_id: str, *, lock: bool = False) -> int:
    return max(_stands_at(connection, study_id, lock), 0)


def _stands_at(connection: sa.Connection, study_id: str, lock: bool) -> int:
    query = sa.select(tables.feed_state.c.POSITION).where(tables.feed_state.c.STUDYID == study_id)
    if lock:
        insert(connection, tables.feed_state, [(study_id, 0, instant(clock.now()))])
        query = query.with_for_update()
    return connection.scalar(query) or 0


def _event_at(connection: sa.Connection, study_id: str, position: int) -> str | None:
    """The id of the entry that was applied, or parked, at a position; None when neither table has one."""
    for table in (tables.entries, tables.parked):
        here = (table.c.STUDYID == study_id, table.c.POSITION == position)
        if found := connection.scalar(sa.select(table.c.EVENTID).where(*here)):
            return str(found)
    return None


def _beyond(connection: sa.Connection, study_id: str, position: int) -> Place | None:
    """The last entry, applied or parked, past a position that was taken back; None when there is none."""
    last = None
    for table in (tables.entries, tables.parked):
        past = (table.c.STUDYID == study_id, table.c.POSITION > (last.position if last else position))
        query = sa.select(table.c.POSITION, table.c.EVENTID).where(*past).order_by(table.c.POSITION.desc())
        if found := connection.execute(query.limit(1)).first():
            last = Place(found.POSITION, found.EVENTID)
    return last


def _write(connection: sa.Connection, rows: Rows) -> None:
    for name, table in tables.APPLIED.items():
        insert(connection, table, rows[name])


def _unresolved(connection: sa.Connection, study_id: str) -> list[Any]:
    """What is parked and has not been applied since, in the order of the feed."""
    parked, entries = tables.parked.c, tables.entries.c
    applied = sa.exists().where(entries.STUDYID == parked.STUDYID, entries.POSITION == parked.POSITION)
    query = sa.select(parked.POSITION, parked.REASON, parked.BODY).where(parked.STUDYID == study_id, ~applied)
    return list(connection.execute(query.order_by(parked.POSITION)))


def _records(row: Any) -> frozenset[str]:
    try:
        return records_of(orjson.loads(row.BODY))
    except ValueError:
        return frozenset()  # written by another hand


def _ready_and_waiting(
    connection: sa.Connection, study_id: str, fresh: Sequence[Entry]
) -> tuple[Sequence[Entry], list[Entry]]:
    """The entries that may be applied, and those that stand behind a parked one of their record."""
    behind = [(row.POSITION, _records(row)) for row in _unresolved(connection, study_id)]
    if not behind:
        return fresh, []
    ready, waiting = [], []
    for entry in fresh:
        earlier = [records for position, records in behind if position < entry.position]
        if waits(entry.content, earlier):
            waiting.append(entry)
            behind.append((entry.position, records_of(entry.content)))
        else:
            ready.append(entry)
    return ready, waiting


def _parked_row(entry: Entry, reason: str) -> Row:
    return (
        entry.study_id,
        entry.position,
        str(entry.event_id),
        digest(entry.body),
        reason,
        entry.body,
        instant(clock.now()),
    )


def _advance(connection: sa.Connection, study_id: str, position: int) -> None:
    connection.execute(
        sa.update(tables.feed_state)
        .where(tables.feed_state.c.STUDYID == study_id)
        .values(POSITION=position, APPLIEDDTC=instant(clock.now()))
    )
