"""Once a day, after midnight in UTC: yesterday's manifest, and the trial database compared with the feed.

Every worker asks; the row of the day says that it is done. A difference stands in `reconciliations`, in the study's
trail, in the log and in the metrics until a comparison finds none; whoever is to know is told in the same act.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, date, timedelta
from itertools import islice

import sqlalchemy as sa

from epro import trail
from epro.stream import delivering, manifests, reconciling
from epro.stream.models import Reconciliation
from epro.stream.sequencer import SEQUENCER, last_position
from epro.stream.sinks import Sink, SinkUnavailable
from epro.stream.sinks.trial_db import TrialDatabase
from epro.studies.models import Study
from epro.trail.models import FeedEntry
from epro.tx import Tx, begin, look

log = logging.getLogger(__name__)
NAMED = 20  # differences that a row names
PATIENCE = timedelta(hours=1)  # with what is on its way
MOST = 10_000  # are looked for in one study
Tell = Callable[[Tx, str, date, int], int]
"""Says of a study that on this day so many rows differ; before anything else of the act is locked."""
Warn = Callable[[Tx, str, date], int]
"""Says of a study that on this day its trial database is astray."""


def keep(sinks: Iterable[Sink], tell: Tell = lambda *_: 0, warn: Warn = lambda *_: 0) -> int:
    """Do what is due of the day; returns how much that was. `warn` of a trial database that is astray."""
    with look(SEQUENCER) as tx:
        studies = tx.all(sa.select(Study.id).order_by(Study.id))
        today = tx.now.astimezone(UTC).date()
    done = sum(_make_manifest(study_id, today - timedelta(days=1)) for study_id in studies)
    for sink in sinks:
        if isinstance(sink, TrialDatabase):
            strayed = {study_id for study_id in studies if _warned(sink, study_id, today, warn)}
            done += sum(
                _compare(sink, study_id, today, (lambda *_: 0) if study_id in strayed else tell)
                for study_id in studies
            )
    return done


def _warned(target: TrialDatabase, study_id: str, today: date, warn: Warn) -> bool:
    """Whether the trial database stands at no place of this study's feed; whoever is to know is told."""
    try:
        _, fault = delivering.judged(target, study_id)
    except SinkUnavailable:
        return False
    if fault is None:
        return False
    with begin(SEQUENCER) as tx:
        warn(tx, study_id, today)
    return True


def newest(tx: Tx, study_id: str) -> Reconciliation | None:
    """The last comparison of a study."""
    query = sa.select(Reconciliation).where(Reconciliation.study_id == study_id)
    found: Reconciliation | None = tx.one(query.order_by(Reconciliation.day.desc()))
    return found


def _make_manifest(study_id: str, day: date) -> int:
    with look(SEQUENCER) as tx:
        last = manifests.newest(tx, study_id)
        if (last is not None and last.day >= day) or not last_position(tx, study_id):
            return 0
    with begin(SEQUENCER) as tx:
        return int(manifests.make(tx, study_id, day) is not None)


def _compare(target: TrialDatabase, study_id: str, today: date, tell: Tell) -> int:
    with look(SEQUENCER) as tx:
        count = last_position(tx, study_id)
        if not count or tx.get(Reconciliation, study_id, today) is not None:
            return 0
    try:
        found = list(islice(reconciling.differences(target, study_id, delivering.definitions()), MOST))
        if any(one.what == "behind" for one in found) and _on_the_way(target, study_id):
            return 0
    except SinkUnavailable:
        return 0  # asked again later
    with begin(SEQUENCER) as tx:
        if found:
            tell(tx, study_id, today, len(found))
        return _note(tx, study_id, today, count, found)


def _on_the_way(target: TrialDatabase, study_id: str) -> bool:
    """Whether it is behind only by what has come just now: then it is compared a little later."""
    applied = target.position(study_id)
    with look(SEQUENCER) as tx:
        following = (FeedEntry.study_id == study_id, FeedEntry.position > applied)
        query = sa.select(FeedEntry.positioned_at).where(*following).order_by(FeedEntry.position)
        oldest = tx.one(query)
        return oldest is None or bool(oldest > tx.now - PATIENCE)


def _note(tx: Tx, study_id: str, today: date, count: int, found: list[reconciling.Difference]) -> int:
    head = trail.study_chain(tx, study_id)
    if tx.get(Reconciliation, study_id, today) is not None:
        return 0  # another worker was quicker
    named = [str(one) for one in found[:NAMED]]
    tx.add(
        Reconciliation(
            study_id=study_id, day=today, at=tx.now, entries=count, differences=len(found), named=named
        )
    )
    trail.record(
        tx, head, "trial_database.compared", "trial_database", today, entries=count, differences=len(found)
    )
    if found:
        told = {"action": "trial_database.differs", "study": study_id, "differences": len(found)}
        log.error("the trial database is not as the feed has it", extra=told)
    return 1
