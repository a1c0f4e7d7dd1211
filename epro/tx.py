"""One act: one session, one instant, one actor.

`begin(actor)` opens a database transaction, commits when the block ends well and rolls back when it raises.
Nothing below a door reads a clock or asks who is there: both ride in the Tx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from epro import clock, db

Row = TypeVar("Row")


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


@dataclass
class Tx:
    """A transaction with its instant and its actor."""

    session: Session
    now: datetime
    actor: Actor
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def add(self, row: Row) -> Row:
        self.session.add(row)
        return row

    def get(self, model: type[Row], *key: Any, lock: bool = False, skip_locked: bool = False) -> Row | None:
        """The row with this primary key, locked until the end of the act if asked, else None."""
        how = {"skip_locked": True} if skip_locked else True
        return self.session.get(
            model, key, with_for_update=how if lock else None, populate_existing=lock
        )

    def one(self, statement: sa.Select[Any]) -> Any | None:
        """The first value of the first row, or None."""
        return self.session.scalars(statement.limit(1)).first()

    def all(self, statement: sa.Select[Any]) -> list[Any]:
        return list(self.session.scalars(statement))

    def insert(self, model: type, rows: Sequence[Mapping[str, Any]]) -> None:
        """Many plain rows in one statement, past the ORM: a third of the time where answers come in."""
        if not rows:
            return
        table: sa.Table = model.__table__  # type: ignore[attr-defined]
        if table.info.get("audited"):
            self.session.info[db.OWES] = table.name
        connection = self.session.connection()
        if len(rows) > 1 and connection.dialect.name == "postgresql":
            connection.execute(_insert_records(table, tuple(rows[0])), {"rows": db.records_text(table, rows)})
        else:
            connection.execute(sa.insert(table).inline(), list(rows))

    def plain(self, model: type, *key: Any, lock: bool = False) -> Any | None:
        """The row as a plain object that nobody tracks, for where answers come in; `write` puts values back."""
        row = self.session.connection().execute(_select_by_key(model, lock), _bound_key(model, key)).first()
        return None if row is None else SimpleNamespace(**row._mapping)

    def write(self, model: type, *key: Any, **values: Any) -> None:
        """Put values into the row of this key, past the ORM."""
        info = model.__table__.info  # type: ignore[attr-defined]
        if info.get("audited") and not values.keys() <= info.get("unaudited", set()):
            self.session.info[db.OWES] = model.__table__.name  # type: ignore[attr-defined]
        statement = _update_by_key(model, tuple(values))
        self.session.connection().execute(statement, {**_bound_key(model, key), **values})

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written within the block goes to PostgreSQL in one go, not waiting for each answer.

        A fault shows at the end of the block, as the same exception as without it.
        """
        connection = self.session.connection()
        if connection.dialect.name != "postgresql":
            yield
            return
        driver: Any = connection.connection.driver_connection
        try:
            with driver.pipeline():
                yield
        except psycopg.Error as fault:
            raise sa.exc.DBAPIError.instance(None, None, fault, psycopg.Error) from None

    def set_once(self, model: type, *conditions: Any, **facts: Any) -> bool:
        """Write facts that are still blank on the row that `conditions` name. True if this call wrote them."""
        blank = [getattr(model, name).is_(None) for name in facts]
        statement = sa.update(model).where(*conditions, *blank).values(**facts)
        done = self.session.execute(statement, execution_options={"synchronize_session": "fetch"})
        return done.rowcount == 1  # type: ignore[attr-defined]


@contextmanager
def begin(actor: Actor, now: datetime | None = None) -> Iterator[Tx]:
    """An act that may write. Commits at the end of the block; whatever raises undoes all of it."""
    with db.RecordingSession(db.engine(), expire_on_commit=False) as session:
        tx = Tx(session, now or clock.now(), actor)
        set_reach(session, actor)
        yield tx
        session.commit()
    for action in tx.after_commit:
        action()


@contextmanager
def look(actor: Actor, now: datetime | None = None) -> Iterator[Tx]:
    """A look that writes nothing."""
    with db.RecordingSession(db.reading(db.engine()), expire_on_commit=False) as session:
        tx = Tx(session, now or clock.now(), actor)
        set_reach(session, actor)
        yield tx  # closing rolls back, and leaves what was read readable


@lru_cache(maxsize=64)
def _insert_records(table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    return sa.insert(table).from_select(list(names), db.records(table, names)).inline()


@lru_cache(maxsize=64)
def _select_by_key(model: Any, lock: bool) -> sa.Select[Any]:
    statement = sa.select(*model.__table__.columns).where(*_is_key(model))
    return statement.with_for_update() if lock else statement


@lru_cache(maxsize=64)
def _update_by_key(model: Any, names: tuple[str, ...]) -> sa.Update:
    table: sa.Table = model.__table__
    return sa.update(table).where(*_is_key(model)).values({name: sa.bindparam(name) for name in names})


def _is_key(model: Any) -> list[sa.ColumnElement[bool]]:
    return [column == sa.bindparam(f"key_{column.name}") for column in model.__table__.primary_key]


def _bound_key(model: Any, key: tuple[Any, ...]) -> dict[str, Any]:
    return {f"key_{column.name}": value for column, value in zip(model.__table__.primary_key, key, strict=True)}


def glance(model: type, *key: Any) -> Any | None:
    """The row of this key, of a table without row policies: one round trip, outside any transaction."""
    made = db.engine()
    alone = made.dialect.name == "postgresql"
    engine = made.execution_options(isolation_level="AUTOCOMMIT") if alone else db.reading(made)
    with engine.connect() as connection:
        return connection.execute(_select_by_key(model, False), _bound_key(model, key)).first()


_SET_REACH = sa.text(
    "SELECT set_config('epro.reach', :reach, true), set_config('epro.study', :study, true),"
    " set_config('epro.subject', :subject, true), set_config('epro.sites', :sites, true)"
)


def set_reach(session: Session, actor: Actor) -> None:
    """Tell PostgreSQL's row policies, for this transaction only, whose act this is."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(
            _SET_REACH,
            {
                "reach": actor.reach,
                "study": actor.study_id or "",
                "subject": actor.subject_id or "",
                "sites": actor.sites(),
            },
        )
