"""How a request reaches a push service: over TLS, to no address inside a house, without detours.

Where a message is pushed to was told to us by a phone. So the addresses of its host are looked at when the
connection is made, and only one that was looked at is connected to: a name that points elsewhere a moment later
gains nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

from epro import addresses
from epro.notifications.senders.network import keep_queries_out_of_logs

MayReach = Callable[[str], bool]


class NotReachable(Exception):
    """The host has an address that nothing may be sent to."""


class Session(requests.Session):
    """One request, to where it was meant: no proxy, no redirect, no cookie, and the answer's body is not read."""

    def __init__(self, may_reach: MayReach | None, trusted: str | None):
        super().__init__()
        keep_queries_out_of_logs()
        self.trust_env = False
        self.verify = trusted or True
        self.mount("https://", _Adapter(may_reach or addresses.may_reach))
        self.mount("http://", _Nowhere())

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs |= {"allow_redirects": False, "stream": True}
        with super().request(method, url, *args, **kwargs) as answer:
            answer._content = b""  # what they say repeats the subscription, and has no end if they wish it
        return answer


class _Nowhere(HTTPAdapter):
    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        raise NotReachable("only https")


class _Adapter(HTTPAdapter):
    def __init__(self, may_reach: MayReach):
        self._may_reach = may_reach
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        may_reach = self._may_reach

        class Connection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _connected(self, may_reach)

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {"https": Pool}


def _connected(connection: HTTPSConnection, may_reach: MayReach) -> socket.socket:
    """A connection to the first address that takes one, of a host that has no forbidden one."""
    try:
        found = socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)
    except OSError:
        raise NewConnectionError(connection, "no such name") from None
    leads_to = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not leads_to or not all(map(may_reach, leads_to)):
        raise NotReachable("an address that is not public")
    for address in leads_to:
        try:
            return create_connection((address, connection.port or 443), connection.timeout)
        except OSError:
            continue
    raise NewConnectionError(connection, "nobody answers")
