"""People who use the system as people do: through its doors, over HTTP, and nothing else.

`Phone` is a participant's phone that works offline; `StaffMember` signs in and acts. Both speak through a `Line`,
which is either Flask's test client (a rehearsal in one process) or a real server's address.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from flask import Flask

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back: status, the decoded JSON (None if there was none), headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return self.status < 400


Line = Callable[[str, str, Any, Mapping[str, str]], Answer]


class Refused(Exception):
    """The server said no."""

    def __init__(self, answer: Answer):
        super().__init__(f"{answer.status} {(answer.body or {}).get('code')}")
        self.answer = answer


def in_process(app: Flask) -> Line:
    """A line to an application in this process."""
    client = app.test_client()

    def call(method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        reply = client.open(
            path, method=method, data=data, headers=dict(headers), content_type="application/json"
        )
        decoded = reply.get_json(silent=True) if "json" in (reply.content_type or "") else None
        return Answer(reply.status_code, decoded, dict(reply.headers))

    return call


def over_http(address: str, timeout: float = 30) -> Line:
    """A line to a server at `address` (scheme, host and port). Raises OSError when the line is cut."""

    def call(method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            address + path, data, {"Content-Type": "application/json", **headers}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return _answer(reply.status, reply.read(), reply.headers)
        except urllib.error.HTTPError as refusal:
            return _answer(refusal.code, refusal.read(), refusal.headers)

    return call


def _answer(status: int, raw: bytes, headers: Any) -> Answer:
    decoded = json.loads(raw) if raw and "json" in (headers.get("Content-Type") or "") else None
    return Answer(status, decoded, dict(headers))


@dataclass
class Caller:
    """Somebody with a key on a line."""

    line: Line
    key: str | None = None

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return self.line(method, path, body, headers)

    def must(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded body. Raises Refused when the server says no."""
        answer = self.call(method, path, body)
        if not answer.ok:
            raise Refused(answer)
        return answer.body


@dataclass
class StaffMember(Caller):
    """A person of the staff."""

    email: str = ""
    password: str = ""

    def sign_in(self) -> StaffMember:
        pair = self.must("POST", "/v1/staff/login", {"email": self.email, "password": self.password})
        self.key = pair["access_token"]
        return self

    def enrol(self, **wanted: Any) -> Json:
        made: Json = self.must("POST", "/v1/site/participants", wanted)
        return made

    def code_for(self, subject_id: str) -> str:
        made = self.must("POST", f"/v1/site/participants/{subject_id}/activation-code", {})
        return str(made["activation_code"])

    def set_anchor(self, subject_id: str, anchor: str, day: str, reason: str = "as it happened") -> Json:
        wanted = {"anchor": anchor, "date": day, "reason": reason}
        done: Json = self.must("POST", f"/v1/site/participants/{subject_id}/anchors", wanted)
        return done

    def worklist(self) -> list[Json]:
        found: list[Json] = self.must("GET", "/v1/site/alerts?standing=true")["alerts"]
        return found

    def acknowledge(self, alert_id: str, note: str = "on it") -> Json:
        done: Json = self.must("POST", f"/v1/site/alerts/{alert_id}/acknowledgement", {"note": note})
        return done

    def resolve(self, alert_id: str, outcome: str, note: str = "") -> Json:
        wanted = {"outcome": outcome, "note": note or None}
        done: Json = self.must("POST", f"/v1/site/alerts/{alert_id}/resolution", wanted)
        return done

    def withdraw(self, subject_id: str, reason: str = "own wish") -> Json:
        done: Json = self.must("POST", f"/v1/site/participants/{subject_id}/withdrawal", {"reason": reason})
        return done

    def revoke_device(self, subject_id: str, device_id: str, reason: str) -> None:
        self.must(
            "POST", f"/v1/site/participants/{subject_id}/devices/{device_id}/revocation", {"reason": reason}
        )

    def timeline(self, subject_id: str) -> Json:
        told: Json = self.must("GET", f"/v1/site/participants/{subject_id}/timeline")
        return told


