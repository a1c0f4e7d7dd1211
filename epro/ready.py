"""Statements of the core, made ready once: their text, the order of parameters, what each value goes through.

SQLAlchemy works this out anew at each execution, which takes longer than the statement itself where the database is
near. Here it is done once for a statement and a kind of database; from then on the driver runs the text, within the
same connection and transaction. Where somebody listens to the statements of an engine, and for lists whose length is
not known beforehand, they go the usual way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn
from uuid import UUID

import sqlalchemy as sa

Process = Callable[[Any], Any]


class Kind(str):
    """A kind of database, by its name: dialects of one name make the same of a statement."""

    dialect: sa.Dialect


@lru_cache(maxsize=64)
def _kind(dialect: sa.Dialect) -> Kind:
    made = Kind(dialect.name)
    made.dialect = dialect
    return made


class Line:
    """What there is to know of a connection that is at work, found out once for the time that it is taken."""

    def __init__(self, connection: sa.Connection):
        heard = connection.engine.dispatch
        self.listened_to = bool(heard.before_cursor_execute or heard.after_cursor_execute)
        self.kind = _kind(connection.dialect)
        self.cursor: Callable[[], Any] = connection.connection.driver_connection.cursor  # type: ignore[union-attr]


def _line(connection: sa.Connection) -> Line:
    known: Line | None = vars(connection).get("epro_line")
    if known is None:
        known = vars(connection)["epro_line"] = Line(connection)
    return known


@lru_cache(maxsize=16384)
def _uuid(text: str) -> UUID:
    """As SQLite keeps it. The same few are read again and again."""
    return UUID(text)


class Ready:
    """One statement for one kind of database, from what the compiler says of it."""

    def __init__(self, statement: Any, compiled: Any, dialect: sa.Dialect):
        self.text, self.positional = str(compiled), bool(compiled.positional)
        names = list(compiled.positiontup if self.positional else compiled.binds)
        self.keys = tuple(compiled.binds[name].key for name in names)
        processes = [
            compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names
        ]
        self.names, self.through = names, [(n, one) for n, one in enumerate(processes) if one]
        # What stands in the statement itself, and columns that nobody names and that have a value of their own.
        self.own = {bind.key: bind.value for bind in compiled.binds.values() if not bind.required}
        self.own |= {column.key: column.default.arg for column in compiled.insert_prefetch}
        columns = list(statement.selected_columns) if isinstance(statement, sa.SelectBase) else []
        self.types = [column.type for column in columns]
        self.row: Any = namedtuple("Row", [str(column.key) for column in columns], rename=True)  # type: ignore[misc]
        self.read_by: list[tuple[int, Process]] | None = None

    def bound(self, given: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them."""
        told = {**self.own, **given} if self.own else given
        values = [told[key] for key in self.keys]
        for n, process in self.through:
            if (value := values[n]) is not None:
                values[n] = process(value)
        return values if self.positional else dict(zip(self.names, values, strict=True))

    def read(self, found: Sequence[Sequence[Any]], told: Sequence[Any], dialect: sa.Dialect) -> list[Any]:
        """Rows as the driver gave them and told of their columns, each value as the type of its column reads it."""
        if self.read_by is None:
            self.read_by = [
                (n, process)
                for n, (kind, column) in enumerate(zip(self.types, told, strict=True))
                if (process := _reader(kind, dialect, column[1]))
            ]
        return [self._made(values) for values in found] if self.read_by else list(map(self.row._make, found))

    def _made(self, values: Sequence[Any]) -> Any:
        made = list(values)
        for n, process in self.read_by or ():
            if made[n] is not None:
                made[n] = process(made[n])
        return self.row._make(made)


def _reader(kind: Any, dialect: sa.Dialect, told: Any) -> Process | None:
    if isinstance(kind, sa.Uuid) and dialect.name == "sqlite":
        return _uuid
    found: Process | None = kind.dialect_impl(dialect).result_processor(dialect, told)
    return found


def rows(connection: sa.Connection, statement: Any, asked: Mapping[str, Any]) -> Sequence[Any]:
    """The rows of a statement that is made once and kept."""
    line = _line(connection)
    ready = _of(line, statement, None)
    if ready is None:
        return connection.execute(statement, asked).all()
    try:
        cursor = line.cursor()
        cursor.execute(ready.text, ready.bound(asked))
        found, told = cursor.fetchall(), cursor.description
        cursor.close()
    except connection.dialect.loaded_dbapi.Error as fault:
        _refuse(connection, ready.text, fault)
    return ready.read(found, told, connection.dialect)


def write(connection: sa.Connection, statement: Any, given: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement that is made once and kept, for each of these parameters; nothing comes back.

    Raises InvalidRequestError where the transaction was undone already: SQLite would keep what is written after it.
    """
    if not connection.in_transaction():
        raise sa.exc.InvalidRequestError("This act was undone: nothing more can be written in it.")
    names = tuple(given[0]) if isinstance(statement, sa.Insert) and statement.select is None else None
    line = _line(connection)
    ready = _of(line, statement, names)
    if ready is None:
        connection.execute(statement, list(given))
        return
    bound = [ready.bound(one) for one in given]
    try:
        cursor = line.cursor()
        if len(bound) == 1:
            cursor.execute(ready.text, bound[0])
        else:
            cursor.executemany(ready.text, bound)
        cursor.close()
    except connection.dialect.loaded_dbapi.Error as fault:
        _refuse(connection, ready.text, fault)


def _of(line: Line, statement: Any, names: tuple[str, ...] | None) -> Ready | None:
    """None when it goes the usual way."""
    return None if line.listened_to else _made(statement, line.kind, names)


@lru_cache(maxsize=1024)
def _made(statement: Any, kind: Kind, names: tuple[str, ...] | None) -> Ready | None:
    compiled = statement.compile(dialect=kind.dialect, column_keys=None if names is None else list(names))
    unknown = compiled.post_compile_params or compiled.literal_execute_params or compiled.update_prefetch
    if unknown or any(not column.default.is_scalar for column in compiled.insert_prefetch):
        return None
    return Ready(statement, compiled, kind.dialect)


def at_once(connection: sa.Connection, text: str) -> None:
    """Have the driver run a text that asks for nothing and says nothing."""
    try:
        _line(connection).cursor().execute(text)
    except connection.dialect.loaded_dbapi.Error as fault:
        _refuse(connection, text, fault)


def _refuse(connection: sa.Connection, text: str, fault: Exception) -> NoReturn:
    """As SQLAlchemy tells it. That a connection is gone it finds out by itself, and looks after the pool."""
    dialect, driver = connection.dialect, connection.connection.driver_connection
    if dialect.is_disconnect(fault, driver, None):  # type: ignore[arg-type]
        connection.exec_driver_sql("SELECT 1")
    base = dialect.loaded_dbapi.Error
    raise sa.exc.DBAPIError.instance(
        text, None, fault, base, hide_parameters=True, dialect=dialect
    ) from fault
