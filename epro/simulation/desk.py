"""A little of everything that waits on somebody's desk, made through the doors by those whose desk it is.

Each does the first thing that is there to be done; where a short history has nothing of a kind, it is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from epro import clock
from epro.simulation.history import History
from epro.simulation.people import Json, StaffMember

MOST = 500
EXPORT = "csv"


@dataclass(frozen=True)
class Desk:
    """Who works here: nurses and phones are the history's. `make_exports` is the worker's own."""

    people: History
    investigator: StaffMember
    data_manager: StaffMember
    make_exports: Callable[[], int]
    seed: int

    def fill(self) -> None:
        """An alert that was phoned about, one that was opened again, an upload that fits nowhere, a visit that is
        signed, an answer that was asked about, an export that is done.
        """
        sites = sorted(self.people.nurses)
        self._phone_about(self.people.nurses[sites[0]].sign_in())
        self._open_again(self.people.nurses[sites[-1]].sign_in())
        self._send_what_fits_nowhere()
        waiting = self._sign_a_visit(self.investigator.sign_in())
        self._ask_about(waiting, self.data_manager.sign_in())
        self.data_manager.must("POST", "/v1/sponsor/exports", {"format": EXPORT})
        self.make_exports()

    def _phone_about(self, nurse: StaffMember) -> None:
        in_hand = [one for one in _in_order(nurse.worklist()) if one["acknowledged_at"]]
        for alert in in_hand[:1]:
            said = {"channel": "phone", "outcome": "left_message", "note": "rang twice, will try tomorrow"}
            nurse.must("POST", f"/v1/site/alerts/{alert['id']}/contact-attempts", said)

    def _open_again(self, nurse: StaffMember) -> None:
        listed = nurse.must("GET", f"/v1/site/alerts?limit={MOST}")["alerts"]
        settled = [one for one in _in_order(listed) if one["outcome"] and not one["standing"]]
        for alert in settled[-1:]:
            path = f"/v1/site/alerts/{alert['id']}/reopening"
            nurse.must("POST", path, {"reason": "it was another participant who answered"})

    def _send_what_fits_nowhere(self) -> None:
        """Her phone sends an answer to something that nobody expects of her."""
        phone, dice, now = self.people.phones[1], Random(f"{self.seed}/desk"), clock.now()
        phone.refresh()
        entry = {
            "id": _made_up(dice),
            "occurrence_id": _made_up(dice),
            "instrument": {"code": "fatigue_diary", "version": "1.0"},
            "language": phone.language,
            "answers": {"worst_fatigue": 4},
            "started_at": _before(now, 3),
            "completed_at": _before(now, 2),
            "time_zone": phone.time_zone,
        }
        sent = {"responses": [entry], "sent_at": now.isoformat()}
        phone.speak("POST", "/v1/phone/responses", sent)

    def _sign_a_visit(self, investigator: StaffMember) -> list[Json]:
        """All of the visit that waits longest; returns what waits besides."""
        waiting = investigator.must("GET", f"/v1/site/unsigned?limit={MOST}")["responses"]
        first = next((one for one in waiting if one["visit"]), None)
        if first is None:
            return list(waiting)
        at_once = [one for one in waiting if _place(one) == _place(first)]
        wanted = {
            "responses": [one["current"] for one in at_once],
            "meaning": "reviewed",
            "accepts_policy": True,
            "password": investigator.password,
        }
        investigator.must("POST", "/v1/site/signatures", wanted)
        return [one for one in waiting if one not in at_once]

    def _ask_about(self, waiting: list[Json], data_manager: StaffMember) -> None:
        for response in waiting[-1:]:
            said = {"text": "Was this filled in by the participant herself? Please check with her."}
            data_manager.must("POST", f"/v1/site/responses/{response['id']}/queries", said)


def _in_order(alerts: list[Json]) -> list[Json]:
    return sorted(alerts, key=lambda one: (one["raised_at"], one["subject_id"]))


def _place(response: Json) -> tuple[Any, Any]:
    return response["subject_id"], response["visit"]


def _made_up(dice: Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))


def _before(now: datetime, minutes: int) -> str:
    return (now - timedelta(minutes=minutes)).isoformat()
