"""A participant's own data, whole, as she may ask for them (to see them, to take them along).

What is kept from the role of who hands them out is not in it: `withheld` says what kind that is. Neither is what would
tell her what the trial keeps from her, which is the arm; nor who of the staff did what: that is the access report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Response

from epro import canonical
from epro.api import telling, telling_corrections
from epro.contacts import store
from epro.privacy import copies, erasing, readings
from epro.privacy.models import RightsRequest
from epro.responses import receiving, runs, settling, sight, words
from epro.responses.models import Response as Answered
from epro.scheduling import protocols
from epro.studies import access
from epro.studies.models import Participant
from epro.trail import instant
from epro.trail.models import Event
from epro.tx import Tx

FORMAT = "epro-own-data/1"
CONSENTS = (
    *("participant.enrolled", "participant.settings_changed", "participant.opted_in"),
    *("participant.opted_out", "participant.restricted", "participant.unrestricted"),
    *("participant.withdrawn", "participant.erased"),
)
OF_A_MESSAGE = (
    "purpose",
    "channel",
    "due_at",
    "accepted_at",
    "delivered_at",
    "withheld_at",
    "withheld_reason",
)
OF_A_DAY = ("assessment", "visit", "local_day", "opens_at", "closes_at", "time_zone", "state")
OF_A_RESPONSE = ("id", "instrument", "language", "local_day", "completed_at", "received_at", "amends_id")
OF_AN_ALERT = ("kind", "raised_at", "resolved_at", "outcome")
OF_A_REQUEST = ("kind", "text", "asked_on", "due_on", "answered_at", "outcome", "answer")


@dataclass(frozen=True, repr=False)
class Copy:
    """What was handed out: its parts, and the bytes that the digest is of."""

    told: dict[str, Any]
    content: bytes
    digest: str


def hand_out(tx: Tx, subject_id: str, study_id: str | None, form: str, reason: str) -> Copy:
    """Everything on file of her, written down as handed out."""
    row = access.participant(tx, subject_id, copies.HAND_OUT, study_id=study_id, lock=True)
    return of(tx, row, form, reason)


def sent(made: Copy) -> Response:
    """The file as a download."""
    response = Response(made.content, mimetype="application/json")
    name = f"{made.told['study']}-{made.told['subject_id']}-own-data.json"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "no-store"
    return response


def of(tx: Tx, row: Participant, form: str, reason: str) -> Copy:
    """The same of a row at hand, which is locked."""
    told = gathered(tx, row)
    content = json.dumps(told, ensure_ascii=False, indent=1).encode() + b"\n"
    counts = {name: len(part) for name, part in told.items() if isinstance(part, list) and name != "withheld"}
    return Copy(told, content, copies.hand_out(tx, row, form, reason, content, counts))


def gathered(tx: Tx, row: Participant) -> dict[str, Any]:
    """What is on file of her, as the actor may see it."""
    story = telling.timeline(tx, row)
    responses = receiving.of(tx, row)
    return {
        "format": FORMAT,
        "made_at": instant(tx.now),
        "study": row.study_id,
        "site": row.site_id,
        "subject_id": row.subject_id,
        "language": row.language,
        "time_zone": row.time_zone,
        "enrolled_at": instant(row.enrolled_at),
        "withdrawn_at": instant(row.withdrawn_at) if row.withdrawn_at else None,
        "contact": _contact(row),
        "messages": {"wanted": row.opted_out_at is None, "settings": row.preferences},
        "withheld": _withheld(tx, row, responses),
        "consents": _consents(tx, row),
        "days": [_some(one, ("anchor", "date", "set_at", "taken_back")) for one in story["anchors"]],
        "plan": [_some(one, OF_A_DAY) for one in story["occurrences"]],
        "answers": [
            _answered(tx, row, one, told) for one, told in zip(responses, story["responses"], strict=True)
        ],
        "not_filed": [_not_filed(tx, row, one) for one in receiving.set_aside(tx, row)],
        "messages_sent": [
            _some(one, OF_A_MESSAGE) for one in story["messages"] if one["recipient"] == erasing.owner(row)
        ],
        "alerts": [_some(one, OF_AN_ALERT) for one in story["alerts"]],
        "notes": [_some(one, ("at", "note")) for one in story["notes"]],
        "phones": story["devices"],
        "time_zones": story["time_zones"],
        "requests": _requests(tx, row),
        "looked_at": _looks(tx, row),
    }


def _contact(row: Participant) -> dict[str, str]:
    kept = store.of(row.study_id, erasing.owner(row))
    return {field: kept[field] for field in store.FIELDS if field in kept}


def _answered(tx: Tx, row: Participant, one: Answered, told: Mapping[str, Any]) -> dict[str, Any]:
    """One response with its words; without answers where they are hidden from the actor's role."""
    sheet = words.sheet(tx, one)
    called = {scale.name: scale.label for scale in sheet.instrument.scales}
    scores = [
        {"label": called.get(score["scale"], {}).get(one.language, score["scale"])}
        | _some(score, ("scale", "value", "reason"))
        for score in told["scores"]
    ]
    found = _some(told, OF_A_RESPONSE) | {"title": sheet.title, "words_in": sheet.language, "scores": scores}
    if _hides(tx, row):
        return found
    lines = sheet.lines(receiving.answers_of(one))
    return found | {
        "answers": [
            {"item": line.item, "question": line.text, "kind": line.kind}
            | {"answer": line.code if line.kind == "answered" else None, "words": line.words}
            for line in lines
        ]
    }


