"""How alerts and windows at risk are told to staff."""

from __future__ import annotations

from typing import Any

from epro.api import telling
from epro.notifications import alerts, following, steps
from epro.notifications.models import Alert
from epro.responses.sight import hides_answers
from epro.scheduling.models import Occurrence
from epro.tx import Tx


def story(tx: Tx, row: Alert) -> dict[str, Any]:
    """An alert with all its steps, in order, and the ids of those who can be given it."""
    colleagues = [person.id for person in following.colleagues(tx, row)]
    return {**telling.alert(tx, row), "steps": _steps(tx, row), "colleagues": colleagues}


def _steps(tx: Tx, row: Alert) -> list[dict[str, Any]]:
    """The steps, and what happened by itself, in the order of time; what was corrected, and what it made of the answer,
    is for those alone who may see answers.
    """
    hidden = row.kind == alerts.ANSWER and hides_answers(tx, row)
    told = [{name: getattr(step, name) for name in STEP} | {"to_role": None} for step in steps.of(tx, row)]
    withheld = {"outcome": None, "occurrence_id": None}
    told = [{**one, **withheld} if hidden and one["kind"] == "corrected" else one for one in told]
    told += [dict.fromkeys(STEP) | one for one in steps.by_itself(tx, row)]
    return sorted(told, key=lambda one: one["at"])


STEP = ("seq", "kind", "at", "by", "channel", "outcome", "note", "to_staff", "occurrence_id")


def at_risk(row: Occurrence, site_id: str) -> dict[str, Any]:
    """A window that can still be saved. What has not come is not yet received; nobody has missed anything."""
    return {
        "study": row.study_id,
        "site": site_id,
        "subject_id": row.subject_id,
        "occurrence_id": row.id,
        "assessment": row.assessment_id,
        "local_day": row.local_day,
        "time_zone": row.time_zone,
        "opens_at": row.opens_at,
        "closes_at": row.closes_at,
        "at_risk_at": row.at_risk_at,
        "reminders_done": row.reminders_done,
        "told": "not yet received",
    }
