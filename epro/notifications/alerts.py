"""Alerts: raised by a miss, taken in hand by one person, resolved, escalated while nobody acts, cleared by a
late answer that was given in time. Every step is a fact; which alerts stand is asked, never stored.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from epro import trail
from epro.errors import Conflict, NotFound, places
from epro.notifications import messages, rules
from epro.notifications.models import Alert
from epro.responses import endpoints
from epro.responses.receiving import Filed
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import AlertRule, OnMiss, Protocol
from epro.signin import staff
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx

log = logging.getLogger(__name__)

MISSED, ANSWER = "missed", "answer"
TEMPLATES = {MISSED: "alert.nurse", ANSWER: "alert.attention"}
PUT_OFF = timedelta(minutes=5)
OUTCOMES = ("reached", "not_reached", "no_action_needed", "visit_arranged", "withdrew", "other")


class AlreadyTaken(Conflict):
    """Somebody has taken this alert in hand already."""

    code = "already_taken"


class AlreadyResolved(Conflict):
    """This alert is resolved already."""

    code = "already_resolved"


def alert_on_miss(tx: Tx, participant: Participant, occurrence: Occurrence, on_miss: OnMiss) -> Alert | None:
    """Raise an alert for a miss (participant locked) if the study asks for one, and tell who is to know."""
    run = occurrences.misses_in_a_row(tx, occurrence)
    if not rules.worth_an_alert(on_miss, len(run)):
        return None
    why = {
        "assessment": occurrence.assessment_id,
        "local_day": occurrence.local_day.isoformat(),
        "misses_in_a_row": len(run),
        "rule": {"after": on_miss.after},
    }
    return _raise(tx, participant, occurrence, MISSED, (occurrence.id,), on_miss, why)


def alert_on_answer(tx: Tx, participant: Any, filed: Filed) -> list[Alert]:
    """Raise the alerts that the study asks for on what has just been stored (participant locked), and tell who is
    to know. Which rule it was stands in `why`; which answer it was, nowhere.
    """
    protocol = protocols.find(tx, participant.study_id, filed.occurrence.protocol_version)
    raised = []
    for rule in protocol.alerts_on(filed.occurrence.assessment_id):
        if _reached(tx, participant, rule, filed):
            why = {
                "rule": rule.id,
                "assessment": rule.assessment,
                "local_day": filed.occurrence.local_day.isoformat(),
                "response": str(filed.response_id),
            }
            key = (rule.id, filed.response_id)
            raised.append(_raise(tx, participant, filed.occurrence, ANSWER, key, rule, why))
    return [alert for alert in raised if alert is not None]


def acknowledge(tx: Tx, alert_id: UUID, note: str | None) -> Alert:
    """Take an alert in hand. The first to do so is the one on record; doing it again oneself changes nothing."""
    participant, alert = _locked(tx, alert_id)
    if alert.acknowledged_at is not None:
        if alert.acknowledged_by != str(tx.actor):
            raise AlreadyTaken()
        return alert
    if alert.resolved_at is not None:
        raise AlreadyResolved()
    alert.acknowledged_at, alert.acknowledged_by, alert.acknowledged_note = tx.now, str(tx.actor), note
    alert.escalate_at = None
    trail.record(tx, participant, "alert.acknowledged", "alert", alert.id, reason=note)
    return alert


def resolve(tx: Tx, alert_id: UUID, outcome: str, note: str | None) -> Alert:
    """Record what came of an alert. Who resolves it without having taken it in hand takes it at this moment."""
    participant, alert = _locked(tx, alert_id)
    if alert.resolved_at is not None:
        raise AlreadyResolved()
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by = tx.now, str(tx.actor)
    alert.resolved_at, alert.resolved_by = tx.now, str(tx.actor)
    alert.outcome, alert.resolved_note, alert.escalate_at = outcome, note, None
    trail.record(tx, participant, "alert.resolved", "alert", alert.id, reason=note, outcome=outcome)
    return alert


def clear(tx: Tx, participant: Participant, occurrence: Occurrence) -> int:
    """An answer given in time has come late: its alerts stand no more, nor do those of later misses that were worth
    none without this one. The history stays as it was. Returns how many were cleared.
    """
    query = sa.select(Alert).where(
        Alert.study_id == occurrence.study_id,
        Alert.occurrence_id == occurrence.id,
        Alert.kind == MISSED,
        Alert.cleared_at.is_(None),
    )
    own = tx.all(query)
    later = [alert for alert, miss in _later_misses(tx, occurrence) if not _still_worth(tx, miss)]
    for alert in own:
        _clear(tx, participant, alert, "completed_offline_in_time")
    for alert in later:
        _clear(tx, participant, alert, "earlier_completed_offline_in_time")
    return len(own) + len(later)


def escalate_due(tx: Tx, limit: int = 50) -> int:
    """Tell the next person of alerts that nobody has taken in hand; returns how many alerts were looked at."""
    query = (
        sa.select(Alert.study_id, Alert.subject_id, Alert.id)
        .join(
            Participant,
            sa.and_(Participant.study_id == Alert.study_id, Participant.subject_id == Alert.subject_id),
        )
        .where(Alert.escalate_at <= tx.now)
        .order_by(Alert.escalate_at)
        .limit(limit)
        .with_for_update(of=Participant, skip_locked=True)
    )
    due = tx.session.execute(query).all()
    for study_id, subject_id, alert_id in due:
        participant = tx.get(Participant, study_id, subject_id, lock=True)
        alert = tx.get(Alert, study_id, alert_id, lock=True)
        if participant and alert and alert.escalate_at and alert.escalate_at <= tx.now:
            _escalate_or_put_off(tx, participant, alert)
    return len(due)


def _escalate_or_put_off(tx: Tx, participant: Participant, alert: Alert) -> None:
    """One that cannot be escalated must not stop the others."""
    try:
        with tx.session.begin_nested():
            _escalate(tx, participant, alert)
    except (OperationalError, InterfaceError):  # the database is away: no fault of this one
        raise
    except Exception as fault:
        log.error(
            "escalation put off: %s at %s",
            type(fault).__name__,
            places(fault),
            extra={"action": "alert.put_off", "alert": str(alert.id)},
        )
        tx.session.refresh(participant)
        tx.session.refresh(alert)
        alert.escalate_at = tx.now + PUT_OFF


def listed(
    tx: Tx,
    *,
    standing: bool,
    limit: int,
    offset: int,
    study_id: str | None = None,
    site_id: str | None = None,
) -> list[Alert]:
    """The alerts of the actor's sites: the most urgent first, then the oldest."""
    query = sa.select(Alert).where(access.visible(tx.actor, "alert.read", Alert))
    if study_id:
        query = query.where(Alert.study_id == study_id)
    if site_id:
        query = query.where(Alert.site_id == site_id)
    if standing:
        query = query.where(Alert.resolved_at.is_(None), Alert.cleared_at.is_(None))
    urgent_first = sa.case((Alert.urgency == "urgent", 0), else_=1)
    return tx.all(query.order_by(urgent_first, Alert.raised_at, Alert.id).limit(limit).offset(offset))


