"""Call-backs of providers. The lock is the provider's signature over our public address."""

from __future__ import annotations

from uuid import UUID

from flask import Response, request

from epro import db
from epro.api.door import Door, failed, limiter
from epro.contacts import store
from epro.errors import Invalid, NotAllowed
from epro.notifications import callbacks
from epro.notifications.signatures import valid_twilio
from epro.tx import Actor, begin, system

HOOKS = system("twilio")


def _signed() -> Actor:
    settings = db.settings()
    genuine = valid_twilio(
        settings["TWILIO_AUTH_TOKEN"] or "",
        settings["PUBLIC_URL"] or "",
        request.full_path,
        request.form,
        request.headers.get("X-Twilio-Signature"),
    )
    if not genuine:
        raise NotAllowed("The signature does not fit.")
    return HOOKS


hooks = Door("hooks", "/hooks", "Call-backs of message providers", _signed)
limiter.limit("600/minute", deduct_when=failed)(
    hooks
)  # of the door, so that it also counts whom the lock refuses


@hooks.post("/twilio/status")
@hooks.response(204)
def twilio_status() -> None:
    """What became of a message. Late, doubled and disordered calls do no harm; unknown ones are passed over."""
    try:
        message_id = UUID(request.args.get("message", ""))
    except ValueError:
        return
    with begin(HOOKS) as tx:
        callbacks.note_status(
            tx,
            message_id,
            request.args.get("key", ""),
            request.form.get("MessageSid", ""),
            request.form.get("MessageStatus", ""),
            request.form.get("ErrorCode"),
        )


@hooks.post("/twilio/inbound")
@hooks.response(200, {"type": "string"}, content_type="text/xml")
def twilio_inbound() -> Response:
    """A text message from somebody: STOP and START are obeyed; nothing is answered."""
    try:
        phone = store.normal("phone", request.form.get("From", ""))
    except Invalid:
        phone = ""
    if phone:
        with begin(HOOKS) as tx:
            callbacks.inbound(tx, phone, request.form.get("Body", ""), request.form.get("MessageSid", ""))
    return Response('<?xml version="1.0" encoding="UTF-8"?><Response/>', content_type="text/xml")
