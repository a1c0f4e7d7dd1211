"""Acts that ask for a passkey: a password and a code, which a wrong page can take from somebody, are not enough.

PR-01  An administrator without a passkey signs in, is refused such acts, adds one, and may.
PR-02  Of what was shown within five minutes, the last counts.
PR-03  Who has a passkey adds or removes another by it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from epro import clock
from epro.api import exports
from epro.privacy import erasing
from epro.signin import factors, machine_keys, sso, stepup
from epro.signin.models import SignInSession
from epro.studies.models import Participant
from epro.tx import Actor, Grant, begin
from tests.cast import PASSWORD, STUDY
from tests.console.browser import Browser
from tests.fakes.authenticator import Authenticator
from tests.rooms.test_signin_factors import NOW, TESTS, Person, on_sqlite, strict  # noqa: F401
from tests.rooms.test_signin_passkeys import SOON, make, show

LATER = NOW + timedelta(minutes=6)
ROLE = {"study": STUDY, "site": "02", "role": "nurse"}


@pytest.fixture
def alma(strict) -> Person:  # noqa: F811
    strict.app.config["EPRO"]["PHISHING_RESISTANT"] = "required"
    return Person(strict, "alma@example.org")


def give(alma: Person, when, noor: str) -> tuple[int, str]:
    answer = alma.ask("POST", f"accounts/{noor}/roles", ROLE, when)
    return answer.status_code, "" if answer.status_code == 204 else answer.get_json()["code"]


def test_who_has_no_passkey_signs_in_adds_one_and_may(alma, strict):  # noqa: F811
    noor, refused = strict.ids["noor"], (403, "passkey_needed")
    alma.set_up()
    assert give(alma, NOW, noor) == refused  # by password and code
    assert alma.ask("GET", "me").status_code == 200
    device = Authenticator("epro.test")
    assert make(alma, device).status_code == 201
    assert give(alma, SOON, noor) == (204, "")
    assert give(alma, LATER, noor) == refused  # too long ago
    assert (
        alma.ask("POST", "me/step-up", {"password": PASSWORD, "otp": alma.code(LATER)}, LATER).status_code
        == 204
    )
    assert give(alma, LATER, noor) == refused
    asked = alma.ask("POST", "passkey/challenge", {}, LATER).get_json()
    assert alma.ask("POST", "me/step-up", device.shown_for(asked), LATER).status_code == 204
    assert (
        alma.ask("POST", f"accounts/{noor}/roles/revocation", {**ROLE, "reason": "back"}, LATER).status_code
        == 204
    )


@on_sqlite
def test_who_has_one_adds_and_removes_another_by_it(alma):
    alma.set_up()
    device = Authenticator("epro.test")
    assert make(alma, device).status_code == 201
    when = NOW + timedelta(minutes=2)
    assert alma.sign_in(when, alma.code(when)) == 200
    (kept,) = alma.ask("GET", "me/passkeys", when=when).get_json()["passkeys"]
    assert make(alma, Authenticator("epro.test"), when).get_json()["code"] == "passkey_needed"
    assert alma.ask("DELETE", f"me/passkeys/{kept['id']}", when=when).get_json()["code"] == "passkey_needed"
    alma.key = show(alma, device, when).get_json()["access_token"]
    assert make(alma, Authenticator("epro.test"), when).status_code == 201
    assert alma.ask("DELETE", f"me/passkeys/{kept['id']}", when=when).status_code == 204


@on_sqlite
def test_the_console_asks_for_it_and_says_where_it_is_set_up(alma):
    alma.set_up()
    browser = Browser(alma.cast.app)
    when = NOW + timedelta(minutes=1)
    with clock.moved_to(when):
        sent = {"email": alma.email, "password": PASSWORD, "otp": alma.code(when)}
        assert browser.send("/console/sign-in", **sent).status_code == 303
        root = f"/console/studies/{STUDY}"
        made = browser.do(f"{root}/keys", on=f"{root}/keys", name="lake", role="machine", days="9")
        assert made.status_code == 303 and "passkey=1" in made.headers["Location"]
        page = browser.get(made.headers["Location"]).text
        assert 'name="otp"' not in page and "/console/account" in page and "passkey" in page


SHOWN = [
    (None, "totp", False),
    (None, "passkey", True),
    (None, "sso", False),
    (None, "sso_phr", True),
    (None, None, False),
    ("totp", "totp", False),
    ("password", "passkey", False),
    ("recovery_code", "recovery_code", False),
    ("passkey", "passkey", True),
    ("sso_phr", "sso_phr", True),
    ("sso", "sso", False),
]


@on_sqlite
def test_the_last_that_was_shown_counts(alma, strict):  # noqa: F811
    for proved_with, second, enough in SHOWN:
        with begin(session_of(strict, proved_with, second), NOW) as tx:
            if enough:
                stepup.require_resistant(tx)
                continue
            for act in (
                lambda: stepup.require_resistant(tx),
                lambda: machine_keys.add(tx, STUDY, "lake", 30),
                lambda: machine_keys.revoke(tx, uuid4(), "none"),
                lambda: machine_keys.change_sources(tx, uuid4(), [], "none"),
            ):
                with pytest.raises(stepup.PasskeyNeeded):
                    act()
    with begin(session_of(strict, "passkey", "passkey"), NOW + timedelta(minutes=6)) as tx:
        with pytest.raises(stepup.PasskeyNeeded):
            stepup.require_resistant(tx)
    strict.app.config["EPRO"]["PHISHING_RESISTANT"] = "optional"
    with begin(session_of(strict, None, "totp"), NOW) as tx:
        stepup.require_resistant(tx)


def session_of(cast, proved_with: str | None, second: str | None) -> Actor:
    with begin(TESTS, NOW) as tx:
        row = tx.add(
            SignInSession(
                id=uuid4(), staff_id=UUID(cast.ids["alma"]), refresh_hash=uuid4().hex, rotated_at=NOW,
                started_at=NOW, expires_at=NOW + timedelta(hours=1), proved_at=NOW,
                proved_with=proved_with, second_factor=second,
            )
        )  # fmt: skip
        return Actor("staff", cast.ids["alma"], session_id=row.id)


@pytest.mark.parametrize(
    ("claims", "factor"),
    [
        ({"amr": ["pwd", "otp"]}, factors.SSO),
        ({"amr": ["mfa"]}, factors.SSO),
        ({"amr": ["pin", "hwk"]}, factors.SSO_RESISTANT),
        ({"amr": ["mfa", "phr"]}, factors.SSO_RESISTANT),
        ({"acr": "phrh", "amr": ["mfa"]}, factors.SSO_RESISTANT),
        ({"amr": ["hwk"]}, None),  # one factor alone
        ({"acr": "phr"}, None),  # not among those that say two
        ({"amr": ["pwd"]}, None),
        ({}, None),
    ],
)
def test_what_a_provider_says_is_as_good_or_not(app, claims, factor):
    told = sso.Identity("i", "s", sso._is_strong(claims), NOW, resistant=sso._is_resistant(claims))
    assert told.factor == factor


@pytest.mark.parametrize("unblinded", [True, False])
@on_sqlite
def test_unblinding_and_erasing_ask_for_it(alma, strict, unblinded):  # noqa: F811
    with clock.moved_to(NOW):
        who = session_of(strict, None, "totp")
        if unblinded:
            with pytest.raises(stepup.PasskeyNeeded):
                exports.shown_again(who, unblinded=True)
            exports.shown_again(session_of(strict, None, "passkey"), unblinded=True)
        else:
            exports.shown_again(who, STUDY)
            of_the_site = replace(who, grants=(Grant(STUDY, "01", "investigator"),))
            with pytest.raises(stepup.PasskeyNeeded):
                exports.shown_again(of_the_site, STUDY)
            with begin(who, NOW) as tx, pytest.raises(stepup.PasskeyNeeded):
                erasing.erase(tx, Participant(), "asked for")
