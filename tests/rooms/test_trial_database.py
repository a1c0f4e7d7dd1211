"""The trial database as a data manager finds it: a table for each thing, views of what counts, and its history.

TD-01  Corrections, re-scores, what was held and settled, withdrawals, anchors and misses each have their rows.
TD-02  Views show what counts now; the tables keep all that ever was. Baseline and change follow the study file.
TD-03  SQLite, PostgreSQL and MariaDB hold the same.
TD-04  A database of version 1 is brought to ours without loss; a later one is not touched.
TD-05  A reader that the grant script makes reads everything and changes nothing.
TD-06  What belongs to the record of a parked entry waits behind it; everything else goes on; retrying applies it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from uuid import UUID, uuid5

import orjson
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epro.cli.study import known_instruments
from epro.cli.trialdb import trialdb
from epro.export import rows as export_rows
from epro.questionnaires.instrument import parse
from epro.questionnaires.library import bundled_instrument
from epro.scheduling.reading import read
from epro.stream.feed import Entry
from epro.stream.records import records_of, waits
from epro.stream.sinks import Place, SinkUnavailable, trial_db, trial_schema, trial_views
from epro.stream.sinks import trial_tables as trial
from epro.stream.sinks.trial_db import TrialDatabase
from epro.stream.sinks.trial_rows import Definitions, rows_of
from tests.support import mariadb

STUDY = "msc-sle"
NAMES = UUID(int=7)
EXAMPLE = Path(__file__).parents[2] / "studies" / "msc-sle.yaml"


@cache
def definitions() -> Definitions:
    protocol, faults = read(EXAMPLE.read_text(encoding="utf-8"), known_instruments())
    assert protocol is not None, faults
    return Definitions(cache(bundled_instrument), lambda study, version: protocol)


def entry(position: int, kind: str, subject: str = "101-001", **content) -> Entry:
    told = {
        "event_id": str(uuid5(NAMES, str(position))),
        "kind": kind,
        "at": f"2026-03-0{1 + position % 9}T08:00:00.000000Z",
        "study": STUDY,
        "site": "101",
        "subject_id": subject,
        **content,
    }
    body = orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
    return Entry(STUDY, position, uuid5(NAMES, str(position)), kind, body)


def response(number: int, visit: str, day: int, **more) -> dict:
    return {
        "id": str(uuid5(NAMES, f"response {number}")),
        "occurrence_id": str(uuid5(NAMES, f"occurrence {number}")),
        "assessment": "facit-fatigue",
        "visit": visit,
        "study_day": day,
        "local_day": f"2026-03-{1 + day:02}",
        "opens_at": f"2026-03-{1 + day:02}T01:00:00.000000Z",
        "closes_at": f"2026-03-{4 + day:02}T16:00:00.000000Z",
        "protocol_version": "1",
        "instrument": {"code": "facit_fatigue", "version": VERSION, "digest": "d"},
        "language": "en",
        "answers": {"an1": 3},
        "time_zone": "Asia/Shanghai",
        "started_at": None,
        "completed_at": "2026-03-02T20:00:00+08:00",
        "corrected_at": "2026-03-02T12:00:00.000000Z",
        "received_at": "2026-03-02T12:00:01.000000Z",
        "clock_offset_ms": 0,
        "findings": [],
        "digest": "d",
        **more,
    }


VERSION = next(
    a.instrument.version
    for a in read(EXAMPLE.read_text(encoding="utf-8"), known_instruments())[0].assessments  # type: ignore[union-attr]
    if a.id == "facit-fatigue"
)


@cache
def known() -> Definitions:
    """The same, and FACIT-Fatigue 1.1, which has two scales more: `extra`, and `total` under another name is `sum`."""
    first = bundled_instrument("facit_fatigue", VERSION).document()
    total = first["scales"][0]
    more = [{**total, "name": "extra", "sdtm": {**total["sdtm"], "qstestcd": "EXTRA", "qstest": "Extra"}}]
    later = parse({**first, "version": "1.1", "scales": [total, *more]})
    renamed = parse({**first, "version": "1.2", "scales": more})
    own = {("facit_fatigue", "1.1"): later, ("facit_fatigue", "1.2"): renamed}
    plain = definitions()
    return Definitions(lambda *key: own.get(key) or plain.instrument(*key), plain.protocol)


def score(value: float | None, **more) -> dict:
    return {
        "scale": "total",
        "value": value,
        "reason": None,
        "answered": 13,
        "expected": 13,
        "rule": "more_than_half",
        "method": "prorated_sum",
        "method_version": "1",
        "items_used": ["an1"],
        "items_missing": [],
        "blinded": False,
        **more,
    }


FIRST, SECOND, CORRECTED = (str(uuid5(NAMES, f"response {number}")) for number in (1, 2, 3))
ASIDE = str(uuid5(NAMES, "aside"))
BASE, LATER = "baseline", "week4"


def story() -> list[Entry]:
    """All that can happen to one participant's data."""
    amendment = {
        "number": 1,
        "reason": "she meant 4",
        "reported_by": "participant",
        "made_by": "staff:1",
        "made_at": "2026-03-05T08:00:00.000000Z",
    }
    amended = response(3, LATER, 14, amends_id=SECOND, amendment=amendment)
    code = {"code": "facit_fatigue", "version": VERSION, "digest": "d"}
    held = {"id": ASIDE, "response_id": None, "findings": [{"code": "too_late"}], "digest": "d"}
    return [
        entry(
            1,
            "participant.enrolled",
            participant={
                "protocol_version": "1",
                "language": "en",
                "time_zone": "Asia/Shanghai",
                "enrolled_at": "2026-03-01T08:00:00.000000Z",
                "anchors": {"enrolment": "2026-03-01"},
            },
        ),
        entry(2, "response.stored", response=response(1, BASE, 0), scores=[score(30.0)]),
        entry(3, "response.stored", response=response(2, LATER, 14), scores=[score(33.0)]),
        entry(4, "anchor.set", anchor={"id": "enrolment", "date": "2026-03-02"}),
        entry(5, "response.amended", response=amended, scores=[score(35.0)]),
        entry(
            6,
            "response.rescored",
            rescored={"response_id": CORRECTED, "instrument": code},
            scores=[score(36.0, run=2)],
        ),
        entry(7, "response.held", set_aside=held | {"received_at": "2026-03-06T08:00:00.000000Z"}),
        entry(
            8,
            "response.settled",
            settlement={
                "set_aside_id": ASIDE,
                "outcome": "discarded",
                "reason": "a test",
                "settled_by": "staff:1",
                "settled_at": "2026-03-07T08:00:00.000000Z",
            },
        ),
        entry(
            9,
            "occurrence.missed",
            occurrence={
                "id": str(uuid5(NAMES, "missed")),
                "assessment": "fatigue-diary",
                "visit": None,
                "study_day": 3,
                "local_day": "2026-03-04",
                "opens_at": "2026-03-04T10:00:00.000000Z",
                "closes_at": "2026-03-04T15:00:00.000000Z",
                "missed_at": "2026-03-05T15:00:00.000000Z",
                "protocol_version": "1",
                "instrument": {"code": "fatigue_diary", "version": "1.0", "digest": "d"},
            },
        ),
        entry(10, "participant.withdrawn", withdrawal={"at": "2026-03-08T08:00:00.000000Z"}),
    ]


