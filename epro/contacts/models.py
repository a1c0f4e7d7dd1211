"""Contact data, each field encrypted on its own, and the data keys. No other table holds a name or a number."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from epro.db import ContactsBase, KeysBase


class Contact(ContactsBase):
    """One field of one person. `owner` is `participant/<subject>` or `staff/<id>` (study "-").

    `key_id` is `data/<id>` of her data key, or names a key of the ring: that was so before there were data keys.
    """

    __tablename__ = "contacts"

    study_id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    field: Mapped[str] = mapped_column(
        primary_key=True
    )  # phone | email | name | push/<device>; next/<field>: waits
    key_id: Mapped[str]
    sealed: Mapped[str]  # base64 of nonce and AES-256-GCM ciphertext
    salt: Mapped[str]  # with her data key it makes the trail's commitment; without either that says nothing
    lookup: Mapped[str] = mapped_column(sa.String(64), index=True)  # blind index of phone and e-mail
    kept_at: Mapped[datetime]


class DataKey(KeysBase):
    """The key of one person's contact data, wrapped. Whoever removes it has made every copy of them unreadable."""

    __tablename__ = "data_keys"

    study_id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    kek_id: Mapped[str] = mapped_column(index=True)
    wrapped: Mapped[str]
    made_at: Mapped[datetime]
