"""Saved progress, so that a replaced phone can go on where the old one stopped."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from epro.errors import Conflict, NotFound
from epro.responses.models import Draft
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant
from epro.tx import Tx


class NotOpen(Conflict):
    """This is answered, cancelled or closed: there is nothing to save progress of."""

    code = "not_open"


def find(tx: Tx, participant: Participant, occurrence_id: UUID) -> tuple[dict[str, Any], datetime]:
    """The draft of one of her occurrences, and when it was saved. Raises NotFound."""
    draft = tx.get(Draft, participant.study_id, occurrence_id)
    if draft is None or draft.subject_id != participant.subject_id:
        raise NotFound()
    return orjson.loads(draft.body), draft.saved_at


def save(tx: Tx, participant: Participant, occurrence_id: UUID, content: dict[str, Any]) -> None:
    """Keep the progress of one of her occurrences (participant locked). Raises NotFound, NotOpen."""
    occurrence = tx.get(Occurrence, participant.study_id, occurrence_id)
    if occurrence is None or occurrence.subject_id != participant.subject_id:
        raise NotFound()
    draft = tx.get(Draft, participant.study_id, occurrence_id)
    if (
        occurrence.fulfilled_at
        or occurrence.cancelled_at
        or occurrence.missed_at
        or tx.now >= _closes_at(tx, occurrence, begun=draft is not None)
    ):
        raise NotOpen()
    draft = draft or tx.add(
        Draft(study_id=participant.study_id, occurrence_id=occurrence_id, subject_id=participant.subject_id)
    )
    draft.body, draft.saved_at, draft.device_id = orjson.dumps(content).decode(), tx.now, tx.actor.device_id


def _closes_at(tx: Tx, occurrence: Occurrence, *, begun: bool) -> datetime:
    """The closing; for who has begun before it, the time that is left to finish."""
    if not begun:
        return occurrence.closes_at
    protocol = protocols.find(tx, occurrence.study_id, occurrence.protocol_version)
    return occurrence.closes_at + protocol.assessment(occurrence.assessment_id).while_answering