def excused(position: int, kind: str, id: str, reason: str = "in_hospital") -> Entry:
    told = {
        "id": id, "assessment": "fatigue-diary", "visit": None, "study_day": 3,
        "local_day": "2026-03-04", "opens_at": "2026-03-04T10:00:00.000000Z",
        "closes_at": "2026-03-04T15:00:00.000000Z", "protocol_version": "1",
        "instrument": {"code": "fatigue_diary", "version": "1.0"},
    }  # fmt: skip
    said = {"reason": reason, "by": "staff:1", "at": f"2026-03-{position:02}T08:00:00.000000Z"}
    return entry(position, f"occurrence.{kind}", occurrence=told, excuse=said)


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    if mariadb.binary() is None:
        pytest.skip("no MariaDB server is installed")
    with mariadb.running_mariadb() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/trial.sqlite"
    if request.param == "mariadb":
        return request.getfixturevalue("mariadb_url")
    return request.getfixturevalue("postgres_server").create_database(f"trial_{tmp_path.name[-8:]}_td")


@pytest.fixture
def target(url) -> Iterator[TrialDatabase]:
    made = TrialDatabase(url, definitions())
    yield made
    if made.engine.dialect.name not in ("sqlite", "postgresql"):
        clear(made)
    made.close()


def clear(target: TrialDatabase) -> None:
    """Of MariaDB there is one for all tests."""
    with target.engine.begin() as connection:
        for table in trial.metadata.sorted_tables:
            connection.execute(table.delete())


def rows(target: TrialDatabase, name: str, *columns: str) -> list[tuple]:
    """Rows of a table or view, in the order of the columns asked for."""
    asked = [sa.column(column) for column in columns] or [sa.func.count()]
    with target.engine.connect() as connection:
        found = connection.execute(sa.select(*asked).select_from(sa.table(name)))
        return sorted((tuple(row) for row in found), key=str)


def everything(target: TrialDatabase) -> dict[str, list[tuple]]:
    return {name: rows(target, name, *table.c.keys()) for name, table in trial.APPLIED.items()}


# TD-01, TD-02 and TD-03.


