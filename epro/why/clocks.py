"""What clock changes and journeys did to a window: told by comparing it with the hours on the wall. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from epro.scheduling import timeline
from epro.scheduling.protocol import Assessment, Protocol, Window
from epro.why.happened import Happened
from epro.why.sentences import Said, Word


def rules(
    occurrence: Any,
    protocol: Protocol,
    stays: Sequence[Any],
    happened: Sequence[Happened],
    decided: datetime,
) -> Iterator[Said]:
    """What clock changes and journeys did to a window that was given its place at `decided`."""
    assessment = protocol.assessment(occurrence.assessment_id)
    if assessment.unscheduled or assessment.instead_of:
        return
    if any(str(occurrence.id) in one.details.get("opened_late", ()) for one in happened):
        yield Said("plan.opened_late", decided, {"opens_at": occurrence.opens_at})
        return
    opening, closing = _wall(occurrence, protocol, assessment)
    zone = ZoneInfo(occurrence.time_zone)
    if occurrence.opens_at == _reached(opening, zone):
        yield from _change(decided, "opens", opening, zone, occurrence.opens_at)
    elif assessment.after is None:
        yield _journey(occurrence, opening, stays, decided)
    yield from _change(decided, "closes", closing, zone, occurrence.closes_at)
    if occurrence.closes_at > _reached(closing, zone):
        yield Said("clock.kept_open", decided, {"closes_at": occurrence.closes_at})


def _wall(occurrence: Any, protocol: Protocol, assessment: Assessment) -> tuple[datetime, datetime]:
    """What a clock on the wall shows at the opening and at the closing that the study asks for; naive."""
    window = _window_of(occurrence, assessment)
    midnight = datetime.combine(occurrence.local_day, time())
    closing = timedelta(days=_days_open(occurrence, protocol, assessment) - 1, minutes=window.closing)
    return midnight + timedelta(minutes=window.opens), midnight + closing


def _window_of(occurrence: Any, assessment: Assessment) -> Window:
    """Of several windows a day the one that the occurrence's key names."""
    named = timeline.window_of(occurrence.key)
    return next((one for one in assessment.windows if one.id == named), assessment.window)


def _days_open(occurrence: Any, protocol: Protocol, assessment: Assessment) -> int:
    if assessment.every is not None:
        return assessment.every.open_for
    if assessment.burst is not None or occurrence.visit_id is None:
        return 1
    visit = protocol.visit(occurrence.visit_id)
    return visit.before + visit.after + 1


def _journey(occurrence: Any, opening: datetime, stays: Sequence[Any], decided: datetime) -> Said:
    facts = {"wall": opening, "zone": occurrence.time_zone}
    arrived = any(stay.since == occurrence.opens_at for stay in stays)
    return Said("clock.arrived" if arrived else "clock.followed", decided, facts)


def _change(at: datetime, edge: str, wall: datetime, zone: ZoneInfo, then: datetime) -> list[Said]:
    """Whether clocks there skipped this hour, or showed it twice."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if first == second:
        return []
    facts = {"wall": wall, "zone": zone.key, "edge": Word("edge", edge)}
    if _exists(wall, zone):
        return [Said("clock.twice", at, facts)]
    return [Said("clock.skipped", at, facts | {"then": then})]


def _exists(wall: datetime, zone: ZoneInfo) -> bool:
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall


def _reached(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks there show `wall` first, or the end of the gap that skips it (gaps end at whole minutes)."""
    if _exists(wall, zone):
        return wall.replace(tzinfo=zone).astimezone(UTC)
    instant = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while instant.astimezone(zone).replace(tzinfo=None) < wall:
        instant += timedelta(minutes=1)
    return instant
