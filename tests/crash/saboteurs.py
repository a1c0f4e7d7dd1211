"""Faults put in on purpose, each a safeguard taken away. The harness must find every one of them.

A saboteur changes the program of this process only, before a flow runs in it: in the run that is killed and in
the one after the restart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from epro import db, trail
from epro.db import RecordingSession
from epro.notifications import sending
from epro.scheduling import protocols
from epro.signin import sessions
from epro.stream import feed
from epro.stream.sinks import trial_db
from epro.stream.sinks import trial_tables as tables
from epro.stream.sinks.trial_rows import rows_of
from epro.studies.models import Participant
from epro.trail.models import ChainHead, FeedEntry
from epro.tx import begin, look, system

LATER, NOW = "saboteur.later", "saboteur.now"


def outbox_in_a_second_transaction() -> None:
    """The feed's entry is written when the answer is committed already."""
    stream = trail.stream

    def later(tx: Any, *told: Any) -> None:
        _afterwards(tx, lambda second: stream(second, *told))

    _obey_afterwards()
    trail.stream = later


def record_outside_the_act() -> None:
    """The trail's entry is written when the change is committed already."""
    record = trail.record

    def later(tx: Any, head: Any, *told: Any, **details: Any) -> Any:
        tx.account[db.RECORDED] = True
        model, name = (
            (Participant, head.subject_id) if hasattr(head, "subject_id") else (ChainHead, head.chain)
        )
        _afterwards(
            tx,
            lambda second: record(
                second, second.get(model, head.study_id, name, lock=True), *told, **details
            ),
        )
        return uuid4()

    _obey_afterwards()
    trail.record = later


def accepted_before_the_call() -> None:
    """A message to staff counts as sent before the provider is called."""
    call = sending._call

    def noted_first(job: Any, senders: Any) -> Any:
        if not job.is_reminder:
            with begin(sending.WORKER) as tx:
                sending._note(tx, job, "surely")
        return call(job, senders)

    sending._call = noted_first


def reminder_begun_again() -> None:
    """A reminder whose outcome nobody noted is simply sent again, and the provider is not asked."""

    def again(tx: Any, case: Any, senders: Any) -> Any:
        study = protocols.find(tx, case.participant.study_id, case.participant.protocol_version).messages
        wanted = sending._wanted(case, study, sending._reachable(case, senders))
        found = sending.ways.find(tx, wanted, senders, {})
        return sending._start(tx, case, wanted, found, senders, False)

    sending._ask_about = again


def no_key_at_the_target() -> None:
    """The trial database takes every row it is given, and its position comes in a transaction of its own, after."""
    _keyless_tables()
    trial_db.insert = _insert_all
    trial_db.TrialDatabase.apply = _apply_in_two(rows_first=True)


def position_before_the_rows() -> None:
    """The trial database notes the position first, and gets the rows in a transaction of their own, after."""
    trial_db.TrialDatabase.apply = _apply_in_two(rows_first=False)


def refresh_that_cannot_be_repeated() -> None:
    """A refresh token is spent even when the reply was lost."""
    sessions._is_lost_reply = lambda *given: False


SABOTEURS: dict[str, Callable[[], None]] = {
    act.__name__: act
    for act in (
        outbox_in_a_second_transaction,
        record_outside_the_act,
        accepted_before_the_call,
        reminder_begun_again,
        no_key_at_the_target,
        position_before_the_rows,
        refresh_that_cannot_be_repeated,
    )
}


def relay_by_last_id(target: trial_db.TrialDatabase, study_id: str, last: int, known: Any) -> int:
    """A relay as one would write it at first: whatever has a greater number than the last one seen.

    Writes what it finds and returns the new last number.
    """
    query = (
        sa.select(FeedEntry).where(FeedEntry.study_id == study_id, FeedEntry.no > last).order_by(FeedEntry.no)
    )
    with look(system("reader")) as tx:
        found = [feed.Entry(e.study_id, e.no, e.event_id, e.kind, e.body) for e in tx.all(query)]
    if found:
        with target.engine.begin() as connection:
            trial_db._write(connection, rows_of(found, known))
    return max([last, *(entry.position for entry in found)])


def _afterwards(tx: Any, act: Callable[[Any], None]) -> None:
    """Do it when this transaction is committed and closed, in one of its own."""
    tx.session.info.setdefault(LATER, []).append((tx.actor, tx.now, act))


def _obey_afterwards() -> None:
    commit, close = RecordingSession.commit, RecordingSession.close

    def committed(session: RecordingSession) -> None:
        commit(session)
        session.info[NOW] = session.info.pop(LATER, [])

    def closed(session: RecordingSession) -> None:
        close(session)
        for actor, now, act in session.info.pop(NOW, []):
            with begin(actor, now) as second:
                act(second)

    RecordingSession.commit, RecordingSession.close = committed, closed


def _insert_all(connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
    names = [column.name for column in table.columns]
    if rows:
        connection.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows])


def _keyless_tables() -> None:
    keyless = sa.MetaData()
    for table in tables.metadata.sorted_tables:
        sa.Table(table.name, keyless, *[sa.Column(c.name, c.type) for c in table.columns])
    tables.metadata.create_all = keyless.create_all


def _apply_in_two(*, rows_first: bool) -> Any:
    def apply(self: Any, study_id: str, entries: Sequence[feed.Entry]) -> int:
        def write() -> None:
            with self._open() as connection:
                trial_db._write(connection, rows_of(list(entries), self._definitions))

        def advance() -> None:
            with self._open() as connection:
                trial_db._position(connection, study_id, lock=True)
                trial_db._advance(connection, study_id, entries[-1].position)

        for act in (write, advance) if rows_first else (advance, write):
            act()
        return entries[-1].position

    return apply
