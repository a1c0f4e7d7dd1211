"""Reading a study's feed: entries by position, projected to what the reader may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa

from epro.trail.models import FeedEntry
from epro.tx import Tx


@dataclass(frozen=True)
class Entry:
    """One entry with its position. `body` are the bytes as written; `content` what they say."""

    study_id: str
    position: int
    event_id: UUID
    kind: str
    body: str

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads(self.body)
        return content


def after(tx: Tx, study_id: str, position: int, limit: int) -> list[Entry]:
    """The entries behind a position, in order, without gaps."""
    query = (
        sa.select(FeedEntry.study_id, FeedEntry.position, FeedEntry.event_id, FeedEntry.kind, FeedEntry.body)
        .where(FeedEntry.study_id == study_id, FeedEntry.position > position)
        .order_by(FeedEntry.position)
        .limit(limit)
    )
    return [Entry(**row) for row in tx.session.execute(query).mappings()]


def told(entry: Entry, *, blinded: bool, hidden: bool = False) -> dict[str, Any]:
    """An entry as a reader gets it. A blinded reader gets neither blinded scores nor their number; one from whom
    the study hides scores gets none at all.
    """
    content = entry.content
    if (blinded or hidden) and "scores" in content:
        content["scores"] = [] if hidden else [score for score in content["scores"] if not score["blinded"]]
    return {"position": entry.position, **content}
