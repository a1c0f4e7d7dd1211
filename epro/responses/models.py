"""What participants sent: filed responses with their scores, and what was set aside for a person to settle."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base, Json
from epro.studies.models import of_participant

FOR_EVER = {"audited": True, "append_only": True, "scope": "subject"}


class Response(Base):
    """What a participant answered, once. A correction amends it by a new row, which names the first (`amends_id`).

    `body` is the canonical content that `digest` is taken over, exactly as the phone meant it. The phone's own
    instants are `started_at` and `completed_at`; `corrected_at` is the completion by our clock, a value beside.
    """

    __tablename__ = "responses"
    __table_args__ = (
        of_participant(),
        sa.ForeignKeyConstraint(["study_id", "occurrence_id"], ["occurrences.study_id", "occurrences.id"]),
        sa.Index("ix_responses_subject", "study_id", "subject_id", "occurrence_id"),
        sa.Index(
            "ix_responses_amends",
            "study_id",
            "amends_id",
            "amendment_no",
            unique=True,
            postgresql_where=sa.text("amends_id IS NOT NULL"),
            sqlite_where=sa.text("amends_id IS NOT NULL"),
        ),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    occurrence_id: Mapped[UUID]
    assessment_id: Mapped[str]
    protocol_version: Mapped[str]
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]
    instrument_digest: Mapped[str]
    language: Mapped[str]
    local_day: Mapped[date]
    time_zone: Mapped[str | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime]
    clock_offset_ms: Mapped[int | None] = mapped_column(sa.BigInteger)  # server minus phone, at the sync
    corrected_at: Mapped[datetime]
    received_at: Mapped[datetime]
    device_id: Mapped[UUID | None]
    body: Mapped[str]
    digest: Mapped[str] = mapped_column(sa.String(64))
    signature: Mapped[str]
    findings: Mapped[list] = mapped_column(Json, default=list)
    amends_id: Mapped[UUID | None]
    amendment_no: Mapped[int | None]  # 1 is the first correction; the highest is the current one


class Amendment(Base):
    """Why a response was corrected, who said so, and who entered it; `before_digest` is what no longer holds."""

    __tablename__ = "amendments"
    __table_args__ = (
        of_participant(),
        sa.ForeignKeyConstraint(["study_id", "response_id"], ["responses.study_id", "responses.id"]),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    response_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    reason: Mapped[str]
    reported_by: Mapped[str]  # participant | caregiver | site
    reported_at: Mapped[datetime | None]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    before_digest: Mapped[str] = mapped_column(sa.String(64))
    asked_digest: Mapped[str] = mapped_column(
        sa.String(64)
    )  # of the request: the same again gets the same reply


class Score(Base):
    """A number from answers, or the reason why there is none, with everything needed to work it out again."""

    __tablename__ = "scores"
    __table_args__ = (
        sa.ForeignKeyConstraint(["study_id", "response_id"], ["responses.study_id", "responses.id"]),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    response_id: Mapped[UUID] = mapped_column(primary_key=True)
    scale: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, default=1)  # a re-scoring adds a run, overwrites none
    subject_id: Mapped[str]
    value: Mapped[float | None] = mapped_column(sa.Float(53))
    reason: Mapped[str | None]
    answered: Mapped[int]
    expected: Mapped[int]
    rule: Mapped[str]
    method: Mapped[str]
    method_version: Mapped[str]
    items_used: Mapped[list] = mapped_column(Json)
    items_missing: Mapped[list] = mapped_column(Json)
    blinded: Mapped[bool]
    scored_at: Mapped[datetime]
    definition_version: Mapped[
        str | None
    ]  # of a later run; the first is scored by the response's own definition
    definition_digest: Mapped[str | None]


class WeekScore(Base):
    """One score of one week of a diary, made of the responses in `sources` (item of the definition -> id).

    `week` counts from 1; `id` names the week in the feed and in the trial database.
    """

    __tablename__ = "week_scores"
    __table_args__ = (of_participant(), {"info": FOR_EVER})

    study_id: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[str] = mapped_column(primary_key=True)
    assessment_id: Mapped[str] = mapped_column(primary_key=True)
    week: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    scale: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # a later one overwrites none
    id: Mapped[UUID]
    first_study_day: Mapped[int]
    first_day: Mapped[date]
    last_day: Mapped[date]
    protocol_version: Mapped[str]
    instrument_code: Mapped[str]
    definition_version: Mapped[str]
    definition_digest: Mapped[str]
    sources: Mapped[dict] = mapped_column(Json)
    value: Mapped[float | None] = mapped_column(sa.Float(53))
    reason: Mapped[str | None]
    answered: Mapped[int]
    expected: Mapped[int]
    rule: Mapped[str]
    method: Mapped[str]
    method_version: Mapped[str]
    items_used: Mapped[list] = mapped_column(Json)
    items_missing: Mapped[list] = mapped_column(Json)
    blinded: Mapped[bool]
    scored_at: Mapped[datetime]


class SetAside(Base):
    """An upload that could not be filed, kept whole: held for a person, or in conflict with one on file.

    What `sequence` of reasons it was set aside for stands in `findings`; `response_id` is blank when the upload
    named none that could be read.
    """

    __tablename__ = "set_asides"
    __table_args__ = (
        of_participant(),
        sa.UniqueConstraint("study_id", "subject_id", "digest"),
        sa.Index("ix_set_asides_response", "study_id", "subject_id", "response_id"),
        {"info": {**FOR_EVER, "append_only": False}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    response_id: Mapped[str | None]
    outcome: Mapped[str]  # held | conflict
    body: Mapped[str]
    digest: Mapped[str] = mapped_column(sa.String(64))
    signature: Mapped[str]
    findings: Mapped[list] = mapped_column(Json)
    received_at: Mapped[datetime]
    clock_offset_ms: Mapped[int | None] = mapped_column(sa.BigInteger)
    device_id: Mapped[UUID | None]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None]


class Settlement(Base):
    """What a person decided about an upload that was set aside: once, and with a reason."""

    __tablename__ = "settlements"
    __table_args__ = (
        of_participant(),
        sa.ForeignKeyConstraint(["study_id", "set_aside_id"], ["set_asides.study_id", "set_asides.id"]),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    set_aside_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    outcome: Mapped[str]  # filed | rejected
    reason: Mapped[str]
    settled_by: Mapped[str]
    settled_at: Mapped[datetime]
    response_id: Mapped[UUID | None]  # what it was filed as
    asked_digest: Mapped[str] = mapped_column(sa.String(64))


class Draft(Base):
    """Saved progress of an occurrence, so that a replaced phone can go on. Not a record: the last one counts."""

    __tablename__ = "drafts"
    __table_args__ = (of_participant(), {"info": {"scope": "subject"}})

    study_id: Mapped[str] = mapped_column(primary_key=True)
    occurrence_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    body: Mapped[str]
    saved_at: Mapped[datetime]
    device_id: Mapped[UUID | None]
