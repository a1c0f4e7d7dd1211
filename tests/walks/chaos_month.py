"""A month of reminders and alerts while the provider fails in all its ways and workers are killed in mid-sentence.

    make chaos                          a month, eight participants; about a quarter of an hour
    python -m tests.walks.chaos_month --days 5 --pace 0.4

Four processes run `epro worker` on one PostgreSQL. Every second or two one of them gets SIGKILL, and another takes its
place. The hour is moved for all of them by a file. Participants answer on some evenings, one withdraws in the minute
of her reminder. What went out is counted by the provider on loopback; `faults` holds that against what people did.

A worker may have begun a message in the very moment in which she answers, or in which the hour jumps. So what came to
the provider within `IN_THE_AIR` real seconds of its beginning is judged by the hour of its beginning.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time as real
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import clock, config, create_app, db, schema
from epro.notifications.models import Alert, AlertStep, Message
from epro.scheduling.models import Occurrence
from epro.simulation.people import Phone
from epro.tx import look, system
from tests import cast as the_cast
from tests.cast import STAFF, at
from tests.fakes.twilio_server import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    TwilioServer,
)
from tests.fakes.twilio_server import (
    Message as Taken,
)
from tests.support.postgres import running_postgres
from tests.support.processes import Child, MovedClock, Processes, until

TESTS = system("tests")
NOOR, FIRST_DAY = STAFF["noor"][2], date(2026, 3, 2)
IN_THE_AIR = 10.0  # real seconds from the beginning of a message to its arrival at the provider
REMINDERS = {"evening": 2, "quality": 1}  # about one occurrence, by the study file
MINUTE = timedelta(minutes=1)
MOST = 12.0  # real seconds that an hour may take
WAITS = (Message.begun_at.is_(None), Message.withheld_at.is_(None))
DUE = (
    (sa.select(Message.id).where(*WAITS), Message.due_at),
    (sa.select(Message.id), Message.lease_until),
    (sa.select(Occurrence.id), Occurrence.attention_at),
)

# What a provider does with a message, and how often in a hundred.
MOODS = {
    "accept": 56,
    "accept_slowly": 12,
    "accept_then_reset": 6,
    "accept_then_500": 5,
    "accept_unreadable": 4,
    "accept_then_hang": 1,
    "reset": 5,
    "503": 4,
    "429": 4,
    "400:21211": 2,
    "hang": 1,
}
OUT = {"503": 60, "reset": 20, "429": 15, "accept_then_500": 5}  # and while it is out
FOR_GOOD = "400:21211"

# The hours at which something is due in Shanghai or in Berlin, and the minutes after them, when what was refused
# goes again; some of them in quiet hours.
# fmt: off
HOURS = [
    "00:10", "02:01", "02:03", "02:10", "02:30", "04:01", "04:04", "04:20", "06:01", "06:02", "06:05", "06:15",
    "07:30", "08:30", "10:01", "10:05", "11:00", "13:01", "13:05", "14:00", "17:05", "18:20", "19:01", "19:02",
    "19:04", "19:09", "19:20", "19:40", "20:15", "21:01", "21:02", "21:05", "21:15", "21:40", "22:05", "23:00",
]
SHORT = [
    "06:01", "06:03", "06:15", "10:01", "14:00", "18:20", "19:01", "19:02", "19:06", "19:20", "20:15", "21:01",
    "21:03", "21:20", "22:05",
]
# fmt: on


# ── What is checked ──


@dataclass(frozen=True)
class Person:
    """A participant, as the outside knows her."""

    subject_id: str
    number: str
    zone: str = "Asia/Shanghai"
    quiet: tuple[str, str] = ("22:00", "08:00")
    withdrawn_at: datetime | None = None
    answered: Mapping[str, datetime] = field(default_factory=dict)  # occurrence -> when it was received


@dataclass(frozen=True)
class Went:
    """What the provider took: about which message, and the hour by which that is judged."""

    message: str
    to: str
    body: str
    at: datetime


@dataclass(frozen=True)
class Window:
    """What was to be answered."""

    id: str
    subject_id: str
    assessment: str
    opens_at: datetime
    closes_at: datetime
    grace_until: datetime


@dataclass(frozen=True)
class Line:
    """A message by the ledger. `end` says what came of it; None while nothing has."""

    id: str
    subject_id: str
    purpose: str
    occurrence: str | None
    alert: str | None
    expires_at: datetime
    end: str | None
    due_at: datetime
    channel: str | None = None


@dataclass(frozen=True)
class Story:
    """All that happened until `ended`, when everything was quiet."""

    people: Mapping[str, Person]
    windows: Mapping[str, Window]
    ledger: Mapping[str, Line]
    went: tuple[Went, ...]
    alerted: Mapping[str, str]  # occurrence -> the alert that tells of it
    ended: datetime


def faults(story: Story) -> list[str]:
    """Everything that must not be, one sentence each."""
    found = [f"{went.message}: {fault}" for went in story.went for fault in _of_one(story, went)]
    return found + [*_doubled(story), *_lost(story), *_left(story), *_made_up(story)]


def _of_one(story: Story, went: Went) -> Iterator[str]:
    line = story.ledger.get(went.message)
    if line is None:
        yield "is in no ledger"
        return
    if went.at >= line.expires_at:
        yield "went when it was stale"
    if line.end == "withheld":
        yield "went, and the ledger says withheld"
    if line.purpose == "reminder":
        yield from _of_a_reminder(story.people[line.subject_id], story.windows[line.occurrence or ""], went)


def _of_a_reminder(her: Person, window: Window, went: Went) -> Iterator[str]:
    answered = her.answered.get(window.id)
    if went.to != her.number:
        yield "went to another number"
    if _is_between(her.quiet, went.at.astimezone(ZoneInfo(her.zone)).time()):
        yield "went in her quiet hours"
    if her.withdrawn_at and went.at > her.withdrawn_at:
        yield "went after her withdrawal"
    if answered and went.at > answered:
        yield "went after her answer"
    if not window.opens_at <= went.at < window.closes_at:
        yield "went while there was nothing to answer"


def _doubled(story: Story) -> Iterator[str]:
    reminders = [went for went in story.went if _purpose(story, went) == "reminder"]
    for message, times in Counter(went.message for went in reminders).items():
        if times > 1:
            yield f"{message}: a reminder went {times} times"
    about = Counter(story.ledger[went.message].occurrence for went in reminders)
    for occurrence, times in about.items():
        if times > REMINDERS[story.windows[occurrence or ""].assessment]:
            yield f"{occurrence}: {times} reminders about it"
    said = Counter((story.ledger[went.message].occurrence, went.body) for went in reminders)
    for (occurrence, _), times in said.items():
        if times > 1:
            yield f"{occurrence}: the same words {times} times"


def _lost(story: Story) -> Iterator[str]:
    """Misses without an alert, and alerts of which nobody was told though there was time."""
    for window in story.windows.values():
        if is_missed(story, window) and window.id not in story.alerted:
            yield f"{window.id}: a miss without an alert"
    told = {story.ledger[went.message].alert for went in story.went if went.message in story.ledger}
    for alert in sorted(set(story.alerted.values()) - told):
        lines = [line for line in story.ledger.values() if (line.alert, line.purpose) == (alert, "alert")]
        if not lines or any(line.end == "accepted" or line.expires_at > story.ended for line in lines):
            yield f"{alert}: an alert that nobody was told of"


def _made_up(story: Story) -> Iterator[str]:
    """What the ledger has as accepted and nobody took; what waits in the app's inbox no provider sees."""
    went = {one.message for one in story.went}
    for line in story.ledger.values():
        if line.end == "accepted" and line.channel != "app" and line.id not in went:
            yield f"{line.id}: accepted, says the ledger, and no provider has it"


