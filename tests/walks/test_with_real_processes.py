"""The whole installation as it runs: gunicorn, `epro worker`, both databases, a provider on loopback.

Everything goes through the doors. The hour is moved for all processes at once, by a file that each of them reads.
Starting processes is what takes long, so one installation on each database serves all tests of this file: each
test has days and participants of its own, who withdraw when it is over.
"""

from __future__ import annotations

import logging
import random
import re
import shutil
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from epro import clock
from epro.simulation.people import Phone, StaffMember, over_http
from epro.stream.sinks import trial_tables as trial
from tests.cast import PASSWORD, STAFF, STUDY, at
from tests.conftest import REHEARSAL
from tests.fakes.twilio_server import ACCOUNT_SID, AUTH_TOKEN, TwilioServer, post_inbound, post_status
from tests.support.processes import Child, MovedClock, Processes, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

log = logging.getLogger(__name__)
NOOR, INES = STAFF["noor"][2], STAFF["ines"][2]
METRICS = "a token that opens the figures"
UPLOADS = 20
# Seconds from sending an answer to its row in the trial database: a busy machine must reach it too. How fast it is,
# benchmarks/visible.py says.
WITHIN, WITHIN_SQLITE = 5.0, 6.0
FIRST_DAY = date(2026, 3, 2)


@dataclass
class House:
    """One installation: its processes, its clock, its provider, and who speaks to it."""

    running: Processes
    clock: MovedClock
    twilio: TwilioServer
    environ: dict[str, str]
    port: int
    key: str
    day: date = FIRST_DAY  # on which the test at hand begins: its day 0
    phones: list[Phone] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    served: Child | None = None
    workers: list[Child] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self, workers: int = 1) -> list[Child]:
        """See to it that the web and exactly so many workers run; the workers."""
        self.workers = [child for child in self.workers if child.runs]
        started = [self.running.worker(wait=False) for _ in range(workers - len(self.workers))]
        self.serve()
        self.workers += [self.running.at_work(child) for child in started]
        for one in self.workers[workers:]:
            one.stop()
        self.workers = self.workers[:workers]
        return self.workers

    def serve(self) -> Child:
        """The web, started if it does not run."""
        if self.served is None or not self.served.runs:
            self.served = self.running.web(port=self.port, workers=1 if self.served else 2)
        return self.served

    def it_is(self, hour: str, day: int = 0) -> datetime:
        """Move everybody's clock to this hour in Shanghai, on this day of the test; never backwards."""
        moment = self.at(hour, day)
        self.clock.put(moment)
        return moment

    def at(self, hour: str, day: int = 0) -> datetime:
        return at(f"{self.day + timedelta(days=day)}T{hour}")

    def staff(self, name: str = "noor") -> StaffMember:
        return StaffMember(over_http(self.url), email=f"{name}@example.org", password=PASSWORD).sign_in()

    def enrol(self, number: str, noor: StaffMember | None = None) -> str:
        made = (noor or self.staff()).enrol(
            study=STUDY,
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": self.day.isoformat()},
            contact={"phone": number},
        )
        self.there.append(made["subject_id"])
        return str(made["subject_id"])

    def phone(self, number: str) -> Phone:
        """A newly enrolled participant's phone, activated and in the picture."""
        noor = self.staff()
        phone = Phone(over_http(self.url)).activate(noor.code_for(self.enrol(number, noor)))
        phone.sync()
        self.phones.append(phone)
        return phone

    def rest(self) -> None:
        """Everybody withdraws and nothing stands any more: the next test begins three days later."""
        noor = self.staff()
        while self.there:
            noor.withdraw(self.there.pop())
        for alert in noor.worklist():
            noor.resolve(alert["id"], "withdrew")
        self.twilio.messages.clear()
        self.twilio.requests.clear()
        self.day = clock.now().astimezone(at("2026-01-01").tzinfo).date() + timedelta(days=3)

    def ready(self) -> tuple[int, dict[str, bool]]:
        answer = over_http(self.url)("GET", "/readyz", None, {})
        return answer.status, answer.body["checks"]

    def sent_to(self, number: str) -> list[Any]:
        return [message for message in self.twilio.messages if message.to == number]

    @property
    def is_postgresql(self) -> bool:
        return self.environ["EPRO_DATABASE_URL"].startswith("postgresql")

    @cached_property
    def trial(self) -> sa.Engine:
        return sa.create_engine(self.environ["EPRO_TRIAL_DATABASE_URL"], poolclass=sa.NullPool)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def built(request, tmp_path_factory) -> Iterator[House]:
    """An installation on one of the databases. In the end nobody is left, and no log tells what is private."""
    folder = tmp_path_factory.mktemp(f"house-{request.param}")
    logs, port, moved = folder / "logs", free_port(), MovedClock(folder / "clock")
    logs.mkdir()
    with a_copy(request, folder) as (databases, ids), TwilioServer(now=clock.now) as twilio:
        environ = {
            **REHEARSAL,
            **databases,
            "EPRO_SMS_SENDER": "twilio",
            "EPRO_TWILIO_BASE_URL": twilio.url,
            "EPRO_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "EPRO_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "EPRO_TWILIO_FROM": "+12025550100",
            "EPRO_TICK_SECONDS": "0.5",
            "EPRO_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "EPRO_CLOCK_OFFSET_FILE": str(moved.file),
            "EPRO_METRICS_TOKEN": METRICS,
        }
        with Processes(environ, logs) as running:
            house = House(running, moved, twilio, environ, port, ids["machine"])
            yield house
            assert running.stop() == []
            assert [child.name for child in running.children if not child.left_nobody()] == []
            says_nothing_private(house)


