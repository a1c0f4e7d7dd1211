"""Charts of a report as inline SVG: no script, no outside host, colours by class so that dark and light both work.

Each chart is a picture with a title for those who cannot see it; the numbers stand in a table behind it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 880, 190, 44, 26, 8
CELL, GAP = 15, 3


def bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Stacked bars: one for each label, a piece for each series (its name is its class)."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)] or [0]
    top = _round_up(max(totals))
    step = (WIDTH - LEFT) / max(1, len(labels))
    parts = list(_grid(top)) + list(_labels(labels, step))
    for n, _ in enumerate(labels):
        below = 0.0
        for name, values in series.items():
            if values[n]:
                parts.append(_bar(n, step, below, values[n], top, name, labels[n]))
                below += values[n]
    return _svg(title, WIDTH, HEIGHT, parts)


def days(title: str, told: Mapping[str, Mapping[str, Any]], first: date, count: int) -> str:
    """A calendar: weeks from left to right, Monday on top; a cell's class is the worst of its day."""
    monday = first - timedelta(days=first.weekday())
    weeks = (count + first.weekday()) // 7 + 1
    parts = []
    for n in range(count + 1):
        day = first + timedelta(days=n)
        parts.append(_cell(day, (day - monday).days // 7, told.get(day.isoformat())))
    parts += _months(monday, weeks)
    return _svg(title, weeks * (CELL + GAP) + 4, 7 * (CELL + GAP) + 22, parts)


def _cell(day: date, week: int, told: Mapping[str, Any] | None) -> str:
    words = list(told["asked"].values()) if told else []
    worst = next((word for word in ("missed", "late", "open", "done") if word in words), "nothing")
    x, y = week * (CELL + GAP), 18 + day.weekday() * (CELL + GAP)
    said = [day.isoformat(), *(f"{name}: {word}" for name, word in (told["asked"].items() if told else ()))]
    shape = (
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" rx="3" class="{worst}">'
        f"<title>{escape(', '.join(said))}</title></rect>"
    )
    if told and told["alerts"]:
        return f'{shape}<circle cx="{x + CELL - 4}" cy="{y + 4}" r="2.6" class="mark"/>'
    return shape


def _months(monday: date, weeks: int) -> list[str]:
    found = []
    for n in range(weeks):
        week = [monday + timedelta(days=7 * n + d) for d in range(7)]
        begins = next((day for day in week if day.day == 1), None)
        if begins:
            found.append(
                f'<text x="{n * (CELL + GAP)}" y="11" class="small">{begins.year}-{begins.month:02}</text>'
            )
    return found


def _grid(top: float) -> list[str]:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _y(share * top, top)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="small" text-anchor="end">{share * top:g}</text>'
        )
    return parts


def _labels(labels: Sequence[str], step: float) -> list[str]:
    """As many as fit."""
    every = max(1, round(sum(len(label) for label in labels) * 7.5 / (WIDTH - LEFT) + 0.5)) if labels else 1
    return [
        f'<text x="{LEFT + (n + 0.5) * step:.1f}" y="{HEIGHT - 8}" class="small" text-anchor="middle">'
        f"{escape(label)}</text>"
        for n, label in enumerate(labels)
        if n % every == 0
    ]


def _bar(n: int, step: float, below: float, value: float, top: float, name: str, label: str) -> str:
    y, floor = _y(below + value, top), _y(below, top)
    width = max(1.0, step * 0.78)
    return (
        f'<rect x="{LEFT + n * step + (step - width) / 2:.1f}" y="{y:.1f}" width="{width:.1f}"'
        f' height="{floor - y:.1f}" class="{name}"><title>{escape(label)} {name}: {value:g}</title></rect>'
    )


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top


def _round_up(value: float) -> float:
    """A number with a round look, at least as large; so that quarters of it are whole where they can be."""
    if value <= 4:
        return 4
    unit = 1
    while True:
        for step in (4, 8, 12, 20, 40, 60):
            if value <= step * unit:
                return step * unit
        unit *= 10


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px;min-width:min({width}px,44rem)" role="img"'
        f' aria-label="{escape(title)}">{inside}</svg>'
    )
