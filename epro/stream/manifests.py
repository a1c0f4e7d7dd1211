"""The daily manifest: what a study's feed came to on one UTC day, by site, assessment and kind, signed and chained.

A manifest covers the positions after the day before's, up to the last that was given before its day's end. Whoever has
the entries can count and digest them himself and sees whether one is missing, changed or doubled.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from epro import canonical, db, keys, trail
from epro.errors import Conflict, NotFound
from epro.stream import feed
from epro.stream.models import Manifest
from epro.stream.sinks.trial_rows import assessment_of, digest
from epro.trail.entries import START
from epro.trail.models import FeedEntry
from epro.tx import Tx

FORMAT = 1
BATCH = 1000
Counted = tuple[int, str, str, str, str]
"""What a manifest counts of an entry: position, site, assessment, kind, digest of its bytes."""


class NoManifest(NotFound):
    """There is no manifest of this day (yet): it is made after the day's end, in UTC."""

    code = "no_manifest"


@dataclass
class Sum:
    """Entries of one group as they are counted, in the order of the feed."""

    count: int = 0
    running: Any = None

    def add(self, position: int, of_entry: str) -> None:
        if self.running is None:
            self.running = hashlib.sha256()
        self.running.update(f"{position} {of_entry}\n".encode())
        self.count += 1

    def told(self) -> dict[str, Any]:
        return {"count": self.count, "digest": self.running.hexdigest()}


def make(tx: Tx, study_id: str, day: date) -> Manifest | None:
    """The manifest of a day that is over, made if there is none yet; None while there is nothing to tell of.

    The days between are made first, so that the chain has no hole. Raises Conflict while the day is not over.
    """
    if end_of(day) > tx.now:
        raise Conflict(f"The day {day} is not over in UTC.")
    head = trail.study_chain(tx, study_id)  # one at a time
    last = newest(tx, study_id)
    if last is None and (begun := _first_day(tx, study_id)) is not None:
        last = _make_one(tx, head, study_id, begun, None) if begun <= day else None
    while last is not None and last.day < day:
        last = _make_one(tx, head, study_id, last.day + timedelta(days=1), last)
    return tx.get(Manifest, study_id, day)


def newest(tx: Tx, study_id: str) -> Manifest | None:
    """The last manifest of a study."""
    query = sa.select(Manifest).where(Manifest.study_id == study_id).order_by(Manifest.day.desc())
    found: Manifest | None = tx.one(query)
    return found


def find(tx: Tx, study_id: str, day: date) -> Manifest:
    """The manifest of a day. Raises NoManifest."""
    found = tx.get(Manifest, study_id, day)
    if found is None:
        raise NoManifest()
    return found


def day_of(text: str) -> date:
    """The day meant by YYYY-MM-DD. Raises NoManifest: of no other text there is one."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NoManifest() from None


def told(row: Manifest) -> dict[str, Any]:
    """A manifest as it is handed out: its content with digest and signature."""
    content: dict[str, Any] = canonical.decode(row.body.encode())
    return {**content, "digest": row.digest, "signature": row.signature}


def counts_of(row: Manifest) -> dict[str, Any]:
    """What it counts, without anything that a single entry could be found by."""
    content = told(row)
    kept = {name: content[name] for name in ("format", "study", "date", "after", "until")}
    groups = [{name: one[name] for name in one if name != "digest"} for one in content["groups"]]
    return {**kept, "groups": groups}


def faults(tx: Tx, study_id: str, counted: Iterable[Counted]) -> Iterator[str]:
    """Everything that is not as the manifests of a study say; `counted` are the entries to be checked, in order."""
    rows = tx.all(sa.select(Manifest).where(Manifest.study_id == study_id).order_by(Manifest.day))
    entries, before = iter(counted), START
    waiting = next(entries, None)
    for row in rows:
        content = canonical.decode(row.body.encode())
        yield from _faults_of_row(row, content, before)
        before = row.digest
        sums: dict[tuple[str, str, str], Sum] = defaultdict(Sum)
        while waiting is not None and waiting[0] <= content["until"]:
            sums[waiting[1:4]].add(waiting[0], waiting[4])
            waiting = next(entries, None)
        yield from _faults_of_groups(row.day, content["groups"], _groups(sums))


def of_feed(tx: Tx, study_id: str, after: int, until: int) -> Iterator[Counted]:
    """What a manifest counts, from the feed."""
    while after < until:
        entries = [e for e in feed.after(tx, study_id, after, BATCH) if e.position <= until]
        if not entries:
            return
        for entry in entries:
            content = entry.content
            place = (content.get("site") or "", assessment_of(content) or "", entry.kind)
            yield (entry.position, *place, digest(entry.body))
        after = entries[-1].position


def end_of(day: date) -> datetime:
    """When a UTC day is over."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def public_key() -> dict[str, str]:
    """The key that manifests are checked with."""
    raw = _signer().public_key().public_bytes_raw()
    return {"id": keys.key_id(raw), "algorithm": "Ed25519", "public_key": base64.b64encode(raw).decode()}


