"""The schema of the trial database: made, brought from an older version to ours, and told what instruments there are.

From version 1 to 2: columns and tables are added, and the feed is told again from the beginning, so that it fills what
is new. What version 1 kept in `entries` and `amendments` goes before, but not here: it tells whose feed this was, and
that is judged first. Responses, answers and scores stay as they are meanwhile. From 2 to 3: what
comparing asks by has an index everywhere, and views know weeks and rivals. From 3 to 4: what changes count from is
found for all scores at once. From 4 to 5: scores name the definition that they were made by; the position goes back to
0, and the feed fills it in where it is blank. From 5 to 6: the key of `answers` is by position. From 6
to 7: views are made anew, so that they are quick on large databases. From 7 to 8: responses have their window, misses
what was not answered; the position goes back to 0, and the feed fills them in. From 8 to 9: excuses have a table, which
no entry of before fills, and a view tells what was not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import DDLElement

from epro.export.rows import category, test_code, test_name
from epro.stream.sinks import SinkUnavailable, trial_key, trial_views
from epro.stream.sinks import trial_tables as tables
from epro.stream.sinks.trial_bulk import insert
from epro.stream.sinks.trial_rows import SCORED_BY, Definitions, Row, Rows

LOCK = 0x65707464  # the advisory lock's number
TO_BE_EMPTIED = -1  # the position of a study that version 1 kept, until the feed begins to tell it again


class SchemaNewer(SinkUnavailable):
    """The trial database was made by a later version of this software, which this one does not touch."""


def bring_up(engine: sa.Engine) -> None:
    """Make what is missing; one process at a time. Raises SchemaNewer."""
    with engine.begin() as connection, _alone(connection):
        version = _version(connection)
        if version > tables.VERSION:
            raise SchemaNewer(f"its schema is version {version}, ours is {tables.VERSION}")
        _make(connection, version)


def _make(connection: sa.Connection, version: int) -> None:
    if 0 < version < tables.VERSION:
        _take_the_time(connection)
        trial_key.renew(connection)
        _add_what_is_new(connection)
    if 0 < version < tables.FILLED_FROM:
        again = TO_BE_EMPTIED if version < 2 else 0
        there = tables.feed_state.c.POSITION
        connection.execute(sa.update(tables.feed_state).where(there > 0).values(POSITION=again))
    tables.metadata.create_all(connection)
    if version < tables.VERSION or "v_changes" not in sa.inspect(connection).get_view_names():
        trial_views.make_common(connection)
    if 0 < version < tables.VERSION:
        _show_again(connection)
    connection.execute(sa.delete(tables.schema_state).where(tables.schema_state.c.VERSION < tables.VERSION))
    insert(connection, tables.schema_state, [(1, tables.VERSION)])


@contextmanager
def _alone(connection: sa.Connection) -> Iterator[None]:
    """One process at a time changes the schema; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
    elif connection.dialect.name != "sqlite" and not connection.scalar(
        sa.select(sa.func.get_lock("epro", 3))
    ):
        raise SinkUnavailable("another process changes its schema")
    try:
        yield
    finally:
        if connection.dialect.name in ("mysql", "mariadb"):
            connection.execute(sa.select(sa.func.release_lock("epro")))


def _version(connection: sa.Connection) -> int:
    """Of the schema that is there; 0 when there is none."""
    if not sa.inspect(connection).has_table("schema_state"):
        return 0
    return connection.scalar(sa.select(sa.func.max(tables.schema_state.c.VERSION))) or 0


