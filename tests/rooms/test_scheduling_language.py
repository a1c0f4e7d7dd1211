"""The schedule language, construct by construct: what a line of a study file makes of a participant's days.

SL-01  Every construct is read, written back in canonical form and read again as the same.
SL-02  Rhythms by week, weekday and day of the month; several windows a day; bursts; ends.
SL-03  Anchors that count from others; conditions on the participant; conditions on an anchor.
SL-04  Order and alternates follow what happened, and nothing else does.
SL-05  What was published before these constructs keeps its digest and its ids.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epro.notifications import study_files
from epro.scheduling.protocol import Protocol
from epro.scheduling.reading import read
from epro.scheduling.rules import Person
from epro.scheduling.timeline import Past, Planned, ZoneSpan, plan

ROOT = Path(__file__).parents[2]
ZERO = date(2026, 3, 9)  # a Monday
HOME = [ZoneSpan(datetime(2026, 1, 1, tzinfo=UTC), "Asia/Shanghai")]
PERSON = Person("101", "active", "en")
FILE = """
format: 1
study: {{id: words, version: "1.0", title: {{en: Words}}, languages: [en], time_zone: Asia/Shanghai,
        zone_policy: follow_phone}}
anchors:
  - {{id: start, label: {{en: Start}}}}
  - {{id: stop, label: {{en: Stop}}}}
  - {{id: second, label: {{en: Second}}, from: {{anchor: first, days: -3}}}}
  - {{id: first, label: {{en: First}}, from: {{anchor: start, days: 10}}}}
  - {{id: worse, label: {{en: Worse}}, first_answer_of: base, when: {{scale: worst_fatigue, at_least: 7}}}}
sites:
  - {{id: "101", name: {{en: One}}, time_zone: Asia/Shanghai}}
  - {{id: "102", name: {{en: Two}}, time_zone: Asia/Shanghai}}
arms: [{{id: active, label: {{en: Active}}}}, {{id: control, label: {{en: Control}}}}]
visits:
  - {{id: week4, label: {{en: Week 4}}, number: 1, anchor: start, day: 28}}
  - {{id: week8, label: {{en: Week 8}}, number: 2, anchor: start, day: 56, before: 2, after: 2}}
  - {{id: early, label: {{en: Early}}, number: 3, anchor: second, day: 0}}
defaults: {{window: {{opens: "18:00", closes: "24:00"}}, sync_grace: 12h}}
assessments:
  - {{id: base, label: {{en: Base}}, instrument: {{code: fatigue_diary, version: "1.0"}}, at: [week4]}}
  - {{id: this, label: {{en: This}}, instrument: {{code: fss, version: "1.0"}}, {rule}}}
