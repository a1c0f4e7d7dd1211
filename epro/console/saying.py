"""Every text of the console in both languages, out of `texts/*.yaml`; and days and hours as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from markupsafe import Markup, escape

from epro.console import agents, phrases
from epro.console.days import runs

LANGUAGES = {"zh-CN": "中文", "en": "English"}
FOLDER = Path(__file__).parent / "texts"
DAYS = {"zh-CN": "{0.month}月{0.day}日", "en": "{0.day} {1}"}
SHORT_DAYS = {"zh-CN": "{0.month}/{0.day}", "en": "{0.day} {1}"}
WEEKDAYS = {"zh-CN": "周一 周二 周三 周四 周五 周六 周日", "en": "Mon Tue Wed Thu Fri Sat Sun"}
INSTANT = re.compile(r"(?:19|2\d)\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
MOST_RUNS = 8  # of days, told one by one
FAR = timedelta(days=150)  # from today: such a day is told with its year
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@lru_cache(maxsize=1)
def texts() -> Mapping[str, Mapping[str, str]]:
    """Key -> language -> words. A key that stands twice is a mistake."""
    found: dict[str, Mapping[str, str]] = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        for key, words in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            assert key not in found, f"{key} stands twice"
            found[key] = words
    return found


@dataclass(frozen=True)
class Voice:
    """Speaks one language to one person; `zone` is the clock she reads."""

    language: str
    zone: str = "UTC"

    def __call__(self, key: str, **values: Any) -> str:
        """The words of a key, filled. Raises KeyError for a key that is not there."""
        words = texts()[key][self.language]
        return words.format(**values) if values else words

    def of(self, kind: str, name: Any) -> str:
        """The words for one of a family of names (`kind.name`); an unknown name says itself."""
        words = texts().get(f"{kind}.{name}")
        return words[self.language] if words else str(name)

    def label(self, labels: Mapping[str, str] | None) -> str:
        """A label out of a study file, in this language or the nearest there is."""
        if not labels:
            return ""
        alike = (tag for tag in labels if tag.partition("-")[0] == self.language.partition("-")[0])
        tag = self.language if self.language in labels else next(alike, next(iter(labels)))
        return labels[tag]

    def phrase(self, text: str) -> Markup:
        """What a room says in English, in this language where it is known; else marked as English."""
        words, language = phrases.spoken(text, self.language)
        return (
            escape(words)
            if language == self.language
            else Markup('<span lang="{}">{}</span>').format(language, words)
        )

    def browser(self, agent: str | None) -> str:
        """A browser by a name that people know, with the system that it runs on where that is known."""
        browser, system = agents.told(agent)
        if not browser:
            return self("browser.unknown")
        return self("browser.on", browser=browser, system=system) if system else browser

    def day(self, day: date, *, weekday: bool = False, today: date | None = None) -> str:
        """A day without its year, as one speaks of the days around today; with it if it is far from a given `today`."""
        if today and abs(day - today) > FAR:
            return self.whole_day(day)
        text = DAYS[self.language].format(day, MONTHS[day.month - 1])
        return f"{WEEKDAYS[self.language].split()[day.weekday()]} {text}" if weekday else text

    def short_day(self, day: date) -> str:
        """The same where there is room for few letters only."""
        return SHORT_DAYS[self.language].format(day, MONTHS[day.month - 1])

    def days(self, those: Iterable[date], today: date | None = None) -> str:
        """Some days: each run of them by its first and last; of too many to read, the first and the last of all."""
        found = [(self.day(first, today=today), self.day(last, today=today)) for first, last in runs(those)]
        if len(found) > MOST_RUNS:
            return self("days.between", first=found[0][0], last=found[-1][1])
        said = [first + (f"–{last}" if last != first else "") for first, last in found]
        return self("days.comma").join(said)

    def whole_day(self, day: date) -> str:
        return day.isoformat()

    def local_day(self, instant: datetime, zone: str | None = None) -> date:
        """Which day it is on her clock, or on that of a place."""
        return instant.astimezone(ZoneInfo(zone or self.zone)).date()

    def at(self, instant: datetime | None, zone: str | None = None, today: date | None = None) -> str:
        """Day and hour on the wall clock of a place."""
        if instant is None:
            return ""
        there = instant.astimezone(ZoneInfo(zone or self.zone))
        return f"{self.day(there.date(), today=today)} {there:%H:%M}"

    def whole_at(self, instant: datetime | None, zone: str | None = None) -> str:
        """Day with its year and hour with its seconds, as records are told."""
        there = instant.astimezone(ZoneInfo(zone or self.zone)) if instant else None
        return f"{there:%Y-%m-%d %H:%M:%S}" if there else ""

    def stamp(self, instant: datetime, zone: str) -> str:
        """An instant with its year and its time zone, as it stands under a signature."""
        there = instant.astimezone(ZoneInfo(zone))
        return f"{there:%Y-%m-%d %H:%M:%S} ({zone}, UTC{there:%z})"

    def text_at(self, instant: str | None) -> str:
        """The same of an instant as the interface for programs writes it."""
        return self.at(datetime.fromisoformat(instant)) if instant else ""

    def local_of(self, text: Any) -> str:
        """An instant as entries of the trail write it, on this clock; empty for what is none."""
        try:
            return self.whole_at(datetime.fromisoformat(text)) if INSTANT.fullmatch(str(text)) else ""
        except ValueError:
            return ""

    def clock(self, instant: datetime, zone: str | None = None) -> str:
        return f"{instant.astimezone(ZoneInfo(zone or self.zone)):%H:%M}"

    def ago(self, instant: datetime, now: datetime) -> str:
        """How long ago, or from now, in the largest unit that says something; days as her calendar has them."""
        minutes = int((now - instant).total_seconds()) // 60
        way, minutes = ("ago", minutes) if minutes >= 0 else ("ahead", -minutes)
        for unit, size in UNITS:
            if minutes >= size:
                n = self._midnights(instant, now) if unit == "days" else round(minutes / PER[unit])
                return self(f"time.{way}", span=self(f"time.{unit}", n=n))
        return self("time.now")

    def _midnights(self, one: datetime, other: datetime) -> int:
        """How many midnights of her clock lie between the two."""
        return abs(self.local_day(one) - self.local_day(other)).days

    def span(self, length: timedelta) -> str:
        """How long, in the largest unit that says something."""
        seconds = max(0, int(length.total_seconds()))
        if seconds < 120:
            return self("time.seconds", n=seconds)
        unit = next(unit for unit, size in UNITS if seconds // 60 >= size)
        return self(f"time.{unit}", n=round(seconds / 60 / PER[unit]))


UNITS = (("days", 2880), ("hours", 90), ("minutes", 1))
PER = {"days": 1440, "hours": 60, "minutes": 1}


def speaks(wanted: str | None) -> str | None:
    """The language of ours that a tag stands for."""
    if wanted in LANGUAGES:
        return wanted
    return next((tag for tag in LANGUAGES if wanted and tag[:2] == wanted[:2].lower()), None)


def nearest(accepts: Callable[[list[str]], str | None]) -> str:
    """Of a browser that nobody has signed in with yet."""
    return speaks(accepts(["en", "zh-CN", "zh"])) or "en"
