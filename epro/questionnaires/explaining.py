"""How a score came about, for a person to read: formula, each item's raw and used value, rule, versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from epro.questionnaires.conditions import NOT_ASKED
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.questionnaires.kinds import kind_of, settled
from epro.questionnaires.methods import METHODS, REASONS
from epro.questionnaires.scoring import Score, plan_of, score

RULES = {
    "at_least_half": {
        "en": "At least half of the items must be answered: {least} of {expected}.",
        "zh-CN": "至少须回答一半条目：{expected}项中的{least}项。",
    },
    "more_than_half": {
        "en": "More than half of the items must be answered: {least} of {expected}.",
        "zh-CN": "须回答超过一半的条目：{expected}项中的{least}项。",
    },
    "all": {
        "en": "All {expected} items must be answered.",
        "zh-CN": "{expected}项条目须全部回答。",
    },
    "at_least": {
        "en": "At least {least} of {expected} items must be answered.",
        "zh-CN": "{expected}项条目中至少须回答{least}项。",
    },
    "by_method": {
        "en": "The method itself says which of the {expected} items it needs.",
        "zh-CN": "由计分方法本身决定所需条目（共{expected}项）。",
    },
}
DIRECTIONS = {
    "higher_is_better": {"en": "Higher is better.", "zh-CN": "分数越高越好。"},
    "higher_is_worse": {"en": "Higher is worse.", "zh-CN": "分数越高越差。"},
    "none": {"en": "No direction: not a quantity.", "zh-CN": "无方向：不是数量。"},
}
KINDS = {
    "skipped": {"en": "skipped", "zh-CN": "跳过未答"},
    "not_applicable": {"en": "not applicable", "zh-CN": "不适用"},
    "refused": {"en": "refused", "zh-CN": "不愿回答"},
    "not_asked": {"en": "not asked", "zh-CN": "按规则未询问"},
}
LINES = {
    "none": {"en": "none: {why}", "zh-CN": "无得分：{why}"},
    "answered": {"en": "Answered: {number}.", "zh-CN": "已回答：{number}项。"},
    "range": {"en": "Range {low} to {high}.", "zh-CN": "范围：{low}至{high}。"},
    "counts": {"en": "counts {used}", "zh-CN": "计为{used}"},
    "unused": {"en": "not used", "zh-CN": "不计入"},
    "digest": {"en": "digest", "zh-CN": "摘要值"},
    "colon": {"en": ": ", "zh-CN": "："},
    "comma": {"en": ", ", "zh-CN": "，"},
}
"""What an explanation that is printed says besides."""
FACTS = {
    "band": {"en": "band", "zh-CN": "分级"},
    "cut_off": {"en": "cut off", "zh-CN": "分界值"},
    "mid": {"en": "mid", "zh-CN": "最小重要差异"},
    "norm": {"en": "norm", "zh-CN": "常模"},
    "note": {"en": "note", "zh-CN": "说明"},
    "responder": {"en": "responder", "zh-CN": "应答者"},
    "from": {"en": "from", "zh-CN": "自"},
    "to": {"en": "to", "zh-CN": "至"},
}
SYMBOLS = {
    "lowest": {"zh-CN": "最低码"},
    "highest": {"zh-CN": "最高码"},
    "table": {"zh-CN": "换算表"},
    "cut": {"zh-CN": "分界点"},
    "grid": {"zh-CN": "等级表"},
    "missed": {"zh-CN": "缺勤小时"},
    "worked": {"zh-CN": "工作小时"},
    "effect": {"zh-CN": "影响程度"},
}
"""Words that stand in formulas, where they are others than ours."""
OURS = "en"
"""The language of our own words where they do not exist in the one asked for."""


def explain(
    instrument: Instrument, answers: Mapping[str, Any], language: str | None = None
) -> list[dict[str, Any]]:
    """One explanation a scale, in the order of the definition.

    `language` is one of the definition's, its first unless given. Raises scoring.InvalidAnswers.
    """
    told_in = language or instrument.languages[0]
    found = settled(instrument, answers)
    return [
        _explained(instrument, instrument.scale(one.scale), one, found, told_in)
        for one in score(instrument, answers)
    ]


def shown(value: float | None, decimals: int) -> str | None:
    """A score as it is displayed, rounded half to even in decimal arithmetic; None where there is none."""
    if value is None:
        return None
    step = Decimal(1).scaleb(-decimals)
    return str(Decimal(repr(value)).quantize(step, rounding=ROUND_HALF_EVEN))


def in_words(texts: Mapping[str, str], language: str) -> str:
    """One of our own texts in this language, or in ours."""
    return texts.get(language) or texts[OURS]


def words_of(language: str) -> dict[str, str]:
    """What a printed explanation says besides, in this language."""
    return {name: in_words(texts, language) for name, texts in LINES.items()}


def kind_words(kind: str, language: str) -> str:
    """A kind of answer that is none, in this language."""
    return in_words(KINDS[kind], language)


def formula(scale: Scale, language: str) -> dict[str, Any]:
    """The scale's method in words and in symbols, and which items count how."""
    method = METHODS[scale.method, scale.method_version]
    return {
        "method": scale.method,
        "method_version": scale.method_version,
        "words": in_words(method.words, language),
        "symbols": re.sub("[a-z]{3,}", lambda found: _symbol(found[0], language), method.symbols),
    }


