"""Anchors that answers set follow what is on record of answers.

AF-01  A correction takes an anchor back or moves it; the plan is then the one that would be made afresh.
AF-02  What was answered stays, what the site has set stays, and a new answer sets it again.
AF-03  What was set aside sets nothing until it is filed; another scoring moves it as a correction does.
AF-04  Of who has left they follow too, and nothing is planned.
AF-05  It stands in the trail and in the feed, and `why` tells it.
"""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from epro import trail
from epro.responses import anchoring
from epro.responses.models import Response, Score
from epro.scheduling import occurrences
from epro.scheduling.models import Occurrence
from epro.signin import staff
from epro.studies import participants
from epro.studies.models import Participant
from epro.trail.models import Event, FeedEntry
from epro.tx import Grant, begin, look, system
from tests.cast import PASSWORD
from tests.rooms.test_scheduling_course import ada, anchors, asked, fill_in, mood, policy  # noqa: F401

TESTS = system("tests")
REASON = "the answer that set it was corrected"


@pytest.fixture
def ivy(cast, ada):  # noqa: F811
    """An investigator of the site of Ada."""
    with cast.on("2026-03-02T08:00"), begin(TESTS) as tx:
        grants = [Grant("course", "01", "investigator")]
        staff.add(
            tx,
            email="ivy@example.org",
            name="Ivy",
            password=PASSWORD,
            language="en",
            phone=None,
            grants=grants,
        )
    return cast.staff


def responses(model=Response):
    with look(TESTS) as tx:
        return tx.all(sa.select(model).order_by(model.received_at))


def first_answer():
    return next(row for row in responses() if row.amends_id is None and row.assessment_id == "mood")


def correct(cast, who, code: int, when: str, response_id=None):
    body = {"answers": mood(code), "reason": "read wrongly", "reported_by": "site"}
    with cast.on(when):
        path = f"/v1/site/responses/{response_id or first_answer().id}/amendments"
        made = who("ivy").call("POST", path, body)
    assert made.status == 200, made.body


def assert_as_made_afresh(cast, phone, when: str):
    with cast.on(when), look(TESTS) as tx:
        she = tx.get(Participant, "course", phone.subject_id)
        assert not occurrences.differences(tx, she).any


def test_a_correction_takes_back_what_the_answer_had_set(cast, ada, ivy):  # AF-01, AF-02, AF-05  # noqa: F811
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(2))
    assert fill_in(cast, ada, "2026-03-03T12:00", "watch", mood(2)) == "stored"
    correct(cast, ivy, 1, "2026-03-04T10:00")
    assert "low" not in anchors(ada)
    states = dict(asked(cast, ada, "watch", "2026-03-04T11:00"))
    assert states.pop("2026-03-03") == "fulfilled" and set(states.values()) == {"cancelled"}
    assert_as_made_afresh(cast, ada, "2026-03-04T11:00")
    with look(TESTS) as tx:
        (event,) = tx.all(sa.select(Event.body).where(Event.action == "anchor.unset"))
        (entry,) = tx.all(sa.select(FeedEntry.body).where(FeedEntry.kind == "anchor.unset"))
        later = tx.all(
            sa.select(Occurrence)
            .where(Occurrence.assessment_id == "watch", Occurrence.cancelled_at.is_not(None))
            .order_by(Occurrence.opens_at)
        )[0]
        she = tx.get(Participant, "course", ada.subject_id)
    assert json.loads(event)["reason"] == REASON
    assert json.loads(entry)["anchor"]["date"] == "2026-03-02"
    with cast.on("2026-03-04T11:00"):
        told = ivy("ivy").must("GET", f"/v1/site/participants/{she.subject_id}/why?occurrence={later.id}")
    assert "was taken back: the answer that set it was corrected" in json.dumps(told)
    fill_in(cast, ada, "2026-03-09T12:00", "mood", mood(3))
    assert anchors(ada)["low"] == "2026-03-09"
    assert_as_made_afresh(cast, ada, "2026-03-09T13:00")


