"""From a protocol to the windows of one participant, in tables.

TL-01  A window stands at its local hours, in the zone in force when it opens.
TL-02  A local hour that does not exist comes at the end of the gap; one that comes twice counts the first time.
TL-03  Windows of one rhythm never overlap, are never lost and never lie the wrong way round.
TL-04  What hangs on an anchor without a date is not planned.
TL-05  Ids depend on study, subject, assessment and visit or study day, and on nothing else.
TL-06  Work follows the days asked for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from epro.scheduling.protocol import Every, Window
from epro.scheduling.reading import read
from epro.scheduling.timeline import Planned, ZoneSpan, occurrence_id, plan

EXAMPLE, _ = read((Path(__file__).parents[2] / "studies" / "msc-sle.yaml").read_text("utf-8"))
ENROLLED, INFUSED = date(2026, 3, 2), date(2026, 3, 9)
ANCHORS = {"enrolment": ENROLLED, "infusion": INFUSED}
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def home(zone: str = "Asia/Shanghai") -> list[ZoneSpan]:
    return [ZoneSpan(LONG_AGO, zone)]


def diary(opens: str = "18:00", closes: str = "24:00", **rule):
    """The example with nothing but a daily diary from day 0 to 84, or as told."""
    every = replace(Every(1, 0, 84, "infusion", 1), **rule)
    window = Window.from_canonical({"opens": opens, "closes": closes})
    only = replace(EXAMPLE.assessment("diary"), every=every, window=window)
    return replace(EXAMPLE, assessments=(only,))


def days(protocol, zones, first: date, last: date, anchors=ANCHORS) -> list[Planned]:
    return plan(protocol, "101-001", anchors, zones, first_day=first, last_day=last)


def local(instant: datetime, zone: str) -> str:
    return f"{instant.astimezone(ZoneInfo(zone)):%m-%d %H:%M}"


def utc(occurrence: Planned) -> tuple[str, str]:
    return f"{occurrence.opens_at:%m-%d %H:%M}", f"{occurrence.closes_at:%m-%d %H:%M}"


def test_the_example_over_its_whole_year():
    everything = plan(EXAMPLE, "101-001", ANCHORS, home(), last_day=date(2028, 1, 1))
    assert len(everything) == 85 + 3 * 5
    assert everything == sorted(everything, key=lambda one: (one.opens_at, one.id))
    visits = [one for one in everything if one.assessment_id == "lupusqol"]
    assert [(one.key, one.offset, f"{one.local_day}", local(one.closes_at, one.zone)) for one in visits] == [
        ("baseline", 0, "2026-03-02", "03-05 22:00"),
        ("week4", 28, "2026-04-03", "04-09 22:00"),
        ("week12", 84, "2026-05-25", "06-08 22:00"),
        ("week24", 168, "2026-08-17", "08-31 22:00"),
        ("week52", 364, "2027-02-22", "03-22 22:00"),
    ]


def test_one_diary_in_full():
    (first,) = days(diary(), home(), INFUSED, INFUSED)
    assert first == Planned(
        id=occurrence_id("msc-sle", "101-001", "diary", "d0"),
        assessment_id="diary",
        key="d0",
        visit_id=None,
        anchor="infusion",
        offset=0,
        local_day=INFUSED,
        zone="Asia/Shanghai",
        opens_at=datetime(2026, 3, 9, 10, tzinfo=UTC),
        closes_at=datetime(2026, 3, 9, 16, tzinfo=UTC),
        grace_until=datetime(2026, 3, 10, 4, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("opens", "closes", "rule", "expected"),
    [  # TL-01
        ("18:00", "24:00", {}, ("03-09 18:00", "03-10 00:00")),
        ("18:00", "23:59", {}, ("03-09 18:00", "03-09 23:59")),
        ("20:00", "02:00", {}, ("03-09 20:00", "03-10 02:00")),
        ("00:00", "24:00", {}, ("03-09 00:00", "03-10 00:00")),
        ("08:00", "20:00", {"days": 7, "open_for": 3}, ("03-09 08:00", "03-11 20:00")),
        ("20:00", "08:00", {"days": 7, "open_for": 3}, ("03-09 20:00", "03-12 08:00")),
    ],
)
def test_windows_stand_at_their_local_hours(opens, closes, rule, expected):
    (one,) = days(diary(opens, closes, **rule), home("Asia/Kathmandu"), INFUSED, INFUSED)
    assert (local(one.opens_at, "Asia/Kathmandu"), local(one.closes_at, "Asia/Kathmandu")) == expected


@pytest.mark.parametrize(
    ("zone", "day", "opens", "closes", "expected"),
    [  # TL-02, in UTC
        # Berlin 29 March 2026: 02:00 to 03:00 does not exist
        ("Europe/Berlin", "2026-03-29", "02:30", "05:00", ("03-29 01:00", "03-29 03:00")),
        ("Europe/Berlin", "2026-03-29", "01:00", "02:30", ("03-29 00:00", "03-29 01:00")),
        (
            "Europe/Berlin",
            "2026-03-29",
            "02:00",
            "03:00",
            ("03-29 01:00", "03-29 02:00"),
        ),  # nothing left: an hour
        (
            "Europe/Berlin",
            "2026-03-29",
            "02:15",
            "02:45",
            ("03-29 01:00", "03-29 01:30"),
        ),  # or its own length
        ("Europe/Berlin", "2026-03-28", "18:00", "02:30", ("03-28 17:00", "03-29 01:00")),
        ("Europe/Berlin", "2026-03-29", "00:00", "24:00", ("03-28 23:00", "03-29 22:00")),  # 23 hours
        # Berlin 25 October 2026: 02:00 to 03:00 comes twice
        ("Europe/Berlin", "2026-10-25", "02:30", "05:00", ("10-25 00:30", "10-25 04:00")),
        ("Europe/Berlin", "2026-10-25", "01:00", "02:30", ("10-24 23:00", "10-25 00:30")),
        ("Europe/Berlin", "2026-10-25", "00:00", "24:00", ("10-24 22:00", "10-25 23:00")),  # 25 hours
        # Half an hour of clock change
        ("Australia/Lord_Howe", "2026-10-04", "02:15", "06:00", ("10-03 15:30", "10-03 19:00")),
        # Midnight itself does not exist
        ("Africa/Cairo", "2026-04-24", "00:00", "24:00", ("04-23 22:00", "04-24 21:00")),
        ("Africa/Cairo", "2026-04-23", "18:00", "24:00", ("04-23 16:00", "04-23 22:00")),
        ("America/Santiago", "2026-09-06", "00:00", "24:00", ("09-06 04:00", "09-07 03:00")),
    ],
)
def test_clock_changes(zone, day, opens, closes, expected):
    day = date.fromisoformat(day)
    (one,) = days(diary(opens, closes, last=400), home(zone), day, day)
    assert utc(one) == expected
    assert one.local_day == day


SHANGHAI, LONDON, KIRITIMATI, PAGO = (
    "Asia/Shanghai",
    "Europe/London",
    "Pacific/Kiritimati",  # UTC+14
    "Pacific/Pago_Pago",  # UTC-11
)


@pytest.mark.parametrize(
    ("name", "start", "arrives", "goal", "expected"),
    [
        # expected: windows of 10, 11, 12 March in UTC (18:00 to 24:00)
        (
            "west over the day: the next window comes later",
            SHANGHAI,
            "2026-03-11 02:00",
            LONDON,
            [("03-10 10:00", "03-10 16:00"), ("03-11 18:00", "03-12 00:00"), ("03-12 18:00", "03-13 00:00")],
        ),
        (
            "west while the window is open: it does not move",
            SHANGHAI,
            "2026-03-10 12:00",
            LONDON,
            [("03-10 10:00", "03-10 16:00"), ("03-11 18:00", "03-12 00:00"), ("03-12 18:00", "03-13 00:00")],
        ),
        (
            "east over the day: the next window comes sooner",
            LONDON,
            "2026-03-11 05:00",
            SHANGHAI,
            [("03-10 18:00", "03-11 00:00"), ("03-11 10:00", "03-11 16:00"), ("03-12 10:00", "03-12 16:00")],
        ),
        (
            "east past the opening: it opens on arrival",
            LONDON,
            "2026-03-11 12:00",
            SHANGHAI,
            [("03-10 18:00", "03-11 00:00"), ("03-11 12:00", "03-11 16:00"), ("03-12 10:00", "03-12 16:00")],
        ),
        (
            "east past the whole window: it is open for an hour on arrival",
            LONDON,
            "2026-03-11 17:00",
            SHANGHAI,
            [("03-10 18:00", "03-11 00:00"), ("03-11 17:00", "03-11 18:00"), ("03-12 10:00", "03-12 16:00")],
        ),
        (
            "over the date line while open: the next one waits, and lasts what is left, at least an hour",
            PAGO,
            "2026-03-11 07:00",
            KIRITIMATI,
            [("03-11 05:00", "03-11 11:00"), ("03-11 11:00", "03-11 12:00"), ("03-12 04:00", "03-12 10:00")],
        ),
        (
            "over the date line the other way: a long day, no second window",
            KIRITIMATI,
            "2026-03-10 08:00",
            PAGO,
            [("03-10 04:00", "03-10 10:00"), ("03-12 05:00", "03-12 11:00"), ("03-13 05:00", "03-13 11:00")],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value and len(value) > 20 else "",
)
def test_travel(name, start, arrives, goal, expected):  # TL-01, TL-03
    zones = [*home(start), ZoneSpan(datetime.fromisoformat(arrives).replace(tzinfo=UTC), goal)]
    found = days(diary(), zones, date(2026, 3, 10), date(2026, 3, 12))
    assert [utc(one) for one in found] == expected, name
    assert [one.local_day.day for one in found] == [10, 11, 12]


def test_a_whole_day_diary_over_the_date_line_stays_in_step():
    zones = [*home(PAGO), ZoneSpan(datetime(2026, 3, 11, 7, tzinfo=UTC), KIRITIMATI)]
    found = days(diary("00:00", "24:00"), zones, date(2026, 3, 10), date(2026, 3, 12))
    assert [utc(one) for one in found] == [
        ("03-10 11:00", "03-11 11:00"),
        ("03-11 11:00", "03-11 12:00"),  # her 11th was over on arrival but for an hour
        ("03-11 12:00", "03-12 10:00"),  # her 12th had begun at 10:00
    ]


@pytest.mark.parametrize("first", [10, 11, 12, 13, 14])
def test_a_plan_that_begins_in_the_middle_knows_what_came_before(first):
    """The window of the 12th waits for that of the 11th, which waits for that of the 10th."""
    zones = [*home(PAGO), ZoneSpan(datetime(2026, 3, 11, 7, tzinfo=UTC), KIRITIMATI)]
    whole = days(diary("00:00", "24:00"), zones, INFUSED, date(2026, 3, 20))
    cut = days(diary("00:00", "24:00"), zones, date(2026, 3, first), date(2026, 3, 20))
    assert cut == [one for one in whole if one.local_day.day >= first]


def test_stay_home_takes_no_notice_of_travel():
    protocol = replace(diary(), zone_policy="stay_home")
    away = [*home(), ZoneSpan(datetime(2026, 3, 11, tzinfo=UTC), LONDON)]
    span = date(2026, 3, 9), date(2026, 3, 20)
    assert days(protocol, away, *span) == days(protocol, home(), *span)
    assert days(protocol, away[::-1], *span) == days(protocol, home(), *span)  # in whatever order they come


def test_the_first_zone_holds_for_the_time_before_it_was_known():
    late = [ZoneSpan(datetime(2030, 1, 1, tzinfo=UTC), LONDON)]
    assert days(diary(), late, INFUSED, INFUSED) == days(diary(), home(LONDON), INFUSED, INFUSED)


def test_without_any_zone_it_is_the_studys():
    assert days(diary(), [], INFUSED, INFUSED) == days(diary(), home("Asia/Shanghai"), INFUSED, INFUSED)


def test_visits_of_one_anchor_do_not_overlap_either():
    near = [
        replace(EXAMPLE.visit("week4"), before=0, after=0),
        replace(EXAMPLE.visit("week12"), day=29, before=0),
    ]
    only = replace(EXAMPLE.assessment("fss"), at=("week4", "week12"), window=Window(0, 24 * 60))
    protocol = replace(EXAMPLE, assessments=(only,), visits=tuple(near))
    zones = [*home(PAGO), ZoneSpan(datetime(2026, 4, 7, 9, tzinfo=UTC), KIRITIMATI)]
    one, two = plan(protocol, "101-001", ANCHORS, zones, last_day=date(2027, 1, 1))
    assert one.closes_at == two.opens_at < two.closes_at


# Anchors


def test_nothing_is_planned_from_an_anchor_without_a_date():  # TL-04
    only_enrolled = plan(EXAMPLE, "101-001", {"enrolment": ENROLLED}, home(), last_day=date(2028, 1, 1))
    assert [one.key for one in only_enrolled] == ["baseline"] * 3
    assert plan(EXAMPLE, "101-001", {}, home(), last_day=date(2028, 1, 1)) == []
    assert plan(EXAMPLE, "101-001", {"other": ENROLLED}, home(), last_day=date(2028, 1, 1)) == []


def test_a_moved_anchor_keeps_the_ids_and_moves_the_days():  # TL-05
    before = plan(EXAMPLE, "101-001", ANCHORS, home(), last_day=date(2028, 1, 1))
    moved = ANCHORS | {"infusion": INFUSED + timedelta(days=10)}
    after = {one.id: one for one in plan(EXAMPLE, "101-001", moved, home(), last_day=date(2028, 1, 1))}
    assert after.keys() == {one.id for one in before}
    for one in before:
        shift = timedelta(days=10 if one.anchor == "infusion" else 0)
        assert after[one.id].local_day == one.local_day + shift
        assert after[one.id].opens_at == one.opens_at + shift


def test_ids_survive_an_amendment_and_differ_between_people():  # TL-05
    def ids(protocol, subject="101-001"):
        return {one.id for one in plan(protocol, subject, ANCHORS, home(), last_day=date(2026, 6, 1))}

    denser = replace(diary(), version="2.0", time_zone="Europe/London")
    sparser = diary("07:00", "09:00", days=2)
    assert ids(denser) == ids(diary())
    assert len(ids(sparser)) == 43
    assert ids(sparser) < ids(diary())
    assert not ids(diary()) & ids(diary(), "101-002")
    assert not ids(diary()) & ids(replace(diary(), study_id="other"))


def test_an_id_once_given_is_given_for_ever():
    assert str(occurrence_id("msc-sle", "101-001", "diary", "d0")) == "50c7062c-d897-563e-a54b-4ddc05698e1a"


def test_days_before_the_anchor():
    found = days(diary(first=-2, last=1), home(), date(2026, 1, 1), date(2026, 12, 31))
    assert [(one.key, one.local_day.day) for one in found] == [("d-2", 7), ("d-1", 8), ("d0", 9), ("d1", 10)]


# The span of days


@pytest.mark.parametrize(
    ("first", "last", "keys"),
    [
        ("2026-03-09", "2026-03-11", ["d0", "d1", "d2"]),
        ("2026-03-01", "2026-03-10", ["d0", "d1"]),
        ("2026-06-01", "2026-07-01", ["d84"]),
        ("2026-06-02", "2026-07-01", []),
        ("2026-03-12", "2026-03-11", []),
    ],
)
def test_only_the_days_asked_for(first, last, keys):
    found = days(diary(), home(), date.fromisoformat(first), date.fromisoformat(last))
    assert [one.key for one in found] == keys


def test_a_rhythm_keeps_its_step_wherever_the_span_begins():
    weekly = diary(days=7)
    whole = days(weekly, home(), INFUSED, date(2026, 12, 31))
    assert [one.offset for one in whole] == list(range(0, 85, 7))
    for first in range(90):
        start = INFUSED + timedelta(days=first)
        assert days(weekly, home(), start, date(2026, 12, 31)) == [
            one for one in whole if one.local_day >= start
        ]


def test_work_follows_the_days_asked_for_not_the_length_of_the_study(monkeypatch):  # TL-06
    resolved = []
    from epro.scheduling import timeline

    real = timeline._instants
    monkeypatch.setattr(timeline, "_instants", lambda *given: resolved.append(1) or real(*given))
    century = diary(last=36500)
    found = days(century, home(), date(2080, 1, 1), date(2080, 2, 4))
    assert len(found) == 35
    assert len(resolved) <= 35 + timeline.LOOK_BACK


def test_an_unknown_zone_is_not_guessed():
    with pytest.raises(ZoneInfoNotFoundError):
        days(diary(), home("Asia/Beijing"), INFUSED, INFUSED)
