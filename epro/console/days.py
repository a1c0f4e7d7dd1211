"""Days as one looks for them: in weeks, in runs, and parted into now, coming and past. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

BACK, AHEAD = timedelta(days=28), timedelta(days=14)
RECENT = timedelta(days=14)  # what was missed before that is folded away
DAY, WEEK = timedelta(days=1), timedelta(days=7)
NOW = ("open", "closed_waiting")
MISSED = "page.missed"


@dataclass(frozen=True)
class Parted:
    """Lines of a calendar: of today and whatever is not over yet; those that come; those behind, the newest first."""

    now: Sequence[tuple[Any, str]]
    coming: Sequence[tuple[Any, str]]
    past: Sequence[tuple[Any, str]]


@dataclass(frozen=True)
class Standing:
    """What is said of her: texts as they are, and misses by assessment, those of late and those of long ago."""

    lines: Sequence[Mapping[str, Any]]
    recent: Sequence[tuple[Mapping[str, str], Sequence[date]]]
    older: Sequence[tuple[Mapping[str, str], Sequence[date]]]


def runs(days: Iterable[date]) -> list[tuple[date, date]]:
    """The first and last of every run of days that follow one another."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == DAY:
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found


def weeks(today: date) -> list[list[date]]:
    """Whole weeks around today, from Monday on: four behind it, two ahead."""
    monday = today - DAY * today.weekday()
    first, last = monday - BACK, monday + AHEAD
    return [[week + DAY * n for n in range(7)] for week in _mondays(first, last)]


def _mondays(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += WEEK


def parted(lines: Sequence[tuple[Any, str]], today: date) -> Parted:
    """`lines` are (what has a `local_day`, its state), in the order of their days."""
    now = [one for one in lines if one[1] in NOW or one[0].local_day == today]
    rest = [one for one in lines if one not in now]
    coming = [one for one in rest if one[0].local_day > today]
    return Parted(now, coming, [one for one in rest if one[0].local_day < today][::-1])


def standing(sentences: Sequence[Mapping[str, Any]], today: date) -> Standing:
    """How things stand, in few lines: a miss that stands alone of late is told whole, others by their days."""
    misses = [one for one in sentences if one["code"] == MISSED]
    of_late, before = _split(misses, lambda one: _day(one) >= today - RECENT)
    recent = _by_assessment(of_late)
    alone = {str(name) for name, days in recent if len(days) == 1}
    return Standing(
        [
            one
            for one in sentences
            if one["code"] != MISSED or (one in of_late and str(one["facts"]["assessment"]) in alone)
        ],
        [(name, days) for name, days in recent if str(name) not in alone],
        _by_assessment(before),
    )


def _by_assessment(misses: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, str], list[date]]]:
    found: dict[str, tuple[Mapping[str, str], list[date]]] = {}
    for one in misses:
        name = one["facts"]["assessment"]
        found.setdefault(str(name), (name, []))[1].append(_day(one))
    return list(found.values())


def _day(sentence: Mapping[str, Any]) -> date:
    return date.fromisoformat(sentence["facts"]["local_day"])


def _split(
    those: Sequence[Mapping[str, Any]], first: Callable[[Mapping[str, Any]], bool]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    return [one for one in those if first(one)], [one for one in those if not first(one)]
