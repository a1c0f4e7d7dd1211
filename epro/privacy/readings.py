"""The record of reading: who has looked at whose data, when, of what kind, through which door.

One row for one look, in a transaction of its own after the page was made. A few minutes later the worker seals the
rows into the trail: their count and digest, study by study, without a gap in time. So a look that was taken away,
changed or slipped in later shows in `epro trail verify`, and in the log that others keep checkpoints of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from epro import canonical, db, trail
from epro.privacy.models import Reading, ReadingRemoval, ReadingSeal
from epro.responses import integrity
from epro.studies import access
from epro.studies.models import Participant
from epro.trail import instant
from epro.trail.entries import Fault
from epro.trail.models import Event
from epro.tx import Tx

READ = "reading.read"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
SETTLED = timedelta(minutes=2)  # no insert of one row takes so long
SEALED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class Look:
    """What was looked at; without a participant the study as a whole."""

    study_id: str
    subject_id: str | None
    kind: str
    what: str | None = None


def note(tx: Tx, looks: Iterable[Look], door: str) -> None:
    """Write down that the actor has looked."""
    rows = [
        {
            "id": uuid4(),
            "study_id": look.study_id,
            "subject_id": look.subject_id,
            "at": tx.now,
            "reader": str(tx.actor),
            "kind": look.kind,
            "door": door,
            "what": look.what,
        }
        for look in dict.fromkeys(looks)
    ]
    tx.insert(Reading, rows)


def of(tx: Tx, participant: Participant, limit: int = 10_000) -> list[Reading]:
    """Who has looked at her record, or at the study with her in it since she takes part; the latest first."""
    query = sa.select(Reading).where(*_about(participant))
    return tx.all(query.order_by(Reading.at.desc(), Reading.id).limit(limit))


def summary(tx: Tx, participant: Participant) -> list[tuple[Any, ...]]:
    """(reader, kind, door, whether it was the whole study, times, first, last); the most recent first."""
    last, whole = sa.func.max(Reading.at), Reading.subject_id.is_(None)
    query = (
        sa.select(
            Reading.reader, Reading.kind, Reading.door, whole, sa.func.count(), sa.func.min(Reading.at), last
        )
        .where(*_about(participant))
        .group_by(Reading.reader, Reading.kind, Reading.door, whole)
        .order_by(last.desc(), Reading.reader, Reading.kind)
    )
    return [tuple(row) for row in tx.session.execute(query)]


@dataclass(frozen=True)
class Wanted:
    """Whose looks, in one study, from an instant and before another; None is all of them."""

    study_id: str
    reader: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(tx: Tx, wanted: Wanted, limit: int, offset: int = 0) -> list[Reading]:
    """The looks that are wanted, at participants of the actor's sites and at the study as a whole; the latest first."""
    query = sa.select(Reading).where(*_of(tx, wanted)).order_by(Reading.at.desc(), Reading.id)
    return tx.all(query.limit(limit).offset(offset))


def counts(tx: Tx, wanted: Wanted) -> list[Any]:
    """The same by reader: how many participants, how many looks, the last one; who has seen most at the head."""
    participants, last = sa.func.count(Reading.subject_id.distinct()), sa.func.max(Reading.at)
    query: Any = sa.select(
        Reading.reader,
        participants.label("participants"),
        sa.func.count().label("looks"),
        last.label("last"),
    )
    query = query.where(*_of(tx, wanted)).group_by(Reading.reader)
    return list(tx.session.execute(query.order_by(participants.desc(), last.desc(), Reading.reader)))


