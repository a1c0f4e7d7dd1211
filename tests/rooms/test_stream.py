"""The feed under load and the trial database in trouble. What one reader and one sink see is in test_feed.py.

FD-01  Positions have no gap under many writers and rollbacks, and who follows them misses nothing.
FD-02  Within one participant entries stand in the order of her acts.
FD-03  A trial database that is away, or comes back empty, is nobody else's trouble, and is filled by itself.
       One that is astray says so, and nothing is written to it.
FD-04  Carrying twice, by two workers at once, or in doubt, changes nothing.
FD-05  Reconciling names every planted difference, and raises no alarm because work goes on.
FD-06  A blinded reader gets neither blinded scores nor their number.
FD-07  One entry that is refused is parked and holds up no other; one study that cannot be carried holds up no other.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Barrier, Event
from time import sleep
from uuid import UUID, uuid4

import orjson
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from prometheus_client import generate_latest

from epro import trail, worker
from epro.api import health as api_health
from epro.cli import epro
from epro.stream import delivering, feed, health, reconciling, sequencer, tending
from epro.stream.sinks import SinkUnavailable, trial_db
from epro.stream.sinks import trial_tables as trial
from epro.stream.sinks.trial_bulk import insert
from epro.stream.sinks.trial_db import FeedGap, TrialDatabase
from epro.studies.models import Participant
from epro.trail.models import Event as TrailEvent
from epro.trail.models import FeedEntry
from epro.tx import Tx, begin, look, system
from tests.cast import STUDY, at
from tests.support.owner import as_owner

TESTS = system("tests")
TABLES = (trial.responses, trial.answers, trial.scores, trial.entries)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)


@pytest.fixture
def answered(cast):
    """Three people have answered tonight's diary; nothing is carried yet. Their enrolments stand first in the feed."""
    with cast.on("2026-03-02T10:00"):
        phones = [cast.phone(contact={}) for _ in range(3)]
    with cast.on("2026-03-02T20:00") as now:
        for number, phone in enumerate(phones):
            phone.answer(phone.open_at(now)[0], {"worst_fatigue": number}, now, now)
            phone.upload(now)
    return phones


def entries(after: int = 0) -> list[feed.Entry]:
    with look(sequencer.SEQUENCER) as tx:
        return feed.after(tx, STUDY, after, 10_000)


def everything(cast) -> dict[str, list]:
    """The trial database, table by table."""
    with cast.sinks[0].engine.connect() as connection:
        return {
            table.name: connection.execute(sa.select(table).order_by(*table.primary_key)).all()
            for table in TABLES
        }


def found(cast) -> list[str]:
    return sorted(str(one) for one in reconciling.differences(cast.sinks[0], STUDY, delivering.definitions()))


# FD-01 and FD-02.


def note(tx: Tx, subject_id: str, number: int) -> UUID:
    """One act of this participant that leaves by the feed."""
    participant = tx.get(Participant, STUDY, subject_id, lock=True)
    event_id = trail.record(tx, participant, "test.done", "test", number)
    trail.stream(tx, event_id, participant, "test.done", {"number": number})
    return event_id


class Undone(Exception):
    """This act is rolled back."""


@on_postgresql
def test_who_follows_the_positions_misses_nothing(app, cast):
    with cast.on("2026-03-02T10:00"):
        people = [cast.enrol(contact={})["subject_id"] for _ in range(4)]
    committed, read, written = [], [], Event()
    start = Barrier(11)

    def writer(seed: int) -> None:
        dice = random.Random(seed)
        for number in range(25):
            try:
                with begin(TESTS) as tx:
                    event_id = note(tx, dice.choice(people), seed * 100 + number)
                    sleep(dice.random() / 200)
                    if dice.random() < 0.2:
                        raise Undone
                committed.append(event_id)
            except Undone:
                pass

    def positions() -> None:
        while not written.is_set():
            sequencer.sequence(limit=7)

    def reader() -> None:
        while not written.is_set():
            read_on()

    def read_on() -> None:
        for entry in entries(len(read)):
            assert entry.position == len(read) + 1, "a gap, or one behind the reader"
            read.append(entry)

    def at_once(work, *given) -> None:
        with app.app_context():
            start.wait(timeout=30)
            work(*given)

    with ThreadPoolExecutor(11) as pool:
        others = [
            pool.submit(at_once, positions),
            pool.submit(at_once, positions),
            pool.submit(at_once, reader),
        ]
        writers = [pool.submit(at_once, writer, seed) for seed in range(8)]
        for one in writers:
            one.result(timeout=120)
        written.set()
        for one in others:
            one.result(timeout=60)
    while sequencer.sequence():
        pass
    read_on()
    told = [entry.event_id for entry in read if entry.kind == "test.done"]
    assert sorted(told) == sorted(committed) and 100 < len(told) < 200
    assert_in_the_order_of_acts(read)


