"""A provider on loopback that speaks Twilio's REST API and can be told to misbehave.

In a test:

    with TwilioServer() as twilio:
        twilio.script("accept", "accept_then_reset", "400:21610")
        ...
        assert len(twilio.messages) == 1

As a process that outlives the ones a test kills:

    python -m tests.fakes.twilio_server --port 8931 --log accepted.jsonl --script accept,accept_then_500

Every accepted message is one line of the log, on disk before the answer leaves.

Behaviours (`KNOWN`), used up one by one, those of a number before the general ones:

accept              201 and the message
accept_slowly       taken at once, 201 after `slow_seconds`
accept_then_reset   taken, then the connection is reset without an answer
accept_then_500     taken, then 500
accept_then_hang    taken, then no answer until the server closes
accept_unreadable   taken, then 201 with a body that is no JSON
reset, hang, 500, 503, redirect    not taken
401, 403, 429       not taken; Twilio's error body
400:<number>        not taken; Twilio's error number, 400:21211 for one
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import urllib.request
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from tests.fakes.http_provider import Answering, Listener

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "a-token-for-tests"
API = "/2010-04-01/Accounts/"
KNOWN = {
    "accept",
    "accept_slowly",
    "accept_then_reset",
    "accept_then_500",
    "accept_then_hang",
    "accept_unreadable",
    "reset",
    "hang",
    "500",
    "503",
    "redirect",
    "401",
    "403",
    "429",
}
WORDS = {
    401: (20003, "Authenticate"),
    403: (20006, "Access denied"),
    404: (20404, "The resource was not found"),
    429: (20429, "Too many requests"),
    500: (20500, "Internal server error"),
    503: (20503, "Service unavailable"),
}

Clock = Callable[[], datetime]


def the_wall() -> datetime:
    """A provider has a clock of its own."""
    return datetime.now(UTC)


@dataclass
class Request:
    """One request as it came: `form` of a POST, `query` of a GET, what was done about it."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    authorized: bool
    at: datetime
    behaviour: str = ""


@dataclass
class Message:
    """One message that was taken, or that came in."""

    sid: str
    to: str
    sender: str
    body: str
    created: datetime
    direction: str = "outbound-api"
    status: str = "queued"
    sent: datetime | None = None
    form: dict[str, str] = field(default_factory=dict)

    def as_json(self, account: str) -> dict[str, Any]:
        service = self.form.get("MessagingServiceSid")
        return {
            "account_sid": account,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": _rfc2822(self.created),
            "date_updated": _rfc2822(self.created),
            "date_sent": _rfc2822(self.sent),
            "direction": self.direction,
            "error_code": None,
            "error_message": None,
            "from": self.sender or None,
            "messaging_service_sid": service,
            "num_media": "0",
            "num_segments": "0" if service else "1",
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": "accepted" if service else self.status,
            "subresource_uris": {"media": f"{API}{account}/Messages/{self.sid}/Media.json"},
            "to": self.to,
            "uri": f"{API}{account}/Messages/{self.sid}.json",
        }


