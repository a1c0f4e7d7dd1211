"""'Why?': each sentence is told through the site's door from what really happened, in both languages.

A case is a story that ends in one or more answers; beside it stand the codes that those must hold. Every code of the
table stands beside at least one.
"""

from __future__ import annotations

import json
import re
import string
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import worker
from epro.cli import epro, main
from epro.cli.study import known_instruments
from epro.console.saying import texts
from epro.notifications import callbacks
from epro.notifications.models import Alert, Message
from epro.notifications.senders import SendFailed, SendUnknown, twilio_http
from epro.questionnaires import checking
from epro.questionnaires.methods import REASONS
from epro.scheduling import amending
from epro.scheduling.reading import read
from epro.signin import staff
from epro.simulation import report
from epro.simulation.people import Phone
from epro.tx import Grant, begin, look, system
from epro.why import due, sent
from epro.why.happened import Happened
from epro.why.refusals import REFUSALS, THEIRS
from epro.why.sentences import LANGUAGES, Refusal, Said, Who, Word, told
from epro.why.templates import SENTENCES
from epro.why.words import WORDS
from tests.cast import PASSWORD, STUDY_FILE, at
from tests.support import reasons
from tests.support.approvals import begin_with

TESTS = system("tests")
SIGNALS = STUDY_FILE.with_name("signals.yaml")
PASSING = SendFailed("busy", permanent=False)
BAD = SendFailed("bad_number", permanent=True)
Story = Callable[[Any], Iterator[dict]]

CASES: dict[str, tuple[Story, frozenset[str]]] = {}


def tells(*codes: str) -> Callable[[Story], Story]:
    """Marks a story with the codes that its answers must hold."""

    def mark(story: Story) -> Story:
        CASES[story.__name__] = (story, frozenset(codes))
        return story

    return mark


def why(cast, when: str, subject: Any, who: str = "noor", **asked: Any) -> dict:
    """The answer to `who` at this Shanghai time, in English, after it was seen in Chinese too."""
    subject_id = getattr(subject, "subject_id", subject)
    with cast.on(when):
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        path = f"/v1/site/participants/{subject_id}/why?{query}"
        person = cast.staff(who)
        chinese = person.must("GET", f"{path}&lang=zh-CN")
        english: dict = person.must("GET", path)
    assert codes(chinese) == codes(english)
    for one, other in zip(english["sentences"], chinese["sentences"], strict=True):
        assert one["text"] != other["text"] and one["facts"] == other["facts"]
        assert one["text"].isascii(), one["text"]
    return english


def codes(answer: dict) -> list[str]:
    return [one["code"] for one in answer["sentences"]]


def text(answer: dict, code: str) -> str:
    return next(one["text"] for one in answer["sentences"] if one["code"] == code)


def ada(cast, **wanted: Any) -> Phone:
    with cast.on("2026-03-02T10:00"):
        return cast.phone(**wanted)


def evening(phone: Phone, day: str = "2026-03-02", assessment: str = "evening") -> dict:
    return next(o for o in phone.known.values() if (o["assessment"], o["local_day"]) == (assessment, day))


def newest(model: Any, **having: Any) -> Any:
    """The row with these values; the last one made."""
    with look(TESTS) as tx:
        order = Alert.raised_at if model is Alert else Message.planned_at
        return tx.all(sa.select(model).filter_by(**having).order_by(order))[-1]


def answer(cast, phone: Phone, day: str, uploaded: str, hour: str = "20:00", **more: Any) -> list[dict]:
    """She answered the diary of this day at this hour; the phone came online later."""
    with cast.on(uploaded) as now:
        phone.sync()
        done = at(f"{day}T{hour}")
        phone.answer(evening(phone, day), {"worst_fatigue": 3}, done, done + timedelta(minutes=1), **more)
        return phone.upload(now)


def publish(path: Path = STUDY_FILE, **words: str) -> None:
    """A version of a study with some of its words changed; who is enrolled from then on follows it."""
    text = path.read_text(encoding="utf-8")
    for old, new in {'version: "1.0"\n  title': 'version: "2.0"\n  title', **words}.items():
        assert old in text, old
        text = text.replace(old, new)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    with begin(TESTS) as tx:
        begin_with(tx, protocol, text)


# Due, moved, cancelled.


@tells(
    "question.occurrence",
    "anchor.set",
    "zone.first",
    "due.planned",
    "due.daily",
    "due.window",
    "still.upcoming",
)
def a_diary_ahead(cast):
    phone = ada(cast)
    yield why(cast, "2026-03-02T11:00", phone, occurrence=evening(phone, "2026-03-05")["id"])


@tells("due.visit")
def a_visit_ahead(cast):
    phone = ada(cast)
    yield why(cast, "2026-03-02T11:00", phone, occurrence=evening(phone, "2026-03-08", "quality")["id"])


@tells("still.open", "still.waiting", "occurrence.at_risk")
def a_diary_that_waits(cast):
    phone = ada(cast)
    yield why(cast, "2026-03-02T20:00", phone, occurrence=evening(phone)["id"])
    cast.tick(at("2026-03-02T22:01"))
    yield why(cast, "2026-03-03T01:00", phone, occurrence=evening(phone)["id"])


@tells("anchor.moved", "plan.moved")
def an_anchor_moves(cast):
    phone = ada(cast)
    with cast.on("2026-03-02T12:00"):
        cast.staff("noor").set_anchor(phone.subject_id, "enrolment", "2026-03-04", "she came later")
    told = why(cast, "2026-03-02T12:30", phone, occurrence=evening(phone, "2026-03-05")["id"])
    moved = text(told, "plan.moved")
    assert "from 2026-03-05 18:00 - 2026-03-06 00:00 to 2026-03-07 18:00 - 2026-03-08 00:00" in moved
    assert "by nurse " in moved and moved.endswith("Reason: she came later.")
    assert "from 2026-03-02 to 2026-03-04" in text(told, "anchor.moved")
    yield told


@tells("plan.asked_again")
def a_visit_goes_and_comes_back(cast):
    phone = ada(cast)
    for hour, day in (("11", "2026-03-10"), ("12", "2026-01-10"), ("13", "2026-03-10")):
        with cast.on(f"2026-03-02T{hour}:00"):
            cast.staff("noor").set_anchor(phone.subject_id, "infusion", day)
            phone.sync()
    yield why(cast, "2026-03-02T14:00", phone, occurrence=evening(phone, "2026-04-04", "quality")["id"])


