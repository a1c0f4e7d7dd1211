"""What must hold whatever happens, checked from outside: against the rows and what people saw and did, with
arithmetic of its own. Nothing here asks the code under test what is right.

A check gives one item for each thing that it looked at: None when it is as it must be, else a sentence.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from epro.questionnaires import bulk
from epro.questionnaires.library import bundled
from epro.simulation.facts import Facts, within
from epro.simulation.installing import SITE_ROLES

Text = dict[str, str]
Found = Iterator[str | None]
MOST_TOLD = 20  # broken cases told in the report; the number tells the rest
PROMPT = timedelta(seconds=60)
IN_FLIGHT = timedelta(seconds=10)


@dataclass
class Result:
    """One check: how often it looked, how often something was wrong, and the first cases."""

    id: str
    guarantee: str
    text: Text
    checked: int = 0
    broken: int = 0
    cases: list[str] = field(default_factory=list)

    def note(self, found: str | None) -> None:
        self.checked += 1
        if found is not None:
            self.broken += 1
            if len(self.cases) < MOST_TOLD:
                self.cases.append(found)

    def add(self, other: Result) -> None:
        """Another part of the same rehearsal."""
        self.checked += other.checked
        self.broken += other.broken
        self.cases = (self.cases + other.cases)[:MOST_TOLD]


@dataclass(frozen=True)
class Check:
    """An invariant: the guarantee it belongs to, what it says in both languages, and how it is looked at."""

    id: str
    guarantee: str
    en: str
    zh: str
    look: Callable[[Facts], Found]


def results(facts: Facts) -> list[Result]:
    """Every check, done."""
    told = []
    for check in CHECKS:
        result = Result(check.id, check.guarantee, {"en": check.en, "zh-CN": check.zh})
        for found in check.look(facts):
            result.note(found)
        told.append(result)
    return told


# Messages.


def _reminders_taken(facts: Facts) -> Iterator[tuple[Any, Any]]:
    """(taken, message) of what reached participants."""
    for taken in facts.taken:
        message = facts.messages.get(taken.message_id)
        if message is not None and message.purpose == "reminder":
            yield taken, message


def quiet_hours(facts: Facts) -> Found:
    """Her own hours, or the study's usual ones where she named none; and those that are always quiet."""
    rules = facts.protocol.messages.quiet_hours
    for taken, message in _reminders_taken(facts):
        local = facts.local(message.subject_id, taken.at)
        own = facts.wished(message.subject_id, taken.at).get("quiet_hours", rules.usual)
        quiet = any(within(hours, f"{local:%H:%M}") for hours in (own, rules.always) if hours)
        yield f"{message.subject_id} was reminded at {local.isoformat()}" if quiet else None


def unanswered_only(facts: Facts) -> Found:
    answered: dict[Any, datetime] = {}
    for one in facts.diary.handed_in:
        if one.outcome == "stored":
            answered.setdefault(one.occurrence_id, one.uploaded_at)
    for taken, message in _reminders_taken(facts):
        at = answered.get(message.occurrence_id)
        yield f"reminded at {taken.at} of what was uploaded at {at}" if at and at < taken.at else None


def open_only(facts: Facts) -> Found:
    for taken, message in _reminders_taken(facts):
        row = facts.occurrences.get(message.occurrence_id)
        if row is not None:
            inside = row.opens_at <= taken.at < row.closes_at
            yield None if inside else f"reminded at {taken.at} of {row.opens_at} to {row.closes_at}"


def nothing_after_withdrawal(facts: Facts) -> Found:
    for taken, message in _reminders_taken(facts):
        left = facts.diary.withdrawn.get(message.subject_id)
        late = left is not None and taken.at > left + IN_FLIGHT
        yield f"{message.subject_id} left at {left} and was reminded at {taken.at}" if late else None


def reminded_once(facts: Facts) -> Found:
    times: Counter[Any] = Counter()
    for _, message in _reminders_taken(facts):
        times[(message.subject_id, message.occurrence_id, json.dumps(message.why, sort_keys=True))] += 1
    for (subject, occurrence, _), n in times.items():
        yield None if n == 1 else f"{subject} got a reminder of {occurrence} {n} times"


