"""Remarks of the site about a participant. They stay at the site: no feed, no export and no message carries them."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import sqlalchemy as sa

from epro import trail
from epro.studies import access
from epro.studies.models import Participant, ParticipantNote
from epro.tx import Tx


def add(tx: Tx, participant: Participant, note: str) -> ParticipantNote:
    """Write a remark down (participant locked by the caller). The trail keeps its digest, not its words."""
    row = tx.add(
        ParticipantNote(
            id=uuid4(),
            study_id=participant.study_id,
            subject_id=participant.subject_id,
            at=tx.now,
            by=str(tx.actor),
            note=note,
            seq=participant.chain_seq,
        )
    )
    tx.session.flush()
    digest = hashlib.sha256(note.encode()).hexdigest()
    trail.record(tx, participant, "participant.noted", "participant_note", row.id, digest=digest)
    return row


def of(tx: Tx, participant: Participant) -> list[ParticipantNote]:
    """Her remarks, oldest first; none for who works at no site of hers."""
    query = sa.select(ParticipantNote).where(
        ParticipantNote.study_id == participant.study_id,
        ParticipantNote.subject_id == participant.subject_id,
        access.visible(tx.actor, "participant.note", ParticipantNote),
    )
    return tx.all(query.order_by(ParticipantNote.seq))
