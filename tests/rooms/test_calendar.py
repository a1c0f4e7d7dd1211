"""A participant's calendar of visits: read back by a second reader, and by the rules of RFC 5545.

CA-01  It holds the windows of visits on her own clock, in her language, and nothing of study, site, illness or person.
CA-02  What moves keeps its UID and gets a higher SEQUENCE; what is called off is told as cancelled.
CA-03  The link is its only key: 256 bits, kept as a digest, ended by a new one, by revoking and by erasing.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from icalendar import Calendar

from epro import create_app, db
from epro.scheduling import calendar
from epro.scheduling.calendar import Entry
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import look, system
from tests.cast import STUDY

TESTS = system("tests")
MORNING = datetime(2026, 3, 8, 0, 0, tzinfo=UTC)
LONG = "An application with a name that is longer than a line may be 应用程序"
VISIT = Entry("u@epro", MORNING, MORNING + timedelta(days=2), 3, MORNING - timedelta(days=9))
NEVER = (
    "diary",
    "Diary",
    "01-001",
    "Site",
    "lupus",
    "fatigue",
    "Quality",
    "生活质量",
    "week1",
    "日记",
    "139",
)
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.mark.parametrize("language", ["en", "zh-CN", "xx"])
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Europe/Berlin", "America/New_York"])
def test_a_calendar_keeps_the_rules_and_reads_back(language, zone):
    made = calendar.feed([VISIT], app_name=LONG, language=language, time_zone=zone)
    assert made.endswith(b"\r\n") and b"\n" not in made.replace(b"\r\n", b"")
    assert all(len(line) <= 75 for line in made.split(b"\r\n"))
    assert made == calendar.feed([VISIT], app_name=LONG, language=language, time_zone=zone)
    read = Calendar.from_ical(made)
    (event,) = read.walk("VEVENT")
    assert event.decoded("dtstart") == MORNING and event.decoded("dtend") == MORNING + timedelta(days=2)
    assert event["dtstart"].params["TZID"] == zone and zone in {
        str(z["tzid"]) for z in read.walk("VTIMEZONE")
    }
    assert str(event["summary"]) == calendar.TITLES.get(language, calendar.TITLES["en"]).format(LONG)
    assert (event["sequence"], event["status"], event["uid"]) == (3, "CONFIRMED", "u@epro")
    for needed in (b"BEGIN:VCALENDAR", b"VERSION:2.0", b"PRODID:", b"DTSTAMP:"):
        assert needed in made


def test_a_cancelled_visit_says_so_and_an_empty_calendar_is_one():
    gone = Entry("u@epro", MORNING, MORNING, 4, MORNING, cancelled=True)
    read = Calendar.from_ical(calendar.feed([gone], app_name="epro", language="en", time_zone="UTC"))
    assert [event["status"] for event in read.walk("VEVENT")] == ["CANCELLED"]
    empty = calendar.feed([], app_name="epro", language="en", time_zone="UTC")
    assert Calendar.from_ical(empty).walk("VEVENT") == []


def fetched(cast, url: str, **headers: str):
    return cast.app.test_client().get(url.removeprefix("https://epro.test"), headers=headers)


def visits(cast, url: str) -> dict[str, Calendar]:
    answer = fetched(cast, url)
    assert (answer.status_code, answer.content_type) == (200, "text/calendar; charset=utf-8"), answer.text
    assert not any(word in answer.text for word in NEVER), answer.text
    return {str(event["uid"]): event for event in Calendar.from_ical(answer.data).walk("VEVENT")}


def test_a_calendar_follows_her_plan(cast):  # CA-01, CA-02
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        url = ada.must("POST", "/v1/phone/calendar")["url"]
        ((uid, before),) = visits(cast, url).items()
        assert before.decoded("dtstart").isoformat() == "2026-03-08T08:00:00+08:00"
        assert before.decoded("dtend").isoformat() == "2026-03-10T22:00:00+08:00"
        noor = cast.staff("noor")
        moved = {"anchor": "enrolment", "date": "2026-03-04", "reason": "written down wrongly"}
        noor.must("POST", "/v1/site/participants/01-001/anchors", moved)
        after = visits(cast, url)[uid]
        assert after.decoded("dtstart").date() == date(2026, 3, 10)
        assert after["sequence"] > before["sequence"] and after["status"] == "CONFIRMED"
        ada.must("PATCH", "/v1/phone/me", {"language": "zh-CN", "time_zone": "Europe/Berlin"})
        there = visits(cast, url)[uid]
        assert there["dtstart"].params["TZID"] == "Europe/Berlin" and "完成" in str(there["summary"])
        noor.must("POST", "/v1/site/participants/01-001/withdrawal", {"reason": "own wish"})
        gone = visits(cast, url)[uid]
        assert gone["status"] == "CANCELLED" and gone["sequence"] > there["sequence"]


def test_a_link_is_a_key_that_ends(cast):  # CA-03
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone()
        noor = cast.staff("noor")
        first = ada.must("POST", "/v1/phone/calendar")["url"]
        token = first.rpartition("/")[2].removesuffix(".ics")
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
        answer = fetched(cast, first)
        assert answer.headers["Cache-Control"] == "private, max-age=3600"
        assert fetched(cast, first, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
        second = noor.must("POST", "/v1/site/participants/01-001/calendar")["url"]
        assert (fetched(cast, first).status_code, fetched(cast, second).status_code) == (404, 200)
        noor.must("POST", "/v1/site/participants/01-001/calendar/revocation", {"reason": "lost"})
        third = ada.must("POST", "/v1/phone/calendar")["url"]
        ada.must("DELETE", "/v1/phone/calendar")
        for dead in (second, third, "/calendar/x.ics", f"/calendar/{'x' * 5000}.ics", "/calendar/.ics"):
            assert fetched(cast, dead).status_code == 404
        assert cast.staff("otto").call("POST", "/v1/site/participants/01-001/calendar").status == 404
        ada.must("POST", "/v1/phone/calendar")
    with look(TESTS) as tx:
        row = tx.get(Participant, STUDY, "01-001")
        assert len(row.calendar_hash) == 64 and token not in str(vars(row))
        told = [one.body for one in tx.all(sa.select(Event).where(Event.action.like("calendar.%")))]
    assert len(told) == 6 and token not in str(told)


@on_sqlite
def test_guessing_links_is_held_back(cast, environ):
    held = create_app({**environ, "EPRO_RATE_LIMITS": "on"})
    with cast.on("2026-03-02T10:00"):
        asked = [held.test_client().get(f"/calendar/guess{number}.ics").status_code for number in range(22)]
    with held.app_context():
        for engine in db.db.engines.values():
            engine.dispose()
    assert asked == [404] * 20 + [429] * 2
