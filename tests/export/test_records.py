"""Entries of the feed come to one record of a participant: nothing is dropped, the latest counts."""

from __future__ import annotations

from epro.export.records import fold
from tests.export.studies import AT, LONG_REASON, eventful


def people():
    return {subject.subject_id: subject for subject in eventful().extract().subjects()}


def test_an_amended_response_counts_as_amended_and_keeps_what_was_filed():
    diary = people()["101-001"].responses[0]
    assert [version.number for version in diary.versions] == [0, 1]
    assert [version.told["answers"] for version in diary.versions] == [
        {"worst_fatigue": 7},
        {"worst_fatigue": 6},
    ]
    assert diary.current.scores[0]["value"] == 6
    assert diary.current.amendment["reason"] == LONG_REASON and diary.versions[0].amendment is None


def test_an_older_amendment_that_comes_later_is_not_what_counts():
    feed = eventful()
    amendments = [entry for entry in feed.entries if entry["kind"] == "response.amended"]
    second = {**amendments[0], "position": 99, "response": {**amendments[0]["response"], "id": "second"}}
    second["response"]["amendment"] = {"number": 2}
    swapped = [*feed.entries[:5], second, *amendments]
    subject = fold("msc-sle", "101-001", [one for one in swapped if one["subject_id"] == "101-001"])
    assert [version.number for version in subject.responses[0].versions][-1] == 2


def test_the_latest_run_of_each_scale_counts_and_every_run_is_kept():
    feed = eventful()
    told = feed.entries[1]["response"]
    score = feed.entries[1]["scores"][0] | {"value": 9.0, "run": 2}
    feed.add(
        "101-001",
        "response.rescored",
        rescored={"response_id": told["id"], "instrument": told["instrument"]},
        scores=[score],
    )
    subject = next(feed.extract().subjects())
    first, amended = subject.responses[0].versions
    assert [run.scores[0]["value"] for run in first.runs] == [7, 9]
    assert (
        first.scores[0]["value"] == 9 and amended.scores[0]["value"] == 6
    )  # each version has runs of its own


def test_a_miss_that_was_answered_since_is_no_gap_and_is_kept():
    ada = people()["101-001"]
    assert [miss["assessment"] for miss in ada.misses] == ["diary", "lupusqol"]
    assert [miss["assessment"] for miss in ada.unanswered()] == ["lupusqol"]


def test_what_was_set_aside_knows_how_it_was_settled():
    held, conflict = people()["101-001"].set_aside
    assert (held.outcome, held.settlement["outcome"]) == ("held", "filed")
    assert (conflict.outcome, conflict.settlement) == ("conflict", None)


def test_who_she_is_when_she_left_and_her_days():
    ada, ben = people().values()
    assert ada.anchors == {"enrolment": "2026-03-30", "infusion": "2026-04-03"} and ada.withdrawal is None
    assert ben.withdrawal == {"at": "2026-04-20T09:00:00.000000Z"} and ben.site == "102"
    assert ada.usubjid == "msc-sle-101-001" and ada.enrolled["language"] == "zh-CN"


def test_kinds_that_are_not_known_yet_are_passed_over():
    assert [entry["kind"] for entry in people()["101-001"].alerts] == ["alert.raised"]


def test_nobody_is_an_empty_record():
    nobody = fold("msc-sle", "101-009", [])
    assert (nobody.responses, nobody.misses, nobody.unanswered(), nobody.site) == ([], [], [], "")


def test_the_last_word_on_an_excuse_counts_and_an_answer_outweighs_it():
    feed = eventful()
    misses = [one["occurrence"] for one in feed.entries if one["kind"] == "occurrence.missed"]
    answered, gap = misses  # the first was answered since
    ahead = gap | {"id": "20000000-0000-4000-8000-000000000999", "closes_at": "2099-04-01T16:00:00.000000Z"}
    for one in (answered, gap, ahead):
        feed.excused(one, "procedure")
    subject = next(feed.extract().subjects())
    assert [one["id"] for one in subject.excused()] == [gap["id"], ahead["id"]] and subject.unanswered() == []
    assert [(one["id"], why) for one, why in subject.not_done(AT)] == [(gap["id"], "EXCUSED, PROCEDURE")]
    feed.excused(gap, "procedure", back=True)
    subject = next(feed.extract().subjects())
    assert [(one["id"], why) for one, why in subject.not_done(AT)] == [(gap["id"], "MISSED")]