def assert_in_the_order_of_acts(read: list[feed.Entry]) -> None:
    with look(TESTS) as tx:
        rows = tx.session.execute(sa.select(TrailEvent.id, TrailEvent.subject_id, TrailEvent.seq)).all()
    seq = {event_id: (subject_id, seq) for event_id, subject_id, seq in rows}
    by_person: dict[str, list[int]] = {}
    for entry in read:
        subject_id, number = seq[entry.event_id]
        by_person.setdefault(subject_id, []).append(number)
    assert len(by_person) == 4
    assert all(numbers == sorted(numbers) for numbers in by_person.values())


@on_sqlite
def test_an_act_undone_leaves_no_gap(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={})
    for number in range(6):
        try:
            with begin(TESTS) as tx:
                note(tx, "01-001", number)
                if number % 2:
                    raise Undone
        except Undone:
            pass
        sequencer.sequence()
    assert [(entry.position, entry.content["number"]) for entry in entries(1)] == [(2, 0), (3, 2), (4, 4)]


@on_sqlite
def test_every_study_has_positions_of_its_own(cast, answered):
    with begin(TESTS) as tx:  # as if it had come from another study
        stranger = {
            "study_id": "other",
            "event_id": uuid4(),
            "subject_id": "x",
            "site_id": "1",
            "kind": "test.done",
        }
        tx.insert(FeedEntry, [{**stranger, "at": tx.now, "body": "{}"}])
    sequencer.sequence()
    with look(TESTS) as tx:
        assert [entry.position for entry in feed.after(tx, "other", 0, 10)] == [1]
    assert [entry.position for entry in entries()] == [1, 2, 3, 4, 5, 6]


# FD-03.


@pytest.fixture
def away(environ, engine_name, request):
    """Takes the trial database away for a while; it comes back as it was."""
    url = sa.make_url(environ["EPRO_TRIAL_DATABASE_URL"])

    @contextmanager
    def file_moved() -> Iterator[None]:
        file, kept = Path(url.database), Path(url.database + ".kept")
        sqlite3.connect(file).close()
        file.rename(kept)
        file.mkdir()
        yield
        file.rmdir()
        kept.rename(file)

    @contextmanager
    def database_closed() -> Iterator[None]:
        server = sa.create_engine(
            request.getfixturevalue("postgres_server").url(),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )
        with server.connect() as connection:
            connection.exec_driver_sql(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
            connection.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
                {"name": url.database},
            )
            yield
            connection.exec_driver_sql(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')
        server.dispose()

    return file_moved if engine_name == "sqlite" else database_closed


def test_while_the_trial_database_is_away_everything_else_goes_on(cast, answered, away, caplog):
    assert cast.relay() == 6
    ada = answered[0]
    with away():
        with pytest.raises(SinkUnavailable):
            cast.sinks[0].position(STUDY)
        with cast.on("2026-03-03T20:00") as now:
            ada.answer(ada.open_at(now)[0], {"worst_fatigue": 9}, now, now)
            assert ada.upload(now)[0]["outcome"] == "stored"
        assert cast.tick(at("2026-03-03T21:00")) > 0
        assert (cast.relay(), cast.relay()) == (0, 0)
        waiting = [entry.position for entry in entries(6)]
        assert waiting == [7]  # positions are given all the same
        assert {record.action for record in caplog.records if hasattr(record, "action")} >= {"sink.away"}
    assert cast.relay() == 1
    assert found(cast) == []


def test_who_asks_how_the_sinks_are_uses_one_connection_again_and_sees_it_go_and_come(cast, answered, away):
    def told():
        with look(TESTS) as tx:
            (found,) = health.sinks(tx, STUDY)
        return found.state, found.position

    cast.relay()
    with health.trial_database() as first, health.trial_database() as second:
        assert first is second
    assert told() == (health.UP_TO_DATE, 6)
    with away():
        assert told() == (health.AWAY, None)
    assert told() == (health.UP_TO_DATE, 6)


def test_one_that_was_away_from_the_start_is_no_trouble_either(cast, answered, away):
    with away():
        assert cast.relay() == 0
    assert cast.relay() == 6 and found(cast) == []


def test_an_empty_trial_database_in_its_place_is_filled_from_the_beginning(cast, answered):
    cast.relay()
    before = everything(cast)
    with cast.sinks[0].engine.begin() as connection:
        for view in reversed(sa.inspect(connection).get_view_names()):
            cascade = " CASCADE" if connection.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view}{cascade}")
        trial.metadata.drop_all(connection)
    assert sum(cast.relay() for _ in range(2)) == 6  # the first strike finds the tables gone
    assert everything(cast) == before and found(cast) == []


