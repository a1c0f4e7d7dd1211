"""What a known phone sends is never lost: what cannot be filed is kept whole, with its reason, for a person.

Decisions 5, 18 and 28; requirements G3 to G5 (receipts), G33 (after a withdrawal). Each entry that is no good
travels between two good ones, which are stored.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from epro import canonical, clock
from epro.responses.models import Response, SetAside
from epro.scheduling.models import Occurrence
from epro.simulation.people import Phone
from epro.tx import look, system
from tests.cast import STUDY, at
from tests.doors.routes import SUBSCRIPTION
from tests.doors.scene import NOBODY, TODAY, Stage, entry
from tests.doors.test_bad_bodies import assert_problem, counts

EXPECTED = ("late_sync", "answered_before")  # on this stage everything answers yesterday's one diary
LUPUSQOL = {"code": "lupusqol", "version": "1.0"}
SENT = {"sent_at": "2026-03-04T10:00:00+08:00"}

# what is changed in a good entry (`...`: left out), the findings, where they point
HELD: dict[str, tuple[dict[str, Any], list[tuple[str, str | None]]]] = {
    "unknown item": ({"answers": {"worst_fatigue": 3, "lq01": 1}}, [("unknown_item", "/answers/lq01")]),
    "an item with a slash": ({"answers": {"a/b~c": 1}}, [("unknown_item", "/answers/a~1b~0c")]),
    "code out of range": ({"answers": {"worst_fatigue": 11}}, [("out_of_range", "/answers/worst_fatigue")]),
    "a negative code": ({"answers": {"worst_fatigue": -1}}, [("out_of_range", "/answers/worst_fatigue")]),
    "a huge code": ({"answers": {"worst_fatigue": 2**53 - 1}}, [("out_of_range", "/answers/worst_fatigue")]),
    "bool as code": ({"answers": {"worst_fatigue": True}}, [("wrong_type", "/answers/worst_fatigue")]),
    "text as code": ({"answers": {"worst_fatigue": "3"}}, [("wrong_type", "/answers/worst_fatigue")]),
    "half a code": ({"answers": {"worst_fatigue": 2.5}}, [("wrong_type", "/answers/worst_fatigue")]),
    "a list as code": ({"answers": {"worst_fatigue": [3]}}, [("wrong_type", "/answers/worst_fatigue")]),
    "an object as code": ({"answers": {"worst_fatigue": {}}}, [("wrong_type", "/answers/worst_fatigue")]),
    "not applicable where it is not offered": (
        {"answers": {"worst_fatigue": "NA"}},
        [("not_applicable_not_offered", "/answers/worst_fatigue")],
    ),
    "unknown instrument": (
        {"instrument": {"code": "none", "version": "1.0"}},
        [("unknown_instrument", "/instrument")],
    ),
    "unknown version": (
        {"instrument": {"code": "fatigue_diary", "version": "9"}},
        [("unknown_instrument", "/instrument")],
    ),
    "other instrument": (
        {"instrument": LUPUSQOL, "answers": {"lq01": 1}},
        [("other_instrument", "/instrument/code")],
    ),
    "unknown occurrence": ({"occurrence_id": str(NOBODY)}, [("unknown_occurrence", "/occurrence_id")]),
    "before its window": (
        {"completed_at": "2026-03-03T17:59:59+08:00"},
        [("outside_window", "/completed_at")],
    ),
    "when its window closed": (
        {"completed_at": "2026-03-04T00:00:00+08:00", "started_at": ...},
        [("outside_window", "/completed_at")],
    ),
    "half an hour after its window closed": (
        {"completed_at": "2026-03-04T00:30:00+08:00"},
        [("outside_window", "/completed_at")],
    ),
    "years ago": ({"completed_at": "1970-01-01T00:00:00+08:00"}, [("outside_window", "/completed_at")]),
    "no id": ({"id": ...}, [("wrong_type", "/id")]),
    "an id that is none": ({"id": "the first one"}, [("wrong_type", "/id")]),
    "an id of null": ({"id": None}, [("wrong_type", "/id")]),
    "an id of 36 other characters": ({"id": "x" * 36}, [("wrong_type", "/id")]),
    "a number as id": ({"id": 7}, [("wrong_type", "/id")]),
    "no occurrence": ({"occurrence_id": ...}, [("wrong_type", "/occurrence_id")]),
    "a list as occurrence": ({"occurrence_id": []}, [("wrong_type", "/occurrence_id")]),
    "no instrument": (
        {"instrument": ...},
        [
            ("wrong_type", "/instrument"),
            ("wrong_type", "/instrument/code"),
            ("wrong_type", "/instrument/version"),
        ],
    ),
    "a text as instrument": (
        {"instrument": "fatigue_diary"},
        [
            ("wrong_type", "/instrument"),
            ("wrong_type", "/instrument/code"),
            ("wrong_type", "/instrument/version"),
        ],
    ),
    "a number as version": (
        {"instrument": {"code": "fatigue_diary", "version": 1.0}},
        [("wrong_type", "/instrument/version")],
    ),
    "no language": ({"language": ...}, [("wrong_type", "/language")]),
    "an empty language": ({"language": ""}, [("wrong_type", "/language")]),
    "no answers": ({"answers": ...}, [("wrong_type", "/answers")]),
    "a list of answers": ({"answers": [7]}, [("wrong_type", "/answers")]),
    "answers of null": ({"answers": None}, [("wrong_type", "/answers")]),
    "no completion": ({"completed_at": ...}, [("wrong_type", "/completed_at")]),
    "a completion without offset": (
        {"completed_at": "2026-03-03T20:00:00"},
        [("wrong_type", "/completed_at")],
    ),
    "a completion in words": ({"completed_at": "this evening"}, [("wrong_type", "/completed_at")]),
    "a completion as a number": ({"completed_at": 1772539200}, [("wrong_type", "/completed_at")]),
    "February 30th": ({"completed_at": "2026-02-30T20:00:00+08:00"}, [("wrong_type", "/completed_at")]),
    "year 0": ({"completed_at": "0000-01-01T00:00:00+00:00"}, [("wrong_type", "/completed_at")]),
    "year 1": ({"completed_at": "0001-01-01T00:00:00+14:00"}, [("wrong_type", "/completed_at")]),
    "year 9999": ({"completed_at": "9999-12-31T23:59:59-12:00"}, [("wrong_type", "/completed_at")]),
    "year 10000": ({"completed_at": "10000-01-01T00:00:00+00:00"}, [("wrong_type", "/completed_at")]),
    "a start in words": ({"started_at": "before"}, [("wrong_type", "/started_at")]),
    "several things at once": (
        {"answers": {"x": 1, "worst_fatigue": 99}, "occurrence_id": str(NOBODY)},
        [
            ("unknown_occurrence", "/occurrence_id"),
            ("unknown_item", "/answers/x"),
            ("out_of_range", "/answers/worst_fatigue"),
        ],
    ),
}

NO_OBJECTS: dict[str, Any] = {
    "a number": 7,
    "a text": "a diary",
    "null": None,
    "a list": [1, 2],
    "true": True,
    "a fraction": 1.5,
    "an empty list": [],
}

# what is changed, findings that do not keep it from being filed
STORED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "exactly good": ({}, []),
    "no answer to the item": ({"answers": {"worst_fatigue": None}}, []),
    "no answers at all": ({"answers": {}}, []),
    "a whole number as a fraction": ({"answers": {"worst_fatigue": 4.0}}, []),
    "fields that we do not know": ({"mood": {"deep": [1, "two"]}, "subject_id": "02-001", "score": 100}, []),
    "an unknown zone": ({"time_zone": "Mars/Phobos"}, ["unknown_time_zone"]),
    "a list as zone": ({"time_zone": []}, ["unknown_time_zone"]),
    "no zone": ({"time_zone": ...}, []),
    "no start": ({"started_at": ...}, []),
    "a start after the end": ({"started_at": "2026-03-03T21:00:00+08:00"}, ["started_after_completion"]),
    "finished soon after the closing": (
        {"completed_at": "2026-03-04T00:29:59+08:00"},
        ["finished_after_closing"],
    ),
    "on the first second": ({"completed_at": "2026-03-03T18:00:00+08:00", "started_at": ...}, []),
    "in the last microsecond": ({"completed_at": "2026-03-03T23:59:59.999999+08:00"}, []),
    "told in another zone": ({"completed_at": "2026-03-03T12:01:00Z"}, []),
    "texts of every script": ({"note": "参与者 \u202e 𝕏 \ufeff", "κλειδί": "ü"}, []),
}


@pytest.mark.parametrize("name", HELD)
def test_what_cannot_be_filed_is_kept_whole(stage, name):
    changes, findings = HELD[name]
    bad = entry(stage.ada.phone, **changes)
    receipt = between_two_good_ones(stage, bad)
    assert receipt["outcome"] == "held"
    assert [(found["code"], found.get("pointer")) for found in holding(receipt)] == findings
    kept_whole(stage, bad, receipt)


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_an_entry_that_is_no_object_is_kept(stage, name):
    receipt = between_two_good_ones(stage, NO_OBJECTS[name])
    assert (receipt["outcome"], receipt["id"]) == ("held", None)
    assert receipt["findings"][0]["code"] == "not_an_object"
    kept_whole(stage, NO_OBJECTS[name], receipt)


@pytest.mark.parametrize("name", STORED)
def test_what_is_merely_odd_is_filed(stage, name):
    changes, findings = STORED[name]
    odd = entry(stage.ada.phone, **changes)
    receipt = between_two_good_ones(stage, odd)
    assert receipt["outcome"] == "stored", receipt
    assert [found["code"] for found in receipt["findings"] if found["code"] not in EXPECTED] == findings
    with look(system("tests")) as tx:
        row = tx.all(sa.select(Response).where(Response.digest == receipt["digest"]))[0]
    assert json.loads(row.body) == odd and row.digest == canonical.digest(odd)


@pytest.mark.parametrize("spelled", [str.upper, lambda text: text.replace("-", "") + "----"])
def test_a_receipt_names_the_entry_as_the_phone_does(stage, spelled):
    """Some phones write UUIDs in capitals. Only by the id can they tell which entry a receipt is for."""
    sent = entry(stage.ada.phone, id=spelled(str(uuid4())))
    receipt = upload(stage, "ada", [sent]).get_json()["receipts"][0]
    assert receipt["id"] == sent["id"]


def test_a_receipt_names_an_entry_whose_id_is_no_uuid(stage):
    sent = entry(stage.ada.phone, id="entry 7")
    assert upload(stage, "ada", [sent]).get_json()["receipts"][0]["id"] == "entry 7"


@pytest.mark.parametrize(
    ("completed_at", "sent_at", "outcome", "codes"),
    [
        # The phone's clock stood years off, and said so when it sent: corrected, and in its window.
        ("1999-01-01T20:01:00+08:00", "1999-01-02T10:00:00+08:00", "stored", ["clock_skew"]),
        ("2051-06-15T20:01:00+08:00", "2051-06-16T10:00:00+08:00", "stored", ["clock_skew"]),
        ("2569-03-03T20:01:00+08:00", "2569-03-04T10:00:00+08:00", "stored", ["clock_skew"]),  # Buddhist era
        ("2026-03-03T20:11:00+08:00", "2026-03-04T10:10:00+08:00", "stored", ["clock_skew"]),
        # Nobody said how the clock stood: as it is told, it lies outside.
        ("1999-01-01T20:01:00+08:00", None, "held", ["outside_window"]),
        ("2051-06-15T20:01:00+08:00", None, "held", ["completed_after_sending", "outside_window"]),
        ("2026-03-03T20:01:00+08:00", "not a time", "stored", []),
        ("2026-03-03T20:01:00+08:00", 7, "stored", []),
        # What it said cannot be: kept for a person.
        (
            "2026-03-03T20:01:00+08:00",
            "1970-01-01T00:00:00+00:00",
            "held",
            ["clock_skew", "completed_after_sending", "outside_window"],
        ),
        ("1970-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00", "held", ["clock_skew", "outside_window"]),
        (
            "2999-01-01T00:00:00+00:00",
            "1970-01-01T00:00:00+00:00",
            "held",
            ["clock_skew", "completed_after_sending", "outside_window"],
        ),
    ],
)
def test_a_clock_that_is_years_off(stage, completed_at, sent_at, outcome, codes):
    sent = entry(stage.ada.phone, completed_at=completed_at, started_at=...)
    receipt = upload(stage, "ada", [sent], **({} if sent_at is None else {"sent_at": sent_at})).get_json()[
        "receipts"
    ][0]
    assert receipt["outcome"] == outcome
    assert [found["code"] for found in receipt["findings"] if found["code"] not in EXPECTED] == codes


@pytest.mark.parametrize(
    ("completed_at", "sent_at"),
    [
        ("1970-01-01T00:00:00+00:00", "9000-12-31T23:59:59+00:00"),
        ("9000-12-31T23:59:59+00:00", "1970-01-01T00:00:00+00:00"),
        ("3000-01-01T00:00:00+00:00", "2999-12-31T00:00:00+00:00"),
        ("9999-12-31T23:59:59+00:00", None),
        ("2026-03-03T20:01:00+08:00", "9000-01-01T00:00:00+00:00"),
        ("2026-03-03T20:01:00+08:00", "0001-01-01T00:00:00+00:00"),
        ("2026-03-03T20:01:00+23:59", "2026-03-04T10:00:00-23:59"),
    ],
)
def test_no_clock_breaks_the_reckoning(stage, completed_at, sent_at):
    sent = entry(stage.ada.phone, completed_at=completed_at)
    answer = upload(stage, "ada", [entry(stage.ada.phone), sent], **({"sent_at": sent_at} if sent_at else {}))
    assert answer.status_code == 200, answer.text
    assert {receipt["outcome"] for receipt in answer.get_json()["receipts"]} <= {"held", "stored"}


def test_the_same_entry_again_gets_the_same_receipt(stage):
    for changes in ({}, {"answers": {"x": 1}}, {"id": ...}):
        sent = entry(stage.ada.phone, **changes)
        first, again = (upload(stage, "ada", [sent]).get_json()["receipts"][0] for _ in range(2))
        same = ("id", "digest", "received_at", "signature", "findings")
        assert [first[name] for name in same] == [again[name] for name in same]
        assert again["outcome"] == {"stored": "already_stored", "held": "held"}[first["outcome"]]


def test_the_same_entry_twice_in_one_batch_is_stored_once(stage):
    sent = entry(stage.ada.phone)
    receipts = upload(stage, "ada", [sent, sent, dict(reversed(sent.items()))]).get_json()["receipts"]
    assert [receipt["outcome"] for receipt in receipts] == ["stored", "already_stored", "already_stored"]
    assert len({receipt["signature"] for receipt in receipts}) == 1


def test_the_same_id_with_other_content_is_kept_beside_the_first(stage):
    """Both are on the staff's lists, and the first stays as it was."""
    first = entry(stage.ada.phone)
    second, third = {**first, "answers": {"worst_fatigue": 9}}, {**first, "answers": {"worst_fatigue": 0}}
    receipts = [between_two_good_ones(stage, sent) for sent in (first, second, third, second)]
    assert [receipt["outcome"] for receipt in receipts] == ["stored", "conflict", "conflict", "conflict"]
    assert receipts[1]["findings"][0]["code"] == "other_content"
    assert receipts[1] == receipts[3] and len({receipt["digest"] for receipt in receipts}) == 3
    for sent, receipt in ((second, receipts[1]), (third, receipts[2])):
        kept_whole(stage, sent, receipt)
    story = stage.ask("noor", "GET", f"/v1/site/participants/{stage.ada.subject_id}/timeline").get_json()
    filed = next(response for response in story["responses"] if response["id"] == first["id"])
    assert filed["digest"] == receipts[0]["digest"] and filed["scores"][0]["value"] == 4


