"""The handle on the databases: engines, the model base, and the types that keep time and JSON honest.

SQLite is used as it must be (WAL, synchronous FULL, BEGIN IMMEDIATE for writers and a fair queue for them);
on PostgreSQL every connection acts under a role that owns no table.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.orm import DeclarativeBase, Session, registry
from sqlalchemy.types import TypeDecorator

from epro import ready


class Instant(TypeDecorator[datetime]):
    """A moment, kept in UTC. A local time without zone cannot slip in."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an Instant needs a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """Likewise for what is written, see `result_processor`."""
        return _spell_utc if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: sa.Dialect, coltype: Any) -> Any:
        """SQLite keeps UTC as text without a zone; to read it at once is half the work."""
        return _read_utc if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _spell_utc(value: datetime | None) -> str | None:
    """As SQLAlchemy spells a moment on SQLite, by the C library."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("an Instant needs a time zone")
    return value.astimezone(UTC).isoformat(" ", "microseconds")[:26]


@lru_cache(maxsize=16384)
def _read_utc(text: str | None) -> datetime | None:
    """The same few are read again and again."""
    return None if text is None else datetime.fromisoformat(text + "+00:00")


class Json(TypeDecorator[Any]):
    """A small JSON value, kept as text on every database, so that it reads back as it was written."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return json_text(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else orjson.loads(value)


def json_text(value: Any) -> str | None:
    """A JSON value as `Json` columns keep it."""
    return None if value is None else orjson.dumps(value).decode()


class Listed(TypeDecorator[Any]):
    """Any number of values as one parameter, so that a statement stays the same however many there are: an array, or
    a JSON text on SQLite (see `statements.among`).
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else postgresql.ARRAY(self.of))

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        if dialect.name != "sqlite":
            return list(value)
        spell = self.of.dialect_impl(dialect).bind_processor(dialect)
        return orjson.dumps([spell(one) for one in value] if spell else list(value)).decode()


NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
TYPES: dict[Any, Any] = {
    datetime: Instant,
    date: sa.Date,
    UUID: sa.Uuid,
    dict: Json,
    list: Json,
    str: sa.Text,
}


class Base(DeclarativeBase):
    """Models of the main database."""

    metadata = sa.MetaData(naming_convention=NAMING)
    registry = registry(type_annotation_map=TYPES, metadata=metadata)


class ContactsBase(DeclarativeBase):
    """Models of the contact store, a database of its own."""

    metadata = sa.MetaData(naming_convention=NAMING)
    registry = registry(type_annotation_map=TYPES, metadata=metadata)


class KeysBase(DeclarativeBase):
    """Models of the store of data keys, a database of its own too: it is kept and forgotten apart from the rest."""

    metadata = sa.MetaData(naming_convention=NAMING)
    registry = registry(type_annotation_map=TYPES, metadata=metadata)


db = SQLAlchemy(model_class=Base)


OWES, RECORDED = "epro.owes", "epro.recorded"  # what the trail's guard keeps in the account of an act


class SilentChange(TypeError):
    """An audited row changed and nothing was written in the trail."""


def settle(account: dict[Any, Any]) -> None:
    """An act that changed an audited row must have recorded something. Raises SilentChange."""
    owes, done = account.pop(OWES, None), account.pop(RECORDED, False)
    if owes and not done:
        raise SilentChange(f"a row of {owes} changed and nothing was written in the trail")


class RecordingSession(Session):
    """The session of an act that works with rows as objects; the trail's guard watches its commits."""


def engine() -> Engine:
    """The main database's engine for the application at hand."""
    return _engines()[None]


def contacts_engine() -> Engine:
    """The contact store's engine."""
    return _engines()["contacts"]


def keys_engine() -> Engine:
    """The engine of the store of data keys."""
    return _engines()["contact_keys"]


def keep(name: str, made: Engine) -> None:
    """One more engine of the application at hand, to be closed with the others."""
    _engines()[name] = made


def _engines() -> dict[str | None, Engine]:
    """As `db.engines`, without the weak references that it goes through each time."""
    kept: dict[str | None, Engine] = _app().extensions["epro.engines"]
    return kept


def _app() -> Flask:
    """The application at hand itself: asked of its proxy, each attribute takes twice as long."""
    at_hand: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return at_hand


def reading(made: Engine) -> Engine:
    """The same engine for readers: everything they read is of one instant, and they keep no writer waiting."""
    known: Engine | None = vars(made).get("epro_reader")
    if known is None:
        postgresql = made.dialect.name == "postgresql"
        isolation = {"isolation_level": "REPEATABLE READ"} if postgresql else {}
        known = vars(made)["epro_reader"] = made.execution_options(epro_reading=True, **isolation)
    return known


def contacts_url(main: str, contacts: str | None) -> str:
    """Where contact data live: as set, else a second SQLite file, else schema `contacts` beside."""
    return contacts or _beside(main, "contacts")