def stands(alert: Alert) -> bool:
    return alert.resolved_at is None and alert.cleared_at is None


def told(alert: Alert) -> dict[str, Any]:
    """An alert as the feed tells it."""
    return {
        "id": str(alert.id),
        "kind": alert.kind,
        "occurrence_id": str(alert.occurrence_id),
        "urgency": alert.urgency,
        "why": alert.why,
        "raised_at": trail.instant(alert.raised_at),
        "cleared_at": trail.instant(alert.cleared_at) if alert.cleared_at else None,
    }


def _escalate(tx: Tx, participant: Participant, alert: Alert) -> None:
    occurrence = tx.get(Occurrence, alert.study_id, alert.occurrence_id)
    assert occurrence is not None
    protocol = protocols.find(tx, alert.study_id, occurrence.protocol_version)
    rule = _rule_of(protocol, occurrence, alert)
    step = rule.escalation[alert.escalations]
    alert.escalations += 1
    alert.escalate_at = rules.next_escalation(rule, alert.raised_at, alert.escalations)
    trail.record(tx, participant, "alert.escalated", "alert", alert.id, to=step.role, step=alert.escalations)
    _tell(tx, participant, alert, step.role, "escalation", "alert.escalation")


def _rule_of(protocol: Protocol, occurrence: Occurrence, alert: Alert) -> OnMiss | AlertRule:
    """What the study says of this alert, in the version its occurrence was planned by."""
    if alert.kind == ANSWER:
        return protocol.alert_rule(alert.why["rule"])
    return protocol.assessment(occurrence.assessment_id).on_miss


