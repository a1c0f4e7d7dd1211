"""What a definition says without effect: conditions that never hold, facts out of range, labels alike. Pure."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from epro.questionnaires.conditions import COMPARISONS, NOT_ASKED, holds
from epro.questionnaires.parts import (
    Fault,
    as_text,
    asked_about,
    dict_in,
    entries,
    items_of_scale,
    list_in,
    numbered,
    offered,
    texts_in,
)

MOST_TRIED = (
    1 << 12
)  # ways to answer the items of a condition that are tried out; with more it is taken to make sense
UNSEEN = ("Zs", "Zl", "Zp", "Cc", "Cf")  # blanks, line ends, and characters that direct others

Items = Mapping[str, dict[str, Any]]


def senseless(data: dict[str, Any]) -> list[Fault]:
    """All that a definition says without effect. One that is published is read in spite of it."""
    rules = (_conditions, _hidden, _facts, _blanks, _numbers, _labels, _days)
    return [fault for rule in rules for fault in rule(data)]


def plain(text: str) -> str:
    """As an eye reads it: without case, width and runs of blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


# Conditions


def _conditions(data: dict[str, Any]) -> Iterator[Fault]:
    """A comparison that no answer can make true, or that every answer does, and a whole that cannot hold."""
    items = {as_text(item.get("id")): item for _, item in entries(data, "items")}
    told = [(f"/items/{n}/asked_if", item.get("asked_if")) for n, item in entries(data, "items")]
    told += [(f"/checks/{n}/fails_if", check.get("fails_if")) for n, check in entries(data, "checks")]
    for at, condition in told:
        if not asked_about(condition):
            continue
        faults = [
            fault for place, leaf in _leaves(at, condition) for fault in _leaf(place, leaf, data, items)
        ]
        yield from faults or _whole(at, condition, data, items)


