"""One message a day to the staff of each site with the number of alerts that wait there, at the hour that the study
file names. It says no more than the number, and nothing when it is zero.

The ledger is kept by participant, so a digest stands with the participant whose alert has waited longest; its id
is made from the person, the site and the day alone, so there is one of it whoever that is.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from epro.notifications import messages
from epro.notifications.models import Alert, Message
from epro.scheduling import protocols
from epro.scheduling.protocol import StaffDigest
from epro.signin import staff
from epro.signin.models import Staff
from epro.studies.models import Participant, Site, Study
from epro.tx import Tx, undoable

USEFUL_FOR = timedelta(hours=4)  # after that the day's work has begun without it
_STUDIES = sa.select(Study.id).order_by(Study.id)


def plan_due(tx: Tx, limit: int = 50) -> int:
    """Plan the digests whose hour has come, up to about `limit`; returns how many."""
    planned = 0
    for study in tx.rows(_STUDIES, {}):
        study_id: str = study.id
        for site_id, protocol in protocols.by_site(tx, study_id).items():
            rule = protocol.staff_digest
            site = tx.get(Site, study_id, site_id) if rule is not None and planned < limit else None
            if site is not None and rule is not None:
                planned += _of_site(tx, site, rule)
    return planned


def due_on(hour: int, zone: str, now: datetime) -> tuple[date, datetime] | None:
    """The site's day whose digest is due at this instant, and since when; None when none is. `hour` in minutes."""
    place = ZoneInfo(zone)
    today = now.astimezone(place).date()
    for day in (today, today - timedelta(days=1)):
        due = datetime.combine(day, time(*divmod(hour, 60)), place)
        if due <= now < due + USEFUL_FOR:
            return day, due
    return None


def _of_site(tx: Tx, site: Site, rule: StaffDigest) -> int:
    due = due_on(rule.hour, site.time_zone, tx.now)
    people = _people(tx, site, rule) if due else []
    if due is None or not people:
        return 0
    wanted = {_id(site, person, due[0]): person for person in people}
    query = sa.select(Message.id).where(Message.study_id == site.study_id, Message.id.in_(wanted))
    for known in tx.all(query):
        del wanted[known]
    return _plan(tx, site, wanted, *due) if wanted else 0


def _people(tx: Tx, site: Site, rule: StaffDigest) -> list[Staff]:
    found = [person for role in rule.roles for person in staff.holding(tx, site.study_id, site.id, role)]
    return list(dict.fromkeys(found))


def _id(site: Site, person: Staff, day: date) -> UUID:
    return messages.message_id(site.study_id, "digest", site.id, day, person.id)


def _plan(tx: Tx, site: Site, wanted: dict[UUID, Staff], day: date, due: datetime) -> int:
    """Plan these; none when no alert waits, and none now when another worker has the participant or was faster."""
    here = sa.and_(
        Alert.study_id == site.study_id, Alert.site_id == site.id, Alert.standing_since.is_not(None)
    )
    count = tx.session.scalar(sa.select(sa.func.count()).select_from(Alert).where(here)) or 0
    oldest: Alert | None = tx.one(sa.select(Alert).where(here).order_by(Alert.raised_at, Alert.id))
    participant = (
        tx.get(Participant, site.study_id, oldest.subject_id, lock=True, skip_locked=True) if oldest else None
    )
    if participant is None:
        return 0
    try:
        with undoable(tx):
            for message_id, person in wanted.items():
                _put(
                    tx, participant, message_id, person, count, due, {"site": site.id, "day": day.isoformat()}
                )
    except IntegrityError:
        tx.session.refresh(participant)
        return 0
    return len(wanted)


def _put(
    tx: Tx,
    participant: Participant,
    message_id: UUID,
    person: Staff,
    count: int,
    due: datetime,
    why: dict[str, str],
) -> None:
    messages.plan(
        tx,
        participant,
        key=(),
        wanted=message_id,
        purpose="digest",
        recipient=f"staff/{person.id}",
        template="alert.digest",
        language=person.language,
        due_at=tx.now,
        expires_at=due + USEFUL_FOR,
        rotation=due.toordinal(),
        why={**why, "count": count},
    )
