"""What a person asks about data on her: noted with the day by which it is due, answered once, with the reason.

A request to see, to put right, to hold still or to erase. What is done about it is done by the act for it: the access
report, a change of contact data, erasing. Holding still (restriction) is done here: what is on file is kept and is used
no more to reach her, until somebody lifts it.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from epro import trail
from epro.errors import Conflict, Invalid
from epro.privacy.models import RightsRequest
from epro.scheduling import calendar_links
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, undoable

NOTE, ANSWER = "rights.note", "rights.answer"
ACCESS, RECTIFICATION, RESTRICTION, ERASURE, PORTABILITY, OTHER = KINDS = (
    "access",
    "rectification",
    "restriction",
    "erasure",
    "portability",
    "other",
)
USED = "This id is in use."
GRANTED, PARTLY, REFUSED = OUTCOMES = ("granted", "partly", "refused")


class AlreadyAnswered(Conflict):
    """This request has been answered; the first answer is on record."""

    code = "already_answered"


class NotDone(Conflict):
    """Her contact data are not erased yet: erase them first, then say so."""

    code = "not_done_yet"


class NotRestricted(Conflict):
    """Nothing is held still here."""

    code = "not_restricted"


@dataclass(frozen=True)
class Wish:
    """What she asks, on which day, in the words of who notes it. `id`, made by the caller, makes a repeat harmless."""

    kind: str
    asked_on: date
    text: str
    id: UUID | None = None


def due_on(asked: date) -> date:
    """One month later (GDPR 12(3)); the last day of a month that has no such day."""
    year, month = divmod(asked.year * 12 + asked.month, 12)
    return date(year, month + 1, min(asked.day, monthrange(year, month + 1)[1]))


def note(tx: Tx, participant: Participant, wish: Wish) -> RightsRequest:
    """Write down what she asks (she is locked by the caller)."""
    if wish.asked_on > tx.now.astimezone(ZoneInfo(participant.time_zone)).date():
        raise Invalid(errors=[{"pointer": "/asked_on", "code": "invalid", "detail": "This day is to come."}])
    known = tx.get(RightsRequest, participant.study_id, wish.id) if wish.id else None
    if known is not None:
        return _same(known, participant, wish)
    row = _put(tx, participant, wish)
    told = {"kind": row.kind, "asked_on": row.asked_on.isoformat(), "due_on": row.due_on.isoformat()}
    trail.record(tx, participant, "rights.asked", "rights_request", row.id, **told)
    return row


def answer(
    tx: Tx, request_id: UUID, outcome: str, reason: str, *, study_id: str | None = None
) -> RightsRequest:
    """Answer it, once. A restriction that is granted holds from now on. Raises AlreadyAnswered, NotDone, NotFound."""
    found = find(tx, request_id, ANSWER, study_id=study_id)
    participant = tx.get(Participant, found.study_id, found.subject_id, lock=True)
    row = tx.get(RightsRequest, found.study_id, request_id, lock=True)
    assert participant is not None and row is not None
    if row.answered_at is not None:
        if (row.outcome, row.answer) == (outcome, reason):
            return row
        raise AlreadyAnswered()
    if row.kind == ERASURE and outcome == GRANTED and participant.erased_at is None:
        raise NotDone()
    row.answered_at, row.answered_by, row.outcome, row.answer = tx.now, str(tx.actor), outcome, reason
    told: dict[str, Any] = {"kind": row.kind, "outcome": outcome}
    trail.record(tx, participant, "rights.answered", "rights_request", row.id, reason=reason, **told)
    if row.kind == RESTRICTION and outcome != REFUSED:
        _restrict(tx, participant, reason)
    return row


def lift(tx: Tx, participant: Participant, reason: str) -> None:
    """What was held still may be used again (she is locked by the caller). Raises NotRestricted."""
    if participant.restricted_at is None:
        raise NotRestricted()
    participant.restricted_at = None
    trail.record(
        tx, participant, "participant.unrestricted", "participant", participant.subject_id, reason=reason
    )


def find(tx: Tx, request_id: UUID, permission: str = NOTE, *, study_id: str | None = None) -> RightsRequest:
    """The request of this id at one of the actor's sites. Raises NotFound; Conflict where two studies have it."""
    query = sa.select(RightsRequest).where(RightsRequest.id == request_id, _visible(tx, permission))
    if study_id is not None:
        query = query.where(RightsRequest.study_id == study_id)
    found: RightsRequest = access.the_one(
        tx, query, "This id stands in more than one study: name it with `study`."
    )
    return found


def listed(tx: Tx, *, standing: bool) -> sa.Select[Any]:
    """The requests at the actor's sites, those due first first; those that wait for an answer, or all."""
    query = sa.select(RightsRequest).where(_visible(tx, NOTE))
    if standing:
        query = query.where(RightsRequest.answered_at.is_(None))
    return query.order_by(RightsRequest.due_on, RightsRequest.noted_at, RightsRequest.id)


def restricted(tx: Tx, study_id: str) -> list[Participant]:
    """The participants at the actor's sites whose data are held still, those longest first."""
    query = sa.select(Participant).where(
        Participant.study_id == study_id,
        Participant.restricted_at.is_not(None),
        access.visible(tx.actor, NOTE),
    )
    return tx.all(query.order_by(Participant.restricted_at, Participant.subject_id))


def _visible(tx: Tx, permission: str) -> sa.ColumnElement[bool]:
    access.allow(tx.actor, permission)
    return access.visible(tx.actor, permission, RightsRequest)


def _restrict(tx: Tx, participant: Participant, reason: str) -> None:
    if participant.restricted_at is not None:
        return
    participant.restricted_at = tx.now
    trail.record(
        tx, participant, "participant.restricted", "participant", participant.subject_id, reason=reason
    )
    calendar_links.revoke(tx, participant, reason)


def _put(tx: Tx, participant: Participant, wish: Wish) -> RightsRequest:
    """The row. An id that another site has used is taken, though its row is not to be seen from here."""
    row = RightsRequest(
        study_id=participant.study_id,
        id=wish.id or uuid4(),
        subject_id=participant.subject_id,
        kind=wish.kind,
        text=wish.text,
        asked_on=wish.asked_on,
        due_on=due_on(wish.asked_on),
        noted_by=str(tx.actor),
        noted_at=tx.now,
    )
    try:
        with undoable(tx):
            tx.add(row)
            tx.session.flush()
    except IntegrityError:
        raise Conflict(USED) from None
    return row


def _same(row: RightsRequest, participant: Participant, wish: Wish) -> RightsRequest:
    if (row.subject_id, row.kind, row.asked_on, row.text) != (
        participant.subject_id,
        wish.kind,
        wish.asked_on,
        wish.text,
    ):
        raise Conflict(USED)
    return row
