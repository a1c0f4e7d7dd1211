"""The FHIR mappings: every resource holds what it must, withholds what it must, and is what two judges take for FHIR.

More judges, and the calculated scores, are asked by `make conformance`.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B import get_fhir_model_class

from epro.errors import EproError
from epro.export import fhir_documents, fhir_files, fhir_names, fhir_search, files
from epro.export.extract import Options
from epro.export.fhir_branching import enabled, path_of
from epro.export.fhir_entries import doubt_of, entry_of
from epro.export.fhir_record import audit_event, provenance
from epro.export.fhir_scoring import SAID, formula
from epro.export.fhir_studies import location, organization, patient, research_study, research_subject
from epro.export.fhir_tasks import STATUS, task
from epro.export.registry import FORMATS
from epro.questionnaires import library
from epro.questionnaires.kinds import kind_of, settled
from epro.questionnaires.methods import METHODS
from epro.scheduling.state import State
from tests.export.fhir_cases import BASE, NOON, answers, everything, observations, response, told
from tests.export.studies import eventful, scores
from tests.export.test_odm import WEEK

REQUIRED = {
    # resource and field -> the codes of its required binding in R4
    ("QuestionnaireResponse", "status"): "in-progress completed amended entered-in-error stopped",
    ("Questionnaire", "status"): "draft active retired unknown",
    (
        "Observation",
        "status",
    ): "registered preliminary final amended corrected cancelled entered-in-error unknown",
    (
        "ResearchStudy",
        "status",
    ): "active administratively-completed approved closed-to-accrual completed disapproved "
    "in-review temporarily-closed-to-accrual withdrawn",
    (
        "ResearchSubject",
        "status",
    ): "candidate eligible follow-up ineligible not-registered off-study on-study "
    "on-study-intervention on-study-observation pending-on-study potential-candidate screening withdrawn",
    ("Location", "status"): "active suspended inactive",
    ("Location", "mode"): "instance kind",
    (
        "Task",
        "status",
    ): "draft requested received accepted rejected ready cancelled in-progress on-hold failed "
    "completed entered-in-error",
    (
        "Task",
        "intent",
    ): "unknown proposal plan order original-order reflex-order filler-order instance-order option",
    ("AuditEvent", "action"): "C R U D E",
    ("AuditEvent", "outcome"): "0 4 8 12",
    (
        "Bundle",
        "type",
    ): "document message transaction transaction-response batch batch-response history searchset collection",
    ("CapabilityStatement", "status"): "draft active retired unknown",
    ("CapabilityStatement", "kind"): "instance capability requirements",
}
ITEM_TYPES = {"group", "display", "integer", "decimal", "choice"}
OPERATORS = {"exists", "=", "!=", ">", "<", ">=", "<="}


def judged(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, when fhir.resources takes it and every code of a required binding is one of its codes."""
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    for (kind, name), codes in REQUIRED.items():
        if kind == resource["resourceType"] and name in resource:
            assert resource[name] in codes.split(), (kind, name, resource[name])
    if "id" in resource:
        assert 0 < len(resource["id"]) <= 64 and not set(resource["id"]) - set(ID_LETTERS), resource["id"]
    return resource


ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."


def test_every_instrument_in_every_language_and_every_answer_is_fhir():
    resources, cases = everything(seed=3, times=2)
    for one in resources:
        judged(one)
    assert {one["resourceType"] for one in resources} == {
        "Questionnaire",
        "QuestionnaireResponse",
        "Observation",
    }
    assert len({one["id"] for one in resources if one["resourceType"] == "Questionnaire"}) == 46
    assert len(cases) == 46


