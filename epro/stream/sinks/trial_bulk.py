"""Many rows at once into the trial database, each engine by its quickest way. A key that is there keeps its row; what
is blank in it and came with a later version of the schema (`filled`) is filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import mysql, postgresql, sqlite

from epro import statements

Row = tuple[Any, ...]
FEW = 20  # rows; below, one statement is quicker than opening a COPY


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows (values in the order of the columns) that are not there yet."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_statement(table, connection.dialect.name), list(rows))
    elif len(rows) < FEW or not _copied(connection, table, rows):
        _insert_records(connection, table, rows)


def _copied(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> bool:
    """COPY straight into the table; False, and nothing done, when the database objects to a row."""
    driver: Any = connection.connection.driver_connection
    try:
        with connection.begin_nested(), driver.cursor().copy(_copy(table)) as copy:
            copy.set_types(_types(table))
            for row in rows:
                copy.write_row(row)
    except (psycopg.IntegrityError, psycopg.DataError):
        return False  # a row that was there before, or one that is refused: the slow way tells which
    return True


def _insert_records(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    names = [str(column.name) for column in table.columns]  # plain texts, as JSON wants its keys
    given = postgresql.insert(table).from_select(names, statements.records(table, names))
    told = [dict(zip(names, row, strict=True)) for row in rows]
    bound = {"rows0": statements.records_text(table, told)}
    done = connection.execute(given.on_conflict_do_nothing(), bound)
    if done.rowcount < len(rows) and (filled := table.info.get("filled")):
        blank = table.c[filled[0]].is_(None)
        connection.execute(statements.update_records(table, filled).where(blank), bound)


@lru_cache(maxsize=64)
def _types(table: sa.Table) -> list[str]:
    """What binary COPY must know: PostgreSQL's own names of the columns' types."""
    kinds = [(sa.BigInteger, "int8"), (sa.Integer, "int4"), (sa.Float, "float8"), (sa.Text, "text")]
    return [
        next((name for kind, name in kinds if isinstance(column.type, kind)), "varchar")
        for column in table.columns
    ]


@lru_cache(maxsize=64)
def _copy(table: sa.Table) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table.name), columns)


@lru_cache(maxsize=64)
def _statement(table: sa.Table, kind: str) -> str:
    """An INSERT with a place for each column, in their order, as the driver takes it."""
    filled: Sequence[str] = table.info.get("filled", ())
    if kind == "sqlite":
        made: Any = sqlite.insert(table)
        told: dict[str, Any] = {n: sa.func.coalesce(table.c[n], made.excluded[n]) for n in filled}
        made = (
            made.on_conflict_do_update(table.primary_key, set_=told)
            if told
            else made.on_conflict_do_nothing()
        )
        dialect: sa.Dialect = sqlite.dialect(paramstyle="qmark")
    else:  # IGNORE would hide what is refused
        first = next(iter(table.primary_key)).name
        made = mysql.insert(table)
        told = {n: sa.func.coalesce(table.c[n], made.inserted[n]) for n in filled}
        made = made.on_duplicate_key_update(told or {first: table.c[first]})
        dialect = mysql.dialect(paramstyle="format")
    return str(made.values({c.name: sa.bindparam(c.name) for c in table.columns}).compile(dialect=dialect))
