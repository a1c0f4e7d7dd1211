"""Kill a flow at each of its points, let it recover, and look at what is left.

    python -m tests.crash.stage FLOW [K ...] [--sample 40 --seed 1] [--saboteur NAME] [--until-caught]

The settings are those of the environment: EPRO_DATABASE_URL is a migrated database with the cast in it, and is
changed. Prints a line of JSON for each point: its number, where it is, and what was wrong in the end.

A cold interpreter for each point would cost seconds. So this process runs the flow once unharmed, closes its
connections, and forks from then on: one child that is killed, then one that restarts, recovers and looks.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from epro import create_app, db
from epro.api import wakeup
from tests.cast import Cast
from tests.crash.databases import kept
from tests.crash.points import Points, weighty
from tests.crash.saboteurs import SABOTEURS
from tests.crash.scene import STATE, TAKEN, Scene
from tests.fakes import twilio_server

FLOWS = ("intake", "clockwork", "household", "sink", "joining")
URLS = {"main": "EPRO_DATABASE_URL", "trial": "EPRO_TRIAL_DATABASE_URL"}
PASSED, FOUND, ERROR = "points.json", "faults.json", "error.txt"
SMS = {
    "SMS_SENDER": "twilio", "TWILIO_ACCOUNT_SID": twilio_server.ACCOUNT_SID,
    "TWILIO_AUTH_TOKEN": twilio_server.AUTH_TOKEN, "TWILIO_FROM": "+12025550100",
}


@dataclass(frozen=True)
class Verdict:
    """What became of one kill: `at` names the point, `faults` is empty when nothing was lost or doubled."""

    k: int
    at: str
    faults: list[str]


class Stage:
    """A flow on a prepared database that is put back before every kill. `names` are its points."""

    def __init__(self, flow: str, folder: Path):
        self.flow: Any = import_module(f"tests.crash.flows.{flow}")
        self.place, self.names = folder / "place", list[str]()
        self.app = create_app(os.environ)
        state = json.dumps(self._act(lambda scene: self.flow.prepare(scene.cast)))
        self.kept = [kept(os.environ[URLS[name]], folder) for name in self.flow.databases]
        self.state = state

    def rehearse(self) -> list[str]:
        """All of it in this process and without a kill, so that forks find everything imported and compiled."""
        with self._set():
            self._act(self.flow.run)
            self._act(self.flow.recover)
            faults: list[str] = self._act(self.flow.faults)
        gc.collect()
        gc.freeze()
        return faults

    def count(self, saboteur: str | None = None) -> Verdict:
        """Unharmed once more, in a fork: how many points there are."""
        with self._set():
            status = self._in_child(lambda: self._run(None, saboteur))
            if status:
                return Verdict(0, "unharmed", ["wrong: " + self._said()])
            self.names = json.loads((self.place / PASSED).read_text())
            return Verdict(0, "unharmed", self._look(saboteur))

    def kill(self, k: int, saboteur: str | None = None) -> Verdict:
        """Kill the flow at its k-th point, and see."""
        with self._set():
            status = self._in_child(lambda: self._run(k, saboteur))
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                return Verdict(k, self.names[k - 1], self._look(saboteur))
            return Verdict(k, self.names[k - 1], ["wrong: not killed; " + self._said()])

    def forget(self) -> None:
        for one in self.kept:
            one.forget()

    def _run(self, k: int | None, saboteur: str | None) -> None:
        points = Points(k)
        _sabotage(saboteur)

        def run(scene: Scene) -> None:
            points.watch()
            self.flow.run(scene)

        self._act(run, points)
        (self.place / PASSED).write_text(json.dumps(points.passed))

    def _look(self, saboteur: str | None) -> list[str]:
        """Restart, recover, and say what is wrong."""
        def look() -> None:
            _sabotage(saboteur)
            self._act(self.flow.recover)
            (self.place / FOUND).write_text(json.dumps(self._act(self.flow.faults)))

        for one in self.kept:
            one.wait_for_ghosts()
        if self._in_child(look):
            return ["wrong: no recovery without repair; " + self._said()]
        found: list[str] = json.loads((self.place / FOUND).read_text())
        return found

    def _act(self, act: Callable[[Scene], Any], points: Points | None = None) -> Any:
        """One process's work: its own senders and sinks, and no connection left open behind it."""
        own: list[Any] = []
        self.app.config["OPENED_BY_TEST"], wakeup._last[0] = own, 0.0
        with self.app.app_context():
            done = act(Scene(self.place, Cast(self.app, {}), points or Points()))
            for engine in [*db.db.engines.values(), *own]:
                engine.dispose()
        return done

    @contextmanager
    def _set(self) -> Iterator[None]:
        """The databases put back, an empty journal, a provider that has taken nothing yet."""
        for one in self.kept:
            one.put_back()
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        (self.place / STATE).write_text(self.state)
        if not self.flow.provider:
            yield
            return
        with provider(self.place / TAKEN) as url:
            self.app.config["EPRO"].update({**SMS, "TWILIO_BASE_URL": url})
            yield

    def _in_child(self, act: Callable[[], None]) -> int:
        """Do it in a fork of this process; how that ended, as `waitpid` tells it."""
        child = os.fork()
        if child == 0:
            try:
                act()
                os._exit(0)
            except BaseException:
                (self.place / ERROR).write_text(traceback.format_exc())
            finally:
                os._exit(1)
        return os.waitpid(child, 0)[1]

    def _said(self) -> str:
        error = self.place / ERROR
        return error.read_text()[-3000:] if error.exists() else "it ended by itself"


