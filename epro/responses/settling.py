"""Settling what was set aside, once and with a reason: filed into its place, as a correction, or rejected.

The upload itself stays whole for ever, and the receipt that the phone got for it goes on holding.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import canonical, trail
from epro.errors import Conflict, Invalid, NotFound
from epro.responses import correcting, receipts, receiving
from epro.responses.models import Response, SetAside, Settlement
from epro.responses.receiving import Taken
from epro.responses.submission import Finding, read
from epro.studies import access, participants
from epro.tx import Tx

FILED, REJECTED = OUTCOMES = ("filed", "rejected")
JUDGED = frozenset({"outside_window", "after_withdrawal", "occurrence_cancelled"})
"""What held an entry and is for a person to judge: filed all the same, it stays a remark on the response."""


class AlreadySettled(Conflict):
    """This has been settled with another outcome; the first one is on record."""

    code = "already_settled"


@dataclass(frozen=True)
class Wish:
    """What a person decides. Where the upload does not say it right, the person says which occurrence it answers, in
    which version of the instrument, when it was completed, and which answers are left out because they fit no item.
    `response_id` files it as a correction of that response.
    """

    outcome: str
    reason: str
    occurrence_id: UUID | None = None
    instrument: Mapping[str, str] | None = None
    completed_at: str | None = None
    leave_out: tuple[str, ...] = ()
    response_id: UUID | None = None

    @property
    def digest(self) -> str:
        """What makes two requests the same."""
        return canonical.digest(
            {
                "said": [self.outcome, self.reason, self.completed_at],
                "ids": [str(self.occurrence_id), str(self.response_id)],
                "instrument": dict(self.instrument or {}),
                "leave_out": sorted(self.leave_out),
            }
        )


@dataclass(frozen=True)
class Settled:
    """What was set aside, and what was decided."""

    aside: SetAside
    settlement: Settlement


def find(tx: Tx, set_aside_id: UUID, permission: str) -> SetAside:
    """What was set aside under this id at one of the actor's sites. Raises NotFound."""
    access.allow(tx.actor, permission)
    visible = access.visible(tx.actor, permission, SetAside)
    found: SetAside | None = tx.one(sa.select(SetAside).where(SetAside.id == set_aside_id, visible))
    if found is None:
        raise NotFound()
    return found


def locked(tx: Tx, set_aside_id: UUID) -> tuple[SetAside, Any]:
    """It, for one who may settle it, with her row plain and locked."""
    found = find(tx, set_aside_id, correcting.CORRECT)
    participant = correcting.hers(tx, found)
    aside = tx.get(SetAside, found.study_id, found.id, lock=True)
    assert aside is not None
    return aside, participant


def known(tx: Tx, aside: SetAside, wish: Wish) -> Settled | None:
    """The same settlement, made before; None when nothing is settled yet. Raises AlreadySettled."""
    made = tx.get(Settlement, aside.study_id, aside.id)
    if made is None:
        return None
    if made.asked_digest != wish.digest:
        raise AlreadySettled()
    return Settled(aside, made)


def corrects(tx: Tx, aside: SetAside, wish: Wish) -> UUID | None:
    """The response on file that this is to correct: the one that was named, or, of a conflict for which no other place
    was named, the first under its id.
    """
    if wish.response_id is not None:
        return wish.response_id
    if aside.outcome != receipts.CONFLICT or wish.occurrence_id is not None:
        return None
    return UUID(aside.response_id)


def as_correction(aside: SetAside, wish: Wish) -> correcting.Wish:
    """The upload as a correction: what it says in place of what is on file, as she said it herself."""
    content = json.loads(aside.body)
    answers = content.get("answers") if isinstance(content, dict) else None
    if not isinstance(answers, dict):
        raise _refused([Finding("wrong_type", "The upload has no answers that can be read.", "/answers")])
    kept = {item: code for item, code in answers.items() if item not in wish.leave_out}
    return correcting.Wish(
        answers=kept,
        reason=wish.reason,
        reported_by="participant",
        reported_at=aside.received_at,
        settled_from=aside.id,
    )


