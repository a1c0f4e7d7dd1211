"""The lines of scores: what they are called, and the least and the most that stand beside them."""

from __future__ import annotations

from epro.console import drawing


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
    (line,) = drawing.sparklines(responses, {"x · total": {"en": "Total"}})
    assert (line.assessment, line.label["en"], line.least, line.most) == ("week", "Total", 4, 9)
    assert line.values == [("2026-03-01", 9), ("2026-03-02", 4)] and line.places[0][1] < line.places[1][1]
