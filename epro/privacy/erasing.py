"""Erasing a person: her data key is destroyed, so that no copy of her contact data opens, in backups neither.

What she answered stays under her subject id, and the trail with it. It is done on request, and by itself some time
after the end of her participation.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from epro import db, trail
from epro.contacts import data_keys, store
from epro.errors import Conflict
from epro.notifications import messages
from epro.notifications.models import Message, SentText
from epro.scheduling import calendar_links, occurrences
from epro.signin import devices, stepup
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx

PAGE = 500
BY_ITSELF = "kept as long as it may be after the end of participation"


class AlreadyErased(Conflict):
    """Her contact data were erased before."""

    code = "already_erased"


def erase(tx: Tx, participant: Participant, reason: str) -> None:
    """Erase her contact data for good (she is locked by the caller). It ends her participation where nothing has yet.

    Raises StepUpNeeded, PasskeyNeeded. The key goes last within the act; should that come to nothing, doing it again is
    harmless.
    """
    stepup.require_resistant(tx)
    if participant.erased_at is not None:
        raise AlreadyErased()
    if participant.withdrawn_at is None:
        participants.withdraw(tx, participant, reason)
        occurrences.cancel_ahead(tx, participant, "withdrawn")
    kept = store.fields_of(participant.study_id, owner(participant))
    recalled = _recall(tx, participant)
    for device in devices.of(tx, participant):
        devices.revoke(tx, participant, device.id, reason)
    devices.end_codes(tx, participant)
    calendar_links.revoke(tx, participant, reason)
    participant.erased_at = tx.now
    trail.record(
        tx,
        participant,
        "participant.erased",
        "participant",
        participant.subject_id,
        reason=reason,
        fields=sorted({field.partition("/")[0] for field in kept}),
        messages_recalled=recalled,
    )
    tx.session.flush()
    store.erase(participant.study_id, owner(participant))


def erase_due(tx: Tx, limit: int) -> int:
    """Erase whose participation ended long enough ago; how many that were."""
    before = tx.now - timedelta(days=float(db.settings()["CONTACT_DAYS"] or 30))
    query = sa.select(Participant).where(
        Participant.withdrawn_at.is_not(None),
        Participant.withdrawn_at <= before,
        Participant.erased_at.is_(None),
        Participant.restricted_at.is_(None),  # she has asked that they be kept
    )
    query = query.order_by(Participant.withdrawn_at).limit(limit).with_for_update(skip_locked=True)
    due = tx.all(query.execution_options(populate_existing=True))
    for participant in due:
        erase(tx, participant, BY_ITSELF)
    return len(due)


def erase_again(tx: Tx) -> int:
    """Destroy data keys that came back with a restored backup, of people who were erased; how many that were."""
    again, after = 0, ("", "")
    while page := data_keys.owners(after, PAGE):
        for study_id, owner_name in page:
            kind, _, subject_id = owner_name.partition("/")
            found = tx.plain(Participant, study_id, subject_id) if kind == "participant" else None
            if found is not None and found.erased_at is not None:
                store.erase(study_id, owner_name)
                again += 1
        after = page[-1]
    return again


def owner(participant: Participant) -> str:
    """Whose the fields in the contact store are."""
    return f"participant/{participant.subject_id}"


def _recall(tx: Tx, participant: Participant) -> int:
    """Messages to her that wait are not sent any more, and what was counted by her number is forgotten."""
    hers = (Message.study_id == participant.study_id, Message.subject_id == participant.subject_id)
    to_her = (*hers, Message.recipient == owner(participant))
    waiting = tx.all(
        sa.select(Message).where(*to_her, Message.begun_at.is_(None), Message.withheld_at.is_(None))
    )
    for message in waiting:
        messages.withhold(tx, participant, message, "withdrawn")
    sent = sa.select(Message.id).where(*to_her)
    tx.session.execute(
        sa.delete(SentText).where(SentText.message_id.in_(sent)),
        execution_options={"synchronize_session": False},
    )
    return len(waiting)
