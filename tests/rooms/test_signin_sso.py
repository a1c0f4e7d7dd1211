"""Signing in at the identity provider of one's organisation.

SS-01  An invitation links an account; from then on issuer and subject open it, and nothing else does.
SS-02  Whatever the provider, or who stands between, changes in one place opens nothing.
SS-03  A weak sign-in there asks for the account's own second factor here.
SS-04  Signing out goes to the provider; signing out there ends the sessions here.
SS-05  A sign-in that the provider remembers proves nothing; who shows there once more who she is goes on here.
SS-06  A key of an unknown kind shuts nobody out, and what nobody has signed makes us ask the provider no more.

Threats S22 (session fixation), S24 (token confusion), S25 (mix-up, code injection, take-over by e-mail).
"""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import sqlalchemy as sa
from authlib.oidc.core import CodeIDToken
from joserfc.jwk import ECKey

from epro import clock
from epro.signin import factors, links, sso, stepup, tickets
from epro.signin.models import OutsideIdentity, SignInSession
from epro.signing import signatures
from epro.tx import Actor, begin, look, system
from tests.cast import at
from tests.console.browser import Browser
from tests.fakes.oidc_provider import CLIENT, ELSEWHERE, SECRET, OidcProvider

NOW, TESTS = at("2026-03-02T10:00"), system("tests")
STRONG = {"amr": ["pwd", "otp"]}


@pytest.fixture
def provider(cast):
    with OidcProvider(NOW) as made:
        cast.app.config["EPRO"] |= {
            "SSO_ISSUER": made.issuer,
            "SSO_CLIENT_ID": CLIENT,
            "SSO_CLIENT_SECRET": SECRET,
            "SSO_NAME": "Clinic",
            "SSO_ACR": "urn:clinic:two-factors",
            "SECOND_FACTOR": "required",
        }
        with clock.moved_to(NOW):
            yield made
    sso._known.clear()
    sso._asked_again.clear()


def invitation(cast, name: str = "noor", kind: str = "invitation") -> str:
    with begin(TESTS) as tx:
        return tickets.make(tx, links.LINK, links.INVITED_FOR, UUID(cast.ids[name]), {"kind": kind})


def back(browser: Browser, came: dict[str, str]):
    return browser.get("/console/sso/callback", query_string=came)


def go(browser: Browser, next: str = "/console/account") -> str:
    sent = browser.get("/console/sso", query_string={"next": next})
    assert sent.status_code == 303
    return sent.headers["Location"]


def link(cast, provider, name: str = "noor", **claims):
    browser = Browser(cast.app)
    page = browser.send("/console/sso/link", link=invitation(cast, name))
    assert page.status_code == 200, page.text
    address = page.text.partition('href="http://127.0.0.1:')[2].partition('"')[0].replace("&amp;", "&")
    return browser, back(browser, provider.come_back(f"http://127.0.0.1:{address}", **{**STRONG, **claims}))


def identities() -> list[tuple[str, str, bool]]:
    with look(TESTS) as tx:
        rows = tx.all(sa.select(OutsideIdentity).order_by(OutsideIdentity.added_at))
        return [(str(row.staff_id), row.subject, row.removed_at is None) for row in rows]


def test_an_invitation_links_and_then_the_identity_opens(cast, provider):
    browser, came = link(cast, provider)
    assert came.status_code == 303 and identities() == [(cast.ids["noor"], "noor@clinic", True)]
    assert browser.get("/console/account").status_code == 200
    again = Browser(cast.app)
    came = back(again, provider.come_back(go(again), **STRONG, email="otto@example.org"))
    assert (came.status_code, came.headers["Location"]) == (303, "/console/account")
    assert "Noor" in again.get("/console/account").text
    cookies = {one.partition("=")[0]: one for one in came.headers.getlist("Set-Cookie")}
    assert all("Secure" in one and "HttpOnly" in one for one in cookies.values())


def test_nobody_is_known_by_an_address(cast, provider):
    browser = Browser(cast.app)
    told = {**STRONG, "email": "noor@example.org", "email_verified": True}
    came = back(browser, provider.come_back(go(browser), subject="noor@example.org", **told))
    assert came.status_code == 403 and "invitation" in came.text and identities() == []
    assert browser.get("/console/account").status_code == 303


def test_a_link_that_she_asked_for_herself_links_nothing(cast, provider):
    for kind in ("recovery", ""):
        refused = Browser(cast.app).send("/console/sso/link", link=invitation(cast, kind=kind))
        assert refused.status_code == 401
    assert Browser(cast.app).send("/console/sso/link", link="none of ours").status_code == 401