def no_third_identical_text(facts: Facts) -> Found:
    """To one number in mainland China within 24 hours; of reminders, since a message to staff is never held back."""
    earlier: dict[tuple[str, str], list[datetime]] = {}
    for taken, _ in _reminders_taken(facts):
        if taken.channel == "sms" and taken.to.startswith("+86"):
            times = earlier.setdefault((taken.to, taken.text), [])
            third = len(times) > 1 and taken.at - times[-2] < timedelta(hours=24)
            times.append(taken.at)
            yield f"{taken.to[-4:]} got one text a third time at {taken.at}" if third else None


def within_the_daily_cap(facts: Facts) -> Found:
    """Of those who stay in one zone: reminders on one day of their own clock, when the last of them came."""
    days: Counter[Any] = Counter()
    usual = facts.protocol.messages.daily_cap.usual
    for taken, message in _reminders_taken(facts):
        subject = message.subject_id
        if len(facts.diary.zones[subject]) < 2:
            day = facts.local(subject, taken.at).date()
            days[subject, day] += 1
            most = facts.wished(subject, taken.at).get("daily_cap", usual)
            n = days[subject, day]
            yield None if n <= most else f"{subject} got {n} reminders on {day}"


def staff_told_twice_at_most(facts: Facts) -> Found:
    times = Counter(
        (taken.message_id, taken.channel)
        for taken in facts.taken
        if taken.message_id in facts.messages and facts.messages[taken.message_id].purpose != "reminder"
    )
    for (message, channel), n in times.items():
        yield None if n <= 2 else f"message {message} went out {n} times by {channel}"


def messages_have_an_end(facts: Facts) -> Found:
    for message in facts.messages.values():
        if message.expires_at + timedelta(hours=7) > facts.until:
            continue
        ends = (message.accepted_at, message.failed_at, message.unknown_at, message.withheld_at)
        yield None if any(ends) else f"message {message.id} ({message.purpose}) has no end"


def taken_is_on_the_ledger(facts: Facts) -> Found:
    for taken in facts.taken:
        yield None if taken.message_id in facts.messages else f"message {taken.message_id} is on no ledger"


# Windows.


def never_born_missed(facts: Facts) -> Found:
    for row in facts.occurrences.values():
        over = row.closes_at <= row.planned_at
        yield f"{row.subject_id} {row.assessment_id} was planned when it was over" if over else None


def windows_follow_each_other(facts: Facts) -> Found:
    for (_, assessment), rows in facts.by_assessment.items():
        if facts.protocol.assessment(assessment).unscheduled:
            continue  # once it is answered she may ask for another one
        live = [row for row in rows if row.cancelled_at is None and row.visit_id is None]
        for one, next_one in pairwise(live):
            apart = one.closes_at <= next_one.opens_at
            yield (
                None
                if apart
                else f"{one.subject_id} {one.assessment_id}: two windows open on {one.local_day}"
            )


def one_window_a_day(facts: Facts) -> Found:
    """Whatever is not asked for by herself: no window twice on one local day, and of what is asked in a rhythm no day
    left out. What was missed on two windows of a day has two alternates, each of its own window."""
    for (subject, assessment), rows in facts.by_assessment.items():
        said, days = facts.protocol.assessment(assessment), defaultdict[str, list[date]](list)
        for row in rows:
            if row.cancelled_at is None and not said.unscheduled:
                days[row.key.partition("@")[0].partition(".")[2]].append(row.local_day)
        for window, asked in days.items():
            name = " ".join(filter(None, (subject, assessment, window)))
            for day, n in Counter(asked).items():
                yield None if n == 1 else f"{name}: asked {n} times on {day}"
            if _steady(said) and facts.people[subject].kind != "moved_visit":
                yield from _left_out(name, said, sorted(set(asked)))


def _steady(said: Any) -> bool:
    """Whether nothing but the calendar says on which days it is asked."""
    return bool(said.every) and not (said.condition or said.after)


def _left_out(name: str, said: Any, days: list[date]) -> Found:
    for one, next_one in pairwise(days):
        between = [one + timedelta(days=n) for n in range(1, (next_one - one).days)]
        lost = [day for day in between if _is_named(said.every, one, day)]
        right = _is_named(said.every, one, next_one) and not lost
        yield None if right else f"{name}: {one} is followed by {next_one}"


