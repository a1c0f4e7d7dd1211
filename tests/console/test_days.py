"""Days as people look for them: runs, weeks around today, what is on now, and misses told in few lines."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from epro.console import days
from epro.console.saying import Voice

TODAY = date(2026, 3, 5)  # a Thursday
DIARY, WEEKLY = {"en": "Diary", "zh-CN": "日记"}, {"en": "Weekly", "zh-CN": "周报"}


def missed(name, day):
    return {
        "code": "page.missed",
        "text": f"{name['en']} {day}",
        "facts": {"assessment": name, "local_day": day},
    }


def line(day, state):
    return SimpleNamespace(local_day=TODAY + timedelta(days=day)), state


@pytest.mark.parametrize(
    ("numbers", "en", "chinese"),
    [
        ([3], "3 Mar", "3月3日"),
        ([3, 5, 4, 4], "3 Mar–5 Mar", "3月3日–3月5日"),
        ([9, 3, 4], "3 Mar–4 Mar, 9 Mar", "3月3日–3月4日、3月9日"),
        (range(1, 18, 2), "days between 1 Mar and 17 Mar", "3月1日至3月17日之间"),
    ],
)
def test_only_days_that_follow_one_another_are_told_as_a_range(numbers, en, chinese):
    those = [date(2026, 3, number) for number in numbers]
    assert (Voice("en").days(those), Voice("zh-CN").days(those)) == (en, chinese)


def test_the_weeks_around_today_are_whole_and_hold_it():
    found = days.weeks(TODAY)
    assert [len(week) for week in found] == [7] * 7
    assert found[0][0] == date(2026, 2, 2) and found[-1][-1] == date(2026, 3, 22) and TODAY in found[4]


def test_today_and_what_is_open_come_first_and_the_past_begins_with_yesterday():
    lines = [
        line(-3, "missed"),
        line(-2, "open"),
        line(-1, "fulfilled"),
        line(0, "fulfilled"),
        line(1, "upcoming"),
    ]
    found = days.parted(lines, TODAY)
    assert found.now == [lines[1], lines[3]] and found.coming == [lines[4]]
    assert found.past == [lines[2], lines[0]]


def test_misses_are_told_once_for_each_assessment_and_those_of_long_ago_apart():
    single = missed(WEEKLY, "2026-03-01")
    other = {"code": "page.next", "text": "next", "facts": {}}
    sentences = [
        missed(DIARY, "2026-02-01"),
        missed(DIARY, "2026-03-01"),
        single,
        missed(DIARY, "2026-03-02"),
    ]
    found = days.standing([*sentences, other], TODAY)
    assert found.lines == [single, other]
    assert found.recent == [(DIARY, [date(2026, 3, 1), date(2026, 3, 2)])]
    assert found.older == [(DIARY, [date(2026, 2, 1)])]
