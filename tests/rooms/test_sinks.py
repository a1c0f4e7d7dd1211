"""Sinks beside the trial database: webhooks, Kafka, files.

SK-01  Each is told every entry, in order for each record, from the first on; each has its own position.
SK-02  Pause, resume, replay, remove. Two workers do not deliver the same to files twice, and one lease holds.
SK-03  What is refused is tried again, parked after enough, and retried by command; its record waits, others go on.
SK-04  One that is away is tried again later and later, and paused after days; nothing is lost. Data managers are told
       of a sink that is paused by what it answered, once.
SK-05  A webhook reaches no address that is not public, whatever its name says at the moment; it is signed.
SK-06  Whatever dies between delivery and position, files have each position once, and torn lines are cut off.
"""

from __future__ import annotations

import os
import random
import socket
from datetime import UTC, timedelta
from pathlib import Path
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer
from standardwebhooks import Webhook

from epro import clock, db
from epro.addresses import may_reach
from epro.cli import epro
from epro.errors import Invalid
from epro.notifications import differing
from epro.notifications.models import Message
from epro.stream import carrying, cursors, outlets, sequencer, tending
from epro.stream.carrying import Carriers
from epro.stream.cursors import Key
from epro.stream.models import SinkRow
from epro.stream.sinks import SinkUnavailable
from epro.stream.sinks.files import FilesOutlet
from epro.stream.sinks.webhook import WebhookOutlet
from epro.trail.models import Event
from epro.tx import begin, look, system
from tests.cast import STUDY, at
from tests.fakes.webhook_receiver import receiving
from tests.rooms.test_trial_database import entry as made_entry

TESTS = system("tests")
HOUR = at("2026-03-02T21:00")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def environ(environ):
    return {**environ, "EPRO_SINKS_TO_LOOPBACK": "on"}


@pytest.fixture
def answered(cast):
    """Three people have answered tonight's diary, and their entries have positions."""
    cast.three_answer()
    sequencer.sequence()
    return newest()


def newest() -> int:
    with look(TESTS) as tx:
        return sequencer.last_position(tx, STUDY)


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


def add(name: str, kind: str, **options: str) -> str | None:
    with begin(TESTS, HOUR) as tx:
        return outlets.add(tx, STUDY, name, kind, options)


def carry(when=HOUR, worker: str = "one") -> int:
    carriers = Carriers(worker, random.Random(1), differing.paused)
    try:
        with clock.moved_to(when):
            return carriers.carry_all()
    finally:
        carriers.close()


def row(name: str) -> SinkRow:
    with look(TESTS) as tx:
        return tx.get(SinkRow, STUDY, name)


def parked(name: str) -> dict[int, str]:
    with look(TESTS) as tx:
        return {one.position: one.reason for one in cursors.parked(tx, Key(STUDY, name))}


def acts(action: str) -> int:
    with look(TESTS) as tx:
        return len(tx.all(sa.select(Event.id).where(Event.action == action)))


def told_of(cast) -> list[str]:
    """Of which sinks the data managers were told that they stand still, in order; nobody else is."""
    with look(TESTS) as tx:
        rows = tx.all(
            sa.select(Message).where(Message.template == "alert.astray").order_by(Message.planned_at)
        )
    assert {row.recipient for row in rows} <= {f"staff/{cast.ids['dana']}"}
    return [row.why["sink"] for row in rows]


# SK-01 and SK-05: webhooks.


def test_a_webhook_is_told_everything_signed_and_once(cast, answered, receiver):
    secret = add("hook", "webhook", url=f"{receiver.address}/in?a=b")
    assert carry() == answered and carry() == 0
    assert receiver.positions == list(range(1, answered + 1))
    headers, body = receiver.got[-1]
    told = orjson.loads(body)
    assert told["type"] == told["data"]["kind"]
    signed = Webhook(secret).sign(headers["webhook-id"], HOUR.astimezone(UTC), body.decode())
    assert headers["webhook-signature"] == signed and headers["webhook-id"] == told["data"]["event_id"]
    assert secret not in str(row("hook").options) + str(row("hook").secret)


