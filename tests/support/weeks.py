"""A week of the diary on record, for tests that look at every table: as if the week were over."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from epro.responses import weeks
from epro.scheduling.models import Occurrence
from epro.studies.models import Participant
from epro.tx import begin, system


def keep_a_week(study_id: str, subject_id: str) -> None:
    """The first week of her evenings is scored by what has come so far."""
    with begin(system("tests")) as tx:
        she = tx.get(Participant, study_id, subject_id, lock=True)
        assert she is not None
        hers = (Occurrence.study_id == study_id, Occurrence.subject_id == subject_id)
        query = sa.select(Occurrence).where(*hers, Occurrence.assessment_id == "evening")
        first = tx.one(query.order_by(Occurrence.local_day))
        tx.now += timedelta(days=14)
        assert first is not None
        weeks.look(tx, she, first)
        assert weeks.standing(tx, study_id, [subject_id], "evening")
