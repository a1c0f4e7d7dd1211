"""What happens to what a phone sends: filed once, scored, signed for; or set aside whole. Never lost.

Bad entries of every kind are in tests/doors/test_bad_entries.py, orders and repetitions in
tests/properties/test_uploads.py.

RE-01  A receipt proves what was taken: its signature is over the id, the digest and the hour.
RE-02  The same entry at the same instant is filed once.
RE-03  One bad entry of a batch costs no other its receipt.
RE-04  The phone's own account of time is kept as it was; the corrected time stands beside it.
RE-05  Everything of one entry is filed in one act, or nothing.
RE-06  The instrument that she saw is the one that is scored with.
RE-07  What was completed before a withdrawal, in a window that was open then, is filed.
RE-08  Of two answers to one occurrence each is filed, the later one says so, and the timeline says which one counts.
"""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from epro import canonical, clock
from epro.questionnaires.library import bundled_instrument
from epro.responses import receiving, runs, sight
from epro.responses.models import Draft, Response, Score, SetAside
from epro.scheduling.models import Occurrence
from epro.simulation.people import in_process
from epro.trail.models import Event, FeedEntry
from epro.tx import look, system
from tests.cast import at

TESTS = system("tests")
EVENING = at("2026-03-02T20:00")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={})


def rows(model) -> list:
    with look(TESTS) as tx:
        return tx.all(sa.select(model))


def entry(phone, score: int | None = 4, completed_at=EVENING, **more) -> dict:
    """Tonight's diary, filled in at eight and not sent yet."""
    diary = next(
        o for o in phone.known.values() if o["assessment"] == "evening" and o["local_day"] == "2026-03-02"
    )
    made = phone.answer(diary, {"worst_fatigue": score}, completed_at - timedelta(minutes=1), completed_at)
    phone.unsent.clear()
    return {**made, **more}


def upload(phone, *entries, when=EVENING, sent_at=None) -> list[dict]:
    with clock.moved_to(when):
        body = {"responses": list(entries), "sent_at": (sent_at or when).isoformat()}
        return phone.speak("POST", "/v1/phone/responses", body)["receipts"]


# RE-01.


def test_a_receipt_proves_what_was_taken(cast, ada):
    sent = entry(ada)
    (receipt,) = upload(ada, sent)
    key = cast.line("GET", "/v1/keys", None, {}).body["receipts"]
    assert key["algorithm"] == "Ed25519"
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key["public_key"]))
    signed = {name: receipt[name] for name in ("digest", "id", "received_at")}
    public.verify(base64.b64decode(receipt["signature"]), canonical.encode(signed))
    assert receipt["digest"] == hashlib.sha256(canonical.encode(sent)).hexdigest()
    assert (receipt["id"], receipt["received_at"]) == (sent["id"], "2026-03-02T12:00:00.000000Z")
    for name, other in (
        ("digest", "0" * 64),
        ("id", str(uuid4())),
        ("received_at", "2026-03-02T12:00:00.000001Z"),
    ):
        with pytest.raises(InvalidSignature):
            public.verify(base64.b64decode(receipt["signature"]), canonical.encode({**signed, name: other}))


@on_sqlite
def test_what_was_set_aside_is_signed_for_as_well(cast, ada):
    (receipt,) = upload(ada, entry(ada, score=99))
    (aside,) = rows(SetAside)
    assert (receipt["outcome"], receipt["signature"], receipt["digest"]) == (
        "held",
        aside.signature,
        aside.digest,
    )


@on_sqlite
def test_the_bytes_that_were_digested_are_kept(cast, ada):
    sent = entry(ada, extra={"note": "é", "n": 1.50}, answers={"worst_fatigue": 4.0})
    upload(ada, sent)
    (row,) = rows(Response)
    assert hashlib.sha256(row.body.encode()).hexdigest() == row.digest
    assert json.loads(row.body) == sent


