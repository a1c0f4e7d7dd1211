"""The one account that still signs in here when everybody else comes by the identity provider."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from epro import db, trail
from epro.signin import letters, tries, watch
from epro.signin.models import Staff, StaffGrant
from epro.tx import Tx


def is_sealed() -> bool:
    """Whether everybody comes by the identity provider, but for one account that is kept for when it is away."""
    return db.settings()["LOCAL_SIGNIN"] != "on"


def comes_here(staff: Staff) -> bool:
    """Whether this account may sign in here, by password or passkey."""
    return not is_sealed() or staff.email_lookup == tries.account_of(db.settings()["LOCAL_SIGNIN"] or "")


def note_use(tx: Tx, staff_id: UUID) -> None:
    """The account that is kept for emergencies was used: on record, counted, and told to every administrator."""
    watch.record(tx, trail.study_chain(tx), "staff.break_glass", "staff", staff_id)
    holds = sa.select(StaffGrant.staff_id).where(
        StaffGrant.role == "administrator", StaffGrant.revoked_at.is_(None)
    )
    for person in tx.all(sa.select(Staff.id).where(Staff.id.in_(holds), Staff.closed_at.is_(None))):
        letters.post(tx, person, "break_glass_used")
