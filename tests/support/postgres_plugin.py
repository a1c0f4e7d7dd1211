"""pytest: one PostgreSQL for a whole run, shared by all its processes.

Loaded by `pytest_plugins = ["tests.support.postgres_plugin"]` in tests/conftest.py. Under pytest-xdist the
controlling process starts the server before its workers and tells them the URL by environment; alone, it is
started when the first test asks for it. Database names are per server: make them unique per worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.postgres import URL_VARIABLE, PostgresNotFound, Server, running_postgres

_running = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Start the server if this process is about to start workers; they find it in the environment."""
    if not _leads_workers(config) or os.environ.get(URL_VARIABLE):
        return
    try:
        context = running_postgres()
        os.environ[URL_VARIABLE] = context.__enter__().url()
    except PostgresNotFound:
        return  # each worker then says so for the tests that need it
    config.stash[_running] = context


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what pytest_configure started."""
    if context := config.stash.get(_running, None):
        del os.environ[URL_VARIABLE]
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A running PostgreSQL; without one the test is skipped, or fails where CI is set."""
    try:
        with running_postgres() as server:
            yield server
    except PostgresNotFound as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


def _leads_workers(config: pytest.Config) -> bool:
    if hasattr(config, "workerinput") or config.option.collectonly:
        return False
    return getattr(config.option, "dist", "no") != "no"
