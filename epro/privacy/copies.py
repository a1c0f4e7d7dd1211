"""A person's own data, handed out because she asks for them: who may, and what the trail says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from epro import trail
from epro.signin import stepup
from epro.studies.models import Participant
from epro.tx import Tx

HAND_OUT = "participant.copy"
FILE, PRINTED = FORMS = ("file", "print")


def hand_out(
    tx: Tx, participant: Participant, form: str, reason: str, content: bytes, counts: Mapping[str, int]
) -> str:
    """Write down that this content was handed out (she is locked by the caller); its SHA-256, in hex.

    It tells who she is and what she said, so it asks for a passkey. Raises StepUpNeeded, PasskeyNeeded.
    """
    stepup.require_resistant(tx)
    digest = hashlib.sha256(content).hexdigest()
    trail.record(
        tx,
        participant,
        "participant.data_handed_out",
        "participant",
        participant.subject_id,
        reason=reason,
        format=form,
        counts=dict(counts),
        digest=digest,
    )
    return digest
