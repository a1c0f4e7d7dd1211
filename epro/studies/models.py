"""Studies, their sites, who takes part, and the days that counting starts from."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base
from epro.trail.models import Chained

AUDITED = {"audited": True}


def of_participant() -> sa.ForeignKeyConstraint:
    """The key by which a row belongs to a participant."""
    return sa.ForeignKeyConstraint(
        ["study_id", "subject_id"], ["participants.study_id", "participants.subject_id"]
    )


class Study(Base):
    """One trial. What is asked and when stands in its published protocols."""

    __tablename__ = "studies"
    __table_args__ = {"info": AUDITED}

    id: Mapped[str] = mapped_column(primary_key=True)
    protocol_version: Mapped[str]  # what new participants get at sites where no later one is in force
    opened_at: Mapped[datetime]


class Site(Base):
    """Where care is given. Names per language stand in the protocol; this row is what others point to."""

    __tablename__ = "sites"
    __table_args__ = {"info": AUDITED}

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    time_zone: Mapped[str]
    names: Mapped[dict]
    phone: Mapped[str | None]
    opened_at: Mapped[datetime]


class Participant(Chained, Base):
    """Who answers. The row orders all of her writes, heads her chain, and is what withdrawal and sending lock."""

    __tablename__ = "participants"
    __table_args__ = (
        sa.ForeignKeyConstraint(["study_id", "site_id"], ["sites.study_id", "sites.id"]),
        sa.Index("ix_participants_site", "study_id", "site_id", "subject_id"),
        # Only who is still planned for: the clockwork asks for nobody else.
        sa.Index(
            "ix_participants_plan_at",
            "plan_at",
            postgresql_where=sa.text("plan_at IS NOT NULL"),
            sqlite_where=sa.text("plan_at IS NOT NULL"),
        ),
        sa.Index("ix_participants_calendar_hash", "calendar_hash", unique=True),
        {
            "info": {
                "audited": True,
                "scope": "site",
                "unaudited": {"chain_seq", "chain_mac", "change_no", "plan_at", "planned_through"},
            }
        },
    )

    study_id: Mapped[str] = mapped_column(sa.ForeignKey("studies.id"), primary_key=True)
    subject_id: Mapped[str] = mapped_column(primary_key=True)
    site_id: Mapped[str]
    language: Mapped[str]
    time_zone: Mapped[str]
    protocol_version: Mapped[str]
    arm: Mapped[str | None]
    preferences: Mapped[dict] = mapped_column(default=dict)
    enrolled_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]  # her contact data, for good
    restricted_at: Mapped[datetime | None]  # her data are kept, and used to reach her no more
    calendar_hash: Mapped[str | None] = mapped_column(sa.String(64))  # of the link to her calendar
    opted_out_at: Mapped[datetime | None]  # of messages; asked for by her, here or at the carrier
    change_no: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    planned_through: Mapped[date | None]
    plan_at: Mapped[datetime | None]


class Anchor(Base):
    """A day that counting starts from, as set; the newest row of a name counts, unless it takes it back."""

    __tablename__ = "anchors"
    __table_args__ = (of_participant(), {"info": {"audited": True, "append_only": True, "scope": "subject"}})

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str]
    subject_id: Mapped[str] = mapped_column(index=True)
    anchor: Mapped[str]
    day: Mapped[date]
    set_at: Mapped[datetime]
    set_by: Mapped[str]
    reason: Mapped[str | None]
    seq: Mapped[int] = mapped_column(sa.BigInteger)  # her chain's length then: an order that no clock decides
    taken_back: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    set_through: Mapped[
        str | None
    ]  # an `answer`, or the `correction` of one; somebody set it where it is blank


class ZoneStay(Base):
    """From when on a participant lived in which time zone."""

    __tablename__ = "zone_stays"
    __table_args__ = (of_participant(), {"info": {"audited": True, "append_only": True, "scope": "subject"}})

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str]
    subject_id: Mapped[str] = mapped_column(index=True)
    time_zone: Mapped[str]
    since: Mapped[datetime]
    seq: Mapped[int] = mapped_column(sa.BigInteger)


class ParticipantNote(Base):
    """What somebody of her site wrote down about a participant; never changed, and in no export."""

    __tablename__ = "participant_notes"
    __table_args__ = (of_participant(), {"info": {"audited": True, "append_only": True, "scope": "subject"}})

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str]
    subject_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    by: Mapped[str]
    note: Mapped[str]
    seq: Mapped[int] = mapped_column(sa.BigInteger)  # her chain's length then
