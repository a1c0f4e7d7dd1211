"""What all workers know of a provider's outage: one row a channel and provider, changed under its lock."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from epro import db, trail
from epro.notifications.circuit import Circuit, failed, probing, succeeded, way
from epro.notifications.models import CircuitState
from epro.tx import Tx

log = logging.getLogger(__name__)

TROUBLED = sa.or_(CircuitState.opened_at.is_not(None), CircuitState.strikes != [])
"""Rows that say more than that nothing is amiss."""

Key = tuple[str, str]  # channel, provider


def known(tx: Tx) -> dict[Key, Circuit]:
    """Every circuit of which there is something to say; of the others nothing is amiss."""
    return {
        (row.channel, row.provider): _circuit(row) for row in tx.all(sa.select(CircuitState).where(TROUBLED))
    }


def claim_probe(tx: Tx, key: Key) -> bool:
    """Hand the probe of an open circuit to this act. False when another worker was first."""
    row = tx.get(CircuitState, *key, lock=True)
    if row is None:
        return True
    found = way(_circuit(row), tx.now)
    if found == "probe":
        _write(row, probing(_circuit(row), tx.now))
        tx.session.flush()
    return found != "open"


def note(tx: Tx, key: Key, well: bool) -> None:
    """A message was taken or refused by this provider, or the provider failed. Opening and closing are on record."""
    if well and tx.get(CircuitState, *key) is None:
        return  # nothing was amiss
    blank = {"channel": key[0], "provider": key[1], "strikes": [], "pauses": 0}
    tx.session.execute(db.insert_missing(tx.session, CircuitState).values(blank).on_conflict_do_nothing())
    row = tx.get(CircuitState, *key, lock=True)
    assert row is not None
    before = _circuit(row)
    after = succeeded(before) if well else failed(before, tx.now)
    _write(row, after)
    if (before.opened_at is None) != (after.opened_at is None):
        _tell(tx, key, before, after)
    tx.session.flush()


def _tell(tx: Tx, key: Key, before: Circuit, after: Circuit) -> None:
    opened = after.opened_at is not None
    action, since = ("circuit.opened", after.opened_at) if opened else ("circuit.closed", before.opened_at)
    log.warning(
        "a provider is out" if opened else "a provider is back",
        extra={"action": action, "channel": key[0], "provider": key[1]},
    )
    details = {"channel": key[0], "provider": key[1], "since": trail.instant(since or tx.now)}
    trail.record(tx, trail.study_chain(tx), action, "circuit", "/".join(key), **details)


def _circuit(row: CircuitState) -> Circuit:
    strikes = tuple(datetime.fromisoformat(one) for one in row.strikes)
    return Circuit(strikes, row.opened_at, row.retry_at, row.pauses, row.probing_until)


def _write(row: CircuitState, circuit: Circuit) -> None:
    values: dict[str, Any] = {
        "strikes": [trail.instant(one) for one in circuit.strikes],
        "opened_at": circuit.opened_at,
        "retry_at": circuit.retry_at,
        "pauses": circuit.pauses,
        "probing_until": circuit.probing_until,
    }
    for name, value in values.items():
        setattr(row, name, value)
