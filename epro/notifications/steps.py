"""The steps of an alert: written once, in order, and read back as its whole story. The participant is locked by
whoever writes one.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.notifications.models import Alert, AlertStep
from epro.scheduling.models import Occurrence
from epro.statements import of_ids
from epro.trail.models import Event
from epro.tx import Tx, table_of

_LAST = sa.select(sa.func.max(AlertStep.seq).label("seq")).where(
    AlertStep.study_id == sa.bindparam("study_id"),
    AlertStep.alert_id == sa.bindparam("alert_id", type_=sa.Uuid()),
)

_STEPS, _OCCURRENCES = map(table_of, (AlertStep, Occurrence))
_ALL = (
    sa.select(*_STEPS.columns)
    .where(
        _STEPS.c.study_id == sa.bindparam("study_id"),
        _STEPS.c.alert_id == sa.bindparam("alert_id", type_=sa.Uuid()),
    )
    .order_by(_STEPS.c.seq)
)
_BY_IDS = (
    sa.select(*_OCCURRENCES.columns)
    .where(of_ids(_OCCURRENCES))
    .order_by(_OCCURRENCES.c.opens_at, _OCCURRENCES.c.id)
)
_JOINED = sa.select(_STEPS.c.occurrence_id).where(of_ids(_STEPS, "occurrence_id"), _STEPS.c.kind == "joined")
_IN_NONE = _BY_IDS.with_only_columns(_OCCURRENCES.c.id).where(
    _OCCURRENCES.c.missed_at.is_not(None), _OCCURRENCES.c.id.not_in(_JOINED)
)


def write(
    tx: Tx,
    alert: Alert,
    kind: str,
    *,
    channel: str | None = None,
    outcome: str | None = None,
    note: str | None = None,
    to_staff: UUID | None = None,
    occurrence_id: UUID | None = None,
) -> AlertStep:
    """Write down one step, by the actor and at the instant of this act."""
    tx.flush()  # the alert itself may wait
    (last,) = tx.rows(_LAST, {"study_id": alert.study_id, "alert_id": alert.id})
    step = {
        "study_id": alert.study_id,
        "alert_id": alert.id,
        "seq": (last.seq or 0) + 1,
        "subject_id": alert.subject_id,
        "kind": kind,
        "at": tx.now,
        "by": str(tx.actor),
        "channel": channel,
        "outcome": outcome,
        "note": note,
        "to_staff": to_staff,
        "occurrence_id": occurrence_id,
    }
    tx.insert(AlertStep, [step])
    return AlertStep(**step)


def of(tx: Tx, alert: Alert) -> list[Any]:
    """All steps of an alert, in order: plain rows."""
    tx.flush()
    return list(tx.rows(_ALL, {"study_id": alert.study_id, "alert_id": alert.id}))


BY_ITSELF = {
    "alert.escalated": "escalated",
    "alert.escalation_ended": "escalation_ended",
    "alert.cleared": "cleared",
}
"""What happens to an alert and is nobody's step: the trail alone has it. Action there -> what it is called here."""


def by_itself(tx: Tx, alert: Alert) -> list[dict[str, Any]]:
    """What happened to an alert by itself, in order; of an escalation also which role was told."""
    query = sa.select(Event).where(
        Event.study_id == alert.study_id,
        Event.subject_id == alert.subject_id,
        Event.object_id == str(alert.id),
        Event.action.in_(BY_ITSELF),
    )
    return [
        {
            "kind": BY_ITSELF[event.action],
            "at": event.at,
            "by": event.actor,
            "to_role": json.loads(event.body)["details"].get("to"),
        }
        for event in tx.all(query.order_by(Event.seq))
    ]


def of_this_round(found: list[Any]) -> list[Any]:
    """Those since the alert was last opened again."""
    start = max((n for n, step in enumerate(found, 1) if step.kind == "reopened"), default=0)
    return found[start:]


def in_no_alert(tx: Tx, study_id: str, run: list[UUID]) -> list[UUID]:
    """Those of these that are written down as missed and have never belonged to an alert, the oldest first.

    The clockwork comes by each miss by itself: one that it has still to come by joins then.
    """
    tx.flush()
    return [row.id for row in tx.rows(_IN_NONE, {"study_id": study_id, "ids": run})]


def holding(tx: Tx, occurrence: Occurrence) -> list[Alert]:
    """The alerts that this miss belongs to and that have not cleared; at most one is meant to be."""
    return tx.all(_of_hers(occurrence).where(Alert.cleared_at.is_(None), _belongs(occurrence)))


def left_by(tx: Tx, occurrence: Occurrence) -> list[Alert]:
    """The alert that this miss was taken out of last, if it belongs to none now."""
    if tx.all(_of_hers(occurrence).where(_belongs(occurrence))):
        return []
    return tx.all(_of_hers(occurrence).where(_count(occurrence, "joined") > 0))[-1:]


def misses_of(tx: Tx, alert: Alert) -> list[Any]:
    """The misses that make up an alert now, the oldest first: plain rows."""
    last = {step.occurrence_id: step.kind for step in of(tx, alert) if step.kind in ("joined", "cleared_one")}
    ids = [occurrence_id for occurrence_id, kind in last.items() if kind == "joined"]
    return list(tx.rows(_BY_IDS, {"study_id": alert.study_id, "ids": ids}))


def _of_hers(occurrence: Occurrence) -> sa.Select[Any]:
    query = sa.select(Alert).where(
        Alert.study_id == occurrence.study_id, Alert.subject_id == occurrence.subject_id
    )
    return query.order_by(Alert.raised_at, Alert.id)


def _belongs(occurrence: Occurrence) -> sa.ColumnElement[bool]:
    """It has joined and was not taken out since: an excuse takes it out, and is taken back."""
    return _count(occurrence, "joined") > _count(occurrence, "cleared_one")


def _count(occurrence: Occurrence, kind: str) -> Any:
    return (
        sa.select(sa.func.count())
        .where(
            AlertStep.study_id == Alert.study_id,
            AlertStep.alert_id == Alert.id,
            AlertStep.occurrence_id == occurrence.id,
            AlertStep.kind == kind,
        )
        .correlate(Alert)
        .scalar_subquery()
    )