@tells("due.again")
def a_missed_visit_is_asked_again(cast):
    phone = ada(cast)
    cast.tick(at("2026-03-12T23:00"))
    with cast.on("2026-03-13T09:00"):
        cast.staff("noor").set_anchor(phone.subject_id, "enrolment", "2026-03-08")
        phone.sync()
    yield why(cast, "2026-03-13T10:00", phone, occurrence=evening(phone, "2026-03-14", "quality")["id"])


@tells("plan.cancelled", "page.withdrawn", "withheld.withdrawn")
def she_leaves(cast):
    phone = ada(cast)
    cast.sms.script(PASSING)
    cast.tick(at("2026-03-02T19:01"))
    with cast.on("2026-03-02T19:02"):
        cast.staff("noor").withdraw(phone.subject_id, "moved abroad")
    cast.tick(at("2026-03-02T19:05"))
    told = why(cast, "2026-03-02T20:00", phone, occurrence=evening(phone)["id"])
    assert "left the study" in text(told, "plan.cancelled") and "moved abroad" in text(told, "plan.cancelled")
    yield told
    yield why(cast, "2026-03-02T20:00", phone)


# Every way of asking.


KINDS = STUDY_FILE.with_name("kinds.yaml")


def of_all_kinds(cast, **wanted: Any) -> Phone:
    """She takes part in the study of all kinds, in the arm that gets cells."""
    with cast.on("2026-03-01T09:00"):
        publish(KINDS)
        with begin(TESTS) as tx:
            staff.add(
                tx,
                email="kim@example.org",
                name="Kim",
                password=PASSWORD,
                language="en",
                phone=None,
                grants=[Grant("kinds", "01", "nurse")],
            )
    with cast.on("2026-03-02T10:00"):
        kim = cast.staff("kim")
        made = kim.enrol(
            **{
                "study": "kinds",
                "site": "01",
                "language": "en",
                "time_zone": "Asia/Shanghai",
                "anchors": {"enrolment": "2026-03-02"},
                **wanted,
            }
        )
        phone = Phone(cast.line, subject_id=made["subject_id"]).activate(kim.code_for(made["subject_id"]))
    with cast.on("2026-03-02T10:05"):
        path = f"/v1/site/participants/{phone.subject_id}/arm"
        kim.must("POST", path, {"arm": "cells", "reason": "drawn by lot"})
        phone.sync()
    return phone


@tells("due.calendar", "due.every", "due.burst", "due.condition", "anchor.counted")
def asked_in_many_ways(cast):
    phone = of_all_kinds(cast)
    for assessment, day in (
        ("rounds", "2026-03-05"),
        ("weekly", "2026-03-06"),
        ("monthly", "2026-03-15"),
        ("cluster", "2026-03-08"),
        ("sleep", "2026-03-08"),
        ("quality", "2026-03-11"),
    ):
        row = evening(phone, day, assessment)
        told = why(cast, "2026-03-02T11:00", phone, "kim", occurrence=row["id"])
        yield told
        if assessment == "rounds":
            assert "on these days: Monday, Thursday" in text(told, "due.calendar")
        if assessment == "sleep":
            assert "because the arm changed" in text(told, "due.planned")


@tells("due.instead")
def asked_in_the_place_of_another(cast):
    phone = of_all_kinds(cast)
    cast.tick(at("2026-03-03T06:01"))
    with cast.on("2026-03-03T07:00"):
        phone.sync()
    yield why(
        cast, "2026-03-03T07:00", phone, "kim", occurrence=evening(phone, "2026-03-03", "morning")["id"]
    )
    answer(cast, phone, "2026-03-02", "2026-03-03T07:30")
    told = why(
        cast, "2026-03-03T08:30", phone, "kim", occurrence=evening(phone, "2026-03-03", "morning")["id"]
    )
    assert "because the answer came after all" in text(told, "plan.cancelled")


@tells("due.unscheduled", "occurrence.lapsed")
def asked_for_by_herself(cast):
    phone = of_all_kinds(cast)
    with cast.on("2026-03-02T12:00"):
        made = phone.speak("POST", "/v1/phone/occurrences", {"assessment": "flare"})
    told = why(cast, "2026-03-02T12:01", phone, "kim", occurrence=made["id"])
    assert "because the participant asked for it" in text(told, "due.planned")
    yield told
    cast.tick(at("2026-03-04T12:00"))
    yield why(cast, "2026-03-04T12:01", phone, "kim", occurrence=made["id"])


@tells("due.after", "anchor.answered")
def asked_once_another_is_answered(cast):
    phone = of_all_kinds(cast)
    answer(cast, phone, "2026-03-02", "2026-03-02T20:02")
    with cast.on("2026-03-08T12:00") as now:
        phone.sync()
        first = evening(phone, "2026-03-08", "quality")
        phone.answer(first, {f"lq{n:02}": 4 for n in range(1, 35)}, now, now)
        phone.upload(now)
        phone.sync()
    opinion, third = evening(phone, "2026-03-08", "opinion"), evening(phone, "2026-03-05", "quality")
    for row in (opinion, third):
        yield why(cast, "2026-03-08T12:01", phone, "kim", occurrence=row["id"])


@tells("plan.opened_late")
def a_visit_whose_window_was_over(cast):
    phone = of_all_kinds(cast)
    with cast.on("2026-03-02T12:00"):
        cast.staff("kim").set_anchor(phone.subject_id, "enrolment", "2026-02-20")
        phone.sync()
    (row,) = [o for o in phone.known.values() if o["assessment"] == "sleep" and o["state"] == "open"]
    yield why(cast, "2026-03-02T12:01", phone, "kim", occurrence=row["id"])


@tells("plan.renewed")
def another_version_asks_for_it(cast):
    phone = ada(cast)
    publish()
    with cast.on("2026-03-02T12:00"), begin(TESTS) as tx:
        amending.approve(tx, "diary", "2.0", "01", date(2026, 3, 1))
    cast.tick(at("2026-03-02T12:01"))
    told = why(cast, "2026-03-02T12:02", phone, occurrence=evening(phone, "2026-03-05")["id"])
    assert "by version 1.0" in text(told, "due.planned") and "version 2.0" in text(told, "plan.renewed")
    yield told


# Zones and clocks.


