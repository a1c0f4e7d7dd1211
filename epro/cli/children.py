"""Processes that a command starts, watches and takes with it when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from epro import clock
from epro.worker import Stop

PATIENCE = 10.0  # seconds for a child to end by itself
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# On Linux the kernel ends the child (SIGTERM) even when its parent was killed and could say nothing any more.
_END_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Child:
    """A running process; what it complains of stands in `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def end(self) -> str | None:
        """How it ended, and its last words; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        words = self.log.read_text(errors="replace").splitlines()[-8:]
        return "\n".join([f"The {self.name} process {how}; its log is {self.log}", *words])


@contextmanager
def until_signalled() -> Iterator[Stop]:
    """What SIGINT, SIGTERM and SIGHUP set, instead of ending this process."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path) -> Child:
    """Start a Python program (its arguments without the interpreter) in `folder`. Standard output is shared."""
    wrapped = [sys.executable, "-c", _END_WITH_PARENT, sys.executable, *command]
    with log.open("ab") as complaints:
        process = subprocess.Popen(
            wrapped, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, stderr=complaints
        )
    return Child(name, process, log)


def first_ended(children: Sequence[Child]) -> Child | None:
    return next((child for child in children if child.process.poll() is not None), None)


def end(children: Sequence[Child]) -> None:
    """Ask all of them to end, and make sure of it."""
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    deadline = clock.monotonic() + PATIENCE
    for child in children:
        try:
            child.process.wait(max(0.1, deadline - clock.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
