"""Views over the trial database: what counts now, changes from baseline, and a wide table for each instrument.

The tables keep all that ever was; what an analysis wants stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import DDLElement

from epro.stream.sinks import trial_tables as tables

WINDOW = ("OPENDTC", "CLOSEDTC")
RESPONSES = tuple(column.name for column in tables.responses.columns if column.name not in WINDOW)
OF_THE_RESPONSE = (
    *("SITEID", "SUBJID", "INSTRUMENT", "INSTRVER", "ASSESSMENT", "VISIT", "VISITNUM", "VISITDY"),
    *("PROTVER", "LOCALDAY", "QSDTC", "RECORDID"),
)
AS_OF_A_WEEK = {name: name for name in OF_THE_RESPONSE} | {
    "VISIT": None,
    "VISITNUM": None,
    "LOCALDAY": "LASTDAY",
    "QSDTC": "LASTDAY",
    "RECORDID": "RESPONSEID",
}
"""What a score of a week has in the place of its response's columns."""
DEFINITION = "DEFVER"
MADE_BY = (DEFINITION, "DEFDIG")
WHOSE = ("STUDYID", "RESPONSEID", "USUBJID")
"""What answers and scores share with their response, which has the indexes: so views take it from there."""
SCORES = tuple(column.name for column in tables.scores.columns if column.name not in MADE_BY)


class View(DDLElement):
    """CREATE VIEW, in the place of one that is there."""

    inherit_cache = False

    def __init__(self, name: str, query: sa.SelectBase):
        self.name, self.query = name, query


class NoView(DDLElement):
    """DROP VIEW, if it is there."""

    inherit_cache = False

    def __init__(self, name: str):
        self.name = name


class Blank(sa.ColumnElement[Any]):
    """Nothing, of the type of a column: PostgreSQL puts a view in the place of one with the very same types only."""

    inherit_cache = True

    def __init__(self, column: sa.Column[Any]):
        self.type = column.type


@compiles(Blank)
def _blank(element: Blank, compiler: Any, **how: Any) -> str:
    return "NULL"


@compiles(Blank, "postgresql")
def _blank_of_its_type(element: Blank, compiler: Any, **how: Any) -> str:
    return f"CAST(NULL AS {compiler.dialect.type_compiler_instance.process(element.type)})"


@compiles(View)
def _view(element: View, compiler: Any, **how: Any) -> str:
    text = compiler.sql_compiler.process(element.query, literal_binds=True)
    again = "" if compiler.dialect.name == "sqlite" else "OR REPLACE "
    return f"CREATE {again}VIEW {compiler.preparer.quote(element.name)} AS {text}"


@compiles(NoView)
def _no_view(element: NoView, compiler: Any, **how: Any) -> str:
    return f"DROP VIEW IF EXISTS {compiler.preparer.quote(element.name)}"


def make(connection: sa.Connection, name: str, query: sa.SelectBase) -> None:
    """Make a view, in the place of one that is there. On PostgreSQL columns may only be added at its end."""
    if connection.dialect.name == "sqlite":
        connection.execute(NoView(name))
    connection.execute(View(name, query))


def make_common(connection: sa.Connection) -> None:
    """The views that are the same whatever the instruments are."""
    for name, query in COMMON.items():
        make(connection, name, query())


def name_of(code: str) -> str:
    """The wide view of an instrument."""
    return "v_" + re.sub("[^a-z0-9]+", "_", code.lower())


def wide(code: str, tests: Iterable[str]) -> sa.Select[Any]:
    """One row for each response of an instrument that counts now: scores beside each other, with base and change.
    Among `tests`, `DEFVER` is the definition that its scores were made by, and those of WINDOW are the response's.
    """
    seen = "STUDYID RESPONSEID USUBJID INSTRUMENT QSTESTCD QSSTRESN BASE CHG DEFVER"
    change, response = _seen("v_changes", seen), _current()
    tests, told = list(tests), []
    for test in tests:
        if test in WINDOW:
            continue
        if test == DEFINITION:
            told.append(sa.func.max(change.c[DEFINITION]).label(DEFINITION))
            continue
        for name, column in ((test, "QSSTRESN"), (f"{test}_BASE", "BASE"), (f"{test}_CHG", "CHG")):
            told.append(sa.func.max(sa.case((change.c.QSTESTCD == test, change.c[column]))).label(name))
    whose = [change.c[name] for name in WHOSE]  # the participant too: who asks for one is led to her scores
    ours = sa.select(*whose, *told).where(change.c.INSTRUMENT == code)
    scored = ours.group_by(*whose).subquery("scored")
    same = sa.and_(*(scored.c[name] == response.c[name] for name in WHOSE))
    about = [response.c[name] for name in ("STUDYID", "RESPONSEID", "USUBJID", *OF_THE_RESPONSE)]
    return (
        sa.select(*about, *_in_order(tests, response, scored))
        .select_from(response.outerjoin(scored, same))
        .where(response.c.INSTRUMENT == code)
    )


