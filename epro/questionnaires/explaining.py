"""How a score came about, for a person to read: formula, each item's raw and used value, rule, versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from epro.questionnaires.conditions import NOT_ASKED
from epro.questionnaires.explaining_numbers import NEEDS, WORDS, numbers
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
    "semicolon": {"en": "; ", "zh-CN": "；"},
    "V": {"en": "read in the source", "zh-CN": "已核对原始来源"},
    "M": {"en": "from the literature, to be checked", "zh-CN": "引自文献，待核实"},
    "?": {"en": "open", "zh-CN": "未定"},
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
    "reached": {"zh-CN": "已达分界点"},
    "cell": {"zh-CN": "位置"},
    "digits": {"zh-CN": "各位数字"},
    "employed": {"zh-CN": "在职"},
    "grid": {"zh-CN": "等级表"},
    "missed": {"zh-CN": "缺勤小时"},
    "worked": {"zh-CN": "工作小时"},
    "effect": {"zh-CN": "影响程度"},
}
"""Words that stand in formulas, where they are others than ours."""
POSITIONS = {
    "in": {"en": "the score lies in it", "zh-CN": "该得分在此范围内"},
    "not_in": {"en": "the score does not lie in it", "zh-CN": "该得分不在此范围内"},
    "below": {"en": "the score lies below {cut}", "zh-CN": "该得分低于{cut}"},
    "at": {"en": "the score is {cut}", "zh-CN": "该得分等于{cut}"},
    "above": {"en": "the score lies above {cut}", "zh-CN": "该得分高于{cut}"},
}
"""Where a score lies: in a band or not, and on which side of a cut-off."""
SOURCES = {
    "our own definition": {"zh-CN": "我方自拟定义"},
    "our policy": {"zh-CN": "我方规定"},
    "literature": {"zh-CN": "文献"},
    "literature, to be checked": {"zh-CN": "文献，待核实"},
    "literature on EQ-5D": {"zh-CN": "EQ-5D相关文献"},
    "literature on WPAI in other diseases": {"zh-CN": "WPAI用于其他疾病的文献"},
    "general psychometrics": {"zh-CN": "一般心理测量学"},
    "the usual names of the bands": {"zh-CN": "各分级的通用名称"},
    "recomputed, see the table's notes": {"zh-CN": "重新计算，见换算表说明"},
    "public copies of both tables": {"zh-CN": "两份换算表的公开副本"},
    "published copies and recomputation": {"zh-CN": "公开副本与重新计算"},
    "belimumab trials": {"zh-CN": "贝利尤单抗临床试验"},
    "public program of a nephrology trial": {"zh-CN": "某肾病试验的公开程序"},
    "LupusQoL owners' scoring page": {"zh-CN": "LupusQoL权利人的计分页面"},
}
"""Sources that are words of ours; what names a paper, a page or a holder stays as it is."""
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
    by_method = scale.missing.kind == "by_method" and scale.method in NEEDS
    words = in_words(NEEDS[scale.method] if by_method else RULES[scale.missing.kind], language)
    least = scale.missing.minimum(expected)
    return {"name": str(scale.missing), "words": words.format(least=least, expected=expected)}


def interpretation(scale: Scale, language: str) -> list[dict[str, Any]]:
    """What is known of how to read the score, each fact with its source and how sure it is."""
    return [
        {**fact, "text": in_words(fact["text"], language), "source_words": _source(fact["source"], language)}
        for fact in scale.interpretation
    ]


def position(fact: Mapping[str, Any], value: float | None) -> str | None:
    """Where a score lies by this fact, a key of POSITIONS; None where it says nothing of that."""
    if value is None:
        return None
    if fact["kind"] == "cut_off" and "value" in fact:
        cut = fact["value"]
        return "at" if value == cut else "above" if value > cut else "below"
    if fact["kind"] == "band" and {"value", "from", "to"} & fact.keys():
        low, high = (fact.get(end, fact.get("value", value)) for end in ("from", "to"))
        return "in" if low <= value <= high else "not_in"
    return None


def _source(source: str, language: str) -> str:
    return SOURCES.get(source, {}).get(language, source)


def _read(fact: Mapping[str, Any], value: float | None, language: str) -> dict[str, Any]:
    where = position(fact, value)
    words = in_words(POSITIONS[where], language).format(cut=fact.get("value")) if where else None
    return {**fact, "position": where, "position_words": words}


def _numbers(
    scale: Scale, codes: list[int | None], value: float | None, language: str
) -> list[dict[str, Any]]:
    """Each number behind the formula: its name, its symbol in this language, its value, and what it is."""
    return [
        {
            "name": name,
            "symbol": _symbol(name, language),
            "value": told,
            "words": in_words(WORDS[name], language),
        }
        for name, told in numbers(scale, codes, value)
    ]


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
    codes = [scored[name].get(found[name]) for name in scale.items]
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
        "numbers": _numbers(scale, codes, one.value, language),
        "rule": rule(scale, language),
        "answered": one.answered,
        "expected": one.expected,
        "items": [_item(instrument.item(name), found[name], scored[name], language) for name in scale.items],
        "missing": list(one.items_missing),
        "blinded": one.blinded,
        "interpretation": [_read(fact, one.value, language) for fact in interpretation(scale, language)],
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
