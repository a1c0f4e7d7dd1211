"""The description of the API tells the truth: every route stands in it, and what comes back looks as it says.

A fuzzer reads the description and sends what fits it and what does not: nothing breaks, and every answer is one
that is described (G45, harness H15). Its choices are the same at every run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyotp
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from twilio.request_validator import RequestValidator

from epro import worker
from epro.signin import links, machine_keys, staff
from epro.trail import sealing
from epro.tx import Grant, begin, system
from tests.cast import PASSWORD, STUDY, at
from tests.conftest import REHEARSAL
from tests.doors.routes import ROUTES, SUBSCRIPTION
from tests.doors.scene import NOBODY, SETTLEMENT, TODAY, Stage, entry, hire
from tests.fakes.authenticator import Authenticator

NOT_DESCRIBED = {
    "/openapi.json",
    "/docs",
    "/docs/init.js",
    "/docs/assets/<name>",
}  # pages about the description
EXAMPLES = 5


def _in_openapi(rule: str) -> bool:
    """The FHIR door describes itself, as FHIR says it: see test_fhir.py."""
    return rule not in NOT_DESCRIBED and not rule.startswith("/fhir/")


@pytest.fixture(scope="module")
def described(stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.send("GET", "/openapi.json").get_json()
    return found


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in described["paths"].items():
        for method, operation in found.items():
            if method != "parameters":
                yield method, path, operation


def test_every_route_is_described_and_nothing_else(described):
    ours = {(method.lower(), _as_described(rule)) for method, rule in ROUTES if _in_openapi(rule)}
    assert {(method, path) for method, path, _ in operations(described)} == ours


def test_every_route_says_what_it_does_and_what_comes_back(described):
    silent = {
        (method, path)
        for method, path, operation in operations(described)
        if not any(status.startswith("2") for status in operation["responses"])
    }
    assert silent == set()
    assert all(
        operation["summary"] and "default" in operation["responses"]
        for _, _, operation in operations(described)
    )


def test_every_error_is_described_as_the_problem_document_that_it_is(described):
    for name in ("DEFAULT_ERROR", "UNPROCESSABLE_ENTITY"):
        content = described["components"]["responses"][name]["content"]
        assert list(content) == ["application/problem+json"]
        assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/ProblemOut"}


def test_what_comes_back_looks_as_described(stage, described):
    """A walk through every route that can succeed. Fields that the description does not name are faults too."""
    seen = set()
    for method, path, answer in _walk(stage):
        operation = described["paths"][path][method]
        assert str(answer.status_code) in operation["responses"], (
            method,
            path,
            answer.status_code,
            answer.text,
        )
        _check_against(described, operation["responses"][str(answer.status_code)], answer)
        seen.add((method, path))
    wanted = {
        (method, path)
        for method, path, operation in operations(described)
        if any(status.startswith("2") for status in operation["responses"])
    }
    assert wanted - seen == set()


def test_what_is_refused_looks_as_described(stage, described):
    problem = {"$ref": "#/components/schemas/ProblemOut"}
    for method, rule in filter(lambda route: _in_openapi(route[1]), ROUTES):
        for key in (None, stage.token("ada"), stage.token("bo")):
            answer = stage.send(method, _some_path(rule), key, b"{")
            if answer.status_code >= 400:
                assert answer.content_type == "application/problem+json"
                _valid(described, problem, json.loads(answer.data))


def test_a_fuzzer_breaks_nothing(stage):
    config = SchemathesisConfig(wait_for_schema=0)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", stage.cast.app, config=config)
    phone, tried = stage.newcomer(), 0
    with stage.today():
        worker.beat("of the tests")  # without one it is not ready, and says so with a 503
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(("/logout", "/me/password")):
            continue  # it would end, or lock away, what the others use
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            tried += _fuzz(stage, operation, mode, phone)
    assert tried > 200


def _fuzz(stage: Stage, operation: Any, mode: GenerationMode, phone: Any) -> int:
    """One operation with this many cases; about half of them with names of what is there. How many were sent."""
    sent, checks = 0, [not_a_server_error]
    checks += [content_type_conformance, response_schema_conformance]
    if mode is GenerationMode.NEGATIVE and not (
        operation.body or operation.query or operation.path_parameters
    ):
        return 0

    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case: Any, known: bool) -> None:
        nonlocal sent
        if known:
            _name_what_is_there(stage, case, phone)
        if isinstance(case.query, dict):
            case.query.pop("wait", None)  # it would wait
        with stage.today():
            response = case.call(headers=_keys(stage, operation.path, phone))
        case.validate_response(response, checks=checks)
        sent += 1

    one()
    return sent


def _name_what_is_there(stage: Stage, case: Any, phone: Any) -> None:
    there = {
        "subject_id": phone.subject_id,
        "alert_id": str(stage.ada.alert),
        "set_aside_id": str(stage.ada.set_aside),
        "signature_id": str(stage.ada.signature),
        "query_id": str(stage.ada.query),
        "device_id": str(stage.ada.device),
        "occurrence_id": entry(phone)["occurrence_id"],
        "response_id": stage.ada.response,
        "code": "fatigue_diary",
        "version": "1.0",
        "job_id": stage.exports["dana"],
        "format": "csv",
        "study_oid": f"STDY.{STUDY}",
        "label": "first",
        "dataset_oid": "IG.QSFD",
        "name": "define",
        "assessment": "evening",
        "number": "1",
        "day": "2026-03-02",
        "link": "none-of-ours",
        "passkey_id": str(NOBODY),
        "session_id": str(NOBODY),
        "staff_id": str(NOBODY),
        "request_id": str(NOBODY),
    }
    for name in case.path_parameters or {}:
        case.path_parameters[name] = there[name]
    fields = {
        "study": STUDY,
        "site": "01",
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "anchor": "infusion",
    }
    if isinstance(case.body, dict):
        case.body.update({name: value for name, value in fields.items() if name in case.body})
    if isinstance(case.query, dict):
        case.query.update({name: value for name, value in fields.items() if name in case.query})


def _keys(stage: Stage, path: str, phone: Any) -> dict[str, str]:
    door = "/".join(path.split("/")[:3])
    key = {
        "/v1/phone": phone.key,
        "/v1/site": stage.token("noor"),
        "/v1/staff": stage.token("noor"),
        "/v1/sponsor": stage.token("dana"),
        "/cdisc/dataset-json": stage.token("dana"),
        "/metrics": "metrics token of the tests",
    }.get(door)
    plain = {"Accept-Encoding": "identity"}  # this client unpacks nothing
    return {"Authorization": f"Bearer {key}", **plain} if key else plain


def _walk(stage: Stage) -> Iterator[tuple[str, str, Any]]:
    """Every route that can succeed, called so that it does: (method, path as described, answer)."""
    phone, subject = stage.newcomer(active=False), "/v1/site/participants/{subject_id}"

    def by(
        who: str, method: str, path: str, body: Any = None, query: str = "", **names: Any
    ) -> tuple[str, str, Any]:
        key = getattr(phone, "key", None) if who == "phone" else stage.token(who) if who else None
        answer = stage.send(method, path.format(**names) + query, key, body)
        return method.lower(), path, answer

    hers, own = {"subject_id": phone.subject_id}, "0b5b1d5e-0000-4000-8000-000000000002"
    made = by("noor", "POST", subject + "/activation-code", {}, **hers)
    yield made
    device = {"installation_id": phone.installation_id}
    asked = {"activation_code": made[2].get_json()["activation_code"], "device": device}
    activated = by("", "POST", "/v1/phone/activate", asked)
    yield activated
    yield by("", "POST", "/v1/phone/token", {"refresh_token": activated[2].get_json()["refresh_token"]})
    phone.key = activated[2].get_json()["access_token"]
    yield by("phone", "GET", "/v1/phone/me")
    yield by("phone", "POST", "/v1/phone/occurrences", {"assessment": "flare"})
    yield by("phone", "GET", "/v1/phone/instruments/{code}/{version}", code="fatigue_diary", version="1.0")
    yield by(
        "phone",
        "PATCH",
        "/v1/phone/me",
        {
            "language": "zh-CN",
            "reminder_hour": "19:30",
            "quiet_hours": ["22:00", "07:00"],
            "channels": ["sms"],
        },
    )
    changes = by("phone", "GET", "/v1/phone/changes")
    yield changes
    phone.known = {o["id"]: o for o in changes[2].get_json()["occurrences"]}
    yield by("phone", "GET", "/v1/phone/changes", query=f"?limit=1&since={changes[2].get_json()['next']}")
    odd = [entry(phone), entry(phone, answers={"x": 1}), 7, entry(phone, id=...)]
    yield by("phone", "POST", "/v1/phone/responses", {"responses": odd})
    sealing.seal()
    yield by("phone", "GET", "/v1/phone/responses/{response_id}/proof", response_id=odd[0]["id"])
    tonight = next(o["id"] for o in phone.known.values() if o["local_day"] == "2026-03-04")
    yield by(
        "phone",
        "PUT",
        "/v1/phone/drafts/{occurrence_id}",
        {"answers": {"x": [1]}, "page": 2},
        occurrence_id=tonight,
    )
    yield by("phone", "GET", "/v1/phone/drafts/{occurrence_id}", occurrence_id=tonight)
    yield by("phone", "POST", "/v1/phone/confirmations", {"notifications": [str(stage.ada.message)]})
    yield "post", "/v1/phone/occurrences/{occurrence_id}/snooze", _snooze(stage)
    yield by("noor", "POST", subject + "/message-settings", {"daily_cap": 3, "reason": "asked for"}, **hers)
    yield by("phone", "GET", "/v1/phone/push-key")
    yield by("phone", "PUT", "/v1/phone/push-subscription", SUBSCRIPTION)
    yield by("phone", "DELETE", "/v1/phone/push-subscription")
    yield by("phone", "GET", "/v1/phone/messages")
    link = by("phone", "POST", "/v1/phone/calendar")
    yield link
    address = link[2].get_json()["url"].rpartition("/")[2]
    yield "get", "/calendar/{link}.ics", stage.send("GET", f"/calendar/{address}")
    yield by("phone", "DELETE", "/v1/phone/calendar")
    yield by("phone", "POST", "/v1/phone/logout", {})
    login = by("", "POST", "/v1/staff/login", {"email": "otto@example.org", "password": PASSWORD})
    yield login
    yield by("", "POST", "/v1/staff/token", {"refresh_token": login[2].get_json()["refresh_token"]})
    yield by("noor", "GET", "/v1/staff/me")
    yield (
        "post",
        "/v1/staff/logout",
        stage.send("POST", "/v1/staff/logout", login[2].get_json()["access_token"], {}),
    )
    yield from _signing_in(stage)
    yield by("noor", "GET", "/v1/site/participants")
    yield by(
        "noor",
        "POST",
        "/v1/site/participants",
        {
            "study": STUDY,
            "site": "01",
            "language": "en",
            "time_zone": "Asia/Shanghai",
            "anchors": {"enrolment": "2026-03-04"},
            "contact": {"phone": "+8613900000031", "email": "x@example.org", "name": "X"},
        },
    )
    yield by("noor", "GET", subject, **hers)
    for query in ("?preview=true", ""):
        anchor = {"anchor": "enrolment", "date": "2026-03-06", "reason": "moved"}
        yield by("noor", "POST", subject + "/anchors", anchor, query, **hers)
        wishes = {"arm": "active", "language": "en", "time_zone": "Asia/Tokyo"}
        for name, value in wishes.items():
            path = f"{subject}/{name.replace('_', '-')}"
            yield by("noor", "POST", path, {name: value, "reason": "as it is"}, query, **hers)
    days = {"first_day": "2026-03-04", "last_day": "2026-03-06"}
    for query in ("?preview=true", ""):
        said = {"reason": "other", "note": "away"}
        yield by("noor", "POST", subject + "/excuses", {**said, **days}, query, **hers)
        yield by(
            "noor", "POST", subject + "/excuses/take-back", {"reason": "she is not", **days}, query, **hers
        )
    missed = {"occurrence_id": stage.ada.occurrence}
    one = "/v1/site/occurrences/{occurrence_id}"
    for body, act in (({"reason": "procedure"}, "/excuse"), ({"reason": "not that day"}, "/take-back")):
        yield by("noor", "POST", one + act, body, **missed)
    for side in (stage.ada.subject_id, phone.subject_id):
        yield by("noor", "GET", subject + "/timeline", subject_id=side)
        yield by("noor", "GET", subject + "/endpoints", subject_id=side)
        yield by("noor", "GET", subject + "/why", subject_id=side)
    for query in (f"?alert={stage.ada.alert}", f"?occurrence={stage.ada.occurrence}&lang=zh-CN"):
        yield by("noor", "GET", subject + "/why", None, query, subject_id=stage.ada.subject_id)
    week = {"subject_id": stage.ada.subject_id, "assessment": "evening", "number": "1"}
    yield by("noor", "GET", subject + "/weeks/{assessment}/{number}", **week)
    hers_too = {"response_id": stage.ada.response}
    yield by("noor", "GET", "/v1/site/responses/{response_id}/scores", **hers_too)
    amendments = "/v1/site/responses/{response_id}/amendments"
    for query in ("?preview=true", ""):
        wanted = {"answers": {"worst_fatigue": 1}, "reason": "as she says", "reported_by": "site"}
        yield by("ines", "POST", amendments, wanted, query, **hers_too)
    yield by("noor", "GET", "/v1/site/responses/{response_id}", **hers_too)
    signing = {"meaning": "approved", "accepts_policy": True, "password": PASSWORD}
    signed = by("ines", "POST", "/v1/site/responses/{response_id}/signatures", signing, **hers_too)
    yield signed
    yield by("ines", "GET", "/v1/site/unsigned")
    many = {"responses": [signed[2].get_json()["responses"][0]["id"]], **signing, "meaning": "reviewed"}
    yield by("ines", "POST", "/v1/site/signatures", many)
    yield by("noor", "GET", "/v1/site/signatures", query="?broken=true")
    its = {"signature_id": stage.ada.signature}
    yield by("noor", "GET", "/v1/site/signatures/{signature_id}", **its)
    put = by("dana", "POST", "/v1/site/responses/{response_id}/queries", {"text": "why so?"}, **hers_too)
    yield put
    its = {"query_id": put[2].get_json()["id"]}
    for who, what in (("noor", "answer"), ("dana", "question"), ("noor", "answer"), ("dana", "closure")):
        body = {} if what == "closure" else {"text": "as it was"}
        yield by(who, "POST", "/v1/site/queries/{query_id}/" + what, body, **its)
    yield by("noor", "GET", "/v1/site/queries", query="?state=closed")
    yield by("noor", "GET", "/v1/site/queries/{query_id}", **its)
    aside = {"set_aside_id": stage.ada.set_aside}
    yield by("ines", "POST", "/v1/site/set-aside/{set_aside_id}/settlement", SETTLEMENT, **aside)
    yield by("noor", "GET", "/v1/site/set-aside/{set_aside_id}", **aside)
    yield by("noor", "GET", "/v1/site/alerts")
    alert = {"alert_id": stage.ada.alert}
    yield by("noor", "POST", "/v1/site/alerts/{alert_id}/acknowledgement", {"note": "I call her"}, **alert)
    yield by("noor", "POST", "/v1/site/alerts/{alert_id}/resolution", {"outcome": "reached"}, **alert)
    yield by("noor", "POST", "/v1/site/alerts/{alert_id}/reopening", {"reason": "not settled"}, **alert)
    tried = {"channel": "phone", "outcome": "no_answer", "note": "rang twice"}
    yield by("noor", "POST", "/v1/site/alerts/{alert_id}/contact-attempts", tried, **alert)
    yield by("noor", "POST", "/v1/site/alerts/{alert_id}/notes", {"note": "rings back"}, **alert)
    given = {"to": stage.cast.ids["ines"], "note": "my shift ends"}
    yield by("noor", "POST", "/v1/site/alerts/{alert_id}/hand-over", given, **alert)
    yield by("noor", "GET", "/v1/site/alerts/{alert_id}", **alert)
    yield by("noor", "GET", "/v1/site/alerts", query="?standing=true")
    yield by("noor", "GET", "/v1/site/at-risk")
    yield by("noor", "GET", "/v1/site/alert-metrics")
    yield by("noor", "GET", "/v1/site/set-aside")
    yield by("noor", "GET", "/v1/site/compliance")
    device_id = stage.ask("noor", "GET", f"/v1/site/participants/{phone.subject_id}/timeline").get_json()[
        "devices"
    ][0]["id"]
    yield by(
        "noor",
        "POST",
        subject + "/devices/{device_id}/revocation",
        {"reason": "lost"},
        device_id=device_id,
        **hers,
    )
    with stage.today(), begin(system("tests")) as tx:
        edc = machine_keys.add(tx, STUDY, "the EDC", 30, "edc")[1]
    days = [
        {"subject_id": who, "anchor": "infusion", "date": "2026-03-21"}
        for who in (phone.subject_id, "nobody")
    ]
    yield "post", "/v1/edc/anchors", stage.send("POST", "/v1/edc/anchors", edc, {"anchors": days})
    yield by("noor", "POST", "/v1/site/participants/search", {"phone": "+8613900000001"})
    yield by("noor", "GET", "/v1/site/responses/{response_id}/proof", response_id=odd[0]["id"])
    yield by("noor", "POST", subject + "/notes", {"note": "prefers the evening"}, **hers)
    yield by(
        "noor", "POST", subject + "/contact", {"phone": "+8613900000002", "reason": "a new number"}, **hers
    )
    wish = {"kind": "restriction", "asked_on": "2026-03-01", "text": "leave me alone", "id": own}
    yield by("noor", "POST", subject + "/rights-requests", wish, **hers)
    yield by("noor", "GET", "/v1/site/rights-requests")
    yield by("ines", "POST", subject + "/own-data", {"reason": "her wish"}, **hers)
    said = {"outcome": "granted", "reason": "her wish"}
    yield by("ines", "POST", "/v1/site/rights-requests/{request_id}/answer", said, request_id=own)
    yield by("ines", "POST", subject + "/restriction/end", {"reason": "her wish"}, **hers)
    yield by("noor", "POST", subject + "/calendar", **hers)
    yield by("noor", "POST", subject + "/calendar/revocation", {"reason": "lost"}, **hers)
    yield by("noor", "POST", subject + "/withdrawal", {"reason": "own wish"}, **hers)
    stage.ask("ines", "POST", "/v1/staff/me/step-up", {"password": PASSWORD})
    yield by("ines", "POST", subject + "/erasure", {"reason": "own wish"}, **hers)
    yield by("noor", "GET", subject + "/timeline", **hers)
    yield by("dana", "GET", "/v1/sponsor/feed")
    yield by("dana", "GET", "/v1/sponsor/manifests/{day}", day="2026-03-01")
    yield by("dana", "GET", "/v1/sponsor/checkpoints")
    yield by("dana", "POST", "/v1/sponsor/exports", {"format": "csv", "cut": "first"})
    yield by("dana", "GET", "/v1/sponsor/exports/{job_id}", job_id=stage.exports["dana"])
    yield by("dana", "GET", "/v1/sponsor/exports/{job_id}/file", job_id=stage.exports["dana"])
    yield by("dana", "GET", "/v1/sponsor/exports/{format}", format="csv")
    cdisc, within = "/cdisc/dataset-json", "/cdisc/dataset-json/studies/{study_oid}"
    names = {"study_oid": f"STDY.{STUDY}", "label": "first", "dataset_oid": "IG.QSFD", "name": "define"}
    for path in (f"{cdisc}/about", f"{cdisc}/studies", within, f"{within}/snapshots", f"{within}/datasets",
                 f"{within}/snapshots/{{label}}", f"{within}/snapshots/{{label}}/datasets/{{dataset_oid}}",
                 f"{within}/datasets/{{dataset_oid}}", f"{within}/defines", f"{within}/defines/{{name}}"):  # fmt: skip
        yield by("dana", "GET", path, **names)
    yield by("", "GET", "/healthz")
    yield by("", "GET", "/v1/keys")
    yield "get", "/metrics", stage.send("GET", "/metrics", "metrics token of the tests")
    yield from _others(stage)


def _others(stage: Stage) -> Iterator[tuple[str, str, Any]]:
    """The hooks, and readiness with a worker that lives."""
    for path in ("/hooks/twilio/status", "/hooks/twilio/inbound"):
        signed = RequestValidator(REHEARSAL["EPRO_TWILIO_AUTH_TOKEN"]).compute_signature(
            REHEARSAL["EPRO_PUBLIC_URL"] + path, {"Body": "hello"}
        )
        yield (
            "post",
            path,
            stage.send("POST", path, data={"Body": "hello"}, headers={"X-Twilio-Signature": signed}),
        )
    stage.cast.app.config["EPRO"]["ALIYUN_CALLBACK_KEY"] = "of the tests"
    path = "/hooks/aliyun/status"
    yield "post", path, stage.send("POST", path + "?key=of the tests", body=[])
    with stage.today():
        worker.beat("of the tests")
    yield "get", "/readyz", stage.send("GET", "/readyz")


def _check_against(described: dict[str, Any], response: dict[str, Any], answer: Any) -> None:
    if "content" not in response:
        assert answer.data == b""
        return
    ((kind, content),) = response["content"].items()
    assert answer.mimetype == kind
    if kind == "application/json":
        _valid(described, content["schema"], answer.get_json())


def _valid(described: dict[str, Any], schema: dict[str, Any], told: Any) -> None:
    """Against JSON Schema, with OpenAPI 3.0's `nullable`, and with no field that is not named."""
    whole = {**_with_null(schema), "components": _with_null(described["components"])}
    faults = [
        f"{'/'.join(map(str, fault.absolute_path))}: {fault.message[:200]}"
        for fault in Draft4Validator(whole).iter_errors(told)
    ]
    assert faults == []


