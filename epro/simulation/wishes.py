"""What virtual participants do about messages: they put reminders off, and say when and how often they want them.

Most stay within what the study allows, and some ask for more, as people do. Pure; the same seed gives the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID

from epro.scheduling.messaging import DAY, DailyCap, MessageRules, QuietHours, lasts
from epro.scheduling.messaging import Snooze as Limits
from epro.simulation.habits import Person

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PUTS_OFF, OFTEN, TOO_LONG = 0.35, 0.6, 0.1  # who does it at all; how often she then does; for too long
WISHES = 0.3  # who settles her messages
LENGTHS = (10, 15, 30, 60)  # minutes
SHORTEST = timedelta(minutes=2)
BUSY = 0.4  # of the answers that are begun shortly before the closing, those that it overtakes
SHORTLY = timedelta(minutes=20)


@dataclass(frozen=True)
class PutOff:
    """She puts a reminder off at `at`, for so long; `request` is the id that her phone gives it."""

    at: datetime
    length: timedelta
    request: UUID


@dataclass(frozen=True)
class Said:
    """What she wished of messages, when, and whether the study refused it."""

    subject_id: str
    at: datetime
    wish: Mapping[str, Any]
    refused: bool


def puts_off(who: Person, matter: object, heard_at: datetime, limits: Limits) -> PutOff | None:
    """What she does with a reminder of this `matter` that she does not follow at once."""
    dice = who.dice("puts off", matter, heard_at)
    if (
        who.kind == "last_second"
        or who.dice("puts off at all").random() >= PUTS_OFF
        or dice.random() >= OFTEN
    ):
        return None
    allowed = [minutes * MINUTE for minutes in LENGTHS if minutes * MINUTE <= limits.longest]
    length = dice.choice(allowed or [limits.longest])
    if dice.random() < TOO_LONG:
        length += limits.longest
    at = heard_at + timedelta(seconds=dice.randint(20, 85))
    return PutOff(at, length, UUID(int=dice.getrandbits(128), version=4))


def overtaken(
    who: Person, matter: object, at: datetime, closes_at: datetime, longer: timedelta
) -> datetime | None:
    """When she ends what she begins at `at`, should the closing overtake her; `longer` is what the study leaves her."""
    if closes_at - at > SHORTLY or longer <= SHORTEST:
        return None
    dice = who.dice("overtaken", matter)
    if dice.random() >= BUSY:
        return None
    return closes_at + timedelta(seconds=dice.randint(20, int((longer - MINUTE).total_seconds())))


def wishes(who: Person, rules: MessageRules) -> list[tuple[date, time, dict[str, Any]]]:
    """What she asks of messages (day, hour, wish), in order: first more than she may, then what she may."""
    dice = who.dice("wishes")
    if dice.random() >= WISHES:
        return []
    asked = [*_hours(rules.quiet_hours), *_caps(rules.daily_cap, dice)]
    day = who.enrolled + timedelta(days=2)
    return [(day + timedelta(days=n), time(20, dice.randint(0, 59)), wish) for n, wish in enumerate(asked)]


def _hours(quiet: QuietHours) -> list[dict[str, Any]]:
    """A night that is too long, where a day can hold one, then the usual one with an hour more in the morning."""
    first, last = quiet.usual
    too_long = quiet.longest + MINUTE
    found = [(first, _later(first, too_long))] if too_long < DAY * MINUTE else []
    more = (first, _later(last, HOUR))
    found += [more] if lasts(quiet.usual) and lasts(more) <= quiet.longest else []
    return [{"quiet_hours": list(hours)} for hours in found]


def _caps(cap: DailyCap, dice: Random) -> list[dict[str, Any]]:
    """One more than she may have, then as few or as many as that."""
    return [{"daily_cap": cap.most + 1}, {"daily_cap": dice.choice((cap.least, cap.most))}]


def _later(hour: str, length: timedelta) -> str:
    return (datetime.fromisoformat(f"2000-01-01T{hour}") + length).strftime("%H:%M")