@pytest.mark.parametrize("instrument", library.bundled(), ids=lambda one: one.code)
def test_a_questionnaire_asks_what_the_instrument_asks(instrument):
    made = told(instrument)
    text = json.dumps(made)
    assert "initial" not in text  # nothing is answered beforehand
    asked = [item for item in made["item"] if item["type"] != "decimal"]
    assert [item["linkId"] for item in asked] == [item.id for item in instrument.items]
    for item, one in zip(instrument.items, asked, strict=True):
        assert one["type"] in ITEM_TYPES
        if item.numeric:
            ends = [
                ext["valueInteger"] for ext in one["extension"] if "Value" in ext["url"].rpartition("/")[2]
            ]
            assert ends == [min(item.codes), max(item.codes)]
            continue
        offered = [option["valueCoding"] for option in one["answerOption"]]
        ours = [coding for coding in offered if coding["system"].startswith("urn:epro:choices:")]
        assert [int(coding["code"]) for coding in ours] == list(item.codes)
        weights = [
            option["extension"][0]["valueDecimal"] for option in one["answerOption"] if "extension" in option
        ]
        assert weights == [item.scored_codes[code] for code in item.codes]
        assert len(offered) - len(ours) == item.not_applicable + item.refusable
    hidden = [item for item in made["item"] if item["type"] == "decimal"]
    assert [item["linkId"] for item in hidden] == [f"score.{scale.name}" for scale in instrument.scales]
    placeholder = instrument.wording["en"] == "placeholder"
    assert made["experimental"] is placeholder and ("Placeholder" in text) is placeholder
    assert "prior-edit" in text


@pytest.mark.parametrize("instrument", library.bundled(), ids=lambda one: one.code)
def test_a_phones_questionnaire_shows_no_score(instrument):
    text = json.dumps(told(instrument, scoring=False))
    for word in ("calculatedExpression", "itemWeight", "ordinalValue", "score."):
        assert word not in text


def test_every_method_is_said_in_fhirpath():
    assert set(SAID) == set(METHODS)
    for instrument in library.bundled():
        for scale in instrument.scales:
            said = formula(instrument, scale)
            assert said is not None and said.expression.count("(") == said.expression.count(")")
            for one in said.variables.values():
                assert one.count("(") == one.count(")")


def test_branching_is_said_simply_where_it_can_be():
    wpai = library.bundled_instrument("wpai_lupus")
    assert enabled(wpai, wpai.item("wp02")) == {
        "enableWhen": [
            {
                "question": "wp01",
                "operator": "!=",
                "answerCoding": {"system": "urn:epro:choices:wpai_lupus:yes_no", "code": "0"},
            }
        ]
    }
    assert enabled(wpai, wpai.item("wp05"))["enableWhen"][0]["answerInteger"] == 0
    for instrument in library.bundled():
        for item in instrument.items:
            rows = enabled(instrument, item).get("enableWhen", [])
            assert {row["operator"] for row in rows} <= OPERATORS
            if item.asked_if is not None:
                assert path_of(instrument, item.asked_if)


KINDS = {
    "skipped": "asked-unknown",
    "not_applicable": "not-applicable",
    "refused": "asked-declined",
    "not_asked": "not-asked",
}


def test_every_kind_of_answer_goes_out_and_comes_back_as_it_is():
    chance, seen = random.Random(5), set()
    for instrument in library.bundled():
        for number in range(10):
            given = answers(instrument, chance)
            found = settled(instrument, given)
            made = response(instrument, number, given)
            for item in made["item"]:
                (answer,) = item["answer"]
                kind = kind_of(found[item["linkId"]])
                seen.add(kind)
                reason = answer["extension"][0]["valueCode"] if "extension" in answer else None
                assert reason == KINDS.get(kind)
            assert entry_of(made)["answers"] == found
            assert entry_of(made)["instrument"] == {"code": instrument.code, "version": instrument.version}
    assert seen == {"answered", "skipped", "not_applicable", "not_asked"}


def test_a_correction_is_a_later_version_of_the_same_response():
    lupusqol = library.bundled_instrument("lupusqol")
    first, second = (response(lupusqol, 1, {"lq01": 3}, version=number) for number in (1, 2))
    assert first["id"] == second["id"]
    assert (first["status"], second["status"]) == ("completed", "amended")
    assert (first["meta"]["versionId"], second["meta"]["versionId"]) == ("1", "2")


def test_a_score_is_a_number_or_a_reason_and_never_both():
    chance, seen = random.Random(6), set()
    for instrument in library.bundled():
        for number in range(10):
            for one in observations(instrument, number, answers(instrument, chance)):
                has = ("valueQuantity" in one, "dataAbsentReason" in one)
                assert sorted(has) == [False, True]
                seen.add(has)
                assert one["derivedFrom"] and one["method"] and len(one["component"]) == 2
    assert len(seen) == 2