@pytest.mark.parametrize("same_content", [True, False])
def test_an_id_that_another_participant_used_is_held_and_reveals_nothing(stage, same_content):
    """The id is unique in the study; Cara's entry under Ada's is kept, and she learns nothing of Ada's."""
    hers = entry(stage.ada.phone)
    assert upload(stage, "ada", [hers]).get_json()["receipts"][0]["outcome"] == "stored"
    taken = hers if same_content else entry(stage.cara.phone, id=hers["id"], answers={"worst_fatigue": 2})
    answer = upload(stage, "cara", [entry(stage.cara.phone), taken, entry(stage.cara.phone)])
    before, receipt, after = answer.get_json()["receipts"]
    assert [before["outcome"], receipt["outcome"], after["outcome"]] == ["stored", "held", "stored"]
    assert receipt["received_at"].startswith("2026-03-04T02:00:00")
    assert "01-001" not in answer.text
    kept_whole(stage, taken, receipt, subject_id=stage.cara.subject_id, who="otto")
    again = upload(stage, "cara", [taken]).get_json()["receipts"][0]
    assert again == receipt
    story = stage.ask("noor", "GET", f"/v1/site/participants/{stage.ada.subject_id}/timeline").get_json()
    assert [response["id"] for response in story["responses"]].count(hers["id"]) == 1


