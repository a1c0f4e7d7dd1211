"""The clockwork: `tick` does everything that is due now; a metronome calls it. Safe to run twice, late, or in
any number of places.

APScheduler is the metronome and nothing more: it keeps no jobs of its own, and what is due is asked of the
database each time. Where there is PostgreSQL a listener wakes the relay as soon as the feed has grown.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

from epro import clock, db
from epro.config import ConfigurationError
from epro.errors import places
from epro.exporting import jobs, serving
from epro.notifications import (
    alerts,
    attending,
    differing,
    digests,
    letters,
    redacting,
    sending,
    texts_sent,
    witnesses,
)
from epro.notifications.models import Alert, Heartbeat
from epro.notifications.senders import Sender
from epro.notifications.senders.build import build
from epro.notifications.senders.in_app import InAppSender
from epro.privacy import breadth, erasing, readings, rectifying
from epro.responses import weeks
from epro.scheduling import counted, occurrences
from epro.scheduling.models import Occurrence
from epro.signin import kept, reminding
from epro.signin.models import RateCount
from epro.stream import comparing, delivering, keeping
from epro.stream.carrying import Carriers
from epro.stream.sinks import Sink
from epro.stream.sinks.trial_db import TrialDatabase
from epro.studies.models import Participant
from epro.trail import checkpoint_file, checks, sealing
from epro.tx import begin, look, system

log = logging.getLogger(__name__)

CLOCKWORK = system("clockwork")
CHANNEL = "epro_feed"
BATCH = 50
RELAY_SECONDS = 1
SEALING_SECONDS = 60
REDACTING_SECONDS = 3600  # how often providers are asked to forget texts that they keep
FORGETTING_SECONDS = 3600  # how often it is asked whose contact data have been kept long enough
REMINDING_SECONDS = 3600  # how often it is asked which machine keys are about to end
TYPED_SECONDS = 60  # how often what was typed and nobody came back for is taken away
SETTLING_SECONDS = 60  # how often it is asked whether a change of contact data waits for an act that is over
KEEPING_SECONDS = (
    300  # how often it is asked whether a manifest or a comparison is due, or reading was unusual
)
SELDOM = 0.1  # seconds: as rarely hints are given, so what came that soon after one has none of its own
FORGOTTEN = timedelta(days=1)  # after this a silent worker's heartbeat is taken off the list
POLL = 0.5  # seconds until it shows that the end has been asked for
OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime"}
Senders = dict[str, Sender]
# Each step with the moment that a row has to have come to, for it to find anything.
STEPS = (
    (occurrences, "extend_due", Participant.plan_at),
    (attending, "attend_due", Occurrence.attention_at),
    (weeks, "score_due", Occurrence.week_at),
    (alerts, "escalate_due", Alert.escalate_at),
    (digests, "plan_due", Alert.standing_since),
)
LEADS_ON = {"extend_due", "attend_due"}  # what they do may make work for those that follow
_NOW = sa.bindparam("now", type_=Alert.raised_at.type)
_ASKED: list[Any] = [sa.exists().where(moment <= _NOW).label(step) for _, step, moment in STEPS]
_FOUND = sa.select(*_ASKED)


class Stop:
    """Whether the end has been asked for.

    A plain flag. An Event has a lock: a handler that sets it waits for ever if it interrupted the one who holds it.
    """

    asked = False

    def wait(self, seconds: float) -> bool:
        """Wait so long, or not at all when the end has been asked for; whether it has."""
        if not self.asked:
            time.sleep(seconds)
        return self.asked


class Line(logging.Formatter):
    """A log line: the sentence for people, then the ids for machines, as `name=value`. No field ever holds her data."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        beside = [f"{name}={value}" for name, value in vars(record).items() if name not in OF_EVERY_RECORD]
        return " ".join([super().formatMessage(record), *beside])


def tick(senders: Senders, now: datetime | None = None) -> int:
    """Do everything that is due: extend plans, attend to occurrences, escalate, send. Returns how much there was."""
    return attend(now) + send(senders, now)


def attend(now: datetime | None = None) -> int:
    """Extend plans, attend to occurrences, score weeks, escalate alerts, plan digests; returns how much there was.

    Asks nobody outside. If one of them fails, the others do their work all the same; the fault is raised at the end.
    """
    done, faults = 0, list[Exception]()
    wanted = _wanted(now)
    for room, step, _ in STEPS:
        if step not in wanted:
            continue
        try:
            done += _until_nothing(partial(_act, getattr(room, step), now))
            if step in LEADS_ON:
                wanted = _wanted(now)
        except Exception as fault:
            faults.append(fault)
    for further in faults[1:]:
        _note_fault(further)
    if faults:
        raise faults[0]
    return done


