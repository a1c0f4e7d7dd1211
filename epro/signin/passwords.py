"""Slow hashes for what people type: argon2id with the parameters of OWASP ASVS 5.0, appendix C.

At most a few at once: each takes 46 MiB, and a storm of log-ins must not take the machine.
"""

from __future__ import annotations

from functools import lru_cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from epro import db

AT_ONCE = BoundedSemaphore(4)


@lru_cache(maxsize=2)
def _hasher(cost: str) -> PasswordHasher:
    if cost == "cheap":
        return PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    return PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)


def hashed(secret: str) -> str:
    """The hash to keep, with its salt and parameters in it."""
    with AT_ONCE:
        return _hasher(db.settings()["PASSWORD_COST"] or "full").hash(secret)


def fits(kept: str | None, secret: str) -> bool:
    """Whether this is the secret behind the hash. Without a hash it takes as long, and says no."""
    hasher = _hasher(db.settings()["PASSWORD_COST"] or "full")
    with AT_ONCE:
        try:
            return hasher.verify(kept or _nobody(db.settings()["PASSWORD_COST"] or "full"), secret) and bool(
                kept
            )
        except (VerificationError, InvalidHashError):
            return False


def is_weaker(kept: str) -> bool:
    """Whether this hash was made with less work than one is made with now: then it is made again at sign-in."""
    now = _hasher(db.settings()["PASSWORD_COST"] or "full")
    then = extract_parameters(kept)
    return then.memory_cost < now.memory_cost or then.time_cost < now.time_cost


@lru_cache(maxsize=2)
def _nobody(cost: str) -> str:
    return _hasher(cost).hash("nobody has this password")