def test_an_answer_for_another_participants_occurrence_is_held(stage):
    sent = entry(stage.ada.phone, occurrence_id=str(stage.cara.occurrence))
    receipt = between_two_good_ones(stage, sent)
    assert [found["code"] for found in holding(receipt)] == ["unknown_occurrence"]
    kept_whole(stage, sent, receipt)


def test_an_answer_to_what_was_cancelled_is_held(stage):
    """The anchor was moved while she was offline: that diary is not asked for any more."""
    phone = stage.newcomer()
    path = f"/v1/site/participants/{phone.subject_id}/anchors"
    stage.ask(
        "noor", "POST", path, {"anchor": "enrolment", "date": "2025-06-01", "reason": "a year too late"}
    )
    diary = next(o for o in phone.known.values() if o["local_day"] == "2026-03-05")
    sent = entry(phone, occurrence_id=diary["id"], completed_at="2026-03-05T20:00:00+08:00", started_at=...)
    with clock.moved_to(at("2026-03-05T21:00")):
        phone.refresh()
        phone.unsent = [sent]
        (receipt,) = phone.upload(at("2026-03-05T21:00"))
    assert [found["code"] for found in holding(receipt)] == ["occurrence_cancelled"]
    kept_whole(stage, sent, receipt, subject_id=phone.subject_id)


