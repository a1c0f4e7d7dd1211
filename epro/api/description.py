"""The API's description where flask-smorest would not tell it as it is: every refusal is a problem document."""

from __future__ import annotations

from typing import Any

from flask_smorest import Api
from marshmallow import Schema, fields

PROBLEM = "application/problem+json"


class FaultOut(Schema):
    pointer = fields.String(required=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)
    why = fields.String(metadata={"description": "of a password: which rule it breaks"})


class ProblemOut(Schema):
    """RFC 9457, with a stable `code`; docs/problems.md says what each code means and what the caller does."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)
    errors = fields.List(fields.Nested(FaultOut))
    reason = fields.String()
    request_id = fields.String()
    checks = fields.Dict(keys=fields.String(), values=fields.Boolean())


class Description(Api):
    """flask-smorest's description with our errors in it."""

    ERROR_SCHEMA = ProblemOut

    def _register_responses(self) -> None:
        self.DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM
        super()._register_responses()
        self.DEFAULT_RESPONSE_CONTENT_TYPE = Api.DEFAULT_RESPONSE_CONTENT_TYPE


def row(**kinds: str) -> dict[str, Any]:
    """The shape of an object with exactly these fields, of a JSON type each; `?` behind it: or null."""
    described = {
        name: {
            "type": kind.rstrip("?"),
            **({"nullable": True} if kind.endswith("?") else {}),
            **({"items": {}} if kind.startswith("array") else {}),
        }
        for name, kind in kinds.items()
    }
    return {"type": "object", "required": list(kinds), "properties": described, "additionalProperties": False}


def rows(**kinds: str) -> dict[str, Any]:
    """A list of such objects."""
    return {"type": "array", "items": row(**kinds)}


ENDPOINTS = {
    "type": "object",
    "required": ["endpoints", "weeks"],
    "additionalProperties": False,
    "properties": {
        "endpoints": rows(
            id="string",
            label="string",
            assessment="string",
            scale="string",
            baseline="object?",
            responder_if="object?",
            points="array",
        ),
        "weeks": rows(assessment="string", weeks="array"),
    },
}
EXPLANATIONS = {
    "type": "object",
    "required": ["response_id", "current", "subject_id", "study", "scores"],
    "additionalProperties": False,
    "properties": {
        "response_id": {"type": "string", "format": "uuid"},
        "current": {
            "type": "string",
            "format": "uuid",
            "description": "the latest correction of this response, whose scores count; of one that was not corrected,"
            " or is the latest, its own id",
        },
        "subject_id": {"type": "string"},
        "study": {"type": "string"},
        "scores": rows(
            scale="string",
            label="string",
            value="number?",
            shown="string?",
            reason="string?",
            reason_words="string?",
            range="array",
            direction="object",
            formula="object",
            numbers="array",
            rule="object",
            answered="integer",
            expected="integer",
            items="array",
            missing="array",
            blinded="boolean",
            interpretation="array",
            instrument="object",
            run="integer",
            scored_at="string",
        ),
    },
}
_OF_A_WEEK = {
    "assessment": {"type": "string"},
    "number": {"type": "integer"},
    "from_study_day": {"type": "integer"},
    "first_day": {"type": "string", "format": "date"},
    "last_day": {"type": "string", "format": "date"},
    "run": {"type": "integer"},
    "instrument": {"type": "object"},
}
_OF_A_RESPONSE: dict[str, Any] = EXPLANATIONS["properties"]  # type: ignore[assignment]
WEEK_EXPLANATIONS = {
    "type": "object",
    "required": [*_OF_A_WEEK, "subject_id", "study", "scores"],
    "additionalProperties": False,
    "properties": _OF_A_WEEK | {name: _OF_A_RESPONSE[name] for name in ("subject_id", "study", "scores")},
}
WHY = {
    "type": "object",
    "required": ["question", "time_zone", "sentences"],
    "additionalProperties": False,
    "properties": {
        "question": {"type": "string"},
        "time_zone": {"type": "string"},
        "sentences": rows(code="string", text="string", at="string", facts="object"),
    },
}
TIMELINE = {
    "type": "object",
    "required": [
        "participant",
        "occurrences",
        "responses",
        "set_aside",
        "messages",
        "alerts",
        "anchors",
        "time_zones",
        "devices",
    ],
    "additionalProperties": False,
    "properties": {
        "participant": row(
            subject_id="string",
            study_id="string",
            site_id="string",
            language="string",
            time_zone="string",
            protocol_version="string",
            arm="string?",
            anchors="object",
            enrolled_at="string",
            withdrawn_at="string?",
            restricted_at="string?",
            messages="boolean",
        ),
        "occurrences": rows(
            id="string",
            assessment="string",
            visit="string?",
            study_day="integer",
            local_day="string",
            time_zone="string",
            state="string",
            cancelled_reason="string?",
            protocol_version="string",
            fulfilled_at="string?",
            at_risk_at="string?",
            missed_at="string?",
            excused_at="string?",
            excused_reason="string?",
            excused_by="string?",
            cancelled_at="string?",
            opens_at="string",
            closes_at="string",
        ),
        "responses": rows(
            id="string",
            occurrence_id="string",
            assessment="string",
            instrument="object",
            language="string",
            local_day="string",
            completed_at="string",
            corrected_at="string",
            received_at="string",
            time_zone="string?",
            clock_offset_ms="integer?",
            digest="string",
            findings="array",
            counts="boolean",
            amends_id="string?",
            amendment_no="integer?",
            scores="array",
        ),
        "set_aside": rows(
            settled_at="string?",
            settled_as="string?",
            filed_as="string?",
            id="string",
            response_id="string?",
            outcome="string",
            digest="string",
            findings="array",
            received_at="string",
        ),
        "messages": rows(
            id="string",
            purpose="string",
            recipient="string",
            template="string",
            channel="string?",
            occurrence_id="string?",
            alert_id="string?",
            why="object",
            withheld_reason="string?",
            failure="string?",
            planned_at="string",
            due_at="string",
            begun_at="string?",
            withheld_at="string?",
            accepted_at="string?",
            failed_at="string?",
            unknown_at="string?",
            delivered_at="string?",
            shown_at="string?",
            opened_at="string?",
        ),
        "alerts": rows(
            id="string",
            study_id="string",
            site_id="string",
            subject_id="string",
            kind="string",
            urgency="string",
            occurrence_id="string",
            why="object",
            raised_at="string",
            escalations="integer",
            acknowledged_at="string?",
            acknowledged_by="string?",
            acknowledged_note="string?",
            resolved_at="string?",
            resolved_by="string?",
            outcome="string?",
            resolved_note="string?",
            cleared_at="string?",
            cleared_why="string?",
            standing="boolean",
            owner="string?",
            due_at="string?",
            misses="integer",
            reopenings="integer",
        ),
        "anchors": rows(
            anchor="string",
            date="string",
            set_at="string",
            set_by="string",
            reason="string?",
            taken_back="boolean",
        ),
        "time_zones": rows(time_zone="string", since="string"),
        "snoozes": rows(occurrence_id="string", asked_at="string", until="string"),
        "devices": rows(
            id="string",
            platform="string?",
            app_version="string?",
            activated_at="string",
            revoked_at="string?",
        ),
        "notes": rows(id="string", at="string", by="string", note="string"),
    },
}
"""What `telling.timeline` tells: one participant's whole story."""
