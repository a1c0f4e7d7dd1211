"""Who has looked at whose data: what a person or a machine has opened, and how many participants that were."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, g, request

from epro.api.door import actor
from epro.console import acting
from epro.console.door import page
from epro.console.page import show
from epro.console.trail_pages import TRAIL_READERS, midnight, people_here
from epro.console.worklist import site_zone
from epro.privacy import readings
from epro.studies import access
from epro.tx import look

LINES = 50
SHOWN = timedelta(days=30)  # unless other days are asked for
FIELDS = ("reader", "since", "until")


@page("/studies/<study_id>/looks", roles=(*TRAIL_READERS, "administrator"))
def looks(study_id: str) -> Response:
    """By whom and in which days, a month back if none is named: how many participants; then look by look."""
    asked = {name: request.args.get(name, "").strip()[:100] for name in FIELDS}
    number = max(1, min(request.args.get("page", 1, int), 10_000))
    with look(actor()) as tx:
        access.allow(actor(), readings.READ, study_id)
        g.zone = site_zone(tx, study_id)
        if not (asked["since"] or asked["until"]):
            asked["since"] = (tx.now.astimezone(ZoneInfo(g.zone)).date() - SHOWN).isoformat()
        wanted = readings.Wanted(study_id, asked["reader"] or None, *_days(asked, g.zone))
        rows = readings.page(tx, wanted, LINES + 1, (number - 1) * LINES)
        return show(
            "looks.html",
            asked=asked,
            rows=rows[:LINES],
            more=len(rows) > LINES,
            page=number,
            counts=readings.counts(tx, wanted),
            people=people_here(tx, study_id, readings.READ),
            who=acting.who,
            may_open=bool(access.grants_for(actor(), "participant.read")),
            zone=g.zone,
        )


def _days(asked: dict[str, str], zone: str) -> tuple[Any, Any]:
    return midnight(asked["since"], zone), midnight(asked["until"], zone, days=1)
