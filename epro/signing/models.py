"""Signatures, what each stands under, and which do not hold any more. All three are only added to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base
from epro.studies.models import of_participant

FOR_EVER = {"audited": True, "append_only": True, "scope": "subject"}


def _of_signature() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["study_id", "signature_id"], ["signatures.study_id", "signatures.id"])


class Signature(Base):
    """One act of signing by one person. `body` is the canonical content that `digest` is taken over, and `seal` our
    own signature (Ed25519) over both; the columns beside say the same, to be searched.

    `signer_name` is her name as it was then: it is part of the record, not contact data.
    """

    __tablename__ = "signatures"
    __table_args__ = (
        of_participant(),
        sa.Index("ix_signatures_subject", "study_id", "subject_id", "signed_at"),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    visit_id: Mapped[str | None]  # where all that was signed belongs to one
    meaning: Mapped[str]
    signed_by: Mapped[str]
    signer_name: Mapped[str]
    signer_role: Mapped[str]
    signed_at: Mapped[datetime]
    time_zone: Mapped[str]  # of the site: the wall clock that the signature shows
    shown_by: Mapped[str]  # with what she showed who she is, beside her password: totp, passkey, ...
    policy: Mapped[str]  # the version of the policy that she signs under
    body: Mapped[str]
    digest: Mapped[str] = mapped_column(sa.String(64))
    seal: Mapped[str]
    asked_digest: Mapped[str] = mapped_column(sa.String(64))  # the same again gets the same answer


class SignedResponse(Base):
    """One revision of a response under a signature; `digest` is over it and its scores as they were read."""

    __tablename__ = "signed_responses"
    __table_args__ = (
        of_participant(),
        _of_signature(),
        sa.ForeignKeyConstraint(["study_id", "response_id"], ["responses.study_id", "responses.id"]),
        sa.Index("ix_signed_responses_original", "study_id", "original_id"),
        {"info": FOR_EVER},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    signature_id: Mapped[UUID] = mapped_column(primary_key=True)
    response_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    original_id: Mapped[UUID]  # of the first, where it is a correction
    digest: Mapped[str] = mapped_column(sa.String(64))


class SignatureBreak(Base):
    """That something under a signature was changed: from then on it does not hold for this response."""

    __tablename__ = "signature_breaks"
    __table_args__ = (of_participant(), _of_signature(), {"info": FOR_EVER})

    study_id: Mapped[str] = mapped_column(primary_key=True)
    signature_id: Mapped[UUID] = mapped_column(primary_key=True)
    original_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    cause: Mapped[str]  # corrected | rescored
    broken_by: Mapped[str]
    broken_at: Mapped[datetime]
    response_id: Mapped[UUID | None]  # the correction
