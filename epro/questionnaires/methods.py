"""Scoring methods by name and version: a closed list, pure arithmetic on whole numbers.

A method by *sum* takes the sum of the scored codes of the answered items and how many were answered (at least one);
one by *highest* takes the highest of them in place of the sum. A method by *pattern* takes the scored code of each
item, None where there is none, and may give back a reason (a word) in place of a number. Every intermediate is a whole
number and there is one division at most, so that a value is the double nearest to the exact one.

A method never changes once released. A mended one gets the next version; the old one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TOO_FEW_ANSWERS = "too_few_answers"
NOT_EMPLOYED = "not_employed"
NO_HOURS = "no_hours"
NOTHING_WORKED = "nothing_worked"
REASONS = {
    TOO_FEW_ANSWERS: {
        "en": "Too few items were answered for this score.",
        "zh-CN": "已回答的条目太少，无法计算该得分。",
    },
    NOT_EMPLOYED: {
        "en": "Work scores exist only for people who are employed.",
        "zh-CN": "仅在职者才有工作相关得分。",
    },
    NO_HOURS: {
        "en": "No hours were worked and none were missed: the ratio is undefined.",
        "zh-CN": "没有工作时间，也没有缺勤时间：比值无定义。",
    },
    NOTHING_WORKED: {
        "en": "No hours were worked, so nothing can be said about the time at work.",
        "zh-CN": "没有工作时间，因此无法评价工作时的情况。",
    },
}

Number = int | float
Pattern = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """What a method may know of a scale.

    `expected` items; `lowest` and `highest` scored code of an item (of all of them, where they differ); `least`
    and `most`: the sums of each item's lowest and highest; `table`: a value for each sum from `least` to `most`;
    `cuts`: ascending sums where the next band begins; `grid`: nested values, one level for each item.
    """

    expected: int
    lowest: int
    highest: int
    least: int
    most: int
    table: tuple[float, ...] = ()
    cuts: tuple[int, ...] = ()
    grid: Any = ()


@dataclass(frozen=True, slots=True)
class Method:
    """`value` is the score (see above), `limits(span)` the range it can take.

    `by` is "sum", "highest" or "pattern". `same_codes`: all items need the same lowest and highest scored code.
    `needs_all`: only the missing rule `all` makes sense. `takes`: the one parameter that the scale must give,
    or None. `items`: how many items it takes, or None for any number.
    """

    by: str
    value: Callable[..., Number | str]
    limits: Callable[[Span], tuple[Number, Number]]
    words: dict[str, str]
    symbols: str
    same_codes: bool = False
    needs_all: bool = False
    takes: str | None = None
    items: int | None = None


# By sum: value(total, answered, span)


def _mean_to_0_100(total: int, answered: int, span: Span) -> float:
    return (total - span.lowest * answered) * 100 / ((span.highest - span.lowest) * answered)


def _prorated_sum(total: int, answered: int, span: Span) -> float:
    return total * span.expected / answered


def _mean(total: int, answered: int, span: Span) -> float:
    return total / answered


def _sum(total: int, answered: int, span: Span) -> float:
    return float(total)


def _table(total: int, answered: int, span: Span) -> float:
    return span.table[total - span.least]


def _band(total: int, answered: int, span: Span) -> float:
    return float(sum(cut <= total for cut in span.cuts))


def _one_minus_thousandths(total: int, answered: int, span: Span) -> float:
    return (1000 - total) / 1000


def _count(total: int, answered: int, span: Span) -> float:
    return float(answered)


# By highest: value(highest, answered, span)


def _highest(highest: int, answered: int, span: Span) -> float:
    return float(highest)


# By pattern: value(pattern, span)


def _digits(pattern: Pattern, span: Span) -> float:
    number = 0
    for code in pattern:
        number = number * 10 + (9 if code is None else code)
    return float(number)


def _grade(pattern: Pattern, span: Span) -> float | str:
    """Look up level by level. When the first attribute is 0 nothing else is asked of the grid."""
    if pattern[0] == 0:
        return 0.0
    found = span.grid
    for code in pattern:
        if code is None:
            return TOO_FEW_ANSWERS
        found = found[code]
    return float(found)


def _absenteeism(pattern: Pattern, span: Span) -> float | str:
    employed, missed, worked = pattern
    return _hours_fault(employed, missed, worked) or 100 * missed / (missed + worked)  # type: ignore[operator]


def _presenteeism(pattern: Pattern, span: Span) -> float | str:
    employed, worked, effect = pattern
    if employed == 0:
        return NOT_EMPLOYED
    if worked == 0:
        return NOTHING_WORKED
    return TOO_FEW_ANSWERS if effect is None else effect * 100 / 10


def _overall(pattern: Pattern, span: Span) -> float | str:
    """Missed share plus, of the rest, the impaired share; all of it when hours were missed and none worked."""
    employed, missed, worked, effect = pattern
    fault = _hours_fault(employed, missed, worked)
    if fault:
        return fault
    assert missed is not None and worked is not None
    if worked == 0:
        return 100.0
    if effect is None:
        return TOO_FEW_ANSWERS
    return (1000 * missed + 100 * worked * effect) / (10 * (missed + worked))


def _hours_fault(employed: int | None, missed: int | None, worked: int | None) -> str | None:
    if employed == 0:
        return NOT_EMPLOYED
    if missed is None or worked is None:
        return TOO_FEW_ANSWERS
    return NO_HOURS if missed + worked == 0 else None


def _by_item(span: Span) -> tuple[Number, Number]:
    return span.lowest, span.highest


def _by_total(span: Span) -> tuple[Number, Number]:
    return span.least, span.most


def _of_grid(grid: Any) -> list[Number]:
    return [value for part in grid for value in _of_grid(part)] if isinstance(grid, tuple) else [grid]


METHODS: dict[tuple[str, int], Method] = {
    ("mean_to_0_100", 1): Method(
        "sum",
        _mean_to_0_100,
        lambda span: (0, 100),
        {
            "en": "Mean of the answered items, stretched to 0-100.",
            "zh-CN": "已回答条目的均值，换算为0至100分。",
        },
        "(Σx - lowest·n) · 100 / ((highest - lowest) · n)",
        same_codes=True,
    ),
    ("prorated_sum", 1): Method(
        "sum",
        _prorated_sum,
        lambda span: (span.lowest * span.expected, span.highest * span.expected),
        {
            "en": "Sum of the answered items, as if all had been answered.",
            "zh-CN": "已回答条目之和，按全部条目折算。",
        },
        "Σx · N / n",
        same_codes=True,
    ),
    ("mean", 1): Method(
        "sum",
        _mean,
        _by_item,
        {"en": "Mean of the answered items.", "zh-CN": "已回答条目的均值。"},
        "Σx / n",
        same_codes=True,
    ),
    ("item_value", 1): Method(
        "sum", _mean, _by_item, {"en": "The answer itself.", "zh-CN": "即该条目的答案。"}, "x", items=1
    ),
    ("sum", 1): Method(
        "sum", _sum, _by_total, {"en": "Sum of all items.", "zh-CN": "全部条目之和。"}, "Σx", needs_all=True
    ),
    ("table", 1): Method(
        "sum",
        _table,
        lambda span: (min(span.table), max(span.table)),
        {
            "en": "Sum of all items, looked up in the owner's table.",
            "zh-CN": "全部条目之和，按权利人的换算表查得。",
        },
        "table[Σx]",
        needs_all=True,
        takes="table",
    ),
    ("band", 1): Method(
        "sum",
        _band,
        lambda span: (0, len(span.cuts)),
        {
            "en": "Band of the sum of all items: how many cut points it reaches.",
            "zh-CN": "按全部条目之和分级：达到的分界点个数。",
        },
        "#{cut : cut ≤ Σx}",
        needs_all=True,
        takes="cuts",
    ),
    ("one_minus_thousandths", 1): Method(
        "sum",
        _one_minus_thousandths,
        lambda span: ((1000 - span.most) / 1000, (1000 - span.least) / 1000),
        {
            "en": "1 minus the decrements of all items (in thousandths).",
            "zh-CN": "1减去各条目的减量（以千分之一计）。",
        },
        "1 - Σd",
        needs_all=True,
    ),
    ("count", 1): Method(
        "sum",
        _count,
        lambda span: (1, span.expected),
        {"en": "How many were answered.", "zh-CN": "已回答的个数。"},
        "n",
    ),
    ("highest", 1): Method(
        "highest",
        _highest,
        _by_item,
        {"en": "The highest of the answered items.", "zh-CN": "已回答条目中的最高值。"},
        "max x",
        same_codes=True,
    ),
    ("digits", 1): Method(
        "pattern",
        _digits,
        lambda span: (int(str(span.lowest) * span.expected), int("9" * span.expected)),
        {
            "en": "The answers in order as digits, 9 where one is missing.",
            "zh-CN": "各条目答案依次作为数字，缺失记为9。",
        },
        "x₁x₂…xₙ",
        same_codes=True,
    ),
    ("grade", 1): Method(
        "pattern",
        _grade,
        lambda span: (min(_of_grid(span.grid)), max(_of_grid(span.grid))),
        {
            "en": "Grade by table from the attributes in order; 0 when the first is 0; none when one is missing.",
            "zh-CN": "按属性依次查表得出等级；首个属性为0则为0；缺少任一属性则无等级。",
        },
        "grid[x₁]…[xₙ]",
        takes="grid",
    ),
    ("wpai_absenteeism", 1): Method(
        "pattern",
        _absenteeism,
        lambda span: (0, 100),
        {
            "en": "Hours missed, of hours missed and worked, in per cent.",
            "zh-CN": "缺勤小时数占缺勤与工作小时数之和的百分比。",
        },
        "100 · missed / (missed + worked)",
        items=3,
    ),
    ("wpai_presenteeism", 1): Method(
        "pattern",
        _presenteeism,
        lambda span: (0, 100),
        {
            "en": "Effect while working, of 10, in per cent.",
            "zh-CN": "工作时受影响程度（0至10），以百分比表示。",
        },
        "100 · effect / 10",
        items=3,
    ),
    ("wpai_overall", 1): Method(
        "pattern",
        _overall,
        lambda span: (0, 100),
        {
            "en": "Share of hours missed, plus the effect on the hours worked; 100 if hours were missed, none worked.",
            "zh-CN": "缺勤比例加上其余工作时间受影响的比例；有缺勤而无工作时间则为100。",
        },
        "100 · (a + (1 - a) · effect / 10), a = missed / (missed + worked)",
        items=4,
    ),
}
