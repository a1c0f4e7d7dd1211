"""Making what a demo shows: the study, its staff, weeks of history, and somebody who is about to begin.

The history is made by the real code: virtual people act through the doors on a moved clock.
"""

from __future__ import annotations

import gc
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import click
import sqlalchemy as sa
from flask import Flask

from epro import clock, config, create_app, db, schema, worker
from epro.cli import progress
from epro.cli.trying import Figures, Login, Newcomer, Told
from epro.notifications.models import Alert, Message
from epro.notifications.senders import Sender
from epro.notifications.senders.recording import RecordingSender
from epro.privacy import readings
from epro.responses import integrity
from epro.responses.models import Response
from epro.scheduling import protocols
from epro.scheduling.protocol import Protocol
from epro.signin import machine_keys, staff
from epro.simulation import characters, desk, history
from epro.simulation.people import Line, StaffMember, in_process
from epro.stream import delivering
from epro.stream.reconciling import differences
from epro.stream.sequencer import last_position, sequence
from epro.stream.sinks import trial_tables
from epro.stream.sinks.trial_db import TrialDatabase
from epro.studies.models import Participant
from epro.trail import verifying
from epro.trail.models import Event
from epro.tx import Grant, Tx, begin, look, system

SEED = 2024
DEMO = system("demo")
EVERYWHERE = ("investigator", "data_manager", "monitor", "study_builder", "administrator")
OFFICE = ("investigator", "data_manager")
REHEARSAL = {
    "EPRO_PASSWORD_COST": "cheap",
    "EPRO_SECOND_FACTOR": "optional",
    "EPRO_PHISHING_RESISTANT": "optional",
    "EPRO_SESSIONS_AT_ONCE": "100",
    "EPRO_RATE_LIMITS": "off",
    "EPRO_SMS_SENDER": "recording",
    "EPRO_EMAIL_SENDER": "recording",
}
# Somewhere it is early evening: the newcomer is there, so that her diary is open now.
PLACES = (
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Brisbane",
    "Pacific/Guadalcanal",
    "Pacific/Auckland",
    "Pacific/Apia",
    "Asia/Bangkok",
    "Asia/Dhaka",
    "Asia/Karachi",
    "Asia/Dubai",
    "Africa/Nairobi",
    "Africa/Cairo",
    "Africa/Lagos",
    "Africa/Abidjan",
    "Atlantic/Cape_Verde",
    "America/Noronha",
    "America/Sao_Paulo",
    "America/Puerto_Rico",
    "America/Bogota",
    "America/Guatemala",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
    "Pacific/Pago_Pago",
)


@dataclass(frozen=True)
class Days:
    """The days of the history, on the study's clock; `until` is now."""

    first: datetime
    until: datetime

    @classmethod
    def before(cls, until: datetime, count: int, zone: str) -> Days:
        day = until.astimezone(ZoneInfo(zone)).date() - timedelta(days=count)
        return cls(datetime.combine(day, time(8), ZoneInfo(zone)), until.astimezone(ZoneInfo(zone)))


def make(environ: Mapping[str, str], protocol: Protocol, text: str, count: int, days: int) -> Told:
    """A new installation with `count` participants and `days` days of history that end now.

    Raises ClickException if the trial database or the trail is not afterwards as it must be.
    """
    _say("Making the databases, the study and its staff")
    schema.upgrade(config.read(environ))
    span = Days.before(clock.now(), days, protocol.time_zone)
    with _application(environ), clock.moved_to(span.first):
        logins, key = _found(protocol, text)
    target = TrialDatabase(environ["EPRO_TRIAL_DATABASE_URL"], delivering.definitions())
    with _application({**environ, **REHEARSAL}) as app, closing(target):
        _say(f"Making {days} days of history of {count} participants: half a minute to three minutes")
        sent = _history(app, target, protocol, logins, span, count)
        _say("Checking the history: trial database and trail")
        figures = _figures(target, protocol.study_id, count, days, sent)
    with _application(environ) as app:  # as it will be served: her code costs what a real one costs
        newcomer = _newcomer(in_process(app), protocol, logins)
        while sequence():  # her enrolment is in the feed too
            pass
        with look(DEMO) as tx:
            position = last_position(tx, protocol.study_id)
    return Told(protocol.study_id, logins, key, newcomer, figures, position)


def _say(what: str) -> None:
    """A line before each long step, so that nobody takes silence for an end."""
    click.echo(f"{what} ...", err=True)


@contextmanager
def _application(environ: Mapping[str, str]) -> Iterator[Flask]:
    app = create_app(environ)
    with app.app_context():
        try:
            yield app
        finally:
            for engine in db.db.engines.values():
                engine.dispose()


def _found(protocol: Protocol, text: str) -> tuple[list[Login], str]:
    """Publish the study, give everybody an account and the sponsor's machine a key."""
    with begin(DEMO) as tx:
        protocols.publish(tx, protocol, text)
        places = [("nurse", site.id) for site in protocol.sites] + [(role, "*") for role in EVERYWHERE]
        logins = [_account(tx, protocol.study_id, number, *place) for number, place in enumerate(places)]
        _, key = machine_keys.add(tx, protocol.study_id, "demo", 366)
    return logins, key


