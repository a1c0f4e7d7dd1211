"""An occurrence as an FHIR Task: a questionnaire to be completed (SDC). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from epro.export.fhir_names import LOCAL_DAY, ZONE, Json, concept, extension, patient_id, questionnaire_url
from epro.scheduling.state import State, state_of
from epro.trail.entries import instant

SDC_CODES = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
STATUS = {
    State.UPCOMING: "requested",
    State.OPEN: "ready",
    State.CLOSED_WAITING: "on-hold",
    State.FULFILLED: "completed",
    State.EXCUSED: "cancelled",
    State.CANCELLED: "cancelled",
    State.MISSED: "failed",
}
EXCUSES = {
    "in_hospital": "The site has excused her: in hospital.",
    "procedure": "The site has excused her: a procedure that day.",
    "device_fault": "The site has excused her: a fault of the device.",
    "site_error": "The site has excused her: an error of the site.",
    "other": "The site has excused her, for another reason.",
}
FACTS = (
    "planned_at",
    "at_risk_at",
    "fulfilled_at",
    "missed_at",
    "excused_at",
    "unexcused_at",
    "cancelled_at",
)


def task(row: Any, responses: Iterable[UUID], now: datetime, *, base: str, language: str) -> Json:
    """The occurrence as it is now. `responses`: what answered it; `language`: of its questionnaire.

    What the row does not know (None) is left out: a feed does not tell when an occurrence was planned.
    """
    state = state_of(row, now)
    patient = {"reference": f"Patient/{patient_id(row.study_id, row.subject_id)}"}
    return {
        "resourceType": "Task",
        "id": str(row.id),
        "meta": {"lastUpdated": instant(max(filter(None, (getattr(row, fact) for fact in FACTS))))},
        "extension": _extensions(row),
        "identifier": [{"system": "urn:epro:occurrences", "value": str(row.id)}],
        "status": STATUS[state],
        **_reason(row, state),
        "businessStatus": concept("urn:epro:states", state.value, text=state.sentence),
        "intent": "order",
        "code": concept(SDC_CODES, "complete-questionnaire"),
        "description": row.assessment_id,
        "for": patient,
        **({"authoredOn": instant(row.planned_at)} if row.planned_at else {}),
        "lastModified": instant(max(filter(None, (getattr(row, fact) for fact in FACTS)))),
        "owner": patient,
        **_restriction(row),
        "input": _input(row, base, language),
        **_output(responses),
    }


def _extensions(row: Any) -> list[Json]:
    told = [extension(LOCAL_DAY, valueDate=row.local_day.isoformat())]
    return [*told, extension(ZONE, valueCode=row.time_zone)] if row.time_zone else told


def _restriction(row: Any) -> Json:
    """The window, where it is known."""
    if row.opens_at is None or row.closes_at is None:
        return {}
    return {"restriction": {"period": {"start": instant(row.opens_at), "end": instant(row.closes_at)}}}


def _input(row: Any, base: str, language: str) -> list[Json]:
    where = {"type": concept(SDC_CODES, "response-endpoint"), "valueUrl": f"{base}/QuestionnaireResponse"}
    if row.instrument_code is None:
        return [where]
    questionnaire = f"{questionnaire_url(base, row.instrument_code, language)}|{row.instrument_version}"
    return [{"type": concept(SDC_CODES, "questionnaire"), "valueCanonical": questionnaire}, where]


def _reason(row: Any, state: State) -> Json:
    if state is State.CANCELLED:
        return {"statusReason": concept("urn:epro:status-reasons", row.cancelled_reason or "cancelled")}
    if state is State.EXCUSED and row.excused_reason:
        code, words = row.excused_reason, EXCUSES.get(row.excused_reason, state.sentence)
        return {"statusReason": concept("urn:epro:status-reasons", f"excused_{code}", text=words)}
    if state in (State.MISSED, State.EXCUSED):
        return {"statusReason": concept("urn:epro:status-reasons", state.value, text=state.sentence)}
    return {}


def _output(responses: Iterable[UUID]) -> Json:
    told = [
        {
            "type": concept(SDC_CODES, "questionnaire-response"),
            "valueReference": {"reference": f"QuestionnaireResponse/{response}"},
        }
        for response in responses
    ]
    return {"output": told} if told else {}
