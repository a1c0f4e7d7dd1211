"""Checkpoints as signed notes, in the form of C2SP (tlog-checkpoint, signed-note). Pure.

    <origin>
    <size>
    <root, base64>
    at <instant>

    — <origin> <base64 of key hash and Ed25519 signature>

The fourth line is an extension line, as that form allows: when it was signed.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"


def checkpoint(key: Ed25519PrivateKey, origin: str, size: int, root: bytes, at: str) -> str:
    """The signed note that says how long the log is, and what its root is."""
    text = f"{origin}\n{size}\n{_base64(root)}\nat {at}\n"
    public = key.public_key().public_bytes_raw()
    signature = _base64(_key_hash(origin, public) + key.sign(text.encode()))
    return f"{text}\n— {origin} {signature}\n"


def root_of(note: str) -> str:
    """The root that a note tells, in hex."""
    return base64.b64decode(note.split("\n")[2]).hex()


def verifier_key(origin: str, public: bytes) -> str:
    """The public key as one word: `<origin>+<key hash>+<base64 of algorithm and key>`."""
    return f"{origin}+{_key_hash(origin, public).hex()}+{_base64(ED25519 + public)}"


def _key_hash(origin: str, public: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\n" + ED25519 + public).digest()[:4]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
