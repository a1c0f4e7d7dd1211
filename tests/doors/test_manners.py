"""How every answer is dressed, whatever it says: not kept by caches, not guessed at, not framed; and what a fault
of ours shows of itself, which is nothing.

Threat S12 (an answer shown to somebody else out of a cache); requirement G45 (no stack, no SQL).
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError
from twilio.request_validator import RequestValidator

from epro import db
from epro.api import sponsor
from epro.notifications import callbacks
from epro.responses import receiving
from epro.studies import access
from tests.conftest import REHEARSAL
from tests.doors.routes import ROUTES, path_of
from tests.doors.scene import entry
from tests.doors.test_bad_bodies import assert_problem

MAY_BE_KEPT = {
    "/calendar/<link>.ics",
    "/docs",
    "/docs/init.js",
    "/docs/assets/<name>",
    "/v1/phone/instruments/<code>/<version>",
}
OPENERS = {"phone": "ada", "staff": "noor", "sponsor": "machine"}
SECRET = "worst_fatigue=7 of +8613900000011"


@pytest.mark.parametrize("with_a_key", [True, False], ids=["with a key", "without"])
@pytest.mark.parametrize(("method", "rule"), ROUTES, ids=lambda part: part)
def test_every_answer_is_dressed_alike(stage, method, rule, with_a_key):
    route = ROUTES[method, rule]
    if rule.endswith(("logout", "withdrawal", "revocation", "erasure")):
        method = "OPTIONS"  # what ends somebody's part in this stage
    key = stage.token(OPENERS[route.lock]) if with_a_key and route.lock in OPENERS else None
    for asked in dict.fromkeys((method, "OPTIONS", "HEAD" if method == "GET" else method)):
        answer = stage.send(asked, path_of(rule, stage) + route.query, key, route.body)
        _dressed(answer)
        if answer.status_code < 400 and rule in MAY_BE_KEPT and asked != "OPTIONS":
            assert "no-store" not in answer.headers.get("Cache-Control", "")
        elif not (rule.startswith("/docs") and asked == "OPTIONS"):
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nowhere", 404),
        ("DELETE", "/v1/phone/me", 405),
        ("GET", "/docs/assets/none", 404),
        ("GET", "/", 404),
        ("GET", "/v1/phone/instruments/none/1", 404),
        ("GET", "/v1/site/participants/%00", 400),
        ("GET", "/v1/phone/changes?limit=0", 422),
    ],
)
def test_refusals_are_dressed_too(stage, method, path, status):
    answer = stage.ask("ada", method, path)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (status, "no-store") or status == 400
    _dressed(answer)


def test_what_is_too_large_is_refused_in_good_manners(stage):
    answer = stage.send("POST", "/v1/phone/activate", body=b"x" * (2 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (413, "no-store")
    _dressed(answer)


def test_an_instrument_may_be_kept_by_the_phone_alone(stage):
    first = stage.ask("ada", "GET", "/v1/phone/instruments/fatigue_diary/1.0?lang=en")
    assert first.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    again = stage.send(
        "GET",
        "/v1/phone/instruments/fatigue_diary/1.0?lang=en",
        stage.token("ada"),
        headers={"If-None-Match": first.headers["ETag"]},
    )
    assert (again.status_code, again.data) == (304, b"")
    other = stage.ask("ada", "GET", "/v1/phone/instruments/fatigue_diary/1.0?lang=zh-CN")
    assert other.headers["ETag"] != first.headers["ETag"]


def test_every_request_has_a_number_of_its_own(stage):
    numbers = {
        stage.send("GET", "/healthz", headers={"X-Request-Id": "mine"}).headers["X-Request-Id"]
        for _ in range(5)
    }
    assert len(numbers) == 5 and all(len(number) == 32 for number in numbers)


def test_no_page_of_another_host_may_ask(stage):
    """No permission to foreign pages is ever given."""
    for method in ("OPTIONS", "GET"):
        answer = stage.send(
            method,
            "/v1/phone/me",
            stage.token("ada"),
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"},
        )
        assert not any(name.startswith("Access-Control-") for name, _ in answer.headers)


FAULTS = {
    "of our own": lambda: RuntimeError(f"no such thing: {SECRET}"),
    "of a key": lambda: KeyError(SECRET),
    "of the database": lambda: IntegrityError(
        "INSERT INTO responses (body) VALUES (:body)",
        {"body": SECRET},
        Exception(f"DETAIL: failing row ({SECRET})"),
    ),
    "of a time-out": lambda: TimeoutError(SECRET),
    "of an endless loop": lambda: RecursionError(SECRET),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_ours_shows_nothing_and_leaves_its_number(stage, monkeypatch, caplog, name):
    """Also in the log there are places and no words: they may hold what a patient said."""

    def broken(*_: Any, **__: Any) -> Any:
        raise FAULTS[name]()

    monkeypatch.setattr(receiving, "receive", broken)
    monkeypatch.setattr(access, "visible", broken)
    stage.token("ada"), stage.token("noor")
    caplog.clear()
    for who, method, path, body in (
        ("ada", "POST", "/v1/phone/responses", {"responses": [entry(stage.ada.phone)]}),
        ("noor", "GET", "/v1/site/participants", None),
    ):
        answer = stage.ask(who, method, path, body)
        assert_problem(answer, 500, "internal_error", path)
        assert answer.get_json()["request_id"] == answer.headers["X-Request-Id"]
        assert answer.headers["Cache-Control"] == "no-store"
        _dressed(answer)
        _says_nothing(answer.text)
    logged = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(logged) == 2 and logged[1].request_id == answer.headers["X-Request-Id"]
    assert logged[1].route == "/v1/site/participants"
    for record in logged:
        assert "broken" in record.getMessage(), "the place is named"
        _says_nothing(record.getMessage().replace("errors.py", ""), str(vars(record)))


@pytest.mark.parametrize("fault", [OperationalError, sa.exc.TimeoutError])
def test_a_database_that_is_away_is_said_so_and_asked_again_later(stage, monkeypatch, caplog, fault):
    def away(*_: Any, **__: Any) -> Any:
        raise (
            fault("SELECT secret", {"phone": SECRET}, Exception(SECRET))
            if fault is OperationalError
            else fault(SECRET)
        )

    stage.token("noor")
    monkeypatch.setattr(access, "visible", away)
    answer = stage.ask("noor", "GET", "/v1/site/participants")
    assert_problem(answer, 503, "unavailable", "participants")
    assert int(answer.headers["Retry-After"]) > 0
    _says_nothing(answer.text, caplog.text)


def test_a_hook_that_breaks_shows_nothing(stage, monkeypatch, caplog):
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(callbacks, "inbound", broken)
    form = {"From": "+8613900000011", "Body": "STOP"}
    signed = RequestValidator(REHEARSAL["EPRO_TWILIO_AUTH_TOKEN"]).compute_signature(
        REHEARSAL["EPRO_PUBLIC_URL"] + "/hooks/twilio/inbound", form
    )
    answer = stage.send("POST", "/hooks/twilio/inbound", data=form, headers={"X-Twilio-Signature": signed})
    assert_problem(answer, 500, "internal_error", "inbound")
    _says_nothing(answer.text, caplog.text)


def test_not_ready_says_what_and_not_why(stage, monkeypatch):
    monkeypatch.setattr(db, "engine", lambda: sa.create_engine("sqlite:////no/such/folder/epro.sqlite"))
    answer = stage.send("GET", "/readyz")
    assert_problem(answer, 503, "not_ready", "readyz")
    assert answer.get_json()["checks"] == {"database": False, "migrations": False, "worker": False}
    assert "sqlite" not in answer.text


def _dressed(answer: Any) -> None:
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Authorization" in headers["Vary"]
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert len(headers["X-Request-Id"]) == 32
    assert not {"Set-Cookie", "X-Powered-By", "Location"} & set(headers.keys())
    if answer.status_code >= 400:
        own = {"/fhir/r4/auth/token": "application/json"}.get(answer.request.path)  # as OAuth has it
        usual = "fhir+json" if answer.request.path.startswith("/fhir/") else "problem+json"
        assert answer.content_type == (own or f"application/{usual}")


def _says_nothing(*texts: str) -> None:
    for text in texts:
        for word in (
            "Traceback",
            "SELECT",
            "INSERT",
            "responses (body)",
            "psycopg",
            "site-packages",
            "+8613900000011",
            "worst_fatigue=7",
            "failing row",
        ):
            assert word not in text, (word, text[:300])


def end_of_the_feed(stage) -> int:
    """Behind its last entry: there one waits."""
    told = stage.ask("machine", "GET", "/v1/sponsor/feed?limit=500").get_json()
    assert not told["more"]
    return int(told["next"])


def test_of_many_who_wait_for_the_feed_two_hold_a_thread(stage, monkeypatch):
    """The third is answered at once; phones find the other threads free."""

    def waited(seconds: float) -> None:
        raise AssertionError("it waited")

    monkeypatch.setattr(sponsor.time, "sleep", waited)
    path = f"/v1/sponsor/feed?after={end_of_the_feed(stage)}&wait=30"
    with sponsor.WAITERS, sponsor.WAITERS:
        answer = stage.ask("machine", "GET", path)
    assert (answer.status_code, answer.get_json()["records"]) == (200, [])


def test_who_waited_for_the_feed_leaves_the_place_free(stage):
    path = f"/v1/sponsor/feed?after={end_of_the_feed(stage)}&wait=0.01"
    for _ in range(3):
        assert stage.ask("machine", "GET", path).status_code == 200
    with sponsor.WAITERS, sponsor.WAITERS:
        pass
