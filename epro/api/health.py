"""Is it alive, is it ready, how is it doing; and the key that receipts are checked with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from sqlalchemy.orm import aliased

from epro import clock, db, schema
from epro.api.door import DOOR, Door, metrics_lock
from epro.api.errors import problem
from epro.api.schemas import AliveOut, KeysOut, ReadyOut
from epro.notifications import following
from epro.notifications.models import Alert, CircuitState, Heartbeat, Message
from epro.responses import receipts
from epro.responses.models import SetAside
from epro.scheduling.models import Occurrence
from epro.signin import watch
from epro.stream import health as flow
from epro.stream import manifests
from epro.stream.models import ParkedEntry, Reconciliation, SinkRow
from epro.studies.models import Study
from epro.trail import sealing
from epro.trail.models import FeedEntry
from epro.tx import Tx, look

SILENT = timedelta(seconds=120)

health = Door("health", "", "Health and metrics", metrics_lock, open_doors=("alive", "ready", "receipt_key"))

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "epro_requests_total", "Requests by route and status", ["route", "status"], registry=REGISTRY
)
SECONDS = Histogram("epro_request_seconds", "Time to answer by route", ["route"], registry=REGISTRY)
STANDING = Gauge("epro_rows", "What waits, by kind", ["what"], registry=REGISTRY)
OF_A_SINK = ["study", "sink"]
SINK_UP = Gauge(
    "epro_sink_up",
    "1 while a sink takes what is delivered, 0 while away, paused or astray",
    OF_A_SINK,
    registry=REGISTRY,
)
SINK_LAG = Gauge(
    "epro_sink_lag_entries",
    "Entries that a sink has not got; not told while the trial database does not answer or is astray",
    OF_A_SINK,
    registry=REGISTRY,
)
SINK_WAITS = Gauge(
    "epro_sink_waiting_seconds", "How long the oldest of them has waited", OF_A_SINK, registry=REGISTRY
)
SINK_ASTRAY = Gauge(
    "epro_sink_astray",
    "1 while a sink stands at no place of the feed: ahead of it, or with another entry; nothing is written to it",
    OF_A_SINK,
    registry=REGISTRY,
)
REGISTRY.register(watch.COUNTED)


@health.get("/healthz")
@health.response(200, AliveOut)
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@health.get("/readyz")
@health.response(200, ReadyOut)
def ready() -> Any:
    """Database, migrations, and the worker's heartbeat."""
    try:
        with look(DOOR) as tx:
            beat = tx.session.scalar(sa.select(sa.func.max(Heartbeat.beat_at)))
        checks = {
            "database": True,
            "migrations": schema.is_current(db.engine()),
            "worker": bool(beat and clock.now() - beat <= SILENT),
        }
    except sa.exc.SQLAlchemyError:
        checks = {"database": False, "migrations": False, "worker": False}
    if all(checks.values()):
        return {"status": "ready", "checks": checks}
    return problem(503, "not_ready", "Something that is needed is not there yet.", checks=checks)


@health.get("/v1/keys")
@health.response(200, KeysOut)
def receipt_key() -> dict[str, Any]:
    """The public keys of receipts, daily manifests and checkpoints, for phones, sponsors and inspectors."""
    with look(DOOR) as tx:
        trail = sealing.public_key(tx)
    return {"receipts": receipts.public_key(), "manifests": manifests.public_key(), "trail": trail}


@health.get("/metrics")
@health.response(200, {"type": "string"}, content_type="text/plain")
def metrics() -> Response:
    """Prometheus figures; not public."""
    with look(DOOR) as tx:
        for what, query in _waiting(tx).items():
            STANDING.labels(what).set(tx.session.scalar(query) or 0)
        _tell_sinks(tx)
    return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def note(response: Response) -> Response:
    """Count a request; labels are routes, never paths."""
    route = str(request.url_rule) if request.url_rule else "none"
    REQUESTS.labels(route, response.status_code).inc()
    if "began" in g:
        SECONDS.labels(route).observe(clock.monotonic() - g.began)
    return response


def _tell_sinks(tx: Tx) -> None:
    """How far each sink of each study is behind. One that was removed is not told any more."""
    for gauge in (SINK_UP, SINK_ASTRAY, SINK_LAG, SINK_WAITS):
        gauge.clear()
    for study_id in tx.all(sa.select(Study.id)):
        for one in flow.sinks(tx, study_id):
            SINK_UP.labels(study_id, one.name).set(one.state in (flow.BEHIND, flow.UP_TO_DATE))
            SINK_ASTRAY.labels(study_id, one.name).set(one.state in flow.ASTRAY)
            if one.lag is not None:
                SINK_LAG.labels(study_id, one.name).set(one.lag)
                waited = (tx.now - one.waiting_since).total_seconds() if one.waiting_since else 0
                SINK_WAITS.labels(study_id, one.name).set(max(0, waited))


def _waiting(tx: Tx) -> dict[str, sa.Select[Any]]:
    def count(model: Any, *conditions: Any) -> sa.Select[Any]:
        return sa.select(sa.func.count()).select_from(model).where(*conditions)

    standing = Alert.standing_since.is_not(None)
    return {
        "occurrences_due": count(Occurrence, Occurrence.attention_at <= tx.now),
        "messages_due": count(
            Message, Message.begun_at.is_(None), Message.withheld_at.is_(None), Message.due_at <= tx.now
        ),
        "messages_unknown": count(Message, Message.unknown_at.is_not(None)),
        "messages_withheld": count(Message, Message.withheld_at.is_not(None)),
        "circuits_open": count(CircuitState, CircuitState.opened_at.is_not(None)),
        "alerts_raised": count(Alert),
        "alerts_standing": count(Alert, standing),
        "alerts_without_owner": count(Alert, standing, Alert.owner.is_(None)),
        "alerts_past_due": count(Alert, standing, Alert.due_at <= tx.now),
        "alerts_resolved": count(Alert, Alert.resolved_at.is_not(None)),
        "alerts_cleared": count(Alert, Alert.cleared_at.is_not(None)),
        "occurrences_at_risk": count(
            Occurrence, Occurrence.at_risk_at.is_not(None), *following.nothing_yet(tx)
        ),
        "set_aside": count(SetAside, SetAside.settled_at.is_(None)),
        "entries_parked": count(ParkedEntry),
        "sinks_paused": count(SinkRow, SinkRow.paused_at.is_not(None), SinkRow.removed_at.is_(None)),
        "sinks_away": count(SinkRow, SinkRow.failing_since.is_not(None), SinkRow.removed_at.is_(None)),
        "trial_database_differences": _differing(),
        "feed_without_position": count(FeedEntry, FeedEntry.position.is_(None)),
    }


def _differing() -> sa.Select[Any]:
    """Differences that the last comparison of each study found."""
    later = aliased(Reconciliation)
    again = sa.exists().where(later.study_id == Reconciliation.study_id, later.day > Reconciliation.day)
    return sa.select(sa.func.sum(Reconciliation.differences)).where(~again)