@pytest.fixture
def house(built, monkeypatch) -> Iterator[House]:
    """The installation with its web and one worker running, on a day of its own at ten in the morning."""
    monkeypatch.setenv("EPRO_CLOCK_OFFSET_FILE", str(built.clock.file))  # our own clock goes with theirs
    built.it_is("10:00")
    built.open()
    yield built
    built.open()
    built.rest()


@contextmanager
def a_copy(request: Any, folder: Path) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Copies of the filled databases that last as long as this file's tests; and the cast's ids."""
    if request.param == "sqlite":
        template, ids = request.getfixturevalue("sqlite_template")
        for file in template.glob("*.sqlite"):
            shutil.copy(file, folder / file.name)
        yield (
            {
                "EPRO_DATABASE_URL": f"sqlite:///{folder}/epro.sqlite",
                "EPRO_TRIAL_DATABASE_URL": f"sqlite:///{folder}/trial.sqlite",
            },
            ids,
        )
        return
    server = request.getfixturevalue("postgres_server")
    template, ids = request.getfixturevalue("postgresql_template")
    main, target = (f"{kind}_{uuid4().hex}" for kind in ("main", "trial"))
    yield (
        {
            "EPRO_DATABASE_URL": server.create_database(main, template=template),
            "EPRO_TRIAL_DATABASE_URL": server.create_database(target),
        },
        ids,
    )
    for name in (main, target):
        server.drop_database(name)


def says_nothing_private(house: House) -> None:
    """No log of any process shows contact data, a secret or a value of an answer; none shows a stack trace."""
    said = house.running.said
    secrets = [
        PASSWORD,
        AUTH_TOKEN,
        house.key,
        house.environ["EPRO_SECRET_KEY"],
        NOOR,
        INES,
        "+86139",
        "86139",
    ]
    secrets += [secret for phone in house.phones for secret in (phone.key, phone.refresh_token)]
    assert [number for number, secret in enumerate(secrets) if secret in said] == []
    assert "[parameters:" not in said and "worst_fatigue" not in said
    assert "Traceback" not in said, said[said.index("Traceback") :][:4000]


# ── A day in the life, through the real doors ──


def test_a_diary_from_enrolment_to_a_late_sync(house):
    ada = house.phone(ADA := "+8613900000001")

    house.it_is("00:30", day=1)  # she answered at eight, without network
    evening = house.at("20:00")
    entry = ada.answer(ada.open_at(evening)[0], {"worst_fatigue": 7}, evening, evening + timedelta(minutes=1))
    (first,) = ada.upload(clock.now())
    ada.unsent = [entry]
    (again,) = ada.upload(clock.now())
    assert [first["outcome"], again["outcome"]] == ["stored", "already_stored"]
    assert {
        name: first[name] for name in ("digest", "received_at", "signature", "id")
    }.items() <= again.items()
    until(
        lambda: scores_of(house, entry["id"]) == [("worst_fatigue", 7.0)],
        what="the score in the trial database",
    )

    house.it_is("19:30", day=1)
    until(lambda: house.sent_to(ADA), what="the reminder")
    tells_what_became_of_it(house, ada, house.sent_to(ADA)[0])

    house.workers[0].kill()
    house.it_is("06:30", day=2)  # closed at midnight, six hours of grace
    house.open()
    noor = house.staff()
    (alert,) = until(noor.worklist, what="the alert")
    assert (alert["subject_id"], alert["kind"], alert["standing"]) == (ada.subject_id, "missed", True)
    until(lambda: house.sent_to(NOOR), what="the nurse's message")
    noor.acknowledge(alert["id"])
    noor.resolve(alert["id"], "reached", "she was travelling")
    assert noor.worklist() == []

    house.it_is("07:00", day=3)  # the diary of the day before is missed as well
    noor = house.staff()
    until(noor.worklist, what="the second alert")
    ada.sync()
    last = house.at("21:00", day=2)
    diary = next(o for o in ada.known.values() if is_open(o, last) and o["assessment"] == "evening")
    ada.answer(diary, {"worst_fatigue": 3}, last, last + timedelta(minutes=1))
    (receipt,) = ada.upload(clock.now())
    assert (receipt["outcome"], [f["code"] for f in receipt["findings"]]) == ("stored", ["late_sync"])
    assert noor.worklist() == []
    assert [a["cleared_why"] for a in noor.timeline(ada.subject_id)["alerts"]] == [
        None,
        "completed_offline_in_time",
    ]

    until(lambda: scores_of(house, receipt["id"]) == [("worst_fatigue", 3.0)], what="the late score")
    until(
        lambda: kinds_in_feed(house)[-2:] == ["response.stored", "alert.cleared"], what="the end of the feed"
    )
    assert len(house.sent_to(ADA)) == 1 and 1 <= len(house.sent_to(NOOR)) <= 2


def tells_what_became_of_it(house: House, ada: Phone, message: Any) -> None:
    """The provider's call-back moves the message on if its signature is right, and is turned away if not."""
    where, noor = message.form["StatusCallback"], house.staff()
    assert post_status(where, message.sid, "delivered", message.to, "a guessed token") == 403
    assert (
        post_status(where, message.sid, "delivered", message.to, signed_for="https://elsewhere.example.org/")
        == 403
    )
    assert [m["delivered_at"] for m in story(noor, ada)] == [None]
    assert post_status(where, message.sid, "sent", message.to) == 204
    assert post_status(where, message.sid, "delivered", message.to) == 204
    (told,) = story(noor, ada)
    assert told["accepted_at"] and told["delivered_at"]
    assert post_status(where, message.sid, "delivered", message.to) == 204  # twice does no harm
    assert story(noor, ada) == [told]