def _leaves(at: str, condition: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(condition, dict):
        return
    for word in ("all", "any"):
        for number, part in numbered(condition.get(word)):
            yield from _leaves(f"{at}/{word}/{number}", part)
    if "item" in condition:
        yield at, condition


def _leaf(at: str, leaf: dict[str, Any], data: dict[str, Any], items: Items) -> Iterator[Fault]:
    compare = COMPARISONS.get(as_text(leaf.get("is")))
    asked = items.get(as_text(leaf.get("item")))
    pairs = _pairs(leaf, data, items)
    if compare is None or asked is None or not pairs:
        return
    found = {bool(compare(left, right)) for left, right in pairs}
    codes = _spoken(offered(data, asked))
    if found == {False}:
        detail = f"No answer makes this true: {leaf['item']} offers {codes}. Compare with what it offers."
        yield Fault(at, "never_true", detail)
    elif found == {True} and "asked_if" not in asked:
        detail = f"Every answer makes this true: {leaf['item']} offers {codes}. Compare with less, or say answered."
        yield Fault(at, "always_true", detail)


def _pairs(leaf: dict[str, Any], data: dict[str, Any], items: Items) -> list[tuple[int, int]]:
    """What the two sides of a comparison can be; empty where that cannot be told."""
    left = offered(data, items.get(as_text(leaf.get("item")), {}))
    if "other_item" not in leaf:
        return [(code, leaf["code"]) for code in left] if type(leaf.get("code")) is int else []
    if leaf["other_item"] == leaf.get("item"):
        return [(code, code) for code in left]
    return list(product(left, offered(data, items.get(as_text(leaf["other_item"]), {}))))


def _spoken(codes: list[int]) -> str:
    whole = codes == list(range(codes[0], codes[-1] + 1)) and len(codes) > 2
    return f"{codes[0]} to {codes[-1]}" if whole else ", ".join(map(str, codes))


def _whole(at: str, condition: Any, data: dict[str, Any], items: Items) -> Iterator[Fault]:
    """Tried out on every pattern of answers: parts that are sound alone may shut each other out."""
    names = sorted(asked_about(condition))
    answers = [_answers(items.get(name, {}), data) for name in names]
    if len(names) < 2 and not {"all", "any"} & set(condition) or prod(map(len, answers)) > MOST_TRIED:
        return
    try:
        held = any(holds(condition, dict(zip(names, one, strict=True))) for one in product(*answers))
    except (TypeError, KeyError, AttributeError, ValueError):
        return  # of another shape, which is a fault of its own
    if not held:
        detail = "Its parts shut each other out, so that it never holds. Take one out, or join them by any."
        yield Fault(at, "never_true", detail)


def _answers(item: dict[str, Any], data: dict[str, Any]) -> list[Any]:
    return [*offered(data, item), None, *[NOT_ASKED for _ in range("asked_if" in item)]]


# Scoring


def _hidden(data: dict[str, Any]) -> Iterator[Fault]:
    """A scale's recode takes the place of what its items say: of a reversal, and of a recode that nothing else uses."""
    used = {
        as_text(item.get("id"))
        for _, scale in entries(data, "scales")
        if "recode" not in scale
        for item in items_of_scale(data, scale)
    }
    for number, scale in entries(data, "scales"):
        if "recode" not in scale:
            continue
        for item in items_of_scale(data, scale):
            name = as_text(item.get("id"))
            if item.get("reversed") is True:
                yield _ignored(number, f"{name} is reversed")
            elif "recode" in item and name not in used:
                yield _ignored(number, f"the recode of {name} is used")


def _ignored(number: int, what: str) -> Fault:
    mend = "Take it out of the item, and let each scale's recode say what its codes count."
    return Fault(f"/scales/{number}/recode", "recode_hides_item", f"Under it, {what} nowhere. {mend}")


def _facts(data: dict[str, Any]) -> Iterator[Fault]:
    """How to read a score: bands that run upwards, values that the score can have, differences that fit in."""
    for number, scale in entries(data, "scales"):
        limits = list_in(scale, "range")
        if len(limits) != 2 or not all(_is_number(limit) for limit in limits):
            continue
        for fact, told in entries(scale, "interpretation"):
            yield from _fact(f"/scales/{number}/interpretation/{fact}", told, limits[0], limits[1])


def _fact(at: str, told: dict[str, Any], low: float, high: float) -> Iterator[Fault]:
    first, last = told.get("from", low), told.get("to", high)
    if "from" in told and "to" in told and _is_number(first) and _is_number(last) and first > last:
        yield Fault(at, "band_reversed", f"It runs from {first} to {last}: put the lower number first.")
    for key in [key for key in ("value", "from", "to") if _is_number(told.get(key))]:
        if told.get("kind") in ("mid", "responder") and abs(told[key]) > high - low:
            detail = (
                f"A difference of {told[key]} is more than the range allows: at most {_short(high - low)}."
            )
            yield Fault(f"{at}/{key}", "fact_out_of_range", detail)
        if told.get("kind") in ("cut_off", "band", "norm") and not low <= told[key] <= high:
            detail = f"The score cannot be {told[key]}: put a number from {_short(low)} to {_short(high)}."
            yield Fault(f"{at}/{key}", "fact_out_of_range", detail)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _short(value: float) -> str:
    return f"{value:g}"


# What is read


def _blanks(data: dict[str, Any]) -> Iterator[Fault]:
    for pointer, texts in texts_in(data):
        for language, said in texts.items():
            if isinstance(said, str) and said and all(unicodedata.category(c) in UNSEEN for c in said):
                detail = "There are only blanks: write what is to be read."
                yield Fault(f"{pointer}/{language}", "blank_text", detail)


def _numbers(data: dict[str, Any]) -> Iterator[Fault]:
    """The number as printed on the form is how people speak of an item."""
    seen: dict[str, int] = {}
    for place, item in entries(data, "items"):
        printed = item.get("number")
        if not isinstance(printed, int | str):
            continue
        first = seen.setdefault(plain(str(printed)), place)
        if first != place:
            detail = (
                f"/items/{first} has the number {printed}, too: give each the one that is printed beside it."
            )
            yield Fault(f"/items/{place}/number", "duplicate_number", detail)


def _labels(data: dict[str, Any]) -> Iterator[Fault]:
    """Two answers to one item that read alike cannot be told apart."""
    for name, choices in dict_in(data, "choice_sets").items():
        at = f"/choice_sets/{name}"
        if isinstance(choices, dict):
            options = [(f"{at}/{end}/label", dict_in(choices, end)) for end in ("lowest", "highest")]
        else:
            options = [(f"{at}/{number}/label", choice) for number, choice in numbered(choices)]
        told = [(place, dict_in(choice, "label")) for place, choice in options]
        yield from _alike(told + _beside(name, data))


def _beside(name: str, data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What stands below the options of a choice set."""
    items = [item for _, item in entries(data, "items") if item.get("choices") == name]
    flags = (("not_applicable", "not_applicable_label"), ("refusable", "refused_label"))
    offered_too = [label for flag, label in flags if any(item.get(flag) is True for item in items)]
    return [(f"/{label}", dict_in(data, label)) for label in offered_too]


def _alike(told: list[tuple[str, dict[str, Any]]]) -> Iterator[Fault]:
    for language in sorted({tag for _, texts in told for tag in texts}):
        said = [(place, plain(as_text(texts.get(language)))) for place, texts in told]
        seen = Counter(text for _, text in said if text)
        first = {text: place for place, text in reversed(said)}
        for place, text in said:
            if seen[text] > 1 and place != first[text]:
                detail = f"In {language} it reads like {first[text]}: give each option words of its own."
                yield Fault(place, "same_labels", detail)


# Where its items come from


def _days(data: dict[str, Any]) -> Iterator[Fault]:
    """Of an instrument that is derived from a diary each item is a day."""
    days, items = dict_in(data, "derived_from").get("days"), list_in(data, "items")
    if type(days) is int and days != len(items):
        detail = f"It has {len(items)} items, one for each day: say {len(items)} days, or give {days} items."
        yield Fault("/derived_from/days", "other_number_of_days", detail)


def beside(
    data: dict[str, Any], codes_of: Callable[[str], Mapping[str, Sequence[int]] | None]
) -> Iterator[Fault]:
    """What shows only beside other instruments: `codes_of` gives the items of one with their codes, or None."""
    told = dict_in(data, "derived_from")
    code, name = as_text(told.get("instrument")), as_text(told.get("item"))
    if not code:
        return
    known = codes_of(code)
    if known is None:
        detail = f"No instrument {code[:40]} is bundled: name the diary whose days these are."
        yield Fault("/derived_from/instrument", "unknown_instrument", detail)
    elif name not in known:
        detail = f"{code} has no such item: name one of {', '.join(known)}."
        yield Fault("/derived_from/item", "unknown_item", detail)
    else:
        for number, item in entries(data, "items"):
            if (found := offered(data, item)) and set(found) != set(known[name]):
                detail = f"{name} of {code} offers {_spoken(sorted(known[name]))}: offer the same here."
                yield Fault(f"/items/{number}/choices", "other_codes", detail)
