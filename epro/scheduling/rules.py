"""By what rule an assessment is asked, besides plain visits and rhythms: bursts, alternates, ends, conditions.

Each has the shape that a study file gives it and writes itself back into that shape.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

Json = dict[str, Any]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LAST_OF_MONTH = 31
FAR = 3650  # days from an anchor: as far as a study file can count


@dataclass(frozen=True)
class Calendar:
    """Days that the calendar names: `weekdays` (0 is Monday) of every so many `weeks`, or days of the month."""

    weekdays: tuple[int, ...] = ()
    weeks: int = 1
    month_days: tuple[int, ...] = ()

    @classmethod
    def from_canonical(cls, data: Json) -> Calendar | None:
        """None where the rhythm counts plain days."""
        if "weekdays" in data:
            days = sorted(WEEKDAYS.index(name) for name in data["weekdays"])
            return cls(weekdays=tuple(days), weeks=int(data.get("weeks", 1)))
        if "month_days" in data:
            return cls(month_days=tuple(sorted(int(day) for day in data["month_days"])))
        return None

    def canonical(self) -> Json:
        if self.month_days:
            return {"month_days": list(self.month_days)}
        return {"weekdays": [WEEKDAYS[day] for day in self.weekdays], "weeks": self.weeks}

    def names(self, day: date, start: date) -> bool:
        """Whether it is asked on this day; weeks are Monday to Sunday and counted from the one that holds `start`."""
        if self.month_days:
            last = monthrange(day.year, day.month)[1]
            return day.day in self.month_days or (day.day == last and self.month_days[-1] > last)
        return day.weekday() in self.weekdays and (_monday(day) - _monday(start)).days // 7 % self.weeks == 0


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


@dataclass(frozen=True)
class Burst:
    """Daily for so many `days` around the day of each visit, or on the days before it (`side`)."""

    days: int
    side: str  # around | before
    visits: tuple[str, ...]

    @classmethod
    def from_canonical(cls, data: Json) -> Burst:
        side = "around" if "around" in data else "before"
        return cls(int(data["days"]), side, tuple(data[side]))

    def canonical(self) -> Json:
        return {"days": self.days, self.side: list(self.visits)}

    @property
    def offsets(self) -> range:
        """The days, counted from the visit's own; of an even number around it one more lies before than after."""
        first = -self.days if self.side == "before" else -(self.days // 2)
        return range(first, first + self.days)


@dataclass(frozen=True)
class InsteadOf:
    """Asked when `assessment` was missed, and then open on so many days."""

    assessment: str
    open_for: int

    @classmethod
    def from_canonical(cls, data: Json) -> InsteadOf:
        return cls(data["assessment"], int(data.get("open_for", 1)))

    def canonical(self) -> Json:
        return {"assessment": self.assessment, "open_for": self.open_for}


@dataclass(frozen=True)
class Until:
    """Nothing opens from this day on: a visit's day, or a day counted from an anchor (None: the rhythm's own)."""

    visit: str | None = None
    anchor: str | None = None
    day: int = 0

    @classmethod
    def from_canonical(cls, data: Json) -> Until:
        return cls(data.get("visit"), data.get("anchor"), int(data.get("day", 0)))

    def canonical(self) -> Json:
        if self.visit:
            return {"visit": self.visit}
        return ({"anchor": self.anchor} if self.anchor else {}) | {"day": self.day}


@dataclass(frozen=True)
class Person:
    """What conditions look at in a participant; None is not known, and fits no condition."""

    site: str | None = None
    arm: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Condition:
    """Of whom it is asked: an empty list asks everybody; with an `anchor`, from the day of that anchor on."""

    arms: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    anchor: str | None = None

    @classmethod
    def from_canonical(cls, data: Json) -> Condition:
        lists = {key: tuple(data.get(key, ())) for key in ("arms", "sites", "languages")}
        return cls(**lists, anchor=data.get("anchor"))

    def canonical(self) -> Json:
        lists = {"arms": self.arms, "sites": self.sites, "languages": self.languages}
        told: Json = {key: list(values) for key, values in lists.items() if values}
        return told | ({"anchor": self.anchor} if self.anchor else {})

    def fits(self, person: Person) -> bool:
        """Whether this participant is one of those who are asked. The anchor is not looked at."""
        pairs = (
            (self.arms, person.arm),
            (self.sites, person.site),
            (self.languages, person.language),
        )
        return all(not wanted or value in wanted for wanted, value in pairs)
