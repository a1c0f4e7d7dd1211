"""Second factors, links by e-mail, and showing once more who one is.

SF-01  Without a second factor an account opens setting one up, and nothing else.
SF-02  A one-time code opens once; a recovery code opens once; seeds and codes are not kept in clear.
SF-03  A link by e-mail opens choosing a password, once, and no second factor.
SF-04  What weighs asks to be shown once more who one is.
SF-05  Nobody does to herself what a second person must do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa

from epro import clock, db
from epro.notifications import letters as posting
from epro.notifications.senders import Outgoing, SendFailed, SendUnknown
from epro.notifications.senders.smtp import SmtpSender
from epro.signin import links, staff
from epro.signin.models import StaffLetter, Ticket
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import PASSWORD, STUDY, Cast, at
from tests.fakes.smtp_server import SmtpServer
from tests.support.owner import as_owner

TESTS = system("tests")
NOW = at("2026-03-02T10:00")
ANOTHER = "a long one that only she knows"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@dataclass
class Person:
    """Somebody of the staff with a program of her own."""

    cast: Cast
    email: str
    password: str = PASSWORD
    seed: str = ""
    codes: list[str] = field(default_factory=list)
    key: str = ""
    told: dict[str, Any] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, when: datetime = NOW, **headers: str) -> Any:
        with clock.moved_to(when):
            return self.cast.app.test_client().open(
                f"/v1/staff/{path}",
                method=method,
                json=body,
                headers={"Authorization": f"Bearer {self.key}", **headers},
            )

    def sign_in(self, when: datetime = NOW, otp: str | None = None, **headers: str) -> int:
        asked = {"email": self.email, "password": self.password, **({"otp": otp} if otp else {})}
        answer = self.ask("POST", "login", asked, when, **headers)
        if answer.status_code == 200:
            self.told = answer.get_json()
            self.key = self.told["access_token"]
        return answer.status_code

    def code(self, when: datetime = NOW) -> str:
        return pyotp.TOTP(self.seed).at(when)

    def set_up(self, when: datetime = NOW) -> None:
        """Sign in with the password alone and set one-time codes up."""
        assert self.sign_in(when) == 200 and self.told["second_factor_missing"] is True
        self.seed = self.ask("POST", "me/totp", {}, when).get_json()["seed"]
        done = self.ask("POST", "me/totp/confirmation", {"otp": self.code(when)}, when)
        assert done.status_code == 200, done.text
        self.codes = done.get_json()["recovery_codes"]


@pytest.fixture
def strict(cast, monkeypatch):
    """The cast, where a second factor is asked for."""
    monkeypatch.setitem(cast.app.config["EPRO"], "SECOND_FACTOR", "required")
    return cast


@pytest.fixture
def noor(strict) -> Person:
    return Person(strict, "noor@example.org")


def test_with_a_password_alone_she_can_set_a_factor_up_and_nothing_else(noor):
    assert noor.sign_in() == 200 and noor.told["known_device"] is None
    for path in ("me/sessions", "me/passkeys", "accounts"):
        assert noor.ask("GET", path).get_json()["code"] == "second_factor_missing"
    assert (
        noor.ask("POST", "me/password", {"password": ANOTHER}).get_json()["code"] == "second_factor_missing"
    )
    assert noor.ask("GET", "me").status_code == 200
    first = noor.ask("POST", "me/totp", {}).get_json()
    assert first["qr_svg"].startswith("<svg") and first["address"].startswith("otpauth://totp/epro:noor%40")
    assert noor.ask("POST", "me/totp/confirmation", {"otp": "000000"}).status_code == 422
    noor.set_up()
    assert len(noor.codes) == len(set(noor.codes)) == 10 and all(len(code) == 19 for code in noor.codes)
    assert noor.ask("GET", "me/sessions").status_code == 200  # this session has it now


def test_from_then_on_the_code_is_asked_for_and_opens_once(noor):
    noor.set_up()
    later = NOW + timedelta(minutes=5)
    assert noor.sign_in(later) == 401
    assert noor.sign_in(later, "000000") == 401
    assert noor.sign_in(later, noor.code(later)) == 200 and noor.told["known_device"]
    assert noor.sign_in(later, noor.code(later)) == 401
    assert noor.sign_in(NOW + timedelta(seconds=1), noor.code(NOW)) == 401  # the one that confirmed it, too


def test_a_recovery_code_opens_once_however_it_is_typed(noor):
    noor.set_up()
    for number, typed in enumerate((noor.codes[0], noor.codes[1].lower().replace("-", " "))):
        when = NOW + timedelta(minutes=5 + number)
        assert noor.sign_in(when, typed) == 200
        assert noor.sign_in(when, typed) == 401
    assert noor.ask("POST", "me/recovery-codes", {}, NOW + timedelta(minutes=7)).status_code == 200
    assert noor.sign_in(NOW + timedelta(minutes=8), noor.codes[2]) == 401  # replaced
    with look(TESTS) as tx:
        used = tx.all(sa.select(Event).where(Event.action == "staff.recovery_code_used"))
        told = tx.all(sa.select(StaffLetter.kind).where(StaffLetter.kind == "recovery_code_used"))
    assert len(used) == len(told) == 2


def test_another_seed_asks_for_the_one_there_is(noor, strict):
    """Who has a password, and a session without the factor, cannot bring a seed of her own."""
    thief = Person(strict, "noor@example.org")
    assert thief.sign_in() == 200  # before there was one
    noor.set_up()
    assert thief.ask("POST", "me/totp", {}).status_code == 401  # her sessions have ended
    strict.app.config["EPRO"]["SECOND_FACTOR"] = "optional"
    later = NOW + timedelta(minutes=6)
    assert noor.ask("POST", "me/totp", {}, later).get_json()["code"] == "step_up_needed"
    wrong = {"password": PASSWORD, "otp": "000000"}
    assert noor.ask("POST", "me/step-up", wrong, later).status_code == 401
    right = {"password": PASSWORD, "otp": noor.code(later)}
    assert noor.ask("POST", "me/step-up", right, later).status_code == 204
    assert noor.ask("POST", "me/totp", {}, later).status_code == 200
    assert noor.ask("POST", "me/totp", {}, later + timedelta(minutes=5, seconds=1)).status_code == 403


def test_a_password_is_changed_with_a_step_up_and_other_sessions_end(noor, strict):
    noor.set_up()
    when = NOW + timedelta(minutes=10)
    assert noor.ask("POST", "me/password", {"password": ANOTHER}, when).get_json()["code"] == "step_up_needed"
    assert noor.sign_in(when, noor.code(when)) == 200
    other, noor.key = noor.key, ""
    when += timedelta(minutes=1)
    assert noor.sign_in(when, noor.code(when)) == 200
    for bad in ("noor@example.org", "passwordpassword", "short"):
        refused = noor.ask("POST", "me/password", {"password": bad}, when).get_json()
        assert refused["errors"][0]["code"] == "bad_password" and bad not in refused["detail"]
    assert (
        noor.ask("POST", "me/password", {"password": "kq7w-bz4m-tn"}, when).status_code == 204
    )  # 12 suffice
    assert noor.ask("GET", "me", when=when).status_code == 200
    noor.key = other
    assert noor.ask("GET", "me", when=when).status_code == 401
    noor.password = "kq7w-bz4m-tn"
    when += timedelta(minutes=1)
    assert noor.sign_in(when, noor.code(when)) == 200


def test_sessions_are_seen_ended_and_end_by_themselves(noor, strict):
    noor.set_up()
    first, when = noor.key, NOW + timedelta(minutes=2)
    assert noor.sign_in(when, noor.code(when), **{"User-Agent": "a browser"}) == 200
    listed = noor.ask("GET", "me/sessions", when=when).get_json()["sessions"]
    assert [one["this_one"] for one in listed] == [True, False]
    assert listed[0]["agent"] == "a browser" and listed[0]["second_factor"] == "totp"
    assert noor.ask("DELETE", f"me/sessions/{listed[1]['id']}", when=when).status_code == 204
    second, noor.key = noor.key, first
    assert noor.ask("GET", "me", when=when).status_code == 401
    noor.key = second
    assert noor.ask("GET", "me", when=when + timedelta(minutes=14)).status_code == 200
    idle = {"refresh_token": noor.told["refresh_token"]}
    assert noor.ask("POST", "token", idle, when + timedelta(minutes=45)).status_code == 401
    otto = Person(strict, "otto@example.org")
    otto.set_up(when)
    assert otto.ask("DELETE", f"me/sessions/{listed[0]['id']}", when=when).status_code == 404


def test_an_administrator_invites_and_looks_after_her_own_studies_only(strict):
    alma = Person(strict, "alma@example.org")
    alma.set_up()
    wanted = {"email": "new@example.org", "name": "Nia", "language": "en",
              "roles": [{"study": STUDY, "site": "01", "role": "nurse"}]}  # fmt: skip
    late = NOW + timedelta(minutes=6)
    assert alma.ask("POST", "accounts", wanted, late).get_json()["code"] == "step_up_needed"
    alma.ask("POST", "me/step-up", {"password": PASSWORD, "otp": alma.code(late)}, late)
    elsewhere = {**wanted, "roles": [{"study": "other", "role": "nurse"}]}
    assert alma.ask("POST", "accounts", elsewhere, late).status_code == 404
    assert alma.ask("POST", "accounts", {**wanted, "password": ANOTHER}, late).status_code == 422
    made = alma.ask("POST", "accounts", wanted, late).get_json()
    assert made["has_password"] is False and made["roles"] == wanted["roles"]
    nia = Person(strict, "new@example.org", "")
    for password in ("x", PASSWORD, ANOTHER):
        nia.password = password
        assert nia.sign_in(late) == 401
    assert choose(strict, link_of(strict, late), ANOTHER, late) == 204
    nia.set_up(late)
    act = f"accounts/{made['id']}/"
    assert (
        alma.ask("POST", act + "roles", {"study": STUDY, "site": "02", "role": "nurse"}, late).status_code
        == 204
    )
    assert len(nia.ask("GET", "me", when=late).get_json()["roles"]) == 2  # at her next request
    back = {"study": STUDY, "site": "02", "role": "nurse", "reason": "moved"}
    assert alma.ask("POST", act + "roles/revocation", back, late).status_code == 204
    assert len(nia.ask("GET", "me", when=late).get_json()["roles"]) == 1
    for rest in ("unlocking", "factors/reset", "sessions/end", "closing"):
        assert alma.ask("POST", act + rest, {"reason": "asked for"}, late).status_code == 204, rest
        assert nia.ask("GET", "me", when=late).status_code == (200 if rest == "unlocking" else 401)
    listed = {one["id"]: one for one in alma.ask("GET", "accounts", when=late).get_json()["accounts"]}
    assert listed[made["id"]]["closed_at"] and len(listed) == 8
    own = f"accounts/{alma.told['staff']['id']}/factors/reset"
    assert alma.ask("POST", own, {"reason": "mine"}, late).status_code == 403


@pytest.mark.parametrize("name", ["noor", "dana", "bo"])
@on_sqlite
def test_nobody_else_looks_after_accounts(strict, name):
    who = Person(strict, f"{name}@example.org")
    who.set_up()
    assert who.ask("GET", "accounts").status_code == 403
    wanted = {"email": "new@example.org", "name": "N", "roles": [{"study": STUDY, "role": "nurse"}]}
    assert who.ask("POST", "accounts", wanted).status_code == 403


def test_the_way_back_opens_a_password_once_and_no_second_factor(noor, strict):
    noor.set_up()
    when = NOW + timedelta(minutes=10)
    nobody = noor.ask("POST", "recovery", {"email": "nobody@example.org"}, when)
    somebody = noor.ask("POST", "recovery", {"email": "Noor@example.org"}, when)
    assert (nobody.status_code, nobody.data) == (somebody.status_code, somebody.data) == (204, b"")
    noor.ask("POST", "recovery", {"email": "noor@example.org"}, when)  # again and again: one letter
    link = link_of(strict, when)
    assert choose(strict, "none of ours", ANOTHER, when) == 401
    assert choose(strict, link, "passwordpassword", when) == 422  # and it still opens
    assert choose(strict, link, ANOTHER, when) == 204
    assert choose(strict, link, ANOTHER + "!", when) == 401
    assert noor.ask("GET", "me", when=when).status_code == 401  # every session has ended
    noor.password = ANOTHER
    assert noor.sign_in(when) == 401
    assert noor.sign_in(when, noor.code(when)) == 200
    with look(TESTS) as tx:
        kinds = tx.all(sa.select(StaffLetter.kind).order_by(StaffLetter.made_at))
    assert kinds.count("recovery") == 1 and kinds[-1] == "changed"


@on_sqlite
@pytest.mark.parametrize(("later", "status"), [(timedelta(minutes=14), 204), (timedelta(minutes=15), 401)])
def test_the_way_back_is_open_for_a_quarter_of_an_hour(noor, strict, later, status):
    noor.ask("POST", "recovery", {"email": "noor@example.org"})
    assert choose(strict, link_of(strict, NOW), ANOTHER, NOW + later) == status


@on_sqlite
def test_a_newer_link_and_a_closed_account_end_the_older_one(noor, strict):
    noor.ask("POST", "recovery", {"email": "noor@example.org"})
    first, later = link_of(strict, NOW), NOW + timedelta(minutes=3)
    noor.ask("POST", "recovery", {"email": "noor@example.org"}, later)
    second = link_of(strict, later)
    assert choose(strict, first, ANOTHER, later) == 401
    with clock.moved_to(later), begin(TESTS) as tx:
        staff.close(tx, strict.ids["noor"] and staff.by_email(tx, "noor@example.org").id, "left")
    assert choose(strict, second, ANOTHER, later) == 401


def test_no_secret_is_kept_in_clear(noor, strict, environ):
    noor.set_up()
    with clock.moved_to(NOW), begin(TESTS) as tx:
        links.invite_again(tx, staff.by_email(tx, "noor@example.org").id)
    with as_owner(environ) as connection:
        kept = str([connection.execute(sa.select(table)).all() for table in db.Base.metadata.sorted_tables])
    with look(TESTS) as tx:
        (letter,) = tx.all(sa.select(StaffLetter).where(StaffLetter.kind == "recovery"))
        secret = staff.letters.secret_of(letter)
    for text in (noor.seed, secret, *noor.codes, *(code.replace("-", "") for code in noor.codes)):
        assert text and text not in kept
    assert len(secret) == 43  # 256 bits


# Letters.


def test_letters_go_out_in_her_language_and_name_no_study(strict):
    with SmtpServer() as mail, clock.moved_to(NOW):
        sender = SmtpSender("127.0.0.1", "epro <post@example.org>", port=mail.port, tls="none")
        with begin(TESTS) as tx:
            for number, language in enumerate(("en", "zh-CN")):
                links.invite(tx, email=f"n{number}@example.org", name="Nia", language=language, phone=None,
                             grants=[staff.Grant(STUDY, "01", "nurse")])  # fmt: skip
        mail.script("rcpt:451 4.3.0 later")
        assert posting.send_due({"email": sender}) == 2
        assert posting.send_due({"email": sender}) == 0
        assert posting.send_due({"email": sender}, NOW + timedelta(minutes=2)) == 1
    assert sorted(letter.rcpt_tos[0] for letter in mail.letters) == ["n0@example.org", "n1@example.org"]
    for letter in mail.letters:
        text = letter.message.get_content()
        assert letter.message.get_content_type() == "text/plain" and "https://epro.test/console/link#" in text
        assert not any(
            word in letter.raw.decode().lower() + text.lower() for word in (STUDY, "nurse", "nia", "01@")
        )
    chinese = next(one for one in mail.letters if one.message["Content-Language"] == "zh-CN")
    assert "24小时" in chinese.message.get_content() and chinese.message["Subject"] == "您在epro的账户"
    with look(TESTS) as tx:
        rows = tx.all(sa.select(StaffLetter))
        assert {(row.sealed, row.fault, row.sent_at is None) for row in rows} == {(None, None, False)}


class Post:
    """A sender that says what it is told to say."""

    channel, name = "email", "post"

    def __init__(self, *says: Exception):
        self.says, self.sent = list(says), []

    def send(self, message: Outgoing) -> str:
        self.sent.append(message)
        if self.says:
            raise self.says.pop(0)
        return "1"


@on_sqlite
def test_a_letter_is_sent_again_while_its_fate_is_unknown_and_not_when_it_is_refused(noor):
    noor.ask("POST", "recovery", {"email": "noor@example.org"})
    post = Post(SendUnknown("cut"), SendFailed("busy", permanent=False))
    for minutes in range(10):
        posting.send_due({"email": post}, NOW + timedelta(minutes=minutes))
    assert len(post.sent) == 3 and len({message.message_id for message in post.sent}) == 1
    with clock.moved_to(NOW), begin(TESTS) as tx:
        staff.letters.post(tx, staff.by_email(tx, "noor@example.org").id, "changed")
    refused = Post(SendFailed("bad_address", permanent=True))
    for minutes in range(10):
        posting.send_due({"email": refused}, NOW + timedelta(minutes=minutes))
    assert len(refused.sent) == 1
    with look(TESTS) as tx:
        assert tx.all(sa.select(StaffLetter.fault).where(StaffLetter.sent_at.is_(None))) == ["bad_address"]


@on_sqlite
def test_a_link_that_has_run_out_is_not_sent(noor):
    noor.ask("POST", "recovery", {"email": "noor@example.org"})
    post = Post()
    assert posting.send_due({"email": post}, NOW + timedelta(minutes=15)) == 0 == posting.send_due({}, NOW)


def test_every_letter_says_the_same_in_both_languages():
    for kind in staff.letters.KINDS:
        for language in ("en", "zh-CN"):
            told = posting.wording(language, kind)
            assert ("{link}" in told["text"]) is (kind in ("invitation", "recovery"))
            assert "{app_name}" in told["subject"]
    assert posting.wording("fr", "changed") == posting.wording("en", "changed")


def link_of(cast: Cast, when: datetime) -> str:
    """The secret of the link in the newest letter, as it is sent."""
    post = Post()
    posting.send_due({"email": post}, when)
    text = next(message.text for message in reversed(post.sent) if "#" in message.text)
    return text.split("https://epro.test/console/link#")[1].split()[0]


def choose(cast: Cast, link: str, password: str, when: datetime) -> int:
    with clock.moved_to(when):
        asked = {"link": link, "password": password}
        return cast.app.test_client().post("/v1/staff/recovery/completion", json=asked).status_code


@on_sqlite
def test_a_ticket_is_taken_once_and_cleared_when_it_has_run_out(strict):
    with clock.moved_to(NOW), begin(TESTS) as tx:
        secret = links.tickets.make(tx, "x", timedelta(minutes=1))
    for when, found in ((NOW + timedelta(minutes=1), False), (NOW, True), (NOW, False)):
        with clock.moved_to(when), begin(TESTS) as tx:
            assert (links.tickets.take(tx, "x", secret) is not None) is found
            assert links.tickets.take(tx, "y", secret) is None
    with clock.moved_to(NOW + timedelta(hours=1)), begin(TESTS) as tx:
        links.tickets.make(tx, "x", timedelta(minutes=1))
        links.tickets.make(tx, "x", timedelta(minutes=1))
    with look(TESTS) as tx:
        assert len(tx.all(sa.select(Ticket))) == 2
