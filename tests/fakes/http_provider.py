"""What the providers on loopback that speak HTTP have in common: they listen, follow a script, and can break off."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    provider: Any


class Answering(BaseHTTPRequestHandler):
    """Answers, or breaks off instead."""

    protocol_version = "HTTP/1.1"
    server: Listener

    def _answer(self, status: int, body: object, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False) if body else ""
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        """RST instead of an orderly end: no lingering, and the descriptor closed under the handler."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def _hang(self) -> None:
        self.server.provider.closing.wait()
        self.close_connection = True

    def handle(self) -> None:
        with suppress(ConnectionError):  # who hangs up first gets no answer
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what came is in `requests`."""


class Provider:
    """A provider that behaves as its script says, one behaviour for each message, and well after the last."""

    def __init__(self, handler: type[Answering], known: Collection[str] = (), port: int = 0):
        self.closing, self.lock = threading.Event(), threading.Lock()
        self._script: deque[str] = deque()
        self._known = known
        self.http = Listener(("127.0.0.1", port), handler)
        self.http.provider = self
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()

    def script(self, *behaviours: str) -> None:
        for behaviour in behaviours:
            if behaviour.partition(":")[0] not in self._known:
                raise ValueError(behaviour)
        self._script.extend(behaviours)

    def next_behaviour(self) -> str:
        with self.lock:
            return self._script.popleft() if self._script else "accept"
