"""Streaks: the misses in a row of one assessment are one alert, which grows, shrinks and keeps its whole story.

SK-01  Misses in a row join the alert that stands; one after an answer does not.
SK-02  Told once, and again only as often as the study file says; urgent from as many as it says.
SK-03  After it is resolved the next miss raises a new one.
SK-04  A late answer takes its own miss out; the alert stands until none is left.
SK-05  In whatever order the clockwork comes by, and however often, each miss is in one alert, once.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from epro.cli.study import known_instruments
from epro.notifications import attending, steps
from epro.notifications.models import Alert, AlertStep, Message
from epro.scheduling.models import Occurrence
from epro.scheduling.reading import read
from epro.studies.models import Participant
from epro.trail.models import Event, FeedEntry
from epro.tx import begin, look, system
from tests.cast import STUDY_FILE, at
from tests.support.approvals import begin_with

TESTS = system("tests")
ESCALATION = "      escalation: [{after: 4h, role: investigator}]\n"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ruled(app):
    """Publishes the study anew with more said about the diary's misses."""

    def publish(replacing: dict[str, str] | None = None, **said: object) -> None:
        more = "".join(f"      {key}: {value}\n" for key, value in said.items())
        text = STUDY_FILE.read_text(encoding="utf-8").replace(ESCALATION, ESCALATION + more)
        for old, new in (replacing or {}).items():
            assert old in text
            text = text.replace(old, new)
        protocol, faults = read(
            text.replace('version: "1.0"\n  title', 'version: "2.0"\n  title'), known_instruments()
        )
        assert protocol is not None, faults
        with begin(TESTS) as tx:
            begin_with(tx, protocol, text)

    return publish


@pytest.fixture
def enrolled(cast):
    def enrol(**wanted):
        with cast.on("2026-03-02T10:00"):
            return cast.phone(**{"contact": {}, **wanted})

    return enrol


def rows(model=Alert, *conditions) -> list:
    with look(TESTS) as tx:
        return tx.all(sa.select(model).where(*conditions))


def told(kind: str) -> list[tuple[str, list[int]]]:
    """Alerts as (first day, days that are in them now), the oldest first."""
    with look(TESTS) as tx:
        found = tx.all(sa.select(Alert).where(Alert.kind == kind).order_by(Alert.raised_at))
        return [
            (one.why["local_day"][-2:], [miss.local_day.day for miss in steps.misses_of(tx, one)])
            for one in found
        ]


def mornings(cast, *days: int) -> None:
    for day in days:
        cast.tick(at(f"2026-03-{day:02}T06:00"))


def answer(cast, phone, day: int, uploaded: str) -> None:
    """She answered the diary of this day at eight, and the phone came online later."""
    with cast.on(uploaded) as now:
        phone.sync()
        local = f"2026-03-{day:02}"
        diary = next(
            o for o in phone.known.values() if o["local_day"] == local and o["assessment"] == "evening"
        )
        evening = at(f"{local}T20:00")
        phone.answer(diary, {"worst_fatigue": 3}, evening, evening + timedelta(minutes=1))
        phone.upload(now)


def to_noor(cast) -> int:
    return len([message for message in cast.sms.taken if message.to == "+8613800000001"])


# SK-01.


def test_misses_in_a_row_are_one_alert(cast, enrolled):
    enrolled()
    mornings(cast, 3, 4, 5)
    assert told("missed") == [("02", [2, 3, 4])]
    (alert,) = rows()
    assert (alert.misses, alert.raised_at) == (3, at("2026-03-03T06:00"))
    assert alert.why["misses_in_a_row"] == 1  # as it was raised: nothing is overwritten
    cast.relay()
    with look(TESTS) as tx:
        kinds = Counter(tx.session.scalars(sa.select(FeedEntry.kind)))
        joined = tx.all(sa.select(Event).where(Event.action == "alert.joined"))
    assert (kinds["alert.raised"], kinds["alert.joined"], len(joined)) == (1, 2, 2)


def test_a_miss_after_an_answer_is_another_alert(cast, enrolled):
    ada = enrolled()
    mornings(cast, 3)
    answer(cast, ada, 3, "2026-03-03T20:05")
    mornings(cast, 4, 5, 6)
    assert told("missed") == [("02", [2]), ("04", [4, 5])]


@on_sqlite
def test_another_assessment_has_an_alert_of_its_own(cast, app, enrolled):
    text = STUDY_FILE.read_text(encoding="utf-8").replace(
        "on_miss: {alert: false}", "on_miss: {alert: true, roles: [nurse]}"
    )
    protocol, faults = read(
        text.replace('version: "1.0"\n  title', 'version: "2.0"\n  title'), known_instruments()
    )
    assert protocol is not None, faults
    with begin(TESTS) as tx:
        begin_with(tx, protocol, text)
    enrolled()
    cast.tick(at("2026-03-13T07:00"))
    assert sorted(len(days) for _, days in told("missed")) == [1, 11]


# SK-02.


def test_told_once_unless_the_study_asks_for_more(cast, enrolled):
    enrolled()
    mornings(cast, 3, 4, 5, 6, 7)
    assert to_noor(cast) == 1


