"""Answers come in while web, worker and the trial database are killed at random; then the tables are equal.

    make chaos-feed                     ten minutes; ARGS="--minutes 2" is shorter
    python -m tests.walks.chaos_feed --minutes 1 --kill-every 1

Phones send over HTTP and keep what has no receipt, as phones do. Each kill is SIGKILL to every process of what is
killed at once: gunicorn with its worker, `epro worker`, or a PostgreSQL that holds the trial database alone, which then
comes up on what it finds. In the end `epro trialdb reconcile` compares, and so does `faults`, by nothing but SQL and
what the phones have receipts for.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time as real
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from epro import clock, config, create_app, db, schema
from epro.simulation.people import Phone, Refused, over_http
from epro.stream import delivering, reconciling
from epro.stream.sinks.trial_db import TrialDatabase
from epro.trail.models import FeedEntry
from epro.tx import look, system
from tests import cast as the_cast
from tests.cast import STUDY
from tests.support.postgres import OwnServer, find_binaries, running_postgres
from tests.support.processes import Child, Processes, free_port, until

TESTS = system("tests")
CUT = (HTTPException, OSError, Refused, ValueError)  # what a phone meets while its server is being killed
PARTS = ("web", "worker", "target")
TABLES = ("responses", "answers", "scores", "entries", "enrolments", "anchors")


@dataclass
class Sender:
    """One participant who answers again and again; she has lost nothing as long as her phone keeps what it sent."""

    phone: Phone
    dice: random.Random
    stop: threading.Event
    sent: dict[str, int] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)

    def live(self) -> None:
        while not self.stop.is_set():
            self.tries["calls"] += 1
            try:
                self._once()
            except CUT:
                self.tries["cut"] += 1
                real.sleep(0.2)
            real.sleep(self.dice.uniform(0.02, 0.2))

    def calm_down(self) -> None:
        until(self._all_sent, 60, "the last receipts")

    def _all_sent(self) -> bool:
        with suppress(*CUT):
            self.phone.upload(clock.now())
        return not self.phone.unsent

    def _once(self) -> None:
        if not self.phone.unsent:
            opened = self.phone.speak("POST", "/v1/phone/occurrences", {"assessment": "flare"})
            value, now = self.dice.randrange(11), clock.now()
            entry = self.phone.answer(opened, {"worst_fatigue": value}, now, now)
            self.sent[entry["id"]] = value
        self.phone.upload(clock.now())


@dataclass
class House:
    """What runs, and what of it has been killed how often."""

    running: Processes
    target: OwnServer
    environ: dict[str, str]
    port: int
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    turn: list[str] = field(default_factory=list)  # who is still to die before the next round begins
    web: Child | None = None
    worker: Child | None = None

    def open(self) -> None:
        self.worker = self.running.worker(wait=False)
        self.web = self.running.web(port=self.port)
        self.running.at_work(self.worker)

    def kill_one(self) -> None:
        """One of the three dies, and another takes its place."""
        assert self.web is not None and self.worker is not None
        if not self.turn:
            self.turn = self.dice.sample(PARTS, len(PARTS))
        what = self.turn.pop()
        self.kills[what] += 1
        if what == "web":
            self.web.end_group()
            real.sleep(self.dice.uniform(0, 0.5))
            self.web = self.running.web(port=self.port)
        elif what == "worker":
            self.worker.end_group()
            self.worker = self.running.worker(wait=False)
        else:
            kill_server(self.target)
            real.sleep(self.dice.uniform(0, 1))
            self.target.start()


def kill_server(server: OwnServer) -> None:
    """SIGKILL to the server and to every process of its own; nobody gets to say a word."""
    first = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    own = [first, *_children(first)]
    for pid in own:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(_runs(pid) for pid in own), 30, "the server's end")
    server.crash()  # nothing is left to be told: this only lets go of it


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Outcome:
    """What came of it."""

    figures: dict[str, Any]
    faults: list[str]
    wanted: dict[str, int]  # id of a response -> what was answered


def run(house: House, cast: the_cast.Cast, seconds: float, kill_every: float, people: int) -> Outcome:
    """So many participants answer for so long while one thing after the other is killed; then what differs."""
    stop = threading.Event()
    senders = [Sender(_phone(house, cast, n), random.Random(n), stop) for n in range(people)]
    threads = [threading.Thread(target=sender.live) for sender in senders]
    began = real.monotonic()
    for thread in threads:
        thread.start()
    try:
        while real.monotonic() - began < seconds or house.turn:  # a round that was begun is ended
            real.sleep(house.dice.uniform(0.5, 1.5) * kill_every)
            house.kill_one()
    finally:  # or phones would go on for ever
        stop.set()
        for thread in threads:
            thread.join()
    for sender in senders:
        sender.calm_down()
    return _outcome(house, cast, senders, real.monotonic() - began)


def _outcome(house: House, cast: the_cast.Cast, senders: list[Sender], seconds: float) -> Outcome:
    target = TrialDatabase(house.environ["EPRO_TRIAL_DATABASE_URL"], delivering.definitions())
    last = until(lambda: _caught_up(target), 60, "catching up")
    wanted = {id: value for sender in senders for id, value in sender.sent.items()}
    differ = [str(one) for one in reconciling.differences(target, STUDY, delivering.definitions())]
    found = differ + faults(house.environ, wanted)
    with target.engine.connect() as connection:
        rows = {t: connection.scalar(sa.text(f"SELECT count(*) FROM {t}")) for t in TABLES}
    target.close()
    tries = sum((sender.tries for sender in senders), Counter[str]())
    figures = {
        "seconds": round(seconds),
        "killed": dict(house.kills),
        "answers": len(wanted),
        "calls of phones": tries["calls"],
        "of these cut": tries["cut"],
        "entries": last,
        "rows": rows,
        "differences": len(differ),
        "faults": len(found),
    }
    return Outcome(figures, found, wanted)


def _caught_up(target: TrialDatabase) -> int:
    """The last position, once nothing waits for one and the trial database is there; else 0."""
    with look(TESTS) as tx:
        waits = tx.one(sa.select(FeedEntry.event_id).where(FeedEntry.position.is_(None)))
        last = tx.one(sa.select(sa.func.max(FeedEntry.position)).where(FeedEntry.study_id == STUDY))
    return last if waits is None and target.position(STUDY) == last else 0


def faults(environ: dict[str, str], wanted: dict[str, int]) -> list[str]:
    """What a stranger finds who knows what was sent, and reads both databases with SQL alone."""
    with _reading(environ["EPRO_TRIAL_DATABASE_URL"]) as ask:
        there = {row[0]: row[1] for row in ask('SELECT "RESPONSEID", "QSORRES" FROM answers')}
        scored = Counter(row[0] for row in ask('SELECT "RESPONSEID" FROM scores'))
        places = [row[0] for row in ask('SELECT "POSITION" FROM entries ORDER BY "POSITION"')]
        theirs = dict(ask('SELECT "EVENTID", "POSITION" FROM entries'))
        twice = ask('SELECT "OCCURRENCEID" FROM responses GROUP BY "OCCURRENCEID" HAVING count(*) > 1')
    with _reading(environ["EPRO_DATABASE_URL"]) as ask:
        ours = {str(event): at for event, at in ask("SELECT event_id, position FROM feed_entries")}
    found = [f"lost: {id}" for id in wanted if id not in there]
    found += [f"nobody sent: {id}" for id in there if id not in wanted]
    found += [f"changed: {id}" for id, value in wanted.items() if there.get(id) not in (None, str(value))]
    found += [f"scored {scored[id]} times: {id}" for id in wanted if id in there and scored[id] != 1]
    found += [] if places == list(range(1, len(places) + 1)) else ["positions have a gap"]
    found += [] if theirs == ours else ["the entries are not those of the feed"]
    return found + [f"an occurrence was answered twice: {row[0]}" for row in twice]


@contextmanager
def _reading(url: str) -> Iterator[Callable[[str], list[Any]]]:
    with psycopg.connect(sa.make_url(url).set(drivername="postgresql").render_as_string(False)) as connection:
        yield lambda query: connection.execute(query).fetchall()  # type: ignore[call-overload]


def _phone(house: House, cast: the_cast.Cast, number: int) -> Phone:
    made = cast.enrol(contact={"phone": f"+86139000002{number:02}"})
    code = cast.staff("noor").code_for(made["subject_id"])
    phone = Phone(over_http(f"http://127.0.0.1:{house.port}", timeout=5)).activate(code)
    phone.sync()
    return phone


@contextmanager
def a_house(
    main: str, target: OwnServer, folder: Path, seed: int, *, empty: bool
) -> Iterator[tuple[House, the_cast.Cast]]:
    """Web and worker on `main`, the trial database on a server of its own, and people who come in through doors."""
    environ = {
        "EPRO_DATABASE_URL": main,
        "EPRO_TRIAL_DATABASE_URL": target.create_database("trial"),
        "EPRO_PASSWORD_COST": "cheap",
        "EPRO_RATE_LIMITS": "off",
        "EPRO_SECOND_FACTOR": "optional",
        "EPRO_PHISHING_RESISTANT": "optional",
        "EPRO_SESSIONS_AT_ONCE": "100",
        "EPRO_SECRET_KEY": "a secret of the tests, longer than it must be",
        "EPRO_SMS_SENDER": "recording",
        "EPRO_EMAIL_SENDER": "recording",
        "EPRO_EXPORT_DIR": str(folder / "exports"),
    }
    if empty:
        schema.upgrade(config.read(environ))
    app = create_app(environ)
    app.config["OPENED_BY_TEST"] = []
    with app.app_context(), Processes(environ, folder) as running:
        cast = the_cast.Cast(app, the_cast.move_in() if empty else {})
        house = House(running, target, environ, free_port(), random.Random(seed))
        house.open()
        yield house, cast
        for engine in [*db.db.engines.values(), *app.config["OPENED_BY_TEST"]]:
            engine.dispose()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kill-every", type=float, default=2, help="real seconds")
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    target = OwnServer(find_binaries()[0], durable=True)
    try:
        with running_postgres() as server, tempfile.TemporaryDirectory(prefix="epro-chaos-") as folder:
            url = server.create_database(f"chaos_feed_{os.getpid()}")
            with a_house(url, target, Path(folder), chosen.seed, empty=True) as (house, cast):
                done = run(house, cast, chosen.minutes * 60, chosen.kill_every, chosen.people)
    finally:
        target.stop()
    for name, figure in done.figures.items():
        sys.stdout.write(f"{name}: {figure}\n")
    if done.faults:
        sys.exit("\n".join([f"{len(done.faults)} faults", *done.faults[:50]]))
    sys.stdout.write("no fault\n")


if __name__ == "__main__":
    main()