class TwilioServer:
    """The provider. `requests` is everything that came, `messages` everything that was taken."""

    def __init__(
        self,
        *,
        account_sid: str = ACCOUNT_SID,
        auth_token: str = AUTH_TOKEN,
        port: int = 0,
        log: str | os.PathLike[str] | None = None,
        now: Clock = the_wall,
        slow_seconds: float = 0.5,
    ):
        self.account_sid, self.auth_token = account_sid, auth_token
        self.now, self.slow_seconds = now, slow_seconds
        self.requests: list[Request] = []
        self.messages: list[Message] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._script: deque[str] = deque()
        self._updates: deque[str] = deque()
        self._by_number: dict[str, deque[str]] = defaultdict(deque)
        self._log = open(log, "a", encoding="utf-8") if log else None  # noqa: SIM115 (closed in close)
        self._http = Listener(("127.0.0.1", port), _Handler)
        self._http.provider = self
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def posts(self) -> list[Request]:
        """Messages that were asked for, whether taken or not; not what takes a text out."""
        return [r for r in self.requests if r.method == "POST" and not _sid_in(r.path)]

    def __enter__(self) -> TwilioServer:
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve(self) -> None:
        self._http.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        self.closing.set()
        if self._thread:
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        if self._log:
            self._log.close()

    def script(self, *behaviours: str) -> None:
        """Add behaviours for the next messages, whoever they are for."""
        self._script.extend(map(_known, behaviours))

    def script_for(self, number: str, *behaviours: str) -> None:
        """Add behaviours for the next messages to this number."""
        self._by_number[number].extend(map(_known, behaviours))

    def script_updates(self, *behaviours: str) -> None:
        """Add behaviours for the next texts to be taken out."""
        self._updates.extend(map(_known, behaviours))

    def receive_inbound(self, sender: str, to: str, body: str) -> Message:
        """A person wrote to us; shows up in the list with direction inbound."""
        message = Message(_sid(), to, sender, body, self.now(), "inbound", "received", self.now())
        with self._lock:
            self.messages.append(message)
        return message

    def next_behaviour(self, number: str) -> str:
        with self._lock:
            for queue in (self._by_number[number], self._script):
                if queue:
                    return queue.popleft()
        return "accept"

    def next_update(self) -> str:
        with self._lock:
            return self._updates.popleft() if self._updates else "accept"

    def note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def take(self, form: Mapping[str, str]) -> Message:
        message = Message(_sid(), form["To"], form.get("From", ""), form["Body"], self.now(), form=dict(form))
        with self._lock:
            self.messages.append(message)
            self._write(message)
        return message

    def _write(self, message: Message) -> None:
        if self._log:
            self._log.write(json.dumps(asdict(message), default=str, ensure_ascii=False) + "\n")
            self._log.flush()
            os.fsync(self._log.fileno())

    def listed(self, query: Mapping[str, str]) -> list[Message]:
        """Newest first. As Twilio says of its filter: whole days, of the date of sending."""
        with self._lock:
            return [m for m in reversed(self.messages) if _matches(m, query)]


