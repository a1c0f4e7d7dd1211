"""Re-planning, whatever the order of things: anchors moved about, answers given, miles travelled, weeks passing.

PM-01  What lies ahead is what one plan made now, from the final anchors, would have: every day of a diary that one
       plan asks for has its diary, every visit its date unless it was answered; how she came there is forgotten.
       What stood before and has moved behind the horizon stands there too, as a plan that reaches so far has it.
PM-02  What has opened or is settled stays where it is, and nothing answered is ever cancelled.
PM-03  A day that has its diary, open or settled, gets no second one.
PM-04  Nothing is born missed.
PM-05  The preview is what happens.
PM-06  Planning again changes nothing.
PM-07  Nothing is called off that the plan still has behind its horizon.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from epro import trail
from epro.scheduling import occurrences, protocols, timeline
from epro.scheduling.models import Occurrence
from epro.scheduling.state import State, state_of
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.tx import Tx, begin, system
from tests.cast import at

TESTS = system("tests")
START = at("2026-03-02T10:00")
HOUR = timedelta(hours=1)
FURTHER = timedelta(days=60)  # behind the horizon no plan of these studies reaches further
ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati"]
WHEN = ("opens_at", "closes_at", "local_day", "time_zone")

moves = st.tuples(st.just("move"), st.sampled_from(["enrolment", "infusion"]), st.integers(-12, 25))
waits = st.tuples(st.just("wait"), st.integers(1, 24 * 9), st.none())
answers = st.tuples(st.just("answer"), st.none(), st.none())
travels = st.tuples(st.just("travel"), st.sampled_from(ZONES), st.none())
stories = st.lists(st.one_of(moves, moves, waits, answers, travels), min_size=1, max_size=7)


@pytest.fixture
def study(app) -> Study:
    return Study()


@dataclass
class Study:
    """Enrols somebody new for every story."""

    count: int = 0

    def somebody(self) -> Story:
        self.count += 1
        subject_id, now = f"story-{self.count:04}", START
        with begin(TESTS, now) as tx:
            one = participants.enrol(
                tx, tx.get(Site, "diary", "01"), subject_id=subject_id, language="en", time_zone="Asia/Shanghai",
                protocol_version="1.0", anchors={"enrolment": date(2026, 3, 2)}, contact={},
            )  # fmt: skip
            occurrences.replan(tx, one, "enrolment")
        return Story(subject_id, now)


@dataclass
class Story:
    """One participant, followed hour by hour."""

    subject_id: str
    now: datetime

    def act(self):
        return begin(TESTS, self.now)

    def she(self, tx: Tx) -> Participant:
        return tx.get(Participant, "diary", self.subject_id, lock=True)

    def rows(self) -> dict:
        with self.act() as tx:
            return {row.id: row for row in occurrences.of(tx, self.she(tx))}

    def step(self, kind: str, what, far) -> None:
        getattr(self, kind)(what, far)

    def wait(self, hours: int, _) -> None:
        self.now += hours * HOUR

    def move(self, anchor: str, days: int) -> None:
        """As the door does it: the preview first, then the same for good."""
        day = START.date() + timedelta(days=days)
        before = self.rows()
        with self.act() as tx:
            she = self.she(tx)
            promised = told(occurrences.differences(tx, she, {**participants.anchors(tx, she), anchor: day}))
            participants.set_anchor(tx, she, anchor, day, "moved")
            done = told(found := occurrences.replan(tx, she, "moved"))
        assert promised == done  # PM-05
        assert not called_off_too_soon(found, self.planned_afresh(found.through + FURTHER))  # PM-07
        assert_changed_as_promised(promised, before, self.rows())

    def travel(self, zone: str, _) -> None:
        with self.act() as tx:
            she = self.she(tx)
            if participants.change_settings(tx, she, time_zone=zone):
                occurrences.replan(tx, she, "time_zone")

    def answer(self, *_) -> None:
        open_now = [
            row for row in self.rows().values() if row.opens_at <= self.now < row.closes_at and alive(row)
        ]
        with self.act() as tx:
            for row in open_now[:1]:
                she = self.she(tx)
                occurrences.fulfil(tx, she, tx.get(Occurrence, "diary", row.id))
                trail.record(tx, she, "test.answered", "occurrence", row.id)
                participants.put_back(tx, she)

    def replan(self) -> occurrences.Differences:
        with self.act() as tx:
            return occurrences.replan(tx, self.she(tx), "test")

    def horizon(self) -> date:
        with self.act() as tx:
            return last_day(self.she(tx), self.now)

    def planned_afresh(self, through: date) -> list[timeline.Planned]:
        """What one plan, made now from the final anchors and the places she lived in, asks for."""
        with self.act() as tx:
            she = self.she(tx)
            return timeline.plan(
                protocols.find(tx, "diary", "1.0"), self.subject_id, participants.anchors(tx, she),
                [timeline.ZoneSpan(stay.since, stay.time_zone) for stay in participants.zone_stays(tx, she)],
                last_day=through,
            )  # fmt: skip


def last_day(she: Participant, now: datetime) -> date:
    """The last day of the horizon."""
    return now.astimezone(ZoneInfo(she.time_zone)).date() + occurrences.HORIZON


def farthest(ahead: list[Occurrence], last: date) -> date:
    """How far a plan must reach to have all that stands, too."""
    return max([last, *(row.local_day for row in ahead)])


def due(afresh: list[timeline.Planned], ahead: list[Occurrence], last: date) -> list[timeline.Planned]:
    """What must stand: all up to the horizon; behind it what has a row already."""
    standing = {(row.assessment_id, row.key.partition("@")[0]) for row in ahead}
    return [want for want in afresh if want.local_day <= last or (want.assessment_id, want.key) in standing]


def called_off_too_soon(found: occurrences.Differences, afresh: list[timeline.Planned]) -> set:
    """What a plan that reaches further still has."""
    later = {want.id for want in afresh if want.local_day > found.through}
    return later & {row.id for row in found.cancelled}


def alive(row: Occurrence) -> bool:
    return row.cancelled_at is None and row.fulfilled_at is None


def told(found: occurrences.Differences) -> dict[str, dict]:
    """What a plan changes, by id: the new times of what comes and moves."""
    return {
        "kept": {row.id: None for row in found.kept}, "cancelled": {row.id: None for row in found.cancelled},
        "moved": {row.id: (want.opens_at, want.closes_at) for row, want in found.moved},
        "new": {want.id: (want.opens_at, want.closes_at) for want in found.new},
        "over": {want.id: None for want in found.over},
    }  # fmt: skip


def assert_changed_as_promised(promised: dict[str, dict], before: dict, after: dict) -> None:
    assert set(after) == set(before) | set(promised["new"])
    assert not set(promised["new"]) & set(before)
    for occurrence_id, row in after.items():
        if occurrence_id in promised["cancelled"]:
            assert row.cancelled_at is not None
        elif times := promised["moved"].get(occurrence_id) or promised["new"].get(occurrence_id):
            assert (row.opens_at, row.closes_at) == times and row.cancelled_at is None
        else:
            assert facts(row) == facts(before[occurrence_id])


def facts(row: Occurrence) -> tuple:
    return tuple(getattr(row, name) for name in (*WHEN, "cancelled_at", "fulfilled_at", "missed_at"))


def check(story: Story) -> None:
    """PM-01 to PM-04 and PM-06, at the end of a story."""
    story.replan()
    again = story.replan()
    assert not again.any  # PM-06
    now, rows = story.now, story.rows()
    assert all(row.cancelled_at is None for row in rows.values() if row.fulfilled_at)  # PM-02
    assert all(row.planned_at < row.closes_at for row in rows.values())  # PM-04
    diaries = [row for row in rows.values() if row.visit_id is None and row.cancelled_at is None]
    days = [(row.assessment_id, row.local_day) for row in diaries]
    assert len(days) == len(set(days)), "two diaries for one day"  # PM-03
    fixed = {
        row.id: row
        for row in rows.values()
        if (row.opens_at <= now and not row.cancelled_at) or row.fulfilled_at
    }
    ahead, last = [row for row in rows.values() if alive(row) and row.id not in fixed], story.horizon()
    wanted = due(story.planned_afresh(farthest(ahead, last)), ahead, last)
    assert sorted(map(asking, ahead)) == sorted(
        asking(want) for want in wanted if want.closes_at > now and not held(want, fixed, now)
    )  # PM-01


def asking(one: Occurrence | timeline.Planned) -> tuple:
    """What is asked for and when, whatever its id."""
    return (one.assessment_id, one.key.partition("@")[0], one.local_day, one.opens_at, one.closes_at)


def held(want: timeline.Planned, fixed: dict, now: datetime) -> bool:
    """This day has its diary; or this visit was answered, may still be, or was missed on this very day."""
    same = [
        row
        for row in fixed.values()
        if (row.assessment_id, row.visit_id) == (want.assessment_id, want.visit_id)
    ]
    on_this_day = any(row.local_day == want.local_day for row in same)
    return on_this_day or (
        want.visit_id is not None and any(state_of(row, now) is not State.MISSED for row in same)
    )


def follow(study: Study, steps) -> None:
    story = study.somebody()
    settled: dict = {}
    for step in steps:
        story.step(*step)
        rows = story.rows()
        assert all(facts(rows[known]) == was for known, was in settled.items())  # PM-02
        settled |= {
            row.id: facts(row) for row in rows.values() if row.fulfilled_at or row.closes_at <= story.now
            and not row.cancelled_at
        }  # fmt: skip
    check(story)


STORIES = int(os.environ.get("TEST_STORIES", 60))  # for a long night: more
FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@settings(max_examples=STORIES, deadline=None, suppress_health_check=FIXTURES)
@given(steps=stories)
@example(steps=[("wait", 3 * 24 + 10, None), ("move", "enrolment", -1)])  # while a diary is open
@example(steps=[("wait", 3 * 24 + 10, None), ("answer", None, None), ("move", "enrolment", -1)])
@example(steps=[("wait", 5 * 24 + 10, None), ("answer", None, None), ("move", "enrolment", 3)])  # postponed
@example(steps=[("wait", 9 * 24 + 22, None), ("move", "enrolment", 10), ("wait", 200, None), ("answer", None, None),
                ("move", "enrolment", 20)])  # fmt: skip
def test_any_story_ends_where_one_plan_would(study, steps):
    follow(study, steps)


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
@settings(max_examples=6, deadline=None, suppress_health_check=FIXTURES)
@given(steps=stories)
def test_any_story_ends_where_one_plan_would_on_postgresql(study, steps):
    follow(study, steps)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@settings(max_examples=STORIES // 4, deadline=None, suppress_health_check=FIXTURES)
@given(
    away=st.integers(-12, 25), hours=st.integers(0, 9 * 24), anchor=st.sampled_from(["enrolment", "infusion"])
)
def test_there_and_back_again_is_where_she_was(study, away, hours, anchor):
    """Apart from what opened while she was away, from days that got their diary then, and from what is planned further
    ahead than before.
    """
    story = study.somebody()
    story.move("infusion", 3)
    story.wait(hours, None)
    story.replan()
    before, last = story.rows(), story.horizon()
    story.move(anchor, away)
    opened = [row for row in story.rows().values() if row.opens_at <= story.now and not row.cancelled_at]
    ids, days = {row.id for row in opened}, {row.local_day for row in opened if row.visit_id is None}
    story.move(anchor, 0 if anchor == "enrolment" else 3)

    def standing(rows) -> dict:
        return {row.id: facts(row) for row in rows.values()
                if not row.cancelled_at and row.id not in ids and row.local_day not in days
                and row.local_day <= last}  # fmt: skip

    assert standing(story.rows()) == standing(before)