class TestAfterAWithdrawal:
    """G33: her earlier answers still arrive, for thirty days; nothing is read."""

    @pytest.fixture
    def phone(self, stage) -> Phone:
        """Withdrawn on March 4th at ten, with yesterday's diary still on her phone."""
        phone = stage.newcomer()
        answer = stage.ask(
            "noor", "POST", f"/v1/site/participants/{phone.subject_id}/withdrawal", {"reason": "own wish"}
        )
        assert answer.status_code == 200
        return phone

    def test_what_was_completed_before_is_stored(self, stage, phone):
        (receipt,) = self._upload(phone, [entry(phone)], timedelta(days=1))
        assert receipt["outcome"] == "stored"

    def test_what_was_completed_after_is_held(self, stage, phone):
        with look(system("tests")) as tx:
            open_then = tx.all(
                sa.select(Occurrence).where(
                    Occurrence.subject_id == phone.subject_id,
                    Occurrence.local_day == at("2026-03-04T00:00").date(),
                )
            )[0]
        sent = entry(
            phone, occurrence_id=str(open_then.id), completed_at="2026-03-04T20:00:00+08:00", started_at=...
        )
        (receipt,) = self._upload(phone, [sent], timedelta(days=1))
        assert receipt["outcome"] == "held"
        assert "after_withdrawal" in [found["code"] for found in receipt["findings"]]
        kept_whole(stage, sent, receipt, subject_id=phone.subject_id)

    def test_on_the_thirtieth_day_it_is_taken_and_on_the_thirty_first_not(self, stage, phone):
        assert self._upload(phone, [entry(phone)], timedelta(days=30))[0]["outcome"] == "stored"
        answer = self._send(phone, [entry(phone)], timedelta(days=31))
        assert (answer.status, answer.body["code"]) == (403, "not_allowed")

    def test_after_thirty_days_nothing_is_filed(self, stage, phone):
        before = counts()["responses"], counts()["set_asides"]
        self._send(phone, [entry(phone), entry(phone, answers={"x": 1})], timedelta(days=31))
        assert (counts()["responses"], counts()["set_asides"]) == before

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/v1/phone/me", None),
            ("PATCH", "/v1/phone/me", {"language": "zh-CN"}),
            ("GET", "/v1/phone/changes", None),
            ("GET", "/v1/phone/drafts/{occurrence}", None),
            ("PUT", "/v1/phone/drafts/{occurrence}", {"answers": {}}),
            ("POST", "/v1/phone/confirmations", {"notifications": []}),
            ("GET", "/v1/phone/messages", None),
            ("PUT", "/v1/phone/push-subscription", SUBSCRIPTION),
            ("DELETE", "/v1/phone/push-subscription", None),
            ("GET", "/v1/phone/instruments/fatigue_diary/1.0", None),
            ("GET", "/v1/phone/instruments/fatigue_diary/1.0?lang=en", None),
        ],
    )
    def test_nothing_is_read_or_changed(self, stage, phone, method, path, body):
        answer = stage.send(method, path.format(occurrence=entry(phone)["occurrence_id"]), phone.key, body)
        assert_problem(answer, 403, "not_allowed", path)

    def test_no_code_makes_another_phone_hers(self, stage, phone):
        answer = stage.ask("noor", "POST", f"/v1/site/participants/{phone.subject_id}/activation-code", {})
        assert_problem(answer, 409, "already_withdrawn", "activation-code")

    @staticmethod
    def _send(phone: Phone, entries: list[Any], later: timedelta) -> Any:
        with clock.moved_to(at(TODAY) + later):
            phone.refresh()
            return phone.call("POST", "/v1/phone/responses", {"responses": entries})

    def _upload(self, phone: Phone, entries: list[Any], later: timedelta) -> Any:
        answer = self._send(phone, entries, later)
        assert answer.status == 200, answer.body
        return answer.body["receipts"]


