"""Messages to the data managers of a study whose trial database is not as the feed has it: how many rows, no more;
or that it stands at no place of the feed, and nothing is written to it. And to the same people that any other sink was
paused, by what it answered and not by a person.

The ledger is kept by participant, so it stands with the first one of the study; it says nothing about her.
"""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

import sqlalchemy as sa

from epro import trail
from epro.notifications import messages, rules
from epro.signin import staff
from epro.signin.models import Staff
from epro.studies.models import Participant, Site
from epro.tx import Tx

ROLE = "data_manager"


def tell(tx: Tx, study_id: str, day: date, count: int) -> int:
    """Plan a message to each of them, once for this day; returns how many there are now. Nobody's row may be locked
    after this one's: the participant comes first.
    """
    return _to_each(tx, study_id, day, f"difference/{day}", "alert.difference", {"count": count})


def warn(tx: Tx, study_id: str, day: date) -> int:
    """The same, of a trial database that is astray."""
    return _to_each(tx, study_id, day, f"astray/{day}", "alert.astray", {})


def paused(tx: Tx, study_id: str, sink: str) -> int:
    """The same, of another sink that is paused in this act."""
    what = f"paused {sink} {trail.instant(tx.now)}"
    return _to_each(tx, study_id, tx.now.astimezone(UTC).date(), what, "alert.astray", {"sink": sink})


def _to_each(tx: Tx, study_id: str, day: date, what: str, template: str, why: dict[str, Any]) -> int:
    first = tx.one(sa.select(sa.func.min(Participant.subject_id)).where(Participant.study_id == study_id))
    participant = tx.get(Participant, study_id, first, lock=True) if first else None
    if participant is None:
        return 0
    return sum(
        messages.plan(
            tx,
            participant,
            key=(),
            wanted=messages.message_id(study_id, what, person.id),
            purpose="difference",
            recipient=f"staff/{person.id}",
            template=template,
            language=person.language,
            due_at=tx.now,
            expires_at=tx.now + rules.ALERT_USEFUL_FOR,
            rotation=day.toordinal(),
            why={"role": ROLE, "day": day.isoformat(), **why},
        )
        for person in _people(tx, study_id)
    )


def _people(tx: Tx, study_id: str) -> list[Staff]:
    sites = tx.all(sa.select(Site.id).where(Site.study_id == study_id).order_by(Site.id))
    found = [person for site in sites for person in staff.holding(tx, study_id, site, ROLE)]
    return list(dict.fromkeys(found))
