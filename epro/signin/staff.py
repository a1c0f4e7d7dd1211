"""Staff: accounts, roles, signing in with a password and, where it is set up, a one-time code."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import pyotp
import sqlalchemy as sa

from epro import db, keys, trail
from epro.contacts import sealing, store
from epro.errors import Conflict, EproError, Invalid, NotFound
from epro.signin import passwords, sessions, tries, watch
from epro.signin.models import MachineKey, SignInSession, Staff, StaffGrant
from epro.studies.access import ROLES
from epro.tx import Actor, Grant, Tx, begin, look, system

DOOR = system("door")
NOBODY = UUID(int=0)
Opened = TypeVar("Opened")


class SignInRefused(EproError):
    """E-mail, password or one-time code is not right, or the account is waiting after wrong tries."""

    status, code = 401, "sign_in_refused"


def add(
    tx: Tx,
    *,
    email: str,
    name: str,
    password: str,
    language: str,
    phone: str | None = None,
    grants: Sequence[Grant] = (),
    totp: bool = False,
) -> tuple[Staff, str | None]:
    """A new account with its roles; returns it and, if asked for, the one-time-code seed as an otpauth address."""
    _check_password(password)
    for grant in grants:
        _check_grant(grant)
    email = store.normal("email", email)
    found = store.lookup("email", email)
    if tx.one(sa.select(Staff).where(Staff.email_lookup == found)):
        raise Conflict("There is an account with this e-mail address already.")
    seed = pyotp.random_base32() if totp else None
    staff = tx.add(
        Staff(
            id=uuid4(),
            email_lookup=found,
            language=language,
            password_hash=passwords.hashed(password),
            created_at=tx.now,
            totp_step=0,
        )
    )
    staff.totp_sealed = _seal(staff.id, seed) if seed else None
    tx.session.flush()
    values = {"email": email, "name": name, **({"phone": store.normal("phone", phone)} if phone else {})}
    contact = store.keep(trail.INSTALLATION, f"staff/{staff.id}", values, tx.now)
    trail.record(tx, trail.study_chain(tx), "staff.added", "staff", staff.id, contact=contact)
    for one in grants:
        give(tx, staff.id, one)
    return staff, _address(seed, email) if seed else None


def give(tx: Tx, staff_id: UUID, grant: Grant) -> None:
    """Give somebody a role; it holds from her next request on."""
    _check_grant(grant)
    tx.add(
        StaffGrant(
            id=uuid4(),
            staff_id=staff_id,
            study_id=grant.study_id,
            site_id=grant.site_id,
            role=grant.role,
            granted_at=tx.now,
        )
    )
    head = trail.study_chain(tx, grant.study_id)
    trail.record(tx, head, "staff.granted", "staff", staff_id, role=grant.role, site=grant.site_id)


def revoke(tx: Tx, staff_id: UUID, grant: Grant, reason: str) -> None:
    """Take a role back; it holds from her next request on."""
    rows = tx.all(
        sa.select(StaffGrant).where(
            StaffGrant.staff_id == staff_id,
            StaffGrant.study_id == grant.study_id,
            StaffGrant.role == grant.role,
            StaffGrant.site_id == grant.site_id,
            StaffGrant.revoked_at.is_(None),
        )
    )
    if not rows:
        raise NotFound()
    for row in rows:
        row.revoked_at = tx.now
    head = trail.study_chain(tx, grant.study_id)
    trail.record(
        tx, head, "staff.grant_revoked", "staff", staff_id, reason=reason, role=grant.role, site=grant.site_id
    )


def close(tx: Tx, staff_id: UUID, reason: str) -> None:
    """End an account and every session of it at once."""
    staff = tx.get(Staff, staff_id, lock=True)
    if staff is None:
        raise NotFound()
    staff.closed_at = tx.now
    sessions.end(tx, "account_closed", SignInSession.staff_id == staff_id)
    trail.record(tx, trail.study_chain(tx), "staff.closed", "staff", staff_id, reason=reason)


def tokens_for(tx: Tx, staff_id: UUID) -> sessions.Pair:
    """A new session for a program: its tokens."""
    return sessions.open_session(tx, sessions.STAFF, staff_id=staff_id)


def sign_in(
    email: str, password: str, otp: str | None, source: str, opens: Callable[[Tx, UUID], Opened]
) -> tuple[UUID, Opened] | None:
    """A new session of the kind that `opens` makes, or None when refused. The slow hash is compared outside any
    transaction.

    `source` is the address it comes from. An account that does not exist costs the same hash and the same writing.
    """
    with look(DOOR) as tx:
        staff = by_email(tx, email)
    fits = passwords.fits(staff.password_hash if staff else None, password)
    with begin(DOOR) as tx:
        found = _let_in(tx, staff.id if staff else NOBODY, (_lookup(email), source), otp, fits)
        return (found.id, opens(tx, found.id)) if found else None


def _let_in(tx: Tx, staff_id: UUID, where: tuple[str, str], otp: str | None, fits: bool) -> Staff | None:
    staff = tx.get(Staff, staff_id, lock=True)
    if tries.waits_until(tx, *where):
        return None
    if staff is None or staff.closed_at or not fits or not _otp_fits(tx, staff, otp):
        if tries.count_failure(tx, *where) and staff is not None:
            watch.record(tx, trail.study_chain(tx), "staff.locked_out", "staff", staff.id)
        return None
    tries.forget(tx, *where)
    trail.record(tx, trail.study_chain(tx), "staff.signed_in", "staff", staff.id)
    return staff


def log_out(tx: Tx) -> None:
    """End the session of the person who acts."""
    sessions.end(tx, "logged_out", SignInSession.id == tx.actor.session_id)
    watch.record(tx, trail.study_chain(tx), "staff.logged_out", "staff", tx.actor.id)


def new_seed(tx: Tx, staff_id: UUID) -> str:
    """Another one-time-code seed for an account, as an otpauth address; every session of it ends."""
    staff = tx.get(Staff, staff_id, lock=True)
    if staff is None or staff.closed_at is not None:
        raise NotFound()
    seed = pyotp.random_base32()
    staff.totp_sealed, staff.totp_step = _seal(staff.id, seed), 0
    sessions.end(tx, "new_seed", SignInSession.staff_id == staff_id)
    trail.record(tx, trail.study_chain(tx), "staff.seed_made", "staff", staff_id)
    return _address(seed, store.of(trail.INSTALLATION, f"staff/{staff_id}").get("email", str(staff_id)))


def without_seed(tx: Tx) -> list[UUID]:
    """Open accounts that a password alone opens."""
    query = sa.select(Staff.id).where(Staff.closed_at.is_(None), Staff.totp_sealed.is_(None))
    return tx.all(query.order_by(Staff.id))


def by_email(tx: Tx, email: str) -> Staff | None:
    return tx.one(sa.select(Staff).where(Staff.email_lookup == _lookup(email)))


def actor_of(tx: Tx, session: SignInSession) -> Actor | None:
    """Who signed in, with the roles she holds at this moment; None when the account was closed."""
    staff = tx.get(Staff, session.staff_id)
    if staff is None or staff.closed_at is not None:
        return None
    return Actor("staff", str(staff.id), grants=grants_of(tx, staff.id), session_id=session.id)


def grants_of(tx: Tx, staff_id: UUID) -> tuple[Grant, ...]:
    """The roles somebody holds at this moment."""
    rows = tx.all(
        sa.select(StaffGrant).where(StaffGrant.staff_id == staff_id, StaffGrant.revoked_at.is_(None))
    )
    return tuple(Grant(row.study_id, row.site_id, row.role) for row in rows)


def holding(tx: Tx, study_id: str, site_id: str, role: str) -> list[Staff]:
    """Who holds a role at a site and has an open account, in a fixed order."""
    query = (
        sa.select(Staff)
        .join(StaffGrant, StaffGrant.staff_id == Staff.id)
        .where(
            StaffGrant.study_id == study_id,
            StaffGrant.site_id.in_((site_id, "*")),
            StaffGrant.role == role,
            StaffGrant.revoked_at.is_(None),
            Staff.closed_at.is_(None),
        )
        .order_by(Staff.id)
    )
    return list(dict.fromkeys(tx.all(query)))


def add_key(tx: Tx, study_id: str, name: str, days: int, role: str = "machine") -> tuple[MachineKey, str]:
    """A key of one study for a machine; its text is shown once. `machine` reads the feed, `edc` hands in dates."""
    secret = secrets.token_urlsafe(32)
    row = tx.add(
        MachineKey(
            id=uuid4(),
            study_id=study_id,
            name=name,
            role=role,
            secret_hash=hashlib.sha256(secret.encode()).hexdigest(),
            made_at=tx.now,
            expires_at=tx.now + timedelta(days=days),
        )
    )
    trail.record(
        tx, trail.study_chain(tx, study_id), "key.added", "machine_key", row.id, name=name, role=role
    )
    return row, f"epk_{row.id.hex}_{secret}"


def revoke_key(tx: Tx, key_id: UUID, reason: str) -> None:
    """End a machine key; it holds from its next request on."""
    row = tx.get(MachineKey, key_id, lock=True)
    if row is None:
        raise NotFound()
    row.revoked_at = tx.now
    trail.record(tx, trail.study_chain(tx, row.study_id), "key.revoked", "machine_key", row.id, reason=reason)


def actor_of_key(tx: Tx, text: str) -> Actor | None:
    """The machine behind a key, or None."""
    name, _, secret = text.removeprefix("epk_").partition("_")
    try:
        row = tx.get(MachineKey, UUID(hex=name))
    except ValueError:
        return None
    given = hashlib.sha256(secret.encode()).hexdigest()
    if (
        row is None
        or row.revoked_at
        or row.expires_at <= tx.now
        or not hmac.compare_digest(given, row.secret_hash)
    ):
        return None
    return Actor("key", str(row.id), grants=(Grant(row.study_id, "*", row.role),))


def actor_again(tx: Tx, name: str) -> Actor | None:
    """The person or machine of this name (`staff:...`, `key:...`) with what she may do now, for what she asked for
    earlier; None when she may not come in any more.
    """
    kind, _, id = name.partition(":")
    if kind == "key":
        key = tx.get(MachineKey, UUID(id))
        if key is None or key.revoked_at or key.expires_at <= tx.now:
            return None
        return Actor("key", id, grants=(Grant(key.study_id, "*", key.role),))
    person = tx.get(Staff, UUID(id))
    if person is None or person.closed_at is not None:
        return None
    return Actor("staff", id, grants=grants_of(tx, person.id))


def _check_password(password: str) -> None:
    if not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
        detail = f"A password has {passwords.SHORTEST} to {passwords.LONGEST} characters."
        raise Invalid(errors=[{"pointer": "/password", "code": "bad_password", "detail": detail}])


def _check_grant(grant: Grant) -> None:
    if grant.role not in ROLES:
        raise Invalid(f"There is no role of this name; roles are {', '.join(ROLES)}.")


def _lookup(email: str) -> str:
    """What an account is found and counted by; also of a text that is no address."""
    try:
        return store.lookup("email", store.normal("email", email))
    except Invalid:
        return store.lookup("email", email)


def _address(seed: str, email: str) -> str:
    return pyotp.TOTP(seed).provisioning_uri(name=email, issuer_name="epro")


def _otp_fits(tx: Tx, staff: Staff, otp: str | None) -> bool:
    """Each time step opens once; one step of a wrong clock is forgiven."""
    if staff.totp_sealed is None:
        return True
    totp, now_step = pyotp.TOTP(_unseal(staff.id, staff.totp_sealed)), int(tx.now.timestamp()) // 30
    for step in (now_step - 1, now_step, now_step + 1):
        if (
            step > staff.totp_step
            and otp
            and hmac.compare_digest(totp.at(step * 30).encode(), otp.strip().encode())
        ):
            staff.totp_step = step
            return True
    return False


def _seed_key() -> bytes:
    return keys.derive(db.settings()["SECRET_KEY"] or "", "one-time-code seeds")


def _seal(staff_id: UUID, seed: str) -> str:
    return sealing.seal(_seed_key(), "0", f"staff/{staff_id}/totp", seed)


def _unseal(staff_id: UUID, sealed: str) -> str:
    return sealing.unseal(_seed_key(), "0", f"staff/{staff_id}/totp", sealed)