@dataclass
class Phone(Caller):
    """A participant's phone. What she answers waits in `unsent` until a receipt comes back for it."""

    installation_id: str = field(default_factory=lambda: uuid4().hex)
    refresh_token: str = ""
    subject_id: str = ""
    language: str = ""
    time_zone: str = ""
    since: str | None = None
    known: dict[str, Json] = field(default_factory=dict)
    definitions: dict[tuple[str, str], Json] = field(default_factory=dict)
    unsent: list[Json] = field(default_factory=list)
    receipts: dict[str, Json] = field(default_factory=dict)

    def activate(self, code: str) -> Phone:
        device = {"installation_id": self.installation_id, "platform": "simulated", "app_version": "1.0"}
        made = self.must("POST", "/v1/phone/activate", {"activation_code": code, "device": device})
        self.key, self.refresh_token = made["access_token"], made["refresh_token"]
        about = made["participant"]
        self.subject_id, self.language, self.time_zone = (
            about["subject_id"],
            about["language"],
            about["time_zone"],
        )
        return self

    def refresh(self) -> None:
        pair = self.must(
            "POST",
            "/v1/phone/token",
            {"refresh_token": self.refresh_token, "installation_id": self.installation_id},
        )
        self.key, self.refresh_token = pair["access_token"], pair["refresh_token"]

    def speak(self, method: str, path: str, body: Any = None) -> Any:
        """Call, with a fresh token when the old one has run out. Raises Refused."""
        answer = self.call(method, path, body)
        if answer.status == 401:
            self.refresh()
            answer = self.call(method, path, body)
        if not answer.ok:
            raise Refused(answer)
        return answer.body

    def change(self, **wishes: Any) -> Json:
        """Change her own settings, and learn what follows from it."""
        about: Json = self.speak("PATCH", "/v1/phone/me", wishes)
        self.language, self.time_zone = about["language"], about["time_zone"]
        self.sync()
        return about

    def sync(self) -> list[Json]:
        """Learn what is due; returns everything known, in the order of the windows."""
        more = True
        while more:
            page = self.speak("GET", "/v1/phone/changes" + (f"?since={self.since}" if self.since else ""))
            self.known.update({o["id"]: o for o in page["occurrences"]})
            for wanted in page["instruments"]:
                self._learn(wanted["code"], wanted["version"], wanted["wording"])
            self.since, more = page["next"], page["more"]
        return sorted(self.known.values(), key=lambda o: o["opens_at"])

    def open_at(self, now: datetime) -> list[Json]:
        """What can be answered at this instant, by what the phone knows."""
        answered = {entry["occurrence_id"] for entry in self.unsent} | {
            receipt["occurrence_id"] for receipt in self.receipts.values()
        }
        return [
            o
            for o in sorted(self.known.values(), key=lambda o: o["opens_at"])
            if o["state"] not in ("fulfilled", "cancelled", "missed")
            and o["id"] not in answered
            and datetime.fromisoformat(o["opens_at"]) <= now < datetime.fromisoformat(o["closes_at"])
        ]

    def answer(
        self,
        occurrence: Json,
        answers: Json,
        started_at: datetime,
        completed_at: datetime,
        response_id: UUID | None = None,
    ) -> Json:
        """Fill in, without network; the entry waits to be sent."""
        entry = {
            "id": str(response_id or uuid4()),
            "occurrence_id": occurrence["id"],
            "instrument": occurrence["instrument"],
            "language": self.language,
            "answers": answers,
            "started_at": started_at.isoformat(),
            "completed_at": completed_at.isoformat(),
            "time_zone": self.time_zone,
        }
        self.unsent.append(entry)
        return entry

    def upload(self, sent_at: datetime) -> list[Json]:
        """Hand in what waits. An entry is forgotten only when its own receipt has come."""
        if not self.unsent:
            return []
        reply = self.speak(
            "POST", "/v1/phone/responses", {"responses": self.unsent, "sent_at": sent_at.isoformat()}
        )
        by_id = {entry["id"]: entry for entry in self.unsent}
        for receipt in reply["receipts"]:
            entry = by_id.pop(receipt["id"], None)
            if entry is not None:
                self.receipts[receipt["id"]] = {**receipt, "occurrence_id": entry.get("occurrence_id")}
        self.unsent = list(by_id.values())
        found: list[Json] = reply["receipts"]
        return found

    def _learn(self, code: str, version: str, wording: str | None) -> None:
        """A definition is fetched once, and again when other words are in force."""
        known = self.definitions.get((code, version))
        if known is None or known["wording"].get("digest") != wording:
            path = f"/v1/phone/instruments/{code}/{version}?lang={self.language}"
            path += f"&wording={wording}" if wording else ""
            self.definitions[(code, version)] = self.speak("GET", path)
