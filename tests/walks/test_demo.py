"""The demo as somebody tries it: started, every printed line copied, ended with Ctrl-C, nothing left behind.

And what it is made of: the same people do the same things again for the same seed, and what they answer is
an answer.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import clock, create_app, db
from epro.cli import children, demo, founding
from epro.exporting.models import ExportJob
from epro.notifications.models import Alert, AlertStep, Message
from epro.queries import asking
from epro.queries.models import Query
from epro.questionnaires.instrument import localised
from epro.questionnaires.library import bundled
from epro.responses.models import SetAside
from epro.scheduling.models import Occurrence
from epro.signing import signatures
from epro.signing.models import Signature
from epro.simulation import answering, characters, history
from epro.simulation.characters import Look, Travel
from epro.simulation.people import Caller, over_http
from epro.trail.models import Event
from epro.tx import Tx, look, system
from tests.support.processes import EPRO, free_port, until

SITES = [("101", "Asia/Shanghai"), ("102", "Asia/Shanghai")]
LAST_WORDS = "Ctrl-C ends the demo."
PATIENCE = 120.0  # seconds; a test machine may be busy with several suites


@dataclass
class Demo:
    """A running `epro demo` in a process group of its own."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    output: Path
    begun_at: datetime
    ready_at: datetime

    @property
    def said(self) -> str:
        return self.output.read_text()

    def members(self) -> list[int]:
        """Everybody in its group: itself, gunicorn and its worker, `epro worker`."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listed.stdout.splitlines()]
        return [int(pid) for pid, group in rows if int(group) == self.process.pid]

    def environment(self) -> dict[str, str]:
        """What env.sh exports."""
        lines = (self.folder / "env.sh").read_text().splitlines()
        found = dict(
            line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export EPRO_")
        )
        return {name: value.strip("'") for name, value in found.items()}

    def to_copy(self) -> list[str]:
        """The lines that are printed to be copied."""
        return [line[4:] for line in self.said.splitlines() if line.startswith("    ")]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A small demo, up and running."""
    place, port = tmp_path_factory.mktemp("demo"), free_port()
    command = [
        EPRO,
        "demo",
        "--port",
        str(port),
        "--dir",
        place / "here",
        "--participants",
        "3",
        "--days",
        "7",
    ]
    begun_at = datetime.now(UTC)
    with (place / "said").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=place, start_new_session=True)
    try:
        until(
            lambda: LAST_WORDS in (place / "said").read_text() or process.poll() is not None,
            PATIENCE,
            "the demo",
        )
        assert process.poll() is None, (place / "said").read_text()
        yield Demo(process, place / "here", port, place / "said", begun_at, datetime.now(UTC))
    finally:
        _end_group(process)


@pytest.fixture
def refused(monkeypatch):
    """Calls `epro demo` with arguments that it must refuse; gives the one line it says."""
    monkeypatch.setattr(demo, "_forget_outside_settings", lambda: None)

    def call(*arguments: object) -> str:
        done = CliRunner().invoke(demo.demo, [str(argument) for argument in arguments])
        assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
        return done.output

    return call


def test_every_line_to_copy_works(running):
    lines = running.to_copy()
    script = "\n".join(f"{line}\necho; echo ==" for line in lines)
    done = subprocess.run(
        ["bash", "-u", "-c", script], capture_output=True, text=True, cwd=running.folder, timeout=60
    )
    assert done.stderr == ""
    told = dict(zip(lines, done.stdout.split("==\n"), strict=False))

    worklist, taken = _json(told, "standing=true"), _json(told, "acknowledgement")
    assert worklist["alerts"] and all(alert["site"] == "101" for alert in worklist["alerts"])
    assert (taken["acknowledged_note"], taken["standing"]) == ("I am calling her", True)
    receipts = [
        json.loads(said)["receipts"][0]
        for line, said in zip(lines, done.stdout.split("==\n"), strict=False)
        if "phone/responses" in line
    ]
    assert [receipt["outcome"] for receipt in receipts] == ["stored", "already_stored"]
    assert receipts[0]["signature"] == receipts[1]["signature"]
    records = _json(told, "sponsor/feed")["records"]
    stored = [one for one in records if one["kind"] == "response.stored"]
    (entry,) = [one for one in stored if one["response"]["id"] == receipts[0]["id"]]
    assert [score["value"] for score in entry["scores"]] == [6]
    newest = next(said for line, said in told.items() if "sqlalchemy" in line)
    assert newest.splitlines()[0] == f"msc-sle-{entry['subject_id']} FATIGUE DIARY worst_fatigue 6.0"
    compared = f"{entry['position']} entries compared, 0 differences"
    assert told['epro trialdb reconcile --study "$STUDY"'].strip() == compared
    assert re.fullmatch(r"\d+ entries, no fault", told["epro trail verify"].strip())


