"""Which texts went to which number lately, for carriers that count them. Neither stands here but as a keyed digest."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from epro import db, keys
from epro.notifications.carriers import Earlier
from epro.notifications.models import SentText
from epro.tx import Tx

KEPT = timedelta(days=2)


def digest(what: str) -> str:
    """A number or a text, as it stands here."""
    return keys.mac(keys.derive(db.settings()["SECRET_KEY"] or "", "sent texts"), what.encode())


def hold(tx: Tx, number: str) -> None:
    """Whoever writes to this number (a digest) waits for this act: a nurse may have one number at several sites."""
    if tx.session.get_bind().dialect.name == "postgresql":
        tx.session.execute(sa.select(sa.func.pg_advisory_xact_lock(int(number[:15], 16))))


def history(tx: Tx, number: str, but: UUID) -> list[Earlier]:
    """What went, or may have gone, to this number lately, without this message."""
    query = sa.select(SentText.at, SentText.text).where(
        SentText.number == number, SentText.message_id != but, SentText.at > tx.now - KEPT
    )
    return [Earlier(row.at, row.text) for row in tx.session.execute(query)]


def keep(tx: Tx, number: str, message_id: UUID, text: str) -> None:
    """This text is about to go to this number. Sent again it counts once, from now on."""
    values = {"number": number, "message_id": message_id, "text": text, "at": tx.now}
    statement = db.insert_missing(tx.session, SentText).values(values)
    tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["number", "message_id"], set_={"text": text, "at": tx.now}
        )
    )


def forget(tx: Tx, number: str, message_id: UUID) -> None:
    """It certainly did not go."""
    tx.session.execute(
        sa.delete(SentText).where(SentText.number == number, SentText.message_id == message_id)
    )


def forget_old(tx: Tx) -> None:
    """What is too old to count."""
    tx.session.execute(sa.delete(SentText).where(SentText.at <= tx.now - KEPT))
