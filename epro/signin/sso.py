"""Signing in at the identity provider of an organisation (OpenID Connect, authorization code with PKCE).

Three steps, and no transaction is open while the provider is asked: `begin` sends the browser there, `exchange` gets
the id token and checks it, `enter` opens a session. An account is known by issuer and subject alone, never by an
e-mail address: an administrator's invitation links the two, once. A sign-in that the provider does not call a strong
one asks for the account's own second factor.

State, nonce and code verifier hang on a secret in a cookie of this browser; of it the database sees nothing.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

import requests
import sqlalchemy as sa
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from epro import clock, db, trail
from epro.errors import EproError, Unavailable
from epro.signin import factors, links, sessions, staff, stepup, tickets, watch
from epro.signin.models import OutsideIdentity, SignInSession, Staff
from epro.tx import Tx, begin

STATE = "sso"
GOOD_FOR = timedelta(minutes=10)
LEEWAY = 60  # seconds between their clock and ours
OLDEST = timedelta(minutes=10)  # of an id token that has just been made
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
TIMES = (3.05, 10)  # seconds to connect, and to read
KNOWN_FOR = timedelta(hours=1)  # of the provider's addresses and keys
AGAIN_AFTER = timedelta(minutes=1)  # between two questions for new keys
LARGEST = 256 * 1024  # of what the provider answers
LOGGED_OUT = "http://schemas.openid.net/event/backchannel-logout"
RESISTANT = {
    "hwk",
    "phr",
    "phrh",
}  # of RFC 8176 and of OpenID Enhanced Authentication Profile: `amr` or `acr`
HELD = {"hwk", "otp", "swk"}  # RFC 8176: what one has
HERS = {"face", "fpt", "iris", "pin", "pwd", "retina", "vbm"}  # and what one knows or is
SINGLE = HELD | HERS | {"geo", "kba", "pop", "sc", "sms", "tel", "user"}
_known: dict[str, tuple[datetime, dict[str, Any], KeySet]] = {}
_asked_again: dict[str, datetime] = {}
_lock = threading.Lock()


class SsoRefused(EproError):
    """The sign-in elsewhere did not come through: begin again."""

    status, code = 401, "sso_refused"


class SsoUnknown(EproError):
    """Nobody here is linked with this identity: ask an administrator for an invitation."""

    status, code = 403, "sso_unknown"


@dataclass(frozen=True)
class Identity:
    """Who the provider says it is, whether it asked for more than one factor, and when she showed it there, if the
    provider says so and it was within the minutes that a step-up is good for.
    """

    issuer: str
    subject: str
    strong: bool
    shown_at: datetime | None = None
    resistant: bool = False  # to phishing

    @property
    def factor(self) -> str | None:
        """What a session that is opened by it has besides; None where it counts as a password alone."""
        return (factors.SSO_RESISTANT if self.resistant else factors.SSO) if self.strong else None


@dataclass(frozen=True)
class Going:
    """Where the browser is sent, and the secret for its cookie."""

    address: str
    secret: str


def is_on() -> bool:
    return bool(db.settings()["SSO_ISSUER"])


def name() -> str:
    return db.settings()["SSO_NAME"] or urlsplit(_issuer()).netloc


def redirect_uri() -> str:
    return f"{(db.settings()['PUBLIC_URL'] or '').rstrip('/')}/console/sso/callback"


def start(wanted: str, link: str | None = None, *, again: bool = False) -> Going:
    """Begin a sign-in; with the secret of an invitation it links the account that was invited. `again`: the provider
    is not to take an earlier sign-in for this one, for she shows once more who she is.

    Raises LinkNotAccepted, Unavailable.
    """
    about, _ = _provider()
    secret = secrets.token_urlsafe(32)
    with begin(staff.DOOR) as tx:
        staff_id = links.invited_to_link(tx, link) if link else None
        content = {
            "next": wanted,
            "link": str(staff_id) if staff_id else None,
            "browser": _of(secret, "browser"),
            "again": tx.now.isoformat() if again else None,
        }
        state = tickets.make(tx, STATE, GOOD_FOR, staff_id, content)
    with _client() as client:
        address, _ = client.create_authorization_url(
            about["authorization_endpoint"],
            state=state,
            code_verifier=_of(secret, f"verifier {state}"),
            nonce=_of(secret, f"nonce {state}"),
            **({"acr_values": " ".join(_listed("SSO_ACR"))} if _listed("SSO_ACR") else {}),
            **({"prompt": "login", "max_age": "0"} if again else {}),
        )
    return Going(address, secret)


def exchange(came: Mapping[str, str], secret: str | None) -> tuple[Identity, dict[str, Any]]:
    """Who has come back, and what was kept of her going; the state is spent in any case.

    Raises SsoRefused, Unavailable.
    """
    kept = _kept(came.get("state", ""), secret or "")
    if came.get("iss", _issuer()) != _issuer():
        raise SsoRefused("The answer is another provider's.")
    if "error" in came or not came.get("code"):
        raise SsoRefused("The provider has let nobody in.")
    about, keys = _provider()
    state = came["state"]
    told = _token(about, came["code"], _of(secret or "", f"verifier {state}"))
    claims = _claims(str(told.get("id_token", "")), keys)
    _check(claims, nonce=_of(secret or "", f"nonce {state}"), access_token=told.get("access_token"))
    return Identity(
        _issuer(), claims["sub"], _is_strong(claims), _shown_at(claims), _is_resistant(claims)
    ), kept


def enter(
    tx: Tx,
    identity: Identity,
    kept: Mapping[str, Any],
    coming: staff.Coming,
    opens: staff.Opens[staff.Opened],
) -> tuple[staff.Opened, str | None]:
    """A session for whom this identity is linked with; an invitation links it first. Nobody has shown anything by a
    sign-in of earlier that the provider remembers: then nothing is proved by it. Raises SsoUnknown.
    """
    row = _linked(tx, identity)
    if kept.get("link"):
        row = _link(tx, row, identity, UUID(kept["link"]))
    person = tx.get(Staff, row.staff_id) if row is not None else None
    if row is None or person is None or person.closed_at is not None:
        raise SsoUnknown()

    def open_it(tx: Tx, staff_id: UUID, told: dict[str, Any]) -> staff.Opened:
        return opens(tx, staff_id, {**told, "identity_id": row.id, "proved_at": identity.shown_at})

    return staff.enter(tx, person.id, identity.factor, coming, open_it, here=False)


def prove(tx: Tx, identity: Identity, kept: Mapping[str, Any], session: SignInSession) -> None:
    """She has shown once more, at the provider, who she is: since she was sent there, and with no less than she had
    come by. Raises SsoRefused.
    """
    row = _linked(tx, identity)
    person = tx.get(Staff, row.staff_id) if row is not None else None
    if person is None or person.closed_at is not None or person.id != session.staff_id:
        raise SsoRefused("This identity belongs to another account.")
    begun = datetime.fromisoformat(kept["again"])
    if identity.shown_at is None or identity.shown_at < begun - timedelta(seconds=LEEWAY):
        raise SsoRefused("The provider does not say that you have signed in there just now.")
    if not identity.strong and (session.second_factor is not None or factors.has_any(tx, person)):
        raise SsoRefused("The provider has asked for one factor only.")
    held = tx.get(SignInSession, session.id, lock=True)
    assert held is not None
    factor = identity.factor
    held.proved_at, held.second_factor = identity.shown_at, factor or held.second_factor
    held.proved_with = factor or factors.SSO
    trail.record(tx, trail.study_chain(tx), "staff.proved_again", "staff", person.id, factor=factor)


def way_out(session: SignInSession | None) -> str | None:
    """Where a browser goes to sign out at the provider too; None where it has not come from there."""
    if session is None or session.identity_id is None or not is_on():
        return None
    try:
        about, _ = _provider()
    except Unavailable:
        return None
    end = about.get("end_session_endpoint")
    back = f"{(db.settings()['PUBLIC_URL'] or '').rstrip('/')}/console/sign-in"
    asked = urlencode({"client_id": db.settings()["SSO_CLIENT_ID"] or "", "post_logout_redirect_uri": back})
    return f"{end}?{asked}" if isinstance(end, str) and _is_safe(end) else None


def signed_out_there(token: str) -> None:
    """The provider says that somebody has signed out (back-channel logout): her sessions that came from there end.

    Raises SsoRefused.
    """
    _, keys = _provider()
    claims = _claims(token, keys)
    events, sub = claims.get("events"), claims.get("sub")
    if not isinstance(events, dict) or LOGGED_OUT not in events or "nonce" in claims or not claims.get("jti"):
        raise SsoRefused("This is no word of a sign-out.")
    _validate(claims, {}, {})
    with begin(staff.DOOR) as tx:
        row = _linked(tx, Identity(_issuer(), str(sub), False))
        if row is not None:
            sessions.end(tx, "signed_out_elsewhere", SignInSession.identity_id == row.id)
            watch.record(
                tx,
                trail.study_chain(tx),
                "staff.session_ended",
                "staff",
                row.staff_id,
                reason="signed_out_elsewhere",
            )


def unlink(tx: Tx, staff_id: UUID, reason: str) -> int:
    """Take an account's identities away, with the sessions that came by them; how many there were."""
    rows = tx.all(
        sa.select(OutsideIdentity).where(
            OutsideIdentity.staff_id == staff_id, OutsideIdentity.removed_at.is_(None)
        )
    )
    for row in rows:
        row.removed_at = tx.now
        sessions.end(tx, "identity_removed", SignInSession.identity_id == row.id)
        trail.record(
            tx,
            trail.study_chain(tx),
            "staff.identity_removed",
            "staff",
            staff_id,
            reason=reason,
            identity=str(row.id),
        )
    return len(rows)