def _with_null(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_null(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _with_null(inner) for name, inner in schema.items()}
    if changed.pop("nullable", False) is True and isinstance(changed.get("type"), str):
        changed["type"] = [changed["type"], "null"]
    if isinstance(changed.get("properties"), dict):
        changed.setdefault("additionalProperties", False)
    return changed


def _as_described(rule: str) -> str:
    return rule.replace("<uuid:", "{").replace("<int:", "{").replace("<", "{").replace(">", "}")


def _some_path(rule: str) -> str:
    path = rule
    for name in ("occurrence_id", "device_id", "alert_id", "set_aside_id"):
        path = path.replace(f"<uuid:{name}>", "00000000-0000-4000-8000-000000000000")
    return (
        path.replace("<subject_id>", "01-001")
        .replace("<code>/<version>", "none/1")
        .replace("<name>", "none")
        .replace("<assessment>/<int:number>", "none/1")
    )


def _signing_in(stage: Stage) -> Iterator[tuple[str, str, Any]]:
    """What somebody of the staff does with her own account, and an administrator with it."""
    with stage.today():
        hire("walker", Grant(STUDY, "01", "nurse"))
        hire("keeper", Grant(STUDY, "*", "administrator"))
        keys = {name: stage.sign_in(name).key for name in ("walker", "keeper")}
    device = Authenticator("epro.test")

    def by(who: str, method: str, path: str, body: Any = None, **names: Any) -> tuple[str, str, Any]:
        answer = stage.send(method, f"/v1/staff{path.format(**names)}", keys.get(who), body)
        return method.lower(), f"/v1/staff{path}", answer

    yield by("walker", "POST", "/me/step-up", {"password": PASSWORD})
    yield by("walker", "POST", "/me/password", {"password": PASSWORD})
    asked = by("walker", "POST", "/me/passkeys/challenge", {})
    yield asked
    yield by("walker", "POST", "/me/passkeys", device.made_for(asked[2].get_json()))
    shown = by("", "POST", "/passkey/challenge", {})
    yield shown
    yield by("", "POST", "/passkey/login", device.shown_for(shown[2].get_json()))
    seed = by("walker", "POST", "/me/totp", {})
    yield seed
    otp = pyotp.TOTP(seed[2].get_json()["seed"]).at(at(TODAY))
    yield by("walker", "POST", "/me/totp/confirmation", {"otp": otp})
    yield by("walker", "POST", "/me/recovery-codes", {})
    listed = by("walker", "GET", "/me/passkeys")
    yield listed
    passkey = listed[2].get_json()["passkeys"][0]["id"]
    yield by("walker", "DELETE", "/me/passkeys/{passkey_id}", passkey_id=passkey)
    mine = by("walker", "GET", "/me/sessions")
    yield mine
    session = mine[2].get_json()["sessions"][0]["id"]
    yield by("walker", "DELETE", "/me/sessions/{session_id}", session_id=session)
    yield by("", "POST", "/recovery", {"email": "walker@example.org"})
    with stage.today(), begin(system("tests")) as tx:
        link = links.tickets.make(
            tx, links.LINK, links.RECOVERING_FOR, staff.by_email(tx, "walker@example.org").id
        )
    yield by("", "POST", "/recovery/completion", {"link": link, "password": PASSWORD})
    yield by("keeper", "GET", "/accounts")
    role = {"study": STUDY, "site": "02", "role": "nurse"}
    newcomer = {"email": "newcomer@example.org", "name": "N", "language": "en", "roles": [role]}
    made = by("keeper", "POST", "/accounts", newcomer)
    yield made
    hers = {"staff_id": made[2].get_json()["id"]}
    yield by("keeper", "POST", "/accounts/{staff_id}/invitation", {}, **hers)
    yield by("keeper", "POST", "/accounts/{staff_id}/identity-invitation", {}, **hers)
    yield by("keeper", "POST", "/accounts/{staff_id}/roles", {**role, "site": "01"}, **hers)
    back = {**role, "reason": "moved"}
    yield by("keeper", "POST", "/accounts/{staff_id}/roles/revocation", back, **hers)
    for act in ("sessions/end", "unlocking", "factors/reset", "identity-removal", "closing"):
        yield by("keeper", "POST", f"/accounts/{{staff_id}}/{act}", {"reason": "asked for"}, **hers)


def _snooze(stage):
    """Cara puts the reminders of this evening off, while it is evening."""
    cara = stage.cara
    with stage.cast.on("2026-03-04T20:00"):
        cara.phone.refresh()
        return stage.client.post(
            f"/v1/phone/occurrences/{cara.occurrence}/snooze",
            json={"minutes": 5},
            headers={"Authorization": f"Bearer {cara.phone.key}"},
        )
