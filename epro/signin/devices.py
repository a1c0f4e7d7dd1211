"""Phones: making a code, activating with it, ending a phone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import segno
import sqlalchemy as sa

from epro import db, trail
from epro.contacts import push
from epro.errors import EproError, NotFound
from epro.signin import codes, passwords, sessions, watch
from epro.signin.models import ActivationCode, Device, SignInSession
from epro.studies.models import Participant
from epro.tx import Actor, Tx

MOST_TRIES = 5


class CodeNotAccepted(EproError):
    """This code does not open anything: it may be mistyped, used or too old. Ask your study site for a new one."""

    status, code = 401, "code_not_accepted"


@dataclass(frozen=True)
class Candidate:
    """A code that somebody typed: its selector, and the (kept hash, typed secret) to compare; which try it is."""

    selector: str
    against: tuple[str | None, str]
    tries: int


def make_code(tx: Tx, participant: Participant) -> tuple[str, ActivationCode]:
    """A new code for a participant (locked by the caller), in clear once and never again; earlier ones end."""
    end_codes(tx, participant)
    text = codes.make()
    selector, secret = codes.parts(text) or ("", "")
    row = tx.add(
        ActivationCode(
            selector=selector,
            study_id=participant.study_id,
            subject_id=participant.subject_id,
            secret_hash=passwords.hashed(secret),
            made_at=tx.now,
            tries=0,
            expires_at=tx.now + timedelta(hours=float(db.settings()["ACTIVATION_CODE_HOURS"] or 24)),
        )
    )
    trail.record(
        tx,
        participant,
        "activation_code.made",
        "participant",
        participant.subject_id,
        expires_at=row.expires_at.isoformat(),
    )
    return text, row


def qr_svg(text: str) -> str:
    """The QR picture that a phone's camera reads. The code stands in the fragment: no server ever sees it."""
    address = f"{db.settings()['PUBLIC_URL']}/app/#activate={text}"
    return segno.make(address, error="m").svg_inline(scale=4, border=4)


def count_try(tx: Tx, typed: str) -> Candidate:
    """The first half of activating: find the code by its first five characters and count this try at it.

    Counting comes before comparing, so that no number of parallel guesses gets more than five. The caller
    compares the slow hash outside any transaction, and goes on with `activate` if it fits.
    """
    selector, secret = codes.parts(typed) or ("", "")
    statement = (
        sa.update(ActivationCode)
        .where(ActivationCode.selector == selector, ActivationCode.tries < MOST_TRIES)
        .values(tries=ActivationCode.tries + 1)
        .returning(ActivationCode.secret_hash, ActivationCode.tries)
    )
    kept, tries = tx.session.execute(statement).one_or_none() or (None, 0)
    return Candidate(selector, (kept, secret), tries)


def activate(tx: Tx, candidate: Candidate, about: dict[str, Any]) -> tuple[Participant, sessions.Pair] | None:
    """Make this phone the participant's; the code's secret was compared. None when the code opens nothing.

    The same installation may repeat a used code while it lives: a lost reply costs nothing.
    """
    participant, row = _locked(tx, candidate.selector)
    if participant.withdrawn_at or row.ended_at or row.expires_at <= tx.now:
        return None
    row.tries = 0  # the right secret: what was counted before it were slips of the finger
    if row.used_at is not None:
        return _again(tx, participant, row, about)
    device = _add_device(tx, participant, about)
    row.used_at, row.used_by_device = tx.now, device.id
    return participant, _open(tx, device)


def note_wrong(tx: Tx, candidate: Candidate) -> None:
    """The secret did not fit. If it was the last try, the code opens nothing any more: somebody may be guessing."""
    if candidate.tries < MOST_TRIES:
        return
    participant, row = _locked(tx, candidate.selector)
    if row.ended_at is None and row.expires_at > tx.now:
        watch.record(tx, participant, "activation_code.exhausted", "participant", participant.subject_id)


