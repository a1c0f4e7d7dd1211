"""The form of a trail entry and how entries hang together. Pure.

An entry is bytes: RFC 8785 JSON that holds the chain it belongs to, its place in it (`seq`, from 1), the mac
of the entry before it (`prev`) and what happened. Its own mac is HMAC-SHA-256 of those bytes under the trail
key. Whoever lacks the key can change nothing, remove nothing and swap nothing without breaking the chain;
that the end was not cut off is seen against a head kept elsewhere. The same bytes, hashed without key, are
the leaves of the tree that later checkpoints sign (RFC 9162: SHA-256 of 0x00 and the bytes).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from epro import canonical, keys

FORMAT = 1
START = "0" * 64  # what stands before the first entry of a chain


@dataclass(frozen=True)
class Fault:
    """What is wrong with a chain, and where."""

    study_id: str
    chain: str
    seq: int
    what: str

    def __str__(self) -> str:
        return f"{self.study_id} {self.chain} #{self.seq}: {self.what}"


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: one spelling for one instant."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def link(key: bytes, prev: str, content: Mapping[str, Any]) -> tuple[str, str]:
    """The entry's bytes (as text) and its mac, given the mac before it."""
    body = canonical.encode({"v": FORMAT, "prev": prev, "key": keys.key_id(key), **content})
    return body.decode(), keys.mac(key, body)


def faults_of_chain(
    key: bytes, study_id: str, chain: str, entries: Iterable[tuple[int, str, str]], head: tuple[int, str]
) -> list[Fault]:
    """Every break of one chain: `entries` are (seq, body, mac) by seq, `head` the (seq, mac) it must end with."""
    faults: list[Fault] = []
    prev, expected = START, 1
    for seq, body, mac in entries:
        if seq != expected:
            faults.append(Fault(study_id, chain, expected, f"entry missing: the next one is #{seq}"))
        faults += [Fault(study_id, chain, seq, what) for what in _faults_of_entry(key, chain, prev, seq, body, mac)]
        prev, expected = mac, seq + 1
    if (expected - 1, prev) != head:
        faults.append(Fault(study_id, chain, expected, f"the chain should end with #{head[0]}: entries cut off or added"))
    return faults


def _faults_of_entry(key: bytes, chain: str, prev: str, seq: int, body: str, mac: str) -> Iterable[str]:
    if not hmac.compare_digest(keys.mac(key, body.encode()), mac):
        yield "the entry was changed: its mac does not fit"
        return
    content = canonical.decode(body.encode())
    if (content.get("chain"), content.get("seq")) != (chain, seq):
        yield "the entry stands in a place that is not its own"
    if content.get("prev") != prev:
        yield "the entry does not follow the one before it: entries swapped or removed"
