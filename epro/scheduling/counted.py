"""The compliance of a large study, counted every now and then and kept by site, so that no page counts millions.

What is kept is a copy of what counting gives, no older than `GOOD_FOR`; without one a look counts by itself.
"""

from __future__ import annotations

import json
import logging
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from epro import db
from epro.errors import places
from epro.scheduling import compliance
from epro.scheduling.compliance import Count
from epro.scheduling.models import ComplianceCount
from epro.studies import access
from epro.studies.models import Participant, Site
from epro.tx import AWAY, Tx, begin, look, system

log = logging.getLogger(__name__)

COUNTER = system("counter")
LARGE = 2_000  # participants; a smaller study is counted at each look
EVERY, GOOD_FOR = timedelta(minutes=10), timedelta(minutes=30)
BEGINNING = date(1970, 1, 1)


def told(
    tx: Tx, study_id: str, first: date, *, site_id: str | None = None, assessment_id: str | None = None
) -> tuple[list[Count], datetime | None]:
    """The counts of the actor's sites, of weeks from this Monday on; and when they were counted, if not just now."""
    rows = _kept(tx, study_id, site_id)
    if not rows:
        found = compliance.counts(tx, study_id, first, site_id=site_id, assessment_id=assessment_id)
        return found, None
    every = [one for row in rows for one in _read(row)]
    wanted = [one for one in every if one.week >= first and assessment_id in (None, one.assessment_id)]
    return wanted, min(row.counted_at for row in rows)


def keep_due(now: datetime | None = None) -> int:
    """Count large studies again whose counts are old; how many that were. One that fails stops no other."""
    with look(COUNTER, now) as tx:
        due = _due(tx)
    return sum(_keep_or_put_off(study_id, now) for study_id in due)


def _due(tx: Tx) -> list[str]:
    fresh = sa.select(ComplianceCount.study_id).where(ComplianceCount.counted_at > tx.now - EVERY)
    query = sa.select(Participant.study_id).where(Participant.study_id.not_in(fresh))
    return tx.all(query.group_by(Participant.study_id).having(sa.func.count() >= LARGE))


def _keep_or_put_off(study_id: str, now: datetime | None) -> bool:
    """Whether it was counted. A database that is away is no fault of the study, and is raised."""
    try:
        _keep(study_id, now)
    except AWAY:
        raise
    except Exception as fault:
        told = {"action": "count.put_off", "study_id": study_id}
        log.error("count put off: %s at %s", type(fault).__name__, places(fault), extra=told)
        return False
    return True


def _keep(study_id: str, now: datetime | None) -> None:
    """Count while nobody waits, then write; of two workers the later look stays."""
    with look(COUNTER, now) as tx:
        counted_at, found = tx.now, compliance.counts(tx, study_id, BEGINNING)
        sites = tx.all(sa.select(Site.id).where(Site.study_id == study_id))
    told = {site: [_told(one) for one in found if one.site_id == site] for site in sites}
    with begin(COUNTER, now) as tx:
        for site, counts in told.items():
            row = {"counted_at": counted_at, "body": json.dumps(counts)}
            statement = db.insert_missing(tx.session, ComplianceCount).values(
                study_id=study_id, site_id=site, **row
            )
            older = ComplianceCount.counted_at < counted_at
            tx.session.execute(
                statement.on_conflict_do_update(index_elements=["study_id", "site_id"], set_=row, where=older)
            )


def _kept(tx: Tx, study_id: str, site_id: str | None) -> list[ComplianceCount]:
    query = sa.select(ComplianceCount).where(
        ComplianceCount.study_id == study_id,
        ComplianceCount.counted_at > tx.now - GOOD_FOR,
        access.at_sites(tx.actor, "participant.read", ComplianceCount),
    )
    if site_id:
        query = query.where(ComplianceCount.site_id == site_id)
    return tx.all(query.order_by(ComplianceCount.site_id))


def _told(one: Count) -> tuple[str, str, int, int, int]:
    return one.week.isoformat(), one.assessment_id, one.due, one.answered, one.missed


def _read(row: ComplianceCount) -> list[Count]:
    return [Count(row.site_id, date.fromisoformat(week), *rest) for week, *rest in json.loads(row.body)]