def test_what_is_withheld_is_masked_or_gone():
    diary = library.bundled_instrument("fatigue_diary")
    masked = response(diary, 1, {"worst_fatigue": 7}, withheld={"worst_fatigue"})
    assert masked["item"][0]["answer"] == [{"extension": [fhir_names.absent("masked")]}]
    nothing = response(diary, 1, {"worst_fatigue": 7}, withheld=None)
    assert "item" not in nothing
    assert all(one["meta"]["security"][0]["code"] == "REDACTED" for one in (masked, nothing))


def occurrence(state: State) -> SimpleNamespace:
    hour = timedelta(hours=1)
    facts = dict.fromkeys(
        ("at_risk_at", "fulfilled_at", "missed_at", "excused_at", "unexcused_at", "cancelled_at")
    )
    opens = NOON + hour if state is State.UPCOMING else NOON - hour
    closes = NOON + hour * 2 if state in (State.UPCOMING, State.OPEN) else NOON - hour / 2
    fact = {
        "missed": "missed_at",
        "fulfilled": "fulfilled_at",
        "excused": "excused_at",
        "cancelled": "cancelled_at",
    }
    if state.value in fact:
        facts[fact[state.value]] = NOON
    return SimpleNamespace(
        study_id="msc-sle",
        subject_id="101-001",
        id=UUID(int=9),
        assessment_id="evening",
        instrument_code="fatigue_diary",
        instrument_version="1.0",
        local_day=date(2026, 3, 2),
        time_zone="Asia/Shanghai",
        planned_at=NOON - hour * 48,
        opens_at=opens,
        closes_at=closes,
        grace_until=closes + hour * 6,
        cancelled_reason="withdrawn" if state is State.CANCELLED else None,
        excused_reason="in_hospital" if state is State.EXCUSED else None,
        **facts,
    )


@pytest.mark.parametrize("state", State)
def test_a_task_says_what_an_occurrence_is(state):
    row = occurrence(state)
    done = [UUID(int=3)] if state is State.FULFILLED else []
    made = judged(task(row, done, NOON, base=BASE, language="en"))
    assert made["status"] == STATUS[state] and made["businessStatus"]["coding"][0]["code"] == state.value
    assert ("statusReason" in made) is (made["status"] in ("failed", "cancelled"))
    assert ("output" in made) is bool(done)
    assert made["restriction"]["period"]["start"] < made["restriction"]["period"]["end"]
    assert made["input"][0]["valueCanonical"] == f"{BASE}/Questionnaire/fatigue-diary.en|1.0"


def person(**changes: Any) -> SimpleNamespace:
    made = {
        "study_id": "msc-sle",
        "subject_id": "101_001.a",
        "site_id": "101",
        "arm": "cells",
        "language": "zh-CN",
    }
    return SimpleNamespace(**{**made, "enrolled_at": NOON, "withdrawn_at": None, **changes})


def test_study_sites_and_participants_are_fhir_and_tell_no_arm():
    site = SimpleNamespace(
        study_id="msc-sle",
        id="101",
        names={"zh-CN": "第一中心", "en": "Site"},
        phone="+86 10 1",
        opened_at=NOON,
    )
    study = SimpleNamespace(id="msc-sle", opened_at=NOON)
    gone = person(withdrawn_at=NOON + timedelta(days=1))
    made = [
        research_study(study, "A study", ["101"]),
        organization(site),
        location(site),
        *(tell(one) for tell in (research_subject, patient) for one in (person(), gone)),
    ]
    for one in made:
        assert "cells" not in json.dumps(judged(one)) and "Arm" not in json.dumps(one)
    assert [one["status"] for one in made if one["resourceType"] == "ResearchSubject"] == [
        "on-study",
        "withdrawn",
    ]


