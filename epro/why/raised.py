"""Why an occurrence was missed, why an alert was raised or was not, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from epro.scheduling.protocol import Assessment, Protocol
from epro.why.happened import Happened
from epro.why.sentences import Said, Who, Word
from epro.why.templates import SENTENCES


def outcome(occurrence: Any, responses: Sequence[Any], happened: Sequence[Happened]) -> list[Said]:
    """What came of an occurrence: reminders passed over, at risk, missed, excused, answered after all."""
    told = [_passed_over(one) for one in happened if one.action == "reminder.skipped"]
    told += [_snoozed(one) for one in happened if one.action in ("occurrence.snoozed", "snooze.dropped")]
    if occurrence.at_risk_at:
        told.append(Said("occurrence.at_risk", occurrence.at_risk_at, {"closes_at": occurrence.closes_at}))
    if occurrence.missed_at:
        facts = {"grace_until": occurrence.grace_until}
        told.append(Said("occurrence.missed", occurrence.missed_at, facts))
    told += [_excuse(one) for one in happened if one.action in ("occurrence.excused", "occurrence.unexcused")]
    if occurrence.fulfilled_at and responses:
        code = "occurrence.answered_late" if occurrence.missed_at else "occurrence.answered"
        first = min(response.corrected_at for response in responses)
        told.append(Said(code, occurrence.fulfilled_at, {"completed_at": first}))
    return told


def no_alert(occurrence: Any, assessment: Assessment, left_at: datetime | None) -> list[Said]:
    """Why a miss raised no alert."""
    if not assessment.on_miss.alert:
        return [Said("alert.none_asked", occurrence.missed_at)]
    if occurrence.closed_excused:
        return [Said("alert.none_as_excused", occurrence.missed_at)]
    if left_at is not None and left_at <= occurrence.missed_at:
        return [Said("alert.left", occurrence.missed_at)]
    return [Said("alert.not_yet", occurrence.missed_at, {"limit": assessment.on_miss.after})]


def alert(
    alert: Any, rule: Any, protocol: Protocol, happened: Sequence[Happened], *, hidden: bool, urgency: str
) -> list[Said]:
    """Why it was raised and everything done with it. `rule` asked for it; `hidden`: from this reader, by blinding."""
    told, since = [_raised(alert, rule, protocol, hidden, urgency)], alert.raised_at
    for one in happened:
        since = one.at if one.action == "alert.reopened" else since
        told += _step(one, since)
    return told


def standing(alert: Any, rule: Any, now: datetime) -> Said:
    """What an alert that stands waits for."""
    if alert.escalate_at is None or alert.ladder >= len(rule.escalation):
        return Said("alert.stands", now)
    role = Word("role", rule.escalation[alert.ladder].role)
    return Said("alert.next", now, {"role": role, "escalate_at": alert.escalate_at})


def _passed_over(one: Happened) -> Said:
    code = f"reminder.{one.reason}"
    return Said(code, one.at, {"number": one.details["number"] + 1}) if code in SENTENCES else one.other


def _snoozed(one: Happened) -> Said:
    if one.action == "snooze.dropped":
        return Said(one.action, one.at)
    return Said(one.action, one.at, {"until": datetime.fromisoformat(one.details["until"])})


def _excuse(one: Happened) -> Said:
    facts = {"who": one.who, "code": Word("excuse", one.details["code"]), "reason": one.reason}
    return Said(one.action, one.at, facts)


def _raised(alert: Any, rule: Any, protocol: Protocol, hidden: bool, urgency: str) -> Said:
    facts: dict[str, Any] = {"urgency": Word("urgency", urgency)}
    if hidden:
        return Said("alert.call", alert.raised_at, facts)
    facts |= {"roles": tuple(Word("role", role) for role in rule.roles)}
    facts |= {"assessment": protocol.assessment(alert.why["assessment"]).label}
    facts |= {"local_day": alert.why["local_day"]}
    if alert.kind == "answer":
        return Said("alert.answer", alert.raised_at, facts | {"rule": rule.label})
    facts |= {"misses": alert.why["misses_in_a_row"], "limit": alert.why["rule"]["after"]}
    return Said("alert.missed", alert.raised_at, facts)


def _step(one: Happened, since: datetime) -> list[Said]:
    """`since` is from when on it stood at that moment."""
    facts: dict[str, Any] = {"who": one.who, "reason": one.reason}
    match one.action:
        case "alert.raised":
            return []
        case "alert.escalated":
            facts = {"role": Word("role", one.details["to"]), "after": one.at - since}
        case "alert.resolved":
            facts["outcome"] = Word("outcome", one.details["outcome"])
        case "alert.noted":
            facts = {"who": one.who, "note": one.reason}
        case "alert.contact_attempted":
            facts["channel"] = Word("channel", one.details["channel"])
            facts["outcome"] = Word("contact", one.details["outcome"])
        case "alert.handed_over":
            facts["to"] = Who(f"staff:{one.details['to']}")
        case "alert.cleared":
            facts = {"cause": Word("cleared", one.details["why"])}
    return [Said(one.action, one.at, facts)] if one.action in SENTENCES else [one.other]
