"""The sponsor: people and machines that read, and never write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
from flask import Response, request, stream_with_context

from epro.api.door import Door, actor, sponsor_lock
from epro.api.schemas import FeedIn, FeedOut
from epro.scheduling import protocols
from epro.stream import feed
from epro.studies import access
from epro.tx import Actor, look

sponsor = Door("sponsor", "/v1/sponsor", "The sponsor: the feed", sponsor_lock)
POLL = 0.25  # seconds between looks while somebody waits


@sponsor.get("/feed")
@sponsor.arguments(FeedIn, location="query")
@sponsor.response(200, FeedOut)
def read_feed(asked: dict[str, Any]) -> Any:
    """Entries after a position, in order, without gaps; from 0 on, everything. `wait` holds the line until there
    is something. With `Accept: application/x-ndjson` all there is comes as lines, in one answer.
    """
    who = actor()
    study_id = access.one_study(who, "feed.read", asked.get("study"))
    if (
        request.accept_mimetypes.best_match(["application/json", "application/x-ndjson"])
        == "application/x-ndjson"
    ):
        lines = stream_with_context(_lines(who, study_id, asked["after"]))
        return Response(lines, content_type="application/x-ndjson")
    records = _wait_for(who, study_id, asked)
    page, more = records[: asked["limit"]], len(records) > asked["limit"]
    return {"records": page, "next": page[-1]["position"] if page else asked["after"], "more": more}


def _wait_for(who: Actor, study_id: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    until = time.monotonic() + asked["wait"]
    while True:
        records = _records(who, study_id, asked["after"], asked["limit"] + 1)
        if records or time.monotonic() >= until:
            return records
        time.sleep(POLL)


def _lines(who: Actor, study_id: str, position: int) -> Iterator[bytes]:
    while records := _records(who, study_id, position, 500):
        for record in records:
            yield orjson.dumps(record) + b"\n"
        position = records[-1]["position"]


def _records(who: Actor, study_id: str, after: int, limit: int) -> list[dict[str, Any]]:
    with look(who) as tx:
        protocol = protocols.current(tx, study_id)
        blinded = protocol is not None and "data_manager" in protocol.hide_scores_from
        hidden = blinded and who.kind != "key"  # a machine feeds the trial database, a person reads
        return [
            feed.told(entry, blinded=blinded, hidden=hidden)
            for entry in feed.after(tx, study_id, after, limit)
        ]
