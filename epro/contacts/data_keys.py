"""A key for each person, wrapped by a key-encryption key of the ring, in a database of its own.

Destroying hers is what erases her: no copy of her contact data opens any more, wherever it lies.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from epro import db, ready
from epro.contacts import ring
from epro.contacts.models import DataKey
from epro.contacts.sealing import CannotOpen, seal, unseal

BATCH = 100  # keys wrapped anew in one transaction
TABLE = DataKey.__table__
_OF = sa.select(TABLE).where(
    TABLE.c.study_id == sa.bindparam("study_id"), TABLE.c.owner == sa.bindparam("owner")
)


@dataclass(frozen=True, repr=False)
class Opened:
    """Her data key in clear, and what rows sealed with it name it by."""

    key_id: str
    key: bytes


def find(study_id: str, owner: str) -> Opened | None:
    """Her data key, or None when she has none (any more)."""
    with db.reading(db.keys_engine()).connect() as connection:
        rows = ready.rows(connection, _OF, {"study_id": study_id, "owner": owner})
    return _unwrap(rows[0]) if rows else None


def find_many(study_id: str, owners: Collection[str]) -> dict[str, Opened]:
    """The data keys of those who have one, by owner."""
    query = sa.select(TABLE).where(TABLE.c.study_id == study_id, TABLE.c.owner.in_(owners))
    with db.reading(db.keys_engine()).connect() as connection:
        rows = connection.execute(query).all() if owners else []
    return {row.owner: _unwrap(row) for row in rows}


def hold(study_id: str, owner: str, now: datetime) -> Opened:
    """Her data key, made when she has none."""
    found = find(study_id, owner)
    if found is not None:
        return found
    made, newest = uuid4(), next(iter(ring.held()))
    place = {"study_id": study_id, "owner": owner}
    wrapped = _wrap(newest, _place(study_id, owner, made), secrets.token_hex(32))
    row = {**place, "id": made, "kek_id": newest, "wrapped": wrapped, "made_at": now}
    with Session(db.keys_engine()) as session, session.begin():
        session.execute(db.insert_missing(session, DataKey).values(row).on_conflict_do_nothing())
        kept = session.connection().execute(_OF, place).one()
    return _unwrap(kept)


def destroy(study_id: str, owner: str) -> bool:
    """Remove her data key for good; whether there was one."""
    statement = sa.delete(DataKey).where(DataKey.study_id == study_id, DataKey.owner == owner)
    with db.keys_engine().connect() as connection:
        on_file = connection.dialect.name == "sqlite"
        if on_file:
            connection.exec_driver_sql("PRAGMA secure_delete = ON")  # overwritten, not only let go
        count = connection.execute(statement).rowcount
        connection.commit()
        if on_file and count:
            connection.exec_driver_sql("ROLLBACK")  # a checkpoint runs in no transaction
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return bool(count)


def counts() -> dict[str, int]:
    """Key-encryption key → how many data keys it wraps."""
    query = sa.select(DataKey.kek_id, sa.func.count()).group_by(DataKey.kek_id)
    with Session(db.reading(db.keys_engine())) as session:
        return {row[0]: row[1] for row in session.execute(query.order_by(DataKey.kek_id))}


def owners(after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """Who has a data key, in order, from the one after this on."""
    query = sa.select(DataKey.study_id, DataKey.owner).order_by(DataKey.study_id, DataKey.owner)
    later = sa.tuple_(DataKey.study_id, DataKey.owner) > after
    with Session(db.reading(db.keys_engine())) as session:
        return [(study_id, owner) for study_id, owner in session.execute(query.where(later).limit(limit))]


def rewrap() -> Counter[str]:
    """Wrap under the newest key whatever another wraps, in small transactions: how many were `done`, and how many
    are `stuck` because their key is away. What was done stays done, however it ends.
    """
    newest, result, after = next(iter(ring.held())), Counter[str](), ("", "")
    while rows := _not_under(newest, after):
        with Session(db.keys_engine()) as session, session.begin():
            for row in rows:
                result["done" if _rewrap(session, row, newest) else "stuck"] += 1
        after = rows[-1].study_id, rows[-1].owner
    return result


def _not_under(newest: str, after: tuple[str, str]) -> list[sa.Row[tuple[object, ...]]]:
    later = sa.tuple_(TABLE.c.study_id, TABLE.c.owner) > after
    query = sa.select(TABLE).where(TABLE.c.kek_id != newest, later)
    with db.reading(db.keys_engine()).connect() as connection:
        return list(connection.execute(query.order_by(TABLE.c.study_id, TABLE.c.owner).limit(BATCH)))


def _rewrap(session: Session, row: sa.Row[tuple[object, ...]], newest: str) -> bool:
    """As long as it is what was read: one that was destroyed since is not brought back."""
    place = _place(row.study_id, row.owner, row.id)
    try:
        text = unseal(ring.held()[row.kek_id], row.kek_id, place, row.wrapped)
    except (CannotOpen, KeyError):
        return False
    statement = sa.update(DataKey).filter_by(
        study_id=row.study_id, owner=row.owner, id=row.id, wrapped=row.wrapped
    )
    session.execute(statement.values(kek_id=newest, wrapped=_wrap(newest, place, text)))
    return True


def _wrap(kek_id: str, place: str, text: str) -> str:
    return seal(ring.held()[kek_id], kek_id, place, text)


def _unwrap(row: sa.Row[tuple[object, ...]]) -> Opened:
    key = ring.held().get(row.kek_id)
    if key is None:
        raise CannotOpen("The key that a data key was wrapped by is not in the ring.")
    text = unseal(key, row.kek_id, _place(row.study_id, row.owner, row.id), row.wrapped)
    return Opened(f"data/{row.id.hex}", bytes.fromhex(text))


def _place(study_id: str, owner: str, made: UUID) -> str:
    return json.dumps(["contact_keys", "data_keys", "wrapped", study_id, owner, made.hex])
