"""Occurrences: planning them over a rolling horizon, re-planning with the differences shown first, and facts.

Rows exist from now to `HORIZON` ahead; the clockwork extends. What stands already is looked up in a new plan beyond the
horizon too: a day that moves there is moved and not called off. How a plan differs is told in comparing.py.
What has opened keeps the version of the protocol that asked for it, whatever version she follows since.

Plans of several participants of one study are made in one go: what they are made from is read at once, and what is
alike is written at once. One participant is such a go of one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import version
from itertools import groupby
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import trail
from epro.scheduling import attention, comparing, course, protocols, timeline, weeks
from epro.scheduling.comparing import Differences, Wanted
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol
from epro.scheduling.rules import Person
from epro.scheduling.state import State, state_of
from epro.statements import among, of_people
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Plain, Tx, attempt, table_of

log = logging.getLogger(__name__)

HORIZON = timedelta(days=35)
EXTEND_EVERY = timedelta(days=7)
PUT_OFF = timedelta(hours=1)  # the horizon is far: a plan that fails has time
FARTHEST = 2300  # the year after which nothing is looked for
TZDATA = version("tzdata")
A_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Basis:
    """What a plan is made from."""

    protocol: Protocol
    anchors: Mapping[str, date]
    zones: tuple[timeline.ZoneSpan, ...]
    person: Person

    @property
    def zone(self) -> str:
        """Where she is now."""
        return self.zones[-1].zone


def on_record(tx: Tx, participant: Any) -> Basis:
    """What her plan is made from as things stand."""
    return bases(tx, [participant])[0]


def bases(tx: Tx, people: Sequence[Any]) -> list[Basis]:
    """The same of several participants of one study."""
    study_id, ids = people[0].study_id, [one.subject_id for one in people]
    anchors = participants.anchors_of(tx, study_id, ids)
    stays = participants.zone_stays_of(tx, study_id, ids)
    return [
        Basis(
            protocols.find(tx, study_id, one.protocol_version),
            anchors[one.subject_id],
            tuple(timeline.ZoneSpan(stay.since, stay.time_zone) for stay in stays[one.subject_id]),
            Person(one.site_id, one.arm, one.language),
        )
        for one in people
    ]


def differences(
    tx: Tx,
    participant: Any,
    anchors: Mapping[str, date] | None = None,
    *,
    basis: Basis | None = None,
) -> Differences:
    """How the plan, made afresh on this basis (default: what is on record), differs from the rows."""
    basis = basis or on_record(tx, participant)
    if anchors is not None:
        basis = replace(basis, anchors=anchors)
    return differences_of(tx, [(participant, basis)])[0]


def differences_of(tx: Tx, those: Sequence[tuple[Any, Basis]]) -> list[Differences]:
    """The same for several participants of one study."""
    people = [participant for participant, _ in those]
    past = course.past_of(tx, [(participant, basis.protocol) for participant, basis in those])
    wanted = [_wanted(tx, *both, seen) for both, seen in zip(those, past, strict=True)]
    rows = _concerned(tx, people, wanted)
    further = [
        _beyond(basis, one, seen, rows[one.subject_id], tx.now)
        for (_, basis), one, seen in zip(those, wanted, past, strict=True)
    ]
    if any(further):
        wanted = [one.and_also(more) for one, more in zip(wanted, further, strict=True)]
        rows = _concerned(tx, people, wanted)
    return [
        comparing.compare(basis.protocol, one, rows[one.subject_id], tx.now)
        for (_, basis), one in zip(those, wanted, strict=True)
    ]


def replan(tx: Tx, participant: Any, why: str) -> Differences:
    """Bring the rows of a participant (locked by the caller) to the plan; record it if anything changes.

    Of a plain row the caller puts back what this changes of her.
    """
    return replan_all(tx, [(participant, why)])[0]


def replan_all(tx: Tx, those: Sequence[tuple[Any, str]]) -> list[Differences]:
    """The same for several participants of one study, each with why."""
    people = [participant for participant, _ in those]
    made_from = bases(tx, people)
    found = differences_of(tx, list(zip(people, made_from, strict=True)))
    study_id = people[0].study_id
    amended_at = {
        site: protocols.next_in_force(tx, study_id, site) for site in {one.site_id for one in people}
    }
    with tx.together():
        for (participant, why), basis, changes in zip(those, made_from, found, strict=True):
            participant.planned_through = changes.through
            next_at = amended_at[participant.site_id] or datetime.max.replace(tzinfo=UTC)
            participant.plan_at = min(_news_at(basis, tx.now), next_at)
            bring_to_plan(tx, participant, basis.protocol, changes, why)
    return found


def bring_to_plan(tx: Tx, participant: Any, protocol: Protocol, found: Differences, why: str) -> None:
    """Do to the rows of a participant what differs, and record it."""
    if not found.any:
        return
    moves = [_told_move(row, want) for row, want in found.moved]
    _apply(tx, participant, protocol, found, why)
    trail.record(
        tx,
        participant,
        "plan.changed",
        "participant",
        participant.subject_id,
        reason=why,
        new=len(found.new),
        moved=len(found.moved),
        cancelled=len(found.cancelled),
        skipped_as_over=len(found.over) + len(found.doubled),
        renewed=len(found.renewed),
        opened_late=[str(want.id) for want in found.late],
        moves=moves,  # the rows keep their new times only: where they stood before is told from here
    )


def extend_due(tx: Tx, limit: int = 100) -> int:
    """Extend the horizon of participants whose turn has come; returns how many.

    Whose site has had another version of the protocol approved follows that one from here on.
    """
    due = [Plain(_PEOPLE, row) for row in tx.rows(_DUE, {"now": tx.now, "most": limit})]
    for _, some in groupby(sorted(due, key=lambda one: one.study_id), lambda one: one.study_id):
        _extend_or_one_by_one(tx, list(some))
    return len(due)


def _extend_or_one_by_one(tx: Tx, people: list[Any]) -> None:
    """A plan that cannot be made must not stop the others, nor the reminders and alerts that come after."""
    if attempt(tx, None, "all at once", lambda: _extend(tx, people)):
        return
    for one in people:
        key, told = (one.study_id, one.subject_id), {"action": "plan.put_off", "subject_id": one.subject_id}
        if not attempt(tx, log, "plan put off", partial(_extend_anew, tx, *key), **told):
            tx.write(Participant, *key, plan_at=tx.now + PUT_OFF)


def _extend_anew(tx: Tx, *key: str) -> None:
    _extend(tx, [tx.plain(Participant, *key)])


def _extend(tx: Tx, people: Sequence[Any]) -> None:
    study_id = people[0].study_id
    approved = {site: protocols.in_force(tx, study_id, site) for site in {one.site_id for one in people}}
    with tx.together():
        replan_all(
            tx, [(one, _follow_her_site(tx, one, approved[one.site_id]) or "horizon") for one in people]
        )
        for one in people:
            tx.put_back(Participant, one)


def _follow_her_site(tx: Tx, participant: Any, approved: Any | None) -> str | None:
    """Why she follows another version of the protocol from now on; None if she does not."""
    if approved is None or approved.version == participant.protocol_version:
        return None
    reason = f"version {approved.version}, approved for the site on {approved.approved_on.isoformat()}"
    participants.follow(tx, participant, approved.version, reason)
    return reason


def add(tx: Tx, participant: Participant, protocol: Protocol, want: timeline.Planned) -> None:
    """One more that the plan does not ask for (participant locked; the caller records why)."""
    tx.insert(Occurrence, [_new_row(tx, participant, protocol, want)])


def call_off(tx: Tx, participant: Participant, row: Occurrence, why: str) -> None:
    """Cancel one that is not settled (participant locked; the caller records why)."""
    _cancel(tx, participant, row, why)


def cancel_ahead(tx: Tx, participant: Participant, why: str) -> int:
    """Cancel what is not answered and not over yet (the caller records why). Nothing is planned any more."""
    participant.plan_at = None
    rows = [row for row in _ahead(tx, participant) if not comparing.settled(row)]
    for row in rows:
        _cancel(tx, participant, row, why)
    tx.put_all(Occurrence, rows, _AS_CANCELLED)
    return len(rows)


def told(occurrence: Any) -> dict[str, Any]:
    """An occurrence that was not answered, as the feed tells it."""
    return {
        "id": str(occurrence.id),
        "assessment": occurrence.assessment_id,
        "visit": occurrence.visit_id,
        "study_day": occurrence.study_day,
        "local_day": occurrence.local_day.isoformat(),
        "opens_at": trail.instant(occurrence.opens_at),
        "closes_at": trail.instant(occurrence.closes_at),
        "protocol_version": occurrence.protocol_version,
        "instrument": {"code": occurrence.instrument_code, "version": occurrence.instrument_version},
    }


def fulfil(tx: Tx, participant: Any, occurrence: Any) -> bool:
    """Note that an answer given in time has come (plain rows). True the first time. A miss before stays a fact."""
    occurrence.week_at = week_mark(tx, occurrence)
    if occurrence.fulfilled_at is not None:
        if occurrence.week_at is not None:
            tx.write(Occurrence, occurrence.study_id, occurrence.id, week_at=occurrence.week_at)
        return False
    occurrence.fulfilled_at, occurrence.attention_at = tx.now, None
    occurrence.change_no = next_change(participant)
    tx.write(
        Occurrence,
        occurrence.study_id,
        occurrence.id,
        fulfilled_at=occurrence.fulfilled_at,
        attention_at=None,
        change_no=occurrence.change_no,
        week_at=occurrence.week_at,
    )
    return True


def week_mark(tx: Tx, occurrence: Any) -> datetime | None:
    """What `week_at` of an occurrence is to be when something about its answer has changed: now, where its diary is
    scored by the week.
    """
    protocol = protocols.find(tx, occurrence.study_id, occurrence.protocol_version)
    return tx.now if weeks.definition(protocol.assessment(occurrence.assessment_id)) else None


def look_again_at_all(tx: Tx, participant: Participant) -> None:
    """Her reminder hour changed: work out anew when the clockwork must look at what is still open or ahead."""
    rows = [row for row in _ahead(tx, participant) if row.attention_at is not None]
    for row in rows:
        protocol = protocols.find(tx, row.study_id, row.protocol_version)
        row.attention_at = look_again(participant, protocol, row, tx.now)
        row.change_no = next_change(participant)
    tx.put_all(Occurrence, rows, ("attention_at", "change_no"))


def next_change(participant: Any) -> int:
    """The next number of this participant's list of changes, under her lock: never repeats, never goes back."""
    participant.change_no += 1
    return participant.change_no