@on_sqlite
def test_a_restored_older_trial_database_is_brought_up_to_date(cast, answered, environ, tmp_path):
    cast.relay()
    with as_owner(environ, where="trial") as connection:  # as a backup from before the last entry
        for table in TABLES:
            connection.execute(sa.delete(table).where(table.c.POSITION == 6))
        connection.execute(sa.update(trial.feed_state).values(POSITION=5))
    assert cast.relay() == 1 and found(cast) == []


def of_another_feed(position: int) -> feed.Entry:
    """What another installation has at this position."""
    event_id = uuid4()
    told = {"event_id": str(event_id), "kind": "test.done", "at": "2026-03-02T12:00:00Z", "study": STUDY}
    body = orjson.dumps(told | {"site": "01", "subject_id": "01-001"}).decode()
    return feed.Entry(STUDY, position, event_id, "test.done", body)


def test_one_that_is_astray_says_which_and_is_not_written_to(
    app, cast, answered, environ, monkeypatch, caplog
):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    cast.relay()
    assert state() == "up_to_date" and "epro_sink_astray{" + OF_OURS + "} 0.0" in metrics(app)
    cast.sinks[0].apply(STUDY, [of_another_feed(7)])
    before = everything(cast)
    for fault, said in (
        ("ahead", "AHEAD OF THE FEED: it is at 7"),
        ("foreign", "OF ANOTHER FEED: it is at 7"),
    ):
        assert cast.relay() == 0 and everything(cast) == before and state() == fault
        assert caplog.records[-1].action == "sink.astray" and caplog.records[-1].fault == fault  # type: ignore[attr-defined]
        assert said in CliRunner().invoke(epro, ["sink", "list", "--study", STUDY]).output
        told = metrics(app)
        assert "epro_sink_astray{" + OF_OURS + "} 1.0" in told and "epro_sink_up{" + OF_OURS + "} 0.0" in told
        with pytest.raises(tending.NoPlace):
            tending.replay(TESTS, STUDY, "trial-database", 1, "to mend it")
        with pytest.raises(tending.NoPlace):
            tending.retry(TESTS, STUDY, "trial-database", None)
        with cast.on("2026-03-02T20:30"), begin(TESTS) as tx:
            note(tx, "01-001", 1)
    assert cast.relay() == 0 and len(entries()) == 8 and everything(cast) == before


def upgraded(cast) -> None:
    """As one of version 4 that ours opens: it is to be told its feed again."""
    with cast.sinks[0].engine.begin() as connection:
        connection.execute(trial.schema_state.update().values(VERSION=4))
    cast.sinks = worker.sinks_of(cast.app.config["EPRO"])
    cast.app.config["OPENED_BY_TEST"].extend(sink.engine for sink in cast.sinks)
    assert cast.sinks[0].position(STUDY) == 0


