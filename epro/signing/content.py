"""What exactly is signed: one revision of a response with its scores, in a canonical form. Pure.

The columns are named here one by one: a column that the tables get later changes no digest of a signature that stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from epro import canonical
from epro.trail.entries import instant

FORM = 1  # of what follows; another choice of columns is another number
OF_A_RESPONSE = (
    *("study_id", "id", "subject_id", "occurrence_id", "assessment_id", "protocol_version"),
    *("instrument_code", "instrument_version", "instrument_digest", "language", "local_day", "time_zone"),
    *("started_at", "completed_at", "clock_offset_ms", "corrected_at", "received_at", "device_id", "body"),
    *("digest", "signature", "findings", "amends_id", "amendment_no"),
)
OF_AN_AMENDMENT = ("reason", "reported_by", "reported_at", "made_by", "made_at", "before_digest")
OF_A_SCORE = (
    *("scale", "run", "value", "reason", "answered", "expected", "rule", "method", "method_version"),
    *("items_used", "items_missing", "blinded", "scored_at", "definition_version", "definition_digest"),
)


def digest(response: Any, amendment: Any, scores: Iterable[Any]) -> str:
    """SHA-256 over a revision, why it was made, and the latest run of each of its scores."""
    content = {
        "form": FORM,
        "response": _told(response, OF_A_RESPONSE),
        "amendment": _told(amendment, OF_AN_AMENDMENT) if amendment is not None else None,
        "scores": [_told(one, OF_A_SCORE) for one in sorted(scores, key=lambda one: one.scale)],
    }
    return canonical.digest(content)


def _told(row: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
