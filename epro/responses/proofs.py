"""Proof that what a receipt is for stands in the log of the trail, for whoever has the receipt."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.errors import NotAllowed, NotFound
from epro.responses import receipts, sight
from epro.responses.models import Response, SetAside
from epro.studies import access
from epro.studies.models import Participant
from epro.trail import proving
from epro.trail.entries import instant
from epro.trail.models import Event
from epro.tx import Tx


def of_event(tx: Tx, event: Event) -> dict[str, Any]:
    """The proof of an event, with the receipt that was given in its act. Raises NotSealed."""
    proof = proving.prove(tx, event)
    given = _receipt(tx, event)
    return {**proof, "receipt": given} if given else proof


def of_participant(tx: Tx, response_id: UUID) -> dict[str, Any]:
    """The proof for a receipt of hers who asks, by the id that her phone gave. Raises NotFound, NotSealed."""
    who = (Event.study_id == tx.actor.study_id, Event.subject_id == tx.actor.subject_id)
    here = (SetAside.study_id == tx.actor.study_id, SetAside.subject_id == tx.actor.subject_id)
    aside = tx.one(sa.select(SetAside.id).where(*here, SetAside.response_id == str(response_id)))
    wanted = {str(response_id), *([str(aside)] if aside else [])}
    actions = ("response.stored", "response.held", "response.conflict")
    event = proving.find(tx, *who, Event.object_id.in_(wanted), Event.action.in_(actions))
    return of_event(tx, event)


def of_response(tx: Tx, response_id: UUID) -> dict[str, Any]:
    """The proof for the receipt of a response or set-aside at one of the actor's sites, by the id on the receipt. It
    is for who may read the answers: it holds their digest, which tells the one of few, and why they were corrected.

    Raises NotFound, NotAllowed, NotSealed.
    """
    access.allow(tx.actor, "response.read")
    seen = access.visible(tx.actor, "response.read", Response)
    aside_seen = access.visible(tx.actor, "response.read", SetAside)
    row = tx.one(sa.select(Response).where(Response.id == response_id, seen)) or tx.one(
        sa.select(SetAside).where(SetAside.response_id == str(response_id), aside_seen)
    )
    if row is None:
        raise NotFound()
    _refuse_hidden(tx, row)
    where = (Event.study_id == row.study_id, Event.subject_id == row.subject_id)
    actions = ("response.stored", "response.held", "response.conflict", "response.amended")
    return of_event(tx, proving.find(tx, *where, Event.object_id == str(row.id), Event.action.in_(actions)))


def _refuse_hidden(tx: Tx, row: Response | SetAside) -> None:
    """Raise NotAllowed where the actor must not learn what was answered."""
    her = tx.get(Participant, row.study_id, row.subject_id)
    asked = (row.instrument_code, row.instrument_version) if isinstance(row, Response) else None
    if sight.hides_content(tx, her, asked):
        raise NotAllowed("What you may not read is not proven to you.")


def by_text(tx: Tx, text: str) -> dict[str, Any]:
    """The proof of the event, response or set-aside of this id. Raises NotFound, NotSealed."""
    return of_event(tx, proving.by_text(tx, text))


def _receipt(tx: Tx, event: Event) -> dict[str, str | None] | None:
    if event.action == "response.stored":
        row: Any = tx.get(Response, event.study_id, UUID(event.object_id))
        named: str | None = event.object_id
    elif event.action in ("response.held", "response.conflict"):
        row = tx.get(SetAside, event.study_id, UUID(event.object_id))
        named = row.response_id if row else None
    else:
        return None
    if row is None:
        raise NotFound()
    return {
        "id": named,
        "digest": row.digest,
        "received_at": instant(row.received_at),
        "signature": row.signature,
        "key": receipts.public_key()["public_key"],
    }
