"""Days that come in from the trial's EDC system: the first dose, visits. Each is an anchor like any other.

The EDC sends what it knows again and again. What is on record already changes nothing, and a day that a site has
set by hand since the EDC last gave its own stays: the newer word counts, and the difference is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from epro.errors import EproError
from epro.scheduling import replanning
from epro.scheduling.comparing import Differences
from epro.scheduling.replanning import Wish
from epro.studies import access, participants
from epro.studies.models import Anchor, Participant
from epro.tx import Tx

SET, MOVED, UNCHANGED, KEPT, REFUSED = "set", "moved", "unchanged", "kept", "refused"


ANSWERED = "answered_behind"  # the refusal of a day that leaves answers before it


@dataclass(frozen=True)
class Given:
    """One day as the EDC tells it."""

    subject_id: str
    anchor: str
    day: date
    reason: str


@dataclass(frozen=True)
class Taken:
    """What came of it: `set`, `moved`, `unchanged`, `kept` (a site has said otherwise since) or `refused`.

    `before` is the day that was on record. `refusal` is a code of docs/problems.md or of a field error.
    """

    given: Given
    outcome: str
    before: date | None = None
    refusal: str | None = None
    detail: str | None = None
    differences: Differences | None = None
    warning: str | None = None


def take(
    tx: Tx, study_id: str, given: Given, *, preview: bool = False, accept_answered: bool = True
) -> Taken:
    """Take one day in, or with `preview` tell what it would change. What cannot be taken is told, never raised.

    Without `accept_answered` a day that would leave answers before it is refused, though previewed.
    """
    try:
        return _take(tx, study_id, given, preview, accept_answered)
    except EproError as refusal:
        first = refusal.errors[0] if refusal.errors else {}
        code, detail = first.get("code", refusal.code), first.get("detail", refusal.detail)
        return Taken(given, REFUSED, refusal=code, detail=detail)


def _take(tx: Tx, study_id: str, given: Given, preview: bool, accept_answered: bool) -> Taken:
    participant = access.participant(tx, given.subject_id, "anchor.import", study_id=study_id, lock=True)
    if participant.withdrawn_at is not None:
        raise participants.AlreadyWithdrawn()
    rows = [row for row in participants.anchor_rows(tx, participant) if row.anchor == given.anchor]
    before = participants.anchors(tx, participant).get(given.anchor)
    wish = Wish(anchor=(given.anchor, given.day))
    if before == given.day:
        return Taken(given, UNCHANGED, before)
    if _said_otherwise_since(rows, given.day):
        return Taken(given, KEPT, before)
    behind = replanning.behind(tx, participant, wish)
    warning = str(behind) if behind else None
    if warning and not (preview or accept_answered):
        return Taken(given, REFUSED, before, refusal=ANSWERED, detail=warning, warning=warning)
    found = _done(tx, participant, wish, given.reason, preview)
    return Taken(given, MOVED if before else SET, before, differences=found, warning=warning)


def _done(tx: Tx, participant: Participant, wish: Wish, reason: str, preview: bool) -> Differences:
    if preview:
        return replanning.preview(tx, participant, wish)
    return replanning.carry_out(tx, participant, wish, reason)


def _said_otherwise_since(rows: list[Anchor], day: date) -> bool:
    """Whether this is the day that the EDC gave last, and somebody else has set another one after it."""
    own = [row for row in rows if is_incoming(row.set_by)]
    return bool(own) and own[-1].day == day and not is_incoming(rows[-1].set_by)


def is_incoming(set_by: str) -> bool:
    """Whether this actor is the EDC: its machine key, or the import by command."""
    return set_by.startswith("key:") or set_by == IMPORT


IMPORT = "system:anchor import"
