"""Occurrences: planning them over a rolling horizon, re-planning with the differences shown first, and facts.

Rows exist from now to `HORIZON` ahead; the clockwork extends. What has opened or is settled does not move.
Nothing is created whose window is over already, so nothing is born missed; a visit of a study that says
`open_late` opens at once instead, for a day at most. When a moved anchor wants on another
day what has opened or is settled, that day gets a row with a second id: no day of a diary is lost, and a visit that
was missed is asked for again. A visit that was answered is not.

What has opened keeps the version of the protocol that asked for it, whatever version she follows since.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import trail
from epro.scheduling import attention, course, protocols, timeline, weeks
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import OPEN_LATE, Protocol
from epro.scheduling.rules import Person
from epro.scheduling.state import State, state_of
from epro.studies import participants
from epro.studies.models import Participant
from epro.tx import Tx, attempt, table_of

log = logging.getLogger(__name__)

Slot = tuple[str, date, str]  # assessment, local day, which window of the day

HORIZON = timedelta(days=35)
EXTEND_EVERY = timedelta(days=7)
PUT_OFF = timedelta(hours=1)  # the horizon is far: a plan that fails has time
TZDATA = version("tzdata")
LATE = timedelta(days=1)
A_WEEK = timedelta(days=7)


@dataclass
class Differences:
    """What a plan would change: rows that stay, move, go, and what comes.

    `renewed` are those of the kept of which something else than the window is new: which version of the protocol asks
    for them, the study day, how long an answer may still arrive. `late` is what of the new and the moved opens at once
    because its window is over, `over` and `doubled` what is skipped: past, or its day has its own already.
    """

    kept: list[Occurrence] = field(default_factory=list)
    moved: list[tuple[Occurrence, timeline.Planned]] = field(default_factory=list)
    cancelled: list[Occurrence] = field(default_factory=list)
    new: list[timeline.Planned] = field(default_factory=list)
    over: list[timeline.Planned] = field(default_factory=list)
    doubled: list[timeline.Planned] = field(default_factory=list)
    renewed: list[tuple[Occurrence, timeline.Planned]] = field(default_factory=list)
    late: list[timeline.Planned] = field(default_factory=list)

    @property
    def any(self) -> bool:
        return bool(self.moved or self.cancelled or self.new or self.renewed)

    def counts(self) -> dict[str, int]:
        """How many of what."""
        return {
            "kept": len(self.kept),
            "moved": len(self.moved),
            "cancelled": len(self.cancelled),
            "new": len(self.new),
            "late": len(self.late),
            "skipped": len(self.over) + len(self.doubled),
        }


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


def on_record(tx: Tx, participant: Participant) -> Basis:
    """What her plan is made from as things stand."""
    return Basis(
        protocols.find(tx, participant.study_id, participant.protocol_version),
        participants.anchors(tx, participant),
        tuple(
            timeline.ZoneSpan(stay.since, stay.time_zone) for stay in participants.zone_stays(tx, participant)
        ),
        Person(participant.site_id, participant.arm, participant.language),
    )


def differences(
    tx: Tx,
    participant: Participant,
    anchors: Mapping[str, date] | None = None,
    *,
    basis: Basis | None = None,
) -> Differences:
    """How the plan, made afresh on this basis (default: what is on record), differs from the rows."""
    basis = basis or on_record(tx, participant)
    if anchors is not None:
        basis = replace(basis, anchors=anchors)
    planned, rows, late = _planned_and_rows(tx, participant, basis)
    found = Differences()
    for row in rows:
        want = planned.pop(row.id, None)
        _compare(found, row, want, basis.protocol.version, tx.now)
    # A day whose diary has opened keeps that one, whatever number the moved anchor would give it.
    taken = {_slot(row) for row in found.kept if row.visit_id is None}
    for row, want in [pair for pair in found.moved if _doubles(pair[1], taken)]:
        found.moved.remove((row, want))
        if row.cancelled_at is None:
            found.cancelled.append(row)
    for want in planned.values():
        _sort(found, want, taken, tx.now)
    coming = [*found.new, *(want for _, want in found.moved)]
    found.late = [want for want in coming if want.id in late]
    return found


def replan(tx: Tx, participant: Participant, why: str) -> Differences:
    """Bring the rows of a participant (locked by the caller) to the plan; record it if anything changes."""
    basis = on_record(tx, participant)
    protocol = basis.protocol
    found = differences(tx, participant, basis=basis)
    participant.planned_through = _last_day(basis, tx.now)
    amended_at = protocols.next_in_force(tx, participant.study_id, participant.site_id)
    participant.plan_at = min(_news_at(basis, tx.now), amended_at or datetime.max.replace(tzinfo=UTC))
    if found.any:
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
    return found


def extend_due(tx: Tx, limit: int = 100) -> int:
    """Extend the horizon of participants whose turn has come; returns how many.

    Whose site has had another version of the protocol approved follows that one from here on.
    """
    query = (
        sa.select(Participant)
        .where(Participant.plan_at <= tx.now)
        .order_by(Participant.plan_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = tx.all(query)
    for participant in due:
        _extend_or_put_off(tx, participant)
    return len(due)


def _extend_or_put_off(tx: Tx, participant: Participant) -> None:
    """A plan that cannot be made must not stop the others, nor the reminders and alerts that come after."""
    told = {"action": "plan.put_off", "subject_id": participant.subject_id}
    if not attempt(tx, log, "plan put off", lambda: _extend(tx, participant), **told):
        tx.session.refresh(participant)
        participant.plan_at = tx.now + PUT_OFF


def _extend(tx: Tx, participant: Participant) -> None:
    replan(tx, participant, _follow_her_site(tx, participant) or "horizon")


def _follow_her_site(tx: Tx, participant: Participant) -> str | None:
    """Why she follows another version of the protocol from now on; None if she does not."""
    approved = protocols.in_force(tx, participant.study_id, participant.site_id)
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
    rows = [row for row in _rows(tx, participant) if row.closes_at > tx.now and not _settled(row)]
    for row in rows:
        _cancel(tx, participant, row, why)
    return len(rows)


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
    for row in _rows(tx, participant):
        if row.attention_at is not None:
            protocol = protocols.find(tx, row.study_id, row.protocol_version)
            row.attention_at = look_again(participant, protocol, row, tx.now)
            row.change_no = next_change(participant)


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
    comes by in any order.
    """
    tx.flush()
    asked = {name: getattr(occurrence, name) for name in _LIKE}
    run: list[UUID] = []
    for row in tx.rows(_UP_TO, asked):
        if not _missed(row, tx.now):
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
_TABLE = table_of(Occurrence)
# The occurrences of one assessment up to one of them, newest first.
_UP_TO = (
    sa.select(*(_TABLE.c[name] for name in _FACTS))
    .where(
        *(_TABLE.c[name] == sa.bindparam(name) for name in _LIKE if name != "opens_at"),
        _TABLE.c.opens_at <= sa.bindparam("opens_at", type_=_TABLE.c.opens_at.type),
        _TABLE.c.cancelled_at.is_(None),
        _TABLE.c.excused_at.is_(None),
    )
    .order_by(_TABLE.c.opens_at.desc())
    .limit(30)
)


