"""The cookie, how long it opens anything, and what every form must bring back.

Threats S14 (forms from elsewhere), S22 (fixed or weak session ids), S12 (pages out of a cache), S66 (headers).
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from epro import clock, db
from epro.signin import browsers, tokens
from epro.signin.models import SignInSession
from epro.tx import begin, look, system
from tests.console.browser import Browser
from tests.console.routes import ANYBODY, ROUTES
from tests.console.test_who_may import path_of

SECRET = "a secret that somebody wishes upon her, 43 long"


@pytest.fixture
def noor(cast) -> Browser:
    browser = Browser(cast.app)
    browser.sign_in("noor")
    return browser


def test_the_cookie_is_for_this_host_over_tls_and_no_script(cast):
    browser = Browser(cast.app)
    answer = browser.sign_in("noor")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")
    given = answer.headers["Set-Cookie"]
    assert given.startswith("__Host-epro=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in given
    assert "Domain" not in given


def test_only_a_digest_of_the_cookie_is_kept(cast, noor):
    secret = noor.cookie().value
    with look(system("tests")) as tx:
        row = tx.one(sa.select(SignInSession).where(SignInSession.cookie_hash.is_not(None)))
        assert row.cookie_hash == tokens.digest(secret) and secret not in str(vars(row))
    assert len(secret) == 43  # 256 bits


def test_a_session_that_was_there_before_is_not_used(cast):
    """Session fixation: whoever plants a cookie does not share the session that is opened afterwards."""
    browser = Browser(cast.app)
    browser.client.set_cookie("__Host-epro", SECRET, domain="epro.test", secure=True)
    browser.sign_in("noor")
    first = browser.cookie().value
    browser.sign_in("noor")
    assert len({SECRET, first, browser.cookie().value}) == 3
    planted = Browser(cast.app)
    planted.client.set_cookie("__Host-epro", SECRET, domain="epro.test", secure=True)
    assert planted.get("/console/").status_code == 303


def test_one_browser_has_one_session(cast):
    """Whoever signs in where somebody's session is open ends it: nobody finds it again by an old copy of the cookie."""
    shared, copy = Browser(cast.app), Browser(cast.app)
    shared.sign_in("noor")
    copy.client.set_cookie("__Host-epro", shared.cookie().value, domain="epro.test", secure=True)
    assert copy.get("/console/account").status_code == 200
    shared.sign_in("ines")
    assert copy.get("/console/account").status_code == 303
    assert shared.get("/console/account").status_code == 200
    with look(system("tests")) as tx:
        ended = tx.all(sa.select(SignInSession.ended_reason).where(SignInSession.ended_at.is_not(None)))
    assert ended == ["replaced"]


def test_a_wrong_password_opens_nothing_and_says_nothing_of_the_account(cast):
    said = []
    for email in ("noor@example.org", "nobody@example.org"):
        browser = Browser(cast.app)
        answer = browser.send("/console/sign-in", email=email, password="not the right one")
        assert (answer.status_code, browser.cookie()) == (401, None)
        said.append(answer.text.replace(email, ""))
    assert said[0] == said[1]


def test_a_cookie_is_no_token_and_a_token_no_cookie(cast, noor):
    key, secret = str(cast.staff("noor").key), noor.cookie().value
    for given in (secret, f"{secret}.{secret}"):
        assert (
            noor.client.get("/v1/staff/me", headers={"Authorization": f"Bearer {given}"}).status_code == 401
        )
        assert noor.client.post("/v1/staff/token", json={"refresh_token": given}).status_code == 401
    other = Browser(cast.app)
    other.client.set_cookie("__Host-epro", key, domain="epro.test", secure=True)
    assert other.get("/console/").status_code == 303


def test_left_alone_it_ends_and_so_it_does_after_half_a_day(cast):
    start = clock.now()
    with clock.moved_to(start):
        left, used = Browser(cast.app), Browser(cast.app)
        left.sign_in("noor")
        used.sign_in("ines")
    for quarter in range(1, 50):
        with clock.moved_to(start + timedelta(minutes=15 * quarter)):
            answer = used.get("/console/studies/diary/nothing-of-the-kind").status_code
            assert answer == (404 if quarter < 48 else 303), quarter
            if quarter == 3:
                assert left.get("/console/").status_code == 303


def test_who_was_signed_out_by_signing_in_elsewhere_is_told_so_where_she_signs_in_again(cast, monkeypatch):
    """A program with her account ends it as well as a browser; where no session was, nothing is told."""
    monkeypatch.setitem(cast.app.config["EPRO"], "SESSIONS_AT_ONCE", "3")
    start, told = clock.now(), "your account signed in elsewhere"
    noor = Browser(cast.app)
    with clock.moved_to(start):
        noor.sign_in("noor")
        assert told not in noor.get("/console/sign-in").text
    with clock.moved_to(start + timedelta(minutes=5)):
        for _ in range(3):
            cast.staff("noor")
        entrance = noor.get("/console/", follow_redirects=True)
        assert (
            entrance.request.path == "/console/sign-in"
            and told in entrance.text
            and "more than 3" in entrance.text
        )
        noor.client.set_cookie("epro-language", "zh-CN", domain="epro.test")
        assert "您的账户已在别处登录" in noor.get("/console/sign-in").text
        assert told not in Browser(cast.app).get("/console/sign-in").text
        assert noor.sign_in("noor").status_code == 303
        assert "您的账户已在别处登录" not in noor.get("/console/sign-in").text


