"""The lines of scores: what they are called, and the least and the most that stand beside them."""

from __future__ import annotations

import pytest

from epro.console import drawing
from epro.questionnaires import library


def test_a_line_of_scores_knows_its_assessment_and_its_ends():
    responses = [
        {
            "counts": True,
            "local_day": day,
            "assessment": "week",
            "instrument": {"code": "x"},
            "scores": [{"scale": "total", "value": value}, {"scale": "none", "value": None}],
        }
        for day, value in (("2026-03-02", "4"), ("2026-03-01", "9"))
    ]
    (line,) = drawing.sparklines(responses, {})
    assert (line.assessment, line.label, line.least, line.most) == ("week", {}, 4, 9)
    assert line.values == [("2026-03-01", 9), ("2026-03-02", 4)] and line.places[0][1] < line.places[1][1]


@pytest.mark.parametrize(
    ("values", "ends", "falls"),
    [((5.571, 5.714), (1, 7), 0.95), ((1, 7), (1, 7), 40), ((0.5, 1), (0.5, 7), 3.1)],
    ids=["a small change is drawn small", "a whole one over all of it", "a value outside is not cut off"],
)
def test_a_line_is_as_steep_as_the_change_is_large_on_its_scale(values, ends, falls):
    fss = next(
        scale for scale in library.bundled_instrument("fss", "1.0").scales if scale.name == "fss9_mean"
    )
    line = drawing.Line(
        "fss · fss9_mean", "week", [("2026-03-01", values[0]), ("2026-03-02", values[1])], fss
    )
    assert (line.least, line.most, line.direction) == (*ends, "higher_is_worse")
    (_, before), (_, after) = line.places
    assert before - after == pytest.approx(falls, abs=0.05)