def changes(tx: Tx, participant: Participant, since: int, limit: int) -> list[Occurrence]:
    """Occurrences changed after `since`, in the order of change."""
    query = (
        sa.select(Occurrence)
        .where(
            Occurrence.study_id == participant.study_id,
            Occurrence.subject_id == participant.subject_id,
            Occurrence.change_no > since,
        )
        .order_by(Occurrence.change_no)
        .limit(limit)
    )
    return tx.all(query)


def of(tx: Tx, participant: Participant) -> list[Occurrence]:
    """All rows of a participant, in the order of their windows."""
    query = sa.select(Occurrence).where(
        Occurrence.study_id == participant.study_id, Occurrence.subject_id == participant.subject_id
    )
    return tx.all(query.order_by(Occurrence.opens_at, Occurrence.id))


def misses_in_a_row(tx: Tx, occurrence: Occurrence) -> list[UUID]:
    """The missed occurrences of the same assessment up to this one, newest first, unbroken by an answer.

    Those count too that are past their sync grace and that the clockwork has not come by yet: after an outage it
    comes by in any order. What is excused, or was when it closed, is passed over.
    """
    tx.flush()
    asked = {name: getattr(occurrence, name) for name in _LIKE}
    run: list[UUID] = []
    for row in tx.rows(_UP_TO, asked):
        if state_of(row, tx.now) is not State.MISSED:
            break
        run.append(row.id)
    return run