def _is_named(every: Any, before: date, day: date) -> bool:
    """Whether the rhythm asks on this day, reckoned from one on which it does."""
    calendar = every.calendar
    if calendar is None:
        return (day - before).days % every.days == 0
    if calendar.month_days:
        last = (day + timedelta(days=1)).day == 1
        return day.day in calendar.month_days or (last and day.day < max(calendar.month_days))
    monday, that_monday = (one - timedelta(days=one.weekday()) for one in (before, day))
    weeks = (that_monday - monday).days // 7
    return day.weekday() in calendar.weekdays and weeks % calendar.weeks == 0


def every_window_has_an_end(facts: Facts) -> Found:
    for row in facts.occurrences.values():
        if row.grace_until + timedelta(hours=1) > facts.until:
            continue
        ends = (row.fulfilled_at, row.missed_at, row.excused_at, row.cancelled_at)
        yield None if any(ends) else f"{row.subject_id} {row.assessment_id} {row.local_day} was forgotten"


def missed_in_time(facts: Facts) -> Found:
    for row in facts.occurrences.values():
        if row.missed_at is not None:
            late = not row.grace_until <= row.missed_at <= row.grace_until + PROMPT
            yield f"{row.subject_id} {row.assessment_id}: missed at {row.missed_at}" if late else None


# Alerts.


def every_miss_is_told(facts: Facts) -> Found:
    """A miss that is worth an alert by the study file has one within a minute of the end of its grace."""
    for row in facts.occurrences.values():
        left = facts.diary.withdrawn.get(row.subject_id)
        if row.missed_at is None or (left and left <= row.missed_at) or not _worth(facts, row):
            continue
        own = [alert for alert in facts.alerts_of.get(row.id, ()) if alert.raised_at <= _prompt(row)]
        joined = facts.joined.get(row.id, set())
        told = len(own) + len(joined)
        yield None if told else f"{row.subject_id} {row.assessment_id} {row.local_day}: no alert"


def one_alert_each(facts: Facts) -> Found:
    for occurrence, alerts in facts.alerts_of.items():
        yield None if len(alerts) == 1 else f"occurrence {occurrence} has {len(alerts)} alerts"


def no_alert_without_miss(facts: Facts) -> Found:
    for alert in facts.alerts.values():
        if alert.kind != "missed":
            continue
        row = facts.occurrences.get(alert.occurrence_id)
        right = row is not None and row.missed_at is not None and _worth(facts, row)
        yield None if right else f"alert {alert.id} is about nothing that was missed"


def _prompt(row: Any) -> datetime:
    until: datetime = row.grace_until + PROMPT
    return until


def _worth(facts: Facts, row: Any) -> bool:
    on_miss = facts.protocol.assessment(row.assessment_id).on_miss
    return on_miss.alert and _run(facts, row) >= on_miss.after


def _run(facts: Facts, row: Any) -> int:
    """How many were missed in a row up to this one, as it stood when this one was written down."""
    then, run = row.missed_at, 0
    earlier = [one for one in facts.by_assessment[(row.subject_id, row.assessment_id)] if not one.excused_at]
    for one in reversed([one for one in earlier if one.opens_at <= row.opens_at]):
        if one.cancelled_at is not None and one.cancelled_at <= then:
            continue
        if one.grace_until > then or (one.fulfilled_at is not None and one.fulfilled_at <= then):
            break
        run += 1
    return run


def alerts_are_told(facts: Facts) -> Found:
    """Nobody has to look for an alert: somebody was written to. Roles that nobody holds are a finding, no fault."""
    spoken = {message.alert_id for message in facts.messages.values() if message.alert_id}
    for alert in facts.alerts.values():
        if SITE_ROLES & set(_roles(facts, alert)):
            yield None if alert.id in spoken else f"nobody was told of alert {alert.id}"


def _roles(facts: Facts, alert: Any) -> tuple[str, ...]:
    if alert.kind == "answer":
        return facts.protocol.alert_rule(alert.why["rule"]).roles
    return facts.protocol.assessment(facts.occurrences[alert.occurrence_id].assessment_id).on_miss.roles


def late_answers_clear(facts: Facts) -> Found:
    for row in facts.occurrences.values():
        if row.missed_at is None or row.fulfilled_at is None:
            continue
        for alert in facts.alerts_of.get(row.id, ()):
            others = [one for one, alerts in facts.joined.items() if alert.id in alerts and one != row.id]
            ended = alert.cleared_at or alert.resolved_at
            stands = not others and (ended is None or ended > max(row.fulfilled_at, alert.raised_at))
            yield f"alert {alert.id} stands though its answer has come" if stands else None


# Answers.


