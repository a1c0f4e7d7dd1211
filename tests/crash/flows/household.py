"""Two participants who live together share one phone number, and both are to be reminded at this moment.

The provider, asked what became of one reminder, lists the other's too: the same words to the same number.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from epro.notifications.models import Message
from tests.cast import Cast
from tests.crash.flows import clockwork
from tests.crash.scene import Scene, broken_trail, inspecting, once

databases, provider = ("main",), True
NUMBER = "+8613900000001"
run, recover = clockwork.run, clockwork.recover


def prepare(cast: Cast) -> dict[str, Any]:
    with cast.on("2026-03-10T10:00"):
        return {"both": [clockwork.enrol(cast, "2026-03-10", NUMBER) for _ in range(2)]}


def faults(scene: Scene) -> list[str]:
    with inspecting() as tx:
        rows = tx.all(sa.select(Message))
        sent = clockwork.told_of(scene)
        found = once("reminder to", scene.state["both"], [row.subject_id for row in rows])
        for row in rows:
            found += clockwork.fate(row, sent.count(str(row.id)), scene.noted("died"))
    return found + broken_trail()
