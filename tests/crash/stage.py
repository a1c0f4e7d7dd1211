"""Kill a flow at each of its points, let it recover, and look at what is left.

    python -m tests.crash.stage FLOW [POINT ...] [--every | --sample 40 | --twice 20] [--seed 1]
                                 [--saboteur NAME] [--until-caught]

The settings are those of the environment: EPRO_DATABASE_URL is a migrated database with the cast in it, and is
changed. Prints a line of JSON for each kill: at which points, their name, and what was wrong in the end.

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
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from epro import create_app, db
from epro.api import wakeup
from tests.cast import Cast
from tests.crash.databases import kept
from tests.crash.points import Points, weighty
from tests.crash.saboteurs import SABOTEURS
from tests.crash.scene import JOURNAL, STATE, TAKEN, Scene
from tests.fakes import twilio_server

FLOWS = ("intake", "clockwork", "household", "sink", "joining")
"""Modules of tests/crash/flows, each with

prepare(cast) -> state    once, before anybody is killed; `state` is JSON
run(scene)                what is killed
recover(scene)            a restart, the clock moving on, a phone that asks again; can be killed too
faults(scene)             what is wrong in the end, in lines that begin with lost, doubled, extra, wrong...
databases, provider       which databases it needs, and whether it needs the SMS provider
"""

URLS = {"main": "EPRO_DATABASE_URL", "trial": "EPRO_TRIAL_DATABASE_URL"}
PASSED, FOUND, ERROR = "points.json", "faults.json", "error.txt"
SMS = {
    "SMS_SENDER": "twilio",
    "TWILIO_ACCOUNT_SID": twilio_server.ACCOUNT_SID,
    "TWILIO_AUTH_TOKEN": twilio_server.AUTH_TOKEN,
    "TWILIO_FROM": "+12025550100",
}


@dataclass(frozen=True)
class Verdict:
    """What became of a kill at these points (the second is one of the recovery's); no faults: all is well."""

    killed_at: tuple[int, ...]
    named: str
    faults: list[str]


class Stage:
    """A flow on a prepared database that is put back before every kill. `names` are its points."""

    def __init__(self, flow: str, folder: Path):
        self.flow: Any = import_module(f"tests.crash.flows.{flow}")
        self.place, self.names, self.twins = folder / "place", list[str](), list[int]()
        self.app = create_app(os.environ)
        self.state = json.dumps(self._act(lambda scene: self.flow.prepare(scene.cast)))
        self.kept = [kept(os.environ[URLS[name]], folder) for name in self.flow.databases]

    def rehearse(self) -> list[str]:
        """All of it in this process and without a kill, so that forks find everything imported and compiled."""
        with self._set():
            self._act(self.flow.run)
            self._act(self.flow.recover)
            faults: list[str] = self._act(self.flow.faults)
        gc.collect()
        gc.disable()  # a collection in a fork would copy all of this process's memory
        return faults

    def count(self, saboteur: str | None = None) -> Verdict:
        """Unharmed once more, in a fork: how many points there are."""
        with self._set():
            if self._in_child(partial(self._run, self.flow.run, None, saboteur)):
                return Verdict((), "unharmed", ["wrong: " + self._said()])
            self.names, self.twins = json.loads((self.place / PASSED).read_text())
            return Verdict((), "unharmed", self._look(saboteur))

    def kill(self, *points: int, saboteur: str | None = None) -> Verdict:
        """Kill the flow at one of its points, and the recovery at one of its own if two are given; then see."""
        named = self.names[points[0] - 1]
        with self._set():
            for before, point in enumerate(points):
                act = self.flow.recover if before else self.flow.run
                status = self._in_child(partial(self._run, act, point, saboteur))
                died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
                if not died and (status or not before):  # a recovery may have fewer points than that
                    return Verdict(points, named, ["wrong: not killed; " + self._said()])
                self._note_death(died)
            return Verdict(points, named, self._look(saboteur))

    def forget(self) -> None:
        for one in self.kept:
            one.forget()

    def _run(self, what: Callable[[Scene], None], deadly: int | None, saboteur: str | None) -> None:
        points = Points(deadly)
        _sabotage(saboteur)

        def run(scene: Scene) -> None:
            points.watch()
            what(scene)

        self._act(run, points)
        (self.place / PASSED).write_text(json.dumps([points.passed, points.twins]))

    def _note_death(self, died: bool) -> None:
        for one in self.kept:
            one.wait_for_ghosts()
        with (self.place / JOURNAL).open("a") as journal:
            journal.write(json.dumps({"died": died}) + "\n")

    def _look(self, saboteur: str | None) -> list[str]:
        """Restart, recover, and say what is wrong."""

        def look() -> None:
            _sabotage(saboteur)
            self._act(self.flow.recover)
            (self.place / FOUND).write_text(json.dumps(self._act(self.flow.faults)))

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


def chosen(stage: Stage, asked: argparse.Namespace) -> list[tuple[int, ...]]:
    """Where to kill: at the points asked for; else at all of them, without twins, or at a sample.

    A sample has the points around commits and calls, and so many of the others as make up its number.
    """
    everything, chance = range(1, len(stage.names) + 1), random.Random(asked.seed)
    if asked.twice:
        return [(chance.choice(everything), chance.choice(everything)) for _ in range(asked.twice)]
    if asked.points or asked.every:
        return [(point,) for point in asked.points or everything]
    distinct = [point for point in everything if point not in stage.twins]
    first = [point for point in weighty(stage.names) if point in distinct]
    rest = [point for point in distinct if point not in first]
    more = len(rest) if asked.sample is None else min(len(rest), max(asked.sample - len(first), 0))
    return [(point,) for point in sorted([*first, *chance.sample(rest, more)])]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Kill a flow at each of its points and look at what is left."
    )
    parser.add_argument("flow", choices=FLOWS)
    parser.add_argument("points", type=int, nargs="*", help="only these")
    parser.add_argument("--every", action="store_true", help="twins too: points that differ in name only")
    parser.add_argument("--sample", type=int, help="only commits and calls, and others up to this number")
    parser.add_argument(
        "--twice", type=int, help="so many pairs: a point of the flow and one of its recovery"
    )
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
    _tell(unharmed, points=len(stage.names), twins=len(stage.twins))
    for points in chosen(stage, asked):
        verdict = stage.kill(*points, saboteur=asked.saboteur)
        _tell(verdict)
        if asked.until_caught and verdict.faults:
            return


def _tell(verdict: Verdict, **more: Any) -> None:
    sys.stdout.write(json.dumps({**asdict(verdict), **more}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
