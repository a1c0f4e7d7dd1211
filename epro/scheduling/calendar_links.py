"""The link by which a participant's calendar is fetched: whoever has it sees windows of visits, and nothing else.

256 random bits, kept as a digest. There is one at a time; a new one ends the one before.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from datetime import datetime

import sqlalchemy as sa

from epro import db, keys, trail
from epro.scheduling import calendar, occurrences
from epro.scheduling.calendar import Entry
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant
from epro.tx import Tx

UID = 32  # hexadecimal digits


def make(tx: Tx, participant: Participant) -> str:
    """A new link for a participant (locked by the caller), in clear once and never again."""
    text = secrets.token_urlsafe(32)
    participant.calendar_hash = _hash(text)
    trail.record(tx, participant, "calendar.made", "participant", participant.subject_id)
    return f"{db.settings()['PUBLIC_URL']}/calendar/{text}.ics"


def revoke(tx: Tx, participant: Participant, reason: str) -> bool:
    """Her link opens nothing any more (she is locked by the caller); whether one did."""
    if participant.calendar_hash is None:
        return False
    participant.calendar_hash = None
    trail.record(tx, participant, "calendar.revoked", "participant", participant.subject_id, reason=reason)
    return True


def fetch(tx: Tx, text: str) -> bytes | None:
    """The calendar that this link opens."""
    query = sa.select(Participant).where(Participant.calendar_hash == _hash(text))
    participant = tx.one(query)
    if participant is None:
        return None
    return calendar.feed(
        _entries(tx, participant),
        app_name=db.settings()["APP_NAME"] or "epro",
        language=participant.language,
        time_zone=participant.time_zone,
    )


def _entries(tx: Tx, participant: Participant) -> list[Entry]:
    visits: dict[str, list[Occurrence]] = defaultdict(list)
    for row in occurrences.of(tx, participant):
        if row.visit_id:
            visits[row.visit_id].append(row)
    return [_entry(participant, visit, rows) for visit, rows in visits.items()]


def _entry(participant: Participant, visit: str, rows: list[Occurrence]) -> Entry:
    """The window of one visit: from the first of its windows that stand to the last."""
    standing = [row for row in rows if row.cancelled_at is None and row.excused_at is None]
    key = keys.derive(db.settings()["SECRET_KEY"] or "", "calendar")
    name = "\x00".join((participant.study_id, participant.subject_id, visit))
    return Entry(
        uid=keys.mac(key, name.encode())[:UID] + "@epro",
        opens_at=min(row.opens_at for row in standing or rows),
        closes_at=max(row.closes_at for row in standing or rows),
        sequence=max(row.change_no for row in rows),
        changed_at=max(moment for row in rows for moment in _moments(row)),
        cancelled=not standing,
    )


def _moments(row: Occurrence) -> list[datetime]:
    return [moment for moment in (row.planned_at, row.cancelled_at, row.excused_at) if moment is not None]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
