"""What governs a message on its way: carriers' rules, a provider that is out, the next channel, the words in turn.

GO-01  No two reminders in a row say the same, and a study's own words take the place of ours.
GO-02  A number in mainland China never gets a text a third time or a fifth different one within 24 hours; what has no
       wording left is withheld with the rule as its reason. Numbers stand nowhere.
GO-03  A rule of a carrier holds no message to staff back.
GO-04  A provider that fails five times in a row is left alone by every worker, then probed with one message.
GO-05  While it is out reminders take the next channel, or wait as long as that helps; alerts wait for the probe.
GO-06  A reminder that is refused for good, or that was not delivered, takes the next channel; one in doubt never.
GO-07  Opening and closing are on record and counted.
"""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from uuid import uuid4

import pytest
import sqlalchemy as sa

from epro import clock, trail
from epro.notifications import circuits, messages, texts_sent
from epro.notifications.models import CircuitState, Message, SentText
from epro.notifications.senders import SendFailed, SendUnknown
from epro.notifications.senders.recording import TAKEN_UNKNOWN, AskableRecordingSender, RecordingSender
from epro.notifications.senders.routing import routed
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import at

TESTS = system("tests")
ADA, NOOR, BERLIN = "+8613900000001", "+8613800000001", "+4915123456789"
EVENING, MORNING = at("2026-03-02T19:01"), at("2026-03-03T06:01")
BUSY = SendFailed("busy", permanent=False)
BAD_NUMBER = SendFailed("bad_number", permanent=True)
MINUTE = timedelta(minutes=1)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={"phone": ADA, "email": "ada@example.org"})


def rows(model=Message):
    with look(TESTS) as tx:
        return tx.all(sa.select(model))


def remind(start, times: int, purpose: str = "reminder", apart: timedelta = MINUTE, **more) -> None:
    """Puts further messages on the ledger about what the first reminder is about, to be sent so far apart."""
    with begin(TESTS, start) as tx:
        first = tx.one(sa.select(Message).where(Message.purpose == "reminder").order_by(Message.due_at))
        participant = tx.get(Participant, first.study_id, first.subject_id, lock=True)
        for number in range(times):
            due_at = start + number * apart
            messages.plan(
                tx,
                participant,
                key=("further", purpose, start.isoformat(), number),
                purpose=purpose,
                template=more.get("template", first.template),
                recipient=more.get("recipient", first.recipient),
                language=first.language,
                due_at=due_at,
                expires_at=due_at + timedelta(hours=1),
                occurrence_id=first.occurrence_id,
                why={"number": number, "count": 1},
                rotation=first.rotation + 1 + number,
            )


def every_minute(cast, start, minutes: int) -> None:
    for minute in range(minutes):
        cast.tick(start + minute * MINUTE)


def unlimited(ada, cast) -> None:
    with cast.on("2026-03-02T11:00"):
        ada.change(daily_cap=8, channels=["sms"])


# GO-01.


@on_sqlite
def test_no_two_reminders_in_a_row_say_the_same(cast, ada):
    unlimited(ada, cast)
    cast.tick(EVENING)
    remind(EVENING + MINUTE, 7)
    every_minute(cast, EVENING + MINUTE, 8)
    said = [message.text for message in cast.sms.taken]
    assert len(said) == 8 and all(one != other for one, other in zip(said, said[1:], strict=False))


# GO-02.


def test_a_number_in_china_gets_no_text_a_third_time(cast, ada):
    unlimited(ada, cast)
    cast.tick(EVENING)
    remind(EVENING + MINUTE, 9)
    every_minute(cast, EVENING + MINUTE, 10)
    said = [message.text for message in cast.sms.taken]
    assert len(said) == 8 and len(set(said)) == 4 and all(said.count(one) == 2 for one in said)
    withheld = [row.withheld_reason for row in rows() if row.withheld_at]
    assert set(withheld) <= {"carrier_same_text", "cap_reached"} and len(withheld) == 2
    kept = rows(SentText)
    assert len(kept) == 8 and {row.number for row in kept} == {texts_sent.digest(ADA)}
    assert ADA not in "".join(str(vars(row)) for row in kept)


