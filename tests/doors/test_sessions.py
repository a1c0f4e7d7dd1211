"""Sessions: a refresh token is spent once, a lost reply locks nobody out, and a stolen one ends the family.

Requirements G32, G34; threats S13, S21.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from epro import clock, db, trail
from epro.simulation.people import Phone
from epro.trail.models import Event
from epro.tx import Grant, look, system
from tests.cast import PASSWORD, STUDY, at
from tests.doors.scene import TODAY, Stage, hire
from tests.doors.test_activation import at_once


@pytest.fixture
def phone(stage) -> Phone:
    return stage.newcomer()


def refresh(
    stage: Stage,
    token: str,
    installation: str | None = None,
    later: timedelta = timedelta(),
    door: str = "phone",
) -> Any:
    body = {"refresh_token": token, **({"installation_id": installation} if installation else {})}
    with clock.moved_to(at(TODAY) + later):
        return stage.client.post(f"/v1/{door}/token", json=body)


def opens(stage: Stage, key: str, later: timedelta = timedelta(), path: str = "/v1/phone/me") -> bool:
    with clock.moved_to(at(TODAY) + later):
        return stage.client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_a_refresh_gives_a_new_pair(stage, phone):
    told = refresh(stage, phone.refresh_token).get_json()
    assert set(told) == {"access_token", "refresh_token", "expires_in", "token_type"}
    assert told["refresh_token"] != phone.refresh_token and told["access_token"] != phone.key
    assert (told["expires_in"], told["token_type"]) == (900, "Bearer")
    assert opens(stage, told["access_token"])


@pytest.mark.parametrize("later", [timedelta(), timedelta(minutes=1), timedelta(days=300)])
def test_a_lost_reply_gives_the_same_successor_to_the_same_installation(stage, phone, later):
    first = refresh(stage, phone.refresh_token, phone.installation_id).get_json()
    again = refresh(stage, phone.refresh_token, phone.installation_id, later).get_json()
    assert again["refresh_token"] == first["refresh_token"]
    assert opens(stage, again["access_token"], later)


def test_within_two_minutes_the_same_successor_goes_to_whoever_asks(stage, phone):
    first = refresh(stage, phone.refresh_token).get_json()
    assert (
        refresh(stage, phone.refresh_token, later=timedelta(minutes=2)).get_json()["refresh_token"]
        == (first["refresh_token"])
    )


@pytest.mark.parametrize("installation", [None, "another installation"])
def test_later_a_spent_token_without_its_installation_ends_the_family(stage, phone, installation):
    first = refresh(stage, phone.refresh_token).get_json()
    later = timedelta(minutes=2, seconds=1)
    answer = refresh(stage, phone.refresh_token, installation, later)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "not_signed_in")
    assert not opens(stage, first["access_token"], later)
    assert refresh(stage, first["refresh_token"], phone.installation_id, later).status_code == 401


def test_a_superseded_token_ends_the_family_at_once_for_access_tokens_too(stage, phone):
    """Two generations back: somebody else has a copy, whoever it is that asks."""
    tokens, keys = [phone.refresh_token], [phone.key]
    for _ in range(2):
        told = refresh(stage, tokens[-1], phone.installation_id).get_json()
        tokens.append(told["refresh_token"])
        keys.append(told["access_token"])
    assert all(opens(stage, key) for key in keys)
    answer = refresh(stage, tokens[0], phone.installation_id)
    assert answer.status_code == 401
    assert not any(opens(stage, key) for key in keys)
    assert all(refresh(stage, token, phone.installation_id).status_code == 401 for token in tokens)


def test_a_copied_phone_is_noticed_when_the_other_side_comes_back(stage, phone):
    """A copy has the installation's name too: once a request has shown the successor, no reply was lost."""
    copied = refresh(stage, phone.refresh_token, phone.installation_id).get_json()
    assert opens(stage, copied["access_token"])
    hour = timedelta(hours=1)
    assert refresh(stage, phone.refresh_token, phone.installation_id, hour).status_code == 401
    assert refresh(stage, copied["refresh_token"], phone.installation_id, hour).status_code == 401
    assert acts(stage, phone.subject_id) == [("device.session_ended", "refresh_token_reused")]


