"""The shapes of signatures."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from epro.api.schemas import InstrumentRef, ListIn, Strict, Text
from epro.signing.meanings import MEANINGS
from epro.signing.signatures import MOST


class SigningIn(Strict):
    meaning = fields.String(required=True, validate=validate.OneOf(list(MEANINGS)))
    accepts_policy = fields.Boolean(
        load_default=False, metadata={"description": "needed once, at the first signature of a person"}
    )
    id = fields.UUID(metadata={"description": "made by the caller: the same again gets the same reply"})
    password = fields.String(
        validate=validate.Length(1, 200),
        metadata={
            "description": "shown once more with this request; or `POST /v1/staff/me/step-up` before it"
        },
    )
    otp = Text(40)
    as_read = fields.Dict(
        keys=fields.UUID(),
        values=fields.String(validate=validate.Length(1, 64)),
        validate=validate.Length(max=MOST),
        metadata={
            "description": "revision: the `as_read` that it was told with; a scoring since then signs nothing"
        },
    )


class OneSigningIn(SigningIn):
    current = fields.UUID(metadata={"description": "the revision that was read; another one is not signed"})


class ManySigningIn(SigningIn):
    responses = fields.List(
        fields.UUID(),
        required=True,
        validate=validate.Length(1, MOST),
        metadata={"description": "the revisions that were read, all of one participant"},
    )


class SignaturesIn(ListIn):
    subject_id = Text(64)
    broken = fields.Boolean(
        metadata={"description": "true: only those that do not hold; false: only those that do"}
    )


class SignedOut(Schema):
    id = fields.UUID(metadata={"description": "the revision that was signed"})
    original_id = fields.UUID()
    digest = fields.String(metadata={"description": "not told to whom the study hides answers"})
    holds = fields.Boolean()
    cause = fields.String(metadata={"description": "why it does not hold: corrected or rescored"})
    broken_at = fields.AwareDateTime()
    broken_by = fields.String()


class SignatureOut(Schema):
    id = fields.UUID()
    study = fields.String()
    subject_id = fields.String()
    visit = fields.String(allow_none=True)
    meaning = fields.String()
    statement = fields.String()
    name = fields.String(metadata={"description": "of the signer, as it was when she signed"})
    role = fields.String()
    signed_by = fields.String()
    signed_at = fields.AwareDateTime()
    time_zone = fields.String(metadata={"description": "of the site"})
    shown_by = fields.String()
    holds = fields.Boolean()
    digest = fields.String()
    seal = fields.String()
    responses = fields.List(fields.Nested(SignedOut))


class SignaturesOut(Schema):
    signatures = fields.List(fields.Nested(SignatureOut))
    more = fields.Boolean()


class OneUnsignedOut(Schema):
    id = fields.UUID(metadata={"description": "of the first"})
    current = fields.UUID(metadata={"description": "the revision to be read and signed"})
    study = fields.String()
    subject_id = fields.String()
    assessment = fields.String()
    visit = fields.String(allow_none=True)
    instrument = fields.Nested(InstrumentRef)
    local_day = fields.Date()
    completed_at = fields.AwareDateTime()
    received_at = fields.AwareDateTime()


class UnsignedOut(Schema):
    responses = fields.List(fields.Nested(OneUnsignedOut))
    more = fields.Boolean()
