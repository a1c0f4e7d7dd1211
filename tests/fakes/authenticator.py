"""A WebAuthn authenticator in software, with one key: it does what a browser and a device do together.

device = Authenticator("epro.test")
device.made_for(challenge)    # the answer to a challenge for a new passkey
device.shown_for(challenge)   # and to one for signing in; `changed` makes each of them wrong in one place
"""

from __future__ import annotations

import base64
import json
import secrets
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """One passkey for one host."""

    def __init__(self, host: str, origin: str | None = None):
        self.host, self.origin = host, origin or f"https://{host}"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id, self.count, self.user = secrets.token_bytes(32), 0, b""

    def made_for(self, asked: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """The answer of a new passkey."""
        self.user = _raw(asked["options"]["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        credential = bytes(16) + len(self.id).to_bytes(2, "big") + self.id
        data = self._data(ATTESTED, changed) + credential + cbor2.dumps({1: 2, 3: -7, -1: 1, **point})
        response = {
            "attestationObject": _text(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            "clientDataJSON": _text(self._client("webauthn.create", asked, changed)),
        }
        return self._answer(asked, response, changed)

    def shown_for(self, asked: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """The answer of the passkey that is there; its counter goes on."""
        self.count += 1
        data, client = self._data(0, changed), self._client("webauthn.get", asked, changed)
        signed = self.key.sign(data + sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "authenticatorData": _text(data),
            "clientDataJSON": _text(client),
            "signature": _text(changed.get("signature", signed)),
            "userHandle": _text(changed.get("user", self.user)),
        }
        return self._answer(asked, response, changed)

    def _data(self, flags: int, changed: dict[str, Any]) -> bytes:
        flags |= changed.get("flags", PRESENT | VERIFIED)
        count = changed.get("count", self.count)
        return (
            sha256(changed.get("host", self.host).encode()).digest()
            + bytes([flags])
            + count.to_bytes(4, "big")
        )

    def _client(self, kind: str, asked: dict[str, Any], changed: dict[str, Any]) -> bytes:
        told = {
            "type": changed.get("type", kind),
            "challenge": changed.get("challenge", asked["options"]["challenge"]),
            "origin": changed.get("origin", self.origin),
            "crossOrigin": False,
        }
        return json.dumps(told).encode()

    def _answer(self, asked: dict[str, Any], response: Any, changed: dict[str, Any]) -> dict[str, Any]:
        name = _text(changed.get("id", self.id))
        credential = {"id": name, "rawId": name, "type": "public-key", "response": response,
                      "clientExtensionResults": {}}  # fmt: skip
        return {"ticket": changed.get("ticket", asked["ticket"]), "credential": credential}


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")
