"""The virtual participants of a rehearsal: who takes part, what sets each apart, and when she takes the phone in
hand. Pure; the same seed gives the same lives.

A participant knows nothing of the study but the windows that stand on her phone. What she would do is drawn anew
for each matter from dice that are named after it, so no act of another participant changes hers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

KINDS = {
    "diligent": {"en": "answers nearly always", "zh-CN": "几乎每次都填写"},
    "forgetful": {"en": "forgets every third diary", "zh-CN": "约三分之一忘记填写"},
    "last_second": {"en": "answers seconds before the closing", "zh-CN": "在关闭前几秒填写"},
    "night_worker": {"en": "sleeps until noon and is awake at night", "zh-CN": "夜班，中午起床"},
    "traveller": {"en": "crosses time zones, twice", "zh-CN": "两次跨时区旅行"},
    "offline": {"en": "has no network for a week, and syncs late", "zh-CN": "一周无网络，之后补传"},
    "new_phone": {"en": "loses her phone and gets another", "zh-CN": "手机丢失后更换"},
    "ill": {"en": "is too ill to answer for days", "zh-CN": "连续数天病重无法填写"},
    "withdrawn": {
        "en": "withdraws, with answers still on her phone",
        "zh-CN": "退出研究，手机上仍有未上传的回答",
    },
    "moved_visit": {"en": "her anchor is moved, and moved again", "zh-CN": "锚定日期两次改动"},
}
USUAL = ("diligent",) * 6 + ("forgetful",) * 3 + ("last_second", "traveller", "offline", "ill")
FAR = ("America/Los_Angeles", "Pacific/Auckland", "Europe/Berlin", "Pacific/Honolulu", "Asia/Tokyo")
MINUTES = {1: 1, 9: 3, 13: 4}  # number of items -> minutes to answer them; else a quarter of a minute each
ONE_SITTING = timedelta(hours=30)  # a longer window leaves another day to answer
BUSY = 90  # days
SPREAD = 14  # days over which participants are enrolled, at most


@dataclass(frozen=True)
class Person:
    """One virtual participant. `number` counts from 0 over the whole rehearsal; `last` is the last day of it."""

    number: int
    kind: str
    site: str
    language: str
    home: str
    enrolled: date
    last: date
    seed: int

    @property
    def subject_id(self) -> str:
        return f"{self.site}-{self.number + 1:05}"

    @property
    def phone(self) -> str:
        return f"+86139{self.number + 1:08}"

    def dice(self, *about: object) -> Random:
        """Randomness that is always the same for the same matter."""
        return Random("/".join(map(str, (self.seed, self.number, *about))))

    def day(self, share: float) -> date:
        """The day when this share of her first months is over: that is when most is asked of her."""
        return self.enrolled + timedelta(days=round(share * min(BUSY, (self.last - self.enrolled).days)))


@dataclass(frozen=True)
class Sitting:
    """She takes the phone in hand; `reminded` when a message made her."""

    at: datetime
    reminded: bool = False


def company(
    count: int, sites: Sequence[tuple[str, str]], languages: Sequence[str], first: date, last: date, seed: int
) -> list[Person]:
    """Who takes part: every kind once, then as in life; sites (id, zone) and languages in turn."""
    spread = max(1, min(SPREAD, (last - first).days // 10))
    people = []
    for number in range(count):
        site, home = _site(number, sites, seed)
        enrolled = first + timedelta(days=number % spread)
        language = languages[number // len(sites) % len(languages)]
        people.append(Person(number, _kind(number, seed), site, language, home, enrolled, last, seed))
    return people


def zone_of(who: Person, day: date) -> str:
    """Where her phone is on this day."""
    return next((zone for zone, there, back in travels(who) if there <= day < back), who.home)


def travels(who: Person) -> list[tuple[str, date, date]]:
    """(zone, first day there, first day back), in order."""
    if who.kind != "traveller":
        return []
    dice = who.dice("travels")
    zones = dice.sample([zone for zone in FAR if zone != who.home], 2)
    starts = [who.day(0.15), who.day(0.5)]
    return [
        (zone, start, start + timedelta(days=dice.randint(4, 9)))
        for zone, start in zip(zones, starts, strict=True)
    ]


def offline_until(who: Person, day: date) -> date | None:
    """The day on which a phone that has no network on `day` finds one again; None when it has one."""
    begins, ends = {
        "offline": (who.day(0.4), who.day(0.4) + timedelta(days=7)),
        "withdrawn": (who.day(0.6) - timedelta(days=1), who.day(0.6) + timedelta(days=1)),
    }.get(who.kind, (day, day))
    return ends if begins <= day < ends else None


def away(who: Person, day: date) -> bool:
    """Whether she does not touch a phone on this day: too ill, or it is lost."""
    spells = {
        "ill": [(who.day(0.2), 5), (who.day(0.55), 9)],
        "new_phone": [(who.day(0.5), 2)],
    }.get(who.kind, [])
    return any(start <= day < start + timedelta(days=length) for start, length in spells)


def sittings(
    who: Person, windows: Sequence[tuple[datetime, datetime]], after: datetime, until: datetime
) -> list[Sitting]:
    """When she takes the phone in hand in (after, until], if it were for these windows alone, in order of time."""
    moments = {
        moment
        for opens_at, closes_at in windows
        for moment in _moments(who, opens_at, closes_at, after, until)
    }
    return [Sitting(moment) for moment in sorted(moments)]


def after_reminder(who: Person, at: datetime, matter: str) -> Sitting | None:
    """What a reminder that reached her at `at` makes her do."""
    dice = who.dice("reminded", matter)
    if who.kind == "last_second" or dice.random() > 0.6:
        return None
    return Sitting(at + timedelta(seconds=dice.randint(90, 2400)), reminded=True)


def answers_now(who: Person, matter: str, sitting: Sitting, opens_at: datetime, closes_at: datetime) -> bool:
    """Whether she answers this open window (`matter` names it) at this sitting."""
    if who.kind == "last_second":
        return closes_at - sitting.at <= timedelta(minutes=1)
    dice = who.dice("answers", matter, sitting.at.date(), sitting.reminded)
    steady = 0.62 if who.kind == "forgetful" else 0.93
    one_day = closes_at - opens_at <= ONE_SITTING
    return dice.random() < (steady if one_day else 0.65 * steady)


def asks(who: Person, assessment: str) -> list[tuple[date, time]]:
    """When she asks for something herself, where the study leaves it to her: every other week or so."""
    dice, day, found = who.dice("asks", assessment), who.enrolled, list[tuple[date, time]]()
    while (day := day + timedelta(days=dice.randint(4, 24))) <= who.last:
        found.append((day, time(dice.randint(9, 20), dice.randint(0, 59))))
    return found


def in_turn(names: Sequence[str], number: int, seed: int) -> str | None:
    """Each of these as often as the others, in an order that has nothing to do with the kinds; None of none."""
    if not names:
        return None
    turn = list(names)
    Random(f"{seed}/arms/{number // len(names)}").shuffle(turn)
    return turn[number % len(names)]


def minutes(items: int) -> float:
    """How long it takes to answer so many items."""
    return MINUTES.get(items, items / 4)


def _site(number: int, sites: Sequence[tuple[str, str]], seed: int) -> tuple[str, str]:
    """Every site in turn, in an order that has nothing to do with the kinds."""
    turn = list(sites)
    Random(f"{seed}/sites/{number // len(sites)}").shuffle(turn)
    return turn[number % len(sites)]


def _kind(number: int, seed: int) -> str:
    kinds = list(KINDS)
    return kinds[number] if number < len(kinds) else Random(f"{seed}/kind/{number}").choice((*USUAL, *kinds))


def _moments(
    who: Person, opens_at: datetime, closes_at: datetime, after: datetime, until: datetime
) -> Iterator[datetime]:
    """One moment on each day that the window touches, while she is awake."""
    start, end = max(opens_at, after), min(closes_at, until)
    if start >= end:
        return
    home = ZoneInfo(who.home)
    day, last = start.astimezone(home).date() - timedelta(days=1), end.astimezone(home).date()
    while day <= last:
        if not away(who, day):
            moment = _moment(who, day, opens_at, closes_at)
            if moment is not None and after < moment <= until:
                yield moment
        day += timedelta(days=1)


def _moment(who: Person, day: date, opens_at: datetime, closes_at: datetime) -> datetime | None:
    wakes, sleeps = _awake(who, day)
    first, last = max(opens_at, wakes), min(closes_at, sleeps)
    if last - first < timedelta(minutes=5):
        return None
    dice = who.dice("sitting", day, first, last)
    if who.kind == "last_second":
        return last - timedelta(seconds=dice.randint(2, 40)) if last == closes_at else None
    # Most take it in hand early in the time there is; some put it off.
    share = dice.betavariate(1.2, 4 if last - first <= timedelta(hours=8) else 1.5)
    return first + timedelta(seconds=int(share * (last - first - timedelta(minutes=2)).total_seconds()))


def _awake(who: Person, day: date) -> tuple[datetime, datetime]:
    """From when until when she is awake, in UTC, on the clock of where she is."""
    zone = ZoneInfo(zone_of(who, day))
    wakes, hours = (time(13), 16) if who.kind == "night_worker" else (time(7), 17)
    start = datetime.combine(day, wakes, zone)
    end = datetime.combine(day, time(), zone).replace(tzinfo=None) + timedelta(hours=wakes.hour + hours)
    return start.astimezone(UTC), end.replace(tzinfo=zone).astimezone(UTC)
