"""Checking the trail: every chain link by link, and against a head that was kept elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from epro import canonical, db, keys
from epro.trail import instant, key
from epro.trail.entries import START, Entry, Fault, faults_of_chain
from epro.trail.models import ChainHead, Event
from epro.tx import Tx

Heads = dict[tuple[str, str], tuple[int, str]]
BadHead = ValueError


def heads(tx: Tx, participants: type[Any]) -> Heads:
    """(study, chain) → (seq, mac) of every chain, as the rows say that head them."""
    found: Heads = {}
    for row in tx.session.execute(
        sa.select(ChainHead.study_id, ChainHead.chain, ChainHead.chain_seq, ChainHead.chain_mac)
    ):
        found[(row.study_id, row.chain)] = (row.chain_seq, row.chain_mac)
    people = sa.select(
        participants.study_id, participants.subject_id, participants.chain_seq, participants.chain_mac
    )
    for row in tx.session.execute(people):
        found[(row.study_id, f"participant/{row.subject_id}")] = (row.chain_seq, row.chain_mac)
    return found


def signed_head(tx: Tx, participants: type[Any]) -> dict[str, Any]:
    """The heads of all chains at this instant, signed (Ed25519 over the RFC 8785 form without `signature`)."""
    found = heads(tx, participants)
    head: dict[str, Any] = {
        "format": 1,
        "at": instant(tx.now),
        "public_key": _public(),
        "chains": [
            {"study": study, "chain": chain, "seq": seq, "mac": mac}
            for (study, chain), (seq, mac) in sorted(found.items())
        ],
    }
    head["signature"] = base64.b64encode(_signer().sign(canonical.encode(head))).decode()
    return head


def faults(
    tx: Tx,
    participants: type[Any],
    *,
    kept: dict[str, Any] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Fault]:
    """Every break of the trail. `kept` is a signed head from earlier: what it saw must still be there, unchanged.

    Raises ValueError when the kept head itself is not genuine.
    """
    wanted = heads(tx, participants)
    seen: dict[tuple[str, str], dict[int, str]] = {}
    marks = _marks(kept)
    rows = tx.session.execute(
        sa.select(*Event.__table__.columns)
        .order_by(Event.study_id, Event.chain, Event.seq)
        .execution_options(yield_per=1000)
    )
    for (study_id, chain), entries in groupby(rows, key=lambda row: (row.study_id, row.chain)):
        there = [_entry(row) for row in entries]
        mark = marks.get((study_id, chain), (0,))[0]
        seen[(study_id, chain)] = {entry.seq: entry.mac for entry in there if entry.seq == mark}
        yield from faults_of_chain(key(), study_id, chain, there, wanted.pop((study_id, chain), (0, START)))
        progress(len(there))
    for (study_id, chain), (seq, _) in wanted.items():
        if seq:
            yield Fault(study_id, chain, 1, f"the whole chain of {seq} entries is gone")
    for (study_id, chain), (seq, mac) in marks.items():
        if seq and seen.get((study_id, chain), {}).get(seq) != mac:
            yield Fault(
                study_id, chain, seq, "the kept head saw another entry here: cut off, or history rewritten"
            )


def _entry(row: Any) -> Entry:
    return Entry(
        row.seq,
        row.body,
        row.mac,
        {
            "id": str(row.id),
            "at": instant(row.at),
            "actor": row.actor,
            "action": row.action,
            "subject_id": row.subject_id,
            "object_type": row.object_type,
            "object_id": row.object_id,
        },
    )


def _marks(kept: dict[str, Any] | None) -> Heads:
    if kept is None:
        return {}
    try:
        signature = base64.b64decode(kept["signature"])
        unsigned = {name: value for name, value in kept.items() if name != "signature"}
        Ed25519PublicKey.from_public_bytes(base64.b64decode(_public())).verify(
            signature, canonical.encode(unsigned)
        )
        return {(c["study"], c["chain"]): (int(c["seq"]), str(c["mac"])) for c in kept["chains"]}
    except (KeyError, TypeError, ValueError, InvalidSignature):
        raise BadHead("The kept head is not one that this installation signed.") from None


def _signer() -> Any:
    settings = db.settings()
    return keys.signing_key(keys.derive(settings["TRAIL_KEY"] or settings["SECRET_KEY"] or "", "trail heads"))


def _public() -> str:
    return base64.b64encode(_signer().public_key().public_bytes_raw()).decode()
