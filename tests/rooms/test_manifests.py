"""The daily manifest and the daily comparison.

MF-01  One for each UTC day that is over, without a hole, signed, chained; made once, by the worker or by command.
MF-02  Any entry that is missing, changed or doubled in a copy is found by it.
MF-03  The comparison of the day is on record, and a difference is told until one finds none; data managers get a
       message of it, one a day each, in their language, with nothing in it but how many there are.
"""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import clock
from epro.cli import epro
from epro.errors import Conflict
from epro.notifications import differing
from epro.notifications.models import Message
from epro.stream import keeping, manifests, sequencer
from epro.stream.models import Manifest
from epro.stream.sinks import trial_tables as trial
from epro.tx import begin, look, system
from tests.cast import STUDY, at

TESTS = system("tests")
FIRST = date(2026, 3, 2)
NIGHT = at("2026-03-05T09:00")


@pytest.fixture
def days(cast):
    """Two participants; answers on two days."""
    with cast.on("2026-03-02T10:00"):
        phones = [cast.phone(contact={}) for _ in range(2)]
    for day in ("2026-03-02", "2026-03-04"):
        with cast.on(f"{day}T20:00") as now:
            for phone in phones:
                phone.sync()
                phone.answer(phone.open_at(now)[0], {"worst_fatigue": 1}, now, now)
                phone.upload(now)
            cast.relay()
    with clock.moved_to(NIGHT):
        assert keeping.keep(cast.sinks) == 2  # manifests up to yesterday, and the comparison
        assert keeping.keep(cast.sinks) == 0
    return cast


def faults(counted=None) -> list[str]:
    with look(TESTS) as tx:
        last = sequencer.last_position(tx, STUDY)
        return list(manifests.faults(tx, STUDY, counted or manifests.of_feed(tx, STUDY, 0, last)))


def test_each_day_has_one_without_a_hole_and_all_is_as_they_say(days):
    with look(TESTS) as tx:
        rows = tx.all(sa.select(Manifest).order_by(Manifest.day))
        told = [manifests.told(row) for row in rows]
        last = sequencer.last_position(tx, STUDY)
    assert [one["date"] for one in told] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert [one["after"] for one in told[1:]] == [one["until"] for one in told[:-1]]
    assert told[1]["groups"] == [] and told[2]["until"] == last
    stored = [g for g in told[0]["groups"] if g["kind"] == "response.stored"]
    assert [(g["site"], g["assessment"], g["count"]) for g in stored] == [
        ("01", "evening-diary", 2)
    ] or stored
    assert told[1]["previous"] == told[0]["digest"]
    assert faults() == [] and faults(days.sinks[0].counted(STUDY)) == []


def test_a_day_that_is_not_over_has_none(days):
    with begin(TESTS, NIGHT) as tx, pytest.raises(Conflict):
        manifests.make(tx, STUDY, date(2026, 3, 5))
    with begin(TESTS, NIGHT) as tx:
        assert manifests.make(tx, STUDY, FIRST).day == FIRST


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_any_fault_of_a_copy_is_found(days):
    sound = list(days.sinks[0].counted(STUDY))
    assert len(sound) >= 4
    for number, entry in enumerate(sound):
        for faulty in (
            sound[:number] + sound[number + 1 :],
            [*sound[:number], entry, *sound[number:]],
            [*sound[:number], (*entry[:4], "0" * 64), *sound[number + 1 :]],
            [*sound[:number], (entry[0], "99", *entry[2:]), *sound[number + 1 :]],
        ):
            assert faults(faulty), (number, faulty)