def test_what_it_says_of_its_history_is_so(running):
    said = running.said
    participants, days = map(int, re.search(r"(\d+) virtual participants, (\d+) days", said).groups())
    assert (participants, days) == (3, 7)
    responses, scores = map(
        int, re.search(r"(\d+) responses, (\d+) scores in the trial database", said).groups()
    )
    assert 0 < responses < scores
    assert int(re.search(r"(\d+) alerts standing", said)[1]) >= 1
    assert "Making 7 days of history of 3 participants" in said  # in a pipe each long step is told in a line
    assert "Making history: 100 %" in said


def test_every_role_is_there_with_a_login_that_opens(running):
    rows = re.findall(
        r"^  (\w+) +(?:site \d+|all sites) +(\S+@\S+) +(\S+)$", running.said, flags=re.MULTILINE
    )
    assert {row[0] for row in rows} == {
        "nurse",
        "investigator",
        "data_manager",
        "monitor",
        "study_builder",
        "administrator",
    }
    for role, email, password in rows:
        told = _post(running.port, "/v1/staff/login", {"email": email, "password": password})
        assert {grant["role"] for grant in told["staff"]["roles"]} == {role}


def test_the_worker_goes_on_from_the_history_without_a_burst(running):
    """What fell due in the weeks before was done then; the worker finds only what is due now."""
    newcomer = re.search(r"participant (\S+), who is in", running.said)[
        1
    ]  # she begins in the middle of a visit
    a_minute = timedelta(minutes=1)
    with _reading(running.environment()) as tx:
        messages = tx.all(sa.select(Message))
        skipped = tx.all(
            sa.select(Event).where(Event.action == "reminder.skipped", Event.subject_id != newcomer)
        )
        waiting = sa.select(Occurrence).where(Occurrence.attention_at < running.ready_at - a_minute)
        left = tx.all(waiting)
    assert len([one for one in messages if one.accepted_at]) > 10
    # What falls due while the history is made waits for the worker, however slow the machine is.
    before = [one for one in messages if one.begun_at and one.due_at < running.begun_at]
    assert [one for one in before if one.begun_at - one.due_at > a_minute] == []
    assert [one for one in messages if one.withheld_reason in ("stale", "window_closed")] == []
    assert [row for row in skipped if json.loads(row.body)["reason"] in ("stale", "window_closed")] == []
    assert left == []


def test_a_little_of_everything_is_on_the_desks(running):
    with _reading(running.environment()) as tx:
        (asked,) = asking.standing(tx, tx.all(sa.select(Query)))
        (aside,) = tx.all(sa.select(SetAside))
        (signed,) = signatures.standing(tx, tx.all(sa.select(Signature)))
        (export,) = tx.all(sa.select(ExportJob))
    assert asked.state == asking.ASKED
    assert (aside.outcome, aside.settled_at) == ("held", None)
    assert signed.signed and not signed.breaks
    assert export.finished_at and (running.folder / "exports" / export.made["file"]).is_file()


def test_its_secrets_are_for_its_owner_only(running):
    assert (running.folder / "env.sh").stat().st_mode & 0o077 == 0
    assert running.folder.stat().st_mode & 0o077 == 0


def test_a_second_demo_in_the_same_folder_is_refused(running, refused):
    assert "A demo is running in" in refused("--dir", running.folder, "--port", free_port())
    assert (running.folder / "env.sh").exists()


def test_a_port_in_use_is_said_at_once(running, refused, tmp_path):
    assert f"Port {running.port} is in use" in refused("--dir", tmp_path / "other", "--port", running.port)
    assert not (tmp_path / "other").exists()


def test_ctrl_c_ends_all_of_it(running):
    """The last of this demo: to it alone, as a process manager would, so that it has to tell its children."""
    assert len(running.members()) >= 4
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0
    until(lambda: running.members() == [], 5, "the end of everybody")
    assert running.said.splitlines()[-1] == "The demo has ended."
    assert "Traceback" not in running.said
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", running.port))


# Its processes.