@tells("zone.changed", "clock.arrived")
def she_flies_past_the_hour(cast):
    phone = ada(cast)
    with cast.on("2026-03-02T17:00"):
        phone.change(time_zone="Pacific/Auckland")
    yield why(cast, "2026-03-02T17:30", phone, occurrence=evening(phone)["id"])


@tells("clock.followed", "clock.kept_open", "reminder.outside_window")
def she_flies_over_the_date_line(cast):
    with cast.on("2026-03-02T09:00", "Pacific/Honolulu"):
        phone = cast.phone(time_zone="Pacific/Honolulu", anchors={"enrolment": "2026-03-02"})
    with cast.on("2026-03-02T18:30", "Pacific/Honolulu"):
        phone.change(time_zone="Pacific/Kiritimati")
    cast.tick(datetime(2026, 3, 3, 11, 1, tzinfo=UTC))
    yield why(cast, "2026-03-03T19:02", phone, occurrence=evening(phone, "2026-03-03")["id"])


@tells("zone.home")
def the_study_stays_home(cast):
    publish(follow_phone="stay_home")
    phone = ada(cast)
    with cast.on("2026-03-02T12:00"):
        phone.change(time_zone="Europe/Berlin")
    yield why(cast, "2026-03-02T13:00", phone, occurrence=evening(phone, "2026-03-05")["id"])


@tells("clock.skipped")
def midnight_does_not_exist(cast):
    with cast.on("2026-03-27T10:00"):
        phone = cast.phone(time_zone="Asia/Beirut", anchors={"enrolment": "2026-03-27"})
    told = why(cast, "2026-03-27T11:00", phone, occurrence=evening(phone, "2026-03-28")["id"])
    assert "2026-03-29 00:00 did not exist in Asia/Beirut" in text(told, "clock.skipped")
    yield told


@tells("clock.twice")
def midnight_comes_twice(cast):
    with cast.on("2026-10-30T10:00"):
        phone = cast.phone(time_zone="America/Havana", anchors={"enrolment": "2026-10-30"})
    yield why(cast, "2026-10-30T11:00", phone, occurrence=evening(phone, "2026-10-31")["id"])


# Messages to her.


def refused_once(cast) -> tuple[Phone, Message]:
    """Her first reminder, which the provider did not take this time."""
    phone = ada(cast)
    cast.sms.script(PASSING)
    cast.tick(at("2026-03-02T19:01"))
    return phone, newest(Message, purpose="reminder")


@tells("question.reminder", "message.reminder", "message.begun", "message.accepted", "message.shown")
def a_reminder_goes_out(cast):
    phone = ada(cast)
    cast.tick(at("2026-03-02T19:01"))
    row = newest(Message, purpose="reminder")
    with cast.on("2026-03-02T19:02"):
        phone.speak("POST", "/v1/phone/confirmations", {"notifications": [str(row.id)]})
    told = why(cast, "2026-03-02T19:03", phone, reminder=row.id)
    assert "2 reminders of Evening diary of 2026-03-02; number 1" in text(told, "message.reminder")
    yield told


@tells("message.delivered")
def a_reminder_is_delivered(cast):
    phone = ada(cast)
    cast.tick(at("2026-03-02T19:01"))
    yield called_back(cast, phone, "delivered", None)


@tells("message.undelivered")
def a_reminder_is_not_delivered(cast):
    phone = ada(cast)
    cast.tick(at("2026-03-02T19:01"))
    yield called_back(cast, phone, "undelivered", "30003")


def called_back(cast, phone: Phone, status: str, error: str | None) -> dict:
    row = newest(Message, purpose="reminder")
    with cast.on("2026-03-02T19:02"), begin(TESTS) as tx:
        callbacks.note_status(tx, row.id, row.callback_secret, row.provider_id, status, error)
    return why(cast, "2026-03-02T19:03", phone, reminder=row.id)


@tells("message.wished")
def a_reminder_at_her_hour(cast):
    phone = ada(cast)
    with cast.on("2026-03-02T10:30"):
        phone.change(reminder_hour="20:00")
    cast.tick(at("2026-03-02T20:01"))
    yield why(cast, "2026-03-02T20:02", phone, reminder=newest(Message, purpose="reminder").id)


@tells("message.tried_again", "message.waiting")
def a_reminder_is_refused_for_now(cast):
    phone, row = refused_once(cast)
    yield why(cast, "2026-03-02T19:01", phone, reminder=row.id)


@tells("message.refused")
def a_reminder_is_refused_for_good(cast):
    phone = ada(cast)
    cast.sms.script(BAD)
    cast.tick(at("2026-03-02T19:01"))
    yield why(cast, "2026-03-02T19:02", phone, reminder=newest(Message, purpose="reminder").id)


@tells("message.doubtful", "message.unknown")
def a_reminder_in_doubt(cast):
    phone = ada(cast)
    cast.sms.script(SendUnknown("timed_out"))
    for minute in (1, 5):
        cast.tick(at(f"2026-03-02T19:0{minute}"))
    yield why(cast, "2026-03-02T19:06", phone, reminder=newest(Message, purpose="reminder").id)


@tells("withheld.answered", "occurrence.answered")
def answered_before_it_went_out(cast):
    phone, row = refused_once(cast)
    answer(cast, phone, "2026-03-02", "2026-03-02T19:03", hour="19:02")
    cast.tick(at("2026-03-02T19:05"))
    yield why(cast, "2026-03-02T19:06", phone, reminder=row.id)
    yield why(cast, "2026-03-02T19:06", phone, occurrence=evening(phone)["id"])


@tells("withheld.opted_out", "page.opted_out")
def she_wants_no_messages(cast):
    phone, row = refused_once(cast)
    with cast.on("2026-03-02T19:02"):
        phone.change(messages=False)
    cast.tick(at("2026-03-02T19:05"))
    yield why(cast, "2026-03-02T19:06", phone, reminder=row.id)
    yield why(cast, "2026-03-02T19:06", phone)


@tells("withheld.stale")
def too_late_to_be_of_use(cast):
    phone, row = refused_once(cast)
    cast.tick(at("2026-03-02T21:30"))
    yield why(cast, "2026-03-02T21:31", phone, reminder=row.id)


