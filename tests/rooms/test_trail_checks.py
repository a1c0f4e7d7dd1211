"""The log is checked with the rest of the trail, and what came of it is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from epro import db, worker
from epro.trail import checkpoint_file, checks, log_checking, merkle, sealing
from epro.trail.models import Checkpoint, Event, TrailCheck
from epro.tx import begin, look, system
from tests.cast import at

NOW = at("2026-03-02T10:00")
THE_SECOND = "WHERE id = (SELECT event_id FROM trail_leaves WHERE leaf = 2)"
WAYS = {
    "a leaf's hash is changed": (
        "UPDATE trail_leaves SET hash = zeroblob(32) WHERE leaf = 3",
        ["not the one", "do not come to"],
    ),
    "an entry is changed": (
        f"UPDATE events SET body = body || ' ' {THE_SECOND}",
        ["not the one that leaf 2 sealed"],
    ),
    "an entry is removed": (f"DELETE FROM events {THE_SECOND}", ["entry of this leaf is gone"]),
    "the end is cut off": (
        "DELETE FROM trail_leaves WHERE leaf > 4",
        ["has no leaf", "leaves were cut off"],
    ),
    "one in the middle is cut out": (
        "DELETE FROM trail_leaves WHERE leaf = 4",
        ["has no leaf", "a leaf is missing"],
    ),
    "a checkpoint says another root": (
        "UPDATE checkpoints SET note = replace(note, 'at ', 'at  ')",
        ["do not come to"],
    ),
    "an entry waits no more": ("DELETE FROM trail_waiting", ["waits for none"]),
    "a node is changed": ("UPDATE trail_nodes SET hash = zeroblob(32)", ["node 0 of stratum 1"]),
}
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"])


def found() -> list[str]:
    with look(system("tests"), NOW) as tx:
        return [one.what for one in log_checking.faults(tx)]


@pytest.fixture
def sealed(cast, monkeypatch):
    """A log with complete nodes: of four leaves instead of 256."""
    monkeypatch.setattr(sealing, "STEP", 2)
    monkeypatch.setattr(sealing, "WIDTH", 4)
    sealing.seal(NOW)
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    assert found() == []
    return cast


def plant(statement: str) -> None:
    """As somebody who owns the database would: past the triggers."""
    with db.engine().connect() as connection:
        triggers = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%refuse%'"
        )
        for (name,) in triggers.all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("COMMIT")


def test_a_log_that_grew_in_steps_is_whole(cast):
    for hour in range(3):
        sealing.seal(NOW + timedelta(hours=hour))
        with cast.on(f"2026-03-02T{10 + hour}:30"):
            cast.enrol(contact={})
        assert found() == []


@on_sqlite
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_tampering_with_the_log_is_found(sealed, way):
    statement, wanted = WAYS[way]
    plant(statement)
    told = found()
    assert all(any(words in what for what in told) for words in wanted), told


@pytest.mark.parametrize("count", range(1, 20))
def test_the_growing_tree_has_the_roots_of_the_whole_one(count):
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(count)]
    nodes = {}
    tree = log_checking.Tree(lambda height, node, value: nodes.update({(height, node): value}))
    for leaf in leaves:
        tree.add(leaf)
    hashes = lambda height, first: merkle.fold(leaves[first : first + (1 << height)])  # noqa: E731
    assert tree.root() == merkle.root(hashes, count)
    assert all(value == hashes(height, node << height) for (height, node), value in nodes.items())


@on_sqlite
def test_a_file_of_checkpoints_that_remembers_another_one_is_a_fault(cast, tmp_path):
    file = tmp_path / "checkpoints"
    sealing.seal(NOW)
    checkpoint_file.write_out(str(file))
    with look(system("tests"), NOW) as tx:
        assert list(checkpoint_file.faults(tx, str(file))) == []
        assert list(checkpoint_file.faults(tx, str(tmp_path / "none"))) == []
        file.write_text(file.read_text().replace("\nat ", "\nat  "))
        (fault,) = checkpoint_file.faults(tx, str(file))
        assert fault.seq == tx.one(sa.select(Checkpoint.size))


def test_the_worker_checks_once_a_day_and_keeps_what_it_found(cast):
    sealing.seal(NOW)
    assert [worker.verify(NOW + timedelta(hours=hours)) for hours in (0, 1, 23, 25)] == [1, 0, 0, 1]
    with look(system("tests"), NOW) as tx:
        newest, before = checks.newest(tx, 5)
        assert (newest.faults, newest.named, before.leaves) == (0, [], log_checking.size(tx))
        assert newest.entries == before.entries + 1  # the check itself stands in the trail
        assert tx.session.scalar(sa.select(sa.func.count()).where(Event.action == "trail.checked")) == 2


@on_sqlite
def test_what_is_found_is_kept_by_its_place(sealed):
    plant(WAYS["an entry is changed"][0])
    with begin(checks.AUDITOR, NOW) as tx:
        told = list(log_checking.faults(tx))
        checks.keep(tx, 7, 5, told * 40)
    with look(system("tests"), NOW) as tx:
        row = tx.one(sa.select(TrailCheck))
    assert row.faults == 40 and row.named[0][3].startswith("the entry is not the one")
