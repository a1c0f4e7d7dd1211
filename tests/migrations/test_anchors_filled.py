"""Anchors of before there was a column for it are told by the words of their reason what set them."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from epro.studies import participants
from epro.studies.models import Anchor, Participant
from epro.tx import begin, system
from tests.cast import STUDY
from tests.support.history import migration
from tests.support.owner import as_owner

WRITTEN = {
    "first answer of evening": "answer",
    "the answer that set it was corrected": "correction",
    "as it happened": None,
    "enrolment": None,
}


def test_what_set_an_anchor_is_filled_in_and_the_records_are_guarded_again(cast, environ):
    with cast.on("2026-03-02T10:00"):
        ada = cast.phone().subject_id
    for day, reason in enumerate(WRITTEN, 1):
        with cast.on(f"2026-03-03T1{day}:00"), begin(system("tests")) as tx:
            she = tx.get(Participant, STUDY, ada, lock=True)
            participants.set_anchor(tx, she, "infusion", date(2026, 3, day), reason)
    with as_owner(environ, keep=False) as connection:
        filling = migration("0035_what_set_an_anchor")
        with Operations.context(MigrationContext.configure(connection)):
            on_sqlite = connection.dialect.name == "sqlite"
            (filling._fill_on_sqlite if on_sqlite else filling._fill_on_postgresql)()
        rows = connection.execute(sa.select(Anchor.reason, Anchor.set_through).order_by(Anchor.seq)).all()
        assert {row.reason: row.set_through for row in rows} == WRITTEN
        with pytest.raises(sa.exc.DatabaseError, match="append-only"):
            connection.execute(sa.update(Anchor).values(set_through=None))
