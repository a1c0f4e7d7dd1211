"""A participant leaves the study: one act, whichever door it comes in by."""

from __future__ import annotations

from epro.contacts import push
from epro.scheduling import occurrences
from epro.signin import devices
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx


def withdraw(tx: Tx, participant: Participant, reason: str) -> None:
    """End her participation (locked by the caller): nothing more is asked, no message goes out, no code opens.

    What she completed before may still arrive.
    """
    participants.withdraw(tx, participant, reason)
    push.forget_all(participant.study_id, participant.subject_id, tx.now)
    occurrences.cancel_ahead(tx, participant, "withdrawn")
    devices.end_codes(tx, participant)
