"""Every fault of an instrument definition at once: its shape (JSON Schema), then what a schema cannot say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from epro.questionnaires.methods import METHODS, Span


class Fault(NamedTuple):
    """`pointer` is a JSON pointer into the definition, `code` a stable word, `detail` says the mend."""

    pointer: str
    code: str
    detail: str


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the definition format."""
    text = files("epro.questionnaires").joinpath("instrument.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def faults_of(data: Any) -> list[Fault]:
    """All faults of a definition as read from JSON; empty when it is good.

    The rules look at whatever part has the right shape, so that one reading of the list mends the file.
    """
    found = list(_shape(data))
    if isinstance(data, dict):
        for rule in (_doubles, _references, _codes, _languages, _not_applicable, _methods, _blinding):
            found += rule(data)
    return found


def _shape(data: Any) -> Iterator[Fault]:
    for error in sorted(_validator().iter_errors(data), key=lambda error: [str(part) for part in error.path]):
        pointer = "".join(f"/{part}" for part in error.path)
        yield Fault(pointer, "shape", error.message[:200])


def _doubles(data: dict[str, Any]) -> Iterator[Fault]:
    for part, key in (("items", "id"), ("scales", "name")):
        names = [entry.get(key) for _, entry in _entries(data, part)]
        yield from _twice(f"/{part}", f"duplicate_{key}", names)
    tests = [entry.get("sdtm") for part in ("items", "scales") for _, entry in _entries(data, part)]
    codes = [test.get("qstestcd") for test in tests if isinstance(test, dict)]
    yield from _twice("", "duplicate_qstestcd", codes)
    for number, scale in _entries(data, "scales"):
        yield from _twice(f"/scales/{number}/items", "duplicate_item", _list(scale, "items"))


def _references(data: dict[str, Any]) -> Iterator[Fault]:
    ids = {_text(item.get("id")) for _, item in _entries(data, "items")}
    sets = _dict(data, "choice_sets")
    for number, item in _entries(data, "items"):
        if _text(item.get("choices")) not in sets:
            yield Fault(f"/items/{number}/choices", "unknown_choice_set", "Name one of choice_sets.")
    for number, scale in _entries(data, "scales"):
        for unknown in [name for name in _list(scale, "items") if _text(name) not in ids]:
            yield Fault(f"/scales/{number}/items", "unknown_item", f"No item has the id {unknown!r}.")


def _codes(data: dict[str, Any]) -> Iterator[Fault]:
    for name, choices in _dict(data, "choice_sets").items():
        codes = [choice.get("code") for _, choice in _numbered(choices)]
        yield from _twice(f"/choice_sets/{name}", "duplicate_code", codes)


def _languages(data: dict[str, Any]) -> Iterator[Fault]:
    wanted = set(_dict(data, "wording"))
    for pointer, texts in _texts(data):
        for language in sorted(wanted - set(texts)):
            yield Fault(pointer, "missing_language", f"Give this text in {language}, too.")
        for language in sorted(set(texts) - wanted):
            yield Fault(pointer, "undeclared_language", f"Declare {language} under wording, or take it out.")


def _not_applicable(data: dict[str, Any]) -> Iterator[Fault]:
    offered = any(item.get("not_applicable") is True for _, item in _entries(data, "items"))
    if offered and "not_applicable_label" not in data:
        yield Fault("", "missing_not_applicable_label", "An item offers 'not applicable': give its label.")


def _methods(data: dict[str, Any]) -> Iterator[Fault]:
    for number, scale in _entries(data, "scales"):
        at = f"/scales/{number}"
        yield from _minimum_within_reach(at, scale)
        method = METHODS.get((_text(scale.get("method")), _version(scale.get("method_version"))))
        if method is None:
            known = ", ".join(f"{name} {version}" for name, version in METHODS)
            yield Fault(f"{at}/method", "unknown_method", f"Known methods and versions: {known}.")
            continue
        if scale.get("method") == "item_value" and len(_list(scale, "items")) != 1:
            yield Fault(f"{at}/items", "one_item_needed", "item_value takes exactly one item.")
        spans = {_span(data, item) for item in _items_of(data, scale)}
        if len(spans) > 1:
            yield Fault(f"{at}/items", "mixed_codes", "All its items need the same lowest and highest code.")
        elif spans and None not in spans:
            lowest, highest = next(iter(spans)) or (0, 0)
            limits = method.limits(Span(len(_list(scale, "items")), lowest, highest))
            if list(limits) != scale.get("range"):
                yield Fault(f"{at}/range", "wrong_range", f"By method and items the range is {list(limits)}.")


def _minimum_within_reach(at: str, scale: dict[str, Any]) -> Iterator[Fault]:
    k = _version(_dict(scale, "missing").get("k"))
    if k > len(_list(scale, "items")):
        yield Fault(f"{at}/missing/k", "more_than_items", "The scale has fewer items than it needs.")


def _blinding(data: dict[str, Any]) -> Iterator[Fault]:
    for number, scale in _entries(data, "scales"):
        shows = scale.get("blinded") is not True
        if shows and any(item.get("blinded") is True for item in _items_of(data, scale)):
            yield Fault(
                f"/scales/{number}/blinded", "unblinds", "A scale with a blinded item must be blinded."
            )


# What follows reads a part of the data if it has the right shape, and nothing otherwise.


def _entries(data: dict[str, Any], part: str) -> Iterator[tuple[int, dict[str, Any]]]:
    return _numbered(data.get(part))


def _numbered(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    entries = value if isinstance(value, list) else []
    return ((number, entry) for number, entry in enumerate(entries) if isinstance(entry, dict))


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []


def _dict(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _version(value: Any) -> int:
    return value if type(value) is int else 0


def _twice(pointer: str, code: str, values: Iterable[Any]) -> Iterator[Fault]:
    seen = Counter(value for value in values if isinstance(value, str | int))
    for value in [value for value, times in seen.items() if times > 1]:
        yield Fault(pointer, code, f"{value!r} stands more than once.")


def _items_of(data: dict[str, Any], scale: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = {_text(name) for name in _list(scale, "items")}
    return [item for _, item in _entries(data, "items") if _text(item.get("id")) in wanted]


def _span(data: dict[str, Any], item: dict[str, Any]) -> tuple[int, int] | None:
    choices = _list(_dict(data, "choice_sets"), _text(item.get("choices")))
    codes = [c["code"] for c in choices if isinstance(c, dict) and type(c.get("code")) is int]
    return (min(codes), max(codes)) if codes else None


def _texts(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, Any]] = [(f"/{key}", data.get(key)) for key in ("title", "not_applicable_label")]
    found.append(("/recall/label", _dict(data, "recall").get("label")))
    for part in ("items", "scales"):
        for number, entry in _entries(data, part):
            found += [(f"/{part}/{number}/{key}", entry.get(key)) for key in ("label", "text")]
    for name, choices in _dict(data, "choice_sets").items():
        at = f"/choice_sets/{name}"
        found += [(f"{at}/{number}/label", choice.get("label")) for number, choice in _numbered(choices)]
    return ((pointer, texts) for pointer, texts in found if isinstance(texts, dict))
