"""The site: correcting answers, and settling what was set aside. A sponsor's roles read; they never write here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError

from epro.api import looking, telling
from epro.api import telling_corrections as telling_here
from epro.api.door import actor
from epro.api.schemas_corrections import (
    CorrectedOut,
    CorrectionIn,
    CorrectionQuery,
    ResponseStoryOut,
    SetAsideIn,
    SetAsidesOut,
    SetAsideStoryOut,
    SettlementIn,
)
from epro.api.site import site
from epro.errors import Invalid
from epro.notifications import corrections
from epro.responses import correcting, settling
from epro.responses.models import SetAside
from epro.studies import access
from epro.tx import begin, look


@site.get("/responses/<uuid:response_id>")
@site.response(200, ResponseStoryOut)
def one_response(response_id: UUID) -> dict[str, Any]:
    """A response with its whole history: the original, every correction with its reason, the scores of every run."""
    with look(actor()) as tx:
        row = correcting.find(tx, response_id, "response.read")
        looking.at_row(row, "answers")
        return telling_here.story(tx, row)


@site.post("/responses/<uuid:response_id>/amendments")
@site.arguments(CorrectionQuery, location="query")
@site.arguments(CorrectionIn)
@site.response(200, CorrectedOut)
def amendments(asked: dict[str, Any], wanted: dict[str, Any], response_id: UUID) -> dict[str, Any]:
    """Correct answers, with a reason; the original stays. With `?preview=true` nothing is done: the answer tells what
    the scores would be. The investigator decides on it, or a nurse where the study says so; never the sponsor.
    """
    wish = correcting.Wish(**wanted)
    if asked["preview"]:
        with look(actor()) as tx:
            return telling_here.corrected(tx, corrections.preview(tx, response_id, wish), preview=True)
    try:
        with begin(actor()) as tx:
            _refuse_future(wish, tx.now)
            return telling_here.corrected(tx, corrections.correct(tx, response_id, wish), preview=False)
    except IntegrityError:  # an id that stands where nothing can be seen from here
        raise correcting.IdTaken() from None


@site.get("/set-aside")
@site.arguments(SetAsideIn, location="query")
@site.response(200, SetAsidesOut)
def set_asides(asked: dict[str, Any]) -> dict[str, Any]:
    """Uploads that could not be filed, at your sites; `?standing=true` gives those that wait for a person."""
    access.allow(actor(), "response.read")
    with look(actor()) as tx:
        query = sa.select(SetAside).where(access.visible(actor(), "response.read", SetAside))
        if asked["standing"]:
            query = query.where(SetAside.settled_at.is_(None))
        query = telling.asked_for(query, SetAside, asked).order_by(SetAside.received_at, SetAside.id)
        rows = tx.all(query.limit(asked["limit"] + 1).offset(asked["offset"]))
        page = rows[: asked["limit"]]
        for row in page:
            looking.at_row(row, "answers")
        return {"set_asides": telling_here.set_asides(tx, page), "more": len(rows) > len(page)}


@site.get("/set-aside/<uuid:set_aside_id>")
@site.response(200, SetAsideStoryOut)
def one_set_aside(set_aside_id: UUID) -> dict[str, Any]:
    """One upload that was set aside, whole, and what was decided about it."""
    with look(actor()) as tx:
        row = settling.find(tx, set_aside_id, "response.read")
        looking.at_row(row, "answers")
        return telling_here.set_aside(tx, row)


@site.post("/set-aside/<uuid:set_aside_id>/settlement")
@site.arguments(SettlementIn)
@site.response(200, SetAsideStoryOut)
def settlement(wanted: dict[str, Any], set_aside_id: UUID) -> dict[str, Any]:
    """File an upload into its place, or reject it, with a reason; once. It stays as it came, and its receipt holds."""
    left_out = tuple(wanted.pop("leave_out", ()))
    wish = settling.Wish(**wanted, leave_out=left_out)
    try:
        with begin(actor()) as tx:
            return telling_here.set_aside(tx, corrections.settle(tx, set_aside_id, wish).aside)
    except (DataError, IntegrityError):
        detail = "The database does not take this; it can only be rejected."
        raise Invalid(errors=[{"pointer": "", "code": "not_filed", "detail": detail}]) from None


def _refuse_future(wish: correcting.Wish, now: Any) -> None:
    if wish.reported_at is not None and wish.reported_at > now:
        detail = "Nobody has said anything at an instant that is still to come."
        raise Invalid(errors=[{"pointer": "/reported_at", "code": "invalid", "detail": detail}])
