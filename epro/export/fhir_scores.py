"""A score as an FHIR Observation. Pure."""

from __future__ import annotations

from typing import Any

from epro.export.fhir_names import (
    ABSENT_REASONS,
    LABELS,
    UCUM,
    Json,
    concept,
    observation_id,
    patient_id,
)
from epro.export.fhir_responses import Version
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.methods import REASONS
from epro.questionnaires.packs import ours
from epro.trail.entries import instant

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = {"not_employed": "not-applicable"}  # else: unknown
BLINDED = {"system": LABELS, "code": "blinded"}


def observation(row: Any, instrument: Instrument, version: Version) -> Json:
    """One score of a response: `row` has the score's columns and its response's `completed` (by our clock).

    `version` is the response's; each scoring of it is another version of the score.
    """
    patient = {"reference": f"Patient/{patient_id(row.study_id, row.subject_id)}"}
    derived = {"reference": f"QuestionnaireResponse/{version.id}/_history/{version.number}"}
    again = version.number > 1 or row.run > 1
    return {
        "resourceType": "Observation",
        "id": observation_id(version.id, row.scale),
        "meta": {
            "versionId": f"{version.number}.{row.run}",
            "lastUpdated": instant(row.scored_at),
            **({"security": [BLINDED]} if row.blinded else {}),
        },
        "status": "amended" if again else "final",
        "category": [concept(CATEGORY, "survey")],
        "code": _code(row, instrument),
        "subject": patient,
        "effectiveDateTime": instant(row.completed),
        "issued": instant(row.scored_at),
        "performer": [patient],
        **_value(row),
        "method": _method(row),
        "derivedFrom": [derived],
        "component": [_part(name, getattr(row, name)) for name in ("answered", "expected")],
    }


def _code(row: Any, instrument: Instrument) -> Json:
    known = {scale.name: scale for scale in instrument.scales}
    label = ours(known[row.scale].label, "en") if row.scale in known else row.scale
    return concept(
        f"urn:epro:scores:{instrument.code}",
        row.scale,
        label,
        text=f"{ours(instrument.title, 'en')}: {label}",
    )


def _value(row: Any) -> Json:
    """The number, or why there is none; never both."""
    if row.value is not None:
        return {"valueQuantity": {"value": row.value, "unit": "{score}", "system": UCUM, "code": "{score}"}}
    reason = concept(ABSENT_REASONS, ABSENT.get(row.reason, "unknown"))
    reason["coding"].append({"system": "urn:epro:reasons", "code": row.reason})
    words = REASONS.get(row.reason, {}).get("en")
    return {"dataAbsentReason": reason | ({"text": words} if words else {})}


def _method(row: Any) -> Json:
    coding = {"system": "urn:epro:methods", "version": row.method_version, "code": row.method}
    text = f"{row.method} version {row.method_version}, items needed: {row.rule}"
    if row.definition_version:
        text += f", by definition {row.definition_version}"
    return {"coding": [coding], "text": text}


def _part(name: str, count: int) -> Json:
    return {"code": concept("urn:epro:score-parts", name, f"items {name}"), "valueInteger": count}