class _Handler(Answering):
    recipient = ""

    def do_POST(self) -> None:
        provider = self.server.provider
        length = int(self.headers.get("Content-Length") or 0)
        form = dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
        if self.path == "/_script":  # for a test in another process
            provider.script(*form["behaviours"].split(","))
            return self._answer(204, None)
        self.recipient = form.get("To", "")
        request = self._noted(form)
        if (sid := _sid_in(request.path)) and request.authorized:
            return self._update(sid, form)
        if self._turned_away(request):
            return None
        request.behaviour = "invalid"
        if number := _fault(form):
            return self._error(400, number, "Invalid request")
        request.behaviour = provider.next_behaviour(form["To"])
        return self._behave(request.behaviour, form)

    def _update(self, sid: str, form: dict[str, str]) -> None:
        """An empty body takes the text out; a message that is gone, or a provider that is out, says so."""
        provider = self.server.provider
        behaviour = provider.next_update()
        message = next((one for one in provider.messages if one.sid == sid), None)
        if behaviour != "accept":
            self._refuse(behaviour)
        elif message is None:
            self._error(404, *WORDS[404])
        else:
            message.body = form.get("Body", message.body)
            self._answer(200, message.as_json(provider.account_sid))

    def do_GET(self) -> None:
        request = self._noted({})
        if not self._turned_away(request):
            self._answer(200, self._page(request.query))

    def _noted(self, form: dict[str, str]) -> Request:
        provider, parts = self.server.provider, urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, parts.path, query, form, self._is_authorized(), provider.now())
        provider.note(request)
        return request

    def _is_authorized(self) -> bool:
        provider = self.server.provider
        wanted = base64.b64encode(f"{provider.account_sid}:{provider.auth_token}".encode()).decode()
        return hmac.compare_digest(self.headers.get("Authorization") or "", f"Basic {wanted}")

    def _turned_away(self, request: Request) -> bool:
        if not request.authorized:
            self._error(401, *WORDS[401])
        elif request.path != f"{API}{self.server.provider.account_sid}/Messages.json":
            self._error(404, *WORDS[404])
        else:
            return False
        return True

    def _behave(self, behaviour: str, form: dict[str, str]) -> None:
        provider = self.server.provider
        message = provider.take(form) if behaviour.startswith("accept") else None
        if behaviour == "accept_slowly":
            provider.closing.wait(provider.slow_seconds)
        after = behaviour.removeprefix("accept_then_")
        if after == "reset":
            self._reset()
        elif after == "hang":
            provider.closing.wait()
            self.close_connection = True
        elif behaviour == "accept_unreadable":
            self._answer(201, "<html>created</html>")
        elif message and after != "500":
            self._answer(201, message.as_json(provider.account_sid))
        elif behaviour == "redirect":
            self._answer(307, None, Location="https://example.org/elsewhere")
        else:
            self._refuse(after)

    def _refuse(self, behaviour: str) -> None:
        status, _, number = behaviour.partition(":")
        code, words = WORDS.get(int(status), (0, "Invalid request"))
        self._error(int(status), int(number or code), words)

    def _error(self, status: int, code: int, words: str) -> None:
        # Twilio repeats the number in its words ("The 'To' number +86... is not valid"): so does this.
        more = f"https://www.twilio.com/docs/errors/{code}"
        body = {"code": code, "message": f"{words}: {self.recipient}", "more_info": more, "status": status}
        self._answer(status, body, **({"Retry-After": "1"} if status == 429 else {}))

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        provider = self.server.provider
        size, number = min(int(query.get("PageSize", 50)), 1000), int(query.get("Page", 0))
        found = provider.listed(query)
        rows = found[number * size : (number + 1) * size]
        path = f"{API}{provider.account_sid}/Messages.json"
        more = (
            f"{path}?{urlencode({**query, 'Page': number + 1, 'PageToken': 'PA' + rows[-1].sid})}"
            if len(found) > (number + 1) * size
            else None
        )
        return {
            "messages": [m.as_json(provider.account_sid) for m in rows],
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + len(rows) - 1,
            "uri": self.path,
            "first_page_uri": path,
            "next_page_uri": more,
            "previous_page_uri": None,
        }


def _sid_in(path: str) -> str | None:
    """The message that a path is about, if it is about one."""
    name = path.rpartition("/Messages/")[2].removesuffix(".json")
    return name if "/Messages/" in path and "/" not in name else None


def _known(behaviour: str) -> str:
    status, _, number = behaviour.partition(":")
    if behaviour not in KNOWN and not (status == "400" and number.isdigit()):
        raise ValueError(f"unknown behaviour {behaviour}")
    return behaviour


def _fault(form: Mapping[str, str]) -> int | None:
    """Twilio's error number for a form it would not take."""
    to, validity = form.get("To", ""), form.get("ValidityPeriod", "1")
    if not to:
        return 21604
    if not (to.startswith("+") and to[1:].isdigit() and 8 <= len(to) <= 16):
        return 21211
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return 21603
    if not form.get("Body"):
        return 21602
    if len(form["Body"]) > 1600:
        return 21617
    return None if validity.isdigit() and 1 <= int(validity) <= 36_000 else 21624


def _matches(message: Message, query: Mapping[str, str]) -> bool:
    if query.get("To", message.to) != message.to or query.get("From", message.sender) != message.sender:
        return False
    days = {sign: query[f"DateSent{sign}"] for sign in ("", "<", ">") if f"DateSent{sign}" in query}
    return not days or (
        message.sent is not None
        and all(_in_order(sign, message.sent.date(), text) for sign, text in days.items())
    )


def _in_order(sign: str, sent: date, text: str) -> bool:
    asked = date.fromisoformat(text[:10])
    return {"": sent == asked, "<": sent <= asked, ">": sent >= asked}[sign]


def _sid() -> str:
    return "SM" + os.urandom(16).hex()


def _rfc2822(at: datetime | None) -> str | None:
    return format_datetime(at.astimezone(UTC)) if at else None


