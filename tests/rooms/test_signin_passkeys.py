"""Passkeys: both factors at once, for this server only, each challenge once.

PK-01  A passkey signs in where it was made for, and is a second factor of its own.
PK-02  What is changed in one place is refused: twenty answers, none opens anything.
PK-03  A counter that stands still shows a copy.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from epro.signin import tries
from epro.signin.models import Passkey
from epro.trail.models import Event
from epro.tx import look
from tests.fakes.authenticator import PRESENT, VERIFIED, Authenticator
from tests.rooms.test_signin_factors import NOW, TESTS, Person, on_sqlite, strict  # noqa: F401
from tests.rooms.test_signin_lockout import attack

SOON = NOW + timedelta(minutes=1)


@pytest.fixture
def noor(strict) -> Person:  # noqa: F811
    return Person(strict, "noor@example.org")


def make(person: Person, device: Authenticator, when=NOW, **changed):
    asked = person.ask("POST", "me/passkeys/challenge", {}, when)
    assert asked.status_code == 200, asked.text
    sent = {**device.made_for(asked.get_json(), **changed), "name": "phone"}
    return person.ask("POST", "me/passkeys", sent, when)


def show(person: Person, device: Authenticator, when=SOON, later=timedelta(), **changed):
    asked = person.ask("POST", "passkey/challenge", {}, when).get_json()
    return person.ask("POST", "passkey/login", device.shown_for(asked, **changed), when + later)


@pytest.fixture
def device(noor) -> Authenticator:
    """Noor's passkey, her only second factor."""
    assert noor.sign_in() == 200
    made = Authenticator("epro.test")
    answer = make(noor, made)
    assert answer.status_code == 201 and len(answer.get_json()["recovery_codes"]) == 10, answer.text
    noor.codes = answer.get_json()["recovery_codes"]
    return made


def test_a_passkey_signs_in_and_a_password_alone_no_longer(noor, device):
    assert noor.ask("GET", "me/passkeys").get_json()["passkeys"][0]["name"] == "phone"
    assert noor.sign_in(SOON) == 401
    told = show(noor, device).get_json()
    noor.key = told["access_token"]
    assert told["second_factor_missing"] is False and told["known_device"]
    (session, _) = noor.ask("GET", "me/sessions", when=SOON).get_json()["sessions"]
    assert session["second_factor"] == "passkey" and session["this_one"]
    assert noor.sign_in(SOON, noor.codes[0]) == 200  # the password with a recovery code
    asked = noor.ask("POST", "passkey/challenge", {}, SOON).get_json()
    later = SOON + timedelta(minutes=4)
    assert noor.ask("POST", "me/step-up", device.shown_for(asked), later).status_code == 204


def test_it_opens_an_account_that_guessing_has_shut(noor, device):
    attack(NOW, tries.MOST)
    assert show(noor, device).status_code == 200


CHANGED = {
    "another origin": {"origin": "https://epro.test.evil.example"},
    "without TLS": {"origin": "http://epro.test"},
    "another port": {"origin": "https://epro.test:8443"},
    "another host": {"host": "evil.example"},
    "a host above": {"host": "test"},
    "another challenge": {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    "no challenge": {"challenge": ""},
    "a making": {"type": "webauthn.create"},
    "nobody verified": {"flags": PRESENT},
    "nobody there": {"flags": VERIFIED},
    "nothing at all": {"flags": 0},
    "another signature": {"signature": b"0" * 70},
    "no signature": {"signature": b""},
    "another key's name": {"id": b"x" * 32},
    "no name": {"id": b""},
    "another person": {"user": b"0" * 16},
    "another ticket": {"ticket": "none of ours"},
    "a counter of before": {"count": 0},
}


@on_sqlite
def test_what_is_changed_in_one_place_is_refused(noor, device):
    assert show(noor, device).status_code == 200
    for name, changed in CHANGED.items():
        answer = show(noor, device, **changed)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "sign_in_refused"), name
    other = Authenticator("epro.test")
    other.id, other.user = device.id, device.user
    assert show(noor, other).status_code == 401  # the right name, another key
    for credential in (
        {},
        {"id": 7},
        {"id": "x", "response": None},
        {"id": "é", "response": "x", "type": []},
    ):
        ticket = noor.ask("POST", "passkey/challenge", {}, SOON).get_json()["ticket"]
        sent = {"ticket": ticket, "credential": credential}
        assert noor.ask("POST", "passkey/login", sent, SOON).status_code == 401
    assert show(noor, device, later=timedelta(minutes=5)).status_code == 401
    assert show(noor, device).status_code == 200


@on_sqlite
def test_an_answer_that_was_heard_opens_nothing_again(noor, device):
    asked = noor.ask("POST", "passkey/challenge", {}, SOON).get_json()
    sent = device.shown_for(asked)
    assert noor.ask("POST", "passkey/login", sent, SOON).status_code == 200
    assert noor.ask("POST", "passkey/login", sent, SOON).status_code == 401
    wrong = noor.ask("POST", "passkey/challenge", {}, SOON).get_json()
    assert noor.ask("POST", "passkey/login", device.shown_for(wrong, signature=b"x"), SOON).status_code == 401
    assert (
        noor.ask("POST", "passkey/login", device.shown_for(wrong), SOON).status_code == 401
    )  # the ticket is spent


def test_a_counter_that_stands_still_is_told_of(noor, device):
    assert show(noor, device, count=7).status_code == 200
    assert show(noor, device, count=7).status_code == 401
    with look(TESTS) as tx:
        (row,) = tx.all(sa.select(Passkey))
        assert row.sign_count == 7
        assert len(tx.all(sa.select(Event).where(Event.action == "staff.passkey_refused"))) == 1


@on_sqlite
def test_a_passkey_is_made_for_who_asked_and_for_this_server(noor, strict):  # noqa: F811
    assert noor.sign_in() == 200
    device = Authenticator("epro.test")
    for changed in ({"origin": "https://evil.example"}, {"host": "evil.example"}, {"flags": PRESENT},
                    {"challenge": "AAAA"}, {"type": "webauthn.get"}, {"ticket": "none of ours"}):  # fmt: skip
        assert make(noor, device, **changed).get_json()["code"] == "passkey_refused", changed
    otto = Person(strict, "otto@example.org")
    assert otto.sign_in() == 200
    hers = noor.ask("POST", "me/passkeys/challenge", {}).get_json()
    assert otto.ask("POST", "me/passkeys", device.made_for(hers)).status_code == 401
    assert make(noor, device).status_code == 201
    assert make(noor, device).status_code == 401  # the same once more


@on_sqlite
def test_the_only_factor_stays_and_one_that_was_removed_opens_nothing(noor, device):
    first = noor.ask("GET", "me/passkeys").get_json()["passkeys"][0]["id"]
    assert noor.ask("DELETE", f"me/passkeys/{first}").status_code == 422
    second = Authenticator("epro.test")
    assert make(noor, second).get_json()["recovery_codes"] == []  # she has some
    assert noor.ask("DELETE", f"me/passkeys/{first}", when=NOW + timedelta(minutes=6)).status_code == 403
    assert noor.ask("DELETE", f"me/passkeys/{first}").status_code == 204
    assert noor.ask("DELETE", f"me/passkeys/{first}").status_code == 404
    assert show(noor, device).status_code == 401
    assert show(noor, second).status_code == 200