_LIKE = ("study_id", "subject_id", "assessment_id", "opens_at")
_FACTS = (
    "id",
    "opens_at",
    "closes_at",
    "grace_until",
    "fulfilled_at",
    "excused_at",
    "cancelled_at",
    "missed_at",
)
_TABLE, _PEOPLE = map(table_of, (Occurrence, Participant))
# The occurrences of one assessment up to one of them, newest first.
_UP_TO = (
    sa.select(*(_TABLE.c[name] for name in _FACTS))
    .where(
        *(_TABLE.c[name] == sa.bindparam(name) for name in _LIKE if name != "opens_at"),
        _TABLE.c.opens_at <= sa.bindparam("opens_at", type_=_TABLE.c.opens_at.type),
        _TABLE.c.cancelled_at.is_(None),
        _TABLE.c.excused_at.is_(None),
        _TABLE.c.closed_excused.is_(False),
    )
    .order_by(_TABLE.c.opens_at.desc())
    .limit(30)
)


_NOW = sa.bindparam("now", type_=Occurrence.planned_at.type)
_DUE = (
    sa.select(*_PEOPLE.columns)
    .where(_PEOPLE.c.plan_at <= _NOW)
    .order_by(_PEOPLE.c.plan_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
    .with_for_update(skip_locked=True)
)
# What is not over, and besides it the rows with some ids and those of some visits.
_CONCERNED = sa.select(*_TABLE.columns).where(
    of_people(_TABLE),
    sa.or_(_TABLE.c.closes_at > _NOW, among(_TABLE.c.id, "ids"), among(_TABLE.c.visit_id, "visits")),
)


def _wanted(tx: Tx, participant: Any, basis: Basis, past: timeline.Past) -> Wanted:
    through = _last_day(basis, tx.now)
    first = through - HORIZON - timedelta(days=basis.protocol.longest_open + 1)
    planned = _planned(basis, participant.subject_id, past, first, through)
    return Wanted.of(participant.study_id, participant.subject_id, planned, through)


def _beyond(
    basis: Basis, wanted: Wanted, past: timeline.Past, rows: Sequence[Any], now: datetime
) -> list[timeline.Planned]:
    """Where the plan has, after the horizon, what stands on file and has no place before it."""
    known = {one.id: one for one in basis.protocol.assessments}
    days: dict[str, list[date]] = {}
    lacking = comparing.lacking(wanted, rows, now)
    for row in (row for row in lacking if row.assessment_id in known):
        day = timeline.day_of(known[row.assessment_id], basis.protocol, basis.anchors, row)
        if day > wanted.through:
            days.setdefault(row.assessment_id, []).append(day)
    keys = {(row.assessment_id, timeline.first_key(row.key)) for row in lacking}
    return [
        want
        for assessment, some in days.items()
        for want in _planned(basis, wanted.subject_id, past, min(some), max(some), assessment)
        if (want.assessment_id, want.key) in keys
    ]


def _planned(
    basis: Basis, subject_id: str, past: timeline.Past, first: date, last: date, only: str | None = None
) -> list[timeline.Planned]:
    return timeline.plan(
        basis.protocol,
        subject_id,
        basis.anchors,
        basis.zones,
        first_day=first,
        last_day=last,
        person=basis.person,
        past=past,
        only=only,
    )


def first_beyond(tx: Tx, participant: Any) -> timeline.Planned | None:
    """The first that the plan has after the horizon and that waits for no answer, however far it is."""
    basis = on_record(tx, participant)
    since, span = _last_day(basis, tx.now) + timedelta(days=1), HORIZON
    while since.year < FARTHEST:
        until = since + span
        day = timeline.first_asked(basis.protocol, basis.anchors, basis.person, since, until)
        found = _planned(basis, participant.subject_id, timeline.NOTHING, day, day) if day else []
        if found:
            return found[0]
        since, span = (day or until) + timedelta(days=1), span if day else 2 * span
    return None


def _news_at(basis: Basis, now: datetime) -> datetime:
    """When the horizon is to be extended: not before something new has come into it, and not more often than every
    `EXTEND_EVERY`. After `HORIZON` at the latest, so that no plan stays unlooked at for long."""
    last = _last_day(basis, now)
    first, turn = last + timedelta(days=1), last + EXTEND_EVERY
    for since, until in ((first, turn), (turn + timedelta(days=1), last + HORIZON)):
        first_day = timeline.first_asked(basis.protocol, basis.anchors, basis.person, since, until)
        if first_day:
            return now + max(EXTEND_EVERY, first_day - last)
    return now + HORIZON


def _last_day(basis: Basis, now: datetime) -> date:
    return now.astimezone(ZoneInfo(basis.zone)).date() + HORIZON


def _concerned(tx: Tx, people: Sequence[Any], wanted: Sequence[Wanted]) -> dict[str, list[Any]]:
    """The rows that these plans concern."""
    ids = [id for one in wanted for id in one.ids]
    return _rows(tx, people, ids, {visit for one in wanted for visit in one.visits})


def _rows(
    tx: Tx, people: Sequence[Any], ids: Collection[UUID] = (), visits: Collection[str] = ()
) -> dict[str, list[Any]]:
    """Plain rows of participants of one study, by subject id; see `_CONCERNED`."""
    tx.flush()
    found: dict[str, list[Any]] = {one.subject_id: [] for one in people}
    asked = {"study_id": people[0].study_id, "subject_ids": list(found), "now": tx.now}
    for row in tx.rows(_CONCERNED, {**asked, "ids": ids, "visits": visits}):
        found[row.subject_id].append(Plain(_TABLE, row))
    return found


def _ahead(tx: Tx, participant: Any) -> list[Any]:
    return _rows(tx, [participant])[participant.subject_id]


def _apply(tx: Tx, participant: Any, protocol: Protocol, found: Differences, why: str) -> None:
    tx.insert(Occurrence, [_new_row(tx, participant, protocol, want) for want in found.new])
    for row, want in found.moved:
        _move(participant, protocol, row, want, tx.now)
    for row, want in found.renewed:
        _renew(participant, protocol, row, want, tx.now)
    for row in found.cancelled:
        _cancel(tx, participant, row, why)
    tx.put_all(Occurrence, [row for row, _ in (*found.moved, *found.renewed)], _AS_PLANNED)
    tx.put_all(Occurrence, found.cancelled, _AS_CANCELLED)


def _new_row(tx: Tx, participant: Any, protocol: Protocol, want: timeline.Planned) -> dict[str, Any]:
    instrument = protocol.assessment(want.assessment_id).instrument
    times = _times(want)
    row = SimpleNamespace(**{**_UNTOUCHED, **times})
    return {
        "study_id": participant.study_id,
        "subject_id": participant.subject_id,
        "id": want.id,
        "assessment_id": want.assessment_id,
        "key": want.key,
        "visit_id": want.visit_id,
        "anchor": want.anchor,
        "study_day": want.offset,
        "protocol_version": protocol.version,
        "instrument_code": instrument.code,
        "instrument_version": instrument.version,
        "planned_at": tx.now,
        "reminders_done": 0,
        "change_no": next_change(participant),
        "attention_at": look_again(participant, protocol, row, tx.now),
        **times,
    }


_UNTOUCHED = {column.name: None for column in _TABLE.columns} | {"reminders_done": 0}


def _move(participant: Any, protocol: Protocol, row: Any, want: timeline.Planned, now: datetime) -> None:
    row.cancelled_at = row.cancelled_reason = None
    _renew(participant, protocol, row, want, now)


def _renew(participant: Any, protocol: Protocol, row: Any, want: timeline.Planned, now: datetime) -> None:
    """It is asked for by this version of the protocol as that has it, from the start."""
    for name, value in _times(want).items():
        setattr(row, name, value)
    instrument = protocol.assessment(row.assessment_id).instrument
    row.protocol_version, row.anchor, row.study_day = protocol.version, want.anchor, want.offset
    row.instrument_code, row.instrument_version = instrument.code, instrument.version
    row.reminders_done, row.snoozed_until, row.change_no = 0, None, next_change(participant)
    row.attention_at = look_again(participant, protocol, row, now)


def _told_move(row: Any, want: timeline.Planned) -> dict[str, Any]:
    """What the trail keeps of a move; `from` is None for one that had been cancelled and is asked for again."""
    before = [trail.instant(row.opens_at), trail.instant(row.closes_at)]
    return {
        "id": str(row.id),
        "from": None if row.cancelled_at else before,
        "to": [trail.instant(want.opens_at), trail.instant(want.closes_at)],
    }


def _cancel(tx: Tx, participant: Any, row: Any, why: str) -> None:
    row.cancelled_at, row.cancelled_reason, row.attention_at = tx.now, why, None
    row.change_no = next_change(participant)
    if row.opens_at <= tx.now + A_WEEK:  # a week that has not begun has nothing to score
        row.week_at = week_mark(tx, row)


# What `_move` and `_renew` change, and what `_cancel` does.
_AS_PLANNED = (
    "local_day",
    "time_zone",
    "tzdata",
    "opens_at",
    "closes_at",
    "grace_until",
    "cancelled_at",
    "cancelled_reason",
    "protocol_version",
    "anchor",
    "study_day",
    "instrument_code",
    "instrument_version",
    "reminders_done",
    "snoozed_until",
    "change_no",
    "attention_at",
)
_AS_CANCELLED = ("cancelled_at", "cancelled_reason", "attention_at", "change_no", "week_at")


def look_again(participant: Any, protocol: Protocol, row: Any, now: datetime) -> datetime | None:
    """When the clockwork must look at this row next."""
    hour = participants.reminder_hour(participant)
    return attention.next_attention(
        row, protocol.assessment(row.assessment_id), now, first_reminder_at=hour, zone=participant.time_zone
    )


def _times(want: timeline.Planned) -> dict[str, Any]:
    return {
        "local_day": want.local_day,
        "time_zone": want.zone,
        "tzdata": TZDATA,
        "opens_at": want.opens_at,
        "closes_at": want.closes_at,
        "grace_until": want.grace_until,
        "assessment_id": want.assessment_id,
    }