def test_each_thing_has_its_rows_and_views_show_what_counts(target):
    told = story()
    assert target.apply(STUDY, told[:4]) == 4
    assert target.apply(STUDY, told) == 10
    before = everything(target)
    target.rewind(STUDY, 0)
    assert target.apply(STUDY, target.prepare(told)) == 10 and everything(target) == before
    subject = f"{STUDY}-101-001"
    assert {name: len(found) for name, found in before.items() if found} == {
        "responses": 3, "answers": 39, "scores": 4, "amendments": 1, "enrolments": 1, "withdrawals": 1,
        "anchors": 2, "misses": 1, "set_aside": 1, "settlements": 1, "entries": 10,
    }  # fmt: skip
    assert rows(target, "amendments", "RESPONSEID", "AMENDSID", "AMENDNO", "REASON") == [
        (CORRECTED, SECOND, 1, "she meant 4")
    ]
    current = rows(target, "v_current_responses", "RECORDID", "RESPONSEID")
    assert current == sorted([(FIRST, FIRST), (SECOND, CORRECTED)])
    assert rows(target, "misses", "PROTVER", "INSTRUMENT", "INSTRVER") == [("1", "fatigue_diary", "1.0")]
    for view in ("v_current_responses", "v_facit_fatigue"):
        assert rows(target, view, "VISIT", "OPENDTC", "CLOSEDTC") == WINDOWS
    assert rows(target, "v_current_scores", "VISIT", "RUN", "QSSTRESN") == [(BASE, 1, 30.0), (LATER, 2, 36.0)]
    assert rows(target, "v_changes", "VISIT", "BASE", "CHG") == [(BASE, 30.0, None), (LATER, 30.0, 6.0)]
    scale = definitions().instrument("facit_fatigue", VERSION).scales[0]
    name = scale.sdtm.qstestcd if scale.sdtm else scale.name.upper()
    wide = rows(target, "v_facit_fatigue", "VISIT", name, f"{name}_BASE", f"{name}_CHG")
    assert wide == [(BASE, 30.0, 30.0, None), (LATER, 36.0, 30.0, 6.0)]
    assert rows(target, "v_subjects", "USUBJID", "WITHDDTC") == [(subject, "2026-03-08T08:00:00.000000Z")]
    assert rows(target, "v_current_anchors", "ANCHOR", "ANCHORDT") == [("enrolment", "2026-03-02")]
    assert rows(target, "entries", "BODY").count((None,)) == 10  # each kind has a table of its own


def test_of_rivals_the_earliest_completed_is_current_and_weeks_have_their_scores(target):
    """The answer that counts is the earliest completed, with its latest correction, in whatever order they came."""
    same = {"occurrence_id": str(uuid5(NAMES, "one occurrence"))}
    early, late = "2026-03-02T10:00:00.000000Z", "2026-03-02T11:00:00.000000Z"
    amendment = {"number": 1, "reason": "r", "reported_by": "site", "made_by": "staff:1", "made_at": late}
    ids = {number: str(uuid5(NAMES, f"response {number}")) for number in (1, 2, 3, 4)}
    week = {"id": str(uuid5(NAMES, "week")), "instrument": {"code": "facit_fatigue", "version": VERSION, "digest": "d"},
            "assessment": "diary", "number": 1, "first_study_day": 1, "first_day": "2026-03-01",
            "protocol_version": "1", "last_day": "2026-03-07", "sources": {}}  # fmt: skip
    told = [
        entry(1, "response.stored", response=response(1, LATER, 1, corrected_at=late, **same), scores=[score(1.0)]),
        entry(2, "response.stored", response=response(2, LATER, 1, corrected_at=early, **same), scores=[score(2.0)]),
        entry(3, "response.amended", scores=[score(3.0)],
              response=response(3, LATER, 1, corrected_at=late, amends_id=ids[1], amendment=amendment, **same)),
        entry(4, "response.amended", scores=[score(4.0)],
              response=response(4, LATER, 1, corrected_at=early, amends_id=ids[2], amendment=amendment, **same)),
        entry(5, "week.scored", week={**week, "run": 1}, scores=[score(5.0)]),
        entry(6, "week.scored", week={**week, "run": 2}, scores=[score(6.0, run=2)]),
    ]  # fmt: skip
    target.apply(STUDY, told)
    assert rows(target, "v_current_responses", "RESPONSEID", "RECORDID") == [(ids[4], ids[2])]
    current = rows(target, "v_current_scores", "QSSTRESN", "WEEK", "RUN", "LOCALDAY", "ASSESSMENT")
    assert current == [(4.0, None, 1, "2026-03-02", "facit-fatigue"), (6.0, 1, 2, "2026-03-07", "diary")]
    assert rows(target, "v_current_weeks", "RUN", "WEEK") == [(2, 1)]
    assert (
        len(rows(target, "v_changes", "CHG", "WEEK")) == 2
        and len(rows(target, "v_facit_fatigue", "VISIT")) == 1
    )