def stored_once(facts: Facts) -> Found:
    stored = Counter(one.response_id for one in facts.diary.handed_in if one.outcome == "stored")
    known = {str(response) for response in facts.responses}
    for response, n in stored.items():
        yield None if n == 1 and response in known else f"response {response}: {n} receipts say stored"
    for response in sorted(known - stored.keys()):
        yield f"response {response} was handed in by nobody"


def nothing_lost(facts: Facts) -> Found:
    kept = {str(one) for one in facts.responses} | {row.response_id for row in facts.set_asides}
    for one in facts.diary.handed_in:
        yield None if one.response_id in kept else f"{one.response_id} ({one.outcome}) is nowhere"


def repeats_change_nothing(facts: Facts) -> Found:
    for one in facts.diary.handed_in:
        if not one.first:
            same = one.outcome in ("already_stored", "held", "conflict")
            yield None if same else f"{one.response_id} was sent again and {one.outcome}"


ANSWERS = ("response.stored", "response.amended")


def in_the_feed_once(facts: Facts) -> Found:
    told = Counter(json.loads(entry.body)["response"]["id"] for entry in facts.feed if entry.kind in ANSWERS)
    for response in facts.responses:
        n = told.get(str(response), 0)
        yield None if n == 1 else f"response {response} is in the feed {n} times"


def positions_without_gaps(facts: Facts) -> Found:
    positions = sorted(entry.position or 0 for entry in facts.feed)
    for expected, position in enumerate(positions, start=1):
        yield None if position == expected else f"position {position} where {expected} is due"


def in_time_is_fulfilled(facts: Facts) -> Found:
    """What was completed within its window counts, whenever it came, unless it had been cancelled before."""
    for one in facts.diary.handed_in:
        row = facts.occurrences.get(one.occurrence_id)
        if row is None or not row.opens_at <= one.completed_at < row.closes_at:
            continue
        if row.cancelled_at is not None and row.cancelled_at <= one.completed_at:
            continue
        yield None if row.fulfilled_at else f"{one.response_id} was in time and does not count"


HALF_AN_HOUR = timedelta(minutes=30)


def finished_counts(facts: Facts) -> Found:
    """What she began in its window and finished as soon after the closing as the study lets her: it counts, and
    nobody called it missed in the meantime."""
    for one in facts.diary.handed_in:
        row = facts.occurrences.get(one.occurrence_id)
        if row is None or not row.opens_at <= one.begun_at < row.closes_at <= one.completed_at:
            continue
        said = facts.protocol.assessment(row.assessment_id)
        longer = min(HALF_AN_HOUR if said.answering is None else said.answering, said.sync_grace)
        called_off = row.cancelled_at is not None and row.cancelled_at <= one.completed_at
        if called_off or one.completed_at >= row.closes_at + longer:
            continue
        early = row.missed_at is not None and row.missed_at < one.completed_at
        lost = row.fulfilled_at is None
        yield f"{one.response_id} was being answered when it expired" if early or lost else None


def before_the_withdrawal(facts: Facts) -> Found:
    """What was completed before she left is filed, though it arrived after."""
    for one in facts.diary.handed_in:
        left = facts.diary.withdrawn.get(one.subject_id)
        if left is not None and one.completed_at < left < one.uploaded_at:
            yield None if one.outcome != "held" else f"{one.response_id} was held"


def scored_right(facts: Facts) -> Found:
    """Every score once more, by columns instead of one by one, from the answers that were sent."""
    instruments = {(one.code, one.version): one for one in bundled()}
    told = {
        body["response"]["id"]: body
        for body in (json.loads(entry.body) for entry in facts.feed if entry.kind in ANSWERS)
    }
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in facts.responses.values():
        groups.setdefault((row.instrument_code, row.instrument_version), []).append(row)
    for key, rows in groups.items():
        instrument = instruments[key]
        codes = bulk.encode(instrument, [json.loads(row.body)["answers"] for row in rows])
        for column in bulk.score_codes(instrument, codes):
            for row, value in zip(rows, column.value.tolist(), strict=True):
                scores = {one["scale"]: one["value"] for one in told[str(row.id)]["scores"]}
                mine, theirs = None if value != value else value, scores.get(column.scale)
                yield None if mine == theirs else f"{row.id} {column.scale}: {theirs}, should be {mine}"


def no_fault_inside(facts: Facts) -> Found:
    yield from facts.diary.faults
    yield None