@tells("withheld.quiet_hours")
def within_her_quiet_hours(cast):
    phone = ada(cast)
    with cast.on("2026-03-02T10:30"):
        phone.change(quiet_hours=["18:30", "22:30"])
    cast.tick(at("2026-03-02T19:01"))
    told = why(cast, "2026-03-02T19:02", phone, reminder=newest(Message, purpose="reminder").id)
    assert {"whose": "own"} in [one["facts"] for one in told["sentences"]]
    yield told


@tells("withheld.no_channel")
def nothing_to_reach_her_by(cast):
    phone = ada(cast, contact={})
    cast.tick(at("2026-03-02T19:01"))
    yield why(cast, "2026-03-02T19:02", phone, reminder=newest(Message, purpose="reminder").id)


def put_off(cast, phone: Phone, when: str, minutes: int) -> None:
    with cast.on(when):
        phone.sync()
        (diary,) = [one for one in phone.open_at(at(when)) if one["assessment"] == "evening"]
        phone.speak("POST", f"/v1/phone/occurrences/{diary['id']}/snooze", {"minutes": minutes})


@tells("occurrence.snoozed", "reminder.snoozed", "message.after_snooze", "message.opened")
def she_puts_a_reminder_off(cast):
    phone = ada(cast)
    put_off(cast, phone, "2026-03-02T18:40", 30)
    for when in ("2026-03-02T19:01", "2026-03-02T19:11"):
        cast.tick(at(when))
    row = newest(Message, purpose="reminder")
    with cast.on("2026-03-02T19:12"):
        phone.speak("POST", "/v1/phone/confirmations", {"opened": [str(row.id)]})
    yield why(cast, "2026-03-02T19:13", phone, occurrence=evening(phone)["id"])


@tells("withheld.snoozed")
def she_puts_off_what_was_about_to_go_out(cast):
    phone, row = refused_once(cast)
    put_off(cast, phone, "2026-03-02T19:02", 30)
    cast.tick(at("2026-03-02T19:05"))
    yield why(cast, "2026-03-02T19:06", phone, reminder=row.id)


@tells("snooze.dropped")
def the_clockwork_comes_long_after_the_snooze(cast):
    phone = ada(cast)
    put_off(cast, phone, "2026-03-02T18:10", 10)
    cast.tick(at("2026-03-02T20:30"))
    yield why(cast, "2026-03-02T20:31", phone, occurrence=evening(phone)["id"])


@tells("reminder.stale")
def the_clockwork_comes_late(cast):
    phone = ada(cast)
    cast.tick(at("2026-03-02T21:30"))
    yield why(cast, "2026-03-02T21:31", phone, occurrence=evening(phone)["id"])


@tells("reminder.replaced")
def two_reminders_at_once(cast):
    phone = ada(cast)
    cast.tick(at("2026-03-02T21:00"))
    yield why(cast, "2026-03-02T21:01", phone, occurrence=evening(phone)["id"])


# Misses and alerts.


def missed(cast) -> tuple[Phone, Alert]:
    phone = ada(cast, contact={})
    cast.tick(at("2026-03-03T06:01"))
    return phone, newest(Alert)


@tells(
    "occurrence.missed",
    "reminder.window_closed",
    "question.alert",
    "alert.missed",
    "message.alert",
    "alert.next",
)
def a_miss_raises_an_alert(cast):
    phone, alert = missed(cast)
    yield why(cast, "2026-03-03T06:02", phone, occurrence=evening(phone)["id"])
    told = why(cast, "2026-03-03T06:02", phone, alert=alert.id)
    assert "Evening diary of 2026-03-02 had not been received" in text(told, "alert.missed")
    assert "told at 2026-03-03 10:01: investigator." in text(told, "alert.next")
    yield told


@tells("alert.escalated", "message.escalation", "alert.stands", "alert.acknowledged", "alert.resolved")
def an_alert_goes_to_its_end(cast):
    phone, alert = missed(cast)
    cast.tick(at("2026-03-03T10:02"))
    yield why(cast, "2026-03-03T10:03", phone, alert=alert.id)
    with cast.on("2026-03-03T11:00"):
        cast.staff("noor").acknowledge(str(alert.id), "I phone her")
    with cast.on("2026-03-03T12:00"):
        cast.staff("ines").resolve(str(alert.id), "reached", "she was asleep")
    told = why(cast, "2026-03-03T13:00", phone, alert=alert.id)
    assert text(told, "alert.acknowledged").startswith("It was taken in hand by nurse ")
    assert text(told, "alert.resolved").endswith(": reached. Reason: she was asleep.")
    assert "alert.stands" not in codes(told)
    yield told


@tells("alert.escalation_ended")
def an_alert_about_somebody_who_has_left(cast):
    phone, alert = missed(cast)
    with cast.on("2026-03-03T08:00"):
        cast.staff("noor").withdraw(phone.subject_id)
    cast.tick(at("2026-03-03T10:02"))
    yield why(cast, "2026-03-03T10:03", phone, alert=alert.id)


@tells(
    "alert.joined",
    "alert.contact_attempted",
    "alert.noted",
    "alert.handed_over",
    "message.handed_over",
    "alert.reopened",
    "alert.reduced",
)
def an_alert_with_a_long_story(cast):
    phone, alert = missed(cast)
    cast.tick(at("2026-03-04T06:01"))
    path = f"/v1/site/alerts/{alert.id}"
    with cast.on("2026-03-04T09:00"):
        noor = cast.staff("noor")
        noor.must(
            "POST",
            f"{path}/contact-attempts",
            {"channel": "phone", "outcome": "no_answer", "note": "rang twice"},
        )
        noor.must("POST", f"{path}/notes", {"note": "her sister will call back"})
        noor.must("POST", f"{path}/hand-over", {"to": cast.ids["ines"], "note": "my shift ends"})
        cast.staff("ines").resolve(str(alert.id), "reached")
        noor.must("POST", f"{path}/reopening", {"reason": "it was somebody else"})
    answer(cast, phone, "2026-03-02", "2026-03-04T10:00")
    told = why(cast, "2026-03-04T10:01", phone, alert=alert.id)
    assert "by phone: no answer. Reason: rang twice." in text(told, "alert.contact_attempted")
    yield told
    assert "alert.joined" in codes(
        why(cast, "2026-03-04T10:01", phone, occurrence=evening(phone, "2026-03-03")["id"])
    )


