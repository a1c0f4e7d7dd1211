"""Accounts of the staff, for administrators: inviting, roles, locks, endings. Nobody chooses another's password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from epro.api.door import Door, actor, staff_lock
from epro.api.schemas_staff import AccountOut, AccountsOut, GrantBackIn, GrantIn, InvitationIn, WhyIn
from epro.signin import accounts, factors, links, sso, staff, stepup, tries
from epro.signin.models import Staff
from epro.tx import Grant, Tx, begin, look

door = Door("staff_accounts", "/v1/staff/accounts", "Staff: accounts", staff_lock)


@door.get("")
@door.response(200, AccountsOut)
def listed() -> dict[str, Any]:
    """The accounts of your studies, with the roles they hold now."""
    with look(actor()) as tx:
        return {"accounts": [_told(tx, row, grants) for row, grants in accounts.listed(tx)]}


@door.post("")
@door.arguments(InvitationIn)
@door.response(201, AccountOut)
def invite(asked: dict[str, Any]) -> dict[str, Any]:
    """Invite somebody with her roles: a link by e-mail lets her choose a password. Asks for a step-up."""
    grants = [_grant(one) for one in asked.pop("roles")]
    with begin(actor()) as tx:
        accounts.may_invite(tx, grants)
        stepup.require_resistant(tx)
        row = links.invite(tx, phone=asked.pop("phone", None), grants=grants, **asked)
        return _told(tx, row, tuple(grants))


@door.post("/<uuid:staff_id>/invitation")
@door.response(204)
def invite_again(staff_id: UUID) -> None:
    """Another link by e-mail: the invitation again, or the way back for who has lost her password."""
    with _looking_after(staff_id) as tx:
        links.invite_again(tx, staff_id)


@door.post("/<uuid:staff_id>/roles")
@door.arguments(GrantIn)
@door.response(204)
def give(asked: dict[str, Any], staff_id: UUID) -> None:
    """Give a role; it holds from her next request on. Asks for a step-up."""
    with _looking_after(staff_id) as tx:
        accounts.may_give(tx, [_grant(asked)])
        accounts.refuse_both_sides(tx, [_grant(asked)], staff_id)
        staff.give(tx, staff_id, _grant(asked))


@door.post("/<uuid:staff_id>/roles/revocation")
@door.arguments(GrantBackIn)
@door.response(204)
def revoke(asked: dict[str, Any], staff_id: UUID) -> None:
    """Take a role back; it holds from her next request on. Asks for a step-up."""
    with _looking_after(staff_id) as tx:
        staff.revoke(tx, staff_id, _grant(asked), asked["reason"])


@door.post("/<uuid:staff_id>/sessions/end")
@door.arguments(WhyIn)
@door.response(204)
def end_sessions(asked: dict[str, Any], staff_id: UUID) -> None:
    """End every session of hers at once."""
    with _looking_after(staff_id) as tx:
        staff.end_sessions(tx, staff_id, asked["reason"])


@door.post("/<uuid:staff_id>/unlocking")
@door.arguments(WhyIn)
@door.response(204)
def unlock(asked: dict[str, Any], staff_id: UUID) -> None:
    """Open an account again that a hundred wrong passwords have shut. Asks for a step-up."""
    with _looking_after(staff_id) as tx:
        staff.unlock(tx, staff_id, asked["reason"])


@door.post("/<uuid:staff_id>/factors/reset")
@door.arguments(WhyIn)
@door.response(204)
def reset_factors(asked: dict[str, Any], staff_id: UUID) -> None:
    """Take away the second factors of somebody who has lost them; she sets up another. Asks for a step-up."""
    with _looking_after(staff_id) as tx:
        factors.reset(tx, staff_id, asked["reason"])


@door.post("/<uuid:staff_id>/identity-invitation")
@door.response(204)
def invite_to_link(staff_id: UUID) -> None:
    """A link by e-mail that joins her account with her identity at the provider. Asks for a step-up."""
    with _looking_after(staff_id) as tx:
        links.invite_to_link(tx, staff_id)


@door.post("/<uuid:staff_id>/identity-removal")
@door.arguments(WhyIn)
@door.response(204)
def unlink(asked: dict[str, Any], staff_id: UUID) -> None:
    """Take her identity at the provider away, with the sessions that came by it. Asks for a step-up."""
    with _looking_after(staff_id) as tx:
        sso.unlink(tx, staff_id, asked["reason"])


@door.post("/<uuid:staff_id>/closing")
@door.arguments(WhyIn)
@door.response(204)
def close(asked: dict[str, Any], staff_id: UUID) -> None:
    """Close an account; every session of it ends at once. Asks for a step-up."""
    with _looking_after(staff_id) as tx:
        staff.close(tx, staff_id, asked["reason"])


@contextmanager
def _looking_after(staff_id: UUID) -> Iterator[Tx]:
    with begin(actor()) as tx:
        accounts.must_look_after(tx, staff_id)
        stepup.require_resistant(tx)
        yield tx


def _grant(asked: dict[str, Any]) -> Grant:
    return Grant(asked["study"], asked["site"], asked["role"])


def _told(tx: Tx, row: Staff, grants: tuple[Grant, ...]) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "closed_at": row.closed_at,
        "has_password": bool(row.password_hash),
        "has_second_factor": factors.has_any(tx, row),
        "is_shut": tries.is_shut(tx, row.email_lookup),
        "roles": grants,
    }
