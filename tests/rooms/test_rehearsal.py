"""A small rehearsal from its study file to its report: the same for the same seed, true, in both languages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from epro import worker
from epro.cli import epro, progress
from epro.cli.study import known_instruments
from epro.errors import NotFound
from epro.scheduling import protocols, rehearsals
from epro.scheduling.reading import read
from epro.simulation import habits, invariants, parts, report, tally, wishes
from epro.simulation.facts import Facts
from epro.tx import begin, look, system

STUDY = Path("tests/studies/diary.yaml")
TESTS = system("tests")
SITES = [("01", "Asia/Shanghai"), ("02", "Asia/Shanghai")]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The folder of a report: ten participants, one of each kind, thirty days."""
    folder = tmp_path_factory.mktemp("rehearsal")
    return _simulated(folder, "--participants", "10", "--days", "25")


@pytest.fixture(scope="module")
def told(rehearsed):
    return json.loads((rehearsed / "report.json").read_text(encoding="utf-8"))


def _simulated(folder: Path, *asked: str) -> Path:
    arguments = ["study", "simulate", str(STUDY), "--seed", "5", "--report", str(folder), *asked]
    done = CliRunner().invoke(epro, arguments)
    assert done.exit_code == 0, done.output
    return folder


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    small = ("--participants", "4", "--days", "15")
    first, again = (_simulated(tmp_path / name, *small) for name in ("first", "again"))
    other = _simulated(tmp_path / "other", *small, "--seed", "6")
    for name in ("report.json", "report.html"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert (first / "report.json").read_bytes() != (other / "report.json").read_bytes()


def test_every_invariant_is_looked_at_and_holds(told):
    checked = {one["id"]: one["checked"] for one in told["evidence"]}
    assert not [one for one in told["evidence"] if one["broken"]]
    never = {name for name, n in checked.items() if not n}
    assert never <= {"staff_twice"}


def test_everybody_does_what_sets_her_apart(told):
    assert set(told["participants"]) == set(habits.KINDS)
    assert all(n == 1 for n in told["participants"].values())
    done = told["acts"]
    for act in ("withdrawn", "phone_replaced", "zone_changed", "answered_offline", "anchor_moved"):
        assert done[act], act
    for act in (
        "snoozed",
        "snooze_refused:too_long",
        "finished_after_closing",
        "wish_granted",
        "wish_refused",
    ):
        assert done[act], act
    assert done["uploads_repeated"] and done["alert_acknowledged"] and done["alert_resolved"]


def test_providers_fail_and_workers_die(told):
    calls = told["cost"]["calls"]
    assert calls["sms taken"] > 100
    assert sum(n for call, n in calls.items() if not call.endswith(" taken")) > 0


def test_the_numbers_of_the_report_agree_with_each_other(told):
    figures, weeks = told["figures"], [week for rows in told["weeks"].values() for week in rows]
    assert figures["reminders"] == sum(told["reminders"]["by_day"].values())
    assert figures["reminders"] == sum(told["reminders"]["by_hour"].values())
    assert figures["alerts"] == sum(site["raised"] for site in told["alerts"].values())
    assert figures["missed"] == sum(week["missed"] for week in weeks)
    assert all(week["due"] >= week["done"] + week["late"] + week["missed"] for week in weeks)
    lines = told["cost"]["channels"].values()
    assert told["cost"]["total"] == pytest.approx(
        sum(line["messages"] * line["price"] for line in lines), abs=0.02
    )


def test_every_rule_of_the_file_is_listed_and_the_idle_ones_are_red(told, rehearsed):
    places = {rule["place"]: rule["exercised"] for rule in told["rules"]}
    protocol = _protocol()
    for assessment in protocol.assessments:
        assert f"/assessments/{assessment.id}/window" in places
        for number in range(len(assessment.reminders)):
            assert f"/assessments/{assessment.id}/reminders/{number}" in places
    assert places["/messages/snooze"] == told["acts"]["snoozed"]
    page = (rehearsed / "report.html").read_text(encoding="utf-8")
    idle = [place for place, n in places.items() if not n]
    red = re.findall(r'<tr class="red"><td><code>([^<]+)</code>', page)
    assert sorted(red) == sorted(idle)


def test_the_page_asks_no_other_host_and_speaks_both_languages(rehearsed):
    page = (rehearsed / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?://""", page)
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.spoken["en"] == reader.spoken["zh-CN"] > 50
    assert reader.unnamed_pictures == 0
    assert reader.pictures <= reader.tables


def test_a_broken_invariant_is_told_and_makes_the_report_bad():
    result = invariants.Result("quiet_hours", "G16", {"en": "No reminder in quiet hours", "zh-CN": "无"})
    result.note(None)
    assert not report.is_broken({"evidence": [{"broken": result.broken}]})
    result.note("101-00001 was reminded at 03:00")
    assert (result.checked, result.broken, result.cases) == (2, 1, ["101-00001 was reminded at 03:00"])
    assert report.is_broken({"evidence": [{"broken": result.broken}]})


def test_the_file_may_name_another_price(rehearsed):
    asked = parts.Asked(1, 1, 1)
    empty = parts.Tally(calls={"sms taken": 10})
    outcome = parts.Outcome(empty, [], {"subject_id": "x", "kind": "ill", "days": {}})
    told = report.told(_protocol(), asked, outcome, {"prices": {"sms": 0.5}, "currency": "EUR"})
    assert told["cost"]["channels"]["sms"] == {"messages": 10, "price": 0.5, "cost": 5.0}
    assert told["cost"]["currency"] == "EUR"


def test_a_file_with_faults_is_not_rehearsed(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("format: 1\n", encoding="utf-8")
    done = CliRunner().invoke(epro, ["study", "simulate", str(file), "--report", str(tmp_path / "report")])
    assert done.exit_code == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_report_is_kept_once_beside_the_published_study(app, environ, tmp_path, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    folder = _simulated(tmp_path / "kept", "--participants", "1", "--days", "1", "--keep")
    figures, page = ((folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("json", "html"))
    with look(TESTS) as tx:
        (one,) = rehearsals.listed(tx, "diary", 9)
        assert (one.digest, one.participants, one.seed) == (sha256(figures.encode()).hexdigest(), 1, 5)
        assert rehearsals.figures_of(tx, "diary", one.digest) == figures
        assert rehearsals.page_of(tx, "diary", one.digest) == page
        assert protocols.published(tx, "diary")[0].digest == one.protocol_digest
        with pytest.raises(NotFound):
            rehearsals.page_of(tx, "diary", "0" * 64)
    with begin(TESTS) as tx:
        assert not rehearsals.keep(tx, figures, page)
        with pytest.raises(rehearsals.TooLargeReport):
            rehearsals.keep(tx, figures, "x" * (rehearsals.LARGEST + 1))
    other = tmp_path / "other.yaml"
    other.write_text(
        STUDY.read_text(encoding="utf-8").replace("id: diary\n", "id: unknown\n"), encoding="utf-8"
    )
    done = CliRunner().invoke(
        epro, ["study", "simulate", str(other), "--report", str(tmp_path / "x"), "--keep"]
    )
    assert isinstance(done.exception, NotFound) or done.exit_code
    assert not (tmp_path / "x").exists()  # said before anything is rehearsed


def test_more_than_a_handful_are_rehearsed_in_parts_whose_number_is_theirs_alone():
    assert [parts.parts(n) for n in (1, 19, 20, 200, 201, 10_000)] == [1, 1, 2, 2, 3, 100]


# Who takes part.


def test_every_kind_takes_part_and_no_site_or_language_is_left_out():
    people = habits.company(60, SITES, ["zh-CN", "en"], date(2026, 3, 2), date(2026, 6, 2), 1)
    assert {who.kind for who in people} == set(habits.KINDS)
    assert {(who.site, who.language) for who in people} == {
        (s, lang) for s, _ in SITES for lang in ("zh-CN", "en")
    }
    assert len({who.subject_id for who in people}) == len({who.phone for who in people}) == 60


@pytest.mark.parametrize("kind", habits.KINDS)
def test_she_sits_down_only_while_a_window_is_open_and_she_is_awake(kind):
    who = _person(kind)
    opens = datetime(2026, 3, 20, 18, tzinfo=ZoneInfo(who.home))
    windows = [(opens + timedelta(days=n), opens + timedelta(days=n, hours=6)) for n in range(40)]
    sittings = habits.sittings(who, windows, opens, opens + timedelta(days=40))
    assert len(sittings) > 15
    for sitting in sittings:
        assert any(begins <= sitting.at < ends for begins, ends in windows)
        assert not habits.away(who, sitting.at.astimezone(ZoneInfo(who.home)).date())


def test_who_answers_at_the_last_second_sits_down_seconds_before_the_closing():
    who = _person("last_second")
    opens = datetime(2026, 3, 20, 10, tzinfo=UTC)
    (sitting,) = habits.sittings(who, [(opens, opens + timedelta(hours=6))], opens, opens + timedelta(days=1))
    assert timedelta() < opens + timedelta(hours=6) - sitting.at <= timedelta(minutes=1)
    assert habits.answers_now(who, "diary", sitting, opens, opens + timedelta(hours=6))
    assert habits.after_reminder(who, opens, "diary") is None


def test_nobody_answers_a_diary_at_three_in_the_morning_but_who_works_at_night():
    opens = datetime(2026, 3, 10, 3, tzinfo=ZoneInfo("Asia/Shanghai"))
    window = [(opens, opens + timedelta(hours=1))]
    awake = {
        kind
        for kind in habits.KINDS
        if habits.sittings(_person(kind), window, opens, opens + timedelta(days=1))
    }
    assert awake == {"night_worker"}


def _person(kind: str) -> habits.Person:
    days = date(2026, 3, 2), date(2026, 6, 2)
    return habits.Person(3, kind, "01", "en", "Asia/Shanghai", *days, 1)


# What a study leaves to the course of things happens in a rehearsal too.


@pytest.fixture(scope="module")
def of_all_kinds():
    """Six participants and twelve days of the study with every way of asking, with nights of its own."""
    text = Path("tests/studies/kinds.yaml").read_text(encoding="utf-8")
    text = text.replace("defaults:", MESSAGES + "defaults:")
    text = text.replace("sync_grace: 6h\n", "sync_grace: 6h\n  reminders: [{before_closing: 50m}]\n", 1)
    for before, after in MORE.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    asked = parts.Asked(6, 12, 5)
    outcome = parts.rehearse(protocol, text, asked, worker.attend, worker.send, lambda days: None)
    return SimpleNamespace(protocol=protocol, tally=outcome.tally, results=outcome.results)


MESSAGES = """
messages:
  quiet_hours: {usual: ["23:00", "05:30"], always: ["02:00", "03:00"]}
  daily_cap: {usual: 4, least: 1, most: 5}
  snooze: {times: 1, longest: 30m}
  texts:
    reminder.due:
      - {en: "{app_name} has something new. Please open the app.", zh-CN: "{app_name}有新的内容，请打开应用。"}
      - {en: "Something new is there in {app_name}.", zh-CN: "{app_name}提醒您：有新的内容等您填写。"}
      - {en: "{app_name}: please take a moment.", zh-CN: "您好，请打开{app_name}看一看。"}
  registered: {CN: {reminder.due: {en: [A1, A2, A3], zh-CN: [B1, B2, B3]}}}
"""
MORE = {
    "every: {days: 1, from: 0, to: 1, anchor: enrolment}\n": "every: {days: 1, from: 0, anchor: enrolment}\n"
    "    until: {day: 2}\n    while_answering: 1h\n",
    '    window: {opens: "12:00", closes: "14:00"}\n': "    until: {anchor: halfway, day: 30}\n"
    '    windows: [{id: noon, opens: "12:00", closes: "13:00"}, {id: tea, opens: "14:00", closes: "15:00"}]\n',
}


def test_answers_misses_arms_and_her_own_wish_open_what_hangs_on_them(of_all_kinds):
    opened = {name for name, word in of_all_kinds.tally.windows if word == "opened"}
    assert opened >= {"opinion", "morning", "sleep", "flare", "cluster", "rounds"}
    answered = of_all_kinds.tally.windows
    assert (
        answered["flare", "answered"] and answered["opinion", "answered"] and answered["morning", "answered"]
    )
    assert of_all_kinds.tally.visits["after_first"] > 0  # hangs on the day of an answer
    assert of_all_kinds.tally.people["arm", "cells"] == of_all_kinds.tally.people["arm", "sham"] == 3


def test_a_rule_that_has_not_come_to_act_stays_red(of_all_kinds):
    """Of several windows a day each counts by itself; an end counts when its day has come, and not before."""
    rules = tally.rules(of_all_kinds.protocol, of_all_kinds.tally)
    listed = {one["place"]: one["exercised"] for one in rules}
    assert listed["/assessments/evening/until"] == 6 and listed["/assessments/rounds/until"] == 0
    assert listed["/assessments/rounds/windows/noon"] > 0 and listed["/assessments/rounds/windows/tea"] > 0
    assert "/assessments/rounds/window" not in listed
    assert listed["/assessments/weekly/window"] > 0 and listed["/assessments/monthly/window"] == 0


def test_what_the_file_says_of_messages_is_counted_rule_by_rule(of_all_kinds):
    """Ten past eleven is within the study's usual hours; nothing comes within those that are always quiet."""
    rules = tally.rules(of_all_kinds.protocol, of_all_kinds.tally)
    listed = {one["place"].removeprefix("/messages/"): one["exercised"] for one in rules}
    assert listed["quiet_hours/usual"] > 0 and listed["quiet_hours/always"] == 0
    assert all(listed[f"texts/reminder.due/{n}"] > 0 for n in range(3))
    registered = [
        listed[f"registered/CN/reminder.due/{lang}/{n}"] for lang in ("en", "zh-CN") for n in (0, 1, 2)
    ]
    assert 0 < sum(registered) <= sum(listed[f"texts/reminder.due/{n}"] for n in range(3))
    bounds = {f"daily_cap/{n}" for n in ("usual", "least", "most")} | {"quiet_hours/longest"}
    assert bounds | {"snooze", "snooze/times", "snooze/longest", "snooze/before_closing"} <= listed.keys()


def test_the_nights_of_the_study_count_and_no_others(of_all_kinds):
    assert [result.id for result in of_all_kinds.results if result.broken] == []
    hours = of_all_kinds.tally.reminder_hours
    assert hours[6] > 0 and not hours[23]  # ten past six in the study's morning, ten past eleven in its night


# The checks themselves: each sees what it is for.


@pytest.fixture(scope="module")
def facts():
    """The facts of a rehearsal, to be spoilt."""
    kept = []
    protocol, text = _protocol(), STUDY.read_text(encoding="utf-8")
    gather = parts.gather
    try:
        parts.gather = lambda tx, rehearsal: kept.append(gather(tx, rehearsal)) or kept[-1]
        parts.rehearse(protocol, text, parts.Asked(10, 25, 5), worker.attend, worker.send, lambda days: None)
    finally:
        parts.gather = gather
    return kept[0]


def _spoilt(facts: Facts, name: str, condition, **values) -> Facts:
    """The same facts with one row changed."""
    rows = dict(getattr(facts, name))
    key = next(key for key, row in rows.items() if condition(row))
    rows[key] = _Changed(rows[key], values)
    return replace(facts, **{name: rows})


class _Changed:
    def __init__(self, row, values):
        told = row.__dict__ if isinstance(row, _Changed) else row._mapping
        self.__dict__.update({**told, **values})


def _broken(facts: Facts) -> set[str]:
    return {result.id for result in invariants.results(facts) if result.broken}


def test_nothing_is_broken_before_it_is_spoilt(facts):
    assert _broken(facts) == set()


def test_a_reminder_at_night_is_seen(facts):
    taken = next(one for one in facts.taken if facts.messages[one.message_id].purpose == "reminder")
    night = taken.at.astimezone(ZoneInfo("Asia/Shanghai")).replace(hour=3).astimezone(UTC)
    spoilt = replace(facts, taken=[*facts.taken, replace(taken, at=night)])
    assert {"quiet_hours", "reminded_once"} <= _broken(spoilt)


def test_a_reminder_after_the_withdrawal_is_seen(facts):
    ((subject, left),) = facts.diary.withdrawn.items()
    message = next(m for m in facts.messages.values() if m.subject_id == subject and m.purpose == "reminder")
    taken = replace(facts.taken[0], message_id=message.id, at=left + timedelta(hours=1))
    assert "after_withdrawal" in _broken(replace(facts, taken=[*facts.taken, taken]))


def test_hours_of_her_own_are_hers_and_no_one_elses(facts):
    """Who has named hours that hold no reminder of hers, but does hold one that came, is seen; so is a cap of none."""
    taken = next(one for one in facts.taken if facts.messages[one.message_id].purpose == "reminder")
    subject = facts.messages[taken.message_id].subject_id
    hours = {"quiet_hours": ["00:00", "23:59"]}
    for wish, broken in ((hours, "quiet_hours"), ({"daily_cap": 0}, "daily_cap")):
        for refused, seen in ((False, {broken}), (True, set())):
            said = wishes.Said(subject, facts.first, wish, refused)
            spoilt = replace(facts, diary=replace(facts.diary, wishes=[said]))
            assert _broken(spoilt) & {"quiet_hours", "daily_cap"} == seen


def test_an_expiry_while_she_answers_is_seen(facts):
    late = {one.occurrence_id: one for one in facts.diary.handed_in if _finished_late(facts, one)}
    assert late
    one = next(iter(late.values()))
    for spoilt in ({"fulfilled_at": None}, {"missed_at": one.completed_at - timedelta(seconds=1)}):
        changed = _spoilt(facts, "occurrences", lambda row: row.id == one.occurrence_id, **spoilt)
        assert "finished_counts" in _broken(changed)


def _finished_late(facts: Facts, one) -> bool:
    row = facts.occurrences.get(one.occurrence_id)
    return row is not None and one.begun_at < row.closes_at <= one.completed_at


def test_a_time_to_settle_counts_once_it_is_kept_or_has_passed(facts):
    due = facts.until - timedelta(days=1)
    spoilt = _spoilt(facts, "alerts", lambda row: row.resolved_at or row.cleared_at, due_at=due)
    late = _spoilt(
        spoilt, "alerts", lambda row: row.due_at is None, due_at=due, resolved_at=None, cleared_at=None
    )
    waits = _spoilt(
        late,
        "alerts",
        lambda row: row.due_at is None,
        due_at=facts.until + timedelta(days=1),
        resolved_at=None,
        cleared_at=None,
    )
    place = "/assessments/evening/on_miss"
    assert [tally.tally(one).alerts[place, "due"] for one in (facts, spoilt, late, waits)] == [0, 1, 2, 2]


def test_a_lost_alert_is_seen(facts):
    kept = dict(list(facts.alerts.items())[1:])
    gone = next(iter(facts.alerts))
    joined = {key: alerts - {gone} for key, alerts in facts.joined.items()}
    assert "alert_each" in _broken(replace(facts, alerts=kept, joined={k: v for k, v in joined.items() if v}))


def test_an_alert_about_nothing_is_seen(facts):
    answered = next(row for row in facts.occurrences.values() if row.fulfilled_at and not row.missed_at)
    spoilt = _spoilt(facts, "alerts", lambda row: row.kind == "missed", occurrence_id=answered.id)
    assert "alert_right" in _broken(spoilt)


def test_a_forgotten_window_is_seen(facts):
    early = facts.until - timedelta(days=10)
    spoilt = _spoilt(
        facts,
        "occurrences",
        lambda row: row.missed_at and not row.fulfilled_at and row.grace_until < early,
        missed_at=None,
    )
    assert "window_ends" in _broken(spoilt)


def test_a_late_miss_is_seen(facts):
    rows = facts.occurrences.values()
    one = next(row for row in rows if row.missed_at)
    spoilt = _spoilt(
        facts, "occurrences", lambda row: row.id == one.id, missed_at=one.missed_at + timedelta(hours=1)
    )
    assert "missed_in_time" in _broken(spoilt)


def test_a_window_born_missed_is_seen(facts):
    spoilt = _spoilt(facts, "occurrences", lambda row: True, planned_at=facts.until)
    assert "born_missed" in _broken(spoilt)


def test_a_day_without_its_diary_is_seen(facts):
    kind = {name for name, who in facts.people.items() if who.kind == "diligent"}
    rows = [row for row in facts.occurrences.values() if row.subject_id in kind and row.visit_id is None]
    middle = sorted(rows, key=lambda row: row.opens_at)[len(rows) // 2]
    kept = {key: row for key, row in facts.occurrences.items() if key != middle.id}
    assert "one_a_day" in _broken(replace(facts, occurrences=kept))


def test_a_day_asked_twice_is_seen(facts):
    """The same window under another id, in a rhythm and in a visit; what she asks for herself may come twice."""
    for assessment, seen in (("evening", {"one_a_day"}), ("quality", {"one_a_day"}), ("flare", set())):
        row = next(one for one in facts.occurrences.values() if one.assessment_id == assessment)
        key = f"{row.key}@{row.local_day}"
        again = _Changed(row, {"id": uuid4(), "key": key, "cancelled_at": None})
        once = _Changed(row, {"cancelled_at": None})
        spoilt = replace(facts, occurrences={**facts.occurrences, row.id: once, again.id: again})
        assert _broken(spoilt) & {"one_a_day"} == seen, assessment


RHYTHMS = {
    "days: 3": [2, 5, 8, 11, 14, 17],
    "weekdays: [mon, thu]": [2, 5, 9, 12, 16, 19],
    "weeks: 2, weekdays: [mon, thu]": [2, 5, 16, 19, 30],
    "month_days: [10, 31]": [
        10,
        31,
        41,
        61,
        71,
    ],  # of April the last is the 30th, which is day 61 from the first of March
}


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_a_day_that_a_rhythm_leaves_out_or_adds_is_seen(rhythm):
    text = STUDY.read_text(encoding="utf-8").replace("every: {days: 1,", f"every: {{{rhythm},")
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    days = [date(2026, 2, 28) + timedelta(days=n) for n in RHYTHMS[rhythm]]
    rows = [_evening(n, day) for n, day in enumerate(days)]
    assert _one_a_day(protocol, rows) == set()
    assert _one_a_day(protocol, rows[:2] + rows[3:]) != set()
    astray = _evening(9, days[1] + timedelta(days=1))
    assert _one_a_day(protocol, [rows[0], astray, *rows[2:]]) != set()


def _evening(n: int, day: date) -> SimpleNamespace:
    opens = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
    facts = {"id": n, "key": f"d{n}", "local_day": day, "opens_at": opens, "cancelled_at": None}
    return SimpleNamespace(subject_id="01-00004", assessment_id="evening", **facts)


def _one_a_day(protocol, rows) -> set[str | None]:
    who = _person("diligent")
    then = datetime(2026, 3, 2, tzinfo=UTC)
    occurrences = {row.id: row for row in rows}
    facts = Facts(protocol, {who.subject_id: who}, None, then, then, [], {}, occurrences=occurrences)
    return {found for found in invariants.one_window_a_day(facts) if found}


def test_a_text_told_too_often_and_a_day_too_full_are_seen(facts):
    reminders = {row.id for row in facts.messages.values() if row.purpose == "reminder"}
    one = next(
        taken
        for taken in facts.taken
        if taken.message_id in reminders
        and taken.channel == "sms"
        and len(facts.diary.zones[facts.messages[taken.message_id].subject_id]) < 2
    )
    spoilt = replace(facts, taken=[*facts.taken, *[one] * 9])
    assert {"no_third_text", "daily_cap"} <= _broken(spoilt)


def test_a_lost_answer_is_seen(facts):
    kept = dict(list(facts.responses.items())[1:])
    assert {"nothing_lost", "stored_once"} <= _broken(replace(facts, responses=kept))


def test_an_entry_missing_in_the_feed_is_seen(facts):
    stored = next(entry for entry in facts.feed if entry.kind == "response.stored" and entry.position > 1)
    feed = [entry for entry in facts.feed if entry is not stored]
    checks = {check.id: check for check in invariants.CHECKS}
    spoilt = replace(facts, feed=feed)
    assert any(checks["feed_once"].look(spoilt))
    assert any(checks["positions"].look(spoilt))


def test_a_wrong_score_is_seen(facts):
    entry = next(entry for entry in facts.feed if entry.kind == "response.stored")
    body = json.loads(entry.body)
    body["scores"][0]["value"] = 12345
    feed = [_Changed(row, {"body": json.dumps(body)}) if row is entry else row for row in facts.feed]
    assert "scores" in _broken(replace(facts, feed=feed))


def _protocol():
    protocol, faults = read(STUDY.read_text(encoding="utf-8"), known_instruments())
    assert protocol is not None, faults
    return protocol


class _Reader(HTMLParser):
    """Counts what is in each language, and pictures without a name or without a table."""

    VOID = {"meta", "br", "hr", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.spoken = [], {"en": 0, "zh-CN": 0}
        self.pictures = self.unnamed_pictures = self.tables = 0

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if tag == "span" and told.get("lang") in self.spoken:
            self.spoken[told["lang"]] += 1
        if tag == "svg":
            self.pictures += 1
            self.unnamed_pictures += told.get("role") != "img" or not told.get("aria-label")
        self.tables += tag == "table"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_where_there_is_no_terminal_each_tenth_is_told_in_a_line(capsys):
    with progress.shown("Rehearsing", 30, lines=True) as done:
        for _ in range(30):
            done(1)
    told = capsys.readouterr().err.splitlines()
    assert told == [f"Rehearsing: {tenth} %" for tenth in range(10, 101, 10)]
    with progress.shown("Checking", 30) as done:
        done(30)
    assert not capsys.readouterr().err
