"""The clockwork: reminders, misses, alerts, escalation; once, whatever happens, with any number of workers."""

from __future__ import annotations

import logging
import os
import signal
from datetime import timedelta
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa

from epro import clock, worker
from epro.notifications import attending, rules
from epro.notifications.models import Alert, AlertStep, Message
from epro.notifications.senders.recording import AskableRecordingSender, RecordingSender
from epro.scheduling.messaging import QuietHours
from epro.scheduling.models import Occurrence
from epro.simulation.people import Refused
from epro.tx import look, system
from tests.cast import at

AUDITOR = system("auditor")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
ADA, NOOR, INES = "+8613900000001", "+8613800000001", "+8613800000002"


def to(cast, phone):
    return [message for message in cast.sms.taken if message.to == phone]


def rows(model, *conditions):
    with look(AUDITOR) as tx:
        return tx.all(sa.select(model).where(*conditions))


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone()


def answer(cast, phone, local, score=5):
    """She answers tonight's diary and it is uploaded at once."""
    with cast.on(local) as now:
        phone.sync()
        evening = next(o for o in phone.open_at(now) if o["assessment"] == "evening")
        phone.answer(evening, {"worst_fatigue": score}, now, now)
        return phone.upload(now)


def test_a_reminder_goes_out_once_at_its_hour(cast, ada):
    cast.tick(at("2026-03-02T18:59"))
    assert to(cast, ADA) == []
    for minute in (1, 1, 2, 30):
        cast.tick(at("2026-03-02T19:00") + timedelta(minutes=minute))
    assert len(to(cast, ADA)) == 1


def test_nothing_is_sent_after_she_answered(cast, ada):
    answer(cast, ada, "2026-03-02T18:30")
    cast.tick(at("2026-03-02T19:01"))
    cast.tick(at("2026-03-02T21:01"))
    assert to(cast, ADA) == []


def test_an_answer_between_planning_and_sending_is_seen(cast, ada):
    with clock.moved_to(at("2026-03-02T19:01")):
        worker.attend()
    answer(cast, ada, "2026-03-02T19:02")
    cast.tick(at("2026-03-02T19:03"))
    assert to(cast, ADA) == []
    assert [m.withheld_reason for m in rows(Message)] == ["answered"]


@pytest.mark.parametrize("act, reason", [("withdraw", "withdrawn"), ("opt_out", "opted_out")])
def test_nobody_is_reminded_who_is_gone_or_wants_none(cast, ada, act, reason):
    with clock.moved_to(at("2026-03-02T19:01")):
        worker.attend()
        if act == "withdraw":
            cast.staff("noor").withdraw(ada.subject_id)
        else:
            ada.speak("PATCH", "/v1/phone/me", {"messages": False})
    cast.tick(at("2026-03-02T19:02"))
    assert to(cast, ADA) == []
    assert [m.withheld_reason for m in rows(Message)] == [reason]


def test_without_contact_data_the_reminder_is_withheld_and_says_why(cast):
    with cast.on("2026-03-02T10:00"):
        cast.phone(contact={})
    cast.tick(at("2026-03-02T19:01"))
    assert [m.withheld_reason for m in rows(Message)] == ["no_channel"]


def test_quiet_hours_are_hers(cast, ada):
    with cast.on("2026-03-02T12:00"):
        ada.speak("PATCH", "/v1/phone/me", {"quiet_hours": ["18:30", "20:00"]})
    cast.tick(at("2026-03-02T19:01"))
    assert [m.withheld_reason for m in rows(Message)] == ["quiet_hours"]


def test_her_own_hour_replaces_the_first_reminder(cast, ada):
    with cast.on("2026-03-02T12:00"):
        ada.speak("PATCH", "/v1/phone/me", {"reminder_hour": "20:15"})
    cast.tick(at("2026-03-02T19:30"))
    assert to(cast, ADA) == []
    cast.tick(at("2026-03-02T20:16"))
    assert len(to(cast, ADA)) == 1


def test_her_own_hour_is_not_quiet_unless_she_says_so(cast, ada):
    with cast.on("2026-03-02T12:00"):
        ada.speak("PATCH", "/v1/phone/me", {"reminder_hour": "22:30"})
    for hour in ("19:01", "21:01", "22:31", "23:31"):
        cast.tick(at(f"2026-03-02T{hour}"))
    assert len(to(cast, ADA)) == 1
    (message,) = rows(Message)
    assert (message.due_at, message.accepted_at) == (at("2026-03-02T22:30"), at("2026-03-02T22:31"))


