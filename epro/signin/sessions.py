"""Sessions: opening one, refreshing it without ever locking a patient out, ending it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from flask_jwt_extended import create_access_token

from epro import db, keys, trail
from epro.errors import NotSignedIn
from epro.signin import tokens, watch
from epro.signin.models import SignInSession
from epro.studies.models import Participant
from epro.tx import Tx

PHONE, STAFF = "epro-phone", "epro-staff"
TOO_MANY = "too_many"  # why one ended that was left alone longest
LIFE = {PHONE: timedelta(days=400), STAFF: timedelta(hours=12)}
NOTED_EVERY = timedelta(minutes=1)
LOST_REPLY = timedelta(minutes=2)  # within this a repeat is taken for a retry, whoever sends it


@dataclass(frozen=True)
class Pair:
    """What a sign-in or a refresh gives out."""

    access_token: str
    refresh_token: str
    expires_in: int


def open_session(tx: Tx, audience: str, **holder: Any) -> Pair:
    """Start a session; `holder` names its device or its person."""
    session_id = uuid4()
    pair = _pair(session_id, 1, audience, tx.now)
    if audience == STAFF:
        make_room(tx, holder["staff_id"])
    tx.add(
        SignInSession(
            id=session_id,
            generation=1,
            refresh_hash=tokens.digest(pair.refresh_token),
            rotated_at=tx.now,
            started_at=tx.now,
            expires_at=tx.now + LIFE[audience],
            seen_at=tx.now,
            **holder,
        )
    )
    return pair


def refresh(tx: Tx, token: str, audience: str, installation_id: str | None = None) -> Pair | None:
    """The next pair, or None when the token ends its family here and now (the caller commits that, and refuses).

    The newest token rotates. The one before it is a lost reply within two minutes, whoever asks, and later from the
    same installation as long as no request has shown its successor: the same successor is given again. Any other
    token of the family that was once valid means that two hold it: the family ends. Raises NotSignedIn for a
    token that is none of ours, or of a session that has ended.
    """
    participant, session = _locked(tx, tokens.session_of(token))
    if session is None or _audience(session) != audience or not _ours(session, token):
        raise NotSignedIn()
    if not is_running(session, tx.now):
        raise NotSignedIn()
    session.seen_at = tx.now
    given = tokens.digest(token)
    if given == session.refresh_hash:
        return _rotate(tx, session, audience)
    if given == session.previous_hash and _is_lost_reply(tx, session, installation_id):
        return _pair(session.id, session.generation, audience, tx.now)
    _end_family(tx, participant, session)
    return None


def is_first_use(session: Any, generation: Any) -> bool:
    """Whether a request with a token of this generation tells something new: the reply that brought it was not
    lost. Of the first generation it does not matter, no token was before it.
    """
    return not session.successor_used and generation == session.generation and generation > 1


def note_use(tx: Tx, session_id: UUID, generation: int) -> None:
    """Remember that; once for each generation."""
    shown = sa.update(SignInSession).where(
        SignInSession.id == session_id, SignInSession.generation == generation
    )
    tx.session.execute(shown.values(successor_used=True))


def is_running(session: Any, now: datetime) -> bool:
    """Whether a session still opens anything: not ended, not too old and, of the staff, not left alone too long."""
    if session.ended_at is not None or session.expires_at <= now:
        return False
    idle = timedelta(minutes=float(db.settings()["SESSION_IDLE_MINUTES"] or 30))
    return session.staff_id is None or now - (session.seen_at or session.started_at) <= idle


def is_to_be_noted(session: Any, now: datetime) -> bool:
    """Whether it is worth a write that somebody of the staff has come with her session: once a minute."""
    return session.staff_id is not None and now - (session.seen_at or session.started_at) >= NOTED_EVERY


def note_seen(tx: Tx, session_id: UUID) -> None:
    tx.session.execute(sa.update(SignInSession).where(SignInSession.id == session_id).values(seen_at=tx.now))


def of_staff(tx: Tx, staff_id: UUID) -> list[SignInSession]:
    """Her running sessions, the one that was used last first."""
    query = sa.select(SignInSession).where(
        SignInSession.staff_id == staff_id, SignInSession.ended_at.is_(None)
    )
    found = [row for row in tx.all(query) if is_running(row, tx.now)]
    return sorted(
        found, key=lambda row: (row.seen_at or row.started_at, row.started_at, row.id), reverse=True
    )


def make_room(tx: Tx, staff_id: UUID) -> None:
    """Before she opens one more: of too many sessions, those left alone longest end."""
    most = int(db.settings()["SESSIONS_AT_ONCE"] or 3)
    for row in of_staff(tx, staff_id)[most - 1 :]:
        row.ended_at, row.ended_reason = tx.now, TOO_MANY
        watch.record(tx, trail.study_chain(tx), "staff.session_ended", "staff", staff_id, reason=TOO_MANY)


def find(tx: Tx, session_id: UUID) -> SignInSession | None:
    return tx.get(SignInSession, session_id)


def end(tx: Tx, reason: str, *conditions: Any) -> int:
    """End every running session that the conditions name; it holds from the next request on."""
    statement = sa.update(SignInSession).where(SignInSession.ended_at.is_(None), *conditions)
    done = tx.session.execute(statement.values(ended_at=tx.now, ended_reason=reason))
    return done.rowcount  # type: ignore[attr-defined]


def jwt_key() -> str:
    return keys.derive(db.settings()["SECRET_KEY"] or "", "access tokens").hex()


def _rotate(tx: Tx, session: SignInSession, audience: str) -> Pair:
    pair = _pair(session.id, session.generation + 1, audience, tx.now)
    session.previous_hash, session.refresh_hash = session.refresh_hash, tokens.digest(pair.refresh_token)
    session.generation, session.rotated_at = session.generation + 1, tx.now
    session.successor_used = False
    return pair


def _locked(tx: Tx, session_id: UUID | None) -> tuple[Participant | None, SignInSession | None]:
    """The session, locked, and whose phone it is of: her row first, as everywhere."""
    found = find(tx, session_id) if session_id else None
    if found is None:
        return None, None
    participant = (
        tx.get(Participant, found.study_id, found.subject_id, lock=True) if found.subject_id else None
    )
    return participant, tx.get(SignInSession, found.id, lock=True)


def _end_family(tx: Tx, participant: Participant | None, session: SignInSession) -> None:
    session.ended_at, session.ended_reason = tx.now, "refresh_token_reused"
    whose = ("staff", session.staff_id) if participant is None else ("device", session.device_id)
    head = participant or trail.study_chain(tx)
    watch.record(tx, head, f"{whose[0]}.session_ended", *whose, reason=session.ended_reason)


def _is_lost_reply(tx: Tx, session: SignInSession, installation_id: str | None) -> bool:
    if tx.now - session.rotated_at <= LOST_REPLY:
        return True
    if session.successor_used or installation_id is None:
        return False
    return installation_id == session.installation_id


def _ours(session: SignInSession, token: str) -> bool:
    """Whether this is a token that the session gave out at some time."""
    if tokens.digest(token) in (session.refresh_hash, session.previous_hash):
        return True
    older = range(max(1, session.generation - 1000), session.generation - 1)
    return any(tokens.refresh_token(_refresh_key(), session.id, n) == token for n in older)


def _pair(session_id: UUID, generation: int, audience: str, now: datetime) -> Pair:
    claims = {**tokens.claims(audience, now), "generation": generation}
    access = create_access_token(identity=str(session_id), expires_delta=False, additional_claims=claims)
    refresh_token = tokens.refresh_token(_refresh_key(), session_id, generation)
    return Pair(access, refresh_token, int(tokens.ACCESS_FOR.total_seconds()))


def _refresh_key() -> bytes:
    return keys.derive(db.settings()["SECRET_KEY"] or "", "refresh tokens")


def _audience(session: SignInSession) -> str:
    return STAFF if session.staff_id else PHONE
