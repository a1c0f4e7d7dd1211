"""Webhooks: one POST for each entry, signed as Standard Webhooks says.

Where a name leads is looked up once for each connection, checked, and connected to as checked; nothing is followed
anywhere else. What is read of the answer is its status.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from threading import Timer
from typing import Any

import urllib3
from standardwebhooks import Webhook
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util import parse_url

from epro.addresses import may_reach
from epro.stream.feed import Entry
from epro.stream.sinks import SinkGone, SinkUnavailable

SECONDS = 15.0  # for one delivery as a whole
CONNECT = 5.0
ENTRY_IS_WRONG = {
    400,
    413,
    415,
    422,
}  # the receiver objects to this one entry; all else is the receiver's trouble


class Forbidden(HTTPError):
    """The name leads to an address that no webhook may reach."""


class _Guarded:
    """A connection that looks at where it leads before it opens."""

    loopback = False

    def _new_conn(self: Any) -> socket.socket:
        found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        allowed = [place for place in found if may_reach(str(place[4][0]), loopback=self.loopback)]
        if not found or len(allowed) < len(found):  # one that leads elsewhere too is not to be trusted at all
            raise Forbidden("private address")
        fault: OSError | None = None
        for family, kind, protocol, _, place in allowed:
            made = socket.socket(family, kind, protocol)
            made.settimeout(CONNECT)
            try:
                made.connect(place)
                return made
            except OSError as refused:
                made.close()
                fault = refused
        raise NewConnectionError(self, f"no connection: {type(fault).__name__}")


class _Http(_Guarded, HTTPConnection):
    pass


class _Https(_Guarded, HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


class _ToLoopback(_Http):
    loopback = True


class _LoopbackPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _ToLoopback


class WebhookOutlet:
    """Delivers entries to one address."""

    batch = 1

    def __init__(self, url: str, secret: str, *, loopback: bool = False):
        self.url = parse_url(url)
        if self.url.scheme != "https" and not (loopback and self.url.scheme == "http"):
            raise ValueError("A webhook's address begins with https://.")
        if not self.url.host:
            raise ValueError("A webhook's address names a host.")
        self._signer = _signer(secret)
        self._pool = self._made_pool(loopback)

    def deliver(self, entries: Sequence[Entry], now: datetime) -> dict[int, str]:
        """Deliver; positions that the receiver objects to, with the reason. Raises SinkUnavailable, SinkGone."""
        refused = {}
        for entry in entries:
            status, after = self._post(entry, now)
            if status in ENTRY_IS_WRONG:
                refused[entry.position] = f"HTTP {status}"
            elif status == 410:
                raise SinkGone("HTTP 410")
            elif not 200 <= status < 300:
                raise SinkUnavailable(f"HTTP {status}", after=after)
        return refused

    def close(self) -> None:
        self._pool.close()

    def _post(self, entry: Entry, now: datetime) -> tuple[int, float]:
        body, now = payload(entry), now.astimezone(UTC)  # the signer takes any hour for UTC's
        event_id = str(entry.event_id)
        headers = {
            "content-type": "application/json",
            "user-agent": "epro-webhook",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(event_id, now, body),
        }
        try:
            return self._answer(body, headers)
        except (HTTPError, OSError, ValueError) as fault:
            raise SinkUnavailable(type(fault).__name__) from None

    def _answer(self, body: str, headers: dict[str, str]) -> tuple[int, float]:
        """The status; time is limited as a whole, however slowly it drips. The body is not read."""
        pool = self._pool
        connection = pool._get_conn(timeout=1)
        watch = Timer(SECONDS, _cut, [connection])
        watch.start()
        try:
            connection.timeout = SECONDS
            connection.request(
                "POST", self.url.request_uri, body=body.encode(), headers=headers, preload_content=False
            )
            reply = connection.getresponse()
            after = reply.headers.get("retry-after", "")
            return reply.status, float(after) if after.isdigit() else 0.0
        finally:
            watch.cancel()
            connection.close()
            pool._put_conn(connection)

    def _made_pool(self, loopback: bool) -> Any:
        host = self.url.host or ""
        if self.url.scheme == "http":
            return _LoopbackPool(host, self.url.port or 80, maxsize=1)
        return _HttpsPool(host, self.url.port or 443, maxsize=1)


def _signer(secret: str) -> Webhook:
    """What signs with this secret. Raises ValueError, which repeats nothing of it."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("A webhook's secret is `whsec_` and 24 to 64 bytes in base64.")
    return Webhook(secret)


def payload(entry: Entry) -> str:
    """The body of a delivery: type, timestamp and data, as Standard Webhooks recommends; data is the entry."""
    at = json.dumps(entry.content["at"])
    return f'{{"type":{json.dumps(entry.kind)},"timestamp":{at},"data":{entry.line()}}}'


def _cut(connection: Any) -> None:
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
