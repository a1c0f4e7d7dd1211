"""The whole installation as it runs: gunicorn, `epro worker`, both databases, a provider on loopback.

Everything goes through the doors. The hour is moved for all processes at once, by a file that each of them reads.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from epro import clock
from epro.simulation.people import Phone, StaffMember, over_http
from epro.stream.sinks import trial_tables as trial
from tests.cast import PASSWORD, STAFF, STUDY, at
from tests.fakes.twilio_server import ACCOUNT_SID, AUTH_TOKEN, TwilioServer, post_inbound, post_status
from tests.support.processes import Child, MovedClock, Processes, exit_codes, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

NOOR, INES = STAFF["noor"][2], STAFF["ines"][2]
ADA = "+8613900000001"
WITHIN = {"postgresql": 2.0, "sqlite": 3.0}  # seconds from sending an answer to its row in the trial database
UPLOADS = 20


@dataclass
class House:
    """One installation: its processes, its clock, its provider, and who speaks to it."""

    running: Processes
    clock: MovedClock
    twilio: TwilioServer
    environ: dict[str, str]
    port: int
    key: str
    phones: list[Phone] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def web(self, **how: Any) -> Child:
        return self.running.web(port=self.port, **how)

    def open(self, *, workers: int = 1, web_workers: int = 1) -> tuple[Child, list[Child]]:
        """Start the web and so many workers, all at once."""
        web = self.web(workers=web_workers, wait=False)
        clockworks = [self.running.worker(wait=False) for _ in range(workers)]
        return self.running.answering(web), [self.running.at_work(child) for child in clockworks]

    def it_is(self, text: str) -> datetime:
        """Move everybody's clock to this hour in Shanghai."""
        hour = at(text)
        self.clock.put(hour)
        return hour

    def staff(self, name: str = "noor") -> StaffMember:
        return StaffMember(over_http(self.url), email=f"{name}@example.org", password=PASSWORD).sign_in()

    def enrol(self, number: str = ADA, noor: StaffMember | None = None) -> str:
        day = clock.now().astimezone(at("2026-01-01").tzinfo).date()
        made = (noor or self.staff()).enrol(
            study=STUDY, site="01", language="en", time_zone="Asia/Shanghai",
            anchors={"enrolment": day.isoformat()}, contact={"phone": number})
        return str(made["subject_id"])

    def phone(self, number: str = ADA) -> Phone:
        """A newly enrolled participant's phone, activated and in the picture."""
        noor = self.staff()
        phone = Phone(over_http(self.url)).activate(noor.code_for(self.enrol(number, noor)))
        phone.sync()
        self.phones.append(phone)
        return phone

    def ready(self) -> tuple[int, dict[str, bool]]:
        answer = over_http(self.url)("GET", "/readyz", None, {})
        return answer.status, answer.body["checks"]

    def sent_to(self, number: str) -> list[Any]:
        return [message for message in self.twilio.messages if message.to == number]

    @property
    def trial(self) -> sa.Engine:
        return sa.create_engine(self.environ["EPRO_TRIAL_DATABASE_URL"], poolclass=sa.NullPool)


@pytest.fixture
def house(environ, database, tmp_path, monkeypatch) -> Iterator[House]:
    logs, port = tmp_path / "logs", free_port()
    logs.mkdir()
    moved = MovedClock(tmp_path / "clock")
    monkeypatch.setenv("EPRO_CLOCK_OFFSET_FILE", str(moved.file))  # this process's own clock goes with theirs
    with TwilioServer(now=clock.now) as twilio:
        environ |= {
            "EPRO_SMS_SENDER": "twilio", "EPRO_TWILIO_BASE_URL": twilio.url, "EPRO_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "EPRO_TWILIO_AUTH_TOKEN": AUTH_TOKEN, "EPRO_TWILIO_FROM": "+12025550100", "EPRO_TICK_SECONDS": "1",
            "EPRO_PUBLIC_URL": f"http://127.0.0.1:{port}", "EPRO_CLOCK_OFFSET_FILE": str(moved.file),
        }
        with Processes(environ, logs) as running:
            made = House(running, moved, twilio, environ, port, database[1]["machine"])
            yield made
            assert exit_codes([child for child in running.children if child.runs and not child.stop()]) == []
            assert [child.name for child in running.children if not child.left_nobody()] == []
            says_nothing_private(made)