def _planned(tx: Tx, participant: Participant, basis: Basis) -> list[timeline.Planned]:
    today = tx.now.astimezone(ZoneInfo(basis.zone)).date()
    return timeline.plan(
        basis.protocol,
        participant.subject_id,
        basis.anchors,
        basis.zones,
        first_day=today - timedelta(days=basis.protocol.longest_open + 1),
        last_day=_last_day(basis, tx.now),
        person=basis.person,
        past=course.past(tx, participant, basis.protocol),
    )


def _planned_and_rows(
    tx: Tx, participant: Participant, basis: Basis
) -> tuple[dict[UUID, timeline.Planned], list[Occurrence], set[UUID]]:
    """What is asked for, by the id that each has or gets; every row that this may concern; what opens late."""
    open_late = basis.protocol.born_late == OPEN_LATE
    asked = _planned(tx, participant, basis)
    of_her = participant.study_id, participant.subject_id
    ids = [*(want.id for want in asked), *(timeline.id_again(want, *of_her) for want in asked)]
    rows = _rows(tx, participant, ids, {want.visit_id for want in asked if want.visit_id})
    fixed = [row for row in rows if _fixed(row, tx.now)]
    spent = {row.id: row.local_day for row in fixed}
    asked_for = {_visit(row) for row in fixed}
    heeded = {_visit(row) for row in fixed if row.visit_id and not _missed(row, tx.now)}
    planned, late = {}, set()
    for want in asked:
        visit = _visit(want)
        if spent.get(want.id, want.local_day) != want.local_day and visit not in heeded:
            want = timeline.asked_again(want, *of_her)
        elif want.closes_at <= tx.now and want.visit_id and visit not in asked_for and open_late:
            want = _opened_now(want, tx.now)
            late.add(want.id)
        planned[want.id] = want
    return planned, rows, late


def _visit(one: Occurrence | timeline.Planned) -> tuple[str, str | None, str]:
    return one.assessment_id, one.visit_id, timeline.window_of(one.key)


def _opened_now(want: timeline.Planned, now: datetime) -> timeline.Planned:
    """A visit whose window is over, open from now on for a day or for as long as it would have been."""
    closes_at = now + min(LATE, want.closes_at - want.opens_at)
    grace = want.grace_until - want.closes_at
    return replace(want, opens_at=now, closes_at=closes_at, grace_until=closes_at + grace)


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


