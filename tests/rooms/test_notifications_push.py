"""Push messages to her phone's own push service, and the inbox of the app, on both databases.

WP-01  A message is sealed for her phone alone, and says a neutral text and an id, by the key that her phone knows.
WP-02  Each answer of a push service, and each way to get none, means one thing.
WP-03  No message goes to an address that is no push service we know, nor to one inside a house.
WP-04  A phone says itself where it is reached; it is forgotten with the phone, the withdrawal, the erasing.
WP-05  A subscription that is gone is forgotten, and the message does not go there again.
WP-06  What cannot be pushed or sent waits in the app, until it was shown or is of no use.
WP-07  Neither address nor keys nor texts get into a log, an exception or a repr.
"""

from __future__ import annotations

import json
import logging
import ssl
import traceback
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from epro import addresses, clock, config, trail
from epro.contacts import push, store
from epro.contacts.models import Contact
from epro.notifications.models import Message
from epro.notifications.senders import Outgoing, SendFailed, SendUnknown, vapid
from epro.notifications.senders.build import build, faults
from epro.notifications.senders.in_app import InAppSender
from epro.notifications.senders.recording import RecordingSender
from epro.notifications.senders.web_push import WebPushSender, seconds
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import begin, look, system
from epro.worker import tick
from tests.cast import STUDY, at
from tests.fakes.certificate import made_for_localhost
from tests.fakes.push_service import PushService

ID = UUID("6f1c7b0e-3b57-4a64-9f0a-6a1d0a5b9e11")
EVENING, NEXT = at("2026-03-02T19:01"), at("2026-03-02T19:02")
KEY = vapid.key_of({"SECRET_KEY": "a secret of the tests, longer than it must be"})
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """(server side, file that trusts it): a certificate for localhost, made for this run."""
    path = made_for_localhost(tmp_path_factory.mktemp("tls"))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(path)
    return SimpleNamespace(server=server_side, file=str(path))


@pytest.fixture
def service(tls):
    with PushService(tls.server) as made:
        yield made


@pytest.fixture
def browser(service):
    return service.subscribe(vapid.public_text(KEY))


@pytest.fixture
def sender(service, tls):
    return WebPushSender(
        KEY,
        "https://epro.test",
        (service.host,),
        timeout=(1.0, 0.4),
        may_reach=lambda address: True,
        trusted=tls.file,
    )


def outgoing(browser, **more):
    asked = {
        "message_id": ID,
        "to": json.dumps(browser.subscription),
        "text": "有一项内容等您填写。",
        "subject": "来自我的每日记录的提醒",
        "language": "zh-CN",
        "valid_for": timedelta(hours=1),
        "callback_url": None,
    }
    return Outgoing(**{**asked, **more})


def outcome(of, message):
    try:
        return "taken", of.send(message)
    except SendFailed as failed:
        return "failed", failed.code, failed.permanent
    except SendUnknown as unknown:
        return "unknown", unknown.code


# WP-01.


def test_her_phone_alone_can_open_it_and_learns_a_text_and_an_id(service, browser, sender):
    assert outcome(sender, outgoing(browser)) == ("taken", f"push-{ID}")
    assert (service.faults, browser.shown) == (
        [],
        [
            {
                "id": str(ID),
                "title": "来自我的每日记录的提醒",
                "text": "有一项内容等您填写。",
                "language": "zh-CN",
            }
        ],
    )
    headers = service.requests[0]
    assert (headers["ttl"], headers["urgency"], len(headers["topic"])) == ("3600", "high", 22)


def test_a_later_message_about_the_same_replaces_one_that_waits_and_an_id_is_shown_once(browser, sender):
    browser.online, about = False, uuid4()
    for number in range(2):
        sender.send(outgoing(browser, message_id=UUID(int=number), collapse=about))
    sender.send(outgoing(browser, message_id=UUID(int=7), collapse=uuid4()))
    browser.come_online()
    sender.send(outgoing(browser, message_id=UUID(int=7), collapse=uuid4()))
    assert [UUID(one["id"]).int for one in browser.shown] == [1, 7]


