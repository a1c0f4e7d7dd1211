"""Weeks of a study made by the real code on a moved clock: everybody acts through the doors, nobody waits.

`agenda` puts everybody's acts in the order of time and `History.play` does them. Before each the clockwork does
what has fallen due since the last one, at the moments when it fell due.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from heapq import merge
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from epro import clock
from epro.notifications.models import Alert, Message
from epro.scheduling.models import Occurrence
from epro.simulation import answering, characters
from epro.simulation.characters import Act, Character
from epro.simulation.people import Json, Line, Phone, StaffMember
from epro.studies.models import Participant
from epro.tx import look, system

SIMULATION = system("simulation")
STRIKE = timedelta(seconds=10)  # the metronome's beat: nothing is looked at again sooner
MINUTES = {"fatigue_diary": 1, "fss": 3, "facit_fatigue": 4}  # to fill it in; other instruments take seven
RELAY_EVERY = timedelta(hours=3)
Appointment = tuple[Act, Character]
OUTCOMES = (
    ("reached", "phoned: she had forgotten"),
    ("reached", "phoned: she was out"),
    ("not_reached", "no answer, tried twice"),
    ("no_action_needed", "known to be away"),
)


@dataclass
class Clockwork:
    """Strikes when something is due. `tick` and `relay` are the worker's own; `struck_at` is where it stands.

    `not_before`: when somebody last acted. What falls due by that act is late by then, and time never goes back.
    """

    tick: Callable[[], int]
    relay: Callable[[], int]
    struck_at: datetime
    relayed_at: datetime | None = None
    not_before: datetime | None = None

    def run_until(self, moment: datetime) -> None:
        """Do everything that falls due up to `moment`, each thing when it is due."""
        while (due := next_due()) is not None and due <= moment:
            due = max(due, self.not_before or due)
            self.struck_at = min(moment, max(due, self.struck_at + STRIKE))
            with clock.moved_to(self.struck_at):
                self.tick()
                self._carry()
            if self.struck_at == moment:
                return

    def _carry(self) -> None:
        if self.relayed_at is None or clock.now() - self.relayed_at >= RELAY_EVERY:
            self.relay()
            self.relayed_at = clock.now()


def next_due() -> datetime | None:
    """When the clockwork next has something to do, as far as the rows can tell; None when never."""
    with look(SIMULATION) as tx:
        found = tx.session.execute(DUE).one()
    return min((moment for moment in found if moment is not None), default=None)


def _first(moment: Any, *conditions: Any) -> sa.ScalarSelect[datetime]:
    return sa.select(sa.func.min(moment)).where(moment.is_not(None), *conditions).scalar_subquery()


DUE = sa.select(
    _first(Occurrence.attention_at),
    _first(Participant.plan_at),
    _first(Alert.escalate_at),
    _first(Message.due_at, Message.begun_at.is_(None), Message.withheld_at.is_(None)),
    _first(Message.lease_until),
)


def agenda(company: Sequence[Character], rounds: Sequence[Act], until: datetime) -> list[Appointment]:
    """What everybody does up to `until`, in the order of time."""
    lives = [[(act, who) for act in characters.life(who)] for who in company]
    staff = [(act, company[0]) for act in rounds]  # a round is about everybody
    return [(act, who) for act, who in merge(*lives, staff, key=lambda entry: entry[0].at) if act.at <= until]


@dataclass
class History:
    """A study with its people: who acts through which line. `nurses` are by site, the rest by number."""

    line: Line
    study: str
    nurses: Mapping[str, StaffMember]
    clockwork: Clockwork
    phones: dict[int, Phone] = field(default_factory=dict)
    subjects: dict[int, str] = field(default_factory=dict)
    codes: dict[int, str] = field(default_factory=dict)

    def play(
        self, agenda: Sequence[Appointment], progress: Callable[[int], None] = lambda done: None
    ) -> None:
        """Everything on the agenda, each act at its instant."""
        for act, who in agenda:
            self.clockwork.run_until(act.at)
            with clock.moved_to(act.at):
                self._do(act, who)
            self.clockwork.not_before = act.at
            progress(1)

    def _do(self, act: Act, who: Character) -> None:
        match act:
            case characters.Round(site=site) if _something_stands(site):
                self._round(self.nurses[site].sign_in(), who)
            case characters.Round():
                pass  # no message has told her to look
            case characters.Look(online=online, has_time=has_time):
                self._look(who, act.at, online, has_time)
            case characters.Travel(zone=zone):
                self.phones[who.number].change(time_zone=zone)
            case characters.OptOut():
                self.phones[who.number].change(messages=False)
            case characters.Enrol():
                self._enrol(who)
            case characters.Activate():
                self._activate(who)
            case _:
                self._of_the_nurse(act, who, self.nurses[who.site].sign_in())

    def _of_the_nurse(self, act: Act, who: Character, nurse: StaffMember) -> None:
        subject = self.subjects[who.number]
        match act:
            case characters.SetInfusion():
                assert who.infused is not None
                nurse.set_anchor(subject, "infusion", who.infused.isoformat(), "infusion given today")
                self._learn(who)  # she is at the site, and sees on her phone what follows
            case characters.Withdraw():
                nurse.withdraw(subject, "moved to another city")
            case characters.ReplacePhone():
                for device in nurse.timeline(subject)["devices"]:
                    nurse.revoke_device(subject, device["id"], "phone lost")
                self.codes[who.number] = nurse.code_for(subject)
                self._activate(who)

    def _enrol(self, who: Character) -> None:
        nurse = self.nurses[who.site].sign_in()
        made = nurse.enrol(
            study=self.study,
            site=who.site,
            language=who.language,
            time_zone=who.home,
            anchors={"enrolment": who.enrolled.isoformat()},
            contact={"phone": f"+861390000{who.number + 1:04}"},
        )
        self.subjects[who.number] = made["subject_id"]
        self.codes[who.number] = nurse.code_for(made["subject_id"])

    def _activate(self, who: Character) -> None:
        phone = Phone(self.line, installation_id=f"{who.dice('phone', clock.now()).getrandbits(128):032x}")
        self.phones[who.number] = phone.activate(self.codes.pop(who.number))
        phone.sync()

    def _look(self, who: Character, at: datetime, online: bool, has_time: bool) -> None:
        phone = self.phones[who.number]
        there = at.astimezone(ZoneInfo(phone.time_zone))
        if not phone.open_at(there) and not phone.unsent:
            return  # nothing on the phone asks her to take it in hand
        if online:
            self._learn(who)
        wanted = [o for o in phone.open_at(there) if has_time or o["visit"] is None]
        for occurrence, ended in _one_after_the_other(wanted, there):
            dice = who.dice("answers", occurrence["assessment"], occurrence["local_day"])
            begun = ended - timedelta(seconds=round(_minutes(occurrence) * dice.uniform(35, 55)))
            filled = self._filled(who, phone, occurrence, dice)
            phone.answer(occurrence, filled, begun, ended, UUID(int=dice.getrandbits(128), version=4))
        if online:
            phone.upload(at)

    def _learn(self, who: Character) -> None:
        phone = self.phones[who.number]
        phone.refresh()  # hours have passed since she last had it in hand: the token has run out
        phone.sync()

    def _filled(self, who: Character, phone: Phone, occurrence: Json, dice: Any) -> Json:
        instrument = occurrence["instrument"]
        definition = phone.definitions[(instrument["code"], instrument["version"])]
        day = date.fromisoformat(occurrence["local_day"])
        since = (day - who.infused).days if who.infused else None
        heavy = answering.burden(who.dice("person"), dice, since)
        attitude = who.dice("attitude", instrument["code"])
        return answering.answers(instrument["code"], definition["items"], heavy, attitude, dice)

    def _round(self, nurse: StaffMember, anybody: Character) -> None:
        """Whatever is new is taken in hand; what was in hand before is resolved, mostly."""
        for alert in nurse.worklist():
            dice = anybody.dice("round", alert["id"], clock.now().date())
            if alert["acknowledged_at"] is None:
                nurse.acknowledge(alert["id"], "I will call her")
            elif dice.random() < 0.8:
                nurse.resolve(alert["id"], *dice.choice(OUTCOMES))


def _something_stands(site: str) -> bool:
    standing = sa.select(Alert.id).where(
        Alert.site_id == site, Alert.resolved_at.is_(None), Alert.cleared_at.is_(None)
    )
    with look(SIMULATION) as tx:
        return tx.one(standing) is not None


def _one_after_the_other(wanted: Sequence[Json], last_ends: datetime) -> list[tuple[Json, datetime]]:
    """The longest first, each with the moment when it is done; the last is done at `last_ends`."""
    ends, placed = last_ends, []
    for occurrence in sorted(wanted, key=_minutes):
        placed.append((occurrence, ends))
        ends -= timedelta(minutes=_minutes(occurrence))
    return placed[::-1]


def _minutes(occurrence: Json) -> int:
    return MINUTES.get(occurrence["instrument"]["code"], 7)