def send(senders: Senders, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False) -> int:
    """Send what is due, until told to stop; returns how much there was."""
    sent = sending.send_due(senders, now, limit=BATCH * 10, stopped=stopped)
    return sent + letters.send_due(senders, now)


def sinks_of(settings: dict[str, str | None]) -> list[Sink]:
    """The sinks that the settings name."""
    url = settings["TRIAL_DATABASE_URL"]
    return [TrialDatabase(url, delivering.definitions())] if url else []


def senders_of(settings: dict[str, str | None]) -> Senders:
    """The senders that the settings name, and the app's own inbox. Raises ConfigurationError naming what they lack."""
    try:
        return {**build(settings, clock.now), "app": InAppSender()}
    except ValueError as fault:
        raise ConfigurationError(f"epro worker does not start: {fault}") from None


def run(app: Flask, stop: Stop | None = None) -> None:
    """Work until told to stop (SIGTERM, SIGINT or `stop`)."""
    stop = stop or _stop_on_signals()
    settings = app.config["EPRO"]
    with app.app_context():
        senders, sinks = senders_of(settings), sinks_of(settings)
        name = f"{socket.gethostname()}:{os.getpid()}"
        scheduler = BackgroundScheduler(timezone="UTC")
        every = {
            "coalesce": True,
            "max_instances": 1,
            "misfire_grace_time": 3600,
            "next_run_time": clock.unmoved(),
        }
        seconds = float(settings["TICK_SECONDS"] or 10)
        # Each strikes alone: a provider or a trial database that hangs holds up neither the heart nor an alert.
        for step in (lambda: beat(name), attend, lambda: send(senders, stopped=lambda: stop.asked)):
            scheduler.add_job(_in(app, step), "interval", seconds=seconds, **every)
        scheduler.add_job(
            _in(app, lambda: delivering.relay(sinks)), "interval", seconds=RELAY_SECONDS, **every
        )
        scheduler.add_job(_in(app, lambda: export(lambda: stop.asked)), "interval", seconds=seconds, **every)
        carriers = Carriers(name, tell=differing.paused)
        scheduler.add_job(_in(app, lambda: carriers.strike(app)), "interval", seconds=RELAY_SECONDS, **every)
        daily = _in(app, lambda: keeping.keep(sinks, differing.tell, differing.warn))
        scheduler.add_job(daily, "interval", seconds=KEEPING_SECONDS, **every)
        asked = _in(app, lambda: comparing.run_due(sinks, differing.tell))
        scheduler.add_job(asked, "interval", seconds=seconds, **every)
        sealer = _in(app, lambda: seal(settings["CHECKPOINT_FILE"]))
        scheduler.add_job(sealer, "interval", seconds=SEALING_SECONDS, **every)
        scheduler.add_job(_in(app, verify), "interval", seconds=KEEPING_SECONDS, **every)
        scheduler.add_job(_in(app, counted.keep_due), "interval", seconds=KEEPING_SECONDS, **every)
        scheduler.add_job(_in(app, forget_typed), "interval", seconds=TYPED_SECONDS, **every)
        scheduler.add_job(_in(app, watch), "interval", seconds=KEEPING_SECONDS, **every)
        scheduler.add_job(_in(app, settle), "interval", seconds=SETTLING_SECONDS, **every)
        redact = _in(app, lambda: redacting.redact_due(senders))
        scheduler.add_job(redact, "interval", seconds=REDACTING_SECONDS, **every)
        scheduler.add_job(_in(app, forget), "interval", seconds=FORGETTING_SECONDS, **every)
        scheduler.add_job(_in(app, remind), "interval", seconds=REMINDING_SECONDS, **every)
        scheduler.start()
        log.info("worker started", extra={"action": "worker.started", "worker": name})
        try:
            _listen(app, sinks, stop)
        finally:
            scheduler.shutdown(wait=True)
            carriers.close()
            log.info("worker stopped", extra={"action": "worker.stopped", "worker": name})


def export(stopped: Callable[[], bool] = lambda: False) -> int:
    """Make the exports that are asked for, and take away what was kept long enough."""
    serving.remove_old()
    return jobs.run_due(stopped)


