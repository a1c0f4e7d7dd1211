"""The FHIR door: who may read what, searching and paging, handing in answers, tokens for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from epro import clock, db
from epro.export import fhir_search
from epro.exporting import fhir_bulk
from epro.exporting.models import BulkExport
from epro.questionnaires import catalogue
from epro.responses import rescoring, weeks
from epro.responses.models import SetAside
from epro.signin import machine_keys, machines, staff
from epro.simulation.people import Phone
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Grant, begin, look, system
from tests.cast import STUDY, at
from tests.doors.scene import OTHER, TODAY, entry, hire, publish
from tests.support.weeks import keep_a_week

BASE = "https://epro.test/fhir/r4"
KINDS = {
    # resource: who may read it, and with whose rows
    "Questionnaire": "nurse investigator data_manager monitor study_builder administrator machine phone",
    "QuestionnaireResponse": "nurse investigator data_manager monitor machine phone",
    "Observation": "nurse investigator data_manager monitor machine",
    "Task": "nurse investigator data_manager monitor machine phone",
    "ResearchStudy": "nurse investigator data_manager monitor study_builder administrator machine phone",
    "ResearchSubject": "nurse investigator data_manager monitor machine phone",
    "Patient": "nurse investigator data_manager monitor machine phone",
    "Organization": "nurse investigator data_manager monitor study_builder administrator machine phone",
    "Location": "nurse investigator data_manager monitor study_builder administrator machine phone",
    "Provenance": "investigator data_manager monitor machine",
    "AuditEvent": "investigator data_manager monitor machine",
}
NAMES = {
    "nurse": "noor",
    "investigator": "ines",
    "data_manager": "dana",
    "monitor": "mona",
    "study_builder": "bo",
    "administrator": "alma",
    "machine": "machine",
    "phone": "ada",
}
OF_A_PERSON = ("QuestionnaireResponse", "Observation", "Task", "ResearchSubject", "Patient", "Provenance")


def get(stage: Any, who: str, path: str, **headers: str) -> Any:
    return stage.send("GET", f"/fhir/r4{path}", stage.token(who), headers=headers)


def walk(stage: Any, who: str, path: str) -> Iterator[dict[str, Any]]:
    """Every resource of a search, page after page."""
    while path:
        told = get(stage, who, path).get_json()
        assert told["type"] == "searchset", told
        yield from (found["resource"] for found in told.get("entry", ()))
        links = {link["relation"]: link["url"].removeprefix(BASE) for link in told["link"]}
        path = links.get("next", "")


def code_of(answer: Any) -> str:
    assert answer.content_type == "application/fhir+json", answer.text
    found: str = answer.get_json()["issue"][0]["details"]["coding"][0]["code"]
    return found


def test_what_the_server_says_it_can_is_what_it_does(stage):
    told = stage.send("GET", "/fhir/r4/metadata").get_json()
    assert (told["fhirVersion"], told["kind"]) == ("4.0.1", "instance")
    said = {one["type"]: one for one in told["rest"][0]["resource"]}
    assert set(said) == set(KINDS)
    values = {
        "date": "ge2026-01-01",
        "reference": "Patient/diary.01-001",
        "uri": BASE,
        "token": "x",
        "string": "x",
    }
    for kind, one in said.items():
        for param in one["searchParam"]:
            path = f"/{kind}?{param['name']}={values[param['type']]}"
            answer = get(stage, "machine", path, Prefer="handling=strict")
            assert answer.status_code == 200, (path, answer.text)


@pytest.mark.parametrize("role", NAMES)
def test_every_role_at_every_kind(stage, role):
    for kind, roles in KINDS.items():
        answer = get(stage, NAMES[role], f"/{kind}")
        if role in roles.split():
            assert (answer.status_code, answer.content_type) == (200, "application/fhir+json"), (
                kind,
                answer.text,
            )
        else:
            assert (answer.status_code, code_of(answer)) == (403, "not_allowed"), kind


def test_everybody_sees_her_own_and_what_is_foreign_is_not_there(stage):
    mine = {
        "noor": [stage.ada],
        "otto": [stage.cara],
        "ada": [stage.ada],
        "cara": [stage.cara],
        "dana": [stage.ada, stage.cara],
        "machine": [stage.ada, stage.cara],
        "dora": [stage.eve],
        "eve": [stage.eve],
    }
    for who, sides in mine.items():
        patients = {f"{side.study}.{side.subject_id}" for side in sides}
        assert {one["id"] for one in walk(stage, who, "/Patient")} == patients
        responses = {one["id"] for one in walk(stage, who, "/QuestionnaireResponse")}
        assert responses == {side.stored["id"] for side in sides}
        subjects = {one["for"]["reference"] for one in walk(stage, who, "/Task?_count=500")}
        assert subjects == {f"Patient/{one}" for one in patients}
        assert {one["id"] for one in walk(stage, who, "/ResearchStudy")} == {sides[0].study}
    for who, side in (
        ("otto", stage.ada),
        ("noor", stage.eve),
        ("cara", stage.ada),
        ("eve", stage.cara),
    ):
        for kind, name in (
            ("QuestionnaireResponse", side.stored["id"]),
            ("Task", side.occurrence),
            ("Patient", f"{side.study}.{side.subject_id}"),
            ("Location", f"{side.study}.{side.site}"),
        ):
            if (who, kind) == ("noor", "Location"):
                continue
            answers = [get(stage, who, f"/{kind}/{one}") for one in (name, uuid4())]
            assert [one.status_code for one in answers] == [404, 404], (who, kind)
            assert answers[0].data == answers[1].data
        for kind in ("QuestionnaireResponse", "Task"):
            found = list(walk(stage, who, f"/{kind}?patient=Patient/{side.study}.{side.subject_id}"))
            assert found == [], (who, kind)
        assert get(stage, who, f"/QuestionnaireResponse/{side.stored['id']}/_history").status_code == 404


def test_nothing_tells_of_arms_contacts_or_another_study(stage):
    for kind in KINDS:
        text = json.dumps(list(walk(stage, "machine", f"/{kind}?_count=500")))
        for word in ("+86139", "Arm", '"arm', "example.org", f'"{OTHER}', "Ada"):
            assert word not in text, (kind, word)


def test_pages_hold_every_resource_once_in_the_order_asked_for(stage):
    for kind, order in (
        ("Task", ""),
        ("Task", "&_sort=-_lastUpdated"),
        ("AuditEvent", "&_sort=_lastUpdated"),
    ):
        whole = [one["id"] for one in walk(stage, "machine", f"/{kind}?_count=500{order}")]
        pages = [one["id"] for one in walk(stage, "machine", f"/{kind}?_count=7{order}")]
        assert pages == whole and len(set(whole)) == len(whole) > 20
        if order:
            stamps = [
                one["meta"]["lastUpdated"] for one in walk(stage, "machine", f"/{kind}?_count=9{order}")
            ]
            assert stamps == sorted(stamps, reverse="-" in order)
        told = get(stage, "machine", f"/{kind}?_count=1&_total=accurate").get_json()
        assert told["total"] == len(whole)
        assert get(stage, "machine", f"/{kind}?_summary=count").get_json()["total"] == len(whole)


def test_a_page_of_many_asks_the_database_no_more_than_a_page_of_one(stage):
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    sa.event.listen(db.engine(), "before_cursor_execute", note)
    try:
        for kind in KINDS:
            counts = []
            for size in (3, 200):  # of observations three are of a response and of a week
                get(stage, "machine", f"/{kind}?_count={size}")  # what is remembered for ever is read once
                asked.clear()
                get(stage, "machine", f"/{kind}?_count={size}")
                counts.append(len(asked))
            assert counts[1] <= counts[0] + 1 <= 13, (kind, counts)  # one more where a response was corrected
    finally:
        sa.event.remove(db.engine(), "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/QuestionnaireResponse?patient=Patient/diary.01-001", 1),
        ("/QuestionnaireResponse?subject=diary.01-001,diary.02-001", 2),
        ("/QuestionnaireResponse?subject=ResearchSubject/diary.01-001", 1),
        ("/QuestionnaireResponse?subject=Group/diary", 0),
        (f"/QuestionnaireResponse?questionnaire={BASE}/Questionnaire/fatigue-diary.en", 2),
        (f"/QuestionnaireResponse?questionnaire={BASE}/Questionnaire/fatigue-diary.en|1.0", 2),
        (f"/QuestionnaireResponse?questionnaire={BASE}/Questionnaire/fatigue-diary.en|2.0", 0),
        ("/QuestionnaireResponse?questionnaire=nothing", 0),
        ("/QuestionnaireResponse?authored=2026-03-02", 2),
        ("/QuestionnaireResponse?date=2026-03", 2),
        ("/QuestionnaireResponse?authored=lt2026-03-02", 0),
        ("/QuestionnaireResponse?authored=ge2026-03-02T12:01:00Z&authored=le2026-03-02T20:01:00%2B08:00", 2),
        ("/QuestionnaireResponse?authored=gt2026-03-02T12:01:00Z", 0),
        ("/QuestionnaireResponse?authored=gt2026-03-02T12:00:59Z", 2),
        ("/QuestionnaireResponse?_lastUpdated=ge2026-03-05", 0),
        ("/Observation?code=worst_fatigue", 2),
        ("/Observation?code=urn:epro:scores:fatigue_diary|worst_fatigue", 2),
        ("/Observation?code=none", 0),
        ("/Observation?code=urn:epro:scores:fatigue_diary_weekly|weekly_mean", 2),
        ("/Observation?patient=diary.01-001", 4),  # an evening's, and three of its week
        ("/Observation?date=2026-03", 8),
        ("/Observation?date=2026-03-02", 2),  # the evenings' own
        ("/Observation?date=ge2026-03-08&code=n_days", 2),
        ("/Observation?date=gt2026-03-08&code=n_days", 0),
        ("/Observation?date=lt2026-03-02&code=n_days", 0),
        ("/Observation?date=le2026-03-02T01:00:00Z&code=n_days", 2),
        ("/Observation?_lastUpdated=ge2026-03-05", 6),
        ("/Observation?_id=00000000-0000-5000-8000-000000000000.n-days", 0),
        ("/Observation?derived-from=QuestionnaireResponse/none", 0),
        ("/Questionnaire?identifier=fatigue_diary", 2),
        (f"/Questionnaire?url={BASE}/Questionnaire/fatigue-diary.zh-CN&version=1.0", 1),
        ("/Questionnaire?_id=fatigue-diary.1.0.en", 1),
        ("/Location?organization=Organization/diary.01", 1),
        ("/ResearchSubject?study=diary", 2),
        ("/ResearchSubject?study=ResearchStudy/masked", 0),
        ("/Provenance?patient=diary.02-001", 2),  # what she handed in, and its correction
        ("/AuditEvent?subtype=response.stored", 2),
        ("/Task?_id=", 0),
        ("/Task?_id=not-an-id", 0),
    ],
)
def test_a_search_finds(stage, path, found):
    assert len(list(walk(stage, "machine", path))) == found


@pytest.mark.parametrize(
    "path",
    [
        "/Task?_lastUpdated=yesterday",
        "/Task?_lastUpdated=sa2026",
        "/Task?_lastUpdated=2026-02-30",
        "/Task?_lastUpdated=2026-13",
        "/Task?_lastUpdated=9999-12-31",
        "/Task?_lastUpdated=0000",
        "/Task?_count=many",
        "/Task?_cursor=x",
        "/Task?_cursor=WyJhIl0",
        "/Task?_cursor=WyJhIiwiYiJd",
        "/AuditEvent?_cursor=WyJhIiwiMjAyNi0wMS0wMSIsIjEiXQ",
        f"/Task?_cursor={fhir_search.cursor([chr(0), UUID(int=0)])}",
        f"/AuditEvent?_cursor={fhir_search.cursor(['a', '2026-01-01T00:00:00Z', 'c', 10**30])}",
        f"/AuditEvent?_cursor={fhir_search.cursor(['a', '0001-01-01T00:00:00+14:00', 'c', 1])}",
        "/Task?patient:Patient=diary.01-001",
        "/Task?_id=" + "x," * 101,
    ],
)
def test_a_search_that_cannot_be_read_is_refused(stage, path):
    answer = get(stage, "machine", path)
    assert (answer.status_code, code_of(answer)) == (400, "bad_search"), answer.text


def test_what_is_not_known_is_passed_over_and_said_or_refused(stage):
    path = "/Patient?name=Ada&birthdate=1990"
    told = get(stage, "machine", path).get_json()
    modes = [found["search"]["mode"] for found in told["entry"]]
    assert modes == ["match", "match", "outcome"]
    assert "name" not in told["link"][0]["url"]
    answer = get(stage, "machine", path, Prefer="handling=strict")
    assert (answer.status_code, code_of(answer)) == (400, "bad_search")
    assert get(stage, "machine", "/Medication").status_code == 404
    assert get(stage, "machine", "/Patient/%00").status_code == 400


def test_what_was_read_before_is_not_sent_again(stage):
    path = f"/QuestionnaireResponse/{stage.ada.stored['id']}"
    answer = get(stage, "noor", path)
    newest = answer.get_json()["meta"]["versionId"]
    assert answer.headers["ETag"] == f'W/"{newest}"' and answer.headers["Last-Modified"]
    assert get(stage, "noor", path, **{"If-None-Match": f'W/"{newest}"'}).status_code == 304
    assert get(stage, "noor", path + f"/_history/{newest}").get_json() == answer.get_json()
    assert get(stage, "noor", path + "/_history").get_json()["total"] == int(newest)
    assert get(stage, "noor", path + "/_history/7").status_code == 404


def weeks_of(stage: Any, who: str, path: str = "/Observation") -> list[dict[str, Any]]:
    return [one for one in walk(stage, who, path) if "effectivePeriod" in one]


def test_a_week_of_a_diary_is_told_with_what_it_was_made_of(stage):
    path = f"/Observation?patient=diary.01-001&derived-from=QuestionnaireResponse/{stage.ada.stored['id']}"
    found = {one["code"]["coding"][0]["code"]: one for one in weeks_of(stage, "machine", path)}
    assert set(found) == {"weekly_mean", "weekly_worst", "n_days"}
    mean, days = found["weekly_mean"], found["n_days"]
    assert (
        mean["dataAbsentReason"]["coding"][1]["system"] == "urn:epro:reasons" and "valueQuantity" not in mean
    )
    assert days["valueQuantity"]["value"] == 1
    assert days["effectivePeriod"] == {"start": "2026-03-02", "end": "2026-03-08"}
    assert days["code"]["coding"][0]["system"] == "urn:epro:scores:fatigue_diary_weekly"
    assert days["method"]["text"].endswith("by definition 1.0")
    assert {one["code"]["coding"][0]["code"]: one["valueInteger"] for one in days["component"]}["week"] == 1
    (of,) = days["derivedFrom"]
    version = get(stage, "machine", "/" + of["reference"]).get_json()
    assert (version["id"], version["authored"][:10]) == (stage.ada.stored["id"], "2026-03-02")
    answer = get(stage, "noor", f"/Observation/{days['id']}")
    assert answer.get_json() == days and answer.headers["ETag"] == 'W/"1"'
    assert days["meta"]["lastUpdated"].startswith("2026-03-18")
    assert get(stage, "otto", f"/Observation/{days['id']}").status_code == 404
    assert {one["subject"]["reference"] for one in weeks_of(stage, "otto")} == {"Patient/diary.02-001"}


@pytest.mark.parametrize("order", ["", "&_sort=_lastUpdated", "&_sort=-_lastUpdated"])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_of_scores_hold_those_of_weeks_too(stage, order, size):
    whole = [one["id"] for one in walk(stage, "machine", f"/Observation?_count=500{order}")]
    pages = [one["id"] for one in walk(stage, "machine", f"/Observation?_count={size}{order}")]
    assert pages == whole and len(set(whole)) == len(whole) == 8
    told = get(stage, "machine", f"/Observation?_count={size}&_total=accurate{order}").get_json()
    assert told["total"] == 8
    for bad in (["2", "x"], ["0"], ["1", "x"], ["1", "a", "b", "evening", "x", "y"]):
        path = f"/Observation?_cursor={fhir_search.cursor(bad)}{order}"
        assert get(stage, "machine", path).status_code in (400, 422) or bad == ["1", "x"] and not order


def test_a_week_scored_again_is_another_version_and_an_export_of_before_has_the_first(stage):
    key = stage.token("machine")
    with look(system("tests")) as tx:
        (week,) = weeks.standing(tx, STUDY, [stage.ada.subject_id], "evening")
        first = week.row.scored_at
    with clock.moved_to(first + timedelta(minutes=1)):
        before = stage.client.open(
            "/fhir/r4/$export?_type=Observation",
            headers={"Authorization": f"Bearer {key}", "Prefer": "respond-async"},
        )
    with clock.moved_to(first + timedelta(minutes=5)), begin(system("tests")) as tx:
        she = tx.get(Participant, STUDY, stage.ada.subject_id, lock=True)
        (week,) = weeks.standing(tx, STUDY, [stage.ada.subject_id], "evening")
        definition = catalogue.find(tx, week.row.instrument_code, week.row.definition_version)
        found = weeks.again(tx, week.row, {f"day{number}": 6 for number in range(1, 8)})
        weeks.append(tx, she, found, definition, 1)
    path = f"/Observation?patient=diary.{stage.ada.subject_id}&code=weekly_mean"
    (now,) = walk(stage, "machine", path)
    assert (now["status"], now["meta"]["versionId"]) == ("amended", "2")
    assert now["valueQuantity"]["value"] == 6 and "dataAbsentReason" not in now
    since = (first + timedelta(minutes=2)).isoformat().replace("+", "%2B")
    assert {one["id"] for one in weeks_of(stage, "machine", f"/Observation?_lastUpdated=ge{since}")} == {
        one["id"] for one in weeks_of(stage, "machine", f"/Observation?patient=diary.{stage.ada.subject_id}")
    }
    with clock.moved_to(first + timedelta(minutes=6)):
        where = before.headers["Content-Location"].removeprefix("https://epro.test")
        headers = {"Authorization": f"Bearer {key}"}
        (output,) = stage.client.open(where, headers=headers).get_json()["output"]
        answer = stage.client.open(output["url"].removeprefix("https://epro.test"), headers=headers)
    then = [json.loads(line) for line in answer.data.splitlines()]
    (was,) = [one for one in then if one["id"] == now["id"]]
    assert (was["status"], was["meta"]["versionId"], "dataAbsentReason" in was) == ("final", "1", True)
    assert len(then) == 8


def test_a_phone_gets_no_scoring_and_no_scores(stage):
    for one in walk(stage, "ada", "/Questionnaire"):
        text = json.dumps(one)
        assert "calculatedExpression" not in text and "itemWeight" not in text and "ordinalValue" not in text
    scored = json.dumps(list(walk(stage, "machine", "/Questionnaire")))
    assert "calculatedExpression" in scored and "itemWeight" in scored


def test_scores_and_answers_that_are_withheld_stay_withheld(stage, monkeypatch):
    with look(system("tests")) as tx:
        known, weekly = (
            catalogue.find(tx, code, "1.0") for code in ("fatigue_diary", "fatigue_diary_weekly")
        )
    scales = tuple(replace(scale, blinded=scale.name == "n_days") for scale in weekly.scales)
    monkeypatch.setitem(
        db.remembered(), ("instrument", weekly.code, "1.0"), replace(weekly, digest="6" * 64, scales=scales)
    )
    hidden = "blinding: {hide_scores_from: [data_manager]}\nanchors:\n  - id: enrolment"
    with stage.today():
        publish("veiled2", texts=[("anchors:\n  - id: enrolment", hidden)])
        hire("vera3", Grant("veiled2", "01", "nurse"))
        hire("vida3", Grant("veiled2", "*", "data_manager"))
        key = machine("veiled2")

    keep_a_week("veiled2", answer_in("veiled2", stage, "vera3"))
    seen = {
        who: (
            len(list(walk(stage, who, "/Observation"))),
            ["item" in one for one in walk(stage, who, "/QuestionnaireResponse")],
        )
        for who in ("vera3", "vida3")
    }
    assert seen == {"vera3": (3, [True]), "vida3": (0, [False])}  # of an evening, and two of its week
    told = stage.send("GET", "/fhir/r4/Observation", key).get_json()["entry"]
    assert len(told) == 4  # a machine has the blinded one too
    (one,) = walk(stage, "vida3", "/QuestionnaireResponse")
    assert one["meta"]["security"][0]["code"] == "REDACTED"
    blind = replace(
        known,
        digest="7" * 64,
        items=tuple(replace(item, blinded=True) for item in known.items),
    )
    monkeypatch.setitem(db.remembered(), ("instrument", "fatigue_diary", "1.0"), blind)
    (one,) = walk(stage, "vera3", "/QuestionnaireResponse")
    assert one["item"][0]["answer"][0]["extension"][0]["valueCode"] == "masked"
    told = stage.send("GET", "/fhir/r4/QuestionnaireResponse", key).get_json()
    assert told["entry"][0]["resource"]["item"][0]["answer"] == [coded(5)]


def test_no_provenance_names_a_blinded_score_to_a_person(stage, monkeypatch):
    """Neither of the first scoring nor of a later one, whose act names its scales."""
    with look(system("tests")) as tx:
        known = catalogue.find(tx, "fatigue_diary", "1.0")
    scales = tuple(replace(scale, blinded=True) for scale in known.scales)
    monkeypatch.setitem(
        db.remembered(),
        ("instrument", "fatigue_diary", "1.0"),
        replace(known, digest="8" * 64, scales=scales),
    )
    with stage.today():
        publish("masked2")
        hire("vera4", Grant("masked2", "01", "nurse"))
        hire("mia2", Grant("masked2", "*", "data_manager"))
        key = machine("masked2")
    answer_in("masked2", stage, "vera4")
    later = {"fatigue_diary": replace(known, scales=scales, items=(replace(known.items[0], reversed=True),))}
    with stage.today(), begin(system("tests")) as tx:
        changes, _ = rescoring.find_changes(tx, "masked2", ["01-001"], later)
        assert rescoring.append(tx, "masked2", "01-001", changes, later) == 1
    for who, kinds in (
        ("mia2", [["QuestionnaireResponse"], ["QuestionnaireResponse"]]),
        (key, [["QuestionnaireResponse", "Observation"], ["Observation"]]),
    ):
        told = stage.send("GET", "/fhir/r4/Provenance", key) if who == key else get(stage, who, "/Provenance")
        named = [[one["reference"].split("/")[0] for one in entry["resource"]["target"]]
                 for entry in told.get_json()["entry"]]  # fmt: skip
        assert named == kinds


def machine(study: str) -> str:
    with begin(system("tests")) as tx:
        return machine_keys.add(tx, study, "tests", 30)[1]


def answer_in(study: str, stage: Any, nurse: str) -> str:
    """One participant of a study who answers yesterday evening's diary; her subject id."""
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
    with clock.moved_to(evening):
        phone.refresh()
        sent = {"responses": [entry(phone, answers={"worst_fatigue": 5})]}
        told = phone.must("POST", "/v1/phone/responses", sent)
    assert told["receipts"][0]["outcome"] == "stored", told
    return str(made["subject_id"])


