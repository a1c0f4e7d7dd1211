"""Second factors: one-time codes that a person sets up herself, and recovery codes for when her phone is gone."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from uuid import UUID

import pyotp
import segno
import sqlalchemy as sa

from epro import db, keys, trail
from epro.contacts import sealing, store
from epro.errors import EproError, Invalid, NotFound
from epro.signin import codes, known, letters, sessions, stepup, watch
from epro.signin.models import Passkey, RecoveryCode, SignInSession, Staff
from epro.tx import Tx

HOW_MANY, LENGTH = 10, 16  # recovery codes, and the characters of one: 80 bits
TOTP, RECOVERY, PASSKEY, SSO = "totp", "recovery_code", "passkey", "sso"
SSO_RESISTANT = (
    "sso_phr"  # the provider says that it was by something that cannot be given away on a wrong page
)
PASSWORD = "password"  # alone


class SecondFactorMissing(EproError):
    """Set up a second factor first: until then nothing else is open to this account."""

    status, code = 403, "second_factor_missing"


@dataclass(frozen=True)
class Seed:
    """A seed that waits to be confirmed: for the phone's camera, and to be typed."""

    svg: str
    text: str
    address: str


def is_required() -> bool:
    return db.settings()["SECOND_FACTOR"] != "optional"


def has_any(tx: Tx, staff: Staff) -> bool:
    """Whether something besides the password is set up for her."""
    return staff.totp_sealed is not None or bool(passkeys_of(tx, staff.id))


def passkeys_of(tx: Tx, staff_id: UUID) -> list[Passkey]:
    query = sa.select(Passkey).where(Passkey.staff_id == staff_id, Passkey.removed_at.is_(None))
    return tx.all(query.order_by(Passkey.added_at, Passkey.id))


def is_missing(session: SignInSession) -> bool:
    """Whether this session was opened with a password alone, where that is not enough."""
    return is_required() and session.second_factor is None


def begin_totp(tx: Tx) -> Seed:
    """A new seed for the person who acts; it counts once she has confirmed it. Raises StepUpNeeded."""
    staff = acting(tx)
    must_be_hers(tx, staff)
    seed = pyotp.random_base32()
    staff.totp_pending = seal(staff.id, seed)
    email = store.of(trail.INSTALLATION, f"staff/{staff.id}").get("email", str(staff.id))
    address = address_of(seed, email)
    svg = segno.make(address, error="m").svg_inline(scale=4, border=4, svgclass=None, lineclass=None)
    return Seed(svg, seed, address)


def confirm_totp(tx: Tx, otp: str) -> list[str]:
    """The seed counts from now on; her first recovery codes with it. Every other session of hers ends.

    Raises Invalid when the code is not the seed's: then the one before goes on counting.
    """
    staff = acting(tx)
    must_be_hers(tx, staff)
    step = _step_of(tx, open_seed(staff.id, staff.totp_pending), otp, 0) if staff.totp_pending else None
    if step is None:
        detail = "This is not the code that the app shows now."
        raise Invalid(errors=[{"pointer": "/otp", "code": "bad_code", "detail": detail}])
    first = not has_any(tx, staff)
    staff.totp_sealed, staff.totp_pending, staff.totp_step = staff.totp_pending, None, step
    trail.record(tx, trail.study_chain(tx), "staff.factor_added", "staff", staff.id, kind=TOTP)
    return settle(tx, staff, TOTP, first)


def settle(tx: Tx, staff: Staff, kind: str, first: bool) -> list[str]:
    """After a factor was added: this session has it, others end, she is told; her codes if she had none."""
    sessions.end(
        tx, "factor_added", SignInSession.staff_id == staff.id, SignInSession.id != tx.actor.session_id
    )
    prove(tx, kind)
    letters.post(tx, staff.id, "changed")
    return new_codes(tx, staff.id) if first or not _left(tx, staff.id) else []


def prove(tx: Tx, kind: str | None) -> None:
    """The session at hand was proved now, with this factor if any. What it was opened with goes on counting for it."""
    row = tx.get(SignInSession, tx.actor.session_id, lock=True)
    if row is not None:
        row.proved_at, row.second_factor = tx.now, kind or row.second_factor
        row.proved_with = kind or PASSWORD


def renew_codes(tx: Tx) -> list[str]:
    """Ten new recovery codes for the person who acts; the ones before open nothing. Raises StepUpNeeded."""
    staff = acting(tx)
    must_be_hers(tx, staff)
    return new_codes(tx, staff.id)


def new_codes(tx: Tx, staff_id: UUID) -> list[str]:
    """Ten codes, in clear once and never again."""
    _end_codes(tx, staff_id, "replaced")
    made = ["".join(secrets.choice(codes.ALPHABET) for _ in range(LENGTH)) for _ in range(HOW_MANY)]
    for text in made:
        tx.add(RecoveryCode(staff_id=staff_id, digest=_code_digest(staff_id, text), made_at=tx.now))
    trail.record(tx, trail.study_chain(tx), "staff.recovery_codes_made", "staff", staff_id)
    return ["-".join(text[at : at + 4] for at in range(0, LENGTH, 4)) for text in made]


