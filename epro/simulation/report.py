"""The report of a rehearsal: report.json for machines and comparing, report.html for people. Pure but for the files.

Both hold the same numbers. Nothing in them tells when or where the rehearsal was run, so the same study file and
the same seed give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from epro.scheduling.protocol import Protocol
from epro.simulation import charts, habits
from epro.simulation.findings import findings
from epro.simulation.parts import Asked, Outcome
from epro.simulation.tally import Tally, median, rules

FORMAT = 1
LANGUAGES = ("zh-CN", "en")
# What a message costs, per channel; `rehearsal: prices:` of a study file says otherwise.
PRICES = {"sms": 0.05, "email": 0.0}
CURRENCY = "CNY"
FATES = ("done", "late", "missed")
Json = dict[str, Any]


def told(protocol: Protocol, asked: Asked, outcome: Outcome, prices: Mapping[str, Any] | None = None) -> Json:
    """The whole report as plain JSON."""
    tally = outcome.tally
    return {
        "format": FORMAT,
        "study": {
            "id": protocol.study_id,
            "version": protocol.version,
            "digest": protocol.digest,
            "title": dict(protocol.title),
        },
        "asked": {**asdict(asked), "first": asked.first.isoformat()},
        "figures": _figures(tally),
        "evidence": [asdict(result) for result in outcome.results],
        "findings": [one.told() for one in findings(protocol, tally, asked.days)],
        "rules": rules(protocol, tally),
        "weeks": _weeks(protocol, tally),
        "reminders": _reminders(tally, asked),
        "alerts": _alerts(protocol, tally),
        "cost": _cost(tally, asked, prices or {}),
        "calendar": outcome.calendar,
        "participants": {kind: tally.people[("kind", kind)] for kind in habits.KINDS},
        "acts": dict(sorted(tally.done.items())),
        "held": dict(sorted(tally.held.items())),
    }


def is_broken(report: Json) -> bool:
    """Whether an invariant broke."""
    return any(result["broken"] for result in report["evidence"])


def write(report: Json, protocol: Protocol, folder: Path) -> None:
    """Write report.json and report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(figures(report), encoding="utf-8")
    (folder / "report.html").write_text(page(report, protocol), encoding="utf-8")


