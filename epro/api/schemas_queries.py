"""The shapes of queries."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from epro.api.schemas import ListIn, Strict, Text
from epro.queries.asking import STATES


class QueryIn(Strict):
    text = Text(2000, required=True)
    item = Text(200, metadata={"description": "the id of the item, where it is about one answer"})
    id = fields.UUID(metadata={"description": "made by the caller: the same again gets the same reply"})


class SaidIn(Strict):
    text = Text(2000, required=True)


class ClosureIn(Strict):
    text = Text(2000, metadata={"description": "needed where the site has not answered"})


class QueriesIn(ListIn):
    subject_id = Text(64)
    state = fields.String(validate=validate.OneOf(STATES))


class QueryStepOut(Schema):
    number = fields.Integer()
    kind = fields.String(validate=validate.OneOf(STATES))
    text = fields.String(allow_none=True)
    said_by = fields.String()
    role = fields.String()
    said_at = fields.AwareDateTime()


class QueryOut(Schema):
    id = fields.UUID()
    study = fields.String()
    subject_id = fields.String()
    response_id = fields.UUID(metadata={"description": "of the first, where it was corrected"})
    item = fields.String(allow_none=True)
    state = fields.String(
        validate=validate.OneOf(STATES),
        metadata={
            "description": "asked: the site is to answer; answered: who asked is to close or ask again"
        },
    )
    asked_by = fields.String()
    asked_at = fields.AwareDateTime()
    steps = fields.List(fields.Nested(QueryStepOut))


class QueriesOut(Schema):
    queries = fields.List(fields.Nested(QueryOut))
    more = fields.Boolean()
