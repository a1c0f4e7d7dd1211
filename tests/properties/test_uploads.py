"""Uploads: any order, any repetition, any batches, two phones, replies that never arrive. The data are the same.

UP-01  The same entries end as the same responses, scores, fulfilled occurrences and feed content.
UP-02  Each entry has one receipt: whenever it is sent again, the same is given again.
UP-03  Of several contents under one id the first stays, and each of the others is kept beside it.
UP-04  Which of two answers to one window counts does not depend on which came first; all but the first one say that
       another is on file.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epro import canonical, clock
from epro.responses import receiving
from epro.responses.models import Response, Score, SetAside
from epro.scheduling.models import Occurrence
from epro.simulation.people import Phone
from epro.studies.models import Participant
from epro.trail import verifying
from epro.trail.models import FeedEntry
from epro.tx import look, system
from tests.cast import at

TESTS = system("tests")
NOW = at("2026-03-06T01:00")  # the diaries of the second to the fifth; the grace of the last is not over
MINUTE = timedelta(minutes=1)
STORIES = int(os.environ.get("TEST_STORIES", 30))  # for a long night: more


@dataclass(frozen=True)
class Answered:
    """One filling-in: which evening, how tired, how many minutes after six, and under which id (its number)."""

    number: int
    day: int
    code: int | None
    minute: int


@st.composite
def fillings(draw, *, variants: bool):
    """Up to six fillings, two of them perhaps for one evening; with variants also two contents under one id."""
    count = draw(st.integers(1, 6))
    shape = st.tuples(st.integers(2, 5), st.none() | st.integers(0, 10), st.integers(0, 359))
    return [Answered(draw(st.integers(0, 2)) if variants else n, *draw(shape)) for n in range(count)]


sendings = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.lists(st.integers(0, 5), min_size=1, max_size=8)), max_size=6
)
"""Which phone sends which fillings, in this order; whether the reply arrives decides the phone's next move, which is
one of these too."""


@dataclass
class Scene:
    """A nurse who enrols somebody new for every story."""

    cast: object
    count: int = 0
    noor: object = None

    def participant(self) -> Sender:
        with self.cast.on("2026-03-02T10:00"):
            self.noor = self.noor or self.cast.staff("noor")
            self.count += 1
            subject_id = f"up-{self.count:04}"
            self.noor.enrol(study="diary", site="01", language="en", time_zone="Asia/Shanghai", subject_id=subject_id,
                            anchors={"enrolment": "2026-03-02"}, contact={})  # fmt: skip
        with clock.moved_to(NOW):
            nurse = self.cast.staff("noor")
            phones = [Phone(self.cast.line).activate(nurse.code_for(subject_id)) for _ in range(2)]
        return Sender(subject_id, phones)


@dataclass
class Sender:
    """One participant with two phones. `replies` are all receipts of an entry, by its digest."""

    subject_id: str
    phones: list[Phone]
    now: datetime = NOW
    replies: dict[str, list] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        with look(TESTS) as tx:
            mine = sa.select(Occurrence).where(Occurrence.subject_id == self.subject_id)
            self.diaries = {row.local_day.day: row for row in tx.all(mine) if row.assessment_id == "evening"
                            and row.local_day.month == 3}  # fmt: skip

    def entry(self, one: Answered) -> dict:
        evening = at(f"2026-03-0{one.day}T18:00") + one.minute * MINUTE
        return {
            "id": str(self.id_of(one.number)), "occurrence_id": str(self.diaries[one.day].id),
            "instrument": {"code": "fatigue_diary", "version": "1.0"}, "language": "en",
            "answers": {"worst_fatigue": one.code}, "completed_at": evening.isoformat(),
            "started_at": (evening - MINUTE).isoformat(), "time_zone": "Asia/Shanghai",
        }  # fmt: skip

    def id_of(self, number: int) -> UUID:
        return UUID(hashlib.sha256(f"{self.subject_id}/{number}".encode()).hexdigest()[:32])

    def send(self, phone: int, entries: list[dict]) -> list[dict]:
        self.now += MINUTE
        with clock.moved_to(self.now):
            body = {"responses": entries, "sent_at": self.now.isoformat()}
            receipts = self.phones[phone].speak("POST", "/v1/phone/responses", body)["receipts"]
        for entry, receipt in zip(entries, receipts, strict=True):
            self.replies[canonical.digest(entry)].append(receipt)
        return receipts

    def tell(self, filled: list[Answered], sent: list) -> None:
        """Everything as it was sent; what was never chosen goes out at the end."""
        entries = [self.entry(one) for one in filled]
        for phone, chosen in sent:
            self.send(phone, [entries[n % len(entries)] for n in chosen])
        self.send(0, entries)

    def kept(self) -> Kept:
        with look(TESTS) as tx:

            def mine(model):
                return tx.all(sa.select(model).where(model.subject_id == self.subject_id))

            return Kept(mine(Response), mine(Score), mine(SetAside), mine(FeedEntry), mine(Occurrence))


@dataclass
class Kept:
    """What the database holds of her."""

    responses: list[Response]
    scores: list[Score]
    set_asides: list[SetAside]
    feed: list[FeedEntry]
    occurrences: list[Occurrence]

    def by_window(self) -> dict:
        found = defaultdict(list)
        for row in self.responses:
            found[row.occurrence_id].append(row)
        return found

    def told(self) -> list[dict]:
        """What the feed tells, without what belongs to the moment and the line it came by."""
        bodies = [orjson.loads(entry.body) for entry in self.feed if entry.kind == "response.stored"]
        for body in bodies:
            for name in ("event_id", "at"):
                del body[name]
            for name in ("received_at", "device_id"):
                del body["response"][name]
        return sorted(bodies, key=lambda body: body["response"]["id"])


def check_receipts(sender: Sender) -> None:
    """UP-02."""
    for receipts in sender.replies.values():
        lasting = [
            {key: r[key] for key in ("id", "digest", "received_at", "signature", "findings")}
            for r in receipts
        ]
        assert all(one == lasting[0] for one in lasting)
        first, later = receipts[0]["outcome"], {receipt["outcome"] for receipt in receipts[1:]}
        assert later <= {{"stored": "already_stored"}.get(first, first)}


def check_same_data(sender: Sender, filled: list[Answered]) -> None:
    """UP-01 and UP-04, worked out from the fillings alone."""
    entries, kept = {sender.id_of(one.number): sender.entry(one) for one in filled}, sender.kept()
    assert {row.id: row.digest for row in kept.responses} == {
        key: canonical.digest(entry) for key, entry in entries.items()}  # fmt: skip
    assert all(canonical.decode(row.body.encode()) == entries[row.id] for row in kept.responses)
    assert {row.response_id: (row.value, row.run) for row in kept.scores} == {
        sender.id_of(one.number): (one.code, 1) for one in filled}  # fmt: skip
    assert len(kept.scores) == len(kept.responses) == len(filled) and kept.set_asides == []
    fulfilled = {row.local_day.day for row in kept.occurrences if row.fulfilled_at}
    assert fulfilled == {one.day for one in filled}
    for occurrence_id, rows in kept.by_window().items():
        rivals = [one for one in filled if sender.diaries[one.day].id == occurrence_id]
        winner = min(rivals, key=lambda one: (one.minute, str(sender.id_of(one.number))))
        assert receiving.primary(rows).id == sender.id_of(winner.number)


def check_feed(sender: Sender, filled: list[Answered]) -> None:
    """UP-01: one entry of the feed for each filling, telling just what she sent and what it was scored."""
    told, said_so = sender.kept().told(), dict.fromkeys((one.day for one in filled), 0)
    assert len(told) == len(filled)
    for one, body in zip(sorted(filled, key=lambda one: str(sender.id_of(one.number))), told, strict=True):
        entry, response, (score,) = sender.entry(one), body["response"], body["scores"]
        same = (
            "id",
            "occurrence_id",
            "instrument",
            "language",
            "answers",
            "completed_at",
            "started_at",
            "time_zone",
        )
        told_of = {**response, "instrument": {k: response["instrument"][k] for k in ("code", "version")}}
        assert {name: told_of[name] for name in same} == entry
        assert (response["digest"], response["clock_offset_ms"]) == (canonical.digest(entry), 0)
        findings = [finding["code"] for finding in response["findings"]]
        assert [code for code in findings if code != "answered_before"] == (
            ["late_sync"] if one.day < 5 else []
        )
        said_so[one.day] += "answered_before" in findings
        assert (score["value"], score["answered"]) == (one.code, int(one.code is not None))
    assert said_so == {day: [one.day for one in filled].count(day) - 1 for day in said_so}  # UP-04


def follow(scene: Scene, filled: list[Answered], sent: list) -> None:
    sender = scene.participant()
    sender.tell(filled, sent)
    check_receipts(sender)
    check_same_data(sender, filled)
    check_feed(sender, filled)


def follow_variants(scene: Scene, filled: list[Answered], sent: list) -> None:
    """UP-03."""
    sender = scene.participant()
    sender.tell(filled, sent)
    check_receipts(sender)
    kept = sender.kept()
    first: dict[str, str] = {}
    for digest, receipts in sender.replies.items():  # in the order in which each content came first
        assert (receipts[0]["outcome"] == "stored") == (first.setdefault(receipts[0]["id"], digest) == digest)
        assert receipts[0]["outcome"] in ("stored", "conflict")
    assert {str(row.id): row.digest for row in kept.responses} == first
    others = {digest for digest in sender.replies if digest not in first.values()}
    assert {row.digest for row in kept.set_asides} == others and len(kept.set_asides) == len(others)
    contents = {canonical.digest(sender.entry(one)): sender.entry(one) for one in filled}
    assert all(canonical.decode(row.body.encode()) == contents[row.digest] for row in kept.set_asides)


FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)


@pytest.fixture
def scene(cast) -> Scene:
    yield Scene(cast)
    with look(TESTS) as tx:
        assert list(verifying.faults(tx, Participant)) == []


@on_sqlite
@settings(max_examples=STORIES, deadline=None, suppress_health_check=FIXTURES)
@given(filled=fillings(variants=False), sent=sendings)
def test_the_same_entries_end_as_the_same_data(scene, filled, sent):
    follow(scene, filled, sent)


@on_sqlite
@settings(max_examples=STORIES, deadline=None, suppress_health_check=FIXTURES)
@given(filled=fillings(variants=True), sent=sendings)
def test_of_several_contents_the_first_stays_and_none_is_lost(scene, filled, sent):
    follow_variants(scene, filled, sent)


@on_postgresql
@settings(max_examples=6, deadline=None, suppress_health_check=FIXTURES)
@given(filled=fillings(variants=False), sent=sendings)
def test_the_same_entries_end_as_the_same_data_on_postgresql(scene, filled, sent):
    follow(scene, filled, sent)


@on_postgresql
@settings(max_examples=6, deadline=None, suppress_health_check=FIXTURES)
@given(filled=fillings(variants=True), sent=sendings)
def test_of_several_contents_the_first_stays_on_postgresql(scene, filled, sent):
    follow_variants(scene, filled, sent)
