"""A change of what was signed breaks the signature under it: on record, in trail and feed, in the act of the change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.signing import signatures
from epro.signing.models import Signature, SignatureBreak, SignedResponse
from epro.signing.signatures import Standing
from epro.studies import participants
from epro.tx import Tx

CORRECTED, RESCORED = CAUSES = ("corrected", "rescored")


def note(
    tx: Tx, participant: Any, originals: Sequence[UUID], cause: str, response_id: UUID | None = None
) -> list[Signature]:
    """These responses (by the ids of the first ones) were changed, participant plain and locked: the signatures that
    do not hold for one of them any more, each once.
    """
    wanted = set(originals)
    standing = signatures.over(tx, participant.study_id, originals)
    hits = [(found.signature, _those(found) & wanted) for found in standing]
    return _note(tx, participant, hits, cause, response_id)


def note_rescored(tx: Tx, participant: Any, response_ids: Iterable[UUID]) -> list[Signature]:
    """These very revisions were scored again, participant plain and locked: the signatures that hold no more."""
    ids = set(response_ids)
    query = sa.select(SignedResponse.original_id).where(
        SignedResponse.study_id == participant.study_id, SignedResponse.response_id.in_(ids)
    )
    standing = signatures.over(tx, participant.study_id, set(tx.all(query)))
    hits = [
        (found.signature, _those(found) & {one.original_id for one in found.signed if one.response_id in ids})
        for found in standing
    ]
    return _note(tx, participant, hits, RESCORED, None)


def _those(found: Standing) -> set[UUID]:
    """The originals under a signature for which it holds."""
    return {one.original_id for one in found.signed} - set(found.breaks)


def _note(
    tx: Tx,
    participant: Any,
    hits: Sequence[tuple[Signature, set[UUID]]],
    cause: str,
    response_id: UUID | None,
) -> list[Signature]:
    for row, hit in hits:
        for original in sorted(hit, key=str):
            _write(tx, participant, row, original, cause, response_id)
    broken = [row for row, hit in hits if hit]
    if broken:
        participants.put_back(tx, participant)
    return broken


def _write(
    tx: Tx, participant: Any, row: Signature, original: UUID, cause: str, response_id: UUID | None
) -> None:
    broken = SignatureBreak(
        study_id=row.study_id,
        signature_id=row.id,
        original_id=original,
        subject_id=row.subject_id,
        cause=cause,
        broken_by=str(tx.actor),
        broken_at=tx.now,
        response_id=response_id,
    )
    tx.add(broken)
    tx.session.flush()
    event = trail.record(
        tx,
        participant,
        "signature.broken",
        "signature",
        row.id,
        cause=cause,
        original=str(original),
        correction=str(response_id) if response_id else None,
    )
    trail.stream(tx, event, participant, "signature.broken", {"signature_break": told(broken)})


def told(broken: SignatureBreak) -> dict[str, Any]:
    """As the feed tells it."""
    return {
        "signature_id": str(broken.signature_id),
        "original_id": str(broken.original_id),
        "cause": broken.cause,
        "response_id": str(broken.response_id) if broken.response_id else None,
        "broken_by": broken.broken_by,
        "broken_at": trail.instant(broken.broken_at),
    }
