"""A diary's scores by the week: stored when the week is complete or over, streamed, and scored again when need be.

The study is `tests/studies/signals.yaml`: an evening diary from enrolment on; nurses see no scores.

WK-01  A week is scored once it is complete or over, and not before; once, however often and wherever it is looked at.
WK-02  A later answer that changes it adds a run; nothing on record is overwritten.
WK-03  The feed, the trial database and the endpoints have what is on record.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from epro import clock, db, worker
from epro.cli.study import known_instruments
from epro.questionnaires import catalogue
from epro.questionnaires.library import bundled_instrument
from epro.responses import rescoring, weeks
from epro.responses.models import WeekScore
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.scheduling.reading import read
from epro.signin import staff
from epro.simulation.people import Phone
from epro.stream import delivering, feed, reconciling, sequencer
from epro.stream.sinks import trial_tables
from epro.studies import participants
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Grant, begin, look, system
from tests.cast import PASSWORD, at

TESTS = system("tests")
STUDY = "signals"
FILE = Path(__file__).resolve().parents[1] / "studies" / "signals.yaml"
BY_WEEK = """
  - id: week-change
    label: {en: Week change, zh-CN: 周变化}
    assessment: evening
    scale: weekly_mean
    baseline: {last_before: infusion}
    responder: {falls_by: 2}
"""
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    """Ada's phone; Ivo is the investigator, Nia the nurse."""
    text = FILE.read_text(encoding="utf-8").replace("blinding:\n", BY_WEEK.lstrip("\n") + "blinding:\n")
    text = text.replace("anchors:\n", "anchors:\n  - {id: infusion, label: {en: Infusion, zh-CN: 输注}}\n", 1)
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    with cast.on("2026-03-01T09:00"), begin(TESTS) as tx:
        protocols.publish(tx, protocol, text)
        for name, role in (("nia", "nurse"), ("ivo", "investigator")):
            grants = [Grant(STUDY, "01", role)]
            staff.add(
                tx, email=f"{name}@example.org", name=name, password=PASSWORD, language="en", grants=grants
            )
    with cast.on("2026-03-02T10:00"):
        nia = cast.staff("nia")
        made = nia.enrol(
            study=STUDY,
            site="01",
            language="en",
            time_zone="Asia/Shanghai",
            anchors={"enrolment": "2026-03-02"},
        )
        phone = Phone(cast.line, subject_id=made["subject_id"]).activate(nia.code_for(made["subject_id"]))
        phone.sync()
    return phone


def answer(cast, phone, codes: dict[int, int], uploaded: str | None = None) -> None:
    """An answer on each of these evenings of March; it is sent at once, or later."""
    for day, code in codes.items():
        with cast.on(f"2026-03-{day:02}T20:00") as now:
            if uploaded is None:
                phone.sync()
            (due,) = [one for one in phone.open_at(now) if one["assessment"] == "evening"]
            phone.answer(due, {"worst_fatigue": code}, now, now)
            if uploaded is None:
                phone.upload(now)
    if uploaded is not None:
        with cast.on(uploaded) as then:
            phone.refresh()
            phone.upload(then)


def rows() -> list[tuple]:
    """Week, run, scale and value of everything on record."""
    columns = (WeekScore.week, WeekScore.run, WeekScore.scale, WeekScore.value)
    with look(TESTS) as tx:
        return [tuple(row) for row in tx.session.execute(sa.select(*columns).order_by(*columns[:3]))]


def run(week: int, number: int, days: int, mean: float | None, worst: float | None) -> list[tuple]:
    found = {"n_days": days, "weekly_mean": mean, "weekly_worst": worst}
    return [(week, number, scale, value) for scale, value in found.items()]


def entries(kind: str = "week.scored") -> list[dict]:
    sequencer.sequence()
    with look(TESTS) as tx:
        return [one.content for one in feed.after(tx, STUDY, 0, 1000) if one.kind == kind]


WHOLE = dict(zip(range(2, 9), (4, 6, 8, 2, 0, 10, 6), strict=True))
MEAN = sum(WHOLE.values()) / 7


