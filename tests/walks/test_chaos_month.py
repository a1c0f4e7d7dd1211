"""Reminders and alerts while the provider fails and workers are killed: a short form of tests/walks/chaos_month.py.

CM-01  Two days, four workers, a provider that fails in all its ways: no fault that the outside could see.
CM-02  What is checked afterwards finds each fault that is planted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.cast import at
from tests.walks import chaos_month
from tests.walks.chaos_month import (
    Line,
    Person,
    Story,
    Went,
    Window,
    a_month,
    faults,
    run,
)

HOUR = timedelta(hours=1)


# CM-01.


@pytest.mark.slow
@pytest.mark.chaos
def test_two_days_with_a_failing_provider_and_workers_that_are_killed(
    postgres_server, postgresql_template, tmp_path
):
    template, _ = postgresql_template
    with a_month(postgres_server, template, tmp_path, seed=7, pace=0.05, kill_every=0.7) as month:
        story = run(month, 2, chaos_month.SHORT, chaos_month.USUAL[-4:])
        figures = month.figures(story, 2)
    assert faults(story) == [], figures
    assert figures["workers killed"] > 2 and figures["taken"]["reminder"], figures
    assert figures["alerts"] and len(figures["asked of the provider"]) > 2, figures


# CM-02.

ADA = Person("01-001", "+8613900000001", withdrawn_at=at("2026-03-20T12:00"))
EVENING = Window(
    "evening",
    "01-001",
    "evening",
    at("2026-03-02T18:00"),
    at("2026-03-03T00:00"),
    at("2026-03-03T06:00"),
)
DUE = at("2026-03-02T19:00")
REMINDER = Line("m1", "01-001", "reminder", "evening", None, DUE + HOUR, "accepted", DUE)
ALERT_AT = at("2026-03-03T06:00")
ALERT = Line("m2", "01-001", "alert", "evening", "a1", ALERT_AT + 48 * HOUR, "accepted", ALERT_AT)
WELL = Story(
    people={"01-001": ADA},
    windows={"evening": EVENING},
    ledger={"m1": REMINDER, "m2": ALERT},
    went=(
        Went(
            "m1",
            ADA.number,
            "There is something to fill in.",
            DUE + timedelta(minutes=1),
        ),
        Went("m2", "+8613800000001", "Not yet received.", ALERT_AT + timedelta(minutes=1)),
    ),
    alerted={"evening": "a1"},
    ended=at("2026-03-30T12:00"),
)
TAKEN = WELL.went[0]


def went(*more: Went) -> Story:
    return replace(WELL, went=(*WELL.went, *more))


def at_another_hour(text: str) -> Story:
    return replace(WELL, went=(replace(TAKEN, at=at(text)), WELL.went[1]))


def of_her(**changed: object) -> Story:
    return replace(WELL, people={"01-001": replace(ADA, **changed)})


def with_line(line: Line) -> Story:
    return replace(WELL, ledger={**WELL.ledger, line.id: line})


PLANTED: dict[str, Callable[[], Story]] = {
    "a reminder went 2 times": lambda: went(replace(TAKEN, at=TAKEN.at + timedelta(minutes=1))),
    "3 reminders about it": lambda: replace(
        went(*(replace(TAKEN, message=f"m{n}", body=str(n)) for n in (3, 4))),
        ledger={
            **WELL.ledger,
            **{f"m{n}": replace(REMINDER, id=f"m{n}") for n in (3, 4)},
        },
    ),
    "the same words 2 times": lambda: replace(
        went(replace(TAKEN, message="m3")),
        ledger={**WELL.ledger, "m3": replace(REMINDER, id="m3")},
    ),
    "went in her quiet hours": lambda: of_her(quiet=("18:30", "09:00")),
    "went after her withdrawal": lambda: of_her(withdrawn_at=DUE),
    "went after her answer": lambda: of_her(answered={"evening": DUE}),
    "went while there was nothing to answer": lambda: at_another_hour("2026-03-02T17:00"),
    "went when it was stale": lambda: at_another_hour("2026-03-02T20:01"),
    "went to another number": lambda: of_her(number="+8613900000002"),
    "is in no ledger": lambda: went(replace(TAKEN, message="m9")),
    "went, and the ledger says withheld": lambda: with_line(replace(REMINDER, end="withheld")),
    "a miss without an alert": lambda: replace(WELL, alerted={}),
    "an alert that nobody was told of": lambda: replace(
        WELL,
        went=(TAKEN,),
        ledger={"m1": REMINDER, "m2": replace(ALERT, expires_at=WELL.ended + HOUR)},
    ),
    "accepted, says the ledger, and no provider has it": lambda: with_line(replace(REMINDER, id="m5")),
    "begun or due, and without an end": lambda: with_line(replace(REMINDER, end=None)),
}


def test_what_went_well_has_no_fault():
    assert faults(WELL) == []
    assert faults(with_line(replace(REMINDER, id="m5", channel="app"))) == []  # it waits in the app's inbox


@pytest.mark.parametrize("fault", PLANTED)
def test_each_fault_that_is_planted_is_found(fault):
    assert any(told.endswith(fault) for told in faults(PLANTED[fault]())), faults(PLANTED[fault]())


def test_an_alert_whose_time_ran_out_while_the_provider_was_out_is_not_lost():
    ran_out = {"m1": REMINDER, "m2": replace(ALERT, end="failed")}
    assert faults(replace(WELL, went=(TAKEN,), ledger=ran_out)) == []
    assert faults(replace(WELL, went=(TAKEN,)))  # the ledger says that it was told, and nobody took it