@pytest.mark.parametrize(
    ("batch", "status", "code"),
    [
        ({"responses": "none"}, 400, "bad_json"),
        ({"responses": None}, 400, "bad_json"),
        ({}, 400, "bad_json"),
        ({"responses": {}}, 400, "bad_json"),
        ({"entries": []}, 400, "bad_json"),
    ],
)
def test_a_body_without_a_batch(stage, batch, status, code):
    assert_problem(stage.ask("ada", "POST", "/v1/phone/responses", batch), status, code, "responses")


def test_a_batch_over_a_limit_is_turned_away_whole_and_the_phone_keeps_it(stage):
    stage.token("ada")
    before = counts()
    good = entry(stage.ada.phone)
    too_many = [entry(stage.ada.phone) for _ in range(201)]
    too_large = [good, entry(stage.ada.phone, note="x" * 256 * 1024)]
    for batch in (too_many, too_large, [{**good, "note": "x" * 1024 * 1024} for _ in range(3)]):
        assert_problem(upload(stage, "ada", batch), 413, "too_large", len(batch))
    assert counts() == before
    assert upload(stage, "ada", [good]).get_json()["receipts"][0]["outcome"] == "stored"


def test_of_an_entry_that_is_all_faults_fifty_are_told_and_the_rest_counted(stage):
    answers = {f"{number} {'x' * 300}": 1 for number in range(500)}
    (receipt,) = upload(stage, "ada", [entry(stage.ada.phone, answers=answers)]).get_json()["receipts"]
    assert receipt["outcome"] == "held" and len(receipt["findings"]) == 51
    assert {found["code"] for found in receipt["findings"][:50]} == {"unknown_item"}
    assert max(len(found["pointer"]) for found in receipt["findings"][:50]) <= 210
    # Of 500 unknown items, and that it came late.
    assert receipt["findings"][50] == {"code": "more_findings", "detail": "And 451 more."}


