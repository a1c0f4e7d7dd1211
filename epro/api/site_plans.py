"""The site: what moves a participant's plan. Each is shown first (`?preview=true`), then done with a reason."""

from __future__ import annotations

from typing import Any

from epro.api import message_settings, telling
from epro.api.door import actor
from epro.api.schemas import (
    AnchorIn,
    AnchorQuery,
    ArmIn,
    DifferencesOut,
    LanguageIn,
    MessageSettingsIn,
    MessageSettingsOut,
    StudyIn,
    TimeZoneIn,
)
from epro.api.site import site
from epro.errors import NotAllowed
from epro.notifications.recalls import recalled
from epro.responses import sight
from epro.scheduling import protocols, replanning
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
    """Allot her to an arm, or to another one; only who may know it can. With `?preview=true` nothing is done."""
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


@site.post("/participants/<subject_id>/message-settings")
@site.arguments(StudyIn, location="query")
@site.arguments(MessageSettingsIn)
@site.response(200, MessageSettingsOut)
def settings_of_messages(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Set her quiet hours and her daily cap, within what the study allows; null takes the study's own again."""
    wishes: dict[str, Any] = {name: wanted[name] for name in ("quiet_hours", "daily_cap") if name in wanted}
    with begin(actor()) as tx:
        participant = access.participant(
            tx, subject_id, "participant.contact", study_id=asked.get("study"), lock=True
        )
        if participant.withdrawn_at is not None:
            raise participants.AlreadyWithdrawn()
        study = protocols.find(tx, participant.study_id, participant.protocol_version).messages
        message_settings.refuse(study, participant, wishes)
        participants.change_settings(tx, participant, preferences=wishes, reason=wanted["reason"])
        told = {name: participant.preferences.get(name) for name in ("quiet_hours", "daily_cap")}
        return {**told, "limits": message_settings.limits(study)}


def _replan(asked: dict[str, Any], subject_id: str, wish: Wish, reason: str) -> dict[str, Any]:
    with begin(actor()) as tx:
        participant = access.participant(
            tx, subject_id, "participant.anchor", study_id=asked.get("study"), lock=True
        )
        if participant.withdrawn_at is not None:
            raise participants.AlreadyWithdrawn()
        if wish.arm and not sight.knows_arm(tx, participant):  # what would change tells which one it is
            raise NotAllowed()
        found = replanning.preview(tx, participant, wish)
        told = telling.differences(
            found,
            preview=asked["preview"],
            recalled=recalled(tx, found),
            behind=replanning.behind(tx, participant, wish),
            doubtful=replanning.doubts_of(tx, participant, wish),
        )
        if not asked["preview"]:
            replanning.carry_out(tx, participant, wish, reason)
        return told
