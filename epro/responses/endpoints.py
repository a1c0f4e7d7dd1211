"""What a study reads off its scores, of answers and of weeks of a diary: change from baseline, who responded. Told,
not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.responses import runs, weeks
from epro.responses.models import Response, Score, WeekScore
from epro.scheduling import anchors
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Baseline, Endpoint
from epro.tx import Tx


@dataclass(frozen=True)
class Point:
    """One score of one answer that counts, with the day and visit it belongs to; or of one `week` of a diary, which
    belongs to its last day and has the week's own id for both ids.
    """

    response_id: UUID
    occurrence_id: UUID
    visit: str | None
    local_day: date
    study_day: int
    value: float | None
    reason: str | None
    blinded: bool
    week: int | None = None


@dataclass(frozen=True)
class Change:
    """A point with its change from baseline; `responder` is None where it cannot be told or is not asked."""

    point: Point
    baseline: Point | None
    change: float | None
    responder: bool | None


def points(tx: Tx, participant: Any, assessment: str, scale: str) -> list[Point]:
    """The scores of one scale in the order of their days: of several runs the latest, of rivals the one that counts."""
    asked = {
        "study_id": participant.study_id,
        "subject_id": participant.subject_id,
        "assessment_id": assessment,
        "scale": scale,
    }
    tx.flush()
    latest = {row.id: row for row in tx.rows(_SCORED, asked)}  # a later run takes the place of an earlier
    found = [
        Point(
            row.id,
            row.occurrence_id,
            row.visit_id,
            row.local_day,
            row.study_day,
            row.value,
            row.reason,
            row.blinded,
        )
        for row in _counting(latest.values())
    ]
    found += [
        _of_week(one.scores[scale])
        for one in weeks.standing(tx, participant.study_id, [participant.subject_id], assessment)
        if scale in one.scores
    ]
    return sorted(found, key=lambda point: (point.local_day, str(point.response_id)))


def baseline_of(tx: Tx, participant: Any, baseline: Baseline, found: Sequence[Point]) -> Point | None:
    """Of these points the one that changes count from, or None where there is none (yet)."""
    if baseline.visit is not None:
        return next((point for point in found if point.visit == baseline.visit), None)
    day = anchors.known(tx, participant).get(baseline.last_before or "")
    before = [point for point in found if day and point.local_day <= day and point.value is not None]
    return before[-1] if before else None


def changes(tx: Tx, participant: Any, endpoint: Endpoint) -> list[Change]:
    """Each point of an endpoint with its change from baseline; none for the baseline itself and what was before."""
    found = points(tx, participant, endpoint.assessment, endpoint.scale)
    baseline = baseline_of(tx, participant, endpoint.baseline, found)
    return [_change(endpoint, point, baseline) for point in found]


def _of_week(row: WeekScore) -> Point:
    last = row.first_study_day + (row.last_day - row.first_day).days
    told = (row.id, row.id, None, row.last_day, last, row.value, row.reason, row.blinded)
    return Point(*told, week=row.week)


def _change(endpoint: Endpoint, point: Point, baseline: Point | None) -> Change:
    if baseline is None or point.local_day <= baseline.local_day:
        return Change(point, baseline, None, None)
    if point.value is None or baseline.value is None:
        return Change(point, baseline, None, None)
    responder = endpoint.responder.reached(point.value, baseline.value) if endpoint.responder else None
    return Change(point, baseline, point.value - baseline.value, responder)


_ASKED = sa.and_(Occurrence.study_id == Response.study_id, Occurrence.id == Response.occurrence_id)
# The scores of one scale with their responses and occurrences, the earliest completed first.
_SCORED = (
    sa.select(
        Response.id,
        Response.occurrence_id,
        Response.amends_id,
        Response.amendment_no,
        Occurrence.visit_id,
        Occurrence.local_day,
        Occurrence.study_day,
        Score.value,
        Score.reason,
        Score.blinded,
    )
    .join(Occurrence, _ASKED)
    .join(Score, runs.SCORED)
    .where(
        Response.study_id == sa.bindparam("study_id"),
        Response.subject_id == sa.bindparam("subject_id"),
        Response.assessment_id == sa.bindparam("assessment_id"),
        Score.scale == sa.bindparam("scale"),
        runs.of_the_last_scoring(),
    )
    .order_by(Response.corrected_at, Response.id, Score.run)
)


def _counting(rows: Iterable[Any]) -> list[Any]:
    """Of rivals for one occurrence the first in this order, with the answers of its latest correction: the one that
    counts (see receiving.primary).
    """
    counting: dict[UUID, Any] = {}
    latest: dict[UUID, Any] = {}
    for row in rows:
        if row.amends_id is None:
            counting.setdefault(row.occurrence_id, row)
        elif row.amends_id not in latest or row.amendment_no > latest[row.amends_id].amendment_no:
            latest[row.amends_id] = row
    return [latest.get(row.id, row) for row in counting.values()]
