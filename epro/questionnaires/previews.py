"""What an instrument looks like on a phone, as one page of its own, for the review by the licence holder. Pure.

Every screen in its order, nothing selected; what happens between screens is told in words, in English.
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
COMPARED = {
    "equal": "is",
    "not_equal": "is not",
    "above": "is above",
    "at_least": "is at least",
    "below": "is below",
    "at_most": "is at most",
}


def preview(instrument: Instrument, language: str, pack: Pack | None, standing: str) -> str:
    """The page. `standing`: what is told of the wording, such as "imported, not approved". Raises UnknownLanguage."""
    shown = localised(instrument, language, pack)
    items = {item["id"]: item for item in shown["items"]}
    screens = [
        {
            "layout": screen["layout"],
            "items": [items[name] | {"notes": list(_notes(items[name], items))} for name in screen["items"]],
        }
        for screen in shown["screens"]
    ]
    checks = [{**check, "words": in_words(check["fails_if"], items)} for check in shown["checks"]]
    return _template().render(
        shown=shown, screens=screens, checks=checks, standing=standing, most_buttons=MOST_BUTTONS, pack=pack
    )


def in_words(condition: Mapping[str, Any], items: Mapping[str, Any]) -> str:
    """A condition as a clause: "item 2 is at least 3 (often)"."""
    for word, joint in (("all", " and "), ("any", " or ")):
        if word in condition:
            parts = [in_words(part, items) for part in condition[word]]
            return parts[0] if len(parts) == 1 else f"({joint.join(parts)})"
    left = f"item {items[condition['item']]['number']}"
    if condition["is"] == "answered":
        return f"{left} is answered"
    if "other_item" in condition:
        return f"{left} {COMPARED[condition['is']]} item {items[condition['other_item']]['number']}"
    code = condition["code"]
    offered = {choice["code"]: f" ({choice['label']})" for choice in items[condition["item"]]["choices"]}
    return f"{left} {COMPARED[condition['is']]} {code}{offered.get(code, '')}"


def _notes(item: Mapping[str, Any], items: Mapping[str, Any]) -> Iterator[str]:
    if item["asked_if"]:
        yield f"Asked only if {in_words(item['asked_if'], items)}."
    if item["required"] == "hard":
        yield "Cannot be skipped."
    if item["required"] == "soft":
        yield "Skipping it asks once more."


@cache
def _template() -> Template:
    source = files("epro.questionnaires").joinpath("preview.html").read_text("utf-8")
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(source)
