"""Why a message was planned, sent or withheld, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from epro.scheduling.protocol import Assessment
from epro.why.happened import Happened
from epro.why.sentences import Refusal, Said, Word
from epro.why.templates import SENTENCES

ON_RECORD = {"message.planned"}  # told by its plan


def reminder(message: Any, occurrence: Any, assessment: Assessment, participant: Any) -> list[Said]:
    """Why the study, or she herself, wanted a reminder at that moment."""
    if "snoozed_until" in message.why:
        put_off = {"assessment": assessment.label, "local_day": occurrence.local_day}
        return [Said("message.after_snooze", message.planned_at, put_off)]
    facts = {
        "assessment": assessment.label,
        "local_day": occurrence.local_day,
        "number": message.why["number"] + 1,
        "count": len(assessment.reminders),
    }
    told = [Said("message.reminder", message.planned_at, facts)]
    hour = (participant.preferences or {}).get("reminder_hour")
    local = message.planned_at.astimezone(ZoneInfo(participant.time_zone))
    if message.why["number"] == 0 and hour and local.strftime("%H") == hour[:2]:
        told.append(Said("message.wished", message.planned_at, {"hour": hour}))
    return told


def to_staff(message: Any) -> list[Said]:
    """Why one of the staff was to be told of an alert, or of how many stand."""
    code = "handed_over" if "handed_over" in message.why else message.purpose
    role = Word("role", message.why.get("role", "staff"))
    return [Said(f"message.{code}", message.planned_at, {"role": role})]


def fate(message: Any, happened: Sequence[Happened], now: datetime) -> list[Said]:
    """Everything that was done with it, in order; and that it waits, if it does."""
    done = [said for one in happened for said in _step(one)]
    if message.begun_at is None and message.withheld_at is None and message.failed_at is None:
        done.append(Said("message.waiting", now, {"due_at": message.due_at}))
    return done


def _step(one: Happened) -> Iterator[Said]:
    facts = {"refusal": Refusal(one.reason) if one.reason else "-"}
    if one.action == "message.withheld" and one.reason == "quiet_hours":
        whose = Word("hours", one.details.get("whose", "quiet"))
        yield Said("withheld.quiet_hours", one.at, {"whose": whose})
    elif one.action == "message.withheld":
        code = f"withheld.{one.reason}"
        yield Said(code, one.at) if code in SENTENCES else Said("withheld.other", one.at, facts)
    elif one.action == "message.refused":
        yield Said("message.tried_again" if one.details.get("again") else "message.refused", one.at, facts)
    elif one.action == "message.begun":
        channel = Word("channel", one.details["channel"])
        yield Said(one.action, one.at, {"attempt": one.details["attempt"], "channel": channel})
    elif one.action in SENTENCES:
        yield Said(one.action, one.at, facts)
    elif one.action not in ON_RECORD:
        yield one.other
