"""Proof that one entry is in the log: its bytes, its path, and the checkpoint that it leads to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.errors import NotFound
from epro.trail import merkle, sealing
from epro.trail.models import Event, Leaf
from epro.tx import Tx

FORMAT = 1


class NotSealed(NotFound):
    """The entry is in no checkpoint yet: within a minute or two it is."""

    code = "not_sealed_yet"


def find(tx: Tx, *conditions: sa.ColumnElement[bool]) -> Event:
    """The event that fits. Raises NotFound."""
    found: Event | None = tx.one(sa.select(Event).where(*conditions).order_by(Event.at))
    if found is None:
        raise NotFound()
    return found


def prove(tx: Tx, event: Event) -> dict[str, Any]:
    """The proof of an event, for the newest checkpoint. Raises NotSealed."""
    leaf = tx.session.scalar(sa.select(Leaf.leaf).where(Leaf.event_id == event.id))
    newest = sealing.last(tx)
    if leaf is None or newest is None or leaf >= newest.size:
        raise NotSealed()
    path = merkle.inclusion(sealing.hashes(tx), leaf, newest.size)
    return {
        "epro_trail_proof": FORMAT,
        "origin": newest.origin,
        "key": sealing.public_key(tx),
        "leaf": leaf,
        "body": event.body,
        "path": [step.hex() for step in path],
        "checkpoint": newest.note,
    }


def by_text(tx: Tx, text: str) -> Event:
    """The event that is meant by its own id, or by that of the response or set-aside whose receipt somebody has."""
    try:
        asked = UUID(text)
    except ValueError:
        raise NotFound(f"There is no entry or receipt {text}.") from None
    event: Event | None = tx.one(sa.select(Event).where(Event.id == asked))
    kinds = ("response", "set_aside")
    try:
        return event or find(tx, Event.object_id == str(asked), Event.object_type.in_(kinds))
    except NotFound:
        raise NotFound(f"There is no entry or receipt {text}.") from None