def figures(report: Json) -> str:
    """The report as a text of JSON."""
    return json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def page(report: Json, protocol: Protocol) -> str:
    """The report as one HTML page that needs nothing from anywhere."""
    environment = Environment(
        loader=PackageLoader("epro.simulation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = {one.id: dict(one.label) for one in protocol.assessments}
    return environment.get_template("report.html").render(
        report=report,
        names=names,
        kinds=habits.KINDS,
        drawn=_drawn(report),
        rules=_grouped(report["rules"]),
        reasons=REASONS,
    )


# Numbers.


def _figures(tally: Tally) -> Json:
    asked = Counter({word: _sum(tally.windows, word) for word in ("opened", "closed", "answered", "missed")})
    return {
        "participants": sum(n for (what, _), n in tally.people.items() if what == "site"),
        "windows": asked["opened"],
        "answers": sum(tally.answers.values()),
        "missed": asked["missed"],
        "came_later": _sum(tally.windows, "came_later"),
        "reminders": sum(tally.reminder_hours.values()),
        "alerts": sum(n for (_, word), n in tally.alerts.items() if word == "raised"),
        "messages": sum(tally.calls.values()),
    }


def _sum(counts: Mapping[tuple[str, str], int], word: str) -> int:
    return sum(n for (_, which), n in counts.items() if which == word)


def _weeks(protocol: Protocol, tally: Tally) -> Json:
    last = max((week for _, week, _ in tally.weeks), default=0)
    return {
        one.id: [
            {"week": week, **{word: tally.weeks[(one.id, week, word)] for word in ("due", *FATES)}}
            for week in range(1, last + 1)
        ]
        for one in protocol.assessments
    }


def _reminders(tally: Tally, asked: Asked) -> Json:
    days = [(asked.first + timedelta(days=n)).isoformat() for n in range(asked.days + 1)]
    why: Counter[str] = Counter()
    for (_, _, word), n in tally.reminders.items():
        kind, _, reason = word.partition(":")
        if reason:
            why[f"{kind}: {reason}"] += n
    return {
        "by_day": {day: tally.reminder_days[day] for day in days},
        "by_hour": {str(hour): tally.reminder_hours[hour] for hour in range(24)},
        "by_channel": {name: n for name, n in sorted(tally.channels.items()) if name != "another"},
        "by_another_channel": tally.channels["another"],
        "not_sent": dict(sorted(why.items())),
        "most_on_one_day": max(tally.reminders_a_day, default=0),
    }


def _alerts(protocol: Protocol, tally: Tally) -> Json:
    last = max((week for _, week, _ in tally.workload), default=0)
    words = ("raised", "taken", "resolved", "cleared")
    sites = {}
    for site in protocol.sites:
        hours = Counter({hour: n for (one, hour), n in tally.hours_to_act.items() if one == site.id})
        weeks = [
            {"week": week, **{word: tally.workload[(site.id, week, word)] for word in words}}
            for week in range(1, last + 1)
        ]
        sites[site.id] = {
            "nurse": f"nurse-{site.id}",
            "participants": tally.people[("site", site.id)],
            **{word: sum(week[word] for week in weeks) for word in words},
            "most_on_one_day": max(
                (n for (one, _), n in tally.alerts_a_day.items() if one == site.id), default=0
            ),
            "median_hours_to_act": median(hours),
            "weeks": weeks,
        }
    return sites


def _cost(tally: Tally, asked: Asked, said: Mapping[str, Any]) -> Json:
    """What the providers took, by channel."""
    prices = {**PRICES, **said.get("prices", {})}
    taken: Counter[str] = Counter()
    for call, n in tally.calls.items():
        channel, _, what = call.partition(" ")
        if what in ("taken", "lost_reply", "worker_dies"):
            taken[channel] += n
    lines = {
        channel: {
            "messages": n,
            "price": prices.get(channel, 0.0),
            "cost": round(n * prices.get(channel, 0.0), 2),
        }
        for channel, n in sorted(taken.items())
    }
    total = round(sum(line["cost"] for line in lines.values()), 2)
    each = round(total / asked.participants, 2) if asked.participants else 0.0
    currency = said.get("currency", CURRENCY)
    calls = dict(sorted(tally.calls.items()))
    return {"currency": currency, "channels": lines, "total": total, "each_participant": each, "calls": calls}


# The page.


def _drawn(report: Json) -> Json:
    """The charts, made by us of numbers and of texts that are escaped there."""
    hours, days = report["reminders"]["by_hour"], report["reminders"]["by_day"]
    hour_names, day_names = [f"{hour}:00" for hour in hours], [day[5:] for day in days]
    calendar, asked = report["calendar"], report["asked"]
    first = date.fromisoformat(asked["first"])
    return {
        "weeks": {name: _fates(name, weeks) for name, weeks in report["weeks"].items()},
        "by_day": _safe(charts.bars("reminders by day", day_names, {"sent": list(days.values())})),
        "by_hour": _safe(charts.bars("reminders by hour", hour_names, {"sent": list(hours.values())})),
        "alerts": {site: _load(site, told["weeks"]) for site, told in report["alerts"].items()},
        "calendar": _safe(charts.days("calendar", calendar["days"], first, asked["days"])),
    }


def _safe(drawn: str) -> Markup:
    return Markup(drawn)


def _fates(name: str, weeks: list[Json]) -> Markup:
    pieces = {fate: [week[fate] for week in weeks] for fate in FATES}
    return _safe(charts.bars(name, [str(week["week"]) for week in weeks], pieces))


def _load(site: str, weeks: list[Json]) -> Markup:
    raised = {"raised": [week["raised"] for week in weeks]}
    return _safe(charts.bars(f"alerts at {site}", [str(week["week"]) for week in weeks], raised))


def _grouped(told: list[Json]) -> dict[str, list[Json]]:
    """Rules by the first two parts of their place."""
    groups: dict[str, list[Json]] = {}
    for rule in told:
        parts = rule["place"].split("/")
        name = "/".join(parts[:3]) if parts[1] in ("assessments", "alerts") else "/" + parts[1]
        groups.setdefault(name, []).append(rule)
    return groups


REASONS = {
    "skipped: stale": {"en": "passed over: its moment was long past", "zh-CN": "跳过：时点早已过去"},
    "skipped: window_closed": {"en": "passed over: the window had closed", "zh-CN": "跳过：窗口已关闭"},
    "skipped: outside_window": {"en": "passed over: outside the window", "zh-CN": "跳过：不在窗口内"},
    "skipped: replaced": {"en": "passed over: another took its place", "zh-CN": "跳过：由另一条代替"},
    "skipped: snoozed": {
        "en": "passed over: she had put reminders off",
        "zh-CN": "跳过：受试者已选择稍后提醒",
    },
    "withheld: answered": {"en": "withheld: answered already", "zh-CN": "未发：已填写"},
    "withheld: told_together": {"en": "withheld: another had just gone", "zh-CN": "未发：另一条刚刚已发"},
    "withheld: cap_reached": {"en": "withheld: daily cap", "zh-CN": "未发：每日上限"},
    "withheld: quiet_hours": {"en": "withheld: quiet hours", "zh-CN": "未发：静默时段"},
    "withheld: stale": {"en": "withheld: too late to be of use", "zh-CN": "未发：过时"},
    "withheld: withdrawn": {"en": "withheld: she has withdrawn", "zh-CN": "未发：已退出"},
    "withheld: cancelled": {"en": "withheld: not asked any more", "zh-CN": "未发：已取消"},
    "withheld: excused": {"en": "withheld: she was excused from it", "zh-CN": "未发：已免填"},
    "withheld: window_closed": {"en": "withheld: the window had closed", "zh-CN": "未发：窗口已关闭"},
    "withheld: no_channel": {"en": "withheld: no channel reaches her", "zh-CN": "未发：无可用渠道"},
    "withheld: opted_out": {"en": "withheld: she wants no messages", "zh-CN": "未发：已退订"},
    "withheld: restricted": {"en": "withheld: data on her are held still", "zh-CN": "未发：其数据限制处理"},
    "withheld: snoozed": {"en": "withheld: she had put reminders off", "zh-CN": "未发：受试者已选择稍后提醒"},
    "withheld: circuit_open": {"en": "withheld: the provider was out", "zh-CN": "未发：服务商中断"},
    "withheld: carrier_same_text": {
        "en": "withheld: the carrier takes no text so often",
        "zh-CN": "未发：运营商限制相同内容次数",
    },
    "withheld: carrier_texts_a_day": {
        "en": "withheld: the carrier takes no more texts a day",
        "zh-CN": "未发：运营商限制每日短信数",
    },
    "withheld: carrier_hours": {
        "en": "withheld: not at the carrier's hours",
        "zh-CN": "未发：不在运营商允许时段",
    },
    "withheld: carrier_link": {
        "en": "withheld: the carrier takes no links",
        "zh-CN": "未发：运营商不允许链接",
    },
    "withheld: carrier_reply": {
        "en": "withheld: the carrier takes no replies",
        "zh-CN": "未发：运营商不支持回复",
    },
    "withheld: carrier_length": {
        "en": "withheld: too long for the carrier",
        "zh-CN": "未发：超出运营商长度限制",
    },
    "withheld: carrier_template": {
        "en": "withheld: its words are registered with no provider",
        "zh-CN": "未发：文本未在服务商登记",
    },
}
