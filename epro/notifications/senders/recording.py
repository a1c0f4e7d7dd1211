"""Messages kept in memory: tests, training sites, rehearsals with virtual participants."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from epro.notifications.senders import Outgoing, SendFailed, SendUnknown

# None: taken. "taken_unknown": taken, but the answer is lost. An exception: raised, not taken.
Outcome = SendFailed | SendUnknown | str | None
TAKEN_UNKNOWN = "taken_unknown"


class RecordingSender:
    """Keeps what it was asked to send.

    `asked` lists every message in order, `taken` those a provider would have delivered. `outcomes` are
    used up one by one; after the last, everything is taken. It cannot be asked afterwards; the subclass can.
    """

    name = "recording"

    def __init__(self, channel: str, outcomes: Iterable[Outcome] = ()):
        self.channel = channel
        self.asked: list[Outgoing] = []
        self.taken: list[Outgoing] = []
        self._outcomes = deque(outcomes)

    def script(self, *outcomes: Outcome) -> None:
        """Add outcomes for the next messages."""
        self._outcomes.extend(outcomes)

    def send(self, message: Outgoing) -> str:
        self.asked.append(message)
        outcome = self._outcomes.popleft() if self._outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        self.taken.append(message)
        if outcome == TAKEN_UNKNOWN:
            raise SendUnknown("timed_out")
        return _id_of(message)


class AskableRecordingSender(RecordingSender):
    """A recording sender whose provider can be asked what it took. `reachable` is whether it answers."""

    reachable = True

    def find(self, message: Outgoing, since: datetime) -> str | None:
        if not self.reachable:
            raise SendUnknown("timed_out")
        taken = any(m.message_id == message.message_id for m in self.taken)
        return _id_of(message) if taken else None


def _id_of(message: Outgoing) -> str:
    return f"recorded-{message.message_id}"