PARENT = """
import sys
from pathlib import Path
from epro.cli import children
folder = Path(sys.argv[1])
sleep = ["-c", "import time; print('up', flush=True); time.sleep(60)"]
with children.until_signalled() as stop:
    running = [children.start(name, sleep, {}, folder, folder / name) for name in ("web", "worker")]
    while not stop.wait(0.1):
        pass
    children.end(running)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_child_outlives_its_parent(tmp_path, number):
    if number == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells children of a parent's sudden end")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert [parent.stdout.readline() for _ in range(2)] == [b"up\n"] * 2
        parent.send_signal(number)
        assert parent.wait(20) == (-9 if number == signal.SIGKILL else 0)
        until(lambda: _is_empty(parent.pid), 5, "the end of the children")
    finally:
        _end_group(parent)
        parent.stdout.close()


def test_a_child_that_dies_is_named_with_its_last_words(tmp_path):
    dying = ["-c", "import sys; sys.exit('no disk left')"]
    child = children.start("worker", dying, os.environ, tmp_path, tmp_path / "worker.log")
    child.process.wait(20)
    assert children.first_ended([child]) is child
    assert child.end.startswith("The worker process ended with exit code 1") and "no disk left" in child.end


# Its folder.


def test_a_folder_that_no_demo_made_is_left_alone(refused, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "holds something that no demo made" in refused("--dir", tmp_path, "--port", free_port())
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_without_the_example_study_it_says_so(refused, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "STUDY_FILE", tmp_path / "absent.yaml")
    assert "The example study is not there" in refused("--dir", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


# Its people.


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """The same weeks made twice from the same seed, on a clock that stands still."""
    return [_made(tmp_path_factory.mktemp(name)) for name in ("once", "again")]


def test_the_same_seed_makes_the_same_history(twice):
    once, again = twice
    assert once["responses"] and once["alerts"] and once["messages"]
    assert once == again
    assert {"taken", "contact_attempt"} <= {kind for kind, _ in once["steps"]}


def test_the_clockwork_of_a_history_never_strikes_before_what_somebody_did(monkeypatch):
    """Who is enrolled at 10:25 may have something due since 10:00: it is attended to late, as it would be."""
    ten, struck = datetime(2026, 3, 2, 10, 0, tzinfo=UTC), []
    due = [ten, ten + timedelta(minutes=30)]
    monkeypatch.setattr(history, "next_due", lambda: due[0] if due else None)
    clockwork = history.Clockwork(
        lambda: [struck.append(clock.now()), due.pop(0)], lambda: 0, ten - timedelta(hours=1)
    )
    clockwork.not_before = ten + timedelta(minutes=25)
    clockwork.run_until(ten + timedelta(hours=1))
    assert struck == [ten + timedelta(minutes=25), ten + timedelta(minutes=30)]


def test_every_kind_of_participant_does_what_sets_her_apart():
    company = characters.company(12, SITES, date(2026, 3, 2), date(2026, 4, 13), 1)
    assert {who.kind for who in company} == set(characters.KINDS)
    acts = {who.kind: {type(act).__name__ for act in characters.life(who)} for who in company}
    usual = {"Enrol", "Activate", "SetInfusion", "Look"}
    extra = {
        "travelling": {"Travel"},
        "opted_out": {"OptOut"},
        "new_phone": {"ReplacePhone"},
        "withdrawn": {"Withdraw"},
    }
    for kind, done in acts.items():
        assert done == (usual | extra.get(kind, set())) - (
            {"SetInfusion"} if kind == "awaiting" else set()
        ), kind
    assert {who.language for who in company} == {"zh-CN", "en"}


def test_another_seed_makes_other_lives():
    def lives(seed):
        return [
            characters.life(who)
            for who in characters.company(5, SITES, date(2026, 3, 2), date(2026, 4, 13), seed)
        ]

    assert lives(1) == lives(1) != lives(2)


def test_she_who_travels_answers_in_the_evening_of_where_she_is():
    company = characters.company(8, SITES, date(2026, 3, 2), date(2026, 4, 13), 1)
    (who,) = (one for one in company if one.kind == "travelling")
    acts = characters.life(who)
    there, back = (act for act in acts if isinstance(act, Travel))
    away = [act for act in acts if isinstance(act, Look) and there.at < act.at < back.at]
    assert away and all(18 <= act.at.astimezone(ZoneInfo(characters.AWAY)).hour < 24 for act in away)


def test_the_last_days_alerts_are_left_for_who_tries_the_demo():
    until_now = datetime(2026, 4, 13, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
    acts = characters.rounds(SITES, date(2026, 3, 2), until_now)
    assert acts and max(act.at for act in acts) <= until_now - characters.LATE_ROUNDS
    forgetful = characters.company(1, SITES, date(2026, 3, 2), until_now.date(), 1)[0]
    evenings = {act.at.date() for act in characters.life(forgetful) if isinstance(act, Look)}
    assert evenings.isdisjoint({date(2026, 4, 11), date(2026, 4, 10)})


@pytest.mark.parametrize("instrument", bundled(), ids=lambda one: one.code)
def test_what_they_answer_is_an_answer(instrument):
    items = localised(instrument, "en")["items"]
    found = set()
    for seed in range(60):
        given = answering.answers(instrument.code, items, 0.6, Random(seed), Random(-seed))
        assert list(given) == [item["id"] for item in items]
        for item in items:
            allowed = set(instrument.item(item["id"]).codes) | ({"NA"} if item["not_applicable"] else set())
            assert given[item["id"]] is None or given[item["id"]] in allowed
        found |= set(map(str, given.values()))
    assert ("None" in found) == (len(items) > answering.LONG)
    assert ("NA" in found) == any(item["not_applicable"] for item in items)


def test_fatigue_wanes_after_the_infusion_and_every_instrument_shows_it():
    def mean(days):
        return sum(answering.burden(Random(n), Random(n + days), days) for n in range(200)) / 200

    assert mean(0) > mean(10) + 0.05 > mean(40) + 0.1
    codes = {
        "fatigue_diary": ("worst_fatigue", 9),
        "fss": ("fss1", 6),
        "facit_fatigue": ("ff07", 0),
        "lupusqol": ("lq31", 0),
    }
    for instrument in bundled():
        if instrument.code in codes:
            item, heavy = codes[instrument.code]
            given = answering.answers(
                instrument.code, localised(instrument, "en")["items"], 0.95, Random(1), Random(2)
            )
            assert abs(given[item] - heavy) <= 1, instrument.code


@pytest.mark.parametrize("month", [1, 7])
@pytest.mark.parametrize("hour", range(24))
def test_somewhere_it_is_evening_with_hours_left(hour, month):
    for minute in (0, 4, 30, 59):
        now = datetime(2026, month, 20, hour, minute, tzinfo=UTC)
        local = now.astimezone(ZoneInfo(founding.where_it_is_evening(now)))
        assert (18, 5) <= (local.hour, local.minute) <= (20, 59), local


def _made(place: Path) -> dict[str, list]:
    """What a small history leaves behind, without what is random on purpose: keys, signatures, tokens."""
    protocol, text = demo._study()
    environ = {**demo._environ(place, 8000), "EPRO_PASSWORD_COST": "cheap"}
    with clock.moved_to(datetime(2026, 4, 13, 3, 0, tzinfo=UTC)):
        founding.make(environ, protocol, text, 3, 7)
    with _reading(environ) as tx:
        alerts = (Alert.id, Alert.raised_at, Alert.acknowledged_at, Alert.outcome, Alert.cleared_at)
        messages = (Message.subject_id, Message.purpose, Message.begun_at, Message.withheld_reason)
        left = {"steps": _rows(tx, AlertStep.kind, AlertStep.at)}
        left |= {"alerts": _rows(tx, *alerts), "messages": _rows(tx, *messages)}
    trial = sa.create_engine(environ["EPRO_TRIAL_DATABASE_URL"])
    with trial.connect() as connection:
        for table, columns in (
            ("responses", "RESPONSEID, DIGEST, RECVDTC"),
            ("scores", "RESPONSEID, SCALE, QSSTRESN"),
        ):
            query = sa.text("SELECT " + columns + " FROM " + table)
            left[table] = sorted(map(tuple, connection.execute(query)), key=str)
    trial.dispose()
    return left


def _rows(tx: Tx, *columns) -> list[tuple]:
    return sorted(map(tuple, tx.session.execute(sa.select(*columns))), key=str)


@contextmanager
def _reading(environ: dict[str, str]) -> Iterator[Tx]:
    app = create_app(environ)
    with app.app_context():
        try:
            with look(system("test")) as tx:
                yield tx
        finally:
            for engine in db.db.engines.values():
                engine.dispose()


def _json(told: dict[str, str], part: str):
    return next(
        json.loads(said) for line, said in told.items() if part in line and said.lstrip().startswith("{")
    )


def _post(port: int, path: str, body: dict):
    return Caller(over_http(f"http://127.0.0.1:{port}")).must("POST", path, body)


def _is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def _end_group(process: subprocess.Popen) -> None:
    if not _is_empty(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
