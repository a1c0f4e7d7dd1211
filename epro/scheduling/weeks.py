"""A diary by the week: which days make a week, and by which definition it is scored. Pure.

Weeks count from the first day of the rhythm, from 1 on. The definition is the first version of the instrument whose
items are days of the diary's: it stays when a later one is shipped, and a study is scored by that when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from epro.questionnaires import library
from epro.questionnaires.instrument import Instrument
from epro.scheduling.protocol import Assessment


@dataclass(frozen=True)
class Week:
    """One week of a diary: its number, its study days, its length."""

    number: int
    first: int
    days: int

    def covers(self, study_day: int) -> bool:
        return self.first <= study_day < self.first + self.days


def definition(assessment: Assessment) -> Instrument | None:
    """What a diary is scored by, week by week; None for what is no diary, is asked more than once a day, or has no
    such scores.
    """
    if assessment.every is None or len(assessment.windows) > 1:
        return None
    return library.derived_from(assessment.instrument.code)


def week_of(assessment: Assessment, weekly: Instrument, study_day: int) -> Week:
    """The week that a study day of the diary belongs to."""
    assert assessment.every is not None and weekly.derived_from is not None
    days = int(weekly.derived_from["days"])
    number = (study_day - assessment.every.first) // days
    return Week(number + 1, assessment.every.first + number * days, days)


def expected(rows: Iterable[Any]) -> list[Any]:
    """The occurrences that count: those that were answered, or are not cancelled. In the order of their days."""
    stand = [row for row in rows if row.cancelled_at is None or row.fulfilled_at is not None]
    return sorted(stand, key=lambda row: (row.local_day, str(row.id)))


def is_over(rows: Iterable[Any], now: datetime) -> bool:
    """Whether each of these is answered, excused or missed, or its time to arrive is over."""
    return all(row.fulfilled_at or row.excused_at or row.missed_at or row.grace_until <= now for row in rows)


def local_days(week: Week, row: Any) -> tuple[date, date]:
    """The first and the last local day of the week that this occurrence lies in."""
    first = row.local_day - timedelta(days=row.study_day - week.first)
    return first, first + timedelta(days=week.days - 1)
