"""Where two assessments of a study file contradict each other: an order or an alternate that can never come about, and
the same asked twice at one time.

Rules like those of `checks.py`, over the same `Draft`. Nothing here runs a plan: a file is judged by what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

from epro.scheduling.checks import Draft, Entry, placed, span_of, visits_asked
from epro.scheduling.contradictions import burst_visits, end_of, mapping
from epro.scheduling.rules import FAR
from epro.scheduling.shape import RULE_KINDS
from epro.scheduling.source import Fault, Path

Days = dict[str, set[int]]  # anchor that others count from -> days on which it is asked


def check_pairs(draft: Draft) -> list[Fault]:
    """Every fault against every rule."""
    return [fault for rule in RULES for fault in rule(draft)]


# Order and alternates.


def order_within_the_same_rule(draft: Draft) -> Iterator[Fault]:
    """What waits for an answer is asked where that is asked, window for window."""
    for path, assessment, other in _after(draft):
        missing = [name for name in visits_asked(assessment) if name not in visits_asked(other)]
        kinds = [[kind for kind in RULE_KINDS if kind in one] for one in (assessment, other)]
        told = f"{other['id']} is not asked at {missing[0]}" if missing and "at" in assessment else ""
        if "at" not in assessment and any(assessment.get(k) != other.get(k) for k in RULE_KINDS):
            told = f"{other['id']} is not asked by the same rule"
        if kinds[0] != kinds[1] or _window_ids(assessment) != _window_ids(other):
            told = f"{other['id']} is not asked by the same rule and in the same windows"
        if told:
            mend = "Let both have the same rule; of visits, the other may have more."
            yield draft.source.fault(path, "never_open", told, mend)


def order_that_can_come_about(draft: Draft) -> Iterator[Fault]:
    """The first must be asked of the same people, and open before the second closes, where one day holds both."""
    for path, assessment, other in _after(draft):
        told, mend = "", "Let its window close after the other opens."
        if "unscheduled" in assessment and "unscheduled" in other:
            told, mend = "what she asks for herself waits for nothing", "Take after out."
        elif asked_of_others(assessment, other):
            told, mend = f"{other['id']} is asked of other people only", "Let both have the same conditions."
        elif _on_one_day(draft, assessment):
            pairs = zip(_spans(draft, path[:-1], assessment), _spans(draft, path[:-1], other), strict=False)
            if any(second[1] <= first[0] for second, first in pairs):
                told = f"its window closes before {other['id']} opens"
        if told:
            yield draft.source.fault(path, "never_open", told, mend)


def _after(draft: Draft) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Where an order is written, what waits, and what it waits for."""
    assessments = draft.named("assessments")
    for path, assessment in draft.entries("assessments"):
        other = assessments.get(assessment.get("after") or "")
        if other:
            yield (*path, "after"), assessment, other


def _window_ids(assessment: dict[str, Any]) -> list[Any]:
    windows = assessment.get("windows") or []
    return sorted(str(window.get("id")) for window in windows if isinstance(window, dict))


def _on_one_day(draft: Draft, assessment: dict[str, Any]) -> bool:
    visits = [draft.named("visits").get(name, {}) for name in visits_asked(assessment)]
    wide = any((visit.get("before") or 0) + (visit.get("after") or 0) for visit in visits)
    return not wide and (mapping(assessment, "every").get("open_for") or 1) == 1


def alternates_of_what_can_be_missed(draft: Draft) -> Iterator[Fault]:
    assessments = draft.named("assessments")
    for path, assessment in draft.entries("assessments"):
        other = assessments.get(mapping(assessment, "instead_of").get("assessment") or "")
        place = (*path, "instead_of", "assessment")
        if other and "unscheduled" in other:
            message = f"{other['id']} is unscheduled, and so is never missed"
            yield draft.source.fault(place, "never_open", message, "Name one that has days of its own.")
        elif other and asked_of_others(assessment, other):
            message, mend = (
                f"{other['id']} is asked of other people only",
                "Let both have the same conditions.",
            )
            yield draft.source.fault(place, "never_open", message, mend)