def keys_url(main: str, keys: str | None) -> str:
    """Where data keys live: as set, else a third SQLite file, else schema `contact_keys` beside."""
    return keys or _beside(main, "contact_keys")


def _beside(main: str, name: str) -> str:
    url = make_url(main)
    if url.get_backend_name() == "sqlite":
        path = url.database or "epro.sqlite"
        stem, ending = os.path.splitext(path)
        return url.set(database=f"{stem}-{name}{ending}").render_as_string(hide_password=False)
    return url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


OUR_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}


def driver_url(url: str) -> str:
    """`postgresql://`, `mysql://` and the like mean the drivers that we bring, whatever SQLAlchemy's default is."""
    made = make_url(url.replace("postgres://", "postgresql://", 1))
    if made.drivername in OUR_DRIVERS:
        made = made.set(drivername=f"{made.drivername}+{OUR_DRIVERS[made.drivername]}")
    if made.get_backend_name() == "sqlite" and made.database and made.database != ":memory:":
        made = made.set(
            database=os.path.abspath(made.database)
        )  # where we stand, for every part of the software
    return made.render_as_string(hide_password=False)


def engine_options(url: str) -> dict[str, Any]:
    """What each kind of engine needs: patient pools, and time-outs so that nothing hangs for ever."""
    if make_url(url).get_backend_name() == "sqlite":
        return {
            "connect_args": {"timeout": 30, "cached_statements": 512},
            "pool_size": 16,
            "max_overflow": 32,
            "pool_use_lifo": True,
            "hide_parameters": True,
        }
    return {
        "hide_parameters": True,  # what was answered must not stand in an error
        "pool_size": 16,
        "max_overflow": 32,
        "connect_args": {"connect_timeout": 5},
    }


def prepare(made: Engine, role: str | None) -> None:
    """Teach an engine our manners; once per engine."""
    if made.dialect.name == "sqlite":
        _prepare_sqlite(made)
    elif role:
        _prepare_postgresql(made, role)


def _prepare_sqlite(made: Engine) -> None:
    @event.listens_for(made, "connect")
    def settings(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")
        database = made.url.database
        if database and database != ":memory:":
            record.info["queue"] = open(database + ".queue", "w")  # noqa: SIM115 - closed with the connection

    @event.listens_for(made, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("epro_reading"):
            ready.at_once(connection, "BEGIN DEFERRED")
            return
        # Plain busy-waiting starves writers; a file lock queues them, across processes too.
        queue = connection.connection.info.get("queue")
        if queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
        ready.at_once(connection, "BEGIN IMMEDIATE")

    @event.listens_for(made, "checkin")
    def leave_queue(connection: Any, record: Any) -> None:
        queue = record.info.get("queue")
        if queue:
            fcntl.flock(queue, fcntl.LOCK_UN)

    @event.listens_for(made, "close")
    def close_queue(connection: Any, record: Any) -> None:
        queue = record.info.pop("queue", None)
        if queue:
            queue.close()


def _prepare_postgresql(made: Engine, role: str) -> None:
    made.dialect.use_insertmanyvalues_wo_returning = True  # eight scores are one statement, not eight

    @event.listens_for(made, "connect")
    def act_under(connection: Any, record: Any) -> None:
        quoted = made.dialect.identifier_preparer.quote_identifier(role)
        before, connection.autocommit = connection.autocommit, True
        connection.execute(f"SET ROLE {quoted}")
        connection.execute("SET lock_timeout = '10s'")
        connection.execute("SET idle_in_transaction_session_timeout = '60s'")
        connection.execute("SET timezone = 'UTC'")
        connection.autocommit = before


def init_app(app: Any, settings: dict[str, str | None]) -> None:
    """Bind the application to its databases."""
    main = driver_url(settings["DATABASE_URL"] or "")
    contacts = driver_url(contacts_url(main, settings["CONTACTS_DATABASE_URL"]))
    app.config["SQLALCHEMY_DATABASE_URI"] = main
    keys = driver_url(keys_url(main, settings["CONTACTS_KEYS_DATABASE_URL"]))
    app.config["SQLALCHEMY_BINDS"] = {
        "contacts": {"url": contacts, **engine_options(contacts)},
        "contact_keys": {"url": keys, **engine_options(keys)},
    }
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(main)
    db.init_app(app)
    with app.app_context():
        app.extensions["epro.engines"] = db.engines
        for made in db.engines.values():
            prepare(made, settings["DATABASE_ROLE"])


def insert_missing(session: Session, model: type) -> Any:
    """An INSERT of the session's own dialect, one that knows `on_conflict_do_nothing` and `_update`."""
    dialects = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    return dialects[session.get_bind().dialect.name](model)


def remembered() -> dict[Any, Any]:
    """What this process may keep of the application's databases because it never changes: published versions."""
    kept: dict[Any, Any] = _app().extensions.setdefault("epro.remembered", {})
    return kept


def settings() -> dict[str, str | None]:
    """The settings of the application at hand."""
    told: dict[str, str | None] = _app().config["EPRO"]
    return told