def seal(file: str | None, now: datetime | None = None) -> int:
    """Seal what is new in the trail, and bring the file of checkpoints up to date; returns how many entries."""
    with begin(CLOCKWORK, now) as tx:
        readings.seal_due(tx, BATCH)
    done = sealing.seal(now)
    with begin(CLOCKWORK, now) as tx:
        witnesses.post_due(tx)
    checkpoint_file.write_out(file)
    return done


def verify(now: datetime | None = None) -> int:
    """Check the trail once a day; whether it was done."""
    return checks.check_due(Participant, readings.records, now)


def forget(now: datetime | None = None) -> int:
    """Erase contact data that were kept long enough, and those of erased people that a restored backup brought back."""
    with begin(CLOCKWORK, now) as tx:
        again = erasing.erase_again(tx)
        readings.remove_old(tx)
    return again + _until_nothing(partial(_act, erasing.erase_due, now))


def remind(now: datetime | None = None) -> int:
    """Tell administrators of machine keys that are about to end; how many letters."""
    with begin(CLOCKWORK, now) as tx:
        return reminding.remind_due(tx)


def forget_typed(now: datetime | None = None) -> None:
    """Take away what somebody had typed before showing who she is, and did not come back for in time."""
    with begin(CLOCKWORK, now) as tx:
        kept.forget_old(tx)


def watch(now: datetime | None = None) -> int:
    """Tell administrators of accounts that look at many more participants than usual; how many."""
    with begin(CLOCKWORK, now) as tx:
        return breadth.warn_due(tx)


def settle(limit: int = BATCH) -> int:
    """Let changes of contact data count, or go, whose act has ended before they did; of how many people."""
    return rectifying.settle_due(limit)


def beat(worker: str, now: datetime | None = None) -> None:
    """Say that this worker lives; forget those long silent, and what is counted and too old to count."""
    with begin(CLOCKWORK, now) as tx:
        tx.session.execute(sa.delete(Heartbeat).where(Heartbeat.beat_at < tx.now - FORGOTTEN))
        tx.session.execute(sa.delete(RateCount).where(RateCount.expires_at <= tx.now.timestamp()))
        texts_sent.forget_old(tx)
        statement = db.insert_missing(tx.session, Heartbeat).values(worker=worker, beat_at=tx.now)
        tx.session.execute(
            statement.on_conflict_do_update(index_elements=["worker"], set_={"beat_at": tx.now})
        )


def _act(step: Callable[..., int], now: datetime | None) -> int:
    with begin(CLOCKWORK, now) as tx:
        return step(tx, BATCH)


def _wanted(now: datetime | None) -> set[str]:
    """The steps that would find something to do."""
    with look(CLOCKWORK, now) as tx:
        (found,) = tx.rows(_FOUND, {"now": tx.now})
    return {step for step, there in found._asdict().items() if there}


def _until_nothing(step: Callable[[], int]) -> int:
    """Repeat while batches come out full: a backlog is worked off within one tick."""
    total = 0
    while found := step():
        total += found
        if found < BATCH:
            break
    return total


def _in(app: Flask, step: Callable[[], Any]) -> Callable[[], None]:
    """One strike of the metronome: a fault is noted and the next strike comes all the same."""

    def strike() -> None:
        with app.app_context():
            try:
                step()
            except Exception as fault:
                _note_fault(fault)

    return strike


def _note_fault(fault: Exception) -> None:
    if isinstance(fault, sa.exc.OperationalError):
        log.error("database away", extra={"action": "database.away", "fault": type(fault.orig).__name__})
        return
    log.error(
        "strike failed: %s at %s",
        type(fault).__name__,
        places(fault),
        extra={"action": "worker.strike_failed", "fault": type(fault).__name__},
    )


def _listen(app: Flask, sinks: Sequence[Sink], stop: Stop) -> None:
    """Until told to stop: wait for word that the feed has grown, and carry it at once."""
    while not stop.asked and db.engine().dialect.name != "postgresql":
        stop.wait(POLL)
    strike = _in(app, lambda: delivering.relay(sinks))
    while not stop.asked:
        try:
            _listen_once(strike, stop)
        except psycopg.OperationalError:
            log.warning("listener away", extra={"action": "listener.away"})
            time.sleep(1)


def _listen_once(strike: Callable[[], None], stop: Stop) -> None:
    url = db.engine().url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        while not stop.asked:
            for _ in connection.notifies(timeout=POLL, stop_after=1):
                strike()
                time.sleep(SELDOM)
                if not stop.asked:
                    strike()


def _stop_on_signals() -> Stop:
    stop = Stop()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: setattr(stop, "asked", True))
    return stop
