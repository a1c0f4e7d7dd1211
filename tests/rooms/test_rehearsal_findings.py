"""Faults of a protocol that `epro study check` cannot see, planted one by one; a rehearsal finds each of them."""

from __future__ import annotations

import pytest

from epro import worker
from epro.cli.study import known_instruments
from epro.scheduling.reading import read
from epro.simulation import parts
from epro.simulation.findings import findings

HEAD = """
format: 1
study:
  id: planted
  version: "1.0"
  title: {en: Planted, zh-CN: 预设}
  languages: [en, zh-CN]
  time_zone: Asia/Shanghai
  zone_policy: stay_home
anchors:
  - {id: enrolment, label: {en: Enrolment, zh-CN: 入组}, required_at_enrolment: true}
  - {id: surgery, label: {en: Surgery, zh-CN: 手术}}
sites:
  - {id: "01", name: {en: One, zh-CN: 一}, time_zone: Asia/Shanghai, phone: "+86 10 0000 0001"}
visits:
  - {id: start, label: {en: Start, zh-CN: 开始}, number: 1, anchor: enrolment, day: 1}
  - {id: year, label: {en: Year, zh-CN: 一年}, number: 2, anchor: enrolment, day: 365}
assessments:
"""
NIGHT = """
  - id: night
    label: {en: Night diary, zh-CN: 夜间日记}
    instrument: {code: fatigue_diary, version: "1.0"}
    every: {days: 1, from: 0, to: 60, anchor: enrolment}
    window: {opens: "05:30", closes: "06:30"}
    sync_grace: 6h
    reminders: [{after_opening: 15m}]
    at_risk: {before_closing: 30m}
    on_miss: {alert: true, after: 1, roles: [data_manager], urgency: routine, escalation: [{after: 60d, role: nurse}]}
"""
EVENING = """
  - id: evening
    label: {en: Evening diary, zh-CN: 晚间日记}
    instrument: {code: fatigue_diary, version: "1.0"}
    every: {days: 1, from: 0, to: 60, anchor: enrolment}
    window: {opens: "12:00", closes: "22:00"}
    sync_grace: 15m
    reminders:
      [{after_opening: 1h}, {after_opening: 2h}, {after_opening: 3h}, {before_closing: 5m}]
    on_miss: {alert: true, after: 40, roles: [nurse], urgency: routine}
"""
RARE = """
  - id: rare
    label: {en: Before dawn, zh-CN: 凌晨}
    instrument: {code: fatigue_diary, version: "1.0"}
    every: {days: 1, from: 0, to: 60, anchor: enrolment}
    window: {opens: "03:00", closes: "04:00"}
    sync_grace: 12h
    on_miss: {alert: true, after: 1, roles: [nurse], urgency: routine, escalation: [{after: 1h, role: administrator}]}
"""
LONG = "".join(
    f"""
  - id: long{n}
    label: {{en: Long {n}, zh-CN: 长问卷{n}}}
    instrument: {{code: lupusqol, version: "1.0"}}
    at: [start]
    window: {{opens: "08:00", closes: "22:00"}}
    sync_grace: 12h
    on_miss: {{alert: false}}
"""
    for n in range(8)
)
YEAR = """
  - id: yearly
    label: {en: Yearly, zh-CN: 年度}
    instrument: {code: fss, version: "1.0"}
    at: [year]
    window: {opens: "08:00", closes: "22:00"}
    sync_grace: 12h
    on_miss: {alert: false}
"""
TAIL = """
alerts:
  - id: always
    label: {en: Any fatigue, zh-CN: 任何疲劳}
    assessment: evening
    when: {item: worst_fatigue, at_least: 1}
    roles: [nurse]
  - id: never
    label: {en: No fatigue, zh-CN: 无疲劳}
    assessment: evening
    when: {item: worst_fatigue, at_most: 0}
    roles: [nurse]
endpoints:
  - id: change
    label: {en: Change, zh-CN: 变化}
    assessment: long0
    scale: fatigue
    baseline: {visit: start}
"""
STUDY = HEAD + NIGHT + EVENING + RARE + LONG + YEAR + TAIL
KINDS = ("diligent", "forgetful", "last_second", "diligent", "diligent", "offline", "night_worker")
PLANTED = {
    "visit_never_reached": "/visits/year",
    "never_opened": "/assessments/yearly",
    "anchor_unused": "/anchors/surgery",
    "never_answered": "/assessments/night/window",
    "reminder_never_sent": "/assessments/night/reminders/0",
    "at_risk_at_night": "/assessments/night/at_risk",
    "alert_reaches_nobody": "/assessments/night/on_miss/roles/data_manager",
    "escalation_never_reached": "/assessments/night/on_miss/escalation/0",
    "alert_never_raised": "/assessments/evening/on_miss",
    "grace_too_short": "/assessments/evening/sync_grace",
    "reminder_too_late": "/assessments/evening/reminders/3",
    "too_many_reminders": "/assessments",
    "rarely_answered": "/assessments/rare/window",
    "escalation_reaches_nobody": "/assessments/rare/on_miss/escalation/0",
    "too_long_a_day": "/assessments",
    "answer_always_alerts": "/alerts/always",
    "answer_never_alerts": "/alerts/never",
    "endpoint_never_told": "/endpoints/change",
    "too_many_alerts": "/sites/01",
}


@pytest.fixture(scope="module")
def found():
    """(code, place) of everything that a rehearsal of the faulty study finds; nothing else broke."""
    protocol, faults = read(STUDY, known_instruments())
    assert protocol is not None and not faults, faults
    asked = parts.Asked(len(KINDS), 20, 3)
    outcome = _rehearsed(protocol, asked)
    assert not [result for result in outcome.results if result.broken]
    return {(one.code, one.place) for one in findings(protocol, outcome.tally, asked.days)}


def _rehearsed(protocol, asked):
    """A rehearsal in which one of seven is awake at night."""
    usual = parts.habits._kind
    try:
        parts.habits._kind = lambda number, seed: KINDS[number]
        return parts.rehearse(protocol, STUDY, asked, worker.attend, worker.send, lambda days: None)
    finally:
        parts.habits._kind = usual


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_fault_is_found(found, code):
    assert (code, PLANTED[code]) in found


def test_what_is_sound_is_not_accused(found):
    accused = {place for _, place in found}
    assert not accused & {"/anchors/enrolment", "/visits/start", "/assessments/evening/reminders/0"}
    assert not [place for place in accused if place.startswith("/assessments/long")]
