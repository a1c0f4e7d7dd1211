"""She puts reminders of one occurrence off for a while, within what the study allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, NotFound
from epro.scheduling import occurrences, protocols
from epro.scheduling.messaging import snooze_refusal
from epro.scheduling.models import Occurrence, Snooze
from epro.studies.models import Participant
from epro.tx import Tx

WORDS = {
    "not_open": "There is nothing to be answered here now.",
    "no_more": "It has been put off as often as the study allows.",
    "too_long": "The study allows no snooze of that length.",
    "too_late": "The reminder would come too near the closing.",
}


ANOTHERS = "This request id stands for another snooze."


class CannotSnooze(Conflict):
    """Reminders of this cannot be put off so."""

    code = "cannot_snooze"


@dataclass(frozen=True)
class Snoozed:
    """Until when, and how often it can be put off once more."""

    occurrence_id: UUID
    until: datetime
    left: int


def snooze(
    tx: Tx, participant: Participant, occurrence_id: UUID, length: timedelta, request_id: UUID
) -> Snoozed:
    """Put reminders off (participant locked). The same request again changes nothing and is answered alike.

    Raises NotFound for what is not hers, CannotSnooze (`reason`: one of WORDS), Conflict for an id in other use.
    """
    row = tx.get(Occurrence, participant.study_id, occurrence_id, lock=True)
    if row is None or row.subject_id != participant.subject_id:
        raise NotFound()
    protocol = protocols.find(tx, row.study_id, row.protocol_version)
    taken, rules = _taken(tx, row), protocol.messages.snooze
    known = tx.get(Snooze, participant.study_id, request_id)
    if known is not None:
        if known.occurrence_id != occurrence_id:
            raise Conflict(ANOTHERS)
        return Snoozed(occurrence_id, known.until, rules.times - taken)
    if reason := snooze_refusal(rules, taken, length, row, tx.now):
        raise CannotSnooze(WORDS[reason], reason=reason)
    until = tx.now + length
    _keep(tx, participant, row, until, request_id)
    row.attention_at = occurrences.look_again(participant, protocol, row, tx.now)
    tx.session.flush()
    return Snoozed(occurrence_id, until, rules.times - taken - 1)


def _taken(tx: Tx, row: Occurrence) -> int:
    query = sa.select(sa.func.count()).where(Snooze.study_id == row.study_id, Snooze.occurrence_id == row.id)
    return tx.session.execute(query).scalar_one()


def _keep(tx: Tx, participant: Participant, row: Occurrence, until: datetime, request_id: UUID) -> None:
    row.snoozed_until, row.change_no = until, occurrences.next_change(participant)
    tx.add(
        Snooze(
            study_id=row.study_id,
            id=request_id,
            subject_id=row.subject_id,
            occurrence_id=row.id,
            asked_at=tx.now,
            until=until,
        )
    )
    trail.record(
        tx,
        participant,
        "occurrence.snoozed",
        "occurrence",
        row.id,
        until=trail.instant(until),
        id=str(request_id),
    )
