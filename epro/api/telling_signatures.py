"""How signatures, and what waits for one, are told to staff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.responses import sight
from epro.responses.models import Response
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.signing import signatures
from epro.signing.models import SignedResponse
from epro.signing.signatures import Standing
from epro.studies.models import Participant
from epro.tx import Tx


def signature(tx: Tx, found: Standing) -> dict[str, Any]:
    """One signature with what it stands under; digests only to who may read answers."""
    row, hidden = found.signature, _hidden(tx, found)
    names = ("id", "subject_id", "meaning", "signed_by", "signed_at", "time_zone", "shown_by")
    told = {name: getattr(row, name) for name in names} | {
        "study": row.study_id,
        "visit": row.visit_id,
        "statement": signatures.statement_of(row),
        "name": row.signer_name,
        "role": row.signer_role,
        "holds": found.holds,
        "responses": [_signed(found, one, hidden) for one in found.signed],
    }
    return told if hidden else told | {"digest": row.digest, "seal": row.seal}


def under(tx: Tx, study_id: str, original_id: UUID) -> list[dict[str, Any]]:
    """The signatures under one response, those that do not hold too."""
    return [signature(tx, one) for one in signatures.over(tx, study_id, [original_id])]


def unsigned(tx: Tx, rows: Sequence[Response]) -> list[dict[str, Any]]:
    """What waits, each with the revision that is current."""
    latest, visits = _latest(tx, rows), _visits(tx, rows)
    return [
        {
            "id": row.id,
            "current": latest.get((row.study_id, row.id), row).id,
            "study": row.study_id,
            "subject_id": row.subject_id,
            "assessment": row.assessment_id,
            "visit": visits.get(row.occurrence_id),
            "instrument": {"code": row.instrument_code, "version": row.instrument_version},
            "local_day": row.local_day,
            "completed_at": row.completed_at,
            "received_at": row.received_at,
        }
        for row in rows
    ]


def _signed(found: Standing, one: SignedResponse, hidden: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"id": one.response_id, "original_id": one.original_id}
    if not hidden:
        told["digest"] = one.digest
    broken = found.breaks.get(one.original_id)
    if broken is None:
        return told | {"holds": True}
    names = ("cause", "broken_at", "broken_by")
    return told | {"holds": False} | {name: getattr(broken, name) for name in names}


def _hidden(tx: Tx, found: Standing) -> bool:
    row = found.signature
    her = tx.get(Participant, row.study_id, row.subject_id)
    assert her is not None
    protocol = protocols.find(tx, her.study_id, her.protocol_version)
    if sight.hides_scores(tx.actor, protocol, her.study_id, her.site_id):
        return True
    asked = sa.select(Response.instrument_code, Response.instrument_version).where(
        Response.study_id == row.study_id, Response.id.in_([one.response_id for one in found.signed])
    )
    return any(
        sight.blinded_items(tx, code, version) for code, version in set(tx.session.execute(asked).all())
    )


def _latest(tx: Tx, rows: Sequence[Response]) -> dict[tuple[str, UUID], Response]:
    """Study and id of an original -> its latest correction, where there is one."""
    query = sa.select(Response).where(Response.amends_id.in_([row.id for row in rows]))
    found = tx.all(query.order_by(Response.amendment_no))
    return {(row.study_id, row.amends_id): row for row in found if row.amends_id is not None}


def _visits(tx: Tx, rows: Sequence[Response]) -> dict[UUID, str | None]:
    ids = {row.occurrence_id for row in rows}
    query = sa.select(Occurrence.id, Occurrence.visit_id).where(
        Occurrence.study_id.in_({row.study_id for row in rows}), Occurrence.id.in_(ids)
    )
    return {row.id: row.visit_id for row in tx.session.execute(query)}
