"""Links by e-mail: an invitation to choose a first password, and the way back for who has lost hers.

A link opens one thing once: choosing a password. It shows no second factor and takes none away, so whoever reads her
mail alone does not come in. An address that nobody has is answered like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.errors import EproError, NotFound
from epro.signin import emergency, letters, password_rules, passwords, staff, tickets, tries
from epro.signin.models import Staff, StaffLetter, Ticket
from epro.tx import Grant, Tx, begin, look

LINK, RECOVERY_DOOR = "link", "nobody"
INVITED_FOR, RECOVERING_FOR = timedelta(hours=24), timedelta(minutes=15)
NOT_AGAIN_FOR = timedelta(minutes=2)  # nobody fills somebody's mailbox by asking and asking


class LinkNotAccepted(EproError):
    """This link opens nothing: it was used, has run out, or was replaced by a newer one."""

    status, code = 401, "link_not_accepted"


class SignsInElsewhere(EproError):
    """Passwords are not used here any more: this account signs in at the identity provider."""

    status, code = 403, "signs_in_elsewhere"


def invite(
    tx: Tx, *, email: str, name: str, language: str, phone: str | None, grants: Sequence[Grant]
) -> Staff:
    """A new account with its roles, and the letter with which its owner chooses a password; nobody else does."""
    row, _ = staff.add(
        tx, email=email, name=name, password=None, language=language, phone=phone, grants=grants
    )
    _send(tx, row.id, "invitation", INVITED_FOR)
    return row


def invite_again(tx: Tx, staff_id: UUID) -> None:
    """Another letter to somebody who has no password yet; or, for who has one, the way back (`recovery`)."""
    row = tx.get(Staff, staff_id, lock=True)
    if row is None or row.closed_at is not None:
        raise NotFound()
    way_back = row.password_hash and emergency.comes_here(row)
    kind, life = ("recovery", RECOVERING_FOR) if way_back else ("invitation", INVITED_FOR)
    _send(tx, row.id, kind, life)
    trail.record(tx, trail.study_chain(tx), "staff.link_sent", "staff", row.id, kind=kind)


def ask_recovery(email: str) -> None:
    """Send the way back to who has this address, if anybody has. The same is answered, and as much is written."""
    with begin(staff.DOOR) as tx:
        row = staff.by_email(tx, email)
        comes = row is not None and row.closed_at is None and emergency.comes_here(row)
        if row is None or not comes or _asked_just_now(tx, row.id):
            tickets.make(tx, RECOVERY_DOOR, RECOVERING_FOR)
            return
        _send(tx, row.id, "recovery", RECOVERING_FOR)
        trail.record(tx, trail.study_chain(tx), "staff.recovery_asked", "staff", row.id)


def is_good(secret: str) -> bool:
    """Whether this link still opens something."""
    with look(staff.DOOR) as tx:
        return tickets.find(tx, LINK, secret) is not None


def choose_password(secret: str, password: str) -> UUID:
    """Keep the password that the holder of this link has chosen; the link is spent, and every session of hers ends.

    Raises LinkNotAccepted; SignsInElsewhere and Invalid, when the password is not taken, and then the link still
    opens.
    """
    with look(staff.DOOR) as tx:
        staff_id = _whose(tx, secret)
        row = tx.get(Staff, staff_id)
        assert row is not None
        if not emergency.comes_here(row):
            raise SignsInElsewhere()
        staff.check_new_password(tx, row, password)
    hashed = passwords.hashed(password_rules.normal(password))
    with begin(staff.DOOR) as tx:
        row = tx.get(Staff, staff_id, lock=True)
        taken = tickets.take(tx, LINK, secret)
        if taken is None or row is None or row.closed_at is not None:
            raise LinkNotAccepted()
        staff.change_password(tx, row, hashed)
        tries.open_again(tx, row.email_lookup)
    return staff_id


def invited_to_link(tx: Tx, secret: str) -> UUID:
    """Whose account this link may be linked by with an identity elsewhere: an administrator's invitation, and no
    link that somebody has asked for herself. Raises LinkNotAccepted.
    """
    found = tickets.find(tx, LINK, secret)
    if found is None or found.staff_id is None or (found.content or {}).get("kind") != "invitation":
        raise LinkNotAccepted()
    return found.staff_id


def spend_invitation(tx: Tx, staff_id: UUID) -> bool:
    """Whether an invitation of hers was still good (her account is locked); it is no more."""
    rows = tx.all(sa.select(Ticket).where(Ticket.staff_id == staff_id, Ticket.purpose == LINK))
    good = any(row.expires_at > tx.now and (row.content or {}).get("kind") == "invitation" for row in rows)
    tickets.end(tx, staff_id, LINK)
    return good


def invite_to_link(tx: Tx, staff_id: UUID) -> None:
    """A letter whose link joins an account with an identity elsewhere; for a second person to send."""
    row = tx.get(Staff, staff_id, lock=True)
    if row is None or row.closed_at is not None:
        raise NotFound()
    _send(tx, staff_id, "invitation", INVITED_FOR)
    trail.record(tx, trail.study_chain(tx), "staff.link_sent", "staff", row.id, kind="invitation")


def _whose(tx: Tx, secret: str) -> UUID:
    found = tickets.find(tx, LINK, secret)
    if found is None or found.staff_id is None:
        raise LinkNotAccepted()
    return found.staff_id


def _send(tx: Tx, staff_id: UUID, kind: str, life: timedelta) -> None:
    """One link at a time: the newest."""
    tickets.end(tx, staff_id, LINK)
    secret = tickets.make(tx, LINK, life, staff_id, {"kind": kind})
    letters.post(tx, staff_id, kind, secret, life)


def _asked_just_now(tx: Tx, staff_id: UUID) -> bool:
    recent = sa.select(StaffLetter.id).where(
        StaffLetter.staff_id == staff_id,
        StaffLetter.kind.in_(("recovery", "invitation")),
        StaffLetter.made_at > tx.now - NOT_AGAIN_FOR,
    )
    return tx.one(recent) is not None
