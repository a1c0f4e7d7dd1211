"""One strike of the clockwork with something of everything: a reminder, two missed diaries, a plan to extend.

After the kill the worker starts again and goes on striking until every lease is long over.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import sqlalchemy as sa

from epro import clock, worker
from epro.notifications.models import Alert, Message
from epro.scheduling.models import Occurrence
from tests.cast import Cast, at
from tests.crash.flows.intake import in_feed, told_in_trail
from tests.crash.scene import Scene, broken_trail, inspecting, once

databases, provider = ("main",), True
STRIKE = at("2026-03-10T19:30")
LATER = [timedelta(seconds=s) for s in (10, 130, 260)]
"""Strikes after a restart: at once, then each time after the leases of the strike before are over."""

RESTART = timedelta(minutes=10)
"""From one restart to the next, if that one dies too."""


def prepare(cast: Cast) -> dict[str, Any]:
    """Nobody has a phone here; what matters is when each is due."""
    with cast.on("2026-03-03T12:00"):
        ahead = enrol(cast, "2026-04-10", "+8613900000009")  # her first diary comes into the horizon later
    with cast.on("2026-03-09T10:00"):  # that evening's diary is their last; its grace ends before the strike
        silent = [enrol(cast, "2026-01-08", number) for number in ("+8613900000002", "+8613900000003")]
    with cast.on("2026-03-09T23:00"):  # puts what comes before the miss behind us: reminders, at risk
        worker.tick({"sms": cast.sms, "email": cast.email})
    with cast.on("2026-03-10T10:00"):
        due = enrol(cast, "2026-03-10", "+8613900000001")
    return {"ahead": ahead, "silent": silent, "due": due, "before": _messages()}


def run(scene: Scene) -> None:
    _strike(scene, timedelta())


def recover(scene: Scene) -> None:
    for later in LATER:
        _strike(scene, later + RESTART * max(len(scene.noted("died")) - 1, 0))


def faults(scene: Scene) -> list[str]:
    state = scene.state
    with inspecting() as tx:
        missed = tx.all(
            sa.select(Occurrence.id).where(
                Occurrence.subject_id.in_(state["silent"]), Occurrence.missed_at.is_not(None)
            )
        )
        alerts = tx.all(sa.select(Alert).where(Alert.subject_id.in_(state["silent"])))
        found = [
            *once(
                "miss of",
                state["silent"],
                tx.all(sa.select(Occurrence.subject_id).where(Occurrence.missed_at.is_not(None))),
            ),
            *once("miss in the trail", missed, tx.all(told_in_trail("occurrence.missed"))),
            *once("miss in the feed", missed, [e["occurrence"]["id"] for e in in_feed("occurrence.missed")]),
            *once("alert for", missed, [alert.occurrence_id for alert in alerts]),
            *once("alert in the trail", [a.id for a in alerts], tx.all(told_in_trail("alert.raised"))),
            *once(
                "alert in the feed",
                [a.id for a in alerts],
                [e["alert"]["id"] for e in in_feed("alert.raised")],
            ),
            *_plan(tx, state["ahead"]),
            *_messages_sent(scene, tx, [a.id for a in alerts]),
        ]
    return found + broken_trail()


def told_of(scene: Scene) -> list[str]:
    """The ids of the messages that a provider has taken, once for each time."""
    asked = [
        parse_qs(urlsplit(taken["form"]["StatusCallback"]).query)["message"][0] for taken in scene.taken()
    ]
    return asked + scene.noted("email")


def enrol(cast: Cast, day: str, number: str) -> str:
    return cast.enrol(anchors={"enrolment": day}, contact={"phone": number})["subject_id"]


def _messages() -> list[str]:
    with inspecting() as tx:
        return [str(one) for one in tx.all(sa.select(Message.id))]


def _strike(scene: Scene, later: timedelta) -> None:
    with clock.moved_to(STRIKE + later):
        worker.tick(scene.senders(clock.now))


def _plan(tx: Any, subject_id: str) -> list[str]:
    """Her horizon was extended once: the first diaries of hers have come into it."""
    extended = tx.all(told_in_trail("plan.changed").where(sa.text("body LIKE '%\"horizon\"%'")))
    days = tx.all(
        sa.select(Occurrence.local_day).where(
            Occurrence.subject_id == subject_id, Occurrence.assessment_id == "evening"
        )
    )
    return once("extension of", [subject_id], extended) + once(
        "planned day", [f"2026-04-{day}" for day in range(10, 15)], days
    )


def _messages_sent(scene: Scene, tx: Any, alerts: list[Any]) -> list[str]:
    sent, found = told_of(scene), []
    rows = tx.all(sa.select(Message).where(Message.id.not_in(map(UUID, scene.state["before"]))))
    reminders = [row for row in rows if row.purpose == "reminder"]
    to_nurse = [row for row in rows if row.purpose == "alert"]
    found += once("reminder to", [scene.state["due"]], [row.subject_id for row in reminders])
    found += once("message to the nurse about", alerts, [row.alert_id for row in to_nurse])
    for row in rows:
        found += fate(row, sent.count(str(row.id)), scene.noted("died"))
        found += (
            [f"wrong: the lease of {row.purpose} {row.id} was never given back"] if row.lease_until else []
        )
    return found


def fate(row: Message, times: int, died: list[bool]) -> list[str]:
    """A reminder goes out at most once, and is shown as lost when it may not have gone out at all.

    A nurse is told for certain, and once more than needed for each sender that died at most.
    """
    shown = row.unknown_at is not None or row.failure == "not_taken"
    most = 1 if row.purpose == "reminder" else 1 + sum(died)
    if times > most:
        return [f"doubled: {row.purpose} {row.id} went out {times} times"]
    if times == 0 and (row.purpose != "reminder" or not shown):
        return [f"lost: {row.purpose} {row.id} never went out (accepted {row.accepted_at}, {row.failure})"]
    if times and not shown and row.accepted_at is None:
        return [f"wrong: {row.purpose} {row.id} went out and the ledger does not know"]
    return [f"wrong: {row.purpose} {row.id} counts as lost and went out"] if times and row.failure else []
