"""What is skipped as over when a plan moves: only that for which nothing stands on file."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from epro.scheduling.comparing import without_row

DAY, OTHER = date(2026, 3, 5), date(2026, 3, 6)


def one(visit: str | None = None, day: date = DAY, **facts: Any) -> SimpleNamespace:
    nothing = dict.fromkeys(("fulfilled_at", "missed_at", "excused_at", "cancelled_at"))
    key = "diary/0001" if visit is None else f"diary/{visit}"
    return SimpleNamespace(
        assessment_id="diary", visit_id=visit, local_day=day, key=key, **{**nothing, **facts}
    )


@pytest.mark.parametrize(
    ("row", "stands"),
    [
        (one(fulfilled_at=1), True),
        (one(missed_at=1), True),
        (one(cancelled_at=1), False),
        (one(day=OTHER, fulfilled_at=1), False),
        (one("week_4", day=OTHER, fulfilled_at=1), False),
    ],
)
def test_a_day_of_a_diary_that_has_its_row_is_not_skipped(row, stands):
    want = one()
    assert without_row([want], [row]) == ([] if stands else [want])


@pytest.mark.parametrize(
    ("facts", "stands"), [({"fulfilled_at": 1}, True), ({"missed_at": 1}, True), ({}, False)]
)
def test_a_visit_that_was_answered_or_missed_on_another_day_is_not_skipped(facts, stands):
    want = one("week_4")
    assert without_row([want], [one("week_4", day=OTHER, **facts)]) == ([] if stands else [want])
