"""Reads a part of a definition if it has the right shape, else nothing, so that one fault hides no other. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from epro.questionnaires.conditions import items_of


class Fault(NamedTuple):
    """`pointer` is a JSON pointer into the definition, `code` a stable word, `detail` says the mend."""

    pointer: str
    code: str
    detail: str


def entries(data: dict[str, Any], part: str) -> Iterator[tuple[int, dict[str, Any]]]:
    return numbered(data.get(part))


def numbered(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    found = value if isinstance(value, list) else []
    return ((number, entry) for number, entry in enumerate(found) if isinstance(entry, dict))


def list_in(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []


def dict_in(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def as_whole(value: Any) -> int:
    return value if type(value) is int else 0


def items_of_scale(data: dict[str, Any], scale: dict[str, Any]) -> list[dict[str, Any]]:
    by_id = {as_text(item.get("id")): item for _, item in entries(data, "items")}
    return [by_id[as_text(name)] for name in list_in(scale, "items") if as_text(name) in by_id]


def offered(data: dict[str, Any], item: dict[str, Any]) -> list[int]:
    """The codes an item offers; empty where they cannot be read."""
    choices = dict_in(data, "choice_sets").get(as_text(item.get("choices")))
    if isinstance(choices, dict):
        low, high = (as_whole(dict_in(choices, end).get("code")) for end in ("lowest", "highest"))
        return list(range(low, high + 1)) if 0 <= low <= high <= 250 else []
    return [choice["code"] for _, choice in numbered(choices) if type(choice.get("code")) is int]


def scored_codes(data: dict[str, Any], scale: dict[str, Any], item: dict[str, Any]) -> list[int]:
    """An item's scored codes on a scale; empty where they cannot be told."""
    codes = offered(data, item)
    name = as_text(scale.get("recode")) or as_text(item.get("recode"))
    if not name or not codes:
        return codes
    values = [dict_in(dict_in(data, "recodes"), name).get(str(code)) for code in codes]
    return [value for value in values if type(value) is int] if None not in values else []


def asked_about(condition: Any) -> set[str]:
    """Items of a condition that has the right shape; of another, none (its shape is a fault already)."""
    if not isinstance(condition, dict):
        return set()
    try:
        return {name for name in items_of(condition) if isinstance(name, str)}
    except (TypeError, KeyError, AttributeError):
        return set()


def texts_in(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    keys = ("title", "not_applicable_label", "refused_label")
    found: list[tuple[str, Any]] = [(f"/{key}", data.get(key)) for key in keys]
    found.append(("/recall/label", dict_in(data, "recall").get("label")))
    for part in ("items", "scales", "checks"):
        for number, entry in entries(data, part):
            found += [(f"/{part}/{number}/{key}", entry.get(key)) for key in ("label", "text", "message")]
    for number, scale in entries(data, "scales"):
        for fact, entry in entries(scale, "interpretation"):
            found.append((f"/scales/{number}/interpretation/{fact}/text", entry.get("text")))
    for name, choices in dict_in(data, "choice_sets").items():
        at = f"/choice_sets/{name}"
        if isinstance(choices, dict):
            found += [
                (f"{at}/{end}/label", dict_in(choices, end).get("label")) for end in ("lowest", "highest")
            ]
        found += [(f"{at}/{number}/label", choice.get("label")) for number, choice in numbered(choices)]
    return ((pointer, texts) for pointer, texts in found if isinstance(texts, dict))
