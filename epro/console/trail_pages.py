"""The trail for who reads it: who did what, when, why, with what before and after; and whether it is whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Response, g, request

from epro.api import looking
from epro.api.door import actor
from epro.console import acting
from epro.console.door import page
from epro.console.page import show
from epro.console.saying import texts
from epro.console.worklist import labels, names_of, site_zone
from epro.responses import trail_sight
from epro.scheduling.models import Occurrence
from epro.signin.models import MachineKey, StaffGrant
from epro.studies import access
from epro.trail import browsing, checks, notes, sealing
from epro.trail.models import TrailCheck
from epro.tx import Tx, look

TRAIL_READERS = ("investigator", "data_manager", "monitor")
LINES = 50
FIELDS = ("actor", "subject", "action", "since", "until")
CHECKS = 10
NAMED = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@page("/studies/<study_id>/trail", roles=TRAIL_READERS, menu="trail.menu", order=70)
def trail_page(study_id: str) -> Response:
    """What was done, the newest first, fifty at a time."""
    asked = {name: request.args.get(name, "").strip()[:100] for name in FIELDS}
    with look(actor()) as tx:
        access.allow(actor(), "trail.read", study_id)
        g.zone = site_zone(tx, study_id)
        people = people_here(tx, study_id, "trail.read")
        behind = browsing.place(request.args.get("behind"))
        wanted = _wanted(study_id, asked, g.zone)
        rows = browsing.page(tx, wanted, trail_sight.scope(tx), behind, LINES + 1)
        told = trail_sight.told(tx, rows[:LINES])
        for one in told:
            if one.event.subject_id is not None:
                answers = one.event.action == "response.amended" and one.changes
                looking.at_row(one.event, "answers" if answers else "record")
        return show(
            "trail.html",
            asked=asked,
            told=told,
            due=_due(tx, told),
            labels=labels(tx, study_id),
            leaves=browsing.leaves(tx, rows[:LINES]),
            behind=browsing.Place(rows[LINES - 1].at, rows[LINES - 1].id) if len(rows) > LINES else None,
            first=behind is None,
            people=people,
            who=acting.who,
            why=acting.why,
            actions=sorted(key.removeprefix("action.") for key in texts() if key.startswith("action.")),
            zone=g.zone,
        )


@page("/studies/<study_id>/trail/checks", roles=TRAIL_READERS)
def trail_checks(study_id: str) -> Response:
    """What the last checks of the trail found, and the newest signed checkpoint."""
    with look(actor()) as tx:
        access.allow(actor(), "trail.read", study_id)
        g.zone = site_zone(tx, study_id)
        newest = sealing.last(tx)
        return show(
            "trail_checks.html",
            checks=[(row, _named(tx, study_id, row)) for row in checks.newest(tx, CHECKS)],
            checkpoint=newest,
            root=notes.root_of(newest.note) if newest else "",
            key=sealing.public_key(tx),
            zone=g.zone,
        )


def _wanted(study_id: str, asked: dict[str, str], zone: str) -> browsing.Wanted:
    since, until = midnight(asked["since"], zone), midnight(asked["until"], zone, days=1)
    found = asked["actor"] or None, asked["subject"] or None, asked["action"] or None
    return browsing.Wanted(study_id, *found, since, until)


def midnight(text: str, zone: str, days: int = 0) -> datetime | None:
    """The beginning of a day at the site, or of one so many days later; None for what is no day."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(day, time(), ZoneInfo(zone))


def _due(tx: Tx, told: Sequence[trail_sight.Told]) -> dict[str, Occurrence]:
    """What was due, by the ids that the entries name it with."""
    said = " ".join(f"{one.event.object_id} {one.changes} {one.details}" for one in told)
    ids = {UUID(found) for found in NAMED.findall(said)}
    query = sa.select(Occurrence).where(
        Occurrence.id.in_(ids), access.visible(tx.actor, "trail.read", Occurrence)
    )
    return {str(row.id): row for row in tx.all(query)} if ids else {}


def people_here(tx: Tx, study_id: str, permission: str) -> dict[str, str]:
    """Who may have acted here, by name: people of the staff, at her sites or at all of them, and machines."""
    held = {one.site_id for one in access.grants_for(tx.actor, permission)}
    here = StaffGrant.site_id.in_({*held, "*"}) if "*" not in held else sa.true()
    staff = tx.all(sa.select(StaffGrant.staff_id).where(StaffGrant.study_id == study_id, here).distinct())
    keys = tx.session.execute(
        sa.select(MachineKey.id, MachineKey.name).where(MachineKey.study_id == study_id)
    )
    named = {f"staff:{id}": name for id, name in names_of(staff).items() if ":" not in id}
    return dict(sorted(named.items(), key=lambda one: one[1])) | {f"key:{row.id}": row.name for row in keys}


def _named(tx: Tx, study_id: str, row: TrailCheck) -> list[Any]:
    """The faults of this study and of the log, for who sees the whole study; for others how many there are."""
    whole = any(one.site_id == "*" for one in access.grants_for(tx.actor, "trail.read"))
    return [one for one in row.named if whole and one[0] in (study_id, "-")]
