"""Texts that a provider of SMS keeps by itself are taken out of its record within a week.

Every message that it has taken is noted by the provider's id; a day later, when its fate is long known, the provider is
asked to forget the text, and the note goes. What it refuses in passing is asked again, hour by hour, after all those
that were asked about longer ago or never, so that none keeps another from its turn. Asked twice it is the same. No
transaction is open while it is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from epro import db
from epro.notifications.models import TextAtProvider
from epro.notifications.senders import Redacting, Sender, SendFailed, SendUnknown, is_redacting, twilio
from epro.tx import Tx, begin, look, system

log = logging.getLogger(__name__)

WORKER = system("worker")
AFTER = timedelta(days=1)  # no message is of use for so long, and no question about one is open then
AT_THE_LATEST = timedelta(days=7)
PAGE, MOST_FAULTS = 100, 5  # faults in a row, after which the provider is let alone until the next time
CHANNEL, REFUSED = "sms", "refused"  # what is refused is about this message, all else about the provider


def note(tx: Tx, provider_id: str) -> None:
    """A provider has taken a message under this id; told once more it is the same. Only Twilio's texts can be
    taken out.
    """
    if not twilio.is_sid(provider_id):
        return
    row = {"provider_id": provider_id, "taken_at": tx.now}
    tx.session.execute(
        db.insert_missing(tx.session, TextAtProvider).values(row).on_conflict_do_nothing(),
        execution_options={"synchronize_session": False},
    )


def redact_due(senders: dict[str, Sender], now: datetime | None = None) -> int:
    """Have what was taken a day ago or earlier forgotten by its provider; how many that were."""
    sender: Any = senders.get(CHANNEL)
    done, faults, begun = 0, 0 if is_redacting(sender) else MOST_FAULTS, _begun(now)
    while faults < MOST_FAULTS and (page := _due(begun)):
        for provider_id in page:
            trouble = _trouble(sender, provider_id)
            if trouble is None:
                _gone(provider_id, now)
                done, faults = done + 1, 0
            else:
                _asked(provider_id, begun)
                faults += trouble != REFUSED
            if faults >= MOST_FAULTS:
                break
    _warn(now)
    return done


def _trouble(sender: Redacting, provider_id: str) -> str | None:
    """Why its provider has not forgotten the text; None when it has."""
    try:
        sender.redact(provider_id)
    except (SendFailed, SendUnknown) as trouble:
        log.warning("text not taken out", extra={"action": "text.not_redacted", "fault": trouble.code})
        return trouble.code
    return None


def _begun(now: datetime | None) -> datetime:
    with look(WORKER, now) as tx:
        return tx.now


def _due(begun: datetime) -> Sequence[str]:
    """Texts not asked about since this turn began: those never asked about first, then by how long ago that was."""
    asked = TextAtProvider.asked_at
    with look(WORKER, begun) as tx:
        query = sa.select(TextAtProvider.provider_id).where(
            TextAtProvider.taken_at <= tx.now - AFTER, sa.or_(asked.is_(None), asked < begun)
        )
        return tx.all(query.order_by(asked.is_not(None), asked, TextAtProvider.provider_id).limit(PAGE))


def _asked(provider_id: str, begun: datetime) -> None:
    """It is still there: next time it comes after those that were asked about longer ago."""
    with begin(WORKER, begun) as tx:
        still = sa.update(TextAtProvider).where(TextAtProvider.provider_id == provider_id)
        tx.session.execute(still.values(asked_at=begun), execution_options={"synchronize_session": False})


def _gone(provider_id: str, now: datetime | None) -> None:
    with begin(WORKER, now) as tx:
        tx.session.execute(sa.delete(TextAtProvider).where(TextAtProvider.provider_id == provider_id))


def _warn(now: datetime | None) -> None:
    with look(WORKER, now) as tx:
        late = TextAtProvider.taken_at <= tx.now - AT_THE_LATEST
        count = tx.session.scalar(sa.select(sa.func.count()).select_from(TextAtProvider).where(late))
    if count:
        log.error("texts still at the provider", extra={"action": "text.overdue", "count": count})