def event(action: str, actor: str = "participant:x", subject: str | None = "101-001") -> SimpleNamespace:
    return SimpleNamespace(
        study_id="msc-sle",
        subject_id=subject,
        id=UUID(int=5),
        at=NOON,
        actor=actor,
        action=action,
        object_type="response",
        object_id=str(UUID(int=4)),
    )


def test_the_record_is_fhir():
    first = judged(provenance(event("response.stored"), "r", 1, ["o"], None))
    assert len(first["target"]) == 2 and "entity" not in first
    later = judged(provenance(event("response.amended", "staff:7"), "r", 2, ["o"], "she said so"))
    assert later["entity"] == [
        {"role": "revision", "what": {"reference": "QuestionnaireResponse/r/_history/1"}}
    ]
    assert later["reason"] == [{"text": "she said so"}]
    again = judged(provenance(event("response.rescored", "system:x"), "r", 1, ["o"], None))
    assert again["target"] == [{"reference": "Observation/o"}] and again["entity"][0]["role"] == "source"
    for action in ("response.stored", "arm.set", "staff.signed_in", "feed.read", "participant.withdrawn"):
        for subject in ("101-001", None):
            judged(audit_event(event(action, "staff:7", subject)))


def test_documents_are_fhir():
    receipt = {
        "id": "x",
        "outcome": "held",
        "digest": "d",
        "received_at": "2026-03-02T12:00:00.000000Z",
        "signature": "s",
        "findings": [{"code": "unknown_item", "detail": "d", "pointer": "/answers/x"}],
    }
    found = told(library.bundled_instrument("fss"))
    for one in (
        fhir_documents.capability(base=BASE, version="1", kinds={"Task": {"_id": "token"}}, now=NOON),
        fhir_documents.refusal(422, "invalid", "Wrong.", [{"code": "x", "detail": "y", "pointer": "/z"}]),
        *(fhir_documents.taken(receipt | {"outcome": outcome}) for outcome in fhir_documents.WORDS),
        fhir_documents.taken(receipt | {"id": None}),
        fhir_documents.searchset([found], base=BASE, this=BASE, following=BASE, total=1, ignored=["x"]),
        fhir_documents.searchset([], base=BASE, this=BASE, following=None, total=0),
        fhir_documents.history([response(library.bundled_instrument("fss"), 1, {})], BASE),
    ):
        judged(one)


# Files


def test_a_study_at_a_cut_is_fhir_and_corrections_follow_through(tmp_path):
    made = list(fhir_files.resources(eventful().extract(), BASE))
    for one in made:
        judged(one)
    responses = {one["id"]: one for one in made if one["resourceType"] == "QuestionnaireResponse"}
    amended = [one for one in responses.values() if one["status"] == "amended"]
    assert [one["item"][0]["answer"][0]["valueCoding"]["code"] for one in amended] == ["6"]
    scores = [one for one in made if one["resourceType"] == "Observation" and one["status"] == "amended"]
    assert [one["valueQuantity"]["value"] for one in scores] == [6]
    origins = [one for one in made if one["resourceType"] == "Provenance"]
    assert len(origins) == len(responses) + 1
    (correction,) = [one for one in origins if "reason" in one]
    assert (
        correction["entity"][0]["what"]["reference"] == f"QuestionnaireResponse/{amended[0]['id']}/_history/1"
    )
    questionnaires = {
        f"{one['url']}|{one['version']}" for one in made if one["resourceType"] == "Questionnaire"
    }
    assert {one["questionnaire"] for one in responses.values()} <= questionnaires
    names = {f"{one['resourceType']}/{one['id']}" for one in made}
    for one in responses.values():
        assert one["subject"]["reference"] in names
    asked = {one["id"]: one for one in made if one["resourceType"] == "Task"}
    assert Counter(one["status"] for one in asked.values()) == {"completed": 6, "failed": 1}
    done = {o["valueReference"]["reference"] for one in asked.values() for o in one.get("output", ())}
    assert done == {name for name in names if name.startswith("QuestionnaireResponse/")}
    acts = [one for one in made if one["resourceType"] == "AuditEvent"]
    assert [one["subtype"][0]["code"] for one in acts] == [e["kind"] for e in eventful().entries]
    assert {one["id"] for one in origins} <= {one["id"] for one in acts}
    who = {one["subtype"][0]["code"]: one["agent"][0]["who"] for one in acts}
    assert who["response.amended"]["identifier"] == {"system": "urn:epro:actors:staff", "value": "ines"}
    assert who["response.stored"]["reference"].startswith("Patient/")
    assert who["alert.raised"] == {"display": "not told"}
    folder = files.Folder(tmp_path)
    FORMATS["fhir"].write(eventful().extract(), folder, Options())
    assert sum(folder.files.values()) == len(made)


