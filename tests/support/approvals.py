"""An approval on record, for tests that look at every table: of the version that everybody follows already."""

from __future__ import annotations

from datetime import date

from epro.scheduling import amending
from epro.tx import begin, system
from tests.cast import STUDY


def keep_an_approval() -> None:
    """Site 01 has had the first version approved."""
    with begin(system("tests")) as tx:
        amending.approve(tx, STUDY, "1.0", "01", date(2026, 3, 1))