@on_sqlite
def test_what_a_receiver_objects_to_is_parked_and_only_its_record_waits(cast, answered, receiver):
    add("hook", "webhook", url=receiver.address)
    first = answered - 2
    receiver.answer = lambda entry: 422 if entry["position"] == first else 200
    carry()
    assert parked("hook") == {first: "HTTP 422"} and row("hook").position == answered
    hour = HOUR
    for _ in range(12):
        hour += timedelta(minutes=20)
        carry(hour)
    assert receiver.positions.count(first) == cursors.ENOUGH
    with begin(TESTS, hour) as tx:
        assert cursors.try_now(tx, Key(STUDY, "hook"), None) == 1
    receiver.answer = lambda entry: 200
    assert carry(hour) == 1 and parked("hook") == {}


@on_sqlite
def test_one_that_is_away_is_tried_later_and_later_and_paused_after_days(cast, answered, receiver):
    add("hook", "webhook", url=receiver.address)
    for status in (302, 404, 429, 500):
        receiver.answer = lambda entry, status=status: status
        assert carry(HOUR + timedelta(minutes=20 * status)) == 0
        assert row("hook").last_fault == f"HTTP {status}" and row("hook").position == 0
    tries = len(receiver.got)
    assert (
        "/elsewhere" not in str(receiver.got) and carry(HOUR + timedelta(minutes=20 * 500, seconds=0.5)) == 0
    )
    assert len(receiver.got) == tries
    assert told_of(cast) == []
    carry(HOUR + timedelta(days=20))
    assert row("hook").paused_why.startswith("failing since") and acts("sink.paused") == 1
    assert told_of(cast) == ["hook"]
    receiver.answer = lambda entry: 200
    assert carry(HOUR + timedelta(days=21)) == 0
    with begin(TESTS, HOUR + timedelta(days=21)) as tx:
        cursors.resume(tx, outlets.found(tx, STUDY, "hook"), "mended")
    assert carry(HOUR + timedelta(days=21)) == answered and parked("hook") == {}


@on_sqlite
def test_a_receiver_that_is_gone_is_not_told_any_more(cast, answered, receiver):
    add("hook", "webhook", url=receiver.address)
    receiver.answer = lambda entry: 410
    assert carry() == 0 and row("hook").paused_why == "HTTP 410"


ADDRESSES = """
127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.1
169.254.0.1 169.254.169.254 100.64.0.1 100.127.255.255 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 febf::1 fc00::1 fd12:3456::1 ff02::1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8 64:ff9b::7f00:1 64:ff9b::a00:1
64:ff9b:1::a00:1 2002:7f00:1:: 2002:a00:1:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 100::1 fec0::1
3fff::1 2001:1::1 2606:4700:4700::1111%eth0 192.0.0.9 192.88.99.1 localhost 1 0x7f.1 2130706433 nonsense
"""
NOT_PUBLIC = ADDRESSES.split()


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_webhook_reaches_this(address):
    assert not may_reach(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "223.5.5.5"])
def test_a_public_address_is_reached(address):
    assert (
        may_reach(address)
        and may_reach("127.0.0.1", loopback=True)
        and not may_reach("10.0.0.1", loopback=True)
    )


