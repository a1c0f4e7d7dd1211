"""Nobody sees past her sites and studies: foreign is answered exactly like absent, and lists and counts leave it out.

Requirement G30; threats S1 (a phone with another's ids), S2 (a site with another's), S3 (across studies).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from epro import clock, db
from epro.contacts import store
from epro.export import registry
from epro.export.extract import Options
from epro.exporting import cuts, making, reading
from epro.questionnaires import catalogue
from epro.scheduling.models import Occurrence
from epro.signin import machine_keys
from epro.simulation.people import Caller, Phone
from epro.stream import manifests, sequencer
from epro.trail.models import FeedEntry
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STUDY, at
from tests.console.browser import Browser
from tests.doors.routes import ROUTES, path_of
from tests.doors.scene import NOBODY, OTHER, Side, entry, hire, publish

BY_SUBJECT = [(method, rule) for method, rule in ROUTES if "<subject_id>" in rule]
FOR_NURSES = [
    route for route in BY_SUBJECT if "nurse" in ROUTES[route].roles or ROUTES[route].lock != "staff"
]
BY_ALERT = [(method, rule) for method, rule in ROUTES if "<uuid:alert_id>" in rule]
BY_RESPONSE = [
    (method, rule)
    for method, rule in ROUTES
    if "<uuid:response_id>" in rule and ROUTES[method, rule].lock == "staff"
]


def same_answer(one: TestResponse, other: TestResponse) -> bool:
    """Byte for byte, but for the id of the request."""

    def shown(answer: TestResponse) -> tuple[Any, ...]:
        return answer.status, answer.data, [pair for pair in answer.headers if pair[0] != "X-Request-Id"]

    return shown(one) == shown(other)


@pytest.mark.parametrize(
    ("who", "whose"), [("otto", "ada"), ("dita", "ada"), ("nils", "cara"), ("dora", "cara")]
)
def test_what_is_foreign_is_answered_like_what_is_not_there(stage, who, whose):
    side: Side = getattr(stage, whose)
    told_apart = []
    for method, rule in BY_SUBJECT + BY_ALERT + BY_RESPONSE:
        foreign = {"subject_id": side.subject_id, "device_id": side.device, "alert_id": side.alert}
        absent = {"subject_id": "99-999", "device_id": NOBODY, "alert_id": NOBODY}
        foreign["response_id"], absent["response_id"] = side.response, NOBODY
        answers = [
            stage.ask(
                who,
                method,
                path_of(rule, stage, **names) + ROUTES[method, rule].query,
                ROUTES[method, rule].body,
            )
            for names in (foreign, absent)
        ]
        if not same_answer(*answers) or answers[0].status_code not in (403, 404):
            told_apart.append((method, rule, [answer.text for answer in answers]))
    assert told_apart == []


def test_a_nurse_of_another_site_gets_not_found_and_not_forbidden(stage):
    hers = [one for one in BY_RESPONSE if "nurse" in ROUTES[one].roles or one[1].endswith("/amendments")]
    for method, rule in FOR_NURSES + BY_ALERT + hers:
        answer = stage.ask(
            "otto", method, path_of(rule, stage) + ROUTES[method, rule].query, ROUTES[method, rule].body
        )
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found"), (method, rule)


def test_naming_the_study_opens_no_other_one(stage):
    """Eve has the same subject id as Ada, in another study."""
    assert stage.eve.subject_id == stage.ada.subject_id
    for study in (OTHER, "no such study"):
        for method, rule in FOR_NURSES:
            query = (ROUTES[method, rule].query or "?") + f"&study={study}"
            answers = [
                stage.ask(
                    "noor",
                    method,
                    path_of(rule, stage, subject_id=subject) + query,
                    ROUTES[method, rule].body,
                )
                for subject in (stage.eve.subject_id, "99-999")
            ]
            assert answers[0].status_code == 404 and same_answer(*answers), (method, rule, study)


def test_a_device_is_only_found_under_its_own_participant(stage):
    """Cara's phone through Ada's address, by a nurse who may revoke Ada's."""
    rule = "/v1/site/participants/<subject_id>/devices/<uuid:device_id>/revocation"
    answers = [
        stage.ask("noor", "POST", path_of(rule, stage, device_id=device), {"reason": "a try"})
        for device in (stage.cara.device, stage.eve.device, NOBODY)
    ]
    assert answers[0].status_code == 404 and same_answer(answers[0], answers[2]) and same_answer(*answers[:2])
    assert stage.ask("cara", "GET", "/v1/phone/me").status_code == 200


