"""The sentences that answer 'why': codes and facts become words in one language, and JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from epro.trail.entries import instant
from epro.why.templates import SENTENCES
from epro.why.words import WORDS

LANGUAGES = ("en", "zh-CN")
OURS = "en"
"""What is spoken to whoever asks for a language that these sentences do not have."""


class Word(NamedTuple):
    """A value that has words of its own: WORDS[kind][value]; told as it is where it has none."""

    kind: str
    value: str


class Who(NamedTuple):
    """Who acted, as the trail names him, with the roles that he held at her site then."""

    actor: str
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """One sentence, still without a language: its code, when what it tells happened, and the facts in it.

    Of facts that are lengths JSON has the whole minutes.
    """

    code: str
    at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


def told(said: Said, language: str, zone: str) -> dict[str, Any]:
    """The sentence in this language, its instants by the clock of `zone`; the facts as JSON."""
    spoken = language if language in LANGUAGES else OURS
    words = {name: _in_words(value, spoken, zone) for name, value in said.facts.items()}
    if "reason" in said.facts:
        words["reason"] = WORDS["given"]["reason"][spoken].format(words["reason"]) if words["reason"] else ""
    return {
        "code": said.code,
        "text": _as_sentence(SENTENCES[said.code][spoken].format_map(words)),
        "at": instant(said.at),
        "facts": {name: _as_json(value) for name, value in said.facts.items()},
    }


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _in_words(value: Any, language: str, zone: str) -> str:
    match value:
        case None:
            return ""
        case Word():
            return WORDS[value.kind].get(value.value, {}).get(language, value.value)
        case Who():
            return _named(value, language)
        case datetime():
            local = value.astimezone(ZoneInfo(zone)) if value.tzinfo else value
            return local.strftime("%Y-%m-%d %H:%M")
        case timedelta():
            return _length(value, language)
        case Mapping():
            return str(value.get(language) or next(iter(value.values()), ""))
        case tuple() | list():
            return WORDS["given"]["comma"][language].join(_in_words(one, language, zone) for one in value)
        case _:
            return str(value)


def _named(who: Who, language: str) -> str:
    """By role, and by the first figures of the account's id: names are contact data."""
    kind, _, id = who.actor.partition(":")
    if kind != "staff":
        return WORDS["actor"].get(kind, {}).get(language, kind)
    roles = who.roles or ("staff",)
    named = WORDS["given"]["or"][language].join(WORDS["role"][role][language] for role in roles)
    return WORDS["given"]["named"][language].format(named, id[:8])


def _length(length: timedelta, language: str) -> str:
    """In days, hours and whole minutes, each where it is not nought."""
    hours, minutes = divmod(length // timedelta(minutes=1), 60)
    parts = {"day": hours // 24, "hour": hours % 24, "minute": minutes}
    shown = {unit: count for unit, count in parts.items() if count} or {"minute": 0}
    return " ".join(f"{count} {WORDS['unit'][unit][language]}" for unit, count in shown.items())


def _as_json(value: Any) -> Any:
    match value:
        case Word():
            return value.value
        case Who():
            return {"actor": value.actor, "roles": list(value.roles)}
        case datetime():
            return instant(value) if value.tzinfo else value.isoformat(timespec="minutes")
        case date():
            return value.isoformat()
        case timedelta():
            return value // timedelta(minutes=1)
        case Mapping():
            return {str(name): _as_json(one) for name, one in value.items()}
        case tuple() | list():
            return [_as_json(one) for one in value]
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)
