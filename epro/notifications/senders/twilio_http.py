"""How a request reaches Twilio, and what its going wrong means.

Apart from `twilio.py` because importing the SDK costs 0.4 s and 50 MB, which a process that sends no
SMS should not pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response

from epro.notifications.senders import SendFailed, SendUnknown
from epro.notifications.senders.network import keep_queries_out_of_logs, of_the_network

# Twilio's error numbers, in our words: (code, permanent). Those from 30000 arrive in status call-backs.
# https://www.twilio.com/docs/api/errors
MEANINGS: Mapping[int, tuple[str, bool]] = {
    21211: ("bad_number", True),
    21214: ("bad_number", True),
    21217: ("bad_number", True),
    21265: ("bad_number", True),
    21614: ("bad_number", True),
    21635: ("bad_number", True),
    21610: ("opted_out", True),
    21408: ("region_closed", True),
    60220: ("region_closed", True),
    21612: ("not_reachable", True),
    21617: ("too_long", True),
    30003: ("not_reachable", False),
    30004: ("blocked", True),
    30005: ("bad_number", True),
    30006: ("bad_number", True),
    30007: ("filtered", False),
}


class HttpClient(TwilioHttpClient):
    """The SDK's client with time-outs, without retries or logs, and with a host that can be replaced.

    base_url: scheme and host put in place of the SDK's own (a loopback server, a hospital's relay).
    timeout: seconds to connect and seconds to wait for each piece of the answer; the SDK has none.
    """

    def __init__(self, base_url: str | None, timeout: tuple[float, float]):
        super().__init__(max_retries=0)
        self._base = urlsplit(base_url) if base_url else None
        self._seconds = timeout
        keep_queries_out_of_logs()

    def close(self) -> None:
        self.session.close()

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        kwargs["timeout"] = None
        self.timeout = self._seconds  # here, because the SDK's constructor takes no pair
        return super().request(method, self._moved(url), *args, **kwargs)

    def _moved(self, url: str) -> str:
        if self._base is None:
            return url
        return urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc).geturl()

    def log_request(self, kwargs: dict[str, Any]) -> None:
        """Nothing: the SDK would log the number."""

    def log_response(self, status_code: int, response: Any) -> None:
        """Nothing: the SDK would log the headers."""


def meaning(trouble: Exception) -> SendFailed | SendUnknown:
    """What an exception of the SDK or of the network says about the message."""
    if isinstance(trouble, TwilioRestException | TwilioServiceException):
        return _answered(trouble.status, trouble.code)
    return of_the_network(trouble)


def _answered(status: int, number: int | None) -> SendFailed | SendUnknown:
    if status >= 500 or status == 408:
        return SendUnknown(f"http_{status}")  # error 20500: a 500 may still have sent the message
    if number is not None and number in MEANINGS:
        code, permanent = MEANINGS[number]
        return SendFailed(code, permanent=permanent, detail=str(number))
    code = {401: "credentials", 403: "credentials", 429: "busy"}.get(status, "refused")
    return SendFailed(code, permanent=False, detail=str(number or status))
