"""A manifest and a comparison on record, for tests that look at every table."""

from __future__ import annotations

from datetime import date

from epro import trail
from epro.stream import keeping, manifests
from epro.tx import begin, system
from tests.cast import STUDY

DAY = date(2026, 3, 1)


def keep_a_manifest() -> None:
    """The study's first day, on which nothing was told yet; and a trial database that was as it must be."""
    with begin(system("tests")) as tx:
        manifests._make_one(tx, trail.study_chain(tx, STUDY), STUDY, DAY, None)
        keeping._note(tx, STUDY, DAY, 0, [])