def test_a_week_is_scored_when_its_last_evening_has_come_and_once(cast, ada):
    answer(cast, ada, {day: code for day, code in WHOLE.items() if day != 8})
    cast.tick(at("2026-03-07T23:00"))
    assert rows() == []  # one is to come
    answer(cast, ada, {8: 6})
    for minute in (1, 2):
        cast.tick(at(f"2026-03-08T20:0{minute}"))
        assert rows() == run(1, 1, 7, MEAN, 10)
    (entry,) = entries()
    week = entry["week"]
    assert (week["assessment"], week["number"], week["run"], week["first_study_day"]) == ("evening", 1, 1, 0)
    assert (week["first_day"], week["last_day"]) == ("2026-03-02", "2026-03-08")
    definition = bundled_instrument("fatigue_diary_weekly", "1.0")
    assert week["instrument"] == {
        "code": definition.code,
        "version": definition.version,
        "digest": definition.digest,
    }
    told = {one["scale"]: one for one in entry["scores"]}
    assert (told["weekly_mean"]["value"], told["weekly_mean"]["rule"]) == (MEAN, "at_least_4")
    assert told["weekly_mean"]["items_used"] == [f"day{n}" for n in range(1, 8)]
    carried(cast)


def test_a_week_looked_at_again_gets_no_new_run_and_is_not_taken_for_another_diarys(cast, ada):
    answer(cast, ada, WHOLE)
    cast.tick(at("2026-03-08T20:01"))
    definition = bundled_instrument("fatigue_diary_weekly", "1.0")
    with begin(TESTS) as tx:
        she = tx.get(Participant, STUDY, ada.subject_id, lock=True)
        (stand,) = weeks.standing(tx, STUDY, [ada.subject_id])
        other = replace(weeks.again(tx, stand.row, {}), assessment="dawn")
        weeks.append(tx, she, other, definition, 0)
        tx.one(sa.select(Occurrence).where(Occurrence.study_day == 6)).week_at = at("2026-03-08T20:01")
    cast.tick(at("2026-03-08T20:02"))
    with look(TESTS) as tx:
        runs = tx.all(sa.select(WeekScore).where(WeekScore.assessment_id == "evening"))
        assert [(row.run, row.value) for row in sorted(runs, key=lambda row: row.scale)] == [
            (1, 7),
            (1, MEAN),
            (1, 10),
        ]
        assert tx.one(sa.select(Occurrence).where(Occurrence.study_day == 6)).week_at is None


@on_sqlite
def test_a_week_that_was_scored_again_by_a_later_definition_stays_with_it(cast, ada, monkeypatch):
    """A late answer after the re-scoring: the next run is by the definition of the one before, not by the first."""
    answer(cast, ada, {2: 4, 3: 6, 4: 8})
    cast.tick(at("2026-03-09T12:01"))
    with look(TESTS) as tx:
        first = catalogue.find(tx, "fatigue_diary_weekly", "1.0")
    two = [replace(one, missing=replace(one.missing, k=2)) for one in first.scales if one.name != "n_days"]
    later = replace(first, version="1.1", digest="1" * 64, scales=tuple(two))
    monkeypatch.setitem(db.remembered(), ("instrument", later.code, later.version), later)
    with cast.on("2026-03-10T09:00"), begin(TESTS) as tx:
        she = tx.get(Participant, STUDY, ada.subject_id, lock=True)
        (stand,) = weeks.standing(tx, STUDY, [ada.subject_id])
        found = weeks.again(tx, stand.row, weeks.answers_of(tx, stand.row, later))
        weeks.append(tx, she, found, later, stand.row.run, reason="definition 1.0 -> 1.1")
    answer(cast, ada, {5: 2}, uploaded="2026-03-12T10:00")
    cast.tick(at("2026-03-12T10:01"))
    kept = run(1, 1, 3, None, None) + run(1, 2, 3, 6, 8)[1:] + run(1, 3, 4, 5, 8)[1:]
    assert rows() == kept
    with begin(TESTS) as tx:
        tx.one(sa.select(Occurrence).where(Occurrence.study_day == 6)).week_at = at("2026-03-12T10:02")
    with begin(TESTS, at("2026-03-12T10:02")) as tx:
        assert [weeks.score_due(tx), weeks.score_due(tx)] == [1, 0]
    assert rows() == kept  # what the later definition does not know makes no difference
    with look(TESTS) as tx:
        told = tx.all(sa.select(Event).where(Event.action == "week.scored").order_by(Event.seq))
        assert [(one.object_type, json.loads(one.body)["details"]["run"]) for one in told] == [
            ("week", 1), ("week", 2), ("week", 3),
        ]  # fmt: skip
        assert [json.loads(one.body)["reason"] for one in told] == [None, "definition 1.0 -> 1.1", None]
        (stand,) = weeks.standing(tx, STUDY, [ada.subject_id])
        assert (set(stand.scores), stand.row.run) == ({"weekly_mean", "weekly_worst"}, 3)
        columns = (WeekScore.run, WeekScore.definition_version, WeekScore.definition_digest)
        by = {tuple(row) for row in tx.session.execute(sa.select(*columns))}
    assert by == {(1, "1.0", first.digest), (2, "1.1", later.digest), (3, "1.1", later.digest)}