@pytest.mark.parametrize("who", ["otto", "noor", "dana", "dita", "dora", "nils"])
@pytest.mark.parametrize(
    "asked",
    [
        "",
        "?site=01",
        "?site=02",
        f"?study={STUDY}",
        f"?study={OTHER}",
        f"?study={OTHER}&site=01",
        "?study=none",
        "?limit=1",
        "?offset=1",
    ],
)
def test_lists_hold_what_is_hers_and_what_was_asked_for(stage, who, asked):
    """Compared with a count made by hand: who may see whom."""
    mine = {
        "otto": [stage.cara],
        "noor": [stage.ada],
        "dana": [stage.ada, stage.cara],
        "dita": [stage.cara],
        "dora": [stage.eve],
        "nils": [stage.eve],
    }[who]
    wanted = dict(part.split("=") for part in asked.lstrip("?").split("&") if part)
    right = [
        side
        for side in mine
        if wanted.get("study", side.study) == side.study and wanted.get("site", side.site) == side.site
    ]
    right = right[int(wanted.get("offset", 0)) :][: int(wanted.get("limit", 500))]
    expected = [(side.study, side.subject_id) for side in right]
    assert _listed(stage, who, "participants", asked) == expected
    for what in ("set-aside", "alerts", "compliance"):
        if what == "alerts" and who in ("dana", "dita", "dora"):
            continue
        found = _listed(stage, who, what, asked)
        if {"limit", "offset"} & set(wanted):  # in another order than the participants
            assert len(found) == len(expected) and set(found) <= {
                (side.study, side.subject_id) for side in mine
            }
        else:
            assert sorted(found) == expected, what


def test_compliance_counts_what_is_hers(stage):
    for who, side in (("otto", stage.cara), ("nils", stage.eve), ("noor", stage.ada)):
        (row,) = stage.ask(who, "GET", "/v1/site/compliance").get_json()["compliance"]
        assert row == {
            "study": side.study,
            "subject_id": side.subject_id,
            "assessment": "evening",
            "due": 2,
            "answered": 1,
            "missed": 1,
            "open": 0,
        }


def test_timelines_hold_one_participant(stage):
    """Every id in Ada's story is Ada's."""
    told = stage.ask("noor", "GET", f"/v1/site/participants/{stage.ada.subject_id}/timeline").text
    for side in (stage.cara, stage.eve):
        for foreign in (
            side.occurrence,
            side.alert,
            side.message,
            side.device,
            side.set_aside,
            side.stored["id"],
        ):
            assert str(foreign) not in told
    assert str(stage.ada.alert) in told and str(stage.ada.set_aside) in told


def test_feeds_of_two_studies_do_not_touch(stage):
    for who, study, there, elsewhere in (
        ("dana", STUDY, (stage.ada, stage.cara), (stage.eve,)),
        ("machine", STUDY, (stage.ada,), (stage.eve,)),
        ("dora", OTHER, (stage.eve,), (stage.ada, stage.cara)),
    ):
        told = stage.ask(who, "GET", "/v1/sponsor/feed").get_json()
        assert {record["study"] for record in told["records"]} == {study}
        assert [record["position"] for record in told["records"]] == list(range(1, len(told["records"]) + 1))
        text = str(told)
        assert all(side.stored["id"] in text for side in there)
        assert not any(side.stored["id"] in text for side in elsewhere)


