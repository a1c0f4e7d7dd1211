"""What an instrument looks like on a phone, as one page of its own, for the review by the licence holder. Pure.

Every screen in its order, nothing selected; what happens between screens is told in words, in the language of the
page where we have them in it, and else in English. A page of labels of our own says at its top that it is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from epro.questionnaires.instrument import Instrument, localised
from epro.questionnaires.packs import Pack

MOST_BUTTONS = 11  # codes of a range that fit as buttons; more become a line to mark
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "equal": "{left} is {right}",
        "not_equal": "{left} is not {right}",
        "above": "{left} is above {right}",
        "at_least": "{left} is at least {right}",
        "below": "{left} is below {right}",
        "at_most": "{left} is at most {right}",
        "answered": "{left} is answered",
        "item": "item {number}",
        "choice": "{code} ({label})",
        "all": " and ",
        "any": " or ",
        "group": "({inside})",
        "asked_if": "Asked only if {condition}.",
        "hard": "Cannot be skipped.",
        "soft": "Skipping it asks once more.",
        "fails_hard": "Shown if {condition}; she cannot go on.",
        "fails_soft": "Shown if {condition}; she may go on.",
        "range": "One whole number from {low} to {high}: entered, or marked on the line.",
        "placeholder": "Placeholder: short labels of our own, not the licensed text of this instrument."
        " Not for participants.",
        "short": "placeholder",
        "instrument": "Instrument",
        "language": "Language",
        "wording": "Wording",
        "wording_version": "Wording version",
        "rights": "Rights",
        "licence": "Licence",
        "certificate": "Translation certificate",
        "wording_digest": "Wording digest",
        "digest": "Definition digest",
        "colon": ":",
    },
    "zh-CN": {
        "equal": "{left}为{right}",
        "not_equal": "{left}不为{right}",
        "above": "{left}高于{right}",
        "at_least": "{left}不低于{right}",
        "below": "{left}低于{right}",
        "at_most": "{left}不高于{right}",
        "answered": "{left}已回答",
        "item": "条目{number}",
        "choice": "{code}（{label}）",
        "all": "且",
        "any": "或",
        "group": "（{inside}）",
        "asked_if": "仅当{condition}时询问。",
        "hard": "不可跳过。",
        "soft": "跳过时会再询问一次。",
        "fails_hard": "当{condition}时显示；不可继续。",
        "fails_soft": "当{condition}时显示；仍可继续。",
        "range": "{low}至{high}之间的一个整数：直接输入，或在线上标出。",
        "placeholder": "占位文字：本页为我方自拟的简短标签，并非该量表经授权的正式文本，不得用于参与者。",
        "short": "占位文字",
        "instrument": "量表",
        "language": "语言",
        "wording": "文本状态",
        "wording_version": "文本版本",
        "rights": "权利",
        "licence": "授权",
        "certificate": "翻译证书",
        "wording_digest": "文本摘要值",
        "digest": "定义摘要值",
        "colon": "：",
    },
}
"""What a page says besides the wording, in the languages we say it in."""


def spoken(language: str) -> str:
    """The language of what a page in this language says besides the wording."""
    return language if language in WORDS else "en"


def preview(instrument: Instrument, language: str, pack: Pack | None, standing: str) -> str:
    """The page. `standing`: what is told of the wording, such as "imported, not approved". Raises UnknownLanguage."""
    shown, ours = localised(instrument, language, pack), spoken(language)
    items = {item["id"]: item for item in shown["items"]}
    screens = [
        {
            "layout": screen["layout"],
            "items": [
                items[name] | {"notes": list(_notes(items[name], items, ours))} for name in screen["items"]
            ],
        }
        for screen in shown["screens"]
    ]
    checks = [{**check, "note": _fails(check, items, ours)} for check in shown["checks"]]
    marks = [ours, *(other for other in WORDS if other != ours)]
    return _template().render(
        shown=shown,
        screens=screens,
        checks=checks,
        numbered=any(item["asked_if"] for item in shown["items"]) or bool(checks),  # conditions name them
        standing=standing,
        most_buttons=MOST_BUTTONS,
        pack=pack,
        ours=ours,
        words=WORDS[ours],
        marks=[(one, WORDS[one]["placeholder"]) for one in marks],
    )


def in_words(condition: Mapping[str, Any], items: Mapping[str, Any], language: str = "en") -> str:
    """A condition as a clause: "item 2 is at least 3 (often)"."""
    words = WORDS[language]
    for word in ("all", "any"):
        if word in condition:
            parts = [in_words(part, items, language) for part in condition[word]]
            return parts[0] if len(parts) == 1 else words["group"].format(inside=words[word].join(parts))

    def name(item: str) -> str:
        return words["item"].format(number=items[item]["number"])

    right = ""
    if "other_item" in condition:
        right = name(condition["other_item"])
    elif "code" in condition:
        code = condition["code"]
        offered = {one["code"]: one["label"] for one in items[condition["item"]]["choices"]}
        right = words["choice"].format(code=code, label=offered[code]) if code in offered else str(code)
    return words[condition["is"]].format(left=name(condition["item"]), right=right)


def _fails(check: Mapping[str, Any], items: Mapping[str, Any], language: str) -> str:
    condition = in_words(check["fails_if"], items, language)
    return WORDS[language][f"fails_{check['level']}"].format(condition=condition)


def _notes(item: Mapping[str, Any], items: Mapping[str, Any], language: str) -> Iterator[str]:
    words = WORDS[language]
    if item["asked_if"]:
        yield words["asked_if"].format(condition=in_words(item["asked_if"], items, language))
    if item["required"] in ("hard", "soft"):
        yield words[item["required"]]


@cache
def _template() -> Template:
    source = files("epro.questionnaires").joinpath("preview.html").read_text("utf-8")
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(source)
