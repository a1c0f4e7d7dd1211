"""What the rooms say in English, told in another language: faults of a study file, why production would refuse.

`phrases.yaml` holds each sentence with its places. What is in no list is told as it is, and said to be English.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from string import Formatter

import yaml

OURS = "en"
FILE = Path(__file__).parent / "phrases.yaml"


def spoken(text: str, language: str) -> tuple[str, str]:
    """(the words, the language that they are in)."""
    found = text if language == OURS else _translated(text)
    return (text, OURS) if found is None else (found, language)


@lru_cache(maxsize=2048)
def _translated(text: str) -> str | None:
    for parts, words in _phrases():
        if (values := _values(parts, text)) is not None:
            return words.format(**{name: _filled(name, said) for name, said in values.items()})
    return None


def _filled(place: str, said: str) -> str:
    """A value as it is; in the place of a phrase its words, if they are known."""
    return (_translated(said) if place.isupper() else None) or said


Parts = Sequence[tuple[str, str | None]]  # words, and the name of the place after them


def _values(parts: Parts, text: str) -> dict[str, str] | None:
    """What stands in the places, none of them empty; None where these are not the words.

    Each place ends where the words after it come first, without a second try: values come from files that anybody may
    have written, and what tries all ways takes hours on some of them.
    """
    (words, name), *others = parts
    if not text.startswith(words):
        return None
    values, at = dict[str, str](), len(words)
    for words, following in others:
        end = len(text) - len(words) if following is None else text.find(words, at + 1)
        if name is None or end <= at or not text.endswith(words, at, end + len(words)):
            return None
        values[name], at, name = text[at:end], end + len(words), following
    return values if at == len(text) else None


@lru_cache(maxsize=1)
def _phrases() -> tuple[tuple[Parts, str], ...]:
    listed = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    exact_first = sorted(listed, key=lambda pair: len(_parts(pair[0])) > 1)
    return tuple((_parts(english), words) for english, words in exact_first)


def _parts(english: str) -> Parts:
    """With words, perhaps none, after the last place. A brace that is meant comes as a part of its own: joined."""
    parts, before = list[tuple[str, str | None]](), ""
    for text, name, _, _ in Formatter().parse(english):
        before += text
        if name is not None:
            parts.append((before, name))
            before = ""
    return [*parts, (before, None)]
