"""The site: what moves a participant's plan. Each is shown first (`?preview=true`), then done with a reason."""

from __future__ import annotations

from typing import Any

from epro.api import telling
from epro.api.door import actor
from epro.api.schemas import AnchorIn, AnchorQuery, ArmIn, DifferencesOut, LanguageIn, TimeZoneIn
from epro.api.site import site
from epro.notifications.recalls import recalled
from epro.scheduling import replanning
from epro.scheduling.replanning import Wish
from epro.studies import access, participants
from epro.tx import begin


@site.post("/participants/<subject_id>/anchors")
@site.arguments(AnchorQuery, location="query")
@site.arguments(AnchorIn)
@site.response(200, DifferencesOut)
def anchors(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Set or move an anchor. With `?preview=true` nothing is done: the answer tells what would change."""
    return _replan(asked, subject_id, Wish(anchor=(wanted["anchor"], wanted["date"])), wanted["reason"])


@site.post("/participants/<subject_id>/arm")
@site.arguments(AnchorQuery, location="query")
@site.arguments(ArmIn)
@site.response(200, DifferencesOut)
def arm(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Allot her to an arm, or to another one. With `?preview=true` nothing is done."""
    return _replan(asked, subject_id, Wish(arm=wanted["arm"]), wanted["reason"])


@site.post("/participants/<subject_id>/language")
@site.arguments(AnchorQuery, location="query")
@site.arguments(LanguageIn)
@site.response(200, DifferencesOut)
def language(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Change the language in which she is asked and written to. With `?preview=true` nothing is done."""
    return _replan(asked, subject_id, Wish(language=wanted["language"]), wanted["reason"])


@site.post("/participants/<subject_id>/time-zone")
@site.arguments(AnchorQuery, location="query")
@site.arguments(TimeZoneIn)
@site.response(200, DifferencesOut)
def time_zone(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Change the time zone that she lives in from now on. With `?preview=true` nothing is done."""
    return _replan(asked, subject_id, Wish(time_zone=wanted["time_zone"]), wanted["reason"])


def _replan(asked: dict[str, Any], subject_id: str, wish: Wish, reason: str) -> dict[str, Any]:
    with begin(actor()) as tx:
        participant = access.participant(
            tx, subject_id, "participant.anchor", study_id=asked.get("study"), lock=True
        )
        if participant.withdrawn_at is not None:
            raise participants.AlreadyWithdrawn()
        found = replanning.preview(tx, participant, wish)
        told = telling.differences(found, preview=asked["preview"], recalled=recalled(tx, found))
        if not asked["preview"]:
            replanning.carry_out(tx, participant, wish, reason)
        return told
