"""What an answer and a miss do to the plan: they set anchors, open what waited, and call alternates in or off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import trail
from epro.scheduling import occurrences, protocols, timeline
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Anchor
from epro.studies import participants
from epro.studies.models import Participant
from epro.studies.participants import ANSWER, CORRECTION
from epro.tx import Tx


def known(tx: Tx, participant: Any) -> dict[str, date]:
    """The anchors on record, and those that count from them."""
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    return timeline.anchor_days(protocol, participants.anchors(tx, participant))


def follow_answer(
    tx: Tx,
    participant: Any,
    occurrence: Any,
    completed_at: datetime,
    answers: Mapping[str, Any],
    values: Mapping[str, float | None],
) -> None:
    """In the act that stores an answer, after everything else of it: set what it sets, and plan anew if need be. Of who
    has left the anchors are set all the same, for analyses count from them; nothing is planned.

    The participant and the occurrence are plain rows; she is locked, and her plain row has been put back.
    """
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    asked = occurrence.assessment_id
    hanging = [
        anchor
        for anchor in protocol.anchors
        if anchor.first_answer_of == asked and (not anchor.when or anchor.when.reached(answers, values))
    ]
    here = participant.withdrawn_at is None
    followed = here and (asked in protocol.ordered or asked in protocol.with_alternates)
    if not (hanging or followed):
        return
    she = tx.get(Participant, participant.study_id, participant.subject_id, lock=True)
    assert she is not None
    day = completed_at.astimezone(ZoneInfo(occurrence.time_zone)).date()
    moved = [anchor for anchor in hanging if _set(tx, she, anchor, day)]
    if here:
        _call_off(tx, she, protocol.alternates_of(asked), occurrence.key, "answered after all")
    if followed or (here and moved):
        occurrences.replan(tx, she, f"answer of {asked}")
    tx.session.flush()


def follow_record(tx: Tx, participant: Any, asked: str, answered: Mapping[str, date | None]) -> None:
    """In an act that changed what is on record of answers, after everything else of it: bring the anchors that they
    set to the days they have by now (`answered`, None where no answer comes to it any more), and plan anew.

    What the site has set itself stays, and nothing is planned for who has left. The participant is a plain row, locked,
    and has been put back.
    """
    if not answered:
        return
    she = tx.get(Participant, participant.study_id, participant.subject_id, lock=True)
    assert she is not None
    protocol = protocols.find(tx, she.study_id, she.protocol_version)
    moved = [
        anchor
        for anchor in protocol.anchors
        if anchor.id in answered and _bring(tx, she, anchor, answered[anchor.id])
    ]
    if moved and she.withdrawn_at is None:
        occurrences.replan(tx, she, f"correction of {asked}")
    tx.session.flush()


def _bring(tx: Tx, participant: Participant, anchor: Anchor, day: date | None) -> bool:
    """Set, move or take back what an answer has set; True if that is news."""
    rows = [row for row in participants.anchor_rows(tx, participant) if row.anchor == anchor.id]
    stands = rows[-1] if rows and not rows[-1].taken_back else None
    if stands is None and day is not None:
        participants.set_anchor(tx, participant, anchor.id, day, first_answer(anchor), ANSWER)
    elif stands is None or stands.set_through is None or stands.day == day:
        return False
    elif day is None:
        participants.unset_anchor(tx, participant, anchor.id, CORRECTED)
    else:
        participants.set_anchor(tx, participant, anchor.id, day, CORRECTED, CORRECTION)
    return True


def first_answer(anchor: Anchor) -> str:
    """Why an answer sets it."""
    return f"first answer of {anchor.first_answer_of}"


CORRECTED = "the answer that set it was corrected"


def follow_miss(tx: Tx, participant: Participant, occurrence: Occurrence) -> None:
    """In the act that writes a miss down: plan what is asked in its place."""
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    if participant.withdrawn_at is None and occurrence.assessment_id in protocol.with_alternates:
        occurrences.replan(tx, participant, f"miss of {occurrence.assessment_id}")


EXCUSED, TAKEN_BACK = "excused", "excuse taken back"


def follow_excuse(tx: Tx, participant: Participant, rows: Sequence[Occurrence]) -> None:
    """In the act that has excused these: what is asked in the place of a miss among them is asked no more."""
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    missed = [row for row in rows if row.missed_at and row.assessment_id in protocol.with_alternates]
    if participant.withdrawn_at is None and missed:
        for row in missed:
            _call_off(tx, participant, protocol.alternates_of(row.assessment_id), row.key, EXCUSED)
        occurrences.replan(tx, participant, EXCUSED)


def follow_take_back(tx: Tx, participant: Participant, rows: Sequence[Occurrence]) -> None:
    """In the act that has taken excuses back: the plan may have moved on meanwhile, or ask something in their place."""
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    if participant.withdrawn_at is None and any(
        row.opens_at > tx.now or (row.missed_at and row.assessment_id in protocol.with_alternates)
        for row in rows
    ):
        occurrences.replan(tx, participant, TAKEN_BACK)


def _set(tx: Tx, participant: Participant, anchor: Anchor, day: date) -> bool:
    """True if this day is news. The earliest answer counts, in whatever order they come; what the site set stays."""
    rows = [row for row in participants.anchor_rows(tx, participant) if row.anchor == anchor.id]
    stands = rows[-1] if rows and not rows[-1].taken_back else None
    if stands and (stands.set_through is None or stands.day <= day):
        return False
    participants.set_anchor(tx, participant, anchor.id, day, first_answer(anchor), ANSWER)
    return True


def _call_off(tx: Tx, participant: Participant, alternates: tuple[str, ...], key: str, why: str) -> None:
    """What was asked in the place of what was missed, and is in no need of a place any more."""
    if not alternates:
        return
    query = sa.select(Occurrence).where(
        Occurrence.study_id == participant.study_id,
        Occurrence.subject_id == participant.subject_id,
        Occurrence.assessment_id.in_(alternates),
        Occurrence.key == key,
    )
    for row in tx.all(query):
        if not (row.fulfilled_at or row.missed_at or row.excused_at or row.cancelled_at):
            occurrences.call_off(tx, participant, row, why)
            trail.record(tx, participant, "occurrence.called_off", "occurrence", row.id, key=key)
