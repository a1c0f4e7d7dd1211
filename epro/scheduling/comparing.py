"""How a plan that is made afresh differs from the rows that are there. No database, no clock.

What has opened or is settled does not move. Nothing is born missed; a visit of a study that says `open_late` opens at
once instead, for a day at most. When a moved anchor wants on another day what has opened or is settled, that day gets a
row with a second id: no day of a diary is lost, and a visit that was missed is asked for again. A visit that was
answered is not.

A plan is made up to a horizon. What stands on file and has no place before it is looked up further on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from epro.scheduling import timeline
from epro.scheduling.protocol import OPEN_LATE, Protocol
from epro.scheduling.state import State, state_of
from epro.scheduling.timeline import Planned

Row = Any  # a row of an occurrence, or anything else that has its facts
Slot = tuple[str, date, str]  # assessment, local day, which window of the day
Visit = tuple[str, str | None, str]  # assessment, visit, which window of the day

LATE = timedelta(days=1)


@dataclass
class Differences:
    """What a plan would change: rows that stay, move, go, and what comes.

    `renewed` are those of the kept of which something else than the window is new: which version of the protocol asks
    for them, the study day, how long an answer may still arrive. `late` is what of the new and the moved opens at once
    because its window is over, `over` and `doubled` what is skipped: past, or its day has its own already. `through` is
    the last day of the horizon: what comes after it has no row yet, unless it had one and has moved.
    """

    through: date
    kept: list[Row] = field(default_factory=list)
    moved: list[tuple[Row, Planned]] = field(default_factory=list)
    cancelled: list[Row] = field(default_factory=list)
    new: list[Planned] = field(default_factory=list)
    over: list[Planned] = field(default_factory=list)
    doubled: list[Planned] = field(default_factory=list)
    renewed: list[tuple[Row, Planned]] = field(default_factory=list)
    late: list[Planned] = field(default_factory=list)

    @property
    def any(self) -> bool:
        return bool(self.moved or self.cancelled or self.new or self.renewed)

    def counts(self) -> dict[str, int]:
        """How many of what; the renewed are among the kept."""
        return {
            "kept": len(self.kept),
            "renewed": len(self.renewed),
            "moved": len(self.moved),
            "cancelled": len(self.cancelled),
            "new": len(self.new),
            "late": len(self.late),
            "skipped": len(self.over) + len(self.doubled),
        }


@dataclass(frozen=True)
class Wanted:
    """What the protocol asks of a participant now, and which rows besides those that are not over it concerns: by the
    ids that it has or may get, and by its visits.
    """

    study_id: str
    subject_id: str
    planned: Sequence[Planned]
    through: date
    ids: frozenset[UUID]
    visits: frozenset[str]

    @classmethod
    def of(cls, study_id: str, subject_id: str, planned: Sequence[Planned], through: date) -> Wanted:
        again = (timeline.id_again(want, study_id, subject_id) for want in planned)
        visits = frozenset(want.visit_id for want in planned if want.visit_id)
        ids = frozenset((*(want.id for want in planned), *again))
        return cls(study_id, subject_id, planned, through, ids, visits)

    def and_also(self, further: Sequence[Planned]) -> Wanted:
        """The same with what is looked up after the horizon."""
        return Wanted.of(self.study_id, self.subject_id, [*self.planned, *further], self.through)

    def concerns(self, row: Row, now: datetime) -> bool:
        return row.closes_at > now or row.id in self.ids or row.visit_id in self.visits


def compare(protocol: Protocol, wanted: Wanted, rows: Sequence[Row], now: datetime) -> Differences:
    """How what is wanted differs from her rows."""
    rows = [row for row in rows if wanted.concerns(row, now)]
    planned, late = _by_id(protocol, wanted, rows, now)
    found = Differences(wanted.through)
    for row in rows:
        _sort_row(found, row, planned.pop(row.id, None), protocol.version, now)
    # A day whose diary has opened keeps that one, whatever number the moved anchor would give it.
    taken = {_slot(row) for row in found.kept if row.visit_id is None}
    for row, want in [pair for pair in found.moved if _doubles(pair[1], taken)]:
        found.moved.remove((row, want))
        if row.cancelled_at is None:
            found.cancelled.append(row)
    for want in planned.values():
        _sort_new(found, want, taken, now)
    coming = [*found.new, *(want for _, want in found.moved)]
    found.late = [want for want in coming if want.id in late]
    return found


def lacking(wanted: Wanted, rows: Sequence[Row], now: datetime) -> list[Row]:
    """What stands on file, may still move, and has no place in what is wanted so far."""
    return [
        row for row in rows if row.cancelled_at is None and row.id not in wanted.ids and not _fixed(row, now)
    ]


def without_row(over: Sequence[Planned], rows: Sequence[Row]) -> list[Planned]:
    """Of what is skipped as over: that for which nothing stands on file, neither for its visit nor on its day."""
    visits = {_visit(row) for row in rows if row.visit_id and settled(row)}
    slots = {_slot(row) for row in rows if row.visit_id is None and row.cancelled_at is None}
    return [
        want for want in over if (_visit(want) not in visits if want.visit_id else _slot(want) not in slots)
    ]


ABOUT = {
    "local_day": "local_day",
    "time_zone": "zone",
    "grace_until": "grace_until",
    "anchor": "anchor",
    "study_day": "offset",
}
"""What is told of a row besides its window, and how the plan calls it."""


def changes(row: Row, want: Planned) -> dict[str, tuple[Any, Any]]:
    """What of a row that keeps its window would be new, before and after."""
    pairs = {name: (getattr(row, name), getattr(want, planned)) for name, planned in ABOUT.items()}
    return {name: (before, after) for name, (before, after) in pairs.items() if before != after}


def settled(row: Row) -> bool:
    """Whether a fact stands that no plan changes any more."""
    return any((row.fulfilled_at, row.missed_at, row.excused_at))


def _by_id(
    protocol: Protocol, wanted: Wanted, rows: Sequence[Row], now: datetime
) -> tuple[dict[UUID, Planned], set[UUID]]:
    """What is asked for, by the id that each has or gets; and what of it opens late."""
    of_her, open_late = (wanted.study_id, wanted.subject_id), protocol.born_late == OPEN_LATE
    fixed = [row for row in rows if _fixed(row, now)]
    spent = {row.id: row.local_day for row in fixed}
    asked_for = {_visit(row) for row in fixed}
    heeded = {_visit(row) for row in fixed if row.visit_id and not _missed(row, now)}
    planned, late = {}, set()
    for want in wanted.planned:
        visit = _visit(want)
        if spent.get(want.id, want.local_day) != want.local_day and visit not in heeded:
            want = timeline.asked_again(want, *of_her)
        elif want.closes_at <= now and want.visit_id and visit not in asked_for and open_late:
            want = _opened_now(want, now)
            late.add(want.id)
        planned[want.id] = want
    return planned, late


def _opened_now(want: Planned, now: datetime) -> Planned:
    """A visit whose window is over, open from now on for a day or for as long as it would have been."""
    closes_at = now + min(LATE, want.closes_at - want.opens_at)
    grace = want.grace_until - want.closes_at
    return replace(want, opens_at=now, closes_at=closes_at, grace_until=closes_at + grace)


def _sort_row(found: Differences, row: Row, want: Planned | None, version: str, now: datetime) -> None:
    if _fixed(row, now):
        found.kept.append(row)
    elif want is None or want.closes_at <= now:
        if row.cancelled_at is None:
            found.cancelled.append(row)
    elif row.cancelled_at is not None or (row.opens_at, row.closes_at) != (want.opens_at, want.closes_at):
        found.moved.append((row, want))
    else:
        found.kept.append(row)
        if row.protocol_version != version or changes(row, want):
            found.renewed.append((row, want))


def _sort_new(found: Differences, want: Planned, taken: set[Slot], now: datetime) -> None:
    """What no row stands for yet: skipped, or new."""
    if want.closes_at <= now:
        found.over.append(want)
    else:
        (found.doubled if _doubles(want, taken) else found.new).append(want)


def _visit(one: Row | Planned) -> Visit:
    return one.assessment_id, one.visit_id, timeline.window_of(one.key)


def _slot(one: Row | Planned) -> Slot:
    return one.assessment_id, one.local_day, timeline.window_of(one.key)


def _doubles(want: Planned, taken: set[Slot]) -> bool:
    return want.visit_id is None and _slot(want) in taken


def _fixed(row: Row, now: datetime) -> bool:
    """It has opened or is settled: it does not move any more."""
    return settled(row) or (row.opens_at <= now and row.cancelled_at is None)


def _missed(row: Row, now: datetime) -> bool:
    return state_of(row, now) is State.MISSED
