"""Looking leaves a record: of whom, by whom, through which door; and taking a look away shows.

Requirement G29 (who has read what); threats S54 (the owner of the database changes it), S58 (curious staff).
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import clock, db
from epro.cli import epro
from epro.privacy import readings, reporting
from epro.privacy.models import Reading, ReadingRemoval, ReadingSeal
from epro.studies.models import Participant
from epro.tx import Tx, begin, look, system
from tests.cast import STUDY, at
from tests.console.browser import Browser
from tests.support.owner import as_owner

TESTS = system("tests")
ROOT = f"/console/studies/{STUDY}/participants"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def looked(cast):
    """Ada was looked at by three, through three doors; what they could not see is not among it."""
    with cast.on("2026-03-02T10:00"):
        subject = cast.enrol()["subject_id"]
        noor = cast.staff("noor")
        noor.must("GET", f"/v1/site/participants/{subject}/timeline")
        noor.must("POST", "/v1/site/participants/search", {"phone": "+8613900000001"})
        noor.must("GET", "/v1/site/participants")
        assert cast.staff("otto").call("GET", f"/v1/site/participants/{subject}").status == 404
        browser = Browser(cast.app)
        browser.sign_in("ines")
        assert browser.get(f"{ROOT}/{subject}").status_code == 200
        browser.get(f"/console/studies/{STUDY}/worklist/live")
        cast.staff("dana").must("GET", f"/fhir/r4/Patient/{STUDY}.{subject}")
        cast.staff("dana").call("GET", "/v1/sponsor/exports/csv")
    return subject


class Undone(Exception):
    """What was tried is taken back."""


def rows() -> list[tuple[str, str | None, str, str]]:
    with look(TESTS) as tx:
        return [(one.reader, one.subject_id, one.kind, one.door) for one in tx.all(sa.select(Reading))]


def seal(when) -> int:
    with begin(TESTS, when) as tx:
        return readings.seal_due(tx, 100)


def faults() -> list[str]:
    with look(TESTS) as tx:
        return [str(one) for one in readings.faults(tx)]


def test_every_look_is_on_record_and_nothing_else(cast, looked):
    who = {name: f"staff:{cast.ids[name]}" for name in cast.ids}
    assert sorted(rows(), key=str) == sorted(
        [
            (who["noor"], looked, "answers", "site"),
            (who["noor"], looked, "contact", "site"),
            (who["ines"], looked, "answers", "console"),
            (who["dana"], looked, "fhir", "fhir"),
            (who["dana"], None, "export", "sponsor"),
        ],
        key=str,
    )
    with look(TESTS) as tx:
        ada = tx.get(Participant, STUDY, looked)
        told, lines = (
            reporting.report(tx, ada, "en"),
            reporting.lines(reporting.report(tx, ada, "zh-CN"), "zh-CN"),
        )
    assert len(told["readings"]) == 5 and "整个研究" in lines
    assert {one["whose"] for one in told["readings"]} == {"hers", "the whole study"}


def test_what_is_done_to_the_record_of_reading_shows(cast, looked, environ):
    assert seal(at("2026-03-02T10:01")) == 0  # what may still come is not sealed
    assert (seal(at("2026-03-02T10:10")), seal(at("2026-03-02T10:30"))) == (1, 0)
    assert faults() == []
    with as_owner(environ) as connection:
        tear_down(connection)
        row = dict(connection.execute(sa.select(Reading.__table__)).mappings().first())
        for attack in (
            sa.delete(Reading).where(Reading.id == row["id"]),
            sa.update(Reading).where(Reading.id == row["id"]).values(reader="staff:nobody"),
            sa.update(Reading).where(Reading.id == row["id"]).values(at=row["at"] + timedelta(seconds=1)),
            sa.insert(Reading).values({**row, "id": row["id"].__class__(int=1)}),
            sa.delete(ReadingSeal),
            sa.update(ReadingSeal).values(count=ReadingSeal.count + 1),
        ):
            with connection.begin_nested() as step:
                connection.execute(attack)
                assert faults_on(connection), attack
                step.rollback()


def test_a_removal_that_the_trail_does_not_tell_of_takes_nothing_away(cast, looked):
    """With the application's own right to the tables, and nothing out of the way."""
    seal(at("2026-03-02T10:10"))
    for until in (at("2999-01-01T00:00"), sealed_until()):
        with pytest.raises(Undone), begin(TESTS, at("2026-03-02T10:20")) as tx:
            tx.add(ReadingRemoval(study_id=STUDY, until=until, at=tx.now))
            tx.session.flush()
            assert any("this removal" in str(one) for one in readings.faults(tx))
            assert tx.session.execute(sa.delete(Reading)).rowcount == 5
            assert any("0 readings are there" in str(one) for one in readings.faults(tx))
            raise Undone()
    assert faults() == [] and len(rows()) == 5


