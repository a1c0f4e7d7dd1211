"""What a flow acts in: one copy of the databases, an application on it, and a journal that outlives a kill."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epro.notifications.senders import Outgoing, Sender
from epro.notifications.senders.build import build
from epro.notifications.senders.recording import RecordingSender
from epro.responses import integrity
from epro.studies.models import Participant
from epro.trail import verifying
from epro.tx import Tx, look, system
from tests.cast import Cast
from tests.crash.points import Points

STATE, JOURNAL, TAKEN = "state.json", "journal.jsonl", "taken.jsonl"
"""What was prepared; what people and phones learned; what the SMS provider took."""


@dataclass
class Scene:
    """One run of a flow in one process. `state` is what its preparation left."""

    folder: Path
    cast: Cast
    points: Points

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / STATE).read_text())

    def note(self, **what: Any) -> None:
        """Something that reached a person or a phone: no kill takes it back."""
        with (self.folder / JOURNAL).open("a") as journal:
            journal.write(json.dumps(what) + "\n")
        self.points.something_seen()

    def noted(self, of: str) -> list[Any]:
        """Everything noted under this name, in order."""
        return [line[of] for line in _lines(self.folder / JOURNAL) if of in line]

    def taken(self) -> list[dict[str, Any]]:
        """What the SMS provider has taken, in all runs."""
        return _lines(self.folder / TAKEN)

    def senders(self, now: Any) -> dict[str, Sender]:
        """The SMS provider over HTTP, and a post office that notes what it takes."""
        return {**build(self.cast.app.config["EPRO"], now), "email": PostOffice(self)}


class PostOffice(RecordingSender):
    """E-mail that survives the sender's death."""

    def __init__(self, scene: Scene):
        super().__init__("email")
        self.scene = scene

    def send(self, message: Outgoing) -> str:
        return self.scene.points.around("call", self._take, message)

    def _take(self, message: Outgoing) -> str:
        self.scene.note(email=str(message.message_id))
        return super().send(message)


@contextmanager
def inspecting() -> Iterator[Tx]:
    with look(system("inspector")) as tx:
        yield tx


def once(what: str, wanted: Iterable[Any], found: Iterable[Any]) -> list[str]:
    """That each wanted thing was found exactly once, and nothing else."""
    there, wanted = Counter(str(one) for one in found), sorted(map(str, wanted))
    told = [f"lost: {what} {one}" for one in wanted if not there[one]]
    told += [f"doubled: {what} {one} is there {count} times" for one, count in there.items() if count > 1]
    return told + [f"extra: {what} {one}" for one in sorted(set(there) - set(wanted))]


def broken_trail() -> list[str]:
    """Faults of the trail, and of the records by what the trail says of them."""
    with inspecting() as tx:
        return [f"trail: {fault}" for fault in (*verifying.faults(tx, Participant), *integrity.faults(tx))]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