def _raise(
    tx: Tx,
    participant: Any,
    occurrence: Any,
    kind: str,
    key: tuple[Any, ...],
    rule: OnMiss | AlertRule,
    why: dict[str, Any],
) -> Alert | None:
    """Raise an alert once for its key, in the trail and in the feed, and tell the roles of its rule."""
    alert_id = messages.message_id(participant.study_id, "alert", kind, *key)
    if tx.get(Alert, participant.study_id, alert_id):
        return None
    alert = tx.add(
        Alert(
            study_id=participant.study_id,
            id=alert_id,
            subject_id=participant.subject_id,
            kind=kind,
            site_id=participant.site_id,
            occurrence_id=occurrence.id,
            urgency=rule.urgency,
            why=why,
            raised_at=tx.now,
            escalate_at=rules.next_escalation(rule, tx.now, 0),
            escalations=0,
        )
    )
    tx.session.flush()
    event = trail.record(tx, participant, "alert.raised", "alert", alert.id, kind=alert.kind, why=why)
    trail.stream(tx, event, participant, "alert.raised", {"alert": told(alert)})
    for role in rule.roles:
        _tell(tx, participant, alert, role, "alert", TEMPLATES[kind])
    return alert


def _reached(tx: Tx, participant: Any, rule: AlertRule, filed: Filed) -> bool:
    """Whether the rule's threshold is reached; a missing answer, score or baseline reaches nothing."""
    if rule.item is not None:
        answer = filed.answers.get(rule.item)
        return rule.threshold.reached(answer if type(answer) in (int, float) else None) is True
    assert rule.scale is not None
    value, baseline = filed.values.get(rule.scale), None
    if rule.baseline is not None and value is not None:
        found = endpoints.points(tx, participant, rule.assessment, rule.scale)
        point = endpoints.baseline_of(tx, participant, rule.baseline, found)
        if point is not None and point.response_id != filed.response_id:
            baseline = point.value
    return rule.threshold.reached(value, baseline) is True


def _tell(tx: Tx, participant: Participant, alert: Alert, role: str, purpose: str, template: str) -> None:
    for person in staff.holding(tx, participant.study_id, participant.site_id, role):
        messages.plan(
            tx,
            participant,
            key=(purpose, alert.id, alert.escalations, person.id),
            purpose=purpose,
            recipient=f"staff/{person.id}",
            template=template,
            language=person.language,
            due_at=tx.now,
            expires_at=tx.now + rules.ALERT_USEFUL_FOR,
            why={"role": role},
            alert_id=alert.id,
        )


def _clear(tx: Tx, participant: Participant, alert: Alert, why: str) -> None:
    alert.cleared_at, alert.cleared_why, alert.escalate_at = tx.now, why, None
    event = trail.record(tx, participant, "alert.cleared", "alert", alert.id, why=why)
    trail.stream(tx, event, participant, "alert.cleared", {"alert": told(alert)})


def _later_misses(tx: Tx, occurrence: Occurrence) -> list[tuple[Alert, Occurrence]]:
    """The alerts that stand for later misses of the same assessment, with these."""
    same = sa.and_(Occurrence.study_id == Alert.study_id, Occurrence.id == Alert.occurrence_id)
    query = (
        sa.select(Alert, Occurrence)
        .join(Occurrence, same)
        .where(
            Alert.study_id == occurrence.study_id,
            Alert.subject_id == occurrence.subject_id,
            Alert.kind == MISSED,
            Alert.resolved_at.is_(None),
            Alert.cleared_at.is_(None),
            Occurrence.assessment_id == occurrence.assessment_id,
            Occurrence.opens_at > occurrence.opens_at,
        )
    )
    return [(alert, miss) for alert, miss in tx.session.execute(query)]


def _still_worth(tx: Tx, miss: Occurrence) -> bool:
    protocol = protocols.find(tx, miss.study_id, miss.protocol_version)
    on_miss = protocol.assessment(miss.assessment_id).on_miss
    return rules.worth_an_alert(on_miss, len(occurrences.misses_in_a_row(tx, miss)))


def _locked(tx: Tx, alert_id: UUID) -> tuple[Participant, Alert]:
    """The alert, at one of the actor's sites, with its participant locked. Raises NotFound."""
    access.allow(tx.actor, "alert.act")
    query = sa.select(Alert).where(Alert.id == alert_id, access.visible(tx.actor, "alert.act", Alert))
    found = tx.one(query)
    if found is None:
        raise NotFound()
    participant = tx.get(Participant, found.study_id, found.subject_id, lock=True)
    alert = tx.get(Alert, found.study_id, found.id, lock=True)
    assert participant is not None and alert is not None
    return participant, alert
