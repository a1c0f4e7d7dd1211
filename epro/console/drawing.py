"""Small pictures as SVG without styles or scripts, each with its numbers beside it for who cannot see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from epro.console.saying import LANGUAGES, Voice, speaks
from epro.scheduling.compliance import Sum

WIDE, HIGH, EDGE = 240, 48, 4


@dataclass(frozen=True)
class Line:
    """One score over time: (local day, value) in order, and the points of its line."""

    scale: str
    values: Sequence[tuple[str, float]]

    @property
    def points(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.places)

    @property
    def places(self) -> list[tuple[float, float]]:
        low, high = min(value for _, value in self.values), max(value for _, value in self.values)
        span, steps = (high - low) or 1, max(1, len(self.values) - 1)
        return [
            (EDGE + (WIDE - 2 * EDGE) * n / steps, HIGH - EDGE - (HIGH - 2 * EDGE) * (value - low) / span)
            for n, (_, value) in enumerate(self.values)
        ]


def sparklines(responses: Sequence[dict[str, Any]]) -> list[Line]:
    """The scores that may be seen, of responses that count, scale by scale; two points make a line."""
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for response in sorted((one for one in responses if one["counts"]), key=lambda one: one["local_day"]):
        for score in response["scores"]:
            if score["value"] is not None:
                found[f"{response['instrument']['code']} · {score['scale']}"].append(
                    (response["local_day"], float(score["value"]))
                )
    return [Line(scale, values) for scale, values in sorted(found.items()) if len(values) > 1]


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: what it stands for, its counts, where it begins and how long its two parts are."""

    of: Any
    sum: Sum
    at: float
    size: float
    answered: float
    missed: float

    @property
    def percent(self) -> str:
        return "" if self.sum.share is None else f"{100 * self.sum.share:.0f}"


COLUMN_HIGH, COLUMN_WIDE, GAP = 120.0, 560.0, 0.25
BAR_LONG, BAR_HIGH = 300.0, 22.0


def columns(found: Sequence[tuple[Any, Sum]]) -> list[Bar]:
    """One upright bar for each, as high as the share that was answered; what was missed stands on it."""
    step = COLUMN_WIDE / max(1, len(found))
    return [
        Bar(of, one, n * step + step * GAP / 2, step * (1 - GAP), *_parts(one, COLUMN_HIGH))
        for n, (of, one) in enumerate(found)
    ]


def bars(found: Sequence[tuple[Any, Sum]]) -> list[Bar]:
    """The same lying, one below the other."""
    return [
        Bar(of, one, n * BAR_HIGH, BAR_HIGH * 0.7, *_parts(one, BAR_LONG))
        for n, (of, one) in enumerate(found)
    ]


def _parts(one: Sum, whole: float) -> tuple[float, float]:
    return (whole * one.answered / one.due, whole * one.missed / one.due) if one.due else (0.0, 0.0)


def drawn(svg: str) -> Markup:
    """A picture that we have drawn ourselves; nothing of it was typed by anybody."""
    return Markup(svg)


def voices(first: str, zone: str) -> list[Voice]:
    """Both languages, hers first."""
    own = speaks(first) or next(iter(LANGUAGES))
    return [Voice(tag, zone) for tag in sorted(LANGUAGES, key=lambda tag: tag != own)]
