"""What a phone sends, read without trusting it; and what of it counts. Pure.

Reading never refuses: whatever cannot be made out becomes a finding, and the entry is kept as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from epro import canonical

TRANSPORT = ("sent_at",)  # says when this sending began, not what was answered: no part of the content
LONGEST_ID = 200  # characters of an id that a receipt repeats
LONGEST_INSTANT = 40  # characters; the text goes to the sinks as it came, and a fraction can have any length
SKEW = timedelta(minutes=5)  # beyond this a phone's clock is remarked upon, and corrected
ZONES = frozenset(available_timezones())


@dataclass(frozen=True)
class Finding:
    """Something to know about an entry. `pointer` is within the entry; `holds` keeps it from being filed."""

    code: str
    detail: str
    pointer: str = ""
    holds: bool = False

    def told(self) -> dict[str, str]:
        return {
            "code": self.code,
            "detail": self.detail,
            **({"pointer": self.pointer} if self.pointer else {}),
        }


OTHER_SUBJECT = Finding("other_subject", "It is about somebody else.", "/fhir/subject", holds=True)
NOT_COMPLETED = Finding("not_completed", "Its status is not `completed`.", "/fhir/status", holds=True)


@dataclass(frozen=True)
class Submission:
    """One entry, as far as it could be read. Whatever is None was absent or could not be made out."""

    content: Any
    id: UUID | None = None
    named: str | None = None  # the id as the phone spells it: by this it knows which entry a receipt is for
    occurrence_id: UUID | None = None
    instrument_code: str | None = None
    instrument_version: str | None = None
    language: str | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    time_zone: str | None = None
    findings: tuple[Finding, ...] = ()

    @cached_property
    def body(self) -> bytes:
        """The canonical content, over which the digest is taken."""
        return canonical.encode(self.content)


def read(entry: Any) -> Submission:
    """The entry of a batch, as far as it can be made out."""
    if not isinstance(entry, dict):
        return Submission(entry, findings=(_held("not_an_object", "An entry is a JSON object.", ""),))
    content = {key: value for key, value in entry.items() if key not in TRANSPORT}
    found: list[Finding] = []
    instrument = entry.get("instrument")
    if not isinstance(instrument, dict):
        found.append(_held("wrong_type", "An instrument is an object with code and version.", "/instrument"))
        instrument = {}
    answers = entry.get("answers")
    if not isinstance(answers, dict):
        found.append(_held("wrong_type", "Answers are an object: item id to code.", "/answers"))
        answers = {}
    submission = Submission(
        content=content,
        id=_uuid(entry, "id", found),
        named=_spelled(entry.get("id")),
        occurrence_id=_uuid(entry, "occurrence_id", found),
        instrument_code=_text(instrument, "code", found, "/instrument/code"),
        instrument_version=_text(instrument, "version", found, "/instrument/version"),
        language=_text(entry, "language", found, "/language"),
        answers=answers,
        started_at=_instant(entry, "started_at", found, needed=False),
        completed_at=_instant(entry, "completed_at", found, needed=True),
        time_zone=_zone(entry, found),
        findings=tuple(found),
    )
    return submission


def sent_at(value: Any) -> datetime | None:
    """The phone's clock at the sending, if it said so in a way that can be read."""
    return instant(value) if isinstance(value, str) else None


def instant(value: str) -> datetime | None:
    """An RFC 3339 instant with an offset, told in UTC, or None. So far and no further: differences of two stay
    reckonable."""
    if len(value) > LONGEST_INSTANT:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None or not 1970 <= moment.year <= 2999:
        return None
    return moment.astimezone(UTC)  # no database takes every offset that can be written


def correction(offset: timedelta | None) -> timedelta:
    """What the phone's account of time is corrected by. A small offset may be the way that the upload took, not
    a wrong clock: then she is believed."""
    return offset if offset is not None and abs(offset) > SKEW else timedelta()


def clock_findings(submission: Submission, offset: timedelta | None, received_at: datetime) -> list[Finding]:
    """What is odd about the phone's account of time. Nothing here keeps an answer from being filed."""
    found = []
    if offset is not None and abs(offset) > SKEW:
        found.append(Finding("clock_skew", "The phone's clock differs from ours by more than five minutes."))
    if submission.completed_at and submission.completed_at + correction(offset) > received_at + SKEW:
        found.append(
            Finding(
                "completed_after_sending", "The completion lies after the sending: the clock was changed."
            )
        )
    if submission.started_at and submission.completed_at and submission.started_at > submission.completed_at:
        found.append(
            Finding("started_after_completion", "The start lies after the completion: the clock was changed.")
        )
    return found


def _spelled(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= LONGEST_ID else None


def _uuid(entry: Mapping[str, Any], name: str, found: list[Finding]) -> UUID | None:
    value = entry.get(name)
    try:
        if isinstance(value, str) and len(value) == 36:
            return UUID(value)
    except ValueError:
        pass
    found.append(_held("wrong_type", "This is not a UUID.", f"/{name}"))
    return None


def _text(entry: Mapping[str, Any], name: str, found: list[Finding], pointer: str) -> str | None:
    value = entry.get(name)
    if isinstance(value, str) and 0 < len(value) <= 64:
        return value
    found.append(_held("wrong_type", "This is a text of 1 to 64 characters.", pointer))
    return None


def _instant(entry: Mapping[str, Any], name: str, found: list[Finding], *, needed: bool) -> datetime | None:
    value = entry.get(name)
    if value is None and not needed:
        return None
    moment = instant(value) if isinstance(value, str) else None
    if moment is None:
        found.append(
            _held(
                "wrong_type",
                "This is an instant with an offset, such as 2026-03-29T20:00:00+08:00.",
                f"/{name}",
            )
        )
    return moment


def _zone(entry: Mapping[str, Any], found: list[Finding]) -> str | None:
    value = entry.get("time_zone")
    if value is None or (isinstance(value, str) and value in ZONES):
        return value
    found.append(Finding("unknown_time_zone", "This is not a time zone that is known here.", "/time_zone"))
    return None


def _held(code: str, detail: str, pointer: str) -> Finding:
    return Finding(code, detail, pointer, holds=True)