def rule(scale: Scale, language: str) -> dict[str, Any]:
    """The missing rule, by name and in words."""
    expected = len(scale.items)
    words = in_words(RULES[scale.missing.kind], language)
    least = scale.missing.minimum(expected)
    return {"name": str(scale.missing), "words": words.format(least=least, expected=expected)}


def interpretation(scale: Scale, language: str) -> list[dict[str, Any]]:
    """What is known of how to read the score, each fact with its source and how sure it is."""
    return [{**fact, "text": in_words(fact["text"], language)} for fact in scale.interpretation]


def fact_name(fact: Mapping[str, Any], language: str = OURS) -> str:
    """What kind of fact it is; of a band also where it lies, which its text need not say."""
    name = in_words(FACTS[fact["kind"]], language)
    if fact["kind"] != "band":
        return name
    if "value" in fact:
        return f"{name} {fact['value']}"
    ends = [f"{in_words(FACTS[end], language)} {fact[end]}" for end in ("from", "to") if end in fact]
    return " ".join([name, *ends])


def _symbol(word: str, language: str) -> str:
    return SYMBOLS.get(word, {}).get(language, word)


def _explained(
    instrument: Instrument, scale: Scale, one: Score, found: Mapping[str, Any], language: str
) -> dict[str, Any]:
    scored = next(plan.scored for plan in plan_of(instrument) if plan.scale.name == scale.name)
    return {
        "scale": scale.name,
        "label": scale.label[language],
        "value": one.value,
        "shown": shown(one.value, scale.decimals),
        "reason": one.reason,
        "reason_words": in_words(REASONS[one.reason], language) if one.reason else None,
        "range": list(scale.range),
        "direction": {"name": scale.direction, "words": in_words(DIRECTIONS[scale.direction], language)},
        "formula": formula(scale, language),
        "rule": rule(scale, language),
        "answered": one.answered,
        "expected": one.expected,
        "items": [_item(instrument.item(name), found[name], scored[name], language) for name in scale.items],
        "missing": list(one.items_missing),
        "blinded": one.blinded,
        "interpretation": interpretation(scale, language),
        "instrument": {
            "code": instrument.code,
            "version": instrument.version,
            "digest": instrument.digest,
        },
    }


def _item(item: Item, answer: Any, scored: Mapping[Any, int], language: str) -> dict[str, Any]:
    """Raw is what she answered; used is what counted, which branching can give an item that was not asked."""
    return {
        "id": item.id,
        "number": item.number,
        "label": item.label[language],
        "kind": kind_of(answer),
        "raw": None if answer == NOT_ASKED else answer,
        "used": scored.get(answer),
        "reversed": item.reversed,
    }
