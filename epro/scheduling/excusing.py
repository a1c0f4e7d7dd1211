"""The site excuses a participant from an occurrence: it need not be answered. An excuse can be taken back.

What is answered, called off or asked for by herself is not excused. A miss may be excused afterwards; that it was
missed stays the fact it was. An answer that comes all the same is taken in like any other, and outweighs the excuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, Invalid, NotFound
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.state import State, state_of
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx

REASONS = ("in_hospital", "procedure", "device_fault", "site_error", "other")
OTHER = "other"
PERMISSION = "participant.anchor"  # who moves a plan may also take something out of it


class NotExcusable(Conflict):
    """What is answered, called off, excused already or asked for by herself cannot be excused."""

    code = "not_excusable"


class NotExcused(Conflict):
    """There is no excuse to take back here: it was not excused, or an answer has come."""

    code = "not_excused"


@dataclass(frozen=True)
class Found:
    """Of some days: what can be excused (or its excuse taken back), in the order of its windows, and what was answered
    and stays.
    """

    rows: Sequence[Occurrence]
    answered: int


def locked(tx: Tx, occurrence_id: UUID) -> tuple[Participant, Occurrence]:
    """The occurrence, at one of the actor's sites, with its participant, both locked. Raises NotFound."""
    access.allow(tx.actor, PERMISSION)
    hers = access.visible(tx.actor, PERMISSION, Occurrence)
    found = tx.one(sa.select(Occurrence).where(Occurrence.id == occurrence_id, hers))
    if found is None:
        raise NotFound()
    participant = tx.get(Participant, found.study_id, found.subject_id, lock=True)
    row = tx.get(Occurrence, found.study_id, found.id, lock=True)
    assert participant is not None and row is not None
    return participant, row


def excusable(tx: Tx, row: Any) -> bool:
    """Whether she can be excused from it."""
    if row.fulfilled_at or row.cancelled_at or row.excused_at:
        return False
    protocol = protocols.find(tx, row.study_id, row.protocol_version)
    return not protocol.assessment(row.assessment_id).unscheduled


def excused(tx: Tx, row: Any) -> bool:
    """Whether an excuse stands that can be taken back."""
    return state_of(row, tx.now) is State.EXCUSED


def between(tx: Tx, participant: Participant, first: date, last: date, *, stands: bool = False) -> Found:
    """What of her days from the first to the last can be excused; or, with `stands`, is excused. Raises Invalid."""
    if last < first:
        raise _no_days("The last day is before the first.")
    if participant.planned_through is None or last > participant.planned_through:
        raise _no_days("That day is not planned yet; excuse what comes after once it is.")
    within = [row for row in occurrences.of(tx, participant) if first <= row.local_day <= last]
    suits = excused if stands else excusable
    return Found(
        [row for row in within if suits(tx, row)], sum(row.fulfilled_at is not None for row in within)
    )


def excuse(tx: Tx, participant: Participant, row: Occurrence, reason: str, note: str | None) -> None:
    """Excuse her from it (participant locked). Raises NotExcusable, Invalid for a reason that needs words."""
    if reason == OTHER and not note:
        detail = "Say in a few words why, where the reason is another one."
        raise Invalid(errors=[{"pointer": "/note", "code": "invalid", "detail": detail}])
    if not excusable(tx, row):
        raise NotExcusable()
    row.excused_at, row.excused_reason, row.excused_by = tx.now, reason, str(tx.actor)
    row.attention_at = None
    _changed(tx, participant, row)
    _tell(tx, participant, row, "occurrence.excused", note, reason)
    tx.session.flush()


def take_back(tx: Tx, participant: Participant, row: Occurrence, reason: str) -> None:
    """Take its excuse back (participant locked): it is asked for again, as far as there is time. Raises NotExcused."""
    since, code = row.excused_at, row.excused_reason
    if since is None or not excused(tx, row):
        raise NotExcused()
    row.excused_at = row.excused_reason = row.excused_by = None
    row.unexcused_at = tx.now
    row.closed_excused = row.closed_excused or since < row.closes_at <= tx.now
    _changed(tx, participant, row)
    _tell(tx, participant, row, "occurrence.unexcused", reason, code)
    _ask_again(tx, participant, row)
    tx.session.flush()


def _ask_again(tx: Tx, participant: Participant, row: Occurrence) -> None:
    """The clockwork looks at it from now on; of one who left before it was over it is not asked any more."""
    left_at = participant.withdrawn_at
    if left_at is not None and row.closes_at > left_at:
        occurrences.call_off(tx, participant, row, "withdrawn")
        return
    protocol = protocols.find(tx, row.study_id, row.protocol_version)
    row.attention_at = occurrences.look_again(participant, protocol, row, tx.now)


def _changed(tx: Tx, participant: Participant, row: Occurrence) -> None:
    """Her phone is told, and so is the week of a diary; one that is still to come waits for its first such day."""
    row.change_no = occurrences.next_change(participant)
    mark: datetime | None = occurrences.week_mark(tx, row)
    row.week_at = max(mark, row.opens_at) if mark else None


def _tell(
    tx: Tx, participant: Participant, row: Occurrence, action: str, note: str | None, code: str | None
) -> None:
    """In the trail and in the feed; the words of a person stay in the trail."""
    about = {"code": code, "missed": row.missed_at is not None}
    event = trail.record(tx, participant, action, "occurrence", row.id, reason=note, **about)
    excuse = {"reason": code, "by": str(tx.actor), "at": trail.instant(tx.now)}
    trail.stream(tx, event, participant, action, {"occurrence": occurrences.told(row), "excuse": excuse})


def _no_days(detail: str) -> Invalid:
    return Invalid(errors=[{"pointer": "/last_day", "code": "invalid", "detail": detail}])
