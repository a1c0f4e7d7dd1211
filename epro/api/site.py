"""The site: enrolling, activating, following participants, and the morning's worklist."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Response, make_response
from flask.views import MethodView

from epro.api import looking, telling, telling_scores
from epro.api.description import ENDPOINTS, EXPLANATIONS, TIMELINE, WEEK_EXPLANATIONS, WHY
from epro.api.door import Door, actor, staff_lock
from epro.api.schemas import (
    AlertOut,
    AlertsIn,
    AlertsOut,
    CodeOut,
    ComplianceOut,
    EnrolIn,
    EnrolledOut,
    ListIn,
    NoteIn,
    ParticipantOut,
    ParticipantsOut,
    ProofOut,
    ReasonIn,
    RemarkIn,
    RemarkOut,
    ResolutionIn,
    SpokenIn,
    StudyIn,
    StudySpokenIn,
    WhyIn,
)
from epro.errors import Invalid
from epro.notifications import alerts
from epro.responses import proofs
from epro.scheduling import enrolling, leaving
from epro.scheduling.enrolling import Newcomer
from epro.signin import devices
from epro.studies import access, notes, participants
from epro.studies.models import Participant, ParticipantNote
from epro.tx import Tx, begin, look
from epro.why import asking

site = Door("site", "/v1/site", "The study site: participants and alerts", staff_lock)


@site.route("/participants")
class Participants(MethodView):
    @site.arguments(ListIn, location="query")
    @site.response(200, ParticipantsOut)
    def get(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The participants of your sites."""
        with look(actor()) as tx:
            access.allow(actor(), "participant.read")
            query = sa.select(Participant).where(access.visible(actor(), "participant.read"))
            for name, column in (("study", Participant.study_id), ("site", Participant.site_id)):
                if name in asked:
                    query = query.where(column == asked[name])
            query = query.order_by(Participant.study_id, Participant.subject_id)
            rows = tx.all(query.limit(asked["limit"] + 1).offset(asked["offset"]))
            page = rows[: asked["limit"]]
            return {"participants": [_participant(tx, row) for row in page], "more": len(rows) > len(page)}

    @site.arguments(EnrolIn)
    @site.response(201, EnrolledOut)
    def post(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Enrol a participant. Contact data are optional and kept apart; everything works without."""
        wanted = {f"{name}_id": asked.pop(name) for name in ("study", "site")}
        with begin(actor()) as tx:
            row = enrolling.enrol(tx, Newcomer(**wanted, **asked))
            return {**_participant(tx, row), "warnings": telling.doubts(enrolling.doubts_of(tx, row))}


@site.get("/participants/<subject_id>")
@site.arguments(StudyIn, location="query")
@site.response(200, ParticipantOut)
def one_participant(asked: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """One participant."""
    with look(actor()) as tx:
        return _participant(tx, _seen(tx, subject_id, "participant.read", asked, "record"))


@site.post("/participants/<subject_id>/activation-code")
@site.arguments(StudyIn, location="query")
@site.response(201, CodeOut)
def activation_code(asked: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """A one-use code that makes a phone hers, with its QR picture. Earlier codes end. It is shown only now."""
    with begin(actor()) as tx:
        participant = _find(tx, subject_id, "participant.activate", asked, lock=True)
        if participant.withdrawn_at is not None:
            raise participants.AlreadyWithdrawn()
        text, row = devices.make_code(tx, participant)
        return {"activation_code": text, "expires_at": row.expires_at, "qr_svg": devices.qr_svg(text)}


@site.post("/participants/<subject_id>/withdrawal")
@site.arguments(StudyIn, location="query")
@site.arguments(ReasonIn)
@site.response(200, ParticipantOut)
def withdrawal(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """End her participation. No message goes out after this; what she completed before may still arrive."""
    with begin(actor()) as tx:
        participant = _find(tx, subject_id, "participant.withdraw", asked, lock=True)
        leaving.withdraw(tx, participant, wanted["reason"])
        return _participant(tx, participant)


@site.post("/participants/<subject_id>/devices/<uuid:device_id>/revocation")
@site.arguments(StudyIn, location="query")
@site.arguments(ReasonIn)
@site.response(204)
def revocation(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str, device_id: UUID) -> None:
    """End one phone, lost or replaced. Its next request is refused."""
    with begin(actor()) as tx:
        participant = _find(tx, subject_id, "device.revoke", asked, lock=True)
        devices.revoke(tx, participant, device_id, wanted["reason"])


@site.post("/participants/<subject_id>/notes")
@site.arguments(StudyIn, location="query")
@site.arguments(RemarkIn)
@site.response(201, RemarkOut)
def remark(asked: dict[str, Any], wanted: dict[str, Any], subject_id: str) -> ParticipantNote:
    """Write down a remark about her. It stays at the site: no feed and no export carries it."""
    with begin(actor()) as tx:
        return notes.add(tx, _find(tx, subject_id, "participant.note", asked, lock=True), wanted["note"])


@site.get("/participants/<subject_id>/timeline")
@site.arguments(StudyIn, location="query")
@site.response(200, TIMELINE)
def timeline(asked: dict[str, Any], subject_id: str) -> Response:
    """Everything of one participant: what was due, what came, reminders sent and withheld, alerts, phones."""
    with look(actor()) as tx:
        participant = _seen(tx, subject_id, "participant.read", asked, "answers")
        return make_response(telling.timeline(tx, participant))


@site.get("/participants/<subject_id>/why")
@site.arguments(WhyIn, location="query")
@site.response(200, WHY)
def why(asked: dict[str, Any], subject_id: str) -> Response:
    """Why something is due, was moved, sent, withheld, missed or alerted, or a score is missing, in sentences.

    Name one thing by its id; without one the answer is a page of what is open, missed, due next and standing.
    """
    with look(actor()) as tx:
        participant = _seen(tx, subject_id, "participant.read", asked, "record")
        return make_response(asking.why(tx, participant, asked, asked.get("lang")))


@site.get("/participants/<subject_id>/endpoints")
@site.arguments(StudySpokenIn, location="query")
@site.response(200, ENDPOINTS)
def endpoints(asked: dict[str, Any], subject_id: str) -> Response:
    """Change from baseline and responder status as the study file defines them, and the diary by the week."""
    with look(actor()) as tx:
        participant = _seen(tx, subject_id, "response.read", asked, "answers")
        return make_response(telling_scores.changes(tx, participant, asked.get("lang")))


@site.get("/participants/<subject_id>/weeks/<assessment>/<int:number>")
@site.arguments(StudySpokenIn, location="query")
@site.response(200, WEEK_EXPLANATIONS)
def week(asked: dict[str, Any], subject_id: str, assessment: str, number: int) -> Response:
    """How each score of a week of a diary came about: formula, what counted, what was missing, rule, versions."""
    with look(actor()) as tx:
        participant = _seen(tx, subject_id, "response.read", asked, "answers")
        return make_response(telling_scores.week(tx, participant, assessment, number, asked.get("lang")))


@site.get("/responses/<uuid:response_id>/scores")
@site.arguments(SpokenIn, location="query")
@site.response(200, EXPLANATIONS)
def scores(asked: dict[str, Any], response_id: UUID) -> Response:
    """How each score of a response came about: formula, what counted, what was missing, rule, versions."""
    access.allow(actor(), "response.read")
    with look(actor()) as tx:
        return make_response(telling_scores.explanations(tx, response_id, asked.get("lang")))


@site.get("/responses/<uuid:response_id>/proof")
@site.response(200, ProofOut)
def proof(response_id: UUID) -> dict[str, Any]:
    """Proof that what a receipt is for stands in the signed log of the trail; `verify_trail.py proof` checks it."""
    with look(actor()) as tx:
        return proofs.of_response(tx, response_id)


@site.get("/alerts")
@site.arguments(AlertsIn, location="query")
@site.response(200, AlertsOut)
def worklist(asked: dict[str, Any]) -> dict[str, Any]:
    """The alerts of your sites; `?standing=true` gives the worklist: those that wait for somebody."""
    access.allow(actor(), "alert.read")
    with look(actor()) as tx:
        rows = alerts.listed(
            tx,
            standing=asked["standing"],
            limit=asked["limit"] + 1,
            offset=asked["offset"],
            study_id=asked.get("study"),
            site_id=asked.get("site"),
        )
        page = rows[: asked["limit"]]
        return {"alerts": [telling.alert(tx, row) for row in page], "more": len(rows) > len(page)}


@site.post("/alerts/<uuid:alert_id>/acknowledgement")
@site.arguments(NoteIn)
@site.response(200, AlertOut)
def acknowledgement(wanted: dict[str, Any], alert_id: UUID) -> dict[str, Any]:
    """Take an alert in hand. The first to do so is the one on record."""
    with begin(actor()) as tx:
        return telling.alert(tx, alerts.acknowledge(tx, alert_id, wanted.get("note")))


@site.post("/alerts/<uuid:alert_id>/resolution")
@site.arguments(ResolutionIn)
@site.response(200, AlertOut)
def resolution(wanted: dict[str, Any], alert_id: UUID) -> dict[str, Any]:
    """Record what came of an alert."""
    if wanted["outcome"] not in alerts.OUTCOMES:
        raise Invalid(
            errors=[
                {
                    "pointer": "/outcome",
                    "code": "unknown_outcome",
                    "detail": f"Outcomes are {', '.join(alerts.OUTCOMES)}.",
                }
            ]
        )
    with begin(actor()) as tx:
        return telling.alert(tx, alerts.resolve(tx, alert_id, wanted["outcome"], wanted.get("note")))


@site.get("/compliance")
@site.arguments(ListIn, location="query")
@site.response(200, ComplianceOut)
def compliance(asked: dict[str, Any]) -> dict[str, Any]:
    """Per participant and assessment: how many were due, answered, missed, are open."""
    access.allow(actor(), "participant.read")
    with look(actor()) as tx:
        return telling.compliance(tx, asked)


def _find(
    tx: Tx, subject_id: str, permission: str, asked: dict[str, Any], *, lock: bool = False
) -> Participant:
    return access.participant(tx, subject_id, permission, study_id=asked.get("study"), lock=lock)


def _seen(tx: Tx, subject_id: str, permission: str, asked: dict[str, Any], kind: str) -> Participant:
    """The same, and that somebody has looked at her is written down."""
    row = _find(tx, subject_id, permission, asked)
    looking.at_row(row, kind)
    return row


def _participant(tx: Tx, row: Participant) -> dict[str, Any]:
    return telling.participant(tx, row, participants.anchors(tx, row))
