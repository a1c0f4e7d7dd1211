"""Call-backs of providers. The lock is the provider's signature over our public address, or where it signs nothing
a key in the address that only it was told.
"""

from __future__ import annotations

import hmac
import re
from typing import Any
from uuid import UUID

from flask import Response, make_response, request

from epro import canonical, db
from epro.api.door import Door, failed, limiter
from epro.contacts import store
from epro.errors import BadJson, Invalid, NotAllowed
from epro.notifications import callbacks
from epro.notifications.signatures import valid_twilio
from epro.tx import Actor, begin, system

HOOKS, ALIYUN = system("twilio"), system("aliyun")
MOST_REPORTS = 1000
LOOKS_LIKE_A_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,60}")


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


def _told_the_key() -> Actor:
    """Aliyun signs no report: who knows the address that was given to Aliyun may report, message by message."""
    known, told = db.settings()["ALIYUN_CALLBACK_KEY"] or "", request.args.get("key", "")
    if not known or not hmac.compare_digest(known.encode(), told.encode()):
        raise NotAllowed("The key does not fit.")
    return ALIYUN


aliyun = Door("aliyun", "/hooks/aliyun", "Call-backs of message providers", _told_the_key)
limiter.limit("600/minute", deduct_when=failed)(aliyun)


@aliyun.post("/status")
@aliyun.doc(
    requestBody={"content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}
)
@aliyun.response(200, {"type": "object"})
def aliyun_status() -> Response:
    """What became of messages, many at once. Each report shows its message's own key in `out_id`, or is passed over."""
    reports = canonical.decode(request.get_data(cache=True))
    if not isinstance(reports, list) or len(reports) > MOST_REPORTS:
        raise BadJson(f"The body is a list of at most {MOST_REPORTS} reports.")
    for report in reports:
        _note_report(report)
    return make_response({"code": 0, "msg": "OK"})


def _note_report(report: Any) -> None:
    """One report, one act. `success` is a truth value; anything else says nothing."""
    if not isinstance(report, dict) or not isinstance(report.get("success"), bool):
        return
    message_id, key = _names(report.get("out_id"))
    if message_id is None:
        return
    error = report.get("err_code")
    well = isinstance(error, str) and LOOKS_LIKE_A_CODE.fullmatch(error)
    with begin(ALIYUN) as tx:
        callbacks.note_status(
            tx,
            message_id,
            key,
            str(report.get("biz_id") or f"out-{message_id}")[:64],
            "delivered" if report["success"] else "undelivered",
            error if well else None,
        )


def _names(out_id: Any) -> tuple[UUID | None, str]:
    """Our id of the message and the key that belongs to it, as we gave them to Aliyun."""
    text, _, key = out_id.partition(".") if isinstance(out_id, str) else ("", "", "")
    try:
        return UUID(text), key
    except ValueError:
        return None, ""