def says_nothing_private(house: House) -> None:
    """No log of any process shows contact data, a secret or a value of an answer; none shows a stack trace."""
    said = house.running.said
    secrets = [PASSWORD, AUTH_TOKEN, house.key, house.environ["EPRO_SECRET_KEY"], NOOR, INES, "+86139", "86139"]
    secrets += [secret for phone in house.phones for secret in (phone.key, phone.refresh_token)]
    assert [number for number, secret in enumerate(secrets) if secret in said] == []
    assert "[parameters:" not in said and "worst_fatigue" not in said
    assert "Traceback" not in said, said[-4000:]


# ── A day in the life, through the real doors ──


def test_a_diary_from_enrolment_to_a_late_sync(house):
    house.it_is("2026-03-02T10:00")
    _, (worker,) = house.open()
    ada = house.phone()

    house.it_is("2026-03-03T00:30")  # she answered at eight, without network
    diary, evening = ada.open_at(at("2026-03-02T20:00"))[0], at("2026-03-02T20:00")
    entry = ada.answer(diary, {"worst_fatigue": 7}, evening, evening + timedelta(minutes=1))
    (first,) = ada.upload(clock.now())
    ada.unsent = [entry]
    (again,) = ada.upload(clock.now())
    assert [first["outcome"], again["outcome"]] == ["stored", "already_stored"]
    assert {name: first[name] for name in ("digest", "received_at", "signature", "id")}.items() <= again.items()
    until(lambda: scores_of(house, entry["id"]) == [("worst_fatigue", 7.0)], what="the score in the trial database")

    house.it_is("2026-03-03T19:30")
    until(lambda: house.sent_to(ADA), what="the reminder")
    tells_what_became_of_it(house, ada, house.sent_to(ADA)[0])

    worker.kill()
    house.it_is("2026-03-04T06:30")  # closed at midnight, six hours of grace
    house.running.worker()
    alert = until(lambda: house.staff().worklist(), what="the alert")[0]
    assert (alert["subject_id"], alert["kind"], alert["standing"]) == (ada.subject_id, "missed", True)
    until(lambda: house.sent_to(NOOR), what="the nurse's message")
    noor = house.staff()
    noor.acknowledge(alert["id"])
    noor.resolve(alert["id"], "reached", "she was travelling")
    assert noor.worklist() == []

    house.it_is("2026-03-05T07:00")  # the diary of the fourth is missed as well
    until(lambda: len(house.staff().worklist()) == 1, what="the second alert")
    ada.sync()
    of_fourth = next(o for o in ada.known.values() if (o["local_day"], o["assessment"]) == ("2026-03-04", "evening"))
    ada.answer(of_fourth, {"worst_fatigue": 3}, at("2026-03-04T21:00"), at("2026-03-04T21:01"))
    (receipt,) = ada.upload(clock.now())
    assert (receipt["outcome"], [f["code"] for f in receipt["findings"]]) == ("stored", ["late_sync"])
    noor = house.staff()
    assert noor.worklist() == []
    assert [a["cleared_why"] for a in noor.timeline(ada.subject_id)["alerts"]] == [None, "completed_offline_in_time"]
    assert len(house.sent_to(ADA)) == 1 and len(house.sent_to(NOOR)) <= 2

    until(lambda: scores_of(house, receipt["id"]) == [("worst_fatigue", 3.0)], what="the late score")
    assert kinds_in_feed(house)[-2:] == ["response.stored", "alert.cleared"]
    assert_the_books_agree(house)


def tells_what_became_of_it(house: House, ada: Phone, message: Any) -> None:
    """The provider's call-back moves the message on if its signature is right, and is turned away if not."""
    where, noor = message.form["StatusCallback"], house.staff()
    assert post_status(where, message.sid, "delivered", ADA, "a guessed token") == 403
    assert post_status(where, message.sid, "delivered", ADA, signed_for="https://elsewhere.example.org/") == 403
    assert story(noor, ada)[0]["delivered_at"] is None
    assert post_status(where, message.sid, "sent", ADA) == 204
    assert post_status(where, message.sid, "delivered", ADA) == 204
    told = until(lambda: [m for m in story(noor, ada) if m["delivered_at"]], what="the delivery")
    assert (len(told), told[0]["accepted_at"] is not None) == (1, True)
    first = told[0]["delivered_at"]
    assert post_status(where, message.sid, "delivered", ADA) == 204  # twice does no harm
    assert [m["delivered_at"] for m in story(noor, ada)] == [first]


