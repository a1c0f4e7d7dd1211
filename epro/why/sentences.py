"""The sentences that answer 'why': codes and facts become words in one language, and JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from epro.trail.entries import instant
from epro.why import refusals
from epro.why.templates import SENTENCES
from epro.why.words import WORDS

LANGUAGES = ("en", "zh-CN")
OURS = "en"
"""What is spoken to whoever asks for a language that these sentences do not have."""


class Word(NamedTuple):
    """A value that has words of its own: WORDS[kind][value]; told as it is where it has none."""

    kind: str
    value: str


class Refusal(NamedTuple):
    """Why a message did not go out, as the ledger keeps it: a code, or channels with theirs."""

    told: str


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


def told(said: Said, language: str, zone: str, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The sentence in this language, its instants by the clock of `zone`, people by their `names`; facts as JSON.

    Names stand in the text alone: the facts know people as the trail does.
    """
    spoken = language if language in LANGUAGES else OURS
    words = {name: _in_words(value, spoken, zone, names or {}) for name, value in said.facts.items()}
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


def _in_words(value: Any, language: str, zone: str, names: Mapping[str, str]) -> str:
    match value:
        case None:
            return ""
        case Word():
            return WORDS[value.kind].get(value.value, {}).get(language, value.value)
        case Refusal():
            return refusals.in_words(value.told, WORDS["channel"], language)
        case Who():
            return _named(value, language, names)
        case datetime():
            local = value.astimezone(ZoneInfo(zone)) if value.tzinfo else value
            return local.strftime("%Y-%m-%d %H:%M")
        case timedelta():
            return _length(value, language)
        case Mapping():
            return str(value.get(language) or next(iter(value.values()), ""))
        case tuple() | list():
            return WORDS["given"]["comma"][language].join(
                _in_words(one, language, zone, names) for one in value
            )
        case _:
            return str(value)


def staff_in(said: Said) -> Iterator[str]:
    """The people of the staff that a sentence speaks of, as the trail names them."""
    for value in said.facts.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, Who) and one.actor.startswith("staff:"):
                yield one.actor


def _named(who: Who, language: str, names: Mapping[str, str]) -> str:
    """By role and name; who has none any more by the first figures of the account's id."""
    kind, _, id = who.actor.partition(":")
    if kind != "staff":
        return WORDS["actor"].get(kind, {}).get(language, kind)
    roles = who.roles or ("staff",)
    named = WORDS["given"]["or"][language].join(WORDS["role"][role][language] for role in roles)
    return WORDS["given"]["named"][language].format(named, names.get(who.actor) or id[:8])


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
        case Refusal():
            return value.told
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
