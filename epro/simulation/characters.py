"""The people of a demonstration: what kind each is, and what she and the staff around her do, when. Pure.

`company` says who takes part; `life` tells one participant's acts and `rounds` a nurse's, in the order of time.
The same seed and the same days give the same acts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

AWAY = "Europe/Berlin"
KINDS = {
    "forgetful": "misses a diary now and then, and the last two that could be missed",
    "diligent": "answers nearly every evening",
    "travelling": f"spends some days in {AWAY}; her diary is due in the evening there",
    "offline": "has no network for some days, answers all the same, and syncs late",
    "new_phone": "loses her phone and gets another one activated",
    "withdrawn": "ends her participation halfway",
    "opted_out": "wants no messages",
    "awaiting": "has no infusion yet, so no diary is planned",
}
OTHERS = ("diligent", "diligent", "forgetful")  # when there are more people than kinds
LATE_ROUNDS = timedelta(days=2)  # nobody has looked at the worklist for so long: it is for who tries the demo


@dataclass(frozen=True)
class Character:
    """One participant. `number` counts from 0; days are on the clock of `home`."""

    number: int
    kind: str
    site: str
    language: str
    home: str
    enrolled: date
    infused: date | None
    last: date
    seed: int

    def dice(self, *about: object) -> Random:
        """Randomness that is always the same for the same matter."""
        return Random("/".join(str(part) for part in (self.seed, self.number, *about)))

    def on(self, share: float) -> date:
        """The day when this share of her time in the study is over."""
        return self.enrolled + timedelta(days=round(share * (self.last - self.enrolled).days))


@dataclass(frozen=True)
class Act:
    """Something that is done at an instant."""

    at: datetime


class Enrol(Act):
    """The nurse enrols her and hands her a code."""


class Activate(Act):
    """She opens the app with the code."""


class SetInfusion(Act):
    """The nurse enters the day of the infusion, which is today."""


@dataclass(frozen=True)
class Look(Act):
    """She takes the phone in hand and answers what is open, the longer questionnaires too if she has the time."""

    online: bool
    has_time: bool


@dataclass(frozen=True)
class Travel(Act):
    """The phone finds itself in another zone."""

    zone: str


class OptOut(Act):
    """She turns messages off."""


class ReplacePhone(Act):
    """The nurse ends the lost phone; a new one is activated."""


class Withdraw(Act):
    """The nurse ends her participation."""


@dataclass(frozen=True)
class Round(Act):
    """A nurse goes through the worklist of her site."""

    site: str


def company(
    count: int, sites: Sequence[tuple[str, str]], first: date, last: date, seed: int
) -> list[Character]:
    """Who takes part: every kind once, then others; sites (id, zone) in turn; enrolled one after the other."""
    kinds = [*KINDS, *(OTHERS[n % len(OTHERS)] for n in range(max(0, count - len(KINDS))))][:count]
    spread = round((last - first).days * 0.4)
    people = []
    for number, kind in enumerate(kinds):
        site, home = sites[number % len(sites)]
        enrolled = first + timedelta(days=number * spread // count)
        infused = None if kind == "awaiting" else enrolled + timedelta(days=1 + number % 2)
        language = "en" if number % 3 == 2 else "zh-CN"
        people.append(Character(number, kind, site, language, home, enrolled, infused, last, seed))
    return people


def life(who: Character) -> list[Act]:
    """Everything that she does or that is done for her, from the enrolment to her last day."""
    morning = _at(who.enrolled, time(9, 30), who.home) + timedelta(minutes=11 * who.number)
    acts: list[Act] = [Enrol(morning), Activate(morning + timedelta(minutes=4)), *_turns(who)]
    if who.infused:
        acts.append(SetInfusion(_at(who.infused, time(13, 40), who.home) + timedelta(minutes=3 * who.number)))
    acts += _evenings(who)
    ends = [act.at for act in acts if isinstance(act, Withdraw)]
    return sorted((act for act in acts if not ends or act.at <= ends[0]), key=lambda act: act.at)


def rounds(sites: Sequence[tuple[str, str]], first: date, until: datetime) -> list[Act]:
    """The nurses' mornings: workdays, but not the last ones before `until`."""
    days = [first + timedelta(days=n) for n in range((until.date() - first).days + 1)]
    found = [
        Round(_at(day, time(9, 5), zone) + timedelta(minutes=17 * n), site)
        for day in days
        if day.weekday() < 5
        for n, (site, zone) in enumerate(sites)
    ]
    return [act for act in found if act.at <= until - LATE_ROUNDS]


def _turns(who: Character) -> list[Act]:
    """What sets her apart."""
    home, berlin = who.home, AWAY
    match who.kind:
        case "travelling":
            there, back = _abroad(who)
            return [Travel(_at(there, time(10), home), berlin), Travel(_at(back, time(7), berlin), home)]
        case "opted_out":
            return [OptOut(_at(who.on(0.2), time(20, 40), home))]
        case "new_phone":
            return [ReplacePhone(_at(who.on(0.5), time(11, 15), home))]
        case "withdrawn":
            return [Withdraw(_at(who.on(0.6), time(15, 20), home))]
    return []


def _evenings(who: Character) -> Iterator[Look]:
    """One look a day, at her usual hour more or less, wherever she is."""
    usual = who.dice("hour").uniform(18.4, 20.0)
    for n in range((who.last - who.enrolled).days + 1):
        day = who.enrolled + timedelta(days=n)
        dice = who.dice("evening", day)
        hour = min(23.5, max(18.4, dice.gauss(usual, 0.6)))
        at = _at(day, time(0), _zone(who, day)) + timedelta(seconds=round(hour * 3600))
        has_time = dice.random() < (0.4 if who.kind == "forgetful" else 0.7)
        if not _forgotten(who, day, dice):
            yield Look(at, online=not _no_network(who, day), has_time=has_time)


def _forgotten(who: Character, day: date, dice: Random) -> bool:
    if who.kind != "forgetful":
        return dice.random() < 0.03
    return (who.last - day).days in (2, 3) or dice.random() < 0.22


def _no_network(who: Character, day: date) -> bool:
    length = max(2, min(4, (who.last - who.enrolled).days // 4))
    begins = who.on(0.5)
    return who.kind == "offline" and begins <= day < begins + timedelta(days=length)


def _abroad(who: Character) -> tuple[date, date]:
    there = who.on(0.35)
    return there, max(who.on(0.65), there + timedelta(days=2))


def _zone(who: Character, day: date) -> str:
    there, back = _abroad(who)
    return AWAY if who.kind == "travelling" and there <= day < back else who.home


def _at(day: date, hour: time, zone: str) -> datetime:
    return datetime.combine(day, hour, ZoneInfo(zone))
