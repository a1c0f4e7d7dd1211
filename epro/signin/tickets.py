"""Tickets: a secret of 256 bits that opens one thing, once, for a while. Only its digest is kept."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.signin.models import Ticket
from epro.tx import Tx


def make(
    tx: Tx, purpose: str, life: timedelta, staff_id: UUID | None = None, content: dict[str, Any] | None = None
) -> str:
    """A new ticket; its secret is given out here and nowhere else. What has run out is cleared away."""
    tx.session.execute(sa.delete(Ticket).where(Ticket.expires_at <= tx.now))
    secret = secrets.token_urlsafe(32)
    row = Ticket(digest=_digest(purpose, secret), purpose=purpose, staff_id=staff_id, content=content)
    row.made_at, row.expires_at = tx.now, tx.now + life
    tx.add(row)
    return secret


def find(tx: Tx, purpose: str, secret: str) -> Ticket | None:
    """The ticket, if it still opens something; it goes on doing so."""
    row = tx.get(Ticket, _digest(purpose, secret))
    return row if row is not None and row.expires_at > tx.now else None


def take(tx: Tx, purpose: str, secret: str) -> Ticket | None:
    """The ticket, and its end: of many who come with it at once, one gets it."""
    row = find(tx, purpose, secret)
    if row is None:
        return None
    gone = sa.delete(Ticket).where(Ticket.digest == row.digest).returning(Ticket.digest)
    taken = tx.session.execute(gone.execution_options(synchronize_session=False)).first()
    tx.session.expunge(row)
    return row if taken else None


def end(tx: Tx, staff_id: UUID, *purposes: str) -> None:
    """What was given out to her for these purposes opens nothing any more."""
    tx.session.execute(sa.delete(Ticket).where(Ticket.staff_id == staff_id, Ticket.purpose.in_(purposes)))


def _digest(purpose: str, secret: str) -> str:
    return hashlib.sha256(f"{purpose}\x00{secret}".encode()).hexdigest()
