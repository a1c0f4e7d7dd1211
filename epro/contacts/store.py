"""Keeping, reading and erasing contact data. It has its own database and its own transactions.

`commitments` are what the trail may say of a personal value: a salted digest. Erase the row and the salt is
gone: the trail still holds, and says nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session

from epro import db, keys
from epro.contacts.models import Contact
from epro.contacts.sealing import CannotOpen, key_ring, seal, unseal
from epro.errors import Invalid

FIELDS = ("phone", "email", "name")
_OF = sa.select(*Contact.__table__.columns).where(
    Contact.__table__.c.study_id == sa.bindparam("study_id"),
    Contact.__table__.c.owner == sa.bindparam("owner"),
)


def normal(field: str, value: str, region: str | None = None) -> str:
    """The one spelling of a value: E.164 for phones, lower case for e-mail. Raises Invalid without echoing it."""
    if field == "phone":
        return _normal_phone(value, region)
    if field == "email":
        return _normal_email(value)
    return value.strip()


def keep(study_id: str, owner: str, values: Mapping[str, str | None], now: datetime) -> dict[str, str]:
    """Keep the given fields (None erases one); returns the trail's commitments, field → digest."""
    with Session(db.contacts_engine()) as session, session.begin():
        return {
            field: _keep_field(session, study_id, owner, field, value, now)
            for field, value in sorted(values.items())
        }


def of(study_id: str, owner: str) -> dict[str, str]:
    """The fields kept of one person, opened; empty when there are none."""
    with db.reading(db.contacts_engine()).connect() as connection:
        rows = connection.execute(_OF, {"study_id": study_id, "owner": owner}).all()
    return {row.field: _open(row) for row in rows}


def fields_of(study_id: str, owner: str) -> list[str]:
    """Which fields are kept of one person; none is opened."""
    query = sa.select(Contact.field).where(Contact.study_id == study_id, Contact.owner == owner)
    with Session(db.reading(db.contacts_engine())) as session:
        return list(session.scalars(query))


def owners(field: str, value: str) -> list[tuple[str, str]]:
    """Who has exactly this value: (study, owner) pairs."""
    query = sa.select(Contact.study_id, Contact.owner).where(
        Contact.field == field, Contact.lookup == lookup(field, value)
    )
    with Session(db.reading(db.contacts_engine())) as session:
        return [(study_id, owner) for study_id, owner in session.execute(query)]


def erase(study_id: str, owner: str) -> int:
    """Remove every field of one person; returns how many there were."""
    statement = sa.delete(Contact).where(Contact.study_id == study_id, Contact.owner == owner)
    with Session(db.contacts_engine()) as session, session.begin():
        return session.execute(statement).rowcount  # type: ignore[attr-defined]


def rotate() -> int:
    """Seal again, under the newest key, whatever is still under an older one; returns how many."""
    newest = next(iter(_ring()))
    with Session(db.contacts_engine()) as session, session.begin():
        rows = list(session.scalars(sa.select(Contact).where(Contact.key_id != newest)))
        for row in rows:
            value = _open(row)
            row.key_id, row.sealed = newest, seal(_ring()[newest], newest, _place(row), value)
        return len(rows)


def lookup(field: str, value: str) -> str:
    """The keyed digest by which a value is found again; the key is apart from the sealing keys."""
    key = keys.derive(db.settings()["SECRET_KEY"] or "", "contact lookup")
    return keys.mac(key, f"{field}\x00{value}".encode())


def _keep_field(
    session: Session, study_id: str, owner: str, field: str, value: str | None, now: datetime
) -> str:
    place = {"study_id": study_id, "owner": owner, "field": field}
    if value is None:
        session.execute(sa.delete(Contact).filter_by(**place))
        return "erased"
    newest, key = next(iter(_ring().items()))
    row = Contact(
        **place, key_id=newest, salt=secrets.token_hex(16), lookup=lookup(field, value), kept_at=now
    )
    row.sealed = seal(key, newest, _place(row), value)
    session.merge(row)
    return keys.mac(row.salt.encode(), f"{field}\x00{value}".encode())


def _open(row: Any) -> str:
    key = _ring().get(row.key_id)
    if key is None:
        raise CannotOpen("The key that a contact field was sealed with is not in the ring.")
    return unseal(key, row.key_id, _place(row), row.sealed)


def _place(row: Any) -> str:
    return f"contacts/{row.study_id}/{row.owner}/{row.field}"


def _ring() -> dict[str, bytes]:
    settings = db.settings()
    return key_ring(settings["CONTACTS_KEYS"], settings["SECRET_KEY"] or "")


def _normal_phone(value: str, region: str | None) -> str:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise Invalid(errors=[_fault("phone", "A phone number starts with + and its country code.")])
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _normal_email(value: str) -> str:
    local, at, domain = value.strip().rpartition("@")
    if not (at and local and "." in domain) or any(c.isspace() or ord(c) < 32 for c in value.strip()):
        raise Invalid(errors=[_fault("email", "This is not an e-mail address.")])
    return value.strip().lower()


def _fault(field: str, detail: str) -> dict[str, str]:
    return {"pointer": f"/contact/{field}", "code": f"bad_{field}", "detail": detail}
