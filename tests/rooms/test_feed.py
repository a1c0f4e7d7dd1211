"""The feed and the trial database: no gap, no doubling, nothing lost while the sink is away; every planted
difference named."""

from __future__ import annotations

from threading import Thread

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro.cli import trialdb
from epro.stream import delivering, feed, sequencer
from epro.stream.reconciling import differences
from epro.stream.sinks import SinkUnavailable
from epro.stream.sinks import trial_tables as trial
from epro.tx import look
from tests.cast import STUDY


@pytest.fixture
def answered(cast):
    """Three people have answered tonight's diary; nothing is carried yet. Their enrolments stand first in the feed."""
    return cast.three_answer()


def positions():
    with look(sequencer.SEQUENCER) as tx:
        return [entry.position for entry in feed.after(tx, STUDY, 0, 1000)]


def count(cast, table):
    with cast.sinks[0].engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


def found(cast):
    return sorted(str(one) for one in differences(cast.sinks[0], STUDY, delivering.definitions()))


def test_positions_follow_each_other_from_one(cast, answered):
    assert positions() == []  # nothing has a position before the sequencer gives it
    cast.relay()
    assert positions() == [1, 2, 3, 4, 5, 6]


def test_two_sequencers_at_once_leave_no_gap(app, cast, answered):
    def sequence():
        with app.app_context():
            for _ in range(5):
                sequencer.sequence(limit=1)

    workers = [Thread(target=sequence) for _ in range(3)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    sequencer.sequence()
    assert positions() == [1, 2, 3, 4, 5, 6]


def test_applying_an_entry_twice_changes_nothing(cast, answered):
    cast.relay()
    before = {table.name: count(cast, table) for table in (trial.responses, trial.answers, trial.scores)}
    with look(sequencer.SEQUENCER) as tx:
        entries = feed.after(tx, STUDY, 0, 10)
    assert cast.sinks[0].apply(STUDY, entries) == 6
    assert {
        table.name: count(cast, table) for table in (trial.responses, trial.answers, trial.scores)
    } == before
    assert before == {"responses": 3, "answers": 3, "scores": 3}
    assert found(cast) == []


def test_a_sink_that_is_away_is_caught_up_with_by_itself(cast, answered, monkeypatch):
    def away(*told):
        raise SinkUnavailable("planted")

    monkeypatch.setattr(type(cast.sinks[0]), "apply", away)
    assert cast.relay() == 0
    monkeypatch.undo()
    assert cast.relay() == 6
    assert found(cast) == []


PLANTED = {
    "a changed answer": (trial.answers.update().values(QSSTRESN=9.0), "changed: answers"),
    "a changed score": (trial.scores.update().values(QSSTRESN=9.0), "changed: scores"),
    "a removed answer": (trial.answers.delete(), "missing: answers"),
    "a removed score": (trial.scores.delete(), "missing: scores"),
    "a removed response": (trial.responses.delete(), "missing: responses"),
    "a removed entry": (trial.entries.delete(), "missing: entries"),
    "another site": (trial.responses.update().values(SITEID="99"), "changed: responses"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_reconciling_names_what_is_not_as_the_feed_has_it(cast, answered, planted):
    cast.relay()
    statement, expected = PLANTED[planted]
    with cast.sinks[0].engine.begin() as connection:
        connection.execute(statement.where(statement.table.c.POSITION == 5))
    (difference,) = found(cast)
    assert difference.startswith(expected)


def test_reconciling_names_a_row_too_many(cast, answered):
    cast.relay()
    with cast.sinks[0].engine.begin() as connection:
        row = dict(connection.execute(sa.select(trial.scores)).mappings().first())
        connection.execute(trial.scores.insert().values({**row, "SCALE": "invented"}))
        connection.execute(trial.scores.insert().values({**row, "SCALE": "later", "POSITION": 99}))
    assert [one.split("/")[-2] for one in found(cast)] == ["invented", "later"]


def test_the_command_says_it_and_exits_one(cast, answered, environ):
    cast.relay()
    run = lambda: CliRunner(env=environ).invoke(trialdb.trialdb, ["reconcile", "--study", STUDY])  # noqa: E731
    clean = run()
    assert (clean.exit_code, clean.output.strip()) == (0, "6 entries compared, 0 differences")
    with cast.sinks[0].engine.begin() as connection:
        connection.execute(trial.scores.delete())
    broken = run()
    assert broken.exit_code == 1 and broken.output.count("missing: scores") == 3


def test_machines_read_it_without_gaps_and_from_the_beginning(cast, answered):
    cast.relay()
    call = lambda path: cast.line("GET", path, None, {"Authorization": f"Bearer {cast.ids['machine']}"}).body  # noqa: E731
    first = call("/v1/sponsor/feed?limit=5")
    assert ([r["position"] for r in first["records"]], first["next"], first["more"]) == (
        [1, 2, 3, 4, 5],
        5,
        True,
    )
    rest = call(f"/v1/sponsor/feed?after={first['next']}")
    assert ([r["position"] for r in rest["records"]], rest["more"]) == ([6], False)
    assert rest["records"][0]["scores"][0]["value"] == 2
    assert call("/v1/sponsor/feed?after=6") == {"records": [], "next": 6, "more": False, "checkpoint": None}
