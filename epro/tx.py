"""One act: one transaction, one instant, one actor.

`begin(actor)` opens a database transaction, commits when the block ends well and rolls back when it raises.
Nothing below a door reads a clock or asks who is there: both ride in the Tx.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from epro import clock, db, ready, statements
from epro.errors import places
from epro.statements import Write

Row = TypeVar("Row")
AWAY = (OperationalError, InterfaceError)
"""What says that the database is away."""


@dataclass(frozen=True)
class Grant:
    """One role at one site of one study; site "*" means all of them."""

    study_id: str
    site_id: str
    role: str


@dataclass(frozen=True)
class Actor:
    """Who acts. `reach` says which rows the database itself lets through: all, one participant, or sites."""

    kind: str  # participant | staff | key | system
    id: str
    study_id: str | None = None
    subject_id: str | None = None
    grants: tuple[Grant, ...] = ()
    device_id: UUID | None = None
    session_id: UUID | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @property
    def reach(self) -> str:
        return {"system": "all", "participant": "participant"}.get(self.kind, "sites")

    def sites(self) -> str:
        """`study/site` keys of the grants, comma separated, as the database's policies read them."""
        return ",".join(sorted({f"{grant.study_id}/{grant.site_id}" for grant in self.grants}))


def system(name: str) -> Actor:
    """The software itself: the clockwork, a door before anyone is known, a command."""
    return Actor("system", name)


class Plain(SimpleNamespace):
    """The values of a row, by name; `_was` keeps them as they were read. No methods: a column may have any name."""

    def __init__(self, table: sa.Table, values: Sequence[Any]) -> None:
        was = dict(zip(statements.names_of(table), values, strict=True))
        super().__init__(**was, _was=was)


