"""What a study file says of messages to participants: when they rest, how many a day, how they may be put off, and
in which words they are written. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from epro.scheduling.durations import format_duration, parse_clock, parse_duration

Json = dict[str, Any]
Hours = tuple[str, str]  # from, until, as HH:MM; past midnight when the second is the earlier one
Text = Mapping[str, str]  # language -> words

DAY = 24 * 60  # minutes


@dataclass(frozen=True)
class QuietHours:
    """When no reminder goes out: the `usual` hours unless she names her own, which last `longest` at most, and in
    any case those of `always`."""

    usual: Hours = ("22:00", "08:00")
    always: Hours | None = None
    longest: timedelta = timedelta(hours=16)

    @classmethod
    def from_canonical(cls, data: Json) -> QuietHours:
        return cls(
            _hours(data["usual"]) if "usual" in data else cls.usual,
            _hours(data["always"]) if "always" in data else None,
            parse_duration(data["longest"]) if "longest" in data else cls.longest,
        )

    def canonical(self) -> Json:
        always = {"always": list(self.always)} if self.always else {}
        return {"usual": list(self.usual), **always, "longest": format_duration(self.longest)}


@dataclass(frozen=True)
class DailyCap:
    """How many reminders a participant gets on one local day, all assessments together, and what she may set."""

    usual: int = 4
    least: int = 1
    most: int = 8

    @classmethod
    def from_canonical(cls, data: Json) -> DailyCap:
        usual = int(data.get("usual", cls.usual))
        least = int(data.get("least", min(cls.least, usual)))
        return cls(usual, least, int(data.get("most", max(cls.most, usual))))

    def canonical(self) -> Json:
        return {"usual": self.usual, "least": self.least, "most": self.most}


@dataclass(frozen=True)
class Snooze:
    """How often she may put a reminder of one occurrence off, for how long at a time, and until how long before the
    closing. `times` 0: not at all."""

    times: int = 2
    longest: timedelta = timedelta(hours=1)
    before_closing: timedelta = timedelta(minutes=15)

    @classmethod
    def from_canonical(cls, data: Json) -> Snooze:
        return cls(
            int(data.get("times", cls.times)),
            parse_duration(data["longest"]) if "longest" in data else cls.longest,
            parse_duration(data["before_closing"]) if "before_closing" in data else cls.before_closing,
        )

    def canonical(self) -> Json:
        return {
            "times": self.times,
            "longest": format_duration(self.longest),
            "before_closing": format_duration(self.before_closing),
        }


@dataclass(frozen=True)
class MessageRules:
    """Everything that one version of a study says of messages.

    `texts` are the study's own wordings by template, used in turn in the place of those that are shipped;
    `registered` names the provider's template of each wording: country -> template -> language -> ids in the order
    of the wordings.
    """

    quiet_hours: QuietHours = QuietHours()
    daily_cap: DailyCap = DailyCap()
    snooze: Snooze = Snooze()
    texts: Mapping[str, tuple[Text, ...]] = field(default_factory=dict)
    registered: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]] = field(default_factory=dict)

    @classmethod
    def from_canonical(cls, data: Json) -> MessageRules:
        return cls(
            QuietHours.from_canonical(data.get("quiet_hours", {})),
            DailyCap.from_canonical(data.get("daily_cap", {})),
            Snooze.from_canonical(data.get("snooze", {})),
            {name: tuple(listed) for name, listed in data.get("texts", {}).items()},
            {
                country: {
                    name: {language: tuple(ids) for language, ids in by_language.items()}
                    for name, by_language in by_name.items()
                }
                for country, by_name in data.get("registered", {}).items()
            },
        )

    def canonical(self) -> Json:
        texts = {name: [dict(text) for text in listed] for name, listed in self.texts.items()}
        registered = {
            country: {
                name: {language: list(ids) for language, ids in by_language.items()}
                for name, by_language in by_name.items()
            }
            for country, by_name in self.registered.items()
        }
        return {
            "quiet_hours": self.quiet_hours.canonical(),
            "daily_cap": self.daily_cap.canonical(),
            "snooze": self.snooze.canonical(),
            **({"texts": texts} if texts else {}),
            **({"registered": registered} if registered else {}),
        }

    def own_texts(self, template: str, language: str) -> list[str]:
        """The study's own wordings of this template in this language, in their order; empty where it has none."""
        return [text[language] for text in self.texts.get(template, ()) if language in text]

    def provider_template(self, country: str, template: str, language: str, wording: int) -> str | None:
        """The id under which this wording is registered with the country's provider."""
        ids = self.registered.get(country, {}).get(template, {}).get(language, ())
        return ids[wording] if wording < len(ids) else None


def lasts(hours: Hours) -> timedelta:
    """How long these hours last by the clock on the wall; the same hour twice is no time at all."""
    first, last = (parse_clock(hour) for hour in hours)
    return timedelta(minutes=(last - first) % DAY)


def snooze_refusal(rules: Snooze, taken: int, length: timedelta, row: Any, now: datetime) -> str | None:
    """Why reminders of this occurrence cannot be put off for so long now; `taken` snoozes came before. None: they can.

    `no_more`, `too_long`, `too_late` (it would end too near the closing), `not_open` (nothing is to be answered).
    """
    settled = any((row.fulfilled_at, row.missed_at, row.excused_at, row.cancelled_at))
    reasons = (
        ("not_open", settled or not row.opens_at <= now < row.closes_at),
        ("no_more", taken >= rules.times),
        ("too_long", length > rules.longest),
        ("too_late", now + length > row.closes_at - rules.before_closing),
    )
    return next((reason for reason, holds in reasons if holds), None)


def settings_faults(rules: MessageRules, wanted: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a participant or her site may not set: (name, code, words) for each; blank values are no wish."""
    found = []
    hours, cap = wanted.get("quiet_hours"), wanted.get("daily_cap")
    if hours and lasts((hours[0], hours[1])) > rules.quiet_hours.longest:
        longest = format_duration(rules.quiet_hours.longest)
        found.append(("quiet_hours", "too_long", f"The study allows quiet hours of {longest} at most."))
    bounds = rules.daily_cap
    if cap is not None and not bounds.least <= cap <= bounds.most:
        words = f"The study allows from {bounds.least} to {bounds.most} reminders a day."
        found.append(("daily_cap", "out_of_bounds", words))
    return found


def _hours(listed: list[str]) -> Hours:
    return listed[0], listed[1]
