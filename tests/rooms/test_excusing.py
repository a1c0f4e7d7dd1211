"""Excusing: the site says that an occurrence need not be answered, and may take that back.

EX-01  What is open, ahead or missed can be excused, with a reason of the list; what is answered, called off, excused
       or unscheduled cannot.
EX-02  Nobody is reminded of it or warned, and it is never missed; her phone is told.
EX-03  A miss stays the fact it was; its alert clears, and it counts in no streak and no compliance.
EX-04  An answer that comes all the same is taken in, and counts.
EX-05  Taken back, it is asked for again as far as there is time: reminders ahead, the miss.
EX-06  A miss whose excuse is taken back is one again, and so is its alert; but nobody is called about what could not
       be answered because it was excused when it closed.
EX-07  All of some days at once: the preview is what happens.
EX-08  Trail and feed tell it, the words of a person in the trail alone.
EX-09  What was asked in the place of an excused miss is called off (in test_scheduling_course.py).
EX-10  Of who has left, nothing is asked again.
EX-11  The week of a diary is scored without waiting for an excused day.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from epro.cli.study import known_instruments
from epro.notifications.models import Alert, Message
from epro.responses.models import WeekScore
from epro.scheduling.models import Occurrence
from epro.scheduling.reading import read
from epro.scheduling.state import State, state_of
from epro.trail.models import Event, FeedEntry
from epro.tx import begin, look, system
from tests.cast import STUDY_FILE, at
from tests.support.approvals import begin_with

TESTS = system("tests")
IN_HOSPITAL = {"reason": "in_hospital", "note": "admitted on Monday"}
BACK = {"reason": "it was another participant"}
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={"phone": "+8613900000001"})


@pytest.fixture
def study(app):
    def publish(*changes: tuple[str, str]) -> None:
        text = STUDY_FILE.read_text(encoding="utf-8")
        for old, new in (('version: "1.0"\n  title', 'version: "2.0"\n  title'), *changes):
            assert old in text, old
            text = text.replace(old, new)
        protocol, faults = read(text, known_instruments())
        assert protocol is not None, faults
        with begin(TESTS) as tx:
            begin_with(tx, protocol, text)

    return publish


def rows(model=Alert, **which) -> list:
    with look(TESTS) as tx:
        found = tx.all(sa.select(model))
    return [one for one in found if all(getattr(one, name) == value for name, value in which.items())]


def diary(day: str, assessment: str = "evening") -> Occurrence:
    (found,) = [
        row
        for row in rows(Occurrence, assessment_id=assessment)
        if row.local_day.isoformat() == f"2026-03-{day}"
    ]
    return found


def state(day: str, now: str) -> State:
    return state_of(diary(day), at(now))


def excuse(cast, row, body=IN_HOSPITAL, *, by="noor"):
    return cast.staff(by).call("POST", f"/v1/site/occurrences/{row.id}/excuse", body)


def take_back(cast, row, *, by="noor"):
    return cast.staff(by).call("POST", f"/v1/site/occurrences/{row.id}/take-back", BACK)


def days(cast, ada, first: str, last: str, *, preview=False, back=False, by="noor"):
    path = f"/v1/site/participants/{ada.subject_id}/excuses{'/take-back' if back else ''}"
    body = {**(BACK if back else IN_HOSPITAL), "first_day": f"2026-03-{first}", "last_day": f"2026-03-{last}"}
    return cast.staff(by).call("POST", path + ("?preview=true" if preview else ""), body)


def answer(cast, phone, day: str, uploaded: str):
    """She answered the diary of this day at eight, and the phone came online later."""
    with cast.on(uploaded) as now:
        phone.sync()
        (found,) = [one for one in phone.known.values() if one["id"] == str(diary(day).id)]
        evening = at(f"2026-03-{day}T20:00")
        phone.answer(found, {"worst_fatigue": 3}, evening, evening + timedelta(minutes=1))
        return phone.upload(now)


def reminders() -> list[Message]:
    return sorted(rows(Message, purpose="reminder"), key=lambda one: one.due_at)


# EX-01.


def test_what_is_ahead_open_or_missed_is_excused_once(cast, ada):
    cast.tick(at("2026-03-03T06:30"))
    with cast.on("2026-03-03T19:00"):
        for day in ("02", "03", "05"):
            told = excuse(cast, diary(day))
            assert told.status == 200, told.body
            assert (told.body["state"], told.body["excused_reason"]) == ("excused", "in_hospital")
            again = excuse(cast, diary(day))
            assert (again.status, again.body["code"]) == (409, "not_excusable")
    assert diary("02").missed_at is not None and diary("02").excused_by.startswith("staff:")


@on_sqlite
def test_what_is_answered_or_called_off_or_her_own_wish_is_not_excused(cast, ada):
    answer(cast, ada, "02", "2026-03-02T20:05")
    with cast.on("2026-03-02T20:10"):
        flare = ada.speak("POST", "/v1/phone/occurrences", {"assessment": "flare"})
        (row,) = [one for one in rows(Occurrence) if str(one.id) == flare["id"]]
        assert excuse(cast, row).status == excuse(cast, diary("02")).status == 409
        assert take_back(cast, diary("03")).body["code"] == "not_excused"
        cast.staff("noor").withdraw(ada.subject_id)
        assert excuse(cast, diary("03")).body["code"] == "not_excusable"


@on_sqlite
@pytest.mark.parametrize(
    "body, place",
    [
        ({"reason": "tired"}, "/reason"),
        ({}, "/reason"),
        ({"reason": "other"}, "/note"),
        ({"reason": "other", "note": ""}, "/note"),
        ({"reason": "site_error", "more": 1}, "/more"),
    ],
)
def test_a_reason_is_one_of_the_list_and_another_one_is_said(cast, ada, body, place):
    with cast.on("2026-03-02T12:00"):
        told = excuse(cast, diary("02"), body)
    assert told.status == 422 and {one["pointer"] for one in told.body["errors"]} == {place}
    assert diary("02").excused_at is None


@on_sqlite
def test_another_site_finds_nothing_and_who_only_reads_may_not(cast, ada):
    with cast.on("2026-03-02T12:00"):
        assert excuse(cast, diary("02"), by="otto").status == 404
        assert days(cast, ada, "02", "03", by="otto").status == 404
        assert {excuse(cast, diary("02"), by=name).status for name in ("dana", "mona", "bo", "alma")} == {403}
        assert excuse(cast, diary("02"), by="ines").status == 200
        assert take_back(cast, diary("02"), by="otto").status == 404


# EX-02.


def test_no_reminder_no_warning_no_miss_and_her_phone_knows(cast, ada):
    with cast.on("2026-03-02T12:00"):
        excuse(cast, diary("02"))
        ada.sync()
        (known,) = [one for one in ada.known.values() if one["id"] == str(diary("02").id)]
        assert (known["state"], known["reminders"]) == ("excused", [])
    for hour in ("02T19:01", "02T21:01", "02T22:30", "03T06:30"):
        cast.tick(at(f"2026-03-{hour}"))
    found = diary("02")
    assert (found.at_risk_at, found.missed_at, found.attention_at) == (None, None, None)
    assert reminders() == rows() == []
    assert state("02", "2026-03-09T10:00") is State.EXCUSED


@on_sqlite
def test_a_reminder_that_waits_is_withheld_with_the_reason(cast, ada):
    from epro import worker

    with cast.on("2026-03-02T19:00"):
        worker.attend()
        assert len(reminders()) == 1
        assert days(cast, ada, "02", "02", preview=True).body["reminders_recalled"] == 1
        excuse(cast, diary("02"))
    cast.tick(at("2026-03-02T19:01"))
    (one,) = reminders()
    assert (one.withheld_reason, one.begun_at) == ("excused", None)
    with cast.on("2026-03-02T19:05"):
        why = cast.staff("noor").must("GET", f"/v1/site/participants/{ada.subject_id}/why?reminder={one.id}")
    assert "It was withheld: the site had excused the participant from it." in [
        s["text"] for s in why["sentences"]
    ]


# EX-03.


def test_the_alert_of_an_excused_miss_clears_and_the_miss_stays_a_fact(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    cast.tick(at("2026-03-04T06:00"))
    (alert,) = rows()
    missed_at = diary("02").missed_at
    with cast.on("2026-03-04T09:00"):
        excuse(cast, diary("02"))
    (alert,) = rows()
    assert (alert.misses, alert.cleared_at) == (1, None)
    with cast.on("2026-03-04T09:10"):
        excuse(cast, diary("03"))
        assert cast.staff("noor").worklist() == []
        counted = cast.staff("noor").must("GET", "/v1/site/compliance")["compliance"]
    (alert,) = rows()
    assert (alert.misses, alert.cleared_why, alert.standing_since) == (0, "excused_by_the_site", None)
    assert diary("02").missed_at == missed_at
    assert [one for one in counted if one["assessment"] == "evening"] == []


@on_sqlite
def test_an_excused_day_neither_counts_in_a_streak_nor_ends_it(cast, study):
    study(("after: 1\n", "after: 2\n"))
    with cast.on("2026-03-02T10:00"):
        cast.phone(contact={})
    cast.tick(at("2026-03-03T06:00"))
    with cast.on("2026-03-03T12:00"):
        excuse(cast, diary("03"))
    cast.tick(at("2026-03-04T06:00"))
    assert rows() == []
    cast.tick(at("2026-03-05T06:00"))
    (alert,) = rows()
    assert (alert.why["misses_in_a_row"], alert.misses) == (2, 2)
    with cast.on("2026-03-05T09:00"):
        excuse(cast, diary("02"))
    (alert,) = rows()
    assert alert.cleared_why == "earlier_excused_by_the_site"


# EX-04.


def test_an_answer_to_an_excused_diary_is_taken_in_and_counts(cast, ada):
    with cast.on("2026-03-02T12:00"):
        excuse(cast, diary("02"))
    (receipt,) = answer(cast, ada, "02", "2026-03-02T20:05")
    assert receipt["outcome"] == "stored" and receipt["findings"] == []
    assert state("02", "2026-03-02T20:06") is State.FULFILLED
    with cast.on("2026-03-02T20:10"):
        assert take_back(cast, diary("02")).body["code"] == "not_excused"
        (counted,) = cast.staff("noor").must("GET", "/v1/site/compliance")["compliance"]
    assert (counted["due"], counted["answered"], counted["missed"]) == (1, 1, 0)


@on_sqlite
def test_a_late_answer_to_an_excused_miss_changes_no_alert_again(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    with cast.on("2026-03-03T09:00"):
        excuse(cast, diary("02"))
    (receipt,) = answer(cast, ada, "02", "2026-03-03T09:30")
    assert receipt["outcome"] == "stored"
    (alert,) = rows()
    assert alert.cleared_why == "excused_by_the_site" and alert.cleared_at == at("2026-03-03T09:00")


# EX-05.


def test_taken_back_in_time_she_is_reminded_again(cast, ada):
    with cast.on("2026-03-02T12:00"):
        excuse(cast, diary("02"))
    cast.tick(at("2026-03-02T19:01"))
    with cast.on("2026-03-02T20:00"):
        told = take_back(cast, diary("02"))
        assert (told.status, told.body["state"], told.body["excused_at"]) == (200, "open", None)
    cast.tick(at("2026-03-02T21:01"))
    assert [(one.template, one.withheld_at) for one in reminders()] == [("reminder.again", None)]
    cast.tick(at("2026-03-02T22:30"))
    assert diary("02").at_risk_at is not None
    cast.tick(at("2026-03-03T06:01"))
    assert diary("02").missed_at is not None and len(rows()) == 1


@on_sqlite
def test_what_is_taken_back_before_it_opens_follows_the_plan_as_it_is_now(cast, ada):
    with cast.on("2026-03-02T12:00"):
        week = diary("08", "quality")
        excuse(cast, week)
        cast.staff("noor").set_anchor(ada.subject_id, "enrolment", "2026-03-04")
        assert diary("08", "quality").id == week.id  # excused, it stays where it was
        take_back(cast, week)
    assert diary("10", "quality").id == week.id


# EX-06.


def test_a_miss_whose_excuse_is_taken_back_is_one_again_and_so_is_its_alert(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    cast.tick(at("2026-03-04T06:00"))
    with cast.on("2026-03-04T09:00"):
        cast.staff("noor").acknowledge(rows()[0].id)
        assert days(cast, ada, "02", "03").body["missed"] == 2
    (alert,) = rows()
    assert (alert.misses, alert.standing_since) == (0, None)
    with cast.on("2026-03-04T10:00"):
        take_back(cast, diary("03"))
    (alert,) = rows()
    assert (alert.misses, alert.cleared_at, alert.cleared_why, alert.owner) == (1, None, None, None)
    assert (alert.standing_since, alert.reopenings) == (at("2026-03-04T10:00"), 1)
    with cast.on("2026-03-04T10:10"):
        take_back(cast, diary("02"))
        story = cast.staff("noor").must("GET", f"/v1/site/alerts/{alert.id}")
    (alert,) = rows()
    assert (alert.misses, alert.reopenings) == (2, 1)
    assert [step["kind"] for step in story["steps"]].count("reopened") == 1
    cast.tick(at("2026-03-04T14:00"))  # four hours on nobody has acted
    assert rows()[0].escalations == alert.escalations + 1
    with cast.on("2026-03-04T15:00"):
        days(cast, ada, "02", "03")
    assert rows()[0].cleared_why == "excused_by_the_site"


@on_sqlite
def test_an_alert_that_was_resolved_before_its_miss_was_excused_stays_resolved(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    with cast.on("2026-03-03T08:00"):
        cast.staff("noor").resolve(rows()[0].id, "reached")
        excuse(cast, diary("02"))
        take_back(cast, diary("02"))
    (alert,) = rows()
    assert (alert.standing_since, alert.outcome, alert.misses) == (None, "reached", 1)


@on_sqlite
def test_a_miss_that_comes_back_after_another_was_answered_late_stands_again(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    cast.tick(at("2026-03-04T06:00"))
    with cast.on("2026-03-04T09:00"):
        excuse(cast, diary("02"))
    answer(cast, ada, "03", "2026-03-04T09:30")
    assert rows()[0].cleared_why == "completed_offline_in_time"
    with cast.on("2026-03-04T10:00"):
        take_back(cast, diary("02"))
    assert (rows()[0].misses, rows()[0].standing_since) == (1, at("2026-03-04T10:00"))


def test_nobody_is_called_about_what_was_excused_when_it_closed(cast, ada):
    with cast.on("2026-03-02T12:00"):
        excuse(cast, diary("02"))
    with cast.on("2026-03-03T09:00"):
        take_back(cast, diary("02"))
    cast.tick(at("2026-03-03T09:01"))
    found = diary("02")
    assert found.missed_at == at("2026-03-03T09:01") and found.unexcused_at == at("2026-03-03T09:00")
    assert rows() == []
    cast.tick(at("2026-03-04T06:00"))
    (alert,) = rows()
    assert (alert.why["misses_in_a_row"], alert.misses) == (1, 1)  # of the third alone


@on_sqlite
def test_what_was_excused_after_its_closing_was_asked_of_her_and_calls(cast, ada):
    with cast.on("2026-03-03T05:00"):  # closed, and the phone may still bring it
        excuse(cast, diary("02"))
    with cast.on("2026-03-03T09:00"):
        take_back(cast, diary("02"))
    cast.tick(at("2026-03-03T09:01"))
    assert diary("02").missed_at is not None and len(rows()) == 1


# EX-07.


def test_all_of_some_days_at_once_as_the_preview_says(cast, ada):
    answer(cast, ada, "03", "2026-03-03T20:05")
    cast.tick(at("2026-03-04T06:30"))
    with cast.on("2026-03-04T09:00"):
        promised = days(cast, ada, "02", "06", preview=True).body
        assert not [row for row in rows(Occurrence) if row.excused_at]
        done = days(cast, ada, "02", "06").body
    ids = [one["id"] for one in promised["occurrences"]]
    assert (
        [one["id"] for one in done["occurrences"]]
        == ids
        == [str(diary(day).id) for day in ("02", "04", "05", "06")]
    )
    assert (promised["count"], promised["missed"], promised["answered"]) == (4, 1, 1)
    assert {one["state"] for one in done["occurrences"]} == {"excused"}
    with cast.on("2026-03-04T10:00"):
        assert days(cast, ada, "02", "06").body["code"] == "not_excusable"
        back = days(cast, ada, "04", "06", back=True)
        assert (back.body["count"], back.body["occurrences"][0]["state"]) == (3, "upcoming")
    assert [row.local_day.day for row in rows(Occurrence) if row.excused_at] == [2]


@on_sqlite
@pytest.mark.parametrize("first, last", [("05", "04"), ("05", "31")])
def test_days_that_are_no_stretch_or_not_planned_yet_are_refused(cast, ada, first, last):
    with cast.on("2026-03-02T12:00"):
        told = days(cast, ada, first, last) if last != "31" else cast.staff("noor").call(
            "POST", f"/v1/site/participants/{ada.subject_id}/excuses",
            {**IN_HOSPITAL, "first_day": "2026-03-05", "last_day": "2026-05-31"},
        )  # fmt: skip
    assert told.status == 422 and told.body["errors"][0]["pointer"] == "/last_day"


# EX-10 and EX-11.


@on_sqlite
def test_nothing_is_asked_again_of_who_has_left(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    with cast.on("2026-03-03T09:00"):
        days(cast, ada, "02", "05")
        cast.staff("noor").withdraw(ada.subject_id)
        assert days(cast, ada, "02", "05", back=True).body["count"] == 4
    assert [diary(day).cancelled_reason for day in ("02", "03", "05")] == [None, "withdrawn", "withdrawn"]
    assert state("02", "2026-03-03T10:00") is State.MISSED and rows()[0].standing_since is None
    with cast.on("2026-03-03T10:00"):
        assert excuse(cast, diary("02")).status == 200  # what was before may be put in order


@on_sqlite
def test_a_week_of_a_diary_waits_for_no_excused_day(cast, ada):
    with cast.on("2026-03-02T12:00"):
        days(cast, ada, "02", "08")
        days(cast, ada, "16", "22")
    cast.tick(at("2026-03-02T12:01"))
    assert rows(WeekScore) == []  # nothing of it has begun
    cast.tick(at("2026-03-02T18:01"))
    assert {(row.week, row.value) for row in rows(WeekScore)} == {(1, None)}
    cast.tick(at("2026-03-16T18:01"))
    assert {row.week for row in rows(WeekScore)} >= {1, 3}


# EX-08.


def test_trail_and_feed_tell_it_and_the_words_stay_in_the_trail(cast, ada):
    with cast.on("2026-03-02T12:00"):
        excuse(cast, diary("02"))
    with cast.on("2026-03-02T13:00"):
        take_back(cast, diary("02"))
    with look(TESTS) as tx:
        events = tx.all(sa.select(Event).where(Event.object_id == str(diary("02").id)).order_by(Event.seq))
        told = tx.all(sa.select(FeedEntry).where(FeedEntry.kind.like("occurrence.%")).order_by(FeedEntry.no))
    entries = [json.loads(one.body) for one in events]
    assert [(one["action"], one["reason"]) for one in entries] == [
        ("occurrence.excused", IN_HOSPITAL["note"]),
        ("occurrence.unexcused", BACK["reason"]),
    ]
    assert [one["details"] for one in entries] == [{"code": "in_hospital", "missed": False}] * 2
    feed = [json.loads(one.body) for one in told]
    assert [one["kind"] for one in feed] == ["occurrence.excused", "occurrence.unexcused"]
    assert all(one["excuse"]["reason"] == "in_hospital" for one in feed)
    assert not any(words in one.body for one in told for words in (IN_HOSPITAL["note"], BACK["reason"]))
