"""How much came of what was due: by week, site and assessment, drawn and as a table."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from flask import Response, g, request

from epro.api.door import actor
from epro.console import drawing
from epro.console.door import page
from epro.console.page import show
from epro.console.participants import READERS
from epro.console.worklist import labels, site_zone
from epro.scheduling import compliance as room
from epro.scheduling import counted
from epro.studies import access
from epro.tx import look

SPANS = {"4": 4, "12": 12, "26": 26, "52": 52}
USUAL = "12"


@page("/studies/<study_id>/compliance", roles=READERS, menu="compliance.menu", order=30)
def compliance(study_id: str) -> Response:
    """The charts, of the viewer's sites, over the last weeks."""
    asked = {name: request.args.get(name, "")[:64] for name in ("site", "assessment", "weeks")}
    asked["weeks"] = asked["weeks"] if asked["weeks"] in SPANS else USUAL
    with look(actor()) as tx:
        access.allow(actor(), "participant.read", study_id)
        g.zone = site_zone(tx, study_id)
        today = tx.now.astimezone(ZoneInfo(g.zone)).date()
        first = room.monday_before(today, SPANS[asked["weeks"]] - 1)
        found, counted_at = counted.told(
            tx,
            study_id,
            first,
            site_id=asked["site"] or None,
            assessment_id=asked["assessment"] or None,
        )
        sites = access.sites(tx, "participant.read", study_id)
        weeks = room.added(found, lambda one: one.week)
        return show(
            "compliance.html",
            asked=asked,
            spans=SPANS,
            whole=sum((one.due for one in found), 0),
            weeks=drawing.bars(_all_weeks(weeks, first, today)),
            by_site=drawing.bars(room.added(found, lambda one: one.site_id).items()),
            by_assessment=drawing.bars(room.added(found, lambda one: one.assessment_id).items()),
            sites={site.id: site.names for site in sites},
            label=labels(tx, study_id),
            counted_at=counted_at,
            zone=g.zone,
        )


def _all_weeks(weeks: dict[date, room.Sum], first: date, today: date) -> list[tuple[date, room.Sum]]:
    """Every week from the first to this one; of one without anything due, nothing."""
    last = room.monday_before(today, 0)
    count = (last - first).days // 7 + 1
    mondays = [room.monday_before(last, back) for back in range(count - 1, -1, -1)]
    return [(monday, weeks.get(monday, room.Sum())) for monday in mondays]
