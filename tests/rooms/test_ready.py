"""Statements made ready once read and write what they do the usual way, and fail as they do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from epro import db, ready, statements, trail
from epro.scheduling.models import Occurrence
from epro.tx import begin, look, system, table_of
from tests.cast import STUDY

TESTS = system("tests")
WHEN = datetime(2026, 3, 2, 12, 30, 5, 123456, tzinfo=UTC)
TABLE = table_of(Occurrence)
ONE = sa.select(*TABLE.columns).where(TABLE.c.id == sa.bindparam("wanted", type_=sa.Uuid()))
SOME = sa.select(TABLE.c.id, sa.literal("said").label("said")).where(
    TABLE.c.id.in_(sa.bindparam("ids", expanding=True, type_=sa.Uuid())), TABLE.c.reminders_done == 0
)


def _row(ada: str) -> dict:
    return {
        "study_id": STUDY, "id": uuid4(), "subject_id": ada, "assessment_id": "diary", "key": "d900",
        "anchor": "infusion", "study_day": 900, "protocol_version": "1.0", "instrument_code": "fatigue_diary",
        "instrument_version": "1.0", "local_day": date(2026, 3, 2), "time_zone": "Asia/Shanghai",
        "tzdata": "told", "opens_at": WHEN, "closes_at": WHEN, "grace_until": WHEN, "planned_at": WHEN,
    }  # fmt: skip


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.enrol()["subject_id"]


@pytest.fixture
def listened_to(app):
    """Everything goes the usual way while somebody listens."""

    def listen(*told):
        heard.append(told[2])

    heard: list[str] = []
    sa.event.listen(db.engine(), "before_cursor_execute", listen)
    yield heard
    sa.event.remove(db.engine(), "before_cursor_execute", listen)


def test_both_ways_write_and_read_the_same(ada, request):
    row, found = _row(ada), []
    with begin(TESTS) as tx:
        trail.record(tx, trail.study_chain(tx, STUDY), "tested", "study", STUDY)
        ready.write(tx.connection, statements.insert(TABLE), [row])
        found += ready.rows(tx.connection, ONE, {"wanted": row["id"]})
    heard = request.getfixturevalue("listened_to")
    with look(TESTS) as tx:
        found += ready.rows(tx.connection, ONE, {"wanted": row["id"]})
    assert heard and tuple(found[0]) == tuple(found[1])
    assert (found[0].opens_at, found[0].id, found[0].reminders_done) == (WHEN, row["id"], 0)


def test_a_list_whose_length_is_not_known_goes_the_usual_way(ada):
    with look(TESTS) as tx:
        ids = list(tx.session.scalars(sa.select(Occurrence.id).limit(2)))
        found = ready.rows(tx.connection, SOME, {"ids": ids})
        assert {(row.id, row.said) for row in found} == {(one, "said") for one in ids}
        assert ready.rows(tx.connection, SOME, {"ids": []}) == []


def test_a_list_as_one_parameter_stays_one_statement(ada):
    asked = sa.select(TABLE.c.id, TABLE.c.visit_id).where(
        sa.or_(statements.among(TABLE.c.id, "ids"), statements.among(TABLE.c.visit_id, "visits"))
    )
    with look(TESTS) as tx:
        known = dict(tx.session.execute(sa.select(Occurrence.id, Occurrence.visit_id)).all())
        some = list(known)[:3]
        at_visits = {id for id, visit in known.items() if visit == "week1"}
        for ids, visits, found in (
            (some, ["week1"], {*some} | at_visits),
            ([], {"none"}, set()),
            (some, (), {*some}),
        ):
            rows = ready.rows(tx.connection, asked, {"ids": ids, "visits": visits})
            assert {row.id for row in rows} == found
    assert at_visits and ready._made(asked, ready._kind(tx.connection.dialect), None) is not None


def test_what_the_database_refuses_is_told_without_values(ada):
    row = _row(ada)
    with pytest.raises(sa.exc.IntegrityError) as told, begin(TESTS) as tx:
        ready.write(tx.connection, statements.insert(TABLE), [row, row])
    assert "Asia/Shanghai" not in str(told.value).replace(str(told.value.orig), "")


def test_a_connection_that_is_gone_is_found_out(cast, engine_name):
    if engine_name == "sqlite":
        pytest.skip("a file does not go away")
    with look(TESTS) as tx:
        tx.connection.connection.driver_connection.close()
        with pytest.raises(sa.exc.OperationalError):
            ready.rows(tx.connection, ONE, {"wanted": uuid4()})
    with look(TESTS) as tx:
        assert ready.rows(tx.connection, ONE, {"wanted": uuid4()}) == []


@pytest.mark.parametrize("micros", [0, 1, 123456])
def test_a_moment_is_spelt_on_sqlite_as_sqlalchemy_spells_it(micros):
    moment = datetime(2026, 3, 29, 3, 5, 7, micros, tzinfo=ZoneInfo("Europe/Berlin"))
    dialect = sqlite.dialect()
    spelt = db.Instant().bind_processor(dialect)(moment)
    assert spelt == sqlite.DATETIME().bind_processor(dialect)(moment.astimezone(UTC).replace(tzinfo=None))
    assert db.Instant().result_processor(dialect, None)(spelt) == moment
    with pytest.raises(ValueError):
        db.Instant().bind_processor(dialect)(WHEN.replace(tzinfo=None))
