"""The activation code: one use, five tries, forgiving of how it is typed, and telling nobody why it fails.

Threats S13 (two at once), S15 (guessing), S16 (finding out what exists); requirement G34 (a lost reply).
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from epro import clock
from epro.signin import codes, passwords
from epro.signin.models import ActivationCode, Device, SignInSession
from epro.trail.models import Event
from epro.tx import look, system
from tests.cast import at
from tests.doors.scene import TODAY, Stage

DEVICE = {"installation_id": "the first installation", "platform": "test", "app_version": "1.0"}
ANOTHER = {**DEVICE, "installation_id": "another installation"}


@pytest.fixture
def phone(stage):
    return stage.newcomer(active=False)


@pytest.fixture
def code(stage, phone) -> str:
    return stage.code_for(phone)


def activate(stage: Stage, code: str, device: Any = None, later: timedelta = timedelta()) -> Any:
    with clock.moved_to(at(TODAY) + later):
        return stage.client.post(
            "/v1/phone/activate", json={"activation_code": code, "device": device or DEVICE}
        )


def wrong(code: str) -> str:
    """The same code with another last character."""
    return code[:-1] + ("A" if code[-1] != "A" else "B")


def test_a_code_looks_as_it_is_meant_to_be_read(code):
    groups = code.split("-")
    assert [len(group) for group in groups] == [5, 5, 5]
    assert set("".join(groups)) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda c: c.replace("-", ""),
        lambda c: c.replace("-", " "),
        lambda c: f"  {c}\n",
        lambda c: " ".join(c.replace("-", "")),
        lambda c: c.replace("-", "–"),
        lambda c: c.replace("-", "\u2011"),
        lambda c: c.replace("0", "O").replace("1", "I"),
        lambda c: c.replace("0", "o").replace("1", "l"),
        lambda c: c.replace("1", "L").replace("-", "_"),
        lambda c: c.replace("-", "\u00a0"),
        lambda c: c.replace("-", "."),
    ],
    ids=[
        "lower case",
        "no dashes",
        "spaces",
        "around",
        "between all",
        "long dashes",
        "hard hyphens",
        "O and I",
        "o and l",
        "L",
        "hard spaces",
        "dots",
    ],
)
def test_it_is_forgiven_how_it_is_typed(stage, phone, typed, monkeypatch):
    monkeypatch.setattr(codes, "make", _with_noughts_and_ones)
    answer = activate(stage, typed(stage.code_for(phone)))
    assert answer.status_code == 201, answer.text
    assert answer.get_json()["participant"]["subject_id"] == phone.subject_id


def test_the_answer_opens_the_phones_door(stage, phone, code):
    told = activate(stage, code).get_json()
    assert set(told) == {"access_token", "token_type", "expires_in", "refresh_token", "participant"}
    assert stage.send("GET", "/v1/phone/me", told["access_token"]).get_json() == told["participant"]


def test_whatever_opens_nothing_is_answered_alike(stage, phone):
    """Used, run out, ended by a newer one, killed by five tries, guessed, of nobody, of somebody withdrawn."""
    used, run_out, ended, killed, guessed, withdrawn = (stage.newcomer(active=False) for _ in range(6))
    held = {
        name: stage.code_for(who)
        for name, who in {
            "used": used,
            "run out": run_out,
            "ended": ended,
            "killed": killed,
            "guessed": guessed,
            "withdrawn": withdrawn,
        }.items()
    }
    assert activate(stage, held["used"], ANOTHER).status_code == 201
    stage.code_for(ended)
    for _ in range(5):
        activate(stage, wrong(held["killed"]))
    stage.ask(
        "noor", "POST", f"/v1/site/participants/{withdrawn.subject_id}/withdrawal", {"reason": "own wish"}
    )
    answers = {
        name: activate(stage, text, later=timedelta(hours=24) if name == "run out" else timedelta())
        for name, text in held.items()
        if name != "guessed"
    }
    answers["guessed"] = activate(stage, wrong(held["guessed"]))
    answers["of nobody"] = activate(stage, "00000-00000-00000")
    answers["no code"] = activate(stage, "hello")
    answers["too long"] = activate(stage, held["guessed"] + "0")
    answers["of another script"] = activate(stage, "１" * 15)
    shown = {(answer.status_code, answer.data, answer.content_type) for answer in answers.values()}
    assert len(shown) == 1, {name: answer.text for name, answer in answers.items()}
    assert answers["used"].get_json()["code"] == "code_not_accepted" and answers["used"].status_code == 401


def test_a_code_lives_to_the_last_second(stage, phone, code):
    assert activate(stage, code, later=timedelta(hours=24)).status_code == 401
    assert activate(stage, code, later=timedelta(hours=24, seconds=-1)).status_code == 201


def test_five_wrong_tries_kill_a_code_for_good(stage, code):
    for _ in range(5):
        assert activate(stage, wrong(code)).status_code == 401
    assert activate(stage, code).status_code == 401
    assert activate(stage, code, later=timedelta(hours=12)).status_code == 401


def test_a_code_that_dies_of_wrong_tries_is_on_record_once(stage, phone, code):
    for _ in range(7):
        activate(stage, wrong(code))
    assert exhausted(phone) == 1


def test_a_code_that_had_ended_before_dies_in_silence(stage, phone, code):
    stage.code_for(phone)
    for _ in range(7):
        activate(stage, wrong(code))
    assert exhausted(phone) == 0


def exhausted(phone: Any) -> int:
    """How often the trail says that a code of hers died of wrong tries."""
    query = sa.select(Event.id).where(
        Event.study_id == "diary",
        Event.subject_id == phone.subject_id,
        Event.action == "activation_code.exhausted",
    )
    with look(system("tests")) as tx:
        return len(tx.all(query))


def test_four_slips_of_the_finger_do_not(stage, code):
    for _ in range(4):
        assert activate(stage, wrong(code)).status_code == 401
    assert activate(stage, code).status_code == 201


def test_a_code_opens_one_phone_once(stage, code):
    assert activate(stage, code).status_code == 201
    assert activate(stage, code, ANOTHER).status_code == 401


def test_a_lost_reply_costs_nothing(stage, phone, code):
    """The same installation asks again: the first session ends, there is one phone."""
    first, again = activate(stage, code), activate(stage, code, later=timedelta(minutes=5))
    assert (first.status_code, again.status_code) == (201, 201)
    keys = [answer.get_json()["access_token"] for answer in (first, again)]
    assert [stage.send("GET", "/v1/phone/me", key).status_code for key in keys] == [401, 200]
    assert len(_devices(phone)) == 1


def test_a_revoked_phone_does_not_come_back_with_its_old_code(stage, phone, code):
    assert activate(stage, code).status_code == 201
    (device,) = _devices(phone)
    path = f"/v1/site/participants/{phone.subject_id}/devices/{device.id}/revocation"
    assert stage.ask("noor", "POST", path, {"reason": "lost"}).status_code == 204
    assert activate(stage, code).status_code == 401


def test_a_new_code_ends_the_earlier_one(stage, phone, code):
    newer = stage.code_for(phone)
    assert activate(stage, code).status_code == 401
    assert activate(stage, newer).status_code == 201


def test_wrong_tries_at_one_code_do_not_harm_another(stage, code):
    other = stage.code_for(stage.newcomer(active=False))
    for _ in range(5):
        activate(stage, wrong(other))
    assert activate(stage, code).status_code == 201


def test_only_a_hash_of_the_secret_is_kept(stage, code):
    selector, secret = codes.parts(code)
    with look(system("tests")) as tx:
        row = tx.get(ActivationCode, selector)
        assert secret not in str([getattr(row, column.name) for column in row.__table__.columns])
        assert row.secret_hash.startswith("$argon2id$") and passwords.fits(row.secret_hash, secret)


def test_of_two_phones_with_one_code_at_the_same_time_one_wins(stage, phone, code):
    answers = at_once(
        stage, lambda number: activate(stage, code, {**DEVICE, "installation_id": f"phone {number}"})
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[401] * 3]
    assert len(_devices(phone)) == 1


def test_parallel_guesses_get_no_more_than_five_tries(stage, code, monkeypatch):
    """Counting comes before comparing: of a hundred at once the right one among the last is too late."""
    compared = []
    real = passwords.fits
    monkeypatch.setattr(passwords, "fits", lambda kept, secret: compared.append(kept) or real(kept, secret))
    for _ in range(3):
        at_once(stage, lambda number: activate(stage, wrong(code)))
    assert len([kept for kept in compared if kept]) == 5
    assert activate(stage, code).status_code == 401


def test_one_phone_sending_twice_at_once_gets_in(stage, phone, code):
    """An impatient finger: both may be told yes, and whoever is told yes last has the session."""
    answers = at_once(stage, lambda _: activate(stage, code))
    assert {answer.status_code for answer in answers} == {201}
    keys = [answer.get_json()["access_token"] for answer in answers]
    assert sorted(stage.send("GET", "/v1/phone/me", key).status_code for key in keys) == [200, *[401] * 3]
    assert len(_devices(phone)) == 1
    with look(system("tests")) as tx:
        running = tx.all(
            sa.select(SignInSession.id).where(
                SignInSession.subject_id == phone.subject_id,
                SignInSession.study_id == "diary",
                SignInSession.ended_at.is_(None),
            )
        )
    assert len(running) == 1


def at_once(stage: Stage, act: Any, many: int = 4) -> list[Any]:
    """What `many` threads were told that began at the same moment, with the hour of this one."""
    barrier = Barrier(many)

    def run(number: int) -> Any:
        barrier.wait(10)
        with stage.cast.app.app_context():
            return act(number)

    with ThreadPoolExecutor(many) as pool:
        return [done.result(60) for done in [pool.submit(copy_context().run, run, n) for n in range(many)]]


def _devices(phone: Any) -> list[Device]:
    with look(system("tests")) as tx:
        return tx.all(
            sa.select(Device).where(Device.study_id == "diary", Device.subject_id == phone.subject_id)
        )


def _with_noughts_and_ones() -> str:
    """A random code that holds both of the characters that people misread."""
    text = [*"01", *(secrets.choice(codes.ALPHABET) for _ in range(13))]
    secrets.SystemRandom().shuffle(text)
    return "-".join("".join(text[n : n + 5]) for n in (0, 5, 10))
