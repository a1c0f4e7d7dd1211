"""Machine keys: the networks they come from, how long they live, and who is told before they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from epro import clock, worker
from epro.errors import Invalid
from epro.notifications import letters as sending
from epro.signin import key_ends, machine_keys, machines, reminding, sources, staff
from epro.signin.models import MachineKey, StaffLetter
from epro.trail import INSTALLATION
from epro.trail.models import Event
from epro.tx import Grant, begin, look, system

TESTS = system("tests")
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("listed", "address", "there"),
    [
        ([], "198.51.100.7", True),
        (None, "", True),
        (["203.0.113.0/24"], "203.0.113.255", True),
        (["203.0.113.0/24"], "203.0.114.0", False),
        (["203.0.113.7/32"], "203.0.113.7", True),
        (["203.0.113.7/32"], "203.0.113.8", False),
        (["203.0.113.0/24"], "::ffff:203.0.113.9", True),
        (["203.0.113.0/24"], "2001:db8::1", False),
        (["2001:db8:1::/48"], "2001:db8:1:ffff::1", True),
        (["2001:db8:1::/48"], "2001:db8:2::1", False),
        (["2001:db8::7/128"], "2001:db8::8", False),
        (["203.0.113.0/24", "2001:db8:1::/48"], "2001:db8:1::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["203.0.113.0/24"], "unix:", False),
        (["203.0.113.0/24"], "", False),
    ],
)
def test_an_address_lies_in_a_network_or_not(listed, address, there):
    assert sources.holds(listed, sources.read(address)) is there


def test_networks_are_kept_in_one_form():
    assert sources.check([" 203.0.113.7", "2001:DB8:0::/48", "203.0.113.7/32", ""]) == [
        "203.0.113.7/32",
        "2001:db8::/48",
    ]
    assert sources.split("10.0.0.0/8, 192.0.2.1\n2001:db8::/32") == [
        "10.0.0.0/8",
        "192.0.2.1",
        "2001:db8::/32",
    ]
    for wrong in ("203.0.113.7/24", "everywhere", "0.0.0.0/0", "::/0", "203.0.113", "1.2.3.4/33", "é"):
        with pytest.raises(Invalid):
            sources.check([wrong])
    with pytest.raises(Invalid):
        sources.check([f"10.0.{n}.0/24" for n in range(21)])


@pytest.mark.parametrize(
    ("life", "left", "told", "due"),
    [
        (365, 31, None, None),
        (365, 30, None, 30),
        (365, 8, None, 30),
        (365, 8, 30, None),
        (365, 7, 30, 7),
        (365, 7, None, 7),  # no worker ran before: one letter, not two
        (365, 1, 7, None),
        (365, 0, 30, None),
        (20, 20, None, None),  # made for less than thirty days: that is no news
        (20, 7, None, 7),
        (3, 2, None, None),
    ],
)
def test_an_end_is_told_once_for_each_time_before_it(life, left, told, due):
    ends = NOW + timedelta(days=life)
    assert key_ends.to_be_told(NOW, ends, told, ends - timedelta(days=left)) == due


def test_a_key_lives_a_year_at_most(app):
    with clock.moved_to(NOW), begin(TESTS) as tx:
        assert machine_keys.add(tx, "diary", "lake", 366)[0].expires_at == NOW + timedelta(days=366)
        for days in (0, -1, 367):
            with pytest.raises(Invalid):
                machine_keys.add(tx, "diary", "lake", days)


def test_a_key_from_elsewhere_is_written_down_once_an_hour(app):
    with clock.moved_to(NOW), begin(TESTS) as tx:
        key = machine_keys.add(tx, "diary", "lake", 30, sources=["203.0.113.0/24"])[0].id
        free = machine_keys.add(tx, "diary", "pond", 30)[0].id
    with look(TESTS, NOW) as tx:
        machines.must_come_from(tx, key, sources.read("203.0.113.9"))
        machines.must_come_from(tx, free, None)
        with pytest.raises(machines.FromElsewhere):
            machines.must_come_from(tx, key, sources.read("198.51.100.1"))
    for minutes in (0, 1, 59, 60, 61):
        with begin(TESTS, NOW + timedelta(minutes=minutes)) as tx:
            machines.note_elsewhere(tx, key)
    with begin(TESTS, NOW) as tx:
        assert machine_keys.change_sources(tx, key, [], "it moves about").sources is None
    with look(TESTS, NOW) as tx:
        machines.must_come_from(tx, key, sources.read("198.51.100.1"))
        actions = tx.all(sa.select(Event.action).where(Event.object_id == str(key)).order_by(Event.seq))
    assert actions == ["key.added", "key.from_elsewhere", "key.from_elsewhere", "key.sources_set"]


def test_administrators_are_told_thirty_and_seven_days_before(app):
    people = {
        name: hire(name, grant)
        for name, grant in {
            "anne": Grant("lakes", "*", "administrator"),
            "root": Grant(INSTALLATION, "*", "administrator"),
            "ella": Grant("rivers", "*", "administrator"),
            "site": Grant("lakes", "01", "administrator"),
            "nora": Grant("lakes", "01", "nurse"),
        }.items()
    }
    with clock.moved_to(NOW), begin(TESTS) as tx:
        key = machine_keys.add(tx, "lakes", "lake", 100)[0].id
        gone = machine_keys.add(tx, "lakes", "pond", 100)[0].id
        machine_keys.revoke(tx, gone, "dry")
    counts = [worker.remind(NOW + timedelta(days=days)) for days in (69, 70, 71, 93, 94, 99, 100, 101)]
    assert counts == [0, 2, 0, 2, 0, 0, 0, 0]
    with look(TESTS, NOW + timedelta(days=93)) as tx:
        found = tx.all(sa.select(StaffLetter).where(StaffLetter.kind == reminding.KIND))
        assert sorted(one.staff_id for one in found) == sorted([people["anne"], people["root"]] * 2)
        assert [row.id for row in reminding.near_end(tx, "lakes")] == [key]
        assert reminding.near_end(tx, "rivers") == [] and tx.get(MachineKey, key).reminded == 7


def test_the_letter_names_the_key_and_the_day_and_no_study(app):
    hire("anne", Grant("lakes", "*", "administrator"))
    with clock.moved_to(NOW), begin(TESTS) as tx:
        key = machine_keys.add(tx, "lakes", "lake", 100)[0].id
    sent = Postbox()
    when = NOW + timedelta(days=70)
    worker.remind(when)
    assert sending.send_due({"email": sent}, when) == 1
    (letter,) = sent.letters
    assert str(key) in letter.text and "2026-06-10" in letter.text and "2026-06-10" in letter.subject
    assert "lakes" not in letter.text and "lake" not in letter.text


class Postbox:
    """Takes every letter."""

    name = "postbox"

    def __init__(self):
        self.letters = []

    def send(self, letter):
        self.letters.append(letter)


def hire(name: str, grant: Grant) -> UUID:
    with clock.moved_to(NOW), begin(TESTS) as tx:
        row, _ = staff.add(
            tx, email=f"{name}@example.org", name=name, password=None, language="en", grants=[grant]
        )
        return row.id
