"""A study at a cut as FHIR: a file of lines (NDJSON) for each kind of resource. Pure.

What the FHIR door tells of the same participants, but from the feed up to a position: questionnaires, study, sites,
participants, responses as they stand after their corrections, their scores, where each version came from, what was
answered or missed, and every act that the feed tells of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any, BinaryIO
from uuid import UUID

import orjson

from epro.export import records
from epro.export.extract import Extract, Options
from epro.export.fhir_acts import acts, tasks
from epro.export.fhir_names import Json, observation_id
from epro.export.fhir_questionnaires import questionnaire
from epro.export.fhir_record import provenance
from epro.export.fhir_responses import Version, questionnaire_response
from epro.export.fhir_scores import observation, week_observation, week_sources
from epro.export.fhir_studies import location, organization, patient, research_study, research_subject
from epro.export.files import Folder
from epro.questionnaires.instrument import localised

BASE = "urn:epro"  # of canonical addresses, where the public address is not told
KINDS = (
    "Questionnaire",
    "ResearchStudy",
    "Organization",
    "Location",
    "Patient",
    "ResearchSubject",
    "QuestionnaireResponse",
    "Observation",
    "Provenance",
    "Task",
    "AuditEvent",
)
_OF_A_SCORE = (
    "scale",
    "value",
    "reason",
    "answered",
    "expected",
    "rule",
    "method",
    "method_version",
    "blinded",
)


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """A file for each kind; `extra["base"]` is the public address that canonical addresses begin with."""
    base = options.extra.get("base", BASE)
    counts = dict.fromkeys(KINDS, 0)
    with ExitStack() as opened:
        files: dict[str, BinaryIO] = {
            kind: opened.enter_context(open(folder.at(f"{kind}.ndjson"), "wb", 1 << 20)) for kind in KINDS
        }
        for one in resources(extract, base):
            files[one["resourceType"]].write(orjson.dumps(one) + b"\n")
            counts[one["resourceType"]] += 1
    for kind, rows in counts.items():
        folder.note(f"{kind}.ndjson", rows)


def resources(extract: Extract, base: str) -> Iterator[Json]:
    """Every resource: definitions first, then one participant after the other."""
    for instrument in extract.instruments():
        for language in instrument.languages:
            words = localised(instrument, language)
            yield questionnaire(instrument, words, base=base, published_at=extract.cut.at, scoring=True)
    yield from _study(extract)
    for subject in extract.subjects():
        yield from _subject(extract, subject, base)


def _study(extract: Extract) -> Iterator[Json]:
    study_id, at = extract.study_id, extract.cut.at
    sites = [one for one in extract.protocol.sites if extract.sites is None or one.id in extract.sites]
    title = extract.protocol.title
    row = SimpleNamespace(id=study_id, opened_at=at)
    words = title.get("en") or next(iter(title.values()))
    yield research_study(row, words, [one.id for one in sites])
    for site in sites:
        told = SimpleNamespace(study_id=study_id, id=site.id, names=site.name, phone=site.phone, opened_at=at)
        yield organization(told)
        yield location(told)


def _subject(extract: Extract, subject: records.Subject, base: str) -> Iterator[Json]:
    enrolled, left = subject.enrolled, subject.withdrawal
    if enrolled is not None:
        row = SimpleNamespace(
            study_id=subject.study_id,
            subject_id=subject.subject_id,
            site_id=subject.site,
            enrolled_at=_instant(enrolled["enrolled_at"]),
            withdrawn_at=_instant(left["at"]) if left and left.get("at") else None,
        )
        yield patient(row)
        yield research_subject(row)
    for response in subject.responses:
        yield from _response(extract, subject, response, base)
    versions = _versions(subject)
    for week in subject.scored_weeks():
        yield from _week(extract, subject, week, versions)
    yield from tasks(extract, subject, base)
    yield from acts(subject)


def _response(
    extract: Extract, subject: records.Subject, response: records.Response, base: str
) -> Iterator[Json]:
    first, root = response.versions[0].told, UUID(response.id)
    for number, filed in enumerate(response.versions, 1):
        version = Version(root, number, _instant(first["corrected_at"]))
        told = filed.told
        instrument = extract.instrument(told["instrument"]["code"], told["instrument"]["version"])
        row = _row(subject, told, filed.at)
        made_by = extract.instrument(filed.definition["code"], filed.definition["version"])
        scales = {scale.name for scale in extract.scales(made_by)}
        shown = [score for score in filed.scores if score["scale"] in scales]
        yield _origin(subject, filed, version, [score["scale"] for score in shown])
        if filed is not response.current:
            continue
        withheld = (
            None
            if "answers" not in told
            else {item.id for item in instrument.items} - {item.id for item in extract.items(instrument)}
        )
        yield questionnaire_response(
            row, told.get("answers", {}), instrument, version, base=base, withheld=withheld
        )
        for score in shown:
            yield observation(_score(row, filed, score), made_by, version)


def _versions(subject: records.Subject) -> dict[str, Version]:
    """Id of what was filed, or of its correction -> which version of which response it is."""
    return {
        filed.id: Version(UUID(one.id), number, _instant(one.versions[0].told["corrected_at"]))
        for one in subject.responses
        for number, filed in enumerate(one.versions, 1)
    }


def _week(
    extract: Extract, subject: records.Subject, week: records.Week, versions: Mapping[str, Version]
) -> Iterator[Json]:
    """The scores of a week that may be shown, by its latest scoring."""
    told = week.told
    made_by = extract.instrument(told["instrument"]["code"], told["instrument"]["version"])
    scales = {scale.name for scale in extract.scales(made_by)}
    sources = [versions[id] for id in week_sources(made_by, told["sources"]) if id in versions]
    for score in week.scores:
        if score["scale"] in scales:
            yield week_observation(_of_week(subject, week, score), made_by, sources)


def _of_week(subject: records.Subject, week: records.Week, score: Json) -> SimpleNamespace:
    told = week.told
    return SimpleNamespace(
        **{name: score[name] for name in _OF_A_SCORE},
        study_id=subject.study_id,
        subject_id=subject.subject_id,
        id=UUID(told["id"]),
        week=told["number"],
        run=told["run"],
        first_day=date.fromisoformat(told["first_day"]),
        last_day=date.fromisoformat(told["last_day"]),
        scored_at=_instant(week.at),
        definition_version=told["instrument"]["version"],
    )


def _row(subject: records.Subject, told: Json, at: str) -> SimpleNamespace:
    started = told.get("started_at")
    return SimpleNamespace(
        study_id=subject.study_id,
        subject_id=subject.subject_id,
        occurrence_id=told["occurrence_id"],
        instrument_code=told["instrument"]["code"],
        instrument_version=told["instrument"]["version"],
        language=told["language"],
        local_day=date.fromisoformat(told["local_day"]),
        time_zone=told.get("time_zone"),
        started_at=_instant(started) if started else None,
        corrected_at=_instant(told["corrected_at"]),
        received_at=_instant(told.get("received_at") or at),
        filed_at=_instant(at),
    )


def _score(row: SimpleNamespace, filed: records.Version, score: Json) -> SimpleNamespace:
    """The score with what it is about; `run` counts the scorings, and the time is that of the one it came from."""
    runs = [run for run in filed.runs if any(one is score for one in run.scores)]
    latest = runs[-1] if runs else filed.runs[-1]
    definition = score.get("definition")
    return SimpleNamespace(
        **{name: score[name] for name in _OF_A_SCORE},
        study_id=row.study_id,
        subject_id=row.subject_id,
        run=score.get("run", filed.runs.index(latest) + 1),
        scored_at=_instant(latest.at),
        completed=row.corrected_at,
        definition_version=definition["version"] if definition else None,
    )


def _origin(
    subject: records.Subject, filed: records.Version, version: Version, scales: Iterable[str]
) -> Json:
    amendment = filed.amendment
    row = SimpleNamespace(
        id=filed.event_id,
        study_id=subject.study_id,
        subject_id=subject.subject_id,
        at=_instant(filed.at),
        action="response.amended" if amendment else "response.stored",
        actor=amendment.get("made_by", "staff:unknown") if amendment else "participant:",
    )
    scored = [observation_id(version.id, scale) for scale in scales]
    reason = amendment["reason"] if amendment else None
    return provenance(row, str(version.id), version.number, scored, reason)


def _instant(text: Any) -> datetime:
    return text if isinstance(text, datetime) else datetime.fromisoformat(text)
