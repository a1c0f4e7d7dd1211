"""The outside edge of notifications, against providers on loopback.

Twilio is reached with its real SDK, e-mail with a real connection. What is shown: each answer of a
provider means one of three things (taken, certainly not taken, unknown), a message is handed over exactly
once, and neither recipient nor text gets into a log, an exception or a repr.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import pytest

from epro.notifications.senders import Askable, Outgoing, SendFailed, SendUnknown
from epro.notifications.senders.build import build, faults
from epro.notifications.senders.console import ConsoleSender, masked
from epro.notifications.senders.recording import TAKEN_UNKNOWN, AskableRecordingSender, RecordingSender
from epro.notifications.senders.smtp import SmtpSender
from epro.notifications.senders.twilio import TwilioSender, validity_seconds
from epro.notifications.signatures import valid_twilio
from tests.fakes import twilio_server as fake
from tests.fakes.certificate import made_for_localhost
from tests.fakes.smtp_server import SmtpServer
from tests.fakes.twilio_server import ACCOUNT_SID, AUTH_TOKEN, TwilioServer

NUMBER, BOX, TEXT = "+8613800138000", "ada.canary@example.org", "我的每日记录：有一项内容等您填写。"
SECRET_URL = "https://epro.example.org/hooks/twilio/a-secret-of-this-message"
ID = UUID("6f1c7b0e-3b57-4a64-9f0a-6a1d0a5b9e11")
T0 = datetime(2026, 3, 27, 9, 0, tzinfo=UTC)
OURS = "https://epro.example.org"


def outgoing(to=NUMBER, text=TEXT, **more):
    asked = {
        "message_id": ID,
        "to": to,
        "text": text,
        "subject": "来自我的每日记录的提醒",
        "language": "zh-CN",
        "valid_for": timedelta(hours=1),
        "callback_url": SECRET_URL,
    } | more
    return Outgoing(**asked)


@pytest.fixture
def twilio():
    with TwilioServer(now=lambda: T0) as server:
        yield server


def sms(server, **more):
    asked = {"from_number": "+12025550100", "base_url": server.url, "timeout": (1.0, 0.5)} | more
    return TwilioSender(ACCOUNT_SID, AUTH_TOKEN, **asked)


def email(server, **more):
    return SmtpSender(
        "127.0.0.1",
        "My Daily Entries <notes@epro.example.org>",
        **{"port": server.port, "tls": "none", "timeout": 0.5} | more,
    )


def outcome(sender, message):
    """What a caller learns: ("taken", id), ("failed", code, permanent) or ("unknown", code)."""
    try:
        return "taken", sender.send(message)
    except SendFailed as failed:
        return "failed", failed.code, failed.permanent
    except SendUnknown as unknown:
        return "unknown", unknown.code


@contextmanager
def nobody_listening():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, so that no other takes it; not listening, so that it refuses
        yield held.getsockname()[1]


# ── Twilio: what it is asked ──


def test_a_taken_message_returns_twilios_id(twilio):
    assert outcome(sms(twilio), outgoing()) == ("taken", twilio.messages[0].sid)
    assert twilio.posts[0].form == {
        "To": NUMBER,
        "From": "+12025550100",
        "Body": TEXT,
        "StatusCallback": SECRET_URL,
        "ValidityPeriod": "3600",
    }


def test_a_messaging_service_takes_the_place_of_the_number(twilio):
    sms(twilio, from_number=None, messaging_service_sid="MG1").send(outgoing(callback_url=None))
    form = twilio.posts[0].form
    assert form["MessagingServiceSid"] == "MG1" and not {"From", "StatusCallback"} & set(form)


@pytest.mark.parametrize(
    "valid_for, seconds",
    [
        (timedelta(0), 1),
        (timedelta(seconds=-5), 1),
        (timedelta(seconds=1.9), 1),
        (timedelta(hours=1), 3600),
        (timedelta(hours=10), 36_000),
        (timedelta(days=2), 36_000),
    ],
)
def test_a_message_is_dropped_by_the_provider_when_it_is_no_longer_useful(valid_for, seconds):
    assert validity_seconds(valid_for) == seconds


def test_a_sender_without_a_number_is_refused():
    with pytest.raises(ValueError, match="from number"):
        TwilioSender(ACCOUNT_SID, AUTH_TOKEN)


# ── Twilio: what its answers mean ──


@pytest.mark.parametrize(
    "behaviour, learnt, delivered",
    [
        ("400:21211", ("failed", "bad_number", True), 0),
        ("400:21614", ("failed", "bad_number", True), 0),
        ("400:21610", ("failed", "opted_out", True), 0),
        ("400:21408", ("failed", "region_closed", True), 0),
        ("400:60220", ("failed", "region_closed", True), 0),
        ("400:21606", ("failed", "refused", False), 0),
        ("401", ("failed", "credentials", False), 0),
        ("403", ("failed", "credentials", False), 0),
        ("429", ("failed", "busy", False), 0),
        ("redirect", ("failed", "refused", False), 0),
        ("500", ("unknown", "http_500"), 0),
        ("503", ("unknown", "http_503"), 0),
        ("reset", ("unknown", "cut"), 0),
        ("hang", ("unknown", "timed_out"), 0),
        ("accept_then_500", ("unknown", "http_500"), 1),
        ("accept_then_reset", ("unknown", "cut"), 1),
        ("accept_then_hang", ("unknown", "timed_out"), 1),
        ("accept_slowly", ("unknown", "timed_out"), 1),
        ("accept_unreadable", ("unknown", "unreadable"), 1),
    ],
)
def test_each_answer_of_twilio_means_one_thing_and_is_asked_for_once(twilio, behaviour, learnt, delivered):
    twilio.slow_seconds = 2.0
    twilio.script(behaviour)
    assert outcome(sms(twilio), outgoing()) == learnt
    assert (len(twilio.posts), len(twilio.messages)) == (1, delivered)


def test_a_wrong_token_is_our_fault_and_not_the_numbers(twilio):
    sender = TwilioSender(ACCOUNT_SID, "another", from_number="+12025550100", base_url=twilio.url)
    assert outcome(sender, outgoing()) == ("failed", "credentials", False)
    assert not twilio.posts[0].authorized and not twilio.messages


def test_a_refusal_keeps_twilios_number_for_the_operator(twilio):
    twilio.script("400:21610")
    with pytest.raises(SendFailed) as refused:
        sms(twilio).send(outgoing())
    assert (refused.value.detail, str(refused.value)) == ("21610", "opted_out (21610)")


def test_where_nobody_listens_nothing_was_sent():
    with nobody_listening() as port:
        sender = TwilioSender(
            ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100", base_url=f"http://127.0.0.1:{port}"
        )
        assert outcome(sender, outgoing()) == ("failed", "unreachable", False)


def test_a_name_that_does_not_exist_means_nothing_was_sent():
    sender = TwilioSender(
        ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100", base_url="https://api.does-not-exist.invalid"
    )
    assert outcome(sender, outgoing()) == ("failed", "unreachable", False)


def test_a_certificate_that_is_not_trusted_means_nothing_was_sent(certificate):
    with listening_with(certificate) as port:
        sender = TwilioSender(
            ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100", base_url=f"https://localhost:{port}"
        )
        assert outcome(sender, outgoing()) == ("failed", "tls", False)


def test_a_proxy_that_does_not_answer_means_nothing_was_sent(monkeypatch):
    with nobody_listening() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        sender = TwilioSender(ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100")
        assert outcome(sender, outgoing()) == ("failed", "unreachable", False)


def test_each_message_has_its_own_connection(twilio):
    sender = sms(twilio)
    twilio.script("accept", "accept_then_reset", "accept")
    assert [outcome(sender, outgoing())[0] for _ in range(3)] == ["taken", "unknown", "taken"]
    assert len(twilio.posts) == 3


def test_a_behaviour_may_belong_to_one_number(twilio):
    twilio.script_for("+8613800138001", "400:21610")
    assert outcome(sms(twilio), outgoing())[0] == "taken"
    assert outcome(sms(twilio), outgoing(to="+8613800138001")) == ("failed", "opted_out", True)


# ── Twilio: asking afterwards ──


@pytest.mark.parametrize(
    "lost", ["accept_then_reset", "accept_then_500", "accept_then_hang", "accept_unreadable"]
)
def test_a_message_that_was_taken_is_found_afterwards(twilio, lost):
    twilio.script(lost)
    assert outcome(sms(twilio), outgoing())[0] == "unknown"
    assert sms(twilio).find(outgoing(), T0) == twilio.messages[0].sid


@pytest.mark.parametrize("lost", ["reset", "500", "hang"])
def test_a_message_that_was_not_taken_is_not_found(twilio, lost):
    twilio.script(lost)
    assert outcome(sms(twilio), outgoing())[0] == "unknown"
    assert sms(twilio).find(outgoing(), T0) is None


def test_only_this_text_to_this_number_since_then_counts(twilio):
    sender = sms(twilio)
    sender.send(outgoing(text="another text"))
    sender.send(outgoing(to="+8613800138001"))
    twilio.receive_inbound("+8613800138009", NUMBER, TEXT)
    assert sender.find(outgoing(), T0) is None
    sender.send(outgoing())
    assert sender.find(outgoing(), T0) and sender.find(outgoing(), T0 + timedelta(minutes=1))
    assert sender.find(outgoing(), T0 + timedelta(minutes=2)) is None


def test_a_message_still_queued_is_found_although_twilios_date_filter_would_miss_it(twilio):
    sms(twilio).send(outgoing())
    assert twilio.listed({"To": NUMBER, "DateSent>": "2026-03-26"}) == []
    assert sms(twilio).find(outgoing(), T0)


def test_a_registered_signature_around_the_text_does_not_hide_it(twilio):
    sms(twilio).send(outgoing())
    twilio.messages[0].body = f"【记录】{TEXT}"
    assert sms(twilio).find(outgoing(), T0)


def test_not_being_able_to_ask_is_not_a_no():
    with nobody_listening() as port:
        sender = TwilioSender(
            ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100", base_url=f"http://127.0.0.1:{port}"
        )
        with pytest.raises(SendUnknown):
            sender.find(outgoing(), T0)


def test_being_refused_while_asking_is_not_a_no_either(twilio):
    sender = TwilioSender(ACCOUNT_SID, "another", from_number="+12025550100", base_url=twilio.url)
    with pytest.raises(SendUnknown):
        sender.find(outgoing(), T0)


def test_the_fake_pages_its_list_as_twilio_does(twilio):
    sender = sms(twilio)
    for number in range(5):
        sender.send(outgoing(text=f"text {number}"))
    with sender._client() as client:
        listed = client.messages.list(to=NUMBER, page_size=2)
    assert [m.body for m in listed] == [f"text {n}" for n in (4, 3, 2, 1, 0)]
    assert [r.query.get("Page", "0") for r in twilio.requests if r.method == "GET"] == ["0", "1", "2"]


# ── the fake as a process ──


def test_the_fake_runs_as_a_process_and_its_log_outlives_it(tmp_path):
    log = tmp_path / "accepted.jsonl"
    command = [
        sys.executable,
        "-m",
        "tests.fakes.twilio_server",
        "--log",
        str(log),
        "--script",
        "accept,400:21211,accept_then_reset",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().split()[-1]
        sender = TwilioSender(
            ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100", base_url=f"http://127.0.0.1:{port}"
        )
        learnt = [outcome(sender, outgoing(text=f"text {n}"))[0] for n in range(3)]
    finally:
        process.kill()
        process.communicate()
    kept = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert learnt == ["taken", "failed", "unknown"]
    assert [(line["to"], line["body"]) for line in kept] == [(NUMBER, "text 0"), (NUMBER, "text 2")]


def test_the_fake_knows_no_behaviour_that_does_not_exist(twilio):
    with pytest.raises(ValueError):
        twilio.script("acept")


# ── e-mail ──


@pytest.fixture
def mail():
    with SmtpServer() as server:
        yield server


def test_a_taken_letter_says_what_it_should_and_nothing_else(mail):
    learnt = outcome(email(mail, now=lambda: T0), outgoing(to=BOX))
    letter = mail.letters[0]
    assert learnt == ("taken", f"<{ID}@epro.example.org>")
    assert (letter.mail_from, letter.rcpt_tos) == ("notes@epro.example.org", (BOX,))
    assert letter.message["Subject"] == "来自我的每日记录的提醒"
    assert letter.message["Date"].datetime == T0
    assert letter.message.get_content_type() == "text/plain"
    assert letter.message.get_content().strip() == TEXT


def test_a_letter_sent_again_carries_the_same_id(mail):
    sender = email(mail)
    mail.script("accept_then_cut")
    outcome(sender, outgoing(to=BOX)), outcome(sender, outgoing(to=BOX))
    assert {letter.message["Message-ID"] for letter in mail.letters} == {f"<{ID}@epro.example.org>"}


@pytest.mark.parametrize(
    "behaviour, learnt, delivered",
    [
        ("rcpt:550 5.1.1 unknown", ("failed", "bad_address", True), 0),
        ("rcpt:550 unknown", ("failed", "bad_address", True), 0),
        ("rcpt:550 5.7.1 relaying denied", ("failed", "refused", True), 0),
        ("rcpt:450 4.2.1 later", ("failed", "busy", False), 0),
        ("rcpt:530 5.7.0 sign in", ("failed", "credentials", False), 0),
        ("mail:451 later", ("failed", "busy", False), 0),
        ("mail:553 5.1.8 not you", ("failed", "sender_refused", False), 0),
        ("data:554 5.7.1 no", ("failed", "refused", True), 0),
        ("data:452 4.3.1 full", ("failed", "busy", False), 0),
        ("cut_early", ("failed", "unreachable", False), 0),
        ("cut", ("unknown", "cut"), 0),
        ("hang", ("unknown", "timed_out"), 0),
        ("accept_then_cut", ("unknown", "cut"), 1),
        ("accept_then_hang", ("unknown", "timed_out"), 1),
    ],
)
def test_each_answer_of_a_mail_server_means_one_thing_and_is_asked_for_once(
    mail, behaviour, learnt, delivered
):
    mail.script(behaviour)
    assert outcome(email(mail), outgoing(to=BOX)) == learnt
    assert (mail.attempts, len(mail.letters)) == (1, delivered)


def test_where_no_mail_server_listens_nothing_was_sent():
    with nobody_listening() as port:
        sender = SmtpSender("127.0.0.1", "notes@epro.example.org", port=port, tls="none")
        assert outcome(sender, outgoing(to=BOX)) == ("failed", "unreachable", False)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "a@b@c",
        "a@b.org,c@d.org",
        "Ada <a@b.org>",
        "a@b.org\r\nRCPT TO:<c@d>",
        "a b@c.org",
        "阿达@example.org",
        "a@b.org;c@d.org",
        "a@b.org\n",
    ],
)
def test_what_is_not_one_plain_address_never_reaches_the_server(mail, address):
    assert outcome(email(mail), outgoing(to=address)) == ("failed", "bad_address", True)
    assert mail.attempts == 0


def test_a_subject_cannot_add_a_header(mail):
    email(mail).send(outgoing(to=BOX, subject="hello\r\nBcc: otto@example.org"))
    assert mail.letters[0].message["Bcc"] is None and mail.letters[0].rcpt_tos == (BOX,)
    assert mail.letters[0].message["Subject"] == "hello Bcc: otto@example.org"


def test_a_text_that_cannot_be_written_is_refused_before_it_is_sent(mail):
    with pytest.raises(SendFailed) as refused:
        email(mail).send(outgoing(to=BOX, text=TEXT + "\ud800"))
    assert mail.attempts == 0 and clean(everything_about(refused.value))


def test_a_line_with_a_single_dot_does_not_end_the_letter(mail):
    text = "first\n.\nsecond\nQUIT"
    assert outcome(email(mail), outgoing(to=BOX, text=text))[0] == "taken"
    assert mail.letters[0].message.get_content().splitlines() == text.splitlines()


# ── e-mail, encrypted ──


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(server side, client side that trusts it): a certificate for localhost, made for this run."""
    path = made_for_localhost(tmp_path_factory.mktemp("tls"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


@contextmanager
def listening_with(certificate):
    """A port that speaks TLS with this certificate and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands():
            with suppress(OSError):  # the other side hangs up on seeing the certificate: as it should
                certificate[0].wrap_socket(listener.accept()[0], server_side=True).close()

        thread = threading.Thread(target=shake_hands, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize("tls", ["starttls", "ssl"])
def test_an_encrypted_letter_with_a_password(certificate, tls):
    server_side, client_side = certificate
    with SmtpServer(certificate=server_side, implicit_tls=tls == "ssl", users={"epro": "right"}) as mail:
        more = {"port": mail.port, "tls": tls, "user": "epro", "context": client_side, "timeout": 5.0}
        sender = SmtpSender("localhost", "notes@epro.example.org", password="right", **more)
        assert outcome(sender, outgoing(to=BOX))[0] == "taken"
        assert mail.letters[0].encrypted and mail.letters[0].signed_in
        wrong = SmtpSender("localhost", "notes@epro.example.org", password="wrong", **more)
        assert outcome(wrong, outgoing(to=BOX)) == ("failed", "credentials", False)
        assert len(mail.letters) == 1


@pytest.mark.parametrize("tls", ["starttls", "ssl"])
def test_a_certificate_that_is_not_trusted_gets_no_letter(certificate, tls):
    with SmtpServer(certificate=certificate[0], implicit_tls=tls == "ssl") as mail:
        sender = SmtpSender("localhost", "notes@epro.example.org", port=mail.port, tls=tls, timeout=5.0)
        assert outcome(sender, outgoing(to=BOX)) == ("failed", "tls", False)
        assert mail.attempts == 0


def test_a_server_that_offers_no_encryption_gets_no_letter(mail):
    assert outcome(email(mail, tls="starttls"), outgoing(to=BOX)) == ("failed", "not_supported", False)
    assert mail.attempts == 0


# ── console and recording ──


def test_the_console_shows_the_text_and_hides_the_recipient():
    out = io.StringIO()
    assert ConsoleSender("sms", out).send(outgoing()) == f"console-{ID}"
    assert TEXT in out.getvalue() and NUMBER not in out.getvalue()
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize("to, shown", [(NUMBER, "•••00"), ("a@b.c", "•••.c"), ("110", "•••"), ("", "•••")])
def test_a_masked_recipient(to, shown):
    assert masked(to) == shown


def test_the_console_prints_to_standard_output(capsys):
    ConsoleSender("email").send(outgoing(to=BOX))
    assert "email to •••rg" in capsys.readouterr().out


def test_a_recording_sender_plays_its_script_and_then_takes_everything():
    sender = RecordingSender(
        "sms", [SendFailed("busy", permanent=False), TAKEN_UNKNOWN, SendUnknown("cut"), None]
    )
    sender.script(SendFailed("opted_out", permanent=True))
    learnt = [outcome(sender, outgoing())[:2] for _ in range(6)]
    assert learnt == [
        ("failed", "busy"),
        ("unknown", "timed_out"),
        ("unknown", "cut"),
        ("taken", f"recorded-{ID}"),
        ("failed", "opted_out"),
        ("taken", f"recorded-{ID}"),
    ]
    assert (len(sender.asked), len(sender.taken)) == (6, 3)


def test_a_recording_provider_can_be_asked():
    sender = AskableRecordingSender("sms", [TAKEN_UNKNOWN])
    assert outcome(sender, outgoing())[0] == "unknown"
    assert sender.find(outgoing(), T0) == f"recorded-{ID}"
    assert sender.find(outgoing(message_id=UUID(int=1)), T0) is None
    sender.reachable = False
    with pytest.raises(SendUnknown):
        sender.find(outgoing(), T0)


def test_which_senders_can_be_asked(twilio, mail):
    assert [
        isinstance(s, Askable)
        for s in (
            sms(twilio),
            AskableRecordingSender("sms"),
            email(mail),
            RecordingSender("sms"),
            ConsoleSender("sms"),
        )
    ] == [True, True, False, False, False]


# ── from settings ──

TWILIO = {
    "SMS_SENDER": "twilio",
    "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "TWILIO_FROM": "+12025550100",
}
SMTP = {"EMAIL_SENDER": "smtp", "SMTP_HOST": "mail.example.org", "SMTP_FROM": "notes@example.org"}


def test_no_settings_no_senders():
    assert build({}) == {} and build({"SMS_SENDER": None, "EMAIL_SENDER": ""}) == {}


def test_settings_choose_one_sender_a_channel():
    built = build({"SMS_SENDER": "console", "EMAIL_SENDER": "recording"})
    assert {channel: (s.channel, s.name) for channel, s in built.items()} == {
        "sms": ("sms", "console"),
        "email": ("email", "recording"),
    }


def test_senders_built_from_settings_deliver(twilio, mail):
    built = build(
        TWILIO
        | SMTP
        | {
            "TWILIO_BASE_URL": twilio.url,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mail.port),
            "SMTP_TLS": "none",
        },
        now=lambda: T0,
    )
    assert built["sms"].send(outgoing()) == twilio.messages[0].sid
    assert built["email"].send(outgoing(to=BOX)) == mail.letters[0].message["Message-ID"]
    assert mail.letters[0].message["Date"].datetime == T0


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(ValueError) as refused:
        build({"SMS_SENDER": "twilio", "EMAIL_SENDER": "smtp"})
    assert str(refused.value) == (
        "TWILIO_ACCOUNT_SID is missing; TWILIO_AUTH_TOKEN is missing; "
        "TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID is missing; SMTP_HOST is missing; SMTP_FROM is missing"
    )


@pytest.mark.parametrize(
    "settings, fault",
    [
        ({"SMS_SENDER": "pigeon"}, "SMS_SENDER must be one of"),
        ({"EMAIL_SENDER": "twilio"}, "EMAIL_SENDER must be one of"),
        (TWILIO | {"TWILIO_BASE_URL": "http://relay.example.org"}, "TWILIO_BASE_URL"),
        (TWILIO | {"TWILIO_BASE_URL": "https://relay.example.org/api"}, "TWILIO_BASE_URL"),
        (TWILIO | {"TWILIO_BASE_URL": "https://user@relay.example.org"}, "TWILIO_BASE_URL"),
        (SMTP | {"SMTP_PORT": "0"}, "SMTP_PORT"),
        (SMTP | {"SMTP_PORT": "smtp"}, "SMTP_PORT"),
        (SMTP | {"SMTP_TLS": "maybe"}, "SMTP_TLS"),
        (SMTP | {"SMTP_FROM": "a@b.org, c@d.org"}, "SMTP_FROM"),
        (SMTP | {"SMTP_USER": "epro"}, "belong together"),
        (
            SMTP | {"SMTP_TLS": "none", "SMTP_USER": "epro", "SMTP_PASSWORD": "canary"},
            "SMTP_TLS may not be none",
        ),
    ],
)
def test_settings_that_cannot_be_right_are_named_without_their_values(settings, fault):
    found = faults(settings)
    assert len(found) == 1 and fault in found[0]
    assert not any(secret in found[0] for secret in ("canary", "relay.example.org", "a@b.org"))


@pytest.mark.parametrize(
    "more",
    [
        {"TWILIO_BASE_URL": "https://relay.example.org"},
        {"TWILIO_BASE_URL": "http://localhost:8931/"},
        {"TWILIO_BASE_URL": ""},
    ],
)
def test_settings_that_are_right(more):
    assert faults(TWILIO | SMTP | more) == []


# ── signatures ──

PATH, FORM = "/v1/hooks/twilio/a-secret?n=1", fake.status_fields("SM1", "delivered", NUMBER)


def signed(url=OURS + PATH, form=FORM, token=AUTH_TOKEN):
    return fake.signature_of(url, form, token)


def test_a_genuine_call_back_is_believed():
    assert valid_twilio(AUTH_TOKEN, OURS, PATH, FORM, signed())


def test_the_public_address_may_end_in_a_slash_and_the_path_in_a_question_mark():
    assert valid_twilio(AUTH_TOKEN, OURS + "/", "/v1/hooks/twilio?", FORM, signed(OURS + "/v1/hooks/twilio"))


def test_an_address_with_a_port_of_its_own():
    assert valid_twilio(AUTH_TOKEN, OURS + ":8443", PATH, FORM, signed(OURS + ":8443" + PATH))


@pytest.mark.parametrize(
    "more",
    [
        {"form": FORM | {"MessageStatus": "failed"}},
        {"form": FORM | {"Extra": "1"}},
        {"form": {k: v for k, v in FORM.items() if k != "To"}},
        {"form": {}},
        {"public_base_url": "http://epro.example.org"},
        {"public_base_url": "https://other.example.org"},
        {"path_with_query": "/v1/hooks/twilio/a-secret?n=2"},
        {"path_with_query": "/v1/hooks/twilio/a-secret"},
        {"auth_token": "another"},
        {"auth_token": ""},
        {"signature": None},
        {"signature": ""},
        {"signature": signed()[:-2]},
        {"signature": "x" * 28},
        {"signature": signed(token="another")},
    ],
)
def test_a_call_back_that_differs_in_anything_is_not_believed(more):
    asked = {
        "auth_token": AUTH_TOKEN,
        "public_base_url": OURS,
        "path_with_query": PATH,
        "form": FORM,
        "signature": signed(),
    } | more
    assert not valid_twilio(**asked)


def test_a_real_request_behind_a_proxy_is_judged_by_the_public_address():
    from flask import Flask, request

    app = Flask(__name__)

    @app.post("/v1/hooks/twilio/<secret>")
    def hook(secret):
        given = request.headers.get("X-Twilio-Signature")
        return {
            "genuine": valid_twilio(AUTH_TOKEN, OURS, request.full_path, request.form, given),
            "by its own account": valid_twilio(
                AUTH_TOKEN, request.url_root, request.full_path, request.form, given
            ),
        }

    headers = fake.signed_callback(OURS + "/v1/hooks/twilio/s", FORM)
    answer = app.test_client().post("/v1/hooks/twilio/s", data=FORM, headers=headers).json
    assert answer == {"genuine": True, "by its own account": False}


def test_a_posted_call_back_arrives_signed_and_whole():
    came = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = dict(fake.parse_qsl(body, keep_blank_values=True))
            came.append(form)
            known = valid_twilio(AUTH_TOKEN, OURS, self.path, form, self.headers["X-Twilio-Signature"])
            self.send_response(204 if known else 403)
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        assert fake.post_status(url, "SM1", "delivered", NUMBER, signed_for=OURS + "/hook") == 204
        assert fake.post_inbound(url, NUMBER, "退订 STOP", signed_for=OURS + "/hook") == 204
        assert fake.post_inbound(url, NUMBER, "STOP", "another", signed_for=OURS + "/hook") == 403
        server.shutdown()
    assert [form.get("Body", form.get("MessageStatus")) for form in came] == [
        "delivered",
        "退订 STOP",
        "STOP",
    ]


# ── nothing leaks ──

CANARIES = (
    NUMBER,
    NUMBER[1:],
    "%2B" + NUMBER[1:],
    BOX,
    BOX.split("@")[0],
    TEXT,
    TEXT[:6],
    "a-secret-of-this",
    AUTH_TOKEN,
    "来自我的每日记录",
)


def clean(said):
    return [canary for canary in CANARIES if canary in said] == []


def everything_about(failure):
    """An exception as the nosiest reporter would show it: text, repr, fields, causes, contexts."""
    seen = []
    while failure:
        seen += [
            str(failure),
            repr(failure),
            repr(vars(failure)),
            "".join(traceback.format_exception_only(failure)),
        ]
        failure = failure.__cause__ or failure.__context__
    return "\n".join(seen)


@pytest.fixture
def all_logs(caplog):
    """Every logger there is, at its most talkative."""
    for name in (None, "urllib3", "urllib3.connectionpool", "twilio", "twilio.http_client", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.mark.parametrize(
    "behaviour",
    [
        "accept",
        "400:21211",
        "400:21610",
        "401",
        "429",
        "500",
        "reset",
        "hang",
        "accept_then_reset",
        "accept_then_500",
        "accept_unreadable",
        "redirect",
    ],
)
def test_no_log_and_no_exception_of_sms_holds_number_or_text(twilio, all_logs, capfd, behaviour):
    twilio.script(behaviour)
    sender, said = sms(twilio), ""
    try:
        sender.send(outgoing())
    except (SendFailed, SendUnknown) as failure:
        said = everything_about(failure)
    sender.find(outgoing(), T0)
    assert any(r.query.get("To") == NUMBER for r in twilio.requests)  # it was there to be leaked
    assert "/Messages.json" in all_logs.text  # and somebody was logging
    assert clean(said) and clean(all_logs.text) and clean("".join(capfd.readouterr()))


def test_no_log_and_no_exception_holds_the_number_when_nobody_listens(all_logs):
    with nobody_listening() as port:
        sender = TwilioSender(
            ACCOUNT_SID, AUTH_TOKEN, from_number="+12025550100", base_url=f"http://127.0.0.1:{port}"
        )
        for ask in (lambda: sender.send(outgoing()), lambda: sender.find(outgoing(), T0)):
            with pytest.raises((SendFailed, SendUnknown)) as failed:
                ask()
            assert clean(everything_about(failed.value))
    assert clean(all_logs.text)


@pytest.mark.parametrize(
    "behaviour",
    [
        "accept",
        "rcpt:550 5.1.1 unknown",
        "mail:553 no",
        "data:554 no",
        "cut",
        "cut_early",
        "hang",
        "accept_then_cut",
    ],
)
def test_no_log_and_no_exception_of_mail_holds_address_or_text(mail, all_logs, capfd, behaviour):
    all_logs.set_level(logging.CRITICAL, logger="mail.log")  # the fake server's own, not ours
    mail.script(behaviour)
    said = ""
    try:
        email(mail).send(outgoing(to=BOX))
    except (SendFailed, SendUnknown) as failure:
        said = everything_about(failure)
    assert mail.attempts == 1
    assert clean(said) and clean(all_logs.text) and clean("".join(capfd.readouterr()))


@pytest.mark.parametrize("address", ["ada.canary", "阿达 ada.canary@example.org"])
def test_an_address_that_is_none_does_not_get_into_the_refusal(mail, address):
    with pytest.raises(SendFailed) as failed:
        email(mail).send(outgoing(to=address))
    assert clean(everything_about(failed.value))


def test_a_message_and_its_senders_show_nothing_of_it(twilio):
    assert clean(repr(outgoing())) and clean(str(outgoing()))
    assert str(ID) in repr(outgoing())
    assert clean(repr(sms(twilio)))