# Call-backs, as Twilio makes them. Written from its description, not with its SDK, so that the two can
# be held against each other: https://www.twilio.com/docs/usage/security


def signature_of(url: str, params: Mapping[str, str], auth_token: str) -> str:
    """HMAC-SHA1 over the address and every field, name and value, in the order of the names."""
    said = url + "".join(name + params[name] for name in sorted(params))
    return base64.b64encode(hmac.new(auth_token.encode(), said.encode(), hashlib.sha1).digest()).decode()


def signed_callback(url: str, params: Mapping[str, str], auth_token: str = AUTH_TOKEN) -> dict[str, str]:
    """The headers of a genuine call-back to this address with these fields."""
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": "TwilioProxy/1.1",
        "X-Twilio-Signature": signature_of(url, params, auth_token),
    }


def status_fields(
    sid: str, status: str, to: str, *, error_code: int | None = None, account_sid: str = ACCOUNT_SID
) -> dict[str, str]:
    """The fields of a status call-back: queued, sent, delivered, undelivered, failed."""
    fields = {
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": status,
        "SmsStatus": status,
        "To": to,
        "From": "+12025550100",
        "AccountSid": account_sid,
        "ApiVersion": "2010-04-01",
    }
    return fields | ({"ErrorCode": str(error_code)} if error_code else {})


def inbound_fields(
    sender: str,
    body: str,
    *,
    sid: str | None = None,
    to: str = "+12025550100",
    account_sid: str = ACCOUNT_SID,
) -> dict[str, str]:
    """The fields of a message that somebody sent to us, STOP for one."""
    sid = sid or _sid()
    return {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": account_sid,
        "From": sender,
        "To": to,
        "Body": body,
        "NumMedia": "0",
        "NumSegments": "1",
        "ApiVersion": "2010-04-01",
    }


def post_callback(
    url: str,
    params: Mapping[str, str],
    auth_token: str = AUTH_TOKEN,
    *,
    signed_for: str | None = None,
    timeout: float = 5.0,
) -> int:
    """Post a signed call-back and return the HTTP status. `signed_for` is the public address, if another."""
    request = urllib.request.Request(
        url,
        urlencode(params, quote_via=quote).encode(),
        signed_callback(signed_for or url, params, auth_token),
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return int(refused.code)


def post_status(
    url: str,
    sid: str,
    status: str,
    to: str,
    auth_token: str = AUTH_TOKEN,
    *,
    error_code: int | None = None,
    signed_for: str | None = None,
) -> int:
    """Tell what became of a message; returns the HTTP status of the answer."""
    return post_callback(
        url, status_fields(sid, status, to, error_code=error_code), auth_token, signed_for=signed_for
    )


def post_inbound(
    url: str,
    sender: str,
    body: str,
    auth_token: str = AUTH_TOKEN,
    *,
    sid: str | None = None,
    signed_for: str | None = None,
) -> int:
    """Bring a message from a person; returns the HTTP status of the answer."""
    return post_callback(url, inbound_fields(sender, body, sid=sid), auth_token, signed_for=signed_for)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="A provider on loopback that speaks Twilio's REST API.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one, named on the first line")
    parser.add_argument("--log", help="file to which every accepted message is appended as a JSON line")
    parser.add_argument("--account", default=ACCOUNT_SID, help="account sid")
    parser.add_argument("--token", default=AUTH_TOKEN, help="auth token")
    parser.add_argument("--script", default="", help="behaviours, separated by commas")
    parser.add_argument("--slow-seconds", type=float, default=30.0, help="of accept_slowly")
    chosen = parser.parse_args(arguments)
    provider = TwilioServer(
        account_sid=chosen.account,
        auth_token=chosen.token,
        port=chosen.port,
        log=chosen.log,
        slow_seconds=chosen.slow_seconds,
    )
    provider.script(*filter(None, chosen.script.split(",")))
    sys.stdout.write(f"listening on {provider.port}\n")
    sys.stdout.flush()
    try:
        provider.serve()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
