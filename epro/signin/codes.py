"""Activation codes as people read them aloud. Pure but for randomness.

Fifteen characters of Crockford's base 32 in three groups. The first five choose the code (they are kept), the
other ten are its secret (50 bits; only a slow hash is kept).
"""

from __future__ import annotations

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH, SELECTOR = 15, 5
MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1"})


def make() -> str:
    """A new code, shown as XXXXX-XXXXX-XXXXX."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join((text[:5], text[5:10], text[10:]))


def parts(typed: str) -> tuple[str, str] | None:
    """(selector, secret) of a code as somebody typed it: any case, spaces, dashes, O for 0; None if it is none."""
    text = "".join(c for c in typed.upper() if not c.isspace() and c not in "-‐‑–—_.").translate(MISREAD)
    if len(text) != LENGTH or any(c not in ALPHABET for c in text):
        return None
    return text[:SELECTOR], text[SELECTOR:]