def _kept(state: str, secret: str) -> dict[str, Any]:
    """What was kept under this state, for this browser only; it is spent now."""
    with begin(staff.DOOR) as tx:
        row = tickets.take(tx, STATE, state) if state else None
        content = row.content if row is not None else None
    if content is None or not secret or not hmac.compare_digest(content["browser"], _of(secret, "browser")):
        raise SsoRefused("This sign-in was not begun here, or was ended already.")
    return content


def _linked(tx: Tx, identity: Identity) -> OutsideIdentity | None:
    query = sa.select(OutsideIdentity).where(
        OutsideIdentity.issuer == identity.issuer,
        OutsideIdentity.subject == identity.subject,
        OutsideIdentity.removed_at.is_(None),
    )
    found: OutsideIdentity | None = tx.one(query.with_for_update())
    return found


def _link(tx: Tx, row: OutsideIdentity | None, identity: Identity, staff_id: UUID) -> OutsideIdentity:
    """Link an identity with who was invited; one that is somebody else's is not taken over."""
    person = tx.get(Staff, staff_id, lock=True)
    if person is None or person.closed_at is not None or not links.spend_invitation(tx, staff_id):
        raise SsoRefused("This invitation has been used, or has run out.")
    if row is not None:
        if row.staff_id != staff_id:
            raise SsoRefused("This identity belongs to another account.")
        return row
    made = tx.add(
        OutsideIdentity(
            id=uuid4(), staff_id=staff_id, issuer=identity.issuer, subject=identity.subject, added_at=tx.now
        )
    )
    tx.session.flush()
    trail.record(
        tx,
        trail.study_chain(tx),
        "staff.identity_added",
        "staff",
        staff_id,
        identity=str(made.id),
        issuer=made.issuer,
    )
    return made


