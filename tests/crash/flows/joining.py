"""A phone is activated, renews its tokens twice and asks what is due.

It keeps what it was given last, and when a reply never came it asks again, as it asked before.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from epro.signin.models import Device, SignInSession
from epro.simulation.people import Phone, Refused
from tests.cast import Cast
from tests.crash.flows.intake import told_in_trail
from tests.crash.scene import Scene, broken_trail, inspecting, once

databases, provider = ("main",), False
WHEN = "2026-03-02T10:00"
RENEWALS = 2


def prepare(cast: Cast) -> dict[str, Any]:
    with cast.on(WHEN):
        subject_id = cast.enrol()["subject_id"]
        return {"code": cast.staff("noor").code_for(subject_id), "installation_id": uuid4().hex}


def run(scene: Scene) -> None:
    """Go on from where the phone is: what it was given is what it has noted."""
    with scene.cast.on(WHEN):
        try:
            _go_on(scene)
        except Refused as refused:
            scene.note(locked_out=str(refused))


recover = run


def _go_on(scene: Scene) -> None:
    given = scene.noted("pair")
    phone = Phone(scene.cast.line, installation_id=scene.state["installation_id"])
    if given:
        phone.key, phone.refresh_token = given[-1]
    else:
        phone.activate(scene.state["code"])
        _keep(scene, phone)
    for _ in range(RENEWALS + 1 - len(scene.noted("pair"))):
        phone.refresh()
        _keep(scene, phone)
    phone.must("GET", "/v1/phone/changes")
    scene.note(in_the_picture=True)


def _keep(scene: Scene, phone: Phone) -> None:
    scene.note(pair=[phone.key, phone.refresh_token])


def faults(scene: Scene) -> list[str]:
    found = [f"locked out: {how}" for how in scene.noted("locked_out")]
    found += [] if scene.noted("in_the_picture") else ["lost: the phone never came into the picture"]
    with inspecting() as tx:
        devices = tx.all(sa.select(Device.id))
        found += once("phone", [scene.state["installation_id"]], tx.all(sa.select(Device.installation_id)))
        found += once("activation in the trail", devices, tx.all(told_in_trail("device.activated")))
        running = tx.all(
            sa.select(SignInSession.device_id).where(
                SignInSession.ended_at.is_(None), SignInSession.device_id.is_not(None)
            )
        )
        found += once("running session of", devices, running)
    return found + broken_trail()
