"""When a provider is taken to be out, and when it is tried again: a table, and any order of what may happen.

CI-01  Five failures in a row within a minute open it; a success in between starts the count anew.
CI-02  While it is open nothing goes out; after the pause one probe does, and no other until its fate is known.
CI-03  A probe that comes through closes it; one that does not doubles the pause, up to five minutes.
CI-04  A probe whose worker died holds it for a minute and a half, not for ever.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from epro.notifications import circuit
from epro.notifications.circuit import LONGEST_PAUSE, PAUSE, PROBE_FOR, Circuit, again_at, way

START = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def after(*seconds: int, known: Circuit | None = None) -> Circuit:
    """Failures at these seconds."""
    known = known or Circuit()
    for second in seconds:
        known = circuit.failed(known, START + second * SECOND)
    return known


def test_five_in_a_row_within_a_minute_open_it():  # CI-01
    assert way(after(0, 1, 2, 3), START) == "free"
    assert way(after(0, 1, 2, 3, 4), START + 4 * SECOND) == "open"
    assert way(after(0, 20, 40, 59, 61), START + 61 * SECOND) == "free"  # the first is too long ago
    assert way(after(1, 2, known=circuit.succeeded(after(0, 0, 0, 0))), START + 2 * SECOND) == "free"


def test_one_probe_after_the_pause():  # CI-02
    known = after(0, 0, 0, 0, 0)
    assert way(known, START + PAUSE - SECOND) == "open" and again_at(known) == START + PAUSE
    assert way(known, START + PAUSE) == "probe"
    known = circuit.probing(known, START + PAUSE)
    assert way(known, START + PAUSE + SECOND) == "open"
    assert again_at(known) == START + PAUSE + PROBE_FOR
    assert way(known, START + PAUSE + PROBE_FOR) == "probe"  # CI-04


def test_what_becomes_of_a_probe():  # CI-03
    known, now, pauses = after(0, 0, 0, 0, 0), START, []
    for _ in range(8):
        now = again_at(known) or now
        known = circuit.failed(circuit.probing(known, now), now)
        pauses.append((again_at(known) or now) - now)
    assert pauses[:3] == [2 * PAUSE, 4 * PAUSE, 8 * PAUSE] and set(pauses[3:]) == {LONGEST_PAUSE}
    assert known.opened_at == START
    assert circuit.succeeded(known) == Circuit()


def test_what_is_about_one_message_says_nothing_about_the_provider():
    assert circuit.counts("busy") and circuit.counts("timed_out") and circuit.counts("http_503")
    assert not circuit.counts("not_reachable") and not circuit.counts("not_told_apart")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["fails", "works", "dies"])), max_size=120))
def test_an_open_circuit_lets_one_through_at_a_time(acts):
    known, now, through = Circuit(), START, list[tuple[datetime, str]]()
    for seconds, outcome in acts:
        now += seconds * SECOND
        standing = way(known, now)
        if standing == "open":
            continue
        if standing == "probe":
            through.append((now, "probe"))
            known = circuit.probing(known, now)
        if outcome != "dies":
            known = circuit.failed(known, now) if outcome == "fails" else circuit.succeeded(known)
            if known.opened_at is None:
                through.clear()
    for (one, _), (other, _) in pairwise(through):
        assert other - one >= min(PAUSE, PROBE_FOR)
