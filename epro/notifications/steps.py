"""The steps of an alert: written once, in order, and read back as its whole story. The participant is locked by
whoever writes one.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.notifications.models import Alert, AlertStep
from epro.scheduling.models import Occurrence
from epro.statements import of_ids
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
    query = sa.select(Alert).where(
        Alert.study_id == occurrence.study_id,
        Alert.subject_id == occurrence.subject_id,
        Alert.cleared_at.is_(None),
        Alert.id.in_(_with_step(occurrence, "joined")),
        Alert.id.not_in(_with_step(occurrence, "cleared_one")),
    )
    return tx.all(query.order_by(Alert.raised_at))


def misses_of(tx: Tx, alert: Alert) -> list[Any]:
    """The misses that make up an alert now, the oldest first: plain rows."""
    found = of(tx, alert)
    gone = {step.occurrence_id for step in found if step.kind == "cleared_one"}
    ids = [step.occurrence_id for step in found if step.kind == "joined" and step.occurrence_id not in gone]
    return list(tx.rows(_BY_IDS, {"study_id": alert.study_id, "ids": ids}))


def _with_step(occurrence: Occurrence, kind: str) -> sa.Select[Any]:
    return sa.select(AlertStep.alert_id).where(
        AlertStep.study_id == occurrence.study_id,
        AlertStep.occurrence_id == occurrence.id,
        AlertStep.kind == kind,
    )
