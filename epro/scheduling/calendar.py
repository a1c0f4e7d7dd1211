"""A calendar of visits (RFC 5545) that says nothing of illness, study or person. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

TITLES = {"en": "Something to complete in {}", "zh-CN": "请在 {} 中完成一项内容"}
REFRESH = timedelta(hours=6)


@dataclass(frozen=True)
class Entry:
    """One visit's window. `sequence` grows with every change; `changed_at` is when that was planned."""

    uid: str
    opens_at: datetime
    closes_at: datetime
    sequence: int
    changed_at: datetime
    cancelled: bool = False


def feed(entries: Iterable[Entry], *, app_name: str, language: str, time_zone: str) -> bytes:
    """The calendar, with times on her own clock; the same entries are the same bytes."""
    calendar = Calendar()
    calendar.add("prodid", "-//epro//calendar 1//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("x-wr-calname", app_name)
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT6H")
    title = TITLES.get(language, TITLES["en"]).format(app_name)
    known = sorted(entries, key=lambda one: (one.opens_at, one.uid))
    for one in known:
        calendar.add_component(_event(one, title, ZoneInfo(time_zone)))
    if known:
        first, last = known[0].opens_at.date(), max(one.closes_at for one in known).date()
        calendar.add_missing_timezones(first - timedelta(days=370), last + timedelta(days=370))
    return calendar.to_ical()


def _event(one: Entry, title: str, zone: ZoneInfo) -> Event:
    event = Event()
    event.add("uid", one.uid)
    event.add("dtstamp", one.changed_at)
    event.add("last-modified", one.changed_at)
    event.add("sequence", one.sequence)
    event.add("dtstart", one.opens_at.astimezone(zone).replace(microsecond=0))
    event.add("dtend", one.closes_at.astimezone(zone).replace(microsecond=0))
    event.add("summary", title)
    event.add("status", "CANCELLED" if one.cancelled else "CONFIRMED")
    event.add("class", "PRIVATE")
    event.add("transp", "TRANSPARENT")  # a window is no appointment: the days stay free
    return event