def _account(tx: Tx, study: str, number: int, role: str, site: str) -> Login:
    name = role.replace("_", "-") + ("" if site == "*" else f"-{site}")
    login = Login(role, site, f"{name}@example.org", secrets.token_hex(8))
    staff.add(
        tx,
        email=login.email,
        name=name.title(),
        password=login.password,
        language="zh-CN",
        phone=f"+861380000{number + 1:04}",
        grants=[Grant(study, site, role)],
    )
    return login


def _history(
    app: Flask, target: TrialDatabase, protocol: Protocol, logins: list[Login], span: Days, count: int
) -> int:
    """Everything that happened up to now; returns how many messages went out."""
    taken = RecordingSender("sms"), RecordingSender("email")
    senders: dict[str, Sender] = {sender.channel: sender for sender in taken}
    clockwork = history.Clockwork(
        lambda: worker.tick(senders), lambda: delivering.relay([target]), span.first
    )
    acts = _agenda(protocol, span, count)
    with _seldom_collecting(), progress.shown("Making history", len(acts), lines=True) as done:
        people = history.History(
            in_process(app), protocol.study_id, _nurses(in_process(app), logins), clockwork
        )
        people.play(acts, done)
        clockwork.run_until(clock.now())
        investigator, data_manager = _office(in_process(app), logins)
        desk.Desk(people, investigator, data_manager, worker.export, SEED).fill()
        clockwork.tick()
        delivering.relay([target])
    return sum(len(sender.taken) for sender in taken)


def _agenda(protocol: Protocol, span: Days, count: int) -> list[history.Appointment]:
    sites = [(site.id, site.time_zone) for site in protocol.sites]
    first, last = span.first.date(), span.until.date()
    company = characters.company(count, sites, first, last, SEED)
    return history.agenda(company, characters.rounds(sites, first, span.until), span.until)


def _nurses(line: Line, logins: list[Login]) -> dict[str, StaffMember]:
    return {
        login.site: StaffMember(line, email=login.email, password=login.password)
        for login in logins
        if login.role == "nurse"
    }


def _office(line: Line, logins: list[Login]) -> list[StaffMember]:
    """The investigator and the data manager."""
    wanted = {login.role: login for login in logins if login.role in OFFICE}
    return [StaffMember(line, email=wanted[role].email, password=wanted[role].password) for role in OFFICE]


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Thousands of short acts in one process: collecting garbage as often as usual takes a third of the time."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def _newcomer(line: Line, protocol: Protocol, logins: list[Login]) -> Newcomer:
    """Somebody whose phone is yet to be activated, infused today, travelling where it is evening now."""
    now, login = clock.now(), logins[0]
    zone = where_it_is_evening(now)
    today = now.astimezone(ZoneInfo(zone)).date()
    nurse = StaffMember(line, email=login.email, password=login.password).sign_in()
    made = nurse.enrol(
        study=protocol.study_id,
        site=login.site,
        language="en",
        time_zone=zone,
        contact={"phone": "+8613900009999"},
        anchors={"enrolment": (today - timedelta(days=1)).isoformat(), "infusion": today.isoformat()},
    )
    closes = datetime.combine(today + timedelta(days=1), time(0), ZoneInfo(zone))
    return Newcomer(made["subject_id"], zone, nurse.code_for(made["subject_id"]), closes)


def where_it_is_evening(now: datetime) -> str:
    """Where the evening, which begins at six, began last, but a few minutes ago at least."""

    def since_six(zone: str) -> timedelta:
        local = now.astimezone(ZoneInfo(zone))
        return (timedelta(hours=local.hour - 18, minutes=local.minute - 5)) % timedelta(days=1)

    return min(PLACES, key=since_six)


def _figures(target: TrialDatabase, study: str, participants: int, days: int, sent: int) -> Figures:
    """What there is now. Raises ClickException if the trial database or the trail is not as it must be."""
    different = list(differences(target, study, delivering.definitions()))
    with target.engine.connect() as connection:
        scores = connection.scalar(sa.select(sa.func.count()).select_from(trial_tables.scores)) or 0
    with look(DEMO) as tx:
        faults = [*verifying.faults(tx, Participant), *integrity.faults(tx), *readings.faults(tx)]

        def count(model: type, *conditions: sa.ColumnElement[bool]) -> int:
            return tx.session.scalar(sa.select(sa.func.count()).select_from(model).where(*conditions)) or 0

        figures = Figures(
            participants=participants,
            days=days,
            responses=count(Response),
            scores=scores,
            sent=sent,
            withheld=count(Message, Message.withheld_at.is_not(None)),
            alerts=count(Alert),
            standing=count(Alert, Alert.resolved_at.is_(None), Alert.cleared_at.is_(None)),
            cleared=count(Alert, Alert.cleared_at.is_not(None)),
            entries=last_position(tx, study),
            events=count(Event),
        )
    if different or faults:
        raise click.ClickException(
            "\n".join(["The history is not as it must be:", *map(str, [*different, *faults])])
        )
    return figures
