"""Cuts: a name for a place in the feed. Made once, never moved."""

from __future__ import annotations

import hashlib
import re

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, Invalid, NotFound
from epro.export.extract import CutPoint
from epro.exporting.models import Cut
from epro.studies.models import Study
from epro.trail.models import FeedEntry
from epro.tx import Tx

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NOW = "now"  # what an export says for "up to what is there"; no cut may be called so


class UnknownCut(NotFound):
    """There is no cut of this name."""

    code = "unknown_cut"


def make(tx: Tx, study_id: str, name: str, position: int | None = None) -> Cut:
    """Name the place where the feed is now, or a place before it. The same name again is refused, unless it is there.

    Raises Invalid, Conflict.
    """
    if not NAME.fullmatch(name) or name == NOW:
        raise Invalid(
            "A cut's name has letters, digits, dots, dashes and underscores, at most 64; not `now`."
        )
    head = trail.study_chain(tx, study_id)
    point = at(tx, study_id, position)
    known = tx.get(Cut, study_id, name)
    if known is not None:
        if position is not None and known.position == position:
            return known
        raise Conflict(f"There is a cut of this name, at position {known.position}: cuts are never moved.")
    cut = tx.add(
        Cut(
            study_id=study_id,
            name=name,
            position=point.position,
            digest=point.digest,
            made_at=tx.now,
            made_by=str(tx.actor),
        )
    )
    trail.record(tx, head, "cut.made", "cut", name, position=point.position, digest=point.digest)
    return cut


def of(tx: Tx, study_id: str) -> list[Cut]:
    """The cuts of a study, in the order they were made."""
    return tx.all(sa.select(Cut).where(Cut.study_id == study_id).order_by(Cut.made_at, Cut.name))


def find(tx: Tx, study_id: str, name: str | None) -> CutPoint:
    """The cut of this name; without one, or by `now`, where the feed is. Raises UnknownCut."""
    if name is None or name == NOW:
        return at(tx, study_id, None)
    cut = tx.get(Cut, study_id, name)
    if cut is None:
        raise UnknownCut()
    return at(tx, study_id, cut.position, name)


def at(tx: Tx, study_id: str, position: int | None, name: str | None = None) -> CutPoint:
    """The place of this position; None is the newest. Raises NotFound, Invalid.

    Its instant is when the position was given: the same place always has the same, whatever it is called.
    """
    study = tx.get(Study, study_id)
    if study is None:
        raise NotFound(f"There is no study {study_id}.")
    columns = (FeedEntry.position, FeedEntry.positioned_at, FeedEntry.event_id, FeedEntry.body)
    query = sa.select(*columns).where(FeedEntry.study_id == study_id, FeedEntry.position.is_not(None))
    if position is not None:
        query = query.where(FeedEntry.position == position)
    row = tx.session.execute(query.order_by(FeedEntry.position.desc()).limit(1)).first()
    if row is None and position:
        raise Invalid(f"The feed of {study_id} has no position {position} yet.")
    if row is None:
        return CutPoint(study_id, 0, study.opened_at, hashlib.sha256(b"").hexdigest(), name)
    assert row.position is not None and row.positioned_at is not None
    digest = hashlib.sha256(row.body.encode()).hexdigest()
    return CutPoint(study_id, row.position, row.positioned_at, digest, name, str(row.event_id))
