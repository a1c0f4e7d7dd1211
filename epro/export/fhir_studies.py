"""Study, sites and participants in FHIR: under the study's own names, without a person's. Pure."""

from __future__ import annotations

from typing import Any

from epro.export.fhir_names import Json, patient_id, site_id
from epro.trail.entries import instant


def research_study(row: Any, title: str, site_ids: list[str]) -> Json:
    """A study. `site_ids`: those that the reader may see."""
    return {
        "resourceType": "ResearchStudy",
        "id": row.id,
        "meta": {"lastUpdated": instant(row.opened_at)},
        "identifier": [{"system": "urn:epro:studies", "value": row.id}],
        "title": title,
        "status": "active",
        "period": {"start": instant(row.opened_at)},
        "site": [{"reference": f"Location/{site_id(row.id, one)}"} for one in site_ids],
    }


def research_subject(row: Any) -> Json:
    """A participant in her study. To which arm she was allotted stands nowhere here."""
    left = row.withdrawn_at
    return {
        "resourceType": "ResearchSubject",
        "id": patient_id(row.study_id, row.subject_id),
        "meta": {"lastUpdated": instant(left or row.enrolled_at)},
        "identifier": [_subject(row)],
        "status": "withdrawn" if left else "on-study",
        "period": {"start": instant(row.enrolled_at), **({"end": instant(left)} if left else {})},
        "study": {"reference": f"ResearchStudy/{row.study_id}"},
        "individual": {"reference": f"Patient/{patient_id(row.study_id, row.subject_id)}"},
    }


def patient(row: Any) -> Json:
    """Who answers: her subject id, and nothing by which a person could be found."""
    return {
        "resourceType": "Patient",
        "id": patient_id(row.study_id, row.subject_id),
        "meta": {"lastUpdated": instant(row.enrolled_at)},
        "identifier": [_subject(row)],
        "active": row.withdrawn_at is None,
        "managingOrganization": {"reference": f"Organization/{site_id(row.study_id, row.site_id)}"},
    }


def organization(row: Any) -> Json:
    """A site as who gives care."""
    return {
        "resourceType": "Organization",
        "id": site_id(row.study_id, row.id),
        "meta": {"lastUpdated": instant(row.opened_at)},
        "identifier": [{"system": f"urn:epro:studies:{row.study_id}:sites", "value": row.id}],
        "active": True,
        "name": _name(row),
    }


def location(row: Any) -> Json:
    """A site as where care is given."""
    return {
        "resourceType": "Location",
        "id": site_id(row.study_id, row.id),
        "meta": {"lastUpdated": instant(row.opened_at)},
        "identifier": [{"system": f"urn:epro:studies:{row.study_id}:sites", "value": row.id}],
        "status": "active",
        "name": _name(row),
        "mode": "instance",
        **({"telecom": [{"system": "phone", "value": row.phone}]} if row.phone else {}),
        "managingOrganization": {"reference": f"Organization/{site_id(row.study_id, row.id)}"},
    }


def _subject(row: Any) -> Json:
    return {"system": f"urn:epro:studies:{row.study_id}:subjects", "value": row.subject_id}


def _name(row: Any) -> str:
    """In English where there is a name in English, else in the first language."""
    name: str = row.names.get("en") or next(iter(row.names.values()))
    return name