def _of(tx: Tx, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    own = sa.or_(Reading.subject_id.is_(None), access.visible(tx.actor, READ, Reading))
    given = [
        *([Reading.reader == wanted.reader] if wanted.reader is not None else []),
        *([Reading.at >= wanted.since] if wanted.since is not None else []),
        *([Reading.at < wanted.until] if wanted.until is not None else []),
    ]
    return [Reading.study_id == wanted.study_id, own, *given]


def seal_due(tx: Tx, limit: int) -> int:
    """Seal what was read up to a moment ago; how many studies that was done for."""
    until = tx.now - SETTLED
    newest = sa.select(sa.func.max(ReadingSeal.until)).where(ReadingSeal.study_id == Reading.study_id)
    query = (
        sa.select(Reading.study_id)
        .distinct()
        .where(Reading.at < until, Reading.at >= sa.func.coalesce(newest.scalar_subquery(), BEGINNING))
    )
    return sum(_seal(tx, study_id, until) for study_id in sorted(tx.all(query.limit(limit))))


def remove_old(tx: Tx) -> int:
    """Remove what was kept as long as the setting says, sealed batches only; how many studies that was done for."""
    days = db.settings()["READING_DAYS"]
    if not days:
        return 0
    before = tx.now - timedelta(days=float(days))
    query = (
        sa.select(ReadingSeal.study_id, sa.func.max(ReadingSeal.until))
        .where(ReadingSeal.until <= before)
        .group_by(ReadingSeal.study_id)
    )
    return sum(_remove(tx, study_id, until) for study_id, until in tx.session.execute(query).all())


def records(tx: Tx) -> Iterator[Fault]:
    """What else is to be as the trail says: answers, set-asides, and these."""
    yield from integrity.faults(tx)
    yield from faults(tx)


def faults(tx: Tx) -> Iterator[Fault]:
    """Every difference between the readings and their seals, and between the seals and the trail."""
    removed = _removed(tx)
    since: dict[str, datetime] = {}
    for no, seal in enumerate(
        tx.all(sa.select(ReadingSeal).order_by(ReadingSeal.study_id, ReadingSeal.until)), 1
    ):
        said = _said(tx, seal)
        if said != _told(seal):
            yield Fault(seal.study_id, "readings", no, "the trail does not say what this seal says")
        if seal.since != since.get(seal.study_id, BEGINNING):
            yield Fault(seal.study_id, "readings", no, "a seal before this one is gone")
        since[seal.study_id] = seal.until
        if seal.until > removed.get(seal.study_id, BEGINNING):
            count, digest = _digest(tx, seal.study_id, seal.since, seal.until)
            if (count, digest) != (seal.count, seal.digest):
                yield Fault(
                    seal.study_id,
                    "readings",
                    no,
                    f"{count} readings are there, not the {seal.count} that were sealed, or they were changed",
                )
    yield from _lost_seals(tx)
    yield from _faults_of_removals(tx)


def _lost_seals(tx: Tx) -> Iterator[Fault]:
    """Seals that the trail tells of and that are gone."""
    kept = set(tx.all(sa.select(ReadingSeal.event_id)))
    for event in _entries(tx, "readings.sealed"):
        if event.id not in kept:
            yield Fault(event.study_id, "readings", event.seq, "a seal that the trail tells of is gone")


def _removed(tx: Tx) -> dict[str, datetime]:
    """Up to when the readings of each study may be gone: removed with an entry of the trail, at the end of a seal."""
    kept = {(one.study_id, one.until) for one in tx.all(sa.select(ReadingRemoval))}
    sealed = {(one.study_id, one.until) for one in tx.all(sa.select(ReadingSeal))}
    told = {_end(event) for event in _entries(tx, "readings.removed")}
    found: dict[str, datetime] = {}
    for study_id, until in sorted(kept & sealed):
        if (study_id, instant(until)) in told:
            found[study_id] = until
    return found


def _faults_of_removals(tx: Tx) -> Iterator[Fault]:
    """Removals that the trail does not tell of or no seal ends at, and those that the trail tells of and are gone."""
    sealed = {(one.study_id, one.until) for one in tx.all(sa.select(ReadingSeal))}
    told = {_end(event): event.seq for event in _entries(tx, "readings.removed")}
    query = sa.select(ReadingRemoval).order_by(ReadingRemoval.study_id, ReadingRemoval.until)
    for no, row in enumerate(tx.all(query), 1):
        if told.pop((row.study_id, instant(row.until)), None) is None:
            yield Fault(row.study_id, "readings", no, "the trail does not tell of this removal")
        if (row.study_id, row.until) not in sealed:
            yield Fault(row.study_id, "readings", no, "no seal ends where this removal ends")
    for (study_id, _), seq in sorted(told.items()):
        yield Fault(study_id, "readings", seq, "a removal that the trail tells of is gone")


def _entries(tx: Tx, action: str) -> list[Event]:
    return tx.all(sa.select(Event).where(Event.action == action).order_by(Event.study_id, Event.seq))


def _end(event: Event) -> tuple[str, str]:
    """The study of a removal, and the instant that its entry tells."""
    return event.study_id, canonical.decode(event.body.encode())["details"].get("until", "")


def _about(participant: Participant) -> tuple[Any, ...]:
    whole = sa.and_(Reading.subject_id.is_(None), Reading.at >= participant.enrolled_at)
    return (
        Reading.study_id == participant.study_id,
        sa.or_(Reading.subject_id == participant.subject_id, whole),
    )


def _seal(tx: Tx, study_id: str, until: datetime) -> bool:
    """With the study's chain locked, so that two workers never seal the same."""
    head = trail.study_chain(tx, study_id)
    found = tx.session.scalar(
        sa.select(sa.func.max(ReadingSeal.until)).where(ReadingSeal.study_id == study_id)
    )
    since = found or BEGINNING
    if until < since + SEALED_EVERY:
        return False
    count, digest = _digest(tx, study_id, since, until)
    if not count:
        return False
    told: dict[str, Any] = {
        "since": instant(since),
        "until": instant(until),
        "count": count,
        "digest": digest,
    }
    event_id = trail.record(tx, head, "readings.sealed", "study", study_id, **told)
    tx.add(
        ReadingSeal(
            study_id=study_id, since=since, until=until, count=count, digest=digest, event_id=event_id
        )
    )
    tx.session.flush()
    return True


def _remove(tx: Tx, study_id: str, until: datetime) -> bool:
    head = trail.study_chain(tx, study_id)
    if tx.get(ReadingRemoval, study_id, until) is not None:
        return False
    tx.add(ReadingRemoval(study_id=study_id, until=until, at=tx.now))
    tx.session.flush()
    gone = sa.delete(Reading).where(Reading.study_id == study_id, Reading.at < until)
    count = tx.session.execute(gone, execution_options={"synchronize_session": False}).rowcount  # type: ignore[attr-defined]
    trail.record(tx, head, "readings.removed", "study", study_id, until=instant(until), count=count)
    return True


def _digest(tx: Tx, study_id: str, since: datetime, until: datetime) -> tuple[int, str]:
    query = (
        sa.select(Reading)
        .where(Reading.study_id == study_id, Reading.at >= since, Reading.at < until)
        .order_by(Reading.at, Reading.id)
    )
    count, digest = 0, hashlib.sha256()
    for row in tx.session.scalars(query.execution_options(yield_per=1000)):
        count += 1
        digest.update(canonical.encode(told(row)) + b"\n")
    return count, digest.hexdigest()


def told(row: Reading) -> dict[str, Any]:
    """A reading as it is sealed."""
    return {
        "id": str(row.id),
        "at": instant(row.at),
        "reader": row.reader,
        "subject_id": row.subject_id,
        "kind": row.kind,
        "door": row.door,
        "what": row.what,
    }


def _told(seal: ReadingSeal) -> dict[str, Any]:
    return {
        "since": instant(seal.since),
        "until": instant(seal.until),
        "count": seal.count,
        "digest": seal.digest,
    }


def _said(tx: Tx, seal: ReadingSeal) -> dict[str, Any] | None:
    event: Event | None = tx.one(sa.select(Event).where(Event.id == seal.event_id))
    if event is None or event.action != "readings.sealed" or event.study_id != seal.study_id:
        return None
    details: dict[str, Any] = canonical.decode(event.body.encode())["details"]
    return details
