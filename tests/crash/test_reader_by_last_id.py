"""Why the feed has positions: numbers are drawn before the commit, so a reader by number passes one over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from epro import db
from epro.stream import delivering, reconciling
from epro.stream.sinks import trial_tables as trial
from epro.stream.sinks.trial_db import TrialDatabase
from tests.cast import STUDY, at
from tests.crash.saboteurs import relay_by_last_id

pytestmark = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True)
EVENING = "2026-03-02T20:00"


def test_two_hand_in_at_once_and_a_reader_by_last_id_loses_the_slower(cast, tmp_path):
    ada, ben = two_phones(cast)
    known = delivering.definitions()
    naive, last = TrialDatabase(f"sqlite:///{tmp_path}/naive.sqlite", known), [0]
    naive.position(STUDY)  # makes the tables

    def meanwhile() -> None:
        ben.upload(at(EVENING))
        last[0] = relay_by_last_id(naive, STUDY, 0, known)
        cast.relay()

    with cast.on(EVENING), as_she_commits(meanwhile):
        ada.upload(at(EVENING))
    relay_by_last_id(naive, STUDY, last[0], known)
    cast.relay()
    assert people_in(naive) == [ben.subject_id]  # hers is lost, and nobody would ever notice
    assert people_in(cast.sinks[0]) == sorted([ada.subject_id, ben.subject_id])
    assert list(reconciling.differences(cast.sinks[0], STUDY, known)) == []
    naive.close()


def two_phones(cast: Any) -> list[Any]:
    """Two participants who have filled in their diary and not handed it in yet."""
    with cast.on("2026-03-02T10:00"):
        phones = [cast.phone(), cast.phone(contact={"phone": "+8613900000002"})]
        cast.relay()
    for phone in phones:
        with cast.on(EVENING):
            phone.answer(phone.open_at(at(EVENING))[0], {"worst_fatigue": 4}, at(EVENING), at(EVENING))
            phone.refresh()
    return phones


@contextmanager
def as_she_commits(act: Callable[[], None]) -> Iterator[None]:
    """Do it once, when the first entry of the feed has been written and its commit is on the way."""
    waiting = [act]

    def committing(connection: sa.Connection) -> None:
        if waiting and connection.info.get("streamed"):
            waiting.pop()()

    def writing(connection: sa.Connection, cursor: Any, statement: str, *rest: Any) -> None:
        if "INSERT INTO feed_entries" in statement:
            connection.info["streamed"] = True

    sa.event.listen(db.engine(), "after_cursor_execute", writing)
    sa.event.listen(db.engine(), "commit", committing)
    try:
        yield
    finally:
        sa.event.remove(db.engine(), "after_cursor_execute", writing)
        sa.event.remove(db.engine(), "commit", committing)
    assert not waiting, "nobody wrote to the feed"


def people_in(target: TrialDatabase) -> list[str]:
    with target.engine.connect() as connection:
        return sorted(connection.scalars(sa.select(trial.responses.c.SUBJID)))
