"""Statements by key, for where answers come in: made once for a table, past the ORM, past what is done twice.

On PostgreSQL rows travel as one JSON text, which the server unpacks quicker than a driver binds a hundred values;
and the writes of one act can be one statement (data-modifying WITH), so that there is one answer to wait for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from epro.db import Json, Listed, json_text

Shape = tuple[str, sa.Table, tuple[str, ...]]  # insert or update, where, which columns


class Write(NamedTuple):
    """One write that waits to go out with others: rows to insert, or values for the rows of these keys."""

    table: sa.Table
    names: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]] = ()
    keys: Sequence[tuple[Any, ...]] = ()

    @property
    def like(self) -> tuple[str, bool, tuple[str, ...]]:
        """What two writes share that can go out as one."""
        return self.table.name, bool(self.keys), self.names

    def and_also(self, other: Write) -> Write:
        """Both as one."""
        return Write(self.table, self.names, [*self.rows, *other.rows], [*self.keys, *other.keys])

    @property
    def shape(self) -> Shape:
        kind = ("update" if len(self.keys) == 1 else "update_many") if self.keys else "insert"
        return (kind, self.table, self.names)

    def bound(self, number: int) -> dict[str, Any]:
        """Its parameters, when it is the `number`th of a statement."""
        if len(self.keys) == 1:
            values = {f"value{number}_{name}": self.rows[0][name] for name in self.names}
            return values | bound_key(self.table, self.keys[0], number)
        return {f"rows{number}": records_text(self.table, self._records())}

    def each(self) -> list[dict[str, Any]]:
        """The parameters of each row of an update, for `update_by_key`."""
        return [
            {f"value0_{name}": row[name] for name in self.names} | bound_key(self.table, key)
            for row, key in zip(self.rows, self.keys, strict=True)
        ]

    def _records(self) -> Sequence[Mapping[str, Any]]:
        if not self.keys:
            return self.rows
        names = [column.name for column in self.table.primary_key]
        return [
            {**dict(zip(names, key, strict=True)), **row}
            for row, key in zip(self.rows, self.keys, strict=True)
        ]


class _Given(FunctionElement[Any]):
    type = sa.types.NULLTYPE  # of a Boolean one is made `... = 1` on SQLite, and no index is used
    inherit_cache = True


class _Among(_Given):
    inherit_cache = True


class _OfPeople(_Given):
    inherit_cache = True


def among(column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
    """Whether the column's value is one of those that are given as the parameter `name`, thousands maybe.

    For rows that are found by something else: each is looked up. Alone it can lead PostgreSQL through the whole table.
    """
    return _Among(column, sa.bindparam(name, type_=Listed(column.type)))


def of_people(table: sa.Table) -> sa.ColumnElement[bool]:
    """Rows of participants of one study, given as the parameters `study_id` and `subject_ids`; an index is used."""
    study, subject = table.c.study_id, table.c.subject_id
    study_id = sa.bindparam("study_id", type_=study.type)
    return _OfPeople(study, subject, study_id, sa.bindparam("subject_ids", type_=Listed(subject.type)))


def of_ids(table: sa.Table, name: str = "id") -> sa.ColumnElement[bool]:
    """Rows of one study by their ids, given as the parameters `study_id` and `ids`; an index on both is used."""
    study_id, ids = table.c.study_id, table.c[name]
    given = sa.bindparam("study_id", type_=study_id.type)
    return _OfPeople(study_id, ids, given, sa.bindparam("ids", type_=Listed(ids.type)))


@compiles(_Among)
def _in_hash(element: _Given, compiler: Any, **how: Any) -> str:
    return "{} IN (SELECT unnest({}))".format(*_spelt(element, compiler, how))


@compiles(_Among, "sqlite")
def _in_json(element: _Given, compiler: Any, **how: Any) -> str:
    return "{} IN (SELECT value FROM json_each({}))".format(*_spelt(element, compiler, how))


@compiles(_OfPeople)
def _any_of_people(element: _Given, compiler: Any, **how: Any) -> str:
    return "({0} = {2} AND {1} = ANY ({3}))".format(*_spelt(element, compiler, how))


@compiles(_OfPeople, "sqlite")
def _pairs_of_people(element: _Given, compiler: Any, **how: Any) -> str:
    # As two conditions it would look through everybody of the study.
    return "({}, {}) IN (SELECT {}, value FROM json_each({}))".format(*_spelt(element, compiler, how))


def _spelt(element: _Given, compiler: Any, how: dict[str, Any]) -> list[str]:
    return [compiler.process(one, **how) for one in element.clauses]


@lru_cache(maxsize=64)
def names_of(table: sa.Table) -> tuple[str, ...]:
    """The names of a table's columns, in the order in which `select_by_key` gives them."""
    return tuple(column.name for column in table.columns)


