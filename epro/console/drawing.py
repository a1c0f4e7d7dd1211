"""Small pictures as SVG without styles or scripts, each with its numbers beside it for who cannot see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from epro.console.saying import LANGUAGES, Voice, speaks
from epro.questionnaires.instrument import Scale
from epro.scheduling.compliance import Sum

WIDE, HIGH, EDGE = 240, 48, 4


@dataclass(frozen=True)
class Line:
    """One score over time: (local day, value) in order, and the points of its line.

    It is drawn from the least to the most that its scale can be, so that a line is as steep as the change is large.
    """

    scale: str
    assessment: str
    values: Sequence[tuple[str, float]]
    defined: Scale | None = None

    @property
    def label(self) -> Mapping[str, str]:
        return self.defined.label if self.defined else {}

    @property
    def direction(self) -> str:
        return self.defined.direction if self.defined else "none"

    @property
    def points(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.places)

    @property
    def least(self) -> float:
        return min((*self._range, *(value for _, value in self.values)))

    @property
    def most(self) -> float:
        return max((*self._range, *(value for _, value in self.values)))

    @property
    def _range(self) -> Sequence[float]:
        return self.defined.range if self.defined else ()

    @property
    def places(self) -> list[tuple[float, float]]:
        low, span, steps = self.least, (self.most - self.least) or 1, max(1, len(self.values) - 1)
        return [
            (EDGE + (WIDE - 2 * EDGE) * n / steps, HIGH - EDGE - (HIGH - 2 * EDGE) * (value - low) / span)
            for n, (_, value) in enumerate(self.values)
        ]


def sparklines(responses: Sequence[dict[str, Any]], defined: Mapping[str, Scale]) -> list[Line]:
    """The scores that may be seen, of responses that count, scale by scale; two points make a line."""
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    assessments: dict[str, str] = {}
    for response in sorted((one for one in responses if one["counts"]), key=lambda one: one["local_day"]):
        for score in response["scores"]:
            if score["value"] is not None:
                scale = scale_key(response["instrument"]["code"], score["scale"])
                assessments[scale] = response["assessment"]
                found[scale].append((response["local_day"], float(score["value"])))
    return [
        Line(scale, assessments[scale], values, defined.get(scale))
        for scale, values in sorted(found.items())
        if len(values) > 1
    ]


def scale_key(instrument: str, scale: str) -> str:
    return f"{instrument} · {scale}"


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: what it stands for, its counts, and how much of a hundred its two parts are."""

    of: Any
    sum: Sum

    @property
    def answered(self) -> float:
        return 100 * self.sum.answered / self.sum.due if self.sum.due else 0.0

    @property
    def missed(self) -> float:
        return 100 * self.sum.missed / self.sum.due if self.sum.due else 0.0

    @property
    def percent(self) -> str:
        return "" if self.sum.share is None else f"{100 * self.sum.share:.0f}"


def bars(found: Iterable[tuple[Any, Sum]]) -> list[Bar]:
    """One bar for each. How wide it is drawn, and which way, is the page's: letters stay as large as all others."""
    return [Bar(of, one) for of, one in found]


def drawn(svg: str) -> Markup:
    """A picture that we have drawn ourselves; nothing of it was typed by anybody."""
    return Markup(svg)


def voices(first: str, zone: str) -> list[Voice]:
    """Both languages, hers first."""
    own = speaks(first) or next(iter(LANGUAGES))
    return [Voice(tag, zone) for tag in sorted(LANGUAGES, key=lambda tag: tag != own)]