def test_another_key_than_her_phone_knows_is_our_fault(service, sender):
    stranger = service.subscribe(vapid.public_text(vapid.key_of({"SECRET_KEY": "another"})))
    assert outcome(sender, outgoing(stranger)) == ("failed", "credentials", False)
    assert service.faults and not stranger.shown


@pytest.mark.parametrize(
    "valid_for, told",
    [(timedelta(hours=-1), 0), (timedelta(seconds=90), 90), (timedelta(days=99), 28 * 86_400)],
)
def test_the_push_service_drops_it_when_it_is_no_longer_useful(valid_for, told):
    assert seconds(valid_for) == told


# WP-02.


@pytest.mark.parametrize(
    "behaviour, learnt, shown",
    [
        ("status:400", ("failed", "refused", True), 0),
        ("status:401", ("failed", "credentials", False), 0),
        ("status:403", ("failed", "credentials", False), 0),
        ("status:404", ("failed", "gone", True), 0),
        ("status:410", ("failed", "gone", True), 0),
        ("status:413", ("failed", "too_long", True), 0),
        ("status:429:17", ("failed", "busy", False), 0),
        ("status:500", ("failed", "busy", False), 0),
        ("status:503", ("failed", "busy", False), 0),
        ("redirect", ("failed", "refused", False), 0),
        ("reset", ("failed", "cut", False), 0),
        ("hang", ("failed", "timed_out", False), 0),
        ("accept_then_reset", ("failed", "cut", False), 1),
        ("accept_then_hang", ("failed", "timed_out", False), 1),
        ("accept_then_500", ("failed", "busy", False), 1),
        ("flood", ("taken", f"push-{ID}"), 0),
    ],
)
def test_each_answer_of_a_push_service_means_one_thing_and_a_repeat_shows_once(
    service, browser, sender, behaviour, learnt, shown
):
    service.script(behaviour)
    assert outcome(sender, outgoing(browser)) == learnt
    assert (len(service.requests), len(browser.shown)) == (1, shown)
    assert outcome(sender, outgoing(browser))[0] == "taken" and len(browser.shown) == 1


@pytest.mark.parametrize("told, wait", [("17", 17), ("999999", 3600), ("soon", None), ("", None)])
def test_it_waits_as_long_as_it_is_asked_to(service, browser, sender, told, wait):
    service.script(f"status:429:{told}")
    with pytest.raises(SendFailed) as refused:
        sender.send(outgoing(browser))
    assert refused.value.retry_after == (timedelta(seconds=wait) if wait else None)


@pytest.mark.parametrize(
    "to", ["", "{}", "[]", '{"endpoint": "https://x"}', '{"endpoint": 7, "keys": {}}', "not json"]
)
def test_what_is_no_subscription_goes_nowhere(service, sender, browser, to):
    assert outcome(sender, outgoing(browser, to=to)) == ("failed", "gone", True)
    assert service.requests == []


# WP-03.