def of_version_1(cast) -> None:
    """As the very first one, whose entries cannot be filled in."""
    with cast.sinks[0].engine.begin() as connection:
        connection.execute(trial.schema_state.update().values(VERSION=1))
    cast.sinks = worker.sinks_of(cast.app.config["EPRO"])
    cast.app.config["OPENED_BY_TEST"].extend(sink.engine for sink in cast.sinks)
    assert cast.sinks[0].position(STUDY) == 0


def taken_back(cast) -> None:
    cast.sinks[0].rewind(STUDY, 3)


@pytest.mark.parametrize("how", [upgraded, of_version_1, taken_back])
def test_one_that_is_astray_is_not_written_to_when_its_position_goes_back_either(
    app, cast, answered, environ, monkeypatch, how
):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    cast.relay()
    cast.sinks[0].apply(STUDY, [of_another_feed(7)])
    before = everything(cast)
    how(cast)
    for fault in ("ahead", "foreign"):
        assert cast.relay() == 0 and everything(cast) == before and state() == fault
        assert "it is at 7" in CliRunner().invoke(epro, ["sink", "list", "--study", STUDY]).output
        with pytest.raises(tending.NoPlace):
            tending.replay(TESTS, STUDY, "trial-database", 1, "to mend it")
        with cast.on("2026-03-02T20:30"), begin(TESTS) as tx:
            note(tx, "01-001", 1)


def test_one_of_this_feed_is_told_again_from_the_beginning_also_when_its_last_is_parked(cast, answered):
    cast.relay()
    before, last = everything(cast), entries()[-1]
    with cast.sinks[0].engine.begin() as connection:
        for table in TABLES:
            connection.execute(table.delete().where(table.c.POSITION == 6))
        insert(connection, trial.parked, [trial_db._parked_row(last, "DataError")])
    tending.replay(TESTS, STUDY, "trial-database", 1, "to see")
    assert state() == "behind" and cast.sinks[0].apply(STUDY, entries()[:3]) == 3
    assert state() == "behind" and cast.relay() == 3
    assert state() == "up_to_date" and everything(cast) == before and found(cast) == []


def test_what_is_carried_while_somebody_looks_makes_it_no_stray(cast, answered):
    cast.relay()
    with look(TESTS) as tx:
        assert health.feed(tx, STUDY).position == 6  # from here on this look sees nothing new
        with cast.on("2026-03-02T20:30"), begin(TESTS) as writing:
            note(writing, "01-001", 1)
        assert cast.relay() == 1
        (told,) = health.sinks(tx, STUDY)
        assert (told.state, told.position, told.lag) == ("up_to_date", 7, 0)


OF_OURS = f'sink="trial-database",study="{STUDY}"'


def state() -> str:
    with look(TESTS) as tx:
        return health.sinks(tx, STUDY)[0].state


def metrics(app) -> str:
    with look(TESTS) as tx:
        api_health._tell_sinks(tx)
    return generate_latest(api_health.REGISTRY).decode()


@on_sqlite
def test_a_gap_is_refused(cast, answered):
    cast.relay()
    with cast.on("2026-03-02T20:30"), begin(TESTS) as tx:
        for number in (1, 2):
            note(tx, "01-001", number)
    sequencer.sequence()
    before = everything(cast)
    with pytest.raises(FeedGap):
        cast.sinks[0].apply(STUDY, entries(7))
    assert everything(cast) == before
    assert cast.sinks[0].apply(STUDY, entries(6)) == 8


# FD-04.


def test_two_workers_carry_the_same_entries_once(app, cast, environ, answered):
    sequencer.sequence()
    batch, start = entries(), Barrier(3)
    sinks = [TrialDatabase(environ["EPRO_TRIAL_DATABASE_URL"], delivering.definitions()) for _ in range(3)]
    app.config["OPENED_BY_TEST"].extend(sink.engine for sink in sinks)

    def carry(sink: TrialDatabase) -> int:
        with app.app_context():
            start.wait(timeout=30)
            for _ in range(5):  # as the relay does: a file that others hold for long is asked for again
                with suppress(SinkUnavailable):
                    return sink.apply(STUDY, batch)
            return sink.apply(STUDY, batch)

    with ThreadPoolExecutor(3) as pool:
        assert [done.result(timeout=60) for done in [pool.submit(carry, sink) for sink in sinks]] == [6, 6, 6]
    assert [len(rows) for rows in everything(cast).values()] == [3, 3, 3, 6] and found(cast) == []


