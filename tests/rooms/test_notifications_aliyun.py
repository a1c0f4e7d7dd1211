"""SMS to mainland China through Aliyun's own SDK, against a provider on loopback that checks every signature.

AL-01  A message is one request: template, signature name and values, never a text; its number as it is dialled there.
AL-02  Each answer of Aliyun, and each way to get none, means one of three things.
AL-03  A message in doubt is found by our own id, and no other is taken for it.
AL-04  The country of a number says who sends it.
AL-05  A file of registered templates is complete or refused at the start.
AL-06  A report changes only the message whose key it shows, forward only, and only for who knows the address.
AL-07  Neither number nor values get into a log, an exception or a repr.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
import sqlalchemy as sa

from epro import clock, config
from epro.notifications.models import Message
from epro.notifications.senders import Askable, Outgoing, Registering, SendFailed, SendUnknown, provider_of
from epro.notifications.senders.aliyun import AliyunSender, template_faults
from epro.notifications.senders.build import build, faults
from epro.notifications.senders.console import ConsoleSender
from epro.notifications.senders.recording import AskableRecordingSender, RecordingSender
from epro.notifications.senders.routing import routed
from epro.notifications.wording import shipped
from epro.tx import look, system
from epro.worker import tick
from tests.cast import at
from tests.fakes.aliyun_server import KEY_ID, KEY_SECRET, AliyunServer

ADA, ID = "+8613800138000", UUID("6f1c7b0e-3b57-4a64-9f0a-6a1d0a5b9e11")
T0 = datetime(2026, 3, 27, 9, 0, tzinfo=UTC)
EVENING = at("2026-03-02T19:01")
CALLBACK_KEY = "a key for reports that is long enough"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


def listing(languages=("en", "zh-CN")):
    """Every wording that is shipped, registered under an id that tells which it is."""
    return {
        key: {
            tag: [f"SMS_{key}_{tag}_{turn}" for turn in range(len(template["wordings"]))] for tag in languages
        }
        for key, template in shipped()["en"]["templates"].items()
    }


def outgoing(**more):
    asked = {
        "message_id": ID,
        "to": ADA,
        "text": "不发送的文字",
        "subject": None,
        "language": "zh-CN",
        "valid_for": timedelta(hours=1),
        "callback_url": None,
        "callback_key": "secret-of-the-message",
        "template": "reminder.due",
        "turn": 1,
        "values": {"app_name": "我 的+记~录*"},
    }
    return Outgoing(**{**asked, **more})


def sender(server, **more):
    asked = {
        "sign_name": "每日记录",
        "templates": listing(),
        "endpoint": server.url,
        "timeout": (1.0, 0.4),
    }
    return AliyunSender(KEY_ID, more.pop("secret", KEY_SECRET), **{**asked, **more})


def outcome(of, message):
    try:
        return "taken", of.send(message)
    except SendFailed as failed:
        return "failed", failed.code, failed.permanent
    except SendUnknown as unknown:
        return "unknown", unknown.code


@pytest.fixture
def aliyun():
    with AliyunServer(now=lambda: T0) as server:
        yield server


# AL-01.


def test_a_message_is_a_template_and_values_and_never_a_text(aliyun):
    assert outcome(sender(aliyun), outgoing()) == ("taken", aliyun.taken[0].biz_id)
    assert aliyun.sends == [
        {
            "PhoneNumbers": "13800138000",
            "SignName": "每日记录",
            "TemplateCode": "SMS_reminder.due_zh-CN_1",
            "TemplateParam": json.dumps({"app_name": "我 的+记~录*"}, ensure_ascii=False),
            "OutId": f"{ID}.secret-of-the-message",
        }
    ]


def test_the_id_that_the_study_names_goes_before_that_of_the_file(aliyun):
    sender(aliyun).send(outgoing(registered_as="SMS_of_the_study"))
    assert aliyun.sends[0]["TemplateCode"] == "SMS_of_the_study"


@pytest.mark.parametrize(
    "message, learnt",
    [
        (outgoing(template="reminder.unheard_of"), ("failed", "not_registered", True)),
        (outgoing(language="fr"), ("failed", "not_registered", True)),
        (outgoing(turn=99), ("failed", "not_registered", True)),
        (outgoing(to="+85251234567"), ("failed", "region_closed", True)),
        (outgoing(to="+886912345678"), ("failed", "region_closed", True)),
    ],
)
def test_what_is_not_registered_or_not_for_mainland_china_is_not_sent(aliyun, message, learnt):
    assert (outcome(sender(aliyun), message), aliyun.requests) == (learnt, [])


# AL-02.


@pytest.mark.parametrize(
    "behaviour, learnt, delivered",
    [
        ("code:isv.MOBILE_NUMBER_ILLEGAL", ("failed", "bad_number", True), 0),
        ("code:isv.BUSINESS_LIMIT_CONTROL", ("failed", "busy", False), 0),
        ("code:isv.DAY_LIMIT_CONTROL", ("failed", "busy", False), 0),
        ("code:isv.NEW_LIMIT_CONTROL", ("failed", "busy", False), 0),
        ("code:isv.AMOUNT_NOT_ENOUGH", ("failed", "account", False), 0),
        ("code:isv.OUT_OF_SERVICE", ("failed", "account", False), 0),
        ("code:isv.SMS_TEMPLATE_ILLEGAL", ("failed", "not_registered", False), 0),
        ("code:isv.SMS_SIGNATURE_ILLEGAL", ("failed", "not_registered", False), 0),
        ("code:isv.TEMPLATE_MISSING_PARAMETERS", ("failed", "not_registered", False), 0),
        ("code:isv.BLACK_KEY_CONTROL_LIMIT", ("failed", "filtered", False), 0),
        ("code:isv.PARAM_LENGTH_LIMIT", ("failed", "too_long", True), 0),
        ("code:isp.RAM_PERMISSION_DENY", ("failed", "credentials", False), 0),
        ("code:isv.SOMETHING_NEW", ("failed", "refused", False), 0),
        ("code:isp.SYSTEM_ERROR", ("unknown", "unreadable"), 0),
        ("code:", ("unknown", "unreadable"), 0),
        ("status:400:Throttling.User", ("failed", "busy", False), 0),
        ("status:429:TooMany", ("failed", "busy", False), 0),
        ("status:403:Forbidden.RAM", ("failed", "credentials", False), 0),
        ("status:404:InvalidAccessKeyId.NotFound", ("failed", "credentials", False), 0),
        ("status:400:InvalidParameter", ("failed", "refused", False), 0),
        ("status:503:ServiceUnavailable", ("unknown", "http_503"), 0),
        ("reset", ("unknown", "cut"), 0),
        ("hang", ("unknown", "timed_out"), 0),
        ("accept_then_reset", ("unknown", "cut"), 1),
        ("accept_then_hang", ("unknown", "timed_out"), 1),
        ("accept_then_500", ("unknown", "http_500"), 1),
        ("accept_unreadable", ("unknown", "unreadable"), 1),
    ],
)
def test_each_answer_of_aliyun_means_one_thing_and_is_asked_for_once(aliyun, behaviour, learnt, delivered):
    aliyun.script(behaviour)
    assert outcome(sender(aliyun), outgoing()) == learnt
    assert (len(aliyun.sends), len(aliyun.taken), aliyun.turned_away) == (1, delivered, [])


def test_a_wrong_secret_is_our_fault_and_not_the_numbers(aliyun):
    assert outcome(sender(aliyun, secret="another"), outgoing()) == ("failed", "credentials", False)
    assert (aliyun.turned_away, aliyun.taken) == (["SignatureDoesNotMatch"], [])


def test_where_nobody_listens_nothing_was_sent(aliyun):
    gone = sender(aliyun, endpoint="http://127.0.0.1:9")
    assert outcome(gone, outgoing()) == ("failed", "unreachable", False)
    with pytest.raises(SendUnknown):
        gone.find(outgoing(), T0)


# AL-03.


@pytest.mark.parametrize(
    "lost", ["accept_then_reset", "accept_then_hang", "accept_then_500", "accept_unreadable"]
)
def test_a_message_that_was_taken_is_found_by_our_own_id(aliyun, lost):
    aliyun.script(lost)
    assert outcome(sender(aliyun), outgoing())[0] == "unknown"
    assert sender(aliyun).find(outgoing(), T0) == f"out-{ID}"
    assert sender(aliyun).find(outgoing(message_id=UUID(int=1)), T0) is None
    assert sender(aliyun).find(outgoing(callback_key="of another"), T0) is None
    assert sender(aliyun).find(outgoing(to="+8613800138001"), T0) is None


@pytest.mark.parametrize("lost", ["reset", "hang", "code:isp.SYSTEM_ERROR"])
def test_a_message_that_was_not_taken_is_not_found(aliyun, lost):
    aliyun.script(lost)
    assert outcome(sender(aliyun), outgoing())[0] == "unknown"
    assert sender(aliyun).find(outgoing(), T0) is None


def test_it_is_found_beyond_fifty_others_and_across_midnight_in_china(aliyun):
    aliyun.now = lambda: datetime(2026, 3, 27, 15, 59, tzinfo=UTC)  # 23:59 in Shanghai
    sender(aliyun).send(outgoing())
    for number in range(60):
        aliyun.take({**aliyun.sends[0], "OutId": str(number)})
    assert sender(aliyun).find(outgoing(), T0)
    aliyun.taken = []
    aliyun.now = lambda: datetime(2026, 3, 27, 16, 1, tzinfo=UTC)  # the next day there
    sender(aliyun).send(outgoing())
    assert sender(aliyun).find(outgoing(), datetime(2026, 3, 27, 15, 55, tzinfo=UTC))


def test_being_refused_while_asking_is_not_a_no(aliyun):
    with pytest.raises(SendUnknown):
        sender(aliyun, secret="another").find(outgoing(), T0)


# AL-04.


def test_the_country_of_a_number_says_who_sends_it():
    china, world = RecordingSender("sms"), RecordingSender("sms")
    both = routed("sms", {"+86": china, "": world})
    for number in (ADA, "+886912345678", "+85251234567", "+4915123456789"):
        both.send(outgoing(to=number))
    assert [one.to for one in china.taken] == [ADA]
    assert len(world.taken) == 3 and not isinstance(both, Askable)
    assert outcome(routed("sms", {"+86": china}), outgoing(to="+4915123456789")) == (
        "failed",
        "region_closed",
        True,
    )


def test_it_can_be_asked_only_if_all_can():
    china, world = AskableRecordingSender("sms"), AskableRecordingSender("sms")
    both = routed("sms", {"+86": china, "": world})
    assert isinstance(both, Askable) and both.find(outgoing(), T0) is None
    both.send(outgoing())
    assert both.find(outgoing(), T0) and world.find(outgoing(), T0) is None


def test_a_registered_wording_is_asked_of_the_provider_behind_the_number(aliyun):
    both = routed("sms", {"+86": sender(aliyun), "": RecordingSender("sms")})
    assert isinstance(both, Registering)
    assert [both.asks_for_ids(to) for to in (ADA, "+4915123456789")] == [True, False]
    wording = ("reminder.due", "zh-CN", 1)
    assert both.registered(ADA, *wording) == "SMS_reminder.due_zh-CN_1"
    assert both.registered("+4915123456789", *wording) is None


def test_an_outage_is_that_of_the_provider_behind_the_number(aliyun):
    both = routed("sms", {"+86": sender(aliyun), "": RecordingSender("sms")})
    assert [provider_of(both, to) for to in (ADA, "+4915123456789")] == ["aliyun", "recording"]
    assert provider_of(RecordingSender("email"), "ada@example.org") == "recording"
    assert provider_of(routed("sms", {"+86": sender(aliyun)}), "+4915123456789") == "aliyun"


# AL-05.


def settings(tmp_path, **more):
    file = tmp_path / "templates.json"
    if not file.exists():
        file.write_text(json.dumps(listing()))
    chosen = {
        "SMS_SENDER": "console",
        "EMAIL_SENDER": "none",
        "SMS_CN_SENDER": "aliyun",
        "ALIYUN_ACCESS_KEY_ID": KEY_ID,
        "ALIYUN_ACCESS_KEY_SECRET": KEY_SECRET,
        "ALIYUN_SIGN_NAME": "每日记录",
        "ALIYUN_TEMPLATES": str(file),
    }
    return {**config.read({}), **chosen, **more}


def test_both_providers_serve_one_installation(tmp_path):
    made = build(settings(tmp_path))["sms"]
    assert isinstance(made.of(ADA), AliyunSender) and isinstance(made.of("+4915123456789"), ConsoleSender)
    only = build(settings(tmp_path, SMS_SENDER="none"))["sms"]
    assert isinstance(only.of(ADA), AliyunSender) and only.of("+4915123456789") is None


@pytest.mark.parametrize(
    "more, fault",
    [
        ({"ALIYUN_ACCESS_KEY_SECRET": None}, "ALIYUN_ACCESS_KEY_SECRET is missing"),
        ({"ALIYUN_TEMPLATES": None}, "ALIYUN_TEMPLATES is missing"),
        ({"ALIYUN_TEMPLATES": "/nowhere.json"}, "ALIYUN_TEMPLATES cannot be read"),
        ({"ALIYUN_ENDPOINT": "http://aliyun.example.org"}, "ALIYUN_ENDPOINT must be https"),
        ({"ALIYUN_CALLBACK_KEY": "short"}, "ALIYUN_CALLBACK_KEY is shorter than 32 characters"),
        ({"SMS_CN_SENDER": "twilio"}, "SMS_CN_SENDER must be one of"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, more, fault):
    assert any(told.startswith(fault) for told in faults(settings(tmp_path, **more)))
    with pytest.raises(ValueError, match=fault):
        build(settings(tmp_path, **more))


def changed(change):
    told = listing()
    change(told)
    return json.dumps(told)


@pytest.mark.parametrize(
    "text, fault",
    [
        (changed(lambda told: None), None),
        (json.dumps(listing(["zh-CN"])), None),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"reminder.due": {"en": "SMS_1"}}', "cannot be read"),
        ("{}", "names no template"),
        (changed(lambda told: told.pop("reminder.again")), "different ids for reminder.again in en"),
        (changed(lambda told: told["reminder.due"]["en"].pop()), "different ids for reminder.due in en"),
        (changed(lambda told: told["reminder.due"]["en"].__setitem__(0, "SMS_reminder.due_en_1")), "different ids"),
        (changed(lambda told: told.__setitem__("reminder.odd", {"en": ["SMS_1"]})), "names reminder.odd"),
        (changed(lambda told: told["reminder.due"].__setitem__("xx", ["SMS_1"])), "names the language xx"),
    ],
)  # fmt: skip
def test_a_listing_is_complete_or_refused(tmp_path, text, fault):
    file = tmp_path / "listing.json"
    file.write_text(text)
    found = template_faults(str(file))
    assert (found == []) if fault is None else any(fault in told for told in found)


# AL-06: the whole way, through the worker and back through the door.


@pytest.fixture
def sent(cast, aliyun):
    """A reminder that went to Ada through Aliyun, on both databases; what Aliyun took."""
    cast.app.config["EPRO"]["ALIYUN_CALLBACK_KEY"] = CALLBACK_KEY
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={"phone": ADA})
    with clock.moved_to(EVENING):
        tick({"sms": sender(aliyun, timeout=(5.0, 5.0))})
    return aliyun.taken[0]


def post(cast, reports, key=CALLBACK_KEY):
    with clock.moved_to(EVENING + timedelta(minutes=1)):
        answer = cast.app.test_client().post("/hooks/aliyun/status", query_string={"key": key}, json=reports)
    return answer.status_code


def message():
    with look(system("tests")) as tx:
        return tx.one(sa.select(Message).where(Message.purpose == "reminder").order_by(Message.due_at))


def test_a_reminder_goes_out_and_its_report_comes_back(cast, aliyun, sent):
    assert message().provider_id == sent.biz_id and sent.query["TemplateCode"].startswith(
        "SMS_reminder.due_en"
    )
    assert post(cast, [aliyun.report(sent, True)]) == 200
    assert (message().delivered_at, message().failed_at) == (EVENING + timedelta(minutes=1), None)


def test_a_report_that_it_did_not_arrive_says_why(cast, aliyun, sent):
    post(cast, [aliyun.report(sent, False, "MK:0012")])
    assert message().failure == "undelivered MK:0012"


@on_sqlite
def test_reports_in_any_order_and_doubled_only_move_forward(cast, aliyun, sent):
    reports = [aliyun.report(sent, True), aliyun.report(sent, False), aliyun.report(sent, True)]
    post(cast, reports[:1])
    for order in permutations(reports):
        post(cast, list(order))
        assert message().delivered_at and message().failed_at is None


@on_sqlite
def test_only_the_messages_own_key_names_it_and_one_bad_report_stops_no_other(cast, aliyun, sent):
    good = aliyun.report(sent, True)
    bad = [
        {**good, "out_id": str(message().id)},
        {**good, "out_id": f"{message().id}.guessed"},
        {**good, "out_id": f"{UUID(int=1)}.x"},
        {**good, "out_id": 7},
        {**good, "success": "true"},
        {},
        "text",
        None,
    ]
    assert post(cast, bad) == 200 and message().delivered_at is None
    assert post(cast, [*bad, good]) == 200 and message().delivered_at


@on_sqlite
def test_words_of_theirs_are_not_kept(cast, aliyun, sent):
    post(cast, [aliyun.report(sent, False, f"no such number {ADA}")])
    assert message().failure == "undelivered"


@on_sqlite
def test_who_does_not_know_the_address_reports_nothing(cast, aliyun, sent):
    for key in ("", "guess", CALLBACK_KEY[:-1], CALLBACK_KEY + "x"):
        assert post(cast, [aliyun.report(sent, True)], key) == 403
    cast.app.config["EPRO"]["ALIYUN_CALLBACK_KEY"] = None
    assert post(cast, [aliyun.report(sent, True)], "") == 403
    assert message().delivered_at is None


@on_sqlite
@pytest.mark.parametrize("body", ["{}", "7", "[", "[" + "{}," * 1000 + "{}]"])
def test_a_body_that_is_no_list_of_reports_is_refused(cast, body):
    cast.app.config["EPRO"]["ALIYUN_CALLBACK_KEY"] = CALLBACK_KEY
    answer = cast.app.test_client().post(f"/hooks/aliyun/status?key={CALLBACK_KEY}", data=body)
    assert answer.status_code == 400


@on_sqlite
def test_a_worker_lost_in_the_middle_finds_out_by_asking(cast, aliyun):
    with cast.on("2026-03-02T10:00"):
        cast.phone(contact={"phone": ADA})
    aliyun.now = lambda: EVENING
    aliyun.script("accept_then_reset")
    for minutes in (0, 2):
        with clock.moved_to(EVENING + timedelta(minutes=minutes)):
            tick({"sms": sender(aliyun)})
    assert (len(aliyun.sends), message().provider_id) == (1, f"out-{message().id}")


# AL-07.


@pytest.mark.parametrize(
    "behaviour", ["accept", "reset", "code:isv.MOBILE_NUMBER_ILLEGAL", "status:400:Odd", "accept_unreadable"]
)
def test_neither_number_nor_values_get_anywhere(aliyun, caplog, behaviour):
    caplog.set_level(logging.DEBUG)
    aliyun.script(behaviour)
    told = [repr(outgoing()), caplog.text]
    try:
        told.append(sender(aliyun).send(outgoing()))
    except (SendFailed, SendUnknown) as trouble:
        told += traceback.format_exception(trouble)
        assert trouble.__cause__ is None and trouble.__context__ is None
    sender(aliyun).find(outgoing(), T0)
    told.append(caplog.text)
    for secret in ("13800138000", "我 的", "secret-of-the-message", KEY_SECRET):
        assert not any(secret in one for one in told), secret
