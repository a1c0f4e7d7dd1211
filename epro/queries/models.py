"""Queries and what was said in each. Both are only added to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base
from epro.studies.models import of_participant

FOR_EVER = {"audited": True, "append_only": True, "scope": "subject"}


class Query(Base):
    """A question about a response, or about one answer of it (`item`). What was asked is its first step."""

    __tablename__ = "queries"
    __table_args__ = (
        of_participant(),
        sa.ForeignKeyConstraint(["study_id", "original_id"], ["responses.study_id", "responses.id"]),
        sa.Index("ix_queries_original", "study_id", "original_id"),
        sa.Index("ix_queries_asked", "study_id", "asked_at"),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    original_id: Mapped[UUID]  # of the first, where the response was corrected
    item: Mapped[str | None]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    asked_digest: Mapped[str] = mapped_column(sa.String(64))  # the same again gets the same answer


class QueryStep(Base):
    """One thing that was said: asked (again), answered, or that it is closed. The last one says how it stands."""

    __tablename__ = "query_steps"
    __table_args__ = (
        of_participant(),
        sa.ForeignKeyConstraint(["study_id", "query_id"], ["queries.study_id", "queries.id"]),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    query_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject_id: Mapped[str]
    kind: Mapped[str]  # asked | answered | closed
    text: Mapped[str | None]
    said_by: Mapped[str]
    role: Mapped[str]
    said_at: Mapped[datetime]
