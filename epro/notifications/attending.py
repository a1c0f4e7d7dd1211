"""The clockwork's look at occurrences whose moment has come: remind, at risk, missed, alert.

What to do is told by the pure `scheduling.attention`; here it is done, under the participant's lock, in one act
for a handful of occurrences. Any number of workers may do this at once: a participant whom another worker
holds is skipped and comes back at the next tick.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import sqlalchemy as sa

from epro import trail
from epro.notifications import alerts, messages
from epro.scheduling import anchors, attention, occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Assessment
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx, attempt

log = logging.getLogger(__name__)

PUT_OFF = timedelta(minutes=5)  # an occurrence that cannot be attended to must not stop the others


def attend_due(tx: Tx, limit: int = 50) -> int:
    """Attend to up to `limit` occurrences that are due; returns how many were found."""
    query = (
        sa.select(Occurrence, Participant)
        .join(
            Participant,
            sa.and_(
                Participant.study_id == Occurrence.study_id, Participant.subject_id == Occurrence.subject_id
            ),
        )
        .where(Occurrence.attention_at <= tx.now)
        .order_by(Occurrence.attention_at)
        .limit(limit)
        .with_for_update(of=Participant, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    due = [(row.id, row.study_id, participant) for row, participant in tx.session.execute(query)]
    for occurrence_id, study_id, participant in due:
        _attend_or_put_off(tx, participant, study_id, occurrence_id)
    return len(due)


def _attend_or_put_off(tx: Tx, participant: Participant, study_id: str, occurrence_id: object) -> None:
    def part() -> None:
        # The lock is held from here on: what was read before it may have changed since.
        occurrence = tx.get(Occurrence, study_id, occurrence_id, lock=True)
        if occurrence is not None and occurrence.attention_at and occurrence.attention_at <= tx.now:
            attend(tx, participant, occurrence)

    told = {"action": "occurrence.put_off", "occurrence": str(occurrence_id)}
    if not attempt(tx, log, "occurrence put off", part, **told):
        tx.session.refresh(participant)
        tx.session.execute(
            sa.update(Occurrence)
            .where(Occurrence.study_id == study_id, Occurrence.id == occurrence_id)
            .values(attention_at=tx.now + PUT_OFF)
        )


def attend(tx: Tx, participant: Participant, occurrence: Occurrence) -> None:
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
    tx.session.flush()


def _do(
    tx: Tx, participant: Participant, occurrence: Occurrence, assessment: Assessment, step: object
) -> None:
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


def _remind(tx: Tx, participant: Participant, occurrence: Occurrence, step: attention.Remind) -> None:
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
    tx: Tx, participant: Participant, occurrence: Occurrence, step: attention.RemindAfterSnooze
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


def _miss(tx: Tx, participant: Participant, occurrence: Occurrence, assessment: Assessment) -> None:
    occurrence.missed_at, occurrence.attention_at = tx.now, None
    occurrence.week_at = occurrences.week_mark(tx, occurrence)
    occurrence.change_no = occurrences.next_change(participant)
    tx.session.flush()
    event = trail.record(tx, participant, "occurrence.missed", "occurrence", occurrence.id)
    trail.stream(
        tx,
        event,
        participant,
        "occurrence.missed",
        {
            "occurrence": {
                "id": str(occurrence.id),
                "assessment": occurrence.assessment_id,
                "visit": occurrence.visit_id,
                "study_day": occurrence.study_day,
                "local_day": occurrence.local_day.isoformat(),
                "opens_at": trail.instant(occurrence.opens_at),
                "closes_at": trail.instant(occurrence.closes_at),
                "missed_at": trail.instant(tx.now),
            }
        },
    )
    alerts.alert_on_miss(tx, participant, occurrence, assessment.on_miss)
