"""Pairs that race: two nurses take one alert; a withdrawal meets a reminder. One of them wins, whoever it is, and
what is on record agrees with it.

A few rounds here; `make races` goes two hundred on both databases. Threat S13 (check, then act).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import sqlalchemy as sa

from epro import worker
from epro.errors import Conflict
from epro.notifications import alerts, following, sending
from epro.notifications.models import Alert, AlertStep, Message
from epro.scheduling import leaving
from epro.studies import access
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STUDY, at

ROUNDS = int(os.environ.get("EPRO_TEST_RACE_ROUNDS", "4"))
TESTS = system("tests")
EVENING = at("2026-03-02T19:01")


def race(app: Any, *runners: Callable[[], str]) -> list[str]:
    """Let them all go at the same moment, and say how each fared."""
    start = Barrier(len(runners))

    def run(runner: Callable[[], str]) -> str:
        with app.app_context():
            start.wait()
            return runner()

    with ThreadPoolExecutor(len(runners)) as pool:
        return [one.result() for one in [pool.submit(run, runner) for runner in runners]]


def person(cast: Any, name: str, role: str) -> Actor:
    return Actor("staff", cast.ids[name], grants=(Grant(STUDY, "01", role),))


def test_two_take_one_alert_and_one_has_it(cast):
    with cast.on("2026-03-02T10:00"):
        cast.enrol()
    cast.tick(at("2026-03-03T06:30"))
    with look(TESTS) as tx:
        alert_id = tx.one(sa.select(Alert.id))
    noor, ines = person(cast, "noor", "nurse"), person(cast, "ines", "investigator")
    wins: Counter[str] = Counter()

    def take(who: Actor) -> str:
        try:
            with begin(who) as tx:
                alerts.acknowledge(tx, alert_id, None)
            return "taken"
        except Conflict as refused:
            return refused.code

    for _ in range(ROUNDS):
        fared = race(cast.app, lambda: take(noor), lambda: take(ines))
        assert sorted(fared) == ["already_taken", "taken"], fared
        winner = (noor, ines)[fared.index("taken")]
        wins[str(winner)] += 1
        with begin(winner) as tx:
            assert alerts.find(tx, alert_id).owner == str(winner)
            alerts.resolve(tx, alert_id, alerts.OUTCOMES[0], None)
        with begin(noor) as tx:
            following.reopen(tx, alert_id, "for the next round")
    with look(TESTS) as tx:
        taken = tx.all(sa.select(AlertStep.by).where(AlertStep.kind == "taken"))
        acts = tx.all(sa.select(Event.actor).where(Event.action == "alert.acknowledged"))
    assert Counter(taken) == Counter(acts) == wins


def test_a_withdrawal_and_a_reminder_never_cross(cast):
    noor, subjects = person(cast, "noor", "nurse"), []

    def withdraw(subject: str) -> str:
        with begin(noor, EVENING) as tx:
            row = access.participant(tx, subject, "participant.withdraw", study_id=STUDY, lock=True)
            leaving.withdraw(tx, row, "own wish")
        return "withdrawn"

    def send() -> str:
        return f"tried {sending.send_due({'sms': cast.sms}, EVENING)}"

    for number in range(ROUNDS):
        with cast.on("2026-03-02T10:00"):
            subject = cast.enrol(contact={"phone": f"+8613900{number:06}"})["subject_id"]
        subjects.append(subject)
        worker.attend(EVENING)
        race(cast.app, lambda s=subject: withdraw(s), send)
        cast.tick(EVENING)  # whoever found the row locked comes again
    for subject in subjects:
        with look(TESTS) as tx:
            hers = sa.select(Event).where(Event.study_id == STUDY, Event.subject_id == subject)
            seqs = {one.action: one.seq for one in tx.all(hers.order_by(Event.seq))}
            rows = tx.all(
                sa.select(Message).where(Message.subject_id == subject, Message.purpose == "reminder")
            )
            bodies = [json.loads(one.body) for one in tx.all(hers)]
        assert seqs.get("message.begun", 0) < seqs["participant.withdrawn"], seqs
        assert sum(body["action"] == "message.begun" for body in bodies) <= 1
        fates = [(row.accepted_at is not None, row.withheld_at is not None) for row in rows]
        assert fates and all(sent != withheld for sent, withheld in fates), fates
    with look(TESTS) as tx:
        sent = tx.all(
            sa.select(Message.id).where(Message.purpose == "reminder", Message.accepted_at.is_not(None))
        )
    assert len(cast.sms.taken) == len(sent)
