"""Study files however they come in: read against what is there, and an amendment's effect shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from datetime import timedelta
from typing import Any

from epro.notifications.recalls import recalled
from epro.notifications.wording import faults_of_own
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.library import SAFETY_ITEMS, bundled, derived_from
from epro.scheduling import amending, reading
from epro.scheduling.checks import Known
from epro.scheduling.protocol import Assessment, Protocol, Window
from epro.scheduling.source import Fault
from epro.tx import Tx

COUNTED = ("kept", "renewed", "moved", "cancelled", "new", "late", "skipped", "recalled")
Approved = Mapping[tuple[str, str], Set[str]]


def read(text: str, known: Mapping[tuple[str, str], Known]) -> tuple[Protocol | None, list[Fault]]:
    """The protocol of a study file, or every fault in it."""
    return reading.read(text, known, faults_of_own)


def known_instruments(approved: Approved | None = None) -> Mapping[tuple[str, str], Known]:
    """What every bundled instrument has, by code and version. `approved`: languages that packs bring besides."""
    more = approved or {}
    return {
        (one.code, one.version): _known(one, more.get((one.code, one.version), frozenset()))
        for one in bundled()
    }


def unwatched(protocol: Protocol) -> list[str]:
    """What is asked, wants a person at once from some answer on, and is looked at by no alert; a sentence for each."""
    watched = {
        (rule.assessment, rule.item): rule.threshold.limit
        for rule in sorted(protocol.alerts, key=lambda rule: -rule.threshold.limit)
        if rule.threshold.comparison == "at_least"
    }
    return [
        f"assessment {asked.id} asks item {item} of {asked.instrument.code}, and no alert looks at it: "
        f"an answer of {limit} or more needs a person at once. Add an alert when: {{item: {item}, at_least: {limit}}}"
        for asked in protocol.assessments
        for item, limit in SAFETY_ITEMS.get(asked.instrument.code, {}).items()
        if watched.get((asked.id, item), float("inf")) > limit
    ]


def queueing(protocol: Protocol) -> list[str]:
    """Alternates of which two can be wanted on one day, so that they come one after the other; a sentence for each."""
    return [
        f"two that were missed of {asked.instead_of.assessment} can want {asked.id} at one time: the second then opens"
        " when the first closes, for what is left of its window and for an hour at least"
        for asked in protocol.assessments
        if asked.instead_of and _can_meet(asked, protocol.assessment(asked.instead_of.assessment))
    ]


def _can_meet(alternate: Assessment, missed: Assessment) -> bool:
    """Whether the alternates of two windows of a day, or of two days, stand open on the same day."""
    assert alternate.instead_of is not None
    opening = [_days_until(alternate, missed, window) for window in missed.windows or (missed.window,)]
    if len(set(opening)) < len(opening):
        return True
    apart = missed.every.days if missed.every else 1 if missed.burst else None
    longest = max(opening) - min(opening) + alternate.instead_of.open_for
    return apart is not None and longest > apart


def _days_until(alternate: Assessment, missed: Assessment, window: Window) -> int:
    """How many days after the day of this window it is asked instead, by the clock on the wall."""
    over = timedelta(minutes=window.closing) + missed.sync_grace
    days, rest = divmod(over, timedelta(days=1))
    return days + (rest > timedelta(minutes=alternate.window.opens))


def effect(
    tx: Tx,
    protocol: Protocol,
    before: Protocol,
    site: str | None = None,
    step: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """What going over would change now: assessments, other parts of the file, and for each site and participant how
    many of what.
    """
    changes, people = amending.changes(before, protocol), []
    for participant, found in amending.dry_run(tx, protocol, site):
        row = {"site": participant.site_id, "subject_id": participant.subject_id}
        people.append({**row, **found.counts(), "recalled": recalled(tx, found)})
        step(1)
    return {
        "study": protocol.study_id,
        "version": protocol.version,
        "amends": before.version,
        "assessments": {
            "added": list(changes.added),
            "removed": list(changes.removed),
            "changed": {id: list(keys) for id, keys in changes.changed.items()},
        },
        "elsewhere": {part: list(keys) for part, keys in changes.elsewhere.items()},
        "sites": [_sum(one.id, people) for one in protocol.sites if site in (None, one.id)],
        "participants": people,
    }


def _sum(site: str, people: list[dict[str, Any]]) -> dict[str, Any]:
    here = [one for one in people if one["site"] == site]
    return {
        "site": site,
        "participants": len(here),
        **{name: sum(one[name] for one in here) for name in COUNTED},
    }


def _known(one: Instrument, more: Set[str]) -> Known:
    items = {item.id: (min(item.codes), max(item.codes)) for item in one.items}
    scales = {scale.name: scale.range for scale in one.scales}
    weekly = derived_from(one.code)
    by_week = {scale.name: scale.range for scale in weekly.scales} if weekly else {}
    return Known({*one.languages, *more}, items, scales, one.derived_from is None, by_week)
