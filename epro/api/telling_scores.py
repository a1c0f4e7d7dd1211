"""Scores for staff: how each came about, how they changed from baseline, the diary by the week."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.errors import NotFound
from epro.questionnaires import catalogue
from epro.questionnaires.explaining import explain, in_words
from epro.responses import correcting, endpoints, receiving, runs, weeks
from epro.responses.endpoints import Change, Point
from epro.responses.models import Response, WeekScore
from epro.responses.sight import hides_scores
from epro.responses.weeks import Standing
from epro.scheduling import protocols
from epro.scheduling.protocol import Endpoint
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx


def explanations(tx: Tx, response_id: UUID, language: str | None) -> dict[str, Any]:
    """How each score of a response came about, by the definition of its last scoring. `current` is what stands in its
    place by now: its latest correction, or itself. Raises NotFound.
    """
    visible = access.visible(tx.actor, "response.read", Response)
    response = tx.one(sa.select(Response).where(Response.id == response_id, visible))
    if response is None:
        raise NotFound()
    participant = tx.get(Participant, response.study_id, response.subject_id)
    assert participant is not None
    current = correcting.versions(tx, response.study_id, response.id)[-1]
    told = {"response_id": str(response.id), "subject_id": response.subject_id, "study": response.study_id}
    told["current"] = str(current.id)
    if _hidden(tx, participant):
        return told | {"scores": []}
    return told | {"scores": _explained(tx, response, language)}


def changes(tx: Tx, participant: Participant, language: str | None) -> dict[str, Any]:
    """The study's endpoints for one participant, and her diaries by the week."""
    if _hidden(tx, participant):
        return {"endpoints": [], "weeks": []}
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    spoken = language or protocol.default_language
    told = [_endpoint(tx, participant, endpoint, spoken) for endpoint in protocol.endpoints]
    by_assessment: dict[str, list[Standing]] = defaultdict(list)
    for one in weeks.standing(tx, participant.study_id, [participant.subject_id]):
        by_assessment[one.row.assessment_id].append(one)
    return {
        "endpoints": [one for one in told if one is not None],
        "weeks": [
            {"assessment": assessment, "weeks": [_week(week) for week in found]}
            for assessment, found in by_assessment.items()
        ],
    }


def week(
    tx: Tx, participant: Participant, assessment: str, number: int, language: str | None
) -> dict[str, Any]:
    """How each score of a week of a diary came about, by the definition of its latest run. Raises NotFound."""
    found = weeks.standing(tx, participant.study_id, [participant.subject_id], assessment, number)
    if not found:
        raise NotFound()
    row = found[0].row
    told = _about(row) | {"subject_id": row.subject_id, "study": row.study_id, "assessment": assessment}
    if _hidden(tx, participant):
        return told | {"scores": []}
    definition = catalogue.find(tx, row.instrument_code, row.definition_version)
    assert definition is not None
    spoken = language if language in definition.languages else None
    made = {"run": row.run, "scored_at": row.scored_at.isoformat()}
    scores = explain(definition, weeks.answers_of(tx, row, definition), spoken)
    return told | {"scores": [one | made for one in scores if not one["blinded"]]}


def _hidden(tx: Tx, participant: Participant) -> bool:
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    return hides_scores(tx.actor, protocol, participant.study_id, participant.site_id)


def _explained(tx: Tx, response: Response, language: str | None) -> list[dict[str, Any]]:
    latest = {row.scale: row for row in runs.scores_of(tx, response.study_id, [response.id])}
    answers = receiving.answers_of(response)
    told = []
    for version in sorted({row.definition_version or response.instrument_version for row in latest.values()}):
        instrument = catalogue.find(tx, response.instrument_code, version)
        assert instrument is not None
        spoken = language if language in instrument.languages else None
        told += [
            one | {"run": latest[one["scale"]].run, "scored_at": latest[one["scale"]].scored_at.isoformat()}
            for one in explain(instrument, answers, spoken)
            if not one["blinded"]
            and one["scale"] in latest
            and (latest[one["scale"]].definition_version or response.instrument_version) == version
        ]
    return told


def _endpoint(tx: Tx, participant: Participant, endpoint: Endpoint, language: str) -> dict[str, Any] | None:
    """One endpoint with its points; None where the score is blinded."""
    found = endpoints.changes(tx, participant, endpoint)
    if any(one.point.blinded for one in found):
        return None
    return {
        "id": endpoint.id,
        "label": in_words(endpoint.label, language),
        "assessment": endpoint.assessment,
        "scale": endpoint.scale,
        "baseline": _point(found[0].baseline) if found and found[0].baseline else None,
        "responder_if": endpoint.responder.canonical() if endpoint.responder else None,
        "points": [_change(one) for one in found],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "response_id": str(point.response_id),
        "visit": point.visit,
        "local_day": point.local_day.isoformat(),
        "study_day": point.study_day,
        "value": point.value,
        "reason": point.reason,
        **({"week": point.week} if point.week is not None else {}),
    }


def _change(one: Change) -> dict[str, Any]:
    return _point(one.point) | {"change": one.change, "responder": one.responder}


def _about(row: WeekScore) -> dict[str, Any]:
    return {
        "number": row.week,
        "from_study_day": row.first_study_day,
        "first_day": row.first_day.isoformat(),
        "last_day": row.last_day.isoformat(),
        "run": row.run,
        "instrument": {
            "code": row.instrument_code,
            "version": row.definition_version,
            "digest": row.definition_digest,
        },
    }


def _week(week: Standing) -> dict[str, Any]:
    scores = {name: one for name, one in week.scores.items() if not one.blinded}
    return _about(week.row) | {
        "scores": {
            name: {
                "value": one.value,
                "answered": one.answered,
                "expected": one.expected,
                "reason": one.reason,
            }
            for name, one in scores.items()
        },
    }
