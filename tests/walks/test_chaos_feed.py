"""Web, worker and trial database are killed while answers come in: a short form of tests/walks/chaos_feed.py.

CF-01  Each is killed at least once: the tables are equal, by our own comparison and by SQL alone.
CF-02  What is checked afterwards finds what is planted: a row lost, changed, or that nobody sent.
"""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa

from tests.support.postgres import OwnServer, find_binaries
from tests.walks.chaos_feed import PARTS, a_house, faults, run

PLANTED = {
    "lost": 'DELETE FROM answers WHERE "RESPONSEID" = %(one)s',
    "changed": """UPDATE answers SET "QSORRES" = '99' WHERE "RESPONSEID" = %(one)s""",
    "nobody sent": """UPDATE answers SET "RESPONSEID" = 'another' WHERE "RESPONSEID" = %(one)s""",
    "scored 0 times": 'DELETE FROM scores WHERE "RESPONSEID" = %(one)s',
    "positions have a gap": 'DELETE FROM entries WHERE "POSITION" = 2',
}


@pytest.mark.slow
@pytest.mark.chaos
def test_web_worker_and_target_are_killed_and_the_tables_are_equal(postgres_server, tmp_path):
    target = OwnServer(find_binaries()[0], durable=True)
    try:
        url = postgres_server.create_database(f"chaos_feed_{tmp_path.name}")
        with a_house(url, target, tmp_path, 5, empty=True) as (house, cast):
            done = run(house, cast, seconds=2, kill_every=0.7, people=2)
            trial = house.environ["EPRO_TRIAL_DATABASE_URL"]
            assert done.faults == [] and set(done.figures["killed"]) == set(PARTS), done.figures
            assert done.figures["answers"] > 2 and done.figures["entries"] > done.figures["answers"]
            found_when_planted(trial, house.environ, done.wanted)
    finally:
        target.stop()


def found_when_planted(trial: str, environ: dict[str, str], wanted: dict[str, int]) -> None:
    """Each fault is planted, found, and taken back by bringing the rows of before."""
    address = sa.make_url(trial).set(drivername="postgresql").render_as_string(False)
    one = next(iter(wanted))
    with psycopg.connect(address) as kept:
        rows = {
            name: kept.execute(f"SELECT * FROM {name}").fetchall()
            for name in ("answers", "scores", "entries")
        }
    for fault, statement in PLANTED.items():
        with psycopg.connect(address) as connection:
            assert connection.execute(statement, {"one": one}).rowcount == 1
        assert any(said.startswith(fault) for said in faults(environ, wanted)), fault
        with psycopg.connect(address) as connection:
            for name, before in rows.items():
                connection.execute(f"DELETE FROM {name}")
                marks = ", ".join(["%s"] * len(before[0]))
                connection.cursor().executemany(f"INSERT INTO {name} VALUES ({marks})", before)
    assert faults(environ, wanted) == []