@tells("withheld.acknowledged")
def taken_in_hand_before_the_next_was_told(cast):
    phone, alert = missed(cast)
    cast.sms.script(PASSING)
    cast.tick(at("2026-03-03T10:02"))
    with cast.on("2026-03-03T10:03"):
        cast.staff("noor").acknowledge(str(alert.id))
    cast.tick(at("2026-03-03T10:05"))
    yield why(cast, "2026-03-03T10:06", phone, alert=alert.id)


@tells("withheld.resolved")
def resolved_before_the_nurse_was_told(cast):
    phone = ada(cast, contact={})
    cast.sms.script(PASSING)
    cast.tick(at("2026-03-03T06:01"))
    alert = newest(Alert)
    with cast.on("2026-03-03T06:02"):
        cast.staff("noor").resolve(str(alert.id), "reached")
    cast.tick(at("2026-03-03T06:05"))
    yield why(cast, "2026-03-03T06:06", phone, alert=alert.id)


@tells(
    "alert.cleared", "withheld.cleared", "occurrence.answered_late", "question.response", "response.finding"
)
def a_late_sync_takes_the_alert_off(cast):
    phone = ada(cast, contact={})
    cast.sms.script(PASSING)
    cast.tick(at("2026-03-03T06:01"))
    (receipt,) = answer(cast, phone, "2026-03-02", "2026-03-03T06:02")
    cast.tick(at("2026-03-03T06:05"))
    yield why(cast, "2026-03-03T06:06", phone, alert=newest(Alert).id)
    told = why(cast, "2026-03-03T06:06", phone, occurrence=evening(phone)["id"])
    yield told
    assert "completed in time, at 2026-03-02 20:01" in text(told, "occurrence.answered_late")
    told = why(cast, "2026-03-03T06:06", phone, response=receipt["id"])
    assert text(told, "response.finding") == "It was remarked: It was completed in time and arrived late."
    yield told


@tells("message.failed")
def no_channel_reaches_the_nurse(cast):
    phone = ada(cast, contact={})
    cast.sms.script(BAD)
    cast.email.script(SendFailed("bad_address", permanent=True))
    for minute in (1, 2, 3):
        cast.tick(at(f"2026-03-03T06:0{minute}"))
    yield why(cast, "2026-03-03T06:04", phone, reminder=newest(Message, purpose="alert").id)


@tells("alert.none_asked")
def a_miss_of_which_nobody_is_told(cast):
    phone = ada(cast)
    cast.tick(at("2026-03-12T00:00"))
    yield why(cast, "2026-03-12T01:00", phone, occurrence=evening(phone, "2026-03-08", "quality")["id"])


@tells("alert.not_yet")
def a_first_miss_of_two(cast):
    publish(**{"after: 1\n": "after: 2\n"})
    phone = ada(cast)
    cast.tick(at("2026-03-03T06:01"))
    yield why(cast, "2026-03-03T06:02", phone, occurrence=evening(phone)["id"])


@tells("occurrence.excused", "withheld.excused")
def a_day_in_hospital(cast):
    phone = ada(cast)
    with cast.on("2026-03-02T19:00"):
        worker.attend()
        excuse(cast, phone, {"reason": "in_hospital", "note": "since noon"})
    cast.tick(at("2026-03-02T19:01"))
    told = why(cast, "2026-03-02T19:02", phone, occurrence=evening(phone)["id"])
    assert text(told, "occurrence.excused").endswith(
        ": in hospital. It need not be answered. Reason: since noon."
    )
    yield told


@tells("occurrence.unexcused", "alert.none_as_excused")
def an_excuse_that_was_taken_back_too_late(cast):
    phone = ada(cast)
    with cast.on("2026-03-02T12:00"):
        excuse(cast, phone, {"reason": "site_error"})
    with cast.on("2026-03-03T08:00"):
        back = {"reason": "it was somebody else"}
        cast.staff("noor").must("POST", f"/v1/site/occurrences/{evening(phone)['id']}/take-back", back)
    cast.tick(at("2026-03-03T08:01"))
    yield why(cast, "2026-03-03T08:02", phone, occurrence=evening(phone)["id"])


def excuse(cast, phone, said: dict) -> None:
    cast.staff("noor").must("POST", f"/v1/site/occurrences/{evening(phone)['id']}/excuse", said)


@tells("alert.left")
def a_miss_that_became_certain_after_she_had_left(cast):
    phone = ada(cast)
    with cast.on("2026-03-03T01:00"):
        cast.staff("noor").withdraw(phone.subject_id)
    cast.tick(at("2026-03-03T06:01"))
    told = why(cast, "2026-03-03T06:02", phone, occurrence=evening(phone)["id"])
    assert not newest_of_alerts() and "occurrence.missed" in codes(told)
    yield told


def newest_of_alerts() -> list:
    with look(TESTS) as tx:
        return tx.all(sa.select(Alert))


def test_why_it_is_due_names_whatever_set_the_anchors_behind_it():
    """An anchor that counts from one that counts from another; and the answer that made its condition hold."""
    text = (STUDY_FILE.parent / "course.yaml").read_text(encoding="utf-8")
    counted = "  - {id: later-on, label: {en: Later on, zh-CN: 更晚}, from: {anchor: week-on, days: 7}}\n"
    text = text.replace("sites:\n", counted + "sites:\n").replace(
        "number: 3, anchor: week-on", "number: 3, anchor: later-on"
    )
    protocol, faults = read(
        text.replace("    at: [later]\n", "    at: [later]\n    if: {anchor: low}\n"), known_instruments()
    )
    assert protocol is not None, faults
    then = at("2026-03-20T08:00")
    row = SimpleNamespace(
        id=uuid4(), assessment_id="severity", key="later", visit_id="later", anchor="later-on", study_day=0,
        local_day=date(2026, 3, 20), time_zone="Asia/Shanghai", opens_at=then, closes_at=then + timedelta(hours=14),
        grace_until=then + timedelta(hours=26), planned_at=at("2026-03-06T20:00"), protocol_version="1.0",
        cancelled_at=None,
    )  # fmt: skip
    answered = [("first-diary", "evening", 6), ("low", "mood", 3)]
    rows = [
        (SimpleNamespace(anchor=anchor, day=date(2026, 3, day), set_at=at(f"2026-03-{day:02}T20:00"),
                         set_through=due.ANSWER, reason="", taken_back=False), Who("system"))
        for anchor, first, day in answered
    ]  # fmt: skip
    rows += [
        (SimpleNamespace(anchor="first-diary", day=date(2026, 3, 8), set_at=at("2026-03-09T20:00"),
                         set_through=due.CORRECTION, reason="", taken_back=back), Who("system"))
        for back in (False, True)
    ]  # fmt: skip
    said = due.planned(row, protocol, rows, [], [])
    about = [
        (one.code, str(one.facts.get("day") or one.facts.get("days")))
        for one in said
        if "anchor." in one.code
    ]
    assert about == [
        ("anchor.counted", "7"), ("anchor.counted", "7"),
        ("anchor.answered", "2026-03-06"), ("anchor.answered", "2026-03-03"),
        ("anchor.followed", "2026-03-08"), ("anchor.taken_back", "2026-03-08"),
    ]  # fmt: skip


