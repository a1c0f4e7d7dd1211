"""Excusing a participant on a page: what of some days can be excused, or is, is shown first; then it is done.

What is done is what was shown: each form brings back the mark of what stood above it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Response, g, request
from marshmallow import fields

from epro import canonical
from epro.api import looking
from epro.api.door import actor
from epro.api.schemas import ExcuseIn, ReasonIn, Strict, day
from epro.console.door import act, page
from epro.console.moving import MovedOn
from epro.console.page import asked, back_to, show
from epro.console.worklist import SITE_ROLES, labels
from epro.errors import NotFound
from epro.notifications import excuses as room
from epro.notifications.recalls import waiting_for
from epro.scheduling import excusing
from epro.scheduling.excusing import Found
from epro.scheduling.models import Occurrence
from epro.scheduling.state import state_of
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, begin, look

WHICH = ("first_day", "last_day", "occurrence")


class WhichIn(Strict):
    first_day = day(required=True)
    last_day = day(required=True)
    occurrence = fields.UUID()


@page("/studies/<study_id>/participants/<subject_id>/excuses", roles=SITE_ROLES)
def excuses(study_id: str, subject_id: str) -> Response:
    """With days in the address: what of them can be excused, and what is. Nothing is done."""
    wanted = {name: request.args.get(name, "").strip() for name in WHICH}
    with look(actor()) as tx:
        row = _find(tx, study_id, subject_id)
        looking.at_row(row, "record")
        g.zone = row.time_zone
        chosen = wanted["first_day"] or wanted["last_day"]
        open_to, given = [
            _chosen(tx, row, wanted, stands) if chosen else Found([], 0) for stands in (False, True)
        ]
        return show(
            "excuses.html",
            row=row,
            wanted=wanted,
            chosen=chosen,
            excusable=open_to,
            excused=given,
            missed=sum(one.missed_at is not None for one in open_to.rows),
            recalled=waiting_for(tx, [one.id for one in open_to.rows]),
            marks=[_mark(open_to.rows), _mark(given.rows)],
            states={one.id: state_of(one, tx.now).value for one in (*open_to.rows, *given.rows)},
            reasons=excusing.REASONS,
            today=tx.now.astimezone(ZoneInfo(row.time_zone)).date(),
            label=labels(tx, study_id),
        )


@act("/studies/<study_id>/participants/<subject_id>/excuses", roles=SITE_ROLES)
def excuse(study_id: str, subject_id: str) -> Response:
    """Excuse her from what was shown."""
    said = asked(ExcuseIn, _said("reason", "note"))
    with begin(actor()) as tx:
        row, found = _shown(tx, (study_id, subject_id), stands=False)
        room.excuse(tx, row, found.rows, said["reason"], said.get("note"))
    return back_to("participant", study_id=study_id, subject_id=subject_id)


@act("/studies/<study_id>/participants/<subject_id>/excuses/take-back", roles=SITE_ROLES)
def take_back_excuse(study_id: str, subject_id: str) -> Response:
    """Take the excuses that were shown back."""
    reason = asked(ReasonIn, _said("reason"))["reason"]
    with begin(actor()) as tx:
        row, found = _shown(tx, (study_id, subject_id), stands=True)
        room.take_back(tx, row, found.rows, reason)
    return back_to("participant", study_id=study_id, subject_id=subject_id)


def _shown(tx: Tx, of: tuple[str, str], *, stands: bool) -> tuple[Participant, Found]:
    """She, locked, and what stood above the form. Raises MovedOn when that is not what is there now."""
    row = _find(tx, *of, lock=True)
    found = _chosen(tx, row, _said(*WHICH), stands)
    if _mark(found.rows) != request.form.get("mark"):
        raise MovedOn()
    return row, found


def _find(tx: Tx, study_id: str, subject_id: str, *, lock: bool = False) -> Participant:
    return access.participant(tx, subject_id, excusing.PERMISSION, study_id=study_id, lock=lock)


def _said(*names: str) -> dict[str, str]:
    return {name: text for name in names if (text := request.form.get(name, "").strip())}


def _chosen(tx: Tx, row: Participant, wanted: Mapping[str, str], stands: bool) -> Found:
    """What suits of these days; of one occurrence where it is named. Raises Invalid, NotFound."""
    said = asked(WhichIn, {name: text for name, text in wanted.items() if text})
    found = excusing.between(tx, row, said["first_day"], said["last_day"], stands=stands)
    one: UUID | None = said.get("occurrence")
    if one is None:
        return found
    named = tx.get(Occurrence, row.study_id, one)
    if named is None or named.subject_id != row.subject_id:
        raise NotFound()
    return Found([each for each in found.rows if each.id == one], 0)


def _mark(rows: Sequence[Occurrence]) -> str:
    """What was shown, in short: which they are, when, and which of them were missed."""
    shown = sorted(f"{row.id} {row.opens_at.isoformat()} {row.missed_at is not None}" for row in rows)
    return hashlib.sha256(canonical.encode({"shown": shown})).hexdigest()
