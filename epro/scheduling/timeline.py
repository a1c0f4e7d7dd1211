"""From a protocol to the windows of one participant. No database, no clock: the same question, the same answer.

**Whose clock.** A window is a promise on the participant's own clock. Her clock is read as one clock that is set
now and then: by the zone's own changes, and when she travels. An hour is reached at the first instant at which
that clock shows it or something later. So an hour that a clock change or a flight skips comes at the end of
the gap, an hour that comes twice counts the first time, and later hours never come before earlier ones.
Under `stay_home` the clock is that of her first zone for ever. Under `ask` it is set when she confirms the change.

**Which zone.** A window opens by her clock and closes by the clock of the zone it opened in: what has opened
does not move any more, wherever she goes.

**Never two at once, never none.** Windows of one assessment and anchor follow each other. When she has moved
against the sun and a window would open while the one before is still open, it opens when that one closes. A
window that a gap or this rule leaves too little of is kept open for an hour, or for its own length if that is
shorter, so each day of the study keeps exactly one window that can be answered.

**What has happened.** Two rules look at what became of other occurrences, which the caller tells as a `Past`: what
waits for an answer opens when that has come, if its window is still open, and an alternate opens when the miss is
certain. Everything else about answers comes in as the days of anchors.

**How much work.** Only the days asked for, and `LOOK_BACK` windows before them. Clocks on earth differ by 26 hours,
so what lies further back cannot reach into the days asked for; therefore two plans of neighbouring spans of
days make exactly the plan of both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Protocol as Shape
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from epro.scheduling.protocol import STAY_HOME, Assessment, Every, Protocol, Visit, Window
from epro.scheduling.rules import Burst, Person

NAMESPACE = UUID("6e6f7d8a-51a4-4c0e-9a53-6a7f0a4b1d27")
SHORTEST = timedelta(hours=1)
LOOK_BACK = 3

_FARTHEST_CLOCK = timedelta(hours=17)  # no zone in the database ever stood further from UTC
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ZoneSpan:
    """The participant's clock is that of `zone` from `since` on, until the next span; the first one always was."""

    since: datetime
    zone: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One expected answering.

    `key` is the visit's id, or `d` and the study day; for a day that the calendar names its date, in a burst the visit
    and the days from it (`week4:-3`), for an alternate the key of what was missed, `u` and a number for what she asked
    for herself. Of several windows a day, a dot and the window's id follow; when asked again, @ and the local day.

    `offset` is the study day counted from `anchor` (for a visit its nominal day); `local_day` the day it opens, as the
    protocol has it. Instants are UTC; it is open from `opens_at` up to but not including `closes_at`, and an answer
    may arrive until `grace_until`.
    """

    id: UUID
    assessment_id: str
    key: str
    visit_id: str | None
    anchor: str
    offset: int
    local_day: date
    zone: str
    opens_at: datetime
    closes_at: datetime
    grace_until: datetime


class Standing(Shape):
    """What of an occurrence on file says where a plan has it; a database row has it."""

    @property
    def key(self) -> str: ...
    @property
    def study_day(self) -> int: ...
    @property
    def local_day(self) -> date: ...


class MissedOne(Shape):
    """The facts of a missed occurrence that its alternate is planned from; a database row has them."""

    @property
    def assessment_id(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def visit_id(self) -> str | None: ...
    @property
    def anchor(self) -> str: ...
    @property
    def study_day(self) -> int: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def grace_until(self) -> datetime: ...


Matter = tuple[str, str, str]  # assessment, visit or local day, which window of the day


@dataclass(frozen=True)
class Past:
    """What became of occurrences, as far as the plan looks at it: when each `matter` was answered, what was missed
    and never came."""

    answered: Mapping[Matter, datetime] = field(default_factory=dict)
    missed: Sequence[MissedOne] = ()


NOBODY, NOTHING = Person(), Past()


def plan(
    protocol: Protocol,
    subject_id: str,
    anchors: Mapping[str, date],
    zones: Sequence[ZoneSpan],
    *,
    first_day: date | None = None,
    last_day: date,
    person: Person = NOBODY,
    past: Past = NOTHING,
    only: str | None = None,
) -> list[Planned]:
    """All occurrences that open on a local day from `first_day` to `last_day`, by opening and then by id; with `only`,
    those of that assessment.

    `zones` in any order (of two at one instant the later in the list holds); none means the study's zone. What
    hangs on an anchor without a date is not planned; anchors that count from others are worked out here. Without
    `first_day` it starts at the beginning of the study. `person` is what conditions look at. Raises
    ZoneInfoNotFoundError.
    """
    clock = _clock(protocol, zones)
    since = first_day or date.min
    known = anchor_days(protocol, anchors)
    planned = [
        occurrence
        for assessment in protocol.assessments
        if only in (None, assessment.id)
        if assessment.condition is None or assessment.condition.fits(person)
        for series in _wanted(protocol, assessment, known, since, last_day, past)
        for occurrence in _resolve(protocol, assessment, subject_id, series, clock)
        if occurrence.local_day >= since
    ]
    return sorted(planned, key=lambda occurrence: (occurrence.opens_at, occurrence.id))


def first_asked(
    protocol: Protocol, anchors: Mapping[str, date], person: Person, first_day: date, last_day: date
) -> date | None:
    """The first of these days on which `plan` has something that waits for no answer and no miss."""
    known = anchor_days(protocol, anchors)
    days = (
        asked.day
        for assessment in protocol.assessments
        if assessment.condition is None or assessment.condition.fits(person)
        for series in _wanted(protocol, assessment, known, first_day, last_day, NOTHING)
        for asked in series
        if asked.day >= first_day
    )
    return min(days, default=None)


def day_of(assessment: Assessment, protocol: Protocol, anchors: Mapping[str, date], row: Standing) -> date:
    """The day on which a plan of this protocol and these anchors has what this row stands for, if it has it at all."""
    point, _, offset = first_key(row.key).partition(".")[0].partition(":")
    visits = assessment.burst.visits if assessment.burst else assessment.at
    if point in visits:
        visit = protocol.visit(point)
        anchor, days = visit.anchor, visit.day + (int(offset) if assessment.burst else -visit.before)
    elif assessment.every and not assessment.every.calendar:
        anchor, days = assessment.every.anchor, row.study_day
    else:
        return row.local_day
    since = anchor_days(protocol, anchors).get(anchor)
    return since + timedelta(days=days) if since else row.local_day


def occurrence_id(study_id: str, subject_id: str, assessment_id: str, key: str) -> UUID:
    """The id that any plan gives to this occurrence, whatever its version, anchors or zones."""
    return uuid5(NAMESPACE, f"{study_id}/{subject_id}/{assessment_id}/{key}")


def anchor_days(protocol: Protocol, anchors: Mapping[str, date]) -> dict[str, date]:
    """The days of these anchors, and of all that count from them."""
    known = dict(anchors)
    waiting = [anchor for anchor in protocol.anchors if anchor.base]
    for _ in waiting:  # one may count from another that stands further down
        for anchor in waiting:
            if anchor.base in known:
                known[anchor.id] = known[anchor.base] + timedelta(days=anchor.days)
    return known


def asked_on(
    protocol: Protocol, assessment: Assessment, anchors: Mapping[str, date], person: Person, day: date
) -> bool:
    """Whether conditions and ends let it be asked of this participant on this day."""
    start, end = _ends(protocol, assessment, anchors)
    fits = assessment.condition is None or assessment.condition.fits(person)
    return fits and start is not None and start <= day < end


def end_day(protocol: Protocol, assessment: Assessment, anchors: Mapping[str, date]) -> date | None:
    """From which day on nothing of this opens any more; None where no end can be told yet."""
    _, end = _ends(protocol, assessment, anchor_days(protocol, anchors))
    return None if end == date.max else end


def matter(assessment_id: str, visit_id: str | None, key: str, day: date) -> Matter:
    """By what an answer and what waits for it belong together: the visit, else the day; and the window of the day."""
    return assessment_id, visit_id or day.isoformat(), window_of(key)


def first_key(key: str) -> str:
    """The key without the day that asking again puts behind it."""
    return key.partition("@")[0]


def window_of(key: str) -> str:
    """Which of several windows a day it is, or nothing."""
    return first_key(key).partition(".")[2]


def asked_again(planned: Planned, study_id: str, subject_id: str) -> Planned:
    """The same under a second id, of this local day alone: for when the first id is spent on another day."""
    return replace(planned, id=id_again(planned, study_id, subject_id), key=_key_again(planned))


def id_again(planned: Planned, study_id: str, subject_id: str) -> UUID:
    """The id that it would have then."""
    return occurrence_id(study_id, subject_id, planned.assessment_id, _key_again(planned))


def _key_again(planned: Planned) -> str:
    return f"{planned.key}@{planned.local_day.isoformat()}"


# What the protocol asks for, in days. No clock yet.


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    visit_id: str | None
    anchor: str
    offset: int
    day: date
    days: int  # how many days it stands open, the first one included
    window: Window | None = None  # of several windows a day
    not_before: datetime | None = None


def _wanted(
    protocol: Protocol,
    assessment: Assessment,
    anchors: Mapping[str, date],
    first: date,
    last: date,
    past: Past,
) -> Iterator[Iterable[_Asked]]:
    """The rows of `_series` within the ends and conditions of the assessment, each window of a day by itself."""
    start, end = _ends(protocol, assessment, anchors)
    if start is None:
        return
    for series in _series(protocol, assessment, anchors, first, last, past):
        if start is not date.min or end is not date.max:
            series = _between(series, start, end)
        if assessment.windows and not assessment.instead_of:
            series = _by_window(series, assessment.windows)
        yield _in_order(series, assessment.after, past) if assessment.after else series


def _ends(
    protocol: Protocol, assessment: Assessment, anchors: Mapping[str, date]
) -> tuple[date | None, date]:
    """From which day on it is asked (None: not yet), and from which day on no longer."""
    start: date | None = date.min
    if assessment.condition and assessment.condition.anchor:
        start = anchors.get(assessment.condition.anchor)
    until, every = assessment.until, assessment.every
    if until is None:
        return start, date.max
    visit = protocol.visit(until.visit) if until.visit else None
    anchor = visit.anchor if visit else until.anchor or (every.anchor if every else "")
    if anchor not in anchors:
        return start, date.max
    return start, anchors[anchor] + timedelta(days=visit.day if visit else until.day)


def _between(series: Iterable[_Asked], start: date, end: date) -> Iterator[_Asked]:
    """What opens before the end, and is not over before the start."""
    for asked in series:
        if asked.day < end and asked.day + timedelta(days=asked.days - 1) >= start:
            yield asked


def _by_window(series: Iterable[_Asked], windows: Sequence[Window]) -> Iterator[_Asked]:
    for asked in series:
        for window in windows:
            yield replace(asked, key=f"{asked.key}.{window.id}", window=window)


def _in_order(series: Iterable[_Asked], other: str, past: Past) -> Iterator[_Asked]:
    """What has the answer that it waits for."""
    for asked in series:
        answered_at = past.answered.get(matter(other, asked.visit_id, asked.key, asked.day))
        if answered_at is not None:
            yield replace(asked, not_before=answered_at)


def _series(
    protocol: Protocol,
    assessment: Assessment,
    anchors: Mapping[str, date],
    first: date,
    last: date,
    past: Past,
) -> Iterator[Iterable[_Asked]]:
    """Rows of windows that follow each other, `LOOK_BACK` before the first day included."""
    if assessment.unscheduled:
        return
    if assessment.instead_of:
        yield _alternates(assessment, past, last)
        return
    if assessment.burst:
        yield _bursts(protocol, assessment.burst, anchors, first, last)
        return
    if assessment.every:
        if assessment.every.anchor in anchors:
            yield _recurring(assessment.every, anchors[assessment.every.anchor], first, last)
        return
    visits = sorted(
        map(protocol.visit, assessment.at), key=lambda visit: (visit.anchor, visit.day - visit.before)
    )
    for anchor, group in groupby(visits, key=lambda visit: visit.anchor):
        if anchor in anchors:
            yield _at_visits(list(group), anchors[anchor], first, last)


def _recurring(every: Every, zero: date, first: date, last: date) -> Iterator[_Asked]:
    if every.calendar:
        yield from _by_calendar(every, zero, first, last)
        return
    behind = first.toordinal() - zero.toordinal() - every.first
    start = max(0, -(-behind // every.days) - LOOK_BACK)
    end = min(every.last, last.toordinal() - zero.toordinal())
    for offset in range(every.first + start * every.days, end + 1, every.days):
        day = zero + timedelta(days=offset)
        yield _Asked(f"d{offset}", None, every.anchor, offset, day, every.open_for)


def _by_calendar(every: Every, zero: date, first: date, last: date) -> Iterator[_Asked]:
    """The days that the calendar names. Nothing reaches further than a week beyond the days on which it is open."""
    assert every.calendar is not None
    begin = zero + timedelta(days=every.first)
    start = max(begin.toordinal(), first.toordinal() - every.open_for - 7)
    for ordinal in range(start, min(zero.toordinal() + every.last, last.toordinal()) + 1):
        day = date.fromordinal(ordinal)
        if every.calendar.names(day, begin):
            yield _Asked(day.isoformat(), None, every.anchor, (day - zero).days, day, every.open_for)


def _bursts(
    protocol: Protocol, burst: Burst, anchors: Mapping[str, date], first: date, last: date
) -> list[_Asked]:
    """The days of all bursts; one that two of them hold belongs to the visit that stands first in the list."""
    asked: dict[date, _Asked] = {}
    for visit in map(protocol.visit, burst.visits):
        if visit.anchor in anchors:
            for offset in burst.offsets:
                day = anchors[visit.anchor] + timedelta(days=visit.day + offset)
                one = _Asked(f"{visit.id}:{offset}", None, visit.anchor, visit.day + offset, day, 1)
                asked.setdefault(day, one)
    since = first.toordinal() - LOOK_BACK
    return [asked[day] for day in sorted(asked) if since <= day.toordinal() and day <= last]


def _alternates(assessment: Assessment, past: Past, last: date) -> list[_Asked]:
    """For each that was missed, from the first opening of the window after the miss was certain."""
    assert assessment.instead_of is not None
    asked = []
    for one in past.missed:
        if one.assessment_id == assessment.instead_of.assessment:
            seen = one.grace_until.astimezone(ZoneInfo(one.time_zone))
            late = seen.hour * 60 + seen.minute + (seen.second > 0) > assessment.window.opens
            day = seen.date() + timedelta(days=int(late))
            if day <= last:
                days = assessment.instead_of.open_for
                asked.append(_Asked(one.key, one.visit_id, one.anchor, one.study_day, day, days))
    return sorted(asked, key=lambda one: (one.day, one.key))


def _at_visits(visits: Sequence[Visit], zero: date, first: date, last: date) -> list[_Asked]:
    opening = [zero.toordinal() + visit.day - visit.before for visit in visits]
    start = max(0, bisect_left(opening, first.toordinal()) - LOOK_BACK)
    end = bisect_left(opening, last.toordinal() + 1)
    return [_at_visit(visit, zero) for visit in visits[start:end]]


def _at_visit(visit: Visit, zero: date) -> _Asked:
    day = zero + timedelta(days=visit.day - visit.before)
    return _Asked(visit.id, visit.id, visit.anchor, visit.day, day, visit.before + visit.after + 1)


# Days and hours become instants.


def _resolve(
    protocol: Protocol, assessment: Assessment, subject_id: str, series: Iterable[_Asked], clock: _Clock
) -> Iterator[Planned]:
    free_from = datetime.min.replace(tzinfo=UTC)
    for asked in series:
        instants = _instants(asked, asked.window or assessment.window, clock, free_from)
        if instants is None:
            continue
        opens_at, free_from, zone = instants
        yield Planned(
            id=occurrence_id(protocol.study_id, subject_id, assessment.id, asked.key),
            assessment_id=assessment.id,
            key=asked.key,
            visit_id=asked.visit_id,
            anchor=asked.anchor,
            offset=asked.offset,
            local_day=asked.day,
            zone=zone,
            opens_at=opens_at,
            closes_at=free_from,
            grace_until=free_from + assessment.sync_grace,
        )


def _instants(
    asked: _Asked, window: Window, clock: _Clock, free_from: datetime
) -> tuple[datetime, datetime, str] | None:
    """Opening, closing and zone; None when what it waited for came after its closing."""
    midnight = datetime.combine(asked.day, time())  # naive: what a clock on the wall shows
    opening, zone = clock.reaches(midnight + timedelta(minutes=window.opens))
    closing = _first_instant(midnight + timedelta(days=asked.days - 1, minutes=window.closing), zone)
    opens_at = max(opening, free_from)
    if asked.not_before is not None:
        if asked.not_before >= closing:
            return None
        opens_at = max(opens_at, asked.not_before)
    # Elapsed time from here on, so it is added in UTC.
    return opens_at, max(closing, opens_at + min(SHORTEST, window.lasts(asked.days))), zone.key


@dataclass(frozen=True)
class _Clock:
    """The participant's clock: zones, each until an instant (the last one without end)."""

    zones: Sequence[tuple[datetime, ZoneInfo, datetime | None]]

    def reaches(self, wall: datetime) -> tuple[datetime, ZoneInfo]:
        """The first instant at which the clock shows `wall` (naive) or later, and the zone it then shows."""
        hopeless = wall.replace(tzinfo=UTC) - _FARTHEST_CLOCK
        for since, zone, until in self.zones:
            if until and until < hopeless:
                continue
            instant = max(since, _first_instant(wall, zone))
            if until is None or instant < until:
                return instant, zone
        raise AssertionError("the last zone has no end")


def _clock(protocol: Protocol, zones: Sequence[ZoneSpan]) -> _Clock:
    spans = sorted(zones, key=lambda span: span.since)
    if not spans or protocol.zone_policy == STAY_HOME:
        spans = spans[:1] or [ZoneSpan(datetime.min.replace(tzinfo=UTC), protocol.time_zone)]
    always = datetime.min.replace(tzinfo=UTC)
    starts = [always] + [span.since.astimezone(UTC) for span in spans[1:]]
    ends = [until for _, until in pairwise(starts)] + [None]
    return _Clock(
        [(since, ZoneInfo(span.zone), until) for since, span, until in zip(starts, spans, ends, strict=True)]
    )


@lru_cache(maxsize=8192)
def _first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, at which clocks in `zone` show `wall` (naive) or later."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    return _end_of_gap(wall, zone)


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    # Read with the offset after the change it lies before the change, and the other way round (PEP 495).
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)

    def reached(seconds: int) -> bool:
        return (before + seconds * _SECOND).astimezone(zone).replace(tzinfo=None) >= wall

    return before + bisect_left(range((after - before) // _SECOND), True, key=reached) * _SECOND
