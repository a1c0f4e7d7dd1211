"""Where a study file contradicts itself about time: what can never open, or waits in a circle.

Rules like those of `checks.py`, over the same `Draft`. Nothing here runs a plan: a file is judged by what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from epro.scheduling.checks import Draft, minutes, part, placed, span_of, visits_asked, within_reach
from epro.scheduling.protocol import DAY
from epro.scheduling.rules import FAR, WEEKDAYS
from epro.scheduling.shape import one_of
from epro.scheduling.source import Fault, Path


def check_contradictions(draft: Draft) -> list[Fault]:
    """Every fault against every rule."""
    return [fault for rule in RULES for fault in rule(draft)]


def mapping(holder: dict[str, Any], key: str) -> dict[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


# Anchors.


def anchors_of_one_kind(draft: Draft) -> Iterator[Fault]:
    for path, anchor in draft.entries("anchors"):
        answer, counted = "first_answer_of" in anchor, "from" in anchor
        told = None
        if answer and counted:
            told = "it is the day of an answer and counts from another anchor", "Keep one of them."
        elif "when" in anchor and not answer:
            told = "when is given without first_answer_of", "Say whose answer is meant, or drop when."
        elif (answer or counted) and anchor.get("required_at_enrolment"):
            told = "it comes by itself and is required at enrolment", "Do not require it."
        if told:
            yield draft.source.fault(path, "bad_anchor", *told)


def answers_that_set_anchors(draft: Draft) -> Iterator[Fault]:
    for path, anchor in draft.entries("anchors"):
        when = anchor.get("when")
        if not isinstance(when, dict):
            continue
        place, entry = (*path, "when"), {"assessment": anchor.get("first_answer_of")}
        yield from part(draft, place, entry, when, "item")
        yield from part(draft, place, entry, when, "scale")
        yield from within_reach(draft, place, entry, when)
        if ("item" in when) == ("scale" in when):
            mend = "Give item or scale, not both."
            yield draft.source.fault(place, "item_or_scale", "it must look at one item or one scale", mend)
        count = ("at_least" in when) + ("at_most" in when)
        if count != 1:
            mend = "Give one of at_least, at_most."
            yield draft.source.fault(place, "one_comparison", f"{count} comparisons", mend)


# References.


def known_references(draft: Draft) -> Iterator[Fault]:
    """Arms, sites, languages and assessments that are named must be there."""
    known: dict[str, Any] = {
        "arm": draft.named("arms"),
        "site": draft.named("sites"),
        "language": draft.languages(),
        "assessment": draft.named("assessments"),
    }
    for kind, path, name in _references(draft):
        if name is not None and name not in known[kind] and (kind != "language" or known[kind]):
            message, mend = f"there is no {kind} {name}", one_of(str(name), known[kind])
            yield draft.source.fault(path, f"unknown_{kind}", message, mend)


def _references(draft: Draft) -> Iterator[tuple[str, Path, Any]]:
    for path, anchor in draft.entries("anchors"):
        yield "assessment", (*path, "first_answer_of"), anchor.get("first_answer_of")
    for path, assessment in draft.entries("assessments"):
        yield "assessment", (*path, "after"), assessment.get("after")
        other = mapping(assessment, "instead_of").get("assessment")
        yield "assessment", (*path, "instead_of", "assessment"), other
        for kind in ("arm", "site", "language"):
            for n, name in enumerate(mapping(assessment, "if").get(f"{kind}s") or []):
                yield kind, (*path, "if", f"{kind}s", n), name


# Rhythms, bursts, windows of a day, ends.


def one_rhythm(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        every = assessment.get("every")
        if not isinstance(every, dict):
            continue
        given = [key for key in ("days", "weeks", "weekdays", "month_days") if key in every]
        if len(given) != 1 and given != ["weeks", "weekdays"]:
            message = f"{' and '.join(given)} are given" if given else "no rhythm is given"
            mend = "Give one of days, weeks, weekdays, month_days; weeks may stand beside weekdays."
            yield draft.source.fault((*path, "every"), "one_rhythm", message, mend)
        if "to" not in every and "until" not in assessment:
            mend = "Add to: A whole number of days from the anchor; or add until to the assessment."
            yield draft.source.fault((*path, "every", "to"), "missing_key", "to is missing", mend)


def bursts_of_one_side(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        burst = assessment.get("burst")
        if isinstance(burst, dict) and ("around" in burst) == ("before" in burst):
            message, mend = "a burst lies around visits or before them", "Give around or before."
            yield draft.source.fault((*path, "burst"), "bad_burst", message, mend)


def bursts_without_overlap(draft: Draft) -> Iterator[Fault]:
    visits = draft.named("visits")
    for path, assessment in draft.entries("assessments"):
        burst = mapping(assessment, "burst")
        days = burst.get("days") or 0
        known = [visits[name] for name in burst_visits(assessment) if placed(visits.get(name))]
        asked = sorted((*draft.counted(one["anchor"], one["day"]), str(one.get("id"))) for one in known)
        for one, two in pairwise(asked):
            if one[0] == two[0] and one[2] != two[2] and two[1] - one[1] < days:
                message = f"the bursts of {one[2]} and {two[2]} overlap"
                mend = "Shorten the burst, or give it at one of them only."
                yield draft.source.fault((*path, "burst"), "overlapping_visits", message, mend)


def burst_visits(assessment: dict[str, Any]) -> list[str]:
    burst = mapping(assessment, "burst")
    return [name for side in ("around", "before") for name in burst.get(side) or [] if name]


def windows_of_a_day(draft: Draft) -> Iterator[Fault]:
    visits = draft.named("visits")
    for path, assessment in draft.entries("assessments"):
        if "windows" not in assessment:
            continue
        place: Path = (*path, "windows")
        wide = [visits.get(name, {}) for name in assessment.get("at") or []]
        wide += [{"after": (mapping(assessment, "every").get("open_for") or 1) - 1}]
        if "window" in assessment:
            mend = "Keep window for one a day, or windows for several."
            yield draft.source.fault(place, "two_windows", "window and windows are both given", mend)
        elif "instead_of" in assessment or "unscheduled" in assessment:
            message = "several windows a day go with at, every and burst only"
            yield draft.source.fault(place, "two_windows", message, "Give one window.")
        elif any((visit.get("before") or 0) + (visit.get("after") or 0) for visit in wide):
            message = "several windows a day, and each stands open on several days"
            mend = "Let it stand open on one day, or give one window."
            yield draft.source.fault(place, "overlapping_windows", message, mend)
        yield from _within_a_day(draft, place, assessment["windows"] or [])


def _within_a_day(draft: Draft, place: Path, windows: list[Any]) -> Iterator[Fault]:
    names = [window.get("id") for window in windows if isinstance(window, dict)]
    for n, name in enumerate(names):
        if name is not None and name in names[:n]:
            message, mend = f"another window has the id {name}", "Give each its own id."
            yield draft.source.fault((*place, n, "id"), "duplicate_id", message, mend)
    lasting = [window for window in windows if span_of(window) and window["opens"] != window["closes"]]
    spans = sorted(span for span in map(span_of, lasting) if span)
    following = [*spans[1:], *((opens + DAY, 0) for opens, _ in spans[:1])]
    for one, two in zip(spans, following, strict=True):
        if one[1] > two[0]:
            message = "two of these windows are open at the same time"
            yield draft.source.fault(place, "overlapping_windows", message, "Close the earlier one sooner.")
            return


def sound_ends(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        until = mapping(assessment, "until")
        told = None
        if "visit" in until and len(until) > 1:
            told = "a visit has its own anchor and day", "Give visit alone."
        elif set(until) == {"day"} and not assessment.get("every"):
            told = "it is not said from which anchor this day counts", "Add anchor."
        if told:
            yield draft.source.fault((*path, "until"), "bad_until", *told)


# What can never open.


def windows_that_can_open(draft: Draft) -> Iterator[Fault]:
    """The end must lie behind the first day, and a short stretch of days must hold one that the calendar names."""
    for path, assessment in draft.entries("assessments"):
        every, end = mapping(assessment, "every"), end_of(draft, assessment)
        days = [day for anchor, day in _first_days(draft, assessment) if end and anchor == end[0]]
        others = [anchor for anchor, _ in _first_days(draft, assessment) if end and anchor != end[0]]
        told = ""
        if end and days and not others and min(days) >= end[1]:
            told = f"it ends on day {end[1]} of {end[0]}, and its first day is day {min(days)}"
        elif end and (since := _since(draft, assessment)) and since[0] == end[0] and since[1] >= end[1]:
            told = f"it ends on day {end[1]} of {end[0]}, and is asked from day {since[1]} on"
        if told:
            mend = "Let until lie behind the first day."
            yield draft.source.fault((*path, "until"), "never_open", told, mend)
            continue
        first, last = every.get("from"), every.get("to", FAR)
        if first is not None and last is not None and end and days:
            last = min(last, first + end[1] - 1 - days[0])
        needed = _longest_wait(every)
        if first is not None and last is not None and 0 <= last - first < needed - 1:
            message = f"in {last - first + 1} days there may be none of these"
            mend = f"Let from and its end span {needed} days or more."
            yield draft.source.fault((*path, "every"), "never_open", message, mend)


def _since(draft: Draft, assessment: dict[str, Any]) -> tuple[str, int] | None:
    """Anchor and day from which on its condition lets it be asked, less the days that a window stands open longer."""
    anchor = mapping(assessment, "if").get("anchor")
    if not anchor:
        return None
    visits = [draft.named("visits").get(name) or {} for name in visits_asked(assessment)]
    wide = [(visit.get("before") or 0) + (visit.get("after") or 0) for visit in visits]
    rules = [mapping(assessment, rule).get("open_for") or 1 for rule in ("every", "instead_of")]
    base, day = draft.counted(anchor, 0)
    return base, day - max([*wide, *(days - 1 for days in rules)])


def _longest_wait(every: dict[str, Any]) -> int:
    """A stretch of so many days certainly holds one that the calendar names; 0 where no calendar is asked."""
    names = [name for name in every.get("weekdays") or [] if name in WEEKDAYS]
    if names:
        days = sorted(WEEKDAYS.index(name) for name in names)
        week = 7 * (every.get("weeks") or 1)
        return max(two - one for one, two in pairwise([*days, days[0] + week]))
    numbers = sorted(day for day in every.get("month_days") or [] if day)
    return max(two - one for one, two in pairwise([*numbers, numbers[0] + 31])) if numbers else 0


def end_of(draft: Draft, assessment: dict[str, Any]) -> tuple[str, int] | None:
    """Anchor and day of the end, as far as both can be told."""
    until = mapping(assessment, "until")
    if "visit" in until:
        visit = draft.named("visits").get(until["visit"] or "")
        return draft.counted(visit["anchor"], visit["day"]) if visit and placed(visit) else None
    anchor = until.get("anchor") or mapping(assessment, "every").get("anchor")
    return draft.counted(anchor, until.get("day") or 0) if until and anchor else None


def _first_days(draft: Draft, assessment: dict[str, Any]) -> list[tuple[str, int]]:
    """Anchor and first day of all that it is asked at."""
    every = mapping(assessment, "every")
    if every.get("anchor") and every.get("from") is not None:
        return [draft.counted(every["anchor"], every["from"])]
    names = [*visits_asked(assessment), *burst_visits(assessment)]
    visits = [draft.named("visits").get(name) for name in names]
    burst = mapping(assessment, "burst")
    days = burst.get("days") or 0
    lead = days if "before" in burst else days // 2
    return [
        draft.counted(v["anchor"], v["day"] - (lead or v.get("before") or 0))
        for v in visits
        if v and placed(v)
    ]


def nothing_in_a_circle(draft: Draft) -> Iterator[Fault]:
    """Anchors, order and alternates that wait for each other: whatever is not reached from the outside."""
    anchors, assessments = draft.named("anchors"), draft.named("assessments")
    reached: set[tuple[str, str]] = set()
    before = -1
    while len(reached) != before:
        before = len(reached)
        reached |= {
            ("anchor", id) for id, one in anchors.items() if _is_set(one, anchors, assessments, reached)
        }
        reached |= {("asked", id) for id, one in assessments.items() if _is_asked(draft, one, reached)}
    for kind, name, mend in (
        ("anchor", "anchors", "Let one of them be set by the site, or count from one that is."),
        ("asked", "assessments", "Let one of them wait for nothing that waits for it."),
    ):
        for path, entry in draft.entries(name):
            if entry.get("id") and (kind, entry["id"]) not in reached:
                message = f"{entry['id']} waits for what waits for it"
                yield draft.source.fault(path, "circular", message, mend)


def _is_set(
    anchor: dict[str, Any],
    anchors: dict[str, Any],
    assessments: dict[str, Any],
    reached: set[tuple[str, str]],
) -> bool:
    """Whether its day can ever come; what is told elsewhere (a name that is unknown) counts as reached."""
    answer, base = anchor.get("first_answer_of"), mapping(anchor, "from").get("anchor")
    return (answer not in assessments or ("asked", answer) in reached) and (
        base not in anchors or ("anchor", base) in reached
    )


def _is_asked(draft: Draft, assessment: dict[str, Any], reached: set[tuple[str, str]]) -> bool:
    anchors, assessments = draft.named("anchors"), draft.named("assessments")
    needed = [assessment.get("after"), mapping(assessment, "instead_of").get("assessment")]
    if any(name in assessments and ("asked", name) not in reached for name in needed if name):
        return False
    wanted = mapping(assessment, "if").get("anchor")
    if wanted in anchors and ("anchor", wanted) not in reached:
        return False
    from_anchors = [anchor for anchor, _ in _first_days(draft, assessment)]
    return not from_anchors or any(
        anchor not in anchors or ("anchor", anchor) in reached for anchor in from_anchors
    )


def answering_within_grace(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        answering = minutes(assessment.get("while_answering"))
        grace = minutes(draft.told(path, assessment, "sync_grace")[1])
        if answering is not None and grace is not None and answering > grace:
            message = "it would be missed while it may still be answered"
            mend = "Let sync_grace be as long, or longer."
            place = (*path, "while_answering")
            yield draft.source.fault(place, "answering_beyond_grace", message, mend)


RULES: tuple[Callable[[Draft], Iterator[Fault]], ...] = (
    anchors_of_one_kind,
    answers_that_set_anchors,
    known_references,
    one_rhythm,
    bursts_of_one_side,
    bursts_without_overlap,
    windows_of_a_day,
    sound_ends,
    windows_that_can_open,
    nothing_in_a_circle,
    answering_within_grace,
)