def test_a_batch_at_its_limit_is_taken(stage):
    phone = stage.newcomer()
    batch = [entry(phone, note="x" * 255 * 1024)] + [entry(phone) for _ in range(49)]
    receipts = stage.send("POST", "/v1/phone/responses", phone.key, {"responses": batch}).get_json()[
        "receipts"
    ]
    assert [receipt["outcome"] for receipt in receipts] == ["stored"] * 50


def test_an_empty_batch_is_a_batch(stage):
    assert upload(stage, "ada", []).get_json()["receipts"] == []


def upload(stage: Stage, who: str, entries: list[Any], **more: Any) -> TestResponse:
    return stage.ask(who, "POST", "/v1/phone/responses", {"responses": entries, **more})


def between_two_good_ones(stage: Stage, sent: Any) -> dict[str, Any]:
    """The receipt of an entry; its neighbours in the batch are stored whatever becomes of it."""
    answer = upload(stage, "ada", [entry(stage.ada.phone), sent, entry(stage.ada.phone)], **SENT)
    assert answer.status_code == 200, answer.text
    before, receipt, after = answer.get_json()["receipts"]
    assert [before["outcome"], after["outcome"]] == ["stored", "stored"]
    return dict(receipt)


def holding(receipt: dict[str, Any]) -> list[dict[str, Any]]:
    """The findings that keep an entry from being filed, without the mere remarks on its time."""
    return [
        found
        for found in receipt["findings"]
        if found["code"] not in ("late_sync", "started_after_completion")
    ]


def kept_whole(
    stage: Stage, sent: Any, receipt: dict[str, Any], subject_id: str | None = None, who: str = "noor"
) -> None:
    """What was sent lies unchanged in the database, under its digest, and on the list of the staff."""
    subject_id = subject_id or stage.ada.subject_id
    assert receipt["digest"] == canonical.digest(sent)
    with look(system("tests")) as tx:
        (row,) = tx.all(
            sa.select(SetAside).where(
                SetAside.study_id == STUDY,
                SetAside.subject_id == subject_id,
                SetAside.digest == receipt["digest"],
            )
        )
    assert json.loads(row.body) == sent
    assert (row.outcome, row.settled_at, row.findings) == (receipt["outcome"], None, receipt["findings"])
    listed = stage.ask(who, "GET", "/v1/site/set-aside?limit=500").get_json()["set_asides"]
    (told,) = [found for found in listed if found["digest"] == receipt["digest"]]
    assert (told["subject_id"], told["outcome"], told["findings"]) == (
        subject_id,
        receipt["outcome"],
        receipt["findings"],
    )
