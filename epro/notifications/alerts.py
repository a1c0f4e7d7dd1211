"""Alerts: raised by a miss or an answer, joined by the further misses of a streak, taken in hand by one person,
resolved, escalated while nobody acts, cleared by late answers that were given in time. What people do with one
besides is in `following`. Every step is a fact and stays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, NotFound
from epro.notifications import messages, rules, steps
from epro.notifications.models import Alert
from epro.responses import endpoints
from epro.responses.receiving import Filed
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import AlertRule, OnMiss
from epro.signin import staff
from epro.signin.models import Staff
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, attempt

log = logging.getLogger(__name__)

MISSED, ANSWER, URGENT = "missed", "answer", "urgent"
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
    """Raise an alert for a miss (participant locked) if the study asks for one, or let the miss join the one that
    stands for its streak. Who is to know is told. None where there is nothing to do.
    """
    run = occurrences.misses_in_a_row(tx, occurrence)
    misses = steps.in_no_alert(tx, occurrence.study_id, run)
    if not on_miss.alert or occurrence.id not in misses:
        return None
    standing = _of_the_streak(tx, occurrence, run)
    if standing is not None:
        return _join(tx, participant, standing, occurrence, on_miss)
    if not rules.worth_an_alert(on_miss, len(run)):
        return None
    why = {
        "assessment": occurrence.assessment_id,
        "local_day": occurrence.local_day.isoformat(),
        "misses_in_a_row": len(run),
        "misses": len(misses),
        "rule": {"after": on_miss.after},
    }
    return raise_one(tx, participant, occurrence, MISSED, (occurrence.id,), on_miss, why, misses)


def alert_on_answer(tx: Tx, participant: Any, filed: Filed) -> list[Alert]:
    """Raise the alerts that the study asks for on what has just been stored (participant locked), and tell who is
    to know. Which rule it was stands in `why`; which answer it was, nowhere.
    """
    protocol = protocols.find(tx, participant.study_id, filed.occurrence.protocol_version)
    raised = []
    for rule in protocol.alerts_on(filed.occurrence.assessment_id):
        if reached(tx, participant, rule, filed):
            why = {
                "rule": rule.id,
                "assessment": rule.assessment,
                "local_day": filed.occurrence.local_day.isoformat(),
                "response": str(filed.response_id),
            }
            key = (rule.id, filed.response_id)
            raised.append(raise_one(tx, participant, filed.occurrence, ANSWER, key, rule, why))
    return [alert for alert in raised if alert is not None]


def acknowledge(tx: Tx, alert_id: UUID, note: str | None) -> Alert:
    """Take an alert in hand. The first to do so is the one on record; doing it again oneself changes nothing."""
    participant, alert = locked(tx, alert_id)
    if alert.owner is not None:
        if alert.owner != str(tx.actor):
            raise AlreadyTaken()
        return alert
    if is_resolved(alert):
        raise AlreadyResolved()
    take(tx, participant, alert, note)
    return alert


def take(tx: Tx, participant: Participant, alert: Alert, note: str | None = None) -> None:
    """Who acts owns the alert from now on (participant locked, nobody owns it); the escalation stops."""
    alert.owner, alert.escalate_at = str(tx.actor), None
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by, alert.acknowledged_note = tx.now, str(tx.actor), note
    steps.write(tx, alert, "taken", note=note)
    trail.record(tx, participant, "alert.acknowledged", "alert", alert.id, reason=note)


def resolve(tx: Tx, alert_id: UUID, outcome: str, note: str | None) -> Alert:
    """Record what came of an alert. Who resolves it without having taken it in hand takes it at this moment."""
    participant, alert = locked(tx, alert_id)
    if is_resolved(alert):
        raise AlreadyResolved()
    if alert.owner is None:
        take(tx, participant, alert)
    alert.standing_since = alert.escalate_at = None
    if alert.resolved_at is None:
        alert.resolved_at, alert.resolved_by = tx.now, str(tx.actor)
        alert.outcome, alert.resolved_note = outcome, note
    steps.write(tx, alert, "resolved", outcome=outcome, note=note)
    trail.record(tx, participant, "alert.resolved", "alert", alert.id, reason=note, outcome=outcome)
    return alert


IN_TIME = "completed_offline_in_time"
BY_THE_SITE = "filed_by_the_site"  # a person has decided that what was set aside counts
EXCUSED = "excused_by_the_site"


def clear(tx: Tx, participant: Any, occurrence: Occurrence, why: str = IN_TIME) -> int:
    """An answer given in time has come late, or counts as the site decided, or the site has excused it: this miss is
    taken out of its alert, which stands no more when none is left or when those left are too few in a row; nor do those
    of later misses that were worth none without this one. The history stays as it was. Returns how many alerts changed.
    """
    own = steps.holding(tx, occurrence)
    for alert in own:
        _take_out(tx, participant, alert, occurrence, why)
    later = [alert for alert in _later(tx, occurrence) if not _still_worth(tx, steps.misses_of(tx, alert))]
    for alert in later:
        _clear(tx, participant, alert, f"earlier_{why}")
    return len(own) + len(later)


def restore(tx: Tx, participant: Participant, occurrence: Occurrence, reason: str) -> None:
    """The excuse of a miss was taken back: it joins the alert again that it was taken out of. That and what had cleared
    itself by an excuse, stands again where its misses are worth it and nobody had resolved it before.
    """
    own = steps.left_by(tx, occurrence)
    for alert in own:
        steps.write(tx, alert, "joined", occurrence_id=occurrence.id)
        alert.misses += 1
        tell_step(tx, participant, alert, "alert.joined", occurrence_id=str(occurrence.id))
    for alert in dict.fromkeys([*own, *_cleared_by_excuse(tx, occurrence)]):
        _unless_settled(tx, participant, alert, reason)


def _unless_settled(tx: Tx, participant: Participant, alert: Alert, reason: str) -> None:
    resolved = any(step.kind == "resolved" for step in steps.of_this_round(steps.of(tx, alert)))
    if alert.cleared_at and not resolved and _still_worth(tx, steps.misses_of(tx, alert)):
        alert.cleared_at = alert.cleared_why = None
        stand_again(tx, participant, alert, reason)


def stand_again(tx: Tx, participant: Participant, alert: Alert, reason: str) -> None:
    """Nobody owns it any more, and its hours count from now (participant locked)."""
    rule = rule_of(tx, alert)
    alert.standing_since, alert.owner = tx.now, None
    alert.reopenings += 1
    alert.ladder, alert.escalate_at = 0, rules.next_escalation(rule, tx.now, 0)
    alert.due_at = rules.due_at(rule, tx.now)
    steps.write(tx, alert, "reopened", note=reason)
    tell_step(tx, participant, alert, "alert.reopened", reason)


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
    told = {"action": "alert.put_off", "alert": str(alert.id)}
    if not attempt(tx, log, "escalation put off", lambda: _escalate(tx, participant, alert), **told):
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
    """The alerts of the actor's sites: the urgent first, then what is due first, then the oldest."""
    query = sa.select(Alert).where(access.visible(tx.actor, "alert.read", Alert))
    if study_id:
        query = query.where(Alert.study_id == study_id)
    if site_id:
        query = query.where(Alert.site_id == site_id)
    if standing:
        query = query.where(Alert.standing_since.is_not(None))
    urgent_first = sa.case((sa.or_(Alert.urgency == URGENT, Alert.urgent_at.is_not(None)), 0), else_=1)
    due_first = sa.nulls_last(Alert.due_at.asc())
    return tx.all(
        query.order_by(urgent_first, due_first, Alert.raised_at, Alert.id).limit(limit).offset(offset)
    )


