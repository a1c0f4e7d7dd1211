"""Alerts of before there were steps get theirs from what their rows say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from epro.notifications.models import Alert, AlertStep
from tests.cast import at
from tests.support.history import migration
from tests.support.owner import as_owner


@pytest.fixture
def three_alerts(cast) -> None:
    """One resolved, one cleared by a late answer, one that stands, escalated."""
    phones = []
    with cast.on("2026-03-02T10:00"):
        phones = [cast.phone(contact={}) for _ in range(3)]
    cast.tick(at("2026-03-03T06:00"))
    with cast.on("2026-03-03T08:00") as now:
        noor = cast.staff("noor")
        ids = {one["subject_id"]: one["id"] for one in noor.worklist()}
        noor.resolve(ids[phones[0].subject_id], "reached", "on the phone")
        evening = at("2026-03-02T20:00")
        diary = next(one for one in phones[1].known.values() if one["local_day"] == "2026-03-02")
        phones[1].answer(diary, {"worst_fatigue": 3}, evening, evening + timedelta(minutes=1))
        phones[1].upload(now)
    cast.tick(at("2026-03-03T10:00"))


def test_the_steps_are_made_from_the_rows(three_alerts, environ):
    with as_owner(environ, "alert_steps", keep=False) as connection:
        before = _told(connection)
        assert [kinds for *_, kinds in before] == [
            [("joined", None), ("taken", None), ("resolved", "reached")],
            [("joined", None), ("cleared_one", None)],
            [("joined", None)],
        ]
        connection.execute(sa.delete(AlertStep))
        connection.execute(sa.update(Alert).values(standing_since=None, owner=None, misses=0, ladder=0))
        with Operations.context(MigrationContext.configure(connection)):
            migration("0007_alerts")._carry_over()
        assert _told(connection) == before


def _told(connection: sa.Connection) -> list[tuple[Any, ...]]:
    """Each alert as it is now, with its steps in order."""
    alerts = sa.select(Alert.id, Alert.standing_since, Alert.owner, Alert.misses, Alert.ladder).order_by(
        Alert.subject_id
    )
    steps = sa.select(AlertStep.alert_id, AlertStep.kind, AlertStep.outcome).order_by(AlertStep.seq)
    found = connection.execute(steps).all()
    return [
        (*row, [(kind, outcome) for alert_id, kind, outcome in found if alert_id == row.id])
        for row in connection.execute(alerts)
    ]