def end_codes(tx: Tx, participant: Participant) -> None:
    """Codes made earlier for her open nothing any more."""
    tx.session.execute(
        sa.update(ActivationCode)
        .where(
            ActivationCode.study_id == participant.study_id,
            ActivationCode.subject_id == participant.subject_id,
            ActivationCode.ended_at.is_(None),
        )
        .values(ended_at=tx.now)
    )


def of(tx: Tx, participant: Participant) -> list[Device]:
    query = sa.select(Device).where(
        Device.study_id == participant.study_id, Device.subject_id == participant.subject_id
    )
    return tx.all(query.order_by(Device.activated_at))


def is_active(tx: Tx, participant: Participant) -> bool:
    """Whether she has a phone that was activated and not revoked."""
    query = sa.select(Device.id).where(
        Device.study_id == participant.study_id,
        Device.subject_id == participant.subject_id,
        Device.revoked_at.is_(None),
    )
    return tx.session.scalar(query.limit(1)) is not None


def revoke(tx: Tx, participant: Participant, device_id: UUID, reason: str) -> Device:
    """End one phone (the participant is locked by the caller). Its next request is refused."""
    device = tx.get(Device, participant.study_id, device_id)
    if device is None or device.subject_id != participant.subject_id:
        raise NotFound()
    if device.revoked_at is None:
        device.revoked_at, device.revoked_reason = tx.now, reason
        sessions.end(
            tx,
            "device_revoked",
            SignInSession.study_id == device.study_id,
            SignInSession.device_id == device.id,
        )
        trail.record(tx, participant, "device.revoked", "device", device.id, reason=reason)
        push.forget(device.study_id, device.subject_id, device.id, tx.now)
    return device


def actor_of(session: SignInSession) -> Actor:
    """The participant behind a phone's session."""
    return Actor(
        "participant",
        f"{session.study_id}/{session.subject_id}",
        study_id=session.study_id,
        subject_id=session.subject_id,
        device_id=session.device_id,
        session_id=session.id,
    )


def _locked(tx: Tx, selector: str) -> tuple[Participant, ActivationCode]:
    """A code that is there, and whose it is: her row locked first, as everywhere."""
    row = tx.get(ActivationCode, selector)
    assert row is not None
    participant = tx.get(Participant, row.study_id, row.subject_id, lock=True)
    row = tx.get(ActivationCode, selector, lock=True)
    assert participant is not None and row is not None
    return participant, row


def _again(
    tx: Tx, participant: Participant, row: ActivationCode, about: dict[str, Any]
) -> tuple[Participant, sessions.Pair] | None:
    device = tx.get(Device, participant.study_id, row.used_by_device) if row.used_by_device else None
    if device is None or device.revoked_at or device.installation_id != about["installation_id"]:
        return None
    sessions.end(
        tx, "activated_again", SignInSession.study_id == device.study_id, SignInSession.device_id == device.id
    )
    trail.record(tx, participant, "device.activated_again", "device", device.id)
    return participant, _open(tx, device)


def _add_device(tx: Tx, participant: Participant, about: dict[str, Any]) -> Device:
    device = tx.add(
        Device(
            study_id=participant.study_id,
            id=uuid4(),
            subject_id=participant.subject_id,
            installation_id=about["installation_id"],
            platform=about.get("platform"),
            app_version=about.get("app_version"),
            activated_at=tx.now,
        )
    )
    tx.session.flush()
    trail.record(
        tx,
        participant,
        "device.activated",
        "device",
        device.id,
        platform=device.platform,
        app_version=device.app_version,
    )
    return device


def _open(tx: Tx, device: Device) -> sessions.Pair:
    return sessions.open_session(
        tx,
        sessions.PHONE,
        study_id=device.study_id,
        subject_id=device.subject_id,
        device_id=device.id,
        installation_id=device.installation_id,
    )