def stands(alert: Alert) -> bool:
    return alert.standing_since is not None


def is_resolved(alert: Alert) -> bool:
    """Whether somebody has said what came of it and nobody has opened it again."""
    return alert.resolved_at is not None and alert.standing_since is None


def urgency(alert: Alert) -> str:
    """How urgent it is now; a routine one may have become urgent."""
    return URGENT if alert.urgent_at else alert.urgency


def told(alert: Alert) -> dict[str, Any]:
    """An alert as the feed tells it."""
    return {
        "id": str(alert.id),
        "kind": alert.kind,
        "occurrence_id": str(alert.occurrence_id),
        "urgency": urgency(alert),
        "why": alert.why,
        "misses": alert.misses,
        "raised_at": trail.instant(alert.raised_at),
        "cleared_at": trail.instant(alert.cleared_at) if alert.cleared_at else None,
    }


def rule_of(tx: Tx, alert: Alert) -> OnMiss | AlertRule:
    """What the study says of this alert, in the version its occurrence was planned by."""
    occurrence = tx.get(Occurrence, alert.study_id, alert.occurrence_id)
    assert occurrence is not None
    protocol = protocols.find(tx, alert.study_id, occurrence.protocol_version)
    if alert.kind == ANSWER:
        return protocol.alert_rule(alert.why["rule"])
    return protocol.assessment(occurrence.assessment_id).on_miss


def tell_step(
    tx: Tx, participant: Any, alert: Alert, action: str, note: str | None = None, **details: Any
) -> None:
    """One step in the trail and in the feed; the note of a person stays in the trail."""
    event = trail.record(tx, participant, action, "alert", alert.id, reason=note, **details)
    trail.stream(tx, event, participant, action, {"alert": told(alert), **details})