@on_sqlite
def test_the_hour_of_sending_is_no_part_of_the_content(cast, ada):
    """A phone that puts it into the entry makes no other answer of it by sending again."""
    sent = entry(ada)
    (first,) = upload(ada, {**sent, "sent_at": "2026-03-02T20:00:00+08:00"})
    (again,) = upload(ada, {**sent, "sent_at": "2026-03-02T20:07:00+08:00"})
    assert (first["digest"], again["outcome"]) == (again["digest"], "already_stored")


# RE-02 and RE-03.


@on_postgresql
def test_the_same_entry_at_the_same_instant_is_filed_once(app, cast, ada):
    sent, start = entry(ada), Barrier(4)

    def send() -> dict:
        line = in_process(app)
        start.wait(timeout=30)
        with clock.moved_to(EVENING):
            body = {"responses": [sent], "sent_at": EVENING.isoformat()}
            return line("POST", "/v1/phone/responses", body, {"Authorization": f"Bearer {ada.key}"}).body

    with clock.moved_to(EVENING):
        ada.refresh()
    with ThreadPoolExecutor(4) as pool:
        receipts = [done.result(timeout=60)["receipts"][0] for done in [pool.submit(send) for _ in range(4)]]
    assert sorted(receipt["outcome"] for receipt in receipts) == ["already_stored"] * 3 + ["stored"]
    assert len({json.dumps({**receipt, "outcome": None}) for receipt in receipts}) == 1
    assert [len(rows(model)) for model in (Response, Score, FeedEntry, SetAside)] == [1, 1, 2, 0]


@on_postgresql
def test_two_contents_under_one_id_at_the_same_instant_are_both_kept(app, cast, ada):
    first = entry(ada, score=1)
    contents, start = [first, {**first, "answers": {"worst_fatigue": 2}}], Barrier(2)
    with clock.moved_to(EVENING):
        ada.refresh()

    def send(content: dict) -> str:
        line = in_process(app)
        start.wait(timeout=30)
        with clock.moved_to(EVENING):
            body = {"responses": [content]}
            found = line("POST", "/v1/phone/responses", body, {"Authorization": f"Bearer {ada.key}"}).body
            return found["receipts"][0]["outcome"]

    with ThreadPoolExecutor(2) as pool:
        outcomes = [done.result(timeout=60) for done in [pool.submit(send, content) for content in contents]]
    assert sorted(outcomes) == ["conflict", "stored"]
    kept = {row.digest for row in (*rows(Response), *rows(SetAside))}
    assert kept == {canonical.digest(content) for content in contents}


def test_bad_entries_cost_no_other_its_receipt(cast, ada):
    good = [entry(ada, score=n) for n in range(3)]
    bad = [None, {}, 7, {**entry(ada), "answers": {"worst_fatigue": "x" * 1000}}]
    batch = [bad[0], good[0], bad[1], bad[2], good[1], bad[3], good[2]]
    receipts = upload(ada, *batch)
    assert [r["outcome"] for r in receipts] == ["held", "stored", "held", "held", "stored", "held", "stored"]
    assert {str(row.id) for row in rows(Response)} == {one["id"] for one in good}
    assert {row.digest for row in rows(SetAside)} == {canonical.digest(one) for one in bad}
    assert len(rows(FeedEntry)) == 1 + 7  # the first tells that she was enrolled


# RE-04.


@on_sqlite
@pytest.mark.parametrize(
    "wrong_by", [timedelta(0), timedelta(days=400), timedelta(days=-400), timedelta(minutes=-7)]
)
def test_a_wrong_clock_is_corrected_and_its_own_account_kept(cast, ada, wrong_by):
    told = EVENING + wrong_by
    (receipt,) = upload(
        ada,
        entry(ada, completed_at=told),
        sent_at=told + timedelta(minutes=2),
        when=EVENING + timedelta(minutes=2),
    )
    (row,) = rows(Response)
    assert (row.completed_at, row.corrected_at) == (told, EVENING)
    assert row.started_at == told - timedelta(minutes=1)
    assert row.clock_offset_ms == -wrong_by / timedelta(milliseconds=1)
    codes = [finding["code"] for finding in receipt["findings"]]
    assert codes == (["clock_skew"] if wrong_by else []) and receipt["outcome"] == "stored"
    assert json.loads(row.body)["completed_at"] == told.isoformat()


