"""Published instruments and the wording brought in for them, so that a ten-year-old response can still be read."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import Base


class PublishedInstrument(Base):
    """One version of one instrument, for ever as it was published."""

    __tablename__ = "published_instruments"
    __table_args__ = {"info": {"audited": True, "append_only": True}}

    code: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    body: Mapped[str]
    published_at: Mapped[datetime]


class WordingPack(Base):
    """One version of the licensed wording of an instrument in one language, for ever as it was imported."""

    __tablename__ = "wording_packs"
    __table_args__ = {"info": {"audited": True, "append_only": True}}

    instrument_code: Mapped[str] = mapped_column(primary_key=True)
    instrument_version: Mapped[str] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(primary_key=True)
    wording_version: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    licence_holder: Mapped[str]
    licence_reference: Mapped[str]
    translation_certificate: Mapped[str]
    body: Mapped[str]
    imported_at: Mapped[datetime]
    imported_by: Mapped[str]


class WordingApproval(Base):
    """One person's word that a pack is what the licence holder gave, to the letter."""

    __tablename__ = "wording_approvals"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["instrument_code", "instrument_version", "language", "wording_version"],
            [
                "wording_packs.instrument_code",
                "wording_packs.instrument_version",
                "wording_packs.language",
                "wording_packs.wording_version",
            ],
            name="fk_wording_approvals_pack",
        ),
        {"info": {"audited": True, "append_only": True}},
    )

    instrument_code: Mapped[str] = mapped_column(primary_key=True)
    instrument_version: Mapped[str] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(primary_key=True)
    wording_version: Mapped[str] = mapped_column(primary_key=True)
    approved_by: Mapped[str] = mapped_column(primary_key=True)
    approved_at: Mapped[datetime]
