"""Reminders that a new plan or an excuse takes back before they go out."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from epro.notifications.models import Message
from epro.scheduling.comparing import Differences
from epro.tx import Tx


def recalled(tx: Tx, found: Differences) -> int:
    """How many reminders wait to be sent for windows that will not be as they were."""
    return waiting_for(tx, [row.id for row in found.cancelled] + [row.id for row, _ in found.moved])


def waiting_for(tx: Tx, gone: Sequence[UUID]) -> int:
    """How many reminders wait to be sent for these occurrences."""
    waiting = (Message.begun_at.is_(None), Message.withheld_at.is_(None))
    query = sa.select(sa.func.count()).select_from(Message).where(Message.occurrence_id.in_(gone), *waiting)
    return (tx.session.scalar(query) or 0) if gone else 0
