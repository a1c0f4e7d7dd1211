"""Tokens: short JWTs for access, opaque rotating ones for refresh. Pure but for the keys handed in.

The n-th refresh token of a session is worked out from the session and n under a key of its own, so that a
lost reply can be given again without keeping the token anywhere; the database holds digests only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

import jwt

ALGORITHM = "HS256"
ISSUER = "epro"
ACCESS_FOR = timedelta(minutes=15)
REQUIRED = ["exp", "iat", "iss", "aud", "sub", "jti"]


class BadToken(Exception):
    """The token is none of ours, is for another door, or has run out."""


def claims(audience: str, now: datetime) -> dict[str, Any]:
    """The claims that bind an access token to its door and its quarter of an hour."""
    return {
        "aud": audience,
        "iss": ISSUER,
        "iat": int(now.timestamp()),
        "exp": int((now + ACCESS_FOR).timestamp()),
    }


def read(token: str, key: str, audience: str, now: datetime) -> Mapping[str, Any]:
    """The claims of a valid access token. Raises BadToken."""
    found = _verified(token, key, audience)
    if found.get("type") != "access" or not isinstance(found["exp"], int) or found["exp"] <= now.timestamp():
        raise BadToken("expired")
    return found


def audience_of(token: str) -> str | None:
    """Whom a token says it is for. Nothing vouches for that: it only says which lock is to be tried."""
    try:
        found = jwt.decode(token, options={"verify_signature": False}).get("aud")
    except jwt.PyJWTError:
        return None
    return found if isinstance(found, str) else None


@lru_cache(maxsize=4096)
def _verified(token: str, key: str, audience: str) -> Mapping[str, Any]:
    """What the signature vouches for. A token that was good once is good text for ever; the hour is asked anew."""
    try:
        found: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            # The hour is ours to judge, by the one clock, and not the library's.
            options={"require": REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.PyJWTError as fault:
        raise BadToken(type(fault).__name__) from None
    return MappingProxyType(found)


def refresh_token(key: bytes, session_id: UUID, generation: int) -> str:
    """The refresh token of this session and generation."""
    secret = hmac.new(key, f"{session_id}/{generation}".encode(), hashlib.sha256).digest()
    return f"{_text(session_id.bytes)}.{_text(secret)}"


def session_of(token: str) -> UUID | None:
    """The session that a refresh token says it belongs to."""
    try:
        return UUID(bytes=base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
    except (ValueError, TypeError):
        return None


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
