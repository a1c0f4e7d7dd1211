"""Local time, everywhere: G13. Any zone, any day of 2020 to 2037, both clock changes, any travel.

Exactly one window per local study day; none empty, none the wrong way round, none overlapping; the same question
always the same answer, however the days are cut.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.scheduling.protocol import Every, Window
from epro.scheduling.reading import read
from epro.scheduling.timeline import SHORTEST, ZoneSpan, plan

EXAMPLE, _ = read((Path(__file__).parents[2] / "studies" / "msc-sle.yaml").read_text("utf-8"))
ZONES = sorted(available_timezones() - {"Factory", "localtime"})
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)

FAR = ["Pacific/Kiritimati", "Pacific/Apia", "Pacific/Pago_Pago", "Pacific/Niue", "Etc/GMT+12", "Etc/GMT-14"]
zones = st.one_of(st.sampled_from(ZONES), st.sampled_from(ZONES), st.sampled_from(FAR))
starts = st.dates(date(2020, 1, 1), date(2037, 11, 30))
minutes = st.integers(0, 24 * 60 - 1)


@st.composite
def windows(draw) -> Window:
    opens, closes = draw(minutes), draw(st.integers(0, 24 * 60))
    return Window(opens, closes if closes != opens else (closes + 1))


@st.composite
def rhythms(draw):
    """A study with one rhythm whose windows, by the wall, do not overlap."""
    window = draw(windows())
    step = draw(st.sampled_from([1, 1, 1, 2, 7]))
    open_for = draw(st.integers(1, step))
    if window.lasts(open_for) > step * DAY:
        open_for -= 1
    every = Every(step, draw(st.integers(-10, 0)), draw(st.integers(10, 60)), "infusion", open_for)
    only = replace(EXAMPLE.assessment("diary"), every=every, window=window)
    return replace(EXAMPLE, assessments=(only,))


@st.composite
def journeys(draw, start: date):
    """A zone history: where she lives, and up to eight moves during the first days of the study, some in haste."""
    zero = datetime.combine(start, datetime.min.time(), UTC)
    moves = draw(
        st.lists(
            st.tuples(st.integers(-24, 21 * 24), st.integers(0, 59), zones),
            max_size=8,
            unique_by=lambda move: move[:2],
        )
    )
    spans = [ZoneSpan(zero - 400 * DAY, draw(zones))]
    return spans + [ZoneSpan(zero + timedelta(hours=h, minutes=m), zone) for h, m, zone in moves]


def assert_sound(found, protocol, start: date) -> None:
    """One window for each day of the rhythm, none empty, none overlapping the next."""
    (assessment,) = protocol.assessments
    every = assessment.every
    asked = range(every.first, every.last + 1, every.days)
    assert [one.offset for one in found] == list(asked)
    assert [one.local_day for one in found] == [start + offset * DAY for offset in asked]
    least = min(SHORTEST, assessment.window.lasts(every.open_for))
    assert all(one.closes_at - one.opens_at >= least for one in found)
    assert all(one.closes_at <= two.opens_at for one, two in pairwise(found))
    assert len({one.id for one in found}) == len(found)
    assert {one.opens_at.tzinfo for one in found} == {UTC}


def everything(protocol, start: date, spans, **days):
    return plan(protocol, "101-001", {"infusion": start}, spans, **({"last_day": start + 70 * DAY} | days))


@settings(max_examples=300, deadline=None)
@given(rhythms(), zones, starts)
def test_one_window_per_day_at_home(protocol, zone, start):
    found = everything(protocol, start, [ZoneSpan(datetime(2020, 1, 1, tzinfo=UTC), zone)])
    assert_sound(found, protocol, start)
    assert {one.zone for one in found} == {zone}


@settings(max_examples=300, deadline=None)
@given(st.data(), rhythms(), starts)
def test_one_window_per_day_on_any_journey(data, protocol, start):
    spans = data.draw(journeys(start))
    found = everything(protocol, start, spans)
    assert_sound(found, protocol, start)
    assert everything(protocol, start, spans[::-1]) == everything(protocol, start, spans)


@settings(max_examples=200, deadline=None)
@given(st.data(), rhythms(), starts)
def test_the_plan_of_two_spans_of_days_is_the_plan_of_both(data, protocol, start):
    spans = data.draw(journeys(start))
    cut = start + data.draw(st.integers(-12, 62)) * DAY
    left = everything(protocol, start, spans, last_day=cut)
    right = everything(protocol, start, spans, first_day=cut + DAY)
    whole = everything(protocol, start, spans)
    assert left + right == whole or sorted(left + right, key=lambda one: (one.opens_at, one.id)) == whole


@settings(max_examples=100, deadline=None)
@given(st.data(), starts, st.integers(-40, 40))
def test_an_anchor_moved_there_and_back(data, start, shift):
    """Also for the whole example, with its visits: the plan and its ids are as if nothing had happened."""
    spans = data.draw(journeys(start))

    def planned(infusion):
        anchors = {"enrolment": start, "infusion": infusion}
        return plan(EXAMPLE, "101-001", anchors, spans, last_day=start + 500 * DAY)

    before, moved, back = planned(start), planned(start + shift * DAY), planned(start)
    assert back == before
    assert {one.id for one in moved} == {one.id for one in before}
    assert len(before) == 100


@settings(max_examples=200, deadline=None)
@given(st.data(), rhythms(), starts, st.integers(0, 20 * 24))
def test_a_later_move_changes_no_window_that_has_opened(data, protocol, start, hours):
    """What she has seen open stays as it was, whatever her phone reports afterwards."""
    spans = data.draw(journeys(start))
    now = datetime.combine(start, datetime.min.time(), UTC) + timedelta(hours=hours)
    known = [span for span in spans if span.since <= now]
    later = [*known, ZoneSpan(now + MINUTE, data.draw(zones))]
    before = [one for one in everything(protocol, start, known) if one.opens_at <= now]
    after = [one for one in everything(protocol, start, later) if one.opens_at <= now]
    assert after == before


@settings(max_examples=300, deadline=None)
@given(zones, starts, minutes)
def test_an_hour_is_the_first_instant_at_which_the_clock_shows_it_or_later(zone, day, minute):
    """Compared with a search that knows nothing of our rule: minute by minute through the local day."""
    only = replace(EXAMPLE.assessment("diary"), every=Every(1, 0, 0, "infusion", 1), window=Window(minute, 0))
    (one,) = everything(
        replace(EXAMPLE, assessments=(only,)), day, [ZoneSpan(datetime(2019, 1, 1, tzinfo=UTC), zone)]
    )
    wall, clock = datetime.combine(day, datetime.min.time()) + minute * MINUTE, ZoneInfo(zone)
    guess = one.opens_at - 3 * timedelta(hours=1)
    shown = ((guess + n * MINUTE, (guess + n * MINUTE).astimezone(clock)) for n in range(6 * 60))
    assert one.opens_at == next(instant for instant, seen in shown if seen.replace(tzinfo=None) >= wall)


def transitions(zone: str, first: int, last: int) -> list[date]:
    """The local days on which the clocks of `zone` change, from the first year to the last."""
    clock = ZoneInfo(zone)
    hours = [datetime(first, 1, 1, tzinfo=UTC) + n * DAY for n in range((last - first + 1) * 366)]
    offsets = [hour.astimezone(clock).utcoffset() for hour in hours]
    return [
        hours[n].date() + k * DAY
        for n in range(1, len(hours))
        if offsets[n] != offsets[n - 1]
        for k in (-1, 0)
    ]


@pytest.mark.parametrize(("opens", "closes"), [("00:00", "24:00"), ("18:00", "02:30"), ("02:30", "03:00")])
def test_every_zone_through_every_clock_change_of_two_years(opens, closes):
    """Not drawn but complete: every zone, every change of 2026 and 2027, from two days before to two after."""
    window = Window.from_canonical({"opens": opens, "closes": closes})
    seen = 0
    for zone in ZONES:
        for day in CHANGES[zone]:
            only = replace(EXAMPLE.assessment("diary"), every=Every(1, -2, 2, "infusion", 1), window=window)
            protocol = replace(EXAMPLE, assessments=(only,))
            assert_sound(
                everything(protocol, day, [ZoneSpan(datetime.min.replace(tzinfo=UTC), zone)]), protocol, day
            )
            seen += 1
    assert seen > 500


CHANGES = {zone: transitions(zone, 2026, 2027) for zone in ZONES}


# Both clock changes in every zone, also of years to come; travel over the date line, both ways, from and to each zone.

WALLS = [("18:00", "24:00"), ("00:00", "24:00"), ("01:30", "02:30")]


def daily(opens: str, closes: str, first: int = -2, last: int = 2):
    every = Every(1, first, last, "infusion", 1)
    window = Window.from_canonical({"opens": opens, "closes": closes})
    return replace(EXAMPLE, assessments=(replace(EXAMPLE.assessment("diary"), every=every, window=window),))


@pytest.mark.parametrize("year", [2020, 2032])
def test_one_diary_a_day_in_every_zone_through_both_clock_changes(year):
    """All changes of the year, Casey's by three hours among them; where clocks never change, a few days of June."""
    seen = 0
    for zone in ZONES:
        for day in transitions(zone, year, year) or [date(year, 6, 1)]:
            for opens, closes in WALLS:
                protocol = daily(opens, closes)
                found = everything(protocol, day, [ZoneSpan(LONG_AGO, zone)])
                assert_sound(found, protocol, day)
                assert all(timedelta() < one.closes_at - one.opens_at <= timedelta(hours=27) for one in found)
                seen += 1
    assert seen > 2500