@contextmanager
def provider(log: Path) -> Iterator[str]:
    """An SMS provider in a process of its own; its URL."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _provide(log, writing)
        finally:
            os._exit(1)
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            yield said.readline().strip()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _provide(log: Path, writing: int) -> None:
    from tests.crash.flows.clockwork import STRIKE

    server = twilio_server.TwilioServer(log=log, now=lambda: STRIKE)  # its clock is moved as ours is
    os.write(writing, f"{server.url}\n".encode())
    os.close(writing)
    server.serve()


def _sabotage(name: str | None) -> None:
    if name:
        SABOTEURS[name]()


def chosen(names: list[str], sample: int | None, seed: int) -> list[int]:
    """The numbers of the points to kill at: all, or those around commits and calls and so many of the others."""
    everything = range(1, len(names) + 1)
    if sample is None:
        return list(everything)
    first = set(weighty(names))
    rest = [k for k in everything if k not in first]
    return sorted(first | set(random.Random(seed).sample(rest, min(len(rest), sample))))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Kill a flow at each of its points and look at what is left.")
    parser.add_argument("flow", choices=FLOWS)
    parser.add_argument("k", type=int, nargs="*", help="only these points")
    parser.add_argument("--sample", type=int, help="commits and calls, and so many of the other points")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--saboteur", choices=SABOTEURS)
    parser.add_argument("--until-caught", action="store_true", help="stop at the first point with a fault")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="epro-crash-") as folder:
        stage = Stage(asked.flow, Path(folder))
        try:
            _play(stage, asked)
        finally:
            stage.forget()


def _play(stage: Stage, asked: argparse.Namespace) -> None:
    assert stage.rehearse() == [], "a flow must be well when nobody is killed"
    unharmed = stage.count(asked.saboteur)
    _tell(unharmed, points=len(stage.names))
    for k in asked.k or chosen(stage.names, asked.sample, asked.seed):
        verdict = stage.kill(k, asked.saboteur)
        _tell(verdict)
        if asked.until_caught and verdict.faults:
            return


def _tell(verdict: Verdict, **more: Any) -> None:
    sys.stdout.write(json.dumps({**asdict(verdict), **more}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
