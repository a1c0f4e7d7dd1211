"""What a provider tells us afterwards: late, twice, out of order, forged; and the word that stops all messages.

CB-01  Each call-back adds a fact that is not there yet, and undoes none.
CB-02  Only the provider's signature opens the door, and only the message's own key names a message.
CB-03  What a call-back proves counts even when our own reply was lost.
CB-04  STOP and START are obeyed in the languages of the study, for everybody who has this number.
CB-05  What was not delivered is not at its end while there is another channel; her phone's inbox is one.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import sqlalchemy as sa
from twilio.request_validator import RequestValidator

from epro import clock, trail, worker
from epro.contacts import store
from epro.notifications.models import HeardText, Message
from epro.notifications.senders import SendUnknown
from epro.notifications.senders.in_app import InAppSender
from epro.notifications.senders.recording import TAKEN_UNKNOWN, RecordingSender
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import look, system
from tests.cast import at
from tests.conftest import REHEARSAL

TESTS = system("tests")
ADA, NOOR = "+8613900000001", "+8613800000001"
EVENING, MORNING = at("2026-03-02T19:01"), at("2026-03-03T06:01")
TOKEN, HOST = REHEARSAL["EPRO_TWILIO_AUTH_TOKEN"], REHEARSAL["EPRO_PUBLIC_URL"]
MINUTE = timedelta(minutes=1)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def provider(app):
    """Twilio at our door; `provider(address, **form)` is one signed request."""
    client = app.test_client()

    def post(address: str, *, token: str = TOKEN, when=EVENING, **form: str) -> int:
        signature = RequestValidator(token).compute_signature(address, form)
        path = address.removeprefix(HOST)
        with clock.moved_to(when):
            return client.post(path, data=form, headers={"X-Twilio-Signature": signature}).status_code

    return post


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone()


@pytest.fixture
def sent(cast, ada):
    """A reminder on its way, as the provider saw it."""
    cast.tick(EVENING)
    return cast.sms.taken[0]


def status(provider, message, word: str, *, when=EVENING, **more: str) -> int:
    form = {"MessageSid": "SM1", "MessageStatus": word, **more}
    return provider(message.callback_url, when=when, **form)


def row(purpose: str = "reminder") -> Message:
    with look(TESTS) as tx:
        return tx.one(sa.select(Message).where(Message.purpose == purpose).order_by(Message.due_at))


def actions() -> list[str]:
    with look(TESTS) as tx:
        query = sa.select(Event.action).where(Event.object_type == "message").order_by(Event.seq)
        return [action.partition(".")[2] for action in tx.session.scalars(query)]


# CB-01.


def test_delivery_is_noted_once(provider, sent):
    for word in ("queued", "sent", "delivered", "delivered", "sent"):
        assert status(provider, sent, word, when=EVENING + MINUTE) == 204
    assert row().delivered_at == EVENING + MINUTE
    assert actions() == ["planned", "begun", "accepted", "delivered"]
    assert row().provider_id == f"recorded-{row().id}"  # what the reply said; a call-back does not rename it


@on_sqlite
@pytest.mark.parametrize("order", list(permutations(["sent", "delivered", "read"])), ids=" ".join)
def test_no_order_of_call_backs_matters(provider, sent, order):
    for word in order:
        status(provider, sent, word)
    found = row()
    assert (found.delivered_at, found.failed_at) == (EVENING, None)


@on_sqlite
def test_a_failure_is_noted_with_its_number(provider, cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()  # she has no phone of ours
    cast.tick(EVENING)
    for _ in range(2):
        status(provider, cast.sms.taken[0], "undelivered", ErrorCode="30003")
    assert (row().failure, row().delivered_at) == ("undelivered 30003", None)
    assert actions().count("undelivered") == 1


@on_sqlite
def test_what_was_delivered_has_not_failed(provider, sent):
    status(provider, sent, "delivered")
    status(provider, sent, "failed", ErrorCode="30008")
    assert (row().failed_at, row().failure) == (None, None)


@on_sqlite
@pytest.mark.parametrize("word", ["", "somersault", "delivered; DROP TABLE messages", "DELIVERED" * 100])
def test_a_word_that_nobody_knows_says_no_more_than_that_it_was_taken(provider, sent, word):
    assert status(provider, sent, word) == 204
    assert (row().delivered_at, row().failed_at) == (None, None) and row().accepted_at


def told_the_nurse(cast):
    """The alert about Ada, as the provider of text messages saw it."""
    return next(message for message in cast.sms.asked if message.to == NOOR)


def test_an_alert_that_was_not_delivered_goes_out_by_e_mail_once(provider, cast, ada):
    cast.tick(MORNING)
    for minute in (1, 2, 3):
        status(provider, told_the_nurse(cast), "undelivered", when=MORNING + MINUTE, ErrorCode="30003")
        status(provider, told_the_nurse(cast), "sent", when=MORNING + MINUTE)
        cast.tick(MORNING + minute * MINUTE)
    found = row("alert")
    assert [m.to for m in cast.email.taken] == ["noor@example.org"]
    assert (found.channel, found.failure, found.failed_at) == ("email", "sms undelivered 30003", None)
    assert found.accepted_at == MORNING + MINUTE and found.provider_id == f"recorded-{found.id}"
    assert actions().count("undelivered") == 1


@on_sqlite
def test_an_alert_that_was_not_delivered_and_has_no_other_channel_has_failed(provider, cast, ada):
    with clock.moved_to(MORNING):
        worker.attend()
        store.keep(trail.INSTALLATION, row("alert").recipient, {"email": None}, MORNING)
    cast.tick(MORNING)
    status(provider, told_the_nurse(cast), "undelivered", when=MORNING + MINUTE, ErrorCode="30003")
    for minute in (1, 2, 3):
        cast.tick(MORNING + minute * MINUTE)
    assert (row("alert").failure, len(cast.sms.asked)) == ("sms undelivered 30003", 1)
    assert row("alert").failed_at == MORNING + MINUTE


@on_sqlite
def test_the_fate_of_a_text_message_says_nothing_of_the_e_mail_after_it(provider, cast, ada):
    cast.sms.script(TAKEN_UNKNOWN)
    cast.email.script(SendUnknown("cut"))
    cast.tick(MORNING)
    cast.tick(MORNING + MINUTE)
    for word in ("undelivered", "sent"):
        status(provider, told_the_nurse(cast), word, when=MORNING + MINUTE)
    assert (row("alert").accepted_at, row("alert").failure) == (None, "sms undelivered")
    for minute in (2, 3, 4):
        cast.tick(MORNING + minute * MINUTE)
    assert (len(cast.sms.asked), len(cast.email.taken)) == (1, 1) and row("alert").accepted_at


def every_minute(cast, start, minutes: int) -> None:
    """Strikes with all channels that the worker has."""
    for minute in range(minutes):
        with clock.moved_to(start + minute * MINUTE):
            worker.tick({"sms": cast.sms, "email": cast.email, "app": InAppSender()})


def waits_in_app(phone, when) -> list[str]:
    with clock.moved_to(when):
        phone.refresh()
        return [one["id"] for one in phone.speak("GET", "/v1/phone/messages", None)["messages"]]


def test_a_reminder_that_was_not_delivered_waits_on_her_phone_once(provider, cast, ada):
    every_minute(cast, EVENING, 1)
    for minute in (1, 2, 3):
        status(provider, cast.sms.taken[0], "undelivered", when=EVENING + minute * MINUTE, ErrorCode="30003")
        every_minute(cast, EVENING + minute * MINUTE, 1)
    found = row()
    assert (found.channel, found.failure, found.failed_at) == ("app", "sms undelivered 30003", None)
    assert waits_in_app(ada, EVENING + 4 * MINUTE) == [str(found.id)]
    assert (len(cast.sms.asked), actions().count("undelivered")) == (1, 1)


@on_sqlite
def test_a_reminder_that_was_not_delivered_goes_by_e_mail_before_it_waits_on_her_phone(provider, cast):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone(contact={"phone": ADA, "email": "ada@example.org"})
    every_minute(cast, EVENING, 1)
    status(provider, cast.sms.taken[0], "failed", when=EVENING + MINUTE)
    every_minute(cast, EVENING + MINUTE, 3)
    assert ([m.to for m in cast.email.taken], row().channel) == (["ada@example.org"], "email")
    assert waits_in_app(ada, EVENING + 4 * MINUTE) == []


@on_sqlite
@pytest.mark.parametrize("why", ["her phone was revoked", "it is too late"])
def test_a_reminder_that_was_not_delivered_and_can_go_nowhere_has_failed(provider, cast, ada, why):
    every_minute(cast, EVENING, 1)
    told_at = row().expires_at if why == "it is too late" else EVENING + MINUTE
    if told_at == EVENING + MINUTE:
        with clock.moved_to(EVENING):
            noor, of = cast.staff("noor"), f"/v1/site/participants/{ada.subject_id}"
            device = noor.timeline(ada.subject_id)["devices"][0]["id"]
            noor.must("POST", f"{of}/devices/{device}/revocation", {"reason": "lost"})
    status(provider, cast.sms.taken[0], "undelivered", when=told_at, ErrorCode="30003")
    every_minute(cast, told_at, 1)
    assert (row().channel, row().failure, row().failed_at) == ("sms", "undelivered 30003", told_at)


# CB-02.


@on_sqlite
def test_a_call_back_without_the_providers_signature_changes_nothing(provider, sent, app):
    assert provider(sent.callback_url, token="another", MessageStatus="delivered") == 403
    path = sent.callback_url.removeprefix(HOST)
    assert app.test_client().post(path, data={"MessageStatus": "delivered"}).status_code == 403
    assert row().delivered_at is None


def test_a_wrong_key_or_message_is_passed_over(provider, sent):
    right = urlsplit(sent.callback_url)
    ours, key = (part.partition("=")[2] for part in right.query.split("&"))
    other = "0d9a3c4e-2a57-4b86-9e0f-5f3d6c1b7a90"
    for query in (
        f"message={ours}&key=wrong",
        f"message={ours}&key=",
        f"message={ours}",
        f"message={other}&key={key}",
        "message=&key=",
        f"message=x&key={key}",
        f"message={ours}&key=%E8%BE%93",
    ):
        assert provider(f"{HOST}/hooks/twilio/status?{query}", MessageStatus="delivered") == 204
    assert row().delivered_at is None


@on_sqlite
def test_a_message_that_was_not_begun_has_no_fate(provider, cast, ada):
    with clock.moved_to(EVENING):
        worker.attend()
    planned = row()
    address = f"{HOST}/hooks/twilio/status?message={planned.id}&key={planned.callback_secret}"
    assert provider(address, MessageStatus="delivered") == 204
    assert (row().delivered_at, row().accepted_at) == (None, None)
    cast.tick(EVENING)
    assert len(cast.sms.taken) == 1


# CB-03.


class EarlySender(RecordingSender):
    """Its provider calls back before it answers us; then perhaps the answer is lost."""

    def __init__(self, provider, outcomes=()):
        super().__init__("sms", outcomes)
        self.provider = provider

    def send(self, message) -> str:
        status(self.provider, message, "delivered")
        return super().send(message)


def test_a_call_back_before_our_own_note(provider, cast, ada):
    cast.sms = EarlySender(provider)
    cast.tick(EVENING)
    found = row()
    assert (found.provider_id, found.delivered_at, found.lease_until) == ("SM1", EVENING, None)
    assert actions() == ["planned", "begun", "accepted", "delivered"]


@on_sqlite
@pytest.mark.parametrize(("purpose", "when"), [("reminder", EVENING), ("alert", MORNING)])
def test_a_call_back_outweighs_a_lost_reply(provider, cast, ada, purpose, when):
    cast.sms = EarlySender(provider, [TAKEN_UNKNOWN])
    for minute in range(5):
        cast.tick(when + minute * MINUTE)
    assert (len(cast.sms.asked), cast.email.asked) == (1, [])
    assert (row(purpose).unknown_at, row(purpose).lease_until) == (None, None) and row(purpose).delivered_at


def test_a_call_back_settles_what_was_in_doubt(provider, cast, ada):
    cast.sms.script(TAKEN_UNKNOWN)
    cast.tick(EVENING)
    status(provider, cast.sms.asked[0], "sent", when=EVENING + MINUTE / 2)
    for minute in (1, 2, 5):
        cast.tick(EVENING + minute * MINUTE)
    found = row()
    assert (found.accepted_at, found.unknown_at) == (EVENING + MINUTE / 2, None)
    assert len(cast.sms.asked) == 1


@on_sqlite
def test_a_call_back_after_it_was_called_unknown_still_counts(provider, cast, ada):
    cast.sms.script(TAKEN_UNKNOWN)
    for minute in (0, 2, 4):
        cast.tick(EVENING + minute * MINUTE)
    assert row().unknown_at
    status(provider, cast.sms.asked[0], "delivered", when=EVENING + timedelta(hours=3))
    assert row().delivered_at == EVENING + timedelta(hours=3)


# What the phone says it has shown.


@on_sqlite
def test_what_the_phone_has_shown_is_noted_once_and_only_hers(cast, ada, sent):
    with clock.moved_to(EVENING):
        ben = cast.phone(contact={})
        shown = {"notifications": [str(row().id)]}
        asked = [
            phone.speak("POST", "/v1/phone/confirmations", shown)["confirmed"] for phone in (ben, ada, ada)
        ]
    assert (asked, row().shown_at) == ([0, 1, 0], EVENING)


# CB-04.


def text(provider, word: str, number: str = ADA, sid: str | None = None) -> int:
    """A text message from her, a new one unless `sid` names an old one."""
    sid = f"SM{uuid4().hex}" if sid is None else sid
    return provider(f"{HOST}/hooks/twilio/inbound", From=number, Body=word, MessageSid=sid)


def wants_messages(subject_id: str = "01-001") -> bool:
    with look(TESTS) as tx:
        return tx.get(Participant, "diary", subject_id).opted_out_at is None


@on_sqlite
@pytest.mark.parametrize(
    "word", ["STOP", " stop\n", "Unsubscribe", "退订", "TD", "t", "CANCEL", "end", "Quit"]
)
def test_a_word_that_stops(provider, cast, ada, word):
    assert text(provider, word) == 200
    assert not wants_messages()
    cast.tick(EVENING)
    assert (cast.sms.asked, row().withheld_reason) == ([], "opted_out")


@on_sqlite
@pytest.mark.parametrize("word", ["", "stop it please", "don't stop", "停", "no", "STOP\x00", "7"])
def test_other_words_are_passed_over(provider, ada, word):
    assert text(provider, word) == 200
    assert wants_messages()


@pytest.mark.parametrize("word", ["START", "恢复"])
def test_a_word_that_starts_again(provider, cast, ada, word):
    for one in ("退订", "STOP", word, word):
        text(provider, one)
    assert wants_messages()
    cast.tick(EVENING)
    assert len(cast.sms.taken) == 1
    with look(TESTS) as tx:
        done = list(
            tx.session.scalars(sa.select(Event.action).where(Event.action.like("participant.opted%")))
        )
    assert sorted(done) == ["participant.opted_in", "participant.opted_out"]


def test_an_old_message_sent_again_undoes_nothing(provider, ada):
    """Its signature is as good as on its day: who has a copy could turn her messages on again."""
    text(provider, "STOP")
    text(provider, "START", sid="SM1")
    assert wants_messages()
    text(provider, "STOP")
    assert text(provider, "START", sid="SM1") == 200
    assert not wants_messages()
    with look(TESTS) as tx:
        assert "SM1" not in str(tx.all(sa.select(HeardText.digest)))


@on_sqlite
def test_a_message_that_cannot_be_told_from_an_old_one_only_stops(provider, ada):
    for word in ("STOP", "START", "STOP"):
        text(provider, word, sid="")
    assert not wants_messages()


@on_sqlite
def test_everybody_with_this_number_is_meant_and_nobody_else(provider, cast, ada):
    with clock.moved_to(EVENING):
        cast.enrol()  # somebody of the same household
        cast.enrol(contact={"phone": "+8613900000002"})
    text(provider, "STOP")
    assert [wants_messages(f"01-00{n}") for n in (1, 2, 3)] == [False, False, True]


@on_sqlite
@pytest.mark.parametrize("number", ["+8613900000009", "", "anonymous", "退订", NOOR])
def test_a_number_of_nobody_or_of_the_staff_changes_nothing(provider, cast, ada, number):
    assert text(provider, "STOP", number) == 200
    assert wants_messages()
    cast.tick(MORNING)
    assert NOOR in [message.to for message in cast.sms.taken]


@on_sqlite
def test_the_answer_is_silence(provider, ada, app):
    form = {"From": ADA, "Body": "STOP"}
    signature = RequestValidator(TOKEN).compute_signature(f"{HOST}/hooks/twilio/inbound", form)
    reply = app.test_client().post(
        "/hooks/twilio/inbound", data=form, headers={"X-Twilio-Signature": signature}
    )
    assert reply.text == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
