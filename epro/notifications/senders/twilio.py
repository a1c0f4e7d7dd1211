"""SMS through Twilio."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from epro.notifications.senders import Outgoing, SendFailed, SendUnknown

TIMEOUT = (3.0, 10.0)  # seconds: to connect, to wait for the answer
VALIDITY = (1, 36_000)  # seconds Twilio takes (error 21624); 36,000 is its default
CLOCK_SLACK = timedelta(minutes=1)  # between our clock and Twilio's
SID = re.compile("(SM|MM)[0-9a-f]{32}")  # of a message
NOT_THERE = "20404"  # Twilio's number for a record that is gone
NEWEST = 100  # messages to one number that are looked through

Answer = TypeVar("Answer")


class TwilioSender:
    """Hands messages to Twilio's REST API, each exactly one request.

    Give `from_number` or `messaging_service_sid`. `base_url` replaces scheme and host of the API,
    `timeout` is seconds to connect and to wait.
    """

    channel, name = "sms", "twilio"

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        from_number: str | None = None,
        messaging_service_sid: str | None = None,
        base_url: str | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ):
        if not from_number and not messaging_service_sid:
            raise ValueError("a from number or a messaging service is needed")
        self._account, self._base_url, self._timeout = (account_sid, auth_token), base_url, timeout
        self._sender = (
            {"messaging_service_sid": messaging_service_sid}
            if messaging_service_sid
            else {"from_": from_number}
        )

    def send(self, message: Outgoing) -> str:
        return _told(lambda: self._create(message))

    def find(self, message: Outgoing, since: datetime) -> str | None:
        """The sid of an outbound message with this text to this number, made at or after `since`.

        Ask a minute or so after the attempt: Twilio lists what it has taken, not what it is still
        taking. The list is not filtered by date on Twilio's side: its filter knows whole days and the
        date of *sending*, which a queued message does not have yet.
        """
        try:
            return _told(lambda: self._look(message, since - CLOCK_SLACK))
        except SendFailed as refused:  # the question was refused; what became of the message stays open
            code = refused.code
        raise SendUnknown(code)

    def keeps(self, provider_id: str) -> bool:
        return is_sid(provider_id)

    def redact(self, provider_id: str) -> None:
        """Twilio keeps number and hour of a message; its text is taken out. What is gone already needs no more."""
        try:
            _told(lambda: self._take_out(provider_id))
        except SendFailed as refused:
            if refused.detail != NOT_THERE:
                raise

    def _take_out(self, sid: str) -> None:
        with self._client() as client:
            if client.messages(sid).update(body="").body:
                raise ValueError("answered with a text")

    def _create(self, message: Outgoing) -> str:
        wanted: dict[str, Any] = {
            "to": message.to,
            "body": message.text,
            **self._sender,
            "validity_period": validity_seconds(message.valid_for),
        }
        if message.callback_url:
            wanted["status_callback"] = message.callback_url
        with self._client() as client:
            sid: str | None = client.messages.create(**wanted).sid
        if not sid:
            raise ValueError("answered without a sid")
        return sid

    def _look(self, message: Outgoing, earliest: datetime) -> str | None:
        with self._client() as client:
            listed = client.messages.list(to=message.to, limit=NEWEST)
        return next((m.sid for m in listed if _is_this(m, message, earliest)), None)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """The SDK's client on a fresh connection.

        A kept one that the other side has closed meanwhile fails like one cut in mid-request, and nobody
        could say whether the message left. A handshake for each message keeps that rare.
        """
        from twilio.rest import Client  # here: it costs 0.4 s and 50 MB

        from epro.notifications.senders.twilio_http import HttpClient

        http = HttpClient(self._base_url, self._timeout)
        try:
            yield Client(*self._account, http_client=http)
        finally:
            http.close()


def is_sid(provider_id: str) -> bool:
    """Whether this is Twilio's id of a message."""
    return SID.fullmatch(provider_id) is not None


def validity_seconds(valid_for: timedelta) -> int:
    """Whole seconds within what Twilio takes; it drops a message that is still queued after them."""
    least, most = VALIDITY
    return max(least, min(most, int(valid_for.total_seconds())))


def _is_this(listed: Any, message: Outgoing, earliest: datetime) -> bool:
    # Twilio may put a registered signature around the text, hence "in".
    same = message.text in (listed.body or "") and str(listed.direction).startswith("outbound")
    return same and (listed.date_created is None or listed.date_created >= earliest)


def _told(ask: Callable[[], Answer]) -> Answer:
    """Ask Twilio; every trouble becomes SendFailed or SendUnknown.

    Every one, since whatever broke after the request left means that nobody knows. Raised outside the
    handler, so that the SDK's exception, which holds number and text, does not hang on ours.
    """
    from epro.notifications.senders.twilio_http import meaning

    try:
        return ask()
    except Exception as trouble:
        told = meaning(trouble)
    raise told
