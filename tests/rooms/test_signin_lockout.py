"""Wrong tries slow whoever guesses, and keep the owner out nowhere.

SI-03  Many guesses from everywhere shut an account to strangers, never to its owner's known device.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from epro import clock
from epro.contacts import store
from epro.errors import NotFound
from epro.signin import known, links, staff, tries
from epro.signin.models import KnownDevice, SignInSession, Staff
from epro.signin.staff import Coming
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import PASSWORD, at

TESTS = system("tests")
NOW = at("2026-03-02T10:00")
WRONG = "a wrong password, long enough"
HOME, OFFICE = "192.0.2.1", "192.0.2.2"


def come(
    when: datetime, password: str = PASSWORD, source: str = HOME, device: str | None = None
) -> tuple | None:
    """Noor's account is tried; the tests' application asks for no second factor."""
    with clock.moved_to(when):
        return staff.sign_in(
            "noor@example.org", password, None, Coming(source, device, "a browser"), staff.tokens_for
        )


def attack(when: datetime, tries_made: int = tries.MOST) -> datetime:
    """A stranger with as many addresses as he likes; when he was done."""
    for number in range(tries_made):
        assert come(when, WRONG, f"198.51.100.{number}") is None
    return when


def actions() -> list[str]:
    with look(TESTS) as tx:
        return tx.all(sa.select(Event.action).where(Event.action.in_(("staff.shut", "staff.locked_out"))))


def test_the_attacker_is_slowed_and_the_owner_with_her_known_device_gets_in(cast):
    device = come(NOW)[2]
    assert device and come(NOW, device=device)[2] is None  # known already: no other secret is made
    attack(NOW)
    assert come(NOW, source="198.51.100.250") is None  # the right password from a stranger's place: too late
    assert come(NOW, source=OFFICE) is None
    assert come(NOW, source=HOME, device=device) is not None
    assert come(NOW, source="203.0.113.9", device=device) is not None  # wherever she is
    assert come(NOW, source=OFFICE, device="none of ours") is None
    assert come(NOW, source="198.51.100.251", device=device + "x") is None
    assert actions().count("staff.shut") == 1


def test_her_getting_in_gives_the_attacker_no_further_hundred(cast):
    device = come(NOW)[2]
    attack(NOW)
    assert come(NOW, device=device) is not None
    assert come(NOW + timedelta(days=400), source=OFFICE) is None  # shut as long as nobody opens it


def test_from_one_place_he_waits_ever_longer(cast):
    """Two days of a patient attacker at one address: he gets some two hundred guesses, and then none."""
    now, made, end = NOW, 0, NOW + timedelta(days=2)
    while now < end and not made > 400:
        with look(TESTS, now) as tx:
            until = tries.waits_until(tx, store.lookup("email", "noor@example.org"), HOME)
            shut = tries.is_shut(tx, store.lookup("email", "noor@example.org"))
        if shut:
            break
        if until is not None and until > now:
            now = until
            continue
        come(now, WRONG)
        made += 1
    assert made == tries.MOST and now - NOW > timedelta(hours=20)


def test_a_known_device_has_its_own_counter(cast):
    device = come(NOW)[2]
    for _ in range(tries.FREE_TRIES):
        assert come(NOW, WRONG, device=device) is None
    assert come(NOW, device=device) is None  # she waits with this device
    assert come(NOW) is not None  # and not without it
    assert come(NOW + timedelta(seconds=1), device=device) is not None


def test_a_second_person_opens_it_again(cast):
    attack(NOW)
    noor = UUID(cast.ids["noor"])
    assert come(NOW, source=OFFICE) is None
    with clock.moved_to(NOW), begin(TESTS) as tx:
        staff.unlock(tx, noor, "called back, it is she")
    assert come(NOW, source=OFFICE) is not None
    with pytest.raises(NotFound), begin(TESTS) as tx:
        staff.unlock(tx, UUID(int=7), "nobody")


def test_the_way_back_by_mail_opens_it_again(cast):
    attack(NOW)
    with clock.moved_to(NOW), begin(TESTS) as tx:
        secret = links.tickets.make(tx, links.LINK, links.RECOVERING_FOR, UUID(cast.ids["noor"]))
    with clock.moved_to(NOW):
        links.choose_password(secret, "another long one of hers")
    assert come(NOW, "another long one of hers", OFFICE) is not None


def test_a_known_device_is_hers_alone_and_runs_out(cast):
    device = come(NOW)[2]
    with look(TESTS, NOW) as tx:
        assert known.place(tx, UUID(cast.ids["noor"]), device)
        assert known.place(tx, UUID(cast.ids["otto"]), device) is None
        assert known.anybodys(tx, device) == known.place(tx, UUID(cast.ids["noor"]), device)
    with look(TESTS, NOW + known.KNOWN_FOR) as tx:
        assert known.place(tx, UUID(cast.ids["noor"]), device) is None and known.anybodys(tx, device) is None
    for number in range(known.MOST + 3):
        come(NOW + timedelta(seconds=number), source=f"192.0.2.{number}")
    with look(TESTS) as tx:
        kept = tx.all(sa.select(KnownDevice).where(KnownDevice.staff_id == UUID(cast.ids["noor"])))
        assert len(kept) == known.MOST and device not in str([row.digest for row in kept])


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_of_too_many_sessions_the_one_left_alone_longest_ends(cast, monkeypatch):
    monkeypatch.setitem(cast.app.config["EPRO"], "SESSIONS_AT_ONCE", "3")
    for number in range(5):
        come(NOW + timedelta(seconds=number), source=f"192.0.2.{number}")
    with look(TESTS, NOW + timedelta(seconds=5)) as tx:
        rows = tx.all(sa.select(SignInSession).where(SignInSession.staff_id == UUID(cast.ids["noor"])))
        running = {row.opened_from for row in staff.sessions.of_staff(tx, UUID(cast.ids["noor"]))}
    assert running == {"192.0.2.2", "192.0.2.3", "192.0.2.4"}
    assert sorted(str(row.ended_reason) for row in rows if row.ended_at) == ["too_many", "too_many"]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_weak_hash_is_made_again_when_she_signs_in(cast):
    weak = staff.passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    noor = UUID(cast.ids["noor"])
    with begin(TESTS) as tx:
        tx.session.execute(sa.update(Staff).where(Staff.id == noor).values(password_hash=weak))
        staff.trail.record(tx, staff.trail.study_chain(tx), "staff.changed", "staff", noor)
    assert come(NOW, WRONG) is None and hash_of(noor) == weak
    assert come(NOW) is not None and hash_of(noor) != weak
    assert come(NOW) is not None


def hash_of(staff_id: UUID) -> str:
    with look(TESTS) as tx:
        return tx.get(Staff, staff_id).password_hash
