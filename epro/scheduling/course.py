"""How a participant's course went so far, as far as the plan looks at it: what others wait for, what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from epro.scheduling import timeline
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol
from epro.scheduling.timeline import Past
from epro.statements import among, of_people
from epro.tx import Tx, table_of

_TABLE = table_of(Occurrence)
_FACTS = (
    "subject_id",
    "assessment_id",
    "key",
    "visit_id",
    "local_day",
    "anchor",
    "study_day",
    "time_zone",
    "grace_until",
    "fulfilled_at",
    "excused_at",
)
_SETTLED = (
    sa.select(*(_TABLE.c[name] for name in _FACTS))
    .where(
        of_people(_TABLE),
        among(_TABLE.c.assessment_id, "assessments"),
        sa.or_(_TABLE.c.fulfilled_at.is_not(None), _TABLE.c.missed_at.is_not(None)),
    )
    .order_by(_TABLE.c.opens_at, _TABLE.c.id)
)


def past_of(tx: Tx, those: Sequence[tuple[Any, Protocol]]) -> list[Past]:
    """What order and alternates of their protocols look at, for participants of one study; nothing is read where
    there are none.
    """
    looked_at = [(participant, protocol) for participant, protocol in those if _wanted(protocol)]
    if not looked_at:
        return [timeline.NOTHING] * len(those)
    tx.flush()
    rows: dict[str, list[Any]] = {participant.subject_id: [] for participant, _ in looked_at}
    asked = {"study_id": those[0][0].study_id, "subject_ids": list(rows)}
    wanted = sorted({id for _, protocol in looked_at for id in _wanted(protocol)})
    for row in tx.rows(_SETTLED, {**asked, "assessments": wanted}):
        rows[row.subject_id].append(row)
    return [_past(rows.get(participant.subject_id, ()), protocol) for participant, protocol in those]


def _wanted(protocol: Protocol) -> frozenset[str]:
    return protocol.ordered | protocol.with_alternates


def _past(rows: Sequence[Any], protocol: Protocol) -> Past:
    rows = [row for row in rows if row.assessment_id in _wanted(protocol)]
    answered = {
        timeline.matter(row.assessment_id, row.visit_id, row.key, row.local_day): row.fulfilled_at
        for row in rows
        if row.fulfilled_at is not None and row.assessment_id in protocol.ordered
    }
    return Past(answered, [row for row in rows if row.fulfilled_at is None and row.excused_at is None])