def test_changes_count_from_the_last_score_up_to_an_anchor_of_each_participant(target):
    """Of one day the later entry counts, what has no value never does, and the anchor's last day decides."""
    code = {"anchor": {"id": "infusion", "date": "2026-03-05"}}
    told = [entry(1, "anchor.set", "a", **code), entry(2, "anchor.set", "b", **code)]
    days = [(2, 10.0), (4, 20.0), (4, 21.0), (5, None), (9, 30.0)]
    for number, (subject, (day, value)) in enumerate([(who, one) for who in "ab" for one in days], 3):
        more = {"local_day": f"2026-03-{day:02}"}
        told.append(
            entry(
                number,
                "response.stored",
                subject,
                response=response(number, LATER, day, **more),
                scores=[score(value)],
            )
        )
    told.append(entry(13, "anchor.set", "b", anchor={"id": "infusion", "date": "2026-03-03"}))
    target.apply(STUDY, told)
    with target.engine.begin() as connection:
        connection.execute(trial.baselines.update().values(BASEVISIT=None, BASEANCHOR="infusion"))
    found = sorted(rows(target, "v_changes", "POSITION", "BASE", "BASEDAY", "CHG"))
    before, first = [(n, 21.0, "2026-03-04", None) for n in (3, 4, 5, 6)], "2026-03-02"
    after = [(8, 10.0, first, None), (9, 10.0, first, 10.0), (10, 10.0, first, 11.0), (11, 10.0, first, None)]
    assert found == [*before, (7, 21.0, "2026-03-04", 9.0), *after, (12, 10.0, first, 20.0)]


def by_a_later_definition() -> list[Entry]:
    """A response that is scored again by 1.1, which has a scale more, and then by 1.2, which has only that one."""

    def again(position: int, version: str, *scores: dict) -> Entry:
        code = {"code": "facit_fatigue", "version": version, "digest": f"digest of {version}"}
        told = {"response_id": FIRST, "instrument": code}
        return entry(position, "response.rescored", rescored=told, scores=list(scores))

    extra = {"scale": "extra"}
    return [
        entry(1, "response.stored", response=response(1, BASE, 0), scores=[score(30.0)]),
        again(2, "1.1", score(30.0, run=2), score(3.0, run=1, **extra)),
        again(3, "1.2", score(4.0, run=2, **extra)),
    ]


def test_scores_name_the_definition_that_they_were_made_by_and_what_is_not_defined_any_more_is_not_current(
    url,
):
    told = by_a_later_definition()
    target = TrialDatabase(url, known())
    asked = ("SCALE", "RUN", "QSSTRESN", "DEFVER", "DEFDIG")
    target.apply(STUDY, told[:2])
    both = [("extra", 1, 3.0, "1.1", "digest of 1.1"), ("total", 2, 30.0, "1.1", "digest of 1.1")]
    assert rows(target, "v_current_scores", *asked) == both
    assert rows(target, "v_current_scores", "INSTRVER") == [(VERSION,)] * 2  # what she answered
    assert rows(target, "v_changes", *asked) == both
    assert rows(target, "v_facit_fatigue", "DEFVER", "EXTRA") == [("1.1", 3.0)]
    of_1_1 = [row for row in rows(target, "dictionary", "INSTRVER", "KIND", "NAME") if row[0] == "1.1"]
    assert ("1.1", "SCALE", "extra") in of_1_1 and len(of_1_1) == 15
    target.apply(STUDY, told)
    assert rows(target, "v_current_scores", *asked) == [("extra", 2, 4.0, "1.2", "digest of 1.2")]
    assert rows(target, "v_facit_fatigue", "DEFVER", "EXTRA", total_code()) == [("1.2", 4.0, None)]
    assert rows(target, "scores", *asked) == sorted(
        [*both, ("extra", 2, 4.0, "1.2", "digest of 1.2"), ("total", 1, 30.0, VERSION, "d")], key=str
    )
    if target.engine.dialect.name not in ("sqlite", "postgresql"):
        clear(target)
    target.close()


def total_code() -> str:
    scale = definitions().instrument("facit_fatigue", VERSION).scales[0]
    return scale.sdtm.qstestcd if scale.sdtm else scale.name.upper()


def test_a_row_of_scores_says_what_exports_say():
    (made,) = rows_of([story()[1]], definitions())["scores"]
    instrument = definitions().instrument("facit_fatigue", VERSION)
    told = dict(zip(trial.scores.c.keys(), made, strict=True))
    assert told | export_rows.score(instrument, score(30.0)) == told


def test_many_rows_go_the_quick_way_and_what_is_there_already_keeps_its_row(target):
    many = [
        entry(
            n, "response.stored", f"s{n % 7}", response=response(100 + n, LATER, 1), scores=[score(float(n))]
        )
        for n in range(1, 61)
    ]
    assert target.apply(STUDY, many[:40]) == 40
    target.rewind(STUDY, 20)
    with target.engine.begin() as connection:
        connection.execute(trial.answers.delete().where(trial.answers.c.POSITION == 30))
    assert target.apply(STUDY, target.prepare(many[20:])) == 60
    assert {name: len(found) for name, found in everything(target).items() if found} == {
        "responses": 60, "answers": 60 * 13, "scores": 60, "entries": 60,
    }  # fmt: skip


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("view", ["v_current_responses", "v_current_answers", "v_changes", "v_facit_fatigue"])
def test_no_view_looks_through_all_later_positions_for_each_row(target, view):
    """SQLite did: what took milliseconds with ten responses took hours with a hundred thousand."""
    target.apply(STUDY, story())
    with target.engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM {view}")]
    assert plan and not [step for step in plan if "POSITION>" in step and "USUBJID=" not in step]


