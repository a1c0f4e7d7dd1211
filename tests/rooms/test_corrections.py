"""Corrections and settlements: the original stays, everything else follows.

CO-01  A correction is a response of its own, checked, scored and told; the original is as it was.
CO-02  The value that counts is the latest correction of the answer that counts: timeline, endpoints, history.
CO-03  The same correction again changes nothing; one that follows an older state is refused.
CO-04  Investigators correct, nurses where the study says so, nobody else; who sees no answers sees none here.
CO-05  A correction that reaches a threshold raises its alert; one behind a standing alert is told, and resolves none.
CO-06  What was set aside is settled once: filed, as a correction, or rejected; its receipt goes on holding.
CO-07  The feed alone gives the same: folded from nothing, it tells what counts, with its scores.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epro import canonical, clock, db, trail
from epro.cli import epro
from epro.notifications import corrections
from epro.notifications.models import Alert, AlertStep
from epro.questionnaires import catalogue
from epro.responses import endpoints, integrity
from epro.responses.models import Amendment, Response, Score, SetAside, Settlement
from epro.signin.models import StaffGrant
from epro.stream import feed
from epro.studies.models import Participant
from epro.trail.models import Event, FeedEntry
from epro.tx import begin, look, system
from tests.cast import PASSWORD, STUDY, at
from tests.rooms.test_alerts_on_answers import ada as patient  # noqa: F401
from tests.rooms.test_alerts_on_answers import alerts, answer, mood

TESTS = system("tests")
EVENING = at("2026-03-02T20:00")
LATER = at("2026-03-03T10:00")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
WISH = {"answers": {"worst_fatigue": 4}, "reason": "ticked the wrong number", "reported_by": "participant"}


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={})


def diary(phone, day="2026-03-02"):
    return next(o for o in phone.known.values() if o["assessment"] == "evening" and o["local_day"] == day)


def entry(phone, score=6, when=EVENING, **more):
    return {
        "id": str(uuid4()),
        "occurrence_id": diary(phone)["id"],
        "instrument": {"code": "fatigue_diary", "version": "1.0"},
        "language": "en",
        "answers": {"worst_fatigue": score},
        "completed_at": when.isoformat(),
        "time_zone": "Asia/Shanghai",
        **more,
    }


def upload(phone, *entries, when=EVENING):
    with clock.moved_to(when):
        phone.refresh()
        return phone.speak(
            "POST", "/v1/phone/responses", {"responses": list(entries), "sent_at": when.isoformat()}
        )["receipts"]


def ask(cast, who, method, path, body=None, when=LATER):
    with clock.moved_to(when):
        return (cast.staff(who) if isinstance(who, str) else who).call(method, path, body)


def amend(cast, response_id, who="ines", query="", when=LATER, **changes):
    return ask(
        cast, who, "POST", f"/v1/site/responses/{response_id}/amendments{query}", {**WISH, **changes}, when
    )


def settle(cast, aside_id, who="ines", when=LATER, **wanted):
    body = {"outcome": "filed", "reason": "as she says", **wanted}
    return ask(cast, who, "POST", f"/v1/site/set-aside/{aside_id}/settlement", body, when)


def rows(model):
    with look(TESTS) as tx:
        return tx.all(sa.select(model))


def told(kind):
    with look(TESTS) as tx:
        found = tx.all(sa.select(FeedEntry.body).where(FeedEntry.kind == kind).order_by(FeedEntry.no))
    return [json.loads(body) for body in found]


# CO-01.


def test_a_correction_is_kept_beside_the_original(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    made = amend(cast, sent["id"], reported_at="2026-03-03T01:00:00Z")
    assert made.status == 200, made.body
    assert [(one["before"], one["after"]) for one in made.body["differences"]] == [(6, 4)]
    first, second = sorted(rows(Response), key=lambda row: row.amendment_no or 0)
    assert (json.loads(first.body), first.digest) == (sent, canonical.digest(sent))
    assert (str(second.amends_id), second.amendment_no, second.occurrence_id) == (
        sent["id"],
        1,
        first.occurrence_id,
    )
    assert (second.completed_at, second.corrected_at, second.received_at) == (EVENING, EVENING, LATER)
    assert {(row.response_id, row.value) for row in rows(Score)} == {(first.id, 6), (second.id, 4)}
    (facts,) = rows(Amendment)
    assert (facts.reason, facts.reported_by, facts.before_digest) == (
        WISH["reason"],
        "participant",
        first.digest,
    )
    (body,) = told("response.amended")
    assert body["response"]["amends_id"] == sent["id"] and body["response"]["answers"] == {"worst_fatigue": 4}
    assert body["response"]["amendment"] == {
        "number": 1,
        "reason": WISH["reason"],
        "reported_by": "participant",
        "reported_at": "2026-03-03T01:00:00.000000Z",
        "made_by": f"staff:{cast.ids['ines']}",
        "made_at": body["at"],
    }
    assert [score["value"] for score in body["scores"]] == [4]
    assert set(told("response.stored")[0]["response"]) <= set(body["response"])
    with look(TESTS) as tx:
        event = tx.one(sa.select(Event).where(Event.action == "response.amended"))
        assert list(integrity.faults(tx)) == []
    said = json.loads(event.body)
    assert (said["reason"], said["details"]["before"]["digest"]) == (WISH["reason"], first.digest)
    assert said["details"]["digest"] == second.digest
    cast.relay()
    assert upload(ada, sent)[0]["outcome"] == "already_stored"


@on_sqlite
@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"answers": {"worst_fatigue": 11}}, "/answers/worst_fatigue", "out_of_range"),
        ({"answers": {"worst_fatigue": "4"}}, "/answers/worst_fatigue", "wrong_type"),
        ({"answers": {"other/item": 4}}, "/answers/other~1item", "unknown_item"),
        ({"answers": {"worst_fatigue": 6}}, "/answers", "nothing_changed"),
        ({"answers": {}}, "/answers", "invalid"),
        ({"reason": ""}, "/reason", "invalid"),
        ({"reported_by": "sponsor"}, "/reported_by", "invalid"),
        ({"reported_at": "2026-03-09T00:00:00Z"}, "/reported_at", "invalid"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(cast, ada, changes, pointer, code):
    sent = entry(ada)
    upload(ada, sent)
    refused = amend(cast, sent["id"], **changes)
    assert refused.status == 422 and (pointer, code) in [
        (e["pointer"], e["code"]) for e in refused.body["errors"]
    ]
    assert len(rows(Response)) == 1 and rows(Amendment) == []


@on_sqlite
def test_a_preview_writes_nothing(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    shown = amend(cast, sent["id"], query="?preview=true", answers={"worst_fatigue": None})
    assert shown.body["preview"] and shown.body["differences"][0]["after"] is None
    assert len(rows(Response)) == 1 and told("response.amended") == []


# CO-02.


def test_the_latest_correction_of_the_answer_that_counts_is_what_counts(cast, ada):
    early, late = entry(ada, 6), entry(ada, 9, EVENING + timedelta(minutes=30))
    upload(ada, late, early, when=EVENING + timedelta(hours=1))
    ids = [amend(cast, early["id"], answers={"worst_fatigue": n}).body["id"] for n in (5, 3)]
    amend(cast, late["id"], answers={"worst_fatigue": 8})
    story = ask(cast, "noor", "GET", f"/v1/site/responses/{ids[0]}").body
    assert (story["id"], story["current"], story["counts"]) == (early["id"], ids[1], True)
    assert [one["answers"]["worst_fatigue"] for one in story["versions"]] == [6, 5, 3]
    assert [one["scores"][0]["value"] for one in story["versions"]] == [6, 5, 3]
    assert [one["amendment"] and one["amendment"]["number"] for one in story["versions"]] == [None, 1, 2]
    assert not ask(cast, "noor", "GET", f"/v1/site/responses/{late['id']}").body["counts"]
    with clock.moved_to(LATER):
        seen = cast.staff("noor").timeline("01-001")["responses"]
    assert [one["id"] for one in seen if one["counts"]] == [ids[1]] and len(seen) == 5
    with look(TESTS) as tx:
        (point,) = endpoints.points(tx, tx.get(Participant, STUDY, "01-001"), "evening", "worst_fatigue")
    assert point.value == 3
    with clock.moved_to(LATER):
        assert cast.staff("noor").must("GET", "/v1/site/compliance")["compliance"][0]["answered"] == 1


@on_sqlite
def test_rescoring_takes_corrections_along(cast, ada, environ):
    sent = entry(ada)
    upload(ada, sent)
    amend(cast, sent["id"])
    done = CliRunner(env=environ).invoke(epro, ["rescore", "--study", STUDY])
    assert done.exit_code == 0 and len(rows(Score)) == 2


# CO-03.


def test_the_same_again_changes_nothing(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    own = str(uuid4())
    first, again = amend(cast, sent["id"], id=own), amend(cast, sent["id"], id=own)
    assert (first.status, first.body) == (again.status, again.body) and first.body["id"] == own
    assert len(rows(Amendment)) == 1
    other = amend(cast, sent["id"], id=own, reason="something else")
    assert (other.status, other.body["code"]) == (409, "id_taken")
    assert amend(cast, sent["id"], id=sent["id"], answers={"worst_fatigue": 1}).body["code"] == "id_taken"
    stale = amend(cast, sent["id"], answers={"worst_fatigue": 2}, follows=0)
    assert (stale.status, stale.body["code"]) == (409, "not_current")
    assert amend(cast, sent["id"], answers={"worst_fatigue": 2}, follows=1).body["number"] == 2


# CO-04.


@on_sqlite
def test_who_may_correct(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    for who, status in {"noor": 403, "dana": 403, "bo": 403, "alma": 403, "otto": 404}.items():
        assert amend(cast, sent["id"], who).status == status, who
    assert rows(Amendment) == []


@on_sqlite
def test_a_second_role_makes_no_site_of_a_sponsor(cast, ada):
    """Given before it was refused, say; she settles nothing either."""
    sent = entry(ada)
    upload(ada, sent)
    with begin(TESTS) as tx:
        grant = {"study_id": STUDY, "site_id": "01", "role": "investigator", "granted_at": tx.now}
        tx.add(StaffGrant(id=uuid4(), staff_id=UUID(cast.ids["dana"]), **grant))
        trail.record(tx, trail.study_chain(tx, STUDY), "staff.granted", "staff", cast.ids["dana"])
    assert amend(cast, sent["id"], "dana").status == 403
    assert rows(Amendment) == []
    signing = {"meaning": "approved", "accepts_policy": True, "password": PASSWORD}
    path = f"/v1/site/responses/{sent['id']}/signatures"
    assert ask(cast, "dana", "POST", path, signing).status == 403


def test_a_preview_does_not_tell_a_blinded_answer_to_who_guesses_it(cast, ada, monkeypatch):
    sent = entry(ada, score=6)
    upload(ada, sent)
    with look(TESTS) as tx:
        known = catalogue.find(tx, "fatigue_diary", "1.0")
    parts = {
        name: tuple(replace(one, blinded=True) for one in getattr(known, name))
        for name in ("items", "scales")
    }
    monkeypatch.setitem(
        db.remembered(), ("instrument", "fatigue_diary", "1.0"), replace(known, digest="0" * 64, **parts)
    )
    guessed = [
        amend(cast, sent["id"], query="?preview=true", answers={"worst_fatigue": guess}) for guess in (5, 6)
    ]
    assert [one.status for one in guessed] == [200, 200]
    assert [one.body["differences"] for one in guessed] == [[], []]


def test_a_hidden_reader_learns_nothing_from_a_correction():
    response = {
        "answers": {"a": 1},
        "digest": "d",
        "amendment": {"number": 1, "reason": "SECRET"},
        "instrument": {},
    }
    body = json.dumps({"kind": "response.amended", "response": response, "scores": [{"blinded": False}]})
    entry_of = feed.Entry(STUDY, 7, uuid4(), "response.amended", body)
    hidden = feed.told(entry_of, blinded=True, hidden=True)
    assert hidden["response"] == {"amendment": {"number": 1}, "instrument": {}, "findings": []}
    assert hidden["scores"] == []
    some = feed.told(entry_of, blinded=True, blinded_items={"b"})
    assert some["response"]["answers"] == {"a": 1} and "reason" not in some["response"]["amendment"]
    assert feed.told(entry_of, blinded=True)["response"]["amendment"]["reason"] == "SECRET"
    settled = json.dumps(
        {"settlement": {"outcome": "filed", "reason": "SECRET"}, "set_aside": {"digest": "d", "findings": []}}
    )
    entry_of = feed.Entry(STUDY, 8, uuid4(), "response.settled", settled)
    assert "SECRET" not in str(feed.told(entry_of, blinded=True, hidden=True))
    assert "SECRET" not in str(feed.told(entry_of, blinded=True, unseen=True))
    assert "digest" not in feed.told(entry_of, blinded=True, hidden=True)["set_aside"]


# CO-05.


def test_a_correction_raises_and_tells_but_never_resolves(cast, patient):  # noqa: F811
    (receipt,) = answer(cast, patient, "2026-03-02", "mood", mood(0))
    when = at("2026-03-02T14:00")
    assert alerts() == []
    raised = amend(cast, receipt["id"], "ivo", when=when, answers={"phq09": 1})
    assert raised.status == 200, raised.body
    (alert,) = alerts()
    assert (alert.why["rule"], alert.why["response"]) == ("item-nine", raised.body["id"])
    amend(cast, receipt["id"], "ivo", when=when, answers={"phq01": 1})
    amend(cast, receipt["id"], "ivo", when=when, answers={"phq09": 0})
    (alert,) = alerts()
    assert alert.standing_since is not None and alert.cleared_at is None and alert.resolved_at is None
    steps = [(step.kind, step.outcome) for step in sorted(rows(AlertStep), key=lambda step: step.seq)]
    assert steps == [("corrected", "still_reached"), ("corrected", "no_longer_reached")]
    assert len(told("alert.corrected")) == 2
    amend(cast, receipt["id"], "ivo", when=when, answers={"phq09": 2})
    assert len(rows(Alert)) == 2  # a signal anew is an alert anew


# CO-06.


def held(cast, ada, **more):
    sent = entry(ada, when=at("2026-03-03T01:30"), **more)
    (receipt,) = upload(ada, sent, when=at("2026-03-03T01:31"))
    assert receipt["outcome"] == "held"
    return sent, receipt, rows(SetAside)[0]


def test_a_held_entry_is_filed_into_its_place(cast, ada):
    sent, receipt, aside = held(cast, ada)
    cast.tick(at("2026-03-03T06:30"))
    assert len(rows(Alert)) == 1
    done = settle(cast, aside.id)
    assert done.status == 200, done.body
    (response,) = rows(Response)
    assert (str(response.id), response.received_at) == (sent["id"], at("2026-03-03T01:31"))
    assert [finding["code"] for finding in response.findings] == ["outside_window"]
    (stored,), (settled,) = told("response.stored"), told("response.settled")
    assert stored["response"]["settled_from"] == str(aside.id)
    assert settled["settlement"]["response_id"] == sent["id"] and settled["settlement"]["outcome"] == "filed"
    (alert,) = rows(Alert)
    assert alert.cleared_why == "filed_by_the_site"
    assert rows(SetAside)[0].body == aside.body and rows(SetAside)[0].settled_at == LATER
    assert upload(ada, sent, when=LATER) == [receipt]
    again, other = settle(cast, aside.id), settle(cast, aside.id, outcome="rejected")
    assert again.body == done.body and (other.status, other.body["code"]) == (409, "already_settled")
    assert len(rows(Settlement)) == 1
    listed = ask(cast, "noor", "GET", "/v1/site/set-aside?standing=true").body["set_asides"]
    assert listed == [] and len(ask(cast, "dana", "GET", "/v1/site/set-aside").body["set_asides"]) == 1
    with look(TESTS) as tx:
        assert list(integrity.faults(tx)) == []
    cast.relay()


@on_sqlite
def test_one_that_fits_nowhere_is_filed_with_what_the_site_says(cast, ada):
    sent = entry(ada, occurrence_id=str(uuid4()), answers={"worst_fatigue": 3, "odd": 1})
    upload(ada, sent)
    (aside,) = rows(SetAside)
    refused = settle(cast, aside.id)
    assert refused.status == 422
    assert {one["code"] for one in refused.body["errors"]} == {"unknown_occurrence", "unknown_item"}
    assert rows(Settlement) == []
    done = settle(cast, aside.id, occurrence_id=diary(ada)["id"], leave_out=["odd"])
    assert done.status == 200, done.body
    (response,) = rows(Response)
    assert json.loads(response.body)["answers"] == {"worst_fatigue": 3}
    assert "answers_left_out" in [finding["code"] for finding in response.findings]


def test_a_conflict_becomes_a_correction_of_the_first(cast, ada):
    first = entry(ada)
    upload(ada, first)
    second = {**first, "answers": {"worst_fatigue": 2}}
    (receipt,) = upload(ada, second, when=EVENING + timedelta(minutes=1))
    assert receipt["outcome"] == "conflict"
    (aside,) = rows(SetAside)
    assert settle(cast, aside.id).status == 200
    (amended,) = told("response.amended")
    assert amended["response"]["amends_id"] == first["id"]
    assert amended["response"]["settled_from"] == str(aside.id)
    assert amended["response"]["answers"] == {"worst_fatigue": 2}
    assert told("response.settled")[0]["settlement"]["response_id"] == amended["response"]["id"]
    assert upload(ada, second, when=LATER) == [receipt]


@on_sqlite
def test_a_rejected_one_files_nothing_and_stays(cast, ada):
    sent, receipt, aside = held(cast, ada)
    assert settle(cast, aside.id, "noor", outcome="rejected").status == 403
    assert settle(cast, aside.id, "dana", outcome="rejected").status == 403
    assert settle(cast, aside.id, "otto", outcome="rejected").status == 404
    assert settle(cast, aside.id, outcome="rejected").body["settlement"]["outcome"] == "rejected"
    assert rows(Response) == [] and len(rows(SetAside)) == 1
    assert "response_id" not in told("response.settled")[0]["settlement"]
    seen = ask(cast, "noor", "GET", f"/v1/site/set-aside/{aside.id}").body
    assert seen["content"]["answers"] == sent["answers"]


# CO-07.

ACTS = st.lists(
    st.tuples(st.sampled_from(["upload", "other", "amend", "settle"]), st.integers(0, 3), st.integers(0, 10)),
    min_size=3,
    max_size=8,
)


def folded(subject_id):
    """What counts, and its score, from the feed alone: occurrence -> (id, answers, score)."""
    with look(TESTS) as tx:
        mine = sa.select(FeedEntry.body).where(FeedEntry.subject_id == subject_id).order_by(FeedEntry.no)
        bodies = [json.loads(body) for body in tx.all(mine)]
    originals, latest = defaultdict(list), {}
    for body in bodies:
        response = body.get("response")
        if body["kind"] == "response.stored":
            originals[response["occurrence_id"]].append(response)
            latest[response["id"]] = body
        if body["kind"] == "response.amended":
            before = latest[response["amends_id"]]["response"].get("amendment", {"number": 0})["number"]
            assert response["amendment"]["number"] == before + 1
            latest[response["amends_id"]] = body
    found = {}
    for occurrence_id, rivals in originals.items():
        first = min(rivals, key=lambda one: (one["corrected_at"], one["id"]))
        body = latest[first["id"]]
        found[occurrence_id] = (
            body["response"]["id"],
            body["response"]["answers"],
            body["scores"][0]["value"],
        )
    return found


def counted(subject_id):
    """The same from the records."""
    with look(TESTS) as tx:
        participant = tx.get(Participant, STUDY, subject_id)
        points = endpoints.points(tx, participant, "evening", "worst_fatigue")
        answers = {row.id: json.loads(row.body)["answers"] for row in tx.all(sa.select(Response))}
    return {str(p.occurrence_id): (str(p.response_id), answers[p.response_id], p.value) for p in points}


@on_sqlite
def test_any_sequence_of_uploads_corrections_and_settlements_folds_to_what_counts(cast):
    number = 0

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ACTS)
    def follow(acts):
        nonlocal number
        number += 1
        subject_id = f"fold-{number:03}"
        with cast.on("2026-03-02T10:00"):
            phone = cast.phone(contact={}, subject_id=subject_id)
        with clock.moved_to(EVENING):
            ines = cast.staff("ines")
        sent = []
        for step, (act, which, code) in enumerate(acts):
            now = EVENING + timedelta(minutes=step)
            if act == "upload" or not sent:
                sent.append(entry(phone, code, EVENING + timedelta(minutes=which)))
                upload(phone, sent[-1], when=now)
            elif act == "other":
                upload(phone, {**sent[which % len(sent)], "answers": {"worst_fatigue": code}}, when=now)
            elif act == "amend":
                amend(cast, sent[which % len(sent)]["id"], ines, when=now, answers={"worst_fatigue": code})
            else:
                for aside in [row for row in rows(SetAside) if row.subject_id == subject_id]:
                    settle(cast, aside.id, ines, when=now)
        assert folded(subject_id) == counted(subject_id) != {}

    follow()
    with look(TESTS) as tx:
        assert list(integrity.faults(tx)) == []


def test_nothing_is_written_when_the_end_fails(cast, ada, monkeypatch):
    """The correction, its scores, the entries of trail and feed stand or fall together."""
    sent = entry(ada)
    upload(ada, sent)

    def fails(*_, **__):
        raise RuntimeError("planted")

    monkeypatch.setattr(corrections.anchoring, "follow", fails)
    assert amend(cast, sent["id"]).status == 500
    monkeypatch.undo()
    assert len(rows(Response)) == 1 and rows(Amendment) == [] and told("response.amended") == []
    assert amend(cast, sent["id"]).status == 200
