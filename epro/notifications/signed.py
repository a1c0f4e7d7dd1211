"""What was signed is changed: the signature is broken in the same act, and its signer is told that she has to look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.notifications import messages, rules
from epro.responses.models import Response
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
    for row in broken:
        _tell(tx, participant, row, response_id or tx.now.isoformat())
    if broken:
        participants.put_back(tx, participant)
    return len(broken)


def rescored(tx: Tx, study_id: str, subject_id: str, response_ids: Iterable[UUID]) -> int:
    """These revisions of hers were scored again, in this act; returns how many signatures that broke."""
    participant = tx.plain(Participant, study_id, subject_id, lock=True)
    query = sa.select(sa.func.coalesce(Response.amends_id, Response.id)).where(
        Response.study_id == study_id, Response.id.in_(list(response_ids))
    )
    originals = list(dict.fromkeys(tx.all(query)))
    return break_under(tx, participant, originals, breaking.RESCORED) if originals else 0


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
