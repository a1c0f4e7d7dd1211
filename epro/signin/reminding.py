"""Telling administrators by e-mail that a machine key is about to end: thirty days before, and seven."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from epro.signin import key_ends, letters, staff
from epro.signin.models import MachineKey, Staff
from epro.trail import INSTALLATION
from epro.tx import Tx

KIND = "key_runs_out"


def remind_due(tx: Tx) -> int:
    """Write the letters that are due, each once; how many."""
    return sum(_remind(tx, row) for row in near_end(tx))


def near_end(tx: Tx, study_id: str | None = None) -> list[MachineKey]:
    """The keys that still open and soon will not, of one study or of all, those that end first at the head."""
    query = sa.select(MachineKey).where(
        MachineKey.revoked_at.is_(None),
        MachineKey.expires_at > tx.now,
        MachineKey.expires_at <= tx.now + timedelta(days=max(key_ends.TOLD_BEFORE)),
    )
    if study_id is not None:
        query = query.where(MachineKey.study_id == study_id)
    return tx.all(query.order_by(MachineKey.expires_at, MachineKey.id))


def administrators(tx: Tx, study_id: str) -> list[Staff]:
    """Who looks after the keys of a study: its administrators, and those of the installation."""
    found = [
        *staff.holding(tx, study_id, "*", "administrator"),
        *staff.holding(tx, INSTALLATION, "*", "administrator"),
    ]
    return list(dict.fromkeys(found))


def _remind(tx: Tx, found: MachineKey) -> int:
    row = tx.get(MachineKey, found.id, lock=True)
    assert row is not None
    days = key_ends.to_be_told(row.made_at, row.expires_at, row.reminded, tx.now)
    if days is None:
        return 0
    row.reminded, people = days, administrators(tx, row.study_id)
    for person in people:
        letters.post(tx, person.id, KIND, str(row.id), life=row.expires_at - tx.now)
    return len(people)
