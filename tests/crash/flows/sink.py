"""The feed gets its positions and goes into the trial database, in batches of two."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa

from epro.simulation.people import Phone
from epro.stream import delivering, reconciling
from epro.stream.sinks import trial_tables as trial
from epro.trail.models import FeedEntry
from tests.cast import STUDY, Cast, at
from tests.crash.flows import intake
from tests.crash.scene import Scene, broken_trail, inspecting, once

databases, provider = ("main", "trial"), False


def prepare(cast: Cast) -> dict[str, Any]:
    """A miss, an alert, two answers and the alert's clearing wait in the feed; the trial database is empty."""
    phone = intake.prepare(cast)
    with cast.on(intake.SENT):
        Phone(cast.line, **phone).upload(at(intake.SENT))
    return {"answers": [entry["id"] for entry in phone["unsent"]]}


def run(scene: Scene) -> None:
    with mock.patch.object(delivering, "BATCH", 2):
        scene.cast.relay()


recover = run


def faults(scene: Scene) -> list[str]:
    target = scene.cast.sinks[0]
    found = [f"differs: {one}" for one in reconciling.differences(target, STUDY, delivering.definitions())]
    with inspecting() as tx:
        entries = tx.session.execute(sa.select(FeedEntry.position, FeedEntry.event_id)).all()
    gapless = range(1, len(entries) + 1)
    found += once("position", gapless, [position for position, _ in entries])
    with target.engine.connect() as connection:
        found += once(
            "entry in the trial database", gapless, connection.scalars(sa.select(trial.entries.c.POSITION))
        )
        for table in (trial.responses, trial.answers, trial.scores):
            rows = connection.scalars(sa.select(table.c.RESPONSEID))
            found += once(f"row of {table.name} in the trial database for", scene.state["answers"], rows)
    return found + broken_trail()