def codes_left(tx: Tx, staff_id: UUID) -> int:
    return len(_left(tx, staff_id))


def which_fits(tx: Tx, staff: Staff, typed: str | None) -> str | None:
    """Which factor this is of hers, used up with it: a one-time code or a recovery code; None when it is neither."""
    if not typed:
        return None
    if staff.totp_sealed is not None:
        step = _step_of(tx, open_seed(staff.id, staff.totp_sealed), typed, staff.totp_step)
        if step is not None:
            staff.totp_step = step
            return TOTP
    return RECOVERY if _spend(tx, staff.id, typed) else None


def reset(tx: Tx, staff_id: UUID, reason: str) -> None:
    """Take every factor from an account whose owner has lost them; she sets up another after her password.

    For a second person: nobody does this for herself.
    """
    staff = tx.get(Staff, staff_id, lock=True)
    if staff is None or staff.closed_at is not None:
        raise NotFound()
    staff.totp_sealed = staff.totp_pending = None
    for passkey in passkeys_of(tx, staff_id):
        passkey.removed_at = tx.now
    _end_codes(tx, staff_id, "reset")
    known.forget(tx, staff_id)
    sessions.end(tx, "factors_reset", SignInSession.staff_id == staff_id)
    trail.record(tx, trail.study_chain(tx), "staff.factors_reset", "staff", staff_id, reason=reason)
    letters.post(tx, staff_id, "changed")


def acting(tx: Tx) -> Staff:
    """The account of the person who acts, locked."""
    staff = tx.get(Staff, UUID(tx.actor.id), lock=True) if tx.actor.kind == "staff" else None
    if staff is None or staff.closed_at is not None:
        raise NotFound()
    return staff


def must_be_hers(tx: Tx, staff: Staff) -> None:
    """Factors are changed by who has just shown the ones there are. Where there is none yet, the password is enough."""
    row = tx.get(SignInSession, tx.actor.session_id) if tx.actor.session_id else None
    if has_any(tx, staff) and (row is None or row.second_factor is None):
        raise SecondFactorMissing("Sign in with your second factor first.")
    stepup.require(tx)


def address_of(seed: str, email: str) -> str:
    return pyotp.TOTP(seed).provisioning_uri(name=email, issuer_name=db.settings()["APP_NAME"] or "epro")


def seal(staff_id: UUID, seed: str) -> str:
    return sealing.seal(_seed_key(), "0", f"staff/{staff_id}/totp", seed)


def open_seed(staff_id: UUID, sealed: str) -> str:
    return sealing.unseal(_seed_key(), "0", f"staff/{staff_id}/totp", sealed)


def _step_of(tx: Tx, seed: str, typed: str, after: int) -> int | None:
    """The time step of which this is the code: now or one beside it, and later than the last one that opened."""
    totp, now_step = pyotp.TOTP(seed), int(tx.now.timestamp()) // 30
    given = typed.strip().encode()
    for step in (now_step - 1, now_step, now_step + 1):
        if step > after and hmac.compare_digest(totp.at(step * 30).encode(), given):
            return step
    return None


def _spend(tx: Tx, staff_id: UUID, typed: str) -> bool:
    """Whether this is a recovery code of hers that was not used; it is now."""
    text = "".join(c for c in typed.upper() if c.isalnum()).translate(codes.MISREAD)
    digest = _code_digest(staff_id, text)
    row = tx.get(RecoveryCode, staff_id, digest, lock=True) if len(text) == LENGTH else None
    if row is None or row.ended_at is not None:
        return False
    row.ended_at, row.ended_reason = tx.now, "used"
    watch.record(tx, trail.study_chain(tx), "staff.recovery_code_used", "staff", staff_id)
    letters.post(tx, staff_id, "recovery_code_used")
    return True


def _left(tx: Tx, staff_id: UUID) -> list[RecoveryCode]:
    query = sa.select(RecoveryCode).where(RecoveryCode.staff_id == staff_id, RecoveryCode.ended_at.is_(None))
    return tx.all(query)


def _end_codes(tx: Tx, staff_id: UUID, reason: str) -> None:
    for row in _left(tx, staff_id):
        row.ended_at, row.ended_reason = tx.now, reason


def _code_digest(staff_id: UUID, text: str) -> str:
    """Keyed, with a key that is not in the database: who has the rows alone cannot try codes."""
    key = keys.derive(db.settings()["SECRET_KEY"] or "", "recovery codes")
    return keys.mac(key, f"{staff_id}/{text}".encode())


def _seed_key() -> bytes:
    return keys.derive(db.settings()["SECRET_KEY"] or "", "one-time-code seeds")
