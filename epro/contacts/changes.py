"""Changes of contact data that wait for the act that they belong to: nothing counts before that is on record.

The store has its own database, so its transaction and the act's cannot end as one. What is to be kept is put beside
what is kept, sealed, under the id of the act's entry in the trail. Once the act is over it is settled: it takes its
place if that entry is there, and goes if not. Whoever comes by may settle it; until then the old value counts.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from epro import db
from epro.contacts import data_keys, store
from epro.contacts.models import Contact
from epro.contacts.sealing import CannotOpen
from epro.contacts.store import WAITING


@dataclass(frozen=True, repr=False)
class Change:
    """What is to be kept of one person (None takes a field away), with the salts that the trail's commitments have."""

    study_id: str
    owner: str
    values: Mapping[str, str | None]
    salts: Mapping[str, str]
    commitments: Mapping[str, str]
    at: datetime


def of(study_id: str, owner: str, values: Mapping[str, str | None], now: datetime) -> Change:
    """A change, of which nothing is kept yet."""
    key = data_keys.hold(study_id, owner, now)
    salts = {field: secrets.token_hex(16) for field in values}
    told = {
        field: "erased" if value is None else store.commitment(key, salts[field], field, value)
        for field, value in sorted(values.items())
    }
    return Change(study_id, owner, values, salts, told, now)


def put(change: Change, entry: UUID) -> None:
    """Let it wait for this entry of the trail."""
    key = data_keys.hold(change.study_id, change.owner, change.at)
    with Session(db.contacts_engine()) as session, session.begin():
        for field, value in change.values.items():
            row = _row(change.study_id, change.owner, WAITING + field, change.salts[field], change.at)
            store.seal_row(row, key, json.dumps([str(entry), value]))
            session.merge(row)


def settle(study_id: str, owner: str, is_on_record: Callable[[UUID], bool]) -> bool:
    """Let what waits take its place, or go; whether anything waited. The act that it belongs to is over."""
    with Session(db.contacts_engine()) as session, session.begin():
        hers = Contact.study_id == study_id, Contact.owner == owner
        rows = list(session.scalars(sa.select(Contact).where(*hers, Contact.field.startswith(WAITING))))
        key = data_keys.find(study_id, owner) if rows else None
        for row in rows:
            with suppress(CannotOpen):  # her key was destroyed: nothing of hers counts any more
                entry, value = json.loads(store.open_row(row, key))
                if is_on_record(UUID(entry)):
                    _take_place(session, row, value, key)
            session.delete(row)
    return bool(rows)


def waiting(limit: int) -> list[tuple[str, str]]:
    """(study, owner) of those of whom something waits."""
    query = sa.select(Contact.study_id, Contact.owner).where(Contact.field.startswith(WAITING)).distinct()
    with Session(db.reading(db.contacts_engine())) as session:
        return [(study_id, owner) for study_id, owner in session.execute(query.limit(limit))]


def _take_place(session: Session, row: Contact, value: str | None, key: data_keys.Opened | None) -> None:
    field = row.field.removeprefix(WAITING)
    if value is None or key is None:
        session.execute(
            sa.delete(Contact).filter_by(study_id=row.study_id, owner=row.owner, field=field),
            execution_options={"synchronize_session": False},
        )
        return
    made = _row(row.study_id, row.owner, field, row.salt, row.kept_at)
    store.seal_row(made, key, value)
    session.merge(made)


def _row(study_id: str, owner: str, field: str, salt: str, at: datetime) -> Contact:
    return Contact(study_id=study_id, owner=owner, field=field, salt=salt, kept_at=at)
