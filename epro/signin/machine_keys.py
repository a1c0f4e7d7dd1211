"""Keys for machines of one study: made, ended, bound to networks, and who comes with one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from epro import trail
from epro.errors import NotFound
from epro.signin import key_ends, stepup
from epro.signin import sources as networks
from epro.signin.models import MachineKey
from epro.tx import Actor, Grant, Tx


def add(
    tx: Tx, study_id: str, name: str, days: int, role: str = "machine", sources: Sequence[str] = ()
) -> tuple[MachineKey, str]:
    """A key of one study for a machine; its text is shown once. `machine` reads the feed, `edc` hands in dates.

    Raises StepUpNeeded, PasskeyNeeded, Invalid.
    """
    stepup.require_resistant(tx)
    secret = secrets.token_urlsafe(32)
    row = tx.add(
        MachineKey(
            id=uuid4(),
            study_id=study_id,
            name=name,
            role=role,
            secret_hash=hashlib.sha256(secret.encode()).hexdigest(),
            made_at=tx.now,
            expires_at=key_ends.of(tx.now, days),
            sources=networks.check(sources) or None,
        )
    )
    told: dict[str, Any] = {"sources": row.sources} if row.sources else {}
    trail.record(
        tx, trail.study_chain(tx, study_id), "key.added", "machine_key", row.id, name=name, role=role, **told
    )
    return row, f"epk_{row.id.hex}_{secret}"


def revoke(tx: Tx, key_id: UUID, reason: str) -> None:
    """End a machine key; it holds from its next request on. Raises StepUpNeeded, PasskeyNeeded."""
    stepup.require_resistant(tx)
    row = tx.get(MachineKey, key_id, lock=True)
    if row is None:
        raise NotFound()
    row.revoked_at = tx.now
    trail.record(tx, trail.study_chain(tx, row.study_id), "key.revoked", "machine_key", row.id, reason=reason)


def change_sources(tx: Tx, key_id: UUID, sources: Sequence[str], reason: str) -> MachineKey:
    """Let a machine key come from these networks only, from its next request on; from anywhere without any.

    Raises StepUpNeeded, PasskeyNeeded, Invalid.
    """
    stepup.require_resistant(tx)
    row = tx.get(MachineKey, key_id, lock=True)
    if row is None:
        raise NotFound()
    head = trail.study_chain(tx, row.study_id)
    row.sources = networks.check(sources) or None
    told = row.sources or []
    trail.record(tx, head, "key.sources_set", "machine_key", row.id, reason=reason, sources=told)
    return row


def actor_of(tx: Tx, text: str) -> Actor | None:
    """The machine behind a key, or None."""
    name, _, secret = text.removeprefix("epk_").partition("_")
    try:
        row = tx.get(MachineKey, UUID(hex=name))
    except ValueError:
        return None
    given = hashlib.sha256(secret.encode()).hexdigest()
    if (
        row is None
        or row.revoked_at
        or row.expires_at <= tx.now
        or not hmac.compare_digest(given, row.secret_hash)
    ):
        return None
    return Actor("key", str(row.id), grants=(Grant(row.study_id, "*", row.role),))
