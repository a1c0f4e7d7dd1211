"""A real MariaDB of our own, for the trial database: Debian's server, as a user without rights, in a folder that goes.

Where there is no such server the tests that need it are skipped, and pytest counts them.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pymysql

from tests.support.processes import free_port

PATIENCE = 60.0
LEAST = ("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0")


def binary() -> str | None:
    """Debian's server, if it is installed."""
    found = shutil.which("mariadbd") or shutil.which("mysqld")
    places = [found, "/usr/sbin/mariadbd", "/usr/sbin/mysqld"]
    return next((place for place in places if place and Path(place).is_file()), None)


@contextmanager
def running_mariadb() -> Iterator[str]:
    """The URL of an empty database on a server that lives as long as the block."""
    folder = Path(tempfile.mkdtemp(prefix="epro-mariadb-"))
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    password, port = secrets.token_urlsafe(16), free_port()
    setup = folder / "setup.sql"
    setup.write_text(
        "CREATE DATABASE trial;\n"  # a line each, or the server takes the first alone
        f"CREATE USER epro@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON trial.* TO epro@'127.0.0.1';\n"
    )
    setup.chmod(0o644)
    try:
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--skip-test-db"]
        install += ["--auth-root-authentication-method=normal"]
        subprocess.run(install, check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]
        command = [binary(), "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/s", *LEAST]
        command += [
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--init-file={setup}",
            "--skip-name-resolve",
        ]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **who)  # type: ignore[call-overload]
        try:
            _wait(port, password)
            yield f"mariadb://epro:{password}@127.0.0.1:{port}/trial"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(PATIENCE)
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, password: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            pymysql.connect(
                host="127.0.0.1", port=port, user="epro", password=password, database="trial"
            ).close()
            return
        except pymysql.err.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