def asked_of_others(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Whether nobody can fit the conditions of both."""
    first, second = mapping(one, "if"), mapping(two, "if")
    return any(
        key in first and key in second and not _set(first, key) & _set(second, key)
        for key in ("arms", "sites", "languages")
    )


def _set(holder: dict[str, Any], key: str) -> set[str]:
    return {str(value) for value in holder.get(key) or []}


# The same asked twice.


def diaries_without_overlap(draft: Draft) -> Iterator[Fault]:
    """Two rhythms or bursts that ask the same people the same instrument on the same day at the same hour."""
    for (path, one), (place, two) in combinations(draft.entries("assessments"), 2):
        same = one.get("instrument") == two.get("instrument") is not None
        if not same or asked_of_others(one, two):
            continue
        if _shared_days(draft, one, two) and _shared_hours(draft, (path, one), (place, two)):
            message = f"{one.get('id')} asks the same at the same time"
            mend = "Give them other days, other hours, or conditions of which only one can hold."
            rule = "burst" if "burst" in two else "every"
            yield draft.source.fault((*place, rule), "overlapping_diaries", message, mend)


def _shared_days(draft: Draft, one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Days counted from one anchor; days of the calendar are taken to fall on any."""
    first, second = _days(draft, one), _days(draft, two)
    return any(days & second.get(anchor, set()) for anchor, days in first.items())


def _days(draft: Draft, assessment: dict[str, Any]) -> Days:
    every, burst = mapping(assessment, "every"), mapping(assessment, "burst")
    if every.get("anchor") and every.get("from") is not None:
        anchor, first = draft.counted(every["anchor"], every["from"])
        return _until_the_end(draft, assessment, {anchor: set(_stretch(every, first))})
    found: Days = {}
    length = burst.get("days") or 0
    lead = length if "before" in burst else length // 2
    for visit in map(draft.named("visits").get, burst_visits(assessment)):
        if visit is not None and placed(visit):
            anchor, day = draft.counted(visit["anchor"], visit["day"])
            found.setdefault(anchor, set()).update(range(day - lead, day - lead + length))
    return _until_the_end(draft, assessment, found)


def _stretch(every: dict[str, Any], first: int) -> range:
    last = every.get("to", FAR)
    last = first - 1 if last is None else first + last - every["from"]
    step = every.get("days") or (every.get("weeks") or 0) * 7
    calendar = "weekdays" in every or "month_days" in every
    return range(first, last + 1, 1 if calendar or not step else step)


def _until_the_end(draft: Draft, assessment: dict[str, Any], found: Days) -> Days:
    """Where it ends by another anchor, nobody knows how many of the days come before: the first alone is taken."""
    end = end_of(draft, assessment)
    if end is None:
        return found
    return {
        anchor: {day for day in days if day < end[1]} if anchor == end[0] else set(sorted(days)[:1])
        for anchor, days in found.items()
    }


def _shared_hours(draft: Draft, one: Entry, two: Entry) -> bool:
    return any(a[0] < b[1] and b[0] < a[1] for a in _spans(draft, *one) for b in _spans(draft, *two))


def _spans(draft: Draft, path: Path, assessment: dict[str, Any]) -> list[tuple[int, int]]:
    """Opening and closing of each window of a day, in the order of their ids where there are several."""
    windows = assessment.get("windows") or [draft.told(path, assessment, "window")[1]]
    told = sorted(windows, key=lambda one: str((one or {}).get("id")) if isinstance(one, dict) else "")
    return [span for span in map(span_of, told) if span]


RULES: tuple[Callable[[Draft], Iterator[Fault]], ...] = (
    order_within_the_same_rule,
    order_that_can_come_about,
    alternates_of_what_can_be_missed,
    diaries_without_overlap,
)