def test_a_correction_is_the_next_version_and_everything_follows(stage):
    phone = stage.newcomer()
    body = said(entry(phone))
    assert post(stage, phone, body).status_code == 201
    name = body["identifier"]["value"]
    with stage.today():
        correction = {
            "answers": {"worst_fatigue": 8},
            "reason": "she misread it",
            "reported_by": "participant",
        }
        nurse = stage.sign_in("ines")
        made = nurse.call("POST", f"/v1/site/responses/{name}/amendments", correction)
        assert made.ok, made.body
        found = get(stage, "machine", f"/QuestionnaireResponse/{name}").get_json()
        assert (found["status"], found["meta"]["versionId"]) == ("amended", "2")
        assert found["item"][0]["answer"] == [coded(8)]
        first = get(stage, "machine", f"/QuestionnaireResponse/{name}/_history/1").get_json()
        assert (first["status"], first["item"][0]["answer"]) == ("completed", [coded(4)])
        told = get(stage, "machine", f"/QuestionnaireResponse/{name}/_history").get_json()
        assert [one["resource"]["meta"]["versionId"] for one in told["entry"]] == ["2", "1"]
        (score,) = walk(stage, "machine", f"/Observation?derived-from=QuestionnaireResponse/{name}")
        assert (score["status"], score["valueQuantity"]["value"]) == ("amended", 8)
        origins = list(walk(stage, "machine", f"/Provenance?target=QuestionnaireResponse/{name}"))
        assert [one["activity"]["coding"][0]["code"] for one in origins] == ["CREATE", "UPDATE"]
        assert origins[1]["reason"] == [{"text": "she misread it"}]
        listed = [one["id"] for one in walk(stage, "machine", "/QuestionnaireResponse?_count=500")]
        assert listed.count(name) == 1