def is_missed(story: Story, window: Window) -> bool:
    """Whether this diary was to be answered and has not been, its grace over."""
    her = story.people[window.subject_id]
    over = window.grace_until < story.ended - MINUTE
    gone = her.withdrawn_at is not None and her.withdrawn_at < window.grace_until
    return window.assessment == "evening" and over and not gone and window.id not in her.answered


def _left(story: Story) -> Iterator[str]:
    for line in story.ledger.values():
        if line.end is None and line.due_at < story.ended - 15 * MINUTE:
            yield f"{line.id}: begun or due, and without an end"


def _purpose(story: Story, went: Went) -> str | None:
    line = story.ledger.get(went.message)
    return line.purpose if line else None


def _is_between(hours: tuple[str, str], hour: time) -> bool:
    first, last = map(time.fromisoformat, hours)
    return first <= hour < last if first < last else hour >= first or hour < last


# ── The provider and the workers ──


class Moody(TwilioServer):
    """Fails as the dice say, each message for itself; `mood` is one of MOODS, OUT and {"accept": 1}."""

    def __init__(self, dice: random.Random, staff: frozenset[str]):
        super().__init__(now=clock.now, slow_seconds=0.4)
        self.dice, self.staff, self.mood = dice, staff, MOODS
        self.arrived: dict[str, float] = {}  # sid -> real second

    def next_behaviour(self, number: str) -> str:
        with self._lock:
            (drawn,) = self.dice.choices(list(self.mood), list(self.mood.values()))
        return "503" if drawn == FOR_GOOD and number in self.staff else drawn

    def take(self, form: Mapping[str, str]) -> Taken:
        taken = super().take(form)
        self.arrived[taken.sid] = real.monotonic()
        return taken


