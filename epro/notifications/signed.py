"""What was signed is changed: the signature is broken in the same act, and its signer is told that she has to look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from epro.notifications import messages, rules
from epro.responses import rescoring
from epro.signin.models import Staff
from epro.signing import breaking
from epro.signing.models import Signature
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx


def break_under(
    tx: Tx, participant: Any, originals: Sequence[UUID], cause: str, response_id: UUID | None = None
) -> int:
    """Break what stands under these responses (participant plain and locked); returns how many signatures."""
    broken = breaking.note(tx, participant, originals, cause, response_id)
    return _told(tx, participant, broken, response_id or tx.now.isoformat())


def rescored(tx: Tx, study_id: str, subject_id: str, response_ids: Iterable[UUID]) -> int:
    """These revisions of hers were scored again, in this act; returns how many signatures that broke.

    A signature under another revision of the same response stands. Raises NotRescored when one was made meanwhile.
    """
    participant = tx.plain(Participant, study_id, subject_id, lock=True)
    broken = breaking.note_rescored(tx, participant, response_ids)
    if any(row.signed_at >= tx.now for row in broken):
        raise rescoring.NotRescored()  # the runs under it would seem to be older than it is
    return _told(tx, participant, broken, tx.now.isoformat())


def _told(tx: Tx, participant: Any, broken: Sequence[Signature], turn: object) -> int:
    for row in broken:
        _tell(tx, participant, row, turn)
    if broken:
        participants.put_back(tx, participant)
    return len(broken)


def _tell(tx: Tx, participant: Any, row: Signature, turn: object) -> None:
    signer = tx.get(Staff, UUID(row.signed_by.removeprefix("staff:")))
    if signer is None or signer.closed_at is not None:
        return
    messages.plan(
        tx,
        participant,
        key=("signature", row.id, turn),
        purpose="signature",
        recipient=f"staff/{signer.id}",
        template="alert.signature",
        language=signer.language,
        due_at=tx.now,
        expires_at=tx.now + rules.ALERT_USEFUL_FOR,
        why={"role": row.signer_role, "count": 1},
    )
