"""Reading a study's feed: entries by position, projected to what the reader may see."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa

from epro.responses import sight
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

    def line(self) -> str:
        """The entry with its position in front, for those who are told it: the rest are the bytes as written."""
        return f'{{"position":{self.position},{self.body[1:]}'


def after(tx: Tx, study_id: str, position: int, limit: int) -> list[Entry]:
    """The entries behind a position, in order, without gaps."""
    query = (
        sa.select(FeedEntry.study_id, FeedEntry.position, FeedEntry.event_id, FeedEntry.kind, FeedEntry.body)
        .where(FeedEntry.study_id == study_id, FeedEntry.position > position)
        .order_by(FeedEntry.position)
        .limit(limit)
    )
    rows: Sequence[Any] = tx.session.execute(query).all()
    return [Entry(*row) for row in rows]


def told(
    entry: Entry,
    *,
    blinded: bool,
    hidden: bool = False,
    blinded_items: Collection[str] = (),
    unseen: bool = False,
    call_only: bool = False,
) -> dict[str, Any]:
    """An entry as a reader gets it. A blinded reader gets neither blinded scores nor their number, nor the answers
    to blinded items; one from whom the study hides scores gets no score and no answer at all. `unseen`: what was
    set aside may be an answer that the reader must not learn. `call_only`: of an alert on an answer no more than that
    a call is needed, and nothing that names the answer.
    """
    content = entry.content
    if (blinded or hidden) and "scores" in content:
        content["scores"] = [] if hidden else [score for score in content["scores"] if not score["blinded"]]
    if content.get("alert", {}).get("kind") == "answer" and (hidden or call_only):
        content["alert"] |= {"why": {"call_needed": True}, "occurrence_id": None}
        content.pop("correction", None)
    if hidden or (blinded and blinded_items):
        _withhold(content.get("response", {}), None if hidden else blinded_items)
    if hidden or blinded:
        _withhold_digests(content.get("signature"))
        content.get("query", {}).pop("text", None)
    if hidden or unseen:
        _withhold_reasons(content.get("set_aside"))
        content.get("settlement", {}).pop("reason", None)
    return {"position": entry.position, **content}


def _withhold(response: dict[str, Any], items: Collection[str] | None) -> None:
    """Take answers out, those of `items` or all; the digest and remarks on answers too, for they can tell one, and the
    reason of a correction, which may quote one.
    """
    answers = response.pop("answers", {})
    response.pop("digest", None)
    response.get("amendment", {}).pop("reason", None)
    response["findings"] = sight.findings(response.get("findings", []), hidden=True)
    if items is not None:
        response["answers"] = {item: code for item, code in answers.items() if item not in items}


def _withhold_digests(signature: dict[str, Any] | None) -> None:
    """What was signed may hold answers that no person reads, and a digest can tell one of few."""
    for one in [signature, *signature["responses"]] if signature else []:
        one.pop("digest", None)
        one.pop("seal", None)


def _withhold_reasons(aside: dict[str, Any] | None) -> None:
    if aside:
        aside.pop("digest", None)
        aside["findings"] = sight.reasons(aside["findings"], hidden=True)