def _in_order(tests: Sequence[str], response: Any, scored: Any) -> list[Any]:
    """As they were first told: PostgreSQL adds columns at the end only."""
    columns = []
    for test in tests:
        names = (test,) if test in (*WINDOW, DEFINITION) else (test, f"{test}_BASE", f"{test}_CHG")
        columns += [(response if test in WINDOW else scored).c[name] for name in names]
    return columns


def current_responses() -> sa.Select[Any]:
    """Of each response and its amendments the last; of several answers to one occurrence the one that counts: the
    earliest completed, then the smallest id.
    """
    mine, later, rival = tables.responses, tables.responses.alias("later"), tables.responses.alias("rival")
    record = sa.func.coalesce(mine.c.AMENDSID, mine.c.RESPONSEID)
    corrected = sa.exists().where(
        later.c.STUDYID == mine.c.STUDYID, later.c.AMENDSID == record, _comes_after(later, mine)
    )
    sooner = sa.or_(
        rival.c.CORRDTC < mine.c.CORRDTC,
        sa.and_(rival.c.CORRDTC == mine.c.CORRDTC, rival.c.RESPONSEID < record),
    )
    passed_over = sa.exists().where(
        rival.c.STUDYID == mine.c.STUDYID,
        rival.c.OCCURRENCEID == mine.c.OCCURRENCEID,
        rival.c.AMENDSID.is_(None),
        sooner,
    )
    told = [
        *(mine.c[name] for name in RESPONSES),
        record.label("RECORDID"),
        *(mine.c[name] for name in WINDOW),
    ]
    return sa.select(*told).where(~corrected, ~passed_over)


def current_answers() -> sa.Select[Any]:
    """The answers of the responses that count now; an answer has its response's position, which its key begins with."""
    mine, response = tables.answers, _current()
    of_both = (*WHOSE, "POSITION")
    told = [response.c[column.name] if column.name in of_both else column for column in mine.columns]
    same = sa.and_(*(mine.c[name] == response.c[name] for name in ("STUDYID", "POSITION")))
    about = (response.c[name] for name in OF_THE_RESPONSE)
    return sa.select(*told, *about).select_from(mine.join(response, same))


def current_scores() -> sa.CompoundSelect[Any]:
    """The scores of the responses that count now, and of the weeks of diaries (`WEEK`): of several runs the last, if it
    is by the definition of the last scoring. What a later definition does not have stands in `scores` only.
    """
    return sa.union_all(_scores_of_responses(), _scores_of_weeks())


def _scores_of_responses() -> sa.Select[Any]:
    mine, response = tables.scores, _current()
    told = [response.c[name] for name in OF_THE_RESPONSE]
    week = Blank(tables.weeks.c.WEEK).label("WEEK")
    return _that_count(response, [*told, week]).select_from(mine.join(response, _same(mine, response)))


def _scores_of_weeks() -> sa.Select[Any]:
    mine, week = tables.scores, tables.weeks
    told = [
        (week.c[theirs] if theirs else Blank(tables.responses.c[name])).label(name)
        for name, theirs in AS_OF_A_WEEK.items()
    ]
    its = sa.and_(*(week.c[name] == mine.c[name] for name in ("STUDYID", "RESPONSEID", "RUN")))
    return _that_count(week, [*told, week.c.WEEK]).select_from(mine.join(week, its))


def _that_count(owner: Any, told: Sequence[Any]) -> sa.Select[Any]:
    """Scores of the last run and definition, with what is told of the response or week that they belong to."""
    mine, later = tables.scores, tables.scores.alias("later")
    again = sa.exists().where(
        *(later.c[name] == mine.c[name] for name in ("STUDYID", "RESPONSEID", "SCALE")),
        later.c.RUN > mine.c.RUN,
    )
    scores = [owner.c[name] if name in WHOSE else mine.c[name] for name in SCORES]
    made_by = [mine.c[name] for name in MADE_BY]
    found = sa.select(*scores, *told, *made_by)  # PostgreSQL adds columns at the end only
    return found.where(~again, ~_by_another_definition(mine))


