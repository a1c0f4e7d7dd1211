"""Digests: one message a day to each of the staff of a site with the number of alerts that wait there.

DG-01  At the hour of the site's clock, once for each person and day, with any number of workers.
DG-02  Only where something waits; only a number.
DG-03  Late within reason, or not at all.
"""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
import sqlalchemy as sa

from epro import clock, worker
from epro.cli.study import known_instruments
from epro.notifications import digests
from epro.notifications.models import Message
from epro.notifications.senders.recording import RecordingSender
from epro.scheduling.reading import read
from epro.tx import begin, look, system
from tests.cast import STUDY_FILE, at
from tests.support.approvals import begin_with

TESTS = system("tests")
NOOR, INES, OTTO = "+8613800000001", "+8613800000002", "+8613800000003"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def study(app):
    text = STUDY_FILE.read_text(encoding="utf-8").replace(
        "assessments:\n", 'digest: {hour: "07:30", roles: [nurse]}\nassessments:\n'
    )
    protocol, faults = read(
        text.replace('version: "1.0"\n  title', 'version: "2.0"\n  title'), known_instruments()
    )
    assert protocol is not None, faults
    with begin(TESTS) as tx:
        begin_with(tx, protocol, text)


@pytest.fixture
def three_silent(cast):
    with cast.on("2026-03-02T10:00"):
        for _ in range(3):
            cast.enrol(contact={})
    cast.tick(at("2026-03-03T06:00"))
    cast.sms.taken.clear()


def planned() -> list[Message]:
    with look(TESTS) as tx:
        return tx.all(sa.select(Message).where(Message.purpose == "digest"))


# DG-01.


def test_one_message_at_the_hour_with_the_number(cast, three_silent):
    cast.tick(at("2026-03-03T07:29"))
    assert cast.sms.taken == []
    for minute in (30, 31, 45):
        cast.tick(at(f"2026-03-03T07:{minute}"))
    (message,) = cast.sms.taken
    assert message.to == NOOR and "3" in message.text and "01-00" not in message.text
    (row,) = planned()
    assert row.why == {"site": "01", "day": "2026-03-03", "count": 3}


def test_one_for_each_day(cast, three_silent):
    for day in ("03", "04", "05"):
        cast.tick(at(f"2026-03-{day}T07:30"))
    assert [message.to for message in cast.sms.taken if message.to == NOOR] == [NOOR] * 3
    assert [row.why["day"][-2:] for row in sorted(planned(), key=lambda row: row.due_at)] == [
        "03",
        "04",
        "05",
    ]


def test_once_though_what_it_stood_with_is_settled(cast, three_silent):
    """The ledger is by participant: its id must not depend on whose alert has waited longest."""
    cast.tick(at("2026-03-03T07:30"))
    with cast.on("2026-03-03T07:40"):
        noor = cast.staff("noor")
        noor.resolve(noor.worklist()[0]["id"], "reached")
    cast.tick(at("2026-03-03T07:45"))
    assert (len(planned()), len(cast.sms.taken)) == (1, 1)


def test_four_workers_at_once_plan_it_once(app, cast, three_silent):
    senders, start = {"sms": RecordingSender("sms")}, Barrier(4)

    def work():
        with app.app_context(), clock.moved_to(at("2026-03-03T07:30")):
            start.wait()
            for _ in range(3):
                worker.tick(senders)

    workers = [Thread(target=work) for _ in range(4)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    assert ([message.to for message in senders["sms"].taken], len(planned())) == ([NOOR], 1)


# DG-02.


def test_nothing_is_said_where_nothing_waits(cast, three_silent):
    with cast.on("2026-03-03T07:00"):
        noor = cast.staff("noor")
        for one in noor.worklist():
            noor.resolve(one["id"], "reached")
    cast.tick(at("2026-03-03T07:30"))
    assert cast.sms.taken == [] and planned() == []


@on_sqlite
def test_each_site_is_told_its_own_number(cast, three_silent):
    with cast.on("2026-03-03T10:00"):
        cast.enrol(nurse="otto", contact={})
    cast.tick(at("2026-03-04T06:00"))
    cast.sms.taken.clear()
    cast.tick(at("2026-03-04T07:30"))
    assert {message.to for message in cast.sms.taken} == {NOOR, OTTO}
    assert {row.why["site"]: row.why["count"] for row in planned()} == {"01": 3, "02": 1}


@on_sqlite
def test_a_participants_own_timeline_has_no_digest(cast, three_silent):
    cast.tick(at("2026-03-03T07:30"))
    with cast.on("2026-03-03T07:40"):
        told = cast.staff("noor").timeline("01-001")
    assert planned() and "digest" not in {message["purpose"] for message in told["messages"]}


# DG-03.


@on_sqlite
def test_after_an_outage_it_is_late_or_not_at_all(cast, three_silent):
    cast.tick(at("2026-03-03T11:30"))
    assert planned() == []
    cast.tick(at("2026-03-04T11:29"))
    assert [row.why["day"] for row in planned()] == ["2026-03-04"]


def test_the_hour_is_that_of_the_sites_clock():
    hour = 7 * 60 + 30
    for text, zone, day in (
        ("2026-03-29T07:30", "Europe/Berlin", 29),  # the clocks went forward that night
        ("2026-10-25T07:30", "Europe/Berlin", 25),
        ("2026-03-03T11:29", "Asia/Shanghai", 3),
    ):
        found = digests.due_on(hour, zone, at(text, zone))
        assert found is not None and found[0].day == day
    assert digests.due_on(hour, "Asia/Shanghai", at("2026-03-03T07:29")) is None
    assert digests.due_on(hour, "Asia/Shanghai", at("2026-03-03T11:30")) is None
    assert digests.due_on(23 * 60, "Asia/Shanghai", at("2026-03-04T01:00"))[0].day == 3