def _make_one(tx: Tx, head: Any, study_id: str, day: date, before: Manifest | None) -> Manifest:
    since = before.until if before else 0
    until = max(since, _last_before(tx, study_id, end_of(day)))
    sums: dict[tuple[str, str, str], Sum] = defaultdict(Sum)
    for position, site, assessment, kind, of_entry in of_feed(tx, study_id, since, until):
        sums[site, assessment, kind].add(position, of_entry)
    content = {
        "format": FORMAT,
        "study": study_id,
        "date": day.isoformat(),
        "after": since,
        "until": until,
        "previous": before.digest if before else START,
        "key": public_key()["id"],
        "groups": _groups(sums),
    }
    body = canonical.encode(content)
    row = tx.add(
        Manifest(
            study_id=study_id,
            day=day,
            until=until,
            body=body.decode(),
            digest=hashlib.sha256(body).hexdigest(),
            signature=base64.b64encode(_signer().sign(body)).decode(),
            made_at=tx.now,
        )
    )
    tx.session.flush()
    trail.record(tx, head, "manifest.made", "manifest", day, digest=row.digest, until=until)
    return row


def _groups(sums: dict[tuple[str, str, str], Sum]) -> list[dict[str, Any]]:
    return [
        {
            "site": site or None,
            "assessment": assessment or None,
            "kind": kind,
            **sums[site, assessment, kind].told(),
        }
        for site, assessment, kind in sorted(sums)
    ]


def _faults_of_row(row: Manifest, content: dict[str, Any], before: str) -> Iterator[str]:
    if hashlib.sha256(row.body.encode()).hexdigest() != row.digest:
        yield f"{row.day}: the manifest was changed"
    if content["previous"] != before:
        yield f"{row.day}: does not follow the manifest of the day before"
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key()["public_key"]))
        key.verify(base64.b64decode(row.signature), row.body.encode())
    except (InvalidSignature, ValueError):
        yield f"{row.day}: the signature is not this installation's"


def _faults_of_groups(day: date, wanted: list[Any], found: list[Any]) -> Iterator[str]:
    named = lambda groups: {(g["site"], g["assessment"], g["kind"]): g for g in groups}  # noqa: E731
    mine, theirs = named(wanted), named(found)
    for key in sorted(mine.keys() | theirs.keys(), key=str):
        if mine.get(key) != theirs.get(key):
            counts = [groups[key]["count"] if key in groups else 0 for groups in (mine, theirs)]
            place = " ".join(str(part) for part in key if part)
            yield f"{day}: {place}: {counts[0]} by the manifest, {counts[1]} there" + (
                ", not the same" if counts[0] == counts[1] else ""
            )


def _last_before(tx: Tx, study_id: str, moment: datetime) -> int:
    query = sa.select(sa.func.max(FeedEntry.position)).where(
        FeedEntry.study_id == study_id, FeedEntry.positioned_at < moment
    )
    return tx.session.scalar(query) or 0


def _first_day(tx: Tx, study_id: str) -> date | None:
    query = sa.select(FeedEntry.positioned_at).where(FeedEntry.study_id == study_id, FeedEntry.position == 1)
    first = tx.one(query)
    return first.astimezone(UTC).date() if first else None


def _signer() -> Any:
    settings = db.settings()
    secret = settings["RECEIPT_KEY"] or settings["SECRET_KEY"] or ""
    return keys.signing_key(keys.derive(secret, "manifests"))
