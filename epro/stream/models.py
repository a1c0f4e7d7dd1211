"""Sinks and how far each has come, entries parked for one, the daily manifests, and what reconciling found."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base

BOOKKEEPING = {
    *("position", "delivered_at", "leased_by", "leased_until"),
    *("failing_since", "failures", "next_try_at", "last_fault"),
}


class SinkRow(Base):
    """A place that one study's feed is streamed to, by its name. One worker at a time holds its lease."""

    __tablename__ = "sinks"
    __table_args__ = {"info": {"audited": True, "unaudited": BOOKKEEPING}}

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]  # webhook | kafka | files | trial_database
    options: Mapped[dict]  # never a secret: at most where one stands (`env:NAME`)
    secret: Mapped[str | None]  # sealed
    added_at: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    paused_why: Mapped[str | None]
    removed_at: Mapped[datetime | None]
    position: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    delivered_at: Mapped[datetime | None]
    leased_by: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    last_fault: Mapped[str | None]


class ParkedEntry(Base):
    """An entry that a sink refused, or that waits behind one of its record. Gone when it was delivered after all.

    Its bytes stand in the feed. `next_try_at` is blank when it waits behind another, or has been tried often enough.
    """

    __tablename__ = "parked_entries"

    study_id: Mapped[str] = mapped_column(primary_key=True)
    sink: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[UUID]
    records: Mapped[list]
    reason: Mapped[str]
    attempts: Mapped[int]
    parked_at: Mapped[datetime]
    next_try_at: Mapped[datetime | None]


class Manifest(Base):
    """What a study's feed came to on one UTC day, signed, and chained to the day before. Never changed."""

    __tablename__ = "manifests"
    __table_args__ = {"info": {"audited": True, "append_only": True}}

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    until: Mapped[int] = mapped_column(sa.BigInteger)
    body: Mapped[str]  # canonical JSON, without the signature
    digest: Mapped[str] = mapped_column(sa.String(64))
    signature: Mapped[str]
    made_at: Mapped[datetime]


class Reconciliation(Base):
    """One comparison of the trial database with the feed, and what came of it. Never changed."""

    __tablename__ = "reconciliations"
    __table_args__ = {"info": {"audited": True, "append_only": True}}

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    entries: Mapped[int] = mapped_column(sa.BigInteger)
    differences: Mapped[int]
    named: Mapped[list]  # the first of them: what, table, key; never a value


class Comparison(Base):
    """A comparison that somebody asked for, and what came of it when a worker had made it."""

    __tablename__ = "comparisons"
    __table_args__ = {"info": {"audited": True}}

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"))
    asked_at: Mapped[datetime]
    asked_by: Mapped[str]
    finished_at: Mapped[datetime | None]
    entries: Mapped[int | None] = mapped_column(sa.BigInteger)
    differences: Mapped[int | None]
    named: Mapped[list | None]  # as in a reconciliation
