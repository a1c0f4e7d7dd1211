"""Signing in at the identity provider of one's organisation.

SS-01  An invitation links an account; from then on issuer and subject open it, and nothing else does.
SS-02  Whatever the provider, or who stands between, changes in one place opens nothing.
SS-03  A weak sign-in there asks for the account's own second factor here.
SS-04  Signing out goes to the provider; signing out there ends the sessions here.

Threats S22 (session fixation), S24 (token confusion), S25 (mix-up, code injection, take-over by e-mail).
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import sqlalchemy as sa
from joserfc.jwk import ECKey

from epro import clock
from epro.signin import links, sso, tickets
from epro.signin.models import OutsideIdentity, SignInSession
from epro.tx import begin, look, system
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


def test_signing_out_goes_both_ways(cast, provider):
    browser, _ = link(cast, provider)
    out = browser.do("/console/sign-out", on="/console/account")
    there = urlsplit(out.headers["Location"])
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
