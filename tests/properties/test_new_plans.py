"""Re-planning for every cause there is, in any order: anchors, arms, zones, languages, amendments, answers, time.

NP-01  What lies ahead is what one plan made now, from what is on record now, would have; behind the horizon what stood
       before stands, as a plan that reaches so far has it.
NP-02  What was answered, missed or has opened stays as it is, with the version of the protocol that asked for it.
NP-03  The preview is what happens; for an amendment the dry run is.
NP-04  Nothing is born missed.
NP-05  Planning again changes nothing.
NP-06  What has not opened is asked for by the version that she follows.
NP-07  Nothing is called off that the plan still has behind its horizon.
"""

from __future__ import annotations

import os
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from epro import trail
from epro.scheduling import amending, course, occurrences, protocols, replanning, timeline
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Protocol, with_defaults
from epro.scheduling.replanning import Wish
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.tx import Tx, begin, system
from tests.properties.test_plan_moves import (
    FURTHER,
    START,
    ZONES,
    alive,
    asking,
    assert_changed_as_promised,
    called_off_too_soon,
    due,
    facts,
    farthest,
    held,
    last_day,
    told,
)

TESTS = system("tests")
STUDY_FILE = Path(__file__).parent.parent / "studies" / "two_arms.yaml"
WRITTEN = with_defaults(yaml.safe_load(STUDY_FILE.read_text(encoding="utf-8")))
NUMBERS = count()


def version(study: str, number: int, written: Any = WRITTEN, amendments: Any = None) -> Protocol:
    """The study with its first `number` amendments."""
    data = Protocol.from_canonical(written).canonical()
    data["study"] |= {"id": study, "version": f"{number + 1}.0"}
    for amendment in (amendments or AMENDMENTS)[:number]:
        amendment({one["id"]: one for one in data["assessments"]}, data)
    return Protocol.from_canonical(data)


def _earlier_evenings(asked: dict[str, Any], data: dict[str, Any]) -> None:
    asked["evening"]["window"] = {"opens": "17:00", "closes": "23:00"}
    asked["evening"]["reminders"] = [{"before_closing": "2h"}]


def _other_questionnaires(asked: dict[str, Any], data: dict[str, Any]) -> None:
    weekly = {**asked["in-chinese"], "id": "weekly", "every": {**asked["evening"]["every"], "days": 7}}
    weekly.pop("if")
    data["assessments"] = [*(one for one in data["assessments"] if one["id"] != "in-chinese"), weekly]


def _later_visits(asked: dict[str, Any], data: dict[str, Any]) -> None:
    for visit in data["visits"]:
        visit |= {"day": visit["day"] + 2, "after": 3}


AMENDMENTS = [_earlier_evenings, _other_questionnaires, _later_visits]


