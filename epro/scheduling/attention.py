"""What the clockwork does with one occurrence, and when it must look again.

The clockwork asks the database for the occurrences whose moment has come. What is to be done with one is told
here from its facts and the hour, so it does not matter how late the clockwork comes, how often, or how many of
them there are:

* A reminder is sent while it is fresh: up to two hours after its moment and before the window closes. Otherwise
  it is passed over, with the reason, and counts as handled: nobody is reminded at three in the morning of six
  o'clock's diary.
* A warning that a window is at risk is for saving it, so it is given before the closing or not at all.
* A miss is written down whenever the clockwork comes. It is never too late for that.

Reminders are numbered by their moments, from 0; `reminders_done` counts how many have been handled, sent or not.
A moment before the opening moves to the opening, which happens in a day that a clock change has made short.

When she puts a reminder off, one comes at the end of the snooze, in the place of those that would have come before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from typing import Protocol as Shape
from zoneinfo import ZoneInfo

from epro.scheduling.protocol import Assessment, Reminder

STALE = timedelta(hours=2)

WhySkipped = Literal["stale", "window_closed", "outside_window", "replaced", "snoozed"]


class Occurrence(Shape):
    """The facts that are read here; a database row or anything else that has them. Instants are aware."""

    @property
    def opens_at(self) -> datetime: ...
    @property
    def closes_at(self) -> datetime: ...
    @property
    def fulfilled_at(self) -> datetime | None: ...
    @property
    def excused_at(self) -> datetime | None: ...
    @property
    def cancelled_at(self) -> datetime | None: ...
    @property
    def missed_at(self) -> datetime | None: ...
    @property
    def at_risk_at(self) -> datetime | None: ...
    @property
    def reminders_done(self) -> int: ...
    @property
    def snoozed_until(self) -> datetime | None: ...


@dataclass(frozen=True)
class Remind:
    """Send reminder number `index`; not after `expires_at`."""

    index: int
    due_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class SkipReminder:
    """Count reminder number `index` as handled and send nothing.

    `stale`: its moment is more than two hours past. `window_closed`: the clockwork came after the closing.
    `outside_window`: the window is too short for it. `replaced`: another reminder goes out in
    its place. `snoozed`: she has put reminders off, and one comes when that is over.
    """

    index: int
    reason: WhySkipped


@dataclass(frozen=True)
class RemindAfterSnooze:
    """Send the reminder that she asked for when she put one off; not after `expires_at`."""

    due_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class DropSnooze:
    """Count the end of a snooze as handled and send nothing."""

    reason: WhySkipped


@dataclass(frozen=True)
class AtRisk:
    """Tell the site that the window closes soon and nothing has come."""


@dataclass(frozen=True)
class Miss:
    """Write down that the window and the sync grace are over and nothing has come."""


@dataclass(frozen=True)
class Lapse:
    """Let one go that she asked for herself and did not answer: that is no miss."""


Step = Remind | SkipReminder | RemindAfterSnooze | DropSnooze | AtRisk | Miss | Lapse


@dataclass(frozen=True)
class Moment:
    """An instant at which the clockwork looks at an occurrence, and what for."""

    at: datetime
    kind: Literal["reminder", "at_risk", "closes", "grace_over"]


def due_steps(
    occurrence: Occurrence,
    assessment: Assessment,
    now: datetime,
    *,
    first_reminder_at: time | None = None,
    zone: str | None = None,
) -> list[Step]:
    """Everything that is due at `now`, in the order in which to do it; empty when there is nothing.

    `first_reminder_at` is the hour at which the participant likes to be reminded, on the clock of `zone`.
    """
    if _settled(occurrence):
        return []
    if assessment.unscheduled:
        return [Lapse()] if now >= occurrence.closes_at + assessment.sync_grace else []
    nudges = _nudges(occurrence, assessment, first_reminder_at, zone)
    waiting = [nudge for nudge in nudges[occurrence.reminders_done :] if nudge.at <= now]
    wanted = [(nudge.at, _remind(nudge, occurrence, now)) for nudge in waiting]
    if (until := occurrence.snoozed_until) is not None:
        wanted = _snoozed(wanted, until, occurrence, now)
    due = _one_at_most(wanted)
    risk = _risk_moment(occurrence, assessment)
    if risk and risk <= now < occurrence.closes_at:
        due.append((risk, AtRisk()))
    if now >= (over := occurrence.closes_at + assessment.sync_grace):
        due.append((over, Miss()))
    return [step for _, step in sorted(due, key=lambda entry: entry[0])]


def next_attention(
    occurrence: Occurrence,
    assessment: Assessment,
    now: datetime,
    *,
    first_reminder_at: time | None = None,
    zone: str | None = None,
) -> datetime | None:
    """When to look at it again; None when it never needs that.

    This is the earliest moment that has not been handled. When that has passed already, look at once.
    """
    if _settled(occurrence):
        return None
    if assessment.unscheduled:
        return occurrence.closes_at + assessment.sync_grace
    nudges = _nudges(occurrence, assessment, first_reminder_at, zone)
    ahead = [nudge.at for nudge in nudges[occurrence.reminders_done :]]
    if occurrence.snoozed_until is not None:
        ahead.append(occurrence.snoozed_until)
    if now < occurrence.closes_at:
        ahead += [occurrence.closes_at, _risk_moment(occurrence, assessment) or occurrence.closes_at]
    return min([*ahead, occurrence.closes_at + assessment.sync_grace])


def moments(
    occurrence: Occurrence,
    assessment: Assessment,
    *,
    first_reminder_at: time | None = None,
    zone: str | None = None,
) -> list[Moment]:
    """Every look that this window needs when nothing comes in, in order: reminders, at risk, closing, grace over.

    Reminders that will be passed over are left out, and so is everything where she asks for it herself. Facts are
    not read, the window alone.
    """
    if assessment.unscheduled:
        return []
    looks = [
        Moment(nudge.at, "reminder")
        for nudge in _nudges(occurrence, assessment, first_reminder_at, zone)
        if not nudge.skip
    ]
    if assessment.at_risk:
        looks.append(Moment(_before_closing(occurrence, assessment.at_risk), "at_risk"))
    closes_at = occurrence.closes_at
    looks += [Moment(closes_at, "closes"), Moment(closes_at + assessment.sync_grace, "grace_over")]
    return sorted(looks, key=lambda look: look.at)


def _settled(occurrence: Occurrence) -> bool:
    return bool(
        occurrence.fulfilled_at or occurrence.excused_at or occurrence.cancelled_at or occurrence.missed_at
    )


def _risk_moment(occurrence: Occurrence, assessment: Assessment) -> datetime | None:
    if occurrence.at_risk_at or not assessment.at_risk:
        return None
    return _before_closing(occurrence, assessment.at_risk)


def _before_closing(occurrence: Occurrence, length: timedelta) -> datetime:
    return max(occurrence.opens_at, occurrence.closes_at - length)


# Reminders.


@dataclass(frozen=True)
class _Nudge:
    index: int
    at: datetime
    skip: WhySkipped | None


def _remind(nudge: _Nudge, occurrence: Occurrence, now: datetime) -> Step:
    if nudge.skip:
        return SkipReminder(nudge.index, nudge.skip)
    if now >= occurrence.closes_at:
        return SkipReminder(nudge.index, "window_closed")
    if now > nudge.at + STALE:
        return SkipReminder(nudge.index, "stale")
    return Remind(nudge.index, nudge.at, min(nudge.at + STALE, occurrence.closes_at))


def _snoozed(
    wanted: Sequence[tuple[datetime, Step]], until: datetime, occurrence: Occurrence, now: datetime
) -> list[tuple[datetime, Step]]:
    """What would have come before the end of the snooze makes way for the reminder at its end."""
    kept = [
        (at, SkipReminder(step.index, "snoozed") if at < until and isinstance(step, Remind) else step)
        for at, step in wanted
    ]
    over = [(until, _after_snooze(until, occurrence, now))] if until <= now else []
    return sorted([*kept, *over], key=lambda entry: entry[0])


def _after_snooze(until: datetime, occurrence: Occurrence, now: datetime) -> Step:
    if now >= occurrence.closes_at:
        return DropSnooze("window_closed")
    if now > until + STALE:
        return DropSnooze("stale")
    return RemindAfterSnooze(until, min(until + STALE, occurrence.closes_at))


def _one_at_most(steps: Sequence[tuple[datetime, Step]]) -> list[tuple[datetime, Step]]:
    """When the clockwork comes late, several reminders can be due at once; only the last one is sent."""
    sent = (Remind, RemindAfterSnooze)
    last = max((n for n, (_, step) in enumerate(steps) if isinstance(step, sent)), default=0)
    return [(at, _replaced(step) if n < last else step) for n, (at, step) in enumerate(steps)]


def _replaced(step: Step) -> Step:
    if isinstance(step, Remind):
        return SkipReminder(step.index, "replaced")
    return DropSnooze("replaced") if isinstance(step, RemindAfterSnooze) else step


def _nudges(
    occurrence: Occurrence, assessment: Assessment, first_at: time | None, zone: str | None
) -> list[_Nudge]:
    """All reminders in their order, never two to be sent at one moment."""
    natural = sorted(_moment(reminder, occurrence) for reminder in assessment.reminders)
    if not natural:
        return []
    first = _preferred(natural[0], occurrence, first_at, zone) or natural[0]
    return list(_numbered([first] + [max(first, moment) for moment in natural[1:]], occurrence.closes_at))


def _numbered(times: list[datetime], closes_at: datetime) -> Iterator[_Nudge]:
    for index, at in enumerate(times):
        if at >= closes_at:
            yield _Nudge(index, closes_at, "outside_window")
        else:
            yield _Nudge(index, at, "replaced" if index and at == times[index - 1] else None)


def _moment(reminder: Reminder, occurrence: Occurrence) -> datetime:
    if reminder.after_opening is not None:
        return occurrence.opens_at + reminder.after_opening
    assert reminder.before_closing is not None
    return _before_closing(occurrence, reminder.before_closing)


def _preferred(
    natural: datetime, occurrence: Occurrence, first_at: time | None, zone: str | None
) -> datetime | None:
    """The participant's hour on the day of the first reminder, or on the next day, whichever is in the window."""
    if first_at is None or zone is None:
        return None
    clock = ZoneInfo(zone)
    day = natural.astimezone(clock).date()
    for candidate in (day, day + timedelta(days=1)):
        moment = datetime.combine(candidate, first_at, clock).astimezone(UTC)
        if occurrence.opens_at <= moment < occurrence.closes_at:
            return moment
    return None
