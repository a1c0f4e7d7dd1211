"""The site: following alerts to their end, the windows that can still be saved, and how long it all takes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from epro.api import looking
from epro.api import telling_alerts as telling
from epro.api.door import actor
from epro.api.schemas import (
    AlertMetricsIn,
    AlertMetricsOut,
    AlertStoryOut,
    AtRiskOut,
    ContactAttemptIn,
    HandOverIn,
    ListIn,
    ReasonIn,
    RemarkIn,
)
from epro.api.site import site
from epro.notifications import alerts, following, measures
from epro.studies import access
from epro.tx import begin, look


@site.get("/alerts/<uuid:alert_id>")
@site.response(200, AlertStoryOut)
def one_alert(alert_id: UUID) -> dict[str, Any]:
    """One alert with every step that was taken, and the colleagues whom it can be handed to."""
    with look(actor()) as tx:
        row = alerts.find(tx, alert_id)
        looking.at_row(row, "alert")
        return telling.story(tx, row)


@site.post("/alerts/<uuid:alert_id>/contact-attempts")
@site.arguments(ContactAttemptIn)
@site.response(201, AlertStoryOut)
def contact_attempt(wanted: dict[str, Any], alert_id: UUID) -> dict[str, Any]:
    """Record that you tried to reach her. An alert that nobody has taken is yours from now on."""
    with begin(actor()) as tx:
        made = following.note_contact(tx, alert_id, wanted["channel"], wanted["outcome"], wanted.get("note"))
        return telling.story(tx, made)


@site.post("/alerts/<uuid:alert_id>/notes")
@site.arguments(RemarkIn)
@site.response(201, AlertStoryOut)
def note(wanted: dict[str, Any], alert_id: UUID) -> dict[str, Any]:
    """Write a remark; also on an alert that stands no more."""
    with begin(actor()) as tx:
        return telling.story(tx, following.add_note(tx, alert_id, wanted["note"]))


@site.post("/alerts/<uuid:alert_id>/hand-over")
@site.arguments(HandOverIn)
@site.response(200, AlertStoryOut)
def hand_over(wanted: dict[str, Any], alert_id: UUID) -> dict[str, Any]:
    """Give an alert to a colleague of the site, who owns it from now on and is told; or take it over yourself."""
    with begin(actor()) as tx:
        return telling.story(tx, following.hand_over(tx, alert_id, wanted["to"], wanted.get("note")))


@site.post("/alerts/<uuid:alert_id>/reopening")
@site.arguments(ReasonIn)
@site.response(200, AlertStoryOut)
def reopening(wanted: dict[str, Any], alert_id: UUID) -> dict[str, Any]:
    """Open a resolved alert again. Nobody owns it, and due time and escalation count from now."""
    with begin(actor()) as tx:
        return telling.story(tx, following.reopen(tx, alert_id, wanted["reason"]))


@site.get("/at-risk")
@site.arguments(ListIn, location="query")
@site.response(200, AtRiskOut)
def at_risk(asked: dict[str, Any]) -> dict[str, Any]:
    """Windows that close soon and whose answer is not yet received: what a call can still save, the first first."""
    access.allow(actor(), "alert.read")
    with look(actor()) as tx:
        rows = following.at_risk(
            tx,
            limit=asked["limit"] + 1,
            offset=asked["offset"],
            study_id=asked.get("study"),
            site_id=asked.get("site"),
        )
        page = rows[: asked["limit"]]
        return {"at_risk": [telling.at_risk(*row) for row in page], "more": len(rows) > len(page)}


@site.get("/alert-metrics")
@site.arguments(AlertMetricsIn, location="query")
@site.response(200, AlertMetricsOut)
def alert_metrics(asked: dict[str, Any]) -> dict[str, Any]:
    """How long alerts of the last so many days took, site by site, and how many windows at risk were saved."""
    access.allow(actor(), "alert.read")
    with look(actor()) as tx:
        since = tx.now - timedelta(days=asked["days"])
        found = measures.of_sites(tx, since, study_id=asked.get("study"), site_id=asked.get("site"))
        return {"since": since, "sites": found}
