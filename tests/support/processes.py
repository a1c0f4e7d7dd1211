"""The installation's processes as a test runs them: started, watched, and surely gone afterwards.

    with Processes(environ, tmp_path) as running:
        web, worker = running.web(), running.worker()
        ...
        assert worker.stop() == 0

Each child leads a process group of its own; leaving the block kills whatever is left of every group. On Linux the
kernel ends them too when the test's own process is killed. What a child says stands in its log.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[2]
EPRO = Path(sys.executable).with_name("epro")
PATIENCE = 30.0
"""Seconds to wait for a process to start or to end; far more than it takes on a busy machine."""

# Asks the kernel for SIGKILL when the parent is gone (PR_SET_PDEATHSIG), then becomes the command.
_DIE_WITH_US = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""

Found = TypeVar("Found")


def until(happened: Callable[[], Found], seconds: float = 15.0, what: str = "it") -> Found:
    """What `happened` gives as soon as it is true. Fails the test when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MovedClock:
    """The clock of every process that has EPRO_CLOCK_OFFSET_FILE set to `file`; it runs on from where it is put."""

    def __init__(self, file: Path):
        self.file = file
        self._offset = timedelta()
        self._write()

    def put(self, hour: datetime) -> None:
        """From now on it is this hour (aware)."""
        self._offset = hour - datetime.now(UTC)
        self._write()

    def forward(self, by: timedelta) -> None:
        self._offset += by
        self._write()

    def _write(self) -> None:
        """Put in place whole: a reader never sees half a number."""
        fresh = self.file.with_suffix(".fresh")
        fresh.write_text(str(self._offset.total_seconds()))
        os.replace(fresh, self.file)


@dataclass
class Child:
    """One started process and everything it started itself."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    address: str = ""

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code. Fails the test when it goes on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} still runs after {seconds:g} s:\n{self.said[-2000:]}")

    def stop(self) -> int:
        """Ask it to end (SIGTERM); its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def left_nobody(self) -> bool:
        """Whether no process of its group is there any more."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def end_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)


@dataclass
class Processes:
    """Everything that a test starts, with one environment and one folder for the logs."""

    environ: Mapping[str, str]
    folder: Path
    children: list[Child] = field(default_factory=list)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            child.end_group()

    @property
    def said(self) -> str:
        """All that all of them said."""
        return "\n".join(child.said for child in self.children)

    def start(self, name: str, *command: str | Path, **changed: str) -> Child:
        """Start a command in the project's root; `changed` are settings that are different for it."""
        log = self.folder / f"{len(self.children):02}-{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-S", "-c", _DIE_WITH_US, *map(str, command)],
                cwd=ROOT, env=self._environment(changed), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def web(self, *, port: int | None = None, workers: int = 1, wait: bool = True, **changed: str) -> Child:
        """`gunicorn wsgi:app` as in production, on loopback; answering when this returns, unless not waited for."""
        port = port or free_port()
        options = ["--no-control-socket", "-k", "gthread", "--threads", "8", "--workers", str(workers)]
        bind = ["--bind", f"127.0.0.1:{port}"]
        child = self.start("web", sys.executable, "-m", "gunicorn", "wsgi:app", *options, *bind, **changed)
        child.address = f"http://127.0.0.1:{port}"
        return self.answering(child) if wait else child

    def worker(self, *, wait: bool = True, **changed: str) -> Child:
        """`epro worker`; at work when this returns, unless not waited for."""
        child = self.epro("worker", **changed)
        return self.at_work(child) if wait else child

    def epro(self, *arguments: str, **changed: str) -> Child:
        """`epro …`, whatever it is."""
        return self.start(arguments[0], EPRO, *arguments, **changed)

    def python(self, name: str, code: str, **changed: str) -> Child:
        """`python -c`, where a process must be a little unlike the real one."""
        return self.start(name, sys.executable, "-c", code, **changed)

    def stop(self) -> list[str]:
        """Ask all that run to end; the names of those that did not end well."""
        asked = [child for child in self.children if child.runs]
        for child in asked:
            child.signal(signal.SIGTERM)
        return [child.name for child in asked if child.wait() != 0]

    def answering(self, child: Child) -> Child:
        self._until(child, lambda: _answers(f"{child.address}/healthz"))
        return child

    def at_work(self, child: Child) -> Child:
        self._until(child, lambda: "worker started" in child.said)
        return child

    def _until(self, child: Child, ready: Callable[[], bool]) -> None:
        until(lambda: ready() or not child.runs, PATIENCE, f"the start of {child.name}")
        if not child.runs:
            pytest.fail(f"{child.name} ended with {child.process.returncode}:\n{child.said[-3000:]}")

    def _environment(self, changed: Mapping[str, str]) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("EPRO_")}
        return {**outside, **self.environ, **changed, "PYTHONUNBUFFERED": "1"}


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
