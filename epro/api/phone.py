"""The participant's phone: activate, learn what is due, hand in answers, and nothing else.

No route takes a participant's id: who she is comes from her phone's session alone.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import Response, make_response, request
from flask.views import MethodView
from sqlalchemy.exc import DataError, IntegrityError

from epro import canonical, clock, db, trail
from epro.api import message_settings, wakeup
from epro.api.door import Door, actor, failed, hold_back, limiter, may_upload, must_be_here, phone_lock
from epro.api.schemas import (
    ActivatedOut,
    ActivateIn,
    CalendarOut,
    ChangesOut,
    ConfirmationsIn,
    CountOut,
    DraftIn,
    DraftOut,
    InstrumentIn,
    MeIn,
    MeOut,
    MessagesOut,
    OccurrenceOut,
    OnDemandIn,
    PairOut,
    ProofOut,
    PushIn,
    PushKeyOut,
    ReceiptsOut,
    RefreshIn,
    SinceIn,
    SnoozeIn,
    SnoozeOut,
)
from epro.contacts import push
from epro.errors import BadJson, Conflict, Invalid, NotFound, NotSignedIn, TooLarge
from epro.notifications import callbacks, corrections, inbox
from epro.notifications.senders import vapid
from epro.questionnaires import catalogue, wording
from epro.questionnaires.instrument import UnknownLanguage, localised
from epro.responses import drafts, proofs, receiving
from epro.responses.receipts import Receipt
from epro.responses.submission import Finding, sent_at
from epro.scheduling import attention, calendar_links, occurrences, on_demand, protocols, snoozing
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import ASK
from epro.scheduling.state import state_of
from epro.signin import devices, passwords, sessions
from epro.signin.models import SignInSession
from epro.studies import participants
from epro.studies.models import Participant, Site
from epro.tx import Tx, begin, look, system

MOST_ENTRIES = 200
LARGEST_ENTRY = 256 * 1024
KEEP = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"  # another wording may be approved: kept, and looked at again by its ETag

phone = Door("phone", "/v1/phone", "The participant's phone", phone_lock, open_doors=("activate", "token"))


@phone.post("/activate")
@limiter.limit("10/minute;30/hour", deduct_when=failed)
@phone.arguments(ActivateIn)
@phone.response(201, ActivatedOut)
def activate(asked: dict[str, Any]) -> dict[str, Any]:
    """Make this phone the participant's, with a code from the study site. The code opens one phone, once."""
    with begin(system("door")) as tx:
        candidate = devices.count_try(tx, asked["activation_code"])
    fits = passwords.fits(*candidate.against)  # slow on purpose, so outside any transaction
    with begin(system("door")) as tx:
        opened = devices.activate(tx, candidate, asked["device"]) if fits else None
        if not fits:
            devices.note_wrong(tx, candidate)
        told = {**pair(opened[1]), "participant": me_of(tx, opened[0])} if opened else None
    if told is None:
        raise devices.CodeNotAccepted()
    return told


@phone.post("/token")
@limiter.limit("60/minute;600/hour", deduct_when=failed)
@phone.arguments(RefreshIn)
@phone.response(200, PairOut)
def token(asked: dict[str, Any]) -> dict[str, Any]:
    """A new pair of tokens. The refresh token is spent; if the answer is lost, asking again gives the same."""
    return refreshed(asked, sessions.PHONE)


@phone.post("/logout")
@phone.response(204)
def logout() -> None:
    """End this phone's session. The phone stays known; only a new activation opens it again."""
    with begin(actor()) as tx:
        participant = tx.get(Participant, actor().study_id, actor().subject_id, lock=True)
        sessions.end(tx, "logged_out", SignInSession.id == actor().session_id)
        trail.record(tx, participant, "device.logged_out", "device", actor().device_id)
        assert participant is not None
        push.forget(participant.study_id, participant.subject_id, _this_phone(), tx.now)


