"""One way in for JSON, one way out for what is digested.

CN-01  What two readers could understand differently, or a database cannot keep, is refused with a reason.
CN-02  A refusal never repeats what was sent.
CN-03  What was accepted comes out as RFC 8785 has it, and reads back as the same value.
CN-04  The quick path writes what the full one writes.
"""

from __future__ import annotations

import hashlib
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from epro import canonical
from epro.canonical import DEEPEST, LARGEST_INTEGER, decode, encode
from epro.errors import BadJson

REFUSED = {
    "nothing": (b"", "line 1"),
    "blanks": (b"  \n ", "line 2"),
    "cut off": (b'{"a": [1, 2', "line 1, column 12"),
    "more than one": (b"{} {}", "column 4"),
    "a comma too many": (b"[1,]", "not JSON"),
    "a comment": (b'{"a": 1} // ok', "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "not UTF-8": (b'"\xff"', "not UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', "not UTF-8"),
    "NaN": (b"[NaN]", "NaN"),
    "infinity": (b"[Infinity]", "Infinity"),
    "minus infinity": (b"[-Infinity]", "-Infinity"),
    "infinity by exponent": (b"[1e999]", "range"),
    "minus infinity by exponent": (b"[-1e999]", "range"),
    "one above the range": (b"[9007199254740992]", "range"),
    "one below the range": (b"[-9007199254740992]", "range"),
    "five thousand digits": (b"[" + b"9" * 5000 + b"]", "range"),
    "five thousand decimals": (b"[0." + b"9" * 5000 + b"]", "range"),
    "a fraction above the range": (b"[1e17]", "range"),
    "a fraction below the range": (b"[-1e300]", "range"),
    "leading zero": (b"[01]", "not JSON"),
    "a key twice": (b'{"a": 1, "a": 1}', "twice"),
    "a key twice, once escaped": (b'{"a": 1, "\\u0061": 2}', "twice"),
    "a key twice, further in": (b'[[{"b": {"a": 1, "a": 2}}]]', "twice"),
    "NUL": (b'["\\u0000"]', "NUL"),
    "NUL in a key": (b'{"a\\u0000": 1}', "NUL"),
    "raw NUL": (b'["\x00"]', "not JSON"),
    "raw line break": (b'["\n"]', "not JSON"),
    "half a character": (b'["\\ud800"]', "surrogate"),
    "the other half": (b'["\\udc00x"]', "surrogate"),
    "halves in the wrong order": (b'["\\udc00\\ud800"]', "surrogate"),
    "half a character in a key": (b'{"\\ud800": 1}', "surrogate"),
    "too deep": (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "deeper than 32"),
    "too deep in objects": (b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1), "deeper than 32"),
    "very deep": (b"[" * 100_000, "deeper than 32"),
    "deep and cut off": (b'{"a":' * 100_000, "deeper than 32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_in_doubt_is_refused_with_a_reason(name):  # CN-01
    raw, word = REFUSED[name]
    with pytest.raises(BadJson) as refused:
        decode(raw)
    assert word in refused.value.detail and refused.value.status == 400


@pytest.mark.parametrize("raw", [
    b'{"secret": 1, "secret": 2}', b'["secret\\u0000"]', b'{"secret": secret}', b'["secret\\ud800"]', b"[secret]",
])  # fmt: skip
def test_a_refusal_does_not_repeat_what_was_sent(raw):  # CN-02
    with pytest.raises(BadJson) as refused:
        decode(raw)
    assert "secret" not in str(refused.value) and refused.value.__cause__ is None


ACCEPTED = {
    b"null": None,
    b" true ": True,
    b"-0": 0,
    b"9007199254740991": LARGEST_INTEGER,
    b"-9007199254740991": -LARGEST_INTEGER,
    b"1.5": 1.5,
    b"1e2": 100.0,
    b"0.1": 0.1,
    b"5e-324": 5e-324,
    b'"\\u00e9\\ud83d\\ude00"': "é😀",
    '"输注"'.encode(): "输注",
    b'{"b": 1, "a": [{}]}': {"b": 1, "a": [{}]},
    b"[" * DEEPEST + b"]" * DEEPEST: json.loads("[" * DEEPEST + "]" * DEEPEST),
}


@pytest.mark.parametrize("raw", ACCEPTED)
def test_what_is_clear_is_taken(raw):
    assert decode(raw) == ACCEPTED[raw]


def test_ints_stay_ints_and_fractions_stay_fractions():
    assert [type(value) for value in decode(b"[1, 1.0, true]")] == [int, float, bool]


# Examples of RFC 8785, sections 3.2.2 and 3.2.3.


def test_the_example_of_the_standard():
    given = (
        b'{"numbers":[333333333.33333329,4.50,2e-3,0.000000000000000000000000001],'
        b'"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}'
    )
    assert encode(decode(given)).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_sorted_as_the_standard_has_it():
    """By UTF-16 units: an emoji stands before U+FB33, though its number is higher."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    expected = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(encode(dict.fromkeys(keys)))) == expected


def test_the_digest_is_over_the_canonical_form():
    expected = hashlib.sha256('{"a":"é","b":1}'.encode()).hexdigest()
    assert canonical.digest(decode(b'{"b":1.0,"a":"\\u00e9"}')) == expected


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NUMBERS = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | st.floats(-LARGEST_INTEGER, LARGEST_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_what_was_written_reads_back_the_same(value):  # CN-03
    written = encode(value)
    assert decode(written) == value
    assert encode(decode(written)) == written


@given(VALUES)
def test_the_spelling_that_came_in_does_not_matter(value):  # CN-03
    spelled = json.dumps(value, indent=1).encode()
    assert encode(decode(spelled)) == encode(value)


@given(VALUES)
def test_it_is_the_standards_form(value):  # CN-04
    assert encode(value) == rfc8785.dumps(value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_the_quick_path_writes_what_the_full_one_writes(value):  # CN-04
    assert canonical._plain(value), "this value was meant for the quick path"
    assert encode(value) == rfc8785.dumps(value)


def test_every_character_is_spelled_alike_on_both_paths():  # CN-04
    every = [chr(number) for number in range(0x10000) if not 0xD800 <= number <= 0xDFFF]
    assert encode(every) == rfc8785.dumps(every)


@given(st.binary(max_size=40))
def test_any_bytes_are_taken_or_refused_by_name(raw):
    try:
        value = decode(raw)
    except BadJson:
        return
    assert decode(encode(value)) == value
