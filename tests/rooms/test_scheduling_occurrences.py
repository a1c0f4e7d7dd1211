"""Occurrences as rows: a rolling horizon, re-planning with the differences shown first, facts that stay.

The diary opens every evening from 18:00 to 24:00, Shanghai; the LupusQoL from 8:00 of day 6 to 22:00 of day 8.

OC-01  Rows exist from now to the horizon; extending adds what is missing and nothing twice.
OC-02  Nothing is born missed.
OC-03  What has opened does not move, nothing answered is orphaned.
OC-04  The preview tells what will happen, and does nothing.
OC-05  A withdrawal cancels what is open and ahead, recalls its reminders and ends the planning.
OC-06  A moved anchor leaves no day without its diary; a visit that was missed is asked for again, an answered one not.
OC-07  What moves behind the horizon is moved and not called off.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from epro.notifications import messages
from epro.notifications.models import Message
from epro.responses.models import Response
from epro.scheduling import occurrences
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import at

TESTS = system("tests")
ADA = ("diary", "01-001")
HORIZON, DAY = occurrences.HORIZON, timedelta(days=1)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def rows(subject_id: str = "01-001", *, alive: bool = True, assessment: str = "evening") -> list[Occurrence]:
    """Her occurrences by opening; the cancelled ones only if asked for."""
    with look(TESTS) as tx:
        found = occurrences.of(tx, tx.get(Participant, "diary", subject_id))
    return [row for row in found if row.assessment_id == assessment and not (alive and row.cancelled_at)]


def days(found: list[Occurrence]) -> list[str]:
    return [row.local_day.isoformat() for row in found]


def plan_changes() -> int:
    with look(TESTS) as tx:
        return tx.session.scalar(sa.select(sa.func.count()).where(Event.action == "plan.changed"))


def on_day(day: str, found: list[Occurrence]) -> Occurrence:
    (row,) = [row for row in found if row.local_day == date.fromisoformat(day)]
    return row


# OC-01: the horizon.


def test_rows_reach_from_now_to_the_horizon(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    found = rows()
    assert days(found) == [(date(2026, 3, 2) + n * DAY).isoformat() for n in range(HORIZON.days + 1)]
    assert (found[0].opens_at, found[0].closes_at) == (at("2026-03-02T18:00"), at("2026-03-03T00:00"))
    assert all(row.attention_at == row.opens_at + timedelta(hours=1) for row in found)
    assert all(row.grace_until == row.closes_at + timedelta(hours=6) for row in found)
    assert days(rows(assessment="quality")) == ["2026-03-08"]  # month1 waits for the infusion


def test_extending_adds_what_is_missing_and_nothing_twice(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    before, entries = rows(), plan_changes()
    for when in ("2026-03-02T12:00", "2026-03-09T09:59"):
        cast.tick(at(when))
    assert (len(rows()), plan_changes()) == (len(before), entries)  # its turn has not come
    for _ in range(2):
        cast.tick(at("2026-03-09T10:00"))
    assert (len(rows()), plan_changes()) == (len(before) + 7, entries + 1)
    assert [row.id for row in rows()][: len(before)] == [row.id for row in before]


@on_sqlite
def test_the_horizon_ends_with_the_study(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    for week in range(1, 12):
        cast.tick(at("2026-03-02T10:00") + week * occurrences.EXTEND_EVERY)
    found = rows()
    assert days(found) == [(date(2026, 3, 2) + n * DAY).isoformat() for n in range(61)]
    assert len({row.id for row in found}) == 61


@on_sqlite
def test_after_a_long_outage_the_horizon_is_where_it_must_be(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    cast.tick(at("2026-03-20T10:00"))
    assert days(rows())[-1] == "2026-04-24"
    assert len(rows()) == HORIZON.days + 1 + 18


# OC-02: nothing born missed.


def test_who_is_enrolled_late_misses_nothing_of_before(cast):
    with cast.on("2026-03-12T20:00"):
        cast.enrol(anchors={"enrolment": "2026-03-02"})
    assert days(rows())[0] == "2026-03-12"  # open just now, so it can be answered
    assert rows(assessment="quality") == []  # day 8 was the tenth
    cast.tick(at("2026-03-12T20:01"))
    with look(TESTS) as tx:
        assert tx.all(sa.select(Occurrence).where(Occurrence.missed_at.is_not(None))) == []


@on_sqlite
def test_a_visit_whose_window_is_open_already_is_asked_for(cast):
    with cast.on("2026-03-09T10:00"):
        cast.enrol(anchors={"enrolment": "2026-03-02"})
    (quality,) = rows(assessment="quality")
    assert quality.opens_at < at("2026-03-09T10:00") < quality.closes_at


def test_an_anchor_set_late_skips_what_would_be_over(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    with cast.on("2026-03-03T10:00"):
        told = cast.staff("noor").set_anchor("01-001", "infusion", "2026-01-30")  # month1 ended yesterday
    assert [one["assessment"] for one in told["skipped_as_over"]] == ["quality"]
    assert {one["assessment"] for one in told["new"]} <= {"evening"}  # the horizon has moved on by a day
    assert days(rows(assessment="quality")) == ["2026-03-08"]


# OC-03 and OC-04: re-planning.


def test_the_preview_tells_what_happens_and_does_nothing(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    before = [(row.id, row.opens_at, row.cancelled_at) for row in rows(alive=False)]
    entries = plan_changes()
    wanted = {"anchor": "enrolment", "date": "2026-03-04", "reason": "typing error"}
    with cast.on("2026-03-03T10:00"):
        noor, path = cast.staff("noor"), "/v1/site/participants/01-001/anchors"
        preview = noor.must("POST", f"{path}?preview=true", wanted)
        assert [(row.id, row.opens_at, row.cancelled_at) for row in rows(alive=False)] == before
        assert plan_changes() == entries and preview["preview"] is True
        done = noor.must("POST", path, wanted)
        again = noor.must("POST", f"{path}?preview=true", wanted)
    assert {**preview, "preview": False} == done
    assert again["moved"] == again["new"] == again["cancelled"] == []
    promised = {one["id"]: one["opens_at"] for one in done["moved"]}
    moved = {str(row.id): row.opens_at.isoformat() for row in [*rows(), *rows(assessment="quality")]}
    assert promised and promised == {key: moved[key] for key in promised}


def test_what_has_opened_does_not_move_and_keeps_its_day(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    opened = on_day("2026-03-05", rows())
    with cast.on("2026-03-05T20:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-01")
    kept = on_day("2026-03-05", rows())  # one diary only for this evening
    assert (kept.id, kept.opens_at, kept.cancelled_at) == (opened.id, opened.opens_at, None)
    assert on_day("2026-03-06", rows()).key == "d5"


def test_nothing_answered_is_orphaned(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    with cast.on("2026-03-02T20:00") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 3}, now, now)
        ada.upload(now)
    with cast.on("2026-03-02T21:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-20")
    with look(TESTS) as tx:
        response = tx.one(sa.select(Response))
        occurrence = tx.get(Occurrence, "diary", response.occurrence_id)
    assert occurrence.fulfilled_at and occurrence.cancelled_at is None
    assert days(rows())[:3] == ["2026-03-02", "2026-03-20", "2026-03-21"]  # d0 is answered, and asked again


def test_a_postponed_start_leaves_no_evening_without_its_diary(cast):
    """Six evenings have opened; then the start turns out to be three days later. Every evening has one diary."""
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    with cast.on("2026-03-03T20:00") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 3}, now, now)
        ada.upload(now)
    cast.tick(at("2026-03-07T19:00"))
    before = rows()
    with cast.on("2026-03-07T20:00"):
        told = cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-05")
    after = rows()
    every_evening = [(date(2026, 3, 2) + n * DAY).isoformat() for n in range(5 + HORIZON.days + 1)]
    assert days(after) == every_evening
    assert [row.id for row in after[:6]] == [row.id for row in before[:6]]
    keys = {row.local_day.isoformat(): row.key for row in after}
    assert [keys[f"2026-03-{day:02}"] for day in (7, 8, 9, 10, 11)] == [
        "d5", "d3@2026-03-08", "d4@2026-03-09", "d5@2026-03-10", "d6"]  # fmt: skip
    assert [row.study_day for row in after[6:10]] == [3, 4, 5, 6]
    assert {one["opens_at"][:10] for one in told["new"]} >= {"2026-03-08", "2026-03-09", "2026-03-10"}
    cast.tick(at("2026-03-14T10:00"))  # the horizon goes on: the same rows are found again
    assert [row.id for row in rows()][: len(after)] == [row.id for row in after]


@on_sqlite
def test_moved_to_and_fro_an_evening_is_asked_for_once(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    with cast.on("2026-03-05T20:00"):
        noor = cast.staff("noor")
        for day in ("2026-03-04", "2026-03-06", "2026-03-02", "2026-03-04"):
            noor.set_anchor("01-001", "enrolment", day)
            assert len(days(rows())) == len(set(days(rows())))
    assert days(rows())[:8] == [(date(2026, 3, 2) + n * DAY).isoformat() for n in range(8)]
    with cast.on("2026-03-05T20:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-02")
    assert not [row for row in rows() if "@" in row.key]


def test_a_missed_visit_is_asked_for_at_its_new_date(cast):
    """Week 1 was from the eighth to the tenth; nobody came. The true start makes it the fifteenth to seventeenth."""
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    cast.tick(at("2026-03-11T22:00"))
    (missed,) = rows(assessment="quality")
    assert missed.missed_at
    with cast.on("2026-03-12T10:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-09")
    first, second = rows(assessment="quality")
    assert (first.id, first.missed_at, days([second])) == (missed.id, missed.missed_at, ["2026-03-15"])
    assert (second.key, second.visit_id, second.study_day) == ("week1@2026-03-15", "week1", 7)
    with cast.on("2026-03-13T10:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-10")
    assert days(rows(assessment="quality")) == [
        "2026-03-08",
        "2026-03-16",
    ]  # the fifteenth is asked for no more


@pytest.mark.parametrize("answered_on", ["2026-03-09T10:00", "2026-03-16T10:00"])
def test_an_answered_visit_stays_answered(cast, answered_on):
    """At its first date or, after a miss, at its second: wherever the anchor moves then, it is not asked for again."""
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    if answered_on > "2026-03-11":
        cast.tick(at("2026-03-11T22:00"))
        with cast.on("2026-03-12T10:00"):
            cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-09")
    with cast.on(answered_on) as now:
        ada.sync()
        (visit,) = [one for one in ada.open_at(now) if one["assessment"] == "quality"]
        ada.answer(visit, {}, now, now)
        assert ada.upload(now)[0]["outcome"] == "stored"
    before = rows(assessment="quality")
    with cast.on("2026-03-18T10:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-16")
    assert [row.id for row in rows(assessment="quality")] == [row.id for row in before]


@on_sqlite
def test_there_and_back_is_where_she_was(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    before = {row.id: (row.opens_at, row.closes_at, row.attention_at) for row in rows()}
    with cast.on("2026-03-02T11:00"):
        noor = cast.staff("noor")
        told = noor.set_anchor("01-001", "enrolment", "2026-06-01")
        assert told["cancelled"] == told["new"] == []
        assert len(told["moved"]) == len(before) + 1  # and the visit
        assert (rows()[0].id in before, days(rows())[0]) == (True, "2026-06-01")
        noor.set_anchor("01-001", "enrolment", "2026-03-02")
    assert {row.id: (row.opens_at, row.closes_at, row.attention_at) for row in rows()} == before
    assert all(row.cancelled_reason is None for row in rows())


def test_what_moves_behind_the_horizon_is_moved_and_not_called_off(cast):
    """The last three of 36 evenings go behind the horizon; it comes up to them, and they are found again."""
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
        before, noor = rows(), cast.staff("noor")
        path = "/v1/site/participants/01-001/anchors?preview=true"
        wanted = {"anchor": "enrolment", "date": "2026-03-05", "reason": "typing error"}
        preview = noor.must("POST", path, wanted)
        told = noor.set_anchor("01-001", "enrolment", "2026-03-05")
        again = noor.set_anchor("01-001", "enrolment", "2026-03-05")
    for found in (preview, told):
        assert found["cancelled"] == found["new"] == [] and len(found["moved"]) == len(before) + 1
        assert found["planned_through"] == "2026-04-06"
    assert again["moved"] == again["cancelled"] == again["new"] == []
    assert [row.id for row in rows()] == [row.id for row in before]
    assert days(rows())[-1] == "2026-04-09" and len(rows(alive=False)) == len(before)
    cast.tick(at("2026-03-02T10:00") + occurrences.EXTEND_EVERY)
    assert days(rows()) == [(date(2026, 3, 5) + n * DAY).isoformat() for n in range(HORIZON.days + 5)]
    assert [row.id for row in rows()][: len(before)] == [row.id for row in before]


@on_sqlite
def test_a_missed_visit_whose_second_date_goes_behind_the_horizon_is_asked_for_there(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    cast.tick(at("2026-03-11T22:00"))
    with cast.on("2026-03-12T10:00"):
        noor = cast.staff("noor")
        noor.set_anchor("01-001", "enrolment", "2026-03-09")
        told = noor.set_anchor("01-001", "enrolment", "2026-05-01")
    assert [one["opens_at"][:10] for one in told["new"] if one["assessment"] == "quality"] == ["2026-05-07"]
    assert days(rows(assessment="quality")) == ["2026-03-08", "2026-05-07"]


@on_sqlite
def test_the_phone_hears_of_every_change(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-03-04")
        ada.sync()
    for row in rows(alive=False):
        heard = ada.known[str(row.id)]
        assert (heard["state"] == "cancelled") == (row.cancelled_at is not None)
        assert at(heard["opens_at"][:-6], "UTC") == row.opens_at
    numbers = [row.change_no for row in rows(alive=False)]
    assert len(set(numbers)) == len(numbers)


def test_a_journey_moves_only_what_has_not_opened(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    before = rows()
    with cast.on("2026-03-05T20:00"):
        ada.speak("PATCH", "/v1/phone/me", {"time_zone": "Europe/Berlin"})
    after = rows()
    assert [row.id for row in after][: len(before) - 1] == [row.id for row in before][: len(before) - 1]
    for old, new in zip(before, after, strict=False):
        if old.opens_at <= at("2026-03-05T20:00"):
            assert (new.opens_at, new.closes_at, new.time_zone) == (
                old.opens_at,
                old.closes_at,
                "Asia/Shanghai",
            )
        else:
            assert new.opens_at == at(f"{new.local_day}T18:00", "Europe/Berlin")
            assert (new.local_day, new.time_zone) == (old.local_day, "Europe/Berlin")


@on_sqlite
def test_another_hour_of_reminding_is_looked_at_at_once(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        ada.speak("PATCH", "/v1/phone/me", {"reminder_hour": "22:30"})
    assert all(row.attention_at == at(f"{row.local_day}T22:00") for row in rows())  # at risk comes first
    with cast.on("2026-03-02T11:00"):
        ada.speak("PATCH", "/v1/phone/me", {"reminder_hour": "18:05"})
    assert all(row.attention_at == at(f"{row.local_day}T18:05") for row in rows())


@on_sqlite
def test_her_hour_travels_with_her_also_for_what_is_open(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        ada.speak("PATCH", "/v1/phone/me", {"reminder_hour": "20:00"})
    with cast.on("2026-03-02T18:30"):
        ada.speak("PATCH", "/v1/phone/me", {"time_zone": "Asia/Tokyo"})
    tonight = on_day("2026-03-02", rows())
    assert (tonight.time_zone, tonight.attention_at) == (
        "Asia/Shanghai",
        at("2026-03-02T20:00", "Asia/Tokyo"),
    )


@on_sqlite
def test_misses_are_counted_back_to_the_last_answer(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    with cast.on("2026-03-03T20:00") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 3}, now, now)
        ada.upload(now)
    cast.tick(at("2026-03-06T06:00"))
    with look(TESTS) as tx:
        runs = {
            day: len(occurrences.misses_in_a_row(tx, on_day(f"2026-03-0{day}", rows())))
            for day in (2, 3, 4, 5)
        }
    assert runs == {2: 1, 3: 0, 4: 1, 5: 2}


@on_sqlite
def test_a_miss_that_the_clockwork_has_not_come_by_yet_counts(cast):
    """After an outage the fourth may be attended to before the third; both are past their grace."""
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    with cast.on("2026-03-02T20:00") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 3}, now, now)
        ada.upload(now)
    late, within_grace = at("2026-03-05T06:00"), at("2026-03-05T05:59")
    with look(TESTS, late) as tx:
        assert len(occurrences.misses_in_a_row(tx, on_day("2026-03-04", rows()))) == 2
    with look(TESTS, within_grace) as tx:
        assert occurrences.misses_in_a_row(tx, on_day("2026-03-04", rows())) == []
        assert len(occurrences.misses_in_a_row(tx, on_day("2026-03-03", rows()))) == 1


# OC-05: leaving.


def test_a_withdrawal_cancels_recalls_and_ends_the_planning(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
    with cast.on("2026-03-02T20:00") as now:
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 3}, now, now)
        ada.upload(now)
    with cast.on("2026-03-03T18:59"):
        with begin(TESTS) as tx:  # a reminder is on the ledger and has not gone out
            ada_row = tx.get(Participant, *ADA, lock=True)
            _plan_reminder(tx, ada_row, on_day("2026-03-03", rows()))
        cast.staff("noor").withdraw("01-001")
    cancelled = [row for row in rows(alive=False) if row.cancelled_at]
    assert [row.local_day.isoformat() for row in rows()] == ["2026-03-02"]  # the answered one
    assert all((row.cancelled_reason, row.attention_at) == ("withdrawn", None) for row in cancelled)
    for when in ("2026-03-03T19:30", "2026-03-09T10:30", "2026-04-20T10:00"):
        cast.tick(at(when))
    with look(TESTS) as tx:
        (message,) = tx.all(sa.select(Message))
        assert (message.withheld_reason, message.begun_at) == ("withdrawn", None)
    assert cast.sms.asked == [] and len(rows(alive=False)) == len(cancelled) + 1
    with cast.on("2026-04-20T10:00"):
        assert cast.staff("noor").worklist() == []


def _plan_reminder(tx, participant, occurrence) -> None:
    messages.plan(
        tx, participant, key=("reminder", occurrence.id, 0), purpose="reminder", template="reminder.due", why={},
        recipient=f"participant/{participant.subject_id}", language="en", due_at=tx.now + timedelta(minutes=1),
        expires_at=tx.now + timedelta(hours=1), occurrence_id=occurrence.id,
    )  # fmt: skip


@on_sqlite
def test_two_participants_do_not_touch_each_other(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
        cast.enrol()
    before = [(row.id, row.opens_at) for row in rows("01-002")]
    with cast.on("2026-03-02T11:00"):
        noor = cast.staff("noor")
        noor.set_anchor("01-001", "enrolment", "2026-03-09")
        noor.withdraw("01-001")
    assert [(row.id, row.opens_at) for row in rows("01-002")] == before
    assert not {row.id for row in rows("01-001", alive=False)} & {key for key, _ in before}