def test_an_invitation_links_once_and_no_identity_of_another(cast, provider):
    link(cast, provider)
    _, came = link(cast, provider, "otto")  # Noor's identity with Otto's invitation
    assert came.status_code == 401
    browsers = [Browser(cast.app), Browser(cast.app)]
    secret = invitation(cast, "ines")
    addresses = []
    for browser in browsers:
        text = browser.send("/console/sso/link", link=secret).text
        rest = text.partition('href="http://127.0.0.1:')[2].partition('"')[0].replace("&amp;", "&")
        addresses.append(f"http://127.0.0.1:{rest}")
    came = [
        back(browser, provider.come_back(address, subject=subject, **STRONG)).status_code
        for browser, address, subject in zip(browsers, addresses, ("ines", "mallory"), strict=True)
    ]
    assert came == [303, 401]
    assert [subject for _, subject, _ in identities()] == ["noor@clinic", "ines"]


SECONDS = int(NOW.timestamp())
LIES = {
    "of another issuer": {"claims": {"iss": ELSEWHERE}},
    "for another client": {"claims": {"aud": "another"}},
    "for two, given to another": {"claims": {"aud": [CLIENT, "another"], "azp": "another"}},
    "for two, given to nobody": {"claims": {"aud": ["another", CLIENT]}},
    "of another sign-in": {"claims": {"nonce": "another"}},
    "of no sign-in": {"claims": {"nonce": ...}},
    "of nobody": {"claims": {"sub": ...}},
    "of nobody by name": {"claims": {"sub": ""}},
    "of a number": {"claims": {"sub": 7}},
    "run out": {"claims": {"exp": SECONDS - 120}},
    "for ever": {"claims": {"exp": ...}},
    "of no time": {"claims": {"iat": ...}},
    "of yesterday": {"claims": {"iat": SECONDS - 86_400}},
    "of tomorrow": {"claims": {"iat": SECONDS + 86_400}},
    "not yet": {"claims": {"nbf": SECONDS + 3600}},
    "signed by nobody": {"header": {"alg": "none"}},
    "signed with our secret": {"header": {"alg": "HS256"}},
    "signed by another": {"key": ECKey.generate_key("P-256", {"kid": "one"})},
    "with a key it brings itself": {
        "key": (OWN := ECKey.generate_key("P-256", {"kid": "two"})),
        "header": {"kid": "two", "jwk": OWN.as_dict(private=False), "jku": f"{ELSEWHERE}/keys"},
    },
    "an access token": {"header": {"typ": "at+jwt"}},
    "bound to another access token": {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
    "no token": {"no_token": True},
}


def test_what_is_changed_in_one_place_opens_nothing(cast, provider):
    link(cast, provider)
    for lie, changed in LIES.items():
        provider.changed = changed
        browser = Browser(cast.app)
        came = back(browser, provider.come_back(go(browser), **STRONG))
        assert came.status_code == 401, lie
        assert browser.cookie() is None, lie
    provider.changed = {}
    for spoil in (
        {"state": "another"},
        {"state": ""},
        {"code": "another"},
        {"code": ""},
        {"iss": ELSEWHERE},
        {"error": "access_denied"},
    ):
        browser = Browser(cast.app)
        assert back(browser, {**provider.come_back(go(browser), **STRONG), **spoil}).status_code == 401, spoil


def test_a_code_opens_in_the_browser_that_began_and_once(cast, provider):
    link(cast, provider)
    hers, another = Browser(cast.app), Browser(cast.app)
    came = provider.come_back(go(hers), **STRONG)
    go(another)
    assert back(another, came).status_code == 401  # her code, put into somebody else's browser
    assert back(hers, came).status_code == 401  # and the state is spent by that
    came = provider.come_back(go(hers), **STRONG)
    mixed = provider.come_back(go(another), subject="mallory", **STRONG)
    assert back(hers, {**came, "code": mixed["code"]}).status_code == 401  # a code of another's sign-in
    late = provider.come_back(go(hers), **STRONG)
    with clock.moved_to(NOW + timedelta(minutes=11)):
        assert back(hers, late).status_code == 401
    done = provider.come_back(go(hers), **STRONG)
    assert (back(hers, done).status_code, back(hers, done).status_code) == (303, 401)


def test_a_provider_that_does_not_answer_or_lies_about_itself_is_told_apart(cast, provider):
    link(cast, provider)
    for behaviour, status in (("reset", 503), ("status:500", 503), ("redirect", 401)):
        browser = Browser(cast.app)
        came = provider.come_back(go(browser), **STRONG)
        provider.script(behaviour)
        assert back(browser, came).status_code == status, behaviour
    for lie in (
        {"issuer": ELSEWHERE},
        {"token_endpoint": "http://another.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": 7},
    ):
        sso._known.clear()
        provider.changed = {"about": lie}
        assert Browser(cast.app).get("/console/sso").status_code == 503, lie
    assert Browser(cast.app).get("/console/sign-in").status_code == 200


def test_new_keys_of_the_provider_are_fetched_when_they_are_met(cast, provider):
    link(cast, provider)
    before = provider.asked_for_keys
    provider.key = ECKey.generate_key("P-256", {"kid": "new", "use": "sig"})
    provider.published = [provider.key]
    provider.changed = {"header": {"kid": "new"}}
    browser = Browser(cast.app)
    assert back(browser, provider.come_back(go(browser), **STRONG)).status_code == 303
    assert provider.asked_for_keys == before + 1


def test_a_weak_sign_in_there_asks_for_the_second_factor_here(cast, provider):
    link(cast, provider)
    for claims, strong in (
        ({}, False),
        ({"amr": ["pwd"]}, False),
        ({"acr": "0"}, False),
        ({"acr": "urn:clinic:two-factors"}, True),
        ({"amr": ["pwd", "mfa"]}, True),
    ):
        browser = Browser(cast.app)
        assert back(browser, provider.come_back(go(browser), **claims)).status_code == 303
        home = browser.get("/console/studies/diary/worklist")
        assert home.status_code == (200 if strong else 303), claims
        if not strong:
            assert home.headers["Location"] == "/console/account"


METHODS = (
    (["mfa"], True),
    (["otp"], False),
    (["hwk"], False),
    (["swk", "user"], False),
    (["pwd", "pin", "face"], False),
    (["pwd", "otp"], True),
    (["hwk", "fpt"], True),
    ([], False),
    (None, False),
)


def test_a_single_factor_there_is_not_two(cast, provider):
    for methods, strong in METHODS:
        assert sso._is_strong(CodeIDToken({"amr": methods}, {})) is strong, methods
    cast.app.config["EPRO"]["SSO_AMR"] = "sms,clinic-two"
    for methods, strong in (
        (["sms"], False),
        (["sms", "pwd"], True),
        (["clinic-two"], True),
        (["mfa"], False),
    ):
        assert sso._is_strong(CodeIDToken({"amr": methods}, {})) is strong, methods


def test_odd_words_about_how_she_signed_in_are_refused(cast, provider):
    link(cast, provider)
    for odd in ([["otp"]], [{}], "mfa", ["mfa", 7], {"mfa": 1}, 0):
        browser = Browser(cast.app)
        came = back(browser, provider.come_back(go(browser), amr=odd))
        assert came.status_code == 401 and "Begin again" in came.text, odd


TIMES = (
    ({}, False),
    ({"auth_time": SECONDS - 8 * 3600}, False),
    ({"auth_time": SECONDS - 301}, False),
    ({"auth_time": SECONDS + 3600}, False),
    ({"auth_time": True}, False),
    ({"auth_time": SECONDS - 299}, True),
    ({"auth_time": SECONDS + 30}, True),
)


def test_a_sign_in_that_the_provider_remembers_proves_nothing(cast, provider):
    link(cast, provider)
    for told, fresh in TIMES:
        browser = Browser(cast.app)
        assert back(browser, provider.come_back(go(browser), **STRONG, **told)).status_code == 303
        assert browser.get("/console/account").status_code == 200
        assert browser.get("/console/account/password").status_code == (200 if fresh else 303), told
        if not fresh:
            asked = browser.do("/console/account/passkeys/challenge", on="/console/account")
            assert "/console/account/proof" in asked.headers["Location"], told


def test_what_was_never_proved_is_not_fresh_anywhere(cast, provider):
    link(cast, provider)
    with begin(TESTS) as tx:
        row = tx.one(sa.select(SignInSession).where(SignInSession.identity_id.is_not(None)))
        assert row.proved_at is None and row.second_factor == "sso"
        hers = Actor("staff", cast.ids["noor"], session_id=row.id)
    with begin(hers) as tx:
        assert not stepup.is_fresh(tx)
        for spend in (
            lambda: factors.must_be_hers(tx, factors.acting(tx)),
            lambda: signatures._spend_proof(tx, False),
            lambda: signatures._spend_proof(tx, True),
        ):
            with pytest.raises(stepup.StepUpNeeded):
                spend()


def prove(browser: Browser) -> str:
    sent = browser.get("/console/sso", query_string={"next": "/console/account/password", "again": "1"})
    return sent.headers["Location"]


def test_she_shows_once_more_at_the_provider_who_she_is(cast, provider):
    browser, _ = link(cast, provider)
    assert not {"prompt", "max_age"} & set(parse_qs(urlsplit(go(Browser(cast.app))).query))
    page = browser.get("/console/account/password", follow_redirects=True)
    assert "/console/sso?next=/console/account/password&amp;again=1" in page.text
    asked = parse_qs(urlsplit(prove(browser)).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    cookie = browser.cookie().value
    for wrong in (
        STRONG,
        {**STRONG, "auth_time": SECONDS - 120},
        {"amr": ["pwd"], "auth_time": SECONDS},
        {**STRONG, "auth_time": SECONDS, "subject": "mallory"},
    ):
        assert back(browser, provider.come_back(prove(browser), **wrong)).status_code == 401, wrong
        assert browser.get("/console/account/password").status_code == 303, wrong
    with clock.moved_to(NOW + timedelta(minutes=3)):
        provider.now = NOW + timedelta(minutes=3)
        came = back(browser, provider.come_back(prove(browser), **STRONG, auth_time=SECONDS + 180))
        assert (came.status_code, came.headers["Location"]) == (303, "/console/account/password")
        assert browser.get("/console/account/password").status_code == 200
        assert browser.cookie().value == cookie
    with look(TESTS) as tx:  # the session there was; and what signs once can be spent
        row = tx.one(sa.select(SignInSession).where(SignInSession.identity_id.is_not(None)))
        assert row.proved_at > row.started_at
    with clock.moved_to(NOW + timedelta(minutes=9)):
        assert browser.get("/console/account/password").status_code == 303


def test_a_key_of_an_unknown_kind_shuts_nobody_out(cast, provider):
    provider.published = [
        {"kty": "AKP", "kid": "later", "alg": "ML-DSA-44", "pub": "AA"},
        {"kty": "EC", "crv": "P-9", "kid": "two", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed999", "x": "AA"},
        {"kty": ["RSA"]},
        "no key",
        provider.key,
    ]
    assert link(cast, provider)[1].status_code == 303
    for none in ([], provider.published[:5]):
        sso._known.clear()
        provider.published = none
        assert Browser(cast.app).get("/console/sso").status_code == 503


def test_what_nobody_has_signed_makes_us_ask_for_keys_once_a_minute(cast, provider):
    link(cast, provider)
    before, browser = provider.asked_for_keys, Browser(cast.app)
    provider.changed = {"key": ECKey.generate_key("P-256", {"kid": "one"})}
    forged = provider.signed({"sub": "noor@clinic", "jti": "1", "events": {sso.LOGGED_OUT: {}}})
    for _ in range(3):
        assert browser.send("/console/sso/sign-out", {}, logout_token=forged).status_code == 401
    assert provider.asked_for_keys == before + 1
    with clock.moved_to(NOW + timedelta(minutes=1)):
        assert browser.send("/console/sso/sign-out", {}, logout_token=forged).status_code == 401
    assert provider.asked_for_keys == before + 2


def test_signing_out_goes_both_ways(cast, provider):
    browser, _ = link(cast, provider)
    out = browser.do("/console/sign-out", on="/console/account")
    assert out.status_code == 200 and "Location" not in out.headers  # a form of ours leads to no other host
    assert "sign-out" not in out.text and browser.get("/console/account").status_code == 303
    there = urlsplit(re.search(r'href="(http://127[^"]+)"', out.text)[1].replace("&amp;", "&"))
    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{provider.issuer}/end"
    assert parse_qs(there.query)["post_logout_redirect_uri"] == ["https://epro.test/console/sign-in"]
    browser = Browser(cast.app)
    back(browser, provider.come_back(go(browser), **STRONG))
    word = {"sub": "noor@clinic", "jti": "1", "events": {sso.LOGGED_OUT: {}}}
    for wrong in (
        {**word, "nonce": "x"},
        {**word, "events": {}},
        {**word, "aud": "another"},
        {"sub": "noor@clinic"},
    ):
        refused = browser.send("/console/sso/sign-out", {}, logout_token=provider.signed(wrong))
        assert refused.status_code == 401
    assert browser.get("/console/account").status_code == 200
    assert browser.send("/console/sso/sign-out", {}, logout_token=provider.signed(word)).status_code == 200
    assert browser.get("/console/account").status_code == 303


def test_an_identity_is_taken_away_with_its_sessions(cast, provider):
    browser, _ = link(cast, provider)
    with begin(TESTS) as tx:
        assert sso.unlink(tx, UUID(cast.ids["noor"]), "left the clinic") == 1
    assert browser.get("/console/account").status_code == 303
    again = Browser(cast.app)
    assert back(again, provider.come_back(go(again), **STRONG)).status_code == 403
    with look(TESTS) as tx:
        assert tx.one(sa.select(SignInSession).where(SignInSession.ended_reason == "identity_removed"))


def test_without_a_provider_its_doors_are_not_there(cast):
    browser = Browser(cast.app)
    assert browser.get("/console/sso").status_code == 404
    assert browser.get("/console/sso/callback").status_code == 404
    assert browser.send("/console/sso/sign-out", {}, logout_token="x").status_code == 404
    assert "/console/sso" not in browser.get("/console/sign-in").text