def test_a_definition_is_published_only_when_it_is_not_yet(monkeypatch):
    first, asked = bundled_instrument("fatigue_diary_weekly", "1.0"), []
    for there in ("found", None):
        monkeypatch.setattr(catalogue, "find", lambda tx, *named, there=there: there)
        monkeypatch.setattr(catalogue, "publish", lambda tx, *named: asked.append(named) or "published")
        assert weeks._definition(None, None, first) == (there or "published")
    assert asked == [(first.code, first.version)]


@on_sqlite
def test_the_answers_of_a_week_are_those_of_its_days_by_the_items_of_a_definition(cast, ada):
    answer(cast, ada, {2: 4, 3: 6, 5: 2})
    cast.tick(at("2026-03-09T12:01"))
    whole = bundled_instrument("fatigue_diary_weekly", "1.0")
    fewer = replace(whole, items=tuple(item for item in whole.items if item.id != "day2"))
    with look(TESTS) as tx:
        (stand,) = weeks.standing(tx, STUDY, [ada.subject_id])
        assert weeks.answers_of(tx, stand.row, whole) == {"day1": 4, "day2": 6, "day4": 2}
        assert weeks.answers_of(tx, stand.row, fewer) == {"day1": 4, "day4": 2}
        assert weeks.again(tx, stand.row, {}).week.days == 7


@pytest.mark.parametrize(
    ("sent", "code"),
    [(3, 3), (3.0, 3.0), (11, None), ("REFUSED", None), (None, None), (True, None), ([3], None)],
)
def test_an_answer_that_is_no_code_of_the_definition_is_a_gap(sent, code):
    definition = bundled_instrument("fatigue_diary_weekly", "1.0")
    response = SimpleNamespace(body=json.dumps({"answers": {definition.derived_from["item"]: sent}}))
    assert weeks._code(definition, "day1", response) == code


def carried(cast) -> None:
    """The trial database has the weeks on record, each with its scores, and agrees with the feed."""
    cast.relay()
    found = reconciling.differences(cast.sinks[0], STUDY, delivering.definitions())
    assert [str(one) for one in found] == []
    t, s = trial_tables.weeks.c, trial_tables.scores.c
    both = sa.and_(t.STUDYID == s.STUDYID, t.RESPONSEID == s.RESPONSEID, t.RUN == s.RUN)
    query = sa.select(t.WEEK, t.RUN, s.SCALE, s.QSSTRESN).join(trial_tables.scores, both)
    with cast.sinks[0].engine.connect() as connection:
        assert sorted(tuple(row) for row in connection.execute(query)) == rows()


