"""The rules of a study file that a schema cannot say: references, translations, windows that fit.

Each rule is a generator over a `Draft`, that is the file as far as its shape is sound: a value that the schema
has refused is None here and no rule speaks about it again. So all faults come out in one go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

from epro.scheduling import patterns
from epro.scheduling.durations import CLOCK, DURATION, parse_clock, parse_duration
from epro.scheduling.protocol import COMPARISONS, DAY
from epro.scheduling.rules import WEEKDAYS
from epro.scheduling.shape import one_of
from epro.scheduling.source import Fault, Path, Source

Span = tuple[float, float]  # the least and the most that an answer or a score can be


@dataclass(frozen=True)
class Known:
    """What a study file can be checked against: an instrument's languages, items and scales."""

    languages: Collection[str]
    items: Mapping[str, Span] = field(default_factory=dict)
    scales: Mapping[str, Span] = field(default_factory=dict)
    asked: bool = True  # False: derived from other answers, and not asked of anybody
    weekly: Mapping[str, Span] = field(default_factory=dict)  # scales of a diary's weeks


Guard = Callable[[str, str], list[str]]  # (words of a message, language) -> what is wrong with them
Instruments = Mapping[tuple[str, str], Known]  # (code, version) -> what it has
Entry = tuple[Path, dict[str, Any]]

_INHERITED = ("window", "sync_grace", "reminders", "at_risk", "on_miss")
_NOT_ZONES = {"Factory", "localtime"}  # in the database, and not a place

# ISO 639-1. A code of three letters is taken by its form alone.
_LANGUAGES = """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka
    kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng
    nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su
    sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_COUNTRY_FOR_LANGUAGE = {
    "cn": "zh-CN",
    "jp": "ja",
    "kp": "ko",
    "cz": "cs",
    "dk": "da",
    "ua": "uk",
    "in": "hi",
}
# All of China keeps one time, and the database names it by one city.
_CITY_WITHOUT_ZONE = dict.fromkeys(
    ("Beijing", "Chengdu", "Guangzhou", "Hangzhou", "Nanjing", "Shenzhen", "Tianjin", "Wuhan", "Xian"),
    "Asia/Shanghai",
)


@dataclass(frozen=True)
class Draft:
    """The file, its lines, the instruments that exist and the guard of messages (None: not asked)."""

    data: dict[str, Any]
    source: Source
    instruments: Instruments | None
    guard: Guard | None = None

    def entries(self, name: str) -> list[Entry]:
        listed = self.data.get(name) or []
        return [((name, n), entry) for n, entry in enumerate(listed) if isinstance(entry, dict)]

    def named(self, name: str) -> dict[str, dict[str, Any]]:
        """Entries by id. Ids that the schema refuses are known all the same, so that no reference to one is told."""
        raw = self.source.data.get(name)
        written = raw if isinstance(raw, list) else []
        refused: dict[str, dict[str, Any]] = {
            str(entry["id"]): {} for entry in written if isinstance(entry, dict) and "id" in entry
        }
        return refused | {entry["id"]: entry for _, entry in self.entries(name) if entry.get("id")}

    def study(self) -> dict[str, Any]:
        return self.data.get("study") or {}

    def languages(self) -> list[str]:
        """The study's languages, as far as they are languages."""
        return [tag for tag in self.study().get("languages") or [] if tag and _is_language(tag)]

    def counted(self, anchor: str, day: int) -> tuple[str, int]:
        """A day from an anchor as a day from the anchor that this one counts from, as far as that can be told."""
        anchors, seen = self.named("anchors"), {anchor}
        while isinstance(counted := anchors.get(anchor, {}).get("from"), dict):
            base, days = counted.get("anchor"), counted.get("days")
            if not base or base in seen or days is None:
                break
            anchor, day = base, day + days
            seen.add(anchor)
        return anchor, day

    def told(self, path: Path, assessment: dict[str, Any], key: str) -> tuple[Path, Any]:
        """What holds for this assessment, and where that is written: in itself or among the defaults."""
        if key in assessment:
            return (*path, key), assessment[key]
        return ("defaults", key), (self.data.get("defaults") or {}).get(key)


