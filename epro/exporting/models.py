"""Cuts of the feed, and exports that were asked for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base


class Cut(Base):
    """A named place in a study's feed: what is exported at it is the same for ever."""

    __tablename__ = "cuts"
    __table_args__ = {"info": {"audited": True, "append_only": True}}

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(sa.BigInteger)
    digest: Mapped[str] = mapped_column(sa.String(64))  # of the entry at this position
    made_at: Mapped[datetime]
    made_by: Mapped[str]


class ExportJob(Base):
    """One export that was asked for: what of, for whom, how far it is, and what came of it.

    A worker holds it until `leased_until`; one that dies leaves it to the next, which begins anew.
    """

    __tablename__ = "export_jobs"
    __table_args__ = (
        # Only what waits or is being made.
        sa.Index(
            "ix_export_jobs_open",
            "asked_at",
            postgresql_where=sa.text("finished_at IS NULL AND failed_at IS NULL"),
            sqlite_where=sa.text("finished_at IS NULL AND failed_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"))
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    request: Mapped[dict]
    position: Mapped[int] = mapped_column(sa.BigInteger)
    tries: Mapped[int] = mapped_column(default=0)
    leased_until: Mapped[datetime | None]
    done: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # entries of the feed read, of `total`
    total: Mapped[int | None] = mapped_column(sa.BigInteger)
    finished_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    fault: Mapped[str | None]
    made: Mapped[dict | None]  # name, size, rows, digest and media type of the file
    removed_at: Mapped[datetime | None]


class BulkExport(Base):
    """A bulk export in FHIR that was asked for: of what, and as of when. Its files are told while they are read."""

    __tablename__ = "bulk_exports"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"))
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    request: Mapped[dict]
    ended_at: Mapped[datetime | None]
