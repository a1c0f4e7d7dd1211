"""A study at a cut as FHIR Task and AuditEvent: what was asked and what was done, as far as the feed tells it. Pure.

The feed tells of an occurrence once it is answered, missed or excused, so a file has no Task of what else is still to
come. Who did something stands in an AuditEvent where the feed says it: the participant, who corrected, who settled.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from epro.export import records
from epro.export.extract import Extract
from epro.export.fhir_names import Json
from epro.export.fhir_record import audit_event
from epro.export.fhir_tasks import task

OBJECTS = {
    "response": ("response", "id"),
    "rescored": ("response", "response_id"),
    "set_aside": ("set_aside", "id"),
    "settlement": ("set_aside", "set_aside_id"),
    "occurrence": ("occurrence", "id"),
    "anchor": ("anchor", "id"),
    "alert": ("alert", "id"),
    "week": ("week", "id"),
}
"""Part of an entry -> the kind of thing that the act was about, and where its id is."""
MADE_BY = (
    *(("settlement", "settled_by"), ("response", "amendment", "made_by"), ("query", "said_by")),
    *(("signature", "signed_by"), ("signature_break", "broken_by")),
    *(("participant", "by"), ("anchor", "by"), ("withdrawal", "by"), ("excuse", "by")),
)
BY_HERSELF = frozenset({"response.stored", "response.held", "response.conflict"})


def tasks(extract: Extract, subject: records.Subject, base: str) -> Iterator[Json]:
    """A Task for each occurrence that the feed tells of, in the order of their ids."""
    answered: dict[str, list[records.Response]] = {}
    for response in subject.responses:
        answered.setdefault(response.versions[0].told["occurrence_id"], []).append(response)
    missed = {miss["id"]: miss for miss in subject.misses}
    last = {one["id"]: one for one in subject.excuses}
    excused = {name: one for name, one in last.items() if one["stands"]}
    for name in sorted({*answered, *missed, *excused}):
        yield _task(extract, subject, name, answered.get(name, []), missed.get(name), excused.get(name), base)


def _task(
    extract: Extract,
    subject: records.Subject,
    name: str,
    answers: list[records.Response],
    miss: Json | None,
    excuse: Json | None,
    base: str,
) -> Json:
    said = miss or excuse or answers[0].versions[0].told
    first = min((one.versions[0].at for one in answers), default=None)
    told = answers[0].versions[0].told if answers else {}
    code, version = _asked(extract, told or said)
    enrolled = subject.enrolled or {}
    row = SimpleNamespace(
        id=UUID(name),
        study_id=subject.study_id,
        subject_id=subject.subject_id,
        assessment_id=said["assessment"],
        instrument_code=code,
        instrument_version=version,
        local_day=date.fromisoformat(said["local_day"]),
        time_zone=told.get("time_zone") or enrolled.get("time_zone"),
        **{fact: _instant(said.get(fact)) for fact in ("opens_at", "closes_at")},
        **dict.fromkeys(("planned_at", "at_risk_at", "unexcused_at", "cancelled_at", "cancelled_reason")),
        excused_at=_instant(excuse["excuse"]["at"]) if excuse else None,
        excused_reason=excuse["excuse"]["reason"] if excuse else None,
        missed_at=_instant(miss["missed_at"]) if miss else None,
        fulfilled_at=_instant(first),
    )
    ids = [UUID(one.id) for one in answers]
    language = told.get("language") or enrolled.get("language") or extract.protocol.languages[0]
    return task(row, ids, extract.cut.at, base=base, language=language)


def _asked(extract: Extract, told: Json) -> tuple[str | None, str | None]:
    """Code and version of the questionnaire that was answered or missed."""
    found = extract.instrument_missed(told)
    return (found.code, found.version) if found else (None, None)


def acts(subject: records.Subject) -> Iterator[Json]:
    """An AuditEvent for each entry of the feed about her, in order; its id is that of the trail's entry."""
    for entry in subject.entries:
        kind, name = _object(entry)
        row = SimpleNamespace(
            id=entry["event_id"],
            study_id=subject.study_id,
            subject_id=subject.subject_id,
            at=_instant(entry["at"]),
            action=entry["kind"],
            actor=_actor(entry),
            object_type=kind,
            object_id=name,
        )
        yield audit_event(row)


def _object(entry: Json) -> tuple[str, str]:
    for part, (kind, key) in OBJECTS.items():
        if part in entry:
            return kind, str(entry[part].get(key) or entry["event_id"])
    return "participant", entry["subject_id"]


def _actor(entry: Json) -> str:
    """Who did it, as the feed says it: kind and id with a colon between; empty where it does not say it."""
    for path in MADE_BY:
        found: Any = entry
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        if found:
            return str(found)
    return "participant:" if entry["kind"] in BY_HERSELF else ""


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
