"""Putting databases back to where they were, again and again, under one and the same URL."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import URL, make_url

GHOSTS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
PATIENCE = 10.0
"""Seconds that PostgreSQL has to notice that a killed client is gone; it takes milliseconds."""


def kept(url: str, folder: Path) -> Kept:
    """The database at this URL as it is now; nobody is connected to it. `folder` is for what is kept."""
    made = make_url(url)
    return KeptFile(made, folder) if made.get_backend_name() == "sqlite" else KeptDatabase(made)


class KeptFile:
    """A SQLite database with its contact store, which lies beside it; the log file is part of it."""

    def __init__(self, url: URL, folder: Path):
        self.file = Path(url.database or "")
        self.copies = folder / self.file.stem
        self.copies.mkdir()
        for file in self._files():
            shutil.copy(file, self.copies)

    def put_back(self) -> None:
        for file in self._files():
            file.unlink()
        for file in self.copies.iterdir():
            shutil.copy(file, self.file.parent)

    def wait_for_ghosts(self) -> None:
        """Nothing to wait for: the locks of the dead are gone with them."""

    def forget(self) -> None:
        """The folder goes, and with it the copies."""

    def _files(self) -> list[Path]:
        return [file for file in self.file.parent.glob(f"{self.file.stem}*") if file.is_file()]


class KeptDatabase:
    """A PostgreSQL database; its contact store is a schema of it.

    A copy of the whole database for each kill costs most of a second; its few rows cost a few milliseconds. So
    they are kept in a schema beside, and put back by its owner without asking triggers.
    """

    def __init__(self, url: URL):
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.connection = psycopg.connect(text, autocommit=True)  # forks inherit it and never use it
        self.connection.execute("CREATE SCHEMA kept; SET session_replication_role = replica")
        self.script = ";".join([self._keep(*table) for table in self._tables()] + self._sequences())
        self.there = set(self._tables())

    def put_back(self) -> None:
        for schema, name in set(self._tables()) - self.there:
            self.connection.execute(f'DROP TABLE IF EXISTS "{schema}"."{name}" CASCADE')
        if self.script:
            self.connection.execute(self.script)

    def wait_for_ghosts(self) -> None:
        """Until the server has noticed that whoever was killed is gone. A restart takes longer than that."""
        deadline = time.monotonic() + PATIENCE
        while self._rows(GHOSTS) and time.monotonic() < deadline:
            time.sleep(0.002)

    def forget(self) -> None:
        self.connection.close()

    def _keep(self, schema: str, name: str) -> str:
        """Keep the rows of one table; the words that put them back."""
        table, copy = f'"{schema}"."{name}"', f'kept."{schema}.{name}"'
        self.connection.execute(f"CREATE TABLE {copy} AS TABLE {table}")
        return f"DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {copy}"

    def _tables(self) -> list[tuple[Any, ...]]:
        return self._rows(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'contacts', 'contact_keys')"
        )

    def _sequences(self) -> list[str]:
        last = self._rows(
            "SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL"
        )
        fresh = self._rows("SELECT schemaname, sequencename FROM pg_sequences WHERE last_value IS NULL")
        return [f"SELECT setval('{schema}.{name}', {no})" for schema, name, no in last] + [
            f"ALTER SEQUENCE {schema}.{name} RESTART" for schema, name in fresh
        ]

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()


Kept = KeptFile | KeptDatabase