CHECKS = (
    Check("quiet_hours", "G16", "No reminder in quiet hours", "静默时段内无提醒", quiet_hours),
    Check("unanswered_only", "G16", "No reminder of what is answered", "已填写的不再提醒", unanswered_only),
    Check("open_only", "G16", "Reminders only while the window is open", "仅在窗口开放期间提醒", open_only),
    Check(
        "after_withdrawal", "G17", "No reminder after a withdrawal", "退出后无提醒", nothing_after_withdrawal
    ),
    Check("reminded_once", "G16", "No reminder doubled", "提醒不重复", reminded_once),
    Check(
        "no_third_text",
        "G16",
        "No text a third time to a number in China within 24 hours",
        "24 小时内不向同一中国号码第三次发送相同内容",
        no_third_identical_text,
    ),
    Check(
        "daily_cap",
        "G17",
        "No more reminders on a day than its cap",
        "每日提醒不超过上限",
        within_the_daily_cap,
    ),
    Check(
        "staff_twice",
        "G16",
        "A message to staff goes out twice at most",
        "给工作人员的消息最多发出两次",
        staff_told_twice_at_most,
    ),
    Check(
        "messages_end",
        "G19",
        "Every message has an end, sent or not",
        "每条消息都有结局",
        messages_have_an_end,
    ),
    Check(
        "ledger",
        "G20",
        "Everything that went out is on the ledger",
        "发出的消息均在台账上",
        taken_is_on_the_ledger,
    ),
    Check(
        "born_missed",
        "G13",
        "Nothing is planned that is over already",
        "不会生成已过期的窗口",
        never_born_missed,
    ),
    Check("overlap", "G13", "Windows do not overlap", "窗口不重叠", windows_follow_each_other),
    Check(
        "one_a_day",
        "G13",
        "Every window is asked once on its local day, and no day of a rhythm is left out",
        "每个窗口在其当地日恰好一次，周期内无遗漏",
        one_window_a_day,
    ),
    Check(
        "window_ends",
        "G14",
        "Every window ends: answered, missed, excused or cancelled",
        "每个窗口都有结局",
        every_window_has_an_end,
    ),
    Check("missed_in_time", "G14", "A miss is noticed within a minute", "漏填一分钟内被发现", missed_in_time),
    Check(
        "alert_each",
        "G14",
        "Every miss that is worth it has its alert",
        "应警报的漏填都有警报",
        every_miss_is_told,
    ),
    Check("alert_once", "G15", "A miss has one alert", "一次漏填只有一条警报", one_alert_each),
    Check("alert_right", "G15", "No alert without a miss", "没有漏填就没有警报", no_alert_without_miss),
    Check(
        "alert_told",
        "G14",
        "Somebody is written to about every alert",
        "每条警报都通知到人",
        alerts_are_told,
    ),
    Check(
        "late_clears",
        "G18",
        "An answer given in time clears its alert, however late it comes",
        "按时填写、迟到上传的回答会撤销警报",
        late_answers_clear,
    ),
    Check("stored_once", "G2", "Every answer is stored once", "每份回答只存一次", stored_once),
    Check("nothing_lost", "G5", "Nothing that was handed in is lost", "上传的内容不会丢失", nothing_lost),
    Check(
        "repeats",
        "G3",
        "The same sent again changes nothing",
        "重复上传不产生新的影响",
        repeats_change_nothing,
    ),
    Check(
        "feed_once", "G22", "Every answer is in the feed once", "每份回答在数据流中恰好一次", in_the_feed_once
    ),
    Check(
        "positions", "G22", "Positions of the feed have no gap", "数据流位置连续无缺", positions_without_gaps
    ),
    Check(
        "in_time",
        "G12",
        "What was completed in its window counts",
        "窗口内完成的回答都算数",
        in_time_is_fulfilled,
    ),
    Check(
        "finished_counts",
        "G12",
        "Nothing expires while it is being answered",
        "填写过程中不会过期",
        finished_counts,
    ),
    Check(
        "before_leaving",
        "G33",
        "What was completed before a withdrawal is filed",
        "退出前完成的回答照常入库",
        before_the_withdrawal,
    ),
    Check("scores", "G25", "Scores are what scoring again gives", "重新计分结果一致", scored_right),
    Check(
        "no_fault", "G35", "Nothing inside failed or was put off", "系统内部无故障、无推迟", no_fault_inside
    ),
)
