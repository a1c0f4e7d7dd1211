"""Alerts: when silence is told, to whom, and when it stands no more.

Raising and escalating once, with any number of workers, is in test_clockwork.py; misses in a row that are one alert
are in test_alerts_streaks.py.

AL-01  Told after as many misses in a row as the study says; an answer in between starts the count anew.
AL-02  Told to who holds the role at her site, and to nobody else.
AL-03  One person takes it in hand; what came of it is written once.
AL-04  Escalation goes step by step, each at its hour, while nobody acts.
AL-05  A late answer that was given in time clears it; the history stays.
AL-06  It also clears the alerts of later misses that are too few in a row without it.
AL-07  What does not stand any more is not told any more.
AL-08  Nobody further is told of a miss of who has left; the alert stands until somebody says what came of it.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from epro import clock, worker
from epro.cli.study import known_instruments
from epro.notifications.models import Alert, Message
from epro.scheduling.reading import read
from epro.trail.models import Event, FeedEntry
from epro.tx import begin, look, system
from tests.cast import STUDY_FILE, at
from tests.support.approvals import begin_with

TESTS = system("tests")
NOOR, INES, OTTO = "+8613800000001", "+8613800000002", "+8613800000003"
MORNING = at("2026-03-03T06:00")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={})


@pytest.fixture
def study(app):
    """Publishes the study anew, with some of its words changed; who is enrolled from then on follows it."""

    def publish(**words: str) -> None:
        text = STUDY_FILE.read_text(encoding="utf-8")
        for old, new in {'version: "1.0"\n  title': 'version: "2.0"\n  title', **words}.items():
            assert old in text, old
            text = text.replace(old, new)
        protocol, faults = read(text, known_instruments())
        assert protocol is not None, faults
        with begin(TESTS) as tx:
            begin_with(tx, protocol, text)

    return publish


def rows(model=Alert) -> list:
    with look(TESTS) as tx:
        return tx.all(sa.select(model))


def alert() -> Alert:
    (found,) = rows()
    return found


def numbers(cast) -> list[str]:
    return [message.to for message in cast.sms.taken]


def answer(cast, phone, day: str, uploaded: str) -> list:
    """She answered the diary of this day at eight, and the phone came online later."""
    with cast.on(uploaded) as now:
        phone.sync()
        diary = next(
            o for o in phone.known.values() if o["local_day"] == day and o["assessment"] == "evening"
        )
        evening = at(f"{day}T20:00")
        phone.answer(diary, {"worst_fatigue": 3}, evening, evening + timedelta(minutes=1))
        return phone.upload(now)


# AL-01.


def test_told_after_so_many_misses_in_a_row(cast, study):
    study(**{"after: 1\n": "after: 2\n"})
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone(contact={})
    cast.tick(at("2026-03-03T06:00"))
    answer(cast, ada, "2026-03-03", "2026-03-03T20:05")
    for day in (4, 5):
        cast.tick(at(f"2026-03-0{day}T06:00"))
    assert rows() == []  # the second, an answer, the fourth
    cast.tick(at("2026-03-06T06:00"))
    assert (alert().why["misses_in_a_row"], alert().why["local_day"]) == (2, "2026-03-05")
    assert alert().why["rule"] == {"after": 2}


@on_sqlite
def test_a_study_may_want_no_alerts(cast, study):
    study(**{"alert: true": "alert: false", "      escalation: [{after: 4h, role: investigator}]\n": ""})
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    cast.tick(MORNING)
    assert rows() == []
    assert {message.purpose for message in rows(Message)} <= {"reminder"}


# AL-02.


def test_told_to_the_nurse_of_her_site_only(cast, ada):
    cast.tick(MORNING)
    assert numbers(cast) == [NOOR]
    with cast.on("2026-03-03T06:05"):
        assert [one["subject_id"] for one in cast.staff("noor").worklist()] == ["01-001"]
        assert cast.staff("ines").worklist() and cast.staff("otto").worklist() == []


@on_sqlite
def test_told_once_to_a_person_with_two_roles_there(cast, study):
    study(**{"roles: [nurse]": "roles: [nurse, investigator]"})
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={})
    cast.tick(MORNING)
    assert sorted(numbers(cast)) == [NOOR, INES]


@on_sqlite
def test_an_alert_stands_though_nobody_holds_the_role(cast, study):
    study(**{"roles: [nurse]": "roles: [data_manager]"})
    with cast.on("2026-03-02T10:00"):
        cast.enrol(nurse="otto", contact={})
    cast.tick(MORNING)
    assert alert().site_id == "02" and numbers(cast) == []
    with cast.on("2026-03-03T06:05"):
        assert len(cast.staff("otto").worklist()) == 1


# AL-03.


def test_what_came_of_it_is_written_once(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T08:00"):
        noor, path = cast.staff("noor"), f"/v1/site/alerts/{alert().id}"
        noor.resolve(alert().id, "reached", "was asleep")
        again = noor.call("POST", f"{path}/resolution", {"outcome": "other", "note": "or not"})
        taken = noor.call("POST", f"{path}/acknowledgement", {"note": "late"})
    assert (again.status, again.body["code"]) == (409, "already_resolved")
    assert taken.ok  # she took it when she resolved it: nothing changes
    found = alert()
    assert (found.outcome, found.resolved_note, found.acknowledged_note) == ("reached", "was asleep", None)
    assert (found.acknowledged_at, found.resolved_at) == (at("2026-03-03T08:00"),) * 2
    assert found.acknowledged_by == found.resolved_by


@on_sqlite
def test_a_colleague_may_resolve_what_another_took(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T08:00"):
        cast.staff("noor").acknowledge(alert().id)
        cast.staff("ines").resolve(alert().id, "visit_arranged")
    assert alert().acknowledged_by != alert().resolved_by


@on_sqlite
def test_an_outcome_is_one_of_the_list(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T08:00"):
        refused = cast.staff("noor").call(
            "POST", f"/v1/site/alerts/{alert().id}/resolution", {"outcome": "fine"}
        )
    assert (refused.status, alert().resolved_at) == (422, None)


@on_sqlite
def test_the_worklist_has_the_urgent_first_and_then_the_oldest(cast, study, ada):
    study(**{"urgency: routine": "urgency: urgent"})
    with cast.on("2026-03-03T10:00"):
        cast.enrol(contact={})  # 01-002 follows the new version from the third on
    cast.tick(at("2026-03-05T06:00"))
    with cast.on("2026-03-05T06:05"):
        listed = [(one["urgency"], one["why"]["local_day"]) for one in cast.staff("noor").worklist()]
    assert listed == [("urgent", "2026-03-03"), ("routine", "2026-03-02")]


# AL-04.

STEPS = "[{after: 1h, role: investigator}, {after: 3h, role: nurse}, {after: 8h, role: investigator}]"


def test_escalation_goes_step_by_step(cast, study):
    study(**{"[{after: 4h, role: investigator}]": STEPS})
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={})
    heard = []
    for hour in ("06:00", "06:59", "07:00", "07:30", "08:59", "09:00", "13:59", "14:00", "23:00"):
        cast.tick(at(f"2026-03-03T{hour}"))
        heard.append((hour, numbers(cast)[len([n for _, found in heard for n in found]) :]))
    assert [one for one in heard if one[1]] == [
        ("06:00", [NOOR]),
        ("07:00", [INES]),
        ("09:00", [NOOR]),
        ("14:00", [INES]),
    ]
    assert (alert().escalations, alert().escalate_at) == (3, None)
    with cast.on("2026-03-03T23:05"):
        told = cast.staff("noor").must("GET", f"/v1/site/alerts/{alert().id}")["steps"]
    assert [(one["kind"], one["to_role"], one["seq"]) for one in told] == [
        ("joined", None, 1),
        ("escalated", "investigator", None),
        ("escalated", "nurse", None),
        ("escalated", "investigator", None),
    ]


@on_sqlite
def test_after_an_outage_every_step_is_caught_up_with(cast, study):
    study(**{"[{after: 4h, role: investigator}]": STEPS})
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={})
    cast.tick(MORNING)
    for minute in range(4):
        cast.tick(at("2026-03-04T05:00") + timedelta(minutes=minute))
    assert alert().escalations == 3


# AL-05 to AL-07.


def test_a_late_answer_given_in_time_clears_it(cast, ada):
    cast.tick(MORNING)
    answer(cast, ada, "2026-03-02", "2026-03-03T09:00")
    found = alert()
    assert (found.cleared_why, found.cleared_at) == ("completed_offline_in_time", at("2026-03-03T09:00"))
    assert found.resolved_at is None and found.escalate_at is None
    cast.tick(at("2026-03-03T10:00"))
    assert numbers(cast) == [NOOR]
    cast.relay()
    with look(TESTS) as tx:
        kinds = list(tx.session.scalars(sa.select(FeedEntry.kind).order_by(FeedEntry.no)))
    assert kinds[1:] == ["occurrence.missed", "alert.raised", "response.stored", "alert.cleared"]


def days_of_standing() -> list[str]:
    return sorted(one.why["local_day"] for one in rows() if one.cleared_at is None)


def test_a_late_answer_clears_the_later_alert_that_counted_its_miss(cast, study):
    study(**{"after: 1\n": "after: 2\n"})
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone(contact={})
    cast.tick(at("2026-03-03T06:00"))
    cast.tick(at("2026-03-04T06:00"))
    assert days_of_standing() == ["2026-03-03"]  # the second miss in a row
    answer(cast, ada, "2026-03-02", "2026-03-04T09:00")
    assert (alert().cleared_why, alert().cleared_at) == (
        "earlier_completed_offline_in_time",
        at("2026-03-04T09:00"),
    )
    cast.tick(at("2026-03-04T10:00"))
    assert INES not in numbers(cast)
    cast.relay()
    with look(TESTS) as tx:
        kinds = list(tx.session.scalars(sa.select(FeedEntry.kind).order_by(FeedEntry.no)))
    assert kinds[-2:] == ["response.stored", "alert.cleared"]


@on_sqlite
def test_an_alert_of_misses_that_are_still_enough_in_a_row_stands(cast, study):
    study(**{"after: 1\n": "after: 2\n"})
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone(contact={})
    for day in (3, 4, 5):
        cast.tick(at(f"2026-03-0{day}T06:00"))
    assert (days_of_standing(), alert().misses) == (["2026-03-03"], 3)
    answer(cast, ada, "2026-03-02", "2026-03-05T09:00")
    assert (days_of_standing(), alert().misses) == (["2026-03-03"], 2)
    answer(cast, ada, "2026-03-03", "2026-03-05T09:30")
    assert (days_of_standing(), alert().misses) == ([], 1)
    assert alert().cleared_why == "earlier_completed_offline_in_time"


@on_sqlite
def test_a_late_answer_takes_its_own_miss_out_and_leaves_the_others(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    cast.tick(at("2026-03-04T06:00"))
    assert alert().misses == 2
    answer(cast, ada, "2026-03-02", "2026-03-04T09:00")
    assert (alert().misses, alert().cleared_at) == (1, None)
    answer(cast, ada, "2026-03-03", "2026-03-04T09:30")
    assert (alert().misses, alert().cleared_why) == (0, "completed_offline_in_time")


@on_sqlite
def test_an_answer_given_too_late_clears_nothing(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T09:00") as now:
        diary = next(
            o for o in ada.known.values() if o["local_day"] == "2026-03-02" and o["assessment"] == "evening"
        )
        ada.answer(diary, {"worst_fatigue": 3}, now, now)
        assert ada.upload(now)[0]["outcome"] == "held"
    assert alert().cleared_at is None


@on_sqlite
def test_a_second_late_answer_clears_nothing_twice(cast, ada):
    cast.tick(MORNING)
    answer(cast, ada, "2026-03-02", "2026-03-03T09:00")
    answer(cast, ada, "2026-03-02", "2026-03-03T09:30")
    assert alert().cleared_at == at("2026-03-03T09:00")
    with look(TESTS) as tx:
        cleared = sa.select(sa.func.count()).where(Event.action == "alert.cleared")
        assert tx.session.scalar(cleared) == 1


@on_sqlite
def test_what_was_resolved_and_then_answered_keeps_both_stories(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T08:00"):
        cast.staff("noor").resolve(alert().id, "not_reached")
    answer(cast, ada, "2026-03-02", "2026-03-03T09:00")
    assert (alert().outcome, alert().cleared_why) == ("not_reached", "completed_offline_in_time")


@on_sqlite
@pytest.mark.parametrize("what, reason", [("resolve", "resolved"), ("clear", "cleared")])
def test_what_stands_no_more_is_not_told_any_more(cast, ada, what, reason):
    with clock.moved_to(MORNING):
        worker.attend()  # planned, not sent yet
        if what == "resolve":
            cast.staff("noor").resolve(alert().id, "no_action_needed")
    if what == "clear":
        answer(cast, ada, "2026-03-02", "2026-03-03T06:01")
    cast.tick(at("2026-03-03T06:02"))
    assert numbers(cast) == []
    withheld = [message.withheld_reason for message in rows(Message) if message.purpose == "alert"]
    assert withheld == [reason]


@on_sqlite
def test_an_escalation_that_waits_is_withheld_when_somebody_takes_it(cast, ada):
    cast.tick(MORNING)
    with clock.moved_to(at("2026-03-03T10:00")):
        worker.attend()
        cast.staff("noor").acknowledge(alert().id)
    cast.tick(at("2026-03-03T10:01"))
    assert numbers(cast) == [NOOR]
    assert [m.withheld_reason for m in rows(Message) if m.purpose == "escalation"] == ["acknowledged"]


# AL-08.


def left(cast, subject_id: str, when: str) -> None:
    with cast.on(when):
        cast.staff("noor").withdraw(subject_id)


@on_sqlite
def test_what_was_missed_by_who_has_left_goes_no_further_and_still_stands(cast, ada):
    cast.tick(MORNING)
    left(cast, ada.subject_id, "2026-03-03T08:00")
    for hour in ("10:00", "14:00"):
        cast.tick(at(f"2026-03-03T{hour}"))
    assert numbers(cast) == [NOOR]
    assert (alert().escalations, alert().escalate_at) == (0, None) and alert().standing_since
    ended = [json.loads(row.body) for row in rows(Event) if row.action == "alert.escalation_ended"]
    assert [(one["object"]["id"], one["reason"]) for one in ended] == [(str(alert().id), "withdrawn")]
    with cast.on("2026-03-03T15:00"):
        cast.staff("noor").resolve(str(alert().id), "withdrew")
    assert alert().resolved_at and not alert().standing_since


@on_sqlite
def test_a_message_about_it_that_waits_is_withheld_unless_somebody_handed_it_over(cast, ada):
    with clock.moved_to(MORNING):
        worker.attend()  # planned, not sent yet
    left(cast, ada.subject_id, "2026-03-03T06:01")
    cast.tick(at("2026-03-03T06:02"))
    with cast.on("2026-03-03T06:03"):
        given = {"to": cast.ids["ines"], "note": "she has left, please close it"}
        cast.staff("noor").must("POST", f"/v1/site/alerts/{alert().id}/hand-over", given)
    cast.tick(at("2026-03-03T06:04"))
    assert numbers(cast) == [INES]
    told = [m.withheld_reason for m in rows(Message) if m.purpose == "alert"]
    assert sorted(told, key=str) == [None, "withdrawn"]
