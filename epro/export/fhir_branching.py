"""Our conditions in FHIR: as `enableWhen` where that can say them, as FHIRPath wherever. Pure.

FHIRPath's `and` and `or` know true, false and nothing, as our conditions do, so that a condition is put word by
word. An item is left out only where its condition is false, not where nothing is known.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from epro.export.fhir_names import Json, choices
from epro.questionnaires.conditions import Condition
from epro.questionnaires.instrument import Instrument, Item

OPERATORS = {
    "equal": "=",
    "not_equal": "!=",
    "above": ">",
    "at_least": ">=",
    "below": "<",
    "at_most": "<=",
}
ORDERED = {
    "above": int.__gt__,
    "at_least": int.__ge__,
    "below": int.__lt__,
    "at_most": int.__le__,
}


def code_of(item: Item) -> str:
    """The code that was answered, as a number; nothing where there is none."""
    value = f"%resource.item.where(linkId = '{item.id}').answer.value"
    return value if item.numeric else f"{value}.code.toInteger()"


def counted(instrument: Instrument, item: Item) -> str:
    """The code that counts for an item: what was answered, or what it counts as where it was not asked."""
    if item.asked_if is None or item.not_asked_as is None:
        return code_of(item)
    left_out = f"({path_of(instrument, item.asked_if)}) = false"
    return f"iif({code_of(item)}.exists(), {code_of(item)}, iif({left_out}, {item.not_asked_as}, {{}}))"


def path_of(instrument: Instrument, condition: Condition) -> str:
    """A condition as FHIRPath: true, false, or nothing."""
    for name, word in (("all", "and"), ("any", "or")):
        if name in condition:
            return f" {word} ".join(f"({path_of(instrument, part)})" for part in condition[name])
    item = instrument.item(condition["item"])
    if condition["is"] == "answered":
        return f"{code_of(item)}.exists()"
    operator = OPERATORS[condition["is"]]
    if "other_item" in condition:
        other = instrument.item(condition["other_item"])
        compared = f"{counted(instrument, item)} {operator} {counted(instrument, other)}"
        return _unless_left_out(instrument, (item, other), compared)
    return _unless_left_out(
        instrument, (item,), f"{counted(instrument, item)} {operator} {condition['code']}"
    )


def _unless_left_out(instrument: Instrument, items: tuple[Item, ...], compared: str) -> str:
    """What was itself not asked, and counts as nothing, makes every comparison false."""
    for item in items:
        if item.asked_if is not None and item.not_asked_as is None:
            left_out = f"({path_of(instrument, item.asked_if)}) = false"
            compared = f"iif({code_of(item)}.empty() and ({left_out}), false, {compared})"
    return compared


def enabled(instrument: Instrument, item: Item) -> Json:
    """The fields of a question that say when it is asked; none where it always is."""
    if item.asked_if is None:
        return {}
    simple = _simple(instrument, item.asked_if)
    if simple is not None:
        return simple
    expression = f"iif(({path_of(instrument, item.asked_if)}) = false, false, true)"
    return {"expression": expression}


def _simple(instrument: Instrument, condition: Condition) -> Json | None:
    """As `enableWhen`, where one list of comparisons with one word between them says it."""
    for name, behaviour in (("all", "all"), ("any", "any")):
        if name in condition:
            parts = [_rows(instrument, part) for part in condition[name]]
            rows = [row for part in parts for row in (part or [])]
            # A comparison that takes several rows is an `or`: it stands alone or among others of that word.
            fits = all(part and (len(part) == 1 or behaviour == "any") for part in parts)
            return {"enableWhen": rows, "enableBehavior": behaviour} if fits else None
    found = _rows(instrument, condition)
    if not found:
        return None
    return {"enableWhen": found, **({"enableBehavior": "any"} if len(found) > 1 else {})}


def _rows(instrument: Instrument, condition: Condition) -> list[Json] | None:
    if "item" not in condition or "other_item" in condition:
        return None
    item = instrument.item(condition["item"])
    if condition["is"] == "answered":
        return [{"question": item.id, "operator": "exists", "answerBoolean": True}]
    operator, code = OPERATORS[condition["is"]], condition["code"]
    if item.numeric:
        return [{"question": item.id, "operator": operator, "answerInteger": code}]
    if condition["is"] in ORDERED:  # of codings FHIR knows no order: the codes that fit, one by one
        fitting = [known for known in item.codes if ORDERED[condition["is"]](known, code)]
        return [_coded(instrument, item, "=", known) for known in fitting]
    return [_coded(instrument, item, operator, code)] if code in item.codes else None


def _coded(instrument: Instrument, item: Item, operator: str, code: int) -> Json:
    answer: dict[str, Any] = {
        "system": choices(instrument.code, choice_set(instrument, item)),
        "code": str(code),
    }
    return {"question": item.id, "operator": operator, "answerCoding": answer}


def choice_set(instrument: Instrument, item: Item) -> str:
    """The name of the set of choices that an item offers."""
    return _choice_sets(instrument)[item.id]


@lru_cache(maxsize=128)
def _choice_sets(instrument: Instrument) -> dict[str, str]:
    return {one["id"]: one["choices"] for one in instrument.document()["items"]}
