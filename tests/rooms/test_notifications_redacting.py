"""Texts do not stay with the provider: taken out a day later, asked for again where that fails.

RD-01  Every text that Twilio has taken is taken out of its record, none before a day has passed.
RD-02  A refusal or a silence leaves the note: it is asked for again. What is gone already is done.
RD-03  A message that Twilio refuses for itself keeps no other back; a provider that is out is let alone.
RD-04  Texts that it keeps failing on have their turn after all others: none waits for ever behind them.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from epro import worker
from epro.notifications import redacting
from epro.notifications.models import TextAtProvider
from epro.notifications.senders import SendUnknown
from epro.notifications.senders.recording import RecordingSender
from epro.notifications.senders.routing import routed
from epro.notifications.senders.twilio import TwilioSender
from epro.tx import begin, look, system
from tests.cast import at
from tests.fakes.twilio_server import ACCOUNT_SID, AUTH_TOKEN, TwilioServer

TESTS = system("tests")
SENT = at("2026-03-02T19:01")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def twilio():
    with TwilioServer(now=lambda: SENT) as server:
        yield server


def sms(server):
    return TwilioSender(
        ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100", base_url=server.url, timeout=(1.0, 0.5)
    )


def noted() -> list[str]:
    with look(TESTS) as tx:
        return sorted(tx.all(sa.select(TextAtProvider.provider_id)))


def take(server, *numbers: str) -> list[str]:
    """Messages that the provider has taken, as the sending room notes them."""
    sids = sorted(server.take({"To": number, "Body": "a text"}).sid for number in numbers)
    with begin(TESTS, SENT) as tx:
        for sid in (*sids, *sids, "recorded-1"):  # a call-back tells it once more
            redacting.note(tx, sid)
    return sids


def after(days: float) -> dict:
    return {"now": SENT + timedelta(days=days)}


def test_a_text_that_was_sent_is_taken_out_a_day_later(cast, twilio):
    senders = {"sms": sms(twilio)}
    with cast.on("2026-03-02T10:00"):
        cast.phone(contact={"phone": "+8613900000001"})
    worker.tick(senders, SENT)
    (taken,) = twilio.messages
    assert taken.body and noted() == [taken.sid]
    assert redacting.redact_due(senders, SENT + timedelta(hours=23)) == 0 and taken.body
    assert redacting.redact_due(senders, SENT + timedelta(days=1)) == 1
    assert taken.body == "" and noted() == []
    count = len(twilio.requests)
    assert redacting.redact_due(senders, SENT + timedelta(days=2)) == 0 and len(twilio.requests) == count


@on_sqlite
def test_what_fails_is_asked_for_again(app, twilio, caplog):
    first, second, third = take(twilio, *("+8613900000001",) * 3)
    senders = {"sms": sms(twilio)}
    twilio.script_updates("503", "accept", "429")
    assert redacting.redact_due(senders, **after(1)) == 1 and noted() == [first, third]
    assert redacting.redact_due(senders, **after(1.1)) == 2 and noted() == []
    assert {one.body for one in twilio.messages} == {""}
    with begin(TESTS, SENT) as tx:
        redacting.note(tx, first)
    twilio.messages.clear()
    assert redacting.redact_due(senders, **after(2)) == 1 and noted() == [], "gone there is gone"
    assert "a text" not in caplog.text and "139" not in caplog.text


@on_sqlite
def test_one_that_is_refused_for_itself_keeps_no_other_back(app, twilio, caplog):
    sids = take(twilio, *("+8613900000001",) * 8)
    twilio.script_updates(*["400:20009"] * 7)
    assert redacting.redact_due({"sms": sms(twilio)}, **after(1)) == 1 and len(noted()) == 7
    twilio.script_updates(*["503"] * 7)
    count = len(twilio.requests)
    assert redacting.redact_due({"sms": sms(twilio)}, **after(8)) == 0
    assert len(twilio.requests) - count == redacting.MOST_FAULTS
    assert [record.count for record in caplog.records if record.msg == "texts still at the provider"] == [7]
    assert set(noted()) < set(sids)


def test_those_that_always_fail_let_the_others_have_their_turn(app, twilio):  # RD-04
    sids = take(twilio, *("+8613900000001",) * 12)
    stuck = set(sids[:7])  # in the order of asking the first of all
    sender, asked = sms(twilio), list[str]()

    class Stubborn:
        keeps = sender.keeps

        def redact(self, sid: str) -> None:
            asked.append(sid)
            if sid in stuck:
                raise SendUnknown("http_500")
            sender.redact(sid)

    senders = {"sms": Stubborn()}
    assert redacting.redact_due(senders, **after(1)) == 0 and asked == sids[:5]
    assert redacting.redact_due(senders, **after(1.1)) == 5 and set(noted()) == stuck
    asked.clear()
    assert redacting.redact_due(senders, **after(1.2)) == 0 and len(asked) == redacting.MOST_FAULTS
    assert asked == [*sids[:5]]  # longest ago


@on_sqlite
def test_without_the_provider_the_note_waits(app, twilio):
    (sid,) = take(twilio, "+14155550100")
    assert redacting.redact_due({"sms": RecordingSender("sms")}, **after(1)) == 0 and noted() == [sid]
    assert redacting.redact_due({}, **after(1)) == 0 and noted() == [sid]
    elsewhere = routed("sms", {"+86": RecordingSender("sms"), "": RecordingSender("sms")})
    assert redacting.redact_due({"sms": elsewhere}, **after(1)) == 0 and noted() == [sid]
    others = routed("sms", {"+86": RecordingSender("sms"), "": sms(twilio)})
    assert redacting.redact_due({"sms": others}, **after(1.1)) == 1 and noted() == []