def test_a_feed_of_another_study_is_answered_like_one_that_is_not_there(stage):
    for who, foreign in (("dana", OTHER), ("machine", OTHER), ("dora", STUDY)):
        for more in ({}, {"Accept": "application/x-ndjson"}):
            answers = [
                stage.send("GET", f"/v1/sponsor/feed?study={study}", stage.token(who), headers=more)
                for study in (foreign, "no-such-study")
            ]
            assert answers[0].status_code == 404 and same_answer(*answers)


def test_whoever_reads_one_site_does_not_read_the_study_through_its_feed(stage):
    """The feed is a whole study's: a data manager of site 02 has no right to it."""
    assert stage.ask("dita", "GET", "/v1/site/participants").status_code == 200
    for path in ("/v1/sponsor/feed", f"/v1/sponsor/feed?study={STUDY}"):
        answer = stage.ask("dita", "GET", path)
        assert answer.status_code in (403, 404), answer.text[:200]


def test_roles_do_not_lend_each_other_their_sites(stage):
    """A nurse at 02 who is a data manager at 01 may read there, and act only at 02."""
    with stage.today():
        hire("both", Grant(STUDY, "02", "nurse"), Grant(STUDY, "01", "data_manager"))
    assert _listed(stage, "both", "participants", "") == [
        (STUDY, stage.ada.subject_id),
        (STUDY, stage.cara.subject_id),
    ]
    assert _listed(stage, "both", "alerts", "") == [(STUDY, stage.cara.subject_id)]
    for method, rule in FOR_NURSES + BY_ALERT:
        answer = stage.ask(
            "both", method, path_of(rule, stage) + ROUTES[method, rule].query, ROUTES[method, rule].body
        )
        reads = method == "GET" and (method, rule) in BY_SUBJECT  # no data manager reads an alert
        assert answer.status_code == (200 if reads else 404), (method, rule, answer.text)


def test_scores_hidden_from_a_role_stay_hidden_at_the_site_where_she_holds_it(stage):
    with stage.today():
        publish(
            "veiled",
            texts=[
                (
                    "anchors:\n  - id: enrolment",
                    "blinding: {hide_scores_from: [data_manager]}\nanchors:\n  - id: enrolment",
                )
            ],
        )
        hire("vera", Grant("veiled", "01", "nurse"))
        hire("vico", Grant("veiled", "02", "nurse"), Grant("veiled", "01", "data_manager"))
        hire("vida", Grant("veiled", "*", "data_manager"))
        hire("vita", Grant("veiled", "*", "data_manager"), Grant("veiled", "01", "nurse"))
        hire("vilma", Grant("veiled", "*", "administrator"), Grant("veiled", "01", "nurse"))
        _answer_in("veiled", stage)
    path = "/v1/site/participants/01-001/timeline?study=veiled"
    scores = {
        who: [r["scores"] for r in stage.ask(who, "GET", path).get_json()["responses"]]
        for who in ("vera", "vico", "vida", "vita", "vilma")
    }
    assert [len(found) for found in scores["vera"]] == [len(found) for found in scores["vilma"]] == [1]
    assert scores["vico"] == scores["vida"] == scores["vita"] == [[]]  # another role uncovers nothing
    for who, sees in (("vera", True), ("vico", False), ("vita", False)):
        assert {_sees_what_was_sent(stage, who, path)} == {sees}, who
    for who in ("vida", "vita"):
        (aside,) = _records(stage, stage.token(who), "response.held")
        assert "digest" not in aside["set_aside"]
        assert [one["code"] for one in aside["set_aside"]["findings"]] == ["about_answers"]
        (record,) = _stored(stage, stage.token(who))
        assert record["scores"] == [] and record["response"]["findings"] is not None
        assert (
            not {"answers", "digest"} & record["response"].keys()
        )  # of eleven answers a digest tells the one
    with begin(system("tests")) as tx:
        key = machine_keys.add(tx, "veiled", "lake", 366)[1]
    (record,) = _stored(stage, key)
    assert record["response"]["answers"] == {"worst_fatigue": 5} and len(record["scores"]) == 1


