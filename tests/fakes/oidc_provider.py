"""An identity provider on loopback that speaks OpenID Connect, and lies where its script says so.

`come_back(address)` is what a person does there: she is let in, and her browser is sent back with a code. What the
token endpoint then gives out is an honest id token, changed as `changed` says: claims, header, or the key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from tests.fakes.http_provider import Answering, Provider

CLIENT, SECRET = "epro", "the client's secret"
ELSEWHERE = "https://another.example"


class Handler(Answering):
    def do_GET(self) -> None:
        provider: OidcProvider = self.server.provider
        if self.path == "/.well-known/openid-configuration":
            self._answer(200, {**provider.about, **provider.changed.get("about", {})})
        elif self.path == "/keys":
            provider.asked_for_keys += 1
            self._answer(200, {"keys": [_told(key) for key in provider.published]})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        provider: OidcProvider = self.server.provider
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(sent).items()}
        behaviour = provider.next_behaviour()
        if behaviour == "reset":
            self._reset()
        elif behaviour.startswith("status"):
            self._answer(int(behaviour.partition(":")[2]), {"error": "server_error"})
        elif behaviour == "redirect":
            self._answer(302, "", Location=f"{ELSEWHERE}/token")
        else:
            self._answer(*provider.token(form, self.headers.get("Authorization", "")))


class OidcProvider(Provider):
    """One provider, one client."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        super().__init__(Handler, known=("accept", "reset", "status", "redirect"))
        self.key = ECKey.generate_key("P-256", {"kid": "one", "use": "sig", "alg": "ES256"})
        self.published: list[Any] = [self.key]
        self.changed: dict[str, Any] = {}
        self.asked_for_keys = 0
        self._codes: dict[str, dict[str, Any]] = {}

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def about(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/end",
        }

    def come_back(self, address: str, subject: str = "noor@clinic", **claims: Any) -> dict[str, str]:
        """She is let in: the parameters with which her browser comes back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code", asked
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = {"asked": asked, "claims": {"sub": subject, **claims}}
        return {"code": code, "state": asked["state"]}

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        basic = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        plain = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        known = self._codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        fits = (
            known is not None
            and authorization.removeprefix("Basic ") in (basic, plain)
            and base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() == known["asked"]["code_challenge"]
            and form.get("redirect_uri") == known["asked"]["redirect_uri"]
        )
        if not fits or known is None:
            return 400, {"error": "invalid_grant"}
        given = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 60}
        if self.changed.get("no_token"):
            return 200, given
        return 200, {**given, "id_token": self.signed({"nonce": known["asked"]["nonce"], **known["claims"]})}

    def signed(self, claims: dict[str, Any]) -> str:
        """A token of theirs, as `changed` spoils it; `...` leaves a claim out."""
        now = int(self.now.timestamp())
        told = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, **claims}
        told |= self.changed.get("claims", {})
        told = {name: value for name, value in told.items() if value is not ...}
        header = {"alg": "ES256", "kid": "one", **self.changed.get("header", {})}
        if header["alg"] == "none":
            return ".".join([_part(header), _part(told), ""])
        key = self.changed.get("key", self.key)
        if header["alg"] == "HS256":
            key = OctKey.import_key(SECRET)
        return jwt.encode(header, told, key, algorithms=[header["alg"]])


def _told(key: Any) -> Any:
    """A key as it is published; what is none, as it is."""
    return key.as_dict(private=False) if isinstance(key, ECKey) else key


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