@on_sqlite
def test_without_an_hour_of_sending_her_account_is_taken_as_it_is(cast, ada):
    with clock.moved_to(EVENING):
        ada.speak("POST", "/v1/phone/responses", {"responses": [entry(ada)]})
    (row,) = rows(Response)
    assert (row.corrected_at, row.clock_offset_ms) == (EVENING, None)


@on_sqlite
@pytest.mark.parametrize(("completed", "uploaded", "outcome", "code"), [
    ("2026-03-02T17:59:59", "2026-03-02T20:00", "held", "outside_window"),
    ("2026-03-02T18:00:00", "2026-03-02T20:00", "stored", None),
    ("2026-03-02T23:59:59", "2026-03-03T01:00", "stored", None),
    ("2026-03-03T00:00:00", "2026-03-03T01:00", "stored", "finished_after_closing"),  # begun before
        ("2026-03-03T00:01:00", "2026-03-03T01:00", "held", "outside_window"),
    ("2026-03-02T20:00:00", "2026-03-03T06:00", "stored", None),
    ("2026-03-02T20:00:00", "2026-03-03T06:00:01", "stored", "late_sync"),
    ("2026-03-02T20:00:00", "2026-04-20T10:00", "stored", "late_sync"),
])  # fmt: skip
def test_windows_are_judged_to_the_second(cast, ada, completed, uploaded, outcome, code):
    (receipt,) = upload(ada, entry(ada, completed_at=at(completed)), when=at(uploaded))
    assert (receipt["outcome"], [f["code"] for f in receipt["findings"]]) == (outcome, [code] if code else [])


@on_sqlite
def test_the_way_of_an_upload_is_no_fault_of_her_clock(cast, ada):
    """Completed ten seconds before midnight, fifteen seconds on the way: in time, and told so to the millisecond."""
    last = at("2026-03-02T23:59:50")
    (receipt,) = upload(ada, entry(ada, completed_at=last), sent_at=last, when=last + timedelta(seconds=15))
    (row,) = rows(Response)
    assert (receipt["outcome"], receipt["findings"]) == ("stored", [])
    assert (row.corrected_at, row.clock_offset_ms) == (last, 15_000)


@on_sqlite
@pytest.mark.parametrize(
    ("wrong_by", "corrected"),
    [("5m", "2026-03-02T23:58:00"), ("5m1s", "2026-03-03T00:03:01"), ("-5m1s", "2026-03-02T23:52:59")],
)
def test_a_clock_is_corrected_only_beyond_what_a_slow_line_may_take(cast, ada, wrong_by, corrected):
    slow = (-1 if wrong_by.startswith("-") else 1) * timedelta(minutes=5, seconds="1s" in wrong_by)
    told = at("2026-03-02T23:58:00")
    (receipt,) = upload(
        ada, entry(ada, completed_at=told), sent_at=at("2026-03-03T02:00") - slow, when=at("2026-03-03T02:00")
    )
    kept = rows(Response) or rows(SetAside)
    assert kept[0].clock_offset_ms == slow / timedelta(milliseconds=1)
    inside = at(corrected) < at("2026-03-03T00:00")
    assert receipt["outcome"] == ("stored" if inside else "held")
    assert not inside or kept[0].corrected_at == at(corrected)