def test_a_week_stands_with_its_latest_scores_and_what_it_was_made_of():
    feed, weekly = eventful(), library.bundled_instrument("fatigue_diary_weekly")
    filed = next(one["response"]["id"] for one in feed.entries if one["kind"] == "response.amended")
    diary = next(one for one in feed.entries if one.get("response", {}).get("id") == filed)
    week = WEEK | {"sources": {"day2": filed, "day9": "gone"}}
    for run, given in enumerate(({}, {item.id: 4 for item in weekly.items}), 1):
        feed.add("101-001", "week.scored", week=week | {"run": run}, scores=scores(weekly, given))
    made = list(fhir_files.resources(feed.extract(), BASE))
    weeks = {one["code"]["coding"][0]["code"]: judged(one) for one in made if "effectivePeriod" in one}
    assert set(weeks) == {scale.name for scale in weekly.scales}
    mean = weeks["weekly_mean"]
    assert (mean["status"], mean["valueQuantity"]["value"], mean["meta"]["versionId"]) == ("amended", 4, "2")
    assert mean["meta"]["lastUpdated"] == mean["issued"] == feed.entries[-1]["at"]
    assert mean["effectivePeriod"] == {"start": WEEK["first_day"], "end": WEEK["last_day"]}
    original = diary["response"]["amends_id"]
    assert mean["derivedFrom"] == [{"reference": f"QuestionnaireResponse/{original}/_history/2"}]

    feed.add("101-001", "week.scored", week=week | {"run": 3, "sources": {}}, scores=scores(weekly, {}))
    made = list(fhir_files.resources(feed.extract(), BASE))
    (mean,) = [one for one in made if one.get("id") == mean["id"]]
    assert "dataAbsentReason" in judged(mean) and "derivedFrom" not in mean
    veiled = replace(weekly, scales=tuple(replace(one, blinded=True) for one in weekly.scales))

    def blind(code: str, version: str | None = None) -> Any:
        return veiled if code == weekly.code else library.bundled_instrument(code, version)

    for hides, count in ((True, 0), (False, len(weekly.scales))):
        told = fhir_files.resources(feed.extract(instrument=blind, blinded=hides), BASE)
        assert len([one for one in told if "effectivePeriod" in one]) == count


# Names


@pytest.mark.parametrize(
    ("study", "subject"),
    [("a", "1"), ("msc-sle", "101-001"), ("s", "a.b"), ("s", "a_b"), ("s", "._.-"), ("s", ".-"), ("s", "..")],
)
def test_a_patients_id_leads_back(study, subject):
    assert fhir_names.study_of(fhir_names.patient_id(study, subject)) == (study, subject)


def test_no_two_patients_share_an_id_and_none_is_too_long():
    letters, made = "ab._-", {}
    for one in letters:
        for two in letters:
            for three in letters:
                made.setdefault(fhir_names.patient_id("s", one + two + three), []).append(one + two + three)
    assert all(len(found) == 1 for found in made.values())
    longest = fhir_names.patient_id("s" * 32, "_" * 32)
    assert len(longest) <= 64 and fhir_names.study_of(longest) is None


def test_a_scores_id_is_never_too_long_and_names_its_response():
    for scale in ("x", "a" * 31, "a" * 40, "a" * 39 + "b"):
        made = fhir_names.observation_id(UUID(int=77), scale)
        assert len(made) <= 64 and fhir_names.response_of(made) == UUID(int=77)
    assert fhir_names.observation_id(UUID(int=1), "a" * 40) != fhir_names.observation_id(
        UUID(int=1), "a" * 39 + "b"
    )


