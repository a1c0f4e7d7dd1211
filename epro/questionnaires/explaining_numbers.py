"""The numbers behind a score, method by method, and what a method needs that decides for itself. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from epro.questionnaires.instrument import Scale

Codes = Sequence[int | None]
Number = tuple[str, float | list[int] | None]
"""A name, which is a key of WORDS, and its value; None where it cannot be told."""

WORDS = {
    "Σx": {"en": "sum of what counts", "zh-CN": "计入各值之和"},
    "Σd": {"en": "sum of the decrements", "zh-CN": "各减量之和"},
    "n": {"en": "answered items", "zh-CN": "已回答的条目数"},
    "N": {"en": "items of the scale", "zh-CN": "该量表的条目数"},
    "lowest": {"en": "lowest value of an item", "zh-CN": "单个条目的最低值"},
    "highest": {"en": "highest value of an item", "zh-CN": "单个条目的最高值"},
    "max x": {"en": "highest that counts", "zh-CN": "计入各值中的最高值"},
    "x": {"en": "what counts", "zh-CN": "计入的值"},
    "table": {"en": "found in the table at this sum", "zh-CN": "按该总和在换算表中查得"},
    "cut": {"en": "sums at which the next band begins", "zh-CN": "下一级别开始的总和"},
    "reached": {"en": "cut points that the sum reaches", "zh-CN": "总和已达到的分界点"},
    "cell": {"en": "place in the grid, item by item", "zh-CN": "等级表中的位置（按条目依次）"},
    "grid": {"en": "found in the grid at this place", "zh-CN": "在等级表该位置查得"},
    "digits": {
        "en": "what counts, item by item, 9 where there is none",
        "zh-CN": "按条目依次计入的值，缺失记为9",
    },
    "employed": {"en": "employed (0 is no)", "zh-CN": "是否在职（0为否）"},
    "missed": {"en": "hours missed", "zh-CN": "缺勤小时"},
    "worked": {"en": "hours worked", "zh-CN": "工作小时"},
    "effect": {"en": "effect while working, of 10", "zh-CN": "工作时的影响程度（满分10）"},
    "a": {"en": "share of hours missed", "zh-CN": "缺勤时间所占比例"},
}
NEEDS = {
    "grade": {
        "en": "The first item must be answered; where it is 0 nothing else is needed, otherwise all {expected}.",
        "zh-CN": "须回答首个条目；其为0则无需其他条目，否则{expected}项须全部回答。",
    },
    "digits": {
        "en": "None of the {expected} items is needed: 9 stands where one is missing.",
        "zh-CN": "{expected}项均可缺失：缺失处记为9。",
    },
    "wpai_absenteeism": {
        "en": "Of {expected} items, hours missed and worked are needed. Who is not employed has no score.",
        "zh-CN": "{expected}项中须回答缺勤小时与工作小时；不在职者无得分。",
    },
    "wpai_presenteeism": {
        "en": "Of {expected} items, the effect at work is needed. Not employed, or 0 hours worked: no score.",
        "zh-CN": "{expected}项中须回答工作时的影响程度；不在职或工作0小时者无得分。",
    },
    "wpai_overall": {
        "en": "Of {expected} items, hours missed and worked are needed, and the effect unless 0 hours were worked. "
        "Who is not employed has no score.",
        "zh-CN": "{expected}项中须回答缺勤小时与工作小时；工作小时不为0时还须回答影响程度；不在职者无得分。",
    },
}
"""What each method needs that may be named with the missing rule by_method."""


def numbers(scale: Scale, codes: Codes, value: float | None) -> list[Number]:
    """What the formula was given, and what it looked up. `codes`: each item's used value, None where there is none."""
    used = [code for code in codes if code is not None]
    return OF_METHODS[scale.method](scale, codes, used, value)


def _sum(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    return [("Σx", sum(used))]


def _mean(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    return [("Σx", sum(used)), ("n", len(used))]


def _stretched(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    ends: list[Number] = [("lowest", scale.span.lowest), ("highest", scale.span.highest)]
    return [*_mean(scale, codes, used, value), *ends]


def _prorated(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    return [*_mean(scale, codes, used, value), ("N", len(codes))]


def _table(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    return [("Σx", sum(used)), ("table", value)]


def _band(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    reached = [cut for cut in scale.span.cuts if cut <= sum(used)]
    return [
        ("Σx", sum(used)),
        ("cut", list(scale.span.cuts)),
        ("reached", None if value is None else reached),
    ]


def _grade(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    cell = [0] if codes[0] == 0 else used
    return [("cell", None if value is None else cell), ("grid", value)]


def _digits(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
    return [("digits", [9 if code is None else code for code in codes])]


def _named(*names: str) -> Callable[[Scale, Codes, list[int], float | None], list[Number]]:
    def told(scale: Scale, codes: Codes, used: list[int], value: float | None) -> list[Number]:
        given: Mapping[str, int | None] = dict(zip(names, codes, strict=True))
        missed, worked = given.get("missed"), given.get("worked")
        both = missed is not None and worked is not None and missed + worked > 0
        share: list[Number] = [("a", missed / (missed + worked))] if both else []  # type: ignore[operator]
        return [*given.items(), *share]

    return told


OF_METHODS: dict[str, Callable[[Scale, Codes, list[int], Any], list[Number]]] = {
    "mean_to_0_100": _stretched,
    "prorated_sum": _prorated,
    "mean": _mean,
    "item_value": lambda scale, codes, used, value: [("x", codes[0])],
    "sum": _sum,
    "table": _table,
    "band": _band,
    "one_minus_thousandths": lambda scale, codes, used, value: [("Σd", sum(used) / 1000)],
    "count": lambda scale, codes, used, value: [("n", len(used))],
    "highest": lambda scale, codes, used, value: [("max x", max(used, default=None))],
    "digits": _digits,
    "grade": _grade,
    "wpai_absenteeism": _named("employed", "missed", "worked"),
    "wpai_presenteeism": _named("employed", "worked", "effect"),
    "wpai_overall": _named("employed", "missed", "worked", "effect"),
}
