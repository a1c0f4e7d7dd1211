"""What follows from a correction or a settlement: signatures broken, alerts looked at again, what the answer sets, all
in its act.

A correction that reaches a threshold raises its alert. One behind an alert that stands is told to whoever the alert is
for, and is a step of it: nothing is resolved in silence, a person does that.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.notifications import alerts, signed, steps
from epro.notifications.models import Alert
from epro.responses import anchoring, correcting, endpoints, receipts, settling
from epro.responses.correcting import Case, Corrected, Wish
from epro.responses.models import SetAside
from epro.responses.receiving import Filed, Taken
from epro.scheduling import anchors, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol
from epro.signing import breaking
from epro.studies import participants
from epro.tx import Tx

Signals = dict[tuple[str, UUID], UUID]
"""(alert rule, occurrence) -> the response whose answer or score reaches the rule's threshold."""


def correct(tx: Tx, response_id: UUID, wish: Wish) -> Corrected:
    """Correct a response. The same again changes nothing and is answered alike."""
    found = correcting.find(tx, response_id)
    participant = correcting.hers(tx, found)
    corrected = _carry_out(tx, correcting.case_of(tx, participant, response_id), wish)
    if not corrected.repeated:
        anchoring.follow(tx, participant, [corrected.case.original.assessment_id])
    return corrected


def preview(tx: Tx, response_id: UUID, wish: Wish) -> Corrected:
    """The correction as it would be; nothing is written."""
    participant = correcting.hers(tx, correcting.find(tx, response_id), lock=False)
    return correcting.prepare(tx, correcting.case_of(tx, participant, response_id), wish)


def settle(tx: Tx, set_aside_id: UUID, wish: settling.Wish) -> settling.Settled:
    """Settle what was set aside: once, with everything that follows. The same again changes nothing."""
    aside, participant = settling.locked(tx, set_aside_id)
    known = settling.known(tx, aside, wish)
    if known is not None:
        return known
    filed, response_id = (
        _file(tx, participant, aside, wish) if wish.outcome == settling.FILED else (None, None)
    )
    settled = settling.write(tx, participant, aside, wish, response_id)
    if filed is not None:
        _follow(tx, participant, filed)
        anchoring.follow(tx, participant, [filed.occurrence.assessment_id])
    return settled


def heed(tx: Tx, participant: Any, taken: Taken) -> int:
    """What follows when an entry was taken in (participant a plain row, locked): the alert of a miss that is none any
    more, alerts on what was answered, and the plan. Returns how many alerts changed.
    """
    changed = hear(tx, participant, taken)
    if taken.filed is not None and taken.receipt.outcome == receipts.STORED:
        _follow(tx, participant, taken.filed)
    return changed


def hear(tx: Tx, participant: Any, taken: Taken, why: str = alerts.IN_TIME) -> int:
    """Of this the alerts alone."""
    changed = alerts.clear(tx, participant, taken.late_for, why) if taken.late_for is not None else 0
    if taken.filed is not None:
        changed += len(alerts.alert_on_answer(tx, participant, taken.filed))
    if changed:
        participants.put_back(tx, participant)
    return changed


def _file(tx: Tx, participant: Any, aside: SetAside, wish: settling.Wish) -> tuple[Filed | None, UUID]:
    """The upload in its place, or as a correction: what it comes to, and the id of the response."""
    corrects = settling.corrects(tx, aside, wish)
    if corrects is not None:
        case = correcting.case_of(tx, participant, corrects)
        corrected = _carry_out(tx, case, settling.as_correction(aside, wish))
        return corrected.filed, corrected.row["id"]
    taken, response_id = settling.file(tx, participant, aside, wish)
    hear(tx, participant, taken, alerts.BY_THE_SITE)
    return taken.filed, response_id


def _carry_out(tx: Tx, case: Case, wish: Wish) -> Corrected:
    """The correction, and the alerts that it raises or touches; the participant of the case is locked."""
    corrected = correcting.prepare(tx, case, wish)
    if corrected.repeated:
        return corrected
    participant, filed = case.participant, corrected.filed
    protocol = protocols.find(tx, case.original.study_id, case.occurrence.protocol_version)
    before = _signals(tx, participant, protocol, case.filed(tx))
    correcting.write(tx, corrected, wish)
    signed.break_under(tx, participant, [case.original.id], breaking.CORRECTED, corrected.row["id"])
    _look_again(tx, participant, protocol, before, _signals(tx, participant, protocol, filed), filed)
    participants.put_back(tx, participant)
    return corrected


