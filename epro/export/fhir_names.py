"""What things are called in FHIR: addresses, code systems, extensions, and ids made from our own. Pure.

Our extensions and code systems have fixed names that no installation changes; only what can be fetched here
(questionnaires) has an address under `base`, the public address of the FHIR door.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any
from uuid import UUID

Json = dict[str, Any]

DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ABSENT_REASONS = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
ITEM_WEIGHT = "http://hl7.org/fhir/StructureDefinition/itemWeight"
ORDINAL_VALUE = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition"
CORE = "http://hl7.org/fhir/StructureDefinition"
UCUM = "http://unitsofmeasure.org"

OURS = "urn:epro:fhir"
OCCURRENCE = f"{OURS}:occurrence"
STARTED = f"{OURS}:started"
ZONE = f"{OURS}:time-zone"
LOCAL_DAY = f"{OURS}:local-day"
RECEIPT = f"{OURS}:receipt"
WORDING = f"{OURS}:wording"
FIRST_COMPLETED = f"{OURS}:first-completed"
RECEIVED = f"{OURS}:received"
LABELS = "urn:epro:labels"

LONGEST = 64  # characters of an id in FHIR
_ESCAPES = {".": "..", "_": ".-"}


def patient_id(study_id: str, subject_id: str) -> str:
    """The id of a participant: study and subject id, in the characters that FHIR takes.

    A study id has no dot, so the first dot parts the two. What would be too long is told by a digest.
    """
    whole = f"{study_id}.{''.join(_ESCAPES.get(letter, letter) for letter in subject_id)}"
    return whole if len(whole) <= LONGEST else "h-" + sha256(whole.encode()).hexdigest()[:48]


site_id = patient_id  # a site's id has the same letters and stands under its study in the same way


def study_of(resource_id: str) -> tuple[str, str] | None:
    """Study and subject (or site) of such an id; None for one that is a digest or none of ours."""
    study, dot, rest = resource_id.partition(".")
    if not dot or not study:
        return None
    return study, re.sub(r"\.([.-])", lambda found: "." if found[1] == "." else "_", rest)


def observation_id(response_id: UUID, scale: str) -> str:
    """The id of a score: its response and its scale."""
    name = scale.replace("_", "-")
    if len(name) > LONGEST - 33:
        name = name[:22] + "." + sha256(scale.encode()).hexdigest()[:8]
    return f"{response_id.hex}.{name}"


def response_of(observation: str) -> UUID | None:
    """The response that a score's id names."""
    return uuid_of(observation.partition(".")[0])


def uuid_of(text: str) -> UUID | None:
    """A UUID in either spelling, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def questionnaire_id(code: str, version: str, language: str) -> str:
    return f"{code.replace('_', '-')}.{version}.{language}"


def questionnaire_url(base: str, code: str, language: str) -> str:
    """The canonical address: the same for all versions; fetching it gives the newest."""
    return f"{base}/Questionnaire/{code.replace('_', '-')}.{language}"


_QUESTIONNAIRE = re.compile(
    r"([a-z][a-z0-9-]{0,39})(?:\.([0-9]+(?:\.[0-9]+)*))?\.([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)"
)


def instrument_of(name: str) -> tuple[str, str | None, str] | None:
    """Code, version (if said) and language of a questionnaire's id."""
    found = _QUESTIONNAIRE.fullmatch(name)
    return (found[1].replace("-", "_"), found[2], found[3]) if found else None


def canonical_of(canonical: str) -> tuple[str, str | None, str] | None:
    """Code, version and language of a questionnaire's canonical address, `url|version`, wherever it was fetched."""
    url, _, version = canonical.partition("|")
    named = instrument_of(url.rpartition("/")[2])
    return (named[0], version or named[1], named[2]) if named else None


def choices(code: str, choice_set: str) -> str:
    """The code system of a set of choices."""
    return f"urn:epro:choices:{code}:{choice_set}"


def extension(url: str, **value: Any) -> Json:
    return {"url": url, **value}


def concept(system: str, code: str, display: str | None = None, *, text: str | None = None) -> Json:
    """A CodeableConcept of one coding."""
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {"coding": [coding], **({"text": text} if text else {})}


def absent(reason: str) -> Json:
    """Why a value is not there."""
    return extension(DATA_ABSENT, valueCode=reason)