@pytest.mark.parametrize(
    "leads_to", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"]]
)
def test_a_name_that_leads_inside_opens_no_socket(monkeypatch, leads_to):
    """Looked up at the moment of connecting: what the name said before does not count."""
    opened: list[object] = []
    family = socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 443)) for address in leads_to]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
    monkeypatch.setattr(socket.socket, "connect", lambda *a: opened.append(a))
    outlet = WebhookOutlet("https://hooks.example.org/in", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with pytest.raises(SinkUnavailable, match="Forbidden"):
        outlet.deliver([made_entry(1, "anchor.set", anchor={"id": "a", "date": "2026-03-01"})], HOUR)
    assert opened == []


def test_plain_http_is_for_rehearsals():
    with pytest.raises(ValueError, match="https"):
        WebhookOutlet("http://127.0.0.1/", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


# SK-01: Kafka.


@on_sqlite
def test_kafka_is_told_everything_by_subject(cast, answered):
    brokers = Producer({"test.mock.num.brokers": 2})
    servers = ",".join(
        str(b).rpartition("/")[0] or f"{b.host}:{b.port}" for b in brokers.list_topics().brokers.values()
    )
    add("kafka", "kafka", **{"bootstrap.servers": servers})
    assert carry() == answered and carry() == 0
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "g",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([f"epro.{STUDY}"])
    got: list[object] = []
    for _ in range(60):
        if len(got) == answered:
            break
        got += [m for m in consumer.consume(10, 1) if not m.error()]
    consumer.close()
    told = [(m.key().decode(), orjson.loads(m.value())) for m in got]  # type: ignore[attr-defined]
    assert sorted(content["position"] for _, content in told) == list(range(1, answered + 1))
    assert all(key == content["subject_id"] for key, content in told)
    assert dict(got[0].headers())["event_id"].decode() == told[0][1]["event_id"]  # type: ignore[attr-defined]


@on_sqlite
def test_kafka_that_is_away_moves_no_position(cast, answered, monkeypatch):
    monkeypatch.setattr("epro.stream.sinks.kafka.SECONDS", 1.0)
    add("kafka", "kafka", **{"bootstrap.servers": "127.0.0.1:1", "log_level": "0"})
    assert carry() == 0
    assert row("kafka").position == 0 and row("kafka").failing_since is not None


# SK-02 and SK-06: files.


def written(folder: Path) -> list[int]:
    files = sorted((folder / STUDY).glob("*.ndjson"))
    return [orjson.loads(line)["position"] for file in files for line in file.read_bytes().splitlines()]


def test_files_have_each_position_once_whatever_dies_between(cast, answered, tmp_path, monkeypatch):
    add("files", "files", folder=str(tmp_path / "out"))
    monkeypatch.setattr(carrying, "_move", lambda *_: 1 / 0)
    assert carry() == 0  # written, and then the worker died before it could say so
    monkeypatch.undo()
    hour = HOUR + timedelta(hours=1)
    assert written(tmp_path / "out") == list(range(1, answered + 1))
    carry(hour)
    assert written(tmp_path / "out") == list(range(1, answered + 1)) and row("files").position == answered
    (file,) = (tmp_path / "out" / STUDY).glob("*.ndjson")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:30])  # a crash tore the last line
    with begin(TESTS, hour) as tx:
        cursors.replay(tx, outlets.found(tx, STUDY, "files"), answered, "torn")
    carry(hour)
    assert file.read_bytes() == b"".join(lines)
    file.unlink()  # and a folder put back from nowhere is written again from the beginning
    with begin(TESTS, hour) as tx:
        cursors.replay(tx, outlets.found(tx, STUDY, "files"), answered, "lost")
    carry(hour)
    assert file.read_bytes() == b"".join(lines)


@on_sqlite
def test_files_that_hold_what_a_feed_put_back_to_an_earlier_day_has_lost_pass_nothing_over(
    cast, answered, tmp_path
):
    """Another entry would stand at a position that they have: it is not taken for told, a person looks."""
    folder = tmp_path / "out"
    add("files", "files", folder=str(folder))
    carry()
    with begin(
        TESTS, HOUR
    ) as tx:  # the feed and what it knows of its sinks are as they were two entries earlier
        sink = tx.get(SinkRow, STUDY, "files", lock=True)
        sink.position = answered - 2
    file = sorted((folder / STUDY).glob("*.ndjson"))[-1]
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    lines[-1]["event_id"] = str(
        UUID(int=1)
    )  # of these entries the last was lost, and another came in its place
    before = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    file.write_bytes(before)
    assert carry() == 0 and file.read_bytes() == before
    assert row("files").paused_why == f"astray: another entry stands at position {answered} of the files"
    assert acts("sink.paused") == 1 and told_of(cast) == ["files"] and carry() == 0
    assert told_of(cast) == ["files"], "once"
    tending.replay(TESTS, STUDY, "files", answered, "the lost entry is kept aside")
    tending.resume(TESTS, STUDY, "files", "looked at")
    assert carry() == 2 and written(folder) == list(range(1, answered + 1))
    assert str(UUID(int=1)) not in file.read_text()


