"""Sealing a field so that it opens only in its own place. Pure but for randomness.

AES-256-GCM with a random 96-bit nonce; the place (table, column, row, key id) is authenticated with it, so a
ciphertext that is moved to another row does not open.
"""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from epro import keys

DERIVED = "0"  # the key that is derived from the installation's secret


class CannotOpen(Exception):
    """A sealed field does not open: wrong key, changed, or moved from its place."""


def seal(key: bytes, key_id: str, place: str, value: str) -> str:
    nonce = secrets.token_bytes(12)
    return base64.b64encode(
        nonce + AESGCM(key).encrypt(nonce, value.encode(), _bound(place, key_id))
    ).decode()


def unseal(key: bytes, key_id: str, place: str, sealed: str) -> str:
    try:
        raw = base64.b64decode(sealed)
        return AESGCM(key).decrypt(raw[:12], raw[12:], _bound(place, key_id)).decode()
    except (InvalidTag, ValueError):
        raise CannotOpen("A contact field does not open with its key at its place.") from None


def key_ring(setting: str | None, secret: str) -> dict[str, bytes]:
    """Key id → key, newest first. `setting` is `id:secret,id:secret`; without it there is one, derived.

    The derived one, "0", stays the oldest of any ring: what was sealed before there was a ring must still open.
    """
    pairs = (pair.partition(":") for pair in setting.split(",")) if setting else ()
    ring = {name.strip(): keys.derive(text.strip(), "contacts") for name, _, text in pairs}
    ring.setdefault(DERIVED, keys.derive(secret, "contacts"))
    return ring


def _bound(place: str, key_id: str) -> bytes:
    return f"{place}/{key_id}".encode()