def _follow(tx: Tx, participant: Any, filed: Filed) -> None:
    anchors.follow_answer(tx, participant, filed.occurrence, filed.completed_at, filed.answers, filed.values)


def _signals(tx: Tx, participant: Any, protocol: Protocol, filed: Filed) -> Signals:
    """Which rules are reached: by this response, and, of those that look at a change, by the others too: it may be
    their baseline.
    """
    found: Signals = {}
    for rule in protocol.alerts_on(filed.occurrence.assessment_id):
        looked_at = [filed]
        if rule.baseline is not None and rule.scale is not None:
            looked_at += _others(tx, participant, rule.assessment, rule.scale, filed)
        for one in looked_at:
            if alerts.reached(tx, participant, rule, one):
                found[rule.id, one.occurrence.id] = one.response_id
    return found


def _others(tx: Tx, participant: Any, assessment: str, scale: str, filed: Filed) -> list[Filed]:
    """The other answers of the assessment that count, with their scores."""
    points = endpoints.points(tx, participant, assessment, scale)
    return [
        Filed(
            point.response_id,
            _occurrence(tx, participant, point),
            {},
            {scale: point.value},
            filed.completed_at,
        )
        for point in points
        if point.occurrence_id != filed.occurrence.id
    ]


def _occurrence(tx: Tx, participant: Any, point: endpoints.Point) -> Any:
    return tx.plain(Occurrence, participant.study_id, point.occurrence_id)


def _look_again(
    tx: Tx, participant: Any, protocol: Protocol, before: Signals, now: Signals, filed: Filed
) -> None:
    standing = _standing(tx, participant, protocol, filed)
    for key, response_id in now.items():
        if key not in before:
            _raise(tx, participant, protocol, key, response_id, filed)
    for alert in standing:
        key = (alert.why["rule"], alert.occurrence_id)
        own = alert.occurrence_id == filed.occurrence.id
        if own or (key in before) != (key in now):
            _tell(tx, participant, protocol, alert, filed, still=key in now)


def _raise(
    tx: Tx, participant: Any, protocol: Protocol, key: tuple[str, UUID], response_id: UUID, filed: Filed
) -> None:
    """Raise an alert that a correction gives rise to: on the answer itself, or on one that has it as its baseline."""
    rule, occurrence = protocol.alert_rule(key[0]), tx.plain(Occurrence, participant.study_id, key[1])
    assert occurrence is not None
    why = {
        "rule": rule.id,
        "assessment": rule.assessment,
        "local_day": occurrence.local_day.isoformat(),
        "response": str(response_id),
        "correction": str(filed.response_id),
    }
    named = (rule.id, response_id, filed.response_id)
    alerts.raise_one(tx, participant, occurrence, alerts.ANSWER, named, rule, why)


def _standing(tx: Tx, participant: Any, protocol: Protocol, filed: Filed) -> list[Alert]:
    """The alerts that stand for answers to this assessment."""
    rules = {rule.id for rule in protocol.alerts_on(filed.occurrence.assessment_id)}
    query = sa.select(Alert).where(
        Alert.study_id == participant.study_id,
        Alert.subject_id == participant.subject_id,
        Alert.kind == alerts.ANSWER,
        Alert.standing_since.is_not(None),
    )
    return [alert for alert in tx.all(query.order_by(Alert.raised_at)) if alert.why["rule"] in rules]


def _tell(tx: Tx, participant: Any, protocol: Protocol, alert: Alert, filed: Filed, *, still: bool) -> None:
    """A step of the alert, told to whom it is for. What the answer comes to now is for those who may see answers."""
    outcome = "still_reached" if still else "no_longer_reached"
    steps.write(tx, alert, "corrected", outcome=outcome, occurrence_id=filed.occurrence.id)
    alerts.tell_step(tx, participant, alert, "alert.corrected", correction=str(filed.response_id))
    rule = protocol.alert_rule(alert.why["rule"])
    alerts.tell_roles(tx, participant, alert, rule.roles, turn=f"corrected-{filed.response_id}")
