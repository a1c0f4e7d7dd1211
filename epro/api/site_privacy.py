"""The site: somebody's contact data, found, put right, erased; her calendar's link; what she asks about data on her."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from epro.api import looking, own_data, telling
from epro.api.door import actor, limiter
from epro.api.schemas import CalendarOut, FoundOut, ParticipantOut, ReasonIn, SearchIn, StudyIn
from epro.api.schemas_privacy import (
    ContactChangeIn,
    RightsAnswerIn,
    RightsIn,
    RightsRequestIn,
    RightsRequestOut,
    RightsRequestsOut,
)
from epro.api.site import site
from epro.errors import Invalid
from epro.privacy import copies, erasing, finding, rectifying, rights
from epro.privacy.models import RightsRequest
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


@site.post("/participants/<subject_id>/contact")
@site.arguments(StudyIn, location="query")
@site.arguments(ContactChangeIn)
@site.response(200, ParticipantOut)
def contact(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Put her contact data right: the fields named, null takes one away. What is kept is told to nobody."""
    reason = wanted.pop("reason")
    with begin(actor()) as tx:
        row = access.participant(
            tx, subject_id, "participant.contact", study_id=asked.get("study"), lock=True
        )
        rectifying.change(tx, row, wanted, reason)
        told = telling.participant(tx, row, participants.anchors(tx, row))
    rectifying.settle(row.study_id, row.subject_id)
    return told


@site.post("/participants/<subject_id>/rights-requests")
@site.arguments(StudyIn, location="query")
@site.arguments(RightsRequestIn)
@site.response(201, RightsRequestOut)
def rights_asked(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> RightsRequest:
    """Write down what she asks about data on her; it is due a month after the day on which she asked."""
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, rights.NOTE, study_id=asked.get("study"), lock=True)
        return rights.note(tx, row, rights.Wish(**wanted))


@site.post("/participants/<subject_id>/own-data")
@site.arguments(StudyIn, location="query")
@site.arguments(ReasonIn)
@site.response(200, {"type": "object"}, content_type="application/json")
def own_data_file(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> Response:
    """All that is on file of her, for her: contact data, answers, scores, plan, messages, consents. A person shows a
    passkey first; the trail says who handed it out, why, how much, and its SHA-256.
    """
    with begin(actor()) as tx:
        made = own_data.hand_out(tx, subject_id, asked.get("study"), copies.FILE, wanted["reason"])
    looking.at(made.told["study"], subject_id, "export", "own data")
    return own_data.sent(made)


@site.get("/rights-requests")
@site.arguments(RightsIn, location="query")
@site.response(200, RightsRequestsOut)
def rights_requests(asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked at your sites, what is due first first; `standing=false` for what was answered too."""
    with look(actor()) as tx:
        query = telling.asked_for(rights.listed(tx, standing=asked["standing"]), RightsRequest, asked)
        rows = tx.all(query.limit(asked["limit"] + 1).offset(asked["offset"]))
        for row in rows[: asked["limit"]]:
            looking.at_row(row, "record")
        return {"requests": rows[: asked["limit"]], "more": len(rows) > asked["limit"]}


@site.post("/rights-requests/<uuid:request_id>/answer")
@site.arguments(StudyIn, location="query")
@site.arguments(RightsAnswerIn)
@site.response(200, RightsRequestOut)
def rights_answered(asked: dict[str, Any], wanted: dict[str, Any], request_id: UUID) -> RightsRequest:
    """Answer a request, once, with the reason. A restriction that is granted holds from now on."""
    with begin(actor()) as tx:
        return rights.answer(tx, request_id, wanted["outcome"], wanted["reason"], study_id=asked.get("study"))


@site.post("/participants/<subject_id>/restriction/end")
@site.arguments(StudyIn, location="query")
@site.arguments(ReasonIn)
@site.response(200, ParticipantOut)
def restriction_end(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """What was held still may be used again."""
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, rights.ANSWER, study_id=asked.get("study"), lock=True)
        rights.lift(tx, row, wanted["reason"])
        return telling.participant(tx, row, participants.anchors(tx, row))