def test_a_week_that_is_over_is_scored_from_what_there_is_and_again_when_more_comes(cast, ada):
    answer(cast, ada, {2: 4, 3: 6, 4: 8})
    with look(TESTS) as tx:
        last = tx.one(sa.select(Occurrence).where(Occurrence.study_day == 6))
    assert last.assessment_id == "evening"
    cast.tick(last.grace_until - timedelta(minutes=1))
    assert rows() == []
    cast.tick(last.grace_until)
    assert rows() == run(1, 1, 3, None, None)
    answer(cast, ada, {5: 2}, uploaded="2026-03-12T10:00")
    cast.tick(at("2026-03-12T10:01"))
    assert rows() == run(1, 1, 3, None, None) + run(1, 2, 4, 5, 8)
    assert [one["week"]["run"] for one in entries()] == [1, 2]
    assert len({one["week"]["id"] for one in entries()}) == 1
    carried(cast)
    with cast.on("2026-03-12T11:00"):
        told = cast.staff("ivo").must("GET", f"/v1/site/participants/{ada.subject_id}/endpoints")
    (diary,) = told["weeks"]
    (week,) = diary["weeks"]
    assert (week["run"], week["scores"]["weekly_mean"]["value"]) == (2, 5)


def test_two_workers_that_race_for_a_week_store_it_once(cast, ada, monkeypatch):
    """Whoever stores it waits until the other has come as far too; it never does."""
    answer(cast, ada, WHOLE)
    start, there, whole, came = Barrier(2), Barrier(2), weeks.append, []

    def slow(*given, **more) -> int:
        try:
            came.append(there.wait(0.5))
        except BrokenBarrierError:
            came.append("alone")
        return whole(*given, **more)

    def work() -> None:
        with cast.app.app_context(), clock.moved_to(at("2026-03-08T20:01")):
            start.wait(10)
            worker.attend()

    monkeypatch.setattr(weeks, "append", slow)
    workers = [Thread(target=work) for _ in range(2)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert came == ["alone"]
    assert rows() == run(1, 1, 7, MEAN, 10)
    assert [one["week"]["run"] for one in entries()] == [1]
    with look(TESTS) as tx:
        assert tx.all(sa.select(Occurrence.id).where(Occurrence.week_at.is_not(None))) == []  # nor put off


@on_sqlite
@pytest.mark.parametrize(("codes", "mean", "worst"), [((4, 6, 8, 2), 5, 8), ((4,), None, None)])
def test_what_is_left_of_a_week_after_a_withdrawal_is_scored(cast, ada, codes, mean, worst):
    answer(cast, ada, dict(enumerate(codes, start=2)))
    day = f"2026-03-{len(codes) + 2:02}"
    with cast.on(f"{day}T10:00"), begin(TESTS) as tx:
        participants.withdraw(tx, she := tx.get(Participant, STUDY, ada.subject_id, lock=True), "own wish")
        worker.occurrences.cancel_ahead(tx, she, "withdrawn")
    cast.tick(at(f"{day}T10:01"))
    assert rows() == run(1, 1, len(codes), mean, worst)


@on_sqlite
def test_a_week_of_which_nothing_stands_is_not_scored_and_not_looked_at_again(cast, ada):
    with cast.on("2026-03-02T11:00"), begin(TESTS) as tx:
        participants.withdraw(tx, she := tx.get(Participant, STUDY, ada.subject_id, lock=True), "own wish")
        worker.occurrences.cancel_ahead(tx, she, "withdrawn")
    cast.tick(at("2026-03-02T11:01"))
    assert rows() == []
    with look(TESTS) as tx:
        assert tx.all(sa.select(Occurrence.id).where(Occurrence.week_at.is_not(None))) == []


@on_sqlite
def test_a_week_that_cannot_be_scored_is_put_off_and_stops_no_other(cast, ada, monkeypatch):
    answer(cast, ada, WHOLE)
    whole = weeks.append
    monkeypatch.setattr(weeks, "append", lambda *given, **more: 1 / 0)
    cast.tick(at("2026-03-08T20:01"))
    assert rows() == [] and entries() == []
    monkeypatch.setattr(weeks, "append", whole)
    cast.tick(at("2026-03-08T20:02"))
    assert rows() == []
    cast.tick(at("2026-03-08T20:07"))
    assert rows() == run(1, 1, 7, MEAN, 10)


@on_sqlite
def test_only_a_diary_with_scores_by_the_week_is_marked(cast, ada):
    cast.tick(at("2026-03-20T09:00"))
    with look(TESTS) as tx:
        assert tx.all(sa.select(Occurrence.id).where(Occurrence.week_at.is_not(None))) == []
        assert tx.all(sa.select(Occurrence.id).where(Occurrence.missed_at.is_not(None)))
    assert rows()[:3] == run(1, 1, None, None, None)  # nothing came, and the week is over


@on_sqlite
def test_a_nurse_from_whom_scores_are_hidden_learns_none(cast, ada):
    answer(cast, ada, WHOLE)
    cast.tick(at("2026-03-08T20:01"))
    path = f"/v1/site/participants/{ada.subject_id}/weeks/evening/1"
    with cast.on("2026-03-08T21:00"):
        told, hidden = (cast.staff(name).must("GET", f"{path}?lang=zh-CN") for name in ("ivo", "nia"))
        assert cast.staff("ivo").call("GET", path[:-1] + "2").status == 404
    by_scale = {one["scale"]: one for one in told["scores"]}
    assert by_scale["weekly_mean"]["value"] == MEAN and by_scale["weekly_mean"]["label"] == "各天均值"
    assert [item["raw"] for item in by_scale["weekly_worst"]["items"]] == list(WHOLE.values())
    assert hidden["scores"] == [] and hidden["number"] == 1
    (entry,) = entries()
    with look(TESTS) as tx:
        (one,) = [one for one in feed.after(tx, STUDY, 0, 1000) if one.kind == "week.scored"]
        assert feed.told(one, blinded=True, hidden=True)["scores"] == []
    assert "answers" not in entry["week"]


@on_sqlite
def test_the_weekly_mean_is_an_endpoint(cast, ada):
    answer(cast, ada, WHOLE)
    answer(cast, ada, dict.fromkeys(range(9, 13), 1))
    cast.tick(at("2026-03-16T13:00"))
    with cast.on("2026-03-16T14:00"):
        cast.staff("ivo").set_anchor(ada.subject_id, "infusion", "2026-03-09")
        told = cast.staff("ivo").must("GET", f"/v1/site/participants/{ada.subject_id}/endpoints")
    (one,) = [one for one in told["endpoints"] if one["id"] == "week-change"]
    assert (one["baseline"]["week"], one["baseline"]["value"]) == (1, MEAN)
    assert [(p["week"], p["value"], p["change"], p["responder"]) for p in one["points"]] == [
        (1, MEAN, None, None),
        (2, 1, 1 - MEAN, True),
    ]


@on_sqlite
def test_weeks_are_scored_again_with_everything_else(cast, ada, monkeypatch):
    answer(cast, ada, WHOLE)
    cast.tick(at("2026-03-08T20:01"))

    def changes():
        with look(TESTS) as tx:
            return rescoring.find_changes(tx, STUDY, [ada.subject_id], {})

    assert changes() == ([], 7)
    with look(TESTS) as tx:
        known = catalogue.find(tx, "fatigue_diary_weekly", "1.0")
    later = replace(known, digest="2" * 64)
    monkeypatch.setitem(db.remembered(), ("instrument", "fatigue_diary_weekly", "1.0"), later)
    found, _ = changes()
    told = f"definition 1.0 -> 1.0, digest {known.digest[:12]} -> {'2' * 12}"
    assert {one.why for one in found} == {(told,)}
    with begin(TESTS) as tx:
        assert rescoring.append(tx, STUDY, ada.subject_id, found, {}) == 3
    assert rows() == run(1, 1, 7, MEAN, 10) + run(1, 2, 7, MEAN, 10)
    assert changes() == ([], 7)
