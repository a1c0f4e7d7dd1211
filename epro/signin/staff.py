"""Staff: accounts, roles, signing in with a password and, where it is set up, a one-time code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pyotp
import sqlalchemy as sa

from epro import db, trail
from epro.contacts import store
from epro.errors import Conflict, EproError, Invalid, NotFound
from epro.signin import (
    emergency,
    factors,
    known,
    letters,
    password_rules,
    passwords,
    sessions,
    tickets,
    tries,
    watch,
)
from epro.signin.models import MachineKey, SignInSession, Staff, StaffGrant
from epro.studies.access import ROLES
from epro.tx import Actor, Grant, Tx, begin, look, system

DOOR = system("door")
NOBODY = UUID(int=0)
Opened = TypeVar("Opened")
Opens = Callable[[Tx, UUID, dict[str, Any]], Opened]
"""What makes a session of its own kind for somebody who was let in; the last says what its row tells of her coming."""


@dataclass(frozen=True)
class Coming:
    """How somebody comes to the door: from which address, with which known device, by which program."""

    source: str
    device: str | None = None
    agent: str | None = None


class SignInRefused(EproError):
    """E-mail, password or one-time code is not right, or the account is waiting after wrong tries."""

    status, code = 401, "sign_in_refused"


def add(
    tx: Tx,
    *,
    email: str,
    name: str,
    password: str | None,
    language: str,
    phone: str | None = None,
    grants: Sequence[Grant] = (),
    totp: bool = False,
) -> tuple[Staff, str | None]:
    """A new account with its roles; returns it and, if asked for, the one-time-code seed as an otpauth address.

    Without a password she chooses one by the link of an invitation.
    """
    if password is not None:
        password_rules.check(password, _context(grants, email, name))
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
            password_hash=passwords.hashed(password_rules.normal(password)) if password else "",
            created_at=tx.now,
            totp_step=0,
        )
    )
    staff.totp_sealed = factors.seal(staff.id, seed) if seed else None
    tx.session.flush()
    values = {"email": email, "name": name, **({"phone": store.normal("phone", phone)} if phone else {})}
    contact = store.keep(trail.INSTALLATION, f"staff/{staff.id}", values, tx.now)
    trail.record(tx, trail.study_chain(tx), "staff.added", "staff", staff.id, contact=contact)
    for one in grants:
        give(tx, staff.id, one)
    return staff, factors.address_of(seed, email) if seed else None


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
    known.forget(tx, staff_id)
    tickets.end(tx, staff_id, "link")
    trail.record(tx, trail.study_chain(tx), "staff.closed", "staff", staff_id, reason=reason)


def tokens_for(tx: Tx, staff_id: UUID, told: dict[str, Any]) -> sessions.Pair:
    """A new session for a program: its tokens."""
    return sessions.open_session(tx, sessions.STAFF, staff_id=staff_id, **told)


def sign_in(
    email: str, password: str, otp: str | None, coming: Coming, opens: Opens[Opened]
) -> tuple[UUID, Opened, str | None] | None:
    """A new session of the kind that `opens` makes, or None when refused. The slow hash is compared outside any
    transaction. The last is the secret that makes this device a known one, when it was not yet.

    An account that does not exist costs the same hash and the same writing. `otp` may be a recovery code.
    """
    with look(DOOR) as tx:
        staff = by_email(tx, email)
    kept = staff.password_hash if staff else None
    typed = password_rules.normal(password)
    fits = passwords.fits(kept, typed)
    better = passwords.hashed(typed) if fits and kept and passwords.is_weaker(kept) else None
    with begin(DOOR) as tx:
        found = tx.get(Staff, staff.id if staff else NOBODY, lock=True)
        if found is None or found.password_hash != kept or not emergency.comes_here(found):
            fits = False  # it was changed in between, or opens nothing here
        factor = _let_in(tx, found, email, coming, otp, fits)
        if found is None or factor is None:
            return None
        found.password_hash = better or found.password_hash
        return found.id, *enter(tx, found.id, factor or None, coming, opens)


def enter(
    tx: Tx, staff_id: UUID, factor: str | None, coming: Coming, opens: Opens[Opened], *, here: bool = True
) -> tuple[Opened, str | None]:
    """Open a session for somebody who has shown who she is; and the secret of a device that is known from now on.

    `here`: whether she has shown it here, and not at an identity provider.
    """
    told = {"proved_at": tx.now, "second_factor": factor, "opened_from": coming.source, "agent": coming.agent}
    opened = opens(tx, staff_id, told)
    trail.record(tx, trail.study_chain(tx), "staff.signed_in", "staff", staff_id, factor=factor)
    if here and emergency.is_sealed():
        emergency.note_use(tx, staff_id)
    whole = factor is not None or not factors.is_required()
    is_new = known.place(tx, staff_id, coming.device) is None
    return opened, known.remember(tx, staff_id) if whole and is_new else None


def _let_in(
    tx: Tx, staff: Staff | None, email: str, coming: Coming, otp: str | None, fits: bool
) -> str | None:
    """The factor shown besides the password, "" where none is set up; None when she is refused."""
    account = tries.account_of(email)
    device = known.place(tx, staff.id if staff else NOBODY, coming.device)
    place = device or coming.source
    if tries.waits_until(tx, account, place) or (device is None and tries.is_shut(tx, account)):
        return None
    factor = _factor(tx, staff, otp) if staff is not None and fits and not staff.closed_at else None
    if factor is not None:
        tries.forget(tx, account, place, device is not None)
        return factor
    come_to = tries.count_failure(tx, account, place, device is not None)
    if come_to and staff is not None:
        watch.record(tx, trail.study_chain(tx), f"staff.{come_to}", "staff", staff.id)
    return None


def _factor(tx: Tx, staff: Staff, otp: str | None) -> str | None:
    return factors.which_fits(tx, staff, otp) if factors.has_any(tx, staff) else ""


def prove(tx: Tx, fits: bool, otp: str | None, coming: Coming) -> bool:
    """Whether the person who acts has shown once more who she is; her session keeps when. Wrong ones count as ever.

    `fits`: whether the password did (`is_password`, outside any transaction).
    """
    staff = factors.acting(tx)
    email = store.of(trail.INSTALLATION, f"staff/{staff.id}").get("email", "")
    factor = _let_in(tx, staff, email, coming, otp, fits)
    if factor is None:
        return False
    factors.prove(tx, factor or None)
    trail.record(tx, trail.study_chain(tx), "staff.proved_again", "staff", staff.id, factor=factor or None)
    return True


def is_password(staff_id: UUID, password: str) -> bool:
    """Whether this is her password; slow, and outside any transaction."""
    with look(DOOR) as tx:
        staff = tx.get(Staff, staff_id)
    return passwords.fits(staff.password_hash if staff else None, password_rules.normal(password))


def change_password(tx: Tx, staff: Staff, hashed: str, *conditions: Any) -> None:
    """Keep another password (its hash was made outside any transaction); she is told, and her sessions end."""
    staff.password_hash = hashed
    sessions.end(tx, "password_changed", SignInSession.staff_id == staff.id, *conditions)
    tickets.end(tx, staff.id, "link")
    trail.record(tx, trail.study_chain(tx), "staff.password_set", "staff", staff.id)
    letters.post(tx, staff.id, "changed")


def speak_to(tx: Tx, staff_id: UUID, language: str) -> None:
    """From now on letters and messages to her are in this language."""
    staff = tx.get(Staff, staff_id, lock=True)
    assert staff is not None
    if staff.language != language:
        before, staff.language = staff.language, language
        told = {"language": language, "before": before}
        trail.record(tx, trail.study_chain(tx), "staff.language_set", "staff", staff_id, **told)


def check_new_password(tx: Tx, staff: Staff, password: str) -> None:
    """Raise Invalid unless she may take this password: shorter where a second factor is set up and asked for."""
    contact = store.of(trail.INSTALLATION, f"staff/{staff.id}")
    words = _context(grants_of(tx, staff.id), contact.get("email", ""), contact.get("name", ""))
    beside = factors.is_required() and factors.has_any(tx, staff)
    password_rules.check(password, words, password_rules.BESIDE_A_FACTOR if beside else password_rules.ALONE)


def unlock(tx: Tx, staff_id: UUID, reason: str) -> None:
    """Open an account again that a hundred wrong passwords have shut; for a second person."""
    staff = tx.get(Staff, staff_id, lock=True)
    if staff is None or staff.closed_at is not None:
        raise NotFound()
    tries.open_again(tx, staff.email_lookup)
    trail.record(tx, trail.study_chain(tx), "staff.unlocked", "staff", staff_id, reason=reason)


def end_session(tx: Tx, staff_id: UUID, session_id: UUID, reason: str) -> None:
    """End one session of somebody; it holds from its next request on."""
    row = tx.get(SignInSession, session_id, lock=True)
    if row is None or row.staff_id != staff_id:
        raise NotFound()
    if row.ended_at is None:
        row.ended_at, row.ended_reason = tx.now, reason
        watch.record(tx, trail.study_chain(tx), "staff.session_ended", "staff", staff_id, reason=reason)


def end_sessions(tx: Tx, staff_id: UUID, reason: str) -> None:
    """End every session of somebody."""
    if sessions.end(tx, reason, SignInSession.staff_id == staff_id):
        watch.record(tx, trail.study_chain(tx), "staff.session_ended", "staff", staff_id, reason=reason)


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
    staff.totp_sealed, staff.totp_step = factors.seal(staff.id, seed), 0
    sessions.end(tx, "new_seed", SignInSession.staff_id == staff_id)
    trail.record(tx, trail.study_chain(tx), "staff.seed_made", "staff", staff_id)
    return factors.address_of(
        seed, store.of(trail.INSTALLATION, f"staff/{staff_id}").get("email", str(staff_id))
    )


def by_email(tx: Tx, email: str) -> Staff | None:
    return tx.one(sa.select(Staff).where(Staff.email_lookup == tries.account_of(email)))


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


def holding(tx: Tx, study_id: str, site_id: str, role: str) -> list[Any]:
    """Who holds a role at a site and has an open account, in a fixed order: id and language, plain rows."""
    tx.flush()
    asked = {"study_id": study_id, "site_id": site_id, "role": role}
    return list(dict.fromkeys(tx.rows(_HOLDING, asked)))


_HOLDING = (
    sa.select(Staff.id, Staff.language)
    .join(StaffGrant, StaffGrant.staff_id == Staff.id)
    .where(
        StaffGrant.study_id == sa.bindparam("study_id"),
        sa.or_(StaffGrant.site_id == sa.bindparam("site_id"), StaffGrant.site_id == "*"),
        StaffGrant.role == sa.bindparam("role"),
        StaffGrant.revoked_at.is_(None),
        Staff.closed_at.is_(None),
    )
    .order_by(Staff.id)
)


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


def _context(grants: Sequence[Grant], *texts: str) -> list[str]:
    """What others know: the product, the study, the person."""
    places = [part for grant in grants for part in (grant.study_id, grant.site_id, grant.role)]
    return ["epro", db.settings()["APP_NAME"] or "", *places, *texts]


def _check_grant(grant: Grant) -> None:
    if grant.role not in ROLES:
        raise Invalid(f"There is no role of this name; roles are {', '.join(ROLES)}.")