# Handing in


def coded(code: int) -> dict[str, Any]:
    return {"valueCoding": {"system": "urn:epro:choices:fatigue_diary:rating", "code": str(code)}}


def said(made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The entry of a phone as an app built on FHIR says it."""
    task = {"reference": f"Task/{made['occurrence_id']}"}
    return {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "identifier": {"value": made["id"]},
        "questionnaire": f"{BASE}/Questionnaire/fatigue-diary.en|1.0",
        "authored": made["completed_at"],
        "extension": [{"url": "urn:epro:fhir:occurrence", "valueReference": task}],
        "item": [{"linkId": "worst_fatigue", "answer": [coded(4)]}],
        **changes,
    }


def post(stage: Any, phone: Any, body: Any, **headers: str) -> Any:
    return stage.send("POST", "/fhir/r4/QuestionnaireResponse", phone.key, body, headers=headers)


def test_a_response_is_taken_in_once_with_a_receipt(stage):
    phone = stage.newcomer()
    body = said(entry(phone))
    first, again = post(stage, phone, body), post(stage, phone, body)
    assert (first.status_code, again.status_code) == (201, 200)
    for name in ("Location", "Epro-Digest", "Epro-Signature", "Epro-Received-At"):
        assert first.headers[name] == again.headers[name]
    assert (first.headers["Epro-Outcome"], again.headers["Epro-Outcome"]) == ("stored", "already_stored")
    receipt = {one["url"]: one for one in first.get_json()["extension"][0]["extension"]}
    assert receipt["signature"]["valueString"] == first.headers["Epro-Signature"]
    path = first.headers["Location"].removeprefix(BASE)
    stored = stage.send("GET", f"/fhir/r4{path}", phone.key).get_json()
    assert stored["item"][0]["answer"] == [coded(4)]
    preferred = post(stage, phone, body, Prefer="return=representation").get_json()
    assert preferred["extension"][-1]["url"] == "urn:epro:fhir:receipt"
    assert [one["value"] for one in _scores_of(stage, body["identifier"]["value"])] == [4]
    task = body["extension"][0]["valueReference"]["reference"]
    assert stage.send("GET", f"/fhir/r4/{task}", phone.key).get_json()["status"] == "completed"


def _scores_of(stage: Any, response: str) -> list[Any]:
    found = walk(stage, "machine", f"/Observation?derived-from=QuestionnaireResponse/{response}")
    return [one["valueQuantity"] for one in found]


WRONG = {
    "other content": {"item": [{"linkId": "worst_fatigue", "answer": [{"valueInteger": 9}]}]},
    "no such item": {"item": [{"linkId": "none", "answer": [{"valueInteger": 4}]}]},
    "out of range": {"item": [{"linkId": "worst_fatigue", "answer": [{"valueInteger": 99}]}]},
    "another type": {"item": [{"linkId": "worst_fatigue", "answer": [{"valueString": "four"}]}]},
    "two answers": {
        "item": [{"linkId": "worst_fatigue", "answer": [{"valueInteger": 4}, {"valueInteger": 5}]}]
    },
    "another code system": {
        "item": [
            {"linkId": "worst_fatigue", "answer": [{"valueCoding": {"system": "http://x", "code": "4"}}]}
        ]
    },
    "no list of items": {"item": {"linkId": "worst_fatigue"}, "identifier": 7},
    "of nobody's questionnaire": {"questionnaire": "http://example.org/Questionnaire/x"},
    "without questionnaire": {"questionnaire": None},
    "without occurrence": {"extension": []},
    "of an unknown occurrence": {
        "extension": [{"url": "urn:epro:fhir:occurrence", "valueReference": {"reference": f"Task/{uuid4()}"}}]
    },
    "without id": {"identifier": None},
    "without time": {"authored": "2026-03-03"},
    "not completed": {"status": "in-progress"},
    "a correction": {"status": "amended"},
    "of somebody else": {"subject": {"reference": "Patient/diary.02-001"}},
}


def test_what_is_wrong_is_kept_and_never_dropped(stage):
    phone = stage.newcomer()
    made = entry(phone)
    assert post(stage, phone, said(made)).status_code == 201
    for name, changes in WRONG.items():
        body = said(made if name == "other content" else {**made, "id": str(uuid4())}, **changes)
        answers = [post(stage, phone, body) for _ in range(2)]
        assert [one.status_code for one in answers] == [202, 202], (name, answers[0].text)
        outcome = "conflict" if name == "other content" else "held"
        assert {one.headers["Epro-Outcome"] for one in answers} == {outcome}, name
        assert len({one.headers["Epro-Signature"] for one in answers}) == 1, name
    told = stage.ask("noor", "GET", f"/v1/site/participants/{phone.subject_id}/timeline").get_json()
    assert len(told["set_aside"]) == len(WRONG)


def test_what_is_no_response_at_all_is_refused(stage):
    phone = stage.newcomer()
    for body, status, code in (
        (b"{", 400, "bad_json"),
        (b"[]", 400, "bad_json"),
        (b'{"resourceType": "Patient"}', 400, "bad_json"),
        (b'{"resourceType": "QuestionnaireResponse", "status": NaN}', 400, "bad_json"),
        (b"x" * (600 * 1024), 413, "too_large"),
        (json.dumps(said(entry(phone), text="x" * 300_000)).encode(), 413, "too_large"),
    ):
        answer = post(stage, phone, body)
        assert (answer.status_code, code_of(answer)) == (status, code)
    for who in ("noor", "machine"):
        assert stage.ask(who, "POST", "/fhir/r4/QuestionnaireResponse", said(entry(phone))).status_code == 403


def test_every_way_of_not_answering_arrives_as_it_was_meant(stage):
    """Both ways: as the reason that there is no value, or chosen in the place of an answer."""
    from epro.export.fhir_entries import entry_of

    reasons = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    extension = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    for code, ours in (("not-applicable", "NA"), ("asked-declined", "REFUSED"), ("asked-unknown", None)):
        for answer in (
            {"extension": [{"url": extension, "valueCode": code}]},
            {"valueCoding": {"system": reasons, "code": code}},
        ):
            assert entry_of({"item": [{"linkId": "a", "answer": [answer]}]})["answers"] == {"a": ours}
    nested = {"item": [{"linkId": "page", "item": [{"linkId": "a", "answer": [{"valueDecimal": 3}]}]}]}
    assert entry_of(nested)["answers"] == {"a": 3}
    assert entry_of({"item": [{"linkId": "score.total", "answer": [{"valueDecimal": 3}]}]})["answers"] == {}


# Bulk export


def bulk(stage: Any, key: str, path: str = "/$export", **headers: str) -> Any:
    return stage.send("GET", f"/fhir/r4{path}", key, headers={"Prefer": "respond-async", **headers})


def fetched(stage: Any, key: str, asked: Any) -> dict[str, list[dict[str, Any]]]:
    """Every file of an export, by its kind."""
    assert asked.status_code == 202, asked.text
    told = stage.send(
        "GET", asked.headers["Content-Location"].removeprefix("https://epro.test"), key
    ).get_json()
    assert told["requiresAccessToken"] is True and told["error"] == []
    found = {}
    for output in told["output"]:
        answer = stage.send("GET", output["url"].removeprefix("https://epro.test"), key)
        assert (answer.status_code, answer.content_type) == (200, "application/fhir+ndjson")
        found[output["type"]] = [json.loads(line) for line in answer.data.splitlines()]
    return found


def test_a_bulk_export_holds_what_the_searches_find(stage):
    key = stage.token("machine")
    for path in ("/$export", f"/Group/{STUDY}/$export"):
        found = fetched(stage, key, bulk(stage, key, path))
        assert set(found) == set(KINDS)
        for kind in set(KINDS) - {"AuditEvent"}:
            # The weeks of this stage are scored days after today: they are in no export of today.
            searched = {
                one["id"]: one
                for one in walk(stage, "machine", f"/{kind}?_count=500")
                if "effectivePeriod" not in one
            }
            assert {one["id"]: one for one in found[kind]} == searched, kind
    chosen = fetched(
        stage, key, bulk(stage, key, "/$export?_type=Patient,Observation&_since=2026-03-02T12:00:00Z")
    )
    assert {kind: len(rows) for kind, rows in chosen.items()} == {
        "Patient": 0,
        "Observation": len(list(walk(stage, "machine", "/Observation?code=worst_fatigue"))),
    }


def test_who_goes_on_from_one_bulk_export_to_the_next_passes_over_nothing(stage):
    """An act under way at the asking comes with the next; a window that moves has no date, so tasks come whole."""
    key = stage.token("machine")
    asked = bulk(stage, key, "/$export?_type=Task,Location,Patient&_since=2026-12-31")
    where = asked.headers["Content-Location"].removeprefix("https://epro.test")
    told = stage.send("GET", where, key).get_json()
    assert told["transactionTime"] == "2026-03-04T01:58:00.000000Z"
    found = fetched(stage, key, asked)
    assert found["Patient"] == []
    for kind in ("Task", "Location"):
        assert len(found[kind]) == len(list(walk(stage, "machine", f"/{kind}?_count=500"))) > 0


def test_what_was_held_is_new_when_a_person_files_it_however_long_after_it_came(stage):
    """Who asks only for what is new since the last time never passes over it; an export of before has not got it."""
    phone, key = stage.newcomer(), stage.token("machine")
    sent = entry(phone, occurrence_id=str(uuid4()))
    place = entry(phone)["occurrence_id"]
    with stage.today():
        (receipt,) = phone.must("POST", "/v1/phone/responses", {"responses": [sent]})["receipts"]
    assert receipt["outcome"] == "held"
    before = bulk(stage, key, "/$export?_type=QuestionnaireResponse,Observation")
    with look(system("tests")) as tx:
        aside = tx.one(sa.select(SetAside).where(SetAside.response_id == sent["id"]))
    since = (at(TODAY) + timedelta(minutes=5)).isoformat().replace("+", "%2B")
    with stage.today(10):
        wish = {"outcome": "filed", "reason": "as she says", "occurrence_id": place}
        done = stage.sign_in("ines").call("POST", f"/v1/site/set-aside/{aside.id}/settlement", wish)
        assert done.ok, done.body
        (found,) = walk(stage, "machine", f"/QuestionnaireResponse?_lastUpdated=ge{since}")
        assert found["id"] == sent["id"] and found["meta"]["lastUpdated"].startswith("2026-03-04T02:10")
        after = stage.client.open(
            f"/fhir/r4/$export?_type=QuestionnaireResponse&_since={since}",
            headers={"Authorization": f"Bearer {key}", "Prefer": "respond-async"},
        )
        (told,) = fetched(stage, key, after)["QuestionnaireResponse"]
        assert told == found
        for kind, rows in fetched(stage, key, before).items():
            assert [row["id"] for row in rows if sent["id"] in row["id"]] == [], kind


def test_a_bulk_export_is_its_own_askers_and_ends(stage):
    key = stage.token("machine")
    where = bulk(stage, key).headers["Content-Location"].removeprefix("https://epro.test")
    assert stage.send("GET", where, key).status_code == 200
    assert stage.send("GET", where, stage.token("dana")).status_code == 404
    assert stage.send("GET", where + "/Medication.ndjson", key).status_code == 404
    assert stage.send("DELETE", where, stage.token("dana")).status_code == 404
    assert stage.send("DELETE", where, key).status_code == 202
    for path in (where, where + "/Patient.ndjson"):
        assert stage.send("GET", path, key).status_code == 404
    acts = {one["subtype"][0]["code"] for one in walk(stage, "machine", "/AuditEvent?_count=500")}
    assert {"export.asked", "export.ended"} <= acts


def test_who_leaves_a_file_half_way_has_read_what_she_read(stage):
    key = stage.token("machine")
    asked = bulk(stage, key).headers["Content-Location"].rpartition("/")[2]
    with look(system("tests")) as tx:
        row = tx.get(BulkExport, UUID(asked))
        actor = staff.actor_again(tx, row.asked_by)
    lines = fhir_bulk.lines(actor, row, "Task", BASE)
    next(lines)
    lines.close()
    with look(system("tests")) as tx:
        event = tx.one(sa.select(Event).where(Event.action == "export.read", Event.object_id == asked))
    details = json.loads(event.body)["details"]
    assert (details["kind"], details["rows"], details["whole"]) == ("Task", 1, False)


def test_who_may_not_have_everything_gets_no_bulk_export(stage):
    for who in ("noor", "ines", "bo", "alma", "ada", "dita"):
        assert bulk(stage, stage.token(who)).status_code in (403, 404), who
    assert bulk(stage, stage.token("machine"), f"/Group/{OTHER}/$export").status_code == 404
    assert stage.send("GET", "/fhir/r4/$export", stage.token("machine")).status_code == 400
    for query in ("_type=Medication", "_since=yesterday", "_outputFormat=csv"):
        answer = bulk(stage, stage.token("machine"), f"/$export?{query}")
        assert (answer.status_code, code_of(answer)) == (400, "bad_search"), query


# Machines that sign


@pytest.fixture(scope="module")
def signers() -> dict[str, Any]:
    return {
        "RS384": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
    }


def jwks(signers: dict[str, Any]) -> dict[str, Any]:
    keys = []
    for name, key in signers.items():
        algorithm = jwt.get_algorithm_by_name(name)
        keys.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": name})
    return {"keys": keys}


def assertion(signers: dict[str, Any], client: Any, algorithm: str = "RS384", **changes: Any) -> str:
    claims = {
        "iss": str(client),
        "sub": str(client),
        "aud": f"{BASE}/auth/token",
        "exp": int((at(TODAY) + timedelta(minutes=4)).timestamp()),
        "jti": str(uuid4()),
        **changes,
    }
    kid = claims.pop("kid", algorithm)
    key = claims.pop("key", signers[algorithm])
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not ...},
        key,
        algorithm,
        headers={"kid": kid},
    )


def ask_token(stage: Any, signed: str, **changes: str) -> Any:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": machines.ASSERTION,
        "client_assertion": signed,
        "scope": "system/*.rs",
        **changes,
    }
    return stage.send("POST", "/fhir/r4/auth/token", data=form)


@pytest.fixture(scope="module")
def client(stage, signers) -> Any:
    with stage.today(), begin(system("tests")) as tx:
        return machines.add_key(tx, STUDY, "lake", 30, jwks(signers)).id


def test_a_machine_that_signs_gets_a_token_for_a_few_minutes(stage, signers, client):
    for algorithm in ("RS384", "ES384"):
        given = ask_token(stage, assertion(signers, client, algorithm))
        assert given.status_code == 200, given.text
        token = given.get_json()["access_token"]
        assert stage.send("GET", "/fhir/r4/Observation", token).status_code == 200
        assert stage.send("GET", "/v1/sponsor/feed", token).status_code == 401  # for FHIR, and nothing else
        with clock.moved_to(at(TODAY) + timedelta(minutes=6)):
            late = stage.client.get("/fhir/r4/Observation", headers={"Authorization": f"Bearer {token}"})
            assert late.status_code == 401
    told = stage.send("GET", "/fhir/r4/.well-known/smart-configuration").get_json()
    assert told["token_endpoint"] == f"{BASE}/auth/token"


def test_a_key_that_was_taken_back_ends_its_tokens(stage, signers):
    with stage.today(), begin(system("tests")) as tx:
        key = machines.add_key(tx, STUDY, "brief", 30, jwks(signers)).id
    token = ask_token(stage, assertion(signers, key)).get_json()["access_token"]
    assert stage.send("GET", "/fhir/r4/Patient", token).status_code == 200
    with stage.today(), begin(system("tests")) as tx:
        machine_keys.revoke(tx, key, "leaked")
    assert stage.send("GET", "/fhir/r4/Patient", token).status_code == 401
    assert ask_token(stage, assertion(signers, key)).status_code == 401


def test_a_machine_that_signs_is_held_to_its_networks(stage, signers):
    def ask(token: str, address: str) -> int:
        there = {"REMOTE_ADDR": address}
        return stage.send("GET", "/fhir/r4/Patient", token, environ_base=there).status_code

    with stage.today(), begin(system("tests")) as tx:
        key = machines.add_key(tx, STUDY, "far", 30, jwks(signers), ["203.0.113.0/24"]).id
    refused = ask_token(stage, assertion(signers, key))
    assert refused.status_code == 403 and "key_from_elsewhere" in refused.text
    form = {"grant_type": "client_credentials", "client_assertion_type": machines.ASSERTION}
    form |= {"client_assertion": assertion(signers, key), "scope": "system/*.rs"}
    there = {"REMOTE_ADDR": "203.0.113.4"}
    given = stage.send("POST", "/fhir/r4/auth/token", data=form, environ_base=there)
    token = given.get_json()["access_token"]
    assert (ask(token, "203.0.113.4"), ask(token, "198.51.100.4")) == (200, 403)


def test_no_other_assertion_opens_anything(stage, signers, client):
    now = int(at(TODAY).timestamp())
    good = assertion(signers, client)
    assert ask_token(stage, good).status_code == 200
    wrong = {
        "used before": good,
        "garbage": "a.b.c",
        "empty": "",
        "run out": assertion(signers, client, exp=now),
        "an hour ahead": assertion(signers, client, exp=now + 3600),
        "exp as text": assertion(signers, client, exp=str(now + 60)),
        "for another server": assertion(signers, client, aud="https://elsewhere.example/token"),
        "of another issuer": assertion(signers, client, iss="somebody"),
        "of nobody": assertion(signers, uuid4()),
        "without jti": assertion(signers, client, jti=...),
        "without exp": assertion(signers, client, exp=...),
        "with another key": assertion(
            signers, client, key=rsa.generate_private_key(public_exponent=65537, key_size=2048)
        ),
        "under an unknown kid": assertion(signers, client, kid="none"),
        "under the other kid": assertion(signers, client, kid="ES384"),
        "by HMAC": assertion(signers, client, "HS384", key="x" * 48, kid="RS384")
        if "HS384" in signers
        else jwt.encode({"sub": str(client)}, "x" * 48, "HS384", headers={"kid": "RS384"}),
        "RS256": jwt.encode(
            {
                "iss": str(client),
                "sub": str(client),
                "aud": f"{BASE}/auth/token",
                "exp": now + 60,
                "jti": "x",
            },
            signers["RS384"],
            "RS256",
            headers={"kid": "RS384"},
        ),
        "a secret key's id": assertion(signers, _secret_key_id(stage)),
    }
    for name, signed in wrong.items():
        answer = ask_token(stage, signed)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client"), name
    for changes, error in (
        ({"scope": "system/*.cruds"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "x"}, "unsupported_grant_type"),
    ):
        answer = ask_token(stage, assertion(signers, client), **changes)
        assert (answer.status_code, answer.get_json()["error"]) == (400, error)


def _secret_key_id(stage: Any) -> str:
    return str(stage.ids["machine"].split("_")[1])


def test_keys_that_are_no_public_keys_are_refused(signers):
    good = jwks(signers)["keys"]
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    algorithm = jwt.get_algorithm_by_name("RS384")
    for keys in (
        None,
        [],
        [{}],
        [{**good[0], "kid": 7}],
        [good[0], good[0]],
        [{**algorithm.to_jwk(signers["RS384"], as_dict=True), "kid": "private"}],
        [{**algorithm.to_jwk(small.public_key(), as_dict=True), "kid": "small"}],
        [{"kty": "oct", "kid": "x", "k": "AAAA"}],
        good * 6,
    ):
        with pytest.raises(machines.Invalid):
            machines.check_keys({"keys": keys})
    assert len(machines.check_keys({"keys": good})) == 2
