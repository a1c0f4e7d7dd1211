"""What a rehearsal shows to be wrong with a study file that is sound on paper. Pure.

`study check` reads the file; this looks at what it did to participants and nurses. Each finding has its place in
the file, a sentence in both languages and the numbers that it stands on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from epro.scheduling.protocol import Protocol
from epro.simulation.tally import Tally, asked_at

FEW = 3  # windows: fewer say nothing about whether anybody answers
MINUTES_A_DAY = 60
ALERTS_A_WEEK = 2  # of one participant: more are not followed up
RARELY, MOSTLY, OFTEN = 0.5, 0.5, 0.2


@dataclass(frozen=True)
class Finding:
    """`code`, where in the study file, and what was seen."""

    code: str
    place: str
    en: str
    zh: str

    def told(self) -> dict[str, Any]:
        return {"code": self.code, "place": self.place, "text": {"en": self.en, "zh-CN": self.zh}}


def findings(protocol: Protocol, tally: Tally, days: int) -> list[Finding]:
    """Everything that stands out, in the order of the study file."""
    found = [*_people(protocol, tally), *_visits(protocol, tally)]
    for assessment in protocol.assessments:
        found += [
            *_windows(assessment, tally),
            *_reminders(assessment, tally),
            *_at_risk(assessment, tally),
            *_on_miss(assessment, tally),
        ]
    return [
        *found,
        *_alerts(protocol, tally),
        *_endpoints(protocol, tally),
        *_burden(protocol, tally),
        *_workload(tally, days),
    ]


def _people(protocol: Protocol, tally: Tally) -> Iterator[Finding]:
    enrolled = sum(n for (what, _), n in tally.people.items() if what == "site")
    named = [("site", site.id, f"/sites/{site.id}") for site in protocol.sites]
    named += [("language", one, f"/study/languages/{one}") for one in protocol.languages]
    if enrolled >= len(protocol.sites) * len(protocol.languages):
        for what, which, place in named:
            if not tally.people[(what, which)]:
                yield Finding(
                    "nobody_here", place, f"No participant has this {what}.", "没有受试者属于此项。"
                )
    for anchor in protocol.anchors:
        if not tally.anchors[anchor.id]:
            yield Finding(
                "anchor_unused",
                f"/anchors/{anchor.id}",
                "No window that hangs on this anchor ever opened.",
                "依赖此锚定日期的窗口从未开放。",
            )


def _visits(protocol: Protocol, tally: Tally) -> Iterator[Finding]:
    asked = asked_at(protocol)
    for visit in protocol.visits:
        if visit.id in asked and not tally.visits[visit.id]:
            yield Finding(
                "visit_never_reached",
                f"/visits/{visit.id}",
                "No participant reached this visit within the days.",
                "在此天数内没有受试者到达此访视。",
            )


def _windows(assessment: Any, tally: Tally) -> Iterator[Finding]:
    place = f"/assessments/{assessment.id}"
    opened, closed, answered, missed, came = (
        tally.windows[(assessment.id, word)]
        for word in ("opened", "closed", "answered", "missed", "came_later")
    )
    if not opened:
        yield Finding("never_opened", place, "No window ever opened.", "窗口从未开放。")
    elif closed >= FEW and not answered:
        en, zh = f"{closed} windows closed and nobody answered.", f"{closed} 个窗口关闭，无人填写。"
        yield Finding("never_answered", f"{place}/window", en, zh)
    elif closed >= FEW and answered < RARELY * closed:
        share = round(100 * answered / closed)
        yield Finding(
            "rarely_answered", f"{place}/window", f"Only {share} % were answered.", f"仅 {share}% 得到填写。"
        )
    if came >= FEW and came >= OFTEN * (missed + came):
        yield Finding(
            "grace_too_short",
            f"{place}/sync_grace",
            f"{came} of {missed + came} that were called missed had been answered in time and came later.",
            f"{missed + came} 个判为漏填的窗口中有 {came} 个其实按时填写，稍后才上传。",
        )


def _reminders(assessment: Any, tally: Tally) -> Iterator[Finding]:
    if tally.windows[(assessment.id, "opened")] < FEW:
        return
    for number in range(len(assessment.reminders)):
        place = f"/assessments/{assessment.id}/reminders/{number}"
        sent = tally.reminders[(assessment.id, number, "sent")]
        late = tally.reminders[(assessment.id, number, "sent_late")]
        planned = tally.reminders[(assessment.id, number, "planned")]
        quiet = tally.reminders[(assessment.id, number, "withheld:quiet_hours")]
        if not sent:
            why = _most(assessment.id, number, tally)
            yield Finding(
                "reminder_never_sent",
                place,
                f"It never went out{why and f'; mostly: {why}'}.",
                f"从未发出{why and f'；主要原因：{why}'}。",
            )
        elif quiet > MOSTLY * planned:
            yield Finding(
                "reminder_in_quiet_hours",
                place,
                f"{quiet} of {planned} fell into quiet hours and were withheld.",
                f"{planned} 条中有 {quiet} 条落在静默时段而未发送。",
            )
        elif late > MOSTLY * sent:
            yield Finding(
                "reminder_too_late",
                place,
                f"{late} of {sent} came less than ten minutes before the closing.",
                f"{sent} 条中有 {late} 条在关闭前不足十分钟才发出。",
            )


def _most(assessment: str, number: int, tally: Tally) -> str:
    """Why it was not sent, most of the time."""
    reasons = {
        word.partition(":")[2]: n
        for (one, which, word), n in tally.reminders.items()
        if (one, which) == (assessment, number) and ":" in word
    }
    return max(sorted(reasons), key=lambda reason: reasons[reason], default="")


def _at_risk(assessment: Any, tally: Tally) -> Iterator[Finding]:
    if not assessment.at_risk or not tally.windows[(assessment.id, "missed")]:
        return
    place = f"/assessments/{assessment.id}/at_risk"
    warned = tally.windows[(assessment.id, "at_risk")]
    at_night = tally.windows[(assessment.id, "at_risk_at_night")]
    if not warned:
        yield Finding("at_risk_never_told", place, "No warning was ever given.", "从未发出预警。")
    elif at_night > MOSTLY * warned:
        yield Finding(
            "at_risk_at_night",
            place,
            f"{at_night} of {warned} warnings came at night, when nobody can phone her.",
            f"{warned} 次预警中有 {at_night} 次在夜间，无法致电。",
        )


def _on_miss(assessment: Any, tally: Tally) -> Iterator[Finding]:
    on_miss, place = assessment.on_miss, f"/assessments/{assessment.id}/on_miss"
    if not on_miss.alert or not tally.windows[(assessment.id, "opened")]:
        return
    if not tally.alerts[(place, "raised")]:
        missed = tally.windows[(assessment.id, "missed")]
        yield Finding(
            "alert_never_raised",
            place,
            f"{missed} were missed and no alert was raised.",
            f"{missed} 次漏填，未产生警报。",
        )
        return
    yield from _reaches(place, on_miss.roles, on_miss.escalation, tally)


def _reaches(place: str, roles: Any, escalation: Any, tally: Tally) -> Iterator[Finding]:
    for role in roles:
        if not tally.told[(place, "alert", role)]:
            yield Finding(
                "alert_reaches_nobody",
                f"{place}/roles/{role}",
                f"Nobody at a site is {role}: these alerts reach nobody.",
                f"各中心无人担任 {role}，此警报无人收到。",
            )
    for number, step in enumerate(escalation):
        at = f"{place}/escalation/{number}"
        if not tally.alerts[(place, f"step {number}")]:
            yield Finding("escalation_never_reached", at, "It never came to this step.", "从未升级到此步。")
        elif not tally.told[(place, "escalation", step.role)]:
            yield Finding(
                "escalation_reaches_nobody",
                at,
                f"Nobody at a site is {step.role}: this step reaches nobody.",
                f"各中心无人担任 {step.role}，此步升级无人收到。",
            )


def _alerts(protocol: Protocol, tally: Tally) -> Iterator[Finding]:
    for rule in protocol.alerts:
        place = f"/alerts/{rule.id}"
        raised, answers = tally.alerts[(place, "raised")], tally.answers[rule.assessment]
        if answers and not raised:
            yield Finding(
                "answer_never_alerts",
                place,
                f"None of {answers} answers raised it.",
                f"{answers} 份回答均未触发。",
            )
        elif answers >= FEW and raised > MOSTLY * answers:
            yield Finding(
                "answer_always_alerts",
                place,
                f"{raised} of {answers} answers raised it.",
                f"{answers} 份回答中有 {raised} 份触发。",
            )
        if raised:
            yield from _reaches(place, rule.roles, rule.escalation, tally)


def _endpoints(protocol: Protocol, tally: Tally) -> Iterator[Finding]:
    for endpoint in protocol.endpoints:
        if not tally.again[endpoint.assessment]:
            yield Finding(
                "endpoint_never_told",
                f"/endpoints/{endpoint.id}",
                "Nobody answered twice, so no change could be told.",
                "无人填写两次，无法得出变化值。",
            )


def _burden(protocol: Protocol, tally: Tally) -> Iterator[Finding]:
    many = {n: days for n, days in tally.reminders_a_day.items() if n >= protocol.messages.daily_cap.usual}
    if many:
        yield Finding(
            "too_many_reminders",
            "/assessments",
            f"On {sum(many.values())} days a participant was reminded as often as a day usually allows, or oftener:"
            f" up to {max(many)} times.",
            f"有 {sum(many.values())} 个人日，一天内的提醒达到或超过通常的每日上限，最多 {max(many)} 次。",
        )
    long = {n: days for n, days in tally.minutes_a_day.items() if n > MINUTES_A_DAY}
    if long:
        yield Finding(
            "too_long_a_day",
            "/assessments",
            f"On {sum(long.values())} days what opened takes a participant up to {max(long)} minutes.",
            f"有 {sum(long.values())} 个人日，当天开放的问卷最多需 {max(long)} 分钟。",
        )


def _workload(tally: Tally, days: int) -> Iterator[Finding]:
    for site in sorted({site for site, _ in tally.alerts_a_day}):
        people = tally.people[("site", site)]
        raised = sum(n for (one, _), n in tally.alerts_a_day.items() if one == site)
        if days >= 7 and people and raised * 7 > ALERTS_A_WEEK * people * days:
            a_week = round(raised * 7 / people / days, 1)
            yield Finding(
                "too_many_alerts",
                f"/sites/{site}",
                f"{a_week} alerts a week for each participant: nobody can follow them up.",
                f"每位受试者每周 {a_week} 条警报，无法逐一跟进。",
            )
