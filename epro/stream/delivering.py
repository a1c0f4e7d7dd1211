"""Carrying the feed to its sinks. A sink that is away is tried again at the next strike; nobody else notices.

A study whose entries cannot be carried waits, and holds up no other study.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache

import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError

from epro.errors import places
from epro.questionnaires import catalogue
from epro.questionnaires.instrument import Instrument
from epro.scheduling import protocols
from epro.scheduling.protocol import Protocol
from epro.stream import feed
from epro.stream.feed import Entry
from epro.stream.models import SinkRow
from epro.stream.sequencer import SEQUENCER, sequence
from epro.stream.sinks import AHEAD, FOREIGN, Astray, Place, Sink, SinkUnavailable
from epro.stream.sinks.trial_rows import Definitions
from epro.studies.models import Study
from epro.tx import Tx, look

log = logging.getLogger(__name__)
BATCH = 1000


def relay(sinks: Iterable[Sink]) -> int:
    """Give positions to what waits, then bring every sink up to date. Returns how many entries were carried."""
    while sequence():
        pass
    return sum(deliver(sink) for sink in sinks)


def deliver(sink: Sink) -> int:
    """Bring one sink up to date with every study; returns how many entries were carried."""
    carried, paused = 0, _paused()
    for study_id in _studies():
        if study_id in paused:
            continue
        try:
            carried += _deliver_study(sink, study_id)
        except SinkUnavailable as fault:
            log.warning("sink away", extra={"action": "sink.away", "sink": sink.name, "fault": str(fault)})
            return carried
        except Astray as fault:
            told = {"action": "sink.astray", "sink": sink.name, "study": study_id, "fault": fault.fault}
            log.error("sink astray: it stands at no place of this feed", extra=told)
        except (OperationalError, InterfaceError):
            raise  # our own database is away
        except Exception as fault:
            log.error(
                "study not carried: %s at %s",
                type(fault).__name__,
                places(fault),
                extra={"action": "sink.study_waits", "sink": sink.name, "study": study_id},
            )
    return carried


def judged(sink: Sink, study_id: str) -> tuple[Place, str | None]:
    """Where a sink says it is, and why that is at no place of this feed: AHEAD or FOREIGN; None when it is at one.

    The feed is looked at after the sink: what is carried meanwhile takes nobody astray. Raises SinkUnavailable.
    """
    place = sink.place(study_id)
    with look(SEQUENCER) as tx:
        return place, _astray(tx, study_id, place)


def _astray(tx: Tx, study_id: str, place: Place) -> str | None:
    """One that was taken back has entries beyond: the last of them must be this feed's too."""
    fault = _fault(tx, study_id, place) if place.position else None
    return fault or (_fault(tx, study_id, place.beyond) if place.beyond else None)


def _fault(tx: Tx, study_id: str, place: Place) -> str | None:
    there = feed.after(tx, study_id, place.position - 1, 1)
    if not there:
        return AHEAD
    return FOREIGN if place.event_id not in (None, str(there[0].event_id)) else None


def _deliver_study(sink: Sink, study_id: str) -> int:
    """Carry what there is. While one batch is being applied, the next is read and made ready."""
    place, fault = judged(sink, study_id)
    if fault:
        raise Astray(fault)
    position = begun = place.position
    entries: Sequence[Entry] = _after(study_id, begun)
    while len(entries) == BATCH:
        position, entries = _apply_and_read_on(sink, study_id, entries)
    return (sink.apply(study_id, entries) if entries else position) - begun


def _apply_and_read_on(sink: Sink, study_id: str, entries: Sequence[Entry]) -> tuple[int, Sequence[Entry]]:
    with ThreadPoolExecutor(1) as beside:
        applying = beside.submit(copy_context().run, sink.apply, study_id, entries)
        following = sink.prepare(_after(study_id, entries[-1].position))
        return applying.result(), following


def _after(study_id: str, position: int) -> list[Entry]:
    with look(SEQUENCER) as tx:
        return feed.after(tx, study_id, position, BATCH)


def definitions() -> Definitions:
    """Published instruments and protocols, as sinks ask for them. They never change: each is looked up once."""
    return Definitions(cache(_instrument), cache(_protocol))


def _instrument(code: str, version: str) -> Instrument:
    with look(SEQUENCER) as tx:
        found = catalogue.find(tx, code, version)
    if found is None:
        raise LookupError(f"instrument {code} {version} is not published")
    return found


def _protocol(study_id: str, version: str) -> Protocol:
    with look(SEQUENCER) as tx:
        return protocols.find(tx, study_id, version)


def _paused() -> set[str]:
    """The studies for which the sink of the settings is paused."""
    query = sa.select(SinkRow.study_id).where(
        SinkRow.kind == "trial_database", SinkRow.paused_at.is_not(None)
    )
    with look(SEQUENCER) as tx:
        return set(tx.all(query))


def _studies() -> list[str]:
    with look(SEQUENCER) as tx:
        return tx.all(sa.select(Study.id).order_by(Study.id))