def tell(
    tx: Tx,
    participant: Participant,
    alert: Alert,
    people: Sequence[Staff],
    why: dict[str, Any],
    *,
    turn: object,
    purpose: str = "alert",
    template: str | None = None,
) -> None:
    """Plan a message about an alert to each of these people (participant locked), once for each `turn`."""
    for person in people:
        messages.plan(
            tx,
            participant,
            key=(purpose, alert.id, turn, person.id),
            purpose=purpose,
            recipient=f"staff/{person.id}",
            template=template or TEMPLATES[alert.kind],
            language=person.language,
            due_at=tx.now,
            expires_at=tx.now + rules.ALERT_USEFUL_FOR,
            why=why,
            alert_id=alert.id,
        )


def _escalate(tx: Tx, participant: Participant, alert: Alert) -> None:
    if rules.is_of_no_use(participant, alert):
        alert.escalate_at = None
        trail.record(tx, participant, "alert.escalation_ended", "alert", alert.id, reason="withdrawn")
        return
    rule = rule_of(tx, alert)
    step = rule.escalation[alert.ladder]
    alert.escalations += 1
    alert.ladder += 1
    alert.escalate_at = rules.next_escalation(rule, alert.standing_since or alert.raised_at, alert.ladder)
    trail.record(tx, participant, "alert.escalated", "alert", alert.id, to=step.role, step=alert.escalations)
    people = _people(tx, alert, (step.role,))
    tell(
        tx,
        participant,
        alert,
        people,
        {"role": step.role},
        turn=alert.escalations,
        purpose="escalation",
        template="alert.escalation",
    )


def raise_one(
    tx: Tx,
    participant: Any,
    occurrence: Any,
    kind: str,
    key: tuple[Any, ...],
    rule: OnMiss | AlertRule,
    why: dict[str, Any],
    misses: Sequence[UUID] = (),
) -> Alert | None:
    """Raise an alert once for its key, in the trail and in the feed, and tell the roles of its rule."""
    alert_id = messages.message_id(participant.study_id, "alert", kind, *key)
    if tx.get(Alert, participant.study_id, alert_id):
        return None
    alert = Alert(
        study_id=participant.study_id,
        id=alert_id,
        subject_id=participant.subject_id,
        kind=kind,
        site_id=participant.site_id,
        occurrence_id=occurrence.id,
        urgency=rule.urgency,
        why=why,
        misses=len(misses),
        urgent_at=tx.now if _becomes_urgent(rule, rule.urgency, len(misses)) else None,
        **_from_now(tx, rule),
    )
    tx.add(alert)
    tx.session.flush()
    for miss in misses:
        steps.write(tx, alert, "joined", occurrence_id=miss)
    event = trail.record(tx, participant, "alert.raised", "alert", alert.id, kind=alert.kind, why=why)
    trail.stream(tx, event, participant, "alert.raised", {"alert": told(alert)})
    tell_roles(tx, participant, alert, rule.roles, turn=0)
    return alert


def _from_now(tx: Tx, rule: OnMiss | AlertRule) -> dict[str, Any]:
    return {
        "raised_at": tx.now,
        "standing_since": tx.now,
        "due_at": rules.due_at(rule, tx.now),
        "escalate_at": rules.next_escalation(rule, tx.now, 0),
        "escalations": 0,
        "ladder": 0,
        "reopenings": 0,
    }


def _join(tx: Tx, participant: Participant, alert: Alert, occurrence: Occurrence, on_miss: OnMiss) -> Alert:
    """One more miss of the streak: the alert grows, and may become urgent or be told again, as the study says."""
    steps.write(tx, alert, "joined", occurrence_id=occurrence.id)
    alert.misses += 1
    if _becomes_urgent(on_miss, urgency(alert), alert.misses):
        alert.urgent_at = tx.now
    further = _joined(tx, alert) - alert.why.get("misses", 1)
    tell_step(tx, participant, alert, "alert.joined", occurrence_id=str(occurrence.id))
    if rules.told_again(on_miss, further):
        tell_roles(tx, participant, alert, on_miss.roles, turn=f"further-{further}")
    return alert


def _becomes_urgent(rule: OnMiss | AlertRule, so_far: str, misses: int) -> bool:
    return so_far != URGENT and isinstance(rule, OnMiss) and rules.is_urgent_now(rule, misses)


def _joined(tx: Tx, alert: Alert) -> int:
    return len({step.occurrence_id for step in steps.of(tx, alert) if step.kind == "joined"})


def _of_the_streak(tx: Tx, occurrence: Occurrence, run: list[UUID]) -> Alert | None:
    """The standing alert whose misses lie next to this one, with no answer in between."""
    standing: list[Alert] = tx.all(_standing_of(occurrence).order_by(Alert.raised_at.desc()))
    for alert in standing:
        misses = steps.misses_of(tx, alert)
        after = [miss for miss in misses if miss.opens_at > occurrence.opens_at]
        if after and occurrence.id in occurrences.misses_in_a_row(tx, after[0]):
            return alert
        if not after and misses and misses[-1].id in run:
            return alert
    return None


