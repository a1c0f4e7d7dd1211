"""Putting contact data right: another number, another address, her name; or taking one away."""

from __future__ import annotations

from collections.abc import Mapping

from epro import trail
from epro.contacts import store
from epro.errors import Invalid
from epro.privacy.erasing import AlreadyErased, owner
from epro.studies.models import Participant
from epro.tx import Tx


def change(tx: Tx, participant: Participant, values: Mapping[str, str | None], reason: str) -> None:
    """Keep these fields from now on (None takes one away); she is locked by the caller. The trail says which, and
    commitments of what they are, never the values.

    Raises AlreadyErased; Invalid, which repeats no value.
    """
    if participant.erased_at is not None:
        raise AlreadyErased()
    if not values:
        raise Invalid(
            errors=[{"pointer": "", "code": "nothing_changed", "detail": "Name a field to change."}]
        )
    wanted = {field: value and store.normal(field, value) for field, value in values.items()}
    hers = participant.study_id, owner(participant)
    before = store.of(*hers)
    commitments = store.keep(*hers, wanted, tx.now)
    try:
        trail.record(
            tx,
            participant,
            "participant.contact_changed",
            "participant",
            participant.subject_id,
            reason=reason,
            contact=commitments,
        )
        tx.session.flush()
    except Exception:
        store.keep(*hers, {field: before.get(field) for field in wanted}, tx.now)
        raise
