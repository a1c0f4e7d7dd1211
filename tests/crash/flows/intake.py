"""A phone hands in two answers, one of them late for a diary that was missed and told to the nurse.

It forgets an answer when the answer's receipt has come, and sends everything else again.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from epro.notifications.models import Alert
from epro.responses.models import Response, Score
from epro.scheduling.models import Occurrence
from epro.simulation.people import Phone
from epro.trail.models import Event, FeedEntry
from tests.cast import Cast, at
from tests.crash.scene import Scene, broken_trail, inspecting, once

databases, provider = ("main",), False
SENT = "2026-03-03T19:30"
KEPT = ("key", "refresh_token", "installation_id", "subject_id", "language", "time_zone", "unsent")
SAME = ("digest", "received_at", "signature")


def prepare(cast: Cast) -> dict[str, Any]:
    """A phone that was offline: yesterday's diary counts as missed, today's has just been filled in."""
    with cast.on("2026-03-02T10:00"):
        phone = cast.phone()
    cast.tick(at("2026-03-03T06:30"))
    with cast.on(SENT):
        phone.sync()
        for day, hour in (("2026-03-02", "20:00"), ("2026-03-03", "19:00")):
            diary = next(
                o for o in phone.known.values() if (o["local_day"], o["assessment"]) == (day, "evening")
            )
            phone.answer(diary, {"worst_fatigue": 6}, at(f"{day}T{hour}"), at(f"{day}T{hour}"))
        phone.refresh()
    return {name: getattr(phone, name) for name in KEPT}


def run(scene: Scene) -> None:
    hand_in(scene, scene.state["unsent"])


def recover(scene: Scene) -> None:
    """What has no receipt goes out again; then everything once more, for the receipts must be the same."""
    receipts = {receipt["id"] for receipt in scene.noted("receipt")}
    hand_in(scene, [entry for entry in scene.state["unsent"] if entry["id"] not in receipts])
    hand_in(scene, scene.state["unsent"])


def hand_in(scene: Scene, entries: list[dict[str, Any]]) -> None:
    """The phone sends these; what it gets for them stays known to it."""
    with scene.cast.on(SENT):
        phone = Phone(scene.cast.line, **{**scene.state, "unsent": entries})
        for receipt in phone.upload(at(SENT)):
            scene.note(receipt=receipt)


def faults(scene: Scene) -> list[str]:
    sent = [entry["id"] for entry in scene.state["unsent"]]
    found = [*_receipts(scene, sent), *broken_trail()]
    with inspecting() as tx:
        found += once("response", sent, tx.all(sa.select(Response.id)))
        scores = sa.select(Score.response_id, Score.scale, Score.run)
        found += once(
            "score",
            [(one, "worst_fatigue", 1) for one in sent],
            [(str(row[0]), row[1], row[2]) for row in tx.session.execute(scores)],
        )
        found += once("act in the trail", sent, tx.all(told_in_trail("response.stored")))
        found += once("feed entry", sent, [entry["response"]["id"] for entry in in_feed("response.stored")])
        found += _alert(tx)
    return found


def told_in_trail(action: str) -> sa.Select[Any]:
    return sa.select(Event.object_id).where(Event.action == action)


def in_feed(kind: str) -> list[dict[str, Any]]:
    """The contents of the feed's entries of one kind."""
    with inspecting() as tx:
        return [json.loads(body) for body in tx.all(sa.select(FeedEntry.body).where(FeedEntry.kind == kind))]


def _receipts(scene: Scene, sent: list[str]) -> list[str]:
    """Each answer has a receipt, and whenever it was asked for, the same."""
    told = scene.noted("receipt")
    wrong = [
        f"wrong: {receipt['outcome']} for {receipt['id']}"
        for receipt in told
        if receipt["outcome"] not in ("stored", "already_stored")
    ]
    different = {(receipt["id"], *(receipt[name] for name in SAME)) for receipt in told}
    return wrong + once("receipt of", sent, [one[0] for one in different])


def _alert(tx: Any) -> list[str]:
    """The alert about the missed diary was taken off once; both diaries are fulfilled."""
    alerts = tx.all(sa.select(Alert.id))
    cleared = tx.all(sa.select(Alert.id).where(Alert.cleared_at.is_not(None)))
    fulfilled = tx.all(sa.select(Occurrence.id).where(Occurrence.fulfilled_at.is_not(None)))
    answered = tx.all(sa.select(Response.occurrence_id))
    return [
        *once("clearing of alert", alerts, cleared),
        *once("clearing in the trail of alert", alerts, tx.all(told_in_trail("alert.cleared"))),
        *once("clearing in the feed of alert", alerts, [e["alert"]["id"] for e in in_feed("alert.cleared")]),
        *once("fulfilment of", answered, fulfilled),
    ]
