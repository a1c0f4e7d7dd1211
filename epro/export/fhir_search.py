"""What a search asks for, read from its parameters; and one value of each type of parameter. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import orjson

from epro.errors import EproError

USUAL, MOST = 50, 500  # resources on a page
MOST_VALUES = 100  # of one parameter
COMMON = {"_id": "token", "_lastUpdated": "date"}
RESULT = ("_count", "_sort", "_total", "_summary", "_format", "_pretty", "_cursor")
SORTS = ("_lastUpdated", "-_lastUpdated")
PREFIXES = ("eq", "ge", "le", "gt", "lt")


class BadSearch(EproError):
    """The search cannot be carried out as it is asked."""

    code = "bad_search"


@dataclass(frozen=True)
class Search:
    """`wanted`: (parameter, its alternatives), all of which must hold. `ignored`: what nobody here knows."""

    wanted: tuple[tuple[str, tuple[str, ...]], ...]
    count: int = USUAL
    sort: str | None = None
    cursor: tuple[str, ...] | None = None
    total: bool = False
    only_count: bool = False
    ignored: tuple[str, ...] = ()


def read(asked: Iterable[tuple[str, str]], known: Mapping[str, str], *, strict: bool) -> Search:
    """The search of these parameters; `known`: name -> type. Raises BadSearch."""
    pairs = list(asked)
    told = {name: value for name, value in pairs if name in RESULT}
    wanted, ignored = [], []
    for name, value in pairs:
        if name in RESULT:
            continue
        bare, _, modifier = name.partition(":")
        if bare not in known or (bare == "_cursor"):
            ignored.append(name[:LONGEST_NAME])
        elif modifier:
            raise BadSearch(f"The parameter {bare} takes no modifier here.")
        else:
            wanted.append((bare, _alternatives(bare, value)))
    if ignored and strict:
        raise BadSearch(f"These parameters are not known here: {', '.join(sorted(set(ignored)))}.")
    return Search(
        tuple(wanted),
        count=_count(told.get("_count")),
        sort=_sort(told.get("_sort"), strict),
        cursor=cursor_of(told["_cursor"]) if "_cursor" in told else None,
        total=told.get("_total") in ("accurate", "estimate"),
        only_count=told.get("_summary") == "count" or told.get("_count") == "0",
        ignored=tuple(ignored),
    )


LONGEST_NAME = 64


def _alternatives(name: str, value: str) -> tuple[str, ...]:
    found = tuple(part for part in value.split(",") if part)
    if len(found) > MOST_VALUES:
        raise BadSearch(f"The parameter {name} has more than {MOST_VALUES} values.")
    return found


def _count(text: str | None) -> int:
    if text is None:
        return USUAL
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadSearch("The parameter _count is a whole number.")
    return min(max(int(text), 1), MOST)


def _sort(text: str | None, strict: bool) -> str | None:
    if text in SORTS:
        return text
    if text and strict:
        raise BadSearch("Sorting is by _lastUpdated or -_lastUpdated.")
    return None


def cursor(values: Iterable[object]) -> str:
    """Where a page ended, as one word."""
    told = [value.isoformat() if isinstance(value, date) else str(value) for value in values]
    return base64.urlsafe_b64encode(orjson.dumps(told)).decode().rstrip("=")


def cursor_of(text: str) -> tuple[str, ...]:
    """The values in it. Raises BadSearch when it is none of ours."""
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(found, list) and found and all(map(_is_text, found)):
            return tuple(found)
    except (ValueError, binascii.Error):
        pass
    raise BadSearch("This is no page of ours: search again without _cursor.")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\x00" not in value  # which no text in PostgreSQL may hold


@dataclass(frozen=True)
class Span:
    """A moment or a day as it was told: from `start` until before `end`, and how to compare with it."""

    prefix: str
    start: datetime
    end: datetime


_DATE = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:T(?P<time>.+))?)?)?"
)

_WITH_SECONDS = re.compile(r"\d\d:\d\d:\d\d")


def span(text: str) -> Span:
    """A date parameter, such as ge2026-03-01. Raises BadSearch."""
    found = _DATE.fullmatch(text.replace(" ", "+"))  # a plus that was not escaped in the address
    if found is None or (found["prefix"] or "eq") not in PREFIXES:
        raise BadSearch(
            "A date is like 2026-03-01 or 2026-03-01T08:00:00Z, with eq, ge, le, gt or lt before it."
        )
    try:
        start, end = _bounds(found)
    except (ValueError, OverflowError):
        raise BadSearch("There is no such date.") from None
    return Span(found["prefix"] or "eq", start, end)


def _bounds(found: re.Match[str]) -> tuple[datetime, datetime]:
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    if found["time"]:
        moment = datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}T{found['time']}")
        start = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        finest = "microseconds" if "." in found["time"] else "seconds"
        finest = finest if _WITH_SECONDS.match(found["time"]) else "minutes"
        return start, start + timedelta(**{finest: 1})
    start = datetime(year, month, day, tzinfo=UTC)
    if found["day"]:
        return start, start + timedelta(days=1)
    if found["month"]:
        return start, start.replace(year=year + month // 12, month=month % 12 + 1)
    return start, start.replace(year=year + 1)


def reference(text: str, kind: str) -> str | None:
    """The id that a reference to a resource of this kind names; None where it names another kind."""
    before, slash, name = text.rpartition("/")
    return name if not slash or before.rpartition("/")[2] == kind else None


def token(text: str) -> tuple[str | None, str]:
    """System (None: any) and code."""
    system, bar, code = text.rpartition("|")
    return (system if bar else None), code
