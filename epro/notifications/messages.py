"""The ledger: every message that is meant to go out has one row, whatever becomes of it.

A message's id is computed from what it is about and for whom, so planning it twice plans it once.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from epro import trail
from epro.notifications.models import Message
from epro.tx import Tx

NAMESPACE = UUID("0d9a3c4e-2a57-4b86-9e0f-5f3d6c1b7a90")


def message_id(*parts: Any) -> UUID:
    """The one id of the message that these parts describe."""
    return uuid5(NAMESPACE, "/".join(str(part) for part in parts))


def plan(
    tx: Tx,
    participant: Any,
    *,
    key: tuple[Any, ...],
    purpose: str,
    recipient: str,
    template: str,
    language: str,
    due_at: datetime,
    expires_at: datetime,
    why: dict[str, Any],
    occurrence_id: UUID | None = None,
    alert_id: UUID | None = None,
    rotation: int = 0,
    wanted: UUID | None = None,
) -> bool:
    """Put a message on the ledger (participant locked by the caller). False if it stands there already.

    Its id is `wanted`, or made from the participant and `key`.
    """
    wanted = wanted or message_id(participant.study_id, participant.subject_id, *key)
    if tx.plain(Message, participant.study_id, wanted):
        return False
    tx.insert(
        Message,
        [
            {
                "study_id": participant.study_id,
                "subject_id": participant.subject_id,
                "id": wanted,
                "purpose": purpose,
                "occurrence_id": occurrence_id,
                "alert_id": alert_id,
                "recipient": recipient,
                "template": template,
                "rotation": rotation,
                "language": language,
                "why": why,
                "planned_at": tx.now,
                "due_at": due_at,
                "expires_at": expires_at,
                "callback_secret": secrets.token_urlsafe(16),
                "attempts": 0,
            }
        ],
    )
    trail.record(
        tx,
        participant,
        "message.planned",
        "message",
        wanted,
        purpose=purpose,
        recipient=recipient,
        template=template,
        **why,
    )
    return True


def withhold(tx: Tx, participant: Any, message: Any, reason: str, **details: str) -> None:
    """Note that a message does not go out, and why; `details` say more of it in the trail."""
    message.withheld_at, message.withheld_reason, message.lease_until = tx.now, reason, None
    trail.record(tx, participant, "message.withheld", "message", message.id, reason=reason, **details)
