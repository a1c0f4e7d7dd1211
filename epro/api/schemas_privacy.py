"""What the site sends and is told about contact data and about what people ask of theirs."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from epro.api.schemas import ListIn, ReasonIn, Strict, Text
from epro.privacy import rights


class ContactChangeIn(ReasonIn):
    """The fields to change; null takes one away."""

    phone = Text(40, allow_none=True)
    email = Text(200, allow_none=True)
    name = Text(100, allow_none=True)


class RightsRequestIn(Strict):
    id = fields.UUID()
    kind = fields.String(required=True, validate=validate.OneOf(rights.KINDS))
    asked_on = fields.Date(required=True)
    text = Text(2000, required=True)


class RightsAnswerIn(ReasonIn):
    outcome = fields.String(required=True, validate=validate.OneOf(rights.OUTCOMES))


class RightsIn(ListIn):
    standing = fields.Boolean(load_default=True)


class RightsRequestOut(Schema):
    id = fields.UUID()
    study = fields.String(attribute="study_id")
    subject_id = fields.String()
    kind = fields.String()
    text = fields.String()
    asked_on = fields.Date()
    due_on = fields.Date()
    noted_by = fields.String()
    noted_at = fields.AwareDateTime()
    answered_at = fields.AwareDateTime(allow_none=True)
    answered_by = fields.String(allow_none=True)
    outcome = fields.String(allow_none=True)
    answer = fields.String(allow_none=True)


class RightsRequestsOut(Schema):
    requests = fields.List(fields.Nested(RightsRequestOut))
    more = fields.Boolean()
