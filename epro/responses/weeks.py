"""A diary's scores by the week: stored once the week is complete or over, and again when a later answer changes them.

Whatever settles an occurrence of such a diary sets `week_at` on it (see occurrences.week_mark), and the clockwork asks
for what is due by that indexed column alone. One look, under the participant's lock, scores the whole week; what comes
out as it stands on record is left alone, and anything else is the next run, in trail and feed in the same act.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from epro import trail
from epro.questionnaires import catalogue, scoring
from epro.questionnaires.instrument import Instrument
from epro.responses import receiving
from epro.responses.models import Response, WeekScore
from epro.scheduling import protocols, weeks
from epro.scheduling.models import Occurrence
from epro.scheduling.weeks import Week
from epro.statements import among, of_ids, of_people
from epro.studies.models import Participant
from epro.tx import Plain, Tx, attempt, table_of

log = logging.getLogger(__name__)

PUT_OFF = timedelta(minutes=5)
WEEKS = UUID("8d1f6a0e-5a52-4c55-9f0e-6f3c1f0b7c11")  # the name space of the ids of weeks
Scores = dict[str, Any]  # scale -> its row

_OCCURRENCES, _PARTICIPANTS = map(table_of, (Occurrence, Participant))
_NOW = sa.bindparam("now", type_=Occurrence.planned_at.type)
_DUE = (
    sa.select(_OCCURRENCES.c.id, *_PARTICIPANTS.columns)
    .join(
        _PARTICIPANTS,
        sa.and_(
            _PARTICIPANTS.c.study_id == _OCCURRENCES.c.study_id,
            _PARTICIPANTS.c.subject_id == _OCCURRENCES.c.subject_id,
        ),
    )
    .where(_OCCURRENCES.c.week_at <= _NOW)
    .order_by(_OCCURRENCES.c.week_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
    .with_for_update(of=_PARTICIPANTS, skip_locked=True)
)
_THESE = (
    sa.select(
        *(
            _OCCURRENCES.c[name]
            for name in ("study_id", "id", "subject_id", "assessment_id", "study_day", "protocol_version")
        )
    )
    .where(
        of_ids(_OCCURRENCES),
        _OCCURRENCES.c.week_at <= _NOW,
    )
    .order_by(_OCCURRENCES.c.week_at, _OCCURRENCES.c.id)
)
_OF_A_WEEK = sa.select(
    *(_OCCURRENCES.c[name] for name in ("id", "assessment_id", "local_day", "study_day", "grace_until")),
    *(
        _OCCURRENCES.c[name]
        for name in ("fulfilled_at", "missed_at", "excused_at", "cancelled_at", "week_at")
    ),
).where(
    _OCCURRENCES.c.study_id == sa.bindparam("study_id"),
    _OCCURRENCES.c.subject_id == sa.bindparam("subject_id"),
    _OCCURRENCES.c.assessment_id == sa.bindparam("assessment_id"),
    _OCCURRENCES.c.visit_id.is_(None),
    _OCCURRENCES.c.study_day.between(sa.bindparam("first"), sa.bindparam("last")),
)

_SCORES, _RESPONSES = map(table_of, (WeekScore, Response))
_RUNS = (
    sa.select(*_SCORES.columns)
    .where(of_people(_SCORES))
    .order_by(_SCORES.c.subject_id, _SCORES.c.assessment_id, _SCORES.c.week, _SCORES.c.run)
)
_RUNS_OF_ONE = _RUNS.where(_SCORES.c.assessment_id == sa.bindparam("assessment_id"))
_RUNS_OF_A_WEEK = _RUNS_OF_ONE.where(_SCORES.c.week == sa.bindparam("week"))
_ANSWERS_TO = sa.select(*_RESPONSES.columns).where(
    _RESPONSES.c.study_id == sa.bindparam("study_id"),
    _RESPONSES.c.subject_id == sa.bindparam("subject_id"),
    among(_RESPONSES.c.occurrence_id, "occurrence_ids"),
)


@dataclass(frozen=True)
class Standing:
    """What is on record of one week: the scores of its latest run."""

    scores: Scores

    @property
    def row(self) -> Any:
        return max(self.scores.values(), key=lambda one: one.run)


@dataclass(frozen=True)
class Found:
    """A week as it is to be stored: `sources` are the responses it was made of, item of the definition -> id."""

    assessment: str
    week: Week
    days: tuple[date, date]
    protocol_version: str
    sources: dict[str, str]
    answers: dict[str, Any]


def score_due(tx: Tx, limit: int = 50) -> int:
    """Look at up to `limit` occurrences that settled a day of a diary; returns how many were found."""
    due = tx.rows(_DUE, {"now": tx.now, "most": limit})
    if not due:
        return 0
    people = {(row.study_id, row.subject_id): Plain(_PARTICIPANTS, row[1:]) for row in due}
    # The lock is held from here on: another worker may have looked at the week meanwhile.
    rows = [
        row
        for study_id in sorted({row.study_id for row in due})
        for row in tx.rows(
            _THESE,
            {"study_id": study_id, "now": tx.now, "ids": [one.id for one in due if one.study_id == study_id]},
        )
    ]
    if not attempt(tx, None, "all at once", lambda: _look_at_all(tx, people, rows)):
        for row in rows:
            _look_or_put_off(tx, row)
    return len(due)


def _look_at_all(tx: Tx, people: Mapping[tuple[str, str], Any], due: Sequence[Any]) -> None:
    """Each week once, whatever number of its days is due."""
    by_week = {(row.study_id, row.subject_id, row.assessment_id, _week(tx, row)[2]): row for row in due}
    with tx.together():
        for row in by_week.values():
            look(tx, people[(row.study_id, row.subject_id)], row)
        for participant in people.values():
            tx.put_back(Participant, participant)


def _look_or_put_off(tx: Tx, due: Any) -> None:
    def part() -> None:
        participant = tx.plain(Participant, due.study_id, due.subject_id, lock=True)
        row = tx.plain(Occurrence, due.study_id, due.id, lock=True)
        assert participant is not None and row is not None
        if row.week_at is not None:  # no other day of its week has been looked at before
            with tx.together():
                look(tx, participant, row)
                tx.put_back(Participant, participant)

    told = {"action": "week.put_off", "occurrence": str(due.id)}
    if not attempt(tx, log, "week put off", part, **told):
        tx.write(Occurrence, due.study_id, due.id, week_at=tx.now + PUT_OFF)


def look(tx: Tx, participant: Any, occurrence: Any) -> None:
    """Score the week of this occurrence (participant locked) if it is complete or over, and comes out otherwise."""
    protocol_version, first, week = _week(tx, occurrence)
    rows = _occurrences(tx, participant, occurrence.assessment_id, week)
    for row in rows:
        if row.week_at is not None:
            tx.write(Occurrence, participant.study_id, row.id, week_at=None)
    stand = weeks.expected(rows)
    if not stand or not weeks.is_over(stand, tx.now):
        return
    known = standing(
        tx, participant.study_id, [participant.subject_id], occurrence.assessment_id, week.number
    )
    before = known[0] if known else None
    definition = _definition(tx, before, first)
    found = _found(tx, participant, definition, week, stand, protocol_version)
    scored = scoring.score(definition, found.answers)
    if before is None or _differs(before.scores, scored):
        append(tx, participant, found, definition, before.row.run if before else 0)


def _week(tx: Tx, occurrence: Any) -> tuple[str, Instrument, Week]:
    """The week that this day belongs to: by which version of the protocol, and by which definition it is scored."""
    protocol = protocols.find(tx, occurrence.study_id, occurrence.protocol_version)
    assessment = protocol.assessment(occurrence.assessment_id)
    first = weeks.definition(assessment)
    assert first is not None, "only a diary with scores by the week is marked"
    return protocol.version, first, weeks.week_of(assessment, first, occurrence.study_day)


def standing(
    tx: Tx,
    study_id: str,
    subject_ids: Sequence[str],
    assessment: str | None = None,
    number: int | None = None,
) -> list[Standing]:
    """The weeks on record, of several runs the latest, in order: plain rows. A `number` is one of an assessment."""
    query = _RUNS if assessment is None else _RUNS_OF_ONE if number is None else _RUNS_OF_A_WEEK
    asked = {"study_id": study_id, "subject_ids": subject_ids, "assessment_id": assessment, "week": number}
    latest: dict[tuple[str, UUID], Scores] = defaultdict(dict)
    for row in tx.rows(query, asked):
        scores = latest[row.subject_id, row.id]
        if any(one.run < row.run for one in scores.values()):
            scores.clear()  # a run is whole: it may know fewer scales than the one before
        scores[row.scale] = row
    return [Standing(scores) for scores in latest.values()]


def append(
    tx: Tx,
    participant: Any,
    found: Found,
    definition: Instrument,
    run: int,
    *,
    reason: str | None = None,
) -> int:
    """Append the run after this one (participant locked): rows, trail and feed in one act; returns how many rows."""
    rows = [
        _row(tx, participant, found, definition, one, run + 1)
        for one in scoring.score(definition, found.answers)
    ]
    tx.insert(WeekScore, rows)
    told = {"code": definition.code, "version": definition.version, "digest": definition.digest}
    place = f"{found.assessment}/{found.week.number}"
    event = trail.record(
        tx, participant, "week.scored", "week", place, reason=reason, run=run + 1, definition=told
    )
    trail.stream(tx, event, participant, "week.scored", _streamed(found, told, rows))
    return len(rows)


def again(tx: Tx, row: WeekScore, answers: dict[str, Any]) -> Found:
    """A week on record, to be scored again from what it was made of."""
    length = (row.last_day - row.first_day).days + 1
    week = Week(row.week, row.first_study_day, length)
    days = (row.first_day, row.last_day)
    return Found(row.assessment_id, week, days, row.protocol_version, dict(row.sources), answers)


def answers_of(tx: Tx, row: WeekScore, definition: Instrument) -> dict[str, Any]:
    """The answers that a week on record was scored from, by the items of this definition."""
    ids = [UUID(id) for id in row.sources.values()]
    query = sa.select(Response).where(Response.study_id == row.study_id, Response.id.in_(ids))
    there = {str(one.id): one for one in tx.all(query)}
    return {
        item: _code(definition, item, there[id])
        for item, id in row.sources.items()
        if any(one.id == item for one in definition.items)
    }


def _occurrences(tx: Tx, participant: Any, assessment: str, week: Week) -> Sequence[Any]:
    asked = {
        "study_id": participant.study_id,
        "subject_id": participant.subject_id,
        "assessment_id": assessment,
        "first": week.first,
        "last": week.first + week.days - 1,
    }
    return tx.rows(_OF_A_WEEK, asked)


def _definition(tx: Tx, before: Standing | None, first: Instrument) -> Instrument:
    """That of the latest run, or the first version; published here if it is not yet."""
    version = before.row.definition_version if before else first.version
    return catalogue.find(tx, first.code, version) or catalogue.publish(tx, first.code, version)


def _found(
    tx: Tx,
    participant: Any,
    definition: Instrument,
    week: Week,
    stand: Sequence[Any],
    version: str,
) -> Found:
    counting = _counting(tx, participant, [row.id for row in stand])
    by_item: dict[str, Any] = {}
    for row in stand:
        if row.id in counting:  # a day that stands twice, after a moved anchor, is told by its earlier diary
            by_item.setdefault(definition.items[row.study_day - week.first].id, counting[row.id])
    sources = {item: str(one.id) for item, one in by_item.items()}
    answers = {item: _code(definition, item, one) for item, one in by_item.items()}
    days = weeks.local_days(week, stand[0])
    return Found(stand[0].assessment_id, week, days, version, sources, answers)


def _counting(tx: Tx, participant: Any, ids: Sequence[UUID]) -> dict[UUID, Any]:
    """Occurrence -> of its answers the one that counts, a plain row."""
    asked = {
        "study_id": participant.study_id,
        "subject_id": participant.subject_id,
        "occurrence_ids": ids,
    }
    rivals: dict[UUID, list[Any]] = defaultdict(list)
    for row in tx.rows(_ANSWERS_TO, asked):
        rivals[row.occurrence_id].append(row)
    return {id: receiving.primary(rows) for id, rows in rivals.items()}


def _code(definition: Instrument, item: str, response: Response) -> Any:
    """The diary's answer as a code of the definition; None where it is none."""
    assert definition.derived_from is not None
    code = receiving.answers_of(response).get(definition.derived_from["item"])
    return code if type(code) in (int, float) and code in definition.item(item).codes else None