def _is_strong(claims: CodeIDToken) -> bool:
    """Whether the provider says that two factors were shown: a single one counts beside one of another kind only."""
    said, listed = set(_methods(claims)), set(_listed("SSO_AMR"))
    alone = said & listed - SINGLE
    beside = said & HERS and said & (HELD | listed) - HERS
    return claims.get("acr") in _listed("SSO_ACR") or bool(alone or beside)


def _is_resistant(claims: CodeIDToken) -> bool:
    """Whether the provider says that she has used what cannot be given away on a wrong page."""
    return claims.get("acr") in RESISTANT or bool(RESISTANT & set(_methods(claims)))


def _methods(claims: CodeIDToken) -> list[str]:
    told = claims.get("amr")
    if told is None:
        return []
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise SsoRefused("The provider does not say in words how you have signed in.")
    return told


def _shown_at(claims: CodeIDToken) -> datetime | None:
    """When she signed in there, if that was within the minutes that a step-up is good for."""
    told, now = claims.get("auth_time"), clock.now()
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    oldest = (now - stepup.GOOD_FOR).timestamp()
    if not oldest <= told <= now.timestamp() + LEEWAY:
        return None
    return min(datetime.fromtimestamp(told, UTC), now)


def _check(claims: CodeIDToken, *, nonce: str, access_token: Any) -> None:
    """Raise SsoRefused unless this token was made just now, by them, for us, for this very sign-in."""
    _validate(
        claims, {"nonce": {"essential": True, "value": nonce}}, {"nonce": nonce, "access_token": access_token}
    )


def _validate(claims: CodeIDToken, more: dict[str, Any], params: dict[str, Any]) -> None:
    client_id = db.settings()["SSO_CLIENT_ID"] or ""
    claims.options = {
        "iss": {"essential": True, "value": _issuer()},
        "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True},
        "exp": {"essential": True},
        "iat": {"essential": True},
        **more,
    }
    claims.params = {"client_id": client_id, **params}
    now = int(clock.now().timestamp())
    try:
        claims.validate(now=now, leeway=LEEWAY)
        fits = isinstance(claims["sub"], str) and 0 < len(claims["sub"]) <= 255
        fits = fits and now - int(OLDEST.total_seconds()) - LEEWAY <= int(claims["iat"]) <= now + LEEWAY
    except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError):
        fits = False
    if not fits:
        raise SsoRefused("The provider's word is not for this sign-in.")


