"""Where a study asks before windows move (`zone_policy: ask`): over the date line and back, whatever she says.

ZA-01  A zone that her phone tells and that she does not confirm changes nothing of her plan.
ZA-02  Confirmed or not, each day of the diary has its one window: none lost, doubled or overlapping, none shorter
       than an hour.
ZA-03  What has opened stays as it was.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from epro.api import phone
from epro.cli.study import known_instruments
from epro.scheduling import occurrences
from epro.scheduling.reading import read
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.tx import begin, system
from tests.cast import at
from tests.support.approvals import begin_with

TESTS = system("tests")
TEXT = (Path(__file__).parents[1] / "studies" / "diary.yaml").read_text(encoding="utf-8")
START, HOUR = at("2026-03-02T10:00"), timedelta(hours=1)
EAST, WEST = "Pacific/Kiritimati", "Pacific/Pago_Pago"  # a day apart, by the clock an hour
ZONES = [EAST, WEST, "Pacific/Apia", "Pacific/Niue", "Asia/Shanghai", "Pacific/Honolulu", "Europe/Berlin"]
numbers = count(1)

steps = st.tuples(st.integers(0, 40), st.sampled_from(ZONES), st.booleans())
stories = st.lists(steps, min_size=1, max_size=7)


@pytest.fixture
def asking(app) -> None:
    text = TEXT.replace("id: diary\n", "id: asking\n", 1).replace("follow_phone", "ask")
    protocol, faults = read(text, known_instruments())
    assert protocol is not None, faults
    with begin(TESTS, START) as tx:
        begin_with(tx, protocol, text)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([EAST, WEST, "Asia/Shanghai"]), stories)
@example(EAST, [(9, WEST, False), (1, WEST, True), (30, EAST, True)])
@example(WEST, [(9, EAST, False), (8, EAST, True), (3, WEST, True)])
@example(WEST, [(20, EAST, True), (0, WEST, True), (0, EAST, True), (1, EAST, False)])
def test_no_window_is_lost_doubled_or_negative_whatever_she_says(asking, home, story):
    subject_id, now = _enrolled(home), START
    for hours, zone, says_yes in story:
        now += hours * HOUR
        before = _windows(subject_id, now)
        _told(subject_id, now, zone, says_yes)
        after = _windows(subject_id, now)
        assert says_yes or after == before  # ZA-01
        opened = {id for id, (_, opens_at, _) in before.items() if opens_at <= now}
        assert all(after[id] == before[id] for id in opened)  # ZA-03
        _assert_one_a_day(after)


def _enrolled(home: str) -> str:
    subject_id = f"asked-{next(numbers):04}"
    with begin(TESTS, START) as tx:
        one = participants.enrol(
            tx, tx.get(Site, "asking", "01"), subject_id=subject_id, language="en", time_zone=home,
            protocol_version="1.0", anchors={"enrolment": date(2026, 3, 2)}, contact={},
        )  # fmt: skip
        occurrences.replan(tx, one, "enrolment")
    return subject_id


def _told(subject_id: str, now: datetime, zone: str, says_yes: bool) -> None:
    """Her phone finds itself in a zone, and she says that the study should go with her, or says nothing."""
    with begin(TESTS, now) as tx:
        she = tx.get(Participant, "asking", subject_id, lock=True)
        phone._change(tx, she, {"time_zone": zone, **({"time_zone_confirmed": True} if says_yes else {})})


def _windows(subject_id: str, now: datetime) -> dict:
    """The evenings that stand in her plan: id -> day, opening, closing."""
    with begin(TESTS, now) as tx:
        rows = occurrences.of(tx, tx.get(Participant, "asking", subject_id))
        return {
            row.id: (row.local_day, row.opens_at, row.closes_at)
            for row in rows
            if row.assessment_id == "evening" and row.cancelled_at is None
        }


def _assert_one_a_day(windows: dict) -> None:
    found = sorted(windows.values(), key=lambda one: one[1])
    days = [day for day, _, _ in found]
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))] and days[0] <= date(2026, 3, 2)
    assert len(days) >= 14
    assert all(closes_at - opens_at >= HOUR for _, opens_at, closes_at in found)
    assert all(one[2] <= next_one[1] for one, next_one in pairwise(found))
