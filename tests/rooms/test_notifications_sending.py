"""Sending: what the provider answered decides, and where nobody knows, a reminder is lost rather than doubled and an
alert doubled rather than lost.

SE-01  A definitive answer ends the matter: one call for each message.
SE-02  A passing refusal is tried again a little later, ever less often, and not when it is too late to be of use.
SE-03  In doubt a reminder is asked about where the provider can be asked, and never sent again.
SE-04  In doubt a message to staff is sent again, over the next channel, for some hours.
SE-05  Two workers never send the same message.
SE-06  No transaction is open while a provider is called.
SE-07  One message that cannot be made keeps no other from going out.
SE-08  A message to staff that is refused goes to the next channel, and ends only when none is left.
SE-09  An alert waits for no backlog of reminders.
SE-10  No participant gets more reminders on one local day than the cap; messages to staff are not counted or capped.
SE-11  What is due together is reminded of once, unless that one did certainly not go.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier, Thread
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DataError, OperationalError

from epro import clock, db, trail, worker
from epro.contacts import store
from epro.notifications import alerts, messages, rules, sending
from epro.notifications.models import Message
from epro.notifications.senders import SendFailed, SendUnknown
from epro.notifications.senders.recording import TAKEN_UNKNOWN, AskableRecordingSender, RecordingSender
from epro.scheduling.messaging import DailyCap
from epro.signin.models import Staff
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import at

DAILY_CAP = DailyCap().usual
TESTS = system("tests")
ADA, NOOR, INES = "+8613900000001", "+8613800000001", "+8613800000002"
EVENING, MORNING = at("2026-03-02T19:01"), at("2026-03-03T06:01")
PASSING = SendFailed("busy", permanent=False)
BAD_NUMBER = SendFailed("bad_number", permanent=True)
BAD_ADDRESS = SendFailed("bad_address", permanent=True)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone()


def message(purpose: str = "reminder") -> Message:
    """The first one of this purpose."""
    with look(TESTS) as tx:
        return tx.one(sa.select(Message).where(Message.purpose == purpose).order_by(Message.due_at))


def told() -> list[tuple[str, str | None]]:
    """What the trail says of messages since they were planned: what happened, and why."""
    with look(TESTS) as tx:
        query = sa.select(Event.action, Event.body).where(Event.object_type == "message").order_by(Event.seq)
        rows = tx.session.execute(query).all()
    reasons = [(action.partition(".")[2], json.loads(body)["reason"]) for action, body in rows]
    return [one for one in reasons if one[0] != "planned"]


def every_minute(cast, start, minutes: int) -> None:
    for minute in range(minutes):
        cast.tick(start + timedelta(minutes=minute))


# SE-01.


def test_what_the_provider_takes_is_accepted_and_has_its_id(cast, ada):
    every_minute(cast, EVENING, 5)
    row = message()
    assert (len(cast.sms.asked), row.provider_id, row.attempts) == (1, f"recorded-{row.id}", 1)
    assert row.accepted_at == EVENING and row.lease_until is None and row.failed_at is None
    assert told() == [("begun", None), ("accepted", None)]


def test_a_definitive_refusal_ends_it(cast, ada):
    cast.sms.script(SendFailed("bad_number", permanent=True, detail="21211"))
    every_minute(cast, EVENING, 5)
    row = message()
    assert (len(cast.sms.asked), row.failure, row.accepted_at, row.lease_until) == (
        1,
        "bad_number",
        None,
        None,
    )
    assert told() == [("begun", None), ("refused", "bad_number")]


# SE-02.


def test_a_passing_refusal_is_tried_again_later_and_later(cast, ada):
    cast.sms.script(PASSING, PASSING)
    due = [EVENING]
    for _ in range(3):
        cast.tick(due[-1])
        cast.tick(due[-1])  # not before its time
        due.append(message().due_at)
    row = message()
    assert [due[1] - due[0], due[2] - due[1]] == [rules.wait_after(n, row.id) for n in (1, 2)]
    assert (len(cast.sms.asked), len(cast.sms.taken), row.attempts) == (3, 1, 3)
    assert row.accepted_at == due[2] and row.failed_at is None


def attempts_of(cast, start, find, most: int) -> list[timedelta]:
    """Strike whenever this message is due again; the waits in between."""
    times = [start]
    for _ in range(most):
        cast.tick(times[-1])
        row = find()
        again_at = row.lease_until or row.due_at
        if row.withheld_at or row.failed_at or row.unknown_at or again_at <= times[-1]:
            break
        times.append(again_at)
    return [later - earlier for earlier, later in pairwise(times)]


def test_a_reminder_is_tried_ever_less_often_as_long_as_it_is_of_use(cast, ada):
    def first() -> Message:
        with look(TESTS) as tx:
            return tx.one(sa.select(Message).where(Message.template == "reminder.due"))

    cast.sms.script(*[PASSING] * 30)
    waits = attempts_of(cast, EVENING, first, 30)
    assert waits == [rules.wait_after(n, first().id) for n in range(1, len(waits) + 1)]
    assert (first().withheld_reason, first().failed_at) == ("stale", None) and first().attempts >= 10


def test_a_wait_doubles_and_is_up_to_a_quarter_longer_the_same_every_time():
    ids = [UUID(int=n) for n in range(200)]
    for attempts in range(1, 20):
        wait = min(timedelta(seconds=30) * 2 ** (attempts - 1), timedelta(minutes=15))
        drawn = [rules.wait_after(attempts, one) for one in ids]
        assert drawn == [rules.wait_after(attempts, one) for one in ids]
        assert min(drawn) >= wait and max(drawn) < wait * 1.25
        assert len(set(drawn)) > 3


@on_sqlite
def test_a_provider_that_is_away_too_long_makes_it_stale(cast, ada):
    """It is tried again after the window has closed: then it is of no use any more."""
    cast.sms.script(PASSING)
    cast.tick(EVENING)
    cast.tick(at("2026-03-03T00:30"))
    row = message()
    assert (len(cast.sms.asked), row.withheld_reason) == (1, "stale")


@on_sqlite
def test_a_passing_refusal_is_looked_at_afresh(cast, ada):
    cast.sms.script(PASSING)
    cast.tick(EVENING)
    with clock.moved_to(EVENING):
        cast.staff("noor").withdraw(ada.subject_id)
    every_minute(cast, EVENING, 5)
    assert (len(cast.sms.asked), message().withheld_reason) == (1, "withdrawn")


# SE-03: reminders in doubt.


def test_a_reminder_in_doubt_is_not_sent_again(cast, ada):
    cast.sms.script(TAKEN_UNKNOWN)
    every_minute(cast, EVENING, 90)
    row = message()
    assert (len(cast.sms.asked), row.accepted_at, row.failed_at, row.lease_until) == (1, None, None, None)
    assert row.unknown_at is not None
    assert told() == [("begun", None), ("doubtful", "timed_out"), ("unknown", "worker_lost")]


def test_the_provider_is_asked_where_it_can_be(cast, ada):
    cast.sms = AskableRecordingSender("sms", [TAKEN_UNKNOWN])
    every_minute(cast, EVENING, 5)
    row = message()
    assert (len(cast.sms.asked), row.unknown_at, row.provider_id) == (1, None, f"recorded-{row.id}")


def test_what_the_provider_never_had_is_refused_and_not_sent_late(cast, ada):
    cast.sms = AskableRecordingSender("sms", [SendUnknown("cut")])
    every_minute(cast, EVENING, 5)
    row = message()
    assert (len(cast.sms.asked), row.failure, row.accepted_at) == (1, "not_taken", None)


def test_a_provider_that_does_not_answer_is_asked_again_for_a_while(cast, ada):
    cast.sms = AskableRecordingSender("sms", [TAKEN_UNKNOWN])
    cast.sms.reachable = False
    every_minute(cast, EVENING, 10)
    assert (len(cast.sms.asked), message().unknown_at) == (1, None)
    cast.sms.reachable = True
    every_minute(cast, EVENING + timedelta(minutes=10), 3)
    assert message().accepted_at is not None
    assert len(cast.sms.asked) == 1


@on_sqlite
def test_it_is_not_asked_for_ever(cast, ada):
    cast.sms = AskableRecordingSender("sms", [TAKEN_UNKNOWN])
    cast.sms.reachable = False
    for quarter in range(40):
        cast.tick(EVENING + timedelta(minutes=15 * quarter))
    row = message()
    assert row.unknown_at is not None and row.lease_until is None


# SE-04: messages to staff in doubt.


def test_an_alert_in_doubt_is_sent_again_over_the_next_channel(cast, ada):
    cast.sms.script(TAKEN_UNKNOWN)
    every_minute(cast, MORNING, 5)
    row = message("alert")
    assert [m.to for m in cast.sms.asked if m.to != ADA] == [NOOR]
    assert [m.to for m in cast.email.taken] == ["noor@example.org"]
    assert (row.channel, row.attempts) == ("email", 2) and row.accepted_at


def alert() -> Message:
    return message("alert")


@on_sqlite
def test_an_alert_in_doubt_is_not_sent_for_ever(cast, ada):
    cast.sms.script(*[SendUnknown("cut")] * 40)
    cast.email.script(*[SendUnknown("cut")] * 40)
    waits = attempts_of(cast, MORNING, alert, 60)
    wanted = [max(sending.LEASE, rules.wait_after(n, alert().id)) for n in range(1, len(waits) + 1)]
    assert waits == wanted and alert().attempts == len(waits)
    assert sending.IN_DOUBT_FOR <= alert().unknown_at - MORNING <= sending.IN_DOUBT_FOR + max(waits)
    assert alert().lease_until is None


@on_sqlite
def test_earlier_refusals_do_not_count_when_an_alert_is_in_doubt(cast, ada):
    for sender in (cast.sms, cast.email):
        sender.script(*[PASSING] * 4)
    cast.sms.script(SendUnknown("cut"))
    attempts_of(cast, MORNING, alert, 9)
    assert alert().begun_at and not alert().accepted_at and alert().attempts == 9
    cast.tick(alert().lease_until)
    assert alert().accepted_at and alert().channel == "email"


@on_sqlite
def test_an_alert_that_the_provider_has_is_not_sent_again(cast, ada):
    cast.sms = AskableRecordingSender("sms", [TAKEN_UNKNOWN])
    cast.email = AskableRecordingSender("email")
    with clock.moved_to(MORNING):
        row_id = cast.tick(MORNING) and message("alert").id
        # She has no e-mail: the next channel is the same one.
        store.keep(trail.INSTALLATION, message("alert").recipient, {"email": None}, MORNING)
    every_minute(cast, MORNING, 5)
    assert len(cast.sms.asked) == 1 and message("alert").provider_id == f"recorded-{row_id}"


class FindsByWords(AskableRecordingSender):
    """As providers do who keep no id of ours: the latest text in these words to this number."""

    def find(self, message, since):
        alike = [one for one in self.taken if (one.to, one.text) == (message.to, message.text)]
        return f"recorded-{alike[-1].message_id}" if alike else None


def test_of_two_alerts_in_the_same_words_none_is_taken_for_the_other(cast, ada):
    """One was cut off, the other taken without a word of it: the provider has one text, and two might be it."""
    with cast.on("2026-03-02T10:00"):
        cast.phone()
    cast.sms = FindsByWords("sms", [SendUnknown("cut"), TAKEN_UNKNOWN])
    cast.email = FindsByWords("email")
    with clock.moved_to(MORNING):
        store.keep(trail.INSTALLATION, f"staff/{cast.ids['noor']}", {"email": None}, MORNING)
    every_minute(cast, MORNING, 6)
    with look(TESTS) as tx:
        rows = tx.all(sa.select(Message).where(Message.purpose == "alert", Message.accepted_at.is_not(None)))
    assert len(rows) == 2 and {row.id for row in rows} <= {one.message_id for one in cast.sms.taken}
    assert {row.provider_id for row in rows} == {f"recorded-{row.id}" for row in rows}


@on_sqlite
def test_an_alert_in_doubt_is_dropped_when_it_is_cleared(cast, ada):
    cast.sms.script(TAKEN_UNKNOWN)
    cast.tick(MORNING)
    with clock.moved_to(MORNING):
        evening = next(
            o for o in ada.known.values() if o["local_day"] == "2026-03-02" and o["assessment"] == "evening"
        )
        ada.answer(evening, {"worst_fatigue": 2}, at("2026-03-02T20:00"), at("2026-03-02T20:01"))
        ada.upload(MORNING)
    every_minute(cast, MORNING + timedelta(minutes=1), 5)
    assert len(cast.sms.asked) == 1 and cast.email.asked == []
    assert message("alert").unknown_at is not None


# SE-05 and SE-06.


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_workers_that_race_for_one_message_send_it_once(app, cast, ada):
    with clock.moved_to(EVENING):
        worker.attend()
    row, start, jobs = message(), Barrier(4), []

    def race() -> None:
        with app.app_context(), clock.moved_to(EVENING):
            start.wait()
            due = sending.Due(row.study_id, row.subject_id, row.id)
            jobs.append(sending._turn(None, due, {"sms": cast.sms}, EVENING))

    racers = [Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sum(job is not None for job in jobs) == 1 == message().attempts


class SlowSender(RecordingSender):
    """While it sends, somebody else does something."""

    def __init__(self, channel: str, meanwhile):
        super().__init__(channel)
        self.meanwhile = meanwhile

    def send(self, message) -> str:
        self.meanwhile()
        return super().send(message)


def test_no_transaction_is_open_while_a_provider_is_called(cast, ada):
    seen = []

    def meanwhile() -> None:
        seen.append((db.engine().pool.checkedout(), db.contacts_engine().pool.checkedout()))
        with begin(TESTS, EVENING) as tx:  # her own row is free as well
            trail.record(
                tx, tx.get(sending.Participant, "diary", "01-001", lock=True), "test.done", "test", "1"
            )

    cast.sms = SlowSender("sms", meanwhile)
    cast.tick(EVENING)
    assert seen == [(0, 0)] and message().accepted_at


@on_sqlite
def test_a_withdrawal_during_the_call_is_no_hindrance_to_noting_it(cast, ada):
    def meanwhile() -> None:
        with clock.moved_to(EVENING):
            cast.staff("noor").withdraw(ada.subject_id)

    cast.sms = SlowSender("sms", meanwhile)
    cast.tick(EVENING)
    assert message().accepted_at == EVENING  # it went out before; that stays on record
    cast.tick(at("2026-03-02T21:01"))
    assert len(cast.sms.taken) == 1


@on_sqlite
def test_a_slow_worker_is_not_taken_for_the_one_that_came_after(cast, ada):
    """Its lease ran out while it called, and another took the message to the nurse over."""

    def meanwhile() -> None:
        cast.sms = RecordingSender("sms")
        cast.tick(MORNING + timedelta(minutes=2))

    first = cast.sms = SlowSender("sms", meanwhile)
    cast.tick(MORNING)
    row = message("alert")
    assert (len(first.taken), [m.to for m in cast.email.taken], row.attempts) == (1, ["noor@example.org"], 2)
    assert row.accepted_at == MORNING + timedelta(minutes=2)


# SE-08.


def test_an_alert_outlives_an_outage_of_hours(cast, ada):
    for sender in (cast.sms, cast.email):
        sender.script(*[PASSING] * 40)
    waits = attempts_of(cast, MORNING, alert, 25)
    assert len(waits) == 25 and timedelta(minutes=15) <= max(waits) < timedelta(minutes=19)
    assert sum(waits, timedelta()) > timedelta(hours=4) and alert().failed_at is None
    cast.sms, cast.email = RecordingSender("sms"), RecordingSender("email")
    cast.tick(alert().due_at)
    assert alert().accepted_at


def test_a_number_that_cannot_be_reached_sends_the_alert_by_e_mail(cast, ada):
    cast.sms.script(BAD_NUMBER)
    every_minute(cast, MORNING, 5)
    assert [m.to for m in cast.sms.asked] == [NOOR]
    assert [m.to for m in cast.email.taken] == ["noor@example.org"]
    assert (alert().channel, alert().failure, alert().failed_at) == ("email", "sms bad_number", None)
    assert alert().accepted_at == MORNING + timedelta(minutes=1)


def test_an_alert_that_no_channel_carries_has_failed(cast, ada):
    cast.sms.script(BAD_NUMBER)
    cast.email.script(BAD_ADDRESS)
    every_minute(cast, MORNING, 5)
    assert (len(cast.sms.asked), len(cast.email.asked)) == (1, 1)
    assert alert().failure == "sms bad_number, email bad_address"
    assert alert().failed_at == MORNING + timedelta(minutes=2) and alert().lease_until is None
    assert told()[-1] == ("failed", "sms bad_number, email bad_address")


def test_a_channel_that_was_only_busy_is_tried_again_when_the_other_is_out(cast, ada):
    cast.sms.script(PASSING)
    cast.email.script(BAD_ADDRESS)
    every_minute(cast, MORNING, 5)
    assert [m.to for m in cast.sms.taken] == [NOOR]
    assert (alert().channel, alert().failure, alert().failed_at) == ("sms", "email bad_address", None)


# SE-09.


@on_sqlite
def test_an_alert_that_comes_while_reminders_go_out_is_next(cast, ada, monkeypatch):
    with cast.on("2026-03-02T11:00"):
        for _ in range(sending.FEW + 2):
            cast.enrol()
    cast.tick(MORNING)
    evening = at("2026-03-03T19:01")
    with clock.moved_to(evening), monkeypatch.context() as later:
        later.setattr(alerts, "escalate_due", lambda *_: 0)
        worker.attend()
    cast.sms = SlowSender("sms", worker.attend)  # while the first is sent, the investigator is to be told
    with clock.moved_to(evening):
        worker.send({"sms": cast.sms})
    numbers = [message.to for message in cast.sms.taken]
    assert numbers.index(INES) == sending.FEW and numbers.count(ADA) == sending.FEW + 3


# SE-10.


def remind_often(start, times: int, purpose: str = "reminder") -> None:
    """Puts further messages on the ledger, the first in a minute, about what the first reminder is about."""
    with begin(TESTS, start) as tx:
        first = tx.one(sa.select(Message).where(Message.purpose == "reminder").order_by(Message.due_at))
        participant = tx.get(Participant, first.study_id, first.subject_id, lock=True)
        for number in range(times):
            due_at = start + timedelta(minutes=number + 1)
            messages.plan(
                tx,
                participant,
                key=("further", purpose, start.isoformat(), number),
                purpose=purpose,
                recipient=first.recipient,
                template=first.template,
                language=first.language,
                due_at=due_at,
                expires_at=due_at + timedelta(hours=1),
                occurrence_id=first.occurrence_id,
                why={"count": 1},
            )


def fates() -> tuple[int, list[str | None]]:
    """How many reminders were taken, and why the others were withheld."""
    with look(TESTS) as tx:
        rows = tx.all(sa.select(Message).where(Message.purpose == "reminder"))
    withheld = [row.withheld_reason for row in rows if row.withheld_at]
    return sum(row.accepted_at is not None for row in rows), withheld


def test_beyond_the_cap_a_reminder_is_withheld(cast, ada):
    cast.tick(EVENING)
    remind_often(EVENING, 5)
    every_minute(cast, EVENING, 7)
    assert len(cast.sms.taken) == DAILY_CAP == 4
    assert fates() == (4, ["cap_reached", "cap_reached"])
    assert [one for one in told() if one[0] == "withheld"] == [("withheld", "cap_reached")] * 2


@on_sqlite
def test_what_was_never_taken_does_not_count_but_what_may_have_been_does(cast, ada):
    cast.sms.script(BAD_NUMBER, SendUnknown("no_answer"))
    cast.tick(EVENING)
    remind_often(EVENING, 6)
    every_minute(cast, EVENING, 8)
    assert len(cast.sms.asked) == 1 + DAILY_CAP
    assert fates() == (3, ["cap_reached", "cap_reached"])


@on_sqlite
def test_the_cap_holds_no_message_to_staff_back(cast, ada):
    cast.tick(EVENING)
    remind_often(EVENING, 3)
    remind_often(EVENING, 3, purpose="digest")
    every_minute(cast, EVENING, 5)
    assert len(cast.sms.taken) == 4 + 3


# SE-11.


def test_of_what_is_due_together_one_reminder_tells(cast, ada):
    cast.tick(EVENING)
    remind_often(EVENING, 3)
    cast.tick(EVENING + timedelta(minutes=5))
    assert (len(cast.sms.taken), fates()) == (2, (2, ["told_together"] * 2))
    remind_often(EVENING + timedelta(minutes=5), 1)
    cast.tick(EVENING + timedelta(minutes=7))
    assert (len(cast.sms.taken), fates()) == (3, (3, ["told_together"] * 2))


@on_sqlite
def test_a_reminder_that_did_not_go_tells_of_nothing_else(cast, ada):
    cast.tick(EVENING)
    remind_often(EVENING, 3)
    cast.sms.script(BAD_NUMBER)
    cast.tick(EVENING + timedelta(minutes=5))
    assert (len(cast.sms.asked), fates()) == (1 + 2, (2, ["told_together"]))


@pytest.mark.parametrize(
    ("zone", "now", "began"),
    [
        ("Asia/Shanghai", "2026-03-02T15:59:59+00:00", "2026-03-01T16:00:00+00:00"),
        ("Asia/Shanghai", "2026-03-02T16:00:00+00:00", "2026-03-02T16:00:00+00:00"),
        ("Europe/Berlin", "2026-03-29T20:00:00+00:00", "2026-03-28T23:00:00+00:00"),
        ("Europe/Berlin", "2026-10-25T22:30:00+00:00", "2026-10-24T22:00:00+00:00"),
    ],
)
def test_the_day_of_the_cap_is_her_own(zone, now, began):
    assert rules.day_began_at(zone, datetime.fromisoformat(now)) == datetime.fromisoformat(began)


# SE-07 and what a message is made of.


@on_sqlite
def test_a_row_that_the_database_refuses_stops_nobody_else(cast, ada, monkeypatch):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={"phone": "+8613900000002"})
    sound = sending._outgoing

    def refuses_hers(tx, participant, *more):
        if participant.subject_id == "01-001":
            raise DataError("statement", {}, Exception("too long"))
        return sound(tx, participant, *more)

    monkeypatch.setattr(sending, "_outgoing", refuses_hers)
    cast.tick(EVENING)
    assert [m.to for m in cast.sms.taken] == ["+8613900000002"]


@on_sqlite
def test_what_came_of_one_is_noted_though_the_next_cannot_be_begun(cast, ada, monkeypatch):
    """They share an act; when it fails each is done alone."""
    with cast.on("2026-03-02T10:00"):
        for number in (2, 3):
            cast.enrol(contact={"phone": f"+861390000000{number}"})
    began, sound = [], sending._outgoing

    def refuses_the_second(tx, participant, *more):
        began.append(participant.subject_id)
        if len(set(began)) == 2:
            raise DataError("statement", {}, Exception("too long"))
        return sound(tx, participant, *more)

    monkeypatch.setattr(sending, "_outgoing", refuses_the_second)
    cast.tick(EVENING)
    first, _, third = dict.fromkeys(began)
    with look(TESTS) as tx:
        accepted = {row.subject_id for row in tx.all(sa.select(Message)) if row.accepted_at}
    assert accepted == {first, third} and len(cast.sms.taken) == 2


@on_sqlite
def test_what_came_of_one_is_noted_though_the_contact_store_is_away_for_the_next(cast, ada, monkeypatch):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={"phone": "+8613900000002"})
    sound, asked = store.of, []

    def away_for_the_second(*whose):
        asked.append(whose)
        if len(asked) > 1:
            raise OperationalError("statement", {}, Exception("gone"))
        return sound(*whose)

    monkeypatch.setattr(store, "of", away_for_the_second)
    with pytest.raises(OperationalError):
        cast.tick(EVENING)
    with look(TESTS) as tx:
        noted = [(row.begun_at, row.accepted_at) for row in tx.all(sa.select(Message))]
    assert sorted(noted, key=str) == [(None, None), (EVENING, EVENING)]


@on_sqlite
def test_a_language_without_texts_stops_nobody_else(cast, ada):
    with begin(TESTS) as tx:  # Noor reads a language that nobody has written the texts in
        noor = tx.all(
            sa.select(Staff).where(Staff.email_lookup == store.lookup("email", "noor@example.org"))
        )[0]
        noor.language = "fr"
        trail.record(tx, trail.study_chain(tx), "test.done", "staff", noor.id)
    every_minute(cast, at("2026-03-03T10:01"), 3)
    cast.tick(at("2026-03-03T14:02"))
    assert [m.to for m in cast.sms.taken] == [NOOR, INES]  # she gets another language: better than silence


class BrokenSender(RecordingSender):
    """Its own fault, for one of the numbers."""

    def send(self, message) -> str:
        if message.to == ADA:
            raise KeyError("planted")
        return super().send(message)


@on_sqlite
def test_a_sender_that_breaks_its_word_stops_nobody_else(cast, ada):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={"phone": "+8613900000002"})
    cast.sms = BrokenSender("sms")
    every_minute(cast, EVENING, 3)
    assert [m.to for m in cast.sms.taken] == ["+8613900000002"]
    with look(TESTS) as tx:
        fates = {m.subject_id: (m.accepted_at, m.unknown_at) for m in tx.all(sa.select(Message))}
    assert fates["01-001"][0] is None and fates["01-001"][1]  # nobody knows: it shows


@on_sqlite
def test_without_a_sender_nothing_is_lost_in_silence(cast, ada):
    with clock.moved_to(EVENING):
        worker.tick({})
    assert message().withheld_reason == "no_channel"


@on_sqlite
def test_her_preferred_channel_is_taken_first(cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone(contact={"phone": ADA, "email": "ada@example.org"})
        ada.speak("PATCH", "/v1/phone/me", {"channels": ["email", "sms"]})
    cast.tick(EVENING)
    assert ([m.to for m in cast.email.taken], cast.sms.asked) == (["ada@example.org"], [])


@on_sqlite
def test_a_message_says_nothing_about_her(cast, ada):
    cast.tick(EVENING)
    (sent,) = cast.sms.taken
    assert sent.valid_for == message().expires_at - EVENING
    assert (
        sent.callback_url
        == f"https://epro.test/hooks/twilio/status?message={sent.message_id}&key={message().callback_secret}"
    )
    for word in ("lupus", "fatigue", "diary", ada.subject_id, "http"):
        assert word not in f"{sent.text} {sent.subject}".lower()
    for hidden in (ADA, sent.text, message().callback_secret):
        assert hidden not in repr(sent)
