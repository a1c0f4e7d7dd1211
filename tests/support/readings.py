"""Readings of a participant with their seal, and a removal, for tests that look at every table."""

from __future__ import annotations

from datetime import timedelta

from epro import clock
from epro.privacy import readings
from epro.privacy.models import ReadingRemoval
from epro.privacy.readings import BEGINNING, Look
from epro.tx import begin, system


def keep_a_reading(study_id: str, subject_id: str) -> None:
    """Somebody has looked at her, and it is sealed."""
    with begin(system("tests")) as tx:
        readings.note(tx, [Look(study_id, subject_id, "record")], "site")
    with begin(system("tests"), clock.now() + timedelta(minutes=10)) as tx:
        readings.seal_due(tx, 100)


def keep_a_removal(study_id: str) -> None:
    """Of a time before there was anything to remove."""
    with begin(system("tests")) as tx:
        tx.add(ReadingRemoval(study_id=study_id, until=BEGINNING, at=tx.now))