def _by_another_definition(mine: Any) -> sa.ColumnElement[bool]:
    """Whether what a score belongs to was last scored by another definition than this score was made by."""
    last, newer = tables.scores.alias("last"), tables.scores.alias("newer")
    overtaken = sa.exists().where(
        *(newer.c[name] == last.c[name] for name in ("STUDYID", "RESPONSEID")),
        _comes_after(newer, last),
    )
    return sa.exists().where(
        *(last.c[name] == mine.c[name] for name in ("STUDYID", "RESPONSEID")),
        _comes_after(last, mine),
        last.c[DEFINITION] != mine.c[DEFINITION],
        ~overtaken,
    )


def _comes_after(one: Any, other: Any) -> sa.ColumnElement[bool]:
    """Said so that SQLite does not look among all later positions of the study, but by the rest of what is asked."""
    return one.c.POSITION - other.c.POSITION > 0


def current_weeks() -> sa.Select[Any]:
    """The weeks of diaries that have scores, each by its last run."""
    mine, later = tables.weeks, tables.weeks.alias("later")
    again = sa.exists().where(
        *(later.c[name] == mine.c[name] for name in ("STUDYID", "RESPONSEID")), later.c.RUN > mine.c.RUN
    )
    return sa.select(*mine.columns).where(~again)


def current_anchors() -> sa.Select[Any]:
    """The day of each anchor as it is now."""
    mine, later = tables.anchors, tables.anchors.alias("later")
    moved = sa.exists().where(
        *(later.c[name] == mine.c[name] for name in ("STUDYID", "USUBJID", "ANCHOR")),
        later.c.POSITION > mine.c.POSITION,
    )
    return sa.select(*mine.columns).where(~moved)


NOT_DONE = (
    *("STUDYID", "OCCURRENCEID", "USUBJID", "SITEID", "SUBJID", "ASSESSMENT", "VISIT", "VISITDY", "LOCALDAY"),
    *("OPENDTC", "CLOSEDTC", "PROTVER", "INSTRUMENT", "INSTRVER"),
)


def not_done() -> sa.CompoundSelect[Any]:
    """What was missed or is excused and was not answered, as SDTM says it; also of windows that are still to come."""
    miss, excuse = tables.misses, tables.excuses
    missed = _as_not_done(miss, sa.literal("MISSED")).where(~_is_excused(miss), ~_is_answered(miss))
    stands = sa.and_(excuse.c.KIND == "EXCUSED", ~_overtaken(excuse))
    return sa.union_all(missed, _as_not_done(excuse, excuse.c.QSREASND).where(stands, ~_is_answered(excuse)))


def _as_not_done(table: sa.Table, why: Any) -> sa.Select[Any]:
    told = [table.c[name] for name in NOT_DONE]
    return sa.select(*told, sa.literal("NOT DONE").label("QSSTAT"), why.label("QSREASND"), table.c.POSITION)


def _is_answered(table: sa.Table) -> sa.ColumnElement[bool]:
    given = tables.responses.alias("given")
    return sa.exists().where(given.c.STUDYID == table.c.STUDYID, given.c.OCCURRENCEID == table.c.OCCURRENCEID)


def _is_excused(miss: sa.Table) -> sa.ColumnElement[bool]:
    excuse = tables.excuses.alias("excuse")
    same = (excuse.c[name] == miss.c[name] for name in ("STUDYID", "OCCURRENCEID"))
    return sa.exists().where(*same, excuse.c.KIND == "EXCUSED", ~_overtaken(excuse))


def _overtaken(excuse: Any) -> sa.ColumnElement[bool]:
    """Whether it was taken back, or given anew, since."""
    later = tables.excuses.alias("later")
    same = (later.c[name] == excuse.c[name] for name in ("STUDYID", "OCCURRENCEID"))
    return sa.exists().where(*same, _comes_after(later, excuse))


