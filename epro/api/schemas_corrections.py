"""The shapes of corrections and settlements."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from epro.api.schemas import FindingOut, InstrumentRef, ListIn, Strict, Text
from epro.api.schemas_signatures import SignatureOut
from epro.responses import correcting, settling


class CorrectionQuery(Schema):
    preview = fields.Boolean(load_default=False)


class CorrectionIn(Strict):
    answers = fields.Dict(
        keys=fields.String(),
        values=fields.Raw(allow_none=True),
        required=True,
        validate=validate.Length(1, 500),
        metadata={"description": "the changed items only; null clears one"},
    )
    reason = Text(2000, required=True)
    reported_by = fields.String(required=True, validate=validate.OneOf(correcting.REPORTERS))
    reported_at = fields.AwareDateTime()
    id = fields.UUID(metadata={"description": "made by the caller: the same again gets the same reply"})
    follows = fields.Integer(
        strict=True,
        validate=validate.Range(0, 1_000_000),
        metadata={"description": "the number of the correction that was read, 0 for none"},
    )


class AmendmentOut(Schema):
    number = fields.Integer()
    reason = fields.String(metadata={"description": "not told to whom the study hides answers"})
    reported_by = fields.String()
    reported_at = fields.AwareDateTime(allow_none=True)
    made_by = fields.String()
    made_at = fields.AwareDateTime()
    before_digest = fields.String()


class RunOut(Schema):
    scale = fields.String()
    run = fields.Integer()
    value = fields.Float(allow_none=True)
    reason = fields.String(allow_none=True)
    answered = fields.Integer()
    expected = fields.Integer()
    definition_version = fields.String(allow_none=True)
    scored_at = fields.AwareDateTime()


class VersionOut(Schema):
    id = fields.UUID()
    amends_id = fields.UUID(allow_none=True)
    digest = fields.String(allow_none=True)
    received_at = fields.AwareDateTime()
    settled_from = fields.String(allow_none=True)
    answers = fields.Dict(metadata={"description": "missing where the study hides answers"})
    findings = fields.List(fields.Nested(FindingOut))
    amendment = fields.Nested(AmendmentOut, allow_none=True)
    scores = fields.List(fields.Nested(RunOut))


class ResponseStoryOut(Schema):
    id = fields.UUID(metadata={"description": "of the original"})
    study = fields.String()
    site = fields.String()
    subject_id = fields.String()
    occurrence_id = fields.UUID()
    assessment = fields.String()
    instrument = fields.Nested(InstrumentRef)
    local_day = fields.Date()
    completed_at = fields.AwareDateTime()
    current = fields.UUID()
    as_read = fields.String(
        metadata={
            "description": "a mark of the current revision with its scores, to be signed as it was read"
        }
    )
    counts = fields.Boolean(
        metadata={"description": "whether it is the answer that counts for its occurrence"}
    )
    versions = fields.List(fields.Nested(VersionOut))
    signatures = fields.List(fields.Nested(SignatureOut))


class ScoreDifferenceOut(Schema):
    scale = fields.String()
    before = fields.Float(allow_none=True)
    before_reason = fields.String(allow_none=True)
    after = fields.Float(allow_none=True)
    after_reason = fields.String(allow_none=True)


class CorrectedOut(Schema):
    preview = fields.Boolean()
    id = fields.UUID()
    amends_id = fields.UUID()
    number = fields.Integer()
    digest = fields.String(allow_none=True)
    signature = fields.String()
    received_at = fields.AwareDateTime()
    findings = fields.List(fields.Nested(FindingOut))
    differences = fields.List(fields.Nested(ScoreDifferenceOut))


class SetAsideIn(ListIn):
    standing = fields.Boolean(load_default=False)


class InstrumentIn(Strict):
    code = Text(64, required=True)
    version = Text(64, required=True)


class SettlementIn(Strict):
    outcome = fields.String(required=True, validate=validate.OneOf(settling.OUTCOMES))
    reason = Text(2000, required=True)
    occurrence_id = fields.UUID()
    instrument = fields.Nested(InstrumentIn)
    completed_at = Text(40)
    leave_out = fields.List(Text(200), validate=validate.Length(max=500))
    response_id = fields.UUID(metadata={"description": "file it as a correction of this response"})


class SettlementOut(Schema):
    outcome = fields.String()
    reason = fields.String(metadata={"description": "not told to whom the study hides answers"})
    settled_by = fields.String()
    settled_at = fields.AwareDateTime()
    response_id = fields.UUID(allow_none=True)


class OneSetAsideOut(Schema):
    id = fields.UUID()
    study = fields.String()
    subject_id = fields.String()
    response_id = fields.String(allow_none=True)
    outcome = fields.String(validate=validate.OneOf(["held", "conflict"]))
    digest = fields.String(allow_none=True)
    findings = fields.List(fields.Nested(FindingOut))
    received_at = fields.AwareDateTime()
    settlement = fields.Nested(SettlementOut, allow_none=True)


class SetAsideStoryOut(OneSetAsideOut):
    content = fields.Raw(metadata={"description": "as it came; missing where the study hides answers"})


class SetAsidesOut(Schema):
    set_asides = fields.List(fields.Nested(OneSetAsideOut))
    more = fields.Boolean()
