"""Keys, each for one purpose, derived from the installation's secret (HKDF, RFC 5869) unless set apart.

A key's id is the start of its digest: it says which key was used without saying the key.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


@lru_cache(maxsize=64)
def derive(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose; the same secret and purpose always give the same key."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"epro/1", info=purpose.encode())
    return kdf.derive(secret.encode())


@lru_cache(maxsize=16)
def signing_key(seed: bytes) -> Ed25519PrivateKey:
    """The Ed25519 key of this 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed)


@lru_cache(maxsize=64)
def key_id(key: bytes) -> str:
    """Eight hex digits that name a key."""
    return hashlib.sha256(b"epro key id\x00" + key).hexdigest()[:8]


def mac(key: bytes, message: bytes) -> str:
    """HMAC-SHA-256, hex."""
    return hmac.digest(key, message, "sha256").hex()
