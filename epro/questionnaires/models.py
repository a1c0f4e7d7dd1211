"""Published instruments: a copy with its digest, so that a ten-year-old response can still be read."""

from __future__ import annotations

from datetime import datetime

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