def test_a_line_longer_than_a_block_is_found_and_cut(tmp_path):
    outlet = FilesOutlet(str(tmp_path), STUDY)
    long = [
        made_entry(n, "anchor.set", anchor={"id": "a" * 200_000, "date": "2026-03-01"}, at="2026-03-01T")
        for n in (1, 2)
    ]
    outlet.deliver(long[:1], HOUR)
    (file,) = (tmp_path / STUDY).glob("*.ndjson")
    whole = file.read_bytes()
    file.write_bytes(whole + b"{" * 150_000)
    outlet.deliver(long, HOUR)
    assert file.read_bytes().startswith(whole) and file.read_bytes().count(b"\n") == 2
    outlet.rewind(1)
    assert file.read_bytes() == whole


def test_one_lease_holds_and_who_lost_it_changes_nothing(cast, answered, tmp_path):
    add("files", "files", folder=str(tmp_path / "out"))
    key = Key(STUDY, "files")
    with begin(TESTS, HOUR) as tx:
        assert cursors.claim(tx, key, "one") == 0
    with begin(TESTS, HOUR) as tx:
        assert cursors.claim(tx, key, "two") is None
    later = HOUR + timedelta(minutes=3)
    with begin(TESTS, later) as tx:
        assert cursors.claim(tx, key, "two") == 0
    with begin(TESTS, later) as tx:
        assert not cursors.advance(tx, key, "one", 0, 2) and cursors.advance(tx, key, "two", 0, 2)


@on_sqlite
def test_who_lost_the_lease_while_it_tried_a_parked_entry_notes_nothing(cast, answered, receiver):
    add("hook", "webhook", url=receiver.address)
    receiver.answer = lambda entry: 422 if entry["position"] == 1 else 200
    carry()
    key, hour = Key(STUDY, "hook"), HOUR + timedelta(minutes=20)

    def another_takes_over(entry):
        with cast.app.app_context(), begin(TESTS, hour + timedelta(minutes=3)) as tx:
            assert cursors.claim(tx, key, "two") == answered
        return 200

    receiver.answer = another_takes_over
    carry(hour)
    assert parked("hook") == {1: "HTTP 422"} and row("hook").leased_by == "two"
    with begin(TESTS, hour) as tx:
        assert not cursors.hold(tx, key, "one") and cursors.hold(tx, key, "two")
        cursors.pause(tx, outlets.found(tx, STUDY, "hook"), "night")
        tx.session.flush()
        assert not cursors.hold(tx, key, "two")


@on_sqlite
def test_a_sink_that_answers_a_parked_entry_is_not_away_any_more(cast, answered, receiver):
    add("hook", "webhook", url=receiver.address)
    receiver.answer = lambda entry: 422 if entry["position"] == 1 else 200
    carry()
    receiver.answer = lambda entry: 500
    carry(HOUR + timedelta(minutes=20))
    assert row("hook").failing_since is not None
    receiver.answer = lambda entry: 200
    carry(HOUR + timedelta(minutes=40))
    assert (row("hook").failing_since, parked("hook")) == (None, {})


@on_sqlite
def test_a_sink_that_has_everything_costs_a_look_and_no_write(cast, answered, receiver, monkeypatch):
    add("hook", "webhook", url=receiver.address)
    receiver.answer = lambda entry: 422 if entry["position"] == 1 else 200
    carry()
    monkeypatch.setattr(carrying, "begin", lambda *_: 1 / 0)
    assert carry() == 0  # and what is parked is not due yet


@on_sqlite
def test_files_are_for_the_owner_and_the_group(cast, answered, tmp_path):
    add("files", "files", folder=str(tmp_path / "out"))
    before = os.umask(0)
    try:
        carry()
    finally:
        os.umask(before)
    made = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert {oct(path.stat().st_mode & 0o007) for path in made} == {"0o0"} and len(made) == 4