def test_a_reply_is_lost_as_long_as_its_token_was_not_shown(stage, phone):
    """What the phone does meanwhile with its older token tells nothing."""
    first = refresh(stage, phone.refresh_token, phone.installation_id).get_json()
    assert opens(stage, phone.key)
    again = refresh(stage, phone.refresh_token, phone.installation_id, timedelta(minutes=10))
    assert again.get_json()["refresh_token"] == first["refresh_token"]


def test_that_a_token_was_shown_is_written_once(stage, phone):
    key = refresh(stage, phone.refresh_token, phone.installation_id).get_json()["access_token"]
    shown: list[str] = []
    sa.event.listen(db.engine(), "before_cursor_execute", listener := lambda *said: shown.append(said[2]))
    for _ in range(3):
        assert opens(stage, key) and opens(stage, phone.key)
    sa.event.remove(db.engine(), "before_cursor_execute", listener)
    assert len([statement for statement in shown if statement.startswith("UPDATE sessions")]) == 1


def test_a_copied_session_of_the_staff_ends_too(stage):
    with stage.today():
        hire("copied")
        told = stage.client.post(
            "/v1/staff/login", json={"email": "copied@example.org", "password": PASSWORD}
        ).get_json()
    assert refresh(stage, told["refresh_token"], door="staff").status_code == 200
    soon = timedelta(minutes=20)
    assert refresh(stage, told["refresh_token"], later=soon, door="staff").status_code == 401
    assert acts(stage, None)[-1] == ("staff.session_ended", "refresh_token_reused")


def test_logging_out_is_the_persons_own_act(stage):
    with stage.today():
        who = hire("leaver", Grant(STUDY, "01", "nurse"))
        key = stage.sign_in("leaver").key
    before = counted(stage, "staff.logged_out")
    assert stage.send("POST", "/v1/staff/logout", key, {}).status_code == 204
    assert stage.send("GET", "/v1/staff/me", key).status_code == 401
    with look(system("tests")) as tx:
        (done,) = tx.all(sa.select(Event).where(Event.action == "staff.logged_out", Event.object_id == who))
    assert (done.actor, done.study_id) == (f"staff:{who}", trail.INSTALLATION)
    assert counted(stage, "staff.logged_out") == before + 1


def counted(stage: Stage, action: str) -> float:
    """What the metrics say of this kind of act."""
    told = stage.send("GET", "/metrics", "metrics token of the tests").text
    return float(
        next(line for line in told.splitlines() if f'"{action}"' in line and "_total" in line).split()[-1]
    )


def acts(stage: Stage, subject_id: str | None) -> list[tuple[str, str]]:
    """What the trail says of sessions that ended, of a participant or of the staff, with the reason."""
    study = STUDY if subject_id else trail.INSTALLATION
    query = sa.select(Event).where(
        Event.study_id == study, Event.subject_id == subject_id, Event.action.like("%.session_ended")
    )
    with look(system("tests")) as tx:
        return [(row.action, json.loads(row.body)["reason"]) for row in tx.all(query.order_by(Event.seq))]


def test_the_end_of_one_family_is_not_that_of_another(stage, phone):
    other = stage.newcomer()
    told = [refresh(stage, phone.refresh_token).get_json()]
    told.append(refresh(stage, told[0]["refresh_token"]).get_json())
    assert refresh(stage, phone.refresh_token).status_code == 401
    assert opens(stage, other.key)
    assert refresh(stage, other.refresh_token).status_code == 200


def test_a_made_up_token_of_a_running_session_does_not_end_it(stage, phone):
    """Who knows the session's id only must not be able to log a patient out (S21)."""
    session, _, secret = phone.refresh_token.partition(".")
    for made_up in (
        f"{session}.{secret[:-2]}AA",
        f"{session}.",
        session,
        f"{session}.{secret}x",
        f"x{session}.{secret}",
    ):
        assert refresh(stage, made_up, phone.installation_id).status_code == 401
    assert opens(stage, phone.key)
    assert refresh(stage, phone.refresh_token).status_code == 200