def _take_the_time(connection: sa.Connection) -> None:
    """An index over many millions of rows takes longer than a statement may otherwise."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _add_what_is_new(connection: sa.Connection) -> None:
    """The columns and indexes that tables of an older version lack."""
    look = sa.inspect(connection)
    there = set(look.get_table_names())
    for table in tables.metadata.sorted_tables:
        if table.name in there:
            known = {column["name"] for column in look.get_columns(table.name)}
            for column in (one for one in table.columns if one.name not in known):
                connection.execute(NewColumn(table, column))
            indexed = {index["name"] for index in look.get_indexes(table.name)}
            for made in (one for one in table.indexes if one.name not in indexed):
                made.create(connection)
            if connection.dialect.name == "postgresql":
                _keep_summarized(connection, indexed & {str(one.name) for one in table.indexes})


def _keep_summarized(connection: sa.Connection, names: Iterable[str | None]) -> None:
    """What version 2 made for reading by position read whole stretches of new rows until a vacuum came."""
    for name in sorted(str(name) for name in names):
        if name in ("ix_responses_POSITION", "ix_scores_POSITION"):
            connection.execute(Summarized(name))


def _show_again(connection: sa.Connection) -> None:
    """The wide views that are there, as they are made now."""
    for code in connection.scalars(sa.select(tables.dictionary.c.INSTRUMENT).distinct()).all():
        view = trial_views.name_of(code)
        if there := _told_by(connection, view):
            window = [name for name in trial_views.WINDOW if name not in there]
            trial_views.make(connection, view, trial_views.wide(code, [*there, *window]))


def empty_what_grew(connection: sa.Connection, study_id: str) -> None:
    """What version 1 kept of this study in tables that have grown since; the feed tells it again."""
    for table in (tables.entries, tables.amendments):
        connection.execute(sa.delete(table).where(table.c.STUDYID == study_id))


class Summarized(DDLElement):
    """ALTER INDEX ... so that PostgreSQL learns by itself where new rows stand."""

    inherit_cache = False

    def __init__(self, name: str):
        self.name = name


@compiles(Summarized)
def _summarized(element: Summarized, compiler: object, **how: object) -> str:
    return f"ALTER INDEX {compiler.preparer.quote(element.name)} SET (autosummarize = on)"  # type: ignore[attr-defined]


class NewColumn(DDLElement):
    """ALTER TABLE ... ADD a column that may be blank."""

    inherit_cache = False

    def __init__(self, table: sa.Table, column: sa.Column[object]):
        self.table, self.column = table, column


@compiles(NewColumn)
def _new_column(element: NewColumn, compiler: object, **how: object) -> str:
    made = compiler.get_column_specification(element.column)  # type: ignore[attr-defined]
    table = compiler.preparer.format_table(element.table)  # type: ignore[attr-defined]
    return f"ALTER TABLE {table} ADD COLUMN {made}"


class Known:
    """What this process has told the trial database of instruments and protocols: each is told once."""

    def __init__(self, definitions: Definitions):
        self._definitions = definitions
        self._told: set[tuple[str, str, str]] = set()
        self._guard = Lock()

    def forget(self) -> None:
        """It may be another database now."""
        self._told.clear()

    def hold(self, connection: sa.Connection, rows: Rows) -> None:
        """Before these rows: the dictionary and wide view of their instruments, the baselines of their protocols."""
        column = tables.responses.c.keys().index
        code, version, study, protocol = map(column, ("INSTRUMENT", "INSTRVER", "STUDYID", "PROTVER"))
        wanted = {("instrument", row[code], row[version]) for row in rows["responses"]}
        wanted |= {("protocol", row[study], row[protocol]) for row in rows["responses"]}
        wanted |= set(rows[SCORED_BY])
        with self._guard:
            fresh = wanted - self._told
            with _alone(connection) if fresh else nullcontext():
                for kind, name, version_of in sorted(fresh):
                    if kind == "instrument":
                        self._tell_instrument(connection, name, version_of)
                        self._show_instrument(connection, name, version_of)
                    elif kind == "definition":
                        self._tell_instrument(connection, name, version_of)
                    else:
                        self._tell_protocol(connection, name, version_of)
            self._told |= fresh

    def _tell_instrument(self, connection: sa.Connection, code: str, version: str) -> None:
        instrument = self._definitions.instrument(code, version)
        same = (code, version)
        told: list[Row] = [
            (*same, "ITEM", item.id, number, category(instrument), test_code(item), test_name(item))
            for number, item in enumerate(instrument.items, 1)
        ]
        told += [
            (*same, "SCALE", scale.name, number, category(instrument), test_code(scale), test_name(scale))
            for number, scale in enumerate(instrument.scales, 1)
        ]
        insert(connection, tables.dictionary, told)

    def _show_instrument(self, connection: sa.Connection, code: str, version: str) -> None:
        scales = self._definitions.instrument(code, version).scales
        view = trial_views.name_of(code)
        there = _told_by(connection, view)
        wanted = [trial_views.DEFINITION, *trial_views.WINDOW, *(test_code(scale) for scale in scales)]
        fresh = [name for name in wanted if name not in (there or ())]
        if there is None or fresh:
            trial_views.make(connection, view, trial_views.wide(code, [*(there or ()), *fresh]))

    def _tell_protocol(self, connection: sa.Connection, study_id: str, version: str) -> None:
        protocol = self._definitions.protocol(study_id, version)
        own = {(one.assessment, one.scale): one.baseline for one in protocol.endpoints}
        of_assessment = {one.assessment: one.baseline for one in reversed(protocol.endpoints)}
        told: list[Row] = []
        for assessment in protocol.assessments:
            reference = assessment.instrument
            for scale in self._definitions.instrument(reference.code, reference.version).scales:
                base = own.get((assessment.id, scale.name)) or of_assessment.get(assessment.id)
                if base is not None:
                    key = (study_id, version, assessment.id, scale.name)
                    told.append((*key, base.visit, base.last_before))
        insert(connection, tables.baselines, told)


def _told_by(connection: sa.Connection, view: str) -> list[str] | None:
    """The scales that a wide view has, `DEFVER` and the window, in its order; None when there is no such view."""
    look = sa.inspect(connection)
    if view not in look.get_view_names():
        return None
    columns = [column["name"] for column in look.get_columns(view)]
    told = (trial_views.DEFINITION, *trial_views.WINDOW)
    return [name.removesuffix("_CHG") for name in columns if name.endswith("_CHG") or name in told]