def test_what_is_blinded_reaches_machines_and_no_person(stage, monkeypatch, tmp_path):
    """Whatever the study says of roles: a flag on a scale or an item holds for everybody who reads."""
    with look(system("tests")) as tx:
        known = catalogue.find(tx, "fatigue_diary", "1.0")
    items = tuple(replace(item, blinded=True) for item in known.items)
    blinded = replace(
        known,
        digest="5" * 64,
        items=items,
        scales=tuple(replace(scale, blinded=True) for scale in known.scales),
    )
    monkeypatch.setitem(db.remembered(), ("instrument", "fatigue_diary", "1.0"), blinded)
    with stage.today():
        publish("masked")
        hire("vera2", Grant("masked", "01", "nurse"))
        hire("mia", Grant("masked", "*", "data_manager"))
        with begin(system("tests")) as tx:
            key = machine_keys.add(tx, "masked", "lake", 366)[1]
    _answer_in("masked", stage, "vera2")
    assert not _sees_what_was_sent(stage, "vera2", "/v1/site/participants/01-001/timeline?study=masked")
    (read,), (fed,) = _stored(stage, stage.token("mia")), _stored(stage, key)
    assert (read["scores"], read["response"]["answers"], "digest" in read["response"]) == ([], {}, False)
    assert (len(fed["scores"]), fed["response"]["answers"]) == (1, {"worst_fatigue": 5})
    assert fed["response"]["digest"]
    _finds_no_digest_to_try(stage, fed, key, tmp_path)


def _finds_no_digest_to_try(stage: Any, fed: dict[str, Any], key: str, folder: Path) -> None:
    """Who reads all of an entry but the answer finds it by trying, wherever a digest over the entry's bytes is told:
    that of a cut behind it, or of a manifest's group with few entries.
    """
    with look(system("tests")) as tx:
        body = tx.one(sa.select(FeedEntry.body).where(FeedEntry.event_id == UUID(fed["event_id"])))
    digest = hashlib.sha256(body.encode()).hexdigest()
    person, machine = _cut_there(fed["position"], folder)
    assert (person["digest"], machine["digest"]) == (None, digest)
    assert person["event_id"] == machine["event_id"] == fed["event_id"]
    given = reading.point("masked", "there").at
    with clock.moved_to(given + timedelta(days=2)):
        with begin(system("tests")) as tx:
            made = manifests.make(tx, "masked", given.date()).digest
        path, browser = f"/v1/sponsor/manifests/{given.date()}?study=masked", Browser(stage.cast.app)
        person = stage.sign_in("mia").must("GET", path)
        machine = Caller(stage.cast.line, key).must("GET", path)
        browser.sign_in("mia")
        pages = [
            browser.get(f"/console/studies/masked/{place}").text
            for place in ("data", "trail?action=cut.made", "trail?action=manifest.made")
        ]
    assert machine["digest"] == made and all("digest" in one for one in machine["groups"])
    assert [one["count"] for one in person["groups"]] == [one["count"] for one in machine["groups"]]
    assert not {"previous", "signature"} & person.keys() and "digest" not in str(person)
    assert all("withheld from your role" in page for page in pages)
    assert not any(secret in page for page in pages for secret in (made, digest))


def _cut_there(position: int, folder: Path) -> list[dict[str, Any]]:
    """What an export says of its cut, to a person and to a machine that reads all."""
    with begin(system("tests")) as tx:
        cuts.make(tx, "masked", "there", position)
    found = []
    for kind, role, unblinded in (("staff", "data_manager", False), ("key", "machine", True)):
        who = Actor(kind, str(NOBODY), grants=(Grant("masked", "*", role),))
        read = reading.extract(who, reading.point("masked", "there"), unblinded=unblinded)
        (folder / role).mkdir()
        found.append(making.make(who, read, registry.find("csv"), Options(), folder / role).told["cut"])
    return found


