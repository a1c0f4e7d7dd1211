"""The site: excusing a participant from what need not be answered, one or those of some days, and taking that back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from epro.api import telling
from epro.api.door import actor
from epro.api.schemas import (
    AnchorQuery,
    ExcuseDaysIn,
    ExcusedDaysOut,
    ExcusedOut,
    ExcuseIn,
    ReasonIn,
    TakeBackDaysIn,
)
from epro.api.site import site
from epro.notifications import excuses
from epro.notifications.recalls import waiting_for
from epro.scheduling import excusing
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, begin


@site.post("/occurrences/<uuid:occurrence_id>/excuse")
@site.arguments(ExcuseIn)
@site.response(200, ExcusedOut)
def excuse(wanted: dict[str, Any], occurrence_id: UUID) -> dict[str, Any]:
    """Excuse her from one occurrence: it need not be answered. A miss may be excused afterwards, and stays a fact."""
    with begin(actor()) as tx:
        participant, row = excusing.locked(tx, occurrence_id)
        excuses.excuse(tx, participant, [row], wanted["reason"], wanted.get("note"))
        return telling.excused(tx, row)


@site.post("/occurrences/<uuid:occurrence_id>/take-back")
@site.arguments(ReasonIn)
@site.response(200, ExcusedOut)
def take_back(wanted: dict[str, Any], occurrence_id: UUID) -> dict[str, Any]:
    """Take the excuse of one occurrence back: it is asked for again as far as there is time; a miss is one again."""
    with begin(actor()) as tx:
        participant, row = excusing.locked(tx, occurrence_id)
        excuses.take_back(tx, participant, [row], wanted["reason"])
        return telling.excused(tx, row)


@site.post("/participants/<subject_id>/excuses")
@site.arguments(AnchorQuery, location="query")
@site.arguments(ExcuseDaysIn)
@site.response(200, ExcusedDaysOut)
def excuse_days(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Excuse her from all that is asked on some days, such as those of a stay in hospital: what is answered stays, and
    so does what is excused already. With `?preview=true` nothing is done: the answer tells what would be excused.
    """
    with begin(actor()) as tx:
        participant = _locked(tx, asked, subject_id)
        found = excusing.between(tx, participant, wanted["first_day"], wanted["last_day"])
        recalled = waiting_for(tx, [row.id for row in found.rows])
        if not asked["preview"]:
            excuses.excuse(tx, participant, found.rows, wanted["reason"], wanted.get("note"))
        return telling.excused_days(tx, found, preview=asked["preview"], recalled=recalled)


@site.post("/participants/<subject_id>/excuses/take-back")
@site.arguments(AnchorQuery, location="query")
@site.arguments(TakeBackDaysIn)
@site.response(200, ExcusedDaysOut)
def take_back_days(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Take all excuses of some days back. With `?preview=true` nothing is done."""
    with begin(actor()) as tx:
        participant = _locked(tx, asked, subject_id)
        found = excusing.between(tx, participant, wanted["first_day"], wanted["last_day"], stands=True)
        if not asked["preview"]:
            excuses.take_back(tx, participant, found.rows, wanted["reason"])
        return telling.excused_days(tx, found, preview=asked["preview"], recalled=0)


def _locked(tx: Tx, asked: dict[str, Any], subject_id: str) -> Participant:
    return access.participant(tx, subject_id, excusing.PERMISSION, study_id=asked.get("study"), lock=True)
