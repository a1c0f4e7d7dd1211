"""A load generator that costs little: ready-made requests over kept connections, in a process of its own."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles


@dataclass
class Load:
    """What a run came to: requests a second, latencies in milliseconds, and how many were not as expected."""

    per_second: float
    p50: float
    p99: float
    wrong: int
    count: int

    def __str__(self) -> str:
        return (
            f"{self.per_second:,.0f}/s, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, "
            f"{self.count:,} requests, {self.wrong} not as expected"
        )


def request(method: str, path: str, key: str, body: object = None) -> bytes:
    """The bytes of one HTTP/1.1 request."""
    data = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def run(
    port: int,
    make: Callable[[int], bytes],
    expect: bytes,
    *,
    seconds: float,
    connections: int,
    per_second: float | None = None,
) -> Load:
    """Send what `make` makes for `seconds` over so many connections; at a fixed rate if one is given."""
    latencies: list[list[float]] = [[] for _ in range(connections)]
    wrong = [0] * connections
    until = time.perf_counter() + seconds
    pause = connections / per_second if per_second else 0.0

    def client(number: int) -> None:
        line = socket.create_connection(("127.0.0.1", port))
        due = time.perf_counter() + pause * number / connections
        sent = 0
        while (now := time.perf_counter()) < until:
            if pause and now < due:
                time.sleep(due - now)
            # At a fixed rate the clock runs from when it was due: waiting in line counts as waiting.
            began, due = (due if pause else time.perf_counter()), due + pause
            line.sendall(make(number + connections * sent))
            wrong[number] += expect not in _reply(line)
            latencies[number].append(time.perf_counter() - began)
            sent += 1
        line.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    flat = [one * 1000 for some in latencies for one in some]
    cuts = quantiles(flat, n=100)
    return Load(len(flat) / elapsed, cuts[49], cuts[98], sum(wrong), len(flat))


def ask(port: int, request: bytes) -> bytes:
    """The body of one answer, over a connection of its own."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(request)
        return _reply(line)


def _reply(line: socket.socket) -> bytes:
    raw = line.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    marker = b"Content-Length: "
    length = int(head[head.index(marker) + len(marker) :].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += line.recv(65536)
    return body
