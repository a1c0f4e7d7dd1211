"""Who may come in: staff and their roles, devices, sessions, activation codes, machine keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base
from epro.studies.models import AUDITED, of_participant


class Staff(Base):
    """One account of one person. Name, e-mail and phone are in the contact store under `staff/<id>`.

    `password_hash` is empty until she has chosen one; `totp_pending` is a seed that she has not confirmed yet.
    """

    __tablename__ = "staff"
    __table_args__ = {"info": {"audited": True, "unaudited": {"totp_step", "totp_pending"}}}

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email_lookup: Mapped[str] = mapped_column(unique=True)
    language: Mapped[str]
    password_hash: Mapped[str]
    totp_sealed: Mapped[str | None]
    totp_pending: Mapped[str | None]
    totp_step: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class StaffGrant(Base):
    """A role that somebody holds at a site ("*": all sites) of a study, until revoked."""

    __tablename__ = "staff_grants"
    __table_args__ = (sa.Index("ix_staff_grants_where", "study_id", "site_id", "role"), {"info": AUDITED})

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    study_id: Mapped[str]
    site_id: Mapped[str]
    role: Mapped[str]
    granted_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Device(Base):
    """A phone that was activated for a participant."""

    __tablename__ = "devices"
    __table_args__ = (
        of_participant(),
        sa.Index("ix_devices_subject", "study_id", "subject_id"),
        {"info": {"audited": True, "scope": "subject", "unaudited": {"seen_at"}}},
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    installation_id: Mapped[str]
    platform: Mapped[str | None]
    app_version: Mapped[str | None]
    activated_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]


class SignInSession(Base):
    """A family of tokens, of a device or of a person of the staff. Every request looks at this row.

    Refresh tokens are numbered; `generation` is the newest that was given out, `rotated_at` when, `successor_used`
    whether a request has shown it: then the reply that brought it was not lost. A token is never kept, only its
    digest can be worked out again. A browser's session has a cookie instead of tokens.
    Of the staff: `seen_at` the last request (to the minute), `proved_at` when she last
    showed who she is, `second_factor` with what (totp, recovery_code, passkey, sso; None: with a password alone),
    `proved_with` what she showed when she did so again (None: nothing since she signed in, or it is spent),
    `opened_from` and `agent` what she tells her sessions apart by.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        sa.Index("ix_sessions_device", "study_id", "device_id"),
        sa.Index("ix_sessions_staff", "staff_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str | None]
    subject_id: Mapped[str | None]
    device_id: Mapped[UUID | None]
    installation_id: Mapped[str | None]
    staff_id: Mapped[UUID | None]
    generation: Mapped[int] = mapped_column(default=1)
    refresh_hash: Mapped[str] = mapped_column(sa.String(64))
    previous_hash: Mapped[str | None] = mapped_column(sa.String(64))
    rotated_at: Mapped[datetime]
    successor_used: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    started_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]
    cookie_hash: Mapped[str | None] = mapped_column(sa.String(64), index=True, unique=True)
    seen_at: Mapped[datetime | None]
    proved_at: Mapped[datetime | None]
    proved_with: Mapped[str | None]
    second_factor: Mapped[str | None]
    opened_from: Mapped[str | None]
    agent: Mapped[str | None]
    identity_id: Mapped[UUID | None]  # by which outside identity she came, if by one
    shown_name: Mapped[
        str | None
    ]  # sealed with her cookie's secret, so that pages need not open the contact store
    kept_form: Mapped[str | None] = mapped_column(sa.Text, deferred=True)  # sealed likewise; see `kept.py`
    kept_at: Mapped[datetime | None]


class ActivationCode(Base):
    """A one-use code that makes a phone a participant's. Only a hash of its secret part is kept."""

    __tablename__ = "activation_codes"
    __table_args__ = (
        of_participant(),
        {"info": {"audited": True, "scope": "subject", "unaudited": {"tries"}}},
    )

    selector: Mapped[str] = mapped_column(primary_key=True)
    study_id: Mapped[str]
    subject_id: Mapped[str] = mapped_column(index=True)
    secret_hash: Mapped[str]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    used_at: Mapped[datetime | None]
    used_by_device: Mapped[UUID | None]
    ended_at: Mapped[datetime | None]


class MachineKey(Base):
    """A machine of one study. role: machine (the sponsor's, reads it) | edc (hands in dates, reads nothing).

    With `jwks` it signs for its tokens; no secret opens it then. With `sources` it comes from these networks only.
    `elsewhere_at`: when that it came from elsewhere was last written down; `reminded`: of how many days before its
    end the administrators were told.
    """

    __tablename__ = "machine_keys"
    __table_args__ = {"info": {"audited": True, "unaudited": {"elsewhere_at", "reminded"}}}

    id: Mapped[UUID] = mapped_column(primary_key=True)
    study_id: Mapped[str]
    name: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="machine")
    secret_hash: Mapped[str] = mapped_column(sa.String(64))
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    jwks: Mapped[list | None]
    sources: Mapped[list | None]
    elsewhere_at: Mapped[datetime | None]
    reminded: Mapped[int | None]


class SpentAssertion(Base):
    """A signed request of a machine that has opened a token: until it runs out it opens no second one."""

    __tablename__ = "spent_assertions"

    key_id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    expires_at: Mapped[int] = mapped_column(sa.BigInteger)


class RateCount(Base):
    """How often a limited door was tried in one window of time."""

    __tablename__ = "rate_counts"

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[float] = mapped_column(sa.Float)


class RecoveryCode(Base):
    """A code that stands in for a lost second factor, once. Only a keyed digest is kept."""

    __tablename__ = "recovery_codes"
    __table_args__ = {"info": AUDITED}

    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    made_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]


class KnownDevice(Base):
    """A browser from which somebody has signed in before. What strangers get wrong elsewhere does not count here."""

    __tablename__ = "known_devices"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Passkey(Base):
    """A WebAuthn credential of somebody of the staff."""

    __tablename__ = "passkeys"
    __table_args__ = {"info": {"audited": True, "unaudited": {"sign_count", "used_at"}}}

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    credential_id: Mapped[str] = mapped_column(unique=True)
    public_key: Mapped[str]
    sign_count: Mapped[int] = mapped_column(sa.BigInteger)
    name: Mapped[str]
    added_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]


class OutsideIdentity(Base):
    """Who somebody of the staff is at the identity provider: issuer and subject, and nothing else."""

    __tablename__ = "outside_identities"
    __table_args__ = (
        sa.Index("ix_outside_identities_who", "issuer", "subject"),
        {"info": AUDITED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class Ticket(Base):
    """Something that opens one thing once: a link by e-mail, a challenge, the state of a sign-in elsewhere."""

    __tablename__ = "tickets"

    digest: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    purpose: Mapped[str]
    staff_id: Mapped[UUID | None] = mapped_column(index=True)
    content: Mapped[dict | None]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class StaffLetter(Base):
    """An e-mail to somebody of the staff about her own account. `sealed` holds a link's secret until it is sent."""

    __tablename__ = "staff_letters"
    __table_args__ = (sa.Index("ix_staff_letters_due", "next_try_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    staff_id: Mapped[UUID] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    kind: Mapped[str]
    sealed: Mapped[str | None]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    next_try_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    fault: Mapped[str | None]
