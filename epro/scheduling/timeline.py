"""From a protocol to the windows of one participant. No database, no clock: the same question, the same answer.

**Whose clock.** A window is a promise on the participant's own clock. Her clock is read as one clock that is set
now and then: by the zone's own changes, and when she travels. An hour is reached at the first instant at which
that clock shows it or something later. So an hour that a clock change or a flight skips comes at the end of
the gap, an hour that comes twice counts the first time, and later hours never come before earlier ones.
Under `stay_home` the clock is that of her first zone for ever.

**Which zone.** A window opens by her clock and closes by the clock of the zone it opened in: what has opened
does not move any more, wherever she goes.

**Never two at once, never none.** Windows of one assessment and anchor follow each other. When she has moved
against the sun and a window would open while the one before is still open, it opens when that one closes. A
window that a gap or this rule leaves too little of is kept open for an hour, or for its own length if that is
shorter, so each day of the study keeps exactly one window that can be answered.

**How much work.** Only the days asked for, and `LOOK_BACK` windows before them. Clocks on earth differ by 26 hours,
so what lies further back cannot reach into the days asked for; therefore two plans of neighbouring spans of
days make exactly the plan of both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from epro.scheduling.protocol import STAY_HOME, Assessment, Every, Protocol, Visit, Window

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

    `key` is the visit's id, or `d` and the study day; when asked again, with @ and the local day behind it. `offset`
    is the study day counted from `anchor` (for a visit its nominal day); `local_day` the day it opens, as the
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


def plan(
    protocol: Protocol,
    subject_id: str,
    anchors: Mapping[str, date],
    zones: Sequence[ZoneSpan],
    *,
    first_day: date | None = None,
    last_day: date,
) -> list[Planned]:
    """All occurrences that open on a local day from `first_day` to `last_day`, by opening and then by id.

    `zones` in any order (of two at one instant the later in the list holds); none means the study's zone. What
    hangs on an anchor without a date is not planned. Without `first_day` it starts at the beginning of the study.
    Raises ZoneInfoNotFoundError.
    """
    clock = _clock(protocol, zones)
    since = first_day or date.min
    planned = [
        occurrence
        for assessment in protocol.assessments
        for series in _series(protocol, assessment, anchors, since, last_day)
        for occurrence in _resolve(protocol, assessment, subject_id, series, clock)
        if occurrence.local_day >= since
    ]
    return sorted(planned, key=lambda occurrence: (occurrence.opens_at, occurrence.id))


def occurrence_id(study_id: str, subject_id: str, assessment_id: str, key: str) -> UUID:
    """The id that any plan gives to this occurrence, whatever its version, anchors or zones."""
    return uuid5(NAMESPACE, f"{study_id}/{subject_id}/{assessment_id}/{key}")


def asked_again(planned: Planned, study_id: str, subject_id: str) -> Planned:
    """The same under a second id, of this local day alone: for when the first id is spent on another day."""
    key = f"{planned.key}@{planned.local_day.isoformat()}"
    return replace(planned, id=occurrence_id(study_id, subject_id, planned.assessment_id, key), key=key)


# What the protocol asks for, in days. No clock yet.


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    visit_id: str | None
    anchor: str
    offset: int
    day: date
    days: int  # how many days it stands open, the first one included


def _series(
    protocol: Protocol, assessment: Assessment, anchors: Mapping[str, date], first: date, last: date
) -> Iterator[Iterable[_Asked]]:
    """Rows of windows that follow each other, `LOOK_BACK` before the first day included."""
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
    behind = first.toordinal() - zero.toordinal() - every.first
    start = max(0, -(-behind // every.days) - LOOK_BACK)
    end = min(every.last, last.toordinal() - zero.toordinal())
    for offset in range(every.first + start * every.days, end + 1, every.days):
        day = zero + timedelta(days=offset)
        yield _Asked(f"d{offset}", None, every.anchor, offset, day, every.open_for)


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
        opens_at, closes_at, zone = _instants(asked, assessment.window, clock, free_from)
        free_from = closes_at
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
            closes_at=closes_at,
            grace_until=closes_at + assessment.sync_grace,
        )


def _instants(
    asked: _Asked, window: Window, clock: _Clock, free_from: datetime
) -> tuple[datetime, datetime, str]:
    midnight = datetime.combine(asked.day, time())  # naive: what a clock on the wall shows
    opening, zone = clock.reaches(midnight + timedelta(minutes=window.opens))
    closing = _first_instant(midnight + timedelta(days=asked.days - 1, minutes=window.closing), zone)
    opens_at = max(opening, free_from)
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
