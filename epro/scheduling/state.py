"""What an occurrence is, told from its facts and the hour. Never stored, so never stale."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Protocol as Shape


class State(Enum):
    """Each state with the sentence that explains it."""

    UPCOMING = "upcoming", "The window has not opened yet."
    OPEN = "open", "The window is open and no answer has come."
    CLOSED_WAITING = (
        "closed_waiting",
        "The window has closed; an answer given in time may still be on the phone.",
    )
    FULFILLED = "fulfilled", "The answer is here."
    EXCUSED = "excused", "The site has excused the participant from it."
    CANCELLED = "cancelled", "It is no longer asked for, by a new plan or because the participant has left."
    MISSED = "missed", "The window and the sync grace are over and no answer has come."

    sentence: str

    def __new__(cls, value: str, sentence: str) -> State:
        state = object.__new__(cls)
        state._value_ = value
        state.sentence = sentence
        return state


class Occurrence(Shape):
    """The facts a state is told from; a database row or anything else that has them. Instants are aware."""

    @property
    def opens_at(self) -> datetime: ...
    @property
    def closes_at(self) -> datetime: ...
    @property
    def grace_until(self) -> datetime: ...
    @property
    def fulfilled_at(self) -> datetime | None: ...
    @property
    def excused_at(self) -> datetime | None: ...
    @property
    def cancelled_at(self) -> datetime | None: ...
    @property
    def missed_at(self) -> datetime | None: ...


def state_of(occurrence: Occurrence, now: datetime) -> State:
    """The state at that instant.

    An answer outweighs everything: what was missed, excused or cancelled and yet answered in time is fulfilled.
    Past the sync grace it is missed also before the clockwork has come by to write that down.
    """
    return _by_facts(occurrence) or _by_the_hour(occurrence, now)


def _by_facts(occurrence: Occurrence) -> State | None:
    if occurrence.fulfilled_at:
        return State.FULFILLED
    if occurrence.cancelled_at:
        return State.CANCELLED
    if occurrence.excused_at:
        return State.EXCUSED
    return State.MISSED if occurrence.missed_at else None


def _by_the_hour(occurrence: Occurrence, now: datetime) -> State:
    if now < occurrence.opens_at:
        return State.UPCOMING
    if now < occurrence.closes_at:
        return State.OPEN
    return State.CLOSED_WAITING if now < occurrence.grace_until else State.MISSED