def test_who_writes_stop_is_not_reminded(house):
    ada, inbound = house.phone("+8613900000001"), f"{house.url}/hooks/twilio/inbound"
    house.enrol("+8613900000002")
    assert post_inbound(inbound, "+8613900000001", "STOP", "a guessed token") == 403
    assert post_inbound(inbound, "+8613900000001", "stop ") == 200
    house.it_is("19:05")
    until(lambda: house.sent_to("+8613900000002"), what="the reminder of the other")
    noor = house.staff()
    (withheld,) = until(lambda: [m for m in story(noor, ada) if m["withheld_at"]], what="the withholding")
    assert (withheld["withheld_reason"], house.sent_to("+8613900000001")) == ("opted_out", [])


# ── Into the trial database: how fast, and what if it is away ──


def test_an_answer_is_in_the_trial_database_within_two_seconds(house):
    house.it_is("20:00")
    taken = seconds_to_trial(house, house.phone("+8613900000001"))
    assert max(taken) < (WITHIN if house.is_postgresql else WITHIN_SQLITE)


def test_the_wake_up_alone_carries_an_answer(house):
    """The metronome of the feed strikes once an hour: what arrives now was brought by LISTEN and NOTIFY."""
    if not house.is_postgresql:
        pytest.skip("SQLite wakes nobody")
    house.it_is("20:00")
    ada = house.phone("+8613900000001")
    house.workers.pop().stop()
    hourly = "import sys; from epro import cli, worker; worker.RELAY_SECONDS = 3600; sys.argv += ['worker']; cli.main()"
    with_wake_up_only = house.running.at_work(house.running.python("worker", hourly))
    taken = seconds_to_trial(house, ada)
    with_wake_up_only.stop()
    assert max(taken) < WITHIN