def test_a_token_of_a_logged_out_session_simply_fails(stage, phone):
    with stage.today():
        phone.must("POST", "/v1/phone/logout", {})
    assert refresh(stage, phone.refresh_token, phone.installation_id).status_code == 401
    assert not opens(stage, phone.key)


def test_a_refresh_token_opens_only_its_own_door(stage, phone):
    with stage.today():
        staff = stage.client.post(
            "/v1/staff/login", json={"email": "noor@example.org", "password": PASSWORD}
        ).get_json()
    assert refresh(stage, phone.refresh_token, door="staff").status_code == 401
    assert refresh(stage, staff["refresh_token"], door="phone").status_code == 401
    assert opens(stage, phone.key) and opens(stage, staff["access_token"], path="/v1/staff/me")
    assert refresh(stage, staff["refresh_token"], door="staff").status_code == 200


def test_a_session_of_the_staff_ends_after_twelve_hours_however_often_it_is_refreshed(stage):
    with stage.today():
        told = stage.client.post(
            "/v1/staff/login", json={"email": "noor@example.org", "password": PASSWORD}
        ).get_json()
    for twenty in range(1, 36):
        later = timedelta(minutes=20 * twenty)
        told = refresh(stage, told["refresh_token"], later=later, door="staff").get_json()
    assert opens(stage, told["access_token"], timedelta(hours=11, minutes=50), "/v1/staff/me")
    assert refresh(stage, told["refresh_token"], later=timedelta(hours=12), door="staff").status_code == 401


def test_parallel_refreshes_have_one_winner_and_give_the_same_token(stage, phone):
    answers = at_once(stage, lambda _: refresh(stage, phone.refresh_token, phone.installation_id))
    assert {answer.status_code for answer in answers} == {200}
    told = [answer.get_json() for answer in answers]
    assert len({one["refresh_token"] for one in told}) == 1
    assert all(opens(stage, one["access_token"]) for one in told)
    assert refresh(stage, told[0]["refresh_token"]).get_json()["refresh_token"] != told[0]["refresh_token"]


def test_a_phone_may_lose_every_other_reply_for_a_month(stage, phone):
    """Each token is asked for twice, days apart: she is never logged out."""
    token = phone.refresh_token
    for day in range(0, 30, 3):
        lost = refresh(stage, token, phone.installation_id, timedelta(days=day)).get_json()
        again = refresh(stage, token, phone.installation_id, timedelta(days=day + 2)).get_json()
        assert lost["refresh_token"] == again["refresh_token"]
        token = again["refresh_token"]
    assert opens(stage, again["access_token"], timedelta(days=29))


def test_wrong_log_ins_make_an_account_wait_and_say_nothing(stage):
    with stage.today():
        hire("ward")
    asked = {"email": "ward@example.org", "password": PASSWORD}
    with stage.today():
        wrong = [log_in(stage, {**asked, "password": "a wrong password"}) for _ in range(6)]
        locked = log_in(stage, asked)
        nobody = log_in(stage, {**asked, "email": "nobody@example.org"})
        no_address = log_in(stage, {**asked, "email": "no address"})
    assert len({(answer.status_code, answer.data) for answer in (*wrong, locked, nobody, no_address)}) == 1
    assert locked.get_json()["code"] == "sign_in_refused"
    with stage.today(minutes=16):
        assert log_in(stage, asked).status_code == 200


def test_a_stranger_keeps_nobody_out_who_sits_elsewhere(stage):
    with stage.today():
        hire("sister")
        asked = {"email": "sister@example.org", "password": PASSWORD}
        for _ in range(20):
            log_in(stage, {**asked, "password": "a guess of a stranger"}, "203.0.113.66")
        assert log_in(stage, asked, "203.0.113.66").status_code == 401
        assert log_in(stage, asked, "198.51.100.5").status_code == 200


def log_in(stage: Stage, asked: dict[str, str], address: str = "127.0.0.1") -> Any:
    return stage.client.post("/v1/staff/login", json=asked, environ_base={"REMOTE_ADDR": address})
