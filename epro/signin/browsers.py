"""Sessions of browsers: a cookie with a new secret at each sign-in, of which only the digest is kept.

A session ends when it is left alone for a while, and after some hours in any case; both are settings.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import db, keys, trail
from epro.contacts import sealing, store
from epro.signin import sessions, staff, tokens, watch
from epro.signin.models import SignInSession
from epro.tx import Actor, Tx

_NAME = "sessions/shown_name"
NOTED_EVERY = timedelta(minutes=1)  # how exactly it is known when a browser last came


def open_session(tx: Tx, staff_id: UUID, told: Mapping[str, Any] | None = None) -> str:
    """Start a session; returns the secret for its cookie, which is never kept."""
    secret = secrets.token_urlsafe(32)
    sessions.make_room(tx, staff_id)
    tx.add(
        SignInSession(
            id=uuid4(),
            staff_id=staff_id,
            generation=1,
            refresh_hash="",  # no token was given out, and none has this digest
            rotated_at=tx.now,
            started_at=tx.now,
            seen_at=tx.now,
            expires_at=tx.now + _setting("SESSION_HOURS", "hours"),
            cookie_hash=tokens.digest(secret),
            shown_name=_sealed_name(staff_id, secret),
            **(told or {}),
        )
    )
    return secret


def find(tx: Tx, secret: str) -> SignInSession | None:
    """The running session behind a cookie."""
    row: SignInSession | None = tx.one(
        sa.select(SignInSession).where(SignInSession.cookie_hash == tokens.digest(secret))
    )
    if row is None or row.ended_at is not None or row.expires_at <= tx.now:
        return None
    idle = tx.now - (row.seen_at or row.started_at)
    return row if idle <= _setting("SESSION_IDLE_MINUTES", "minutes") else None


def ended_by(tx: Tx, secret: str) -> str | None:
    """Why the session behind a cookie was ended, if it was: a code, or what somebody gave as a reason."""
    query = sa.select(SignInSession.ended_reason).where(SignInSession.cookie_hash == tokens.digest(secret))
    reason: str | None = tx.one(query)
    return reason


def leave(tx: Tx, secret: str) -> None:
    """End the session behind a cookie that another one takes the place of, whoever's it was."""
    row = find(tx, secret) if secret else None
    if row is not None:
        sessions.end(tx, "replaced", SignInSession.id == row.id)
        head = trail.study_chain(tx)
        watch.record(tx, head, "staff.session_ended", "staff", row.staff_id, reason="replaced")


def actor_of(tx: Tx, row: SignInSession) -> Actor | None:
    """Who sits before it, with the roles she holds at this moment."""
    return staff.actor_of(tx, row)


def name_in(row: SignInSession, secret: str) -> str:
    """What she is called: the session keeps it under the secret of her cookie, which nobody else has."""
    try:
        return sealing.unseal(_name_key(secret), "0", _NAME, row.shown_name or "")
    except (sealing.CannotOpen, ValueError):
        return _kept_name(row.staff_id)


def is_to_be_noted(tx: Tx, row: SignInSession) -> bool:
    """Whether it is worth a write that somebody came; looked at once a minute at most."""
    return tx.now - (row.seen_at or row.started_at) >= NOTED_EVERY


def note_seen(tx: Tx, session_id: UUID) -> None:
    """Remember that a request of hers came now."""
    seen = sa.update(SignInSession).where(SignInSession.id == session_id, SignInSession.ended_at.is_(None))
    tx.session.execute(seen.values(seen_at=tx.now))


def form_token(secret: str) -> str:
    """What a form of this session must bring back: only who can read the page knows it."""
    key = keys.derive(db.settings()["SECRET_KEY"] or "", "form tokens")
    return hmac.new(key, secret.encode(), sha256).hexdigest()


def is_form_token(secret: str, given: str) -> bool:
    return hmac.compare_digest(form_token(secret).encode(), given.encode())


def _sealed_name(staff_id: UUID, secret: str) -> str:
    return sealing.seal(_name_key(secret), "0", _NAME, _kept_name(staff_id))


def _kept_name(staff_id: UUID | None) -> str:
    return store.of(trail.INSTALLATION, f"staff/{staff_id}").get("name", "")


def _name_key(secret: str) -> bytes:
    return keys.derive(secret, "shown name")


def _setting(name: str, unit: str) -> timedelta:
    return timedelta(**{unit: float(db.settings()[name] or 0)})