# Becomes a worker as often as one is missing. What takes long, the loading of modules, is done once; the loader has
# no thread, no connection and no settings read, so each child begins as `epro worker` does.
_KEEPER = """
import ctypes, os, sys
import epro.cli, epro.worker, epro.api, twilio.rest, epro.notifications.senders.twilio_http
from epro.cli import epro as command
def child():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 9)
    command(["worker"])
living = set()
while True:
    while len(living) < WORKERS:
        made = os.fork()
        if made == 0:
            child()
            os._exit(0)
        living.add(made)
        print("born", made, flush=True)
    living.discard(os.wait()[0])
"""


@dataclass
class Workers:
    """Always so many; `kill` ends one of them as a power cut would."""

    keeper: Child
    killed: set[int] = field(default_factory=set)

    @property
    def at_work(self) -> list[int]:
        """Those that have started and were not killed."""
        started = [int(pid) for pid in re.findall(r"worker started .*worker=\S+:(\d+)", self.keeper.said)]
        return [pid for pid in started if pid not in self.killed]

    def kill(self, dice: random.Random) -> None:
        """One of those at work, if another one is left."""
        if len(there := self.at_work) < 2:
            return
        chosen = dice.choice(there)
        self.killed.add(chosen)
        if self._is_ours(chosen):
            with suppress(ProcessLookupError):
                os.kill(chosen, signal.SIGKILL)

    def _is_ours(self, pid: int) -> bool:
        with suppress(OSError):
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return int(status[1]) == self.keeper.process.pid
        return False


# ── The month ──


@dataclass
class Member:
    """A participant and her phone, and on how many evenings of ten she answers."""

    phone: Phone
    number: str
    zone: str
    quiet: tuple[str, str]
    answers: float
    answered: dict[str, datetime] = field(default_factory=dict)
    withdrawn_at: datetime | None = None

    def outside(self) -> Person:
        return Person(
            self.phone.subject_id,
            self.number,
            self.zone,
            self.quiet,
            self.withdrawn_at,
            self.answered,
        )


