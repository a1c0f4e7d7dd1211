"""Both databases, an application on each, and the cast.

A test that asks for `app` runs once on SQLite and once on PostgreSQL. Each gets a database of its own, copied
from a migrated one: `tests/cast.py` says who is there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import sqlalchemy as sa

from epro import config, create_app, db, schema
from tests import cast as the_cast

pytest_plugins = ["tests.support.postgres_plugin"]

MEMORY, ENOUGH = "/dev/shm", 4 << 30
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
    os.environ["TMPDIR"] = tempfile.tempdir = MEMORY  # databases in memory: a fifth less to do
KEPT = TemporaryDirectory(prefix="epro-exports-")  # where exports go; taken away when the tests are over
REHEARSAL = {
    "EPRO_EXPORT_DIR": KEPT.name,
    "EPRO_PASSWORD_COST": "cheap",
    "EPRO_SECOND_FACTOR": "optional",
    "EPRO_PHISHING_RESISTANT": "optional",
    "EPRO_SESSIONS_AT_ONCE": "100",
    "EPRO_RATE_LIMITS": "off",
    "EPRO_SMS_SENDER": "recording",
    "EPRO_EMAIL_SENDER": "recording",
    "EPRO_PUSH_SENDER": "recording",
    "EPRO_PUSH_HOSTS": "push.example.org",
    "EPRO_SECRET_KEY": "a secret of the tests, longer than it must be",
    "EPRO_PUBLIC_URL": "https://epro.test",
    "EPRO_TWILIO_AUTH_TOKEN": "twilio token of the tests",
}


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """A migrated and filled SQLite database that tests copy."""
    folder = tmp_path_factory.mktemp("template")
    return folder, _filled({"EPRO_DATABASE_URL": f"sqlite:///{folder}/epro.sqlite"})


@pytest.fixture(scope="session")
def postgresql_template(postgres_server):
    """A migrated and filled PostgreSQL database that tests copy."""
    name = f"template_{uuid4().hex}"
    url = postgres_server.create_database(name)
    yield name, _filled({"EPRO_DATABASE_URL": url})
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_name(request):
    return request.param


@pytest.fixture
def database(engine_name, request, tmp_path):
    """Settings that name a fresh copy of the filled databases, main, contacts and trial; and the cast's ids."""
    if engine_name == "sqlite":
        folder, cast_ids = request.getfixturevalue("sqlite_template")
        for file in folder.glob("*.sqlite"):
            shutil.copy(file, tmp_path / file.name)
        yield (
            {
                "EPRO_DATABASE_URL": f"sqlite:///{tmp_path}/epro.sqlite",
                "EPRO_TRIAL_DATABASE_URL": f"sqlite:///{tmp_path}/trial.sqlite",
            },
            cast_ids,
        )
        return
    server = request.getfixturevalue("postgres_server")
    template, cast_ids = request.getfixturevalue("postgresql_template")
    names = [f"{kind}_{uuid4().hex}" for kind in ("main", "trial")]
    main, trial = server.create_database(names[0], template=template), server.create_database(names[1])
    yield {"EPRO_DATABASE_URL": main, "EPRO_TRIAL_DATABASE_URL": trial}, cast_ids
    for name in names:
        server.drop_database(name)


@pytest.fixture
def environ(database) -> dict[str, str]:
    """The environment of an installation: for processes that a test starts, and for `app`."""
    return {**REHEARSAL, **database[0]}


@pytest.fixture
def app(environ):
    """An application on a filled database, its context entered."""
    made, opened = create_app(environ), []
    made.config["OPENED_BY_TEST"] = opened
    with made.app_context():
        yield made
        for engine in [*db.db.engines.values(), *opened]:
            engine.dispose()


@pytest.fixture
def cast(app, database) -> the_cast.Cast:
    """Who is there: see tests/cast.py."""
    return the_cast.Cast(app, database[1])


def _filled(settings: dict[str, str]) -> dict[str, str]:
    environ = {**REHEARSAL, **settings}
    schema.upgrade(config.read(environ))
    app = create_app(environ)
    with app.app_context():
        ids = the_cast.move_in()
        for engine in db.db.engines.values():
            _settle(engine)
            engine.dispose()
    return ids


def _settle(engine: sa.Engine) -> None:
    """Bring a SQLite file's log into the file, so that the file alone can be copied."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch) -> Iterator[None]:
    """The developer's own environment must not decide a test."""
    for name in [name for name in os.environ if name.startswith("EPRO_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    yield
