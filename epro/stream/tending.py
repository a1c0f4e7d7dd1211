"""What a person does with a sink: pause it, let it go on, tell it again, have parked entries tried once more."""

from __future__ import annotations

from collections.abc import Iterator

from epro.errors import Conflict
from epro.stream import cursors, delivering, feed, outlets
from epro.stream.cursors import Key
from epro.stream.health import trial_database
from epro.stream.outlets import TRIAL_DATABASE
from epro.stream.sequencer import SEQUENCER
from epro.stream.sinks.files import FilesOutlet
from epro.stream.sinks.trial_db import REFUSED, UNREADABLE
from epro.tx import Actor, begin, look


class NoPlace(Conflict):
    """The trial database stands at no place of this feed: telling it again would mend nothing."""

    code = "astray"


def pause(actor: Actor, study_id: str, name: str, reason: str) -> None:
    """Deliver nothing until it is let go on; nothing is lost meanwhile."""
    with begin(actor) as tx:
        cursors.pause(tx, outlets.found(tx, study_id, name), reason)


def resume(actor: Actor, study_id: str, name: str, reason: str) -> None:
    """Go on where it stood."""
    with begin(actor) as tx:
        cursors.resume(tx, outlets.found(tx, study_id, name), reason)


def replay(actor: Actor, study_id: str, name: str, first: int, reason: str) -> None:
    """Deliver again from a position on. Receivers know by the event id what they had before.

    The trial database keeps its own position: it is taken back when that is on record. Raises SinkUnavailable, NoPlace.
    """
    if name == TRIAL_DATABASE:
        _need_a_place(study_id)
    with begin(actor) as tx:
        row = outlets.found(tx, study_id, name)
        if row.kind == "files":
            FilesOutlet(row.options["folder"], study_id).rewind(first - 1)
        cursors.replay(tx, row, first, reason)
    if name == TRIAL_DATABASE:
        with trial_database() as target:
            target.rewind(study_id, first - 1)


def _need_a_place(study_id: str) -> None:
    """What another feed wrote would stay, whatever is told again."""
    with trial_database() as target:
        _, fault = delivering.judged(target, study_id)
    if fault:
        raise NoPlace()


def retry(actor: Actor, study_id: str, name: str, position: int | None) -> tuple[int, list[tuple[int, str]]]:
    """Try parked entries again, one or all: those of the trial database now, others at the worker's next strike.

    How many were applied or will be tried, and which were refused again, with the reason. Raises SinkUnavailable,
    NoPlace.
    """
    if name == TRIAL_DATABASE:
        _need_a_place(study_id)
        tried = list(_retried(study_id, position))
        return sum(why is None for _, why in tried), [(at, why) for at, why in tried if why is not None]
    with begin(actor) as tx:
        outlets.found(tx, study_id, name)
        return cursors.try_now(tx, Key(study_id, name), position), []


def _retried(study_id: str, wanted: int | None) -> Iterator[tuple[int, str | None]]:
    with trial_database() as target:
        for position in target.parked(study_id):
            if wanted not in (None, position):
                continue
            with look(SEQUENCER) as tx:
                (entry,) = feed.after(tx, study_id, position - 1, 1)
            try:
                yield position, None if target.retry(study_id, entry) else cursors.WAITS
            except (*REFUSED, *UNREADABLE) as fault:
                yield position, type(getattr(fault, "orig", fault)).__name__
