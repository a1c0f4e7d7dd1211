"""The site: enrolling, activating, following participants, and the morning's worklist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Response, make_response
from flask.views import MethodView

from epro import clock
from epro.api import telling, telling_scores
from epro.api.description import ENDPOINTS, EXPLANATIONS, TIMELINE, WEEK_EXPLANATIONS, WHY
from epro.api.door import DOOR, Door, actor, staff_lock
from epro.api.schemas import (
    AlertOut,
    AlertsIn,
    AlertsOut,
    CodeOut,
    ComplianceOut,
    EnrolIn,
    ListIn,
    NoteIn,
    ParticipantOut,
    ParticipantsOut,
    ReasonIn,
    ResolutionIn,
    SpokenIn,
    StudyIn,
    StudySpokenIn,
    WhyIn,
)
from epro.contacts import store
from epro.errors import Invalid, NotFound
from epro.notifications import alerts
from epro.scheduling import leaving, occurrences, protocols, replanning
from epro.scheduling.protocol import Protocol
from epro.scheduling.replanning import Wish
from epro.signin import devices
from epro.studies import access, participants
from epro.studies.models import Participant, Site
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
    @site.response(201, ParticipantOut)
    def post(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Enrol a participant. Contact data are optional and kept apart; everything works without."""
        with begin(actor()) as tx:
            access.allow(actor(), "participant.enrol", asked["study"], asked["site"])
            where, protocol = _where(tx, asked)
            _check_enrolment(protocol, asked)
            participant = _enrol(tx, where, protocol, asked)
            occurrences.replan(tx, participant, "enrolment")
            return _participant(tx, participant)


@site.get("/participants/<subject_id>")
@site.arguments(StudyIn, location="query")
@site.response(200, ParticipantOut)
def one_participant(asked: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """One participant."""
    with look(actor()) as tx:
        return _participant(tx, _find(tx, subject_id, "participant.read", asked))


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


@site.get("/participants/<subject_id>/timeline")
@site.arguments(StudyIn, location="query")
@site.response(200, TIMELINE)
def timeline(asked: dict[str, Any], subject_id: str) -> Response:
    """Everything of one participant: what was due, what came, reminders sent and withheld, alerts, phones."""
    with look(actor()) as tx:
        participant = _find(tx, subject_id, "participant.read", asked)
        return make_response(telling.timeline(tx, participant))


@site.get("/participants/<subject_id>/why")
@site.arguments(WhyIn, location="query")
@site.response(200, WHY)
def why(asked: dict[str, Any], subject_id: str) -> Response:
    """Why something is due, was moved, sent, withheld, missed or alerted, or a score is missing, in sentences.

    Name one thing by its id; without one the answer is a page of what is open, missed, due next and standing.
    """
    with look(actor()) as tx:
        participant = _find(tx, subject_id, "participant.read", asked)
        return make_response(asking.why(tx, participant, asked, asked.get("lang")))


@site.get("/participants/<subject_id>/endpoints")
@site.arguments(StudySpokenIn, location="query")
@site.response(200, ENDPOINTS)
def endpoints(asked: dict[str, Any], subject_id: str) -> Response:
    """Change from baseline and responder status as the study file defines them, and the diary by the week."""
    with look(actor()) as tx:
        participant = _find(tx, subject_id, "response.read", asked)
        return make_response(telling_scores.changes(tx, participant, asked.get("lang")))


@site.get("/participants/<subject_id>/weeks/<assessment>/<int:number>")
@site.arguments(StudySpokenIn, location="query")
@site.response(200, WEEK_EXPLANATIONS)
def week(asked: dict[str, Any], subject_id: str, assessment: str, number: int) -> Response:
    """How each score of a week of a diary came about: formula, what counted, what was missing, rule, versions."""
    with look(actor()) as tx:
        participant = _find(tx, subject_id, "response.read", asked)
        return make_response(telling_scores.week(tx, participant, assessment, number, asked.get("lang")))


@site.get("/responses/<uuid:response_id>/scores")
@site.arguments(SpokenIn, location="query")
@site.response(200, EXPLANATIONS)
def scores(asked: dict[str, Any], response_id: UUID) -> Response:
    """How each score of a response came about: formula, what counted, what was missing, rule, versions."""
    access.allow(actor(), "response.read")
    with look(actor()) as tx:
        return make_response(telling_scores.explanations(tx, response_id, asked.get("lang")))


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


def _where(tx: Tx, asked: dict[str, Any]) -> tuple[Site, Protocol]:
    found, protocol = (
        tx.get(Site, asked["study"], asked["site"]),
        protocols.at_site(tx, asked["study"], asked["site"]),
    )
    if found is None or protocol is None:
        raise NotFound()
    return found, protocol


def _check_enrolment(protocol: Protocol, asked: dict[str, Any]) -> None:
    if asked["language"] not in protocol.languages:
        raise Invalid(
            errors=[
                {
                    "pointer": "/language",
                    "code": "unknown_language",
                    "detail": f"The study's languages are {', '.join(protocol.languages)}.",
                }
            ]
        )
    _known_anchors(protocol, asked["anchors"], "/anchors")
    replanning.refuse_unknown(protocol, Wish(arm=asked.get("arm")))
    missing = [name for name in protocol.required_anchors if name not in asked["anchors"]]
    if missing:
        raise Invalid(
            errors=[
                {
                    "pointer": f"/anchors/{name}",
                    "code": "missing_anchor",
                    "detail": "The study needs this day at enrolment.",
                }
                for name in missing
            ]
        )
    pattern = protocol.subject_id_pattern
    if pattern and "subject_id" in asked and not telling.fits(pattern, asked["subject_id"]):
        raise Invalid(
            errors=[
                {
                    "pointer": "/subject_id",
                    "code": "bad_subject_id",
                    "detail": "The study's subject ids look otherwise.",
                }
            ]
        )


def _known_anchors(protocol: Protocol, names: Iterable[str], pointer: str) -> None:
    known = {anchor.id for anchor in protocol.anchors if anchor.base is None}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Invalid(
            errors=[
                {
                    "pointer": pointer,
                    "code": "unknown_anchor",
                    "detail": f"The study's anchors are {', '.join(sorted(known))}.",
                }
            ]
        )


def _enrol(tx: Tx, where: Site, protocol: Protocol, asked: dict[str, Any]) -> Participant:
    contact = {field: store.normal(field, value) for field, value in (asked.get("contact") or {}).items()}
    participants.hold_numbering(tx, where)
    subject_id = _free_subject_id(where, asked.get("subject_id"))
    owner = f"participant/{subject_id}"
    store.erase(where.study_id, owner)  # what an enrolment left that came to nothing
    commitments = store.keep(where.study_id, owner, contact, clock.now()) if contact else {}
    try:
        return participants.enrol(
            tx,
            where,
            subject_id=subject_id,
            language=asked["language"],
            time_zone=asked["time_zone"],
            protocol_version=protocol.version,
            anchors=asked["anchors"],
            contact=commitments,
            arm=asked.get("arm"),
            channels=asked.get("channels"),
        )
    except Exception:
        store.erase(where.study_id, owner)  # nobody was enrolled under this name
        raise


def _free_subject_id(where: Site, asked: str | None) -> str:
    """An id that nobody in the whole study has, also where this nurse sees nobody (numbering held)."""
    with look(DOOR) as everybody:
        if asked is None:
            return participants.next_subject_id(everybody, where)
        participants.refuse_taken(everybody, where, asked)
        return asked


def _participant(tx: Tx, row: Participant) -> dict[str, Any]:
    return telling.participant(row, participants.anchors(tx, row))
