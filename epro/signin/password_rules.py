"""Which passwords are taken: long ones that nobody guesses. Pure.

Length is what counts (NIST SP 800-63B-4): no composition is asked for and nothing runs out. Refused is what stands on
the list of common passwords or is made from one, what repeats or counts on, and what is made from words that
anybody knows of the person or the place.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from epro.errors import Invalid

ALONE, BESIDE_A_FACTOR, LONGEST = 15, 12, 128
FEWEST_KINDS = 5  # different characters
SHORTEST_WORD = 4  # a shorter word of the context stands in too much by chance
OF_ONES_OWN = 8  # letters that must be left when the words of the context are taken out
WIDTH = 5  # bytes of a digest in the list
ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz")
_LIST = Path(__file__).parent / "common_passwords.bin"

TOO_SHORT, TOO_LONG, COMMON, SIMPLE, KNOWN = "too_short", "too_long", "common", "simple", "known_words"
WHY_NOT = {
    TOO_SHORT: "A password has at least {shortest} characters.",
    TOO_LONG: "A password has at most {longest} characters.",
    COMMON: "This password, or what it is made from, is on the list of common passwords.",
    SIMPLE: "This password repeats, or counts on.",
    KNOWN: "This password is made from names that others know.",
}


def normal(password: str) -> str:
    """The one spelling of a password, so that every keyboard types the same one (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def fault(password: str, words: Iterable[str] = (), shortest: int = ALONE) -> str | None:
    """Why this password is not taken, in one word of ours; None when it is. `words`: names that anybody knows."""
    text = normal(password)
    if len(text) < shortest:
        return TOO_SHORT
    if len(text) > LONGEST:
        return TOO_LONG
    plain = text.casefold()
    if _is_simple(plain):
        return SIMPLE
    if any(is_common(form) for form in _forms(plain)):
        return COMMON
    return KNOWN if _is_made_of(plain, words) else None


def check(password: str, words: Sequence[str], shortest: int = ALONE) -> None:
    """Raise Invalid unless this password is taken; the refusal says why, and never repeats it."""
    found = fault(password, words, shortest)
    if found is not None:
        detail = WHY_NOT[found].format(shortest=shortest, longest=LONGEST)
        raise Invalid(
            errors=[{"pointer": "/password", "code": "bad_password", "detail": detail, "why": found}]
        )


def is_common(text: str) -> bool:
    """Whether this stands on the list; the list holds the first bytes of digests, in order."""
    digest = hashlib.sha256(text.encode()).digest()[:WIDTH]
    digests = _common()
    place = bisect_left(digests, digest)
    return place < len(digests) and digests[place] == digest


def words_in(*texts: str | None) -> set[str]:
    """The words of names and addresses that a password must not be made of."""
    found = {part for text in texts if text for part in re.split(r"[\W_]+", normal(text).casefold())}
    return {word for word in found if len(word) >= SHORTEST_WORD and not word.isdigit()}


@cache
def _common() -> list[bytes]:
    raw = _LIST.read_bytes()
    return [raw[at : at + WIDTH] for at in range(0, len(raw), WIDTH)]


def _forms(plain: str) -> set[str]:
    """The password, what is left without digits and signs around it, and what is repeated in it."""
    core = plain.strip("".join({c for c in plain if not c.isalpha()}))
    closed = "".join(c for c in plain if c.isalnum())
    forms = {plain, closed, core, _unit(plain), _unit(core)} - {""}
    return {form for form in forms if form in (plain, closed) or len(form) >= SHORTEST_WORD}


def _unit(text: str) -> str:
    """The shortest piece of which the text is a repetition."""
    for size in range(1, len(text) // 2 + 1):
        if len(text) % size == 0 and text[:size] * (len(text) // size) == text:
            return text[:size]
    return text


def _is_simple(plain: str) -> bool:
    if len(set(plain)) < FEWEST_KINDS:
        return True
    pairs = list(zip(plain, plain[1:], strict=False))
    return sum(_follows(a, b) for a, b in pairs) >= len(pairs) * 3 / 4


def _follows(a: str, b: str) -> bool:
    """Whether the second is the first again, or its neighbour in the alphabet, the digits or on a keyboard."""
    return a == b or any(a + b in row or b + a in row for row in ROWS)


def _is_made_of(plain: str, words: Iterable[str]) -> bool:
    known = sorted({word for text in words for word in words_in(text)}, key=len, reverse=True)
    left = plain
    for word in known:
        left = left.replace(word, " ")
    return left != plain and sum(c.isalpha() for c in left) < OF_ONES_OWN
