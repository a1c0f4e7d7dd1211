"""When silence is worth an alert, and when a message is still wanted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from epro.scheduling.messaging import DailyCap, MessageRules, QuietHours
from epro.scheduling.protocol import AlertRule, OnMiss

USEFUL_FOR = timedelta(hours=1)  # how long after its moment a reminder is of use
ALERT_USEFUL_FOR = timedelta(days=2)
ABOUT_NONE = (
    "digest",
    "difference",
    "signature",
)  # purposes that only stand with a participant: the message is not about her
USUAL_CHANNELS = ("sms", "email", "push")  # where nothing else was chosen
LAST_CHANNEL = "app"  # its inbox waits for her when nothing else reaches her
SOON, SELDOM = timedelta(seconds=30), timedelta(minutes=15)  # the first wait after a refusal, and the longest
JITTER = 0.25  # a wait is longer by up to this share of it, so that not everybody knocks at once


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


def unwanted(
    message: Any, participant: Any, occurrence: Any, alert: Any, study: MessageRules, now: datetime
) -> str | None:
    """Why this message must not go out at this moment; None when it may. The first reason counts.

    `study` is what the study file says of messages.
    """
    if now >= message.expires_at:
        return "stale"
    if message.purpose == "reminder":
        return _reminder_unwanted(participant, occurrence, study, now)
    return _alert_message_unwanted(message, participant, alert)


def is_of_no_use(participant: Any, alert: Any) -> bool:
    """Whether nobody need call about it any more: something was missed by who has left the study. It stands until a
    person says what came of it; an answer that worries somebody worries her all the same."""
    return participant.withdrawn_at is not None and alert.kind == "missed"


def told_together(due_at: datetime, last_told: datetime | None) -> bool:
    """Whether another reminder has gone out since this one was due: none names what it is about, so one tells her of
    all that is due."""
    return last_told is not None and last_told >= due_at


def is_quiet(preferences: Mapping[str, Any], zone: str, quiet: QuietHours, now: datetime) -> bool:
    """Whether it is within her quiet hours, on her own clock."""
    return whose_quiet(preferences, zone, quiet, now) is not None


def whose_quiet(
    preferences: Mapping[str, Any], zone: str, quiet: QuietHours, now: datetime
) -> Literal["always", "own", "usual"] | None:
    """Whose quiet hours it is within, on her own clock: those of the study that spare nothing, her own, or the
    study's usual ones, which hold where she named none and spare the hour at which she wants to be reminded."""
    local = now.astimezone(ZoneInfo(zone)).time()
    if quiet.always and _between(quiet.always, local):
        return "always"
    own, wished = preferences.get("quiet_hours"), preferences.get("reminder_hour")
    if own:
        return "own" if _between(own, local) else None
    if wished and _between((wished, _later(wished, USEFUL_FOR)), local):
        return None
    return "usual" if _between(quiet.usual, local) else None


def cap_of(preferences: Mapping[str, Any], cap: DailyCap) -> int:
    """How many reminders she gets on one day: as she or her site has set it, within what the study allows now."""
    own = preferences.get("daily_cap")
    return cap.usual if own is None else max(cap.least, min(cap.most, own))


def day_began_at(zone: str, now: datetime) -> datetime:
    """The first instant of her local day, in UTC."""
    midnight = datetime.combine(now.astimezone(ZoneInfo(zone)).date(), time.min, ZoneInfo(zone))
    return midnight.astimezone(UTC)


def contradict(preferences: Mapping[str, Any], quiet: QuietHours) -> bool:
    """Whether she wishes to be reminded at an hour that she has called quiet herself, or that always is."""
    wished, hours = preferences.get("reminder_hour"), (preferences.get("quiet_hours"), quiet.always)
    return any(_between(one, time.fromisoformat(wished)) for one in hours if one) if wished else False


def wait_after(attempts: int, message_id: UUID) -> timedelta:
    """How long to wait when so many attempts of this message have come to nothing: twice as long each time, up to a
    quarter hour, and up to a quarter longer. Always the same for the same message and number of attempts.
    """
    wait = min(SOON * 2 ** min(attempts - 1, 10), SELDOM)
    dice = sha256(f"{message_id}/{attempts}".encode()).digest()[0] / 256
    return wait + timedelta(seconds=int(wait.total_seconds() * JITTER * dice))


def channels(preferences: Mapping[str, Any], addresses: Mapping[str, str | None]) -> list[str]:
    """The channels that can reach her, in the order she prefers; the app's own inbox comes last unless she says so."""
    wanted = [*(preferences.get("channels") or USUAL_CHANNELS), LAST_CHANNEL]
    return [channel for channel in dict.fromkeys(wanted) if addresses.get(channel)]


def _between(hours: Sequence[str], hour: time) -> bool:
    first, last = (time.fromisoformat(one) for one in hours)
    if first == last:
        return False
    return first <= hour < last if first < last else hour >= first or hour < last


def _later(hour: str, length: timedelta) -> str:
    """The clock `length` after this hour, past midnight too."""
    return (datetime.fromisoformat(f"2000-01-01T{hour}") + length).strftime("%H:%M")


def _reminder_unwanted(participant: Any, occurrence: Any, study: MessageRules, now: datetime) -> str | None:
    preferences, zone = participant.preferences or {}, participant.time_zone
    snoozed_until = occurrence.snoozed_until
    reasons = (
        ("withdrawn", participant.withdrawn_at is not None),
        ("restricted", participant.restricted_at is not None),
        ("opted_out", participant.opted_out_at is not None),
        ("answered", occurrence.fulfilled_at is not None),
        ("cancelled", occurrence.cancelled_at is not None),
        ("excused", occurrence.excused_at is not None),
        ("window_closed", now >= occurrence.closes_at),
        ("snoozed", snoozed_until is not None and now < snoozed_until),
        ("quiet_hours", is_quiet(preferences, zone, study.quiet_hours, now)),
    )
    return next((reason for reason, holds in reasons if holds), None)


def _alert_message_unwanted(message: Any, participant: Any, alert: Any) -> str | None:
    if message.purpose in ABOUT_NONE:
        return None  # about a number, not about one alert
    if alert.cleared_at is not None:
        return "cleared"
    if alert.standing_since is None:
        return "resolved"
    if message.purpose == "escalation" and alert.owner is not None:
        return "acknowledged"
    if is_of_no_use(participant, alert) and "handed_over" not in message.why:
        return "withdrawn"
    return None
