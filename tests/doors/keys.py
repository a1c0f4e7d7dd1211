"""Keys that open nothing: everything somebody could hold up at a door that is not the right key for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt

from epro import clock
from epro.signin import machine_keys, sessions, staff
from epro.signin.models import MachineKey
from epro.simulation.people import Phone
from epro.tx import Grant, begin, system
from tests.cast import PASSWORD, STUDY, at
from tests.doors.scene import TODAY, Stage, hire

TESTS = system("tests")


def wrong_for_everybody(stage: Stage) -> dict[str, str]:
    """Authorization headers that no door may take, by what is wrong with them."""
    phone, person = stage.token("ada"), stage.token("noor")
    return {
        "no scheme": phone,
        "no scheme, a person": person,
        "another scheme": f"Basic {base64.b64encode(b'noor@example.org:secret').decode()}",
        "an empty token": "Bearer ",
        "garbage": "Bearer garbage",
        "garbage with dots": "Bearer a.b.c",
        "a very long one": "Bearer " + "x" * 8000,
        "not ASCII": "Bearer ünïcödé",
        "a phone's refresh token": f"Bearer {stage.ada.phone.refresh_token}",
        "a refresh token of the staff": f"Bearer {_login(stage, 'noor')['refresh_token']}",
        "two tokens": f"Bearer {phone} {person}",
        "a machine key with another secret": f"Bearer {stage.ids['machine'][:-4]}AAAA",
        "a machine key without its secret": f"Bearer {stage.ids['machine'].rpartition('_')[0]}",
        "a machine key of nobody": f"Bearer epk_{uuid4().hex}_secret",
        "a malformed machine key": "Bearer epk_no_such_thing",
    }


def of_the_past(stage: Stage) -> dict[str, dict[str, str]]:
    """Keys that were good once, by the door they opened: of phones, of people and of machines."""
    return {"phone": _past_phones(stage), "staff": _past_people(stage), "machine": _past_machines(stage)}


def forged(token: str) -> dict[str, str]:
    """Tokens made out of a good one: each has one thing wrong."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    right, now = sessions.jwt_key(), int(at(TODAY).timestamp())

    def signed(changes: dict[str, Any], key: str = right, algorithm: str = "HS256", **headers: Any) -> str:
        changed = {name: value for name, value in {**claims, **changes}.items() if value is not ...}
        return jwt.encode(changed, key, algorithm=algorithm, headers=headers or None)

    missing = {
        f"no {name}": signed({name: ...}) for name in ("exp", "iat", "iss", "aud", "sub", "jti", "type")
    }
    return {
        **missing,
        "signed with another key": signed({}, "another key of thirty-two characters or more"),
        "signed with an empty key": _by_hand({"alg": "HS256", "typ": "JWT"}, claims, b""),
        "alg none": _by_hand({"alg": "none", "typ": "JWT"}, claims, None),
        "alg NONE": _by_hand({"alg": "NONE", "typ": "JWT"}, claims, None),
        "alg none, signature kept": _by_hand({"alg": "none"}, claims, None) + token.rpartition(".")[2],
        "no alg": _by_hand({"typ": "JWT"}, claims, None),
        "HS512": signed({}, right, "HS512"),
        "HS384": signed({}, right, "HS384"),
        "a signature cut short": token[:-5],
        "claims changed, signature kept": _graft(token, {**claims, "sub": str(uuid4())}),
        "for another door": signed({"aud": "epro-sponsor"}),
        "for the other door": signed({"aud": _other(claims["aud"])}),
        "aud empty": signed({"aud": []}),
        "from another issuer": signed({"iss": "somebody"}),
        "issuer empty": signed({"iss": ""}),
        "run out": signed({"exp": now - 1}),
        "run out this second": signed({"exp": now}),
        "exp as text": signed({"exp": str(now + 600)}),
        "exp as a fraction": signed({"exp": now + 600.5}),
        "a refresh token by its type": signed({"type": "refresh"}),
        "of a session that never was": signed({"sub": str(uuid4())}),
        "sub that is no id": signed({"sub": "noor"}),
        "sub as a number": signed({"sub": 7}),
        "crit header": signed({}, crit=["x-unknown"]),
    }


def _other(audience: str) -> str:
    return sessions.STAFF if audience == sessions.PHONE else sessions.PHONE


def _past_phones(stage: Stage) -> dict[str, str]:
    noor = stage.cast.staff("noor")
    lost, left, early = (_phone(stage, noor) for _ in range(3))
    device = noor.timeline(lost.subject_id)["devices"][0]["id"]
    noor.must(
        "POST", f"/v1/site/participants/{lost.subject_id}/devices/{device}/revocation", {"reason": "lost"}
    )
    left.must("POST", "/v1/phone/logout", {})
    with clock.moved_to(at(TODAY) - timedelta(minutes=15)):
        early.refresh()
    return {
        "of a revoked phone": str(lost.key),
        "of a phone that logged out": str(left.key),
        "of fifteen minutes ago": str(early.key),
    }


def _past_people(stage: Stage) -> dict[str, str]:
    made = {
        name: hire(name, Grant(STUDY, "*", role))
        for name, role in {"gone": "nurse", "out": "nurse", "slow": "nurse"}.items()
    }
    people = {name: str(stage.sign_in(name).key) for name in ("gone", "out")}
    with begin(TESTS) as tx:
        staff.close(tx, UUID(made["gone"]), "left")
    stage.client.post("/v1/staff/logout", headers={"Authorization": f"Bearer {people['out']}"})
    with clock.moved_to(at(TODAY) - timedelta(minutes=15)):
        slow = str(stage.sign_in("slow").key)
    return {
        "of a closed account": people["gone"],
        "of somebody who logged out": people["out"],
        "of fifteen minutes ago, a person": slow,
    }


def _past_machines(stage: Stage) -> dict[str, str]:
    with begin(TESTS) as tx:
        row, revoked = machine_keys.add(tx, STUDY, "revoked", 30)
        machine_keys.revoke(tx, row.id, "leaked")
    with clock.moved_to(at(TODAY) - timedelta(days=2)), begin(TESTS) as tx:
        old, run_out = machine_keys.add(tx, STUDY, "old", 2)
    with begin(TESTS) as tx:
        assert tx.get(MachineKey, old.id).expires_at == at(TODAY)
    return {"a revoked machine key": revoked, "a machine key of yesterday": run_out}


def _phone(stage: Stage, noor: Any) -> Phone:
    enrolled = noor.enrol(
        study=STUDY, site="01", language="en", time_zone="Asia/Shanghai", anchors={"enrolment": "2026-03-04"}
    )
    return Phone(stage.cast.line).activate(noor.code_for(enrolled["subject_id"]))


def _login(stage: Stage, name: str) -> dict[str, Any]:
    asked = {"email": f"{name}@example.org", "password": PASSWORD}
    found: dict[str, Any] = stage.client.post("/v1/staff/login", json=asked).get_json()
    return found


def _by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes | None) -> str:
    text = f"{_part(header)}.{_part(claims)}"
    if key is None:
        return text + "."
    return text + "." + _text(hmac.new(key, text.encode(), hashlib.sha256).digest())


def _graft(token: str, claims: dict[str, Any]) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{_part(claims)}.{signature}"


def _part(value: Any) -> str:
    return _text(json.dumps(value).encode())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