@on_sqlite
def test_no_fifth_different_text_in_a_day(cast, ada):
    unlimited(ada, cast)
    cast.tick(EVENING)
    remind(EVENING + MINUTE, 3)
    every_minute(cast, EVENING + MINUTE, 4)
    remind(EVENING + 5 * MINUTE, 2, template="reminder.again")
    every_minute(cast, EVENING + 5 * MINUTE, 3)
    assert len({message.text for message in cast.sms.taken}) == 4 == len(cast.sms.taken)
    assert {row.withheld_reason for row in rows() if row.withheld_at} == {"carrier_texts_a_day"}


@on_sqlite
def test_a_text_that_certainly_did_not_go_is_not_counted(cast, ada):
    cast.sms.script(BAD_NUMBER)
    cast.tick(EVENING)
    assert rows(SentText) == []


@on_sqlite
def test_two_people_with_one_number_share_its_count(cast, ada):
    with cast.on("2026-03-02T11:00"):
        ben = cast.phone("otto", contact={"phone": ADA})
        for phone in (ada, ben):
            phone.change(daily_cap=8, channels=["sms"])
    cast.tick(EVENING)
    remind(EVENING + MINUTE, 7)
    every_minute(cast, EVENING + MINUTE, 9)
    said = [message.text for message in cast.sms.taken]
    assert len(said) == 8 and max(said.count(one) for one in said) == 2


# GO-03.


@on_sqlite
def test_a_carriers_rule_holds_no_message_to_staff_back(cast, ada):
    cast.email = AskableRecordingSender("email", [BAD_NUMBER] * 20)
    cast.tick(EVENING)
    cast.tick(MORNING)
    alert = next(row for row in rows() if row.purpose == "alert")
    remind(MORNING + MINUTE, 8, "digest", template="alert.nurse", recipient=alert.recipient)
    every_minute(cast, MORNING + MINUTE, 12)
    to_noor = [message for message in cast.sms.taken if message.to == NOOR]
    assert len(to_noor) == 9 and not [row for row in rows() if row.purpose == "digest" and row.withheld_at]


# GO-04 and GO-05.


def circuit() -> CircuitState:
    (row,) = rows(CircuitState)
    return row


class Named(RecordingSender):
    """One of several providers."""

    def __init__(self, name: str, outcomes):
        super().__init__("sms", outcomes)
        self.name = name


def many(cast, times: int, **contact) -> None:
    with cast.on("2026-03-02T11:00"):
        for number in range(times):
            cast.enrol(contact={"phone": f"+861390000010{number}", **contact})


def test_a_provider_that_is_out_is_left_alone_and_then_probed(cast):
    many(cast, 8)
    cast.sms.script(*[BUSY] * 6)
    cast.tick(EVENING)
    assert len(cast.sms.asked) == 5 and circuit().opened_at == EVENING
    waiting = [row for row in rows() if row.attempts == 0]
    assert len(waiting) == 3 and {row.due_at for row in waiting} == {circuit().retry_at}
    cast.tick(EVENING + timedelta(seconds=29))
    assert len(cast.sms.asked) == 5
    cast.tick(EVENING + timedelta(seconds=30))  # the probe, which fails
    assert len(cast.sms.asked) == 6 and circuit().retry_at == EVENING + timedelta(seconds=90)
    every_minute(cast, EVENING + timedelta(seconds=90), 3)
    assert circuit().opened_at is None and len(cast.sms.taken) == 8
    assert max(row.attempts for row in rows()) <= 3
    with look(TESTS) as tx:
        told = tx.all(sa.select(Event.action).where(Event.object_type == "circuit").order_by(Event.seq))
    assert told == ["circuit.opened", "circuit.closed"]  # GO-07


@on_sqlite
def test_while_it_is_out_reminders_take_the_next_channel(cast, ada):
    many(cast, 5)
    cast.sms.script(*[BUSY] * 5)
    with cast.on("2026-03-02T11:30"):
        late = cast.phone(contact={"phone": "+8613900000120", "email": "late@example.org"})
        late.change(reminder_hour="19:02")
    cast.tick(EVENING)
    cast.tick(EVENING + timedelta(seconds=20))
    assert circuit().opened_at is not None
    with clock.moved_to(EVENING + MINUTE):
        circuits_open_until = circuit().retry_at
    cast.sms.script(*[BUSY] * 20)
    cast.tick(max(circuits_open_until, EVENING + MINUTE))
    mine = [row for row in rows() if row.subject_id == late.subject_id]
    assert [row.channel for row in mine] == ["email"] and mine[0].accepted_at