def file(tx: Tx, participant: Any, aside: SetAside, wish: Wish) -> tuple[Taken, UUID]:
    """File the upload into its place, after the same checks as every other, under the id that is given back. Raises
    Invalid with what still stands against it.
    """
    submission = read(_content(tx, aside, wish))
    offset = None if aside.clock_offset_ms is None else timedelta(milliseconds=aside.clock_offset_ms)
    case = receiving.Case(
        tx,
        participant,
        submission,
        hashlib.sha256(submission.body).hexdigest(),
        offset,
        aside.received_at,
        aside.device_id,
        aside.id,
    )
    findings, occurrence, instrument = receiving.examine(case)
    against = [one for one in findings if one.holds and one.code not in JUDGED]
    if against or occurrence is None or instrument is None:
        raise _refused(against)
    remarks = [replace(one, holds=False) for one in findings]
    if wish.leave_out:
        remarks.append(Finding("answers_left_out", "Answers that fit no item were left out."))
    taken = receiving.place(case, occurrence, instrument, remarks)
    assert taken.filed is not None
    # Alerts on it that were raised while it was held have this key.
    anothers = receiving.is_anothers(aside.findings)
    heard_as = receiving.heard_as(read(json.loads(aside.body)), aside.digest, anothers)
    return replace(taken, filed=replace(taken.filed, response_id=heard_as)), taken.filed.response_id


def write(tx: Tx, participant: Any, aside: SetAside, wish: Wish, response_id: UUID | None) -> Settled:
    """Note what was decided: in the trail and in the feed (participant plain and locked)."""
    made = Settlement(
        study_id=aside.study_id,
        set_aside_id=aside.id,
        subject_id=aside.subject_id,
        outcome=wish.outcome,
        reason=wish.reason,
        settled_by=str(tx.actor),
        settled_at=tx.now,
        response_id=response_id,
        asked_digest=wish.digest,
    )
    tx.add(made)
    aside.settled_at, aside.settled_by = tx.now, str(tx.actor)
    tx.session.flush()
    event = trail.record(
        tx,
        participant,
        "response.settled",
        "settlement",
        aside.id,
        reason=wish.reason,
        outcome=wish.outcome,
        response=str(response_id) if response_id else None,
        leave_out=sorted(wish.leave_out),
    )
    trail.stream(tx, event, participant, "response.settled", {"settlement": told(aside, made)})
    participants.put_back(tx, participant)
    return Settled(aside, made)


def told(aside: SetAside, made: Settlement) -> dict[str, Any]:
    """A settlement as the feed tells it."""
    filed = {"response_id": str(made.response_id)} if made.response_id else {}
    return {
        "set_aside_id": str(aside.id),
        "outcome": made.outcome,
        "reason": made.reason,
        "settled_by": made.settled_by,
        "settled_at": trail.instant(made.settled_at),
        "instrument": instrument_of(aside),
        **filed,
    }


def instrument_of(aside: SetAside) -> dict[str, str] | None:
    """The instrument that the upload names, where that can be read."""
    submission = read(json.loads(aside.body))
    if submission.instrument_code is None or submission.instrument_version is None:
        return None
    return {"code": submission.instrument_code, "version": submission.instrument_version}


def made_of(tx: Tx, asides: list[SetAside]) -> dict[UUID, Settlement]:
    """What was decided about these, by the id of what was set aside."""
    ids = [aside.id for aside in asides]
    return {
        row.set_aside_id: row for row in tx.all(sa.select(Settlement).where(Settlement.set_aside_id.in_(ids)))
    }


def _content(tx: Tx, aside: SetAside, wish: Wish) -> Any:
    """The upload as it is to be filed: what it says, with what the person says in its place."""
    content = json.loads(aside.body)
    if not isinstance(content, dict):
        return content
    answers = content.get("answers")
    if isinstance(answers, dict):
        answers = {item: code for item, code in answers.items() if item not in wish.leave_out}
    said: dict[str, Any] = {
        "occurrence_id": str(wish.occurrence_id) if wish.occurrence_id else content.get("occurrence_id"),
        "instrument": dict(wish.instrument) if wish.instrument else content.get("instrument"),
        "completed_at": wish.completed_at or content.get("completed_at"),
        "answers": answers,
    }
    return content | said | {"id": str(_free_id(tx, aside)), "settled_from": str(aside.id)}


def _free_id(tx: Tx, aside: SetAside) -> UUID:
    """The id that the phone gave it, unless that is none or stands for another response."""
    named = read({"id": aside.response_id}).id
    if named is None or aside.outcome == receipts.CONFLICT or tx.plain(Response, aside.study_id, named):
        return uuid4()
    return uuid4() if receiving.is_anothers(aside.findings) else named


def _refused(against: list[Finding]) -> Invalid:
    """What still stands against filing it."""
    return Invalid(
        errors=[{"pointer": one.pointer, "code": one.code, "detail": one.detail} for one in against]
    )
