"""Wording packs on record: importing one, approving it by two people, and the one that participants read.

Versions stand side by side and never change. In force is the one whose second approval came last; who wants an
older one back imports it under a new version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from epro import canonical, db, trail
from epro.errors import Conflict, NotAllowed, NotFound
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.models import WordingApproval, WordingPack
from epro.questionnaires.packs import Pack, from_document
from epro.tx import Actor, Tx

APPROVALS = 2

Key = tuple[str, str, str, str]
"""Code, instrument version, language, wording version: the primary key of a pack."""
KEY = (
    WordingPack.instrument_code,
    WordingPack.instrument_version,
    WordingPack.language,
    WordingPack.wording_version,
)


class ChangedWording(Conflict):
    """This version of the wording is imported with other content; a changed one needs a new version."""

    code = "changed_wording"


class UnknownWording(NotFound):
    """No wording is imported under this instrument, language and version."""

    code = "unknown_wording"


class SamePerson(Conflict):
    """Who imported a wording, or has approved it already, cannot be one of the others who approve it."""

    code = "same_person"


class AlreadyApproved(Conflict):
    """Two people have approved this wording."""

    code = "already_approved"


class Approved(NamedTuple):
    """A pack that is or was in force; `at`: its second approval."""

    code: str
    version: str
    language: str
    wording_version: str
    digest: str
    at: datetime


class Standing(NamedTuple):
    """How far one pack has come."""

    wording_version: str
    digest: str
    imported_at: datetime
    approvals: int
    in_force: bool


def import_pack(tx: Tx, pack: Pack) -> bool:
    """Keep a checked pack. True if it is new, False if exactly this is here already. Raises ChangedWording."""
    head = trail.study_chain(tx)  # locked: of two imports at once the second sees the first
    row = tx.get(WordingPack, *_key(pack))
    if row is not None:
        if row.digest != pack.digest:
            raise ChangedWording()
        return False
    tx.add(_row(tx, pack))
    trail.record(
        tx,
        head,
        "wording.imported",
        "wording",
        pack.name,
        digest=pack.digest,
        licence_holder=pack.licence_holder,
        licence_reference=pack.licence_reference,
        translation_certificate=pack.translation_certificate,
        same_as_label=list(pack.same_as_label),
    )
    return True


def approve(tx: Tx, key: Key) -> int:
    """The actor approves a pack; returns how many have now.

    Raises NotAllowed where the actor is no person, UnknownWording, AlreadyApproved, SamePerson.
    """
    if tx.actor.kind != "staff":
        raise NotAllowed("A wording is approved by a person.")
    head = trail.study_chain(tx)
    row, before = story(tx, key)
    if len(before) >= APPROVALS:
        raise AlreadyApproved()
    if not may_approve(tx.actor, row, before):
        raise SamePerson()
    named = dict(zip([column.key for column in KEY], key, strict=True))
    tx.add(WordingApproval(**named, approved_by=str(tx.actor), approved_at=tx.now))
    trail.record(tx, head, "wording.approved", "wording", "/".join(key), digest=row.digest)
    return len(before) + 1


def may_approve(actor: Actor, row: WordingPack, before: Sequence[WordingApproval]) -> bool:
    """Whether it still wants an approval, and this person has had no hand in it."""
    hands = (row.imported_by, *(one.approved_by for one in before))
    return len(before) < APPROVALS and str(actor) not in hands


def story(tx: Tx, key: Key) -> tuple[WordingPack, list[WordingApproval]]:
    """A pack as it was imported, and who has approved it, in order. Raises UnknownWording."""
    row = tx.get(WordingPack, *key)
    if row is None:
        raise UnknownWording()
    query = sa.select(WordingApproval).where(*_same(WordingApproval, key))
    return row, tx.all(query.order_by(WordingApproval.approved_at, WordingApproval.approved_by))


def find(tx: Tx, key: Key) -> Pack | None:
    """The pack of this key, approved or not. A pack never changes."""
    known: Pack | None = db.remembered().get(("wording", key))
    if known is None and (row := tx.get(WordingPack, *key)) is not None:
        known = db.remembered()[("wording", key)] = from_document(json.loads(row.body))
    return known


def effective(tx: Tx, instrument: Instrument, language: str, digest: str | None = None) -> Pack | None:
    """The pack in force, or None; with a digest the approved pack that has it, in force or superseded."""
    found = [
        one
        for one in approved(tx, language, instrument.code)
        if one.version == instrument.version and digest in (None, one.digest)
    ]
    return find(tx, found[-1][:4]) if found else None


def digests(tx: Tx, language: str) -> Mapping[tuple[str, str], str]:
    """The digest of the pack in force, by code and version of its instrument."""
    return {(one.code, one.version): one.digest for one in approved(tx, language)}


def languages(tx: Tx) -> dict[tuple[str, str], set[str]]:
    """The languages in which approved packs word an instrument, by its code and version."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in approved(tx):
        found.setdefault((one.code, one.version), set()).add(one.language)
    return found


def approved(tx: Tx, language: str | None = None, code: str | None = None) -> list[Approved]:
    """Every pack that two people have approved, the one approved last at the end."""
    last = sa.func.max(WordingApproval.approved_at)
    query = (
        sa.select(*KEY, WordingPack.digest, last)
        .join(WordingApproval)
        .group_by(*KEY, WordingPack.digest, WordingPack.imported_at)
        .having(sa.func.count() >= APPROVALS)
        .order_by(last, WordingPack.imported_at, WordingPack.wording_version)
    )
    if language is not None:
        query = query.where(WordingPack.language == language)
    if code is not None:
        query = query.where(WordingPack.instrument_code == code)
    return [Approved._make(row) for row in tx.session.execute(query)]


def standing(tx: Tx, instrument: Instrument, language: str) -> list[Standing]:
    """Every pack of an instrument in one language, in the order of their import."""
    return list(_standing(tx, instrument, language))


def _standing(tx: Tx, instrument: Instrument, language: str) -> Iterator[Standing]:
    now = effective(tx, instrument, language)
    packs = tx.all(
        sa.select(WordingPack)
        .where(*_same(WordingPack, (instrument.code, instrument.version, language)))
        .order_by(WordingPack.imported_at, WordingPack.wording_version)
    )
    for row in packs:
        key = (row.instrument_code, row.instrument_version, row.language, row.wording_version)
        by = tx.all(sa.select(WordingApproval.approved_by).where(*_same(WordingApproval, key)))
        in_force = now is not None and now.wording_version == row.wording_version
        yield Standing(row.wording_version, row.digest, row.imported_at, len(by), in_force)


def _key(pack: Pack) -> Key:
    return pack.instrument, pack.instrument_version, pack.language, pack.wording_version


def _row(tx: Tx, pack: Pack) -> WordingPack:
    return WordingPack(
        instrument_code=pack.instrument,
        instrument_version=pack.instrument_version,
        language=pack.language,
        wording_version=pack.wording_version,
        digest=pack.digest,
        licence_holder=pack.licence_holder,
        licence_reference=pack.licence_reference,
        translation_certificate=pack.translation_certificate,
        body=canonical.encode(pack.document()).decode(),
        imported_at=tx.now,
        imported_by=str(tx.actor),
    )


def _same(model: type, key: tuple[str, ...]) -> list[sa.ColumnElement[bool]]:
    """The conditions of this key, or of its first parts."""
    return [getattr(model, column.key) == part for column, part in zip(KEY, key, strict=False)]
