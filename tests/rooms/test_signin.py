"""Who may come in: codes, tokens, passwords, one-time codes, roles and keys.

How the doors use them is in tests/doors (test_activation.py, test_sessions.py, test_keys.py, test_rate_limits.py).

SI-01  A token opens one door, for a quarter of an hour, and only as we made it.
SI-02  A one-time code opens once.
SI-03  Wrong passwords make an account wait, and say nothing about whether it exists (test_signin_lockout.py).
SI-04  A role, an account, a key that was ended does not work once more.
SI-05  Secrets are kept as hashes or sealed.
SI-06  Tries are counted across workers, and counts end with their window.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import uuid4

import jwt
import pyotp
import pytest
import sqlalchemy as sa

from epro import clock, db, worker
from epro.contacts import store
from epro.errors import Conflict, Invalid, NotFound
from epro.signin import accounts, codes, machine_keys, passwords, staff, tokens, tries
from epro.signin.models import MachineKey, RateCount, SignInSession, Staff
from epro.signin.rates import DatabaseStorage
from epro.signin.staff import Coming
from epro.trail.models import Event
from epro.tx import Grant, begin, look, system
from tests.cast import PASSWORD, at
from tests.support.owner import as_owner

TESTS = system("tests")
NOW = at("2026-03-02T10:00")
KEY, AUDIENCE = "k" * 64, "epro-phone"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


# Codes.


def test_a_code_is_read_however_it_is_typed():
    for _ in range(50):
        code = codes.make()
        assert len(code) == 17 and set(code) <= {*codes.ALPHABET, "-"}
        selector, secret = codes.parts(code)
        assert (len(selector), len(secret)) == (5, 10)
        for typed in (
            code.lower(),
            code.replace("-", ""),
            f" {code} ",
            code.replace("-", " – "),
            "-".join(code),
        ):
            assert codes.parts(typed) == (selector, secret)


@pytest.mark.parametrize(
    ("typed", "meant"), [("OIL00-00000-00000", "01100-00000-00000"), ("oil0000000 00000", "011000000000000")]
)
def test_what_is_easily_misread_is_forgiven(typed, meant):
    assert codes.parts(typed) == codes.parts(meant) is not None


@pytest.mark.parametrize(
    "typed", ["", "ABC", "U" * 15, "0" * 14, "0" * 16, "０" * 15, "%" * 15, "\x00" * 15, "é" * 15]
)
def test_what_is_no_code_is_none(typed):
    assert codes.parts(typed) is None


# SI-01: access tokens.


def token(key: str = KEY, algorithm: str = "HS256", **changed) -> str:
    claims = {**tokens.claims(AUDIENCE, NOW), "sub": str(uuid4()), "jti": "1", "type": "access"} | changed
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, key, algorithm=algorithm
    )


def test_our_own_token_is_read_within_its_quarter_of_an_hour():
    for later in (timedelta(0), tokens.ACCESS_FOR - timedelta(seconds=1), timedelta(minutes=-3)):
        assert tokens.read(token(), KEY, AUDIENCE, NOW + later)["aud"] == AUDIENCE


FORGED = {
    "run out": lambda: (token(), NOW + tokens.ACCESS_FOR),
    "another key": lambda: (token("x" * 64), NOW),
    "another algorithm": lambda: (token(algorithm="HS512"), NOW),
    "no algorithm": lambda: (jwt.encode({"aud": AUDIENCE}, None, algorithm="none"), NOW),
    "another door": lambda: (token(aud="epro-staff"), NOW),
    "another issuer": lambda: (token(iss="somebody"), NOW),
    "a refresh token's kind": lambda: (token(type="refresh"), NOW),
    "no kind": lambda: (token(type=None), NOW),
    "a text for an hour": lambda: (token(exp="9999999999"), NOW),
    "nothing": lambda: ("", NOW),
    "no token": lambda: ("a.b.c", NOW),
    **{f"no {claim}": (lambda claim=claim: (token(**{claim: None}), NOW)) for claim in tokens.REQUIRED},
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_no_other_token_is_read(name):
    text, now = FORGED[name]()
    with pytest.raises(tokens.BadToken):
        tokens.read(text, KEY, AUDIENCE, now)


def test_a_token_that_was_changed_is_not_read():
    header, claims, signature = token().split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed = (
        base64.urlsafe_b64encode(json.dumps({**told, "sub": str(uuid4())}).encode()).rstrip(b"=").decode()
    )
    with pytest.raises(tokens.BadToken):
        tokens.read(f"{header}.{changed}.{signature}", KEY, AUDIENCE, NOW)


def test_refresh_tokens_are_each_their_own():
    session, other = uuid4(), uuid4()
    made = [tokens.refresh_token(b"key", session, n) for n in range(1, 50)]
    made += [tokens.refresh_token(b"key", other, 1), tokens.refresh_token(b"yek", session, 1)]
    assert len(set(made)) == len(made)
    assert tokens.session_of(made[0]) == session
    for text in ("", ".", "!", "a.b", "é.b", "\x00.x"):
        assert tokens.session_of(text) is None


# SI-02 and SI-03: signing in.


@pytest.fixture
def vera(app):
    """An account with a one-time code; `vera(when, otp)` signs in."""
    with clock.moved_to(NOW), begin(TESTS) as tx:
        row, address = staff.add(tx, email="Vera@example.org", name="Vera", password=PASSWORD, language="en",
                                 grants=[Grant("diary", "01", "nurse")], totp=True)  # fmt: skip
    seed = pyotp.parse_uri(address).secret

    def sign_in(
        when: datetime,
        otp: str | None = None,
        password: str = PASSWORD,
        email: str = "vera@example.org",
        source: str = "192.0.2.1",
    ):
        with clock.moved_to(when):
            return staff.sign_in(email, password, otp, Coming(source), staff.tokens_for)

    sign_in.code = lambda when: pyotp.TOTP(seed).at(when)
    sign_in.seed, sign_in.id = seed, row.id
    return sign_in


def test_a_one_time_code_opens_once(vera):
    code = vera.code(NOW)
    assert vera(NOW, code) is not None
    assert vera(NOW, code) is None  # whoever looked over her shoulder comes too late
    assert vera(NOW + timedelta(seconds=30), vera.code(NOW + timedelta(seconds=30))) is not None


@on_sqlite
@pytest.mark.parametrize(
    ("seconds", "opens"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)]
)
def test_one_step_of_a_wrong_clock_is_forgiven(vera, seconds, opens):
    step = datetime.fromtimestamp(NOW.timestamp() // 30 * 30, UTC)
    assert (vera(step, vera.code(step + timedelta(seconds=seconds))) is not None) is opens


@on_sqlite
@pytest.mark.parametrize("code", [None, "", "000000", "abc", "１２３４５６", "0" * 500])
def test_without_the_code_the_password_opens_nothing(vera, code):
    assert vera(NOW, code) is None


@on_sqlite
def test_an_older_code_does_not_open_after_a_newer_one(vera):
    earlier, later = vera.code(NOW), vera.code(NOW + timedelta(seconds=30))
    assert vera(NOW + timedelta(seconds=30), later) is not None
    assert vera(NOW + timedelta(seconds=31), earlier) is None


WRONG = "a wrong password, long enough"


def waits_until(
    when: datetime, email: str = "vera@example.org", source: str = "192.0.2.1"
) -> datetime | None:
    with look(TESTS, when) as tx:
        return tries.waits_until(tx, store.lookup("email", email), source)


def test_wrong_passwords_make_it_wait_longer_and_longer(vera):
    now, waits = NOW, []
    for _ in range(20):
        assert vera(now, vera.code(now), WRONG) is None
        until = waits_until(now)
        if until is not None:
            waits.append(until - now)
            assert vera(until - timedelta(seconds=1), vera.code(until)) is None  # not even with the right one
            now = until
    assert len(waits) == 16 and waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(seconds=1), tries.LONGEST_WAIT)
    assert vera(now, vera.code(now)) is not None
    later = now + timedelta(minutes=1)
    assert vera(later, vera.code(later), WRONG) is None
    assert waits_until(later) is None  # what was before is forgotten


def test_who_fails_waits_where_she_failed_and_nowhere_else(vera):
    for _ in range(30):
        vera(NOW, "000000", WRONG, source="203.0.113.66")
    assert waits_until(NOW, source="203.0.113.66") and waits_until(NOW) is None
    assert vera(NOW, vera.code(NOW)) is not None
    with look(TESTS) as tx:
        begun = tx.all(sa.select(Event.object_id).where(Event.action == "staff.locked_out"))
    assert begun == [str(vera.id)]


def test_failures_are_forgotten_after_a_day(vera):
    for _ in range(tries.FREE_TRIES):
        vera(NOW, "000000", WRONG)
    assert waits_until(NOW)
    tomorrow = NOW + tries.REMEMBERED
    vera(tomorrow, "000000", WRONG)
    assert waits_until(tomorrow) is None


def test_nobody_is_counted_like_somebody(vera):
    """Who measures how long an answer takes, or who waits, learns no account."""

    def kept() -> set[tuple[int, float]]:
        with look(TESTS) as tx:
            return {(row.count, row.expires_at) for row in tx.all(sa.select(RateCount))}

    vera(NOW, "000000", WRONG)
    once = kept()
    for email in ("nobody@example.org", "no address"):
        vera(NOW, "000000", WRONG, email)
        assert kept() == once
        for _ in range(tries.FREE_TRIES):
            vera(NOW, "000000", WRONG, email, "elsewhere")
        assert waits_until(NOW, email, "elsewhere")
        with begin(TESTS) as tx:
            tx.session.execute(
                sa.delete(RateCount).where(RateCount.key.like(f"%{store.lookup('email', email)}%"))
            )


@on_sqlite
def test_another_seed_takes_the_place_of_the_one_before(vera):
    session = vera(NOW, vera.code(NOW))
    with clock.moved_to(NOW), begin(TESTS) as tx:
        seed = pyotp.parse_uri(staff.new_seed(tx, vera.id)).secret
    later = NOW + timedelta(minutes=5)
    assert session and vera(later, vera.code(later)) is None
    assert vera(later, pyotp.TOTP(seed).at(later)) is not None
    with look(TESTS) as tx:
        ended = tx.all(sa.select(SignInSession.ended_reason).where(SignInSession.staff_id == vera.id))
        assert sorted(map(str, ended)) == ["None", "new_seed"]


@on_sqlite
def test_nobody_takes_as_long_as_somebody(vera, monkeypatch):
    """A slow hash is compared also where there is none to compare with."""
    compared = []
    sound = passwords.fits
    monkeypatch.setattr(passwords, "fits", lambda kept, secret: compared.append(kept) or sound(kept, secret))
    for email in ("vera@example.org", "nobody@example.org", "no address"):
        assert vera(NOW, "000000", WRONG, email) is None
    assert [kept is not None for kept in compared] == [True, False, False]
    assert not sound(None, "nobody has this password") and not sound("no hash", "x")


@on_sqlite
def test_an_address_is_taken_once_however_it_is_spelled(vera):
    with clock.moved_to(NOW), pytest.raises(Conflict), begin(TESTS) as tx:
        staff.add(tx, email=" VERA@Example.org", name="V", password=PASSWORD, language="en")


@on_sqlite
@pytest.mark.parametrize("password", ["", "brief", "x" * 14, "x" * 129])
def test_a_password_is_long_and_not_endless(app, password):
    with pytest.raises(Invalid) as refused, begin(TESTS) as tx:
        staff.add(tx, email="new@example.org", name="N", password=password, language="en")
    assert not password or password not in json.dumps(refused.value.errors)


# SI-04.


def test_a_closed_account_ends_everywhere_at_once(vera):
    assert vera(NOW, vera.code(NOW)) is not None
    with clock.moved_to(NOW), begin(TESTS) as tx:
        staff.close(tx, vera.id, "left")
    with look(TESTS) as tx:
        (session,) = tx.all(sa.select(SignInSession).where(SignInSession.staff_id == vera.id))
        assert (session.ended_reason, staff.actor_of(tx, session)) == ("account_closed", None)
        assert vera.id not in [row.id for row in staff.holding(tx, "diary", "01", "nurse")]
    later = NOW + timedelta(minutes=5)
    assert vera(later, vera.code(later)) is None


@on_sqlite
@pytest.mark.parametrize("mine", ["nurse", "investigator"])
@pytest.mark.parametrize("other", ["data_manager", "monitor"])
def test_nobody_is_made_of_the_site_and_of_the_sponsor_in_one_study(vera, mine, other):
    of_the_site, of_the_sponsor = Grant("diary", "01", mine), Grant("diary", "*", other)
    with begin(TESTS) as tx:
        for grant in staff.grants_of(tx, vera.id):
            staff.revoke(tx, vera.id, grant, "begins anew")
        staff.give(tx, vera.id, of_the_site)
    with begin(TESTS) as tx:
        with pytest.raises(accounts.BothSides):
            accounts.refuse_both_sides(tx, [of_the_sponsor], vera.id)
        with pytest.raises(accounts.BothSides):
            accounts.refuse_both_sides(tx, [of_the_site, of_the_sponsor])
        accounts.refuse_both_sides(tx, [Grant("another", "*", other)], vera.id)
        staff.revoke(tx, vera.id, of_the_site, "has moved to the sponsor")
        accounts.refuse_both_sides(tx, [of_the_sponsor], vera.id)


def test_roles_are_those_of_this_moment(vera):
    grant = Grant("diary", "02", "investigator")
    with clock.moved_to(NOW), begin(TESTS) as tx:
        staff.give(tx, vera.id, grant)
        staff.give(tx, vera.id, grant)
        assert set(staff.grants_of(tx, vera.id)) == {Grant("diary", "01", "nurse"), grant}
        assert [row.id for row in staff.holding(tx, "diary", "02", "investigator")] == [vera.id]
        staff.revoke(tx, vera.id, grant, "moved")
        assert staff.grants_of(tx, vera.id) == (Grant("diary", "01", "nurse"),)
        with pytest.raises(NotFound):
            staff.revoke(tx, vera.id, grant, "again")
        with pytest.raises(Invalid):
            staff.give(tx, vera.id, Grant("diary", "01", "queen"))
    with look(TESTS) as tx:
        actions = tx.all(
            sa.select(Event.action).where(Event.object_id == str(vera.id)).order_by(Event.chain, Event.seq)
        )
    assert actions.count("staff.granted") == 3 and actions.count("staff.grant_revoked") == 1


def test_a_key_reads_one_study_until_it_ends(app):
    with clock.moved_to(NOW), begin(TESTS) as tx:
        row, text = machine_keys.add(tx, "diary", "lake", days=30)
    assert actor(text).grants == (Grant("diary", "*", "machine"),)
    assert actor(text, NOW + timedelta(days=30)) is None
    for wrong in (
        text[:-1],
        text + "x",
        text.replace("epk_", "epk_0"),
        "epk_",
        "epk_x_y",
        f"epk_{uuid4().hex}_x",
        "é",
        "",
    ):
        assert actor(wrong) is None, wrong
    with begin(TESTS) as tx:
        machine_keys.revoke(tx, row.id, "lost")
    assert actor(text) is None


def actor(text: str, when: datetime = NOW):
    with look(TESTS, when) as tx:
        return machine_keys.actor_of(tx, text)


# SI-05.


@on_sqlite
def test_no_secret_is_kept_in_clear(vera, environ):
    with clock.moved_to(NOW), begin(TESTS) as tx:
        _, key = machine_keys.add(tx, "diary", "lake", days=30)
    pair = vera(NOW, vera.code(NOW))[1]
    with as_owner(environ) as connection:
        kept = str([connection.execute(sa.select(table)).all() for table in db.Base.metadata.sorted_tables])
    for secret in (PASSWORD, vera.seed, key.split("_", 2)[2], pair.refresh_token, pair.access_token):
        assert secret not in kept
    assert "$argon2id$" in kept


@on_sqlite
def test_a_seed_opens_on_its_own_account_only(vera, environ):
    with clock.moved_to(NOW), begin(TESTS) as tx:
        other, _ = staff.add(tx, email="w@example.org", name="W", password=PASSWORD, language="en", totp=True)
    with as_owner(environ) as connection:
        mine = connection.scalar(sa.select(Staff.totp_sealed).where(Staff.id == vera.id))
        connection.execute(sa.update(Staff).where(Staff.id == other.id).values(totp_sealed=mine))
    with pytest.raises(store.CannotOpen):
        vera(NOW, vera.code(NOW), email="w@example.org")
    with look(TESTS) as tx:
        assert tx.get(MachineKey, other.id) is None


# SI-06.


@pytest.fixture
def counts(app) -> DatabaseStorage:
    return DatabaseStorage("epro://")


def test_tries_are_counted_within_their_window(counts):
    with clock.moved_to(NOW):
        assert [counts.incr("a", 60) for _ in range(3)] == [1, 2, 3]
        assert (counts.incr("b", 60, amount=5), counts.get("a"), counts.get("c")) == (5, 3, 0)
    with clock.moved_to(NOW + timedelta(seconds=61)):
        assert (counts.get("a"), counts.incr("a", 60)) == (0, 1)
        counts.clear("a")
        assert counts.get("a") == 0
        counts.reset()
    with look(TESTS) as tx:
        assert tx.all(sa.select(RateCount)) == []


@on_sqlite
def test_counts_that_are_over_do_not_pile_up(counts):
    with clock.moved_to(NOW):
        for number in range(5):
            counts.incr(f"address {number}", 60)
        counts.incr("still counting", 600)
    worker.beat("w", NOW + timedelta(seconds=61))
    with look(TESTS) as tx:
        assert tx.all(sa.select(RateCount.key)) == ["still counting"]


def test_workers_that_count_at_once_lose_no_try(app, counts):
    start = Barrier(4)

    def count() -> list[int]:
        with app.app_context(), clock.moved_to(NOW):
            start.wait(timeout=30)
            return [counts.incr("a", 60) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        seen = [n for done in [pool.submit(count) for _ in range(4)] for n in done.result(timeout=60)]
    assert sorted(seen) == list(range(1, 21))
