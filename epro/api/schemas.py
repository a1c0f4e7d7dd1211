"""The shapes that come in and go out. Whatever a schema does not name is refused on its way in."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from zoneinfo import available_timezones

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from epro.notifications import following
from epro.scheduling import excusing

CHANNELS = ("sms", "email", "push", "app")
ZONES = frozenset(available_timezones())


class Strict(Schema):
    """Unknown fields are errors; the answer lists them."""


class Text(fields.String):
    """A text of 1 to `longest` characters, without control characters."""

    def __init__(self, longest: int = 200, **kwargs: Any):
        super().__init__(validate=[validate.Length(1, longest), _printable], **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str):
            raise ValidationError("Not a text.")
        return super()._deserialize(value, attr, data, **kwargs)


def _printable(value: str) -> None:
    if any(ord(c) < 32 and c not in "\n\t" or 0x7F <= ord(c) < 0xA0 for c in value):
        raise ValidationError("Control characters are not allowed.")


def _zone(value: str) -> None:
    if value not in ZONES:
        raise ValidationError("Not a time zone such as Asia/Shanghai.")


def _clock(value: str) -> None:
    hours, _, minutes = value.partition(":")
    right = (
        len(value) == 5 and hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()
    )
    if not right or int(hours) > 23 or int(minutes) > 59:
        raise ValidationError("Not a time of day such as 19:30.")


def day(**kwargs: Any) -> fields.Date:
    """A day that can be meant; another year is a slip of the finger, and would move a whole plan."""
    return fields.Date(validate=validate.Range(date(1900, 1, 1), date(2199, 12, 31)), **kwargs)


class Days(fields.Dict):
    """Days by name. A fault is told under the name itself, as a JSON pointer has it."""

    def __init__(self, **kwargs: Any):
        super().__init__(keys=fields.String(), values=day(), **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as fault:
            if not isinstance(fault.messages, dict):
                raise
            told = {
                name: [text for texts in about.values() for text in texts]
                for name, about in fault.messages.items()
            }
            raise ValidationError(told) from None


def channels(**kwargs: Any) -> fields.List:
    """The channels that may carry reminders, the preferred first."""
    one = fields.String(validate=validate.OneOf(CHANNELS))
    return fields.List(one, validate=validate.Length(1, len(CHANNELS)), **kwargs)


def zone(**kwargs: Any) -> fields.String:
    return fields.String(validate=_zone, **kwargs)


def clock(**kwargs: Any) -> fields.String:
    return fields.String(validate=_clock, **kwargs)


# ── phone ──


class DeviceIn(Strict):
    installation_id = Text(100, required=True)
    platform = Text(40)
    app_version = Text(40)
    os_version = Text(40)
    model = Text(80)
    push_token = Text(400)
    language = Text(20)
    time_zone = zone()


class ActivateIn(Strict):
    activation_code = Text(60, required=True)
    device = fields.Nested(DeviceIn, required=True)


class RefreshIn(Strict):
    refresh_token = Text(400, required=True)
    installation_id = Text(100)


class PairOut(Schema):
    access_token = fields.String()
    token_type = fields.String()
    expires_in = fields.Integer()
    refresh_token = fields.String()


class SiteOut(Schema):
    id = fields.String()
    name = fields.String()
    phone = fields.String(allow_none=True)


class MessageLimitsOut(Schema):
    quiet_hours = fields.List(fields.String(), metadata={"description": "in force where she names none"})
    always_quiet = fields.List(fields.String(), allow_none=True)
    longest_quiet_minutes = fields.Integer()
    daily_cap = fields.Integer(metadata={"description": "in force where she sets none"})
    least_daily_cap = fields.Integer()
    most_daily_cap = fields.Integer()
    snoozes = fields.Integer(metadata={"description": "how often one occurrence can be put off"})
    longest_snooze_minutes = fields.Integer()


class MeOut(Schema):
    subject_id = fields.String()
    study = fields.String()
    study_title = fields.String()
    language = fields.String()
    languages = fields.List(fields.String())
    time_zone = fields.String()
    zone_policy = fields.String()
    asked_time_zone = fields.String(
        allow_none=True,
        metadata={"description": "where the phone says that she is, while that waits to be confirmed"},
    )
    reminder_hour = fields.String(allow_none=True)
    quiet_hours = fields.List(fields.String(), allow_none=True)
    daily_cap = fields.Integer(allow_none=True)
    channels = fields.List(fields.String(), allow_none=True)
    messages = fields.Boolean()
    limits = fields.Nested(MessageLimitsOut)
    site = fields.Nested(SiteOut)


class MeIn(Strict):
    language = Text(20)
    time_zone = zone()
    time_zone_confirmed = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={"description": "she has said so herself; asked for where the study's zone_policy is ask"},
    )
    reminder_hour = clock(allow_none=True)
    quiet_hours = fields.List(clock(), validate=validate.Length(equal=2), allow_none=True)
    daily_cap = fields.Integer(strict=True, validate=validate.Range(0, 20), allow_none=True)
    channels = channels(allow_none=True)
    messages = fields.Boolean(truthy={True}, falsy={False})


class ActivatedOut(PairOut):
    participant = fields.Nested(MeOut)


class SinceIn(Schema):
    since = fields.String()
    limit = fields.Integer(load_default=200, validate=validate.Range(1, 500))


class InstrumentRef(Schema):
    code = fields.String()
    version = fields.String()


class ReminderOut(Schema):
    at = fields.AwareDateTime()


class OccurrenceOut(Schema):
    id = fields.UUID()
    assessment = fields.String()
    label = fields.String()
    instrument = fields.Nested(InstrumentRef)
    visit = fields.String(allow_none=True)
    study_day = fields.Integer()
    opens_at = fields.AwareDateTime()
    closes_at = fields.AwareDateTime()
    finish_by = fields.AwareDateTime(
        metadata={"description": "until when an answering that had begun before the closing still counts"}
    )
    local_day = fields.Date()
    time_zone = fields.String()
    snoozed_until = fields.AwareDateTime(allow_none=True)
    state = fields.String()
    reminders = fields.List(fields.Nested(ReminderOut))


class OnDemandIn(Strict):
    assessment = Text(32, required=True)


class WordedInstrument(InstrumentRef):
    wording = fields.String(
        allow_none=True, metadata={"description": "digest of the licensed wording in force, if there is one"}
    )


class ChangesOut(Schema):
    occurrences = fields.List(fields.Nested(OccurrenceOut))
    instruments = fields.List(fields.Nested(WordedInstrument))
    next = fields.String()
    more = fields.Boolean()
    server_time = fields.AwareDateTime()


class InstrumentIn(Schema):
    lang = fields.String()
    wording = fields.String(metadata={"description": "digest of an approved wording, as `/changes` told it"})


class FindingOut(Schema):
    code = fields.String()
    detail = fields.String()
    pointer = fields.String()


class ReceiptOut(Schema):
    id = fields.String(allow_none=True)
    outcome = fields.String(validate=validate.OneOf(["stored", "already_stored", "held", "conflict"]))
    digest = fields.String()
    received_at = fields.String()
    signature = fields.String()
    findings = fields.List(fields.Nested(FindingOut))


class ReceiptsOut(Schema):
    receipts = fields.List(fields.Nested(ReceiptOut))
    server_time = fields.String()


class DraftIn(Strict):
    answers = fields.Dict(required=True)
    started_at = fields.String()
    saved_at = fields.String()
    page = fields.Integer(strict=True)


class DraftOut(Schema):
    occurrence_id = fields.UUID()
    draft = fields.Dict()
    saved_at = fields.AwareDateTime()


class PushKeysIn(Strict):
    p256dh = Text(100, required=True)
    auth = Text(40, required=True)


class PushIn(Strict):
    endpoint = Text(1024, required=True)
    keys = fields.Nested(PushKeysIn, required=True)
    expiration_time = fields.Raw(data_key="expirationTime", allow_none=True)  # browsers tell it; passed over


class PushKeyOut(Schema):
    key = fields.String(metadata={"description": "what the browser calls applicationServerKey"})


class MessageOut(Schema):
    id = fields.UUID()
    title = fields.String()
    text = fields.String()
    language = fields.String()
    occurrence_id = fields.UUID()
    sent_at = fields.AwareDateTime()


class MessagesOut(Schema):
    messages = fields.List(fields.Nested(MessageOut))


class ConfirmationsIn(Strict):
    notifications = fields.List(fields.UUID(), load_default=list, validate=validate.Length(max=200))
    opened = fields.List(fields.UUID(), load_default=list, validate=validate.Length(max=200))

    @validates_schema(pass_original=True)
    def _names_one(self, data: Any, original: Any, **kwargs: Any) -> None:
        if not {"notifications", "opened"} & set(original):
            raise ValidationError({"notifications": ["Neither `notifications` nor `opened` is there."]})


class CountOut(Schema):
    confirmed = fields.Integer()
    opened = fields.Integer()


class SnoozeIn(Strict):
    minutes = fields.Integer(strict=True, required=True, validate=validate.Range(1, 1440))
    request_id = fields.UUID(
        metadata={"description": "made by the phone; the same one again is the same snooze"}
    )


class SnoozeOut(Schema):
    occurrence_id = fields.UUID()
    until = fields.AwareDateTime(metadata={"description": "when the reminder comes"})
    left = fields.Integer(metadata={"description": "how often it can be put off once more"})


# ── staff and site ──


class LoginIn(Strict):
    email = Text(200, required=True)
    password = fields.String(required=True, validate=validate.Length(1, 200))
    otp = Text(40)


class GrantOut(Schema):
    study = fields.String(attribute="study_id")
    site = fields.String(attribute="site_id")
    role = fields.String()


class StaffOut(Schema):
    id = fields.String()
    roles = fields.List(fields.Nested(GrantOut))


class SignedInOut(PairOut):
    staff = fields.Nested(StaffOut)
    known_device = fields.String(
        allow_none=True,
        metadata={"description": "to be sent as Epro-Known-Device from now on, when there is one"},
    )
    second_factor_missing = fields.Boolean()


class ContactIn(Strict):
    phone = Text(40)
    email = Text(200)
    name = Text(100)


class EnrolIn(Strict):
    study = Text(32, required=True)
    site = Text(32, required=True)
    subject_id = fields.String(validate=validate.Regexp(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z"))
    language = Text(20, required=True)
    time_zone = zone(required=True)
    anchors = Days(required=True)
    arm = Text(40)
    contact = fields.Nested(ContactIn)
    channels = channels()


class ParticipantOut(Schema):
    subject_id = fields.String()
    study = fields.String(attribute="study_id")
    site = fields.String(attribute="site_id")
    language = fields.String()
    time_zone = fields.String()
    protocol_version = fields.String()
    arm = fields.String(
        allow_none=True,
        metadata={
            "description": "Null where there is none, and for everybody who does not treat her or is hidden scores."
        },
    )
    anchors = fields.Dict(keys=fields.String(), values=fields.Date())
    enrolled_at = fields.AwareDateTime()
    withdrawn_at = fields.AwareDateTime(allow_none=True)
    restricted_at = fields.AwareDateTime(allow_none=True)
    messages = fields.Boolean()


class ListIn(Schema):
    study = fields.String()
    site = fields.String()
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500))
    offset = fields.Integer(load_default=0, validate=validate.Range(0, 10_000_000))


class ParticipantsOut(Schema):
    participants = fields.List(fields.Nested(ParticipantOut))
    more = fields.Boolean()


class FoundOut(Schema):
    participants = fields.List(fields.Nested(ParticipantOut))


class SearchIn(Strict):
    phone = Text(40)
    email = Text(320)


class CalendarOut(Schema):
    url = fields.String()


class StudyIn(Schema):
    study = fields.String()


class SpokenIn(Schema):
    lang = fields.String()


class StudySpokenIn(StudyIn):
    lang = fields.String()


class WhyIn(StudySpokenIn):
    occurrence = fields.UUID()
    reminder = fields.UUID()
    alert = fields.UUID()
    response = fields.UUID()


class CountedOut(Schema):
    study = fields.String()
    subject_id = fields.String()
    assessment = fields.String()
    due = fields.Integer()
    answered = fields.Integer()
    missed = fields.Integer()
    open = fields.Integer()


class ComplianceOut(Schema):
    compliance = fields.List(fields.Nested(CountedOut))
    more = fields.Boolean()


class CodeOut(Schema):
    activation_code = fields.String()
    expires_at = fields.AwareDateTime()
    qr_svg = fields.String()


class AnchorQuery(StudyIn):
    preview = fields.Boolean(load_default=False)


class MessageSettingsIn(Strict):
    quiet_hours = fields.List(clock(), validate=validate.Length(equal=2), allow_none=True)
    daily_cap = fields.Integer(strict=True, validate=validate.Range(0, 20), allow_none=True)
    reason = Text(500, required=True)


class MessageSettingsOut(Schema):
    quiet_hours = fields.List(fields.String(), allow_none=True)
    daily_cap = fields.Integer(allow_none=True)
    limits = fields.Nested(MessageLimitsOut)


class AnchorIn(Strict):
    anchor = Text(40, required=True)
    date = day(required=True)
    reason = Text(500, required=True)


class GivenAnchorIn(Strict):
    subject_id = Text(64, required=True)
    anchor = Text(40, required=True)
    date = day(required=True)
    reason = Text(500)


class AnchorsIn(Strict):
    anchors = fields.List(fields.Nested(GivenAnchorIn), required=True, validate=validate.Length(1, 1000))


class TakenAnchorOut(Schema):
    subject_id = fields.String()
    anchor = fields.String()
    date = fields.Date()
    outcome = fields.String(metadata={"enum": ["set", "moved", "unchanged", "kept", "refused"]})
    before = fields.Date(metadata={"description": "the day that was on record"})
    code = fields.String(metadata={"description": "why it was refused"})
    detail = fields.String()
    warning = fields.String(metadata={"description": "answers that would lie before the new day"})
    plan = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "how many of what in her plan"},
    )


class AnchorsOut(Schema):
    preview = fields.Boolean()
    study = fields.String()
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())
    results = fields.List(fields.Nested(TakenAnchorOut))


class ArmIn(Strict):
    arm = Text(40, required=True)
    reason = Text(500, required=True)


class LanguageIn(Strict):
    language = Text(20, required=True)
    reason = Text(500, required=True)


class TimeZoneIn(Strict):
    time_zone = zone(required=True)
    reason = Text(500, required=True)


class PlannedOut(Schema):
    id = fields.UUID()
    assessment = fields.String()
    opens_at = fields.AwareDateTime()
    closes_at = fields.AwareDateTime()
    before_opens_at = fields.AwareDateTime()


class RenewalOut(Schema):
    what = fields.String(metadata={"enum": ["local_day", "time_zone", "grace_until", "anchor", "study_day"]})
    before = fields.Raw()
    after = fields.Raw()


class RenewedOut(PlannedOut):
    changes = fields.List(fields.Nested(RenewalOut))


class WarningOut(Schema):
    pointer = fields.String()
    code = fields.String(metadata={"enum": ["before_enrolment", "far_ahead"]})
    detail = fields.String()


def warnings() -> fields.List:
    """Days that are taken, and that somebody had better look at once more."""
    told = "days that are taken and had better be looked at once more: before the enrolment, or weeks ahead"
    return fields.List(fields.Nested(WarningOut), metadata={"description": told})


class EnrolledOut(ParticipantOut):
    warnings = warnings()


class DifferencesOut(Schema):
    warnings = warnings()
    preview = fields.Boolean()
    planned_through = fields.Date(
        metadata={
            "description": "until which day the plan is written out: what comes later follows by itself, in time. What "
            "stood already and moves behind this day is among the moved."
        }
    )
    kept = fields.List(fields.Nested(PlannedOut))
    renewed = fields.List(
        fields.Nested(RenewedOut),
        metadata={
            "description": "of the kept: those of which something else than the window changes, and what"
        },
    )
    moved = fields.List(fields.Nested(PlannedOut))
    cancelled = fields.List(fields.Nested(PlannedOut))
    new = fields.List(fields.Nested(PlannedOut))
    opened_late = fields.List(
        fields.Nested(PlannedOut),
        metadata={"description": "of the new and the moved: what opens at once because its window is over"},
    )
    skipped_as_over = fields.List(fields.Nested(PlannedOut))
    skipped_as_doubled = fields.List(
        fields.Nested(PlannedOut), metadata={"description": "this day has its own already"}
    )
    reminders_recalled = fields.Integer()
    warning = fields.String(metadata={"description": "answers that would lie before the new day"})


class ReasonIn(Strict):
    reason = Text(500, required=True)


class ExcuseIn(Strict):
    reason = fields.String(required=True, validate=validate.OneOf(excusing.REASONS))
    note = Text(2000, metadata={"description": "in a few words; needed where the reason is `other`"})


class ExcuseDaysIn(ExcuseIn):
    first_day = day(required=True)
    last_day = day(required=True)


class TakeBackDaysIn(ReasonIn):
    first_day = day(required=True)
    last_day = day(required=True)


class ExcusedOut(Schema):
    id = fields.UUID()
    assessment = fields.String()
    local_day = fields.Date()
    opens_at = fields.AwareDateTime()
    closes_at = fields.AwareDateTime()
    state = fields.String()
    missed_at = fields.AwareDateTime(allow_none=True)
    excused_at = fields.AwareDateTime(allow_none=True)
    excused_reason = fields.String(allow_none=True)
    excused_by = fields.String(allow_none=True)


class ExcusedDaysOut(Schema):
    preview = fields.Boolean()
    count = fields.Integer(metadata={"description": "how many occurrences"})
    missed = fields.Integer(metadata={"description": "of them those that were missed"})
    answered = fields.Integer(metadata={"description": "of these days: what was answered, and stays"})
    reminders_recalled = fields.Integer()
    occurrences = fields.List(fields.Nested(ExcusedOut))


class AlertsIn(ListIn):
    standing = fields.Boolean(load_default=False)


class AlertOut(Schema):
    id = fields.UUID()
    study = fields.String(attribute="study_id")
    site = fields.String(attribute="site_id")
    subject_id = fields.String()
    kind = fields.String()
    urgency = fields.String()
    occurrence_id = fields.UUID(
        allow_none=True, metadata={"description": "null when only that a call is needed may be told"}
    )
    why = fields.Dict()
    standing = fields.Boolean()
    raised_at = fields.AwareDateTime()
    escalations = fields.Integer()
    acknowledged_at = fields.AwareDateTime(allow_none=True)
    acknowledged_by = fields.String(allow_none=True)
    acknowledged_note = fields.String(allow_none=True)
    resolved_at = fields.AwareDateTime(allow_none=True)
    resolved_by = fields.String(allow_none=True)
    outcome = fields.String(allow_none=True)
    resolved_note = fields.String(allow_none=True)
    cleared_at = fields.AwareDateTime(allow_none=True)
    cleared_why = fields.String(allow_none=True)
    owner = fields.String(
        allow_none=True, metadata={"description": "who has it in hand now: `staff:` and the id"}
    )
    due_at = fields.AwareDateTime(allow_none=True)
    misses = fields.Integer(metadata={"description": "entries of a streak that are not yet received"})
    reopenings = fields.Integer()


class StepOut(Schema):
    seq = fields.Integer(
        allow_none=True,
        metadata={
            "description": "null for what happened by itself and is told from the trail: `escalated`, "
            "`escalation_ended`, `cleared`"
        },
    )
    kind = fields.String()
    at = fields.AwareDateTime()
    by = fields.String()
    channel = fields.String(allow_none=True)
    outcome = fields.String(allow_none=True)
    note = fields.String(allow_none=True)
    to_staff = fields.UUID(allow_none=True)
    to_role = fields.String(allow_none=True, metadata={"description": "who was told by an escalation"})
    occurrence_id = fields.UUID(allow_none=True)


class AlertStoryOut(AlertOut):
    steps = fields.List(fields.Nested(StepOut))
    colleagues = fields.List(fields.UUID())


class ContactAttemptIn(Strict):
    channel = fields.String(required=True, validate=validate.OneOf(following.CHANNELS))
    outcome = fields.String(required=True, validate=validate.OneOf(following.CAME_OF_IT))
    note = Text(2000, allow_none=True)


class HandOverIn(Strict):
    to = fields.UUID(required=True)
    note = Text(2000, allow_none=True)


class RemarkIn(Strict):
    note = Text(2000, required=True)


class RemarkOut(Schema):
    id = fields.UUID()
    at = fields.AwareDateTime()
    by = fields.String()
    note = fields.String()


class OneAtRiskOut(Schema):
    study = fields.String()
    site = fields.String()
    subject_id = fields.String()
    occurrence_id = fields.UUID()
    assessment = fields.String()
    local_day = fields.Date()
    time_zone = fields.String()
    opens_at = fields.AwareDateTime()
    closes_at = fields.AwareDateTime()
    at_risk_at = fields.AwareDateTime(allow_none=True)
    reminders_done = fields.Integer()
    told = fields.String()


class AtRiskOut(Schema):
    at_risk = fields.List(fields.Nested(OneAtRiskOut))
    more = fields.Boolean()


class AlertMetricsIn(StudyIn):
    site = fields.String()
    days = fields.Integer(load_default=90, validate=validate.Range(1, 3660))


class SpreadOut(Schema):
    count = fields.Integer()
    median = fields.Float(allow_none=True, metadata={"description": "seconds"})
    p95 = fields.Float(allow_none=True, metadata={"description": "seconds"})
    worst = fields.Float(allow_none=True, metadata={"description": "seconds"})


class SiteMetricsOut(Schema):
    study = fields.String()
    site = fields.String()
    raised = fields.Integer()
    standing = fields.Integer()
    acknowledged = fields.Integer()
    resolved = fields.Integer()
    cleared = fields.Integer()
    to_alert = fields.Nested(SpreadOut)
    to_acknowledgement = fields.Nested(SpreadOut)
    to_resolution = fields.Nested(SpreadOut)
    at_risk = fields.Integer()
    recovered_before_closing = fields.Integer()
    received_later = fields.Integer()


class AlertMetricsOut(Schema):
    since = fields.AwareDateTime()
    sites = fields.List(fields.Nested(SiteMetricsOut))


class AlertsOut(Schema):
    alerts = fields.List(fields.Nested(AlertOut))
    more = fields.Boolean()


class NoteIn(Strict):
    note = Text(2000, allow_none=True)


class ResolutionIn(Strict):
    outcome = Text(40, required=True)
    note = Text(2000, allow_none=True)


# ── health ──


class AliveOut(Schema):
    status = fields.String()


class ReadyOut(Schema):
    status = fields.String()
    checks = fields.Dict(keys=fields.String(), values=fields.Boolean())


class KeyOut(Schema):
    id = fields.String()
    algorithm = fields.String()
    public_key = fields.String()


class KeysOut(Schema):
    receipts = fields.Nested(KeyOut)
    manifests = fields.Nested(KeyOut)
    trail = fields.String(metadata={"description": "Of checkpoints, as one word: origin+hash+base64."})


# ── sponsor ──


class Position(fields.Integer):
    """A place in the feed: digits, nothing else, for half of what `int` reads is a mistake of the one who wrote it."""

    default_error_messages = {"invalid": "Not a position: digits, from 0 on."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> int:
        if not isinstance(value, str) or not re.fullmatch("[0-9]{1,19}", value) or int(value) > 2**62:
            raise self.make_error("invalid", input=value)
        return int(value)


class FeedIn(Schema):
    study = fields.String()
    after = Position(load_default=0, metadata={"minimum": 0, "maximum": 2**62})
    event_id = fields.UUID(
        metadata={"description": "Of the entry at `after`: refused if another one stands there."}
    )
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    wait = fields.Float(load_default=0, validate=validate.Range(0, 30))


class FeedOut(Schema):
    records = fields.List(fields.Dict())
    next = fields.Integer()
    more = fields.Boolean()
    checkpoint = fields.String(
        allow_none=True,
        metadata={"description": "the newest signed checkpoint of the trail's log; keep one of each day"},
    )


class ExportIn(Schema):
    study = fields.String()
    format = fields.String(required=True)
    cut = fields.String()
    unblinded = fields.Boolean(load_default=False)
    flavour = fields.String(load_default="raw", validate=validate.OneOf(["raw", "safe"]))
    scores = fields.String(load_default="captured", validate=validate.OneOf(["captured", "derived"]))
    container = fields.String(validate=validate.OneOf(["json", "ndjson", "dsjc", "all"]))


class ExportNowIn(Schema):
    study = fields.String()
    cut = fields.String()
    unblinded = fields.Boolean(load_default=False)
    flavour = fields.String(load_default="raw", validate=validate.OneOf(["raw", "safe"]))
    scores = fields.String(load_default="captured", validate=validate.OneOf(["captured", "derived"]))
    container = fields.String(validate=validate.OneOf(["json", "ndjson", "dsjc", "all"]))


class ExportFileOut(Schema):
    name = fields.String()
    rows = fields.Integer()
    bytes = fields.Integer()
    sha256 = fields.String()


class ExportOut(Schema):
    id = fields.UUID()
    study = fields.String()
    format = fields.String()
    cut = fields.String(allow_none=True)
    position = fields.Integer()
    status = fields.String(metadata={"description": "waiting, running, done, failed or removed"})
    asked_at = fields.AwareDateTime()
    progress = fields.Float(metadata={"description": "from 0 to 1"})
    fault = fields.String(allow_none=True)
    file = fields.String(metadata={"description": "where to fetch it; only when done"})
    bytes = fields.Integer()
    sha256 = fields.String()
    rows = fields.Integer()
    digest = fields.String()
    files = fields.List(fields.Nested(ExportFileOut))


class UnblindedIn(Schema):
    unblinded = fields.Boolean(load_default=False)


class DatasetIn(UnblindedIn):
    metadataonly = fields.Boolean(load_default=False)
    dataonly = fields.Boolean(load_default=False)
    offset = fields.Integer(load_default=0, validate=validate.Range(0, 2**53))
    limit = fields.Integer(load_default=0, validate=validate.Range(0, 2**53))


class DatasetsIn(UnblindedIn):
    standard = fields.String(load_default="", validate=validate.Length(max=64))


class ManifestGroup(Schema):
    site = fields.String(allow_none=True)
    assessment = fields.String(allow_none=True)
    kind = fields.String()
    count = fields.Integer()
    digest = fields.String()


class CheckpointsIn(Schema):
    after = fields.Integer(load_default=0, validate=validate.Range(0, 2**62))
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))


class CheckpointOut(Schema):
    size = fields.Integer()
    at = fields.AwareDateTime()
    note = fields.String(metadata={"description": "The signed checkpoint (C2SP tlog-checkpoint)."})


class CheckpointsOut(Schema):
    key = fields.String()
    checkpoints = fields.List(fields.Nested(CheckpointOut))


class ProofReceipt(Schema):
    id = fields.String(allow_none=True)
    digest = fields.String()
    received_at = fields.String()
    signature = fields.String()
    key = fields.String()


class ProofOut(Schema):
    epro_trail_proof = fields.Integer()
    origin = fields.String()
    key = fields.String()
    leaf = fields.Integer()
    body = fields.String(metadata={"description": "The entry's bytes."})
    path = fields.List(fields.String())
    checkpoint = fields.String()
    receipt = fields.Nested(ProofReceipt)


class ManifestOut(Schema):
    format = fields.Integer()
    study = fields.String()
    date = fields.String()
    after = fields.Integer()
    until = fields.Integer()
    previous = fields.String()
    key = fields.String()
    groups = fields.List(fields.Nested(ManifestGroup))
    digest = fields.String()
    signature = fields.String()
    public_key = fields.String()