@on_sqlite
def test_a_batch_that_overlaps_adds_only_what_is_new(cast, answered):
    sequencer.sequence()
    assert cast.sinks[0].apply(STUDY, entries()[:2]) == 2
    assert cast.sinks[0].apply(STUDY, entries()) == 6
    assert cast.sinks[0].apply(STUDY, entries()[:1]) == 6
    assert cast.sinks[0].apply(STUDY, []) == 6
    assert found(cast) == []


# FD-05.


@pytest.fixture
def reconcile(environ, monkeypatch):
    """`epro trialdb reconcile` as an operator calls it."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return lambda study=STUDY: CliRunner().invoke(epro, ["trialdb", "reconcile", "--study", study])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@on_sqlite
def test_every_change_of_every_column_is_named(cast, answered, environ, table):
    cast.relay()
    keys = {column.name for column in table.primary_key} | {"POSITION"}
    for column in table.columns:
        if column.name in keys:
            continue
        other = "'planted'" if isinstance(column.type, sa.String) else "-7"
        with as_owner(environ, where="trial") as connection:
            row = connection.execute(sa.select(table).where(table.c.POSITION == 5)).mappings().one()
            connection.execute(
                sa.update(table).where(table.c.POSITION == 5).values({column.name: sa.literal_column(other)})
            )
        (difference,) = found(cast)
        assert difference.startswith(f"changed: {table.name} ") and difference.endswith(f"({column.name})")
        with as_owner(environ, where="trial") as connection:
            connection.execute(sa.update(table).where(table.c.POSITION == 5).values(dict(row)))
    assert found(cast) == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@on_sqlite
def test_a_row_too_many_or_too_few_is_named(cast, answered, environ, reconcile, table):
    cast.relay()
    key = [column.name for column in table.primary_key if column.name != "STUDYID"][-1]
    forged = {"RESPONSEID": str(uuid4()), "ITEMID": "forged", "RUN": 2, "POSITION": 99}[key]
    with as_owner(environ, where="trial") as connection:
        row = dict(connection.execute(sa.select(table).where(table.c.POSITION == 5)).mappings().one())
        connection.execute(sa.insert(table).values({**row, key: forged}))
        connection.execute(sa.delete(table).where(table.c.POSITION == 4))
    done = reconcile()
    assert done.exit_code == 1 and done.stdout.endswith("6 entries compared, 2 differences\n")
    assert f"missing: {table.name} " in done.stdout and f"extra: {table.name} " in done.stdout
    assert str(forged) in done.stdout


def test_on_both_databases_all_is_well_and_a_change_is_named(cast, answered, environ, reconcile):
    cast.relay()
    assert (reconcile().exit_code, reconcile().stdout) == (0, "6 entries compared, 0 differences\n")
    with as_owner(environ, where="trial") as connection:
        connection.execute(sa.update(trial.scores).where(trial.scores.c.POSITION == 4).values(QSSTRESN=7))
    done = reconcile()
    assert done.exit_code == 1 and "changed: scores diary/" in done.stdout and "(QSSTRESN)" in done.stdout


@on_sqlite
def test_one_that_is_behind_is_named(cast, answered, reconcile):
    sequencer.sequence()
    done = reconcile()
    assert done.exit_code == 1 and "behind: feed_state diary is at 0 of 6" in done.stdout


@on_sqlite
def test_one_that_says_it_is_further_than_the_feed_is_named(cast, answered, environ, reconcile):
    cast.relay()
    with as_owner(environ, where="trial") as connection:
        connection.execute(sa.update(trial.feed_state).values(POSITION=9))
    assert "ahead: feed_state diary is at 9 of 6" in reconcile().stdout


@on_sqlite
def test_a_study_without_entries_has_nothing_to_differ_in(cast, environ, reconcile):
    assert (reconcile().exit_code, reconcile().stdout) == (0, "0 entries compared, 0 differences\n")
    with as_owner(environ, where="trial") as connection:
        forged = {column.name: "x" for column in trial.entries.columns} | {"STUDYID": STUDY, "POSITION": 1}
        connection.execute(sa.insert(trial.entries).values(forged))
    assert "extra: entries diary/1" in reconcile().stdout


@on_sqlite
def test_what_cannot_be_reconciled_is_said_in_a_line(cast, reconcile, away, monkeypatch):
    assert isinstance(reconcile("unheard-of").exception, Exception)
    with away():
        gone = reconcile()
        assert gone.exit_code == 2 and "does not answer" in gone.stderr
    monkeypatch.delenv("EPRO_TRIAL_DATABASE_URL")
    assert reconcile().exit_code == 2


def test_reconciling_while_work_goes_on_raises_no_alarm(cast, answered, monkeypatch):
    cast.relay()
    sound = sequencer.last_position

    def meanwhile(tx: Tx, study_id: str) -> int:
        newest = sound(tx, study_id)
        monkeypatch.setattr(reconciling, "last_position", sound)
        with begin(TESTS) as other:
            note(other, "01-001", 1)
        cast.relay()
        return newest

    monkeypatch.setattr(reconciling, "last_position", meanwhile)
    assert found(cast) == []
    assert len(entries()) == 7


# FD-07.

NOT_ONE = {
    "sqlite": (
        "CREATE TRIGGER not_one BEFORE INSERT ON responses WHEN new.POSITION = 5"
        " BEGIN SELECT RAISE(ABORT, 'planted'); END",
        "DROP TRIGGER not_one",
    ),
    "postgresql": (
        'ALTER TABLE responses ADD CONSTRAINT not_one CHECK ("POSITION" <> 5)',
        "ALTER TABLE responses DROP CONSTRAINT not_one",
    ),
}


@pytest.fixture
def refusing(cast, environ, engine_name):
    """The trial database refuses the second answer, until the function that it gives is called."""
    assert cast.sinks[0].position(STUDY) == 0
    refuse, mend = NOT_ONE[engine_name]
    with as_owner(environ, where="trial") as connection:
        connection.exec_driver_sql(refuse)

    def mended() -> None:
        with as_owner(environ, where="trial") as connection:
            connection.exec_driver_sql(mend)

    return mended


def parked(cast) -> list:
    with cast.sinks[0].engine.connect() as connection:
        return connection.execute(sa.select(trial.parked)).all()


def test_one_entry_that_is_refused_is_parked_and_the_others_are_applied(cast, answered, refusing, caplog):
    assert cast.relay() == 6
    second = entries()[4]
    (row,) = parked(cast)
    assert (row.POSITION, row.EVENTID, row.BODY) == (5, str(second.event_id), second.body)
    assert row.REASON in ("IntegrityError", "CheckViolation")
    for table, rows in everything(cast).items():
        assert [there.POSITION for there in rows if there.POSITION != 5] and 5 not in [
            r.POSITION for r in rows
        ], table
    assert cast.sinks[0].position(STUDY) == 6
    (said,) = [record for record in caplog.records if getattr(record, "action", "") == "entry.parked"]
    assert (said.study, said.position) == (STUDY, 5) and "worst_fatigue" not in caplog.text
    assert cast.relay() == 0 and len(parked(cast)) == 1


def test_reconciling_names_what_is_parked_until_it_is_applied(cast, answered, refusing, reconcile, environ):
    cast.relay()
    assert len(found(cast)) == 1
    done = reconcile()
    assert done.exit_code == 1 and "parked: entries diary/5 (" in done.stdout
    refusing()
    assert len(found(cast)) == 1  # nothing comes by itself
    with as_owner(environ, where="trial") as connection:
        connection.execute(sa.update(trial.feed_state).values(POSITION=0))
    assert cast.relay() == 6 and found(cast) == []


@on_sqlite
def test_what_is_parked_in_a_forged_way_hides_nothing(cast, answered, environ):
    cast.relay()
    with as_owner(environ, where="trial") as connection:
        forged = {column.name: "x" for column in trial.parked.columns} | {"STUDYID": STUDY, "POSITION": 5}
        connection.execute(sa.insert(trial.parked).values(forged))
        connection.execute(sa.delete(trial.scores).where(trial.scores.c.POSITION == 5))
    assert [one.partition(" ")[2][:6] for one in found(cast)] == ["scores"]


@on_postgresql
def test_a_value_that_its_column_cannot_hold_is_parked(cast, answered, environ):
    cast.sinks[0].position(STUDY)
    with as_owner(environ, where="trial") as connection:
        connection.exec_driver_sql('ALTER TABLE responses ADD CHECK ("QSDTC"::int > 0)')
    assert cast.relay() == 6
    assert {row.REASON for row in parked(cast)} == {"InvalidTextRepresentation"} and len(parked(cast)) == 3


def test_two_workers_park_an_entry_once(app, cast, environ, answered, refusing):
    sequencer.sequence()
    batch, start = entries(), Barrier(2)
    sinks = [TrialDatabase(environ["EPRO_TRIAL_DATABASE_URL"], delivering.definitions()) for _ in range(2)]
    app.config["OPENED_BY_TEST"].extend(sink.engine for sink in sinks)

    def carry(sink: TrialDatabase) -> int:
        with app.app_context():
            start.wait(timeout=30)
            return sink.apply(STUDY, batch)

    with ThreadPoolExecutor(2) as pool:
        assert [done.result(timeout=60) for done in [pool.submit(carry, sink) for sink in sinks]] == [6, 6]
    assert len(parked(cast)) == 1 and len(everything(cast)["entries"]) == 5


@pytest.mark.parametrize("fault", [FeedGap("planted"), LookupError("planted"), KeyError("planted")])
@on_sqlite
def test_a_study_that_cannot_be_carried_holds_up_no_other(cast, answered, monkeypatch, caplog, fault):
    sink = cast.sinks[0]
    sound = sink.apply

    def broken(study_id: str, batch) -> int:
        if study_id == "first":
            raise fault
        return sound(study_id, batch)

    monkeypatch.setattr(delivering, "_studies", lambda: ["first", STUDY])
    monkeypatch.setattr(sink, "apply", broken)
    with begin(TESTS) as tx:
        stranger = {
            "study_id": "first",
            "event_id": uuid4(),
            "subject_id": "x",
            "site_id": "1",
            "kind": "test.done",
        }
        tx.insert(FeedEntry, [{**stranger, "at": tx.now, "body": "{}"}])
    assert cast.relay() == 6 and found(cast) == []
    (said,) = [record for record in caplog.records if getattr(record, "action", "") == "sink.study_waits"]
    assert said.study == "first" and "planted" not in said.getMessage()


# FD-06.


def entry_with_scores() -> feed.Entry:
    scores = [{"scale": "a", "value": 1.0, "blinded": False}, {"scale": "b", "value": 2.0, "blinded": True}]
    body = orjson.dumps({"kind": "response.stored", "scores": scores}).decode()
    return feed.Entry(STUDY, 7, uuid4(), "response.stored", body)


@pytest.mark.parametrize(
    ("reader", "scales"),
    [
        ({"blinded": False}, ["a", "b"]),
        ({"blinded": True}, ["a"]),
        ({"blinded": False, "hidden": True}, []),
        ({"blinded": True, "hidden": True}, []),
    ],
)
def test_a_reader_gets_the_scores_that_are_not_hidden_from_her(reader, scales):
    told = feed.told(entry_with_scores(), **reader)
    assert [score["scale"] for score in told["scores"]] == scales and told["position"] == 7


def test_an_entry_without_scores_is_told_to_everybody():
    plain = feed.Entry(STUDY, 1, uuid4(), "occurrence.missed", '{"kind": "occurrence.missed"}')
    assert feed.told(plain, blinded=True, hidden=True) == {"position": 1, "kind": "occurrence.missed"}


@on_sqlite
def test_the_trial_database_gets_every_score(cast, answered):
    """Whoever may not see some of them is not given access to it."""
    cast.relay()
    assert [row.QSSTRESN for row in everything(cast)["scores"]].count(2.0) == 1
