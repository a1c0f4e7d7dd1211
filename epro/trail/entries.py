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
from dataclasses import dataclass, field
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
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def link(key: bytes, prev: str, content: Mapping[str, Any]) -> tuple[str, str]:
    """The entry's bytes (as text) and its mac, given the mac before it."""
    body = canonical.encode({"v": FORMAT, "prev": prev, "key": keys.key_id(key), **content})
    return body.decode(), keys.mac(key, body)


@dataclass(frozen=True)
class Entry:
    """One row of a chain: the entry's bytes with their mac, and the copies of its content to search by."""

    seq: int
    body: str
    mac: str
    copies: Mapping[str, str | None] = field(default_factory=dict)


def faults_of_chain(
    key: bytes, study_id: str, chain: str, entries: Iterable[Entry], head: tuple[int, str]
) -> list[Fault]:
    """Every break of one chain: `entries` by seq, `head` the (seq, mac) it must end with."""
    faults: list[Fault] = []
    prev, expected = START, 1
    for entry in entries:
        if entry.seq != expected:
            faults.append(Fault(study_id, chain, expected, f"entry missing: the next one is #{entry.seq}"))
        found = _faults_of_entry(key, study_id, chain, prev, entry)
        faults += [Fault(study_id, chain, entry.seq, what) for what in found]
        prev, expected = entry.mac, entry.seq + 1
    if (expected - 1, prev) != head:
        what = f"the chain should end with #{head[0]}: entries cut off or added"
        faults.append(Fault(study_id, chain, expected, what))
    return faults


def copies_of(content: Mapping[str, Any]) -> dict[str, str | None]:
    """What the columns beside an entry's bytes must say."""
    kind, _, subject = str(content["chain"]).partition("/")
    return {
        "id": content["id"],
        "at": content["at"],
        "actor": content["actor"],
        "action": content["action"],
        "subject_id": subject if kind == "participant" else None,
        "object_type": content["object"]["type"],
        "object_id": content["object"]["id"],
    }


def _faults_of_entry(key: bytes, study_id: str, chain: str, prev: str, entry: Entry) -> Iterable[str]:
    if not hmac.compare_digest(keys.mac(key, entry.body.encode()).encode(), entry.mac.encode()):
        yield "the entry was changed: its mac does not fit"
        return
    content = canonical.decode(entry.body.encode())
    if (content["study"], content["chain"], content["seq"]) != (study_id, chain, entry.seq):
        yield "the entry stands in a place that is not its own"
    if content["prev"] != prev:
        yield "the entry does not follow the one before it: entries swapped or removed"
    wrong = [name for name, value in copies_of(content).items() if entry.copies.get(name, value) != value]
    if wrong:
        yield f"a copy beside the entry was changed: {', '.join(wrong)}"
