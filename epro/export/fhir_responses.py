"""A response as an FHIR QuestionnaireResponse. Pure.

A correction is a later version of the same resource: its id stays that of the first one, its status says amended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from epro.export.fhir_branching import choice_set
from epro.export.fhir_names import (
    FIRST_COMPLETED,
    LOCAL_DAY,
    OCCURRENCE,
    RECEIVED,
    STARTED,
    ZONE,
    Json,
    absent,
    choices,
    extension,
    patient_id,
    questionnaire_url,
)
from epro.questionnaires.instrument import Instrument, Item
from epro.questionnaires.kinds import kind_of, settled
from epro.trail.entries import instant

ABSENT = {
    "skipped": "asked-unknown",
    "not_applicable": "not-applicable",
    "refused": "asked-declined",
    "not_asked": "not-asked",
}
"""Kind of answer -> why there is no value."""

REDACTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "REDACTED",
}


@dataclass(frozen=True)
class Version:
    """Which version of a resource a row is: under what id, the how many-th, and when the first one was completed."""

    id: UUID
    number: int
    first_completed_at: datetime


def questionnaire_response(
    row: Any,
    answers: Mapping[str, Any],
    instrument: Instrument,
    version: Version,
    *,
    base: str,
    withheld: Collection[str] | None = (),
) -> Json:
    """The response. `withheld`: items whose answers the reader may not see; None: all of them. Its `filed_at` is when
    it came to be on file, which is later than its receipt where it was held.
    """
    patient = {"reference": f"Patient/{patient_id(row.study_id, row.subject_id)}"}
    hides = withheld is None or bool(withheld)
    return {
        "resourceType": "QuestionnaireResponse",
        "id": str(version.id),
        "meta": {
            "versionId": str(version.number),
            "lastUpdated": instant(row.filed_at),
            **({"security": [REDACTED]} if hides else {}),
        },
        **({"language": row.language} if row.language else {}),
        "extension": _extensions(row, version),
        "identifier": {"system": "urn:epro:responses", "value": str(version.id)},
        "questionnaire": _questionnaire(base, row),
        "status": "amended" if version.number > 1 else "completed",
        "subject": patient,
        "authored": instant(row.corrected_at),
        "author": patient,
        "source": patient,
        **_items(instrument, answers, withheld),
    }


def _questionnaire(base: str, row: Any) -> str:
    return f"{questionnaire_url(base, row.instrument_code, row.language)}|{row.instrument_version}"


def _extensions(row: Any, version: Version) -> list[Json]:
    told = [
        extension(OCCURRENCE, valueReference={"reference": f"Task/{row.occurrence_id}"}),
        extension(LOCAL_DAY, valueDate=row.local_day.isoformat()),
        extension(RECEIVED, valueInstant=instant(row.received_at)),
    ]
    if row.started_at:
        told.append(extension(STARTED, valueDateTime=instant(row.started_at)))
    if row.time_zone:
        told.append(extension(ZONE, valueCode=row.time_zone))
    if version.number > 1:
        told.append(extension(FIRST_COMPLETED, valueDateTime=instant(version.first_completed_at)))
    return told


def _items(instrument: Instrument, answers: Mapping[str, Any], withheld: Collection[str] | None) -> Json:
    if withheld is None:
        return {}
    found = settled(instrument, answers)
    told = [
        {"linkId": item.id, "answer": [_answer(instrument, item, found[item.id], withheld)]}
        for item in instrument.items
    ]
    return {"item": told}


def _answer(instrument: Instrument, item: Item, answer: Any, withheld: Collection[str]) -> Json:
    if item.id in withheld:
        return {"extension": [absent("masked")]}
    kind = kind_of(answer)
    if kind in ABSENT:
        return {"extension": [absent(ABSENT[kind])]}
    if item.numeric:
        return {"valueInteger": answer}
    return {"valueCoding": _codings(instrument)[item.id][answer]}


@lru_cache(maxsize=128)
def _codings(instrument: Instrument) -> dict[str, dict[int, Json]]:
    """Item -> code -> the coding of that choice."""
    return {
        item.id: {
            code: {"system": choices(instrument.code, choice_set(instrument, item)), "code": str(code)}
            for code in item.codes
        }
        for item in instrument.items
    }
