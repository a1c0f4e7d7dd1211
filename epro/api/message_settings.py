"""What a participant, or her site for her, may set about messages: the limits as told, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from epro.errors import Invalid
from epro.notifications import rules
from epro.scheduling.messaging import MessageRules, settings_faults
from epro.studies.models import Participant

MINUTE = timedelta(minutes=1)


def limits(study: MessageRules) -> dict[str, Any]:
    """What the study file says, as apps and sites are told it."""
    quiet, cap, snooze = study.quiet_hours, study.daily_cap, study.snooze
    return {
        "quiet_hours": list(quiet.usual),
        "always_quiet": list(quiet.always) if quiet.always else None,
        "longest_quiet_minutes": quiet.longest // MINUTE,
        "daily_cap": cap.usual,
        "least_daily_cap": cap.least,
        "most_daily_cap": cap.most,
        "snoozes": snooze.times,
        "longest_snooze_minutes": snooze.longest // MINUTE,
    }


def refuse(study: MessageRules, participant: Participant, asked: Mapping[str, Any]) -> None:
    """Raise Invalid for what the study does not allow, or if no reminder could ever go out at her hour."""
    errors = [
        {"pointer": f"/{name}", "code": code, "detail": words}
        for name, code, words in settings_faults(study, asked)
    ]
    changes_hours = not asked.keys().isdisjoint(("reminder_hour", "quiet_hours"))
    if changes_hours and rules.contradict({**(participant.preferences or {}), **asked}, study.quiet_hours):
        words = "The reminder hour lies within the quiet hours."
        errors.append({"pointer": "/reminder_hour", "code": "invalid", "detail": words})
    if errors:
        raise Invalid(errors=errors)
