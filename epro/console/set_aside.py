"""Uploads that could not be filed, and the decision about each: into its place, as a correction, or rejected.

Filing changes what is on record, so the site decides; a sponsor's roles see the list and may ask.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Response as Reply
from flask import g, request
from sqlalchemy.exc import DataError, IntegrityError

from epro.api import looking, telling_corrections
from epro.api.door import actor
from epro.api.schemas_corrections import SettlementIn
from epro.console.answers import may_correct, on_her_clock
from epro.console.door import act, page
from epro.console.page import asked_with, back_to, show
from epro.console.participants import READERS
from epro.console.queries import may_ask
from epro.console.worklist import SITE_ROLES, labels, names_of, site_zone
from epro.errors import Invalid
from epro.notifications import corrections
from epro.responses import receipts, settling, sight, uploads
from epro.responses.models import Response, SetAside
from epro.responses.submission import Submission
from epro.responses.uploads import Reading
from epro.scheduling import occurrences
from epro.scheduling.models import Occurrence
from epro.scheduling.state import state_of
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, begin, look

MOST = 100
PLACES = 60


@page("/studies/<study_id>/set-aside", roles=SITE_ROLES, menu="aside.menu", order=28)
def set_asides(study_id: str) -> Reply:
    """What waits for a decision, the oldest first; then what was decided last."""
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        query = sa.select(SetAside).where(
            SetAside.study_id == study_id, access.visible(actor(), "response.read", SetAside)
        )
        waiting = tx.all(
            query.where(SetAside.settled_at.is_(None)).order_by(SetAside.received_at, SetAside.id).limit(MOST)
        )
        settled = tx.all(
            query.where(SetAside.settled_at.is_not(None)).order_by(SetAside.settled_at.desc()).limit(20)
        )
        told = telling_corrections.set_asides(tx, settled)
        for row in (*waiting, *settled):
            looking.at_row(row, "answers")
        return show(
            "set_asides.html",
            waiting=telling_corrections.set_asides(tx, waiting),
            settled=told,
            names=names_of(one["settlement"]["settled_by"] for one in told),
        )


@page("/studies/<study_id>/set-aside/<uuid:set_aside_id>", roles=READERS)
def set_aside(study_id: str, set_aside_id: UUID) -> Reply:
    """One upload, whole, and what can be made of it."""
    with look(actor()) as tx:
        row = settling.find(tx, set_aside_id, "response.read")
        looking.at_row(row, "answers")
        her = tx.get(Participant, row.study_id, row.subject_id)
        assert her is not None
        g.zone = her.time_zone
        told = telling_corrections.set_aside(tx, row)
        content, made, about = told.get("content"), told["settlement"], _on_file(tx, row, told["settlement"])
        held_against = about if row.outcome == receipts.CONFLICT else None
        read = uploads.reading(tx, row, content, her.language, held_against)
        return show(
            "set_aside.html",
            her=her,
            listed="set_asides" if _is_site() else "held",
            told=told,
            raw=None if content is None else json.dumps(content, ensure_ascii=False, indent=2),
            read=read,
            started_at=_ours(row, read.submission.started_at),
            completed_at=_ours(row, read.submission.completed_at),
            unfit=[(item, read.asked(item) or item[:100], _short(code)) for item, code in read.unfit.items()],
            place=_place(tx, row, read.submission),
            places=_places(tx, her, read) if may_correct(tx, her) else [],
            may=may_correct(tx, her) and made is None and not sight.hides_content(tx, her),
            about=about.id if about else None,
            asks=may_ask(),
            label=labels(tx, study_id),
            names=names_of([made["settled_by"]] if made else []),
        )


@act("/studies/<study_id>/set-aside/<uuid:set_aside_id>/settle", roles=SITE_ROLES)
def settle(study_id: str, set_aside_id: UUID) -> Reply:
    """Decide, once."""
    left_out = [one for one in request.form.getlist("leave_out") if one]
    more = {**({"leave_out": left_out} if left_out else {}), **_completed(set_aside_id)}
    said = asked_with(SettlementIn, more, leave_out=lambda name: name in ("leave_out", "completed_local"))
    said.pop("leave_out", None)
    wish = settling.Wish(**said, leave_out=tuple(left_out))
    try:
        with begin(actor()) as tx:
            corrections.settle(tx, set_aside_id, wish)
    except (DataError, IntegrityError):
        raise Invalid(errors=[{"pointer": "", "code": "not_filed", "detail": ""}]) from None
    return back_to("set_aside", study_id=study_id, set_aside_id=set_aside_id)


def _on_file(tx: Tx, row: SetAside, made: Mapping[str, Any] | None) -> Response | None:
    """The answer on file that it was filed as, or that it contradicts: there a query about it stands."""
    try:
        named = (made and made["response_id"]) or UUID(row.response_id or "")
    except ValueError:
        return None
    hers = (Response.study_id == row.study_id, Response.subject_id == row.subject_id, Response.id == named)
    found: Response | None = tx.one(sa.select(Response).where(*hers))
    return found


def _is_site() -> bool:
    return any(grant.role in SITE_ROLES for grant in actor().grants)


def _short(code: Any) -> str:
    """An answer that no question has, as it came."""
    return json.dumps(code, ensure_ascii=False)[:100]


def _completed(set_aside_id: UUID) -> dict[str, str]:
    """The completion by a wall clock, told as the phone would have told it, whose clock is corrected."""
    text = request.form.get("completed_local", "")
    if not text:
        return {}
    with look(actor()) as tx:
        row = settling.find(tx, set_aside_id, "response.read")
        her = tx.get(Participant, row.study_id, row.subject_id)
        assert her is not None
        there = on_her_clock("completed_at", text, her.time_zone)
        return {"completed_at": (there - uploads.corrected_by(row)).isoformat()}


def _ours(row: SetAside, instant: datetime | None) -> datetime | None:
    """An instant that the phone tells, by our clock."""
    return None if instant is None else instant + uploads.corrected_by(row)


def _place(tx: Tx, row: SetAside, said: Submission) -> Occurrence | None:
    """What it says it answers, if that is hers."""
    found = tx.get(Occurrence, row.study_id, said.occurrence_id) if said.occurrence_id else None
    return found if found is not None and found.subject_id == row.subject_id else None


def _places(tx: Tx, her: Participant, read: Reading) -> list[tuple[Occurrence, str]]:
    """What was or is due of the same questionnaire, the newest first, each with its state: where it may belong."""
    wanted = read.sheet.instrument.code if read.sheet else None
    due = [one for one in occurrences.of(tx, her) if one.opens_at <= tx.now]
    fit = [one for one in due if wanted in (None, one.instrument_code)]
    return [(one, state_of(one, tx.now).value) for one in fit[::-1][:PLACES]]
