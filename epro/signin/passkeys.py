"""Passkeys (WebAuthn): a key on the person's own device, opened with her finger, face or PIN.

The device says that it has verified her, so a passkey is both factors at once. The challenge is ours, kept here and
good once; address and name of this server come from the settings, never from the request.
"""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import sqlalchemy as sa
import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from epro import db, trail
from epro.contacts import store
from epro.errors import EproError, Invalid, NotFound
from epro.signin import emergency, factors, letters, staff, stepup, tickets, watch
from epro.signin.models import Passkey, Staff
from epro.tx import Tx

ADD, SHOW = "passkey added", "passkey shown"
GOOD_FOR = timedelta(minutes=5)
MOST = 10  # of one person


class PasskeyRefused(EproError):
    """This passkey opens nothing here."""

    status, code = 401, "passkey_refused"


def begin_adding(tx: Tx) -> dict[str, Any]:
    """What the browser needs to make a passkey for the person who acts, and a ticket to come back with."""
    person = factors.acting(tx)
    factors.must_be_hers(tx, person)
    challenge = secrets.token_bytes(32)
    email = store.of(trail.INSTALLATION, f"staff/{person.id}").get("email", str(person.id))
    options = webauthn.generate_registration_options(
        rp_id=_host(),
        rp_name=db.settings()["APP_NAME"] or "epro",
        user_id=person.id.bytes,
        user_name=email,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential_id))
            for one in factors.passkeys_of(tx, person.id)
        ],
    )
    return _told(tx, ADD, options, challenge, person.id)


def add(tx: Tx, ticket: str, credential: dict[str, Any], name: str) -> list[str]:
    """Keep a passkey; recovery codes with the first factor. Raises PasskeyRefused, Invalid, StepUpNeeded."""
    person = factors.acting(tx)
    factors.must_be_hers(tx, person)
    held = factors.passkeys_of(tx, person.id)
    if held and stepup.is_resistant_asked():  # whoever has one adds another by it
        stepup.require_resistant(tx)
    if len(held) >= MOST:
        raise Invalid(f"There are {MOST} passkeys already: remove one first.")
    challenge = _challenge(tx, ADD, ticket, person.id)
    try:
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=_host(),
            expected_origin=_origin(),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise PasskeyRefused() from None
    found = bytes_to_base64url(made.credential_id)
    if tx.one(sa.select(Passkey.id).where(Passkey.credential_id == found)):
        raise PasskeyRefused()
    first = not factors.has_any(tx, person)
    row = tx.add(
        Passkey(
            id=uuid4(),
            staff_id=person.id,
            credential_id=found,
            public_key=bytes_to_base64url(made.credential_public_key),
            sign_count=made.sign_count,
            name=name.strip() or "passkey",
            added_at=tx.now,
        )
    )
    tx.session.flush()
    head = trail.study_chain(tx)
    trail.record(
        tx, head, "staff.factor_added", "staff", person.id, kind=factors.PASSKEY, passkey=str(row.id)
    )
    return factors.settle(tx, person, factors.PASSKEY, first)


def remove(tx: Tx, passkey_id: UUID) -> None:
    """Take a passkey of the person who acts away; not the last factor there is. Raises StepUpNeeded."""
    person = factors.acting(tx)
    factors.must_be_hers(tx, person)
    row = tx.get(Passkey, passkey_id, lock=True)
    if row is None or row.staff_id != person.id or row.removed_at is not None:
        raise NotFound()
    if stepup.is_resistant_asked():
        stepup.require_resistant(tx)
    if person.totp_sealed is None and len(factors.passkeys_of(tx, person.id)) == 1:
        raise Invalid("This is your only second factor: set up another one first.")
    row.removed_at = tx.now
    head = trail.study_chain(tx)
    trail.record(
        tx, head, "staff.factor_removed", "staff", person.id, kind=factors.PASSKEY, passkey=str(row.id)
    )
    letters.post(tx, person.id, "changed")