def test_a_removal_ends_where_a_seal_ends(cast, looked):
    seal(at("2026-03-02T10:10"))
    with begin(TESTS, at("2026-03-02T10:20")) as tx:
        readings._remove(tx, STUDY, at("2999-01-01T00:00"))
    told = faults()
    assert any("no seal ends" in one for one in told) and any("0 readings are there" in one for one in told)


def test_a_removal_that_is_gone_shows(cast, looked, environ):
    seal(at("2026-03-02T10:10"))
    with begin(TESTS, at("2026-03-02T10:20")) as tx:
        readings._remove(tx, STUDY, sealed_until())
    assert faults() == []
    with as_owner(environ, "reading_removals", keep=False) as connection:
        connection.execute(sa.delete(ReadingRemoval))
        assert any("a removal that the trail tells of" in one for one in faults_on(connection))


def sealed_until():
    with look(TESTS) as tx:
        return tx.all(sa.select(ReadingSeal.until))[-1]


def faults_on(connection) -> list[str]:
    return [str(one) for one in readings.faults(Tx(connection, clock.now(), TESTS))]


def tear_down(connection) -> None:
    """As the owner of the tables can: without the triggers."""
    if connection.dialect.name == "sqlite":
        for (name,) in connection.execute(
            sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'reading%'")
        ).all():
            connection.execute(sa.text(f"DROP TRIGGER {name}"))
        return
    for table in ("readings", "reading_seals"):
        connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        connection.execute(sa.text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))


def test_readings_go_when_they_were_kept_long_enough_and_not_before(cast, looked):
    seal(at("2026-03-02T10:10"))
    settings = db.settings()
    for days, later, left in (("", 4000, 5), ("400", 399, 5), ("400", 401, 0)):
        settings["READING_DAYS"] = days or None
        with begin(TESTS, at("2026-03-02T10:00") + timedelta(days=later)) as tx:
            readings.remove_old(tx)
        assert len(rows()) == left
        assert faults() == []


@on_sqlite
def test_the_command_tells_who_has_read(cast, looked, environ, monkeypatch, tmp_path):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(epro, ["trail", "readers", looked, "--lang", "zh-CN"])
    assert told.exit_code == 0 and len(told.output.splitlines()) == 6 and "作答与经过" in told.output
    made = CliRunner().invoke(epro, ["export", "csv", "--study", STUDY, "--out", str(tmp_path / "csv")])
    assert made.exit_code == 0, made.output
    assert ("system:command line", None, "export", "command") in rows()
    told = CliRunner().invoke(epro, ["trail", "readers", looked])
    (line,) = [line for line in told.output.splitlines() if "command line" in line]
    assert line.split("\t")[1:] == ["the system", "command line", "export", "the whole study", "command"]
    for words in (["trail", "readers"], ["privacy", "access-report"]):
        refused = CliRunner().invoke(epro, [*words, "nobody", "--study", "elsewhere"])
        assert str(refused.exception) == "There is no participant nobody in elsewhere."
