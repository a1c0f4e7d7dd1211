"""Receipts: what the server took, when, signed so that a phone can prove it.

The signature (Ed25519, base64) is over the RFC 8785 form of {"digest", "id", "received_at"}. The public key is
at `GET /v1/keys`.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization

from epro import canonical, db, keys
from epro.trail.entries import instant

STORED, ALREADY, HELD, CONFLICT = "stored", "already_stored", "held", "conflict"


@dataclass(frozen=True)
class Receipt:
    """The answer to one entry of a batch. `id` is what the phone called it, if it could be read."""

    id: str | None
    outcome: str
    digest: str
    received_at: datetime
    signature: str
    findings: list[dict[str, str]] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "outcome": self.outcome,
            "digest": self.digest,
            "received_at": instant(self.received_at),
            "signature": self.signature,
            "findings": self.findings,
        }


def sign(response_id: str | None, digest: str, received_at: datetime) -> str:
    """The receipt's signature."""
    signed = canonical.encode({"id": response_id, "digest": digest, "received_at": instant(received_at)})
    return base64.b64encode(keys.signing_key(_seed()).sign(signed)).decode()


def is_ours(response_id: str | None, digest: str, received_at: datetime, signature: str) -> bool:
    """Whether this is our signature over these three. Ed25519 gives the same each time."""
    return hmac.compare_digest(sign(response_id, digest, received_at), signature)


def public_key() -> dict[str, str]:
    """The key that phones and inspectors check receipts with, and its id."""
    raw = (
        keys.signing_key(_seed())
        .public_key()
        .public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    )
    return {"id": keys.key_id(raw), "algorithm": "Ed25519", "public_key": base64.b64encode(raw).decode()}


def _seed() -> bytes:
    settings = db.settings()
    return keys.derive(settings["RECEIPT_KEY"] or settings["SECRET_KEY"] or "", "receipts")
