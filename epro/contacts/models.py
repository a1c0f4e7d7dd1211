"""Contact data, each field encrypted on its own. No other table of the system holds a name or a number."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import ContactsBase


class Contact(ContactsBase):
    """One field of one person. `owner` is `participant/<subject>` or `staff/<id>` (study "-")."""

    __tablename__ = "contacts"

    study_id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    field: Mapped[str] = mapped_column(primary_key=True)  # phone | email | name | push/<device>
    key_id: Mapped[str]
    sealed: Mapped[str]  # base64 of nonce and AES-256-GCM ciphertext
    salt: Mapped[str]  # makes the trail's commitment to this value meaningless once this row is gone
    lookup: Mapped[str] = mapped_column(sa.String(64), index=True)  # keyed digest, for exact match only
    kept_at: Mapped[datetime]