def test_a_trial_database_that_goes_away_is_missed_by_nobody_and_catches_up(house, away):
    house.it_is("20:00")
    ada, worker = house.phone("+8613900000001"), house.workers[0]
    house.enrol(ben := "+8613900000002")
    wanted = {upload(ada) for _ in range(2)}
    until(lambda: in_trial(house) >= wanted, what="the first answers")

    with away.taken():
        wanted |= {upload(ada) for _ in range(3)}
        until(lambda: "sink away" in worker.said, what="the worker's noticing")
    until(lambda: in_trial(house) >= wanted, what="catching up")

    with away.held():  # it takes calls and does not answer
        wanted |= {upload(ada) for _ in range(2)}
        time.sleep(1.2)  # the relay strikes, and is stuck
        house.it_is("21:00")
        until(lambda: house.sent_to(ben), what="a reminder while the trial database hangs")
        house.workers.pop().signal(signal.SIGTERM)
        assert (worker.wait(40), worker.left_nobody()) == (0, True)
    house.open()
    until(lambda: in_trial(house) >= wanted, what="catching up after it hung")

    away.lose()  # an empty one stands in its place
    until(lambda: in_trial(house) >= wanted, what="filling an empty one")
    assert no_difference(house)


def test_a_trial_database_that_is_away_for_hours_is_told_of_and_has_everything_soon_after(house, away):
    house.it_is("20:00")
    ada = house.phone("+8613900000003")
    wanted = {upload(ada)}
    until(lambda: in_trial(house) >= wanted, what="the first answer")
    assert until(lambda: up_to_date(figures(house)), what="no lag")

    with away.taken():
        for hour in ("20:10", "20:50", "21:30", "22:40"):
            house.it_is(hour)
            wanted |= {upload(ada) for _ in range(3)}
        assert figures(house) == {"up": 0.0, "astray": 0.0}  # how far behind, only the target knows
    told = figures(house)
    assert up_to_date(told) or told["waiting_seconds"] > 3600
    until(lambda: in_trial(house) >= wanted, what="catching up after hours")
    assert until(lambda: up_to_date(figures(house)), what="no lag again")
    assert no_difference(house)


# ── Ready, stopping, dying ──


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_a_worker_keeps_time_however_far_ahead_the_clock_is_moved(environ, tmp_path):
    """The metronome beats in real time; only what it asks goes by the moved hour. (All others here are moved back.)"""
    moved = MovedClock(tmp_path / "clock")
    moved.forward(timedelta(days=400))
    environ |= {"EPRO_CLOCK_OFFSET_FILE": str(moved.file), "EPRO_TICK_SECONDS": "0.5"}
    with Processes(environ, tmp_path) as running:
        worker = running.worker()
        first = until(lambda: last_beat(environ), seconds=8, what="the first beat")
        until(lambda: last_beat(environ) > first, seconds=8, what="the next beat")
        assert (worker.stop(), worker.left_nobody()) == (0, True)


def test_a_provider_that_hangs_stops_neither_the_heart_nor_an_alert(house):
    house.phone(late := "+8613900000001")
    house.phone("+8613900000002")
    house.twilio.script_for(late, "accept", "hang")
    house.it_is("19:00")
    until(lambda: len(house.twilio.posts) == 2, what="the first reminders")
    house.it_is("21:00")
    until(
        lambda: len([post for post in house.twilio.posts if post.form["To"] == late]) == 2,
        what="the hanging call",
    )
    house.it_is("06:05", day=1)
    noor, moment = house.staff(), time.monotonic()
    until(lambda: len(noor.worklist()) == 2, seconds=8, what="both alerts")
    until(lambda: house.ready()[0] == 200, seconds=3, what="being ready")
    assert time.monotonic() - moment < 8  # the hanging call lasts ten
    house.workers.pop().kill()  # it would wait for the call


