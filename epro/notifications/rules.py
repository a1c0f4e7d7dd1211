"""When silence is worth an alert, and when a message is still wanted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from epro.scheduling.protocol import AlertRule, OnMiss

USEFUL_FOR = timedelta(hours=1)  # how long after its moment a reminder is of use
ALERT_USEFUL_FOR = timedelta(days=2)
QUIET = ("22:00", "08:00")  # nobody is reminded at night unless she asked for it
DAILY_CAP = 4  # reminders a participant gets on one local day, all her assessments together
SOON, SELDOM = timedelta(seconds=30), timedelta(minutes=15)  # the first wait after a refusal, and the longest


def worth_an_alert(on_miss: OnMiss, misses_in_a_row: int) -> bool:
    """Whether this miss is to be told to somebody."""
    return on_miss.alert and misses_in_a_row >= on_miss.after


def next_escalation(rule: OnMiss | AlertRule, raised_at: datetime, done: int) -> datetime | None:
    """When the next person is told if nobody has acted; `done` steps have been taken. None after the last."""
    if done >= len(rule.escalation):
        return None
    return raised_at + rule.escalation[done].after


def due_at(rule: OnMiss | AlertRule, since: datetime) -> datetime | None:
    """By when an alert that stands since then is to be settled; None where the study names no time."""
    return since + rule.due if rule.due else None


def told_again(on_miss: OnMiss, further: int) -> bool:
    """Whether a streak is told again when so many further misses have joined its alert."""
    return bool(on_miss.again_every) and further > 0 and further % (on_miss.again_every or 1) == 0


def is_urgent_now(on_miss: OnMiss, misses: int) -> bool:
    """Whether a streak of so many misses makes its alert urgent."""
    return on_miss.urgent_from is not None and misses >= on_miss.urgent_from


def unwanted(message: Any, participant: Any, occurrence: Any, alert: Any, now: datetime) -> str | None:
    """Why this message must not go out at this moment; None when it may. The first reason counts."""
    if now >= message.expires_at:
        return "stale"
    if message.purpose == "reminder":
        return _reminder_unwanted(participant, occurrence, now)
    return _alert_message_unwanted(message, alert)


def is_quiet(preferences: Mapping[str, Any], zone: str, now: datetime) -> bool:
    """Whether it is within her quiet hours, on her own clock. Ours, where she named none, spare her own hour."""
    local = now.astimezone(ZoneInfo(zone))
    own, wished = preferences.get("quiet_hours"), preferences.get("reminder_hour")
    if wished and not own and _between((wished, _later(wished, USEFUL_FOR)), local.time()):
        return False
    return _between(own or QUIET, local.time())


def day_began_at(zone: str, now: datetime) -> datetime:
    """The first instant of her local day, in UTC."""
    midnight = datetime.combine(now.astimezone(ZoneInfo(zone)).date(), time.min, ZoneInfo(zone))
    return midnight.astimezone(UTC)


def contradict(preferences: Mapping[str, Any]) -> bool:
    """Whether she wishes to be reminded at an hour that she has called quiet herself."""
    own, wished = preferences.get("quiet_hours"), preferences.get("reminder_hour")
    return _between(own, time.fromisoformat(wished)) if own and wished else False


def wait_after(attempts: int) -> timedelta:
    """How long to wait when so many attempts have come to nothing: twice as long each time, up to a quarter hour."""
    return min(SOON * 2 ** min(attempts - 1, 10), SELDOM)


def channels(preferences: Mapping[str, Any], contact: Mapping[str, str]) -> list[str]:
    """The channels that can reach her, in the order she prefers."""
    reachable = {"sms": "phone" in contact, "email": "email" in contact}
    wanted = preferences.get("channels") or ["sms", "email"]
    return [channel for channel in wanted if reachable.get(channel)]


def _between(hours: Sequence[str], hour: time) -> bool:
    first, last = (time.fromisoformat(one) for one in hours)
    if first == last:
        return False
    return first <= hour < last if first < last else hour >= first or hour < last


def _later(hour: str, length: timedelta) -> str:
    """The clock `length` after this hour, past midnight too."""
    return (datetime.fromisoformat(f"2000-01-01T{hour}") + length).strftime("%H:%M")


def _reminder_unwanted(participant: Any, occurrence: Any, now: datetime) -> str | None:
    reasons = (
        ("withdrawn", participant.withdrawn_at is not None),
        ("opted_out", participant.opted_out_at is not None),
        ("answered", occurrence.fulfilled_at is not None),
        ("cancelled", occurrence.cancelled_at is not None or occurrence.excused_at is not None),
        ("window_closed", now >= occurrence.closes_at),
        ("quiet_hours", is_quiet(participant.preferences or {}, participant.time_zone, now)),
    )
    return next((reason for reason, holds in reasons if holds), None)


def _alert_message_unwanted(message: Any, alert: Any) -> str | None:
    if message.purpose == "digest":
        return None  # about a number, not about one alert
    if alert.cleared_at is not None:
        return "cleared"
    if alert.standing_since is None:
        return "resolved"
    if message.purpose == "escalation" and alert.owner is not None:
        return "acknowledged"
    return None
