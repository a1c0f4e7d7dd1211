"""Letters to somebody of the staff about her own account. They are written here, and sent by a worker."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID, uuid4, uuid5

from epro import db, keys
from epro.contacts import sealing
from epro.signin.models import StaffLetter
from epro.tx import Tx

KINDS = (
    "invitation",
    "recovery",
    "changed",
    "recovery_code_used",
    "checkpoint",
    "key_runs_out",
    "break_glass_used",
    "unusual_reading",
)
_DAILY = UUID("6f1d52a7-3a0e-4c0c-9c55-8e1b7b6d2f10")
NEWS_FOR = timedelta(days=2)  # how long a letter without link is worth sending


def post(tx: Tx, staff_id: UUID, kind: str, secret: str | None = None, life: timedelta = NEWS_FOR) -> None:
    """Write a letter of this kind; for as long as it lives. `secret` is what its link carries, or what it tells of."""
    row = StaffLetter(id=uuid4(), staff_id=staff_id, kind=kind, made_at=tx.now, tries=0)
    row.expires_at, row.next_try_at = tx.now + life, tx.now
    row.sealed = sealing.seal(_key(), "0", _place(row.id), secret) if secret else None
    tx.add(row)


def post_daily(tx: Tx, staff_id: UUID, kind: str, day: date) -> bool:
    """Write a letter of this kind for this day, once, whoever else is doing so; whether it is new."""
    values = {
        "id": uuid5(_DAILY, f"{staff_id}/{kind}/{day}"),
        "staff_id": staff_id,
        "kind": kind,
        "made_at": tx.now,
        "expires_at": tx.now + NEWS_FOR,
        "next_try_at": tx.now,
        "tries": 0,
    }
    statement = db.insert_missing(tx.session, StaffLetter).values(**values).on_conflict_do_nothing()
    return bool(tx.session.execute(statement).rowcount)  # type: ignore[attr-defined]


def secret_of(letter: StaffLetter) -> str | None:
    return sealing.unseal(_key(), "0", _place(letter.id), letter.sealed) if letter.sealed else None


def _place(letter_id: UUID) -> str:
    return f"staff_letters/{letter_id}"


def _key() -> bytes:
    return keys.derive(db.settings()["SECRET_KEY"] or "", "letters to staff")
