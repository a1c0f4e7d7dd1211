"""A provider on loopback that speaks Aliyun's SMS interface (Dysmsapi 2017-05-25) and can be told to misbehave.

Every request is checked as Aliyun checks it: the signature ACS3-HMAC-SHA256 over the canonical request, worked out
here from its description and not with the SDK; its date within a quarter of an hour; its nonce never seen before.

    with AliyunServer() as aliyun:
        aliyun.script("accept", "code:isv.BUSINESS_LIMIT_CONTROL", "accept_then_reset")

Behaviours, one for each message:

accept              OK and a BizId
accept_then_reset   taken, then the connection is reset without an answer
accept_then_hang    taken, then no answer until the server closes
accept_then_500     taken, then 500
accept_unreadable   taken, then a body that is no JSON
reset, hang         not taken
code:<code>         200 with this Code; not taken
status:<n>:<code>   an answer of the gateway; not taken
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

from tests.fakes.http_provider import Answering, Provider

KEY_ID, KEY_SECRET = "LTAI-of-the-tests", "a secret of the tests"
CHINA = ZoneInfo("Asia/Shanghai")
KNOWN = {
    "accept",
    "accept_then_reset",
    "accept_then_hang",
    "accept_then_500",
    "accept_unreadable",
    "reset",
    "hang",
    "code",
    "status",
}


@dataclass
class Taken:
    """One message that was taken."""

    biz_id: str
    query: dict[str, str]
    at: datetime
    status: int = 1  # waits for its receipt

    @property
    def number(self) -> str:
        return self.query["PhoneNumbers"]

    @property
    def values(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.query["TemplateParam"])
        return found


class AliyunServer(Provider):
    """The provider. `requests` are (action, query) as they came and were well signed, `taken` what it took."""

    def __init__(
        self, *, key_secret: str = KEY_SECRET, port: int = 0, now: Callable[[], datetime] | None = None
    ):
        super().__init__(_Handler, KNOWN, port)
        self.key_secret = key_secret
        self.now = now or (lambda: datetime.now(UTC))
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.taken: list[Taken] = []
        self.turned_away: list[str] = []
        self.nonces: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sends(self) -> list[dict[str, str]]:
        return [query for action, query in self.requests if action == "SendSms"]

    def take(self, query: dict[str, str]) -> Taken:
        message = Taken(f"{uuid4().int % 10**18}^0", query, self.now())
        with self.lock:
            self.taken.append(message)
        return message

    def listed(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Newest first, of one number and one day in China."""
        found = [
            {
                "PhoneNum": one.number,
                "SendStatus": one.status,
                "OutId": one.query.get("OutId", ""),
                "TemplateCode": one.query["TemplateCode"],
                "SendDate": f"{one.at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}",
            }
            for one in reversed(self.taken)
            if one.number == query["PhoneNumber"]
            and f"{one.at.astimezone(CHINA):%Y%m%d}" == query["SendDate"]
        ]
        size, page = int(query["PageSize"]), int(query["CurrentPage"])
        return found[(page - 1) * size : page * size]

    def report(self, taken: Taken, success: bool, code: str | None = None) -> dict[str, Any]:
        """What Aliyun posts about a message afterwards."""
        return {
            "phone_number": taken.number,
            "send_time": "2026-03-02 19:01:00",
            "report_time": "2026-03-02 19:01:05",
            "success": success,
            "err_code": code or ("DELIVERED" if success else "UNDELIV"),
            "err_msg": "a sentence of theirs",
            "sms_size": "1",
            "biz_id": taken.biz_id,
            "out_id": taken.query.get("OutId", ""),
        }


class _Handler(Answering):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        provider: AliyunServer = self.server.provider
        if fault := self._fault(parts.path, parts.query, body):
            provider.turned_away.append(fault)
            return self._refuse(400 if fault == "SignatureDoesNotMatch" else 404, fault, query)
        action = self.headers["x-acs-action"]
        provider.requests.append((action, query))
        if action == "QuerySendDetails":
            return self._details(query)
        return self._behave(provider.next_behaviour(), query)

    def _fault(self, path: str, query: str, body: bytes) -> str | None:
        provider: AliyunServer = self.server.provider
        date = datetime.strptime(self.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        nonce = self.headers["x-acs-signature-nonce"]
        if self.headers["x-acs-version"] != "2017-05-25":
            return "InvalidVersion"
        if f"Credential={KEY_ID}," not in self.headers["Authorization"]:
            return "InvalidAccessKeyId.NotFound"
        if abs(datetime.now(UTC) - date) > timedelta(minutes=15) or nonce in provider.nonces:
            return "SignatureNonceUsed"
        provider.nonces.add(nonce)
        headers = {name.lower(): value for name, value in self.headers.items()}
        good = authorization("POST", path, query, headers, body, provider.key_secret)
        return None if hmac.compare_digest(headers["authorization"], good) else "SignatureDoesNotMatch"

    def _behave(self, behaviour: str, query: dict[str, str]) -> None:
        provider: AliyunServer = self.server.provider
        kind, _, rest = behaviour.partition(":")
        taken = provider.take(query) if kind.startswith("accept") else None
        if kind in ("reset", "accept_then_reset"):
            self._reset()
        elif kind in ("hang", "accept_then_hang"):
            self._hang()
        elif kind == "accept_unreadable":
            self._answer(200, "<html>taken</html>")
        elif kind == "accept_then_500":
            self._refuse(500, "InternalError", query)
        elif kind == "status":
            self._refuse(int(rest.partition(":")[0]), rest.partition(":")[2], query)
        elif taken:
            self._answer(200, {"Code": "OK", "Message": "OK", "BizId": taken.biz_id, "RequestId": "R1"})
        else:
            self._answer(200, {"Code": rest, "Message": f"no {query['PhoneNumbers']}", "RequestId": "R1"})

    def _refuse(self, status: int, code: str, query: dict[str, str]) -> None:
        """As Aliyun, the words repeat what was sent."""
        number = query.get("PhoneNumbers") or query.get("PhoneNumber")
        self._answer(status, {"Code": code, "Message": f"refused: {number}", "RequestId": "R1"})

    def _details(self, query: dict[str, str]) -> None:
        rows = self.server.provider.listed(query)
        self._answer(
            200,
            {"Code": "OK", "TotalCount": str(len(rows)), "SmsSendDetailDTOs": {"SmsSendDetailDTO": rows}},
        )


def authorization(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, secret: str
) -> str:
    """The header that a request must carry: ACS3-HMAC-SHA256 over method, path, query, headers and body."""
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    needed = {name for name in headers if name.startswith("x-acs-")} | {"host"}
    if not needed <= set(signed) or signed != sorted(signed):
        return "nothing that must be signed may be left out"
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        [
            method,
            path or "/",
            "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs),
            *[f"{name}:{headers[name].strip()}" for name in signed],
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(secret.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode(), hashlib.sha256).hexdigest()
    return f"ACS3-HMAC-SHA256 Credential={KEY_ID},SignedHeaders={';'.join(signed)},Signature={signature}"
