"""`epro demo`: a study with some weeks of history, web and worker, ready to be tried.

The same two kinds of process run that a trial runs: gunicorn and `epro worker`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy.engine import URL

from epro import clock
from epro.cli import children, founding, trying
from epro.notifications.study_files import known_instruments
from epro.notifications.wording import faults_of_own
from epro.scheduling.protocol import Protocol
from epro.scheduling.reading import read
from epro.worker import Stop

ROOT = Path(__file__).resolve().parents[2]
STUDY_FILE = ROOT / "studies" / "msc-sle.yaml"
MARKER = ".epro-demo"  # only a folder with this file in it is ever emptied
HOST = "127.0.0.1"
# The heartbeat of gunicorn's worker is a file: on a busy disk it can come too late, in memory it cannot.
IN_MEMORY = ("--worker-tmp-dir", "/dev/shm") if os.access("/dev/shm", os.W_OK) else ()
GUNICORN = ("--workers=1", "--threads=8", "--graceful-timeout=3", "--log-level=warning", *IN_MEMORY)
READY_WITHIN = 60.0  # seconds for web and worker


class Refused(click.ClickException):
    """The call is wrong: exit code 2."""

    exit_code = 2


@click.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--dir",
    "folder",
    default=".demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where its databases go. Emptied first, if an earlier demo made it.",
)
@click.option("--participants", default=12, show_default=True, type=click.IntRange(1, 200))
@click.option("--days", default=42, show_default=True, type=click.IntRange(7, 180), help="Days of history.")
def demo(port: int, folder: Path, participants: int, days: int) -> None:
    """A study with some weeks of history, web and worker, ready to be tried. Ctrl-C ends all of it."""
    protocol, text = _study()
    _refuse_taken(port)
    _forget_outside_settings()
    with _own(folder.absolute()) as place:
        environ = _environ(place, port)
        told = founding.make(environ, protocol, text, participants, days)
        trying.write_environment(place / "env.sh", environ, told, Path(sys.executable).parent)
        _refuse_taken(port)
        _run(place, environ, port, trying.text(place, environ, told, protocol))


def _study() -> tuple[Protocol, str]:
    if not STUDY_FILE.is_file():
        raise Refused(
            f"The example study is not there: {STUDY_FILE}. Run the demo from a checkout of the project."
        )
    text = STUDY_FILE.read_text(encoding="utf-8")
    protocol, faults = read(text, known_instruments(), faults_of_own)
    if protocol is None:
        raise Refused(f"The example study has faults: run `epro study check {STUDY_FILE}` ({len(faults)}).")
    return protocol, text


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as fault:
            why = "is in use" if fault.errno == errno.EADDRINUSE else f"cannot be opened ({fault.strerror})"
            raise Refused(
                f"Port {port} {why}. Choose another one: `make demo PORT=8123` or `epro demo --port 8123`."
            ) from None


def _forget_outside_settings() -> None:
    """A demo sends no real message and moves no real clock, whatever this shell is set up for."""
    for name in [name for name in os.environ if name.startswith("EPRO_")]:
        del os.environ[name]


@contextmanager
def _own(place: Path) -> Iterator[Path]:
    """The folder, empty, and ours until the demo ends."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (place / MARKER).is_file() and any(place.iterdir()):
            raise Refused(f"{place} holds something that no demo made: choose another --dir.")
        marker = (place / MARKER).open("a")
    except OSError as fault:
        raise Refused(f"{place} cannot be used ({fault.strerror}).") from None
    with marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"A demo is running in {place}: end it, or choose another --dir.") from None
        _empty(place)
        yield place


def _empty(place: Path) -> None:
    for entry in place.iterdir():
        if entry.name != MARKER:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _environ(place: Path, port: int) -> dict[str, str]:
    def file(name: str) -> str:
        return URL.create("sqlite", database=str(place / name)).render_as_string(hide_password=False)

    return {
        "EPRO_DATABASE_URL": file("demo.sqlite"),
        "EPRO_TRIAL_DATABASE_URL": file("trial.sqlite"),
        "EPRO_EXPORT_DIR": str(place / "exports"),
        "EPRO_SIGNATURE_CERTIFICATION": "a demo: nothing is certified to any authority",
        "EPRO_SECRET_KEY": secrets.token_urlsafe(48),
        "EPRO_PUBLIC_URL": f"http://{HOST}:{port}",
        "EPRO_SECURE_COOKIES": "off",  # there is no TLS on this machine's own address
        "EPRO_METRICS_TOKEN": secrets.token_urlsafe(24),
        "EPRO_SECOND_FACTOR": "optional",
        "EPRO_PHISHING_RESISTANT": "optional",
    }


# Running it.


def _run(place: Path, environ: Mapping[str, str], port: int, text: str) -> None:
    """Web and worker until a signal comes or one of them ends."""
    outside = {**os.environ, **environ, "PYTHONUNBUFFERED": "1"}
    web = ["-m", "gunicorn", "wsgi:app", "--bind", f"{HOST}:{port}", *GUNICORN]
    clockwork = ["-c", "from epro.cli import main; main()", "worker"]
    running: list[children.Child] = []
    with children.until_signalled() as stop:
        try:
            for name, command in (("web", web), ("worker", clockwork)):
                running.append(children.start(name, command, outside, ROOT, place / f"{name}.log"))
            if _wait_until_ready(f"http://{HOST}:{port}/readyz", running, stop):
                click.echo(text)
            while not stop.wait(0.3):
                _must_run(running, stop)
        finally:
            children.end(running)
    click.echo("The demo has ended.")


def _wait_until_ready(address: str, running: list[children.Child], stop: Stop) -> bool:
    """True when it is ready, False when told to stop before. Raises ClickException when it does not get ready."""
    deadline = clock.monotonic() + READY_WITHIN
    while not stop.wait(0.2):
        _must_run(running, stop)
        try:
            with urllib.request.urlopen(address, timeout=5) as reply:
                if reply.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            pass
        if clock.monotonic() > deadline:
            logs = running[0].log.parent
            raise click.ClickException(
                f"It did not get ready within {READY_WITHIN:g} seconds; the logs are in {logs}."
            )
    return False


def _must_run(running: list[children.Child], stop: Stop) -> None:
    ended = children.first_ended(running)
    # A signal to the whole group reaches the children too: then their end is no fault.
    if ended is not None and not stop.wait(0.5):
        raise click.ClickException(f"{ended.end}\nThe demo ends.")