def test_it_is_read_at_the_door_and_by_command(days, environ, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with clock.moved_to(NIGHT):
        key = {"Authorization": f"Bearer {days.ids['machine']}"}
        reply = days.line("GET", "/v1/sponsor/manifests/2026-03-02", None, key)
        assert reply.body["date"] == "2026-03-02" and reply.body["public_key"]
        for day in ("2026-03-05", "yesterday"):
            assert days.line("GET", f"/v1/sponsor/manifests/{day}", None, key).body["code"] == "no_manifest"
        for words in (
            ["make", "--date", "2026-03-03"],
            ["show", "2026-03-02"],
            ["verify"],
            ["verify", "--trial-database"],
        ):
            done = CliRunner().invoke(epro, ["manifest", *words, "--study", STUDY])
            assert done.exit_code == 0, done.output


def test_a_difference_is_on_record_and_in_the_log(days, caplog):
    with days.sinks[0].engine.begin() as connection:
        connection.execute(trial.scores.update().where(trial.scores.c.POSITION > 0).values(QSSTRESN=9.0))
    with clock.moved_to(at("2026-03-06T09:00")):
        assert keeping.keep(days.sinks) == 2
    with look(TESTS) as tx:
        row = keeping.newest(tx, STUDY)
    assert row.differences > 0 and row.named[0].startswith("changed: scores")
    assert "trial_database.differs" in {getattr(r, "action", "") for r in caplog.records}


def test_data_managers_are_told_of_a_difference_once_a_day_and_nobody_else_is(days):
    dana = days.ids["dana"]
    with days.sinks[0].engine.begin() as connection:
        connection.execute(
            trial.scores.update().where(trial.scores.c.SCALE == "worst_fatigue").values(QSSTRESN=9.0)
        )
    days.sms.taken.clear()
    days.email.taken.clear()
    for hour in ("09:00", "09:05", "15:00"):
        with clock.moved_to(now := at(f"2026-03-06T{hour}")):
            keeping.keep(days.sinks, differing.tell)
        days.tick(now)
    with look(TESTS) as tx:
        planned = tx.all(sa.select(Message).where(Message.purpose == "difference"))
        told = keeping.newest(tx, STUDY).differences
    assert [(row.recipient, row.why["count"]) for row in planned] == [(f"staff/{dana}", told)]
    (sent,) = [one for one in [*days.sms.taken, *days.email.taken] if one.template == "alert.difference"]
    assert str(told) in sent.text and STUDY not in sent.text and "01-00" not in sent.text
    noor = days.staff("noor")
    for subject in {row.subject_id for row in planned}:
        assert "difference" not in {one["purpose"] for one in noor.timeline(subject)["messages"]}


def test_data_managers_are_told_of_a_trial_database_that_is_astray_once_a_day(days):
    with days.sinks[0].engine.begin() as connection:
        connection.execute(trial.feed_state.update().values(POSITION=trial.feed_state.c.POSITION + 1))
    days.email.taken.clear()
    for hour in ("09:00", "09:05", "15:00"):
        with clock.moved_to(now := at(f"2026-03-06T{hour}")):
            keeping.keep(days.sinks, differing.tell, differing.warn)
        days.tick(now)
    with look(TESTS) as tx:
        (planned,) = tx.all(sa.select(Message).where(Message.purpose == "difference"))
        row = keeping.newest(tx, STUDY)
    assert planned.template == "alert.astray" and planned.recipient == f"staff/{days.ids['dana']}"
    assert row.day == date(2026, 3, 6) and row.named[0].startswith("ahead: feed_state")
    (sent,) = [one for one in [*days.sms.taken, *days.email.taken] if one.template == "alert.astray"]
    assert STUDY not in sent.text


def test_no_difference_no_message(days):
    with clock.moved_to(at("2026-03-06T09:00")):
        keeping.keep(days.sinks, differing.tell)
    with look(TESTS) as tx:
        assert tx.all(sa.select(Message).where(Message.purpose == "difference")) == []


def test_what_came_just_now_is_waited_for_and_what_stays_away_is_told(days):
    with days.sinks[0].engine.begin() as connection:
        connection.execute(trial.feed_state.update().values(POSITION=trial.feed_state.c.POSITION - 1))
    with clock.moved_to(at("2026-03-06T09:00")):
        assert keeping.keep(days.sinks, differing.tell) == 2  # long given and not there: told
    with days.on("2026-03-07T20:00") as now:
        days.relay()
        phone = days.phone(contact={})
        sequencer.sequence()
        assert phone.subject_id
    with clock.moved_to(now):
        assert keeping.keep(days.sinks, differing.tell) == 1  # a manifest; the comparison waits
