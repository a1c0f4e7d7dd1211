"""Published protocols and the occurrences that they ask for."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base
from epro.studies.models import of_participant


class PublishedProtocol(Base):
    """One version of a study file, for ever as it was published."""

    __tablename__ = "published_protocols"
    __table_args__ = {"info": {"audited": True, "append_only": True}}

    study_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    body: Mapped[str]  # canonical JSON
    source: Mapped[str]  # the file as it was written, comments and all
    published_at: Mapped[datetime]


class SiteVersion(Base):
    """From when on a version of the protocol is in force at a site, by its ethics approval."""

    __tablename__ = "site_versions"
    __table_args__ = (
        sa.ForeignKeyConstraint(["study_id", "site_id"], ["sites.study_id", "sites.id"]),
        sa.ForeignKeyConstraint(
            ["study_id", "version"], ["published_protocols.study_id", "published_protocols.version"]
        ),
        {"info": {"audited": True, "append_only": True}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    approved_on: Mapped[date]
    in_force_from: Mapped[datetime]  # that day's midnight at the site, never before it was entered
    entered_at: Mapped[datetime]
    entered_by: Mapped[str]


class Occurrence(Base):
    """One expected answering. The plan and the facts are stored; the state is told (see state.py).

    `attention_at` says when the clockwork must look again; blank when never. `week_at` says since when the week of a
    diary that it belongs to waits to be scored.
    """

    __tablename__ = "occurrences"
    __table_args__ = (
        of_participant(),
        sa.Index("ix_occurrences_subject", "study_id", "subject_id", "change_no"),
        # Only the living: stays as small as what is planned ahead, however long the study runs.
        sa.Index(
            "ix_occurrences_attention",
            "attention_at",
            postgresql_where=sa.text("attention_at IS NOT NULL"),
            sqlite_where=sa.text("attention_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_occurrences_closing",
            "closes_at",
            postgresql_where=sa.text("attention_at IS NOT NULL"),
            sqlite_where=sa.text("attention_at IS NOT NULL"),
        ),
        sa.Index(
            "ix_occurrences_week",
            "week_at",
            postgresql_where=sa.text("week_at IS NOT NULL"),
            sqlite_where=sa.text("week_at IS NOT NULL"),
        ),
        {
            "info": {
                "audited": True,
                "scope": "subject",
                "unaudited": {"attention_at", "reminders_done", "change_no", "week_at"},
            }
        },
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    assessment_id: Mapped[str]
    key: Mapped[str]
    visit_id: Mapped[str | None]
    anchor: Mapped[str]
    study_day: Mapped[int]
    protocol_version: Mapped[str]
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]
    local_day: Mapped[date]
    time_zone: Mapped[str]
    tzdata: Mapped[str]
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    grace_until: Mapped[datetime]
    planned_at: Mapped[datetime]
    attention_at: Mapped[datetime | None]
    reminders_done: Mapped[int] = mapped_column(default=0)
    change_no: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    at_risk_at: Mapped[datetime | None]
    snoozed_until: Mapped[
        datetime | None
    ]  # no reminder before this, and one then; blank once that is handled
    fulfilled_at: Mapped[datetime | None]  # when we learnt of an answer given in time
    missed_at: Mapped[datetime | None]
    excused_at: Mapped[datetime | None]  # blank again when the excuse is taken back
    excused_reason: Mapped[str | None]
    excused_by: Mapped[str | None]
    unexcused_at: Mapped[datetime | None]  # when an excuse was taken back last
    closed_excused: Mapped[bool] = mapped_column(
        server_default=sa.false()
    )  # and that was after it had closed so: it could not be answered
    cancelled_at: Mapped[datetime | None]
    cancelled_reason: Mapped[str | None]
    week_at: Mapped[datetime | None]


class ComplianceCount(Base):
    """What was due, answered and missed at one site of a large study, week by week, as it was counted last."""

    __tablename__ = "compliance_counts"
    __table_args__ = (
        sa.ForeignKeyConstraint(["study_id", "site_id"], ["sites.study_id", "sites.id"]),
        {"info": {"scope": "site"}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str] = mapped_column(primary_key=True)
    counted_at: Mapped[datetime]
    body: Mapped[str]  # JSON: [week, assessment, due, answered, missed], ...


class Rehearsal(Base):
    """The report of a rehearsal of a study file, kept once and for ever under the digest of its figures."""

    __tablename__ = "rehearsals"
    __table_args__ = ({"info": {"audited": True, "append_only": True}},)

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)  # SHA-256 of report.json
    version: Mapped[str]
    protocol_digest: Mapped[str]
    participants: Mapped[int]
    days: Mapped[int]
    seed: Mapped[int] = mapped_column(sa.BigInteger)
    broken: Mapped[int]  # invariants
    findings: Mapped[int]
    figures: Mapped[bytes]  # report.json, compressed
    page: Mapped[bytes]  # report.html, compressed
    kept_at: Mapped[datetime]
    kept_by: Mapped[str]


class Snooze(Base):
    """That she put reminders of one occurrence off; its id is that of her phone's request. Never changed."""

    __tablename__ = "snoozes"
    __table_args__ = (
        of_participant(),
        sa.ForeignKeyConstraint(["study_id", "occurrence_id"], ["occurrences.study_id", "occurrences.id"]),
        sa.Index("ix_snoozes_occurrence", "study_id", "occurrence_id"),
        {"info": {"audited": True, "append_only": True, "scope": "subject"}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    occurrence_id: Mapped[UUID]
    asked_at: Mapped[datetime]
    until: Mapped[datetime]