def test_signing_out_ends_it_on_the_server(cast, noor):
    secret = noor.cookie().value
    assert noor.do("/console/sign-out").status_code == 303
    noor.client.set_cookie("__Host-epro", secret, domain="epro.test", secure=True)
    assert noor.get("/console/").status_code == 303
    assert noor.get("/console/").headers["Location"].startswith("/console/sign-in")


def test_a_form_from_elsewhere_does_nothing(noor):
    token = noor.token()
    for headers in (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://epro.test"},
        {"Origin": "https://epro.test", "Sec-Fetch-Site": "cross-site"},
    ):
        assert noor.send("/console/sign-out", headers, form_token=token).status_code == 403, headers
        assert noor.send("/console/sign-in", headers, email="a", password="b").status_code == 403, headers
    assert noor.token() == token


def test_a_form_without_the_token_of_its_session_does_nothing(cast, noor):
    ines = Browser(cast.app)
    ines.sign_in("ines")
    for token in ("", "0" * 64, ines.token(), noor.cookie().value):
        for (method, rule), roles in ROUTES.items():
            if method == "POST" and roles != ANYBODY:
                assert noor.send(path_of(rule), form_token=token).status_code == 403, rule
    assert (
        noor.send("/console/sign-out", {"Origin": "https://epro.test"}, form_token=noor.token()).status_code
        == 303
    )


def test_no_page_may_be_kept_framed_or_run_what_it_did_not_bring(cast, noor):
    for (method, rule), _ in ROUTES.items():
        if method == "POST" or rule.endswith("<path:name>"):
            continue
        answer = noor.get(path_of(rule))
        policy = answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store", rule
        assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_looking_changes_nothing(cast, noor):
    before = _all_rows()
    for (method, rule), _ in ROUTES.items():
        if method == "GET":
            noor.get(path_of(rule))
    assert _all_rows() == before


def test_one_is_led_on_to_the_console_and_nowhere_else(cast):
    evil = "evil.example"
    for wanted in (
        f"https://{evil}/", f"//{evil}/console/", f"/\\{evil}", "javascript:x", "", f"/\t/{evil}"
    ):  # fmt: skip
        where = Browser(cast.app).sign_in("noor", next=wanted).headers["Location"]
        assert where.startswith("/console/"), wanted


def test_the_language_can_be_chosen(cast, noor):
    assert 'lang="en"' in noor.get("/console/nowhere").text
    noor.send("/console/language", language="zh-CN", next="/console/")
    assert '<html lang="zh-CN">' in noor.get("/console/nowhere").text
    assert noor.client.get_cookie("epro-language", domain="epro.test").value == "zh-CN"


def test_the_sign_in_page_speaks_as_she_was_spoken_to_and_a_choice_there_stays(cast):
    """An account speaks its own language; the page before it that of who was here last, until somebody chooses."""
    ines = Browser(cast.app)
    chinese = {"Accept-Language": "zh-CN"}
    assert '<html lang="zh-CN">' in ines.get("/console/sign-in", headers=chinese).text
    ines.sign_in("ines")
    assert '<html lang="en">' in ines.get("/console/nowhere", headers=chinese).text
    ines.do("/console/sign-out", on="/console/account")
    assert '<html lang="en">' in ines.get("/console/sign-in", headers=chinese).text
    ines.send("/console/language", language="zh-CN", next="/console/sign-in")
    assert '<html lang="zh-CN">' in ines.get("/console/sign-in").text
    ines.sign_in("ines")
    assert '<html lang="zh-CN">' in ines.get("/console/nowhere").text


def test_what_was_spoken_to_one_is_no_choice_for_the_next(cast):
    browser = Browser(cast.app)
    browser.client.set_cookie("epro-spoken", "zh-CN", domain="epro.test")
    assert '<html lang="zh-CN">' in browser.get("/console/sign-in").text
    browser.sign_in("noor")
    assert '<html lang="en">' in browser.get("/console/nowhere").text


def test_live_numbers_do_not_keep_a_session_alive(cast):
    with begin(system("tests")) as tx:
        secret = browsers.open_session(tx, tx.one(sa.select(SignInSession.staff_id)) or _somebody(cast))
    with look(system("tests"), clock.now() + timedelta(minutes=2)) as tx:
        row = browsers.find(tx, secret)
        assert row is not None and browsers.is_to_be_noted(tx, row)
    with look(system("tests"), clock.now() + timedelta(minutes=31)) as tx:
        assert browsers.find(tx, secret) is None


def _somebody(cast):
    return UUID(cast.ids["noor"])


def _all_rows() -> dict[str, list[tuple]]:
    with db.engine().connect() as connection:
        return {
            table.name: sorted(map(str, connection.execute(sa.select(table)).all()))
            for table in db.Base.metadata.sorted_tables
        }
