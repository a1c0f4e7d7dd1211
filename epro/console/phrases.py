"""What the rooms say in English, told in another language: faults of a study file, why production would refuse.

`phrases.yaml` holds each sentence with its places. What is in no list is told as it is, and said to be English.
"""

from __future__ import annotations

import re
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
    for pattern, words in _phrases():
        if match := pattern.fullmatch(text):
            return words.format(**{name: _filled(name, said) for name, said in match.groupdict().items()})
    return None


def _filled(place: str, said: str) -> str:
    """A value as it is; in the place of a phrase its words, if they are known."""
    return (_translated(said) if place.isupper() else None) or said


@lru_cache(maxsize=1)
def _phrases() -> tuple[tuple[re.Pattern[str], str], ...]:
    listed = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    exact_first = sorted(listed, key=lambda pair: _places(pair[0]) > 0)
    return tuple((re.compile(_pattern(english), re.DOTALL), words) for english, words in exact_first)


def _places(english: str) -> int:
    return sum(name is not None for _, name, _, _ in Formatter().parse(english))


def _pattern(english: str) -> str:
    parts = Formatter().parse(english)
    return "".join(re.escape(text) + (f"(?P<{name}>.+?)" if name else "") for text, name, _, _ in parts)
