"""Who has read what of whom: written once, sealed into the trail, and removed only by a removal that is on record."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base
from epro.studies.models import of_participant


class Reading(Base):
    """One look at data of a participant, or of a whole study (`subject_id` null).

    kind: record | answers | alert | contact | export | feed | fhir | dataset. door: console | api.
    """

    __tablename__ = "readings"
    __table_args__ = (
        sa.Index("ix_readings_at", "study_id", "at"),
        sa.Index("ix_readings_subject", "study_id", "subject_id", "at"),
        {"info": {"append_only": True, "scope": "subject_or_study"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"))
    subject_id: Mapped[str | None]
    at: Mapped[datetime]
    reader: Mapped[str]
    kind: Mapped[str]
    door: Mapped[str]
    what: Mapped[str | None]


class ReadingSeal(Base):
    """How many readings of a study there were from one instant to another, and their digest; the trail has it too."""

    __tablename__ = "reading_seals"
    __table_args__ = {"info": {"append_only": True}}

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    until: Mapped[datetime] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    count: Mapped[int] = mapped_column(sa.BigInteger)
    digest: Mapped[str] = mapped_column(sa.String(64))
    event_id: Mapped[UUID]


class ReadingRemoval(Base):
    """That the readings of a study before an instant were removed because they were kept long enough."""

    __tablename__ = "reading_removals"
    __table_args__ = {"info": {"append_only": True}}

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    until: Mapped[datetime] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class RightsRequest(Base):
    """What a participant has asked about data on her, and the one answer to it; kinds and outcomes are in rights.py."""

    __tablename__ = "rights_requests"
    __table_args__ = (
        of_participant(),
        sa.Index("ix_rights_requests_due", "study_id", "due_on"),
        {"info": {"audited": True, "scope": "subject"}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    kind: Mapped[str]
    text: Mapped[str]
    asked_on: Mapped[date]
    due_on: Mapped[date]
    noted_by: Mapped[str]
    noted_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    outcome: Mapped[str | None]
    answer: Mapped[str | None]
