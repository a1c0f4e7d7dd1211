"""The inbox of the app: reminders of the channel `app` that are still of use and that her phone has not shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from epro.notifications import ways, wording
from epro.notifications.models import Message
from epro.notifications.saying import params_of
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant, Site
from epro.tx import Tx

CHANNEL = "app"
MOST = 50


def waiting(tx: Tx, participant: Participant) -> list[dict[str, Any]]:
    """What waits for her, newest first, in her language. Nothing after an opt-out."""
    return list(_told(tx, participant)) if participant.opted_out_at is None else []


def _told(tx: Tx, participant: Participant) -> Iterator[dict[str, Any]]:
    query = (
        sa.select(Message)
        .join(
            Occurrence,
            sa.and_(Occurrence.study_id == Message.study_id, Occurrence.id == Message.occurrence_id),
        )
        .where(
            Message.study_id == participant.study_id,
            Message.subject_id == participant.subject_id,
            Message.recipient == f"participant/{participant.subject_id}",
            Message.channel == CHANNEL,
            Message.accepted_at.is_not(None),
            Message.shown_at.is_(None),
            Message.failed_at.is_(None),
            Occurrence.fulfilled_at.is_(None),
            Occurrence.cancelled_at.is_(None),
            Occurrence.excused_at.is_(None),
            Occurrence.closes_at > tx.now,
        )
    )
    site = tx.get(Site, participant.study_id, participant.site_id)
    study = protocols.find(tx, participant.study_id, participant.protocol_version).messages
    language = participant.language if participant.language in wording.shipped() else ways.FALLBACK
    for message in tx.all(query.order_by(Message.accepted_at.desc(), Message.id).limit(MOST)):
        params = params_of(participant, message, site.phone if site else None)
        own = study.own_texts(message.template, language)
        words = wording.render(message.template, language, params, message.rotation, own=own)
        yield {
            "id": message.id,
            "title": words.subject,
            "text": words.text,
            "language": language,
            "occurrence_id": message.occurrence_id,
            "sent_at": message.accepted_at,
        }