def _claims(token: str, keys: KeySet) -> CodeIDToken:
    """The claims of a token that one of the provider's keys has signed. Raises SsoRefused."""
    for fresh in (False, True):
        try:
            read = jwt.decode(token, keys, algorithms=[*ALGORITHMS])
        except (JoseError, ValueError, TypeError, KeyError):
            if not fresh:  # the provider may have new keys
                _, keys = _provider(fresh=True)
            continue
        if str(read.header.get("typ", "JWT")).lower() in ("jwt", "logout+jwt") and "crit" not in read.header:
            return CodeIDToken(read.claims, dict(read.header))
    raise SsoRefused("The provider's signature does not hold.")


def _token(about: Mapping[str, Any], code: str, verifier: str) -> dict[str, Any]:
    try:
        with _client() as client:
            told: dict[str, Any] = client.fetch_token(
                about["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                redirect_uri=redirect_uri(),
                timeout=TIMES,
                allow_redirects=False,
            )
    except requests.RequestException:
        raise Unavailable("The identity provider does not answer; try again.") from None
    except (AuthlibBaseError, ValueError, TypeError, KeyError):
        raise SsoRefused("The provider did not accept this sign-in.") from None
    return told


def _client() -> OAuth2Session:
    settings = db.settings()
    return OAuth2Session(
        settings["SSO_CLIENT_ID"],
        settings["SSO_CLIENT_SECRET"],
        token_endpoint_auth_method="client_secret_basic" if settings["SSO_CLIENT_SECRET"] else "none",
        scope="openid",
        redirect_uri=redirect_uri(),
        code_challenge_method="S256",
    )


def _provider(*, fresh: bool = False) -> tuple[dict[str, Any], KeySet]:
    """Addresses and keys of the provider, as it publishes them; kept for an hour. Raises Unavailable.

    `fresh`: asked for anew, but once a minute at most: whoever sends what nobody has signed makes us ask no more.
    """
    issuer, now = _issuer(), clock.now()
    with _lock:
        found = _known.get(issuer)
        asked = _asked_again.get(issuer)
        fresh = fresh and (asked is None or abs(now - asked) >= AGAIN_AFTER)
        if fresh:
            _asked_again[issuer] = now
    if found is not None and not fresh and abs(now - found[0]) < KNOWN_FOR:
        return found[1], found[2]
    about = _fetched(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    addresses = [about.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if about.get("issuer") != issuer or not all(isinstance(one, str) and _is_safe(one) for one in addresses):
        raise Unavailable("The identity provider describes itself wrongly: tell an administrator.")
    keys = _public(_fetched(about["jwks_uri"]))
    if not keys:
        raise Unavailable("The identity provider's keys cannot be read: tell an administrator.")
    with _lock:
        _known[issuer] = (now, about, keys)
    return about, keys


def _public(told: dict[str, Any]) -> KeySet:
    """Keys that can check a signature; a shared secret is none, and one of a kind unknown here is passed over."""
    keys = told.get("keys")
    read = [_key(one) for one in keys] if isinstance(keys, list) else []
    return KeySet([one for one in read if one is not None])


def _key(told: Any) -> Key | None:
    if not isinstance(told, dict) or told.get("kty") == "oct" or told.get("use", "sig") != "sig":
        return None
    try:
        key = JWKRegistry.import_key(told)
        key.ensure_kid()
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        return None
    return key


def _fetched(address: str) -> dict[str, Any]:
    try:
        with requests.get(address, timeout=TIMES, allow_redirects=False, stream=True) as answer:
            content = answer.raw.read(LARGEST + 1, decode_content=True)
            if answer.status_code != 200 or len(content) > LARGEST:
                raise ValueError
        found = json.loads(content)
    except (requests.RequestException, ValueError):
        raise Unavailable("The identity provider does not answer; try again.") from None
    if not isinstance(found, dict):
        raise Unavailable("The identity provider does not answer; try again.")
    return found


def _is_safe(address: str) -> bool:
    """Over TLS; without only to this machine, for rehearsals."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    )


def _issuer() -> str:
    return db.settings()["SSO_ISSUER"] or ""


def _listed(setting: str) -> list[str]:
    return [one for one in (db.settings()[setting] or "").split(",") if one]


def _of(secret: str, purpose: str) -> str:
    """What hangs on the browser's secret, each for its purpose: 256 bits."""
    made = hmac.new(secret.encode(), purpose.encode(), sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def is_linked(tx: Tx, staff_id: UUID) -> bool:
    """Whether an account has an identity elsewhere."""
    query = sa.select(OutsideIdentity.id).where(
        OutsideIdentity.staff_id == staff_id, OutsideIdentity.removed_at.is_(None)
    )
    return tx.one(query) is not None


def came_by(tx: Tx) -> SignInSession | None:
    """The session at hand."""
    return tx.get(SignInSession, tx.actor.session_id) if tx.actor.session_id else None
