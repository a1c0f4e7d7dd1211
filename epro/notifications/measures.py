"""How long alerts take, site by site: from the miss or the answer to the alert, from there until somebody has it in
hand, and until it is settled; and how many windows at risk were saved.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from epro.notifications.alerts import ANSWER
from epro.notifications.models import Alert
from epro.responses.models import Response
from epro.scheduling.models import Occurrence
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx

TIMES = ("to_alert", "to_acknowledgement", "to_resolution")
COUNTS = ("raised", "standing", "acknowledged", "resolved", "cleared")
RISKS = ("at_risk", "recovered_before_closing", "received_later")
Json = dict[str, Any]


def of_sites(
    tx: Tx, since: datetime, *, study_id: str | None = None, site_id: str | None = None
) -> list[Json]:
    """One entry for each site that the actor sees with an alert raised, or a window at risk, since then."""
    found: dict[tuple[str, str], Json] = defaultdict(_nothing)
    for row in tx.session.execute(
        _asked(_alerts(tx, since), Alert.study_id, Alert.site_id, study_id, site_id)
    ):
        _count(found[row.study_id, row.site_id], row)
    risks = _asked(_risks(tx, since), Occurrence.study_id, Participant.site_id, study_id, site_id)
    for row in tx.session.execute(risks):
        found[row.study_id, row.site_id] |= {name: getattr(row, name) or 0 for name in RISKS}
    return [{"study": key[0], "site": key[1], **_summed(found[key])} for key in sorted(found)]


def spread(times: Sequence[timedelta]) -> Json:
    """How many there are; their median, their 95th percentile (the nearest rank) and the worst, in seconds."""
    seconds = sorted(max(one.total_seconds(), 0.0) for one in times)
    if not seconds:
        return {"count": 0, "median": None, "p95": None, "worst": None}
    return {
        "count": len(seconds),
        "median": statistics.median(seconds),
        "p95": seconds[math.ceil(0.95 * len(seconds)) - 1],
        "worst": seconds[-1],
    }


def _nothing() -> Json:
    return {**{name: [] for name in TIMES}, **dict.fromkeys((*COUNTS, *RISKS), 0)}


def _count(site: Json, row: Any) -> None:
    site["raised"] += 1
    site["standing"] += row.standing_since is not None
    site["cleared"] += row.cleared_at is not None
    if row.began_at is not None:
        site["to_alert"].append(row.raised_at - row.began_at)
    if row.acknowledged_at is not None:
        site["acknowledged"] += 1
        site["to_acknowledgement"].append(row.acknowledged_at - row.raised_at)
    if row.resolved_at is not None:
        site["resolved"] += 1
        site["to_resolution"].append(row.resolved_at - row.raised_at)


def _summed(site: Json) -> Json:
    return {name: spread(told) if name in TIMES else told for name, told in site.items()}


def _alerts(tx: Tx, since: datetime) -> sa.Select[Any]:
    """A miss begins when window and sync grace are over, an answer when it came."""
    answered = (
        sa.select(sa.func.max(Response.received_at))
        .where(
            Response.study_id == Alert.study_id,
            Response.subject_id == Alert.subject_id,
            Response.occurrence_id == Alert.occurrence_id,
            Response.received_at <= Alert.raised_at,
        )
        .scalar_subquery()
    )
    began = sa.case((Alert.kind == ANSWER, answered), else_=Occurrence.grace_until)
    own = sa.and_(Occurrence.study_id == Alert.study_id, Occurrence.id == Alert.occurrence_id)
    facts = (
        Alert.raised_at,
        Alert.standing_since,
        Alert.acknowledged_at,
        Alert.resolved_at,
        Alert.cleared_at,
    )
    return (
        sa.select(Alert.study_id, Alert.site_id, *facts, began.label("began_at"))
        .join(Occurrence, own)
        .where(access.visible(tx.actor, "alert.read", Alert), Alert.raised_at >= since)
    )


def _risks(tx: Tx, since: datetime) -> sa.Select[Any]:
    """Of the windows that were at risk: whose answer came before the closing, and whose later (given in time)."""

    def number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    own = sa.and_(
        Participant.study_id == Occurrence.study_id, Participant.subject_id == Occurrence.subject_id
    )
    counted: list[Any] = [
        sa.func.count().label("at_risk"),
        number(Occurrence.fulfilled_at < Occurrence.closes_at).label("recovered_before_closing"),
        number(Occurrence.fulfilled_at >= Occurrence.closes_at).label("received_later"),
    ]
    return (
        sa.select(Occurrence.study_id, Participant.site_id, *counted)
        .join(Participant, own)
        .where(access.visible(tx.actor, "alert.read"), Occurrence.at_risk_at >= since)
        .group_by(Occurrence.study_id, Participant.site_id)
    )


def _asked(
    query: sa.Select[Any], study: Any, site: Any, study_id: str | None, site_id: str | None
) -> sa.Select[Any]:
    if study_id:
        query = query.where(study == study_id)
    return query.where(site == site_id) if site_id else query
