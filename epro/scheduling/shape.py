"""The shape of a study file: the published JSON Schema, and its findings in words that people can act on.

The schema's own descriptions say what belongs in a place, so they serve as the mends; its `x-fault` words
name the faults. So whoever reads the schema and whoever reads a fault reads the same sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path as File
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from epro.scheduling.source import Fault, Path, Source

SCHEMA_FILE = File(__file__).with_name("study.schema.json")

RULE_KINDS = ("at", "every", "burst", "instead_of", "unscheduled")  # an assessment has exactly one
_NEEDED = ("anchors", "sites", "assessments")  # a study without any is a fault with a name of its own
_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping of keys and values",
    "string": "text",
}


@cache
def schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12) of study files."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text("utf-8"))
    return loaded


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def check_shape(source: Source) -> tuple[list[Fault], Any]:
    """Every fault of shape, and the data without the values that have one, so that the other rules can go on."""
    errors = list(_validator().iter_errors(source.data))
    mistyped = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    errors = [e for e in errors if e.validator == "type" or tuple(e.absolute_path) not in mistyped]
    faults = [fault for error in errors for fault in _faults(error, source)]
    unusable = {tuple(error.absolute_path) for error in errors if error.validator in _UNUSABLE}
    return faults, _without(source.data, unusable)


_UNUSABLE = {"type", "pattern", "enum", "const", "minimum", "maximum", "minLength", "maxLength"}


def _without(data: Any, unusable: set[Path], path: Path = ()) -> Any:
    """The data with None in the place of what is unusable; lists keep their numbering."""
    if path in unusable:
        return None
    if isinstance(data, dict):
        return {key: _without(value, unusable, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_without(value, unusable, (*path, n)) for n, value in enumerate(data)]
    return data


def _faults(error: ValidationError, source: Source) -> Iterator[Fault]:
    path: Path = tuple(error.absolute_path)
    if error.validator == "required":
        yield from _missing(error, path, source)
    elif error.validator == "additionalProperties":
        yield from _unknown(error, path, source)
    elif error.validator == "uniqueItems":
        yield from _repeated(error, path, source)
    else:
        yield _misfit(error, path, source)


def _missing(error: ValidationError, path: Path, source: Source) -> Iterator[Fault]:
    for key in error.validator_value:
        if key in error.instance:
            continue
        if not path and key in _NEEDED:
            yield _none_of(key, (key,), source)
        else:
            mend = f"Add {key}: {_describe(error, key)}"
            yield source.fault((*path, key), "missing_key", f"{key} is missing", mend)


def _describe(error: ValidationError, key: str) -> str:
    assert isinstance(error.schema, dict)
    return _description(error.schema["properties"][key])


def _description(part: dict[str, Any]) -> str:
    if "description" in part:
        return str(part["description"])
    return str(schema()["$defs"][part["$ref"].rsplit("/", 1)[1]]["description"])


def _unknown(error: ValidationError, path: Path, source: Source) -> Iterator[Fault]:
    assert isinstance(error.schema, dict) and isinstance(error.instance, dict)
    known = list(error.schema["properties"])
    for key in error.instance:
        if key not in known:
            yield source.fault((*path, key), "unknown_key", f"{key} is not known here", one_of(key, known))


def _repeated(error: ValidationError, path: Path, source: Source) -> Iterator[Fault]:
    for n, value in enumerate(error.instance):
        if value in error.instance[:n]:
            yield source.fault((*path, n), "duplicate_value", f"{value} is listed twice", "Keep one of them.")


def _none_of(key: str, path: Path, source: Source) -> Fault:
    return source.fault(path, f"no_{key}", f"the study has no {key}", f"List at least one under {key}.")


def _misfit(error: ValidationError, path: Path, source: Source) -> Fault:
    assert isinstance(error.schema, dict)
    if error.validator == "minItems" and path in {(name,) for name in _NEEDED}:
        return _none_of(str(path[-1]), path, source)
    if error.validator == "oneOf":
        return _no_single_rule(error, path, source)
    if "propertyNames" in error.absolute_schema_path:
        path = (*path, error.instance)
    code, message = _word(error)
    return source.fault(path, code, message, _how_to_write(error))


def _no_single_rule(error: ValidationError, path: Path, source: Source) -> Fault:
    given = [name for name in RULE_KINDS if name in error.instance]
    message = f"{' and '.join(given)} are given" if given else "no rule is given"
    mend = (
        "Keep one of them." if given else "Add at: with visit ids, or every: with days, from, to and anchor."
    )
    return source.fault(path, "one_rule", message, mend)


def _word(error: ValidationError) -> tuple[str, str]:
    assert isinstance(error.schema, dict)
    if error.validator == "type":
        return "wrong_type", f"this is {_kind(error.instance)}, not {_NAMES[str(error.validator_value)]}"
    if error.validator in ("minItems", "minProperties") and not error.instance:
        return error.schema.get("x-fault", "empty"), "nothing is listed here"
    if error.validator == "maxItems":
        return "too_many", f"more than {error.validator_value} are listed here"
    if error.schema.get("x-fault") == "bad_duration" and str(error.instance).startswith("-"):
        return "negative_duration", f"{error.instance} is less than nothing"
    return str(error.schema["x-fault"]), f"{_short(error.instance)} does not fit here"


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return _NAMES["array" if isinstance(value, list) else "object" if isinstance(value, dict) else "string"]


def _how_to_write(error: ValidationError) -> str:
    assert isinstance(error.schema, dict)
    described = error.schema.get("description", "See the study file's reference page.")
    wants_text = error.validator == "type" and error.validator_value == "string"
    if wants_text and isinstance(error.instance, (int, float)):
        return f"Put it in quotes. Wanted: {described}"
    return f"Wanted: {described}"


def _short(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_of(word: str, known: Iterable[str]) -> str:
    """The mend for a word that is not among the known ones: the one that was meant, perhaps, or all of them."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    if not names:
        return "None is defined; define it first."
    return f"Use one of: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}."