"""


def study(rule: str) -> Protocol:
    protocol, faults = read(FILE.format(rule=rule))
    assert faults == [], faults
    return protocol


def planned(rule: str, anchors=None, person: Person = PERSON, last: int = 100, **more) -> list[Planned]:
    known = {"start": ZERO, **(anchors or {})}
    found = plan(study(rule), "1", known, HOME, last_day=ZERO + timedelta(days=last), person=person, **more)
    return [one for one in found if one.assessment_id == "this"]


def days(found: list[Planned]) -> list[int]:
    return [(one.local_day - ZERO).days for one in found]


RULES = [
    "every: {weeks: 2, from: 0, to: 28, anchor: start}",
    "every: {weekdays: [mon, thu], from: 0, to: 28, anchor: start}",
    "every: {weeks: 2, weekdays: [thu, mon], from: 0, to: 28, anchor: start, open_for: 2}",
    "every: {month_days: [31, 1], from: 0, to: 80, anchor: start}",
    "every: {days: 1, from: 0, anchor: start}, until: {day: 7}",
    "every: {days: 1, from: 0, anchor: start}, until: {visit: week4}",
    "every: {days: 1, from: 0, to: 9, anchor: start}, until: {anchor: stop, day: -2}",
    "burst: {days: 7, around: [week4, week8]}",
    "burst: {days: 3, before: [week4]}",
    'every: {days: 1, from: 0, to: 3, anchor: start}, windows: [{id: pm, opens: "18:00", closes: "20:00"},'
    ' {id: am, opens: "06:00", closes: "10:00"}]',
    "at: [week4, early], if: {arms: [active], sites: ['101'], languages: [en], anchor: worse}",
    "at: [week4], after: base",
    "instead_of: {assessment: base, open_for: 2}",
    "unscheduled: true, while_answering: 45m",
]


@pytest.mark.parametrize("rule", RULES)
def test_every_construct_is_written_and_read_back_as_the_same(rule):  # SL-01
    protocol = study(rule)
    written = json.dumps(protocol.canonical(), ensure_ascii=False)
    assert read(written) == (protocol, [])
    assert Protocol.from_canonical(json.loads(written)).digest == protocol.digest


# Rhythms. SL-02


def test_by_the_week():
    assert days(planned("every: {weeks: 2, from: 1, to: 40, anchor: start}")) == [1, 15, 29]
    assert study("every: {weeks: 2, from: 1, to: 40, anchor: start}") == study(
        "every: {days: 14, from: 1, to: 40, anchor: start}"
    )


def test_by_weekday():
    found = planned("every: {weekdays: [thu, mon], from: 1, to: 14, anchor: start}")
    assert days(found) == [3, 7, 10, 14]
    assert [(one.key, one.offset) for one in found[:2]] == [("2026-03-12", 3), ("2026-03-16", 7)]


def test_by_weekday_of_every_second_week_counted_from_the_week_of_the_first_day():
    rule = "every: {weeks: 2, weekdays: [mon, fri], from: 2, to: 40, anchor: start}"
    assert days(planned(rule)) == [4, 14, 18, 28, 32]  # from is a Wednesday: that week counts


def test_by_day_of_the_month_and_a_short_month_has_its_last_day():
    found = planned("every: {month_days: [15, 31], from: 0, to: 120, anchor: start}", last=130)
    assert [f"{one.local_day:%m-%d}" for one in found] == [
        "03-15", "03-31", "04-15", "04-30", "05-15", "05-31", "06-15", "06-30",
    ]  # fmt: skip


def test_days_that_short_months_share_are_asked_once():
    found = planned("every: {month_days: [30, 31], from: 0, to: 60, anchor: start}")
    assert [f"{one.local_day:%m-%d}" for one in found] == ["03-30", "03-31", "04-30"]


def test_days_of_the_calendar_keep_their_ids_when_the_anchor_moves():
    rule = "every: {weekdays: [mon], from: 0, to: 60, anchor: start}"
    before, after = planned(rule), planned(rule, {"start": ZERO + timedelta(days=3)})
    assert [one.id for one in before[1:]] == [one.id for one in after[: len(before) - 1]]
    assert {one.opens_at for one in before[1:]} <= {one.opens_at for one in after}


def test_several_windows_a_day_in_their_order():
    found = planned(
        'every: {days: 1, from: 0, to: 1, anchor: start}, windows: [{id: night, opens: "22:00", closes: "02:00"},'
        ' {id: am, opens: "06:00", closes: "10:00"}]'
    )
    assert [(one.key, f"{one.opens_at.astimezone(ZoneInfo('Asia/Shanghai')):%d %H:%M}") for one in found] == [
        ("d0.am", "09 06:00"), ("d0.night", "09 22:00"), ("d1.am", "10 06:00"), ("d1.night", "10 22:00"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("burst: {days: 7, around: [week4]}", list(range(25, 32))),
        ("burst: {days: 4, around: [week4]}", [26, 27, 28, 29]),
        ("burst: {days: 7, before: [week4]}", list(range(21, 28))),
        ("burst: {days: 3, around: [week4, week8]}", [27, 28, 29, 55, 56, 57]),
    ],
)
def test_bursts_lie_around_visits_or_before_them(rule, wanted):
    found = planned(rule)
    assert days(found) == wanted
    assert {one.visit_id for one in found} == {None}


def test_bursts_that_meet_on_a_day_ask_once_that_day():
    """Where their visits count from different anchors the file cannot tell; of one and the same day it can."""
    _, faults = read(FILE.format(rule="burst: {days: 40, before: [week4, early]}"))
    assert [fault.code for fault in faults] == ["overlapping_visits"]
    rule = "burst: {days: 5, around: [week4, early]}"
    protocol, faults = read(FILE.format(rule=rule).replace("anchor: second, day: 0", "anchor: stop, day: 0"))
    assert protocol is not None and faults == []
    met = set()
    for shift in range(40):
        known = {"start": ZERO, "stop": ZERO + timedelta(shift)}
        whole = plan(protocol, "1", known, HOME, last_day=ZERO + timedelta(90), person=PERSON)
        found = [one for one in whole if one.assessment_id == "this"]
        assert max(Counter(days(found)).values()) == 1
        met.add(len(found))
    assert met == {5, 6, 7, 8, 9, 10}  # some meet, and some do not


@pytest.mark.parametrize(
    ("rule", "anchors", "last"),
    [
        ("every: {days: 1, from: 0, anchor: start}, until: {day: 7}", {}, 6),
        ("every: {days: 1, from: 0, anchor: start}, until: {visit: week4}", {}, 27),
        ("every: {days: 1, from: 0, to: 50, anchor: start}, until: {anchor: stop}", {}, 50),
        (
            "every: {days: 1, from: 0, to: 50, anchor: start}, until: {anchor: stop}",
            {"stop": ZERO + timedelta(9)},
            8,
        ),
        ("every: {days: 1, from: 0, anchor: start}, until: {anchor: start, day: 3}", {}, 2),
        ("burst: {days: 7, around: [week4]}, until: {anchor: start, day: 28}", {}, 27),
    ],
)
def test_ends(rule, anchors, last):
    assert days(planned(rule, anchors))[-1] == last


# Anchors and conditions. SL-03


def test_anchors_count_from_others_in_whatever_order_they_stand():
    assert days(planned("at: [early]")) == [7]  # ten days after, and three before that
    assert planned("at: [early]", {"start": ZERO + timedelta(days=5)})[0].local_day == ZERO + timedelta(
        days=12
    )


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        ("{arms: [active]}", True),
        ("{arms: [control]}", False),
        ("{sites: ['101', '102']}", True),
        ("{sites: ['102']}", False),
        ("{languages: [en]}", True),
        ("{arms: [active], sites: ['102']}", False),
    ],
)
def test_only_those_are_asked_whom_all_conditions_fit(condition, asked):
    assert bool(planned(f"at: [week4], if: {condition}")) is asked


def test_what_is_not_known_of_her_fits_no_condition():
    assert planned("at: [week4], if: {arms: [active]}", person=Person("101", None, "en")) == []
    assert planned("at: [week4]", person=Person()) != []


def test_a_condition_on_an_anchor_holds_from_its_day_on_and_what_is_open_then_is_asked():
    rule = "every: {days: 1, from: 0, to: 9, anchor: start}, if: {anchor: worse}"
    assert planned(rule) == []
    assert days(planned(rule, {"worse": ZERO + timedelta(days=4)})) == [4, 5, 6, 7, 8, 9]
    week8 = "at: [week8], if: {anchor: worse}"
    assert days(planned(week8, {"worse": ZERO + timedelta(days=58)})) == [54]  # until day 58
    assert days(planned(week8, {"worse": ZERO + timedelta(days=59)})) == []


# Order and alternates. SL-04

WEEK4 = datetime(2026, 4, 6, 10, tzinfo=UTC)  # six in the evening at Shanghai: the opening


@pytest.mark.parametrize(
    ("answered", "opens"),
    [
        (WEEK4 - timedelta(hours=3), WEEK4),
        (WEEK4 + timedelta(hours=2), WEEK4 + timedelta(hours=2)),
        (WEEK4 + timedelta(hours=5, minutes=59), WEEK4 + timedelta(hours=5, minutes=59)),
        (WEEK4 + timedelta(hours=6), None),
    ],
)
def test_what_waits_for_an_answer_opens_when_it_has_come_within_its_window(answered, opens):
    found = planned("at: [week4], after: base", past=Past({("base", "week4", ""): answered}))
    assert [one.opens_at for one in found] == ([opens] if opens else [])
    assert all(one.closes_at - one.opens_at >= timedelta(hours=1) for one in found)


def test_an_answer_of_another_day_opens_nothing_whatever_the_anchor_made_of_its_number():
    """Day 5 was answered; then the anchor was moved on by three days, and day 5 is another day."""
    written = FILE.replace("at: [week4]}}", "every: {{days: 1, from: 0, to: 9, anchor: start}}}}")
    rule = "every: {days: 1, from: 0, to: 9, anchor: start}, after: base"
    protocol, faults = read(written.format(rule=rule))
    assert faults == []
    answered = datetime(2026, 3, 14, 11, tzinfo=UTC)
    past = Past({("base", "2026-03-14", ""): answered})
    moved = {"start": ZERO + timedelta(days=3)}
    found = [one for one in plan(protocol, "1", moved, HOME, last_day=ZERO + timedelta(days=20), past=past)
             if one.assessment_id == "this"]  # fmt: skip
    assert [(one.key, one.local_day.isoformat(), one.opens_at) for one in found] == [
        ("d2", "2026-03-14", answered)
    ]


def test_without_the_answer_it_is_not_planned():
    assert planned("at: [week4], after: base") == []


@dataclass(frozen=True)
class Missed:
    grace_until: datetime
    assessment_id: str = "base"
    key: str = "week4"
    visit_id: str = "week4"
    anchor: str = "start"
    study_day: int = 28
    time_zone: str = "Asia/Shanghai"


@pytest.mark.parametrize(
    ("sure", "day"), [("2026-04-07T12:00", 29), ("2026-04-07T18:00", 29), ("2026-04-07T18:01", 30)]
)
def test_an_alternate_opens_at_the_next_opening_once_the_miss_is_certain(sure, day):
    moment = datetime.fromisoformat(sure).replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)
    (one,) = planned("instead_of: {assessment: base, open_for: 2}", past=Past(missed=[Missed(moment)]))
    assert (days([one]), one.key, one.visit_id) == ([day], "week4", "week4")
    assert one.opens_at >= moment
    assert one.closes_at - one.opens_at == timedelta(hours=30)


DAILY, OTHERS = (
    "every: {days: 1, from: 0, to: 9, anchor: start}",
    "every: {days: 2, from: 0, to: 9, anchor: start}",
)
AM_PM = 'windows: [{id: am, opens: "06:00", closes: "10:00"}, {id: pm, opens: "20:00", closes: "24:00"}]'


@pytest.mark.parametrize(
    ("base", "instead", "meet"),
    [
        (DAILY, 'open_for: 1}, window: {opens: "14:00", closes: "17:00"}', False),
        (DAILY, 'open_for: 2}, window: {opens: "14:00", closes: "17:00"}', True),
        (OTHERS, 'open_for: 2}, window: {opens: "14:00", closes: "17:00"}', False),
        (f"{DAILY}, {AM_PM}", 'open_for: 1}, window: {opens: "14:00", closes: "17:00"}', True),
        (f"{OTHERS}, {AM_PM}", 'open_for: 1}, window: {opens: "23:00", closes: "24:00"}', False),
        (f"{DAILY}, {AM_PM}", 'open_for: 1}, window: {opens: "23:00", closes: "24:00"}', True),
        (
            "burst: {days: 5, around: [week4]}",
            'open_for: 2}, window: {opens: "14:00", closes: "17:00"}',
            True,
        ),
        ("at: [week4, week8]", 'open_for: 2}, window: {opens: "14:00", closes: "17:00"}', False),
    ],
)
def test_alternates_that_meet_come_one_after_the_other_and_the_check_says_so(base, instead, meet):
    """Everything is missed: each has its own, for an hour at least, and none is open beside another."""
    written = FILE.replace("at: [week4]}}", "BASE}}").replace("{rule}", "RULE").replace("BASE", base)
    text = (
        written.replace("{{", "{")
        .replace("}}", "}")
        .replace("RULE", f"instead_of: {{assessment: base, {instead}")
    )
    protocol, faults = read(text)
    assert protocol is not None, faults
    days_asked = {"start": ZERO}
    asked = plan(protocol, "1", days_asked, HOME, last_day=ZERO + timedelta(days=80))
    missed = [Missed(one.grace_until, "base", one.key, one.visit_id, "start", one.offset) for one in asked]
    past = Past(missed=missed)
    found = plan(protocol, "1", days_asked, HOME, last_day=ZERO + timedelta(days=90), past=past)
    alternates = [one for one in found if one.assessment_id == "this"]
    assert {one.key for one in alternates} == {one.key for one in asked} and len(alternates) == len(asked)
    assert all(one.closes_at <= after.opens_at for one, after in pairwise(alternates))
    assert all(one.closes_at - one.opens_at >= timedelta(hours=1) for one in alternates)
    hour = protocol.assessment("this").window.opens // 60
    late = [one for one in alternates if one.opens_at.astimezone(ZoneInfo("Asia/Shanghai")).hour != hour]
    assert (bool(late), len(study_files.queueing(protocol))) == (meet, int(meet))


def test_the_miss_of_another_opens_nothing():
    other = Missed(WEEK4, assessment_id="this")
    assert planned("instead_of: {assessment: base}", past=Past(missed=[other])) == []


def test_what_is_unscheduled_is_never_planned():
    assert planned("unscheduled: true") == []


# Everything together


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RULES), st.integers(-5, 90), st.sampled_from(["Asia/Shanghai", "America/Sao_Paulo"]))
def test_the_plan_of_two_spans_of_days_is_the_plan_of_both(rule, cut, zone):
    protocol, home = study(rule), [ZoneSpan(HOME[0].since, zone)]
    past = Past({("base", "week4", ""): WEEK4}, [Missed(WEEK4)])
    anchors = {"start": ZERO, "worse": ZERO + timedelta(days=3)}

    def span(**asked):
        return plan(protocol, "1", anchors, home, person=PERSON, past=past, **asked)

    middle, end = ZERO + timedelta(days=cut), ZERO + timedelta(days=100)
    parts = span(last_day=middle) + span(first_day=middle + timedelta(days=1), last_day=end)
    whole = span(last_day=end)
    assert sorted(parts, key=lambda one: (one.opens_at, one.id)) == whole
    assert len({one.id for one in whole}) == len(whole)


# What was before. SL-05


def test_what_was_published_before_keeps_its_digest():
    example, _ = read((ROOT / "studies" / "msc-sle.yaml").read_text("utf-8"))
    same = replace(example, arms=())
    assert same.digest == example.digest == "0a35bfbe5dcac6681971d880da9808766dcfff9213aee810017a8102e50af7a9"
