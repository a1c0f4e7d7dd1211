"""What a nurse does with an alert until it is settled: she tries to reach the participant, hands it over, opens it
again. And what she may still save: the windows at risk.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.errors import Conflict, Invalid
from epro.notifications import alerts, steps
from epro.notifications.models import Alert, AlertStep
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence, PublishedProtocol
from epro.signin import staff
from epro.signin.models import Staff
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx

CHANNELS = ("phone", "sms", "visit", "other")
CAME_OF_IT = ("reached", "will_answer", "left_message", "no_answer", "wrong_number", "other")


class NotStanding(Conflict):
    """This alert is resolved or has cleared itself; nobody can be given it."""

    code = "not_standing"


class NotResolved(Conflict):
    """Only an alert that somebody has resolved can be opened again, and one that has cleared itself cannot."""

    code = "not_resolved"


def note_contact(tx: Tx, alert_id: UUID, channel: str, outcome: str, note: str | None) -> Alert:
    """Record that somebody tried to reach the participant. Whoever does so owns an alert that nobody has taken."""
    participant, alert = alerts.locked(tx, alert_id)
    if alerts.stands(alert) and alert.owner is None:
        alerts.take(tx, participant, alert)
    steps.write(tx, alert, "contact_attempt", channel=channel, outcome=outcome, note=note)
    alerts.tell_step(
        tx, participant, alert, "alert.contact_attempted", note, channel=channel, outcome=outcome
    )
    return alert


def add_note(tx: Tx, alert_id: UUID, note: str) -> Alert:
    """Write down a remark; also on an alert that stands no more."""
    participant, alert = alerts.locked(tx, alert_id)
    steps.write(tx, alert, "note", note=note)
    alerts.tell_step(tx, participant, alert, "alert.noted", note)
    return alert


def hand_over(tx: Tx, alert_id: UUID, to: UUID, note: str | None) -> Alert:
    """Give an alert to a colleague of the site, who owns it from now on and is told; or take it over oneself.

    Raises NotStanding, and Invalid when this person cannot act on alerts there.
    """
    participant, alert = alerts.locked(tx, alert_id)
    if not alerts.stands(alert):
        raise NotStanding()
    found = [person for person in colleagues(tx, alert) if person.id == to]
    if not found:
        raise _unknown_colleague()
    if alert.owner == f"staff:{to}":
        return alert
    if alert.owner is None:
        alerts.take(tx, participant, alert)
    alert.owner = f"staff:{to}"
    step = steps.write(tx, alert, "handed_over", to_staff=to, note=note)
    alerts.tell_step(tx, participant, alert, "alert.handed_over", note, to=str(to))
    if str(to) != tx.actor.id:
        alerts.tell(tx, participant, alert, found, {"handed_over": step.seq}, turn=f"handed-{step.seq}")
    return alert


def reopen(tx: Tx, alert_id: UUID, reason: str) -> Alert:
    """Open a resolved alert again: nobody owns it, and its hours count from now. Raises NotResolved."""
    participant, alert = alerts.locked(tx, alert_id)
    if not alerts.is_resolved(alert) or alert.cleared_at is not None:
        raise NotResolved()
    alerts.stand_again(tx, participant, alert, reason)
    return alert


def colleagues(tx: Tx, alert: Alert) -> list[Staff]:
    """Who can act on alerts at the alert's site, in a fixed order."""
    found: dict[UUID, Staff] = {}
    for role in sorted(access.PERMISSIONS["alert.act"]):
        for person in staff.holding(tx, alert.study_id, alert.site_id, role):
            found[person.id] = person
    return [found[staff_id] for staff_id in sorted(found)]


def in_force(tx: Tx, alert: Alert) -> dict[str, Any]:
    """Who has taken an alert and what came of it, of an alert that was opened again: since then.

    What was so before stands in the alert's own row and in its steps.
    """
    found = steps.of_this_round(steps.of(tx, alert))
    taken = next((step for step in found if step.kind == "taken"), None)
    done = next((step for step in found if step.kind == "resolved"), None)
    return {
        **_as(taken, acknowledged_at="at", acknowledged_by="by", acknowledged_note="note"),
        **_as(done, resolved_at="at", resolved_by="by", outcome="outcome", resolved_note="note"),
    }


def at_risk(
    tx: Tx, *, limit: int, offset: int, study_id: str | None = None, site_id: str | None = None
) -> list[tuple[Occurrence, str]]:
    """The windows of the actor's sites that close soon and for which nothing has come yet, each with its site; what
    closes first comes first.
    """
    query = (
        sa.select(Occurrence, Participant.site_id)
        .join(
            Participant,
            sa.and_(
                Participant.study_id == Occurrence.study_id, Participant.subject_id == Occurrence.subject_id
            ),
        )
        .where(
            access.visible(tx.actor, "alert.read"),
            *nothing_yet(tx),
            *_soon(tx),
        )
    )
    if study_id:
        query = query.where(Occurrence.study_id == study_id)
    if site_id:
        query = query.where(Participant.site_id == site_id)
    query = query.order_by(Occurrence.closes_at, Occurrence.study_id, Occurrence.subject_id, Occurrence.id)
    return [(row, site) for row, site in tx.session.execute(query.limit(limit).offset(offset))]


def nothing_yet(tx: Tx) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions of a window that is open and waits for its answer."""
    settled = (Occurrence.fulfilled_at, Occurrence.missed_at, Occurrence.excused_at, Occurrence.cancelled_at)
    return (
        Occurrence.attention_at.is_not(None),  # has an index, and stands on all that wait
        Occurrence.opens_at <= tx.now,
        Occurrence.closes_at > tx.now,
        *(fact.is_(None) for fact in settled),
    )


def _soon(tx: Tx) -> tuple[sa.ColumnElement[bool], ...]:
    """At risk as the clockwork has written down, or by the study file before it has come by.

    Nothing is at risk sooner than the longest of all rules says: with that an index finds what closes next.
    """
    rules_of = _by_rule(tx)
    told = [
        sa.and_(
            Occurrence.study_id == study_id,
            Occurrence.protocol_version == version,
            Occurrence.assessment_id == assessment_id,
            Occurrence.closes_at <= tx.now + before,
        )
        for study_id, version, assessment_id, before in rules_of
    ]
    longest = max((before for *_, before in rules_of), default=timedelta(0))
    return (Occurrence.closes_at <= tx.now + longest, sa.or_(Occurrence.at_risk_at.is_not(None), *told))


def _by_rule(tx: Tx) -> list[tuple[str, str, str, timedelta]]:
    """(study, version of its protocol, assessment, how long before closing it is at risk)."""
    published = tx.session.execute(sa.select(PublishedProtocol.study_id, PublishedProtocol.version)).all()
    return [
        (study_id, version, assessment.id, assessment.at_risk)
        for study_id, version in published
        for assessment in protocols.find(tx, study_id, version).assessments
        if assessment.at_risk
    ]


def _as(step: AlertStep | None, **names: str) -> dict[str, Any]:
    return {name: getattr(step, fact) if step else None for name, fact in names.items()}


def _unknown_colleague() -> Invalid:
    detail = "Nobody at this site who acts on alerts has this id."
    return Invalid(errors=[{"pointer": "/to", "code": "unknown_colleague", "detail": detail}])
