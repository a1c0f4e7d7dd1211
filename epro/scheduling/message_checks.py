"""The rules of a study file's `messages` that a schema cannot say: bounds that hold together, reminders that could
never go out, wordings that say no more than they may.

Rules like those of `checks.py`, over the same `Draft`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from epro.scheduling.checks import Draft, longest_window, minutes, span_of, words_of
from epro.scheduling.durations import CLOCK, format_clock, parse_clock
from epro.scheduling.messaging import DAY, DailyCap, QuietHours
from epro.scheduling.source import Fault, Path

FEWEST = 3  # wordings of a template: carriers reject the third identical text of a day


def check_messages(draft: Draft) -> list[Fault]:
    """Every fault against every rule."""
    return [fault for rule in RULES for fault in rule(draft)]


def _part(draft: Draft, *names: str) -> dict[str, Any]:
    holder: Any = draft.data.get("messages")
    for name in names:
        holder = holder.get(name) if isinstance(holder, dict) else None
    return holder if isinstance(holder, dict) else {}


def cap_in_order(draft: Draft) -> Iterator[Fault]:
    cap = _part(draft, "daily_cap")
    if any(cap.get(name, 0) is None for name in ("usual", "least", "most")):
        return
    made = DailyCap.from_canonical(cap)
    if not made.least <= made.usual <= made.most:
        message = f"from {made.least} to {made.most}, and {made.usual} is usual"
        mend = "Let least be usual or less, and most usual or more."
        yield draft.source.fault(("messages", "daily_cap"), "cap_reversed", message, mend)


def quiet_hours_within_bounds(draft: Draft) -> Iterator[Fault]:
    quiet = _part(draft, "quiet_hours")
    longest = minutes(quiet.get("longest"))
    if longest is None:
        longest = int(QuietHours.longest.total_seconds()) // 60
    for name in ("usual", "always"):
        span = _hours(quiet.get(name))
        if span and (span[1] - span[0]) % DAY > longest:
            message = (
                f"it lasts longer than {longest // 60}h {longest % 60:02}m, which is the longest allowed"
            )
            place = ("messages", "quiet_hours", name)
            yield draft.source.fault(place, "quiet_too_long", message, "Shorten it, or raise longest.")


def reminders_outside_quiet_hours(draft: Draft) -> Iterator[Fault]:
    quiet = _hours(_part(draft, "quiet_hours").get("always"))
    for path, assessment in draft.entries("assessments") if quiet else ():
        place, reminders = draft.told(path, assessment, "reminders")
        windows = assessment.get("windows") or [draft.told(path, assessment, "window")[1]]
        spans = [span for span in map(span_of, windows) if span]
        for n, reminder in enumerate(reminders or []):
            hours = [_hour(span, reminder) for span in spans] if isinstance(reminder, dict) else []
            if hours and all(hour is not None and _within(quiet, hour) for hour in hours):
                message = f"it comes at {format_clock(hours[0] or 0)}, within the hours that are always quiet"
                mend = "Remind at another hour, or shorten always."
                yield draft.source.fault((*place, n), "reminder_in_quiet_hours", message, mend)


def _hour(span: tuple[int, int], reminder: dict[str, Any]) -> int | None:
    """Minutes after midnight at which it comes, on whichever day."""
    after, before = minutes(reminder.get("after_opening")), minutes(reminder.get("before_closing"))
    if after is not None:
        return (span[0] + after) % DAY
    return None if before is None else (span[1] - before) % DAY


def _hours(listed: Any) -> tuple[int, int] | None:
    if not isinstance(listed, list) or len(listed) != 2:
        return None
    sound = all(isinstance(hour, str) and CLOCK.fullmatch(hour) for hour in listed)
    return (parse_clock(listed[0]), parse_clock(listed[1])) if sound else None


def _within(hours: tuple[int, int] | None, moment: int) -> bool:
    assert hours is not None
    first, last = hours
    return (moment - first) % DAY < (last - first) % DAY


def snoozes_of_some_length(draft: Draft) -> Iterator[Fault]:
    snooze = _part(draft, "snooze")
    if snooze.get("times") != 0 and minutes(snooze.get("longest")) == 0:
        place = ("messages", "snooze", "longest")
        message, mend = "a reminder put off by nothing", "Give a length, or times: 0 for no snooze at all."
        yield draft.source.fault(place, "snooze_of_nothing", message, mend)


def snoozes_within_a_window(draft: Draft) -> Iterator[Fault]:
    longest, window = minutes(_part(draft, "snooze").get("longest")), longest_window(draft)
    if longest and window and longest >= window:
        message = f"no window of the study lasts longer than {words_of(window)}"
        mend = f"Let it be shorter than {words_of(window)}."
        yield draft.source.fault(("messages", "snooze", "longest"), "snooze_beyond_windows", message, mend)


def cap_that_lets_reminders_out(draft: Draft) -> Iterator[Fault]:
    holders = [entry for _, entry in draft.entries("assessments")] + [draft.data.get("defaults") or {}]
    if _part(draft, "daily_cap").get("usual") == 0 and any(one.get("reminders") for one in holders):
        message, mend = "no reminder would ever go out", "Let usual be 1 or more, or take the reminders out."
        yield draft.source.fault(("messages", "daily_cap", "usual"), "cap_of_nothing", message, mend)


def texts_enough_and_unlike(draft: Draft) -> Iterator[Fault]:
    for language in draft.languages():
        seen: dict[str, int] = {}
        for place, words in _wordings(draft, language):
            if words in seen:
                message = f"the same words stand in line {seen[words]}"
                yield draft.source.fault(place, "text_twice", message, "Say it in other words.")
            seen.setdefault(words, draft.source.line(place))
    for template, listed in _part(draft, "texts").items():
        if isinstance(listed, list) and 0 < len(listed) < FEWEST:
            message = f"{len(listed)} of {template}, and carriers reject the third identical text of a day"
            mend = f"Write at least {FEWEST} wordings."
            yield draft.source.fault(("messages", "texts", template), "too_few_texts", message, mend)


def texts_say_no_more_than_they_may(draft: Draft) -> Iterator[Fault]:
    for language in draft.languages() if draft.guard else ():
        for place, words in _wordings(draft, language):
            assert draft.guard is not None
            for wrong in draft.guard(words, language):
                mend = "Say only that something is there to be filled in, and where."
                yield draft.source.fault(place, "bad_wording", f"it {wrong}", mend)


def _wordings(draft: Draft, language: str) -> Iterator[tuple[Path, str]]:
    for template, listed in _part(draft, "texts").items():
        for n, text in enumerate(listed if isinstance(listed, list) else []):
            words = text.get(language) if isinstance(text, dict) else None
            if isinstance(words, str):
                yield ("messages", "texts", template, n, language), words


def registered_for_every_text(draft: Draft) -> Iterator[Fault]:
    texts = _part(draft, "texts")
    for country, by_template in _part(draft, "registered").items():
        for template, by_language in by_template.items() if isinstance(by_template, dict) else ():
            listed = texts.get(template)
            for language, ids in by_language.items() if isinstance(by_language, dict) else ():
                place = ("messages", "registered", country, template, language)
                if draft.languages() and language not in draft.languages():
                    message = f"{language} is not among the study's languages"
                    yield draft.source.fault(place, "unknown_language", message, "Take it out.")
                elif isinstance(listed, list) and isinstance(ids, list) and len(ids) != len(listed):
                    message = f"{len(ids)} ids for {len(listed)} wordings"
                    mend = "Give one id for each wording, in the order of the wordings."
                    yield draft.source.fault(place, "registered_uneven", message, mend)


RULES: tuple[Callable[[Draft], Iterator[Fault]], ...] = (
    cap_in_order,
    quiet_hours_within_bounds,
    reminders_outside_quiet_hours,
    snoozes_of_some_length,
    snoozes_within_a_window,
    cap_that_lets_reminders_out,
    texts_enough_and_unlike,
    texts_say_no_more_than_they_may,
    registered_for_every_text,
)
