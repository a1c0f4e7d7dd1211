"""What a rehearsal comes to in numbers. Every number is a count, so the parts of a rehearsal add up in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from epro.questionnaires.library import bundled
from epro.scheduling import timeline
from epro.scheduling.protocol import Protocol
from epro.scheduling.timeline import first_key, window_of
from epro.simulation import habits, message_rules
from epro.simulation.facts import Facts

LATEST = timedelta(minutes=10)  # a reminder that leaves less than this is of little use
NIGHT = (22, 7)  # hours at the site during which nobody can phone a participant


@dataclass
class Tally:
    """Counts by name. Keys are plain texts and numbers, so that a part travels between processes."""

    weeks: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """(assessment, week, due | done | late | missed)."""
    windows: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(assessment, opened | closed | answered | late | missed | came_later | at_risk | at_risk_at_night | ...)."""
    visits: Counter[str] = field(default_factory=Counter)
    anchors: Counter[str] = field(default_factory=Counter)
    """Windows that opened, by visit and by anchor."""
    anchors_set: Counter[str] = field(default_factory=Counter)
    people: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(site | language | kind | arm, which)."""
    reminders: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """(assessment, number, planned | sent | sent_late | withheld:reason | skipped:reason)."""
    reminder_days: Counter[str] = field(default_factory=Counter)
    reminder_hours: Counter[int] = field(default_factory=Counter)
    """Reminders that reached somebody, by day and by hour, on her clock."""
    reminders_a_day: Counter[int] = field(default_factory=Counter)
    minutes_a_day: Counter[int] = field(default_factory=Counter)
    """So many reminders, so many minutes of answering -> on how many days of how many participants."""
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(rule's place, raised | cleared | step n)."""
    told: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(rule's place, purpose, role): messages to staff."""
    workload: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """(site, week, raised | taken | resolved | cleared)."""
    alerts_a_day: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(site, day): raised."""
    hours_to_act: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(site, whole hours from raised until taken in hand)."""
    messages: Counter[str] = field(default_factory=Counter)
    """Rules of messages by their place in the study file: how often each was exercised."""
    channels: Counter[str] = field(default_factory=Counter)
    """Reminders that reached somebody by this channel; `another` of them after one had refused it."""
    calls: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """Assessment -> answers on file."""
    again: Counter[str] = field(default_factory=Counter)
    """Assessment -> answers on file that were not a participant's first."""

    def add(self, other: Tally) -> None:
        """Another part of the same rehearsal."""
        for one in fields(self):
            getattr(self, one.name).update(getattr(other, one.name))


def tally(facts: Facts) -> Tally:
    """Count everything."""
    found = Tally(calls=Counter(facts.sent), done=Counter(facts.diary.done))
    found.messages = message_rules.counted(facts)
    for count in (_people, _windows, _ends, _days, _reminders, _alerts, _answers):
        count(found, facts)
    return found


def _week(facts: Facts, moment: datetime) -> int:
    """Weeks count from 1."""
    return (moment - facts.first).days // 7 + 1


def _people(found: Tally, facts: Facts) -> None:
    for row in facts.participants.values():
        who = facts.people[row.subject_id]
        named = {"site": row.site_id, "language": row.language, "kind": who.kind}
        if getattr(row, "arm", None):
            named["arm"] = row.arm
        found.people.update(named.items())
    found.anchors_set.update(anchor for _, anchor in {(row.subject_id, row.anchor) for row in facts.anchors})


def _windows(found: Tally, facts: Facts) -> None:
    for row in facts.occurrences.values():
        if row.cancelled_at is not None and row.cancelled_at <= row.opens_at or row.opens_at > facts.until:
            continue
        found.windows.update((row.assessment_id, word) for word in _words(facts, row))
        found.anchors[row.anchor] += 1
        if visit := row.visit_id or _burst_about(facts.protocol, row):
            found.visits[visit] += 1
        if row.closes_at <= facts.until and row.cancelled_at is None:
            week, fate = _week(facts, row.closes_at), _fate(row)
            found.weeks.update((row.assessment_id, week, word) for word in ("due", fate) if word)


def _burst_about(protocol: Protocol, row: Any) -> str | None:
    """The visit that a day of a burst lies about."""
    if protocol.assessment(row.assessment_id).burst is None:
        return None
    return str(first_key(row.key).partition(":")[0])


def _ends(found: Tally, facts: Facts) -> None:
    """For how many the day came from which on an assessment is asked no longer."""
    anchors: dict[str, dict[str, date]] = defaultdict(dict)
    for row in sorted(facts.anchors, key=lambda row: row.seq):
        anchors[row.subject_id][row.anchor] = row.day
    for assessment in facts.protocol.assessments:
        if assessment.until:
            ends = (timeline.end_day(facts.protocol, assessment, days) for days in anchors.values())
            came = sum(end is not None and end <= facts.until.date() for end in ends)
            found.windows[(assessment.id, ENDS)] += came


def _fate(row: Any) -> str | None:
    if row.fulfilled_at is not None:
        return "done" if row.fulfilled_at <= row.closes_at else "late"
    return "missed" if row.missed_at is not None else None


def _words(facts: Facts, row: Any) -> Iterator[str]:
    yield "opened"
    if window := window_of(row.key):
        yield f"opened {window}"
    if row.grace_until <= facts.until and row.cancelled_at is None:
        yield "closed"
    if row.fulfilled_at is not None:
        yield "answered"
    if _fate(row) == "late":
        yield "late"
    if row.missed_at is not None:
        yield "missed" if row.fulfilled_at is None else "came_later"
    if row.at_risk_at is not None:
        hour = row.at_risk_at.astimezone(ZoneInfo(row.time_zone)).hour
        yield "at_risk"
        if hour >= NIGHT[0] or hour < NIGHT[1]:
            yield "at_risk_at_night"


def _days(found: Tally, facts: Facts) -> None:
    """How much is asked of one participant on one day, if she answers everything on its last day but one at worst."""
    length = {(one.code, one.version): habits.minutes(len(one.items)) for one in bundled()}
    asked: dict[tuple[str, date], float] = defaultdict(float)
    for row in facts.occurrences.values():
        if row.cancelled_at is None and row.opens_at <= facts.until:
            asked[(row.subject_id, row.local_day)] += length[(row.instrument_code, row.instrument_version)]
    found.minutes_a_day.update(round(minutes) for minutes in asked.values())


def _reminders(found: Tally, facts: Facts) -> None:
    place = {row.id: row.assessment_id for row in facts.occurrences.values()}
    text_of = {str(row.id): row.assessment_id for row in facts.occurrences.values()}
    reached = {taken.message_id: taken for taken in facts.taken}
    by_day: Counter[tuple[str, date]] = Counter()
    for message in facts.messages.values():
        if message.purpose != "reminder" or message.occurrence_id not in place:
            continue
        rule = (place[message.occurrence_id], message.why.get("number", 0))
        found.reminders[(*rule, "planned")] += 1
        if message.withheld_reason:
            found.reminders[(*rule, f"withheld:{message.withheld_reason}")] += 1
        taken = reached.get(message.id)
        if taken is not None:
            local = facts.local(message.subject_id, taken.at)
            late = facts.occurrences[message.occurrence_id].closes_at - taken.at < LATEST
            found.reminders.update([(*rule, "sent"), *([(*rule, "sent_late")] if late else [])])
            found.reminder_days[local.date().isoformat()] += 1
            found.reminder_hours[local.hour] += 1
            by_day[(message.subject_id, local.date())] += 1
            found.channels.update([taken.channel, *(["another"] if message.failure else [])])
    found.reminders_a_day.update(by_day.values())
    for occurrence, reason, number in facts.skipped:
        if occurrence in text_of:
            found.reminders[(text_of[occurrence], number, f"skipped:{reason}")] += 1


def rule_place(alert: Any, facts: Facts) -> str:
    """Where the rule of an alert stands in the study file."""
    if alert.kind == "answer":
        return f"/alerts/{alert.why.get('rule')}"
    return f"/assessments/{facts.occurrences[alert.occurrence_id].assessment_id}/on_miss"


def _alerts(found: Tally, facts: Facts) -> None:
    for alert in facts.alerts.values():
        place = rule_place(alert, facts)
        found.alerts[(place, "raised")] += 1
        found.alerts.update((place, f"step {n}") for n in range(alert.escalations))
        if alert.urgent_at is not None:
            found.alerts[(place, "urgent_from")] += 1
        if _was_due(alert, facts.until):
            found.alerts[(place, "due")] += 1
        day = alert.raised_at.astimezone(ZoneInfo(facts.protocol.time_zone)).date()
        found.alerts_a_day[(alert.site_id, day.isoformat())] += 1
        _follow(found, facts, alert)
    for message in facts.messages.values():
        if message.purpose != "reminder":
            alert = facts.alerts.get(message.alert_id)
            place = rule_place(alert, facts) if alert else "/digest"
            found.told[(place, message.purpose, str(message.why.get("role", "")))] += 1
            if alert and message.purpose == "alert" and message.planned_at > alert.raised_at:
                found.alerts[(place, "again_every")] += 1


def _was_due(alert: Any, until: datetime) -> bool:
    """Whether the time within which it was to be settled was kept, or has passed."""
    return alert.due_at is not None and bool(alert.resolved_at or alert.cleared_at or alert.due_at <= until)


def _follow(found: Tally, facts: Facts, alert: Any) -> None:
    moments = {
        "raised": alert.raised_at,
        "taken": alert.acknowledged_at,
        "resolved": alert.resolved_at,
        "cleared": alert.cleared_at,
    }
    for word, moment in moments.items():
        if moment is not None:
            found.workload[(alert.site_id, _week(facts, moment), word)] += 1
    if alert.acknowledged_at is not None:
        hours = int((alert.acknowledged_at - alert.raised_at) / timedelta(hours=1))
        found.hours_to_act[(alert.site_id, hours)] += 1


def _answers(found: Tally, facts: Facts) -> None:
    seen: set[tuple[str, str]] = set()
    for row in facts.responses.values():
        found.answers[row.assessment_id] += 1
        if any(one["code"] == FINISHED for one in row.findings):
            found.windows[(row.assessment_id, FINISHED)] += 1
        if (row.subject_id, row.assessment_id) in seen:
            found.again[row.assessment_id] += 1
        seen.add((row.subject_id, row.assessment_id))
    for aside in facts.set_asides:
        found.held.update(finding["code"] for finding in aside.findings)


def calendar(facts: Facts, subject_id: str) -> dict[str, Any]:
    """One participant's days: what was asked and what became of it, and how often she was reminded."""
    days: dict[str, dict[str, Any]] = {}

    def day(moment: date) -> dict[str, Any]:
        return days.setdefault(moment.isoformat(), {"asked": {}, "reminders": 0, "alerts": 0})

    for row in sorted(facts.occurrences.values(), key=lambda row: (row.opens_at, row.assessment_id)):
        if row.subject_id == subject_id and row.opens_at <= facts.until and row.cancelled_at is None:
            day(row.local_day)["asked"][row.assessment_id] = _fate(row) or "open"
    for taken in facts.taken:
        message = facts.messages.get(taken.message_id)
        if message is not None and message.subject_id == subject_id and message.purpose == "reminder":
            day(facts.local(subject_id, taken.at).date())["reminders"] += 1
    for alert in facts.alerts.values():
        if alert.subject_id == subject_id:
            day(facts.local(subject_id, alert.raised_at).date())["alerts"] += 1
    return {
        "subject_id": subject_id,
        "kind": facts.people[subject_id].kind,
        "days": dict(sorted(days.items())),
    }


def rules(protocol: Protocol, found: Tally) -> list[dict[str, Any]]:
    """Every rule of the study file with its place and how often it was exercised."""
    return [{"place": place, "exercised": count} for place, count in _rules(protocol, found)]


def _rules(protocol: Protocol, found: Tally) -> Iterator[tuple[str, int]]:
    for language in protocol.languages:
        yield f"/study/languages/{language}", found.people[("language", language)]
    for arm in getattr(protocol, "arms", ()):
        yield f"/arms/{arm.id}", found.people[("arm", arm.id)]
    for anchor in protocol.anchors:
        yield f"/anchors/{anchor.id}", found.anchors_set[anchor.id] or found.anchors[anchor.id]
    for site in protocol.sites:
        yield f"/sites/{site.id}", found.people[("site", site.id)]
    asked = asked_at(protocol)
    for visit in protocol.visits:
        if visit.id in asked:
            yield f"/visits/{visit.id}", found.visits[visit.id]
    for assessment in protocol.assessments:
        yield from _of_assessment(assessment, found)
    for rule in protocol.alerts:
        yield from _of_alert(f"/alerts/{rule.id}", rule, found)
    for endpoint in protocol.endpoints:
        yield f"/endpoints/{endpoint.id}", found.again[endpoint.assessment]
    if getattr(protocol, "staff_digest", None):
        yield "/digest", sum(n for (_, purpose, _), n in found.told.items() if purpose == "digest")
    for place in message_rules.places(protocol.messages):
        yield place, found.messages[place]


def asked_at(protocol: Protocol) -> set[str]:
    """The visits at which something is asked, bursts about them too."""
    bursts = {visit for one in protocol.assessments if one.burst for visit in one.burst.visits}
    return bursts | {visit for one in protocol.assessments for visit in one.at}


PLAIN = {"id", "label", "instrument", "window", "windows", "sync_grace", "reminders", "on_miss", "at_risk"}
ENDS, FINISHED = "ended", "finished_after_closing"


def _of_assessment(assessment: Any, found: Tally) -> Iterator[tuple[str, int]]:
    place, told = f"/assessments/{assessment.id}", assessment.canonical()
    counted = {"until": ENDS, "while_answering": FINISHED}
    for key in sorted(told.keys() - PLAIN | ({"window"} if not assessment.windows else set())):
        yield f"{place}/{key}", found.windows[(assessment.id, counted.get(key, "opened"))]
    for window in assessment.windows:
        yield f"{place}/windows/{window.id}", found.windows[(assessment.id, f"opened {window.id}")]
    yield f"{place}/sync_grace", found.windows[(assessment.id, "late")]
    for number in range(len(assessment.reminders)):
        yield f"{place}/reminders/{number}", found.reminders[(assessment.id, number, "sent")]
    if assessment.at_risk:
        yield f"{place}/at_risk", found.windows[(assessment.id, "at_risk")]
    if assessment.on_miss.alert:
        on_miss = assessment.on_miss
        yield from _of_alert(f"{place}/on_miss", on_miss, found)
        for key in ("again_every", "urgent_from"):
            if getattr(on_miss, key):
                yield f"{place}/on_miss/{key}", found.alerts[(f"{place}/on_miss", key)]


def _of_alert(place: str, rule: Any, found: Tally) -> Iterator[tuple[str, int]]:
    yield place, found.alerts[(place, "raised")]
    for role in rule.roles:
        yield f"{place}/roles/{role}", found.told[(place, "alert", role)]
    for number, _ in enumerate(rule.escalation):
        yield f"{place}/escalation/{number}", found.alerts[(place, f"step {number}")]
    if rule.due:
        yield f"{place}/due", found.alerts[(place, "due")]


def median(hours: Mapping[int, int]) -> int | None:
    """The middle one of so many values; None when there is none."""
    middle, seen = (sum(hours.values()) + 1) // 2, 0
    for value in sorted(hours):
        seen += hours[value]
        if seen >= middle:
            return value
    return None
