"""How corrected responses and what was set aside are told to staff: each reads what her role may see."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.api import telling_signatures
from epro.responses import correcting, receiving, settling, sight
from epro.responses.correcting import Corrected
from epro.responses.models import Amendment, Response, Score, SetAside, Settlement
from epro.scheduling import protocols
from epro.signing import signatures
from epro.studies.models import Participant
from epro.tx import Tx


def story(tx: Tx, found: Response) -> dict[str, Any]:
    """A response with its whole history: the original, its corrections, the scores of every run."""
    versions = correcting.versions(tx, found.study_id, found.id)
    original, participant = versions[0], _participant(tx, found)
    hidden, blinded = _hidden(tx, participant), _blinded(tx, original)
    ids = [one.id for one in versions]
    facts, scores = correcting.amendments_of(tx, original.study_id, ids), _runs(tx, original.study_id, ids)
    told = [_version(one, facts.get(one.id), scores[one.id], hidden, blinded) for one in versions]
    return {
        "id": original.id,
        "study": original.study_id,
        "site": participant.site_id,
        "subject_id": original.subject_id,
        "occurrence_id": original.occurrence_id,
        "assessment": original.assessment_id,
        "instrument": {"code": original.instrument_code, "version": original.instrument_version},
        "local_day": original.local_day,
        "completed_at": original.completed_at,
        "current": versions[-1].id,
        "as_read": signatures.marks(tx, original.study_id, versions[-1:])[versions[-1].id],
        "counts": receiving.primary(_rivals(tx, original)).id == versions[-1].id,
        "versions": told,
        "signatures": telling_signatures.under(tx, original.study_id, original.id),
    }


def corrected(tx: Tx, made: Corrected, *, preview: bool) -> dict[str, Any]:
    """A correction with what it does to the scores, as far as they may be seen."""
    hidden = _hidden(tx, _participant(tx, made.case.original))
    row = made.row
    told = {name: row[name] for name in ("id", "amends_id", "signature", "received_at")}
    withheld = hidden or bool(_blinded(tx, made.case.original))
    told["digest"] = None if withheld else row["digest"]
    told["findings"] = sight.findings(row["findings"], hidden=withheld)
    differences = [] if hidden else [_difference(made, one) for one in made.scores if not one["blinded"]]
    return told | {"preview": preview, "number": row["amendment_no"], "differences": differences}


def set_asides(tx: Tx, rows: list[SetAside]) -> list[dict[str, Any]]:
    made = settling.made_of(tx, rows)
    return [_set_aside(tx, row, made.get(row.id)) for row in rows]


def set_aside(tx: Tx, row: SetAside) -> dict[str, Any]:
    """One with its content, for those who may see answers; without the answers to blinded items."""
    told = _set_aside(tx, row, settling.made_of(tx, [row]).get(row.id))
    if _hidden(tx, _participant(tx, row)):
        return told
    content = json.loads(row.body)
    if isinstance(content, dict) and isinstance(content.get("answers"), dict):
        named = settling.instrument_of(row)
        blinded = sight.blinded_items(tx, named["code"], named["version"]) if named else ()
        content["answers"] = _seen(content["answers"], blinded)
    return told | {"content": content}


def _version(
    row: Response, facts: Amendment | None, scores: list[Score], hidden: bool, blinded: Collection[str]
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": row.id,
        "amends_id": row.amends_id,
        "received_at": row.received_at,
        "settled_from": json.loads(row.body).get("settled_from"),
        "findings": sight.findings(row.findings, hidden=hidden or bool(blinded)),
        "amendment": _amendment(row, facts, hidden or bool(blinded)) if facts else None,
        "scores": [one for one in scores if not (hidden or one.blinded)],
    }
    told["digest"] = None if hidden or blinded else row.digest
    if not hidden:
        told["answers"] = _seen(receiving.answers_of(row), blinded)
    return told


def _amendment(row: Response, facts: Amendment, withheld: bool) -> dict[str, Any]:
    names = ("reported_by", "reported_at", "made_by", "made_at")
    told = {name: getattr(facts, name) for name in names} | {"number": row.amendment_no}
    return told if withheld else told | {"reason": facts.reason, "before_digest": facts.before_digest}


def _difference(made: Corrected, one: Any) -> dict[str, Any]:
    before = made.before.get(one["scale"])
    return {
        "scale": one["scale"],
        "before": before.value if before else None,
        "before_reason": before.reason if before else None,
        "after": one["value"],
        "after_reason": one["reason"],
    }


def _set_aside(tx: Tx, row: SetAside, made: Settlement | None) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ("id", "subject_id", "response_id", "outcome")}
    told |= {"study": row.study_id, "received_at": row.received_at}
    withheld = sight.hides_content(tx, _participant(tx, row))
    told["findings"] = sight.reasons(row.findings, hidden=withheld)
    told["digest"] = None if withheld else row.digest
    return told | {"settlement": _settlement(made, withheld) if made else None}


def _settlement(made: Settlement, withheld: bool) -> dict[str, Any]:
    told = {name: getattr(made, name) for name in ("outcome", "settled_by", "settled_at", "response_id")}
    return told if withheld else told | {"reason": made.reason}


def _seen(answers: dict[str, Any], blinded: Collection[str]) -> dict[str, Any]:
    return {item: code for item, code in answers.items() if item not in blinded}


def _hidden(tx: Tx, participant: Participant) -> bool:
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    return sight.hides_scores(tx.actor, protocol, participant.study_id, participant.site_id)


def _blinded(tx: Tx, row: Response) -> frozenset[str]:
    return sight.blinded_items(tx, row.instrument_code, row.instrument_version)


def _participant(tx: Tx, row: Any) -> Participant:
    found = tx.get(Participant, row.study_id, row.subject_id)
    assert found is not None
    return found


def _rivals(tx: Tx, row: Response) -> list[Response]:
    """Everything on file for its occurrence."""
    query = sa.select(Response).where(
        Response.study_id == row.study_id,
        Response.subject_id == row.subject_id,
        Response.occurrence_id == row.occurrence_id,
    )
    return tx.all(query)


def _runs(tx: Tx, study_id: str, ids: list[UUID]) -> dict[UUID, list[Score]]:
    found: dict[UUID, list[Score]] = defaultdict(list)
    query = sa.select(Score).where(Score.study_id == study_id, Score.response_id.in_(ids))
    for row in tx.all(query.order_by(Score.response_id, Score.scale, Score.run)):
        found[row.response_id].append(row)
    return found