def test_a_web_process_told_to_stop_answers_what_it_has_begun(house, held_writers):
    house.it_is("20:00")
    ada, web = house.phone("+8613900000001"), house.serve()
    answers(ada)
    sent = list(ada.unsent)
    with ThreadPoolExecutor(1) as aside:
        with held_writers():
            receipt = aside.submit(ada.upload, clock.now())
            time.sleep(0.5)
            assert not receipt.done()
            web.signal(signal.SIGTERM)
            time.sleep(0.5)
            assert web.runs and not receipt.done()
        (first,) = receipt.result(20)
    assert (first["outcome"], web.wait(), web.left_nobody()) == ("stored", 0, True)
    with pytest.raises(OSError):
        ada.speak("GET", "/v1/phone/me")
    house.serve()
    ada.unsent = sent
    (again,) = ada.upload(clock.now())
    assert (again["outcome"], again["signature"]) == ("already_stored", first["signature"])


def test_a_worker_told_to_stop_notes_what_it_has_begun_and_is_missed_after_two_minutes(house):
    ada = house.phone("+8613900000001")
    house.twilio.slow_seconds = 1.0
    house.twilio.script_for("+8613900000001", "accept_slowly")
    house.it_is("19:00")
    until(lambda: house.twilio.posts, what="the call")
    worker = house.workers.pop()
    assert (worker.stop(), worker.left_nobody()) == (0, True)
    (reminder,) = story(house.staff(), ada)
    assert reminder["accepted_at"] is not None

    house.clock.forward(timedelta(seconds=110))
    assert house.ready()[0] == 200
    house.clock.forward(timedelta(seconds=15))
    assert house.ready() == (503, {"database": True, "migrations": True, "worker": False})
    house.open()
    until(lambda: house.ready()[0] == 200, what="being ready again")


# ── Two workers at once ──


def test_two_workers_racing_and_one_dying_tell_everybody_once(house):
    first, _ = house.open(workers=2)
    noor = house.staff()
    numbers = [f"+86139000000{n:02}" for n in range(1, 7)]
    subjects = [house.enrol(number, noor) for number in numbers]
    before = Counter(kinds_in_feed(house))

    house.it_is("19:00")
    until(lambda: len(house.twilio.messages) >= 6, what="the first reminders")

    house.twilio.slow_seconds = 3.0
    house.twilio.script(*["accept_slowly"] * 2)
    house.it_is("21:00")
    until(lambda: len(house.twilio.posts) >= 8, what="each worker's call")
    first.kill()  # between the provider's taking it and its noting so
    noor = house.staff()
    until(lambda: len(house.twilio.messages) >= 12, what="the second reminders")
    house.clock.forward(timedelta(seconds=62))  # the dead one's lease is over: the other asks the provider
    until(lambda: all_accepted(noor, subjects, 12), what="every reminder's fate")
    assert [request.method for request in house.twilio.requests].count("GET") >= 1

    house.open(workers=2)
    house.it_is("06:05", day=1)
    until(lambda: len(house.sent_to(NOOR)) >= 6, what="the nurse's messages")
    noor = house.staff()
    # The jump ends leases: what is not noted by then is sent again.
    until(lambda: all_accepted(noor, subjects, 18), what="what came of each")
    noor.acknowledge(noor.worklist()[0]["id"])
    house.it_is("10:10", day=1)  # nobody has acted on the other five for four hours
    until(lambda: len(house.sent_to(INES)) >= 5, what="the investigator's messages")

    time.sleep(1.5)  # two more strikes of each: whatever would be told twice is told by now
    wanted = {**dict.fromkeys(numbers, 2), NOOR: 6, INES: 5}
    told = [(message.created, message.form) for message in house.twilio.messages]
    assert Counter(message.to for message in house.twilio.messages) == wanted, told
    noor = house.staff()
    stories = [noor.timeline(subject) for subject in subjects]
    assert [len(told["alerts"]) for told in stories] == [1] * 6
    assert {m["accepted_at"] is not None for told in stories for m in told["messages"]} == {True}
    since = Counter(kinds_in_feed(house)) - before
    assert (since["occurrence.missed"], since["alert.raised"]) == (6, 6)
    assert trail_without_fault(house)