def check_rules(draft: Draft) -> list[Fault]:
    """Every fault against every rule."""
    return [fault for rule in RULES for fault in rule(draft)]


# Names.


def unique_ids(draft: Draft) -> Iterator[Fault]:
    for name in ("anchors", "arms", "sites", "visits", "assessments", "alerts", "endpoints"):
        yield from _repeats(draft, name, "id", "duplicate_id")
    yield from _repeats(draft, "visits", "number", "duplicate_number")


def _repeats(draft: Draft, name: str, key: str, code: str) -> Iterator[Fault]:
    seen: dict[Any, int] = {}
    for path, entry in draft.entries(name):
        value = entry.get(key)
        if value in seen:
            message = f"another of the {name} has the {key} {value}, in line {seen[value]}"
            yield draft.source.fault((*path, key), code, message, f"Give each its own {key}.")
        elif value is not None:
            seen[value] = draft.source.line((*path, key))


def reserved_ids(draft: Draft) -> Iterator[Fault]:
    for path, visit in draft.entries("visits"):
        if re.fullmatch(r"d-?[0-9]+", visit.get("id") or ""):
            message = f"{visit['id']} is how the days of a rhythm are named"
            mend = f"Name the visit otherwise, such as day{visit['id'][1:].lstrip('-')}."
            yield draft.source.fault((*path, "id"), "reserved_id", message, mend)


def known_anchors(draft: Draft) -> Iterator[Fault]:
    anchors = draft.named("anchors")
    for path, name in _anchors_used(draft):
        if anchors and name not in anchors:
            yield draft.source.fault(
                path, "unknown_anchor", f"there is no anchor {name}", one_of(name, anchors)
            )


def _anchors_used(draft: Draft) -> Iterator[tuple[Path, str]]:
    for path, visit in draft.entries("visits"):
        if visit.get("anchor"):
            yield (*path, "anchor"), visit["anchor"]
    for path, assessment in draft.entries("assessments"):
        if (assessment.get("every") or {}).get("anchor"):
            yield (*path, "every", "anchor"), assessment["every"]["anchor"]
    for name, key in (("anchors", "from"), ("assessments", "until"), ("assessments", "if")):
        for path, entry in draft.entries(name):
            holder = entry.get(key)
            if isinstance(holder, dict) and holder.get("anchor"):
                yield (*path, key, "anchor"), holder["anchor"]


def needed_anchors(draft: Draft) -> Iterator[Fault]:
    used = {name for _, name in _anchors_used(draft)}
    for path, anchor in draft.entries("anchors"):
        if anchor.get("required_at_enrolment") and anchor.get("id") and anchor["id"] not in used:
            message = f"{anchor['id']} is required at enrolment and nothing hangs on it"
            mend = "Let a visit or a rhythm use it, or do not require it."
            yield draft.source.fault((*path, "required_at_enrolment"), "unused_anchor", message, mend)


def known_visits(draft: Draft) -> Iterator[Fault]:
    visits = draft.named("visits")
    for path, name in _visits_named(draft):
        if name and name not in visits:
            yield draft.source.fault(path, "unknown_visit", f"there is no visit {name}", one_of(name, visits))


def _visits_named(draft: Draft) -> Iterator[tuple[Path, Any]]:
    for path, assessment in draft.entries("assessments"):
        burst, until = assessment.get("burst") or {}, assessment.get("until") or {}
        lists = [((*path, "at"), assessment.get("at"))]
        lists += [((*path, "burst", side), burst.get(side)) for side in ("around", "before")]
        for place, names in lists:
            yield from (((*place, n), name) for n, name in enumerate(names or []))
        yield (*path, "until", "visit"), until.get("visit")


