"""Trying again and again at a door that asks for no key: after so many refusals the address has to wait.

Threats S15 and S16. Counted in the database, so that it holds across processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from twilio.request_validator import RequestValidator

from epro import create_app, db
from epro.api import door
from tests.cast import PASSWORD
from tests.conftest import REHEARSAL
from tests.doors.scene import NOBODY, Stage
from tests.doors.test_bad_bodies import assert_problem

HERE, ELSEWHERE = "203.0.113.7", "198.51.100.9"


@dataclass(frozen=True)
class Try:
    """One call at a door: refused with `status`, `limit` times a minute before the door shuts."""

    path: str
    limit: int
    status: int
    body: dict[str, Any] | None = None
    longest: int = 60


TRIES = [
    Try(
        "/v1/phone/activate",
        10,
        401,
        {"activation_code": "00000-00000-00000", "device": {"installation_id": "i"}},
    ),
    Try("/v1/phone/token", 60, 401, {"refresh_token": "none of ours"}),
    Try("/v1/staff/login", 20, 401, {"email": "nobody@example.org", "password": "a guess"}, 3600),
    Try("/v1/staff/token", 60, 401, {"refresh_token": "none of ours"}),
    Try("/hooks/twilio/status", 600, 403),
]


@pytest.fixture
def two_servers(stage, stage_environ) -> Iterator[list[Flask]]:
    """Two applications with limits, on one database, as two processes would be."""
    made = [create_app({**stage_environ, "EPRO_RATE_LIMITS": "on"}) for _ in range(2)]
    yield made
    for app in made:
        with app.app_context():
            for engine in db.db.engines.values():
                engine.dispose()


@pytest.mark.parametrize("tried", TRIES, ids=lambda tried: tried.path)
def test_after_too_many_refusals_the_address_waits(stage, two_servers, tried):
    right = _right_key(stage, tried.path)
    for number in range(tried.limit):
        answer = _send(stage, two_servers[number % 2], tried.path, tried.body, HERE)
        assert answer.status_code == tried.status, (number, answer.text)
    for app in two_servers:
        answer = _send(stage, app, tried.path, tried.body, HERE)
        assert_problem(answer, 429, "too_many", tried.path)
        assert 1 <= int(answer.headers["Retry-After"]) <= tried.longest
        assert answer.headers["Cache-Control"] == "no-store"
    # A header that anybody can write makes no other address.
    answer = _send(stage, two_servers[0], tried.path, tried.body, HERE, {"X-Forwarded-For": ELSEWHERE})
    assert answer.status_code == 429
    # The right key waits as well at this address, and not at another.
    assert _send(stage, two_servers[0], tried.path, address=HERE, **right).status_code == 429
    assert _send(stage, two_servers[1], tried.path, address=ELSEWHERE, **right).status_code in (200, 201, 204)


def test_the_way_to_the_identity_provider_is_not_gone_without_end(two_servers):
    told = [_call_page(two_servers[number % 2], "/console/sso") for number in range(61)]
    assert told == [404] * 60 + [429]  # there is no provider here


def _call_page(app: Flask, path: str) -> int:
    return app.test_client().get(path, environ_base={"REMOTE_ADDR": "192.0.2.60"}).status_code


def test_the_wait_ends_with_the_hour(stage, two_servers):
    app, body = two_servers[0], {"email": "nobody@example.org", "password": "a guess"}
    for _ in range(21):
        answer = _send(stage, app, "/v1/staff/login", body, "192.0.2.1")
    assert answer.status_code == 429
    right = _right_key(stage, "/v1/staff/login")
    with stage.today():
        assert _call(app, "/v1/staff/login", "192.0.2.1", **right).status_code == 429
    with stage.today(minutes=61):
        assert _call(app, "/v1/staff/login", "192.0.2.1", **right).status_code == 200


@pytest.mark.parametrize("path", ["/v1/staff/login", "/v1/phone/token"])
def test_who_has_the_right_key_is_not_counted(stage, two_servers, path):
    """A ward behind one address signs in all morning."""
    limit = next(tried.limit for tried in TRIES if tried.path == path)
    phone = stage.newcomer()
    for number in range(limit + 10):
        body = {"refresh_token": phone.refresh_token} if "token" in path else _right_key(stage, path)["body"]
        answer = _send(stage, two_servers[number % 2], path, body, "192.0.2.50")
        assert answer.status_code == 200, (number, answer.text)
        phone.refresh_token = answer.get_json()["refresh_token"]


def test_one_door_shut_leaves_the_others_open(stage, two_servers):
    for _ in range(11):
        answer = _send(stage, two_servers[0], "/v1/phone/activate", TRIES[0].body, "192.0.2.77")
    assert answer.status_code == 429
    for path in ("/v1/staff/login", "/v1/phone/token"):
        right = _right_key(stage, path)
        assert _send(stage, two_servers[0], path, address="192.0.2.77", **right).status_code == 200
    for path in ("/healthz", "/v1/keys", "/openapi.json"):
        assert two_servers[0].test_client().get(path).status_code == 200


def test_of_one_network_all_addresses_are_one(stage, two_servers):
    """A subscriber of IPv6 has 2**64 addresses; a mapped address of IPv4 is still one of IPv4."""
    path, wrong = "/v1/phone/activate", TRIES[0].body
    for number in range(10):
        _send(stage, two_servers[0], path, wrong, f"2001:db8:0:7::{number}")
        _send(stage, two_servers[0], path, wrong, f"::ffff:192.0.2.{number}")
    assert _send(stage, two_servers[0], path, wrong, "2001:db8:0:7:ffff::1").status_code == 429
    assert _send(stage, two_servers[0], path, wrong, "2001:db8:0:8::1").status_code == 401
    assert _send(stage, two_servers[0], path, wrong, "::ffff:192.0.2.200").status_code == 401


def test_a_phone_gone_wild_is_held_back_and_loses_nothing(stage, two_servers):
    wild, calm = stage.newcomer(), stage.newcomer()
    told = [_upload(stage, two_servers[0], wild) for _ in range(door.UPLOADS.amount)]
    assert {answer.status_code for answer in told} == {200}
    for method, path, body in (
        ("POST", "/v1/phone/responses", {"responses": []}),
        ("PUT", f"/v1/phone/drafts/{NOBODY}", {"answers": {}}),
    ):
        answer = _upload(stage, two_servers[0], wild, method, path, body)
        assert_problem(answer, 429, "too_many", path)
        assert answer.headers["Retry-After"] == "60"
    assert _upload(stage, two_servers[0], calm).status_code == 200
    assert _upload(stage, stage.cast.app, wild).status_code == 200  # limits are off there


def _upload(
    stage: Stage,
    app: Flask,
    phone: Any,
    method: str = "POST",
    path: str = "/v1/phone/responses",
    body: Any = None,
) -> Any:
    with stage.today():
        headers = {"Authorization": f"Bearer {phone.key}"}
        return app.test_client().open(path, method=method, json=body or {"responses": []}, headers=headers)


def _right_key(stage: Stage, path: str) -> dict[str, Any]:
    """What opens this door: the body, or the headers."""
    if path.startswith("/hooks"):
        signed = RequestValidator(REHEARSAL["EPRO_TWILIO_AUTH_TOKEN"]).compute_signature(
            REHEARSAL["EPRO_PUBLIC_URL"] + path, {}
        )
        return {"headers": {"X-Twilio-Signature": signed}}
    if path == "/v1/phone/activate":
        device = {"installation_id": "the right one"}
        return {"body": {"activation_code": stage.code_for(stage.newcomer(active=False)), "device": device}}
    if path == "/v1/phone/token":
        return {"body": {"refresh_token": stage.newcomer().refresh_token}}
    asked = {"email": "noor@example.org", "password": PASSWORD}
    if path == "/v1/staff/login":
        return {"body": asked}
    with stage.today():
        return {
            "body": {
                "refresh_token": stage.client.post("/v1/staff/login", json=asked).get_json()["refresh_token"]
            }
        }


def _send(
    stage: Stage, app: Flask, path: str, body: Any = None, address: str = HERE, headers: Any = None
) -> Any:
    with stage.today():
        return _call(app, path, address, body, headers)


def _call(app: Flask, path: str, address: str, body: Any = None, headers: Any = None) -> Any:
    sent = {"json": body} if body is not None else {}
    return app.test_client().post(path, headers=headers, environ_base={"REMOTE_ADDR": address}, **sent)
