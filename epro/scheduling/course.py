"""How a participant's course went so far, as far as the plan looks at it: what others wait for, what was missed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from epro.scheduling import timeline
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol
from epro.scheduling.timeline import Past
from epro.tx import Tx

_FACTS = (
    Occurrence.assessment_id,
    Occurrence.key,
    Occurrence.visit_id,
    Occurrence.local_day,
    Occurrence.anchor,
    Occurrence.study_day,
    Occurrence.time_zone,
    Occurrence.grace_until,
    Occurrence.fulfilled_at,
    Occurrence.excused_at,
)


def past(tx: Tx, participant: Any, protocol: Protocol) -> Past:
    """What order and alternates of this protocol look at; nothing is read where it has none."""
    wanted = protocol.ordered | protocol.with_alternates
    if not wanted:
        return timeline.NOTHING
    query = sa.select(*_FACTS).where(
        Occurrence.study_id == participant.study_id,
        Occurrence.subject_id == participant.subject_id,
        Occurrence.assessment_id.in_(sorted(wanted)),
        sa.or_(Occurrence.fulfilled_at.is_not(None), Occurrence.missed_at.is_not(None)),
    )
    rows = tx.session.execute(query.order_by(Occurrence.opens_at, Occurrence.id)).all()
    answered = {
        timeline.matter(row.assessment_id, row.visit_id, row.key, row.local_day): row.fulfilled_at
        for row in rows
        if row.fulfilled_at is not None and row.assessment_id in protocol.ordered
    }
    return Past(answered, [row for row in rows if row.fulfilled_at is None and row.excused_at is None])