def known_zones(draft: Draft) -> Iterator[Fault]:
    places: list[tuple[Path, Any]] = [(("study", "time_zone"), draft.study().get("time_zone"))]
    places += [((*path, "time_zone"), site.get("time_zone")) for path, site in draft.entries("sites")]
    for path, zone in places:
        if zone and zone not in _zones():
            yield draft.source.fault(
                path, "unknown_time_zone", f"there is no time zone {zone}", _zone_meant(zone)
            )


def _zone_meant(zone: str) -> str:
    near = get_close_matches(zone, _zones(), n=1, cutoff=0.8)
    meant = _CITY_WITHOUT_ZONE.get(zone.split("/")[-1]) or (near[0] if near else None)
    return f"Did you mean {meant}?" if meant else "Name it by continent and city, such as Asia/Shanghai."


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_ZONES)


def sound_pattern(draft: Draft) -> Iterator[Fault]:
    pattern, path = draft.study().get("subject_id_pattern"), ("study", "subject_id_pattern")
    try:
        if not patterns.ends_soon(pattern or ""):
            message = "it can be tried in so many ways that one id could keep the server busy for years"
            mend = "Repeat single characters, such as [0-9]{3}, and no repetitions."
            yield draft.source.fault(path, "bad_pattern", message, mend)
    except re.error as error:
        yield draft.source.fault(
            path, "bad_pattern", f"not a regular expression: {error}", "Mend or drop it."
        )


# Languages.


def known_languages(draft: Draft) -> Iterator[Fault]:
    for n, language in enumerate(draft.study().get("languages") or []):
        if language and not _is_language(language):
            stem = language.split("-")[0]
            meant = _COUNTRY_FOR_LANGUAGE.get(stem)
            mend = f"Did you mean {meant}?" if meant else "Use a language code of ISO 639, such as zh-CN."
            place = ("study", "languages", n)
            yield draft.source.fault(place, "bad_language", f"{stem} is not the code of a language", mend)


def _is_language(tag: str) -> bool:
    stem = tag.split("-")[0]
    return len(stem) != 2 or stem in _LANGUAGES.split()


def listed_default_language(draft: Draft) -> Iterator[Fault]:
    language, path = draft.study().get("default_language"), ("study", "default_language")
    if language and draft.languages() and language not in draft.languages():
        message = f"{language} is not among the study's languages"
        yield draft.source.fault(
            path, "default_language_not_listed", message, one_of(language, draft.languages())
        )


def translated_texts(draft: Draft) -> Iterator[Fault]:
    languages = draft.languages()
    for path, text in _texts(draft):
        if missing := [language for language in languages if language not in text]:
            words = " and ".join(missing)
            mend = f"Add the words in {words}, or take {words} off the study's languages."
            yield draft.source.fault(path, "missing_translation", f"no words in {words}", mend)
        for language in text:
            if languages and language not in languages and not _refused(draft, (*path, language)):
                message, mend = f"{language} is not among the study's languages", one_of(language, languages)
                yield draft.source.fault((*path, language), "unknown_language", message, mend)


def _refused(draft: Draft, path: Path) -> bool:
    """Whether the shape of this key or of the study's own list has been told as faulty already."""
    return not re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", str(path[-1]))


def _texts(draft: Draft) -> Iterator[tuple[Path, dict[str, Any]]]:
    places: list[tuple[Path, Any]] = [(("study", key), draft.study().get(key)) for key in ("title", "note")]
    for name in ("anchors", "arms", "sites", "visits", "assessments"):
        key = "name" if name == "sites" else "label"
        places += [((*path, key), entry.get(key)) for path, entry in draft.entries(name)]
    messages = draft.data.get("messages")
    written = messages.get("texts") if isinstance(messages, dict) else None
    for name, listed in written.items() if isinstance(written, dict) else ():
        places += [(("messages", "texts", name, n), text) for n, text in enumerate(listed or [])]
    return ((path, text) for path, text in places if isinstance(text, dict) and text)


# Instruments.


def known_instruments(draft: Draft) -> Iterator[Fault]:
    if draft.instruments is None:
        return
    for path, assessment in draft.entries("assessments"):
        wanted = assessment.get("instrument") or {}
        if wanted.get("code") and wanted.get("version"):
            yield from _instrument(draft, (*path, "instrument"), wanted["code"], wanted["version"])


