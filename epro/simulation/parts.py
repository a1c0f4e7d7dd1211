"""A rehearsal in parts: each a company of its own on databases of its own, two or more at a time, then added up.

How many parts there are follows from the number of participants alone, never from the machine, so the same seed
gives the same report everywhere.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from epro.privacy import readings
from epro.responses import integrity
from epro.scheduling.protocol import Protocol
from epro.simulation import habits, installing, invariants
from epro.simulation.facts import gather
from epro.simulation.invariants import Result
from epro.simulation.rehearsal import Attend, Rehearsal, Send, overheard
from epro.simulation.tally import Tally, calendar, tally
from epro.studies.models import Participant
from epro.trail import verifying
from epro.tx import look, system

PART = 100  # participants; a part that is larger takes longer for each of them
ALONE = 20  # participants; with fewer a second process costs more than it saves
POLL = 0.5  # seconds
AUDITOR = system("auditor")
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Asked:
    """What is to be rehearsed: how many participants for how many days, from `first` on."""

    participants: int
    days: int
    seed: int
    first: date = date(2026, 3, 2)


@dataclass(frozen=True)
class Work:
    """One part: everything that another process needs. `attend` and `send` are the worker's own steps."""

    protocol: Protocol
    asked: Asked
    number: int
    of: int
    template: Path
    attend: Attend
    send: Send


@dataclass
class Outcome:
    """What a rehearsal, or a part of one, came to."""

    tally: Tally
    results: list[Result]
    calendar: dict[str, Any]

    def add(self, other: Outcome) -> None:
        self.tally.add(other.tally)
        for mine, theirs in zip(self.results, other.results, strict=True):
            mine.add(theirs)


def rehearse(
    protocol: Protocol, text: str, asked: Asked, attend: Attend, send: Send, progress: Progress
) -> Outcome:
    """The whole rehearsal. `progress` hears of each day of each part that is over, see `steps`."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        installing.found(Path(folder), protocol, text, _first(protocol, asked))
        count = parts(asked.participants)
        work = [Work(protocol, asked, n, count, Path(folder), attend, send) for n in range(count)]
        outcomes = [play(work[0], progress)] if count == 1 else _side_by_side(work, progress)
    whole = outcomes[0]
    for other in outcomes[1:]:
        whole.add(other)
    return whole


def parts(participants: int) -> int:
    """In how many parts so many are rehearsed."""
    return 1 if participants < ALONE else max(2, -(-participants // PART))


def steps(asked: Asked) -> int:
    """How many steps `progress` will hear of."""
    return parts(asked.participants) * asked.days


def play(work: Work, progress: Progress) -> Outcome:
    """One part from its first day to its report."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        place = Path(folder)
        installing.copied(work.template, place)
        with installing.opened(place), installing.seldom_collecting():
            rehearsal = _rehearsal(work)
            with overheard(rehearsal.diary):
                rehearsal.play(progress)
            return _looked_at(rehearsal)


def _rehearsal(work: Work) -> Rehearsal:
    protocol, asked = work.protocol, work.asked
    first = _first(protocol, asked)
    until = first + timedelta(days=asked.days)
    sites = [(site.id, site.time_zone) for site in protocol.sites]
    people = habits.company(
        asked.participants, sites, protocol.languages, first.date(), until.date(), asked.seed
    )
    mine = people[work.number :: work.of]
    nurses = installing.nurses(protocol)
    return Rehearsal(protocol, mine, nurses, work.attend, work.send, first, until, asked.seed)


def _looked_at(rehearsal: Rehearsal) -> Outcome:
    with look(AUDITOR, rehearsal.until) as tx:
        facts = gather(tx, rehearsal)
        results = invariants.results(facts)
        trail = Result("trail", "G28", {"en": "The trail verifies", "zh-CN": "审计追踪校验通过"})
        faults = [*verifying.faults(tx, Participant), *integrity.faults(tx), *readings.faults(tx)]
        trail.checked, trail.broken = sum(facts.events.values()), len(faults)
        trail.cases = [str(fault) for fault in faults[: invariants.MOST_TOLD]]
    shown = rehearsal.people[min(1, len(rehearsal.people) - 1)]
    return Outcome(tally(facts), [*results, trail], calendar(facts, shown.subject_id))


def _first(protocol: Protocol, asked: Asked) -> datetime:
    return datetime.combine(asked.first, time(8), ZoneInfo(protocol.time_zone))


# Several at a time.

_days_done: Synchronized[int] | None = None


def _side_by_side(work: list[Work], progress: Progress) -> list[Outcome]:
    context = multiprocessing.get_context(_start_method())
    counter: Synchronized[int] = context.Value("l", 0)
    processes = min(len(work), max(2, os.cpu_count() or 2))
    with ProcessPoolExecutor(processes, context, _count_in, (counter,)) as pool:
        futures = [pool.submit(_play_counted, one) for one in work]
        for more in _watched(futures, counter):
            progress(more)
        return [future.result() for future in futures]


def _start_method() -> str:
    """A fork has everything imported already, which takes seconds; where other threads run it is not safe."""
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


def _watched(futures: list[Any], counter: Synchronized[int]) -> Iterator[int]:
    """How many days more are done, every now and then, until all is done."""
    seen, waiting = 0, set(futures)
    while waiting:
        done, waiting = wait(waiting, POLL, FIRST_COMPLETED)
        for future in done:
            future.result()  # a fault in one part ends the rehearsal
        now = counter.value
        yield now - seen
        seen = now


def _count_in(counter: Synchronized[int]) -> None:
    global _days_done
    _days_done = counter


def _play_counted(work: Work) -> Outcome:
    assert _days_done is not None
    return play(work, partial(_note_days, _days_done))


def _note_days(counter: Synchronized[int], days: int) -> None:
    with counter.get_lock():
        counter.value += days
