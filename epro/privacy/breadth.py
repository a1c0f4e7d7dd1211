"""Somebody has looked at the data of many more participants than her work asks for: told once, for each day.

Counted are participants whose pages, answers, alerts or contact data an account of the staff opened on one day (UTC),
in one study; what is read as a whole (exports, feed, datasets) has locks and entries of its own. Which number is too
many is a setting. The entry and the letters say who and how many, and of nobody whose data they were.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro import canonical, db, trail
from epro.privacy.models import Reading
from epro.signin import letters, reminding
from epro.studies.models import Study
from epro.trail.models import Event
from epro.tx import Tx

UNUSUAL = "readings.unusual"
KIND = "unusual_reading"
DAY = timedelta(days=1)
STAFF = "staff:"


def warn_due(tx: Tx) -> int:
    """Tell of whoever has looked at too many, today or shortly before midnight; how many that were."""
    most = int(db.settings()["READING_ALARM"] or 0)
    if not most:
        return 0
    today = tx.now.astimezone(UTC).date()
    return sum(
        _warn(tx, study_id, reader, count, day, most)
        for study_id in tx.all(sa.select(Study.id).order_by(Study.id))
        for day in (today - DAY, today)
        for reader, count in wide(tx, study_id, day, most)
    )


def wide(tx: Tx, study_id: str, day: date, most: int) -> list[tuple[str, int]]:
    """(reader, how many participants) of the people who looked at more than `most` in a study on this day."""
    since = datetime.combine(day, time(), UTC)
    count = sa.func.count(Reading.subject_id.distinct())
    query = (
        sa.select(Reading.reader, count)
        .where(Reading.study_id == study_id, Reading.at >= since, Reading.at < since + DAY)
        .where(Reading.subject_id.is_not(None), Reading.reader.startswith(STAFF))
        .group_by(Reading.reader)
        .having(count > most)
    )
    return [(row[0], row[1]) for row in tx.session.execute(query.order_by(Reading.reader))]


def _warn(tx: Tx, study_id: str, reader: str, count: int, day: date, most: int) -> bool:
    """Once, whoever else is doing so: with the study's chain locked. Whom it is about gets no letter herself."""
    account = reader.removeprefix(STAFF)
    if _is_told(tx, study_id, account, day):
        return False
    head = trail.study_chain(tx, study_id)
    if _is_told(tx, study_id, account, day):
        return False
    told: dict[str, Any] = {"day": day.isoformat(), "count": count, "most": most}
    trail.record(tx, head, UNUSUAL, "staff", account, **told)
    for person in reminding.administrators(tx, study_id):
        if person.id != UUID(account):
            letters.post(tx, person.id, KIND, f"{account} {day} {count}")
    return True


def _is_told(tx: Tx, study_id: str, account: str, day: date) -> bool:
    since = datetime.combine(day, time(), UTC)
    query = sa.select(Event.body).where(
        Event.study_id == study_id,
        Event.action == UNUSUAL,
        Event.at >= since,
        Event.object_id == account,
    )
    days = [canonical.decode(body.encode())["details"]["day"] for body in tx.all(query)]
    return day.isoformat() in days
