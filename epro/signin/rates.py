"""Counting tries in the database, so that a limit holds across processes and restarts.

A storage for the `limits` library that Flask-Limiter counts with: fixed windows, one row a window.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from limits.storage import Storage

from epro import clock, db
from epro.signin.models import RateCount


def seconds_until(reset_at: float) -> int:
    """How long to wait for a window that ends at `reset_at` by the library's reckoning; at least a second."""
    return max(1, int(reset_at - time.time()))


class DatabaseStorage(Storage):
    """Fixed windows kept in `rate_counts` of the application at hand."""

    STORAGE_SCHEME = ["epro"]

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return sa.exc.SQLAlchemyError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """One more try in this window; the count so far."""
        moment = clock.now().timestamp()
        with db.RecordingSession(db.engine()) as session, session.begin():
            session.execute(sa.delete(RateCount).where(RateCount.key == key, RateCount.expires_at <= moment))
            insert = db.insert_missing(session, RateCount).values(
                key=key, count=amount, expires_at=moment + expiry
            )
            again = insert.on_conflict_do_update(
                index_elements=["key"], set_={"count": RateCount.count + amount}
            ).returning(RateCount.count)
            return int(session.execute(again).scalar_one())

    def get(self, key: str) -> int:
        row = self._row(key)
        return row.count if row else 0

    def get_expiry(self, key: str) -> float:
        row = self._row(key)
        # The library compares with its own clock.
        left = row.expires_at - clock.now().timestamp() if row else 0
        return time.time() + left  # the library's own reckoning

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with db.RecordingSession(db.engine()) as session, session.begin():
            return session.execute(sa.delete(RateCount)).rowcount  # type: ignore[attr-defined]

    def clear(self, key: str) -> None:
        with db.RecordingSession(db.engine()) as session, session.begin():
            session.execute(sa.delete(RateCount).where(RateCount.key == key))

    def _row(self, key: str) -> Any:
        with db.RecordingSession(db.reading(db.engine())) as session:
            query = sa.select(RateCount).where(
                RateCount.key == key, RateCount.expires_at > clock.now().timestamp()
            )
            return session.scalars(query).first()
