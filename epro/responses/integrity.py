"""Are the records still what the trail says they are?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.responses.models import Response, SetAside
from epro.trail.entries import Fault
from epro.trail.models import Event
from epro.tx import Tx

RECORDS: dict[str, Any] = {"response": Response, "set_aside": SetAside}
TOLD = {
    "response": ("response.stored", "response.amended"),
    "set_aside": ("response.held", "response.conflict"),
}


def faults(tx: Tx) -> Iterator[Fault]:
    """Records that were changed, that the trail does not know, or that are gone though the trail has them."""
    for kind, model in RECORDS.items():
        told = _told(tx, kind)
        rows = tx.session.execute(
            sa.select(model.study_id, model.subject_id, model.id, model.body, model.digest).execution_options(
                yield_per=1000
            )
        )
        for row in rows:
            where = (row.study_id, f"participant/{row.subject_id}")
            seq, digest = told.pop((row.study_id, str(row.id)), (0, None))
            if digest is None:
                yield Fault(*where, seq, f"{kind} {row.id} is not in the trail")
            elif digest != row.digest or hashlib.sha256(row.body.encode()).hexdigest() != digest:
                yield Fault(*where, seq, f"{kind} {row.id} was changed")
        for (study_id, record_id), (seq, _) in told.items():
            yield Fault(study_id, "participant/?", seq, f"{kind} {record_id} is gone")


def digests(tx: Tx, events: Sequence[Any]) -> dict[UUID, str | None]:
    """Of the events that tell of a record: its digest as it is stored now; None where it is gone."""
    found: dict[UUID, str | None] = {}
    for kind, model in RECORDS.items():
        telling = [event for event in events if event.action in TOLD[kind]]
        wanted = {UUID(event.object_id) for event in telling}
        keyed = (model.study_id.in_({event.study_id for event in telling}), model.id.in_(wanted))
        rows = tx.session.execute(sa.select(model.study_id, model.id, model.body).where(*keyed))
        there = {(row.study_id, row.id): hashlib.sha256(row.body.encode()).hexdigest() for row in rows}
        found |= {event.id: there.get((event.study_id, UUID(event.object_id))) for event in telling}
    return found


def _told(tx: Tx, kind: str) -> dict[tuple[str, str], tuple[int, str]]:
    """What the trail says of the records of one kind: (study, id) → (seq, digest)."""
    query = sa.select(Event.study_id, Event.object_id, Event.seq, Event.body).where(
        Event.action.in_(TOLD[kind])
    )
    return {
        (row.study_id, row.object_id): (row.seq, json.loads(row.body)["details"]["digest"])
        for row in tx.session.execute(query.execution_options(yield_per=1000))
    }