@on_sqlite
def test_the_turn_within_a_batch_is_no_fault_of_her_clock(cast, ada, monkeypatch):
    """Every entry of a batch came in at one instant, however long the ones before it took."""
    minutes = iter(range(1000))
    monkeypatch.setattr(clock, "now", lambda: EVENING + next(minutes) * timedelta(minutes=1))
    ada.refresh()
    sent_at = clock.now() + timedelta(minutes=1)
    body = {"responses": [entry(ada, score=n) for n in range(9)], "sent_at": sent_at.isoformat()}
    ada.speak("POST", "/v1/phone/responses", body)
    assert len({row.clock_offset_ms for row in rows(Response)}) == 1
    assert len({row.received_at for row in rows(Response)}) == 9


@pytest.mark.parametrize("written", [
    "2026-03-03T04:00:00+16:00",
    "2026-03-03T11:59:00+23:59",
    "2026-03-02T20:00:30+08:00:30",
    "2026-03-02T12:00:00.000000Z",
])  # fmt: skip
def test_an_hour_with_an_odd_offset_is_the_instant_that_it_is(cast, ada, written):
    good = entry(ada)
    upload(ada, good, entry(ada, started_at=written) | {"completed_at": written})
    assert [row.completed_at for row in rows(Response)] == [EVENING] * 2
    assert {row.started_at for row in rows(Response)} == {EVENING, EVENING - timedelta(minutes=1)}
    assert written in {json.loads(row.body)["completed_at"] for row in rows(Response)}


@pytest.mark.parametrize("name", ["completed_at", "started_at"])
def test_an_instant_without_end_is_held(cast, ada, name):
    long = f"2026-03-02T20:00:00.{'0' * 300}+08:00"
    good, odd = entry(ada), entry(ada) | {name: long}
    receipts = upload(ada, odd, good)
    assert [receipt["outcome"] for receipt in receipts] == ["held", "stored"]
    assert receipts[0]["findings"][0]["pointer"] == f"/{name}"
    (aside,) = rows(SetAside)
    assert json.loads(aside.body) == odd


# RE-05.


def test_what_the_database_does_not_take_is_held_and_the_others_go_on(cast, ada, monkeypatch):
    """The net below the checks: for a value that none of them foresaw."""
    good, odd, sound = entry(ada, score=1), entry(ada, score=2), receiving.place

    def refuses(case, *given):
        if case.named == odd["id"]:
            raise sa.exc.DataError("planted", {}, Exception("planted"))
        return sound(case, *given)

    monkeypatch.setattr(receiving, "place", refuses)
    receipts = upload(ada, odd, good)
    assert [(r["outcome"], [f["code"] for f in r["findings"]]) for r in receipts] == [
        ("held", ["not_filed"]), ("stored", [])]  # fmt: skip
    monkeypatch.undo()
    assert upload(ada, odd)[0] == receipts[0]
    (aside,) = rows(SetAside)
    assert json.loads(aside.body) == odd


