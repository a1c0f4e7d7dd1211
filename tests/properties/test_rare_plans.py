"""Re-planning of a study of rarely used constructs, in any order, against one plan made afresh.

The study is `tests/studies/rare.yaml`: two windows a day with order and alternates, bursts, days of the month with
ends, anchors that come by themselves, conditions by an earlier score. The clockwork comes by, answers come late.

As NP-01 to NP-07 of `test_new_plans`, and besides:

RP-11  Ahead everything told of an occurrence is as planned afresh: zone, study day, anchor and sync grace too.
RP-12  What waits for an answer never opens before that of its own day or visit has come.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from epro import trail
from epro.notifications import attending
from epro.scheduling import anchors, occurrences, on_demand, timeline
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import with_defaults
from epro.scheduling.replanning import Wish
from epro.scheduling.state import State, state_of
from epro.studies import participants
from epro.studies.models import Participant
from tests.properties.test_new_plans import STORIES, Plans, _settings
from tests.properties.test_plan_moves import START, ZONES, alive

STUDY_FILE = Path(__file__).parent.parent / "studies" / "rare.yaml"
FIRST = {"clinician": "evening", "worry": "mood"}
CALLED_OFF = ("catchup", "cluster-instead", "flare")


def _longer_grace(asked: dict[str, Any], data: dict[str, Any]) -> None:
    asked["evening"]["sync_grace"] = "12h"
    asked["catchup"]["window"] = {"opens": "13:00", "closes": "18:00"}
    asked["lowvisits"]["if"] = {"anchor": "low"}


def _other_days(asked: dict[str, Any], data: dict[str, Any]) -> None:
    asked["cluster"]["burst"] = {"days": 5, "before": ["week1", "late"]}
    asked["monthly"]["every"]["month_days"] = [31]
    asked["fortnight"]["every"]["weekdays"] = ["wed"]
    asked["mood"]["at"], asked["worry"]["at"] = ["week1", "middle", "late"], ["week1", "late"]


def _less(asked: dict[str, Any], data: dict[str, Any]) -> None:
    gone = ("watch", "cluster-instead")
    data["assessments"] = [one for one in data["assessments"] if one["id"] not in gone]
    data["alerts"] = [one for one in data["alerts"] if one["assessment"] not in gone]
    asked["evening"]["until"] = {"visit": "middle"}


class RarePlans(Plans):
    """The same participant in that study."""

    written = with_defaults(yaml.safe_load(STUDY_FILE.read_text(encoding="utf-8")))
    steps, arm = [_longer_grace, _other_days, _less], "cells"

    @rule(hours=st.integers(1, 24 * 6))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.look()

    def look(self) -> None:
        """The clockwork comes by, however late."""
        found = True
        while found:
            with self.act() as tx:
                found = attending.attend_due(tx) > 0
        with self.act() as tx:
            occurrences.extend_due(tx)

    @rule(anchor=st.sampled_from(["enrolment", "infusion", "first-diary", "low"]), days=st.integers(-12, 30))
    def move_an_anchor(self, anchor: str, days: int) -> None:
        self.replan(Wish(anchor=(anchor, START.date() + timedelta(days=days))))

    @rule(arm=st.sampled_from(["cells", "sham"]))
    def change_the_arm(self, arm: str) -> None:
        self.replan(Wish(arm=arm))

    @rule(zone=st.sampled_from(ZONES))
    def travel(self, zone: str) -> None:
        self.replan(Wish(time_zone=zone))

    @rule(number=st.integers(0, 5), score=st.sampled_from([3, 20]))
    def answer(self, number: int, score: int) -> None:
        open_now = [row for row in self.in_order() if row.opens_at <= self.now < row.closes_at]
        if open_now:
            self.fill_in(open_now[number % len(open_now)], self.now, score)

    @rule(number=st.integers(0, 8), score=st.sampled_from([3, 20]))
    def an_answer_comes_late(self, number: int, score: int) -> None:
        over = [row for row in self.in_order() if row.closes_at <= self.now]
        if over:
            row = over[-1 - number % len(over)]
            self.fill_in(row, row.opens_at, score)

    @rule()
    def ask_for_one(self) -> None:
        with self.act() as tx:
            on_demand.open_one(tx, self.she(tx), "flare")

    def in_order(self) -> list[Occurrence]:
        return sorted(filter(alive, self.rows().values()), key=lambda row: (row.opens_at, str(row.id)))

    def fill_in(self, row: Occurrence, completed: datetime, score: int) -> None:
        with self.act() as tx:
            she = tx.plain(Participant, self.study, "01-001", lock=True)
            one = tx.plain(Occurrence, self.study, row.id, lock=True)
            occurrences.fulfil(tx, she, one)
            trail.record(tx, she, "test.answered", "occurrence", row.id)
            participants.put_back(tx, she)
            anchors.follow_answer(tx, she, one, completed, {}, {"total": score})

    @invariant()
    def what_has_happened_stays(self) -> None:
        rows = self.rows()
        for known, was in self.settled.items():
            assert as_opened(rows[known]) == was
        self.settled |= {
            row.id: as_opened(row)
            for row in rows.values()
            if row.fulfilled_at or (row.opens_at <= self.now and not row.cancelled_at)
        }
        gone = {row.assessment_id for row in rows.values() if row.cancelled_at and row.fulfilled_at}
        assert gone <= set(CALLED_OFF)
        assert all(row.planned_at < row.closes_at for row in rows.values())

    @invariant()
    def nothing_opens_before_what_it_waits_for(self) -> None:
        rows = list(self.rows().values())
        answered = [(matter(row), row.fulfilled_at) for row in rows if row.fulfilled_at]
        for row in rows:
            if row.assessment_id in FIRST and row.cancelled_at is None and row.opens_at <= self.now:
                asked = (FIRST[row.assessment_id], *matter(row)[1:])
                assert any(one == asked and at <= row.opens_at for one, at in answered), asked  # RP-12

    @invariant()
    def the_plan_is_as_if_made_afresh(self) -> None:
        with self.act() as tx:
            occurrences.replan(tx, self.she(tx), "horizon")
            assert not occurrences.replan(tx, self.she(tx), "horizon").any
            rows = occurrences.of(tx, self.she(tx))
            fixed = [
                row for row in rows if (row.opens_at <= self.now and not row.cancelled_at) or row.fulfilled_at
            ]
            ahead = [row for row in rows if alive(row) and row not in fixed]
            follows, afresh = self.she(tx).protocol_version, self.what_is_due(tx, ahead)
        wanted = [one for one in afresh if one.closes_at > self.now and not has_its_own(one, fixed, self.now)]
        assert sorted(map(told, ahead)) == sorted(map(told, wanted))  # RP-11
        assert {row.protocol_version for row in ahead} <= {follows}


def as_opened(row: Occurrence) -> tuple:
    return (
        row.protocol_version,
        row.instrument_code,
        row.opens_at,
        row.closes_at,
        row.local_day,
        row.time_zone,
    )


def matter(row: Occurrence) -> tuple[str, str | date, str]:
    return row.assessment_id, row.visit_id or row.local_day, timeline.window_of(row.key)


def told(one: Occurrence | timeline.Planned) -> tuple:
    """Everything that is told of it but its id."""
    zone, day = (
        (one.zone, one.offset) if isinstance(one, timeline.Planned) else (one.time_zone, one.study_day)
    )
    key, times = timeline.first_key(one.key), (one.local_day, one.opens_at, one.closes_at, one.grace_until)
    return (one.assessment_id, key, *times, one.anchor, zone, day)


def has_its_own(want: timeline.Planned, fixed: list[Occurrence], now: datetime) -> bool:
    """This day has its own; or this visit was answered, may still be, or was missed on this very day."""
    asked = want.assessment_id, want.visit_id, timeline.window_of(want.key)
    same = [row for row in fixed if (row.assessment_id, row.visit_id, timeline.window_of(row.key)) == asked]
    if any(row.local_day == want.local_day for row in same):
        return True
    return want.visit_id is not None and any(state_of(row, now) is not State.MISSED for row in same)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_rare_constructs_together_end_where_one_plan_would(app):
    run_state_machine_as_test(RarePlans, settings=_settings(max(3, STORIES // 15)))
