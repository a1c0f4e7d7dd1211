"""Letters to somebody of the staff about her own account. They are written here, and sent by a worker."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from epro import db, keys
from epro.contacts import sealing
from epro.signin.models import StaffLetter
from epro.tx import Tx

KINDS = ("invitation", "recovery", "changed", "recovery_code_used")
NEWS_FOR = timedelta(days=2)  # how long a letter without link is worth sending


def post(tx: Tx, staff_id: UUID, kind: str, secret: str | None = None, life: timedelta = NEWS_FOR) -> None:
    """Write a letter of this kind; `secret` is what its link carries, for as long as it lives."""
    row = StaffLetter(id=uuid4(), staff_id=staff_id, kind=kind, made_at=tx.now, tries=0)
    row.expires_at, row.next_try_at = tx.now + life, tx.now
    row.sealed = sealing.seal(_key(), "0", _place(row.id), secret) if secret else None
    tx.add(row)


def secret_of(letter: StaffLetter) -> str | None:
    return sealing.unseal(_key(), "0", _place(letter.id), letter.sealed) if letter.sealed else None


def _place(letter_id: UUID) -> str:
    return f"staff_letters/{letter_id}"


def _key() -> bytes:
    return keys.derive(db.settings()["SECRET_KEY"] or "", "letters to staff")
