"""The days that answers give to anchors, read off what is on record now; after a correction or another scoring the
anchors follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro.responses import receiving, runs
from epro.responses.models import Response
from epro.scheduling import anchors, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Anchor
from epro.studies.models import Participant
from epro.tx import Tx


def follow(tx: Tx, participant: Any, assessments: Iterable[str]) -> None:
    """Bring the anchors that answers of these assessments set to what is on record now (participant plain, locked)."""
    for asked in assessments:
        anchors.follow_record(tx, participant, asked, days(tx, participant, asked))


def follow_scores(tx: Tx, study_id: str, subject_id: str, response_ids: Iterable[UUID]) -> None:
    """The same, after these responses of hers were scored again in this act."""
    participant = tx.plain(Participant, study_id, subject_id, lock=True)
    query = sa.select(Response.assessment_id).where(
        Response.study_id == study_id, Response.id.in_(list(response_ids))
    )
    follow(tx, participant, sorted(set(tx.all(query))))


def days(tx: Tx, participant: Any, asked: str) -> dict[str, date | None]:
    """Of each anchor that answers of this assessment set, the day of the first that comes to it; None if none does."""
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    hanging = [anchor for anchor in protocol.anchors if anchor.first_answer_of == asked]
    if not hanging:
        return {}
    tx.session.flush()
    given = list(_given(tx, participant, asked))
    return {anchor.id: _first(anchor, given) for anchor in hanging}


Given = tuple[date, dict[str, Any], dict[str, float | None]]
"""The day of an answer, its answers and its scores, as they stand."""


def _first(anchor: Anchor, given: Iterable[Given]) -> date | None:
    reached = (
        day for day, answers, values in given if not anchor.when or anchor.when.reached(answers, values)
    )
    return min(reached, default=None)


def _given(tx: Tx, participant: Any, asked: str) -> Iterator[Given]:
    query = sa.select(Response).where(
        Response.study_id == participant.study_id,
        Response.subject_id == participant.subject_id,
        Response.assessment_id == asked,
    )
    chains: dict[UUID, Response] = {}
    for row in tx.all(query.order_by(sa.nulls_first(Response.amendment_no))):
        chains[row.amends_id or row.id] = row
    values: dict[UUID, dict[str, float | None]] = {}
    for score in runs.scores_of(tx, participant.study_id, [row.id for row in chains.values()]):
        values.setdefault(score.response_id, {})[score.scale] = score.value
    zones = _zones(tx, participant, [row.occurrence_id for row in chains.values()])
    for row in chains.values():
        day = row.corrected_at.astimezone(zones[row.occurrence_id]).date()
        yield day, receiving.answers_of(row), values.get(row.id, {})


def _zones(tx: Tx, participant: Any, occurrence_ids: list[UUID]) -> dict[UUID, ZoneInfo]:
    query = sa.select(Occurrence.id, Occurrence.time_zone).where(
        Occurrence.study_id == participant.study_id, Occurrence.id.in_(occurrence_ids)
    )
    return {row.id: ZoneInfo(row.time_zone) for row in tx.session.execute(query)}