def _sees_what_was_sent(stage: Any, who: str, path: str) -> bool:
    """Whether digests and remarks on answers are told to her, everywhere alike: of few answers they tell the one."""
    timeline = stage.ask(who, "GET", path).get_json()
    (response,), (aside,) = timeline["responses"], timeline["set_aside"]
    (listed,) = stage.ask(who, "GET", "/v1/site/set-aside" + path[path.index("?") :]).get_json()["set_asides"]
    why = [
        stage.ask(who, "GET", path.replace("timeline", "why") + about).text
        for about in ("", f"&response={aside['response_id']}", f"&occurrence={response['occurrence_id']}")
    ]
    seen = {
        response["digest"] is not None,
        *(one["digest"] is not None for one in (aside, listed)),
        *(one["findings"][0]["code"] == "out_of_range" for one in (aside, listed)),
        *("who reads scores" not in text for text in why),
        *(
            stage.ask(who, "GET", f"/v1/site/responses/{one}/proof").status_code != 403
            for one in (response["id"], aside["response_id"])
        ),
    }
    assert len(seen) == 1, seen
    return seen.pop()


def _stored(stage: Any, key: str) -> list[dict[str, Any]]:
    return _records(stage, key, "response.stored")


def _records(stage: Any, key: str, kind: str) -> list[dict[str, Any]]:
    told = stage.send("GET", "/v1/sponsor/feed", key).get_json()["records"]
    return [record for record in told if record["kind"] == kind]


def test_enrolling_at_a_foreign_site_is_answered_like_at_none(stage):
    body = {"language": "en", "time_zone": "Asia/Shanghai", "anchors": {"enrolment": "2026-03-04"}}
    answers = [
        stage.ask("otto", "POST", "/v1/site/participants", {**body, "study": study, "site": site})
        for study, site in ((STUDY, "01"), (STUDY, "77"), (OTHER, "01"), ("none", "01"))
    ]
    assert answers[0].status_code == 404
    assert all(same_answer(answers[0], answer) for answer in answers)


def test_a_subject_id_of_another_site_is_taken_and_its_contact_stays(stage):
    """Otto cannot see Ada, and must neither get her id nor touch her telephone number."""
    before = store.of(STUDY, f"participant/{stage.ada.subject_id}")
    assert before == {"phone": "+8613900000011"}
    body = {
        "study": STUDY,
        "site": "02",
        "subject_id": stage.ada.subject_id,
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "anchors": {"enrolment": "2026-03-04"},
        "contact": {"phone": "+8613900000099"},
    }
    answer = stage.ask("otto", "POST", "/v1/site/participants", body)
    assert store.of(STUDY, f"participant/{stage.ada.subject_id}") == before
    assert (answer.status_code, answer.get_json()["code"]) == (409, "subject_id_taken")


def test_numbers_given_by_one_site_do_not_trip_over_those_of_another(stage):
    """Noor gives somebody of her own an id that would be the next at site 02."""
    body = {
        "study": STUDY,
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "anchors": {"enrolment": "2026-03-04"},
    }
    taken = stage.ask(
        "noor",
        "POST",
        "/v1/site/participants",
        {**body, "site": "01", "subject_id": "02-002", "contact": {"phone": "+8613900000021"}},
    )
    assert taken.status_code == 201
    made = stage.ask(
        "otto",
        "POST",
        "/v1/site/participants",
        {**body, "site": "02", "contact": {"phone": "+8613900000022"}},
    )
    assert made.status_code == 201, made.text
    assert made.get_json()["subject_id"] == "02-003"
    assert store.of(STUDY, "participant/02-002") == {"phone": "+8613900000021"}