@dataclass
class Month:
    """It runs: `live` one hour after the other, then `calm_down`, then `story`."""

    cast: the_cast.Cast
    clock: MovedClock
    provider: Moody
    workers: Workers
    dice: random.Random
    pace: float  # real seconds an hour, or longer while something is due
    kill_every: float
    members: list[Member] = field(default_factory=list)
    moved: list[tuple[float, datetime]] = field(default_factory=list)  # (real second, hour put)
    next_kill: float = 0.0

    def it_is(self, moment: datetime) -> None:
        """Never backwards: where the machine was slow, the hour has run on by itself."""
        if moment > clock.now():
            self.clock.put(moment)
            self.moved.append((real.monotonic(), moment))

    def enrol(self, wanted: list[tuple[str, tuple[str, str] | None, float]]) -> None:
        for index, (zone, quiet, answers) in enumerate(wanted):
            number = f"+86139000001{index:02}"
            phone = self.cast.phone(contact={"phone": number}, time_zone=zone)
            if quiet:
                phone.change(quiet_hours=list(quiet))
            self.members.append(Member(phone, number, zone, quiet or ("22:00", "08:00"), answers))

    def live(self, moment: datetime) -> None:
        """One hour: people act, workers work and die."""
        self.it_is(moment)
        for member in self.members:
            self._perhaps_answers(member, moment)
        began = real.monotonic()
        while (took := real.monotonic() - began) < self.pace or (took < MOST and self._is_busy()):
            self._perhaps_kill()
            real.sleep(0.1)

    def _perhaps_kill(self) -> None:
        if self.kill_every and real.monotonic() >= self.next_kill:
            self.workers.kill(self.dice)
            self.next_kill = real.monotonic() + self.dice.uniform(0.7, 1.4) * self.kill_every

    def _is_busy(self) -> bool:
        """Whether anything is due that no worker has done."""
        with look(TESTS, clock.now()) as tx:
            return any(tx.one(question.where(column <= tx.now)) is not None for question, column in DUE)

    def _perhaps_answers(self, member: Member, moment: datetime) -> None:
        local = moment.astimezone(ZoneInfo(member.zone))
        evening = local.hour >= 18 and member.withdrawn_at is None
        if not evening or self.dice.random() > member.answers:
            return
        member.phone.sync()
        now = clock.now()
        for diary in member.phone.open_at(now):
            if diary["assessment"] == "evening":
                member.phone.answer(diary, {"worst_fatigue": self.dice.randrange(11)}, now, now)
        for receipt in member.phone.upload(clock.now()):
            known = member.phone.receipts[receipt["id"]]["occurrence_id"]
            member.answered[known] = datetime.fromisoformat(receipt["received_at"])

    def withdraw(self, member: Member) -> None:
        self.cast.staff("noor").withdraw(member.phone.subject_id)
        member.withdrawn_at = clock.now()

    def calm_down(self, most: int = 40) -> datetime:
        """The provider is well and nobody is killed: until nothing waits; the hour of that."""
        self.provider.mood, self.kill_every = {"accept": 1}, 0.0
        for step in range(most):
            self.it_is(clock.now() + (MINUTE if step < 4 else 20 * MINUTE))
            self.live(clock.now())
            if step > 6 and not any(
                line.end is None for line in self._ledger().values() if self._is_due(line)
            ):
                break
        return clock.now()

    def _is_due(self, line: Line) -> bool:
        return line.due_at < clock.now() - MINUTE

    def story(self, ended: datetime) -> Story:
        with look(TESTS) as tx:
            rows = tx.all(sa.select(Occurrence))
            steps = tx.all(sa.select(AlertStep).where(AlertStep.kind == "joined"))
            alerts = tx.all(sa.select(Alert))
        windows = {str(row.id): _window(row) for row in rows}
        alerted = {str(row.occurrence_id): str(row.id) for row in alerts}
        alerted |= {str(row.occurrence_id): str(row.alert_id) for row in steps}
        people = {member.phone.subject_id: member.outside() for member in self.members}
        return Story(people, windows, self._ledger(), tuple(self._went()), alerted, ended)

    def _rows(self) -> dict[str, Any]:
        with look(TESTS) as tx:
            return {str(row.id): row for row in tx.all(sa.select(Message))}

    def _ledger(self) -> dict[str, Line]:
        return {name: _line(row) for name, row in self._rows().items()}

    def _went(self) -> Iterator[Went]:
        rows = self._rows()
        for taken in self.provider.messages:
            name = parse_qs(urlsplit(taken.form["StatusCallback"]).query)["message"][0]
            begun_at = rows[name].begun_at if name in rows else None
            # As it was sent: a day later the provider has been asked to forget the text.
            yield Went(name, taken.to, taken.form["Body"], self._judged(taken, begun_at))

    def _judged(self, taken: Taken, begun_at: datetime | None) -> datetime:
        """By which hour: see above."""
        if begun_at is None or begun_at > taken.created:
            return taken.created
        in_the_air = self.provider.arrived[taken.sid] - self._real(begun_at)
        return begun_at if in_the_air <= IN_THE_AIR else taken.created

    def _real(self, moment: datetime) -> float:
        """In which real second it was this hour."""
        second, hour = max(one for one in self.moved if one[1] <= moment)
        return second + (moment - hour).total_seconds()

    def figures(self, story: Story, days: int) -> dict[str, Any]:
        """What it was that came through."""
        posts, rows = self.provider.requests, self._rows().values()
        purposes = Counter(_purpose(story, went) for went in story.went)
        return {
            "days": days,
            "participants": len(self.members),
            "workers killed": len(self.workers.killed),
            "asked of the provider": dict(Counter(post.behaviour for post in posts if post.method == "POST")),
            "looked up at the provider": sum(post.method == "GET" for post in posts),
            "taken": dict(purposes),
            "messages": dict(Counter((row.purpose, _line(row).end) for row in rows)),
            "accepted, by channel": dict(
                Counter((line.purpose, line.channel) for line in map(_line, rows) if line.end == "accepted")
            ),
            "withheld": dict(Counter(row.withheld_reason for row in rows if row.withheld_at)),
            "missed": sum(is_missed(story, window) for window in story.windows.values()),
            "answered": sum(len(member.answered) for member in self.members),
            "alerts": len(set(story.alerted.values())),
            "messages to staff that went more than once": sum(
                times > 1
                for message, times in Counter(went.message for went in story.went).items()
                if story.ledger[message].purpose != "reminder"
            ),
        }