def _differs(before: Mapping[str, WeekScore], scored: Sequence[Any]) -> bool:
    then = {name: (one.value, one.reason, list(one.items_used)) for name, one in before.items()}
    return then != {one.scale: (one.value, one.reason, list(one.items_used)) for one in scored}


def _row(
    tx: Tx, participant: Any, found: Found, definition: Instrument, one: Any, run: int
) -> dict[str, Any]:
    name = f"{participant.study_id}/{participant.subject_id}/{found.assessment}/{found.week.number}"
    return {
        "study_id": participant.study_id,
        "subject_id": participant.subject_id,
        "assessment_id": found.assessment,
        "week": found.week.number,
        "scale": one.scale,
        "run": run,
        "id": uuid5(WEEKS, name),
        "first_study_day": found.week.first,
        "first_day": found.days[0],
        "last_day": found.days[1],
        "protocol_version": found.protocol_version,
        "instrument_code": definition.code,
        "definition_version": definition.version,
        "definition_digest": definition.digest,
        "sources": found.sources,
        "value": one.value,
        "reason": one.reason,
        "answered": one.answered,
        "expected": one.expected,
        "rule": one.rule,
        "method": one.method,
        "method_version": str(one.method_version),
        "items_used": list(one.items_used),
        "items_missing": list(one.items_missing),
        "blinded": one.blinded,
        "scored_at": tx.now,
    }


OF_A_SCORE = (
    "scale",
    "run",
    "value",
    "reason",
    "answered",
    "expected",
    "rule",
    "method",
    "method_version",
    "items_used",
    "items_missing",
    "blinded",
)


def _streamed(found: Found, definition: dict[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The week and its scores, as the feed tells them."""
    week = {
        "id": str(rows[0]["id"]),
        "assessment": found.assessment,
        "number": found.week.number,
        "run": rows[0]["run"],
        "first_study_day": found.week.first,
        "first_day": found.days[0].isoformat(),
        "last_day": found.days[1].isoformat(),
        "protocol_version": found.protocol_version,
        "instrument": definition,
        "sources": found.sources,
    }
    return {"week": week, "scores": [{name: row[name] for name in OF_A_SCORE} for row in rows]}