def test_who_writes_stop_is_not_reminded(house):
    house.it_is("2026-03-02T10:00")
    house.open()
    ada, inbound = house.phone(), f"{house.url}/hooks/twilio/inbound"
    house.enrol("+8613900000002")
    assert post_inbound(inbound, ADA, "STOP", "a guessed token") == 403
    assert post_inbound(inbound, ADA, "stop ") == 200
    house.it_is("2026-03-02T19:05")
    until(lambda: house.sent_to("+8613900000002"), what="the reminder of the other")
    (withheld,) = until(lambda: [m for m in story(house.staff(), ada) if m["withheld_at"]], what="the withholding")
    assert (withheld["withheld_reason"], house.sent_to(ADA)) == ("opted_out", [])


# ── Into the trial database: how fast, and what if it is away ──


def test_an_answer_is_in_the_trial_database_within_two_seconds(house, engine_name, record_property):
    house.it_is("2026-03-02T20:00")
    house.open(web_workers=2)
    ada = house.phone()
    taken = seconds_to_trial(house, ada, UPLOADS)
    record_property("median_seconds", round(statistics.median(taken), 3))
    record_property("max_seconds", round(max(taken), 3))
    assert max(taken) < WITHIN[engine_name]


@pytest.mark.parametrize("engine_name", ["postgresql"])
def test_the_wake_up_alone_carries_an_answer(house, record_property):
    """The metronome of the feed strikes once an hour: what arrives now was brought by LISTEN and NOTIFY."""
    house.it_is("2026-03-02T20:00")
    house.web()
    slow = "import sys; from epro import cli, worker; worker.RELAY_SECONDS = 3600; sys.argv[1:] = ['worker']; cli.main()"
    house.running.at_work(house.running.start("worker", house.running.python, "-c", slow))
    taken = seconds_to_trial(house, house.phone(), UPLOADS)
    record_property("median_seconds", round(statistics.median(taken), 3))
    record_property("max_seconds", round(max(taken), 3))
    assert statistics.median(taken) < 0.5 and max(taken) < WITHIN["postgresql"]


def test_a_trial_database_that_goes_away_is_missed_by_nobody_and_catches_up(house, away):
    house.it_is("2026-03-02T20:00")
    _, (worker,) = house.open()
    ada = house.phone()
    before = [upload(ada) for _ in range(2)]
    until(lambda: in_trial(house) == set(before), what="the first answers")

    with away.taken():
        during = [upload(ada) for _ in range(3)]
        until(lambda: "sink away" in worker.said, what="the worker's noticing")
    until(lambda: in_trial(house) == {*before, *during}, what="catching up")

    with away.held():  # it takes calls and does not answer
        stuck = [upload(ada) for _ in range(2)]
        house.it_is("2026-03-03T06:30")
        ada.refresh()
        house.it_is("2026-03-03T19:05")
        until(lambda: house.sent_to(ADA), what="a reminder while the trial database hangs")
    until(lambda: in_trial(house) == {*before, *during, *stuck}, what="catching up after it hung")

    away.lose()  # an empty one stands in its place
    until(lambda: in_trial(house) == {*before, *during, *stuck}, what="filling an empty one")
    assert_the_books_agree(house)


# ── Ready, stopping, dying ──


def test_ready_says_when_the_worker_has_fallen_silent(house):
    house.clock.forward(timedelta(days=400))  # a metronome in real time must not wait for the moved one
    _, (worker,) = house.open()
    until(lambda: house.ready()[0] == 200, what="being ready")
    assert worker.stop() == 0
    house.clock.forward(timedelta(seconds=110))
    assert house.ready()[0] == 200
    house.clock.forward(timedelta(seconds=15))
    assert house.ready() == (503, {"database": True, "migrations": True, "worker": False})
    house.running.worker()
    until(lambda: house.ready()[0] == 200, what="being ready again")


def test_a_provider_that_hangs_stops_neither_the_heart_nor_an_alert(house):
    house.it_is("2026-03-02T10:00")
    house.open()
    late, other = house.phone(), house.phone("+8613900000002")
    house.it_is("2026-03-02T19:00")
    until(lambda: len(house.twilio.posts) == 2, what="the reminders of the first day")
    house.twilio.script("hang")
    house.it_is("2026-03-02T21:00")  # the second reminder
    until(lambda: len(house.twilio.posts) == 3, what="the call that hangs")
    house.it_is("2026-03-03T06:05")
    moment = time.monotonic()
    until(lambda: len(house.staff().worklist()) == 2, seconds=6, what="both alerts")
    until(lambda: house.ready()[0] == 200, seconds=3, what="being ready")
    assert time.monotonic() - moment < 9  # the hanging call lasts ten
    assert {late.subject_id, other.subject_id} == {a["subject_id"] for a in house.staff().worklist()}


