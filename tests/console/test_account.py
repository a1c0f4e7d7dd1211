"""A person's own account in the browser: links, second factors, sessions, passkeys in a real Chromium."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from uuid import UUID

import pyotp
import pytest
import sqlalchemy as sa
from werkzeug.serving import make_server

from epro import clock, create_app
from epro.signin import links, tickets
from epro.signin.models import Staff
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import PASSWORD, at
from tests.console.browser import BASE, HERE, Browser

TESTS, NOW = system("tests"), at("2026-03-02T10:00")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
PAGE = "/console/account"


@pytest.fixture
def strict(cast, monkeypatch):
    monkeypatch.setitem(cast.app.config["EPRO"], "SECOND_FACTOR", "required")
    with clock.moved_to(NOW):
        yield cast


def test_with_a_password_alone_every_page_leads_to_setting_a_factor_up(strict):
    noor = Browser(strict.app)
    assert noor.sign_in("noor").status_code == 303
    for path in ("/console/", "/console/studies/diary/"):
        assert noor.get(path).headers["Location"] == PAGE
    told = noor.do("/console/account/totp", on=PAGE).text
    assert "<svg" in told and "second factor first" in noor.get(PAGE).text
    seed = re.search(r'<code class="text-break">([A-Z2-7]+)</code>', told)[1]
    refused = noor.do("/console/account/totp/confirmation", on=PAGE, otp="000000")
    assert refused.status_code == 422 and "not the code" in refused.text
    done = noor.do("/console/account/totp/confirmation", on=PAGE, otp=pyotp.TOTP(seed).at(NOW)).text
    codes = re.findall(r"<li><code>([0-9A-Z-]{19})</code></li>", done)
    assert len(codes) == 10 and noor.get("/console/", follow_redirects=True).status_code == 200
    other = Browser(strict.app)
    assert other.sign_in("noor").status_code == 401
    assert other.sign_in("noor", otp=codes[0]).status_code == 303
    assert other.client.get_cookie("__Host-epro-device", domain="epro.test").http_only
    with clock.moved_to(NOW + timedelta(minutes=6)):
        late = other.do("/console/account/codes", on=PAGE)
        assert late.headers["Location"].startswith("/console/account/proof?next=")
        wrong = other.do("/console/account/proof", on=PAGE, password="x", otp=codes[1])
        assert wrong.status_code == 401
        assert other.do("/console/account/proof", on=PAGE, password=PASSWORD, otp=codes[2]).status_code == 303
        assert "Write these down" in other.do("/console/account/codes", on=PAGE).text


@on_sqlite
def test_the_language_of_her_letters_is_hers_to_choose(cast):
    path = "/console/account/language"
    with clock.moved_to(NOW):
        noor = Browser(cast.app)
        noor.sign_in("noor")
        assert '<option value="en" lang="en" selected>' in noor.get(PAGE).text
        assert noor.do(path, on=PAGE, language="tlh").status_code == 422
        for _ in range(2):
            assert noor.do(path, on=PAGE, language="zh-CN").status_code == 303
        told = noor.get(PAGE).text
        assert '<html lang="zh-CN">' in told and '<option value="zh-CN" lang="zh-CN" selected>' in told
    with look(TESTS) as tx:
        assert tx.get(Staff, UUID(str(cast.ids["noor"]))).language == "zh-CN"
        (event,) = tx.all(sa.select(Event).where(Event.action == "staff.language_set"))
        assert event.actor == f"staff:{cast.ids['noor']}"
        assert json.loads(event.body)["details"] == {"language": "zh-CN", "before": "en"}


def test_a_password_is_changed_by_who_has_just_shown_who_she_is(cast):
    path, new = "/console/account/password", "four words of her own making"
    with clock.moved_to(NOW):
        browser, other = Browser(cast.app), Browser(cast.app)
        browser.sign_in("noor"), other.sign_in("noor")
    with clock.moved_to(NOW + timedelta(minutes=6)):
        for late in (browser.get(path), browser.do(path, on=PAGE, password=new)):
            assert late.headers["Location"].startswith("/console/account/proof?next=")
        for elsewhere in ("https://evil.example/", "//evil.example/", "/v1/staff/me"):
            shown = browser.do("/console/account/proof", on=PAGE, password=PASSWORD, next=elsewhere)
            assert shown.headers["Location"] == "/console/"
        back = browser.do("/console/account/proof", on=PAGE, password=PASSWORD, next=path)
        assert back.headers["Location"] == path and browser.get(path).status_code == 200
        weak = browser.do(path, on=path, password="passwordpassword")
        assert weak.status_code == 422 and "common one" in weak.text
        assert browser.do(path, on=path, password=new).status_code == 303
        assert browser.get(PAGE).status_code == 200 and other.get(PAGE).status_code == 303
        assert Browser(cast.app).sign_in("noor").status_code == 401
        wrong = browser.client.post(
            "/console/account/proof/passkey",
            json={"ticket": "none", "credential": {}},
            headers={**HERE, "X-Form-Token": browser.token(PAGE)},
            base_url=BASE,
        )
        assert wrong.status_code == 401


def test_her_sessions_are_listed_and_ended(cast):
    with clock.moved_to(NOW):
        first, second = Browser(cast.app), Browser(cast.app)
        first.sign_in("noor"), second.sign_in("noor")
        (other,) = re.findall(r"/console/account/sessions/([0-9a-f-]+)/end", second.get(PAGE).text)
        assert second.do(f"/console/account/sessions/{other}/end", on=PAGE).status_code == 303
        assert first.get(PAGE).headers["Location"].startswith("/console/sign-in")
        assert second.get(PAGE).status_code == 200


def test_a_link_by_mail_chooses_a_password(cast):
    with clock.moved_to(NOW):
        browser = Browser(cast.app)
        asked = [browser.send("/console/recovery", email=f"{who}@example.org") for who in ("noor", "nobody")]
        assert len({(one.status_code, one.text) for one in asked}) == 1 and "on its way" in asked[0].text
        with begin(TESTS) as tx:
            secret = tickets.make(tx, links.LINK, links.RECOVERING_FOR, UUID(cast.ids["noor"]))
        assert "data-link-form" in browser.get("/console/link").text
        refused = browser.send("/console/link", link=secret, password="passwordpassword")
        assert refused.status_code == 422 and "common one" in refused.text and secret not in refused.text
        assert (
            "is kept" in browser.send("/console/link", link=secret, password="a long one of hers only").text
        )
        again = browser.send("/console/link", link=secret, password="a long one of hers only")
        assert again.status_code == 401 and "opens nothing" in again.text
        assert browser.send("/console/link", headers={}, link=secret, password="x").status_code == 403


@pytest.fixture
def served(environ, cast):
    """A server of its own under the name that passkeys are bound to; asks for a second factor."""
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)
    address = f"http://localhost:{server.port}"
    app = create_app({**environ, "EPRO_PUBLIC_URL": address, "EPRO_SECURE_COOKIES": "off",
                      "EPRO_SECOND_FACTOR": "required", "EPRO_RATE_LIMITS": "on"})  # fmt: skip
    server.app = app
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield address
    server.shutdown()
    thread.join()
    server.server_close()
    with app.app_context():
        from epro import db

        for engine in db.db.engines.values():
            engine.dispose()


@on_sqlite
@pytest.mark.browser
def test_a_passkey_is_made_and_signs_in_in_a_real_browser(served):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_context(locale="en").new_page()
        faults = []
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                  "hasUserVerification": True, "isUserVerified": True,
                  "automaticPresenceSimulation": True}  # fmt: skip
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": device})
        page.goto(f"{served}/console/sign-in")
        page.fill("#email", "noor@example.org")
        page.fill("#password", PASSWORD)
        page.click("form[action$='/sign-in'] button")
        page.wait_for_url("**/console/account")
        page.fill("#passkey-name", "laptop")
        page.click("[data-passkey-add] button")
        page.wait_for_selector("[data-passkey-codes]:not([hidden])")
        assert page.locator("[data-passkey-codes] code").count() == 10
        page.click("[data-passkey-codes] a")
        assert "laptop" in page.inner_text("main")
        page.context.clear_cookies()
        page.goto(f"{served}/console/sign-in")
        page.click("[data-passkey-enter]")
        page.wait_for_url(lambda address: "/sign-in" not in address)
        page.goto(f"{served}/console/account")
        assert "laptop" in page.inner_text("main") and faults == []
        assert "/account/proof" not in page.url
        page.goto(f"{served}/console/account/proof?next=/console/account/password")
        page.click("[data-passkey-prove]")
        # The whole address: that of the door before it ends with the same words.
        page.wait_for_url(f"{served}/console/account/password")
        page.goto(f"{served}/console/link#the-secret-of-a-link")
        assert page.input_value("#link") == "the-secret-of-a-link" and "#" not in page.url
        page.goto(f"{served}/console/link")  # as after a password that is refused
        assert page.input_value("#link") == "the-secret-of-a-link" and not page.is_visible("#link")
        browser.close()
