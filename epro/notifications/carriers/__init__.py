"""What carriers of a country ask, one JSON file a country, and whether a text may go to a number now. Pure.

A country without a file asks for nothing here. Every figure is data with its source and the day on which it was
read: check it with the carrier before a study opens, and change the file, not the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers

from epro.notifications import wording

DAY = timedelta(hours=24)
_FOLDER = Path(__file__).parent

# Why a text may not go out, as the ledger says it.
SAME_TEXT, TEXTS_A_DAY, HOURS = "carrier_same_text", "carrier_texts_a_day", "carrier_hours"
LINK, LENGTH, TEMPLATE = "carrier_link", "carrier_length", "carrier_template"
REPLY = "carrier_reply"


@dataclass(frozen=True)
class Carrier:
    """The rules of one country. None: it asks for nothing of the kind."""

    country: str
    zone: str
    same_text: int | None = None  # how often one text may go to one number in 24 hours
    different_texts: int | None = None  # how many different ones
    registered: bool = False
    links: bool = True
    two_way: bool = True
    hours: tuple[str, str] | None = None
    segments: int | None = None


@dataclass(frozen=True)
class Earlier:
    """A text that went, or may have gone, to the number; `text` is anything that names it."""

    at: datetime
    text: str


@dataclass(frozen=True)
class Candidate:
    """One of the wordings that could go out. `text` names it as in `Earlier`; `words` are what would be read."""

    wording: int
    words: str
    text: str
    template_id: str | None = None


@cache
def shipped() -> Mapping[str, Carrier]:
    """The rules that come with the software, by country."""
    files = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(_FOLDER.glob("*.json")))
    return {data["country"]: of(data) for data in files}


def of(data: Mapping[str, Any]) -> Carrier:
    """The rules of one file."""
    asked = data["rules"]
    hours = asked.get("hours")
    return Carrier(
        data["country"],
        data["zone"],
        asked.get("same_text_in_24h"),
        asked.get("different_texts_in_24h"),
        asked.get("registered_templates", False),
        asked.get("links", True),
        asked.get("two_way", True),
        (hours[0], hours[1]) if hours else None,
        asked.get("segments"),
    )


def country_of(number: str) -> str | None:
    """The country of a number in E.164, such as CN; None when none can be told."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None


def segments(text: str) -> int:
    """How many SMS a text makes: 160 and then 153 places in GSM 03.38, 70 and then 67 in UCS-2."""
    places = wording.length(text)
    alone, of_several = (160, 153) if wording.is_gsm(text) else (70, 67)
    return 1 if places <= alone else -(-places // of_several)


def choose(
    carrier: Carrier,
    candidates: Iterable[Candidate],
    history: Sequence[Earlier],
    now: datetime,
    *,
    urgent: bool = False,
    needs_id: bool = False,
) -> Candidate | str:
    """The first candidate that no rule forbids, else the rule that forbids the first one.

    `urgent` messages are bound by no hours. `needs_id`: a wording without a registered id cannot go out at all.
    """
    if not urgent and carrier.hours and not _within(carrier.hours, now.astimezone(ZoneInfo(carrier.zone))):
        return HOURS
    recent = [one.text for one in history if now - DAY < one.at]
    first_reason = None
    for one in candidates:
        reason = _forbidden(carrier, one, recent, needs_id)
        if reason is None:
            return one
        first_reason = first_reason or reason
    return first_reason or TEMPLATE


def _forbidden(carrier: Carrier, one: Candidate, recent: Sequence[str], needs_id: bool) -> str | None:
    fresh = one.text not in recent
    rules = (
        (TEMPLATE, carrier.registered and needs_id and one.template_id is None),
        (LINK, not carrier.links and wording.has_link(one.words)),
        (REPLY, not carrier.two_way and wording.asks_for_reply(one.words)),
        (LENGTH, carrier.segments is not None and segments(one.words) > carrier.segments),
        (SAME_TEXT, carrier.same_text is not None and recent.count(one.text) >= carrier.same_text),
        (
            TEXTS_A_DAY,
            carrier.different_texts is not None and fresh and len(set(recent)) >= carrier.different_texts,
        ),
    )
    return next((reason for reason, holds in rules if holds), None)


def _within(hours: tuple[str, str], local: datetime) -> bool:
    first, last = (time.fromisoformat(hour) for hour in hours)
    return first <= local.time() < last
