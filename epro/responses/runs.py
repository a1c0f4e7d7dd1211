"""Which scores of a response count: of each scale the last run, by the definition of the last scoring.

A scale that this definition does not have any more keeps its rows for ever. It is no score of the definition, and is
told only where every run is told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from epro.responses.models import Response, Score
from epro.tx import Tx

SCORED = sa.and_(Response.study_id == Score.study_id, Response.id == Score.response_id)
"""A score and its response."""


def of_the_last_scoring(until: datetime | None = None) -> sa.ColumnElement[bool]:
    """That a score, joined with its response, is by the definition of the response's last scoring (by then)."""
    last, newer = aliased(Score), aliased(Score)
    by, its_own = Response.instrument_version, sa.func.coalesce
    overtaken = sa.exists().where(
        newer.study_id == last.study_id,
        newer.response_id == last.response_id,
        newer.scored_at > last.scored_at,
        *([newer.scored_at <= until] if until else []),
    )
    another = sa.exists().where(
        last.study_id == Score.study_id,
        last.response_id == Score.response_id,
        last.scored_at > Score.scored_at,
        its_own(last.definition_version, by) != its_own(Score.definition_version, by),
        ~overtaken,
        *([last.scored_at <= until] if until else []),
    )
    return ~another


def scores_of(tx: Tx, study_id: str, response_ids: list[UUID], until: datetime | None = None) -> list[Score]:
    """The scores of these responses that count, or counted by then."""
    query = _of(study_id, response_ids, until).join(Response, SCORED).where(of_the_last_scoring(until))
    return _last(tx, query)


def every_scale_of(
    tx: Tx, study_id: str, response_ids: list[UUID], until: datetime | None = None
) -> list[Score]:
    """The last run of every scale that these responses ever had, or had by then."""
    return _last(tx, _of(study_id, response_ids, until))


def _of(study_id: str, response_ids: list[UUID], until: datetime | None) -> sa.Select[Any]:
    query = sa.select(Score).where(Score.study_id == study_id, Score.response_id.in_(response_ids))
    return query if until is None else query.where(Score.scored_at <= until)


def _last(tx: Tx, query: sa.Select[Any]) -> list[Score]:
    rows = tx.all(query.order_by(Score.response_id, Score.scale, Score.run))
    return list({(row.response_id, row.scale): row for row in rows}.values())