class Plans(RuleBasedStateMachine):
    """One participant of a study of her own, followed hour by hour."""

    written, steps, arm = WRITTEN, AMENDMENTS, "control"

    def __init__(self) -> None:
        super().__init__()
        self.study, self.now, self.amendments = f"arms-{next(NUMBERS)}", START, 0
        self.settled: dict[Any, tuple] = {}
        with self.act() as tx:
            protocols.publish(tx, self.version(0), "as written")
            she = participants.enrol(
                tx, tx.get(Site, self.study, "01"), subject_id="01-001", language="en", time_zone="Asia/Shanghai",
                protocol_version="1.0", anchors={"enrolment": date(2026, 3, 2)}, contact={}, arm=self.arm,
            )  # fmt: skip
            occurrences.replan(tx, she, "enrolment")

    def act(self) -> Any:
        return begin(TESTS, self.now)

    def version(self, number: int) -> Protocol:
        return version(self.study, number, self.written, self.steps)

    def she(self, tx: Tx) -> Participant:
        return tx.get(Participant, self.study, "01-001", lock=True)

    def rows(self) -> dict[Any, Occurrence]:
        with self.act() as tx:
            return {row.id: row for row in occurrences.of(tx, self.she(tx))}

    @rule(hours=st.integers(1, 24 * 6))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(anchor=st.sampled_from(["enrolment", "infusion"]), days=st.integers(-12, 25))
    def move_an_anchor(self, anchor: str, days: int) -> None:
        self.replan(Wish(anchor=(anchor, START.date() + timedelta(days=days))))

    @rule(arm=st.sampled_from(["active", "control"]))
    def change_the_arm(self, arm: str) -> None:
        self.replan(Wish(arm=arm))

    @rule(zone=st.sampled_from(ZONES))
    def travel(self, zone: str) -> None:
        self.replan(Wish(time_zone=zone))

    @rule(language=st.sampled_from(["en", "zh-CN"]))
    def speak(self, language: str) -> None:
        self.replan(Wish(language=language))

    @precondition(lambda self: self.amendments < len(self.steps))
    @rule()
    def amend(self) -> None:
        """Published, approved with the day of today, and carried out by the clockwork."""
        self.amendments += 1
        protocol, before = self.version(self.amendments), self.rows()
        with self.act() as tx:
            ((_, found),) = amending.dry_run(tx, protocol)
            promised = told(found)
            amending.amend(tx, protocol, "as amended")
            amending.approve(tx, self.study, protocol.version, "01", self.now.date())
        assert {row.id for row in self.rows().values()} == set(
            before
        )  # nobody moves before the clockwork does it
        with self.act() as tx:
            assert occurrences.extend_due(tx) >= 1
            assert self.she(tx).protocol_version == protocol.version
            assert not called_off_too_soon(found, self.planned_afresh(tx, found.through + FURTHER))  # NP-07
        assert_changed_as_promised(promised, before, self.rows())  # NP-03

    @rule()
    def answer(self) -> None:
        open_now = [
            row for row in self.rows().values() if row.opens_at <= self.now < row.closes_at and alive(row)
        ]
        with self.act() as tx:
            for row in open_now[:1]:
                she = self.she(tx)
                occurrences.fulfil(tx, she, tx.get(Occurrence, self.study, row.id))
                trail.record(tx, she, "test.answered", "occurrence", row.id)
                participants.put_back(tx, she)

    def replan(self, wish: Wish) -> None:
        """As the door does it: the preview first, then the same for good."""
        before = self.rows()
        with self.act() as tx:
            promised = told(replanning.preview(tx, self.she(tx), wish))
            done = told(found := replanning.carry_out(tx, self.she(tx), wish, "as it happened"))
            afresh = self.planned_afresh(tx, found.through + FURTHER)
        assert promised == done  # NP-03
        assert not called_off_too_soon(found, afresh)  # NP-07
        assert_changed_as_promised(promised, before, self.rows())

    @invariant()
    def what_has_happened_stays(self) -> None:
        rows = self.rows()
        for known, was in self.settled.items():
            assert as_asked(rows[known])[: len(was)] == was  # NP-02
        self.settled |= {
            row.id: as_asked(row)
            for row in rows.values()
            if row.fulfilled_at or (row.opens_at <= self.now and not row.cancelled_at)
        }
        assert all(row.cancelled_at is None for row in rows.values() if row.fulfilled_at)
        assert all(row.planned_at < row.closes_at for row in rows.values())  # NP-04

    @invariant()
    def the_plan_is_as_if_made_afresh(self) -> None:
        with self.act() as tx:
            occurrences.replan(tx, self.she(tx), "horizon")
            assert not occurrences.replan(tx, self.she(tx), "horizon").any  # NP-05
            rows = {row.id: row for row in occurrences.of(tx, self.she(tx))}
            fixed = {
                row.id: row
                for row in rows.values()
                if (row.opens_at <= self.now and not row.cancelled_at) or row.fulfilled_at
            }
            ahead = [row for row in rows.values() if alive(row) and row.id not in fixed]
            follows, afresh = self.she(tx).protocol_version, self.what_is_due(tx, ahead)
        wanted = [want for want in afresh if want.closes_at > self.now and not held(want, fixed, self.now)]
        assert sorted(map(asking, ahead)) == sorted(map(asking, wanted))  # NP-01
        assert {row.protocol_version for row in ahead} <= {follows}  # NP-06

    def what_is_due(self, tx: Tx, ahead: list[Occurrence]) -> list[timeline.Planned]:
        last = last_day(self.she(tx), self.now)
        return due(self.planned_afresh(tx, farthest(ahead, last)), ahead, last)

    def planned_afresh(self, tx: Tx, through: date) -> list[timeline.Planned]:
        she = self.she(tx)
        basis = occurrences.on_record(tx, she)
        return timeline.plan(
            self.version(self.amendments), she.subject_id, basis.anchors, basis.zones,
            last_day=through, person=basis.person,
            past=course.past_of(tx, [(she, basis.protocol)])[0],
        )  # fmt: skip


def as_asked(row: Occurrence) -> tuple:
    """By which version it was asked, and when it stood open; being answered is the one fact that may come."""
    return (row.protocol_version, row.instrument_code, row.instrument_version, *facts(row)[:5])


STORIES = int(os.environ.get("TEST_STORIES", 60))  # for a long night: more
FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_any_story_ends_where_one_plan_would(app):
    run_state_machine_as_test(Plans, settings=_settings(STORIES // 3))


@pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
def test_any_story_ends_where_one_plan_would_on_postgresql(app):
    run_state_machine_as_test(Plans, settings=_settings(3))


def _settings(examples: int) -> settings:

    return settings(
        max_examples=examples, stateful_step_count=9, deadline=None, suppress_health_check=FIXTURES
    )
