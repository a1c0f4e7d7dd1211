"""What she may answer whenever she wants: an occurrence is made when she asks for it."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict, NotFound
from epro.scheduling import anchors, occurrences, protocols, timeline
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Assessment, Protocol
from epro.scheduling.rules import Person
from epro.studies.models import Participant
from epro.tx import Tx


class NotAsked(Conflict):
    """This is not asked now: a condition of the study does not hold, or its end is past."""

    code = "not_asked"


def open_one(tx: Tx, participant: Participant, assessment_id: str) -> Occurrence:
    """One that is open now (participant locked): the one she has not answered yet, or else a new one.

    So a repeated request makes no second one. Raises NotFound for what is no unscheduled assessment, NotAsked.
    """
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    assessment = next((one for one in protocol.assessments if one.id == assessment_id), None)
    if assessment is None or not assessment.unscheduled:
        raise NotFound()
    rows = _so_far(tx, participant, assessment)
    for row in rows:
        if row.closes_at > tx.now and not (row.fulfilled_at or row.cancelled_at):
            return row
    want = _wanted(tx, participant, protocol, assessment, len(rows) + 1)
    occurrences.add(tx, participant, protocol, want)
    trail.record(tx, participant, "occurrence.asked_for", "occurrence", want.id, assessment=assessment_id)
    tx.session.flush()
    made = tx.get(Occurrence, participant.study_id, want.id)
    assert made is not None
    return made


def _so_far(tx: Tx, participant: Participant, assessment: Assessment) -> list[Occurrence]:
    query = sa.select(Occurrence).where(
        Occurrence.study_id == participant.study_id,
        Occurrence.subject_id == participant.subject_id,
        Occurrence.assessment_id == assessment.id,
    )
    return tx.all(query.order_by(Occurrence.opens_at.desc(), Occurrence.id))


def _wanted(
    tx: Tx, participant: Participant, protocol: Protocol, assessment: Assessment, number: int
) -> timeline.Planned:
    """Open from now on for as long as its window lasts. Raises NotAsked."""
    today = tx.now.astimezone(ZoneInfo(participant.time_zone)).date()
    days = anchors.known(tx, participant)
    person = Person(participant.site_id, participant.arm, participant.language)
    if not timeline.asked_on(protocol, assessment, days, person, today):
        raise NotAsked()
    anchor = _counted_from(days, protocol)
    closes_at = tx.now + assessment.window.lasts(1)
    return timeline.Planned(
        id=timeline.occurrence_id(participant.study_id, participant.subject_id, assessment.id, f"u{number}"),
        assessment_id=assessment.id,
        key=f"u{number}",
        visit_id=None,
        anchor=anchor,
        offset=(today - days.get(anchor, today)).days,
        local_day=today,
        zone=participant.time_zone,
        opens_at=tx.now,
        closes_at=closes_at,
        grace_until=closes_at + assessment.sync_grace,
    )


def _counted_from(days: dict[str, date], protocol: Protocol) -> str:
    """The anchor that study days of what is unscheduled count from: the first of the file that has a date."""
    return next((one.id for one in protocol.anchors if one.id in days), protocol.anchors[0].id)