def test_a_correction_moves_it_to_the_next_answer_that_comes_to_it(cast, ada, ivy):  # AF-01  # noqa: F811
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(2))
    fill_in(cast, ada, "2026-03-09T12:00", "mood", mood(2))
    assert anchors(ada)["low"] == "2026-03-02"
    first = first_answer().id
    correct(cast, ivy, 1, "2026-03-10T10:00", first)
    assert anchors(ada)["low"] == "2026-03-09"
    assert_as_made_afresh(cast, ada, "2026-03-10T11:00")
    correct(cast, ivy, 3, "2026-03-10T12:00", first)
    assert anchors(ada)["low"] == "2026-03-02"
    assert_as_made_afresh(cast, ada, "2026-03-10T13:00")


def test_of_who_has_left_they_follow_and_nothing_is_planned(cast, ada, ivy):  # AF-04  # noqa: F811
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(2))
    with cast.on("2026-03-02T20:00") as evening:
        (due,) = [one for one in ada.open_at(evening) if one["assessment"] == "evening"]
        ada.answer(due, {"worst_fatigue": 4}, evening, evening)
    with cast.on("2026-03-03T09:00"):
        cast.staff("nia").withdraw(ada.subject_id)
    with cast.on("2026-03-03T10:00") as later:
        assert ada.upload(later)[0]["outcome"] == "stored"
    assert (anchors(ada)["low"], anchors(ada)["first-diary"]) == ("2026-03-02", "2026-03-02")
    correct(cast, ivy, 1, "2026-03-04T10:00")
    assert "low" not in anchors(ada), "analyses count from what is on record now"
    with look(TESTS) as tx:
        standing = sa.select(Occurrence).where(
            Occurrence.cancelled_at.is_(None), Occurrence.fulfilled_at.is_(None)
        )
        she = tx.get(Participant, "course", ada.subject_id)
        assert tx.all(standing.where(Occurrence.subject_id == ada.subject_id)) == [] and she.plan_at is None


def test_a_day_that_the_site_has_set_stays(cast, ada, ivy):  # AF-02  # noqa: F811
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(2))
    with cast.on("2026-03-02T13:00"):
        cast.staff("nia").set_anchor(ada.subject_id, "low", "2026-03-05")
    correct(cast, ivy, 1, "2026-03-04T10:00")
    assert anchors(ada)["low"] == "2026-03-05"


def test_what_was_set_aside_sets_nothing_until_it_is_filed(cast, ada, ivy):  # AF-03  # noqa: F811
    with cast.on("2026-03-02T12:00") as now:
        due = next(
            o for o in ada.known.values() if (o["assessment"], o["local_day"]) == ("evening", "2026-03-02")
        )
        ada.answer(due, {"worst_fatigue": 4}, now, now)
        assert ada.upload(now)[0]["outcome"] == "held"
    assert "first-diary" not in anchors(ada)
    with cast.on("2026-03-03T12:00"):
        who = ivy("ivy")
        (aside,) = who.must("GET", "/v1/site/set-aside?standing=true")["set_asides"]
        body = {"outcome": "filed", "reason": "as she says"}
        assert who.call("POST", f"/v1/site/set-aside/{aside['id']}/settlement", body).status == 200
    assert anchors(ada)["first-diary"] == "2026-03-02"


def test_another_scoring_moves_it_as_a_correction_does(cast, ada):  # AF-03  # noqa: F811
    fill_in(cast, ada, "2026-03-02T12:00", "mood", mood(2))
    with cast.on("2026-03-04T10:00"), begin(TESTS) as tx:
        row = tx.one(sa.select(Score).where(Score.scale == "total"))
        columns = {one.key: getattr(row, one.key) for one in sa.inspect(Score).column_attrs}
        tx.insert(Score, [{**columns, "run": 2, "value": 12.0, "scored_at": tx.now}])
        she = tx.plain(Participant, "course", ada.subject_id, lock=True)
        trail.record(tx, she, "response.rescored", "response", row.response_id)
        participants.put_back(tx, she)
        anchoring.follow_scores(tx, "course", ada.subject_id, [row.response_id])
    assert "low" not in anchors(ada)
    assert_as_made_afresh(cast, ada, "2026-03-04T11:00")
