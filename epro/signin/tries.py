"""Wrong sign-ins: whoever fails waits, longer each time, where she failed and nowhere else.

Counted by account and source address, so that a stranger who knows an e-mail address keeps nobody out who sits
elsewhere. Many failures at one account from anywhere make everybody who fails there wait longer; who has password
and one-time code is let in all the same. An account that does not exist is counted like one that does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from epro import db
from epro.signin.models import RateCount
from epro.tx import Tx

FREE_TRIES = 5
LONGEST_WAIT = timedelta(minutes=15)
REMEMBERED = timedelta(days=1)  # after the last failure of an address
MANY = 100  # failures at one account, from anywhere, in an hour
WAIT_AMONG_MANY = timedelta(minutes=1)


def waits_until(tx: Tx, account: str, source: str) -> datetime | None:
    """Until when this address must wait at this account; None when it need not. `account` is an e-mail's lookup."""
    failed = tx.get(RateCount, _key(account, source))
    if failed is None or failed.expires_at <= tx.now.timestamp():
        return None
    wait = _wait(failed.count, _count(tx, _key(account)) > MANY)
    last = datetime.fromtimestamp(failed.expires_at, UTC) - REMEMBERED
    return last + wait if wait and last + wait > tx.now else None


def count_failure(tx: Tx, account: str, source: str) -> bool:
    """One more failure. True when it is the account's first within an hour that makes an address wait."""
    here = _add(tx, _key(account, source), REMEMBERED, prolong=True)
    _add(tx, _key(account), timedelta(hours=1))
    return here == FREE_TRIES and _add(tx, _key(account, "waits"), timedelta(hours=1)) == 1


def forget(tx: Tx, account: str, source: str) -> None:
    """The right ones came from here: what was wrong before were slips of the finger."""
    failed = tx.get(RateCount, _key(account, source))
    if failed is not None:
        tx.session.delete(failed)


def _wait(failures: int, among_many: bool) -> timedelta:
    beyond = failures - FREE_TRIES
    wait = timedelta(seconds=2 ** min(beyond, 12)) if beyond >= 0 else timedelta()
    return min(max(wait, WAIT_AMONG_MANY) if among_many else wait, LONGEST_WAIT)


def _key(account: str, place: str = "") -> str:
    return f"sign-in/{account}/{place}"


def _count(tx: Tx, key: str) -> int:
    row = tx.get(RateCount, key)
    return row.count if row is not None and row.expires_at > tx.now.timestamp() else 0


def _add(tx: Tx, key: str, kept: timedelta, prolong: bool = False) -> int:
    """Count one more in the window that is open, or open one; the count so far."""
    until = (tx.now + kept).timestamp()
    over = RateCount.expires_at <= tx.now.timestamp()
    insert = db.insert_missing(tx.session, RateCount).values(key=key, count=1, expires_at=until)
    again = {
        "count": sa.case((over, 1), else_=RateCount.count + 1),
        "expires_at": until if prolong else sa.case((over, until), else_=RateCount.expires_at),
    }
    counted = insert.on_conflict_do_update(index_elements=["key"], set_=again).returning(RateCount.count)
    return int(tx.session.scalars(counted).one())