def test_an_outage_of_one_provider_does_not_close_the_other(cast):
    """Both carry text messages; the country of the number says which one."""
    many(cast, 7)
    with cast.on("2026-03-02T11:30"):
        cast.phone(contact={"phone": BERLIN}).change(reminder_hour="19:02")
    china, world = Named("china", [BUSY] * 6), Named("world", [])
    cast.sms = routed("sms", {"+86": china, "": world})
    cast.tick(EVENING)
    assert (circuit().provider, circuit().opened_at) == ("china", EVENING)
    cast.tick(at("2026-03-02T19:02"))  # the other takes its message; the probe fails
    assert ([m.to for m in world.taken], len(china.asked)) == ([BERLIN], 6)
    assert (circuit().provider, circuit().opened_at) == ("china", EVENING)
    every_minute(cast, at("2026-03-02T19:03"), 3)
    assert (circuit().opened_at, len(china.taken), len(world.asked)) == (None, 7, 1)


@on_sqlite
def test_what_would_be_stale_before_it_is_back_is_withheld(cast):
    many(cast, 6)
    cast.sms.script(*[BUSY] * 400)
    for minute in range(0, 150, 3):
        cast.tick(EVENING + minute * MINUTE)
    fates = {row.withheld_reason for row in rows() if row.template == "reminder.due"}
    assert fates <= {"circuit_open", "stale"} and "circuit_open" in fates
    assert len(cast.sms.asked) < 60  # it was left alone


def test_four_workers_that_race_hand_one_probe_over(app):
    with begin(TESTS, EVENING) as tx:
        for _ in range(5):
            circuits.note(tx, ("sms", "recording"), well=False)
    start, given = Barrier(4), []

    def race() -> None:
        with app.app_context():
            start.wait()
            with begin(TESTS, EVENING + MINUTE) as tx:
                given.append(circuits.claim_probe(tx, ("sms", "recording")))

    racers = [Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(given) == [False, False, False, True]


# GO-06.


@on_sqlite
def test_a_reminder_that_is_refused_for_good_takes_the_next_channel_once(cast, ada):
    cast.sms.script(BAD_NUMBER)
    every_minute(cast, EVENING, 5)
    (row,) = rows()
    assert ([m.to for m in cast.email.taken], len(cast.sms.asked)) == (["ada@example.org"], 1)
    assert (row.channel, row.failure, row.failed_at) == ("email", "sms bad_number", None) and row.accepted_at


@on_sqlite
def test_a_reminder_that_no_channel_carries_has_failed(cast, ada):
    cast.sms.script(BAD_NUMBER)
    cast.email.script(BAD_NUMBER)
    every_minute(cast, EVENING, 5)
    (row,) = rows()
    assert row.failed_at and (len(cast.sms.asked), len(cast.email.asked)) == (1, 1)


@on_sqlite
@pytest.mark.parametrize("outcome", [TAKEN_UNKNOWN, SendUnknown("timed_out")])
def test_a_reminder_in_doubt_never_takes_the_next_channel(cast, ada, outcome):
    cast.sms = AskableRecordingSender("sms", [outcome])
    every_minute(cast, EVENING, 10)
    assert len(cast.sms.asked) == 1 and cast.email.asked == []


def test_nothing_here_names_a_number_in_the_trail(cast, ada):
    cast.tick(EVENING)
    with look(TESTS) as tx:
        bodies = " ".join(tx.all(sa.select(Event.body)))
    assert ADA not in bodies and trail.INSTALLATION


def test_a_snooze_under_an_id_of_somebody_else_is_refused_and_nothing_breaks(cast):
    with cast.on("2026-03-02T10:00"):
        phones, same = [cast.phone(contact={}) for _ in range(2)], str(uuid4())
    with cast.on("2026-03-02T18:30") as now:
        told = []
        for phone in phones:
            phone.sync()
            path = f"/v1/phone/occurrences/{phone.open_at(now)[0]['id']}/snooze"
            phone.refresh()
            told.append(phone.call("POST", path, {"minutes": 30, "request_id": same}))
    assert [one.status for one in told] == [200, 409] and told[1].body["code"] == "conflict"
