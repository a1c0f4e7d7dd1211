"""A push service on loopback, over TLS, that speaks Web Push and opens what it is sent as a phone would.

    with PushService(certificate) as service:
        phone = service.subscribe("https key of the server")
        ...
        assert phone.shown == [{"id": ..., "text": ...}]

It refuses what a real one refuses: no TTL, a Topic that is too long, another encoding than aes128gcm, a VAPID token
that is not signed with the key that the phone subscribed with, is for another service or lives longer than a day.
A message that waits is replaced by a later one of the same Topic.

Behaviours, one for each message: `accept`; `accept_then_reset`, `accept_then_hang`, `accept_then_500` (taken, no good
answer); `reset`, `hang`; `redirect`; `status:<n>` with `status:429:<seconds>` for Retry-After; `flood` (an answer
without end).
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.http_provider import Answering, Provider

KNOWN = {
    "accept",
    "accept_then_reset",
    "accept_then_hang",
    "accept_then_500",
    "reset",
    "hang",
    "redirect",
    "status",
    "flood",
}


@dataclass
class Browser:
    """A phone's browser with one subscription."""

    endpoint: str
    server_key: str
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: os.urandom(16))
    online: bool = True
    waiting: dict[str, bytes] = field(default_factory=dict)
    shown: list[dict[str, Any]] = field(default_factory=list)
    gone: bool = False

    @property
    def subscription(self) -> dict[str, Any]:
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"endpoint": self.endpoint, "keys": {"p256dh": text(point), "auth": text(self.auth)}}

    def take(self, topic: str, body: bytes) -> None:
        self.waiting[topic] = body
        if self.online:
            self.come_online()

    def come_online(self) -> None:
        """Everything that waits is opened; a message id is shown once."""
        self.online = True
        for body in self.waiting.values():
            told = json.loads(http_ece.decrypt(body, private_key=self.private, auth_secret=self.auth))
            if told["id"] not in {one["id"] for one in self.shown}:
                self.shown.append(told)
        self.waiting.clear()


class PushService(Provider):
    """`requests` are the headers of everything that was well made, `faults` what was wrong with the rest."""

    def __init__(self, certificate: ssl.SSLContext, port: int = 0):
        super().__init__(_Handler, KNOWN, port)
        self.http.socket = certificate.wrap_socket(self.http.socket, server_side=True)
        self.browsers: dict[str, Browser] = {}
        self.requests: list[dict[str, str]] = []
        self.faults: list[str] = []

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def subscribe(self, server_key: str) -> Browser:
        path = f"/push/{uuid4().hex}"
        self.browsers[path] = Browser(f"https://{self.host}{path}", server_key)
        return self.browsers[path]


class _Handler(Answering):
    def do_POST(self) -> None:
        service: PushService = self.server.provider
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        browser = service.browsers.get(urlsplit(self.path).path)
        if browser is None or browser.gone:
            return self._answer(410 if browser else 404, f"no such subscription: {self.path}")
        if fault := _fault(
            {name.lower(): value for name, value in self.headers.items()}, browser, service.host
        ):
            service.faults.append(fault)
            return self._answer(403 if fault.startswith("vapid") else 400, fault)
        service.requests.append({name.lower(): value for name, value in self.headers.items()})
        return self._behave(service.next_behaviour(), browser, body)

    def _behave(self, behaviour: str, browser: Browser, body: bytes) -> None:
        kind, _, rest = behaviour.partition(":")
        if kind.startswith("accept"):
            browser.take(self.headers["Topic"], body)
        if kind in ("reset", "accept_then_reset"):
            self._reset()
        elif kind in ("hang", "accept_then_hang"):
            self._hang()
        elif kind == "flood":
            self._flood()
        elif kind == "redirect":
            self._answer(307, None, Location=f"https://{self.server.provider.host}/push/elsewhere")
        elif kind == "status":
            status, _, seconds = rest.partition(":")
            self._answer(
                int(status), f"refused: {self.path}", **({"Retry_After": seconds} if seconds else {})
            )
        else:
            self._answer(500 if kind == "accept_then_500" else 201, None, Location="/message/a-secret")

    def _flood(self) -> None:
        self.send_response(201)
        self.end_headers()
        while not self.server.provider.closing.is_set():
            self.wfile.write(b"x" * 1024)


def _fault(headers: dict[str, str], browser: Browser, host: str) -> str | None:
    if not headers.get("ttl", "").isdigit():
        return "no TTL"
    if not 0 < len(headers.get("topic", "")) <= 32:
        return "Topic"
    if headers.get("urgency") not in ("very-low", "low", "normal", "high"):
        return "Urgency"
    if headers.get("content-encoding") != "aes128gcm":
        return "Content-Encoding"
    return _vapid_fault(headers.get("authorization", ""), browser, f"https://{host}")


def _vapid_fault(header: str, browser: Browser, origin: str) -> str | None:
    scheme, _, rest = header.partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    if scheme.lower() != "vapid" or parts.get("k") != browser.server_key:
        return "vapid: another key than the phone subscribed with"
    point = base64.urlsafe_b64decode(parts["k"] + "=" * (-len(parts["k"]) % 4))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    try:
        claims = jwt.decode(
            parts["t"], key, algorithms=["ES256"], audience=origin, options={"require": ["exp"]}
        )
    except jwt.InvalidTokenError as wrong:
        return f"vapid: {wrong}"
    too_long = datetime.fromtimestamp(claims["exp"], UTC) > datetime.now(UTC) + timedelta(hours=24)
    named = str(claims.get("sub", "")).startswith(("https://", "mailto:"))
    return None if named and not too_long else "vapid: claims"


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