@lru_cache(maxsize=64)
def select_by_key(table: sa.Table, lock: bool, skip_locked: bool = False) -> sa.Select[Any]:
    """The row of a key (`bound_key`), locked until the end of the act if asked; none if somebody else holds it and
    such are to be skipped."""
    statement = sa.select(*table.columns).where(*_is_key(table, 0))
    return statement.with_for_update(skip_locked=skip_locked) if lock else statement


@lru_cache(maxsize=64)
def insert(table: sa.Table) -> sa.Insert:
    """Rows, given one by one; nothing comes back."""
    return sa.insert(table).inline()


@lru_cache(maxsize=64)
def insert_records(table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    """Rows, given as one JSON text (`rows0`); PostgreSQL only."""
    return sa.insert(table).from_select(list(names), records(table, names)).inline()


@lru_cache(maxsize=256)
def update_by_key(table: sa.Table, names: tuple[str, ...], number: int = 0) -> sa.Update:
    """Values (`value0_<name>`) for the row of a key."""
    values = {name: sa.bindparam(f"value{number}_{name}", type_=table.c[name].type) for name in names}
    return sa.update(table).where(*_is_key(table, number)).values(values)


@lru_cache(maxsize=256)
def update_records(table: sa.Table, names: tuple[str, ...], number: int = 0) -> sa.Update:
    """Values for many rows, keys and values given as one JSON text (`rows<number>`); PostgreSQL only."""
    key = [column.name for column in table.primary_key]
    given = _unpacked(table, [*key, *names], number)
    same = [table.c[name] == given.c[name] for name in key]
    return sa.update(table).where(*same).values({name: given.c[name] for name in names})


@lru_cache(maxsize=256)
def together(shapes: tuple[Shape, ...]) -> sa.Select[Any]:
    """Several writes as one statement. They see what was there before all of them, and none of each other."""
    parts = [_part(shape, number).cte(f"w{number}") for number, shape in enumerate(shapes)]
    return sa.select(sa.literal(1)).add_cte(*parts)


def bound_key(table: sa.Table, key: tuple[Any, ...], number: int = 0) -> dict[str, Any]:
    """The parameters of a key."""
    return {f"key{number}_{column.name}": value for column, value in zip(table.primary_key, key, strict=True)}


def records(table: sa.Table, names: Sequence[str], number: int = 0) -> sa.Select[Any]:
    """Rows unpacked from one JSON text (`rows<number>`); PostgreSQL only."""
    # A star keeps the text short enough for the driver to remember what it made of it.
    return sa.select(sa.literal_column("*")).select_from(_unpacked(table, names, number))


def _unpacked(table: sa.Table, names: Sequence[str], number: int) -> Any:
    columns: list[Any] = [sa.column(name, table.c[name].type) for name in names]
    given = sa.cast(sa.bindparam(f"rows{number}", type_=sa.Text()), sa.JSON())
    unpacked = sa.func.json_to_recordset(given).table_valued(*columns, name=f"record{number}")
    return unpacked.render_derived(with_types=True)


def records_text(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as `records` takes them."""
    inner = {name for name in rows[0] if isinstance(table.c[name].type, Json)}
    if inner:
        rows = [{**row, **{name: json_text(row[name]) for name in inner}} for row in rows]
    return orjson.dumps(rows).decode()


def _part(shape: Shape, number: int) -> Any:
    kind, table, names = shape
    if kind == "update":
        return update_by_key(table, names, number)
    if kind == "update_many":
        return update_records(table, names, number)
    return sa.insert(table).from_select(list(names), records(table, names, number)).inline()


def _is_key(table: sa.Table, number: int) -> list[sa.ColumnElement[bool]]:
    return [
        column == sa.bindparam(f"key{number}_{column.name}", type_=column.type)
        for column in table.primary_key
    ]