@pytest.mark.parametrize("far", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("hour", [0, 9, 17])
def test_one_diary_a_day_from_every_zone_over_the_date_line_and_back(far, hour):
    """Away on the third day and home on the fifth, at hours that fall before, within and behind the window."""
    start = date(2026, 3, 28)  # clocks change in Europe the next night
    out = datetime(2026, 3, 30, hour, tzinfo=UTC)
    for zone in ZONES:
        for opens, closes in WALLS[:2]:
            protocol = daily(opens, closes, 0, 6)
            spans = [ZoneSpan(LONG_AGO, zone), ZoneSpan(out, far), ZoneSpan(out + 2 * DAY, zone)]
            assert_sound(everything(protocol, start, spans), protocol, start)


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Pacific/Apia", date(2011, 12, 28)),  # 30 December 2011 was left out
        ("Pacific/Kwajalein", date(1993, 8, 19)),  # 21 August 1993 was left out
        ("America/Juneau", date(1867, 10, 16)),  # 18 October 1867 came twice
    ],
)
def test_a_day_that_a_whole_country_leaves_out_or_has_twice_keeps_its_one_diary(zone, start):
    protocol = daily("18:00", "24:00", 0, 4)
    found = plan(
        protocol, "101-001", {"infusion": start}, [ZoneSpan(LONG_AGO, zone)], last_day=start + 10 * DAY
    )
    assert_sound(found, protocol, start)


def test_several_windows_a_day_stay_apart_in_every_zone_through_its_clock_changes():
    """Three windows of the day that touch, one of them in the hours that change."""
    windows = tuple(
        Window.from_canonical({"id": name, "opens": opens, "closes": closes})
        for name, opens, closes in (
            ("night", "00:00", "03:00"),
            ("day", "03:00", "18:00"),
            ("eve", "18:00", "24:00"),
        )
    )
    only = replace(
        EXAMPLE.assessment("diary"), every=Every(1, -1, 1, "infusion", 1), window=windows[0], windows=windows
    )
    protocol = replace(EXAMPLE, assessments=(only,))
    for zone in ZONES:
        for day in CHANGES[zone]:
            found = everything(protocol, day, [ZoneSpan(LONG_AGO, zone)])
            assert [one.key.partition(".")[2] for one in found] == ["night", "day", "eve"] * 3
            assert all(one.closes_at <= two.opens_at for one, two in pairwise(found))
            assert all(one.closes_at - one.opens_at >= SHORTEST for one in found)