NIGHT, DAY = ["22:00", "08:00"], ["12:00", "14:00"]


@pytest.mark.parametrize(
    ("wished", "own", "local", "quiet"),
    [
        (None, None, "21:59", False),
        (None, None, "22:00", True),
        (None, None, "07:59", True),
        (None, None, "08:00", False),
        ("22:30", None, "22:29", True),
        ("22:30", None, "22:30", False),
        ("22:30", None, "23:29", False),
        ("22:30", None, "23:30", True),
        ("23:30", None, "00:15", False),
        ("23:30", None, "00:30", True),
        ("07:30", None, "07:29", True),
        ("07:30", None, "07:30", False),
        ("22:30", NIGHT, "22:30", True),  # named by herself
        ("22:30", DAY, "22:30", False),
        (None, DAY, "13:00", True),
        (None, ["12:00", "12:00"], "12:00", False),
    ],
)
def test_quiet_hours(wished, own, local, quiet):
    preferences = {"reminder_hour": wished, "quiet_hours": own}
    assert rules.is_quiet(preferences, "Asia/Shanghai", QuietHours(), at(f"2026-03-02T{local}")) == quiet


@on_sqlite
@pytest.mark.parametrize("first", [{}, {"reminder_hour": "22:30"}, {"quiet_hours": NIGHT}])
def test_hours_that_contradict_each_other_are_refused(cast, ada, first):
    both = {"reminder_hour": "22:30", "quiet_hours": NIGHT}
    second = {name: hours for name, hours in both.items() if name not in first}
    with cast.on("2026-03-02T12:00"):
        ada.speak("PATCH", "/v1/phone/me", first)
        before = ada.speak("GET", "/v1/phone/me")
        with pytest.raises(Refused) as refused:
            ada.speak("PATCH", "/v1/phone/me", second)
        assert ada.speak("GET", "/v1/phone/me") == before
        ada.speak("PATCH", "/v1/phone/me", {"language": "zh-CN"})
        ada.speak("PATCH", "/v1/phone/me", {"reminder_hour": "08:00", "quiet_hours": NIGHT})
    assert refused.value.answer.status == 422
    assert [one["pointer"] for one in refused.value.answer.body["errors"]] == ["/reminder_hour"]


def test_missed_after_the_grace_and_not_before(cast, ada):
    cast.tick(at("2026-03-03T05:59"))
    assert rows(Occurrence, Occurrence.missed_at.is_not(None)) == [] == rows(Alert)
    cast.tick(at("2026-03-03T06:00"))
    assert len(rows(Occurrence, Occurrence.missed_at.is_not(None))) == 1 == len(rows(Alert))
    assert len(to(cast, NOOR)) == 1


def test_after_an_outage_of_days_every_miss_is_in_one_alert_and_no_old_reminder_goes_out(cast, ada):
    cast.tick(at("2026-03-06T07:00"))  # nobody ticked since the second
    missed = rows(Occurrence, Occurrence.missed_at.is_not(None))
    assert [o.local_day.day for o in sorted(missed, key=lambda o: o.opens_at)] == [2, 3, 4, 5]
    (alert,) = rows(Alert)
    joined = rows(AlertStep, AlertStep.kind == "joined", AlertStep.alert_id == alert.id)
    assert alert.misses == 4 and {step.occurrence_id for step in joined} == {o.id for o in missed}
    assert len(joined) == 4 and len(to(cast, NOOR)) == 1
    assert to(cast, ADA) == []


