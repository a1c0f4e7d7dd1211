"""The sponsor: people and machines that read, and never write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import Any
from uuid import UUID

import orjson
from flask import Response, request, stream_with_context

from epro.api import looking
from epro.api.door import Door, actor, sponsor_lock
from epro.api.schemas import CheckpointsIn, CheckpointsOut, FeedIn, FeedOut, ManifestOut, StudyIn
from epro.errors import Conflict
from epro.responses import sight
from epro.scheduling import protocols
from epro.scheduling.protocol import Protocol
from epro.stream import feed, manifests
from epro.stream.sequencer import SEQUENCER, last_position
from epro.studies import access
from epro.trail import sealing
from epro.tx import Actor, Tx, look

sponsor = Door("sponsor", "/v1/sponsor", "The sponsor: the feed", sponsor_lock)
POLL = 0.25  # seconds between looks while somebody waits
WAITERS = BoundedSemaphore(2)  # each holds a thread of the web process: phones must find the others free


class NotOurPlace(Conflict):
    """This feed has not come so far: the position is of another feed, or of this one before it was put back."""

    code = "not_a_place_of_this_feed"


@sponsor.get("/feed")
@sponsor.arguments(FeedIn, location="query")
@sponsor.response(200, FeedOut)
def read_feed(asked: dict[str, Any]) -> Any:
    """Entries after a position, in order, without gaps; from 0 on, everything. `wait` holds the line until there
    is something. With `Accept: application/x-ndjson` all there is comes as lines, in one answer. A place that this
    feed has not reached, or where another entry stands than `event_id` says, is refused.
    """
    who = actor()
    study_id = access.one_study(who, "feed.read", asked.get("study"))
    _check_place(study_id, asked["after"], asked.get("event_id"))
    if (
        request.accept_mimetypes.best_match(["application/json", "application/x-ndjson"])
        == "application/x-ndjson"
    ):
        looking.at(study_id, None, "feed", f"after {asked['after']}")
        lines = stream_with_context(_lines(who, study_id, asked["after"]))
        return Response(lines, content_type="application/x-ndjson")
    records = _wait_for(who, study_id, asked)
    page, more = records[: asked["limit"]], len(records) > asked["limit"]
    if page:
        looking.at(study_id, None, "feed", f"{page[0]['position']} to {page[-1]['position']}")
    with look(who) as tx:
        newest = sealing.last(tx)
    following = page[-1]["position"] if page else asked["after"]
    return {
        "records": page,
        "next": following,
        "more": more,
        "checkpoint": newest.note if newest else None,
    }


@sponsor.get("/manifests/<day>")
@sponsor.arguments(StudyIn, location="query")
@sponsor.response(200, ManifestOut)
def read_manifest(asked: dict[str, Any], day: str) -> Any:
    """What the feed came to on one UTC day that is over: counts and digests by site, assessment and kind, signed
    (Ed25519, base64) over the RFC 8785 form without `digest` and `signature`, and chained by `previous`. A person from
    whom answers of the study are kept is told the counts only.
    """
    who = actor()
    study_id = access.one_study(who, "feed.read", asked.get("study"))
    with look(who) as tx:
        row = manifests.find(tx, study_id, manifests.day_of(day))
        if sight.keeps_answers(tx, study_id):
            return manifests.counts_of(row)
        return {**manifests.told(row), "public_key": manifests.public_key()["public_key"]}


@sponsor.get("/checkpoints")
@sponsor.arguments(CheckpointsIn, location="query")
@sponsor.response(200, CheckpointsOut)
def read_checkpoints(asked: dict[str, Any]) -> Any:
    """Signed checkpoints of the trail's log that are longer than `after`. Keep them: with them the stand-alone
    verifier sees what was changed, cut off or shown differently since.
    """
    access.allow(actor(), "trail.read")
    with look(actor()) as tx:
        found = sealing.after(tx, asked["after"], asked["limit"])
        return {"key": sealing.public_key(tx), "checkpoints": found}


def _check_place(study_id: str, after: int, event_id: UUID | None) -> None:
    """A cursor that is not of this feed must not wait quietly and pass over what comes. Raises NotOurPlace."""
    with look(SEQUENCER) as tx:
        if after > last_position(tx, study_id):
            raise NotOurPlace()
        here = feed.after(tx, study_id, after - 1, 1) if event_id and after else []
    if event_id and (not here or here[0].event_id != event_id):
        raise NotOurPlace("Another entry stands at this position.")


def _wait_for(who: Actor, study_id: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What there is; if there is nothing, what comes while one may wait. With too many waiting, nothing at once."""
    until = time.monotonic() + asked["wait"]
    records = _records(who, study_id, asked["after"], asked["limit"] + 1)
    if records or not asked["wait"] or not WAITERS.acquire(blocking=False):
        return records
    try:
        while not records and time.monotonic() < until:
            time.sleep(POLL)
            records = _records(who, study_id, asked["after"], asked["limit"] + 1)
        return records
    finally:
        WAITERS.release()


def _lines(who: Actor, study_id: str, position: int) -> Iterator[bytes]:
    while records := _records(who, study_id, position, 500):
        for record in records:
            yield orjson.dumps(record) + b"\n"
        position = records[-1]["position"]


def _records(who: Actor, study_id: str, after: int, limit: int) -> list[dict[str, Any]]:
    with look(who) as tx:
        entries = feed.after(tx, study_id, after, limit)
        if who.kind == "key":  # a machine feeds the trial database and gets everything
            return [feed.told(entry, blinded=False) for entry in entries]
        there = protocols.by_site(tx, study_id)
        base = protocols.current(tx, study_id)
        return [_told_to_a_person(tx, there.get(entry.content["site"], base), entry) for entry in entries]


def _told_to_a_person(tx: Tx, protocol: Protocol | None, entry: feed.Entry) -> dict[str, Any]:
    """What is blinded is withheld from everybody, what the study hides from those it names."""
    assert protocol is not None
    hidden = sight.hides_scores(tx.actor, protocol, entry.study_id, entry.content["site"])
    asked = entry.content.get("response", {}).get("instrument")
    items = sight.blinded_items(tx, asked["code"], asked["version"]) if asked else ()
    told = {"unseen": sight.asks_blinded(tx, protocol), "call_only": _looked_at_blinded(tx, entry)}
    return feed.told(entry, blinded=True, hidden=hidden, blinded_items=items, **told)


def _looked_at_blinded(tx: Tx, entry: feed.Entry) -> bool:
    """Whether it is an alert on an answer that is kept from the reader: its rule would tell the answer."""
    alert = entry.content.get("alert", {})
    if alert.get("kind") != "answer":
        return False
    place = entry.study_id, entry.content["site"], UUID(alert["occurrence_id"])
    return sight.hides_answer_behind(tx, *place, alert["why"]["rule"])