def _standing_of(occurrence: Occurrence) -> sa.Select[Any]:
    """The alerts that stand for misses of the same assessment."""
    return _of_the_same(occurrence).where(Alert.standing_since.is_not(None))


def _cleared_by_excuse(tx: Tx, occurrence: Occurrence) -> list[Alert]:
    """The alerts for misses of the same assessment that had cleared themselves by an excuse."""
    why = Alert.cleared_why.in_((EXCUSED, f"earlier_{EXCUSED}"))
    return tx.all(_of_the_same(occurrence).where(why).order_by(Alert.raised_at, Alert.id))


def _of_the_same(occurrence: Occurrence) -> sa.Select[Any]:
    """The alerts for misses of the same assessment."""
    same = sa.and_(Occurrence.study_id == Alert.study_id, Occurrence.id == Alert.occurrence_id)
    return (
        sa.select(Alert)
        .join(Occurrence, same)
        .where(
            Alert.study_id == occurrence.study_id,
            Alert.subject_id == occurrence.subject_id,
            Alert.kind == MISSED,
            Occurrence.assessment_id == occurrence.assessment_id,
        )
    )


def reached(tx: Tx, participant: Any, rule: AlertRule, filed: Filed) -> bool:
    """Whether the rule's threshold is reached; a missing answer, score or baseline reaches nothing."""
    if rule.item is not None:
        answer = filed.answers.get(rule.item)
        return rule.threshold.reached(answer if type(answer) in (int, float) else None) is True
    assert rule.scale is not None
    value, baseline = filed.values.get(rule.scale), None
    if rule.baseline is not None and value is not None:
        found = endpoints.points(tx, participant, rule.assessment, rule.scale)
        point = endpoints.baseline_of(tx, participant, rule.baseline, found)
        if point is not None and point.local_day < filed.occurrence.local_day:
            baseline = point.value
    return rule.threshold.reached(value, baseline) is True


def _people(tx: Tx, alert: Alert, roles: Sequence[str]) -> list[Staff]:
    """Who holds one of these roles at the site, each once."""
    found = [person for role in roles for person in staff.holding(tx, alert.study_id, alert.site_id, role)]
    return list(dict.fromkeys(found))


def tell_roles(tx: Tx, participant: Participant, alert: Alert, roles: Sequence[str], *, turn: object) -> None:
    for role in roles:
        why = {"role": role, "count": max(alert.misses, 1)}
        tell(tx, participant, alert, _people(tx, alert, (role,)), why, turn=turn)


def _take_out(tx: Tx, participant: Any, alert: Alert, occurrence: Occurrence, why: str) -> None:
    steps.write(tx, alert, "cleared_one", occurrence_id=occurrence.id)
    alert.misses -= 1
    left = steps.misses_of(tx, alert)
    if not left:
        _clear(tx, participant, alert, why)
    elif stands(alert) and not _still_worth(tx, left):
        _clear(tx, participant, alert, f"earlier_{why}")
    else:
        tell_step(tx, participant, alert, "alert.reduced", occurrence_id=str(occurrence.id))


def _clear(tx: Tx, participant: Any, alert: Alert, why: str) -> None:
    alert.cleared_at, alert.cleared_why = tx.now, why
    alert.standing_since = alert.escalate_at = None
    event = trail.record(tx, participant, "alert.cleared", "alert", alert.id, why=why)
    trail.stream(tx, event, participant, "alert.cleared", {"alert": told(alert)})


def _later(tx: Tx, occurrence: Occurrence) -> list[Alert]:
    """The alerts that stand for later misses of the same assessment."""
    return tx.all(_standing_of(occurrence).where(Occurrence.opens_at > occurrence.opens_at))


def _still_worth(tx: Tx, misses: Sequence[Occurrence]) -> bool:
    """Whether one of these misses is the last of as many in a row as the study asks for."""
    return any(_is_worth(tx, miss) for miss in reversed(misses))


def _is_worth(tx: Tx, miss: Occurrence) -> bool:
    protocol = protocols.find(tx, miss.study_id, miss.protocol_version)
    on_miss = protocol.assessment(miss.assessment_id).on_miss
    return rules.worth_an_alert(on_miss, len(occurrences.misses_in_a_row(tx, miss)))


def find(tx: Tx, alert_id: UUID) -> Alert:
    """The alert, at one of the actor's sites. Raises NotFound."""
    access.allow(tx.actor, "alert.read")
    query = sa.select(Alert).where(Alert.id == alert_id, access.visible(tx.actor, "alert.read", Alert))
    found: Alert | None = tx.one(query)
    if found is None:
        raise NotFound()
    return found


def locked(tx: Tx, alert_id: UUID) -> tuple[Participant, Alert]:
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
