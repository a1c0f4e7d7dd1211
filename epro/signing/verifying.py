"""Do signatures still stand under exactly what was signed? Everything is worked out again from what is on record.

Three questions: is the signature as it was made (its digest, its seal, the trail's word), is the revision under it as
it was read, and is whatever was changed since on record as a break.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from epro.responses import receipts
from epro.responses.models import Response
from epro.signing import signatures
from epro.signing.models import Signature
from epro.signing.signatures import Standing
from epro.trail.entries import Fault
from epro.trail.models import Event
from epro.tx import Tx

AT_ONCE = 500


def count(tx: Tx) -> int:
    return tx.session.scalar(sa.select(sa.func.count()).select_from(Signature)) or 0


def faults(tx: Tx) -> Iterator[Fault]:
    """Everything that is not as it was signed, or that the trail has and is not there any more."""
    told = _told(tx)
    ids = tx.session.execute(sa.select(Signature.study_id, Signature.id).order_by(Signature.id)).all()
    for first in range(0, len(ids), AT_ONCE):
        part = [(one.study_id, one.id) for one in ids[first : first + AT_ONCE]]
        rows = tx.all(sa.select(Signature).where(sa.tuple_(Signature.study_id, Signature.id).in_(part)))
        for found in signatures.standing(tx, rows):
            key = (found.signature.study_id, str(found.signature.id))
            yield from _named(found, told.get(key, (0, None))[0], _wrong(tx, found, told.pop(key, None)))
    for (study_id, signature_id), (seq, _) in told.items():
        yield Fault(study_id, "participant/?", seq, f"signature {signature_id} is gone")


def _named(found: Standing, seq: int, wrong: Iterator[str]) -> Iterator[Fault]:
    row = found.signature
    for what in wrong:
        yield Fault(row.study_id, f"participant/{row.subject_id}", seq, f"signature {row.id}: {what}")


def _wrong(tx: Tx, found: Standing, told: tuple[int, str] | None) -> Iterator[str]:
    row = found.signature
    if told is None:
        yield "is not in the trail"
    elif told[1] != row.digest:
        yield "is not the one that the trail has"
    if hashlib.sha256(row.body.encode()).hexdigest() != row.digest or not _says_the_same(found):
        yield "was changed"
    if not receipts.is_ours(str(row.id), row.digest, row.signed_at, row.seal):
        yield "has no seal of ours"
    yield from _changed_under(tx, found)


def _says_the_same(found: Standing) -> bool:
    try:
        body = json.loads(found.signature.body)
    except ValueError:
        return False
    stated = signatures.stated_by(found.signature, found.signed)
    return all(body.get(name) == value for name, value in stated.items())


def _changed_under(tx: Tx, found: Standing) -> Iterator[str]:
    """What was read is as it was: a revision never changes. Its scores may have been worked out again since, and it
    may have been corrected; then that is on record.
    """
    study_id = found.signature.study_id
    ids = [one.response_id for one in found.signed]
    rows = tx.all(sa.select(Response).where(Response.study_id == study_id, Response.id.in_(ids)))
    then = signatures.record_digests(tx, study_id, rows, until=found.signature.signed_at)
    now = signatures.record_digests(tx, study_id, rows)
    for one in found.signed:
        if then.get(one.response_id) != one.digest:
            yield f"response {one.response_id} under it was changed"
        elif one.original_id not in found.breaks and not _is_current(tx, one, now):
            yield f"response {one.response_id} under it is not current, and no break is on record"


def _is_current(tx: Tx, one: Any, now: dict[Any, str]) -> bool:
    later = sa.select(Response.id).where(
        Response.study_id == one.study_id,
        Response.amends_id == one.original_id,
        Response.amendment_no
        > sa.select(sa.func.coalesce(Response.amendment_no, 0))
        .where(Response.study_id == one.study_id, Response.id == one.response_id)
        .scalar_subquery(),
    )
    return tx.one(later) is None and now[one.response_id] == one.digest


def _told(tx: Tx) -> dict[tuple[str, str], tuple[int, str]]:
    """What the trail says of signatures: (study, id) → (seq, digest)."""
    query = sa.select(Event.study_id, Event.object_id, Event.seq, Event.body).where(
        Event.action == "signature.made"
    )
    return {
        (row.study_id, row.object_id): (row.seq, json.loads(row.body)["details"]["digest"])
        for row in tx.session.execute(query.execution_options(yield_per=1000))
    }
