"""Web Push (RFC 8030, 8188, 8291, 8292), by pywebpush: the text goes to the phone's own push service, sealed for it.

`to` is the subscription as JSON. A later message of the same `collapse` takes the place of one that waits at the
push service, and the app shows a message id once. So a repeat does no harm, and what is in doubt is refused in
passing here: it is looked at afresh and sent again while it is of use.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from epro.notifications.senders import Outgoing, SendFailed, SendUnknown
from epro.notifications.senders.vapid import is_known

TIMEOUT = (3.0, 10.0)  # seconds: to connect, to wait for the answer
LONGEST = timedelta(weeks=4)  # that a push service keeps a message
MOST_PATIENT = timedelta(hours=1)

# Status: (our word, permanent).
MEANINGS = {
    400: ("refused", True),
    401: ("credentials", False),
    403: ("credentials", False),
    404: ("gone", True),
    410: ("gone", True),
    413: ("too_long", True),
    429: ("busy", False),
}


class WebPushSender:
    """Hands messages to push services, each exactly one request.

    `key` is ours (VAPID), `contact` whom a push service may write to, `hosts` the push services that we know.
    `may_reach` says of an address whether it may be connected to; `trusted` is a file of certificates in the place
    of the system's.
    """

    channel, name = "push", "webpush"

    def __init__(
        self,
        key: EllipticCurvePrivateKey,
        contact: str,
        hosts: Sequence[str],
        *,
        timeout: tuple[float, float] = TIMEOUT,
        may_reach: Callable[[str], bool] | None = None,
        trusted: str | None = None,
    ):
        self._key, self._contact, self._hosts = key, contact, tuple(hosts)
        self._timeout, self._may_reach, self._trusted = timeout, may_reach, trusted

    def send(self, message: Outgoing) -> str:
        """Returns an id made from ours: the push service's own is an address that opens its message."""
        told = self._told(message)
        if told is not None:
            raise told
        return f"push-{message.message_id}"

    def _told(self, message: Outgoing) -> SendFailed | None:
        """What came of it, outside any handler: exceptions of libraries hold the subscription's address."""
        try:
            subscription = json.loads(message.to)
            if not is_known(subscription["endpoint"], self._hosts):
                return SendFailed("gone", permanent=True)
            self._push(subscription, message)
        except Exception as trouble:
            return _meaning(trouble)
        return None

    def _push(self, subscription: dict[str, Any], message: Outgoing) -> None:
        from pywebpush import Vapid, webpush  # here: a process that pushes nothing need not load it

        from epro.notifications.senders.push_http import Session

        with Session(self._may_reach, self._trusted) as session:
            webpush(
                {name: subscription[name] for name in ("endpoint", "keys")},
                payload(message),
                vapid_private_key=Vapid(self._key),
                vapid_claims={"sub": self._contact},
                ttl=seconds(message.valid_for),
                headers={"Topic": topic(message), "Urgency": "high"},
                requests_session=session,
                timeout=self._timeout,
            )


def payload(message: Outgoing) -> str:
    """What the app is given: the neutral text and the id by which it shows a message once and confirms it."""
    said = {
        "id": str(message.message_id),
        "title": message.subject or "",
        "text": message.text,
        "language": message.language,
    }
    return json.dumps(said, ensure_ascii=False)


def topic(message: Outgoing) -> str:
    """At most 32 characters of base64url (RFC 8030, 5.4)."""
    about = message.collapse or message.message_id
    return base64.urlsafe_b64encode(about.bytes).rstrip(b"=").decode()


def seconds(valid_for: timedelta) -> int:
    return int(max(timedelta(), min(LONGEST, valid_for)).total_seconds())


def _meaning(trouble: Exception) -> SendFailed:
    from pywebpush import WebPushException

    from epro.notifications.senders.network import of_the_network
    from epro.notifications.senders.push_http import NotReachable

    if isinstance(trouble, NotReachable):
        return SendFailed("bad_address", permanent=True)
    if isinstance(trouble, WebPushException) and trouble.status_code:
        return _of_status(trouble.status_code, trouble.retry_after)
    if isinstance(trouble, LookupError | ValueError | TypeError | AttributeError | WebPushException):
        return SendFailed("gone", permanent=True)  # no subscription at all, or with keys that are none
    known = of_the_network(trouble)
    return SendFailed(known.code, permanent=False) if isinstance(known, SendUnknown) else known


def _of_status(status: int, retry_after: str | None) -> SendFailed:
    code, permanent = MEANINGS.get(status, ("busy" if status >= 500 else "refused", False))
    return SendFailed(code, permanent=permanent, detail=str(status), retry_after=_patience(retry_after))


def _patience(retry_after: str | None) -> timedelta | None:
    """How long they ask us to wait, as seconds; a date is passed over, for it needs both clocks to agree."""
    if retry_after and retry_after.isascii() and retry_after.isdigit():
        return min(timedelta(seconds=int(retry_after[:9])), MOST_PATIENT)
    return None