def begin_showing(tx: Tx) -> dict[str, Any]:
    """What the browser needs to show a passkey. Whose, it says itself: no account is named and none is given away."""
    challenge = secrets.token_bytes(32)
    options = webauthn.generate_authentication_options(
        rp_id=_host(), challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    return _told(tx, SHOW, options, challenge, None)


def sign_in(
    tx: Tx, ticket: str, credential: dict[str, Any], coming: staff.Coming, opens: staff.Opens[staff.Opened]
) -> tuple[UUID, staff.Opened, str | None] | None:
    """A new session for whose passkey this is, or None; what is written then (a spent ticket, a copy) must be kept."""
    row = _shown(tx, ticket, credential)
    person = tx.get(Staff, row.staff_id) if row is not None else None
    if row is None or person is None or not emergency.comes_here(person):
        return None
    return row.staff_id, *staff.enter(tx, row.staff_id, factors.PASSKEY, coming, opens)


def prove(tx: Tx, ticket: str, credential: dict[str, Any]) -> bool:
    """Whether the person who acts has shown a passkey of hers; her session keeps when."""
    row = _shown(tx, ticket, credential)
    if row is None or str(row.staff_id) != tx.actor.id:
        return False
    factors.prove(tx, factors.PASSKEY)
    head = trail.study_chain(tx)
    trail.record(tx, head, "staff.proved_again", "staff", row.staff_id, factor=factors.PASSKEY)
    return True


def _shown(tx: Tx, ticket: str, credential: dict[str, Any]) -> Passkey | None:
    """The passkey that was shown and holds, its counter moved on. One whose counter stands still may be a copy."""
    challenge = _challenge(tx, SHOW, ticket, None, missing=None)
    found = credential.get("id") if isinstance(credential, dict) else None
    row = tx.one(sa.select(Passkey).where(Passkey.credential_id == found)) if isinstance(found, str) else None
    if challenge is None or row is None or row.removed_at is not None:
        return None
    person = tx.get(Staff, row.staff_id, lock=True)
    row = tx.get(Passkey, row.id, lock=True)
    if person is None or person.closed_at is not None or row is None or not _is_hers(row, credential):
        return None
    try:
        shown = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=_host(),
            expected_origin=_origin(),
            credential_public_key=base64url_to_bytes(row.public_key),
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        watch.record(tx, trail.study_chain(tx), "staff.passkey_refused", "staff", person.id)
        return None
    row.sign_count, row.used_at = shown.new_sign_count, tx.now
    return row


def _is_hers(row: Passkey, credential: dict[str, Any]) -> bool:
    """Whether the device names the account that the passkey was made for."""
    response = credential.get("response")
    handle = response.get("userHandle") if isinstance(response, dict) else None
    try:
        return handle is None or base64url_to_bytes(str(handle)) == row.staff_id.bytes
    except ValueError:
        return False


def _told(tx: Tx, purpose: str, options: Any, challenge: bytes, staff_id: UUID | None) -> dict[str, Any]:
    content = {"challenge": bytes_to_base64url(challenge)}
    ticket = tickets.make(tx, purpose, GOOD_FOR, staff_id, content)
    return {"ticket": ticket, "options": json.loads(options_to_json(options))}


def _challenge(
    tx: Tx, purpose: str, ticket: str, staff_id: UUID | None, missing: Any = PasskeyRefused
) -> Any:
    row = tickets.take(tx, purpose, ticket)
    if row is None or row.staff_id != staff_id or not row.content:
        if missing is None:
            return None
        raise missing()
    return base64url_to_bytes(row.content["challenge"])


def _origin() -> str:
    """Scheme, host and port of the public address, as a browser tells them."""
    parts = urlsplit(db.settings()["PUBLIC_URL"] or "")
    return f"{parts.scheme}://{parts.netloc}"


def _host() -> str:
    return urlsplit(db.settings()["PUBLIC_URL"] or "").hostname or ""