def test_a_phone_with_another_participants_ids(stage):
    """Of the other site and of the other study: as if they did not exist."""
    for side in (stage.cara, stage.eve):
        for method, path, body in (
            ("GET", "/v1/phone/drafts/{occurrence}", None),
            ("PUT", "/v1/phone/drafts/{occurrence}", {"answers": {"worst_fatigue": 9}}),
        ):
            answers = [
                stage.ask("ada", method, path.format(occurrence=found), body)
                for found in (side.occurrence, NOBODY)
            ]
            assert answers[0].status_code == 404 and same_answer(*answers)
        shown = [
            stage.ask("ada", "POST", "/v1/phone/confirmations", {"notifications": [str(found)]})
            for found in (side.message, NOBODY)
        ]
        assert shown[0].get_json() == {"confirmed": 0, "opened": 0} and same_answer(*shown)
        kept = stage.ask(_name_of(stage, side), "GET", f"/v1/phone/drafts/{side.occurrence}").get_json()
        assert kept["draft"] == {"answers": {"worst_fatigue": 2}}


def test_an_answer_for_another_participants_occurrence_is_held_like_one_for_none(stage):
    entries = [
        entry(stage.ada.phone, occurrence_id=str(found))
        for found in (stage.cara.occurrence, stage.eve.occurrence, uuid4())
    ]
    answer = stage.ask("ada", "POST", "/v1/phone/responses", {"responses": entries})
    receipts = answer.get_json()["receipts"]
    assert [receipt["outcome"] for receipt in receipts] == ["held"] * 3
    assert receipts[0]["findings"] == receipts[1]["findings"] == receipts[2]["findings"]
    with look(system("tests")) as tx:
        assert tx.get(Occurrence, STUDY, stage.cara.occurrence).fulfilled_at is None


def test_a_phone_is_told_of_nobody_else(stage):
    told = (
        stage.ask("ada", "GET", "/v1/phone/changes?limit=500").text
        + stage.ask("ada", "GET", "/v1/phone/me").text
    )
    with look(system("tests")) as tx:
        foreign = tx.all(
            sa.select(Occurrence.id).where(
                sa.or_(Occurrence.study_id != STUDY, Occurrence.subject_id != stage.ada.subject_id)
            )
        )
        assert len(foreign) > 60
        assert not any(str(found) in told for found in foreign)


def _listed(stage: Any, who: str, what: str, asked: str) -> list[tuple[str, str]]:
    answer = stage.ask(who, "GET", f"/v1/site/{what}{asked}")
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    rows = told.get("participants", told.get("set_asides", told.get("alerts", told.get("compliance"))))
    sides = {side.subject_id for side in (stage.ada, stage.cara, stage.eve)}
    return [(row["study"], row["subject_id"]) for row in rows if row["subject_id"] in sides]


def _name_of(stage: Any, side: Side) -> str:
    return next(name for name in ("ada", "cara", "eve") if getattr(stage, name) is side)


def _answer_in(study: str, stage: Any, nurse: str = "vera") -> None:
    """One participant of a study who answers the diary of yesterday evening, late, and sends what is no answer."""
    with clock.moved_to(at("2026-03-03T09:00")):
        vera = stage.sign_in(nurse)
        made = vera.enrol(
            study=study,
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": "2026-03-03"},
        )
        phone = Phone(stage.cast.line).activate(vera.code_for(made["subject_id"]))
        phone.sync()
    evening = at("2026-03-03T20:00")
    (asked, *_) = phone.open_at(evening)
    for code in (5, 99):
        phone.answer(asked, {"worst_fatigue": code}, evening, evening + timedelta(minutes=1))
    with clock.moved_to(evening + timedelta(minutes=2)):
        phone.refresh()
        receipts = phone.upload(evening + timedelta(minutes=2))
        assert [receipt["outcome"] for receipt in receipts] == ["stored", "held"]
    sequencer.sequence()
