"""What comes in and goes out where people of the staff sign in and look after accounts."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from epro.api.schemas import GrantOut, Strict, Text
from epro.signin.password_rules import LONGEST
from epro.studies.access import ROLES


def password(**kwargs: object) -> fields.String:
    return fields.String(required=True, validate=validate.Length(1, LONGEST + 72), **kwargs)  # type: ignore[arg-type]


class OtpIn(Strict):
    otp = Text(40, required=True)


class StepUpIn(Strict):
    password = fields.String(validate=validate.Length(1, 200))
    otp = Text(40)
    ticket = Text(100)
    credential = fields.Dict(keys=fields.String())


class SeedOut(Schema):
    seed = fields.String(attribute="text")
    address = fields.String(metadata={"description": "otpauth address for an authenticator app"})
    qr_svg = fields.String(attribute="svg")


class CodesOut(Schema):
    recovery_codes = fields.List(
        fields.String(), metadata={"description": "shown once; none where there are some"}
    )


class PasswordIn(Strict):
    password = password()


class PasskeyOptionsOut(Schema):
    ticket = fields.String()
    options = fields.Raw()


class PasskeyIn(Strict):
    ticket = Text(100, required=True)
    credential = fields.Dict(keys=fields.String(), required=True)


class NewPasskeyIn(PasskeyIn):
    name = Text(60, load_default="passkey")


class PasskeyOut(Schema):
    id = fields.String()
    name = fields.String()
    added_at = fields.DateTime()
    used_at = fields.DateTime(allow_none=True)


class PasskeysOut(Schema):
    passkeys = fields.List(fields.Nested(PasskeyOut))


class SessionOut(Schema):
    id = fields.String()
    started_at = fields.DateTime()
    seen_at = fields.DateTime(allow_none=True)
    second_factor = fields.String(allow_none=True)
    opened_from = fields.String(allow_none=True)
    agent = fields.String(allow_none=True)
    this_one = fields.Boolean()


class SessionsOut(Schema):
    sessions = fields.List(fields.Nested(SessionOut))


class RecoveryIn(Strict):
    email = Text(200, required=True)


class RecoveredIn(Strict):
    link = Text(100, required=True)
    password = password()


class GrantIn(Strict):
    study = Text(32, required=True)
    site = Text(32, load_default="*")
    role = fields.String(required=True, validate=validate.OneOf(ROLES))


class GrantBackIn(GrantIn):
    reason = Text(500, required=True)


class InvitationIn(Strict):
    email = Text(200, required=True)
    name = Text(100, required=True)
    language = fields.String(load_default="zh-CN", validate=validate.OneOf(("zh-CN", "en")))
    phone = Text(40)
    roles = fields.List(fields.Nested(GrantIn), required=True, validate=validate.Length(1, 20))


class WhyIn(Strict):
    reason = Text(500, required=True)


class AccountOut(Schema):
    id = fields.String()
    created_at = fields.DateTime()
    closed_at = fields.DateTime(allow_none=True)
    has_password = fields.Boolean()
    has_second_factor = fields.Boolean()
    is_shut = fields.Boolean()
    roles = fields.List(fields.Nested(GrantOut))


class AccountsOut(Schema):
    accounts = fields.List(fields.Nested(AccountOut))
