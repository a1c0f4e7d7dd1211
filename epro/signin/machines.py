"""Machines that sign their own requests for a token: SMART backend services (client_credentials, private_key_jwt).

A machine key may carry the public keys of its machine. An assertion signed with one of them opens, once, a token
for a few minutes; the key it stands for is looked at again at every request.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID, uuid4

import jwt
import sqlalchemy as sa

from epro import db, trail
from epro.errors import EproError, Invalid
from epro.signin import key_ends, sessions, tokens, watch
from epro.signin import sources as networks
from epro.signin.models import MachineKey, SpentAssertion
from epro.tx import Actor, Grant, Tx

AUDIENCE = "epro-fhir"
ALGORITHMS = ("RS384", "ES384")
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GOOD_FOR = timedelta(minutes=5)
LONGEST = timedelta(minutes=5)  # between now and the end of an assertion
NOT_AGAIN_FOR = timedelta(hours=1)  # until it is written down again that a key came from elsewhere
SCOPES = frozenset({"system/*.rs", "system/*.read"})
MOST_KEYS, LONGEST_ID = 10, 200


class AssertionRefused(EproError):
    """The assertion is not accepted."""

    status, code = 401, "invalid_client"


class ScopeRefused(EproError):
    """None of these scopes can be given."""

    code = "invalid_scope"


class GrantRefused(EproError):
    """Tokens are given for client_credentials with a signed assertion only."""

    code = "unsupported_grant_type"


class FromElsewhere(EproError):
    """This key may not come from this address."""

    status, code = 403, "key_from_elsewhere"

    def __init__(self, key_id: UUID | None = None) -> None:
        super().__init__()
        self.key_id = key_id


def must_come_from(tx: Tx, key_id: UUID, address: IPv4Address | IPv6Address | None) -> None:
    """Raise FromElsewhere when this key has a list of networks and the address lies in none of them."""
    row = tx.get(MachineKey, key_id)
    if row is not None and not networks.holds(row.sources, address):
        raise FromElsewhere(key_id)


def note_elsewhere(tx: Tx, key_id: UUID | None) -> None:
    """Write down that a key came from elsewhere; once an hour, however often it does."""
    row = tx.get(MachineKey, key_id, lock=True)
    if row is None or (row.elsewhere_at is not None and tx.now - row.elsewhere_at < NOT_AGAIN_FOR):
        return
    row.elsewhere_at = tx.now
    watch.record(tx, trail.study_chain(tx, row.study_id), "key.from_elsewhere", "machine_key", row.id)


def check_keys(jwks: Any) -> list[dict[str, Any]]:
    """The public keys of a key set. Raises Invalid where one is private, of another kind or too short."""
    found = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(found, list) or not 0 < len(found) <= MOST_KEYS:
        raise Invalid('A key set is {"keys": [...]} with one to ten keys.')
    for key in found:
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
            raise Invalid("Each key needs its `kid`.")
        if {"d", "p", "q", "k"} & key.keys():
            raise Invalid("This file holds a private key: give the public ones only, and make new ones.")
        if not _fits(key):
            raise Invalid("Keys are RSA of 2048 bits or more (RS384) or on the curve P-384 (ES384).")
    if len({key["kid"] for key in found}) != len(found):
        raise Invalid("Two keys have the same `kid`.")
    return found


def _fits(key: Mapping[str, Any]) -> bool:
    try:
        made = jwt.PyJWK.from_dict(dict(key), algorithm=_algorithm(key))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return False
    size: int = made.key.key_size
    return size >= 2048 if key["kty"] == "RSA" else size == 384


def _algorithm(key: Mapping[str, Any]) -> str:
    return "RS384" if key.get("kty") == "RSA" else "ES384"


def add_key(
    tx: Tx, study_id: str, name: str, days: int, jwks: Any, sources: Sequence[str] = ()
) -> MachineKey:
    """A machine key that no secret opens, only signatures of these keys."""
    keys = check_keys(jwks)
    row = tx.add(
        MachineKey(
            id=uuid4(),
            study_id=study_id,
            name=name,
            role="machine",
            secret_hash=hashlib.sha256(secrets.token_bytes(32)).hexdigest(),  # of nothing that anybody has
            made_at=tx.now,
            expires_at=key_ends.of(tx.now, days),
            jwks=keys,
            sources=networks.check(sources) or None,
        )
    )
    kids = sorted(key["kid"] for key in keys)
    told: dict[str, Any] = {"sources": row.sources} if row.sources else {}
    trail.record(
        tx, trail.study_chain(tx, study_id), "key.added", "machine_key", row.id, name=name, kids=kids, **told
    )
    return row


def token_for(
    tx: Tx, form: Mapping[str, str], audiences: set[str], address: IPv4Address | IPv6Address | None
) -> dict[str, Any]:
    """A token for a signed assertion. Raises GrantRefused, ScopeRefused, AssertionRefused, FromElsewhere."""
    if form.get("grant_type") != "client_credentials" or form.get("client_assertion_type") != ASSERTION:
        raise GrantRefused()
    scopes = set(form.get("scope", "").split()) & SCOPES
    if not scopes:
        raise ScopeRefused(f"The scopes here are {', '.join(sorted(SCOPES))}.")
    row = _spend(tx, form.get("client_assertion", ""), audiences)
    must_come_from(tx, row.id, address)
    content = {
        **tokens.claims(AUDIENCE, tx.now),
        "exp": int((tx.now + GOOD_FOR).timestamp()),
        "sub": str(row.id),
        "jti": str(uuid4()),
        "type": "access",
        "scope": " ".join(sorted(scopes)),
    }
    return {
        "access_token": jwt.encode(content, sessions.jwt_key(), algorithm=tokens.ALGORITHM),
        "token_type": "bearer",
        "expires_in": int(GOOD_FOR.total_seconds()),
        "scope": content["scope"],
    }


def _spend(tx: Tx, assertion: str, audiences: set[str]) -> MachineKey:
    """The key that an assertion stands for; it is good once. Raises AssertionRefused."""
    row = _claimed(tx, assertion)
    claims = _verified(row, assertion, audiences)
    now, ends = tx.now.timestamp(), claims["exp"]
    if type(ends) is not int or not now < ends <= now + LONGEST.total_seconds() + 60:
        raise AssertionRefused()
    if not isinstance(claims["jti"], str) or not 0 < len(claims["jti"]) <= LONGEST_ID:
        raise AssertionRefused()
    tx.session.execute(sa.delete(SpentAssertion).where(SpentAssertion.expires_at < int(now)))
    spent = {
        "key_id": row.id,
        "digest": hashlib.sha256(claims["jti"].encode()).hexdigest(),
        "expires_at": ends,
    }
    adding = db.insert_missing(tx.session, SpentAssertion).values(spent).on_conflict_do_nothing()
    if tx.session.execute(adding.returning(SpentAssertion.digest)).first() is None:
        raise AssertionRefused()
    return row


def _claimed(tx: Tx, assertion: str) -> MachineKey:
    """The key that it says it is of."""
    try:
        named = UUID(jwt.decode(assertion, options={"verify_signature": False})["sub"])
    except (jwt.PyJWTError, KeyError, ValueError, AttributeError, TypeError):
        raise AssertionRefused() from None
    row = tx.get(MachineKey, named)
    if row is None or not row.jwks or row.revoked_at or row.expires_at <= tx.now:
        raise AssertionRefused()
    return row


def _verified(row: MachineKey, assertion: str, audiences: set[str]) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(assertion)
        key = next(key for key in row.jwks or () if key["kid"] == header.get("kid"))
        claims: dict[str, Any] = jwt.decode(
            assertion,
            jwt.PyJWK.from_dict(key, algorithm=_algorithm(key)),
            algorithms=[_algorithm(key)],
            audience=audiences,
            issuer=str(row.id),
            options={
                "require": ["exp", "iss", "sub", "aud", "jti"],
                "verify_exp": False,  # the hour is ours to judge, by the one clock
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, StopIteration, ValueError, TypeError, KeyError):
        raise AssertionRefused() from None
    return claims


def actor_of(tx: Tx, token: str) -> Actor | None:
    """The machine that a token of ours was given to, or None."""
    try:
        claims = tokens.read(token, sessions.jwt_key(), AUDIENCE, tx.now)
        row = tx.get(MachineKey, UUID(claims["sub"]))
    except (tokens.BadToken, ValueError):
        return None
    if row is None or row.revoked_at or row.expires_at <= tx.now:
        return None
    return Actor("key", str(row.id), grants=(Grant(row.study_id, "*", row.role),))