def test_it_escalates_at_its_hour_while_nobody_acts(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    cast.tick(at("2026-03-03T09:59"))
    assert to(cast, INES) == []
    cast.tick(at("2026-03-03T10:00"))
    cast.tick(at("2026-03-03T10:01"))
    assert len(to(cast, INES)) == 1


def test_who_took_it_in_hand_stops_the_escalation(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    with cast.on("2026-03-03T08:00"):
        noor = cast.staff("noor")
        noor.acknowledge(noor.worklist()[0]["id"])
    cast.tick(at("2026-03-03T12:00"))
    assert to(cast, INES) == []


def test_only_the_first_nurse_is_on_record(cast, ada):
    cast.tick(at("2026-03-03T06:00"))
    with cast.on("2026-03-03T08:00"):
        noor, ines = cast.staff("noor"), cast.staff("ines")
        alert = noor.worklist()[0]["id"]
        assert (
            noor.acknowledge(alert)["acknowledged_by"] == noor.acknowledge(alert, "again")["acknowledged_by"]
        )
        second = ines.call("POST", f"/v1/site/alerts/{alert}/acknowledgement", {})
    assert (second.status, second.body["code"]) == (409, "already_taken")


def test_one_that_crashes_does_not_stop_the_others(cast, ada, monkeypatch):
    with cast.on("2026-03-02T11:00"):
        ben = cast.phone(contact={})
    attend = attending.attend

    def crash_for_ada(tx, participant, occurrence):
        if participant.subject_id == ada.subject_id:
            raise RuntimeError("planted")
        attend(tx, participant, occurrence)

    monkeypatch.setattr(attending, "attend", crash_for_ada)
    cast.tick(at("2026-03-03T06:00"))
    assert {a.subject_id for a in rows(Alert)} == {ben.subject_id}
    monkeypatch.undo()
    cast.tick(at("2026-03-03T06:06"))
    assert {a.subject_id for a in rows(Alert)} == {ada.subject_id, ben.subject_id}


def test_four_workers_at_once_do_everything_once(app, cast):
    with cast.on("2026-03-02T10:00"):
        for number in range(6):
            cast.enrol(contact={"phone": f"+86139000001{number:02}"})
    senders, start = {"sms": RecordingSender("sms")}, Barrier(4)

    def work(moment):
        with app.app_context(), clock.moved_to(moment):
            start.wait()
            for _ in range(3):
                worker.tick(senders)

    for moment in (at("2026-03-02T19:01"), at("2026-03-03T06:01")):
        workers = [Thread(target=work, args=(moment,)) for _ in range(4)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join()
    sent = sorted(message.to for message in senders["sms"].taken)
    assert sent == sorted([NOOR] * 6 + [f"+86139000001{number:02}" for number in range(6)])
    assert len(rows(Alert)) == 6


class Lost(BaseException):
    """The worker dies here."""


class DyingSender(RecordingSender):
    """Its process dies in the call, after the provider has taken the message."""

    def send(self, message):
        super().send(message)
        raise Lost


def dies(senders, moment):
    with pytest.raises(Lost), clock.moved_to(moment):
        worker.tick(senders)


def test_a_reminder_whose_worker_died_is_never_sent_again(cast, ada):
    dying = DyingSender("sms")
    dies({"sms": dying}, at("2026-03-02T19:01"))
    cast.tick(at("2026-03-02T19:01:30"))
    cast.tick(at("2026-03-02T19:05"))
    assert (len(dying.taken), to(cast, ADA)) == (1, [])
    (message,) = rows(Message)
    assert message.unknown_at is not None and message.accepted_at is None


def test_a_provider_that_can_be_asked_settles_it(cast, ada):
    dying, asked = DyingSender("sms"), AskableRecordingSender("sms")
    dies({"sms": dying}, at("2026-03-02T19:01"))
    asked.taken = dying.taken
    with clock.moved_to(at("2026-03-02T19:05")):
        worker.tick({"sms": asked})
    (message,) = rows(Message)
    assert (message.unknown_at, len(asked.asked)) == (None, 0) and message.accepted_at is not None


def test_an_alert_whose_worker_died_is_sent_again_over_the_next_channel(cast, ada):
    with clock.moved_to(at("2026-03-03T06:00")):
        worker.attend()
    dies({"sms": DyingSender("sms")}, at("2026-03-03T06:00"))
    cast.tick(at("2026-03-03T06:02"))
    cast.tick(at("2026-03-03T06:20"))
    assert (len(to(cast, NOOR)), [message.to for message in cast.email.taken]) == (0, ["noor@example.org"])


def test_a_signal_asks_the_worker_to_stop():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = worker._stop_on_signals()
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_log_line_has_the_sentence_and_the_ids():
    fields = {"name": "epro.worker", "levelname": "ERROR", "msg": "strike failed: %s", "args": ("KeyError",)}
    record = logging.makeLogRecord({**fields, "action": "worker.strike_failed", "fault": "KeyError"})
    line = worker.Line().format(record)
    assert line.endswith(
        " ERROR epro.worker strike failed: KeyError action=worker.strike_failed fault=KeyError"
    )
