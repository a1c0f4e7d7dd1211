"""A query on record, for tests that look at every table."""

from __future__ import annotations

from uuid import UUID

from epro.queries import asking
from epro.tx import Actor, Grant, begin


def keep_a_query(asker: str, study_id: str, response_id: UUID) -> UUID:
    """This person asks about a response."""
    with begin(Actor("staff", asker, grants=(Grant(study_id, "*", "data_manager"),))) as tx:
        return asking.ask(tx, response_id, "is that so?").query.id