def _not_filed(tx: Tx, row: Participant, one: Any) -> dict[str, Any]:
    """An upload that has no place yet; without its content where that might hold what no person reads."""
    known = settling.instrument_of(one) is not None or not sight.hides_content(tx, row)
    content = telling_corrections.set_aside(tx, one).get("content") if known else None
    return {"received_at": instant(one.received_at), "content": content}


def _hides(tx: Tx, row: Participant) -> bool:
    protocol = protocols.find(tx, row.study_id, row.protocol_version)
    return sight.hides_scores(tx.actor, protocol, row.study_id, row.site_id)


def _withheld(tx: Tx, row: Participant, responses: list[Answered]) -> list[str]:
    """What kinds of things are on file and not in here."""
    scores = runs.scores_of(tx, row.study_id, [one.id for one in responses])
    hidden, asked = _hides(tx, row), {(one.instrument_code, one.instrument_version) for one in responses}
    found = {
        "arm": row.arm is not None,
        "scores": bool(scores) and hidden or any(score.blinded for score in scores),
        "answers": hidden and bool(responses) or any(sight.blinded_items(tx, *one) for one in asked),
    }
    return sorted(name for name, there in found.items() if there)


def _consents(tx: Tx, row: Participant) -> list[dict[str, Any]]:
    """What she has agreed to and taken back here, from the trail: taking part, messages, holding still."""
    query = sa.select(Event.body).where(
        Event.study_id == row.study_id, Event.subject_id == row.subject_id, Event.action.in_(CONSENTS)
    )
    told = [canonical.decode(body.encode()) for body in tx.all(query.order_by(Event.seq))]
    return [{"at": one["at"], "act": one["action"]} for one in told]


def _requests(tx: Tx, row: Participant) -> list[dict[str, Any]]:
    query = sa.select(RightsRequest).where(
        RightsRequest.study_id == row.study_id, RightsRequest.subject_id == row.subject_id
    )
    found = tx.all(query.order_by(RightsRequest.noted_at, RightsRequest.id))
    return [{name: _plain(getattr(one, name)) for name in OF_A_REQUEST} for one in found]


def _looks(tx: Tx, row: Participant) -> list[dict[str, Any]]:
    """How often her data were looked at, by what kind of reader: people of the staff are not named to her here."""
    found: dict[tuple[str, str, bool], dict[str, Any]] = {}
    for reader, kind, _, whole, times, first, last in readings.summary(tx, row):
        who = reader.partition(":")[0]
        told = {"reader": who, "what": kind, "whole_study": bool(whole), "times": 0}
        one = found.setdefault((who, kind, bool(whole)), told | {"first": first, "last": last})
        one["times"] += times
        one["first"], one["last"] = min(one["first"], first), max(one["last"], last)
    return [one | {"first": instant(one["first"]), "last": instant(one["last"])} for one in found.values()]


def _some(told: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: told[name] for name in names if told.get(name) is not None}


def _plain(value: Any) -> Any:
    if hasattr(value, "utcoffset"):
        return instant(value)
    return value.isoformat() if hasattr(value, "isoformat") else value
