"""The clockwork's look at occurrences whose moment has come: remind, at risk, missed, alert.

What to do is told by the pure `scheduling.attention`; here it is done, under the participant's lock, in one act
for a handful of occurrences. Any number of workers may do this at once: a participant whom another worker
holds is skipped and comes back at the next tick.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from epro import trail
from epro.notifications import alerts, messages
from epro.scheduling import anchors, attention, occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Assessment
from epro.statements import of_ids
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Plain, Tx, attempt, table_of

log = logging.getLogger(__name__)

PUT_OFF = timedelta(minutes=5)  # an occurrence that cannot be attended to must not stop the others


_OCCURRENCES, _PARTICIPANTS = map(table_of, (Occurrence, Participant))
_DUE = (
    sa.select(_OCCURRENCES.c.id, *_PARTICIPANTS.columns)
    .join(
        _PARTICIPANTS,
        sa.and_(
            _PARTICIPANTS.c.study_id == _OCCURRENCES.c.study_id,
            _PARTICIPANTS.c.subject_id == _OCCURRENCES.c.subject_id,
        ),
    )
    .where(_OCCURRENCES.c.attention_at <= sa.bindparam("now", type_=Occurrence.planned_at.type))
    .order_by(_OCCURRENCES.c.attention_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
    .with_for_update(of=_PARTICIPANTS, skip_locked=True)
)
_THESE = (
    sa.select(*_OCCURRENCES.columns)
    .where(
        of_ids(_OCCURRENCES),
        _OCCURRENCES.c.attention_at <= sa.bindparam("now", type_=Occurrence.planned_at.type),
    )
    .order_by(_OCCURRENCES.c.attention_at, _OCCURRENCES.c.id)
    .with_for_update()
)
_Pair = tuple[Any, Any]  # a participant and one of her occurrences, plain rows


def attend_due(tx: Tx, limit: int = 50) -> int:
    """Attend to up to `limit` occurrences that are due; returns how many were found."""
    due = tx.rows(_DUE, {"now": tx.now, "most": limit})
    if not due:
        return 0
    people = {(row.study_id, row.subject_id): Plain(_PARTICIPANTS, row[1:]) for row in due}
    # The lock is held from here on: what was read before it may have changed since.
    pairs = [
        (people[(row.study_id, row.subject_id)], Plain(_OCCURRENCES, row))
        for study_id in sorted({row.study_id for row in due})
        for row in tx.rows(
            _THESE,
            {"study_id": study_id, "now": tx.now, "ids": [one.id for one in due if one.study_id == study_id]},
        )
    ]
    # What ends unanswered has consequences that look at what is on file; all else is done at once.
    ending, quick = (
        [pair for pair in pairs if _ends(tx, pair[1])],
        [pair for pair in pairs if not _ends(tx, pair[1])],
    )
    if quick and not attempt(tx, None, "all at once", lambda: _attend_together(tx, quick)):
        ending = pairs
    for _, occurrence in ending:
        _attend_or_put_off(tx, occurrence)
    return len(due)


def _ends(tx: Tx, occurrence: Any) -> bool:
    protocol = protocols.find(tx, occurrence.study_id, occurrence.protocol_version)
    return tx.now >= occurrence.closes_at + protocol.assessment(occurrence.assessment_id).sync_grace


def _attend_together(tx: Tx, pairs: Sequence[_Pair]) -> None:
    with tx.together():
        for participant, occurrence in pairs:
            attend(tx, participant, occurrence)
        for _, occurrence in pairs:
            tx.put_back(Occurrence, occurrence)
        for participant in {id(participant): participant for participant, _ in pairs}.values():
            tx.put_back(Participant, participant)


def _attend_or_put_off(tx: Tx, due: Any) -> None:
    def part() -> None:
        participant = tx.plain(Participant, due.study_id, due.subject_id, lock=True)
        occurrence = tx.plain(Occurrence, due.study_id, due.id, lock=True)
        assert participant is not None and occurrence is not None
        attend(tx, participant, occurrence)
        tx.put_back(Occurrence, occurrence)
        tx.put_back(Participant, participant)

    told = {"action": "occurrence.put_off", "occurrence": str(due.id)}
    if not attempt(tx, log, "occurrence put off", part, **told):
        tx.session.execute(
            sa.update(Occurrence)
            .where(Occurrence.study_id == due.study_id, Occurrence.id == due.id)
            .values(attention_at=tx.now + PUT_OFF)
        )


def attend(tx: Tx, participant: Any, occurrence: Any) -> None:
    """Do what is due for one occurrence (participant locked), and say when to look again."""
    protocol = protocols.find(tx, occurrence.study_id, occurrence.protocol_version)
    assessment = protocol.assessment(occurrence.assessment_id)
    for step in attention.due_steps(
        occurrence,
        assessment,
        tx.now,
        first_reminder_at=participants.reminder_hour(participant),
        zone=participant.time_zone,
    ):
        _do(tx, participant, occurrence, assessment, step)
    occurrence.attention_at = occurrences.look_again(participant, protocol, occurrence, tx.now)


def _do(tx: Tx, participant: Any, occurrence: Any, assessment: Assessment, step: object) -> None:
    match step:
        case attention.Remind():
            _remind(tx, participant, occurrence, step)
        case attention.SkipReminder():
            occurrence.reminders_done = step.index + 1
            trail.record(
                tx,
                participant,
                "reminder.skipped",
                "occurrence",
                occurrence.id,
                reason=step.reason,
                number=step.index,
            )
        case attention.RemindAfterSnooze():
            _remind_after_snooze(tx, participant, occurrence, step)
        case attention.DropSnooze():
            occurrence.snoozed_until = None
            trail.record(tx, participant, "snooze.dropped", "occurrence", occurrence.id, reason=step.reason)
        case attention.AtRisk():
            occurrence.at_risk_at = tx.now
            trail.record(tx, participant, "occurrence.at_risk", "occurrence", occurrence.id)
        case attention.Miss():
            _miss(tx, participant, occurrence, assessment)
            anchors.follow_miss(tx, participant, occurrence)
        case attention.Lapse():
            occurrences.call_off(tx, participant, occurrence, "not answered")
            trail.record(tx, participant, "occurrence.lapsed", "occurrence", occurrence.id)


def _remind(tx: Tx, participant: Any, occurrence: Any, step: attention.Remind) -> None:
    occurrence.reminders_done = step.index + 1
    messages.plan(
        tx,
        participant,
        key=("reminder", occurrence.id, step.index),
        purpose="reminder",
        recipient=f"participant/{participant.subject_id}",
        template="reminder.due" if step.index == 0 else "reminder.again",
        language=participant.language,
        due_at=step.due_at,
        expires_at=step.expires_at,
        occurrence_id=occurrence.id,
        why={"assessment": occurrence.assessment_id, "number": step.index},
        rotation=occurrence.local_day.toordinal() + step.index,
    )


def _remind_after_snooze(
    tx: Tx, participant: Any, occurrence: Any, step: attention.RemindAfterSnooze
) -> None:
    occurrence.snoozed_until = None
    messages.plan(
        tx,
        participant,
        key=("reminder", occurrence.id, "snooze", step.due_at),
        purpose="reminder",
        recipient=f"participant/{participant.subject_id}",
        template="reminder.again",
        language=participant.language,
        due_at=step.due_at,
        expires_at=step.expires_at,
        occurrence_id=occurrence.id,
        why={"assessment": occurrence.assessment_id, "snoozed_until": trail.instant(step.due_at)},
        rotation=occurrence.local_day.toordinal(),
    )


def _miss(tx: Tx, participant: Any, occurrence: Any, assessment: Assessment) -> None:
    occurrence.missed_at, occurrence.attention_at = tx.now, None
    occurrence.week_at = occurrences.week_mark(tx, occurrence)
    occurrence.change_no = occurrences.next_change(participant)
    tx.put_back(Occurrence, occurrence)  # what follows looks at what is on file
    event = trail.record(tx, participant, "occurrence.missed", "occurrence", occurrence.id)
    about = {"occurrence": {**occurrences.told(occurrence), "missed_at": trail.instant(tx.now)}}
    trail.stream(tx, event, participant, "occurrence.missed", about)
    # Nobody is to be called about what has not come from whoever has left, or of what could not be answered.
    if participant.withdrawn_at is None and not occurrence.closed_excused:
        alerts.alert_on_miss(tx, participant, occurrence, assessment.on_miss)