@on_sqlite
def test_options_that_make_no_sense_are_said_in_a_sentence(cast, environ, monkeypatch):
    for name, value in {**environ, "EMPTY": "", "ODD": "whsec_no base64", "SHORT": "whsec_c2hvcnQ="}.items():
        monkeypatch.setenv(name, value)
    given = ("url=https://x.org secret=env:EMPTY", "url=https://x.org secret=env:ODD", "url= secret=env:ODD",
             "url=https://x.org secret=env:SHORT", "url=https://", "url=https://x.org secret=")  # fmt: skip
    for options in given:
        words = [part for option in options.split() for part in ("--set", option)]
        done = CliRunner().invoke(epro, ["sink", "add", "webhook", "x", "--study", STUDY, *words])
        assert isinstance(done.exception, Invalid), (options, done.exception)
        assert "c2hvcnQ" not in str(done.exception)


@on_sqlite
def test_the_commands(cast, answered, environ, receiver, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> str:
        done = CliRunner().invoke(epro, ["sink", *words, "--study", STUDY])
        assert done.exit_code in (0, 1), (done.output, done.exception)
        return done.output

    assert "whsec_" in call("add", "webhook", "hook", "--set", f"url={receiver.address}")
    carry()
    assert "hook (webhook), up to date" in call("list")
    assert "paused" in call("pause", "hook", "--reason", "night")
    assert carry(HOUR + timedelta(hours=1)) == 0 and "paused" in call("list")
    call("resume", "hook", "--reason", "day")
    call("replay", "hook", "--from", "2", "--reason", "lost there")
    assert carry(HOUR + timedelta(hours=2)) == answered - 1
    assert call("parked", "hook") == "" and "0 will be tried" in call("retry", "hook")
    call("pause", "trial-database", "--reason", "moving it")
    assert cast.relay() == 0
    call("resume", "trial-database", "--reason", "moved")
    assert cast.relay() == answered and "0 applied" in call("retry", "trial-database")
    call("replay", "trial-database", "--from", "1", "--reason", "to be sure")
    assert cast.relay() == answered
    call("remove", "hook", "--reason", "not needed")
    assert "hook" not in call("list") and row("hook").secret is None
    refused = CliRunner().invoke(
        epro, ["sink", "add", "webhook", "x", "--study", STUDY, "--set", "url=ftp://x"]
    )
    assert refused.exit_code != 0
    bare = [
        "sink",
        "add",
        "kafka",
        "k",
        "--study",
        STUDY,
        "--set",
        "bootstrap.servers=h:1",
        "--set",
        "sasl.password=x",
    ]
    assert "env:NAME" in str(CliRunner().invoke(epro, bare).exception)
    assert db.settings()["SINKS_TO_LOOPBACK"] == "on"


# What the day turns and what is taken away.


def test_entries_of_two_days_in_no_order_stand_in_one_row(tmp_path):
    """Acts that cross midnight together get their positions in the order in which they ended."""
    outlet = FilesOutlet(str(tmp_path), STUDY)
    days = ("2026-03-02", "2026-03-01", "2026-03-02", "2026-03-03")
    entries = [made_entry(n, "anchor.set", at=f"{day}T00:00:00.1Z") for n, day in enumerate(days, 1)]
    outlet.deliver(entries[:2], HOUR)
    outlet.deliver(entries, HOUR)
    assert written(tmp_path) == [1, 2, 3, 4]
    assert [file.stem for file in sorted((tmp_path / STUDY).glob("*.ndjson"))] == ["2026-03-02", "2026-03-03"]


@on_sqlite
def test_a_sink_that_comes_after_one_of_its_name_is_told_everything(cast, answered, receiver):
    add("hook", "webhook", url=receiver.address)
    receiver.answer = lambda entry: 422
    carry()
    assert parked("hook")
    with begin(TESTS, HOUR) as tx:
        outlets.remove(tx, outlets.found(tx, STUDY, "hook"), "another receiver")
    assert parked("hook") == {}
    add("hook", "webhook", url=receiver.address)
    receiver.answer, before = (lambda entry: 200), len(receiver.positions)
    assert carry() == answered and receiver.positions[before:] == list(range(1, answered + 1))
