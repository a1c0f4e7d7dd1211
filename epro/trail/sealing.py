"""The log: each event of the trail gets a leaf after its commit, by one hand at a time, and what it came to is signed.

What waits is visible, so committed; what commits later waits for the next time. So leaves have no gaps, and the entries
of one chain stand in their own order. The cost of a seal follows what is new, not how long the log is.
"""

from __future__ import annotations

import logging
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from epro import db, keys
from epro.trail import merkle, notes
from epro.trail.entries import instant
from epro.trail.models import Checkpoint, Event, Leaf, TreeNode, WaitingEvent
from epro.tx import Tx, begin, system, table_of

log = logging.getLogger(__name__)

SEALER = system("sealer")
LOCK = 0x65736561  # the advisory lock's number
BATCH = 5000
STEP = 8  # of the tree every eighth height is stored
WIDTH = 1 << STEP
New = tuple[UUID, bytes]


def seal(now: datetime | None = None) -> int:
    """Give leaves to everything that waits and sign what the log came to; returns how many leaves."""
    total, found = 0, BATCH
    while found == BATCH:
        found = _seal_some(now)
        total += found
    return total


def last(tx: Tx) -> Checkpoint | None:
    """The newest checkpoint."""
    found: Checkpoint | None = tx.one(sa.select(Checkpoint).order_by(Checkpoint.size.desc()))
    return found


def after(tx: Tx, size: int, limit: int) -> list[Checkpoint]:
    """Checkpoints of logs longer than this, the shortest first."""
    return tx.all(sa.select(Checkpoint).where(Checkpoint.size > size).order_by(Checkpoint.size).limit(limit))


def hashes(tx: Tx) -> merkle.Hashes:
    """The hashes of complete subtrees, from what is stored."""

    def subtree(height: int, first: int) -> bytes:
        stratum = height // STEP
        begin = first >> (stratum * STEP)
        return merkle.fold(_stored(tx, stratum, begin, begin + (1 << height % STEP)))

    return subtree


def origin(tx: Tx) -> str:
    """The log's name: that of its first checkpoint for ever, at first made from the public address."""
    found = tx.one(sa.select(Checkpoint.origin).order_by(Checkpoint.size))
    return found or f"{urlsplit(db.settings()['PUBLIC_URL'] or '').netloc or 'epro'}/trail"


def public_key(tx: Tx) -> str:
    """The key that checkpoints are checked with, as one word."""
    return notes.verifier_key(origin(tx), signer().public_key().public_bytes_raw())


def signer() -> Ed25519PrivateKey:
    """What signs checkpoints."""
    settings = db.settings()
    secret = settings["TRAIL_KEY"] or settings["SECRET_KEY"] or ""
    return keys.signing_key(keys.derive(secret, "trail checkpoints"))


def _seal_some(now: datetime | None) -> int:
    with begin(SEALER, now) as tx:
        if not _alone(tx):
            return 0
        waiting = tx.session.execute(
            sa.select(WaitingEvent.no, Event.id, Event.body)
            .join(Event, Event.id == WaitingEvent.event_id)
            .order_by(WaitingEvent.no)
            .limit(BATCH)
        ).all()
        if waiting:
            _append(tx, [(row.id, merkle.leaf_hash(row.body.encode())) for row in waiting])
            done = [row.no for row in waiting]
            tx.session.execute(sa.delete(WaitingEvent).where(WaitingEvent.no.in_(done)))
        if len(waiting) < BATCH:
            _sign(tx)
        return len(waiting)


def _alone(tx: Tx) -> bool:
    if tx.connection.dialect.name != "postgresql":
        return True
    return bool(tx.session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(LOCK))))


def _append(tx: Tx, new: list[New]) -> None:
    """Put leaves behind the last one, and the nodes that they complete."""
    first = _size(tx)
    rows = [
        {"leaf": first + i, "event_id": event_id, "hash": value} for i, (event_id, value) in enumerate(new)
    ]
    tx.connection.execute(sa.insert(table_of(Leaf)), rows)
    hashes_of_stratum, stratum = [value for _, value in new], 0
    while hashes_of_stratum:
        stratum += 1
        begin = first // WIDTH * WIDTH
        line = [*_stored(tx, stratum - 1, begin, first), *hashes_of_stratum]
        full = len(line) // WIDTH
        hashes_of_stratum = [merkle.fold(line[i * WIDTH : (i + 1) * WIDTH]) for i in range(full)]
        first //= WIDTH
        _keep_nodes(tx, stratum, first, hashes_of_stratum)


def _keep_nodes(tx: Tx, stratum: int, first: int, found: list[bytes]) -> None:
    rows = [{"stratum": stratum, "node": first + i, "hash": value} for i, value in enumerate(found)]
    if rows:
        tx.connection.execute(sa.insert(table_of(TreeNode)), rows)


def _stored(tx: Tx, stratum: int, begin: int, end: int) -> list[bytes]:
    """The stored hashes of a stratum, from `begin` up to `end`."""
    if begin == end:
        return []
    if stratum == 0:
        query = sa.select(Leaf.hash).where(Leaf.leaf >= begin, Leaf.leaf < end).order_by(Leaf.leaf)
    else:
        here = (TreeNode.stratum == stratum, TreeNode.node >= begin, TreeNode.node < end)
        query = sa.select(TreeNode.hash).where(*here).order_by(TreeNode.node)
    return tx.all(query)


def _size(tx: Tx) -> int:
    found = tx.session.scalar(sa.select(sa.func.max(Leaf.leaf)))
    return 0 if found is None else found + 1


def _sign(tx: Tx) -> None:
    """Sign when everything that waited has its leaf, so that a checkpoint also says: there was nothing else by then."""
    newest, size = last(tx), _size(tx)
    if size == (newest.size if newest else 0):
        return
    name = origin(tx)
    root = merkle.root(hashes(tx), size)
    note = notes.checkpoint(signer(), name, size, root, instant(tx.now))
    tx.add(Checkpoint(size=size, at=tx.now, origin=name, note=note))
    log.info("trail sealed", extra={"action": "trail.sealed", "size": size, "root": root.hex()})
