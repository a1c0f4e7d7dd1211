"""Alerts for staff, and the ledger of every message, sent or withheld."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base
from epro.studies.models import of_participant

WAITING = "begun_at IS NULL AND withheld_at IS NULL"


STANDING = "standing_since IS NOT NULL"


class Alert(Base):
    """Something a person must look at: that it was raised, who took it in hand first, what first came of it, and
    what cleared it are facts, each written once. Everything that is done with it is a row of `alert_steps`.

    `standing_since`, `owner`, `due_at`, `escalate_at`, `ladder` and `misses` say how it is now. They follow from
    the steps and are kept for the worklist, which asks by them.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        of_participant(),
        sa.Index("ix_alerts_occurrence", "study_id", "occurrence_id"),
        sa.Index(
            "ix_alerts_standing",
            "study_id",
            "subject_id",
            postgresql_where=sa.text(STANDING),
            sqlite_where=sa.text(STANDING),
        ),
        sa.Index(
            "ix_alerts_escalate_at",
            "escalate_at",
            postgresql_where=sa.text("escalate_at IS NOT NULL"),
            sqlite_where=sa.text("escalate_at IS NOT NULL"),
        ),
        {"info": {"audited": True, "scope": "subject", "unaudited": {"escalate_at"}}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    site_id: Mapped[str]
    occurrence_id: Mapped[UUID]
    kind: Mapped[str]  # missed | answer
    urgency: Mapped[str]
    why: Mapped[dict]
    raised_at: Mapped[datetime]
    standing_since: Mapped[datetime | None]  # raised or opened again; blank when resolved or cleared
    due_at: Mapped[datetime | None]
    owner: Mapped[str | None]
    urgent_at: Mapped[datetime | None]  # when a routine alert became urgent
    misses: Mapped[int] = mapped_column(default=0)
    reopenings: Mapped[int] = mapped_column(default=0)
    escalate_at: Mapped[datetime | None]
    escalations: Mapped[int] = mapped_column(default=0)  # all that there were
    ladder: Mapped[int] = mapped_column(default=0)  # steps of the escalation taken since it stands
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledged_note: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    outcome: Mapped[str | None]
    resolved_note: Mapped[str | None]
    cleared_at: Mapped[datetime | None]
    cleared_why: Mapped[str | None]


class AlertStep(Base):
    """One thing that was done with an alert, or that happened to it; never changed.

    kind: taken | contact_attempt | handed_over | reopened | resolved | note, by people; joined (this miss belongs
    to the alert) | cleared_one (and no more: an answer given in time has come late).
    """

    __tablename__ = "alert_steps"
    __table_args__ = (
        of_participant(),
        sa.ForeignKeyConstraint(["study_id", "alert_id"], ["alerts.study_id", "alerts.id"]),
        sa.Index("ix_alert_steps_occurrence", "study_id", "occurrence_id"),
        {"info": {"audited": True, "append_only": True, "scope": "subject"}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    kind: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]
    channel: Mapped[str | None]  # phone | sms | visit | other
    outcome: Mapped[str | None]
    note: Mapped[str | None]
    to_staff: Mapped[UUID | None]
    occurrence_id: Mapped[UUID | None]


class Message(Base):
    """One message to one person over one channel, from intent to fate. Its id is computed: it exists once.

    No text and no address is kept: the text is made from `template` at the moment of sending, the address is
    read from the contact store and forgotten.
    """

    __tablename__ = "messages"
    __table_args__ = (
        of_participant(),
        # What is still to be sent, and what was begun and has no end: all that the sending loop asks for.
        sa.Index(
            "ix_messages_due", "due_at", postgresql_where=sa.text(WAITING), sqlite_where=sa.text(WAITING)
        ),
        sa.Index(
            "ix_messages_open",
            "lease_until",
            postgresql_where=sa.text("lease_until IS NOT NULL"),
            sqlite_where=sa.text("lease_until IS NOT NULL"),
        ),
        sa.Index("ix_messages_subject", "study_id", "subject_id", "due_at"),
        {"info": {"audited": True, "scope": "subject", "unaudited": {"lease_until", "attempts", "due_at"}}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    purpose: Mapped[str]  # reminder | alert | escalation | digest | difference | signature
    occurrence_id: Mapped[UUID | None]
    alert_id: Mapped[UUID | None]
    recipient: Mapped[str]  # participant/<subject> | staff/<id>
    template: Mapped[str]
    rotation: Mapped[int] = mapped_column(default=0)
    language: Mapped[str]
    channel: Mapped[str | None]  # chosen when sending begins
    why: Mapped[dict]
    planned_at: Mapped[datetime]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    callback_secret: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    begun_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    withheld_at: Mapped[datetime | None]
    withheld_reason: Mapped[str | None]
    accepted_at: Mapped[datetime | None]
    provider_id: Mapped[str | None] = mapped_column(index=True)
    failed_at: Mapped[datetime | None]
    failure: Mapped[str | None]  # to staff also before the end: which channels are out
    unknown_at: Mapped[datetime | None]  # begun, and nobody can say whether it went out
    delivered_at: Mapped[datetime | None]
    shown_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]


class SentText(Base):
    """A text that went, or may have gone, to a number in a country whose carriers count them; kept for two days.

    Number and text stand here as keyed digests only.
    """

    __tablename__ = "sent_texts"
    __table_args__ = (sa.Index("ix_sent_texts_at", "at"),)

    number: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[datetime]


class TextAtProvider(Base):
    """That a provider has taken a text message under this id, and may keep its text; the row goes with it."""

    __tablename__ = "texts_at_providers"
    __table_args__ = (sa.Index("ix_texts_at_providers_taken_at", "taken_at"),)

    provider_id: Mapped[str] = mapped_column(primary_key=True)
    taken_at: Mapped[datetime]
    asked_at: Mapped[datetime | None]  # when its provider last refused to forget it, or did not answer


class CircuitState(Base):
    """How one channel of one provider fares, as all workers know it; see circuit.py. No row: nothing is amiss."""

    __tablename__ = "circuits"

    channel: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    strikes: Mapped[list]
    opened_at: Mapped[datetime | None]
    retry_at: Mapped[datetime | None]
    pauses: Mapped[int]
    probing_until: Mapped[datetime | None]


class HeardText(Base):
    """A text message that was obeyed, by a keyed digest of the provider's id of it. Kept for ever: the provider's
    signature has no hour, so an old message, sent again by whoever has a copy, is as valid as on its day.
    """

    __tablename__ = "heard_texts"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    heard_at: Mapped[datetime]


class Heartbeat(Base):
    """That a worker lives."""

    __tablename__ = "heartbeats"

    worker: Mapped[str] = mapped_column(primary_key=True)
    beat_at: Mapped[datetime]