# Uploads and scores.


@tells("response.stored", "score.made")
def a_diary_is_filed(cast):
    phone = ada(cast)
    (receipt,) = answer(cast, phone, "2026-03-02", "2026-03-02T20:02")
    told = why(cast, "2026-03-02T20:03", phone, "ines", response=receipt["id"])
    assert '"value"' not in json.dumps(told)
    yield told


@tells("score.missing")
def too_few_answers(cast):
    phone = ada(cast)
    with cast.on("2026-03-08T12:00") as now:
        phone.answer(evening(phone, "2026-03-08", "quality"), {"lq01": 4}, now, now)
        (receipt,) = phone.upload(now)
    told = why(cast, "2026-03-08T13:00", phone, "ines", response=receipt["id"])
    assert REASONS["too_few_answers"]["en"] in text(told, "score.missing")
    yield told


@tells("response.other_counts")
def a_second_answer_to_the_same(cast):
    phone = ada(cast)
    answer(cast, phone, "2026-03-02", "2026-03-02T20:02")
    (receipt,) = answer(cast, phone, "2026-03-02", "2026-03-02T20:10", hour="20:05")
    yield why(cast, "2026-03-02T20:11", phone, response=receipt["id"])


@tells("upload.held", "upload.finding", "page.held")
def an_upload_out_of_its_window(cast):
    phone = ada(cast)
    (receipt,) = answer(cast, phone, "2026-03-02", "2026-03-02T17:05", hour="17:00")
    told = why(cast, "2026-03-02T17:06", phone, response=receipt["id"])
    assert text(told, "upload.finding") == "The reason: It was completed outside its window."
    yield told
    assert "upload.held" in codes(why(cast, "2026-03-02T17:06", phone, occurrence=evening(phone)["id"]))
    yield why(cast, "2026-03-02T17:06", phone)


@tells("upload.conflict")
def two_contents_under_one_id(cast):
    phone, id = ada(cast), uuid4()
    answer(cast, phone, "2026-03-02", "2026-03-02T20:02", response_id=id)
    answer(cast, phone, "2026-03-02", "2026-03-02T20:10", hour="20:05", response_id=id)
    yield why(cast, "2026-03-02T20:11", phone, response=id)


@tells("response.amended", "score.corrected", "upload.settled")
def a_correction_and_a_settlement(cast):
    phone, id = ada(cast), uuid4()
    answer(cast, phone, "2026-03-02", "2026-03-02T20:02", response_id=id)
    answer(cast, phone, "2026-03-02", "2026-03-02T20:10", hour="20:05", response_id=id)
    wish = {"answers": {"worst_fatigue": 9}, "reason": "told me so", "reported_by": "participant"}
    with cast.on("2026-03-02T21:00"):
        ines = cast.staff("ines")
        ines.must("POST", f"/v1/site/responses/{id}/amendments", wish)
        (aside,) = ines.must("GET", "/v1/site/set-aside")["set_asides"]
        settled = {"outcome": "rejected", "reason": "sent twice"}
        ines.must("POST", f"/v1/site/set-aside/{aside['id']}/settlement", settled)
    yield why(cast, "2026-03-02T21:10", phone, response=id)


# Who may see what.


def signal(cast) -> tuple[Phone, str]:
    """A PHQ-9 that raises an alert, in a study that hides scores from nurses: Nia is one, Ivo the investigator."""
    with cast.on("2026-03-01T09:00"):
        publish(SIGNALS)
        with begin(TESTS) as tx:
            for name, role in (("nia", "nurse"), ("ivo", "investigator")):
                staff.add(
                    tx,
                    email=f"{name}@example.org",
                    name=name,
                    password=PASSWORD,
                    language="en",
                    phone=None,
                    grants=[Grant("signals", "01", role)],
                )
    with cast.on("2026-03-02T10:00"):
        nia = cast.staff("nia")
        made = nia.enrol(
            study="signals",
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": "2026-03-02"},
        )
        phone = Phone(cast.line, subject_id=made["subject_id"]).activate(nia.code_for(made["subject_id"]))
    with cast.on("2026-03-02T12:00") as now:
        phone.sync()
        answers = {f"phq{n:02}": 0 for n in range(1, 11)} | {"phq09": 1}
        phone.answer(evening(phone, assessment="mood"), answers, now, now)
        (receipt,) = phone.upload(now)
    return phone, receipt["id"]


@tells("alert.answer", "alert.call", "score.hidden", "page.alert", "alert.corrected")
def an_answer_raises_an_alert(cast):
    phone, response = signal(cast)
    alert = newest(Alert)
    seen = {}
    for who in ("nia", "ivo"):
        seen[who] = [
            why(cast, "2026-03-02T13:00", phone, who, alert=alert.id),
            why(cast, "2026-03-02T13:00", phone, who, occurrence=evening(phone, assessment="mood")["id"]),
            why(cast, "2026-03-02T13:00", phone, who, response=response),
            why(cast, "2026-03-02T13:00", phone, who),
        ]
        yield from seen[who]
    hers, his = json.dumps(seen["nia"]), json.dumps(seen["ivo"])
    assert "item-nine" not in hers and "Call at once" not in hers and "score.made" not in hers
    assert "a call is needed" in hers
    assert "Call at once" in his and "score.made" in his and "score.hidden" not in his
    assert "phq09" not in hers and '"value"' not in his
    wish = {"answers": {"phq01": 1}, "reason": "SECRET", "reported_by": "participant"}
    with cast.on("2026-03-02T13:30"):
        cast.staff("ivo").must("POST", f"/v1/site/responses/{response}/amendments", wish)
    yield why(cast, "2026-03-02T14:00", phone, "ivo", alert=alert.id)
    assert "SECRET" not in json.dumps(why(cast, "2026-03-02T14:00", phone, "nia", response=response))