def subjects() -> sa.Select[Any]:
    """One row for each participant: when she came, and when she left if she did."""
    came, left = tables.enrolments, tables.withdrawals
    same = sa.and_(left.c.STUDYID == came.c.STUDYID, left.c.USUBJID == came.c.USUBJID)
    names = ["STUDYID", "USUBJID", "SITEID", "SUBJID", "PROTVER", "LANGUAGE", "TIMEZONE", "ENROLDTC"]
    return sa.select(*(came.c[name] for name in names), left.c.WITHDDTC).select_from(
        came.outerjoin(left, same)
    )


def changes() -> sa.Select[Any]:
    """The current scores with what changes count from (as the study file says) and the change; blank before it."""
    score, rule, base = _scores(), tables.baselines, _bases()
    same = sa.and_(*(rule.c[name] == score.c[name] for name in ("STUDYID", "PROTVER", "ASSESSMENT", "SCALE")))
    names = ("STUDYID", "PROTVER", "USUBJID", "ASSESSMENT", "SCALE")
    counted = sa.and_(base.c.FIRST == 1, *(base.c[name] == score.c[name] for name in names))
    change = sa.case((score.c.LOCALDAY > base.c.LOCALDAY, score.c.QSSTRESN - base.c.QSSTRESN))
    told = (base.c.QSSTRESN.label("BASE"), base.c.LOCALDAY.label("BASEDAY"), change.label("CHG"))
    added = [score.c[name] for name in ("WEEK", *MADE_BY)]  # PostgreSQL adds columns at the end only
    first = [column for column in score.columns if column.name not in ("WEEK", *MADE_BY)]
    source = score.outerjoin(rule, same).outerjoin(base, counted)
    return sa.select(*first, *told, *added).select_from(source)


def _bases() -> Any:
    """What may be a baseline, by each version's rule; `FIRST` is 1 where it is: the first at a visit, or the last up to
    an anchor's day. All at once, for one look for each score would read all scores as often as there are scores.
    """
    score, rule, day = _scores("candidate"), tables.baselines.alias("of"), _seen("v_current_anchors", ANCHOR)
    ruled = sa.and_(*(rule.c[name] == score.c[name] for name in ("STUDYID", "ASSESSMENT", "SCALE")))
    whose = sa.and_(*(day.c[name] == score.c[name] for name in ("STUDYID", "USUBJID")))
    visited = rule.c.BASEVISIT.is_not(None)
    anchored = sa.and_(~visited, score.c.QSSTRESN.is_not(None), score.c.LOCALDAY <= day.c.ANCHORDT)
    number = sa.func.row_number().over(
        partition_by=(
            *(score.c[name] for name in ("STUDYID", "USUBJID", "ASSESSMENT", "SCALE")),
            rule.c.PROTVER,
        ),
        order_by=[
            order
            for column in (score.c.LOCALDAY, score.c.POSITION)
            for order in (sa.case((visited, column)), sa.case((~visited, column)).desc())
        ],
    )
    names = ("STUDYID", "USUBJID", "ASSESSMENT", "SCALE", "LOCALDAY", "QSSTRESN")
    return (
        sa.select(*(score.c[name] for name in names), rule.c.PROTVER, number.label("FIRST"))
        .select_from(
            score.join(rule, ruled).outerjoin(day, sa.and_(whose, day.c.ANCHOR == rule.c.BASEANCHOR))
        )
        .where(sa.or_(score.c.VISIT == rule.c.BASEVISIT, anchored))
        .subquery("base")
    )


ANCHOR = "STUDYID USUBJID ANCHOR ANCHORDT"


def _seen(view: str, names: str) -> Any:
    return sa.table(view, *(sa.column(name) for name in names.split()))


def _current() -> Any:
    return _seen("v_current_responses", " ".join([*RESPONSES, "RECORDID", *WINDOW]))


def _scores(alias: str | None = None) -> Any:
    found = _seen("v_current_scores", " ".join([*SCORES, *OF_THE_RESPONSE, "WEEK", *MADE_BY]))
    return found.alias(alias) if alias else found


def _same(table: sa.Table, response: Any) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.STUDYID == response.c.STUDYID, table.c.RESPONSEID == response.c.RESPONSEID)


COMMON = {
    "v_current_responses": current_responses,
    "v_current_answers": current_answers,
    "v_current_scores": current_scores,
    "v_current_weeks": current_weeks,
    "v_current_anchors": current_anchors,
    "v_subjects": subjects,
    "v_not_done": not_done,
    "v_changes": changes,
}
