"""The site: finding somebody by her number, her calendar's link, and erasing her contact data."""

from __future__ import annotations

from typing import Any

from epro.api import looking, telling
from epro.api.door import actor, limiter
from epro.api.schemas import CalendarOut, FoundOut, ParticipantOut, ReasonIn, SearchIn, StudyIn
from epro.api.site import site
from epro.errors import Invalid
from epro.privacy import erasing, finding
from epro.scheduling import calendar_links
from epro.studies import access, participants
from epro.tx import begin, look


@site.post("/participants/search")
@limiter.limit("60/minute;600/hour")
@site.arguments(SearchIn)
@site.response(200, FoundOut)
def search(asked: dict[str, Any]) -> dict[str, Any]:
    """Who of your sites has exactly this phone number or this e-mail address; name one of the two."""
    if len(asked) != 1:
        detail = "Name either a phone number or an e-mail address."
        raise Invalid(errors=[{"pointer": "", "code": "invalid", "detail": detail}])
    ((field, value),) = asked.items()
    with look(actor()) as tx:
        found = finding.by_contact(tx, field, value)
        for row in found:
            looking.at_row(row, "contact")
        return {
            "participants": [telling.participant(tx, row, participants.anchors(tx, row)) for row in found]
        }


@site.post("/participants/<subject_id>/erasure")
@site.arguments(StudyIn, location="query")
@site.arguments(ReasonIn)
@site.response(200, ParticipantOut)
def erasure(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Erase her contact data for good, in backups too. Ends her participation and her phones; her answers stay."""
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, "participant.erase", study_id=asked.get("study"), lock=True)
        erasing.erase(tx, row, wanted["reason"])
        return telling.participant(tx, row, participants.anchors(tx, row))


@site.post("/participants/<subject_id>/calendar")
@site.arguments(StudyIn, location="query")
@site.response(201, CalendarOut)
def calendar(asked: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """A link to a calendar of her visits, for her. It is shown only now; the one before opens nothing any more."""
    with begin(actor()) as tx:
        row = access.participant(
            tx, subject_id, "participant.activate", study_id=asked.get("study"), lock=True
        )
        if row.withdrawn_at is not None:
            raise participants.AlreadyWithdrawn()
        return {"url": calendar_links.make(tx, row)}


@site.post("/participants/<subject_id>/calendar/revocation")
@site.arguments(StudyIn, location="query")
@site.arguments(ReasonIn)
@site.response(204)
def calendar_revocation(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> None:
    """Her calendar's link opens nothing any more."""
    with begin(actor()) as tx:
        row = access.participant(
            tx, subject_id, "participant.activate", study_id=asked.get("study"), lock=True
        )
        calendar_links.revoke(tx, row, wanted["reason"])