@pytest.mark.parametrize(
    "address, public",
    [
        ("142.250.185.78", True),
        ("2a00:1450:4001:82b::200e", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_may_be_reached(address, public):
    assert addresses.may_reach(address) == public


def test_a_name_that_points_inside_is_found_out_when_the_connection_is_made(service, browser, tls):
    careful = WebPushSender(KEY, "https://epro.test", (service.host,), trusted=tls.file)
    assert outcome(careful, outgoing(browser)) == ("failed", "bad_address", True)
    assert service.requests == []


def test_a_certificate_that_is_not_trusted_ends_it(service, browser):
    wary = WebPushSender(KEY, "https://epro.test", (service.host,), may_reach=lambda address: True)
    assert outcome(wary, outgoing(browser)) == ("failed", "tls", False)


def test_a_name_that_does_not_exist_means_nothing_was_sent(browser):
    lost = WebPushSender(KEY, "https://epro.test", ("push.does-not-exist.invalid",))
    browser.endpoint = "https://push.does-not-exist.invalid/x"
    assert outcome(lost, outgoing(browser)) == ("failed", "unreachable", False)


HOSTS = ("push.example.org", "localhost:8443")


@pytest.mark.parametrize(
    "endpoint, known",
    [
        ("https://push.example.org/abc", True),
        ("https://eu.push.example.org/abc?x=1", True),
        ("https://push.example.org:443/abc", True),
        ("https://localhost:8443/abc", True),
        ("http://push.example.org/abc", False),
        ("https://push.example.org:8443/abc", False),
        ("https://localhost/abc#x", False),
        ("https://evilpush.example.org/abc", False),
        ("https://push.example.org.evil.org/abc", False),
        ("https://push.example.org@evil.org/abc", False),
        ("https://user:word@push.example.org/abc", False),
        ("https://evil.org\\@push.example.org/abc", False),
        ("https://push.example.org/a b", False),
        ("https://[::1]/abc", False),
        ("https://[/abc", False),
        ("https://push.example.org:x/", False),
        ("https://push.example.org/" + "x" * 1024, False),
        ("ftp://push.example.org/abc", False),
        ("", False),
    ],
)
def test_which_endpoints_are_known(endpoint, known):
    assert vapid.is_known(endpoint, HOSTS) == known


# WP-04.


@pytest.fixture
def ada(cast, service):
    cast.app.config["EPRO"] |= {"PUSH_HOSTS": service.host, "PUSH_SENDER": "recording"}
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={})


def call(cast, phone, method, path, body=None, when="2026-03-02T10:05"):
    with cast.on(when):
        if when >= "2026-03-02T10:15":  # her token of the morning has run out
            phone.refresh()
        return cast.app.test_client().open(
            f"/v1/phone/{path}", method=method, json=body, headers={"Authorization": f"Bearer {phone.key}"}
        )


def kept(phone):
    return [
        field for field in store.of(STUDY, f"participant/{phone.subject_id}") if field.startswith("push/")
    ]


def test_a_phone_says_where_it_is_reached_and_says_it_no_more(cast, ada, browser):
    key = call(cast, ada, "GET", "push-key").get_json()["key"]
    assert len(vapid.decoded(key)) == 65
    for _ in range(2):
        told = {**browser.subscription, "expirationTime": None}
        assert call(cast, ada, "PUT", "push-subscription", told).status_code == 204
    assert len(kept(ada)) == 1
    with store.Session(store.db.contacts_engine()) as session:
        assert not any(browser.endpoint in row.sealed for row in session.scalars(sa.select(Contact)))
    for _ in range(2):
        assert call(cast, ada, "DELETE", "push-subscription").status_code == 204
    assert kept(ada) == []
    with look(system("tests")) as tx:
        told = list(
            tx.session.execute(sa.select(Event.action, Event.body).where(Event.action.like("push.%")))
        )
    assert sorted(action for action, _ in told) == ["push.kept", "push.kept", "push.removed"]
    assert not any(browser.endpoint in body for _, body in told)


NO_SUBSCRIPTIONS = [
    ({"endpoint": "https://evil.example.org/x"}, "/endpoint"),
    ({"endpoint": "http://localhost/x"}, "/endpoint"),
    ({"keys": {"p256dh": "AAAA", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, "/keys/p256dh"),
    ({"keys": {"p256dh": "!" * 87, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}}, "/keys/p256dh"),
    ({"keys": {"p256dh": vapid.public_text(KEY), "auth": "AAAA"}}, "/keys/auth"),
    ({"keys": {"p256dh": vapid.public_text(KEY)}}, "/keys/auth"),
    ({"keys": None}, "/keys"),
    ({"other": 1}, "/other"),
]


@on_sqlite
def test_what_is_no_subscription_is_refused_at_the_door(cast, ada, browser):
    for change, pointer in NO_SUBSCRIPTIONS:
        answer = call(cast, ada, "PUT", "push-subscription", {**browser.subscription, **change})
        assert answer.status_code == 422, change
        assert pointer in {fault["pointer"] for fault in answer.get_json()["errors"]}, change
    assert kept(ada) == []


@on_sqlite
def test_where_no_push_messages_are_sent_there_is_no_key(cast, ada):
    for chosen in (None, "none"):
        cast.app.config["EPRO"]["PUSH_SENDER"] = chosen
        assert call(cast, ada, "GET", "push-key").status_code == 404


def test_it_is_forgotten_with_the_phone_the_withdrawal_and_the_erasing(cast, ada, browser):
    with cast.on("2026-03-02T10:00"):
        phones = [ada, *(cast.phone(contact={}) for _ in range(3))]
    for phone in phones:
        call(cast, phone, "PUT", "push-subscription", browser.subscription)
    assert [len(kept(phone)) for phone in phones] == [1] * 4
    withdraws, loses, logs_out, is_erased = phones
    with cast.on("2026-03-02T10:10"):
        noor = cast.staff("noor")
        noor.withdraw(withdraws.subject_id)
        device = noor.timeline(loses.subject_id)["devices"][0]["id"]
        noor.revoke_device(loses.subject_id, device, "lost")
        call(cast, logs_out, "POST", "logout", {})
        store.erase(STUDY, f"participant/{is_erased.subject_id}")
    assert [kept(phone) for phone in phones] == [[]] * 4


# WP-05 and WP-06: through the worker.


def strike(when, **senders):
    with clock.moved_to(when):
        tick(senders)


def first():
    with look(system("tests")) as tx:
        return tx.one(sa.select(Message).where(Message.purpose == "reminder").order_by(Message.due_at))


def test_a_reminder_is_pushed_to_her_phone(cast, ada, service, sender, browser):
    browser.server_key = call(cast, ada, "GET", "push-key").get_json()["key"]
    call(cast, ada, "PUT", "push-subscription", browser.subscription)
    ours = WebPushSender(
        vapid.key_of(cast.app.config["EPRO"]),
        "https://epro.test",
        (service.host,),
        may_reach=lambda address: True,
        trusted=sender._trusted,
    )
    strike(EVENING, push=ours, app=InAppSender())
    row = first()
    assert (row.channel, row.provider_id, service.faults) == ("push", f"push-{row.id}", [])
    assert [one["id"] for one in browser.shown] == [str(row.id)]
    answer = call(cast, ada, "POST", "confirmations", {"notifications": [str(row.id)]}, "2026-03-02T19:03")
    assert answer.status_code == 200 and first().shown_at is not None


def test_a_subscription_that_is_gone_is_forgotten(cast, ada, browser, sender):
    call(cast, ada, "PUT", "push-subscription", browser.subscription)
    browser.gone = True
    strike(EVENING, push=sender)
    assert kept(ada) == []


def test_what_one_channel_will_never_carry_goes_over_the_next_and_waits_in_the_app_at_last(
    cast, ada, browser
):
    call(cast, ada, "PUT", "push-subscription", browser.subscription)
    dead = RecordingSender("push", [SendFailed("gone", permanent=True)])
    for minute in range(3):
        strike(EVENING + timedelta(minutes=minute), push=dead, app=InAppSender())
    assert (first().channel, first().failure, first().failed_at) == ("app", "push gone", None)
    assert (len(dead.asked), len(inbox(cast, ada))) == (1, 1)


@on_sqlite
def test_a_reminder_that_no_channel_is_left_for_has_failed(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={"phone": "+8613900000001"})
    dead = RecordingSender("sms", [SendFailed("bad_number", permanent=True)])
    for minute in range(3):
        strike(EVENING + timedelta(minutes=minute), sms=dead, app=InAppSender())
    assert (first().failure, bool(first().failed_at), len(dead.asked)) == ("bad_number", True, 1)


@on_sqlite
def test_the_phone_that_spoke_last_is_the_one(cast, ada, service):
    for minute in (5, 9, 7):
        subscription = service.subscribe("key").subscription
        push.keep(STUDY, ada.subject_id, uuid4(), subscription, at(f"2026-03-02T10:0{minute}"))
    newest = json.loads(push.newest(store.of(STUDY, f"participant/{ada.subject_id}")))
    assert newest["at"].startswith(at("2026-03-02T10:09").isoformat()[:16])


@on_sqlite
def test_a_subscription_given_anew_meanwhile_is_not_forgotten(cast, ada, browser):
    call(cast, ada, "PUT", "push-subscription", browser.subscription)
    old = push.newest(store.of(STUDY, f"participant/{ada.subject_id}"))
    call(cast, ada, "PUT", "push-subscription", browser.subscription, "2026-03-02T10:06")
    assert push.forget_this(STUDY, ada.subject_id, old, EVENING) is None and len(kept(ada)) == 1


def inbox(cast, phone, when="2026-03-02T19:03"):
    return call(cast, phone, "GET", "messages", when=when).get_json()["messages"]


def test_who_is_reached_by_nothing_else_finds_it_in_the_app_until_it_was_shown(cast, ada):
    assert inbox(cast, ada) == []
    strike(EVENING, sms=RecordingSender("sms"), app=InAppSender())
    (waiting,) = inbox(cast, ada)
    assert (first().channel, waiting["id"], waiting["language"]) == ("app", str(first().id), "en")
    assert waiting["text"] and waiting["title"] and waiting["occurrence_id"] == str(first().occurrence_id)
    call(cast, ada, "POST", "confirmations", {"notifications": [waiting["id"]]}, "2026-03-02T19:04")
    assert inbox(cast, ada) == [] and first().shown_at is not None


@on_sqlite
def test_what_waits_in_the_app_speaks_her_language_of_today(cast, ada):
    strike(EVENING, app=InAppSender())
    call(cast, ada, "PATCH", "me", {"language": "zh-CN"}, "2026-03-02T19:03")
    assert [one["language"] for one in inbox(cast, ada)] == ["zh-CN"]


@on_sqlite
def test_what_is_of_no_use_any_more_waits_no_longer(cast, ada):
    strike(EVENING, app=InAppSender())
    assert inbox(cast, ada) and inbox(cast, ada, "2026-03-03T12:00") == []
    call(cast, ada, "PATCH", "me", {"messages": False}, "2026-03-02T19:03")
    assert inbox(cast, ada) == []


@on_sqlite
def test_an_answer_takes_it_out_of_the_app(cast, ada):
    strike(EVENING, app=InAppSender())
    assert len(inbox(cast, ada)) == 1
    with cast.on("2026-03-02T19:03"):
        ada.sync()
        now = clock.now()
        ada.answer(ada.open_at(now)[0], {"worst_fatigue": 2}, now, now)
        ada.upload(now)
    assert inbox(cast, ada) == []


def test_nobody_sees_anothers(cast, ada):
    with cast.on("2026-03-02T10:01"):
        ben = cast.phone(contact={"email": "ben@example.org"})
    strike(EVENING, email=RecordingSender("email"), app=InAppSender())
    assert len(inbox(cast, ada)) == 1 and inbox(cast, ben) == []


CHOICES = [
    (None, {"phone": "+8613900000001"}, "sms"),
    (["app", "sms"], {"phone": "+8613900000002"}, "app"),
    (["email"], {"phone": "+8613900000003"}, "app"),
    (["push", "sms"], {"phone": "+8613900000004"}, "push"),
    (["push"], {}, "push"),
]


@on_sqlite
def test_she_and_her_site_choose_the_channels(cast, service, browser):
    cast.app.config["EPRO"] |= {"PUSH_HOSTS": service.host, "PUSH_SENDER": "recording"}
    for chosen, contact, _ in CHOICES:
        with cast.on("2026-03-02T10:00"):
            phone = cast.phone(contact=contact, **({"channels": chosen} if chosen else {}))
        call(cast, phone, "PUT", "push-subscription", browser.subscription)
        assert call(cast, phone, "GET", "me").get_json()["channels"] == chosen
        assert call(cast, phone, "PATCH", "me", {"channels": chosen}).status_code == 200
    for other in (["fax"], [], "sms", ["sms"] * 5):
        assert call(cast, phone, "PATCH", "me", {"channels": other}).status_code == 422, other
    strike(EVENING, sms=RecordingSender("sms"), push=RecordingSender("push"), app=InAppSender())
    with look(system("tests")) as tx:
        went = tx.all(sa.select(Message).where(Message.purpose == "reminder").order_by(Message.subject_id))
    assert [row.channel for row in went] == [first_by for _, _, first_by in CHOICES]


@on_sqlite
def test_without_a_phone_there_is_no_app_to_wait_in(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={})
    strike(EVENING, app=InAppSender())
    assert first().withheld_reason == "no_channel"


@on_sqlite
def test_a_worker_lost_in_the_middle_left_it_in_the_app(cast, ada):
    strike(EVENING, app=InAppSender())
    with begin(system("tests"), EVENING) as tx:
        row = tx.get(Message, STUDY, first().id)
        row.accepted_at, row.provider_id, row.lease_until = None, None, EVENING
        participant = tx.get(Participant, STUDY, row.subject_id, lock=True)
        trail.record(tx, participant, "tests.lost", "message", row.id)
    strike(NEXT, app=InAppSender())
    assert first().accepted_at == NEXT and len(inbox(cast, ada)) == 1


# Settings.


def test_the_key_is_set_or_derived_and_always_the_same():
    derived = vapid.key_of({"SECRET_KEY": "one"})
    assert vapid.public_text(derived) == vapid.public_text(vapid.key_of({"SECRET_KEY": "one"}))
    assert vapid.public_text(derived) != vapid.public_text(vapid.key_of({"SECRET_KEY": "two"}))
    told = vapid.base64.urlsafe_b64encode((7).to_bytes(32, "big")).decode()
    assert vapid.key_of({"VAPID_KEY": told}).private_numbers().private_value == 7


@pytest.mark.parametrize("key", ["x", "AAAA", "A" * 43, "_" * 43, "!" * 43])
def test_a_key_that_is_none_is_named_at_the_start(key):
    chosen = {**config.read({}), "SMS_SENDER": "none", "PUSH_SENDER": "webpush", "VAPID_KEY": key}
    assert [told.partition(" ")[0] for told in faults(chosen)] == ["VAPID_KEY"]


def test_the_settings_make_the_sender():
    made = build({**config.read({"EPRO_PUSH_SENDER": "webpush"}), "EMAIL_SENDER": "none"})
    assert isinstance(made["push"], WebPushSender)


# WP-07.


@pytest.mark.parametrize("behaviour", ["accept", "reset", "status:410", "status:500", "redirect"])
def test_neither_address_nor_keys_nor_texts_get_anywhere(service, browser, sender, caplog, behaviour):
    caplog.set_level(logging.DEBUG)
    service.script(behaviour)
    told = [repr(outgoing(browser)), repr(sender)]
    try:
        told.append(sender.send(outgoing(browser)))
    except SendFailed as trouble:
        told += traceback.format_exception(trouble)
        assert trouble.__cause__ is None and trouble.__context__ is None
    told.append(caplog.text)
    keys = browser.subscription["keys"]
    for secret in (browser.endpoint.rpartition("/")[2], keys["auth"], keys["p256dh"], "等您填写"):
        assert not any(secret in one for one in told), secret
