"""Everything that a rehearsal left behind, read once: rows of the database beside what people saw and did."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro.notifications import models as notifications
from epro.notifications.models import Alert, Message
from epro.responses.models import Response, SetAside
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol
from epro.simulation.habits import Person
from epro.simulation.providers import Taken
from epro.simulation.rehearsal import Diary, Rehearsal
from epro.studies.models import Anchor, Participant
from epro.trail.models import Event, FeedEntry
from epro.tx import Tx


@dataclass
class Facts:
    """Rows as plain tuples with names; `taken` is what the providers would have delivered."""

    protocol: Protocol
    people: Mapping[str, Person]
    diary: Diary
    first: datetime
    until: datetime
    taken: list[Taken]
    sent: Counter[str]
    """Channel and outcome of each call, such as "sms taken"."""
    occurrences: dict[UUID, Any] = field(default_factory=dict)
    messages: dict[UUID, Any] = field(default_factory=dict)
    alerts: dict[UUID, Any] = field(default_factory=dict)
    participants: dict[str, Any] = field(default_factory=dict)
    anchors: list[Any] = field(default_factory=list)
    responses: dict[UUID, Any] = field(default_factory=dict)
    set_asides: list[Any] = field(default_factory=list)
    feed: list[Any] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str, int]] = field(default_factory=list)
    """(occurrence id, reason, number) of the reminders that were passed over."""
    joined: dict[UUID, set[UUID]] = field(default_factory=dict)
    """Occurrence -> the alerts that its miss joined."""

    @cached_property
    def by_assessment(self) -> dict[tuple[str, str], list[Any]]:
        """(subject, assessment) -> its occurrences, by their opening."""
        found: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in self.occurrences.values():
            found[(row.subject_id, row.assessment_id)].append(row)
        for rows in found.values():
            rows.sort(key=lambda row: (row.opens_at, str(row.id)))
        return found

    @cached_property
    def alerts_of(self) -> dict[UUID, list[Any]]:
        """Occurrence -> the alerts raised for its miss."""
        found: dict[UUID, list[Any]] = defaultdict(list)
        for alert in self.alerts.values():
            if alert.kind == "missed":
                found[alert.occurrence_id].append(alert)
        return found

    def zone_at(self, subject_id: str, moment: datetime) -> str:
        """Where she was, as she knows it herself."""
        known = [zone for since, zone in self.diary.zones[subject_id] if since <= moment]
        return known[-1] if known else self.people[subject_id].home

    def local(self, subject_id: str, moment: datetime) -> datetime:
        """The moment on her own clock."""
        return moment.astimezone(ZoneInfo(self.zone_at(subject_id, moment)))

    @cached_property
    def _wishes(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        for said in self.diary.wishes:
            if not said.refused:
                found[said.subject_id].append(said)
        return found

    def wished(self, subject_id: str, moment: datetime) -> dict[str, Any]:
        """What she had asked of messages by then, as far as she got it."""
        told = [said.wish for said in self._wishes.get(subject_id, ()) if said.at <= moment]
        return {name: value for wish in told for name, value in wish.items()}


def within(hours: Sequence[str], clock: str) -> bool:
    """Hours and clock as HH:MM; past midnight when the second hour is the earlier one."""
    first, last = hours
    return first <= clock < last if first <= last else not last <= clock < first


def gather(tx: Tx, rehearsal: Rehearsal) -> Facts:
    """Read everything."""
    providers = rehearsal.providers
    facts = Facts(
        rehearsal.protocol,
        rehearsal.by_subject,
        rehearsal.diary,
        rehearsal.first.astimezone(UTC),
        rehearsal.until.astimezone(UTC),
        sorted((one for provider in providers for one in provider.taken), key=lambda one: one.at),
        Counter({f"{one.channel} {what}": n for one in providers for what, n in one.outcomes.items()}),
    )
    for name, model in (("occurrences", Occurrence), ("messages", Message), ("alerts", Alert)):
        setattr(facts, name, {row.id: row for row in _rows(tx, model)})
    facts.responses = {row.id: row for row in _rows(tx, Response)}
    facts.participants = {row.subject_id: row for row in _rows(tx, Participant)}
    facts.anchors, facts.set_asides, facts.feed = (
        _rows(tx, Anchor),
        _rows(tx, SetAside),
        _rows(tx, FeedEntry),
    )
    _read_events(tx, facts)
    _read_joined(tx, facts)
    return facts


def _rows(tx: Tx, model: Any) -> list[Any]:
    return list(tx.session.execute(sa.select(*model.__table__.columns)))


def _read_events(tx: Tx, facts: Facts) -> None:
    counted = sa.select(Event.action, sa.func.count()).group_by(Event.action)
    facts.events = Counter({row[0]: row[1] for row in tx.session.execute(counted)})
    skipped = sa.select(Event.object_id, Event.body).where(Event.action == "reminder.skipped")
    for occurrence, body in tx.session.execute(skipped):
        told = json.loads(body)
        facts.skipped.append((occurrence, told["reason"], told["details"]["number"]))


def _read_joined(tx: Tx, facts: Facts) -> None:
    """Misses that joined an alert which stood already, where alerts keep such steps."""
    steps: Any = getattr(notifications, "AlertStep", None)
    if steps is None:
        return
    query = sa.select(steps.occurrence_id, steps.alert_id).where(steps.kind == "joined")
    for occurrence, alert in tx.session.execute(query):
        facts.joined.setdefault(occurrence, set()).add(alert)
