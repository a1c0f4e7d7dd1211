"""A nurse's day with the worklist, through the site's door: what she may still save, whom she called, to whom it
went, when it was opened again, and how long it all took.

FO-01  At risk before the closing, gone when answered; the words are 'not yet received'.
FO-02  Contact attempts, notes, hand-over and re-opening are steps that stay, told in the trail and the feed.
FO-03  One owner: who took it, or to whom it was handed. Only a colleague of the site.
FO-04  Opened again, escalation and due time count from then.
FO-05  What is due first is shown first.
FO-06  The measures are those of what happened.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa

from epro.cli.study import known_instruments
from epro.notifications import measures, steps
from epro.notifications.models import Alert, AlertStep
from epro.scheduling.reading import read
from epro.trail.models import Event, FeedEntry
from epro.tx import begin, look, system
from tests.cast import STUDY_FILE, at
from tests.support.approvals import begin_with

TESTS = system("tests")
NOOR, INES, OTTO = "+8613800000001", "+8613800000002", "+8613800000003"
MORNING = at("2026-03-03T06:00")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def due_in_four_hours(app):
    text = STUDY_FILE.read_text(encoding="utf-8").replace(
        "urgency: routine", "urgency: routine\n      due: 4h"
    )
    protocol, faults = read(
        text.replace('version: "1.0"\n  title', 'version: "2.0"\n  title'), known_instruments()
    )
    assert protocol is not None, faults
    with begin(TESTS) as tx:
        begin_with(tx, protocol, text)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={})


@pytest.fixture(autouse=True)
def the_row_says_what_the_steps_say(app):
    """What is kept for the worklist follows from the steps, whatever was done."""
    yield
    with look(TESTS) as tx:
        for found in tx.all(sa.select(Alert)):
            told = steps.of(tx, found)
            joined = [step.kind for step in told if step.kind in ("joined", "cleared_one")]
            ends = [step.kind for step in told if step.kind in ("resolved", "reopened")]
            owners = [_owner(step) for step in steps.of_this_round(told) if _owner(step)]
            assert found.misses == joined.count("joined") - joined.count("cleared_one")
            assert found.reopenings == ends.count("reopened")
            assert found.owner == (owners[-1] if owners else None)
            over = ends[-1:] == ["resolved"] or found.cleared_at is not None
            assert (found.standing_since is None) == over
            assert found.escalate_at is None or (not over and found.owner is None)
            assert [step.seq for step in told] == list(range(1, len(told) + 1))


def _owner(step: AlertStep) -> str | None:
    return {"taken": step.by, "handed_over": f"staff:{step.to_staff}"}.get(step.kind)


def alert() -> Alert:
    with look(TESTS) as tx:
        (found,) = tx.all(sa.select(Alert))
        return found


def at_risk(cast, who="noor") -> list:
    return cast.staff(who).must("GET", "/v1/site/at-risk")["at_risk"]


def act(cast, who: str, what: str, body: dict):
    return cast.staff(who).call("POST", f"/v1/site/alerts/{alert().id}/{what}", body)


def story(cast, who="noor") -> dict:
    return cast.staff(who).must("GET", f"/v1/site/alerts/{alert().id}")


def answer(cast, phone, day: str, uploaded: str) -> None:
    with cast.on(uploaded) as now:
        phone.sync()
        diary = next(
            o for o in phone.known.values() if o["local_day"] == day and o["assessment"] == "evening"
        )
        evening = at(f"{day}T20:00")
        phone.answer(diary, {"worst_fatigue": 3}, evening, evening + timedelta(minutes=1))
        phone.upload(now)


# The whole of it.


def test_a_nurses_whole_loop(cast, due_in_four_hours):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone(contact={})
    cast.tick(at("2026-03-02T22:00"))
    with cast.on("2026-03-02T22:05"):
        (risk,) = at_risk(cast)
        assert (risk["subject_id"], risk["told"]) == (ada.subject_id, "not yet received")
    cast.tick(MORNING)
    with cast.on("2026-03-03T06:30"):
        (listed,) = cast.staff("noor").worklist()
        assert (listed["misses"], listed["owner"], listed["due_at"]) == (1, None, "2026-03-03T02:00:00+00:00")
        tried = {"channel": "phone", "outcome": "no_answer", "note": "rang twice"}
        assert act(cast, "noor", "contact-attempts", tried).status == 201
        tried = {"channel": "sms", "outcome": "left_message"}
        told = act(cast, "noor", "contact-attempts", tried).body
        assert told["owner"] == told["acknowledged_by"] == f"staff:{cast.ids['noor']}"
    cast.tick(at("2026-03-03T11:00"))
    assert INES not in [message.to for message in cast.sms.taken]  # the escalation stopped
    with cast.on("2026-03-03T11:30"):
        given = act(cast, "noor", "hand-over", {"to": cast.ids["ines"], "note": "my shift ends"})
        assert given.body["owner"] == f"staff:{cast.ids['ines']}"
    cast.tick(at("2026-03-03T11:31"))
    assert [message.to for message in cast.sms.taken].count(INES) == 1
    with cast.on("2026-03-03T12:00"):
        ines = cast.staff("ines")
        assert ines.acknowledge(str(alert().id))["owner"] == f"staff:{cast.ids['ines']}"
        assert ines.resolve(str(alert().id), "reached", "will answer tonight")["standing"] is False
        assert ines.worklist() == []
    with cast.on("2026-03-03T15:00"):
        again = act(cast, "noor", "reopening", {"reason": "wrong participant called"}).body
        assert (again["standing"], again["owner"], again["reopenings"]) == (True, None, 1)
        assert (again["resolved_at"], again["acknowledged_at"], again["outcome"]) == (None, None, None)
        assert again["due_at"] == "2026-03-03T11:00:00+00:00"
    cast.tick(at("2026-03-03T19:00"))
    assert [message.to for message in cast.sms.taken].count(INES) == 2  # nobody acted for four hours
    with cast.on("2026-03-03T20:00"):
        done = cast.staff("ines").resolve(str(alert().id), "visit_arranged")
        assert (done["outcome"], done["resolved_at"]) == ("visit_arranged", "2026-03-03T12:00:00+00:00")
        kinds = [(step["kind"], step["channel"], step["outcome"]) for step in story(cast)["steps"]]
    assert kinds == [
        ("joined", None, None),
        ("taken", None, None),
        ("contact_attempt", "phone", "no_answer"),
        ("contact_attempt", "sms", "left_message"),
        ("handed_over", None, None),
        ("resolved", None, "reached"),
        ("reopened", None, None),
        ("escalated", None, None),
        ("taken", None, None),
        ("resolved", None, "visit_arranged"),
    ]
    found = alert()  # the first of each stays on record
    assert (found.acknowledged_at, found.outcome) == (at("2026-03-03T06:30"), "reached")


# FO-01.


def test_at_risk_until_it_is_answered(cast, ada):
    with cast.on("2026-03-02T21:59"):
        assert at_risk(cast) == []
    with cast.on("2026-03-02T22:00"):
        (risk,) = at_risk(cast)  # by the rule: the clockwork has not come by
        assert risk["at_risk_at"] is None
        assert at_risk(cast, "otto") == []
    answer(cast, ada, "2026-03-02", "2026-03-02T22:30")
    with cast.on("2026-03-02T22:31"):
        assert at_risk(cast) == []


@on_sqlite
def test_past_the_closing_nothing_is_left_to_save(cast, ada):
    cast.tick(at("2026-03-02T22:00"))
    with cast.on("2026-03-02T23:59"):
        assert len(at_risk(cast)) == 1
    with cast.on("2026-03-03T00:00"):
        assert at_risk(cast) == []


@on_sqlite
def test_at_risk_is_never_called_missed(cast, ada):
    with cast.on("2026-03-02T22:30"):
        answered = cast.staff("noor").call("GET", "/v1/site/at-risk")
    assert "not yet received" in str(answered.body) and "miss" not in str(answered.body)


# FO-02.


def test_every_step_is_in_the_trail_and_in_the_feed_and_no_note_in_the_feed(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        act(cast, "noor", "contact-attempts", {"channel": "visit", "outcome": "other", "note": "SECRET"})
        act(cast, "noor", "notes", {"note": "SECRET"})
        act(cast, "noor", "hand-over", {"to": cast.ids["ines"], "note": "SECRET"})
        act(cast, "noor", "resolution", {"outcome": "reached", "note": "SECRET"})
        act(cast, "noor", "reopening", {"reason": "SECRET"})
    wanted = {"contact_attempted", "noted", "handed_over", "reopened"}
    with look(TESTS) as tx:
        trail = Counter(tx.all(sa.select(Event.action)))
        feed = tx.all(sa.select(FeedEntry))
    assert {trail[f"alert.{name}"] for name in wanted | {"acknowledged", "resolved"}} == {1}
    assert wanted <= {entry.kind.removeprefix("alert.") for entry in feed}
    assert not any("SECRET" in entry.body for entry in feed)


@on_sqlite
def test_an_attempt_after_the_end_is_kept_and_changes_no_owner(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        cast.staff("noor").resolve(str(alert().id), "not_reached")
        late = act(cast, "ines", "contact-attempts", {"channel": "phone", "outcome": "reached"})
    assert (late.status, late.body["standing"]) == (201, False)
    assert late.body["owner"] == f"staff:{cast.ids['noor']}"
    assert late.body["steps"][-1]["by"] == f"staff:{cast.ids['ines']}"


@on_sqlite
@pytest.mark.parametrize(
    "body",
    [
        {"channel": "pigeon", "outcome": "reached"},
        {"channel": "phone", "outcome": "fine"},
        {"channel": "phone"},
        {"channel": "phone", "outcome": "reached", "who": "me"},
    ],
)
def test_an_attempt_says_how_and_what_came_of_it_in_known_words(cast, ada, body):
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        assert act(cast, "noor", "contact-attempts", body).status == 422
    assert alert().owner is None


# FO-03.


def test_only_a_colleague_of_the_site_can_be_given_it(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        for who in ("otto", "dana", "bo"):
            refused = act(cast, "noor", "hand-over", {"to": cast.ids[who]})
            assert (refused.status, refused.body["errors"][0]["code"]) == (422, "unknown_colleague")
        assert set(story(cast)["colleagues"]) == {cast.ids["noor"], cast.ids["ines"]}
        assert act(cast, "otto", "hand-over", {"to": cast.ids["otto"]}).status == 404
    with look(TESTS) as tx:
        assert tx.all(sa.select(AlertStep.kind)) == ["joined"]


def test_who_was_given_it_owns_it_and_it_can_be_taken_over(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        act(cast, "noor", "hand-over", {"to": cast.ids["ines"]})
        refused = act(cast, "noor", "acknowledgement", {})
        assert (refused.status, refused.body["code"]) == (409, "already_taken")
        assert act(cast, "noor", "hand-over", {"to": cast.ids["noor"], "note": "she is ill"}).ok
        assert act(cast, "noor", "acknowledgement", {}).ok
    assert alert().owner == f"staff:{cast.ids['noor']}"
    cast.tick(at("2026-03-03T07:01"))
    assert [message.to for message in cast.sms.taken].count(INES) == 1  # nobody tells herself
    assert [message.to for message in cast.sms.taken].count(NOOR) == 1


@on_sqlite
def test_what_stands_no_more_is_given_to_nobody(cast, ada):
    cast.tick(MORNING)
    answer(cast, ada, "2026-03-02", "2026-03-03T06:30")
    with cast.on("2026-03-03T07:00"):
        refused = act(cast, "noor", "hand-over", {"to": cast.ids["ines"]})
    assert (refused.status, refused.body["code"]) == (409, "not_standing")


# FO-04.


@on_sqlite
def test_only_what_was_resolved_can_be_opened_again(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        refused = act(cast, "noor", "reopening", {"reason": "why not"})
        assert (refused.status, refused.body["code"]) == (409, "not_resolved")
        cast.staff("noor").resolve(str(alert().id), "not_reached")
        assert act(cast, "noor", "reopening", {}).status == 422  # not without a reason
    answer(cast, ada, "2026-03-02", "2026-03-03T08:00")
    with cast.on("2026-03-03T08:30"):
        assert act(cast, "noor", "reopening", {"reason": "why not"}).body["code"] == "not_resolved"


def test_opened_again_the_ladder_begins_anew(cast, ada):
    cast.tick(MORNING)
    cast.tick(at("2026-03-03T10:00"))  # the investigator is told
    with cast.on("2026-03-03T10:30"):
        cast.staff("ines").resolve(str(alert().id), "reached")
    with cast.on("2026-03-03T12:00"):
        act(cast, "noor", "reopening", {"reason": "she never called back"})
    cast.tick(at("2026-03-03T15:59"))
    assert [message.to for message in cast.sms.taken].count(INES) == 1
    cast.tick(at("2026-03-03T16:00"))
    assert [message.to for message in cast.sms.taken].count(INES) == 2
    assert (alert().escalations, alert().ladder, alert().escalate_at) == (2, 1, None)


@on_sqlite
def test_opened_again_and_answered_late_it_clears(cast, ada):
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        cast.staff("noor").resolve(str(alert().id), "not_reached")
        act(cast, "noor", "reopening", {"reason": "try again"})
    answer(cast, ada, "2026-03-02", "2026-03-03T08:00")
    assert alert().standing_since is None and alert().cleared_why == "completed_offline_in_time"


# FO-05.


@on_sqlite
def test_what_is_due_first_stands_first(cast, due_in_four_hours):
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={})
        cast.enrol(contact={})
    cast.tick(MORNING)
    with cast.on("2026-03-03T07:00"):
        noor = cast.staff("noor")
        first, second = [one["id"] for one in noor.worklist()]
        noor.resolve(first, "not_reached")
        noor.must("POST", f"/v1/site/alerts/{first}/reopening", {"reason": "due an hour later now"})
        assert [one["id"] for one in noor.worklist()] == [second, first]


# FO-06.


def test_the_measures_are_those_of_what_happened(cast, ada):
    with cast.on("2026-03-02T11:00"):
        ben = cast.phone(contact={})
    cast.tick(at("2026-03-02T22:00"))
    answer(cast, ben, "2026-03-02", "2026-03-02T23:00")  # saved
    cast.tick(at("2026-03-03T06:02"))
    with cast.on("2026-03-03T07:02"):
        cast.staff("noor").acknowledge(str(alert().id))
    with cast.on("2026-03-03T08:02"):
        cast.staff("noor").resolve(str(alert().id), "reached")
        told = cast.staff("noor").must("GET", "/v1/site/alert-metrics?days=7")
        assert cast.staff("otto").must("GET", "/v1/site/alert-metrics")["sites"] == []
    (site,) = told["sites"]
    assert (site["study"], site["site"], site["raised"], site["standing"]) == ("diary", "01", 1, 0)
    assert site["to_alert"] == {"count": 1, "median": 120, "p95": 120, "worst": 120}
    assert (site["to_acknowledgement"]["median"], site["to_resolution"]["worst"]) == (3600, 7200)
    assert (site["at_risk"], site["recovered_before_closing"], site["received_later"]) == (2, 1, 0)


@on_sqlite
def test_the_spread_of_times():
    times = [timedelta(seconds=n) for n in range(1, 101)]
    assert measures.spread(times) == {"count": 100, "median": 50.5, "p95": 95, "worst": 100}
    assert measures.spread(times[:1]) == {"count": 1, "median": 1, "p95": 1, "worst": 1}
    assert measures.spread([]) == {"count": 0, "median": None, "p95": None, "worst": None}