# The page.


@tells("question.participant", "page.open", "page.next", "page.waiting", "page.missed", "page.alert")
def her_page(cast):
    phone = ada(cast)
    yield why(cast, "2026-03-02T20:00", phone)
    yield why(cast, "2026-03-03T01:00", phone)
    cast.tick(at("2026-03-03T06:01"))
    told = why(cast, "2026-03-03T06:02", phone)
    assert text(told, "page.missed").startswith("Evening diary of 2026-03-02 has not been received")
    assert text(told, "page.alert") == "An alert stands (routine): an answer has not been received."
    yield told


@tells("page.further")
def her_page_long_before_her_first_day(cast):
    with cast.on("2026-03-02T10:00"):
        phone = cast.phone(anchors={"enrolment": "2027-06-01"})
    told = why(cast, "2026-03-02T20:00", phone)
    assert text(told, "page.further").startswith("First due 2027-06-01: Evening diary.")
    assert codes(told) == ["page.further"]
    yield told
    with cast.on("2026-03-02T20:10"):
        cast.staff("noor").withdraw(phone.subject_id)
    assert "page.further" not in codes(why(cast, "2026-03-02T20:15", phone))


@pytest.mark.parametrize("name", CASES)
def test_told_through_the_door(cast, name):
    story, expected = CASES[name]
    answers = list(story(cast))
    found = {code for answer in answers for code in [*codes(answer), *asked_as(answer)]}
    assert expected <= found, expected - found
    for answer in answers:
        moments = [one["at"] for one in answer["sentences"]]
        assert moments == sorted(moments)


def asked_as(answer: dict) -> list[str]:
    """The code of the question, told from its opening words."""
    opening = {
        code: SENTENCES[code]["en"].partition("{")[0][:20]
        for code in SENTENCES
        if code.startswith("question.")
    }
    return [code for code, words in opening.items() if answer["question"].startswith(words)]


# What no door reaches today: a refusal, an act that has no sentence of its own.


def message(**facts: Any) -> SimpleNamespace:
    blank = dict.fromkeys(("begun_at", "withheld_at", "failed_at"))
    return SimpleNamespace(**{**blank, "begun_at": at("2026-03-02T19:01"), **facts})


TO_STAFF = {"digest", "difference", "signature"}


@pytest.mark.parametrize("purpose", sorted(TO_STAFF))
def test_what_staff_are_told_of_no_alert_is_told(purpose):
    row = message(why={"role": "data_manager"}, purpose=purpose, planned_at=at("2026-03-02T08:00"))
    assert [said.code for said in sent.to_staff(row)] == [f"message.{purpose}"]


BY_ITSELF = {
    "withheld.circuit_open": ("message.withheld", "circuit_open"),
    "withheld.carrier_same_text": ("message.withheld", "carrier_same_text"),
    "withheld.carrier_texts_a_day": ("message.withheld", "carrier_texts_a_day"),
    "withheld.carrier_hours": ("message.withheld", "carrier_hours"),
    "withheld.carrier_link": ("message.withheld", "carrier_link"),
    "withheld.carrier_length": ("message.withheld", "carrier_length"),
    "withheld.carrier_template": ("message.withheld", "carrier_template"),
    "withheld.carrier_reply": ("message.withheld", "carrier_reply"),
    "message.put_off": ("message.put_off", "circuit_open"),
    "withheld.window_closed": ("message.withheld", "window_closed"),
    "withheld.cancelled": ("message.withheld", "cancelled"),
    "withheld.restricted": ("message.withheld", "restricted"),
    "withheld.told_together": ("message.withheld", "told_together"),
    "withheld.cap_reached": ("message.withheld", "cap_reached"),
    "withheld.other": ("message.withheld", "a_reason_of_tomorrow"),
    "happened.other": ("message.sung", "a_reason_of_tomorrow"),
}


@pytest.mark.parametrize(("code", "act"), BY_ITSELF.items())
def test_told_even_if_nobody_foresaw_it(code, act):
    action, reason = act
    one = Happened(at("2026-03-02T19:02"), Who("system:worker"), action, "x", reason, {})
    (said,) = sent.fate(message(), [one], at("2026-03-02T19:03"))
    assert said.code == code
    for language in LANGUAGES:
        assert told(said, language, "Asia/Shanghai")["text"]


WHOSE = {
    "own": "the quiet hours set for this participant.",
    "usual": "the study's usual quiet hours",
    "always": "the hours at which this study reminds nobody.",
    None: "was within quiet hours.",
}


@pytest.mark.parametrize("whose", WHOSE)
def test_whose_quiet_hours_they_were_is_told_where_it_is_on_record(whose):
    kept = {"whose": whose} if whose else {}
    worker = Who("system:worker")
    one = Happened(at("2026-03-02T19:02"), worker, "message.withheld", "x", "quiet_hours", kept)
    (said,) = sent.fate(message(), [one], at("2026-03-02T19:03"))
    assert said.code == "withheld.quiet_hours"
    assert WHOSE[whose] in told(said, "en", "Asia/Shanghai")["text"]


def test_every_reason_that_is_written_down_has_words():
    """Gathered from the code that writes them: in the answer to why, on her page, and in a rehearsal's report."""
    withheld, refused = reasons.withheld() - {"in_doubt_too_long"}, reasons.refused()
    assert {"carrier_link", "withdrawn", "no_channel", "circuit_open", "cap_reached"} <= withheld
    assert {"bad_number", "timed_out", "not_told_apart", "worker_lost", "account", "gone"} <= refused
    assert (reasons.withheld() | refused) - set(REFUSALS) == set()
    assert {f"withheld.{reason}" for reason in withheld} - set(SENTENCES) == set()
    assert {f"withheld.{reason}" for reason in withheld} - set(texts()) == set()
    to_her = withheld - {"cleared", "resolved", "acknowledged"}
    assert {f"withheld: {reason}" for reason in to_her} - set(report.REASONS) == set()


