"""States, told from facts and the hour.

Ada's diary of 2 March opens at 18:00, closes at 24:00 and may arrive until noon. Hours below are of 2 March, or
with a + of 3 March.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from types import SimpleNamespace

import pytest

from epro.scheduling.state import State, state_of

FACTS = ("fulfilled_at", "excused_at", "cancelled_at", "missed_at")


def at(hour: str) -> datetime:
    day = datetime(2026, 3, 3 if hour.startswith("+") else 2, tzinfo=UTC)
    hours, minutes = hour.lstrip("+").split(":")
    return day + timedelta(hours=int(hours), minutes=int(minutes))


def diary(*facts: str) -> SimpleNamespace:
    blank = dict.fromkeys(FACTS) | {fact: at("20:00") for fact in facts}
    return SimpleNamespace(opens_at=at("18:00"), closes_at=at("24:00"), grace_until=at("+12:00"), **blank)


@pytest.mark.parametrize(
    ("hour", "state"),
    [
        ("00:00", State.UPCOMING),
        ("17:59", State.UPCOMING),
        ("18:00", State.OPEN),
        ("23:59", State.OPEN),
        ("24:00", State.CLOSED_WAITING),
        ("+11:59", State.CLOSED_WAITING),
        ("+12:00", State.MISSED),
        ("+23:00", State.MISSED),
    ],
)
def test_without_facts_the_hour_tells(hour, state):
    assert state_of(diary(), at(hour)) is state


@pytest.mark.parametrize("hour", ["12:00", "18:00", "24:00", "+12:00"])
@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (["fulfilled_at"], State.FULFILLED),
        (["excused_at"], State.EXCUSED),
        (["cancelled_at"], State.CANCELLED),
        (["missed_at"], State.MISSED),
        (["missed_at", "fulfilled_at"], State.FULFILLED),
        (["excused_at", "fulfilled_at"], State.FULFILLED),
        (["cancelled_at", "fulfilled_at"], State.FULFILLED),
        (["missed_at", "excused_at"], State.EXCUSED),
        (["missed_at", "cancelled_at"], State.CANCELLED),
        (["excused_at", "cancelled_at"], State.CANCELLED),
    ],
)
def test_facts_outweigh_the_hour_and_an_answer_outweighs_all(facts, state, hour):
    assert state_of(diary(*facts), at(hour)) is state


def test_every_combination_of_facts_has_a_state_and_an_answer_always_shows():
    for facts in chain.from_iterable(combinations(FACTS, n) for n in range(len(FACTS) + 1)):
        state = state_of(diary(*facts), at("19:00"))
        assert isinstance(state, State)
        assert (state is State.FULFILLED) == ("fulfilled_at" in facts)


def test_every_state_explains_itself_in_one_sentence():
    assert len({state.sentence for state in State}) == len(State) == 7
    assert all(state.sentence.endswith(".") for state in State)
    assert State("closed_waiting") is State.CLOSED_WAITING
