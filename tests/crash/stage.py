"""Kill a flow at each of its points, let it recover, and look at what is left.

    python -m tests.crash.stage FLOW [K ...] [--weighty] [--sample 40 --seed 1] [--saboteur NAME] [--until-caught]

The settings are those of the environment: EPRO_DATABASE_URL is a migrated database with the cast in it, and is
changed. Prints a line of JSON for each point: its number, where it is, and what was wrong in the end.

A cold interpreter for each point would cost a second. So this process imports everything once, opens no
database, and forks: one child that is killed, then one that restarts, recovers and looks.
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
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy.engine import make_url

from epro import create_app
from tests.cast import Cast
from tests.crash import points as crash_points
from tests.crash.points import Points
from tests.crash.saboteurs import SABOTEURS
from tests.crash.scene import STATE, TAKEN, Scene, opened
from tests.fakes import twilio_server
from tests.support.postgres import Server

URLS = {"main": "EPRO_DATABASE_URL", "trial": "EPRO_TRIAL_DATABASE_URL"}
PASSED = "points.json"
PATIENCE = 10.0
"""Seconds that PostgreSQL has to notice that a killed client is gone; it takes milliseconds."""


@dataclass(frozen=True)
class Verdict:
    """What became of one kill: `at` names the point, `faults` is empty when nothing was lost or doubled."""

    k: int
    at: str
    faults: list[str]


class Stage:
    """A flow on a prepared database, of which each kill gets a copy."""

    def __init__(self, flow: str, folder: Path, saboteur: str | None = None):
        self.flow = import_module(f"tests.crash.flows.{flow}")
        self.folder = folder
        self.saboteur = saboteur
        self.names: list[str] = []

    def prepare(self) -> None:
        """Fill the database that the others are copied from."""
        def fill(scene: Scene) -> None:
            (self.folder / STATE).write_text(json.dumps(self.flow.prepare(scene.cast)))

        _well(_in_child(self.folder, lambda: self._act(self.folder, fill, sabotaged=False)), self.folder)

    def count(self) -> Verdict:
        """Run the flow unharmed: how many points it has, and that nothing is wrong without a kill."""
        with self._copy() as place:
            _well(_in_child(place, lambda: self._run(place, None)), place)
            self.names = json.loads((place / PASSED).read_text())
            return Verdict(0, "unharmed", self._look(place))

    def kill(self, k: int) -> Verdict:
        """Kill the flow at its k-th point."""
        with self._copy() as place:
            status = _in_child(place, lambda: self._run(place, k))
            if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
                return Verdict(k, self.names[k - 1], ["wrong: not killed; " + _said(place)])
            return Verdict(k, self.names[k - 1], self._look(place))

    def _run(self, place: Path, k: int | None) -> None:
        points = Points(k)

        def run(scene: Scene) -> None:
            points.watch()
            self.flow.run(scene)
            (place / PASSED).write_text(json.dumps(points.passed))

        self._act(place, run, points)

    def _look(self, place: Path) -> list[str]:
        """Restart, recover, and say what is wrong."""
        def look(scene: Scene) -> None:
            _wait_for_ghosts()
            self.flow.recover(scene)
            (place / "faults.json").write_text(json.dumps(self.flow.faults(scene)))

        status = _in_child(place, lambda: self._act(place, look))
        if status:
            return ["wrong: no recovery without repair; " + _said(place)]
        found: list[str] = json.loads((place / "faults.json").read_text())
        return found

    def _act(self, place: Path, act: Callable[[Scene], None], points: Points | None = None, *,
             sabotaged: bool = True) -> None:
        if self.saboteur and sabotaged:
            SABOTEURS[self.saboteur][1]()
        with opened(place, points) as scene:
            act(scene)

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        """A folder, and in the environment the names of fresh copies of the databases."""
        kept = dict(os.environ)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            place = Path(folder)
            shutil.copy(self.folder / STATE, place)
            try:
                with copies(self.flow.databases, place), provider(place) if self.flow.provider else _nobody():
                    yield place
            finally:
                os.environ.clear()
                os.environ.update(kept)


@contextmanager
def copies(databases: Sequence[str], place: Path) -> Iterator[None]:
    """Copies of these databases, named in the environment until the block ends."""
    made = []
    for name in databases:
        url = make_url(os.environ[URLS[name]])
        if url.get_backend_name() == "sqlite":
            source = Path(url.database or "")
            for file in source.parent.glob("*.sqlite*"):
                if file.suffix != ".queue":
                    shutil.copy(file, place / file.name)
            os.environ[URLS[name]] = f"sqlite:///{place / source.name}"
        else:
            server, copy = Server(url), f"crash_{uuid4().hex}"
            made.append((server, copy))
            os.environ[URLS[name]] = server.create_database(copy, template=url.database)
    try:
        yield
    finally:
        for server, copy in made:
            server.drop_database(copy)


@contextmanager
def provider(place: Path) -> Iterator[None]:
    """An SMS provider in a process of its own, and the settings that lead there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _provide(place, writing)
    os.close(writing)
    with os.fdopen(reading) as said:
        port = int(said.readline())
    os.environ.update({
        "EPRO_SMS_SENDER": "twilio", "EPRO_TWILIO_BASE_URL": f"http://127.0.0.1:{port}",
        "EPRO_TWILIO_ACCOUNT_SID": twilio_server.ACCOUNT_SID, "EPRO_TWILIO_AUTH_TOKEN": twilio_server.AUTH_TOKEN,
        "EPRO_TWILIO_FROM": "+12025550100",
    })
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _provide(place: Path, writing: int) -> None:
    from tests.crash.flows.clockwork import STRIKE

    server = twilio_server.TwilioServer(log=place / TAKEN, now=lambda: STRIKE)  # its clock is moved like ours
    os.write(writing, f"{server.port}\n".encode())
    os.close(writing)
    server.serve()