WINDOWS = [
    (BASE, "2026-03-01T01:00:00.000000Z", "2026-03-04T16:00:00.000000Z"),
    (LATER, "2026-03-15T01:00:00.000000Z", "2026-03-18T16:00:00.000000Z"),
]


# TD-04.

NEW_IN_2 = (
    "enrolments",
    "withdrawals",
    "anchors",
    "misses",
    "set_aside",
    "settlements",
    "dictionary",
    "baselines",
)


def keyed_by_response(connection: sa.Connection) -> None:
    """`answers` as it was up to version 5."""
    old = sa.Table("answers", sa.MetaData(), *(sa.Column(c.name, c.type) for c in trial.answers.columns))
    old.append_constraint(sa.PrimaryKeyConstraint("STUDYID", "RESPONSEID", "ITEMID"))
    sa.Index("ix_answers_POSITION", old.c.STUDYID, old.c.POSITION)
    there = [dict(row) for row in connection.execute(sa.select(trial.answers)).mappings()]
    connection.exec_driver_sql("DROP VIEW v_current_answers")
    trial.answers.drop(connection)
    old.create(connection)
    connection.execute(old.insert(), there)


def back_to_version_1(target: TrialDatabase) -> None:
    with target.engine.begin() as connection:
        keyed_by_response(connection)
        for view in ("v_not_done", "v_facit_fatigue", "v_changes", "v_subjects", "v_current_weeks", "v_current_anchors",
                     "v_current_scores", "v_current_responses"):  # fmt: skip
            connection.exec_driver_sql(f"DROP VIEW {view}")
        for name in (*NEW_IN_2, "excuses"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        quote = connection.dialect.identifier_preparer.quote
        for index in (
            "ix_responses_AMENDSID",
            "ix_responses_OCCURRENCEID",
            *(f"ix_{t}_POSITION" for t in ("responses", "answers", "scores", "weeks", "amendments")),
        ):
            on = f" ON {index.split('_')[1]}" if connection.dialect.name == "mysql" else ""
            connection.exec_driver_sql(f"DROP INDEX {quote(index)}{on}")
        for table, column in (
            ("responses", "SETTLEDID"), ("entries", "SITEID"), ("entries", "ASSESSMENT"), ("amendments", "AMENDNO"),
            ("amendments", "REPORTEDBY"), ("amendments", "MADEBY"), ("amendments", "MADEDTC"),
            ("responses", "OPENDTC"), ("responses", "CLOSEDTC"),
        ):  # fmt: skip
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {quote(column)}")
        connection.execute(trial.schema_state.update().values(VERSION=1))


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_version_1_becomes_ours_without_loss(url, target):
    target.apply(STUDY, story())
    before = everything(target)
    back_to_version_1(target)
    later = TrialDatabase(url, definitions())
    assert later.position(STUDY) == 0  # the feed is asked again
    assert len(rows(later, "responses", "RESPONSEID")) == 3  # and nothing is gone meanwhile
    beyond = later.place(STUDY).beyond  # nor what tells whose feed it was
    assert beyond is not None and (beyond.position, beyond.event_id) == (10, str(story()[-1].event_id))
    later.rewind(STUDY, 0)
    assert later.apply(STUDY, story()) == 10
    assert everything(later) == before
    assert rows(later, "v_changes", "CHG") == [(6.0,), (None,)]
    later.close()


@pytest.mark.parametrize("url", ["mariadb"], indirect=True)
def test_a_change_of_the_schema_may_take_longer_than_a_statement(url, monkeypatch):
    monkeypatch.setattr(trial_db, "ANSWERS_WITHIN", 1)
    sink = TrialDatabase(url, definitions())
    with pytest.raises(SinkUnavailable), sink._open() as connection:
        slowly(connection)
    monkeypatch.setattr(trial_schema, "_make", lambda connection, version: slowly(connection))
    sink._make_tables()
    sink.close()


def slowly(connection: sa.Connection) -> None:
    connection.execute(sa.text("SELECT SLEEP(1.5)"))


def test_version_2_becomes_ours_and_nothing_is_gone(url, target):
    target.apply(STUDY, story())
    before = everything(target)
    old = ("ix_responses_AMENDSID", *(f"ix_{t}_POSITION" for t in ("responses", "answers", "scores")))
    indexes = [one for table in trial.APPLIED.values() for one in table.indexes if one.name not in old]
    with target.engine.begin() as connection:
        for view in ("v_facit_fatigue", "v_changes", "v_current_scores", "v_current_weeks"):
            connection.exec_driver_sql(f"DROP VIEW {view}")
        for one in indexes:
            one.drop(connection)
        connection.execute(trial.schema_state.update().values(VERSION=2))
    later = TrialDatabase(url, definitions())
    assert later.position(STUDY) == 0  # what came with version 5 is asked of the feed
    assert everything(later) == before and later.apply(STUDY, story()) == 10 and everything(later) == before
    look = sa.inspect(later.engine)
    assert {one.name for one in indexes} <= {
        one["name"] for t in trial.APPLIED for one in look.get_indexes(t)
    }
    assert rows(later, "v_changes", "CHG") == [(6.0,), (None,)]
    later.close()


def test_version_4_is_told_the_feed_again_and_scores_of_before_name_their_definition(url):
    told = by_a_later_definition()
    target = TrialDatabase(url, known())
    target.apply(STUDY, told)
    before = everything(target)
    with target.engine.begin() as connection:
        for view in ("v_facit_fatigue", "v_changes", "v_current_scores"):
            connection.exec_driver_sql(f"DROP VIEW {view}")
        quote = connection.dialect.identifier_preparer.quote
        for column in ("DEFVER", "DEFDIG"):
            connection.exec_driver_sql(f"ALTER TABLE scores DROP COLUMN {quote(column)}")
        connection.execute(trial.schema_state.update().values(VERSION=4))
    later = TrialDatabase(url, known())
    assert later.position(STUDY) == 0
    assert rows(later, "scores", "SCALE", "DEFVER") == [("extra", None)] * 2 + [("total", None)] * 2
    assert len(rows(later, "v_current_scores", "SCALE")) == 2  # as before, until it is known
    later.apply(STUDY, told[:1])
    later.apply(STUDY, later.prepare(told[1:]))
    assert everything(later) == before
    assert rows(later, "v_facit_fatigue", "DEFVER", "EXTRA") == [("1.2", 4.0)]
    if later.engine.dialect.name not in ("sqlite", "postgresql"):
        clear(later)
    later.close()
    target.close()


def test_version_7_gets_the_windows_of_responses_and_what_was_missed(url):
    """From the feed where that has them; what it did not tell yet stays blank, and views gain columns at their end."""
    told = story()
    of_before = {name: value for name, value in response(1, BASE, 0).items() if not name.endswith("s_at")}
    told[1] = entry(2, "response.stored", response=of_before, scores=[score(30.0)])
    target = TrialDatabase(url, definitions())
    target.apply(STUDY, told)
    before = everything(target)
    with target.engine.begin() as connection:
        for view in ("v_not_done", "v_facit_fatigue", "v_changes", "v_current_scores", "v_current_answers"):
            connection.exec_driver_sql(f"DROP VIEW {view}")
        connection.exec_driver_sql("DROP VIEW v_current_responses")
        quote = connection.dialect.identifier_preparer.quote
        for table, columns in (("responses", trial_views.WINDOW), ("misses", OF_A_MISS)):
            for column in columns:
                connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {quote(column)}")
        there = trial.responses.c
        record = sa.func.coalesce(there.AMENDSID, there.RESPONSEID).label("RECORDID")
        as_it_was = sa.select(*(there[name] for name in trial_views.RESPONSES), record)
        connection.execute(trial_views.View("v_current_responses", as_it_was))
        connection.execute(trial.schema_state.update().values(VERSION=7))
    later = TrialDatabase(url, definitions())
    assert later.position(STUDY) == 0
    assert rows(later, "misses", *OF_A_MISS) == [(None, None, None)]
    later.apply(STUDY, told[:1])
    later.apply(STUDY, later.prepare(told[1:]))
    assert everything(later) == before
    assert rows(later, "v_facit_fatigue", "VISIT", "OPENDTC", "CLOSEDTC") == [(BASE, None, None), WINDOWS[1]]
    assert rows(later, "misses", *OF_A_MISS) == [("1", "fatigue_diary", "1.0")]
    if later.engine.dialect.name not in ("sqlite", "postgresql"):
        clear(later)
    later.close()
    target.close()


OF_A_MISS = ("PROTVER", "INSTRUMENT", "INSTRVER")


def test_version_8_gets_excuses_and_what_was_not_done_and_is_told_nothing_again(url, target):
    target.apply(STUDY, story())
    with target.engine.begin() as connection:
        connection.execute(trial_views.NoView("v_not_done"))
        trial.excuses.drop(connection)
        connection.execute(trial.schema_state.update().values(VERSION=8))
    later = TrialDatabase(url, definitions())
    assert later.position(STUDY) == 10
    assert rows(later, "v_not_done", "QSREASND") == [("MISSED",)]
    later.close()


def test_a_wide_view_of_before_gains_the_window_and_then_more_scales(url, target):
    """PostgreSQL puts a view in the place of one only where the columns that it had are the first of the new one."""
    target.apply(STUDY, story())
    view, scale = "v_facit_fatigue", definitions().instrument("facit_fatigue", VERSION).scales[0]
    before = ["DEFVER", export_rows.test_code(scale)]
    with target.engine.begin() as connection:
        connection.execute(trial_views.NoView(view))
        trial_views.make(connection, view, trial_views.wide("facit_fatigue", before))
        connection.execute(trial.schema_state.update().values(VERSION=7))
    later = TrialDatabase(url, definitions())
    assert later.position(STUDY) == 0
    for more in ((), ("OTHER",)):
        with later.engine.begin() as connection:
            wanted = [*before, *trial_views.WINDOW, *more]
            trial_views.make(connection, view, trial_views.wide("facit_fatigue", wanted))
            columns = [column["name"] for column in sa.inspect(connection).get_columns(view)]
        ends = [*trial_views.WINDOW, *(f"OTHER{end}" for end in ("", "_BASE", "_CHG") if more)]
        assert columns[-len(ends) :] == ends
        assert rows(later, view, "VISIT", "OPENDTC", "CLOSEDTC") == WINDOWS
    with later.engine.begin() as connection:
        connection.execute(trial_views.NoView(view))
    later.close()


def test_version_5_keeps_every_answer_under_its_new_key(url, target):
    target.apply(STUDY, story())
    before, shown = everything(target), rows(target, "v_current_answers", "RESPONSEID", "ITEMID", "QSORRES")
    with target.engine.begin() as connection:
        keyed_by_response(connection)
        connection.execute(trial.schema_state.update().values(VERSION=5))
    later = TrialDatabase(url, definitions())
    assert later.position(STUDY) == 0  # what came with version 8 is asked of the feed
    assert everything(later) == before
    assert rows(later, "v_current_answers", "RESPONSEID", "ITEMID", "QSORRES") == shown
    assert rows(later, "v_facit_fatigue", "RESPONSEID", "DEFVER") == [(FIRST, VERSION), (CORRECTED, VERSION)]
    look = sa.inspect(later.engine)
    assert look.get_pk_constraint("answers")["constrained_columns"] == ["STUDYID", "POSITION", "ITEMID"]
    assert look.get_indexes("answers") == [] and not look.has_table("answers_before")
    later.rewind(STUDY, 0)
    assert later.apply(STUDY, story()) == 10 and everything(later) == before
    later.close()


def test_a_key_made_before_a_cut_leaves_no_index_that_is_not_needed(url, target):
    target.apply(STUDY, story())
    with target.engine.begin() as connection:
        there = sa.Table("answers", sa.MetaData(), autoload_with=connection)
        sa.Index("ix_answers_POSITION", there.c.STUDYID, there.c.POSITION).create(connection)
        connection.execute(trial.schema_state.update().values(VERSION=5))
    later = TrialDatabase(url, definitions())
    assert later.position(STUDY) == 0 and sa.inspect(later.engine).get_indexes("answers") == []
    later.close()


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_an_answer_of_another_hand_that_stands_twice_is_told_and_nothing_is_changed(url, target):
    target.apply(STUDY, story())
    with target.engine.begin() as connection:
        keyed_by_response(connection)
        row = dict(connection.execute(sa.select(trial.answers).limit(1)).mappings().one())
        connection.execute(trial.answers.insert().values(row | {"RESPONSEID": "another"}))
        connection.execute(trial.schema_state.update().values(VERSION=5))
    later = TrialDatabase(url, definitions())
    with pytest.raises(SinkUnavailable, match="answers cannot have its new key: (UniqueV|IntegrityE)"):
        later.apply(STUDY, story())
    with target.engine.begin() as connection:
        assert connection.scalar(sa.select(trial.schema_state.c.VERSION)) == 5
        connection.execute(trial.answers.delete().where(trial.answers.c.RESPONSEID == "another"))
    assert later.apply(STUDY, story()) == 10
    later.close()


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_a_later_version_is_not_touched(url, target):
    target.position(STUDY)
    with target.engine.begin() as connection:
        connection.execute(trial.schema_state.update().values(VERSION=trial.VERSION + 1))
    later = TrialDatabase(url, definitions())
    with pytest.raises(SinkUnavailable, match=f"version {trial.VERSION + 1}, ours is {trial.VERSION}"):
        later.apply(STUDY, story())
    assert rows(target, "entries", "POSITION") == []
    later.close()


# TD-05.


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_reader_of_the_grant_script_reads_and_changes_nothing(url, target, monkeypatch):
    target.apply(STUDY, story())
    monkeypatch.setenv("EPRO_TRIAL_DATABASE_URL", url)
    told = CliRunner().invoke(trialdb, ["grant-script", "--role", 'a "reader'])
    assert told.exit_code == 0, told.output
    with target.engine.begin() as connection:
        connection.exec_driver_sql('DROP ROLE IF EXISTS "a ""reader"')
        connection.exec_driver_sql(told.output.replace("%", "%%"))
        connection.exec_driver_sql('CREATE TABLE later (a int); SET LOCAL ROLE "a ""reader"')
        assert connection.exec_driver_sql("SELECT count(*) FROM v_facit_fatigue").scalar() == 2
        assert connection.exec_driver_sql("SELECT count(*) FROM later").scalar() == 0
        for statement in ("DELETE FROM scores", "INSERT INTO later VALUES (1)", "CREATE TABLE mine (a int)"):
            with (
                pytest.raises(sa.exc.ProgrammingError, match="InsufficientPrivilege"),
                connection.begin_nested(),
            ):
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql('RESET ROLE; DROP OWNED BY "a ""reader"; DROP ROLE "a ""reader"')


def test_the_script_of_each_engine_names_the_role():
    for kind, says in (("mariadb://u@h/trial", "GRANT SELECT ON `trial`.* TO 'r'"), ("sqlite:///t", "chmod")):
        told = CliRunner(env={"EPRO_TRIAL_DATABASE_URL": kind}).invoke(
            trialdb, ["grant-script", "--role", "r"]
        )
        assert told.exit_code == 0 and says in told.output


# TD-06.


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_belongs_to_a_parked_record_waits_and_the_rest_goes_on(target):
    told = story()
    broken = copy.copy(told)
    spoilt = orjson.loads(told[2].body)
    del spoilt["response"]["digest"]
    broken[2] = Entry(STUDY, 3, told[2].event_id, told[2].kind, orjson.dumps(spoilt).decode())
    assert target.apply(STUDY, target.prepare(broken)) == 10
    assert target.parked(STUDY) == {3: "KeyError", 5: "Waits", 6: "Waits"}
    assert target.retry(STUDY, told[4]) is False
    assert target.retry(STUDY, told[2]) and target.retry(STUDY, told[4]) and target.retry(STUDY, told[5])
    assert target.parked(STUDY) == {} and len(everything(target)["entries"]) == 10


def test_the_place_tells_what_lies_beyond_a_position_that_was_taken_back(target):
    """Applied or parked, the furthest; nothing once it has been told again up to there."""
    told = story()
    target.apply(STUDY, told[:5])
    target._park(STUDY, told[5], "DataError")

    def there(position: int, beyond: Place | None = None) -> Place:
        return Place(position, str(told[position - 1].event_id) if position else None, beyond)

    assert target.place(STUDY) == there(6)
    target.rewind(STUDY, 0)
    assert target.place(STUDY) == there(0, there(6))
    target.apply(STUDY, told[:2])
    assert target.place(STUDY) == there(2, there(6))
    with target.engine.begin() as connection:
        connection.execute(trial.parked.delete())
    assert target.place(STUDY) == there(2, there(5))
    target.apply(STUDY, told[2:])
    assert target.place(STUDY) == there(10) and target.place("another") == Place(0)


KINDS = st.sampled_from(["stored", "amended", "rescored", "missed"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(KINDS, st.integers(0, 3), st.integers(0, 2)), max_size=30), st.sets(st.integers(0, 29))
)
def test_whatever_is_refused_only_its_own_record_waits(acts, refused):
    """A line of entries; some are refused. What is let through, and what waits, follows from the chains alone."""
    parked: list[frozenset[str]] = []
    stopped: set[tuple[int, int]] = set()
    for number, (kind, record, subject) in enumerate(acts):
        root = f"r{record}"
        content = {
            "stored": {"response": {"id": root}},
            "amended": {"response": {"id": f"a{number}", "amends_id": root}},
            "rescored": {"rescored": {"response_id": root}},
            "missed": {"occurrence": {"id": f"m{number}"}},
        }[kind] | {"subject_id": str(subject)}
        chain = (record, subject) if kind != "missed" else (100 + number, subject)
        assert waits(content, parked) == (chain in stopped)
        if number in refused or chain in stopped:
            parked.append(records_of(content))
            stopped.add(chain)


def test_what_was_not_done_says_why_by_the_last_word(target):
    """A miss whose excuse was taken back and given anew, an excuse of a day to come, and one that was answered."""
    missed, ahead, told = str(uuid5(NAMES, "missed")), str(uuid5(NAMES, "ahead")), response(5, LATER, 14)
    given_back = [excused(11, "excused", missed), excused(12, "unexcused", missed)]
    more = [
        excused(13, "excused", ahead, "procedure"),
        excused(14, "excused", told["occurrence_id"]),
        excused(15, "excused", missed, "site_error"),
        entry(16, "response.stored", response=told, scores=[score(33.0)]),
    ]
    target.apply(STUDY, [*story(), *given_back])
    assert rows(target, "v_not_done", "OCCURRENCEID", "QSREASND") == [(missed, "MISSED")]
    for _ in range(2):  # again, it changes nothing
        target.apply(STUDY, [*story(), *given_back, *more])
    assert rows(target, "v_not_done", "OCCURRENCEID", "QSSTAT", "QSREASND") == sorted(
        [(missed, "NOT DONE", "EXCUSED, SITE ERROR"), (ahead, "NOT DONE", "EXCUSED, PROCEDURE")], key=str
    )
    assert len(rows(target, "excuses", "KIND")) == 5
