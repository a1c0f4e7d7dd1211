"""That somebody has looked at data of a participant is written down once the answer is made, by whichever door."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request

from epro import clock
from epro.privacy import readings
from epro.privacy.readings import Look
from epro.tx import begin


def at(study_id: str, subject_id: str | None, kind: str, what: str | None = None) -> None:
    """Somebody looks at this; what she sees of herself on her own phone is no reading."""
    if g.actor.kind != "participant":
        g.setdefault("looks", []).append(Look(study_id, subject_id, kind, what))


def at_row(row: Any, kind: str) -> None:
    """The same of a row that says whose it is."""
    at(row.study_id, row.subject_id, kind)


def write_down(response: Response) -> Response:
    """Before the answer goes out: what was looked at. Nothing was seen where it is refused."""
    looks = g.pop("looks", None)
    if looks and response.status_code < 400:
        door = (request.endpoint or "").partition(".")[0]
        with begin(g.actor, clock.now()) as tx:
            readings.note(tx, looks, door)
    return response
