"""Known devices: browsers from which somebody has signed in with all she needs.

Wrong tries from a known device are counted apart, so that nobody can lock its owner out from elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from epro.signin.models import KnownDevice
from epro.tx import Tx

KNOWN_FOR = timedelta(days=90)
MOST = 10  # of one person; the oldest is forgotten


def remember(tx: Tx, staff_id: UUID) -> str:
    """A secret for this browser to keep; what has run out, and one too many, is forgotten."""
    tx.session.execute(sa.delete(KnownDevice).where(KnownDevice.expires_at <= tx.now))
    older = sa.select(KnownDevice.digest).where(KnownDevice.staff_id == staff_id)
    too_many = tx.all(older.order_by(KnownDevice.made_at.desc(), KnownDevice.digest).offset(MOST - 1))
    tx.session.execute(sa.delete(KnownDevice).where(KnownDevice.digest.in_(too_many)))
    secret = secrets.token_urlsafe(32)
    tx.add(
        KnownDevice(digest=_digest(secret), staff_id=staff_id, made_at=tx.now, expires_at=tx.now + KNOWN_FOR)
    )
    return secret


def place(tx: Tx, staff_id: UUID, secret: str | None) -> str | None:
    """What wrong tries are counted by when they come from a device that is known to be hers; None when it is not."""
    row = tx.get(KnownDevice, _digest(secret)) if secret else None
    if row is None or row.staff_id != staff_id or row.expires_at <= tx.now:
        return None
    return f"device {row.digest}"


def anybodys(tx: Tx, secret: str) -> str | None:
    """The same for whoever it is: a known device has a limit of its own."""
    row = tx.get(KnownDevice, _digest(secret))
    return f"device {row.digest}" if row is not None and row.expires_at > tx.now else None


def forget(tx: Tx, staff_id: UUID) -> None:
    """No device of hers is known any more."""
    tx.session.execute(sa.delete(KnownDevice).where(KnownDevice.staff_id == staff_id))


def _digest(secret: str) -> str:
    return hashlib.sha256(b"known device\x00" + secret.encode()).hexdigest()
