"""Giving `answers` of an older trial database the key that ours has: by position, where it was by response."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable, DDLElement, DropTable

from epro.stream.sinks import SinkUnavailable
from epro.stream.sinks.trial_tables import answers

BEFORE = "answers_before"
NOT_NEEDED = "ix_answers_POSITION"
"""What led to a position until the key did."""


class NewKey(DDLElement):
    """ALTER TABLE ... to the key of ours; every row and every right stays as it is."""

    inherit_cache = False

    def __init__(self, table: sa.Table, old: str | None):
        self.table, self.old = table, old


@compiles(NewKey)
def _new_key(element: NewKey, compiler: object, **how: object) -> str:
    dropped = f"CONSTRAINT {compiler.preparer.quote(element.old)}"  # type: ignore[attr-defined]
    return _altered(element, compiler, dropped)


@compiles(NewKey, "mysql")
@compiles(NewKey, "mariadb")
def _new_key_of_mysql(element: NewKey, compiler: object, **how: object) -> str:
    return _altered(element, compiler, "PRIMARY KEY")


def _altered(element: NewKey, compiler: object, dropped: str) -> str:
    quote = compiler.preparer.quote  # type: ignore[attr-defined]
    key = ", ".join(quote(column.name) for column in element.table.primary_key)
    return f"ALTER TABLE {quote(element.table.name)} DROP {dropped}, ADD PRIMARY KEY ({key})"


def renew(connection: sa.Connection) -> None:
    """The key of ours, unless it is there. Raises SinkUnavailable, with nothing changed, where it cannot be made: a row
    stands there twice that no feed tells, or something of another hand hangs on the old key.
    """
    there = sa.inspect(connection).get_pk_constraint("answers")
    try:
        if there["constrained_columns"] != answers.primary_key.columns.keys():
            if connection.dialect.name == "sqlite":
                _made_anew(connection)
            else:
                connection.execute(NewKey(answers, there["name"]))
        _drop_what_is_not_needed(connection)
    except DBAPIError as fault:
        raise SinkUnavailable(f"answers cannot have its new key: {type(fault.orig).__name__}") from None


def _drop_what_is_not_needed(connection: sa.Connection) -> None:
    """Asked for each time: MariaDB and MySQL may have made the key and then been cut off."""
    there = sa.Table("answers", sa.MetaData(), autoload_with=connection)
    for index in (one for one in there.indexes if one.name == NOT_NEEDED):
        index.drop(connection)


def _made_anew(connection: sa.Connection) -> None:
    """SQLite changes no key of a table that is there, and renames none that a view looks at: so rows go out and in."""
    before = sa.Table(BEFORE, sa.MetaData(), *(sa.Column(one.name, one.type) for one in answers.columns))
    connection.execute(CreateTable(before))
    _copy(connection, answers, before)
    connection.execute(DropTable(answers))
    connection.execute(CreateTable(answers))
    _copy(connection, before, answers)
    connection.execute(DropTable(before))


def _copy(connection: sa.Connection, source: sa.Table, target: sa.Table) -> None:
    in_order = sa.select(*source.columns).order_by(source.c.STUDYID, source.c.POSITION)
    connection.execute(target.insert().from_select(source.columns.keys(), in_order))