def _rows(
    tx: Tx, participant: Participant, ids: Collection[UUID] = (), visits: Collection[str] = ()
) -> list[Occurrence]:
    """What is not over, and besides it the rows with these ids and those of these visits."""
    query = sa.select(Occurrence).where(
        Occurrence.study_id == participant.study_id,
        Occurrence.subject_id == participant.subject_id,
        sa.or_(Occurrence.closes_at > tx.now, Occurrence.id.in_(ids), Occurrence.visit_id.in_(visits)),
    )
    return tx.all(query)


def _compare(
    found: Differences, row: Occurrence, want: timeline.Planned | None, version: str, now: datetime
) -> None:
    if _fixed(row, now):
        found.kept.append(row)
    elif want is None or want.closes_at <= now:
        if row.cancelled_at is None:
            found.cancelled.append(row)
    elif row.cancelled_at is not None or (row.opens_at, row.closes_at) != (want.opens_at, want.closes_at):
        found.moved.append((row, want))
    else:
        found.kept.append(row)
        if row.protocol_version != version or _about(row) != _about_wanted(want):
            found.renewed.append((row, want))


def _about(row: Occurrence) -> tuple[Any, ...]:
    """What is told of it besides its window."""
    return row.local_day, row.time_zone, row.grace_until, row.anchor, row.study_day


def _about_wanted(want: timeline.Planned) -> tuple[Any, ...]:
    return want.local_day, want.zone, want.grace_until, want.anchor, want.offset


def _sort(found: Differences, want: timeline.Planned, taken: set[Slot], now: datetime) -> None:
    """What no row stands for yet: skipped, or new."""
    if want.closes_at <= now:
        found.over.append(want)
    else:
        (found.doubled if _doubles(want, taken) else found.new).append(want)


def _slot(one: Occurrence | timeline.Planned) -> Slot:
    return (one.assessment_id, one.local_day, timeline.window_of(one.key))


def _doubles(want: timeline.Planned, taken: set[Slot]) -> bool:
    return want.visit_id is None and _slot(want) in taken


def _fixed(row: Occurrence, now: datetime) -> bool:
    """It has opened or is settled: it does not move any more."""
    return _settled(row) or (row.opens_at <= now and row.cancelled_at is None)


def _missed(row: Any, now: datetime) -> bool:
    return state_of(row, now) is State.MISSED


def _settled(row: Occurrence) -> bool:
    return any((row.fulfilled_at, row.missed_at, row.excused_at))


def _apply(tx: Tx, participant: Participant, protocol: Protocol, found: Differences, why: str) -> None:
    tx.insert(Occurrence, [_new_row(tx, participant, protocol, want) for want in found.new])
    for row, want in found.moved:
        _move(tx, participant, protocol, row, want)
    for row, want in found.renewed:
        _renew(participant, protocol, row, want, tx.now)
    for row in found.cancelled:
        _cancel(tx, participant, row, why)
    tx.flush()


def _new_row(tx: Tx, participant: Participant, protocol: Protocol, want: timeline.Planned) -> dict[str, Any]:
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


def _move(
    tx: Tx, participant: Participant, protocol: Protocol, row: Occurrence, want: timeline.Planned
) -> None:
    row.cancelled_at = row.cancelled_reason = None
    _renew(participant, protocol, row, want, tx.now)


def _renew(
    participant: Participant, protocol: Protocol, row: Occurrence, want: timeline.Planned, now: datetime
) -> None:
    """It is asked for by this version of the protocol as that has it, from the start."""
    for name, value in _times(want).items():
        setattr(row, name, value)
    instrument = protocol.assessment(row.assessment_id).instrument
    row.protocol_version, row.anchor, row.study_day = protocol.version, want.anchor, want.offset
    row.instrument_code, row.instrument_version = instrument.code, instrument.version
    row.reminders_done, row.snoozed_until, row.change_no = 0, None, next_change(participant)
    row.attention_at = look_again(participant, protocol, row, now)


def _told_move(row: Occurrence, want: timeline.Planned) -> dict[str, Any]:
    """What the trail keeps of a move; `from` is None for one that had been cancelled and is asked for again."""
    before = [trail.instant(row.opens_at), trail.instant(row.closes_at)]
    return {
        "id": str(row.id),
        "from": None if row.cancelled_at else before,
        "to": [trail.instant(want.opens_at), trail.instant(want.closes_at)],
    }


def _cancel(tx: Tx, participant: Participant, row: Occurrence, why: str) -> None:
    row.cancelled_at, row.cancelled_reason, row.attention_at = tx.now, why, None
    row.change_no = next_change(participant)
    if row.opens_at <= tx.now + A_WEEK:  # a week that has not begun has nothing to score
        row.week_at = week_mark(tx, row)


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
