"""The shape of a definition: where it is not that of the JSON Schema, in plain sentences with the mend. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from epro.questionnaires.parts import Fault

KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}
CONDITION = 'A condition is "all" or "any" with a list, or has "item" and "is" with "code", "other_item" or "answered".'
MISSING = 'A missing rule is {"kind": "all"}, at_least_half, more_than_half, by_method, or at_least with a number k.'


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the definition format."""
    text = files("epro.questionnaires").joinpath("instrument.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def faults_of_shape(data: Any) -> Iterator[Fault]:
    """Every place that is not as the schema wants it. Where it allows several shapes, measured by the nearest."""
    told = [one for error in _validator().iter_errors(data) for one in _nearest(error)]
    for error in sorted(told, key=lambda error: [str(part) for part in error.absolute_path]):
        pointer = "".join(f"/{part}" for part in error.absolute_path)
        yield Fault(pointer, "shape", sentence(error))


def _nearest(error: ValidationError) -> list[ValidationError]:
    """The error itself; of a choice between shapes the errors of the one whose keys it has, if there is such a one."""
    if error.validator not in ("anyOf", "oneOf") or not isinstance(error.instance, dict):
        return [error]
    by_branch: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        by_branch.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [found for found in by_branch.values() if not any(_is_of_keys(one, error) for one in found)]
    return [one for inner in min(meant, key=len) for one in _nearest(inner)] if meant else [error]


def _is_of_keys(inner: ValidationError, outer: ValidationError) -> bool:
    """Whether the branch is another kind of thing altogether: other keys, or another word where it wants one."""
    here = len(inner.absolute_path) == len(outer.absolute_path)
    other_word = (
        inner.validator == "const" or inner.validator == "enum" and inner.path and inner.path[-1] == "kind"
    )
    return here and inner.validator in ("required", "additionalProperties") or bool(other_word)


def sentence(error: ValidationError) -> str:
    """What is wrong there and what to write, in one sentence or two."""
    made = SENTENCES.get(str(error.validator))
    said = made(error) if made else "This is not as the schema wants it."
    if "propertyNames" in error.absolute_schema_path:
        return f"The key {_short(error.instance)} is not such a name. {_wanted(error)}"
    return said


def _required(error: ValidationError) -> str:
    found = _of(error.instance)
    key = next(name for name in error.validator_value if name not in found and f"'{name}'" in error.message)
    part = _of(_of(error.schema).get("properties")).get(key)
    return f"{key} is missing: add it, {_described(part)}."


def _additional(error: ValidationError) -> str:
    known = sorted(_of(_of(error.schema).get("properties")))
    unknown = [str(key) for key in _of(error.instance) if key not in known]
    near = [word for key in unknown for word in get_close_matches(key, known, n=1)]
    guess = f"did you mean {', '.join(near)}? Known are" if near else "take them out, or use"
    return f"There is no key {', '.join(map(_short, unknown))} here: {guess} {', '.join(known)}."


def _type(error: ValidationError) -> str:
    wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    names = " or ".join(KINDS[name] for name in wanted)
    return f"Here stands {_kind(error.instance)}: write {names}."


def _words(error: ValidationError) -> str:
    return (
        f"{_short(error.instance)} is none of the words known here: write {_one_of(error.validator_value)}."
    )


def _pattern(error: ValidationError) -> str:
    return f"{_short(error.instance)} does not fit here. {_wanted(error)}"


def _few(error: ValidationError) -> str:
    least = error.validator_value
    return f"Too few are listed here ({len(error.instance)}): give at least {least}."


def _many(error: ValidationError) -> str:
    most = error.validator_value
    return f"Too many are listed here ({len(error.instance)}): give {most} at most."


def _low(error: ValidationError) -> str:
    return f"{_short(error.instance)} is too low: write {error.validator_value} or more."


def _high(error: ValidationError) -> str:
    return f"{_short(error.instance)} is too high: write {error.validator_value} or less."


def _short_text(error: ValidationError) -> str:
    return (
        "This text is empty: write at least one character."
        if error.validator_value == 1
        else (f"This text is too short: write at least {error.validator_value} characters.")
    )


def _long_text(error: ValidationError) -> str:
    return f"This text has {len(error.instance)} characters: write {error.validator_value} at most."


def _shapes(error: ValidationError) -> str:
    rule = error.path and error.path[-1] == "missing"
    return f"This has none of the shapes allowed here. {MISSING if rule else CONDITION}"


SENTENCES = {
    "required": _required,
    "additionalProperties": _additional,
    "type": _type,
    "enum": _words,
    "const": lambda error: (
        f"{_short(error.instance)} does not fit here: write {_short(error.validator_value)}."
    ),
    "pattern": _pattern,
    "minItems": _few,
    "minProperties": _few,
    "maxItems": _many,
    "minimum": _low,
    "maximum": _high,
    "minLength": _short_text,
    "maxLength": _long_text,
    "anyOf": _shapes,
    "oneOf": _shapes,
}
"""Each keyword of the schema that can refuse something."""


def _wanted(error: ValidationError) -> str:
    told = _of(error.schema).get("x-write") or _of(error.schema).get("description")
    return f"Write {told}." if told else "See the schema."


def _described(part: Any) -> str:
    """What belongs in a place, by its part of the schema."""
    part = _of(part)
    if "$ref" in part:
        part = _of(schema()["$defs"][part["$ref"].rsplit("/", 1)[1]]) | part
    if "x-write" in part:
        return str(part["x-write"])
    if "const" in part:
        return _short(part["const"])
    if "enum" in part:
        return _one_of(part["enum"])
    kinds = part["type"] if isinstance(part.get("type"), list) else [part.get("type", "object")]
    return " or ".join(KINDS[kind] for kind in kinds)


def _one_of(words: Any) -> str:
    said = [_short(word) for word in words]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    names: dict[type, str] = {list: "a list", dict: "an object", str: "a text"}
    return names.get(type(value), "null")


def _short(value: Any) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= 60 else f"{said[:57]}..."


def _of(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
