"""Putting contact data right: another number, another address, her name; or taking one away.

The store of contact data and the record are two databases. What is new waits in the store until the act is on record
(`contacts/changes.py`); `settle` then lets it count. A worker does that too, for acts whose process has died.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.contacts import changes, store
from epro.errors import Invalid, places
from epro.privacy.erasing import AlreadyErased, owner
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Tx, begin, system

log = logging.getLogger(__name__)
WAITS = {"action": "contact.waits"}
SETTLER = system("contact data")


def change(tx: Tx, participant: Participant, values: Mapping[str, str | None], reason: str) -> None:
    """Keep these fields from now on (None takes one away); she is locked by the caller. The trail says which, and
    commitments of what they are, never the values. They count once the act is over: `settle` says so.

    Raises AlreadyErased; Invalid, which repeats no value.
    """
    if participant.erased_at is not None:
        raise AlreadyErased()
    if not values:
        raise Invalid(
            errors=[{"pointer": "", "code": "nothing_changed", "detail": "Name a field to change."}]
        )
    wanted = {field: value and store.normal(field, value) for field, value in values.items()}
    _settle(tx, participant)  # hers is locked: what waited from before belongs to an act that is over
    wish = changes.of(participant.study_id, owner(participant), wanted, tx.now)
    entry = trail.record(
        tx,
        participant,
        "participant.contact_changed",
        "participant",
        participant.subject_id,
        reason=reason,
        contact=dict(wish.commitments),
    )
    tx.session.flush()
    changes.put(wish, entry)


def settle(study_id: str, subject_id: str) -> bool:
    """After the act: what waits counts if it is on record, and goes if not. False: the worker does it."""
    try:
        with begin(SETTLER) as tx:
            participant = tx.get(Participant, study_id, subject_id, lock=True)
            if participant is not None:
                _settle(tx, participant)
    except Exception as fault:  # the act itself is over
        log.error("contact data wait: %s at %s", type(fault).__name__, places(fault), extra=WAITS)
        return False
    return True


def settle_due(limit: int) -> int:
    """The same of everybody of whom something waits, as its act has ended before it did; how many people."""
    found = [
        (study_id, name.partition("/")[2])
        for study_id, name in changes.waiting(limit)
        if name.startswith("participant/")
    ]
    return sum(settle(study_id, subject_id) for study_id, subject_id in found)


def _settle(tx: Tx, participant: Participant) -> None:
    changes.settle(participant.study_id, owner(participant), lambda entry: _is_on_record(tx, entry))


def _is_on_record(tx: Tx, entry: UUID) -> bool:
    return tx.one(sa.select(Event.id).where(Event.id == entry)) is not None
