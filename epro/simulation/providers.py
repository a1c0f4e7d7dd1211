"""A provider that fails as planned: refuses for a while, refuses for ever, loses its answer, takes the worker down.

What becomes of a message is drawn from dice named after who gets it and how many she was sent before, so it is
the same again for the same seed. It can be asked afterwards what it took, as Twilio can.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from uuid import UUID

from epro import clock
from epro.notifications.senders import Outgoing, SendFailed, SendUnknown

# The share of calls that end so; the rest is taken.
PASSING, PERMANENT, LOST_REPLY, NOT_HEARD, WORKER_DIES = 0.02, 0.003, 0.01, 0.005, 0.004


class WorkerDied(Exception):
    """The worker was killed between the intent and the outcome; its lease runs out."""


@dataclass(frozen=True)
class Taken:
    """A message that a provider would have delivered."""

    message_id: UUID
    to: str
    at: datetime
    channel: str
    text: str = ""
    about: UUID | None = None
    """The occurrence, alert or message that it is about."""


@dataclass
class FailingProvider:
    """Takes messages on one channel, or fails. `heard` is told of each message that reaches its recipient."""

    channel: str
    seed: int
    heard: Callable[[Taken], None]
    name: str = "rehearsal"
    taken: list[Taken] = field(default_factory=list)
    by_id: dict[UUID, Taken] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def send(self, message: Outgoing) -> str:
        """The provider's id, or one of the planned failures."""
        outcome = self._drawn(message)
        self.outcomes[outcome] += 1
        match outcome:
            case "passing":
                raise SendFailed("busy", permanent=False)
            case "permanent":
                raise SendFailed("not_reachable", permanent=True)
            case "not_heard":
                raise SendUnknown("timed_out")
        self._take(message)
        if outcome == "lost_reply":
            raise SendUnknown("cut")
        if outcome == "worker_dies":
            raise WorkerDied()
        return _id_of(message.message_id)

    def find(self, message: Outgoing, since: datetime) -> str | None:
        """The id of this message if it was taken."""
        return _id_of(message.message_id) if message.message_id in self.by_id else None

    def _take(self, message: Outgoing) -> None:
        taken = Taken(
            message.message_id, message.to, clock.now(), self.channel, message.text, message.collapse
        )
        self.taken.append(taken)
        self.by_id[message.message_id] = taken
        self.heard(taken)

    def _drawn(self, message: Outgoing) -> str:
        self.calls[message.to] += 1
        roll = Random(f"{self.seed}/{message.to}/{self.calls[message.to]}").random()
        for outcome, share in PLAN:
            if roll < share:
                return outcome
            roll -= share
        return "taken"


PLAN = (
    ("passing", PASSING),
    ("permanent", PERMANENT),
    ("lost_reply", LOST_REPLY),
    ("not_heard", NOT_HEARD),
    ("worker_dies", WORKER_DIES),
)


def _id_of(message_id: UUID) -> str:
    return f"rehearsed-{message_id}"