def test_a_number_of_theirs_means_what_it_means_where_it_is_refused_at_once():
    """Twilio's numbers from 30000 come in call-backs, and are told as the same refusal in a reply."""
    late = {
        str(number): code for number, (code, _) in twilio_http.MEANINGS.items() if 30000 <= number < 31000
    }
    assert late == THEIRS


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_is_told_in_both_languages(code):
    said = Said("message.refused", at("2026-03-02T19:02"), {"refusal": Refusal(code)})
    english, chinese = (told(said, language, "Asia/Shanghai") for language in LANGUAGES)
    assert REFUSALS[code]["en"] in english["text"] and english["facts"] == {"refusal": code}
    assert english["text"].isascii() and not REFUSALS[code]["zh-CN"].isascii()
    assert REFUSALS[code]["zh-CN"] in chinese["text"] and code not in chinese["text"]


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("http_503", "the provider answered with status 503"),
        ("30003", "the phone cannot be reached now"),
        ("30999", "the provider's number 30999"),
        ("undelivered 30007", "not delivered: the carrier filtered it out"),
        (
            "sms bad_number, email refused",
            "text message: the number is not one that can be reached; e-mail: the provider gave no reason that we know",
        ),
        ("sms undelivered 30003", "text message: not delivered: the phone cannot be reached now"),
        ("a_reason_of_tomorrow", "a_reason_of_tomorrow"),
    ],
)
def test_what_the_ledger_keeps_of_refusals_is_told_in_words(kept, words):
    said = Said("message.failed", at("2026-03-02T19:02"), {"refusal": Refusal(kept)})
    assert f"({words})" in told(said, "en", "Asia/Shanghai")["text"]
    assert told(said, "zh-CN", "Asia/Shanghai")["facts"] == {"refusal": kept}


# The tables.


def test_every_sentence_stands_beside_a_case():
    beside = {code for _, expected in CASES.values() for code in expected} | set(BY_ITSELF)
    beside |= {f"message.{purpose}" for purpose in TO_STAFF} | {"anchor.followed", "anchor.taken_back"}
    assert set(SENTENCES) - beside == set()
    assert beside - set(SENTENCES) == set()


@pytest.mark.parametrize("code", SENTENCES)
def test_every_sentence_has_both_languages_with_the_same_facts(code):
    assert set(SENTENCES[code]) == set(LANGUAGES)
    english, chinese = (
        {name for _, name, _, _ in string.Formatter().parse(SENTENCES[code][language]) if name}
        for language in LANGUAGES
    )
    assert english == chinese
    assert not SENTENCES[code]["zh-CN"].isascii()


def test_every_word_has_both_languages():
    for kind, words in WORDS.items():
        for value, spoken in words.items():
            assert set(spoken) == set(LANGUAGES), (kind, value)


def test_every_finding_has_words():
    source = "".join(
        Path(file).read_text(encoding="utf-8")
        for file in (
            "epro/responses/submission.py",
            "epro/responses/receiving.py",
            "epro/responses/settling.py",
        )
    )
    ours = set(re.findall(r'(?:Finding|_held)\(\s*"(\w+)"', source))
    assert {"clock_skew", "not_an_object", "outside_window"} <= ours
    assert set(WORDS["finding"]) == ours | set(checking.DETAILS) | set(checking.REMARKS) | {
        "edit_check",
        "about_answers",
    }


def test_an_unknown_word_is_told_as_it_is():
    said = Said("upload.finding", at("2026-03-02T19:02"), {"finding": Word("finding", "of_tomorrow")})
    assert told(said, "en", "Asia/Shanghai")["text"] == "The reason: of_tomorrow"


def test_a_language_that_we_do_not_speak_is_answered_in_english():
    said = Said("still.open", at("2026-03-02T19:02"))
    assert told(said, "fr", "Asia/Shanghai")["text"] == SENTENCES["still.open"]["en"]


def test_lengths_are_told_in_whole_minutes():
    facts = {"after": timedelta(days=1, hours=4, seconds=61), "role": Word("role", "nurse")}
    said = Said("alert.escalated", at("2026-03-02T19:02"), facts)
    assert "for 1 d 4 h 1 min;" in told(said, "en", "Asia/Shanghai")["text"]
    assert "1 天 4 小时 1 分钟内" in told(said, "zh-CN", "Asia/Shanghai")["text"]
    assert told(said, "en", "Asia/Shanghai")["facts"]["after"] == 28 * 60 + 1


def test_facts_are_json_and_instants_are_utc():
    facts = {
        "day": date(2026, 3, 2),
        "when": at("2026-03-02T18:00"),
        "wall": at("2026-03-02T18:00").replace(tzinfo=None),
    }
    found = told(Said("still.open", at("2026-03-02T19:02"), facts), "en", "Asia/Shanghai")["facts"]
    assert found == {"day": "2026-03-02", "when": "2026-03-02T10:00:00.000000Z", "wall": "2026-03-02T18:00"}


# Doors.


def test_what_is_not_hers_is_not_found(cast):
    phone = ada(cast)
    with cast.on("2026-03-02T11:00"):
        other = cast.phone(nurse="otto", contact={})
        noor, otto = cast.staff("noor"), cast.staff("otto")
        path = f"/v1/site/participants/{phone.subject_id}/why"
        assert otto.call("GET", path).status == 404
        for name in ("occurrence", "reminder", "alert", "response"):
            assert noor.call("GET", f"{path}?{name}={uuid4()}").status == 404
        theirs = evening(other)["id"]
        assert noor.call("GET", f"{path}?occurrence={theirs}").status == 404
        assert noor.call("GET", f"{path}?occurrence={theirs}&alert={theirs}").status == 422
        assert cast.staff("bo").call("GET", path).status == 403


def test_the_command_tells_the_same(cast, environ, monkeypatch):
    phone = ada(cast)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    occurrence = evening(phone)["id"]
    with cast.on("2026-03-02T20:00"):
        plain = CliRunner().invoke(epro, ["why", phone.subject_id, "--occurrence", occurrence])
        chinese = CliRunner().invoke(
            epro, ["why", phone.subject_id, "--occurrence", occurrence, "--lang", "zh-CN", "--json"]
        )
    assert plain.exit_code == 0, plain.output
    assert "as it is? (Asia/Shanghai)\n" in plain.output
    assert "2026-03-02 20:00  The window is open and no answer has been received yet." in plain.output
    assert codes(json.loads(chinese.output)) == codes(
        why(cast, "2026-03-02T20:00", phone, occurrence=occurrence)
    )


def test_the_command_says_what_is_wrong(cast, environ, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["epro", "why", "99-999"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2  # the call is wrong: nobody has this id
    assert CliRunner().invoke(epro, ["why", "99-999", "--occurrence", "no id"]).exit_code == 2
