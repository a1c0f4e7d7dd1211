"""Which texts went to which number lately, for carriers that count them. Neither stands here but as a keyed digest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from epro import db, keys, ready
from epro.notifications.carriers import Earlier
from epro.notifications.models import SentText
from epro.tx import Tx, table_of

KEPT = timedelta(days=2)
_TEXTS = table_of(SentText)
_HISTORY = sa.select(_TEXTS.c.at, _TEXTS.c.text).where(
    _TEXTS.c.number == sa.bindparam("number"),
    _TEXTS.c.message_id != sa.bindparam("but", type_=_TEXTS.c.message_id.type),
    _TEXTS.c.at > sa.bindparam("since", type_=_TEXTS.c.at.type),
)


def _keep(statement: Any) -> Any:
    """An INSERT of one dialect that puts the text and the moment into the row that is there."""
    new = {"text": statement.excluded.text, "at": statement.excluded.at}
    return statement.on_conflict_do_update(index_elements=["number", "message_id"], set_=new)


_KEEP = {"sqlite": _keep(sqlite.insert(_TEXTS)), "postgresql": _keep(postgresql.insert(_TEXTS))}


def digest(what: str) -> str:
    """A number or a text, as it stands here."""
    return keys.mac(keys.derive(db.settings()["SECRET_KEY"] or "", "sent texts"), what.encode())


def hold(tx: Tx, number: str) -> None:
    """Whoever writes to this number (a digest) waits for this act: a nurse may have one number at several sites."""
    if tx.connection.dialect.name == "postgresql":
        tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(int(number[:15], 16))))


def history(tx: Tx, number: str, but: UUID) -> list[Earlier]:
    """What went, or may have gone, to this number lately, without this message."""
    asked = {"number": number, "but": but, "since": tx.now - KEPT}
    return [Earlier(row.at, row.text) for row in tx.rows(_HISTORY, asked)]


def keep(tx: Tx, number: str, message_id: UUID, text: str) -> None:
    """This text is about to go to this number. Sent again it counts once, from now on."""
    values = {"number": number, "message_id": message_id, "text": text, "at": tx.now}
    ready.write(tx.connection, _KEEP[tx.connection.dialect.name], [values])


def forget(tx: Tx, number: str, message_id: UUID) -> None:
    """It certainly did not go."""
    tx.session.execute(
        sa.delete(SentText).where(SentText.number == number, SentText.message_id == message_id)
    )


def forget_old(tx: Tx) -> None:
    """What is too old to count."""
    tx.session.execute(sa.delete(SentText).where(SentText.at <= tx.now - KEPT))