# ── What the tests ask and do ──


def story(noor: StaffMember, phone: Phone) -> list[Any]:
    """The messages of a participant's timeline."""
    found: list[Any] = noor.timeline(phone.subject_id)["messages"]
    return found


def all_accepted(noor: StaffMember, subjects: list[str], wanted: int) -> bool:
    told = [message for subject in subjects for message in noor.timeline(subject)["messages"]]
    return len(told) == wanted and all(message["accepted_at"] for message in told)


def is_open(occurrence: dict[str, Any], hour: datetime) -> bool:
    opens, closes = (datetime.fromisoformat(occurrence[name]) for name in ("opens_at", "closes_at"))
    return opens <= hour < closes


def answers(phone: Phone) -> str:
    """One more answer to today's diary, given this minute; its id."""
    hour = clock.now()
    diary = next(o for o in phone.known.values() if o["assessment"] == "evening" and is_open(o, hour))
    answer = {"worst_fatigue": random.randrange(11)}
    return str(phone.answer(diary, answer, hour - timedelta(minutes=1), hour)["id"])


def upload(phone: Phone) -> str:
    """Answer and hand in; it goes as quickly whatever else is broken. The answer's id."""
    made, began = answers(phone), time.monotonic()
    (receipt,) = phone.upload(clock.now())
    assert (receipt["id"], receipt["outcome"]) == (made, "stored")
    assert time.monotonic() - began < 1.5
    return made


def seconds_to_trial(house: House, phone: Phone) -> list[float]:
    """For each of some uploads, the seconds from its sending to its row in the trial database."""
    sent: dict[str, float] = {}
    stop = threading.Event()
    with ThreadPoolExecutor(1) as aside:
        seen = aside.submit(watch, house, sent, stop)
        try:
            for _ in range(UPLOADS):
                time.sleep(random.uniform(0, 0.25))
                sent[answers(phone)] = time.monotonic()
                phone.upload(clock.now())
            until(lambda: seen.done() or sent.keys() <= in_trial(house), what="the last answer's row")
            time.sleep(0.1)
        finally:
            stop.set()
        arrived = seen.result(5)
    taken = sorted(arrived[made] - began for made, began in sent.items())
    log.info("upload to trial database: median %.3f s, most %.3f s", statistics.median(taken), taken[-1])
    return taken


def watch(house: House, sent: dict[str, float], stop: threading.Event) -> dict[str, float]:
    """When each of these responses was first seen in the trial database."""
    seen: dict[str, float] = {}
    while not stop.is_set():
        for made in in_trial(house) & sent.keys():
            seen.setdefault(made, time.monotonic())
        time.sleep(0.01)
    return seen


def in_trial(house: House) -> set[str]:
    """Ids of the responses in the trial database; none while it is away or has no tables."""
    try:
        with house.trial.connect() as connection:
            return set(connection.scalars(sa.select(trial.responses.c.RESPONSEID)))
    except sa.exc.DBAPIError:
        return set()


def scores_of(house: House, response_id: str) -> list[tuple[str, float]]:
    query = sa.select(trial.scores.c.SCALE, trial.scores.c.QSSTRESN).where(
        trial.scores.c.RESPONSEID == response_id
    )
    try:
        with house.trial.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]
    except sa.exc.DBAPIError:
        return []


def figures(house: House) -> dict[str, float]:
    """What `/metrics` says of the trial database."""
    asked = Request(f"{house.url}/metrics", headers={"Authorization": f"Bearer {METRICS}"})
    with urlopen(asked) as answer:
        found = re.findall(
            r'^epro_sink_(\w+)\{sink="trial-database",.*\} (\S+)$', answer.read().decode(), re.M
        )
    return {what: float(value) for what, value in found}


