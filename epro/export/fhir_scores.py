"""A score, of a response or of a week of a diary, as an FHIR Observation. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    return {
        **_head(row, observation_id(version.id, row.scale), f"{version.number}.{row.run}"),
        "status": "amended" if version.number > 1 or row.run > 1 else "final",
        "code": _code(row, instrument),
        "effectiveDateTime": instant(row.completed),
        "method": _method(row),
        "derivedFrom": [_derived(version)],
        **_found(row),
    }


def week_observation(row: Any, instrument: Instrument, versions: Iterable[Version]) -> Json:
    """One score of a week of a diary: `row` has the columns of a week's score, `instrument` is what it was scored by.

    `versions` are the responses that it was made of, in the order of their days: none where none was answered.
    """
    derived = [_derived(version) for version in versions]
    return {
        **_head(row, observation_id(row.id, row.scale), str(row.run)),
        "status": "amended" if row.run > 1 else "final",
        "code": _code(row, instrument),
        "effectivePeriod": {"start": row.first_day.isoformat(), "end": row.last_day.isoformat()},
        "method": _method(row),
        **({"derivedFrom": derived} if derived else {}),
        **_found(row, _part("week", row.week, "week of the diary")),
    }


def week_sources(instrument: Instrument, sources: Mapping[str, str]) -> list[str]:
    """The ids of the responses that a week was made of, in the order of its days."""
    days = [item.id for item in instrument.items]
    return [sources[day] for day in days if day in sources]


def _head(row: Any, name: str, version: str) -> Json:
    patient = {"reference": f"Patient/{patient_id(row.study_id, row.subject_id)}"}
    return {
        "resourceType": "Observation",
        "id": name,
        "meta": {
            "versionId": version,
            "lastUpdated": instant(row.scored_at),
            **({"security": [BLINDED]} if row.blinded else {}),
        },
        "category": [concept(CATEGORY, "survey")],
        "subject": patient,
        "issued": instant(row.scored_at),
        "performer": [patient],
    }


def _derived(version: Version) -> Json:
    return {"reference": f"QuestionnaireResponse/{version.id}/_history/{version.number}"}


def _found(row: Any, *more: Json) -> Json:
    parts = [_part(name, getattr(row, name), f"items {name}") for name in ("answered", "expected")]
    return {**_value(row), "component": [*parts, *more]}


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


def _part(name: str, count: int, words: str) -> Json:
    return {"code": concept("urn:epro:score-parts", name, words), "valueInteger": count}
