"""Sinks that are added by command: their rows, how each is opened, and the secrets they need."""

from __future__ import annotations

import base64
import os
import secrets
from typing import Any

from epro import db, keys, trail
from epro.contacts import sealing
from epro.errors import Conflict, Invalid, NotFound
from epro.signin import stepup
from epro.stream import cursors
from epro.stream.models import SinkRow
from epro.stream.sinks import Outlet
from epro.stream.sinks.files import FilesOutlet
from epro.stream.sinks.kafka import KafkaOutlet
from epro.stream.sinks.webhook import WebhookOutlet
from epro.studies.models import Study
from epro.tx import Tx

TRIAL_DATABASE = "trial-database"  # the sink that the settings name; its row only says that it is paused
NEEDS = {"webhook": {"url"}, "kafka": {"bootstrap.servers"}, "files": {"folder"}}
KNOWN = {"webhook": {"url", "secret"}, "files": {"folder"}}
SECRETIVE = ("password", "secret", "key.pem", "jaas")


def add(tx: Tx, study_id: str, name: str, kind: str, options: dict[str, str]) -> str | None:
    """Add a sink; a webhook's secret comes back if it was made here, and is not shown again.

    Raises Invalid, StepUpNeeded.
    """
    stepup.require(tx)
    if tx.get(Study, study_id) is None:
        raise NotFound(f"There is no study {study_id}.")
    _check(name, kind, options)
    row = tx.get(SinkRow, study_id, name, lock=True)
    if row is not None and row.removed_at is None:
        raise Conflict(f"There is a sink {name} already.")
    made = None
    if kind == "webhook" and "secret" not in options:
        made = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    if row is None:
        row = tx.add(SinkRow(study_id=study_id, name=name))
    _set(row, kind, options, _sealed(study_id, name, made) if made else None)
    row.added_at = tx.now
    _open(row).close()
    tx.session.flush()
    _record(tx, row, "sink.added", kind=kind, options=sorted(options))
    return made


def remove(tx: Tx, row: SinkRow, why: str) -> None:
    """Deliver nothing any more; what is parked for it goes too, for another of its name begins anew."""
    stepup.require(tx)
    row.removed_at, row.secret = tx.now, None
    parked = cursors.forget_parked(tx, cursors.Key(row.study_id, row.name))
    _record(tx, row, "sink.removed", why, parked=parked)


def found(tx: Tx, study_id: str, name: str) -> SinkRow:
    """The sink of that name, locked. Raises NotFound."""
    row = tx.get(SinkRow, study_id, name, lock=True)
    if row is None and name == TRIAL_DATABASE and tx.get(Study, study_id) is not None:
        row = tx.add(SinkRow(study_id=study_id, name=name, added_at=tx.now))
        _set(row, "trial_database", {}, None)
        tx.session.flush()
    if row is None or row.removed_at is not None:
        raise NotFound(f"There is no sink {name} in {study_id}.")
    return row


def open_outlet(row: SinkRow) -> Outlet:
    """What delivers to this sink. Raises ValueError when its options make no sense."""
    return _open(row)


def revision(row: SinkRow) -> tuple[Any, ...]:
    """What makes an open outlet out of date."""
    return (row.kind, str(row.options), row.secret)


def _open(row: SinkRow) -> Outlet:
    options = dict(row.options)
    if row.kind == "webhook":
        allowed = db.settings()["SINKS_TO_LOOPBACK"] == "on"
        return WebhookOutlet(options["url"], _secret(row), loopback=allowed)
    if row.kind == "kafka":
        topic = options.pop("topic", None) or f"epro.{row.study_id}"
        return KafkaOutlet(topic, options)
    return FilesOutlet(options["folder"], row.study_id)


def _set(row: SinkRow, kind: str, options: dict[str, str], secret: str | None) -> None:
    row.kind, row.options, row.secret = kind, options, secret
    row.paused_at = row.paused_why = row.removed_at = row.delivered_at = None
    row.leased_by = row.leased_until = row.failing_since = row.next_try_at = row.last_fault = None
    row.position = row.failures = 0


def _check(name: str, kind: str, options: dict[str, str]) -> None:
    faults = [
        (
            not name or name == TRIAL_DATABASE or not name.replace("-", "").isalnum(),
            "a name is letters, digits and -",
        ),
        (not all(options.values()), "an option has no value"),
        (not NEEDS[kind] <= options.keys(), f"{kind} needs {', '.join(sorted(NEEDS[kind]))}"),
        (kind in KNOWN and not options.keys() <= KNOWN.get(kind, set()), f"{kind} knows no such option"),
        (
            _bare_secrets(options),
            f"a secret is given as env:NAME, not as it is: {', '.join(_bare_secrets(options))}",
        ),
    ]
    told = [what for wrong, what in faults if wrong]
    if told:
        raise Invalid("The sink cannot be added: " + "; ".join(told) + ".")


def _bare_secrets(options: dict[str, str]) -> list[str]:
    return [
        name
        for name, value in options.items()
        if any(word in name for word in SECRETIVE) and not value.startswith("env:")
    ]


def _secret(row: SinkRow) -> str:
    if place := row.options.get("secret"):
        return os.environ.get(place.removeprefix("env:"), "")
    return sealing.unseal(_key(), "sinks", f"{row.study_id}/{row.name}", row.secret or "")


def _sealed(study_id: str, name: str, secret: str) -> str:
    return sealing.seal(_key(), "sinks", f"{study_id}/{name}", secret)


def _key() -> bytes:
    return keys.derive(db.settings()["SECRET_KEY"] or "", "secrets of sinks")


def _record(tx: Tx, row: SinkRow, action: str, why: str | None = None, **details: Any) -> None:
    trail.record(tx, trail.study_chain(tx, row.study_id), action, "sink", row.name, reason=why, **details)
