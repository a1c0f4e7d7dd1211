"""The administrator's pages: people and their roles, sessions, sites, machine keys, and how the installation is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Response, g
from marshmallow import fields, validate

from epro import production
from epro.api.door import actor
from epro.api.health import SILENT
from epro.api.schemas import ReasonIn, Strict, Text
from epro.console.door import act, page
from epro.console.page import asked, back_to, done_now, show
from epro.console.worklist import names_of, site_zone
from epro.contacts import store
from epro.errors import NotFound
from epro.notifications.models import Heartbeat
from epro.scheduling import protocols
from epro.signin import (
    accounts,
    factors,
    key_ends,
    links,
    machine_keys,
    reminding,
    sessions,
    staff,
    stepup,
    tries,
)
from epro.signin import sources as networks
from epro.studies.access import ROLES
from epro.studies.models import Site
from epro.trail import INSTALLATION
from epro.tx import Grant, Tx, begin, look

ADMIN = ("administrator",)
KEY_ROLES = ("machine", "edc")


class RoleIn(Strict):
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    site = Text(32, load_default="*")


class RoleBackIn(RoleIn):
    reason = Text(500, required=True)


class InviteIn(RoleIn):
    email = Text(200, required=True)
    name = Text(100, required=True)
    language = fields.String(load_default="zh-CN", validate=validate.OneOf(("zh-CN", "en")))
    phone = Text(40)


class KeyIn(Strict):
    name = Text(100, required=True)
    role = fields.String(required=True, validate=validate.OneOf(KEY_ROLES))
    days = fields.Integer(required=True, validate=validate.Range(1, key_ends.LONGEST.days))
    sources = Text(1000, load_default="")


class SourcesIn(ReasonIn):
    sources = Text(1000, load_default="")


@page("/studies/<study_id>/staff", roles=ADMIN, menu="admin.staff", order=80)
def people(study_id: str) -> Response:
    """The accounts that she looks after, and inviting another one."""
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        found = accounts.listed(tx)
        return show(
            "staff.html",
            rows=[(row, grants, tries.is_shut(tx, row.email_lookup)) for row, grants in found],
            names=names_of(row.id for row, _ in found),
            roles=_roles(study_id),
            sites=_sites(tx, study_id),
            me=actor().id,
        )


@page("/studies/<study_id>/staff/<uuid:staff_id>", roles=ADMIN)
def person(study_id: str, staff_id: UUID) -> Response:
    """One account: roles, factors, sessions, and what can be done."""
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        row, grants = next((one for one in accounts.listed(tx) if one[0].id == staff_id), (None, ()))
        if row is None:
            raise NotFound()
        contact = store.of(INSTALLATION, f"staff/{staff_id}")
        return show(
            "person.html",
            row=row,
            grants=grants,
            name=contact.get("name", str(staff_id)[:8]),
            email=contact.get("email", ""),
            has_factor=factors.has_any(tx, row),
            is_shut=tries.is_shut(tx, row.email_lookup),
            sessions=sessions.of_staff(tx, staff_id),
            is_me=actor().id == str(staff_id),
            roles=_roles(study_id),
            sites=_sites(tx, study_id),
        )


@act("/studies/<study_id>/staff", roles=ADMIN)
def invite(study_id: str) -> Response:
    """Invite somebody: a link by e-mail lets her choose a password."""
    wanted = asked(InviteIn)
    grants = [Grant(study_id, wanted.pop("site"), wanted.pop("role"))]
    with begin(actor()) as tx:
        accounts.may_invite(tx, grants)
        stepup.require_resistant(tx)
        row = links.invite(tx, phone=wanted.pop("phone", None), grants=grants, **wanted)
    return back_to("person", study_id=study_id, staff_id=row.id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/link", roles=ADMIN)
def invite_again(study_id: str, staff_id: UUID) -> Response:
    """Another link by e-mail."""
    with _looking_after(staff_id) as tx:
        links.invite_again(tx, staff_id)
    return back_to("person", study_id=study_id, staff_id=staff_id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/roles", roles=ADMIN)
def give_role(study_id: str, staff_id: UUID) -> Response:
    """Give a role; it holds from her next request on."""
    wanted = asked(RoleIn)
    grant = Grant(study_id, wanted["site"], wanted["role"])
    with _looking_after(staff_id) as tx:
        accounts.may_give(tx, [grant])
        accounts.refuse_both_sides(tx, [grant], staff_id)
        staff.give(tx, staff_id, grant)
    return back_to("person", study_id=study_id, staff_id=staff_id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/roles/back", roles=ADMIN)
def take_role(study_id: str, staff_id: UUID) -> Response:
    """Take a role back; it holds from her next request on."""
    wanted = asked(RoleBackIn)
    with _looking_after(staff_id) as tx:
        staff.revoke(tx, staff_id, Grant(study_id, wanted["site"], wanted["role"]), wanted["reason"])
    return back_to("person", study_id=study_id, staff_id=staff_id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/sessions/end", roles=ADMIN)
def end_all_sessions(study_id: str, staff_id: UUID) -> Response:
    """End every session of hers."""
    reason = asked(ReasonIn)["reason"]
    with _looking_after(staff_id) as tx:
        staff.end_sessions(tx, staff_id, reason)
    return back_to("person", study_id=study_id, staff_id=staff_id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/sessions/<uuid:session_id>/end", roles=ADMIN)
def end_one_session(study_id: str, staff_id: UUID, session_id: UUID) -> Response:
    """End one of them."""
    with _looking_after(staff_id) as tx:
        staff.end_session(tx, staff_id, session_id, "ended_by_administrator")
    return back_to("person", study_id=study_id, staff_id=staff_id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/unlock", roles=ADMIN)
def unlock_person(study_id: str, staff_id: UUID) -> Response:
    """Open an account again that wrong passwords have shut."""
    reason = asked(ReasonIn)["reason"]
    with _looking_after(staff_id) as tx:
        staff.unlock(tx, staff_id, reason)
    return back_to("person", study_id=study_id, staff_id=staff_id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/factors/reset", roles=ADMIN)
def reset_factors(study_id: str, staff_id: UUID) -> Response:
    """Take away the second factors of somebody who has lost them."""
    reason = asked(ReasonIn)["reason"]
    with _looking_after(staff_id) as tx:
        factors.reset(tx, staff_id, reason)
    return back_to("person", study_id=study_id, staff_id=staff_id)


@act("/studies/<study_id>/staff/<uuid:staff_id>/close", roles=ADMIN)
def close_person(study_id: str, staff_id: UUID) -> Response:
    """Close an account; every session of it ends at once."""
    reason = asked(ReasonIn)["reason"]
    with _looking_after(staff_id) as tx:
        staff.close(tx, staff_id, reason)
    return back_to("person", study_id=study_id, staff_id=staff_id)


@page("/studies/<study_id>/sites", roles=ADMIN, menu="admin.sites", order=82)
def sites(study_id: str) -> Response:
    """The sites of the study, with the version each follows and who works there."""
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        there = protocols.by_site(tx, study_id)
        working = accounts.by_site(tx, study_id)
        everybody = {one for found in working.values() for one, _ in found}
        return show(
            "sites.html", rows=_sites(tx, study_id), there=there, working=working, names=names_of(everybody)
        )


@page("/studies/<study_id>/keys", roles=ADMIN, menu="admin.keys", order=84)
def keys(study_id: str) -> Response:
    """The machine keys of the study."""
    return _keys(study_id, None)


@act("/studies/<study_id>/keys", roles=ADMIN)
def add_key(study_id: str) -> Response:
    """Make a key; it is shown only now."""
    wanted = asked(KeyIn)
    wanted["sources"] = networks.split(wanted["sources"])
    with begin(actor()) as tx:
        accounts.may_manage_keys(tx, study_id)
        stepup.require_resistant(tx)
        _, text = machine_keys.add(tx, study_id, **wanted)
    return _keys(study_id, text)


@act("/studies/<study_id>/keys/<uuid:key_id>/sources", roles=ADMIN)
def change_sources(study_id: str, key_id: UUID) -> Response:
    """The networks a key may come from; it holds from its next request on."""
    wanted = asked(SourcesIn)
    with begin(actor()) as tx:
        accounts.may_manage_keys(tx, study_id, key_id)
        stepup.require_resistant(tx)
        machine_keys.change_sources(tx, key_id, networks.split(wanted["sources"]), wanted["reason"])
    return back_to("keys", study_id=study_id)


@act("/studies/<study_id>/keys/<uuid:key_id>/revoke", roles=ADMIN)
def revoke_key(study_id: str, key_id: UUID) -> Response:
    """End a key; it holds from its next request on."""
    reason = asked(ReasonIn)["reason"]
    with begin(actor()) as tx:
        accounts.may_manage_keys(tx, study_id, key_id)
        stepup.require_resistant(tx)
        machine_keys.revoke(tx, key_id, reason)
    return back_to("keys", study_id=study_id)


@page("/studies/<study_id>/system", roles=ADMIN, menu="admin.system", order=86)
def installation(study_id: str) -> Response:
    """Workers that live, and whether the settings are as production asks; never what they say."""
    settings, others = production.state()
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        beats = tx.all(sa.select(Heartbeat).order_by(Heartbeat.beat_at.desc()).limit(50))
        return show(
            "system.html",
            beats=[(beat, tx.now - beat.beat_at <= SILENT) for beat in beats],
            settings=settings,
            others=others,
            ending=reminding.near_end(tx, study_id),
            zone=g.zone,
        )


def _keys(study_id: str, made: str | None) -> Response:
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        rows = accounts.keys_of(tx, study_id)
        said = {"just_done": done_now()} if made else {}
        near = {row.id for row in reminding.near_end(tx, study_id)}
        return show("keys.html", rows=rows, near=near, made=made, key_roles=KEY_ROLES, **said)


@contextmanager
def _looking_after(staff_id: UUID) -> Iterator[Tx]:
    with begin(actor()) as tx:
        accounts.must_look_after(tx, staff_id)
        stepup.require_resistant(tx)
        yield tx


def _roles(study_id: str) -> tuple[str, ...]:
    return ROLES if study_id != INSTALLATION else ("administrator", "study_builder", "data_manager")


def _sites(tx: Tx, study_id: str) -> list[Any]:
    return tx.all(sa.select(Site).where(Site.study_id == study_id).order_by(Site.id))