def test_a_web_process_told_to_stop_answers_what_it_has_begun(house, held_writers):
    house.it_is("2026-03-02T20:00")
    web, _ = house.open(web_workers=2)
    ada = house.phone()
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
    house.web()
    ada.unsent = sent
    (again,) = ada.upload(clock.now())
    assert (again["outcome"], again["signature"]) == ("already_stored", first["signature"])


# ── Two workers at once ──


def test_two_workers_racing_and_one_dying_tell_everybody_once(house):
    house.it_is("2026-03-02T10:00")
    _, clockworks = house.open(workers=2)
    noor = house.staff()
    numbers = [f"+86139000000{n:02}" for n in range(1, 7)]
    subjects = [house.enrol(number, noor) for number in numbers]

    house.it_is("2026-03-02T19:00")
    until(lambda: len(house.twilio.messages) >= 6, what="the first reminders")

    house.twilio.slow_seconds = 3.0
    house.twilio.script(*["accept_slowly"] * 2)
    house.it_is("2026-03-02T21:00")
    until(lambda: len(house.twilio.posts) >= 8, what="each worker's call")
    clockworks[0].kill()  # between the provider's taking it and its noting so
    until(lambda: len(house.twilio.messages) >= 12, what="the second reminders")
    house.clock.forward(timedelta(seconds=62))  # the dead one's lease is over: the other asks the provider
    until(lambda: all_accepted(house, subjects, 12), what="every reminder's fate")
    assert [request.method for request in house.twilio.requests].count("GET") >= 1

    house.running.worker()
    house.it_is("2026-03-03T06:05")
    until(lambda: len(house.sent_to(NOOR)) >= 6, what="the nurse's messages")
    noor = house.staff()
    noor.acknowledge(noor.worklist()[0]["id"])
    house.it_is("2026-03-03T10:10")  # nobody has acted on the other five for four hours
    until(lambda: len(house.sent_to(INES)) >= 5, what="the investigator's messages")

    time.sleep(2.5)  # two more strikes of each: whatever would be told twice is told by now
    wanted = {**dict.fromkeys(numbers, 2), NOOR: 6, INES: 5}
    assert Counter(message.to for message in house.twilio.messages) == wanted
    noor = house.staff()
    stories = [noor.timeline(subject) for subject in subjects]
    assert [len(told["alerts"]) for told in stories] == [1] * 6
    assert {m["accepted_at"] is not None for told in stories for m in told["messages"]} == {True}
    feed = kinds_in_feed(house)
    assert (feed.count("occurrence.missed"), feed.count("alert.raised")) == (6, 6)
    assert_the_books_agree(house)


def test_a_worker_told_to_stop_notes_what_it_has_begun(house):
    house.it_is("2026-03-02T10:00")
    _, (worker,) = house.open()
    ada = house.phone()
    house.twilio.slow_seconds = 1.0
    house.twilio.script("accept_slowly")
    house.it_is("2026-03-02T19:00")
    until(lambda: house.twilio.posts, what="the call")
    assert (worker.stop(), worker.left_nobody()) == (0, True)
    (reminder,) = story(house.staff(), ada)
    assert reminder["accepted_at"] is not None


# ── What the tests ask and do ──


def story(noor: StaffMember, phone: Phone) -> list[Any]:
    """The messages of a participant's timeline."""
    found: list[Any] = noor.timeline(phone.subject_id)["messages"]
    return found


def all_accepted(house: House, subjects: list[str], wanted: int) -> bool:
    noor = house.staff()
    told = [message for subject in subjects for message in noor.timeline(subject)["messages"]]
    return len(told) == wanted and all(message["accepted_at"] for message in told)


def answers(phone: Phone) -> str:
    """One more answer to today's diary, given this minute; its id."""
    hour = clock.now()
    diary = next(o for o in phone.known.values() if o["assessment"] == "evening"
                 and datetime.fromisoformat(o["opens_at"]) <= hour < datetime.fromisoformat(o["closes_at"]))
    answer = {"worst_fatigue": random.randrange(11)}
    return str(phone.answer(diary, answer, hour - timedelta(minutes=1), hour)["id"])


