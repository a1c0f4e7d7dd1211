"""The trail: every act, in the transaction that did it, in a chain that shows any change.

`record` is what every room calls. The head of the chain is a row the caller holds locked: the participant's
own row, or the study's head from `study_chain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import orjson

from epro import db, keys
from epro.trail import guard  # noqa: F401 - it listens
from epro.trail.entries import START, instant, link
from epro.trail.models import Chained, ChainHead, Event, FeedEntry
from epro.tx import Tx

__all__ = [
    "INSTALLATION",
    "START",
    "ChainHead",
    "chain_of",
    "instant",
    "key",
    "record",
    "stream",
    "study_chain",
]

INSTALLATION = "-"  # the "study" of what belongs to no study: staff accounts, settings


def key() -> bytes:
    """The trail's key of this installation."""
    settings = db.settings()
    return keys.derive(settings["TRAIL_KEY"] or settings["SECRET_KEY"] or "", "trail")


def study_chain(tx: Tx, study_id: str = INSTALLATION) -> ChainHead:
    """The locked head of the chain for what belongs to a study but to no participant."""
    head = tx.get(ChainHead, study_id, "study", lock=True)
    if head is None:
        _open_chain(tx, study_id)
        head = tx.get(ChainHead, study_id, "study", lock=True)
    assert head is not None
    return head


def record(
    tx: Tx,
    head: Any,
    action: str,
    object_type: str,
    object_id: Any,
    *,
    reason: str | None = None,
    **details: Any,
) -> UUID:
    """Write down one act and return the event's id.

    `head` is the locked row whose chain grows: a participant or a ChainHead. `details` are JSON values that a
    monitor understands; personal values come as commitments only (see the contact store).
    """
    seq, event_id = head.chain_seq + 1, uuid4()
    chain, subject = chain_of(head)
    content = {
        "study": head.study_id,
        "chain": chain,
        "seq": seq,
        "id": str(event_id),
        "at": instant(tx.now),
        "actor": str(tx.actor),
        "action": action,
        "object": {"type": object_type, "id": str(object_id)},
        "reason": reason,
        "details": details,
        "device": str(tx.actor.device_id) if tx.actor.device_id else None,
    }
    body, mac = link(key(), head.chain_mac, content)
    tx.insert(
        Event,
        [
            {
                "study_id": head.study_id,
                "chain": chain,
                "seq": seq,
                "id": event_id,
                "at": tx.now,
                "actor": str(tx.actor),
                "action": action,
                "subject_id": subject,
                "object_type": object_type,
                "object_id": str(object_id),
                "body": body,
                "mac": mac,
            }
        ],
    )
    head.chain_seq, head.chain_mac = seq, mac
    tx.account[db.RECORDED] = True
    return event_id


def chain_of(head: Chained) -> tuple[str, str | None]:
    """The name of the chain that this row heads, and the participant it belongs to."""
    subject = getattr(head, "subject_id", None)
    return (f"participant/{subject}", subject) if subject else (head.chain, None)  # type: ignore[attr-defined]


def _open_chain(tx: Tx, study_id: str) -> None:
    blank = {"study_id": study_id, "chain": "study", "chain_seq": 0, "chain_mac": START}
    tx.session.execute(db.insert_missing(tx.session, ChainHead).values(blank).on_conflict_do_nothing())


def stream(tx: Tx, event_id: UUID, participant: Any, kind: str, content: Mapping[str, Any]) -> None:
    """Let an event leave by the feed: `content` (subject id only) is written in this same act.

    It is written as sorted JSON once, here; whoever reads the feed later reads these bytes.
    """
    entry = {
        "event_id": event_id,
        "kind": kind,
        "at": instant(tx.now),
        "study": participant.study_id,
        "site": participant.site_id,
        "subject_id": participant.subject_id,
        **content,
    }
    tx.insert(
        FeedEntry,
        [
            {
                "study_id": participant.study_id,
                "event_id": event_id,
                "subject_id": participant.subject_id,
                "site_id": participant.site_id,
                "kind": kind,
                "at": tx.now,
                "body": orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode(),
            }
        ],
    )