@dataclass
class Tx:
    """A transaction with its instant and its actor."""

    connection: sa.Connection
    now: datetime
    actor: Actor
    _waiting: dict[Any, Write] | None = None
    _account: dict[Any, Any] = field(default_factory=dict)
    _session: Session | None = None
    _part: ExitStack | None = None

    @property
    def session(self) -> Session:
        """For rows as objects: opened when it is first asked for, on this connection and in this transaction.

        Opened within a part that can be undone, it has a savepoint of its own: what its flush refuses must undo the
        part alone.
        """
        if self._session is None:
            self._session = db.RecordingSession(
                self.connection,
                expire_on_commit=False,
                join_transaction_mode="control_fully",
                info=self._account,
            )
            if self._part is not None:
                self._part.enter_context(self._session.begin_nested())
                self._session.connection()
        return self._session

    @property
    def account(self) -> dict[Any, Any]:
        """Whether the act changed what is audited, and whether it recorded something."""
        return self._account if self._session is None else self._session.info

    def commit(self) -> None:
        """The end of the act."""
        if self._session is None:
            db.settle(self._account)
        else:
            self._session.commit()  # and with it the transaction, where anything was asked of it
        if self.connection.in_transaction():
            self.connection.commit()

    def add(self, row: Row) -> Row:
        self.session.add(row)
        return row

    def get(self, model: type[Row], *key: Any, lock: bool = False, skip_locked: bool = False) -> Row | None:
        """The row with this primary key, locked until the end of the act if asked, else None."""
        how = {"skip_locked": True} if skip_locked else True
        return self.session.get(model, key, with_for_update=how if lock else None, populate_existing=lock)

    def flush(self) -> None:
        """Write what was changed of objects and still waits; no session is opened for it."""
        if self._session is not None:
            self._session.flush()

    def one(self, statement: sa.Select[Any]) -> Any | None:
        """The first value of the first row, or None."""
        return self.session.scalars(statement.limit(1)).first()

    def all(self, statement: sa.Select[Any]) -> list[Any]:
        return list(self.session.scalars(statement))

    def rows(self, statement: Any, asked: Mapping[str, Any]) -> Sequence[Any]:
        """The rows of a ready statement of columns, past the ORM."""
        return ready.rows(self.connection, statement, asked)

    def insert(self, model: type, rows: Sequence[Mapping[str, Any]]) -> None:
        """Many plain rows in one statement, past the ORM: a third of the time where answers come in."""
        if not rows:
            return
        table = table_of(model)
        if table.info.get("audited"):
            self.account[db.OWES] = table.name
        self._send(Write(table, tuple(rows[0]), rows))

    def plain(self, model: type, *key: Any, lock: bool = False, skip_locked: bool = False) -> Any | None:
        """The row as a plain object that nobody tracks, for what is done often; `put_back` writes what was changed.

        What this act has changed of it through the session counts: it is written first.
        """
        table = table_of(model)
        self.flush()
        asked = statements.select_by_key(table, lock, skip_locked)
        found = ready.rows(self.connection, asked, statements.bound_key(table, key))
        return Plain(table, found[0]) if found else None

    def put_back(self, model: type, row: Plain) -> None:
        """Write what was changed of a plain row since it was read or put back."""
        now, was = vars(row), row._was
        changed = {name: now[name] for name, value in was.items() if now[name] != value}
        if changed:
            self.write(model, *(was[column.name] for column in table_of(model).primary_key), **changed)
            was.update(changed)

    def put_all(self, model: type, rows: Sequence[Any], names: tuple[str, ...]) -> None:
        """Write these columns of plain rows, changed or not: all of them in one statement."""
        if rows:
            key = [column.name for column in table_of(model).primary_key]
            keys = [tuple(getattr(row, name) for name in key) for row in rows]
            self._write(model, names, [{name: getattr(row, name) for name in names} for row in rows], keys)

    def write(self, model: type, *key: Any, **values: Any) -> None:
        """Put values into the row of this key, past the ORM."""
        self._write(model, tuple(values), [values], [key])

    def _write(
        self, model: type, names: tuple[str, ...], rows: Sequence[Mapping[str, Any]], keys: Sequence[Any]
    ) -> None:
        table = table_of(model)
        if table.info.get("audited") and not set(names) <= table.info.get("unaudited", set()):
            self.account[db.OWES] = table.name
        self._send(Write(table, names, rows, keys))

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is inserted and written within the block goes out at its end: what is alike at once, and on
        PostgreSQL all as one statement.

        Nothing may be read within that was written within, and no row written twice. A block within a block is part
        of it.
        """
        if self._waiting is not None:
            yield
            return
        self._waiting = {}
        try:
            yield
            waiting = list(self._waiting.values())
        finally:
            self._waiting = None
        connection = self.connection
        if connection.dialect.name != "postgresql" or len(waiting) == 1:
            for write in waiting:
                self._send(write)
        elif waiting:
            bound = {
                name: value
                for number, write in enumerate(waiting)
                for name, value in write.bound(number).items()
            }
            ready.write(connection, statements.together(tuple(write.shape for write in waiting)), [bound])

    def _send(self, write: Write) -> None:
        if self._waiting is not None:
            alike = self._waiting.get(write.like)
            self._waiting[write.like] = write if alike is None else alike.and_also(write)
            return
        connection = self.connection
        many = len(write.rows) > 1 and connection.dialect.name == "postgresql"
        if write.keys:
            sent = statements.update_records if many else statements.update_by_key
            ready.write(
                connection, sent(write.table, write.names), [write.bound(0)] if many else write.each()
            )
        elif many:
            ready.write(connection, statements.insert_records(write.table, write.names), [write.bound(0)])
        else:
            ready.write(connection, statements.insert(write.table), write.rows)


@contextmanager
def begin(actor: Actor, now: datetime | None = None) -> Iterator[Tx]:
    """An act that may write. Commits at the end of the block; whatever raises undoes all of it."""
    with _opened(db.engine(), actor, now) as tx:
        yield tx
        tx.commit()


@contextmanager
def look(actor: Actor, now: datetime | None = None) -> Iterator[Tx]:
    """A look that writes nothing."""
    with _opened(db.reading(db.engine()), actor, now) as tx:
        yield tx  # closing rolls back, and leaves what was read readable


@contextmanager
def _opened(engine: sa.Engine, actor: Actor, now: datetime | None) -> Iterator[Tx]:
    tx = Tx(engine.connect(), now or clock.now(), actor)
    try:
        tx.connection.begin()
        set_reach(tx.connection, actor)
        yield tx
    finally:
        tx.connection.close()  # rolls back what was not committed
        if tx._session is not None:
            tx._session.close()


def attempt(tx: Tx, log: logging.Logger | None, what: str, part: Callable[[], Any], **told: Any) -> bool:
    """Do one part of an act for many, so that one that fails stops no other: it is undone alone and logged.

    False when it failed; what was read for it must then be read again. A database that is away is no fault of the
    part, and is raised. `told` goes beside the log line; there is none where the part is to be done in smaller ones.
    """
    try:
        with undoable(tx):
            part()
    except AWAY:
        raise
    except Exception as fault:
        if log is not None:
            log.error("%s: %s at %s", what, type(fault).__name__, places(fault), extra=told)
        return False
    return True


@contextmanager
def undoable(tx: Tx) -> Iterator[None]:
    """What raises within undoes all that was done within, and nothing else."""
    if tx._session is None and tx._part is None:
        with _savepoint(tx):
            yield
        return
    with tx.session.begin_nested():
        tx.session.connection()  # or the savepoint would begin with the first object, after plain rows were written
        yield


@contextmanager
def _savepoint(tx: Tx) -> Iterator[None]:
    """The same where no session is open yet: most parts need none. One that is opened within takes part."""
    told = {name: tx.account.get(name) for name in (db.OWES, db.RECORDED)}
    ready.at_once(tx.connection, "SAVEPOINT part")
    try:
        with ExitStack() as tx._part:
            yield
    except BaseException:
        if tx._session is not None:
            tx._session.expunge_all()
        ready.at_once(tx.connection, "ROLLBACK TO SAVEPOINT part")
        tx.account.update(told)
        raise
    finally:
        tx._part = None
    ready.at_once(tx.connection, "RELEASE SAVEPOINT part")


def table_of(model: Any) -> sa.Table:
    """The table of a model, for statements past the ORM."""
    table: sa.Table = model.__table__
    return table


def glance(model: type, *key: Any) -> Any | None:
    """The row of this key, of a table without row policies: one round trip, outside any transaction."""
    made = db.engine()
    alone = made.dialect.name == "postgresql"
    engine = made.execution_options(isolation_level="AUTOCOMMIT") if alone else db.reading(made)
    with engine.connect() as connection:
        table = table_of(model)
        asked = statements.select_by_key(table, False)
        found = ready.rows(connection, asked, statements.bound_key(table, key))
        return found[0] if found else None


_SET_REACH = sa.text(
    "SELECT set_config('epro.reach', :reach, true), set_config('epro.study', :study, true),"
    " set_config('epro.subject', :subject, true), set_config('epro.sites', :sites, true)"
)


def set_reach(connection: sa.Connection, actor: Actor) -> None:
    """Tell PostgreSQL's row policies, for this transaction only, whose act this is."""
    if connection.dialect.name == "postgresql":
        told = {
            "reach": actor.reach,
            "study": actor.study_id or "",
            "subject": actor.subject_id or "",
            "sites": actor.sites(),
        }
        ready.write(connection, _SET_REACH, [told])
