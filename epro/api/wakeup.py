"""Telling the worker that the feed has grown, so that an answer is in the trial database within a second.

Sent after the commit and on a connection of its own: inside the transaction it would make all commits queue.
A hint only: who misses it finds the entries at the next strike.
"""

from __future__ import annotations

import logging
from threading import Lock
from time import monotonic

import sqlalchemy as sa

from epro import db

log = logging.getLogger(__name__)
CHANNEL = "epro_feed"
SELDOM = 0.1  # seconds: one hint serves many answers

_last, _guard = [0.0], Lock()


def feed() -> None:
    """Hint that there is something to carry."""
    if db.engine().dialect.name != "postgresql" or not _is_time():
        return
    try:
        with db.engine().execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))
    except sa.exc.SQLAlchemyError:
        log.warning("no wake-up sent", extra={"action": "feed.no_wakeup"})


def _is_time() -> bool:
    with _guard:
        if monotonic() - _last[0] < SELDOM:
            return False
        _last[0] = monotonic()
        return True