@pytest.mark.parametrize(
    ("canonical", "found"),
    [
        (f"{BASE}/Questionnaire/fatigue-diary.en|1.0", ("fatigue_diary", "1.0", "en")),
        (f"{BASE}/Questionnaire/fatigue-diary.1.0.zh-CN", ("fatigue_diary", "1.0", "zh-CN")),
        (f"{BASE}/Questionnaire/fatigue-diary.zh-Hans-CN", ("fatigue_diary", None, "zh-Hans-CN")),
        ("", None),
        ("http://x/Questionnaire/7", None),
        ("|", None),
    ],
)
def test_a_canonical_address_names_an_instrument(canonical, found):
    assert fhir_names.canonical_of(canonical) == found


# Reading what was sent and asked


HOSTILE = (
    {},
    {"item": 7},
    {"item": [7, None, {}, {"linkId": 3}, {"linkId": "a", "answer": 5}]},
    {"item": [{"linkId": "a", "answer": [[]]}, {"linkId": "b", "answer": [{"valueCoding": 4}]}]},
    {"item": [{"linkId": "a", "answer": [{"valueCoding": {"code": "007"}}]}]},
    {"item": [{"linkId": "a", "answer": [{"valueCoding": {"code": "９"}}]}]},
    {"extension": 3, "basedOn": 4, "identifier": 5, "questionnaire": 6, "subject": 7, "authored": []},
    {"extension": [3, {"url": "urn:epro:fhir:occurrence"}], "basedOn": [3, {"reference": 4}]},
    {"extension": [{"url": "urn:epro:fhir:occurrence", "valueReference": 4}]},
)


@pytest.mark.parametrize("resource", HOSTILE)
def test_reading_a_response_never_fails(resource):
    entry = entry_of(resource)
    assert entry["fhir"] is resource
    assert all(type(answer) is not int for answer in entry["answers"].values())
    assert doubt_of(resource, "msc-sle.101-001").holds


@pytest.mark.parametrize("reference", ["Patient/me", f"{BASE}/Patient/me"])
def test_a_response_about_its_sender_is_no_doubt(reference):
    sent = {"status": "completed", "subject": {"reference": reference}}
    assert doubt_of(sent, "me") is None
    assert doubt_of(sent, "other").code == "other_subject"


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("ge2026-12", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("lt2026-02-28", "2026-02-28T00:00:00", "2026-03-01T00:00:00"),
        ("2026-03-02T20:00+08:00", "2026-03-02T12:00:00", "2026-03-02T12:01:00"),
        ("2026-03-02T12:00:00Z", "2026-03-02T12:00:00", "2026-03-02T12:00:01"),
        ("2026-03-02T20:00:00 08:00", "2026-03-02T12:00:00", "2026-03-02T12:00:01"),
        ("2026-03-02T12:00:00.5Z", "2026-03-02T12:00:00.500000", "2026-03-02T12:00:00.500001"),
    ],
)
def test_a_date_is_a_span(text, start, end):
    found = fhir_search.span(text)
    assert found.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert found.end == datetime.fromisoformat(end).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "pairs",
    [
        [("_count", "-1")],
        [("_count", "x")],
        [("_cursor", "???")],
        [("_cursor", "bnVsbA")],
        [("date:exact", "2026")],
        [("date", "x," * 200)],
        [("unknown", "x")],
        [("_sort", "name")],
    ],
)
def test_a_search_that_cannot_be_read_says_so(pairs):
    with pytest.raises(EproError):
        fhir_search.read(pairs, {"date": "date"}, strict=True)


def test_a_search_is_read():
    pairs = [
        ("date", "ge2026,lt2020"),
        ("date", "le2027"),
        ("_count", "9999"),
        ("x", "1"),
        ("_sort", "-_lastUpdated"),
    ]
    found = fhir_search.read(pairs, {"date": "date"}, strict=False)
    assert found.wanted == (("date", ("ge2026", "lt2020")), ("date", ("le2027",)))
    assert (found.count, found.ignored, found.sort) == (fhir_search.MOST, ("x",), "-_lastUpdated")
    assert fhir_search.cursor_of(fhir_search.cursor(["a", 7])) == ("a", "7")
