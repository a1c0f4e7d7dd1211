"""Whom an administrator looks after: accounts of her studies, with the roles she may give there."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, NotAllowed, NotFound
from epro.signin import staff
from epro.signin.models import MachineKey, Staff, StaffGrant
from epro.studies import access
from epro.studies.models import Site, Study
from epro.tx import Grant, Tx

MANAGE, KEYS = "staff.manage", "key.manage"


def listed(tx: Tx) -> list[tuple[Staff, tuple[Grant, ...]]]:
    """The accounts that the person who acts looks after, with the roles they hold now, in the order they were made."""
    access.allow(tx.actor, MANAGE)
    found = [
        (row, staff.grants_of(tx, row.id))
        for row in tx.all(sa.select(Staff).order_by(Staff.created_at, Staff.id))
    ]
    return [(row, grants) for row, grants in found if _looks_after(tx, row.id)]


def must_look_after(tx: Tx, staff_id: UUID) -> None:
    """Raise NotFound unless all that this account ever held lies where the person who acts is administrator.

    Nobody looks after herself: what is done to an account is done by a second person.
    """
    access.allow(tx.actor, MANAGE)
    if tx.get(Staff, staff_id) is None or not _looks_after(tx, staff_id):
        raise NotFound()
    if tx.actor.kind == "staff" and tx.actor.id == str(staff_id):
        raise NotAllowed("Another administrator must do this for you.")


class BothSides(Conflict):
    """One person is of the site or of the sponsor in a study, never both: take the other role back first."""

    code = "both_sides"


def refuse_both_sides(tx: Tx, grants: Sequence[Grant], staff_id: UUID | None = None) -> None:
    """Raise BothSides where these roles, with those that she holds, would make one person site and sponsor."""
    held: tuple[Grant, ...] = ()
    if staff_id is not None:
        tx.get(Staff, staff_id, lock=True)  # two who give at once are one after the other
        held = staff.grants_of(tx, staff_id)
    if access.are_of_both_sides((*held, *grants)):
        raise BothSides()


def may_invite(tx: Tx, grants: Sequence[Grant]) -> None:
    """Raise unless the person who acts may make an account with these roles."""
    access.allow(tx.actor, MANAGE)
    may_give(tx, grants)
    refuse_both_sides(tx, grants)


def may_give(tx: Tx, grants: Sequence[Grant]) -> None:
    """Raise unless the person who acts may give these roles, and their places are there."""
    for grant in grants:
        if not _administers(tx, grant.study_id, grant.site_id):
            raise NotFound()
        if grant.study_id == trail.INSTALLATION:
            continue
        if tx.get(Study, grant.study_id) is None:
            raise NotFound()
        if grant.site_id != "*" and tx.get(Site, grant.study_id, grant.site_id) is None:
            raise NotFound()


def by_site(tx: Tx, study_id: str) -> dict[str, list[tuple[UUID, str]]]:
    """Who works where in a study now, with which role: site ("*": all of them) -> people."""
    access.allow(tx.actor, MANAGE, study_id)
    query = (
        sa.select(StaffGrant.site_id, StaffGrant.staff_id, StaffGrant.role)
        .join(Staff, Staff.id == StaffGrant.staff_id)
        .where(StaffGrant.study_id == study_id, StaffGrant.revoked_at.is_(None), Staff.closed_at.is_(None))
    )
    found: dict[str, list[tuple[UUID, str]]] = {}
    for row in tx.session.execute(query.order_by(StaffGrant.role, StaffGrant.staff_id)):
        if _administers(tx, study_id, row.site_id):
            found.setdefault(row.site_id, []).append((row.staff_id, row.role))
    return found


def may_manage_keys(tx: Tx, study_id: str, key_id: UUID | None = None) -> None:
    """Raise unless the person who acts may make keys of this study, which are of all its sites; or end this one."""
    access.one_study(tx.actor, KEYS, study_id)
    if key_id is None:
        return
    row = tx.get(MachineKey, key_id)
    if row is None or row.study_id != study_id:
        raise NotFound()


def keys_of(tx: Tx, study_id: str) -> list[MachineKey]:
    """The machine keys of a study, the newest first."""
    may_manage_keys(tx, study_id)
    query = sa.select(MachineKey).where(MachineKey.study_id == study_id)
    return tx.all(query.order_by(MachineKey.made_at.desc(), MachineKey.id))


def _looks_after(tx: Tx, staff_id: UUID) -> bool:
    query = sa.select(StaffGrant.study_id, StaffGrant.site_id).where(StaffGrant.staff_id == staff_id)
    held = tx.session.execute(query).all()
    return all(_administers(tx, row.study_id, row.site_id) for row in held) and (
        bool(held) or _administers(tx, trail.INSTALLATION, "*")
    )


def _administers(tx: Tx, study_id: str, site_id: str) -> bool:
    if tx.actor.kind == "system":
        return True
    held = access.grants_for(tx.actor, MANAGE)
    return any(
        grant.study_id == trail.INSTALLATION
        or (grant.study_id == study_id and grant.site_id in ("*", site_id))
        for grant in held
    )