def _instrument(draft: Draft, path: Path, code: str, version: str) -> Iterator[Fault]:
    assert draft.instruments is not None
    versions = {known[1] for known in draft.instruments if known[0] == code}
    if not versions:
        mend = one_of(code, {known[0] for known in draft.instruments})
        yield draft.source.fault(
            (*path, "code"), "unknown_instrument", f"there is no instrument {code}", mend
        )
    elif version not in versions:
        message, mend = f"{code} has no version {version}", f"Use one of: {', '.join(sorted(versions))}."
        yield draft.source.fault((*path, "version"), "unknown_instrument_version", message, mend)
    elif not draft.instruments[code, version].asked:
        message = f"{code} is derived from other answers and asked of nobody"
        mend = "Ask the instrument that it is derived from."
        yield draft.source.fault((*path, "code"), "derived_instrument", message, mend)
    elif missing := [
        lang for lang in draft.languages() if lang not in draft.instruments[code, version].languages
    ]:
        words = " and ".join(missing)
        mend = f"Import a wording pack of {code} in {words}, or take {words} off the study's languages."
        message = f"{code} {version} has no wording in {words}"
        yield draft.source.fault(path, "instrument_language_missing", message, mend)


# Days and windows.


def days_in_order(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        every = assessment.get("every") or {}
        first, last = every.get("from"), every.get("to")
        if first is not None and last is not None and first > last:
            message = f"from day {first} to day {last} there is no day"
            yield draft.source.fault(
                (*path, "every", "to"), "days_reversed", message, "Let to be from or later."
            )


def needed_settings(draft: Draft) -> Iterator[Fault]:
    defaults = draft.source.data.get("defaults")
    inherited = defaults if isinstance(defaults, dict) else {}
    for path, assessment in draft.entries("assessments"):
        for key in ("window", "sync_grace"):
            by_several = key == "window" and "windows" in assessment
            if key not in assessment and key not in inherited and not by_several:
                mend = f"Add {key} here or under defaults."
                yield draft.source.fault((*path, key), "missing_key", f"{key} is missing", mend)


def windows_that_open(draft: Draft) -> Iterator[Fault]:
    for path, window in _windows_as_written(draft):
        if window["opens"] == window["closes"]:
            message = f"it opens and closes at {window['opens']}: nothing, or a whole day?"
            mend = 'For a whole day write opens: "00:00" and closes: "24:00"; else let closes differ.'
            yield draft.source.fault((*path, "closes"), "zero_length_window", message, mend)


def _windows_as_written(draft: Draft) -> Iterator[tuple[Path, dict[str, str]]]:
    holders = [*draft.entries("assessments"), (("defaults",), draft.data.get("defaults") or {})]
    for path, holder in holders:
        if _is_window(holder.get("window")):
            yield (*path, "window"), holder["window"]
        for n, window in enumerate(holder.get("windows") or []):
            if _is_window(window):
                yield (*path, "windows", n), window


def _is_window(window: Any) -> bool:
    return isinstance(window, dict) and all(
        isinstance(window.get(key), str) and CLOCK.fullmatch(window[key]) for key in ("opens", "closes")
    )


def rhythms_without_overlap(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        days = _gap(assessment.get("every") or {})
        lengths = _lengths(draft, path, assessment)
        if days and lengths and lengths[0][1] > days * DAY:
            message = f"each window lasts {words_of(lengths[0][1])}, and the next opens after {words_of(days * DAY)}"
            mend = "Close it earlier, lower open_for, or raise days."
            yield draft.source.fault((*path, "every"), "overlapping_windows", message, mend)


def _gap(every: dict[str, Any]) -> int | None:
    """The fewest days from one window of a rhythm to the next."""
    names = [name for name in every.get("weekdays") or [] if name in WEEKDAYS]
    if names:
        days, turn = sorted(WEEKDAYS.index(name) for name in names), 7
    elif numbers := [day for day in every.get("month_days") or [] if day]:
        days, turn = sorted({min(day, 28) for day in numbers}), 28  # February is the shortest
    else:
        return every.get("days") or 7 * (every.get("weeks") or 0) or None
    return min(two - one for one, two in pairwise([*days, days[0] + turn]))


def visits_without_overlap(draft: Draft) -> Iterator[Fault]:
    visits = draft.named("visits")
    for path, assessment in draft.entries("assessments"):
        span = _span(draft, path, assessment)
        known = [
            _placed(draft, visits[name]) for name in visits_asked(assessment) if placed(visits.get(name))
        ]
        known.sort(key=lambda visit: (visit["anchor"], visit["day"] - _around(visit, "before")))
        for one, two in pairwise(known):
            if span and one["anchor"] == two["anchor"] and _end(one, span) > _start(two, span):
                message = f"the windows of {one['id']} and {two['id']} overlap"
                mend = "Narrow before or after of these visits, or ask this at one of them only."
                yield draft.source.fault((*path, "at"), "overlapping_visits", message, mend)


def visits_asked(assessment: dict[str, Any]) -> list[str]:
    """The visits of `at`, each once."""
    return list(dict.fromkeys(name for name in assessment.get("at") or [] if name))


def placed(visit: dict[str, Any] | None) -> bool:
    """Whether it has an anchor and a day, as far as the shape is sound."""
    return visit is not None and visit.get("anchor") is not None and visit.get("day") is not None


def _placed(draft: Draft, visit: dict[str, Any]) -> dict[str, Any]:
    """The visit with its day counted from the anchor that its own counts from."""
    anchor, day = draft.counted(visit["anchor"], visit["day"])
    return visit | {"anchor": anchor, "day": day}


def _around(visit: dict[str, Any], side: str) -> int:
    return int(visit.get(side) or 0)


def _start(visit: dict[str, Any], span: tuple[int, int]) -> int:
    return int(visit["day"] - _around(visit, "before")) * DAY + span[0]


def _end(visit: dict[str, Any], span: tuple[int, int]) -> int:
    return int(visit["day"] + _around(visit, "after")) * DAY + span[1]


def _span(draft: Draft, path: Path, assessment: dict[str, Any]) -> tuple[int, int] | None:
    """That of the window, or of the shortest of several windows a day."""
    if several := [span for span in map(span_of, assessment.get("windows") or []) if span]:
        return min(several, key=lambda span: span[1] - span[0])
    return span_of(draft.told(path, assessment, "window")[1])


def span_of(window: Any) -> tuple[int, int] | None:
    """Minutes from midnight to opening and to closing; the closing may lie past midnight. None for what is unsound."""
    if not _is_window(window):
        return None
    opens, closes = parse_clock(window["opens"]), parse_clock(window["closes"])
    return (opens, closes) if closes > opens else (opens, closes + DAY)


def _lengths(draft: Draft, path: Path, assessment: dict[str, Any]) -> list[tuple[str, int]]:
    """How long the windows last by the clock on the wall, in minutes, shortest first, each with its name."""
    span, visits = _span(draft, path, assessment), draft.named("visits")
    if not span:
        return []
    if not assessment.get("at"):
        rule = assessment.get("every") or assessment.get("instead_of") or {}
        days = {"the window": rule.get("open_for") or 1}
    else:
        known = {name: visits[name] for name in visits_asked(assessment) if placed(visits.get(name))}
        days = {
            f"the window of {name}": 1 + _around(v, "before") + _around(v, "after")
            for name, v in known.items()
        }
    lengths = [(name, (count - 1) * DAY + span[1] - span[0]) for name, count in days.items()]
    return sorted(lengths, key=lambda entry: entry[1])


def longest_window(draft: Draft) -> int | None:
    """How long the longest window of the study lasts, in minutes; None where that cannot be told."""
    found = [_longest(draft, path, assessment) for path, assessment in draft.entries("assessments")]
    known = [length for length in found if length is not None]
    return max(known) if known and len(known) == len(found) else None


def _longest(draft: Draft, path: Path, assessment: dict[str, Any]) -> int | None:
    if assessment.get("windows"):
        spans = [span for span in map(span_of, assessment["windows"]) if span]
        return max((last - first for first, last in spans), default=None)
    lengths = _lengths(draft, path, assessment)
    return lengths[-1][1] if lengths else None


def words_of(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours}h" + (f" {rest}m" if rest else "")


def minutes(text: Any) -> int | None:
    """A length in minutes; None for what is no length."""
    sound = isinstance(text, str) and DURATION.fullmatch(text)
    return int(parse_duration(text).total_seconds()) // 60 if sound else None


# Reminders, warnings, alerts.


def reminders_inside(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        place, reminders = draft.told(path, assessment, "reminders")
        lengths = _lengths(draft, path, assessment)
        for n, reminder in enumerate(reminders or []):
            if lengths and isinstance(reminder, dict):
                yield from _reminder(draft, (*place, n), reminder, *lengths[0])


def _reminder(draft: Draft, place: Path, reminder: dict[str, Any], name: str, length: int) -> Iterator[Fault]:
    after, before = minutes(reminder.get("after_opening")), minutes(reminder.get("before_closing"))
    outside = "after the closing" if after is not None and after >= length else ""
    outside = "before the opening" if before is not None and before > length else outside
    outside = "at the closing" if before == 0 else outside
    if outside:
        message = f"it comes {outside}: {name} lasts {words_of(length)}"
        mend = f"Let it lie within these {words_of(length)}."
        yield draft.source.fault(place, "reminder_outside_window", message, mend)


def warnings_inside(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        place, warning = draft.told(path, assessment, "at_risk")
        before = minutes((warning or {}).get("before_closing"))
        lengths = _lengths(draft, path, assessment)
        if before is not None and lengths and not 0 < before < lengths[0][1]:
            name, length = lengths[0]
            message = f"{name} lasts {words_of(length)}, so this warns of nothing"
            mend = (
                f"Warn later than the opening and before the closing: between 1m and {words_of(length - 1)}."
            )
            yield draft.source.fault((*place, "before_closing"), "at_risk_outside_window", message, mend)


OF_AN_ALERT = {
    "escalation": "an escalation",
    "again_every": "a repetition",
    "urgent_from": "an urgency",
}


def alerts_that_reach_someone(draft: Draft) -> Iterator[Fault]:
    for path, rule in _rules_on_miss(draft):
        if rule.get("alert") is True and rule.get("roles", []) == []:
            yield draft.source.fault(
                path, "alert_to_nobody", "an alert is raised and no role is told", "Add roles."
            )
        for key, what in OF_AN_ALERT.items():
            if rule.get("alert") is False and rule.get(key):
                message, mend = f"{what} of an alert that is off", f"Set alert: true, or take {key} out."
                yield draft.source.fault((*path, key), "escalation_without_alert", message, mend)


def urgent_from_the_alert_on(draft: Draft) -> Iterator[Fault]:
    for path, rule in _rules_on_miss(draft):
        after, urgent = rule.get("after"), rule.get("urgent_from")
        if isinstance(after, int) and isinstance(urgent, int) and urgent < after:
            message = f"no alert stands before {after} misses in a row"
            mend = f"Let urgent_from be {after} or more, or say urgency: urgent."
            yield draft.source.fault((*path, "urgent_from"), "urgent_before_alert", message, mend)


def unscheduled_without_reminders(draft: Draft) -> Iterator[Fault]:
    for path, assessment in draft.entries("assessments"):
        if "unscheduled" not in assessment:
            continue
        on_miss = assessment.get("on_miss") or {}
        asked = {"reminders": assessment.get("reminders"), "at_risk": assessment.get("at_risk")}
        asked["on_miss"] = on_miss if on_miss.get("alert") else None
        for key, value in asked.items():
            if value:
                message = "what is unscheduled sends no reminders and is never missed"
                yield draft.source.fault((*path, key), "never_due", message, f"Take {key} out.")


def escalations_that_rise(draft: Draft) -> Iterator[Fault]:
    for path, rule in _rules_on_miss(draft):
        latest = 0
        for n, step in enumerate(rule.get("escalation") or []):
            after = minutes((step or {}).get("after"))
            if after is None:
                continue
            if after <= latest:
                message = f"{words_of(after)} is not later than {words_of(latest)} after the alert"
                mend = "All steps count from the alert; let each come later than the one before."
                place = (*path, "escalation", n, "after")
                yield draft.source.fault(place, "escalation_not_increasing", message, mend)
            latest = max(latest, after)


def _rules_on_miss(draft: Draft) -> Iterator[Entry]:
    holders = [*draft.entries("assessments"), (("defaults",), draft.data.get("defaults") or {})]
    on_miss = [((*path, "on_miss"), holder["on_miss"]) for path, holder in holders if holder.get("on_miss")]
    return iter([*on_miss, *draft.entries("alerts")])


# Alerts on answers and scores, endpoints.


def known_assessments(draft: Draft) -> Iterator[Fault]:
    known = draft.named("assessments")
    for path, entry in _looking_at_answers(draft):
        wanted = entry.get("assessment")
        if wanted is not None and wanted not in known:
            message = f"there is no assessment {wanted}"
            yield draft.source.fault(
                (*path, "assessment"), "unknown_assessment", message, one_of(wanted, known)
            )


def known_items_and_scales(draft: Draft) -> Iterator[Fault]:
    for path, entry in draft.entries("alerts"):
        when = entry.get("when") or {}
        yield from part(draft, (*path, "when"), entry, when, "item")
        yield from part(draft, (*path, "when"), entry, when, "scale")
    for path, entry in draft.entries("endpoints"):
        if not _of_weeks(draft, entry):
            yield from part(draft, path, entry, entry, "scale")


def limits_that_can_be_reached(draft: Draft) -> Iterator[Fault]:
    """A limit beyond what the item or the scale can be, or can change by, is never reached: nobody would be told."""
    for path, entry in draft.entries("alerts"):
        yield from within_reach(draft, (*path, "when"), entry, entry.get("when"))
    for path, entry in draft.entries("endpoints"):
        yield from within_reach(draft, (*path, "responder"), entry, entry.get("responder"))


def within_reach(draft: Draft, path: Path, entry: dict[str, Any], when: Any) -> Iterator[Fault]:
    """Of the item or scale that `when` names, or else the entry."""
    _, known = _asked_by(draft, entry)
    if known is None or not isinstance(when, dict):
        return
    item, scale = when.get("item") or "", when.get("scale") or entry.get("scale") or ""
    span = known.items.get(item) or known.scales.get(scale) or known.weekly.get(scale)
    if span is None:
        return
    least, most = span
    ends = {"at_least": most, "at_most": -least, "rises_by": most - least, "falls_by": most - least}
    for word, end in ends.items():
        limit = when.get(word)
        if isinstance(limit, int | float) and (-limit if word == "at_most" else limit) > end:
            message = f"{item or scale} goes from {least:g} to {most:g}: {word} {limit:g} is never reached"
            mend = f"Give {'no less than' if word == 'at_most' else 'no more than'} {abs(end):g}."
            yield draft.source.fault((*path, word), "never_reached", message, mend)


def _asked_by(draft: Draft, entry: dict[str, Any]) -> tuple[tuple[Any, Any], Known | None]:
    """Code and version of the instrument of the entry's assessment, and what it has, as far as that is known."""
    assessment = draft.named("assessments").get(entry.get("assessment") or "", {})
    wanted = assessment.get("instrument") or {}
    named: tuple[Any, Any] = wanted.get("code"), wanted.get("version")
    return named, (draft.instruments or {}).get(named)


def _of_weeks(draft: Draft, entry: dict[str, Any]) -> bool:
    """Whether an endpoint is about a score that a diary has by the week."""
    assessment = draft.named("assessments").get(entry.get("assessment") or "", {})
    _, known = _asked_by(draft, entry)
    return known is not None and "every" in assessment and entry.get("scale") in known.weekly


def part(
    draft: Draft, path: Path, entry: dict[str, Any], holder: dict[str, Any], key: str
) -> Iterator[Fault]:
    """An item or a scale that the assessment's instrument does not have."""
    (code, _), known = _asked_by(draft, entry)
    name = holder.get(key)
    if known is not None and name is not None and name not in getattr(known, f"{key}s"):
        message = f"{code} has no {key} {name}"
        yield draft.source.fault(
            (*path, key), f"unknown_{key}", message, one_of(name, getattr(known, f"{key}s"))
        )


def alerts_that_can_be_told(draft: Draft) -> Iterator[Fault]:
    """One item or one scale, one comparison, and a baseline exactly where a change is meant."""
    for path, entry in draft.entries("alerts"):
        when = entry.get("when")
        if not isinstance(when, dict):
            continue
        words = [word for word in COMPARISONS if word in when]
        place = (*path, "when")
        if ("item" in when) == ("scale" in when):
            yield draft.source.fault(
                place,
                "item_or_scale",
                "it must look at one item or at one scale",
                "Give item or scale, not both.",
            )
        if len(words) != 1:
            mend = f"Give one of {', '.join(COMPARISONS)}."
            yield draft.source.fault(place, "one_comparison", f"{len(words)} comparisons", mend)
        elif (words[0] in ("rises_by", "falls_by")) != ("baseline" in when):
            message = f"{words[0]} {'goes without' if 'baseline' in when else 'needs'} a baseline"
            mend = "Give a baseline with rises_by and falls_by, and with nothing else."
            yield draft.source.fault(place, "baseline_and_change", message, mend)


def known_baselines(draft: Draft) -> Iterator[Fault]:
    """A baseline's visit must be one at which the assessment is asked, its anchor one of the study's."""
    holders = [
        ((*path, "when", "baseline"), entry, (entry.get("when") or {}).get("baseline"))
        for path, entry in draft.entries("alerts")
    ]
    holders += [
        ((*path, "baseline"), entry, entry.get("baseline")) for path, entry in draft.entries("endpoints")
    ]
    for path, entry, baseline in holders:
        if not isinstance(baseline, dict):
            continue
        asked = visits_asked(draft.named("assessments").get(entry.get("assessment") or "", {}))
        visit, anchor = baseline.get("visit"), baseline.get("last_before")
        if visit is not None and asked and visit not in asked:
            message = f"{entry.get('assessment')} is not asked at {visit}"
            yield draft.source.fault((*path, "visit"), "baseline_not_asked", message, one_of(visit, asked))
        if visit is not None and not asked:
            message = f"{entry.get('assessment')} is asked at no visit"
            mend = "Use last_before and an anchor."
            yield draft.source.fault((*path, "visit"), "baseline_not_asked", message, mend)
        if anchor is not None and anchor not in draft.named("anchors"):
            message = f"there is no anchor {anchor}"
            mend = one_of(anchor, draft.named("anchors"))
            yield draft.source.fault((*path, "last_before"), "unknown_anchor", message, mend)


def _looking_at_answers(draft: Draft) -> list[Entry]:
    return [*draft.entries("alerts"), *draft.entries("endpoints")]


RULES: tuple[Callable[[Draft], Iterator[Fault]], ...] = (
    unique_ids,
    reserved_ids,
    known_anchors,
    needed_anchors,
    known_visits,
    known_zones,
    sound_pattern,
    known_languages,
    listed_default_language,
    translated_texts,
    known_instruments,
    days_in_order,
    needed_settings,
    windows_that_open,
    rhythms_without_overlap,
    visits_without_overlap,
    reminders_inside,
    warnings_inside,
    alerts_that_reach_someone,
    urgent_from_the_alert_on,
    unscheduled_without_reminders,
    escalations_that_rise,
    known_assessments,
    known_items_and_scales,
    limits_that_can_be_reached,
    alerts_that_can_be_told,
    known_baselines,
)
