"""One way in for JSON, one way out for what is digested.

`decode` refuses everything that two readers could understand differently or that a database cannot keep:
NaN and infinities, duplicate keys, lone surrogates, NUL, numbers beyond the range that JSON programs share
(RFC 8259 part 6, RFC 7493), and depth. `encode` is RFC 8785, the form over which digests are taken.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import orjson
import rfc8785

from epro.errors import BadJson

DEEPEST = 32
LARGEST_INTEGER = 2**53 - 1  # RFC 7493 2.2: beyond this, readers disagree


def decode(raw: bytes) -> Any:
    """The value that `raw` (UTF-8 JSON) holds. Raises BadJson with the reason, never with the content."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson("The body is not UTF-8.") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except RecursionError:
        raise BadJson(f"The body is nested deeper than {DEEPEST} levels.") from None
    except json.JSONDecodeError as fault:
        raise BadJson(f"The body is not JSON: line {fault.lineno}, column {fault.colno}.") from None
    # A backslash is the only way to smuggle in a surrogate or a NUL: raw ones are refused above.
    _check(value, text_is_safe="\\u" not in text, depth=1)
    return value


def encode(value: Any) -> bytes:
    """RFC 8785 canonical JSON of a value that `decode` accepted (or of one we made)."""
    if _plain(value):
        # Where keys are ASCII and there are no fractions, sorting and spelling cannot differ: ten times as quick.
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """SHA-256, hex, of the canonical form."""
    return hashlib.sha256(encode(value)).hexdigest()


def _plain(value: Any) -> bool:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -LARGEST_INTEGER <= value <= LARGEST_INTEGER
    if kind is dict:
        for key, inner in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if not (type(inner) is str or inner is None or _plain(inner)):
                return False
        return True
    return kind is list and all(map(_plain, value))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadJson("A key stands twice in one object.")
    return made


def _constant(name: str) -> Any:
    raise BadJson(f"{name} is not a JSON number.")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise BadJson("A number is beyond the range that can be kept exactly.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits) if len(digits) <= 40 else math.inf
    if abs(value) > LARGEST_INTEGER:
        raise BadJson("A number is beyond the range that can be kept exactly.")
    return value


def _check(value: Any, *, text_is_safe: bool, depth: int) -> None:
    if depth > DEEPEST:
        raise BadJson(f"The body is nested deeper than {DEEPEST} levels.")
    if isinstance(value, str):
        if not text_is_safe:
            _check_text(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not text_is_safe:
                _check_text(key)
            if type(inner) not in (int, float, bool, type(None)):
                _check(inner, text_is_safe=text_is_safe, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, text_is_safe=text_is_safe, depth=depth + 1)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise BadJson("A text holds the character NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadJson("A text holds half of a character (a lone surrogate).") from None