@phone.route("/me")
class Me(MethodView):
    @phone.response(200, MeOut)
    def get(self) -> dict[str, Any]:
        """The participant's own settings, and whom to call."""
        with begin(actor()) as tx:
            return me_of(tx, must_be_here(tx, actor()))

    @phone.arguments(MeIn)
    @phone.response(200, MeOut)
    def patch(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Change language, time zone, reminder hour, quiet hours, daily cap, channels; `messages: false` stops them."""
        with begin(actor()) as tx:
            participant = must_be_here(tx, actor())
            protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
            if asked.get("language", participant.language) not in protocol.languages:
                raise Invalid(
                    errors=[
                        {
                            "pointer": "/language",
                            "code": "unknown_language",
                            "detail": "The study has no such language.",
                        }
                    ]
                )
            message_settings.refuse(protocol.messages, participant, asked)
            _change(tx, participant, asked)
            return me_of(tx, participant)


@phone.get("/changes")
@phone.arguments(SinceIn, location="query")
@phone.response(200, ChangesOut)
def changes(asked: dict[str, Any]) -> dict[str, Any]:
    """What is due and what changed since the token of the last call; without one, everything."""
    since, limit = _since(asked.get("since")), asked["limit"]
    with begin(actor()) as tx:
        participant = must_be_here(tx, actor())
        found = occurrences.changes(tx, participant, since, limit + 1)
        page, more = found[:limit], len(found) > limit
        protocol_of = {o.protocol_version: protocols.find(tx, o.study_id, o.protocol_version) for o in page}
        last = page[-1].change_no if page else since
        return {
            "occurrences": [_occurrence(o, participant, protocol_of[o.protocol_version], tx) for o in page],
            "instruments": _instruments(tx, participant, page),
            "next": base64.urlsafe_b64encode(f"c{last}".encode()).decode(),
            "more": more,
            "server_time": tx.now,
        }


@phone.post("/occurrences")
@phone.arguments(OnDemandIn)
@phone.response(201, OccurrenceOut)
def occurrence_on_demand(asked: dict[str, Any]) -> dict[str, Any]:
    """Open one of what the study file calls unscheduled. While one is open and not answered, it is given again."""
    hold_back()
    with begin(actor()) as tx:
        participant = must_be_here(tx, actor())
        row = on_demand.open_one(tx, participant, asked["assessment"])
        protocol = protocols.find(tx, row.study_id, row.protocol_version)
        return _occurrence(row, participant, protocol, tx)


@phone.post("/occurrences/<uuid:occurrence_id>/snooze")
@phone.arguments(SnoozeIn)
@phone.response(200, SnoozeOut)
def snooze(asked: dict[str, Any], occurrence_id: UUID) -> snoozing.Snoozed:
    """Put reminders of this off: one comes in so many minutes, in the place of those that would come before.

    How often, how long and until when the study file says; a refusal names its `reason`. With the same `request_id`
    again nothing more is put off.
    """
    hold_back()
    length, request_id = timedelta(minutes=asked["minutes"]), asked.get("request_id") or uuid4()
    try:
        with begin(actor()) as tx:
            return snoozing.snooze(tx, must_be_here(tx, actor()), occurrence_id, length, request_id)
    except IntegrityError:  # an id that stands where nothing can be seen from here
        raise Conflict(snoozing.ANOTHERS) from None


@phone.get("/instruments/<code>/<version>")
@phone.arguments(InstrumentIn, location="query")
@phone.response(200, {"type": "object"})
def instrument(asked: dict[str, Any], code: str, version: str) -> Response:
    """The definition with the wording of one language: the one in force, or the approved one that `wording` names.

    Under the name of its wording it never changes; keep it. `/changes` tells that name.
    """
    with begin(actor()) as tx:
        language = must_be_here(tx, actor()).language
        language = asked.get("lang") or language
        found = catalogue.find(tx, code, version)
        pack = wording.effective(tx, found, language, asked.get("wording") or None) if found else None
    if found is None or (asked.get("wording") and pack is None):
        raise NotFound()
    try:
        response = make_response(localised(found, language, pack))
    except UnknownLanguage:
        raise NotFound("This instrument has no wording in that language.") from None
    settled = asked.get("wording") if pack else found.wording[language] != "placeholder"
    response.headers["Cache-Control"] = KEEP if settled else ASK_AGAIN
    response.set_etag(f"{found.digest[:32]}-{language}" + (f"-{pack.digest[:32]}" if pack else ""))
    response.make_conditional(request)
    return response


ENTRY = {
    "type": "object",
    "required": ["id", "occurrence_id", "instrument", "language", "answers", "completed_at"],
    "properties": {
        "id": {
            "type": "string",
            "format": "uuid",
            "description": "made by the phone, once for each completed answer",
        },
        "occurrence_id": {"type": "string", "format": "uuid"},
        "instrument": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "version": {"type": "string"}},
        },
        "language": {"type": "string"},
        "answers": {
            "type": "object",
            "additionalProperties": {"nullable": True},
            "description": 'item id to code; null: not answered; "NA": not applicable, where offered',
        },
        "started_at": {"type": "string", "format": "date-time"},
        "completed_at": {
            "type": "string",
            "format": "date-time",
            "description": "the phone's own account, with offset",
        },
        "time_zone": {"type": "string", "description": "IANA name"},
    },
}
BATCH = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["responses"],
                "properties": {
                    "responses": {"type": "array", "maxItems": MOST_ENTRIES, "items": ENTRY},
                    "sent_at": {
                        "type": "string",
                        "format": "date-time",
                        "description": "the phone's clock at this sending: the difference to ours corrects its account",
                    },
                },
            }
        }
    }
}


@phone.post("/responses")
@phone.doc(requestBody=BATCH)
@phone.response(200, ReceiptsOut)
def responses() -> Response:
    """Hand in answers. Each entry stands alone and gets a receipt; sending it again gives the same receipt."""
    hold_back()
    arrived_at = clock.now()  # once: an entry's turn within the batch is no error of the phone's clock
    batch, sent = _batch()
    receipts = [take_in(entry, sent, arrived_at).told() for entry in batch]
    wakeup.feed()
    return make_response({"receipts": receipts, "server_time": trail.instant(clock.now())})


@phone.get("/responses/<uuid:response_id>/proof")
@phone.response(200, ProofOut)
def proof(response_id: UUID) -> dict[str, Any]:
    """Proof that what she sent stands in the signed log of the trail, from about a minute after her receipt on.

    The stand-alone verifier checks it: `verify_trail.py proof`.
    """
    with look(actor()) as tx:
        return proofs.of_participant(tx, response_id)


@phone.route("/drafts/<uuid:occurrence_id>")
class Drafts(MethodView):
    @phone.response(200, DraftOut)
    def get(self, occurrence_id: UUID) -> dict[str, Any]:
        """Saved progress of an occurrence."""
        with begin(actor()) as tx:
            found = drafts.find(tx, must_be_here(tx, actor()), occurrence_id)
            return {"occurrence_id": occurrence_id, "draft": found[0], "saved_at": found[1]}

    @phone.arguments(DraftIn)
    @phone.response(200, DraftOut)
    def put(self, asked: dict[str, Any], occurrence_id: UUID) -> dict[str, Any]:
        """Save progress of an occurrence; the last one counts. A draft is no answer."""
        hold_back()
        with begin(actor()) as tx:
            drafts.save(tx, must_be_here(tx, actor()), occurrence_id, asked)
            return {"occurrence_id": occurrence_id, "draft": asked, "saved_at": tx.now}


@phone.get("/push-key")
@phone.response(200, PushKeyOut)
def push_key() -> dict[str, Any]:
    """The key that a browser subscribes to push messages with; 404 where none are sent."""
    settings = db.settings()
    if (settings["PUSH_SENDER"] or "none") == "none":
        raise NotFound("No push messages are sent here.")
    return {"key": vapid.public_text(vapid.key_of(settings))}


@phone.route("/push-subscription")
class PushSubscription(MethodView):
    @phone.arguments(PushIn)
    @phone.response(204)
    def put(self, asked: dict[str, Any]) -> None:
        """Push messages go to this phone, by the subscription that its browser gave; the last one counts.

        Send it at each start: it is forgotten when the push service no longer knows it, and with the phone.
        """
        hold_back()
        keys = asked["keys"]
        wrong = vapid.faults(asked["endpoint"], keys["p256dh"], keys["auth"], vapid.hosts_of(db.settings()))
        if wrong:
            raise Invalid(errors=[{"pointer": at, "code": "invalid", "detail": told} for at, told in wrong])
        with begin(actor()) as tx:
            participant = must_be_here(tx, actor())
            subscription = {"endpoint": asked["endpoint"], "keys": keys}
            hers = participant.study_id, participant.subject_id
            mark = push.keep(*hers, _this_phone(), subscription, tx.now)
            trail.record(tx, participant, "push.kept", "device", actor().device_id, subscription=mark)

    @phone.response(204)
    def delete(self) -> None:
        """No push messages go to this phone any more."""
        hold_back()
        with begin(actor()) as tx:
            participant = must_be_here(tx, actor())
            if push.forget(participant.study_id, participant.subject_id, _this_phone(), tx.now):
                trail.record(tx, participant, "push.removed", "device", actor().device_id, reason="asked_for")


@phone.route("/calendar")
class CalendarLink(MethodView):
    @phone.response(201, CalendarOut)
    def post(self) -> dict[str, Any]:
        """A link to a calendar of her visits, for a calendar program. It is told only now; the one before ends."""
        hold_back()
        with begin(actor()) as tx:
            return {"url": calendar_links.make(tx, must_be_here(tx, actor()))}

    @phone.response(204)
    def delete(self) -> None:
        """The link opens nothing any more."""
        with begin(actor()) as tx:
            calendar_links.revoke(tx, must_be_here(tx, actor()), "asked_for")


@phone.get("/messages")
@phone.response(200, MessagesOut)
def inbox_of_the_app() -> dict[str, Any]:
    """Reminders that wait in the app's inbox. One that was shown is told to `/confirmations`, and is gone from here."""
    with begin(actor()) as tx:
        return {"messages": inbox.waiting(tx, must_be_here(tx, actor()))}


@phone.post("/confirmations")
@phone.arguments(ConfirmationsIn)
@phone.response(200, CountOut)
def confirmations(asked: dict[str, Any]) -> dict[str, Any]:
    """Ids of the notifications that the phone has shown, and of those that she has opened."""
    with begin(actor()) as tx:
        participant = must_be_here(tx, actor())
        return {
            "confirmed": callbacks.note_confirmed(tx, participant, asked["notifications"], "shown"),
            "opened": callbacks.note_confirmed(tx, participant, asked["opened"], "opened"),
        }


def _this_phone() -> UUID:
    found = actor().device_id
    assert found is not None, "this door's lock names a phone"
    return found


def pair(given: sessions.Pair) -> dict[str, Any]:
    """A pair of tokens as it goes out."""
    return {
        "access_token": given.access_token,
        "refresh_token": given.refresh_token,
        "expires_in": given.expires_in,
        "token_type": "Bearer",
    }


def refreshed(asked: dict[str, Any], audience: str) -> dict[str, Any]:
    """The next pair; a token that ends its family ends it for good, and then is refused."""
    with begin(system("door")) as tx:
        given = sessions.refresh(tx, asked["refresh_token"], audience, asked.get("installation_id"))
    if given is None:
        raise NotSignedIn("This session has ended: sign in again.")
    return pair(given)


def me_of(tx: Tx, participant: Participant) -> dict[str, Any]:
    """What a phone is told about its participant."""
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    site = tx.get(Site, participant.study_id, participant.site_id)
    assert site is not None
    preferences = participant.preferences or {}
    return {
        "subject_id": participant.subject_id,
        "study": participant.study_id,
        "study_title": protocol.title.get(participant.language),
        "language": participant.language,
        "languages": list(protocol.languages),
        "time_zone": participant.time_zone,
        "zone_policy": protocol.zone_policy,
        "asked_time_zone": _asked_zone(participant),
        "reminder_hour": preferences.get("reminder_hour"),
        "quiet_hours": preferences.get("quiet_hours"),
        "daily_cap": preferences.get("daily_cap"),
        "channels": preferences.get("channels"),
        "messages": participant.opted_out_at is None,
        "limits": message_settings.limits(protocol.messages),
        "site": {"id": site.id, "name": site.names.get(participant.language), "phone": site.phone},
    }


def _asked_zone(participant: Participant) -> str | None:
    """The zone that her phone has told and nobody has confirmed."""
    zone = (participant.preferences or {}).get("asked_time_zone")
    return zone if zone != participant.time_zone else None


def _change(tx: Tx, participant: Participant, asked: dict[str, Any]) -> None:
    wishes: dict[str, Any] = {
        name: asked[name]
        for name in ("reminder_hour", "quiet_hours", "daily_cap", "channels")
        if name in asked
    }
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    zone = asked.get("time_zone")
    if zone and protocol.zone_policy == ASK:
        wishes["asked_time_zone"] = zone
        zone = zone if asked.get("time_zone_confirmed") else None
    moved = participants.change_settings(
        tx, participant, language=asked.get("language"), time_zone=zone, preferences=wishes
    )
    if "messages" in asked:
        (participants.opt_in if asked["messages"] else participants.opt_out)(tx, participant, "phone")
    tx.session.flush()
    if moved or ("language" in asked and protocol.by_language):
        occurrences.replan(tx, participant, "time_zone" if moved else "language")
    if moved or "reminder_hour" in wishes:  # her hour is read on the clock of where she is
        occurrences.look_again_at_all(tx, participant)


def _since(token: str | None) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        if text[0] != "c" or not text[1:].isdigit() or int(text[1:]) >= 2**63:
            raise ValueError
        return int(text[1:])
    except (ValueError, IndexError):
        raise Invalid(
            errors=[
                {
                    "pointer": "/since",
                    "code": "bad_token",
                    "detail": "This is not a token of ours: call without it.",
                }
            ]
        ) from None


def _instruments(tx: Tx, participant: Participant, page: list[Occurrence]) -> list[dict[str, Any]]:
    """What she is asked by her protocol or by this page, with the digest of the licensed wording in force.

    The protocol's are told always: a wording changes without any occurrence changing.
    """
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    asked = {(a.instrument.code, a.instrument.version) for a in protocol.assessments}
    asked |= {(o.instrument_code, o.instrument_version) for o in page}
    digests = wording.digests(tx, participant.language)
    return [
        {"code": code, "version": version, "wording": digests.get((code, version))}
        for code, version in sorted(asked)
    ]


def _occurrence(row: Occurrence, participant: Participant, protocol: Any, tx: Tx) -> dict[str, Any]:
    assessment = protocol.assessment(row.assessment_id)
    hour = participants.reminder_hour(participant)
    looks = attention.moments(row, assessment, first_reminder_at=hour, zone=participant.time_zone)
    return {
        "id": row.id,
        "assessment": row.assessment_id,
        "label": assessment.label.get(participant.language),
        "instrument": {"code": row.instrument_code, "version": row.instrument_version},
        "visit": row.visit_id,
        "study_day": row.study_day,
        "opens_at": row.opens_at,
        "closes_at": row.closes_at,
        "finish_by": row.closes_at + assessment.while_answering,
        "local_day": row.local_day,
        "time_zone": row.time_zone,
        "snoozed_until": row.snoozed_until,
        "state": state_of(row, tx.now).value,
        "reminders": [{"at": at} for at in _reminders(row, looks)],
    }


def _reminders(row: Occurrence, looks: list[attention.Moment]) -> list[datetime]:
    """When she is reminded of it; a snooze takes the place of what would have come before its end. Of what is excused
    she is not.
    """
    if row.excused_at is not None:
        return []
    planned = [look.at for look in looks if look.kind == "reminder"]
    if row.snoozed_until is None:
        return planned
    return [row.snoozed_until, *(at for at in planned if at >= row.snoozed_until)]


def _batch() -> tuple[list[Any], Any]:
    body = canonical.decode(request.get_data(cache=True))
    if not isinstance(body, dict) or not isinstance(body.get("responses"), list):
        raise BadJson("The body is an object with a list `responses`.")
    batch = body["responses"]
    if len(batch) > MOST_ENTRIES:
        raise TooLarge(f"A batch holds at most {MOST_ENTRIES} entries.")
    if len(request.get_data()) > LARGEST_ENTRY and any(
        len(canonical.encode(e)) > LARGEST_ENTRY for e in batch
    ):
        raise TooLarge(f"An entry holds at most {LARGEST_ENTRY // 1024} KiB.")
    return batch, sent_at(body.get("sent_at"))


def take_in(entry: Any, batch_sent_at: Any, arrived_at: datetime, doubt: Finding | None = None) -> Receipt:
    """One entry, one act. An id that another participant uses shows only when the row is written."""
    try:
        return _act_on(entry, batch_sent_at, arrived_at, doubt)
    except IntegrityError:
        return _act_on(entry, batch_sent_at, arrived_at, receiving.ID_IN_USE)
    except DataError:  # one that no check of ours foresaw: kept whole, and the others of the batch go on
        return _act_on(entry, batch_sent_at, arrived_at, receiving.NOT_FILED)


def _act_on(entry: Any, batch_sent_at: Any, arrived_at: datetime, doubt: Finding | None = None) -> Receipt:
    with begin(actor()) as tx:
        participant = may_upload(tx, actor())
        taken = receiving.receive(tx, participant, entry, batch_sent_at, arrived_at=arrived_at, doubt=doubt)
        corrections.heed(tx, participant, taken)
    return taken.receipt