def upload(phone: Phone) -> str:
    """Answer and hand in; it takes less than a second whatever else is broken. The answer's id."""
    made, began = answers(phone), time.monotonic()
    (receipt,) = phone.upload(clock.now())
    assert (receipt["id"], receipt["outcome"]) == (made, "stored")
    assert time.monotonic() - began < 1.5
    return made


def seconds_to_trial(house: House, phone: Phone, count: int) -> list[float]:
    """For each of so many uploads, the seconds from its sending to its row in the trial database."""
    until(lambda: in_trial(house) is not None, what="the trial database's tables")
    sent: dict[str, float] = {}
    with ThreadPoolExecutor(1) as aside:
        stop = threading.Event()
        seen = aside.submit(watch, house, count, stop)
        try:
            for _ in range(count):
                time.sleep(random.uniform(0.05, 0.3))
                made, began = answers(phone), time.monotonic()
                phone.upload(clock.now())
                sent[made] = began
            arrived = seen.result(20)
        finally:
            stop.set()
    assert arrived.keys() == sent.keys()
    return [arrived[made] - began for made, began in sent.items()]


def watch(house: House, count: int, stop: threading.Event) -> dict[str, float]:
    """When each response was first seen in the trial database."""
    seen: dict[str, float] = {}
    with house.trial.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        while len(seen) < count and not stop.is_set():
            for made in connection.scalars(sa.select(trial.responses.c.RESPONSEID)):
                seen.setdefault(made, time.monotonic())
            time.sleep(0.01)
    return seen


def in_trial(house: House) -> set[str] | None:
    """Ids of the responses in the trial database; None while it is away or has no tables."""
    try:
        with house.trial.connect() as connection:
            return set(connection.scalars(sa.select(trial.responses.c.RESPONSEID)))
    except sa.exc.DBAPIError:
        return None


def scores_of(house: House, response_id: str) -> list[tuple[str, float]]:
    query = sa.select(trial.scores.c.SCALE, trial.scores.c.QSSTRESN).where(trial.scores.c.RESPONSEID == response_id)
    try:
        with house.trial.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]
    except sa.exc.DBAPIError:
        return []


def kinds_in_feed(house: House) -> list[str]:
    """The kinds of all entries of the sponsor's feed; their positions have no gap."""
    answer = over_http(house.url)("GET", "/v1/sponsor/feed?after=0&limit=1000", None,
                                  {"Authorization": f"Bearer {house.key}"})
    assert [r["position"] for r in answer.body["records"]] == list(range(1, len(answer.body["records"]) + 1))
    return [record["kind"] for record in answer.body["records"]]


def assert_the_books_agree(house: House) -> None:
    """The trial database holds what the feed says, and the trail has no fault."""
    until(lambda: position_in_trial(house) == len(kinds_in_feed(house)), what="the end of the feed")
    checks = [house.running.start(name, *command) for name, command in house.running.checks(STUDY).items()]
    assert [(child.name, child.wait(60), child.said) for child in checks if child.wait(60)] == []


def position_in_trial(house: House) -> int:
    with house.trial.connect() as connection:
        return connection.scalar(sa.select(trial.feed_state.c.POSITION)) or 0


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
            part.unlink()


@dataclass
class PostgreSQLTrial:
    """Ways for a trial database on a server to be away."""

    url: sa.URL

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Everybody is thrown out and nobody is let in."""
        self._order(f'ALTER DATABASE "{self.url.database}" ALLOW_CONNECTIONS false')
        self._order(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.url.database}'")
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
def away(environ) -> SQLiteTrial | PostgreSQLTrial:
    url = sa.make_url(environ["EPRO_TRIAL_DATABASE_URL"])
    return SQLiteTrial(Path(url.database)) if url.get_backend_name() == "sqlite" else PostgreSQLTrial(url)


@pytest.fixture
def held_writers(environ) -> Callable[[], Any]:
    """A block during which nobody can write to a participant in the main database."""
    url = sa.make_url(environ["EPRO_DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        return lambda: holding_sqlite(Path(url.database))
    return lambda: holding_participants(url)


@contextmanager
def holding_sqlite(file: Path) -> Iterator[None]:
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool, connect_args={"isolation_level": None})
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