def _window(row: Any) -> Window:
    return Window(
        str(row.id),
        row.subject_id,
        row.assessment_id,
        row.opens_at,
        row.closes_at,
        row.grace_until,
    )


def _line(row: Any) -> Line:
    ends = {
        "withheld": row.withheld_at,
        "failed": row.failed_at,
        "unknown": row.unknown_at,
        "accepted": row.accepted_at,
    }
    occurrence, alert = (str(one) if one else None for one in (row.occurrence_id, row.alert_id))
    end = next((name for name, when in ends.items() if when), None)
    return Line(
        str(row.id),
        row.subject_id,
        row.purpose,
        occurrence,
        alert,
        row.expires_at,
        end,
        row.due_at,
        row.channel,
    )


USUAL = [
    ("Asia/Shanghai", None, 0.12),
    ("Asia/Shanghai", None, 0.05),
    ("Asia/Shanghai", ("20:30", "09:00"), 0.08),
    ("Asia/Shanghai", ("13:00", "19:03"), 0.03),
    ("Europe/Berlin", None, 0.1),
    ("Europe/Berlin", ("21:30", "06:00"), 0.04),
    ("Asia/Shanghai", None, 0.0),
    ("Asia/Shanghai", None, 0.15),  # the last one withdraws
]


def run(month: Month, days: int, hours: list[str], wanted: list[Any] = USUAL) -> Story:
    """So many days. Every third evening the provider is out from 21:00 on, every seventh for a night and a morning."""
    month.it_is(at(f"{FIRST_DAY}T10:00"))
    month.enrol(wanted)
    for day in range(days):
        for hour in hours:
            moment = at(f"{FIRST_DAY + timedelta(days=day)}T{hour}")
            if moment <= clock.now():
                continue
            month.provider.mood = OUT if _is_out(day, hour) else MOODS
            month.live(moment)
            if (day, hour) == (days // 2, "19:01"):
                month.withdraw(month.members[-1])
    return month.story(month.calm_down())


def _is_out(day: int, hour: str) -> bool:
    return (
        day % 3 == 1
        and hour >= "21:00"
        or (day % 7 == 3 and hour >= "19:00")
        or (day % 7 == 4 and hour < "09:00")
    )


@contextmanager
def a_month(
    server: Any,
    template: str | None,
    folder: Path,
    seed: int,
    pace: float,
    kill_every: float,
    workers: int = 4,
) -> Iterator[Month]:
    """An installation on this server, filled or copied, with its workers at work."""
    dice, name = random.Random(seed), f"chaos_{os.getpid()}_{seed}"
    moved = MovedClock(folder / "clock")
    provider = Moody(
        random.Random(seed + 1),
        frozenset(phone for _, _, phone in STAFF.values() if phone),
    )
    before = os.environ.get("EPRO_CLOCK_OFFSET_FILE")
    os.environ["EPRO_CLOCK_OFFSET_FILE"] = str(moved.file)  # our own clock goes with theirs
    try:
        moved.put(at(f"{FIRST_DAY}T09:00"))
        environ = _environ(server.create_database(name, template=template), moved, provider)
        with (
            provider,
            Processes(environ, folder) as running,
            _people(environ, template is None) as cast,
        ):
            keeper = running.python("workers", _KEEPER.replace("WORKERS", str(workers)))
            until(
                lambda: keeper.said.count("worker started") >= workers,
                60,
                "the workers' start",
            )
            yield Month(cast, moved, provider, Workers(keeper), dice, pace, kill_every)
    finally:
        os.environ.pop("EPRO_CLOCK_OFFSET_FILE")
        if before:
            os.environ["EPRO_CLOCK_OFFSET_FILE"] = before
        server.drop_database(name)


def _environ(database: str, moved: MovedClock, provider: Moody) -> dict[str, str]:
    return {
        "EPRO_DATABASE_URL": database,
        "EPRO_PASSWORD_COST": "cheap",
        "EPRO_SECOND_FACTOR": "optional",
        "EPRO_PHISHING_RESISTANT": "optional",
        "EPRO_SESSIONS_AT_ONCE": "100",
        "EPRO_RATE_LIMITS": "off",
        "EPRO_SECRET_KEY": "a secret of the tests, longer than it must be",
        "EPRO_PUBLIC_URL": "https://epro.test",
        "EPRO_SMS_SENDER": "twilio",
        "EPRO_EMAIL_SENDER": "none",
        "EPRO_TWILIO_BASE_URL": provider.url,
        "EPRO_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "EPRO_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "EPRO_TWILIO_FROM": "+12025550100",
        "EPRO_TICK_SECONDS": "0.5",
        "EPRO_CLOCK_OFFSET_FILE": str(moved.file),
    }


@contextmanager
def _people(environ: dict[str, str], is_empty: bool) -> Iterator[the_cast.Cast]:
    """The application in this process, through whose doors people act."""
    if is_empty:
        schema.upgrade(config.read(environ))
    app = create_app(environ)
    app.config["OPENED_BY_TEST"] = []
    with app.app_context():
        yield the_cast.Cast(app, the_cast.move_in() if is_empty else {})
        for engine in db.db.engines.values():
            engine.dispose()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--pace", type=float, default=0.15, help="real seconds an hour, at the least")
    parser.add_argument("--kill-every", type=float, default=1.5, help="real seconds")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    began = real.monotonic()
    with (
        running_postgres() as server,
        tempfile.TemporaryDirectory(prefix="epro-chaos-") as folder,
    ):
        with a_month(server, None, Path(folder), chosen.seed, chosen.pace, chosen.kill_every) as month:
            story = run(month, chosen.days, list(HOURS))
            for name, figure in month.figures(story, chosen.days).items():
                sys.stdout.write(f"{name}: {figure}\n")
    sys.stdout.write(f"minutes: {(real.monotonic() - began) / 60:.1f}\n")
    if found := faults(story):
        sys.exit("\n".join([f"{len(found)} faults", *found[:50]]))
    sys.stdout.write("no fault\n")


if __name__ == "__main__":
    main()
