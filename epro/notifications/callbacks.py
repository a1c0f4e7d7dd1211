"""What providers tell us afterwards: what became of a message, and that somebody wants none any more.

Call-backs come late, twice and out of order; each only adds a fact that is not there yet.
"""

from __future__ import annotations

import hmac
from uuid import UUID

import sqlalchemy as sa

from epro import db, keys, trail
from epro.contacts import store
from epro.notifications import sending
from epro.notifications.models import HeardText, Message
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx

CHANNEL = "sms"  # the only one that calls back
DELIVERED, FAILED = ("delivered", "read"), ("failed", "undelivered")
STOP = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "TD", "T", "退订")
START = ("START", "YES", "UNSTOP", "恢复")


def note_status(tx: Tx, message_id: UUID, key: str, provider_id: str, status: str, error: str | None) -> bool:
    """One status call-back. False when it is about no message of ours, or its key is not the message's."""
    found = tx.one(sa.select(Message).where(Message.id == message_id))
    if found is None or not hmac.compare_digest(found.callback_secret.encode(), key.encode()):
        return False
    participant = tx.get(Participant, found.study_id, found.subject_id, lock=True)
    message = tx.get(Message, found.study_id, message_id, lock=True)
    assert participant is not None and message is not None
    if message.begun_at is None:
        return False
    if status not in DELIVERED and sending.refused_by(message, CHANNEL):
        return True  # it speaks of an attempt that is over; the next channel's fate is another
    if message.channel == CHANNEL or status not in FAILED:
        sending.accepted(tx, participant, message, provider_id)
    if status in DELIVERED:
        _delivered(tx, participant, message)
    elif status in FAILED:
        _undelivered(tx, participant, message, error)
    return True


def note_confirmed(tx: Tx, participant: Participant, message_ids: list[UUID], fact: str) -> int:
    """The phone has `shown` these messages, or she has `opened` them (participant locked). How many are new.

    Each is a fact of its own, noted once; what is not hers is passed over. Neither counts towards anything else.
    """
    column = {"shown": Message.shown_at, "opened": Message.opened_at}[fact]
    query = sa.select(Message).where(
        Message.study_id == participant.study_id,
        Message.subject_id == participant.subject_id,
        Message.id.in_(message_ids),
        Message.purpose == "reminder",
        column.is_(None),
    )
    found = tx.all(query) if message_ids else []
    for message in found:
        setattr(message, column.key, tx.now)
        trail.record(tx, participant, f"message.{fact}", "message", message.id)
    return len(found)


def inbound(tx: Tx, phone: str, text: str, provider_id: str) -> int:
    """A text message from a number: STOP and START are obeyed, all else is passed over, and so is a message that
    was obeyed before. Without the provider's id that cannot be told, and only STOP is obeyed. How many people it is.
    """
    word = text.strip().upper()
    act = {**dict.fromkeys(STOP, participants.opt_out), **dict.fromkeys(START, participants.opt_in)}.get(word)
    if act is None or not (_is_new(tx, provider_id) if provider_id else word in STOP):
        return 0
    changed = 0
    for study_id, owner in store.owners("phone", phone):
        kind, _, subject_id = owner.partition("/")
        participant = tx.get(Participant, study_id, subject_id, lock=True) if kind == "participant" else None
        changed += bool(participant and act(tx, participant, "text_message"))
    return changed


def _delivered(tx: Tx, participant: Participant, message: Message) -> None:
    if message.delivered_at is None:
        message.delivered_at = tx.now
        trail.record(tx, participant, "message.delivered", "message", message.id)


def _undelivered(tx: Tx, participant: Participant, message: Message, error: str | None) -> None:
    if message.delivered_at is not None or message.failed_at is not None:
        return
    failure = f"undelivered {error or ''}".strip()
    if message.purpose == "reminder" and not sending.has_other_channel(tx, participant, message):
        message.failed_at, message.failure = tx.now, failure
    else:
        sending.try_next_channel(tx, message, CHANNEL, failure)
    trail.record(tx, participant, "message.undelivered", "message", message.id, reason=error)


def _is_new(tx: Tx, provider_id: str) -> bool:
    """Whether this text message is heard for the first time; remembered in the same act."""
    key = keys.derive(db.settings()["SECRET_KEY"] or "", "heard texts")
    heard = {"digest": keys.mac(key, provider_id.encode()), "heard_at": tx.now}
    insert = db.insert_missing(tx.session, HeardText).values(heard).on_conflict_do_nothing()
    return tx.session.scalar(insert.returning(HeardText.digest)) is not None