def test_what_is_filed_is_filed_altogether(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    (response,), (score,), (_, told) = rows(Response), rows(Score), rows(FeedEntry)
    with look(TESTS) as tx:
        event = tx.one(sa.select(Event).where(Event.action == "response.stored"))
        occurrence = tx.get(Occurrence, "diary", response.occurrence_id)
    assert occurrence.fulfilled_at == response.received_at == EVENING and occurrence.attention_at is None
    assert (score.response_id, score.value, score.run, score.items_used) == (
        response.id,
        4,
        1,
        ["worst_fatigue"],
    )
    assert (told.event_id, event.object_id) == (event.id, str(response.id))
    assert json.loads(event.body)["details"]["digest"] == response.digest
    assert response.device_id is not None and event.actor == "participant:diary/01-001"


@pytest.mark.parametrize("place", ["record", "stream"])
def test_a_failure_on_the_way_files_nothing_and_the_phone_sends_again(cast, ada, monkeypatch, place):
    def fails(*_, **__):
        raise RuntimeError("planted")

    sent = entry(ada)
    monkeypatch.setattr(receiving.trail, place, fails)
    with clock.moved_to(EVENING), pytest.raises(Exception, match="planted|500"):
        ada.speak("POST", "/v1/phone/responses", {"responses": [sent]})
    monkeypatch.undo()
    assert [rows(model) for model in (Response, Score, SetAside)] == [[], [], []]
    assert [row.kind for row in rows(FeedEntry)] == ["participant.enrolled"]
    assert upload(ada, sent)[0]["outcome"] == "stored"


# RE-06.


@on_sqlite
def test_a_skipped_answer_has_no_score_and_says_why(cast, ada):
    upload(ada, entry(ada, score=None))
    (score,) = rows(Score)
    assert (score.value, score.answered, score.expected, score.items_missing) == (
        None,
        0,
        1,
        ["worst_fatigue"],
    )
    assert score.reason


def test_a_whole_questionnaire_is_scored_as_its_definition_says(cast, ada):
    with cast.on("2026-03-08T10:00") as now:
        ada.sync()
        quality = next(o for o in ada.open_at(now) if o["assessment"] == "quality")
        instrument = bundled_instrument("lupusqol", "1.0")
        ada.answer(quality, {item.id: item.codes[0] for item in instrument.items}, now, now)
        assert ada.upload(now)[0]["outcome"] == "stored"
    found = {score.scale: score for score in rows(Score)}
    assert set(found) == {scale.name for scale in instrument.scales}
    (response,) = rows(Response)
    assert response.instrument_digest == instrument.digest
    with look(TESTS) as tx:
        assert [s.scale for s in runs.scores_of(tx, "diary", [response.id])] == sorted(found)


@on_sqlite
def test_another_version_is_scored_as_itself_or_held(cast, ada):
    (unknown,) = upload(ada, entry(ada, instrument={"code": "fatigue_diary", "version": "9.9"}))
    (other,) = upload(ada, entry(ada, instrument={"code": "lupusqol", "version": "1.0"}, answers={}))
    assert [(r["outcome"], [f["code"] for f in r["findings"]]) for r in (unknown, other)] == [
        ("held", ["unknown_instrument"]), ("held", ["other_instrument"])]  # fmt: skip


# Two answers to one window, and drafts.


@on_sqlite
def test_the_one_completed_first_counts_whichever_came_first(cast, ada):
    later, earlier = entry(ada, score=1), entry(ada, score=2, completed_at=EVENING - timedelta(minutes=30))
    upload(ada, later, when=EVENING)
    upload(ada, earlier, when=EVENING + timedelta(minutes=5))
    found = rows(Response)
    assert str(receiving.primary(found).id) == earlier["id"] and len(found) == 2
    assert receiving.primary(found) is receiving.primary(found[::-1])


@on_sqlite
def test_the_second_answer_says_so_and_the_timeline_says_which_one_counts(cast, ada):
    later, earlier = entry(ada, score=1), entry(ada, score=2, completed_at=EVENING - timedelta(minutes=30))
    (first,) = upload(ada, later)
    (second,) = upload(ada, earlier, when=EVENING + timedelta(minutes=5))
    assert (first["findings"], [f["code"] for f in second["findings"]]) == ([], ["answered_before"])
    assert second["outcome"] == "stored"
    with cast.on("2026-03-02T21:00"):
        told = cast.staff("noor").timeline("01-001")["responses"]
    assert {one["id"]: one["counts"] for one in told} == {earlier["id"]: True, later["id"]: False}
    findings = {
        body["response"]["id"]: [finding["code"] for finding in body["response"]["findings"]]
        for body in (json.loads(row.body) for row in rows(FeedEntry))
        if "response" in body
    }
    assert findings == {later["id"]: [], earlier["id"]: ["answered_before"]}


# RE-07.


@pytest.mark.parametrize(("completed", "outcome", "codes"), [
    ("2026-03-02T20:00:00", "stored", []),
    ("2026-03-02T20:29:59", "stored", []),
    ("2026-03-02T20:30:00", "held", ["occurrence_cancelled"]),
    ("2026-03-02T20:31:00", "held", ["occurrence_cancelled", "after_withdrawal"]),
])  # fmt: skip
def test_what_was_completed_before_the_withdrawal_is_filed(cast, ada, completed, outcome, codes):
    """At half past eight, in the middle of the window; her phone was offline all evening."""
    sent = entry(ada, completed_at=at(completed))
    with cast.on("2026-03-02T20:30"):
        cast.staff("noor").withdraw("01-001")
    (receipt,) = upload(ada, sent, when=at("2026-03-02T22:00"))
    assert (receipt["outcome"], [f["code"] for f in receipt["findings"]]) == (outcome, codes)
    if outcome == "stored":
        with cast.on("2026-03-03T10:00"):
            noor = cast.staff("noor")
            (counted,) = noor.must("GET", "/v1/site/compliance")["compliance"]
            (answered,) = [o for o in noor.timeline("01-001")["occurrences"] if o["state"] == "fulfilled"]
        assert (counted["due"], counted["answered"], answered["id"]) == (1, 1, sent["occurrence_id"])


@on_sqlite
def test_what_had_not_opened_when_it_was_cancelled_stays_cancelled(cast, ada):
    """The phone's clock ran a day ahead of a plan that was moved away; nobody asked for this."""
    sent = entry(ada)
    with cast.on("2026-03-02T11:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2025-06-01")  # day 60 is long over
    (receipt,) = upload(ada, {**sent, "completed_at": at("2026-03-02T10:30").isoformat()}, when=EVENING)
    assert receipt["outcome"] == "held"
    assert "occurrence_cancelled" in [finding["code"] for finding in receipt["findings"]]


@on_sqlite
def test_what_was_moved_far_ahead_is_answered_outside_its_window(cast, ada):
    sent = entry(ada)
    with cast.on("2026-03-02T11:00"):
        cast.staff("noor").set_anchor("01-001", "enrolment", "2026-06-01")
    (receipt,) = upload(ada, sent, when=EVENING)
    assert (receipt["outcome"], [one["code"] for one in receipt["findings"]]) == ("held", ["outside_window"])


@on_sqlite
def test_a_draft_is_no_answer_and_ends_with_one(cast, ada):
    diary = next(
        o for o in ada.known.values() if o["local_day"] == "2026-03-02" and o["assessment"] == "evening"
    )
    path = f"/v1/phone/drafts/{diary['id']}"
    with clock.moved_to(EVENING):
        for code in (1, 2):
            ada.speak("PUT", path, {"answers": {"worst_fatigue": code}})
        assert ada.speak("GET", path)["draft"]["answers"] == {"worst_fatigue": 2}
        assert len(rows(Draft)) == 1 and rows(Response) == []
    upload(ada, entry(ada))
    with clock.moved_to(EVENING):
        assert ada.call("PUT", path, {"answers": {}}).body["code"] == "not_open"


def test_what_is_said_of_answers_is_told_to_those_who_may_read_them():
    said = [
        {"code": "late_sync", "detail": "-"},
        {"code": "edit_check", "detail": "-", "pointer": "/answers/one"},
        {"code": "unknown_time_zone", "detail": "-", "pointer": "/time_zone"},
        {"code": "more_findings", "detail": "And 3 more."},
    ]
    codes = [one["code"] for one in sight.findings(said, hidden=True)]
    assert codes == ["late_sync", "unknown_time_zone"]
    assert [one["code"] for one in sight.reasons(said, hidden=True)] == [*codes, "about_answers"]
    assert sight.reasons(said[:1], hidden=True) == said[:1]
    assert sight.findings(said, hidden=False) == sight.reasons(said, hidden=False) == said
