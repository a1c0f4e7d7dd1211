"""Every door with every wrong key, and every role at every route of the staff.

Requirements: G32 (a key that was taken back does not work once more), S5 (deny by default), S24 (forged tokens).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from twilio.request_validator import RequestValidator
from werkzeug.test import TestResponse

from epro.api import door
from epro.signin import staff
from epro.tx import Grant, begin, system
from tests.cast import STUDY
from tests.conftest import REHEARSAL
from tests.doors import keys
from tests.doors.routes import ROUTES, in_the_application, path_of
from tests.doors.scene import Stage, hire

NAMES = {
    "nurse": "noor",
    "investigator": "ines",
    "data_manager": "dana",
    "monitor": "mona",
    "study_builder": "bo",
    "administrator": "alma",
    "machine": "machine",
}
FHIR = [("fhir", name) for name in ("ada", "noor", "machine")]
LOCKED = [(method, rule) for (method, rule), route in ROUTES.items() if route.lock not in ("open", "hook")]


def test_every_route_stands_in_the_table(stage):
    pages = {
        (method, rule) for method, rule in in_the_application(stage.cast.app) if rule.startswith("/console/")
    }
    assert in_the_application(stage.cast.app) - pages == set(
        ROUTES
    )  # of pages: tests/console/test_who_may.py


def test_the_open_routes_are_those_of_the_table(stage):
    rules = {rule.endpoint: rule.rule for rule in stage.cast.app.url_map.iter_rules()}
    named = {name for name in door.open_routes(stage.cast.app) if not name.startswith("console.")}
    opened = {rules[endpoint] for endpoint in named}
    assert opened == {rule for (_, rule), route in ROUTES.items() if route.lock == "open"}


def test_a_route_without_a_lock_stops_the_start(stage):
    bare = Flask("bare", static_folder=None)
    bare.add_url_rule("/v1/back-door", "back_door", lambda: "welcome")
    with pytest.raises(RuntimeError, match="/v1/back-door"):
        door.refuse_unlocked(bare)


def test_the_right_keys_open(stage):
    """Without this the test below could pass by asking for nothing that exists."""
    for lock, name in (
        ("phone", "ada"),
        ("staff", "noor"),
        ("sponsor", "dana"),
        ("sponsor", "machine"),
        *FHIR,
    ):
        for method, rule in LOCKED:
            route = ROUTES[method, rule]
            if lock == "staff" and "nurse" not in route.roles.split():
                continue
            if route.lock == lock and method == "GET" and not _of_bulk(rule):
                path = path_of(rule, stage, **stage.own(name)) + route.query
                answer = stage.ask(name, method, path)
                assert answer.status_code == 200, (method, rule, answer.text)
    assert stage.send("GET", "/metrics", "metrics token of the tests").status_code == 200


def test_no_wrong_key_opens_a_locked_route(stage):
    wrong = dict(_wrong_keys(stage))
    opened = []
    for method, rule in LOCKED:
        route, path = ROUTES[method, rule], path_of(rule, stage)
        for name, header in wrong[route.lock].items():
            besides = ("OPTIONS", "HEAD") if name in ("no key", "garbage", "alg none") else ()
            for asked in (method, *besides[: 2 if method == "GET" else 1]):
                headers = {"Authorization": header} if header is not None else {}
                answer = stage.send(asked, path + route.query, body=route.body, headers=headers)
                if not _is_refused(answer, asked):
                    opened.append((asked, rule, name, answer.status_code))
    assert opened == []
    assert min(len(found) for found in wrong.values()) >= 20


def test_a_key_in_another_place_is_no_key(stage):
    key = stage.token("ada")
    for more in (
        {"query_string": {"jwt": key, "access_token": key, "token": key}},
        {"headers": {"Cookie": f"access_token_cookie={key}; session={key}"}},
        {"headers": {"X-Authorization": f"Bearer {key}", "Authentication": f"Bearer {key}"}},
    ):
        assert stage.send("GET", "/v1/phone/me", **more).status_code == 401


def test_a_role_taken_back_does_not_work_once_more(stage):
    grant = Grant(STUDY, "01", "nurse")
    with stage.today():
        person = UUID(hire("brief", grant))
        key = stage.sign_in("brief").key
    assert stage.send("GET", "/v1/site/participants", key).status_code == 200
    with stage.today(), begin(system("tests")) as tx:
        staff.revoke(tx, person, grant, "left the site")
    assert stage.send("GET", "/v1/site/participants", key).status_code == 403


def test_metrics_stay_shut_without_a_token_of_their_own(stage, monkeypatch):
    monkeypatch.setitem(stage.cast.app.config["EPRO"], "METRICS_TOKEN", None)
    for header in ("Bearer ", "Bearer None", "Bearer metrics token of the tests"):
        assert stage.send("GET", "/metrics", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("path", ["/hooks/twilio/status", "/hooks/twilio/inbound"])
def test_hooks_ask_for_the_providers_signature(stage, path):
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "From": "+8613900000011", "Body": "hello"}
    good = _signature(path, form)
    for name, signature, changed, where in (
        ("unsigned", None, form, path),
        ("empty", "", form, path),
        ("wrong", "AAAA", form, path),
        ("of another form", good, {**form, "Body": "STOP"}, path),
        ("of another field", good, {**form, "Extra": "1"}, path),
        ("of another address", good, form, path + "?message=1"),
        ("of another host", _signature(path, form, "https://evil.example"), form, path),
        ("with another token", _signature(path, form, token="another token"), form, path),
        ("of the other hook", _signature("/hooks/twilio/other", form), form, path),
    ):
        headers = {"X-Twilio-Signature": signature} if signature is not None else {}
        answer = stage.send("POST", where, headers=headers, data=changed)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "not_allowed"), name
    for key in (stage.token("noor"), stage.token("ada"), stage.ids["machine"]):
        assert stage.send("POST", path, key, data=form).status_code == 403
    answer = stage.send("POST", path, headers={"X-Twilio-Signature": good}, data=form)
    assert answer.status_code in (200, 204), answer.text


def test_hooks_stay_shut_without_the_providers_token(stage, monkeypatch):
    monkeypatch.setitem(stage.cast.app.config["EPRO"], "TWILIO_AUTH_TOKEN", None)
    signature = _signature("/hooks/twilio/status", {}, token="")
    answer = stage.send("POST", "/hooks/twilio/status", headers={"X-Twilio-Signature": signature})
    assert answer.status_code == 403


@pytest.mark.parametrize("role", NAMES)
def test_every_role_at_every_route_of_the_staff(stage, role):
    """The table in routes.py is written out by hand. What changes things comes last, so that all find the same."""
    wrong = []
    for method, rule in sorted(_for_people(), key=_order):
        route = ROUTES[method, rule]
        if role == "machine" and route.lock != "sponsor":
            continue  # its key does not open these at all: see above
        path = path_of(rule, stage, **stage.own(NAMES[role])) + route.query
        answer = stage.ask(NAMES[role], method, path, route.body)
        if role not in route.roles.split():
            right = (answer.status_code, answer.get_json()["code"]) == (403, "not_allowed")
        else:  # 409: somebody else of the same role's rights did it first
            right = answer.status_code in (200, 201, 202, 204, 409, *route.also)
        if not right:
            wrong.append((method, rule, answer.status_code, answer.text[:100]))
    assert wrong == []


def _for_people() -> list[tuple[str, str]]:
    """Routes of the staff, but for logging out, which would end what the other tests use."""
    return [
        (method, rule)
        for (method, rule), route in ROUTES.items()
        if route.lock in ("staff", "sponsor") and rule not in ("/v1/staff/logout",)
    ]


def _order(route: tuple[str, str]) -> tuple[bool, ...]:
    method, rule = route
    return method != "GET", *(rule.endswith(end) for end in ("revocation", "withdrawal", "erasure"))


def _is_refused(answer: TestResponse, method: str) -> bool:
    if answer.status_code != 401 or answer.headers.get("WWW-Authenticate") != 'Bearer realm="epro"':
        return False
    return method == "HEAD" or _code(answer) == "not_signed_in"


def _of_bulk(rule: str) -> bool:
    """Bulk exports are asked for first, and only by some: see test_fhir.py."""
    return "$export" in rule or "/bulk/" in rule


def _code(answer: TestResponse) -> str:
    """The code of a refusal; at the FHIR door it stands in an outcome."""
    told = answer.get_json()
    found: str = told["code"] if "code" in told else told["issue"][0]["details"]["coding"][0]["code"]
    return found


def _wrong_keys(stage: Stage) -> Iterator[tuple[str, dict[str, Any]]]:
    """By lock: the headers that must not open it."""
    phone, noor, machine = (_bearer(stage.token(name)) for name in ("ada", "noor", "machine"))
    with stage.today():
        all_of_them = {"no key": None, **keys.wrong_for_everybody(stage)}
        past = {
            lock: {name: _bearer(key) for name, key in found.items()}
            for lock, found in keys.of_the_past(stage).items()
        }
        forged = {
            lock: {name: _bearer(key) for name, key in keys.forged(stage.token(who)).items()}
            for lock, who in (("phone", "ada"), ("staff", "noor"))
        }
    old = {name: header for found in past.values() for name, header in found.items()}
    made_up = {**forged["staff"], **{f"{name}, a phone": header for name, header in forged["phone"].items()}}
    people = {**all_of_them, **old, **made_up, "a phone's token": phone}
    yield "staff", {**people, "a machine key": machine}
    yield "sponsor", people
    yield "edc", {**people, "a person's token": noor, "a machine key of the feed": machine}
    yield "fhir", {name: header for name, header in people.items() if name != "a phone's token"}
    yield "phone", {**all_of_them, **old, **made_up, "a person's token": noor, "a machine key": machine}
    yield (
        "metrics",
        {
            **all_of_them,
            **old,
            **made_up,
            "a person's token": noor,
            "a phone's token": phone,
            "a machine key": machine,
            "nearly": _bearer("metrics token of the test"),
        },
    )


def _bearer(key: str) -> str:
    return f"Bearer {key}"


def _signature(
    path: str,
    form: dict[str, str],
    host: str = REHEARSAL["EPRO_PUBLIC_URL"],
    token: str = REHEARSAL["EPRO_TWILIO_AUTH_TOKEN"],
) -> str:
    return str(RequestValidator(token).compute_signature(host + path, form))
