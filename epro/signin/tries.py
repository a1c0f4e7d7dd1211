"""Wrong sign-ins: whoever fails waits, longer each time, where she failed and nowhere else.

Counted by account and by the place they come from: a source address, or a device that is known to be hers. So a
stranger who knows an e-mail address keeps nobody out who sits elsewhere. After a hundred failures in a row an account
takes passwords from known devices only, until a second person, a link by e-mail or a passkey opens it again. An account
that does not exist is counted like one that does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from epro import db
from epro.contacts import store
from epro.errors import Invalid
from epro.signin.models import RateCount
from epro.tx import Tx

FREE_TRIES = 5
LONGEST_WAIT = timedelta(minutes=15)
REMEMBERED = timedelta(days=1)  # after the last failure of a place
MOST = 100  # failures in a row at one account, from places that nobody knows
FOR_EVER = timedelta(days=3650)
HERE, LOCKED, SHUT = "", "locked_out", "shut"  # what one more failure has come to


def account_of(email: str) -> str:
    """What an account is found and counted by; also of a text that is no address."""
    try:
        return store.lookup("email", store.normal("email", email))
    except Invalid:
        return store.lookup("email", email)


def waits_until(tx: Tx, account: str, place: str) -> datetime | None:
    """Until when this place must wait at this account; None when it need not. `account` is an e-mail's lookup."""
    failed = tx.get(RateCount, _key(account, place))
    if failed is None or failed.expires_at <= tx.now.timestamp():
        return None
    wait = _wait(failed.count)
    last = datetime.fromtimestamp(failed.expires_at, UTC) - REMEMBERED
    return last + wait if wait and last + wait > tx.now else None


def is_shut(tx: Tx, account: str) -> bool:
    """Whether this account takes no password any more from a place that is not known."""
    row = tx.get(RateCount, _key(account))
    return row is not None and row.count >= MOST and row.expires_at > tx.now.timestamp()


def count_failure(tx: Tx, account: str, place: str, known: bool = False) -> str:
    """One more failure. LOCKED when it is the account's first within an hour that makes a place wait, SHUT when it
    is the last that the account takes from places that are not known.
    """
    here = _add(tx, _key(account, place), REMEMBERED, prolong=True)
    if not known and _add(tx, _key(account), FOR_EVER, prolong=True) == MOST:
        return SHUT
    if here == FREE_TRIES and _add(tx, _key(account, "waits"), timedelta(hours=1)) == 1:
        return LOCKED
    return HERE


def forget(tx: Tx, account: str, place: str, known: bool = False) -> None:
    """The right ones came from here: what was wrong before were slips of the finger.

    Who comes from a known device says nothing about strangers: what they have tried goes on counting.
    """
    _clear(tx, _key(account, place))
    if not known:
        open_again(tx, account)


def open_again(tx: Tx, account: str) -> None:
    """The account takes passwords from everywhere again."""
    _clear(tx, _key(account))


def _wait(failures: int) -> timedelta:
    beyond = failures - FREE_TRIES
    wait = timedelta(seconds=2 ** min(beyond, 12)) if beyond >= 0 else timedelta()
    return min(wait, LONGEST_WAIT)


def _key(account: str, place: str = "") -> str:
    return f"sign-in/{account}/{place}"


def _clear(tx: Tx, key: str) -> None:
    row = tx.get(RateCount, key)
    if row is not None:
        tx.session.delete(row)


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
