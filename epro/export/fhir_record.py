"""The trail in FHIR: Provenance of what was answered and scored, AuditEvent of every act. Pure.

Both are told from the trail's entries. What an act was about in detail stays in the trail: an arm, or a reason in
somebody's own words, could tell a reader what he must not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from epro.export.fhir_names import Json, concept, patient_id
from epro.trail.entries import instant

ACTIVITIES = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
TYPES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
OF_RECORDS = ("response.stored", "response.amended", "response.rescored")
"""The acts that made or changed a response or its scores."""


def provenance(
    row: Any, response: str, version: int, observations: Iterable[str], reason: str | None
) -> Json:
    """Where a version of a response, or a scoring, came from.

    `response` is its id, `version` the version that the act made, `observations` the ids of its scores.
    """
    scored = [{"reference": f"Observation/{one}"} for one in observations]
    this = {"reference": f"QuestionnaireResponse/{response}/_history/{version}"}
    rescored = row.action == "response.rescored"
    return {
        "resourceType": "Provenance",
        "id": str(row.id),
        "meta": {"lastUpdated": instant(row.at)},
        "target": (scored or [this]) if rescored else [this, *scored],
        "recorded": instant(row.at),
        **({"reason": [{"text": reason}]} if reason else {}),
        "activity": concept(ACTIVITIES, "CREATE" if row.action == "response.stored" else "UPDATE"),
        "agent": [
            {"type": concept(TYPES, "assembler" if rescored else "author"), "who": _who(row)},
        ],
        **_entity(response, version, this, rescored),
    }


def _entity(response: str, version: int, this: Json, rescored: bool) -> Json:
    if rescored:
        return {"entity": [{"role": "source", "what": this}]}
    if version == 1:
        return {}
    before = {"reference": f"QuestionnaireResponse/{response}/_history/{version - 1}"}
    return {"entity": [{"role": "revision", "what": before}]}


def audit_event(row: Any) -> Json:
    """One act: what, when, by whom, about whom."""
    of_person = row.subject_id is not None
    entities = [_object(row)]
    if of_person:
        entities.insert(0, {"what": {"reference": f"Patient/{patient_id(row.study_id, row.subject_id)}"}})
    return {
        "resourceType": "AuditEvent",
        "id": str(row.id),
        "meta": {"lastUpdated": instant(row.at)},
        "type": {"system": DICOM, "code": "110110" if of_person else "110100"},
        "subtype": [{"system": "urn:epro:actions", "code": row.action}],
        "action": _letter(row.action),
        "recorded": instant(row.at),
        "outcome": "0",
        "agent": [{"who": _who(row), "requestor": True}],
        "source": {"observer": {"display": "epro"}},
        "entity": entities,
    }


def _letter(action: str) -> str:
    """C, R, U or E, as FHIR sorts acts."""
    verb = action.rpartition(".")[2]
    if verb in (
        "stored",
        "added",
        "enrolled",
        "raised",
        "planned",
        "published",
        "imported",
        "activated",
        "held",
    ):
        return "C"
    if verb in ("signed_in", "logged_out", "locked_out", "refused"):
        return "E"
    return "R" if verb in ("read", "exported") else "U"


def _object(row: Any) -> Json:
    named = {"system": f"urn:epro:objects:{row.object_type}", "value": row.object_id}
    return {"what": {"identifier": named, "display": row.object_type}}


def _who(row: Any) -> Json:
    """The participant herself, or somebody by kind and id; no name stands in the trail."""
    if not row.actor:
        return {"display": "not told"}
    kind, _, name = row.actor.partition(":")
    if kind == "participant" and row.subject_id is not None:
        return {"reference": f"Patient/{patient_id(row.study_id, row.subject_id)}"}
    return {"identifier": {"system": f"urn:epro:actors:{kind}", "value": name}, "display": kind}
