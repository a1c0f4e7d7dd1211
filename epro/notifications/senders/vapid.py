"""The key by which push services know us (VAPID, RFC 8292), and what a subscription must look like. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from epro import keys

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve P-256
LONGEST = 1024  # of an endpoint


def key_of(settings: Mapping[str, str | None]) -> ec.EllipticCurvePrivateKey:
    """The key that is set, or one derived from the secret key. Raises ValueError for one that is none."""
    text = settings.get("VAPID_KEY")
    raw = decoded(text) if text else keys.derive(settings["SECRET_KEY"] or "", "web push")
    number = int.from_bytes(raw, "big")
    if text and (len(raw) != 32 or not 0 < number < ORDER):
        raise ValueError("not a private key of P-256")
    return ec.derive_private_key(number % (ORDER - 1) + 1 if not text else number, ec.SECP256R1())


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    """What a browser is given as applicationServerKey."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def hosts_of(settings: Mapping[str, str | None]) -> tuple[str, ...]:
    return tuple(
        host.strip().lower() for host in (settings.get("PUSH_HOSTS") or "").split(",") if host.strip()
    )


def decoded(text: str) -> bytes:
    """base64url, with or without padding. Raises ValueError."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None


def faults(endpoint: str, p256dh: str, auth: str, hosts: Sequence[str]) -> list[tuple[str, str]]:
    """(pointer, sentence) of everything that keeps a subscription from being used."""
    found = (
        [] if is_known(endpoint, hosts) else [("/endpoint", "This is no address of a push service we know.")]
    )
    if not _is_point(p256dh):
        found.append(("/keys/p256dh", "This is no public key of P-256."))
    if not _is_secret(auth):
        found.append(("/keys/auth", "This is not a secret of 16 bytes."))
    return found


def is_known(endpoint: str, hosts: Sequence[str]) -> bool:
    """An https address at one of these push services, or below one of them, and nothing else in it."""
    try:
        parts = urlsplit(endpoint)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return False
    plain = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint and "\\" not in endpoint
    bare = parts.scheme == "https" and not parts.username and parts.password is None and not parts.fragment
    where = port in (None, 443) or f"{host}:{port}" in hosts
    known = any(host == one.partition(":")[0] or host.endswith(f".{one}") for one in hosts)
    return plain and bare and where and known and len(endpoint) <= LONGEST


def _is_point(text: str) -> bool:
    try:
        raw = decoded(text)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except ValueError:
        return False
    return len(raw) == 65


def _is_secret(text: str) -> bool:
    try:
        return len(decoded(text)) == 16
    except ValueError:
        return False