@contextmanager
def _nobody() -> Iterator[None]:
    yield


def _in_child(place: Path, act: Callable[[], None]) -> int:
    """Do it in a fork of this process; how that ended, as `waitpid` tells it."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException:
            (place / "error").write_text(traceback.format_exc())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _said(place: Path) -> str:
    error = place / "error"
    return error.read_text()[-3000:] if error.exists() else "it ended by itself"


def _well(status: int, place: Path) -> None:
    if status:
        raise RuntimeError(_said(place))


def _wait_for_ghosts() -> None:
    """Until PostgreSQL has noticed that whoever was killed is gone. A restart takes longer than that."""
    for name in URLS.values():
        url = make_url(os.environ.get(name, "sqlite://"))
        if url.get_backend_name() == "sqlite":
            continue
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(text, autocommit=True) as connection:
            deadline = time.monotonic() + PATIENCE
            while _others(connection) and time.monotonic() < deadline:
                time.sleep(0.005)


def _others(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def chosen(names: list[str], asked: argparse.Namespace) -> list[int]:
    """The numbers of the points to kill at."""
    everything = range(1, len(names) + 1)
    if asked.k:
        return list(asked.k)
    if asked.sample is None and not asked.weighty:
        return list(everything)
    first = set(crash_points.weighty(names))
    rest = [k for k in everything if k not in first]
    return sorted(first | set(random.Random(asked.seed).sample(rest, min(len(rest), asked.sample or 0))))


def warm_up() -> None:
    """Import what a run imports; nothing is opened that a fork must not share."""
    from twilio.rest import Client

    assert Client and Cast
    create_app({"EPRO_DATABASE_URL": "sqlite:///never-opened.sqlite"})
    gc.collect()
    gc.freeze()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Kill a flow at each of its points and look at what is left.")
    parser.add_argument("flow", choices=["intake", "clockwork", "sink", "joining"])
    parser.add_argument("k", type=int, nargs="*", help="only these points")
    parser.add_argument("--weighty", action="store_true", help="only commits and calls")
    parser.add_argument("--sample", type=int, help="commits and calls, and so many of the other points")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--saboteur", choices=SABOTEURS)
    parser.add_argument("--until-caught", action="store_true", help="stop at the first point with a fault")
    asked = parser.parse_args(arguments)
    warm_up()
    with tempfile.TemporaryDirectory(prefix="epro-crash-") as folder:
        stage = Stage(asked.flow, Path(folder), asked.saboteur)
        stage.prepare()
        _tell(stage.count(), points=len(stage.names))
        for k in chosen(stage.names, asked):
            verdict = stage.kill(k)
            _tell(verdict)
            if asked.until_caught and verdict.faults:
                return


def _tell(verdict: Verdict, **more: Any) -> None:
    sys.stdout.write(json.dumps({**asdict(verdict), **more}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