def test_told_again_at_every_so_many_further_misses(cast, ruled, enrolled):
    ruled(again_every=2)
    enrolled()
    heard = []
    for day in (3, 4, 5, 6, 7):
        mornings(cast, day)
        heard.append(to_noor(cast))
    assert heard == [1, 1, 2, 2, 3]
    counts = [message.why["count"] for message in rows(Message, Message.purpose == "alert")]
    assert sorted(counts) == [1, 3, 5]
    assert any("3" in message.text for message in cast.sms.taken)


def test_a_routine_alert_becomes_urgent_from_so_many_misses(cast, ruled, enrolled):
    ruled(urgent_from=3)
    enrolled()
    mornings(cast, 3, 4)
    with cast.on("2026-03-04T07:00"):
        assert [one["urgency"] for one in cast.staff("noor").worklist()] == ["routine"]
    mornings(cast, 5)
    (alert,) = rows()
    assert (alert.urgency, alert.urgent_at) == ("routine", at("2026-03-05T06:00"))
    with cast.on("2026-03-05T07:00"):
        (listed,) = cast.staff("noor").worklist()
    assert (listed["urgency"], listed["misses"]) == ("urgent", 3)


@on_sqlite
def test_an_alert_that_is_raised_by_as_many_misses_is_urgent_from_the_start(cast, ruled, enrolled):
    ruled({"after: 1": "after: 3"}, urgent_from=3)
    enrolled()
    mornings(cast, 3, 4, 5)
    (alert,) = rows()
    assert (alert.misses, alert.urgent_at) == (3, at("2026-03-05T06:00"))
    with cast.on("2026-03-05T07:00"):
        assert [one["urgency"] for one in cast.staff("noor").worklist()] == ["urgent"]
    cast.relay()
    (raised,) = rows(FeedEntry, FeedEntry.kind == "alert.raised")
    assert '"urgency":"urgent"' in raised.body.replace(" ", "")


# SK-03.


def test_after_it_is_resolved_the_next_miss_raises_a_new_one(cast, enrolled):
    enrolled()
    mornings(cast, 3, 4)
    with cast.on("2026-03-04T08:00"):
        cast.staff("noor").resolve(str(rows()[0].id), "not_reached")
    mornings(cast, 5, 6)
    assert told("missed") == [("02", [2, 3]), ("04", [4, 5])]
    first, second = sorted(rows(), key=lambda one: one.raised_at)
    assert (first.standing_since, second.standing_since) == (None, at("2026-03-05T06:00"))
    assert second.why["misses_in_a_row"] == 3 and to_noor(cast) == 2


# SK-04.


def test_late_answers_take_their_misses_out_until_none_is_left(cast, enrolled):
    ada = enrolled()
    mornings(cast, 3, 4, 5)
    answer(cast, ada, 3, "2026-03-05T09:00")  # one in the middle
    assert told("missed") == [("02", [2, 4])]
    assert [one.cleared_at for one in rows()] == [None]
    answer(cast, ada, 2, "2026-03-05T09:10")
    answer(cast, ada, 4, "2026-03-05T09:20")
    (alert,) = rows()
    assert (alert.misses, alert.cleared_why) == (0, "completed_offline_in_time")
    assert alert.standing_since is None and alert.escalate_at is None
    kinds = [step.kind for step in sorted(rows(AlertStep), key=lambda step: step.seq)]
    assert kinds == ["joined"] * 3 + ["cleared_one"] * 3
    with look(TESTS) as tx:
        kinds = Counter(tx.session.scalars(sa.select(FeedEntry.kind)))
    assert (kinds["alert.reduced"], kinds["alert.cleared"]) == (2, 1)


@on_sqlite
def test_the_same_late_answer_twice_takes_nothing_out_twice(cast, enrolled):
    ada = enrolled()
    mornings(cast, 3, 4)
    answer(cast, ada, 2, "2026-03-04T09:00")
    answer(cast, ada, 2, "2026-03-04T09:30")
    assert (rows()[0].misses, len(rows(AlertStep, AlertStep.kind == "cleared_one"))) == (1, 1)


# SK-05.


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("order", [(2, 3, 4, 5), (5, 4, 3, 2), (4, 2, 5, 3)])
def test_in_whatever_order_misses_are_come_by_they_are_one_alert(cast, ruled, enrolled, order, after):
    ruled(replacing={"after: 1\n": f"after: {after}\n"})
    ada = enrolled()
    morning = at("2026-03-06T07:00")
    for day in order:
        with begin(TESTS, morning) as tx:
            participant = tx.plain(Participant, "diary", ada.subject_id, lock=True)
            query = sa.select(Occurrence.id).where(
                Occurrence.assessment_id == "evening",
                Occurrence.local_day == at(f"2026-03-{day:02}T00:00").date(),
            )
            occurrence = tx.plain(Occurrence, "diary", tx.one(query), lock=True)
            attending.attend(tx, participant, occurrence)
            tx.put_back(Occurrence, occurrence)
            tx.put_back(Participant, participant)
    assert [days for _, days in told("missed")] == [[2, 3, 4, 5]]
    joined = Counter(step.occurrence_id for step in rows(AlertStep, AlertStep.kind == "joined"))
    assert set(joined.values()) == {1} and rows()[0].misses == 4