def up_to_date(told: dict[str, float]) -> bool:
    return told == {"up": 1.0, "astray": 0.0, "lag_entries": 0.0, "waiting_seconds": 0.0}


def kinds_in_feed(house: House) -> list[str]:
    """The kinds of all entries of the sponsor's feed; their positions have no gap."""
    answer = over_http(house.url)(
        "GET", "/v1/sponsor/feed?after=0&limit=1000", None, {"Authorization": f"Bearer {house.key}"}
    )
    records = answer.body["records"]
    assert [record["position"] for record in records] == list(range(1, len(records) + 1))
    return [record["kind"] for record in records]


def no_difference(house: House) -> bool:
    """Whether the trial database holds what the feed says, told by the command."""
    check = house.running.epro("trialdb", "reconcile", "--study", STUDY)
    return check.wait() == 0 or pytest.fail(check.said)


def trail_without_fault(house: House) -> bool:
    check = house.running.epro("trail", "verify")
    return check.wait() == 0 or pytest.fail(check.said)


def last_beat(environ: dict[str, str]) -> str:
    """The newest heartbeat in the main database; empty before the first."""
    with sa.create_engine(environ["EPRO_DATABASE_URL"], poolclass=sa.NullPool).connect() as connection:
        return str(connection.scalar(sa.text("SELECT max(beat_at) FROM heartbeats")) or "")


@dataclass
class SQLiteTrial:
    """Ways for a trial database in a file to be away."""

    file: Path

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Its file is elsewhere, and a directory has its name."""
        parts = [part for part in self.file.parent.glob(f"{self.file.name}*") if part.suffix != ".queue"]
        aside = [part.rename(part.with_name("away-" + part.name)) for part in parts]
        self.file.mkdir()
        yield
        self.file.rmdir()
        for part, moved in zip(parts, aside, strict=True):
            moved.rename(part)

    @contextmanager
    def held(self) -> Iterator[None]:
        with holding_sqlite(self.file):
            yield

    def lose(self) -> None:
        for part in self.file.parent.glob(f"{self.file.name}*"):
            part.unlink(missing_ok=True)


@dataclass
class PostgreSQLTrial:
    """Ways for a trial database on a server to be away."""

    url: sa.URL

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Everybody is thrown out and nobody is let in."""
        self._order(f'ALTER DATABASE "{self.url.database}" ALLOW_CONNECTIONS false')
        self._order(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.url.database}'"
        )
        yield
        self._order(f'ALTER DATABASE "{self.url.database}" ALLOW_CONNECTIONS true')

    @contextmanager
    def held(self) -> Iterator[None]:
        with psycopg.connect(plain(self.url)) as connection:
            connection.execute("LOCK TABLE feed_state IN ACCESS EXCLUSIVE MODE")
            yield

    def lose(self) -> None:
        self._order(f'DROP DATABASE "{self.url.database}" WITH (FORCE)')
        self._order(f'CREATE DATABASE "{self.url.database}"')

    def _order(self, statement: str) -> None:
        with psycopg.connect(plain(self.url.set(database="postgres")), autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture
def away(built) -> SQLiteTrial | PostgreSQLTrial:
    url = sa.make_url(built.environ["EPRO_TRIAL_DATABASE_URL"])
    return SQLiteTrial(Path(url.database)) if url.get_backend_name() == "sqlite" else PostgreSQLTrial(url)


@pytest.fixture
def held_writers(built) -> Callable[[], Any]:
    """A block during which nobody can write to a participant in the main database."""
    url = sa.make_url(built.environ["EPRO_DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        return lambda: holding_sqlite(Path(url.database))
    return lambda: holding_participants(url)


@contextmanager
def holding_sqlite(file: Path) -> Iterator[None]:
    engine = sa.create_engine(
        f"sqlite:///{file}", poolclass=sa.NullPool, connect_args={"isolation_level": None}
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        connection.exec_driver_sql("ROLLBACK")


@contextmanager
def holding_participants(url: sa.URL) -> Iterator[None]:
    with psycopg.connect(plain(url)) as connection:
        connection.execute("SELECT 1 FROM participants FOR UPDATE")
        yield


def plain(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
