"""How much of what was due came, by site, week and assessment: counted in the database, in one question."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from epro.scheduling.models import Occurrence
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx

IS_DUE = sa.or_(
    Occurrence.fulfilled_at.is_not(None),
    sa.and_(Occurrence.cancelled_at.is_(None), Occurrence.excused_at.is_(None)),
)
"""What counts: neither called off nor excused, or answered all the same."""


@dataclass(frozen=True)
class Count:
    """What was due by now in one week, at one site, of one assessment; the rest of it may still come."""

    site_id: str
    week: date
    assessment_id: str
    due: int
    answered: int
    missed: int


@dataclass(frozen=True)
class Sum:
    """The same, added up."""

    due: int = 0
    answered: int = 0
    missed: int = 0

    @property
    def share(self) -> float | None:
        return self.answered / self.due if self.due else None

    def plus(self, one: Count | Sum) -> Sum:
        return Sum(self.due + one.due, self.answered + one.answered, self.missed + one.missed)


def counts(
    tx: Tx, study_id: str, first: date, *, site_id: str | None = None, assessment_id: str | None = None
) -> list[Count]:
    """The counts of the actor's sites, of days from this one on."""
    answered, missed = Occurrence.fulfilled_at.is_not(None), Occurrence.missed_at.is_not(None)
    query = (
        sa.select(
            Participant.site_id,
            Occurrence.local_day,
            Occurrence.assessment_id,
            sa.func.count(),
            sa.func.sum(sa.case((answered, 1), else_=0)),
            sa.func.sum(sa.case((sa.and_(missed, sa.not_(answered)), 1), else_=0)),
        )
        .join(
            Participant,
            sa.and_(
                Participant.study_id == Occurrence.study_id, Participant.subject_id == Occurrence.subject_id
            ),
        )
        .where(
            Occurrence.study_id == study_id,
            Occurrence.local_day >= first,
            Occurrence.closes_at <= tx.now,
            access.visible(tx.actor, "participant.read"),
            IS_DUE,
        )
        .group_by(Participant.site_id, Occurrence.local_day, Occurrence.assessment_id)
    )
    if site_id:
        query = query.where(Participant.site_id == site_id)
    if assessment_id:
        query = query.where(Occurrence.assessment_id == assessment_id)
    weeks: dict[tuple[str, date, str], Sum] = {}
    for site, day, assessment, *rest in tx.session.execute(query):
        key = site, monday_before(day, 0), assessment
        weeks[key] = weeks.get(key, Sum()).plus(Sum(*rest))
    return [Count(*key, one.due, one.answered, one.missed) for key, one in sorted(weeks.items())]


def added(found: Sequence[Count], by: Callable[[Count], Hashable]) -> dict[Any, Sum]:
    """The counts added up by what they have in common, in its order."""
    sums: dict[Any, Sum] = {}
    for one in found:
        sums[by(one)] = sums.get(by(one), Sum()).plus(one)
    return dict(sorted(sums.items()))


def monday_before(day: date, weeks: int) -> date:
    """The Monday so many weeks before that of a day's own week."""
    return day - timedelta(days=day.weekday(), weeks=weeks)
