"""Keeping, reading and erasing contact data. It has its own database and its own transactions.

Each field is sealed with the data key of its person. `commitments` are what the trail may say of a personal value:
a digest under her data key and a salt. Destroy the key and the trail still holds, and says nothing.
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session

from epro import db, keys, ready
from epro.contacts import data_keys, ring
from epro.contacts.data_keys import Opened
from epro.contacts.models import Contact
from epro.contacts.sealing import CannotOpen, seal, unseal
from epro.errors import Invalid

FIELDS = ("phone", "email", "name")
SOUGHT = ("phone", "email")  # by which somebody is found
BLIND = 32  # hexadecimal digits of the blind index: 128 bits
UNDER_DATA_KEY = "data/"
WAITING = "next/"  # before the name of a field: what waits for the act that it belongs to
BATCH = 50  # people whose fields are sealed again in one go
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
    wanted = any(value is not None for value in values.values())
    key = data_keys.hold(study_id, owner, now) if wanted else None
    with Session(db.contacts_engine()) as session, session.begin():
        return {
            field: _keep_field(
                session, key, {"study_id": study_id, "owner": owner, "field": field}, value, now
            )
            for field, value in sorted(values.items())
        }


def of(study_id: str, owner: str) -> dict[str, str]:
    """The fields kept of one person, opened; empty when there are none."""
    with db.reading(db.contacts_engine()).connect() as connection:
        rows = ready.rows(connection, _OF, {"study_id": study_id, "owner": owner})
    key = data_keys.find(study_id, owner) if any(map(_is_under_data_key, rows)) else None
    return {row.field: open_row(row, key) for row in rows if not row.field.startswith(WAITING)}


def of_many(study_id: str, owners: Collection[str], field: str) -> dict[str, str]:
    """One field of many people, by owner; of whom it is not kept, or does not open, she is left out.

    Nothing else of theirs is opened.
    """
    if not owners:
        return {}
    query = sa.select(Contact.__table__).where(
        Contact.study_id == study_id, Contact.owner.in_(owners), Contact.field == field
    )
    with db.reading(db.contacts_engine()).connect() as connection:
        rows = connection.execute(query).all()
    keys = data_keys.find_many(study_id, [row.owner for row in rows if _is_under_data_key(row)])
    found = {}
    for row in rows:
        with suppress(CannotOpen):
            found[row.owner] = open_row(row, keys.get(row.owner))
    return found


def fields_of(study_id: str, owner: str) -> list[str]:
    """Which fields are kept of one person; none is opened."""
    kept = sa.not_(Contact.field.startswith(WAITING))
    query = sa.select(Contact.field).where(Contact.study_id == study_id, Contact.owner == owner, kept)
    with Session(db.reading(db.contacts_engine())) as session:
        return list(session.scalars(query))


def owners(field: str, value: str) -> list[tuple[str, str]]:
    """Who has exactly this value: (study, owner) pairs."""
    if field not in SOUGHT:
        return []
    marks = (blind_index(field, value), lookup(field, value))  # the second until it is sealed again
    query = sa.select(Contact.study_id, Contact.owner).where(
        Contact.field == field, Contact.lookup.in_(marks)
    )
    with Session(db.reading(db.contacts_engine())) as session:
        return [(study_id, owner) for study_id, owner in session.execute(query)]


def erase(study_id: str, owner: str) -> int:
    """Destroy the data key of one person, then remove every field; returns how many there were.

    In this order: if it ends in between, what is left is unreadable.
    """
    data_keys.destroy(study_id, owner)
    statement = sa.delete(Contact).where(Contact.study_id == study_id, Contact.owner == owner)
    with Session(db.contacts_engine()) as session, session.begin():
        return session.execute(statement).rowcount  # type: ignore[attr-defined]


def rotate() -> Counter[str]:
    """Wrap every data key under the newest key, and seal with a data key what is not yet: `done` and `stuck`.

    Goes in small transactions beside a running web and worker; after an interruption call it again.
    """
    return data_keys.rewrap() + seal_again()


def seal_again(*, everything: bool = False) -> Counter[str]:
    """Seal with data keys what was sealed before there were any; `everything` (after a new index key): all fields."""
    result, after = Counter[str](), ("", "")
    while people := _people(after, everything):
        for study_id, owner in people:
            result += _seal_again(study_id, owner)
        after = people[-1]
    return result


def needed_keys() -> Counter[str]:
    """Key of the ring → how many data keys and fields still need it."""
    query = sa.select(Contact.key_id, sa.func.count()).where(_old()).group_by(Contact.key_id)
    with Session(db.reading(db.contacts_engine())) as session:
        old = Counter({row[0]: row[1] for row in session.execute(query)})
    return old + Counter(data_keys.counts())


def missing_keys() -> dict[str, int]:
    """The same of keys that are not in the ring."""
    return {name: count for name, count in sorted(needed_keys().items()) if name not in ring.held()}


def lookup(field: str, value: str) -> str:
    """The keyed digest by which an account is found by its e-mail; the key is apart from the sealing keys."""
    key = keys.derive(db.settings()["SECRET_KEY"] or "", "contact lookup")
    return keys.mac(key, f"{field}\x00{value}".encode())


def blind_index(field: str, value: str) -> str:
    """What finds a person by a phone number or an e-mail address, exactly: 128 bits under a key of its own."""
    settings = db.settings()
    key = keys.derive(settings["CONTACTS_INDEX_KEY"] or settings["SECRET_KEY"] or "", "contact index")
    return keys.mac(key, f"{field}\x00{value}".encode())[:BLIND]


def commitment(key: Opened, salt: str, field: str, value: str) -> str:
    """What the trail says of a value."""
    return keys.mac(keys.mac(key.key, salt.encode()).encode(), f"{field}\x00{value}".encode())


def _keep_field(
    session: Session, key: Opened | None, place: Mapping[str, str], value: str | None, now: datetime
) -> str:
    if value is None or key is None:
        session.execute(sa.delete(Contact).filter_by(**place))
        return "erased"
    row = Contact(**place, salt=secrets.token_hex(16), kept_at=now)
    seal_row(row, key, value)
    session.merge(row)
    return commitment(key, row.salt, row.field, value)


def seal_row(row: Contact, key: Opened, value: str) -> None:
    """Seal a field in its row, with her data key."""
    row.key_id, row.sealed = key.key_id, seal(key.key, key.key_id, _place(row, key.key_id), value)
    row.lookup = blind_index(row.field, value) if row.field in SOUGHT else ""


def _old() -> sa.ColumnElement[bool]:
    return sa.not_(Contact.key_id.startswith(UNDER_DATA_KEY))


def _people(after: tuple[str, str], everything: bool) -> list[tuple[str, str]]:
    query = sa.select(Contact.study_id, Contact.owner).where(
        sa.true() if everything else _old(), sa.tuple_(Contact.study_id, Contact.owner) > after
    )
    query = query.distinct().order_by(Contact.study_id, Contact.owner).limit(BATCH)
    with Session(db.reading(db.contacts_engine())) as session:
        return [(study_id, owner) for study_id, owner in session.execute(query)]


def _seal_again(study_id: str, owner: str) -> Counter[str]:
    """All fields of one person, in one transaction; the salt stays, and with it what the trail says."""
    result = Counter[str]()
    with Session(db.contacts_engine()) as session, session.begin():
        query = sa.select(Contact).filter_by(study_id=study_id, owner=owner).with_for_update()
        rows = list(session.scalars(query))
        for row in rows:
            try:
                key = data_keys.hold(study_id, owner, row.kept_at)
                seal_row(row, key, open_row(row, key))
                result["done"] += 1
            except CannotOpen:
                result["stuck"] += 1
    return result


def _is_under_data_key(row: Any) -> bool:
    return str(row.key_id).startswith(UNDER_DATA_KEY)


def open_row(row: Any, own: Opened | None) -> str:
    """The field of a row, in clear. Raises CannotOpen."""
    if _is_under_data_key(row):
        if own is None or own.key_id != row.key_id:
            raise CannotOpen("The data key of a contact field was destroyed.")
        return unseal(own.key, row.key_id, _place(row, row.key_id), row.sealed)
    key = ring.held().get(row.key_id)
    if key is None:
        raise CannotOpen("The key that a contact field was sealed with is not in the ring.")
    return unseal(key, row.key_id, _place(row, row.key_id), row.sealed)


def _place(row: Any, key_id: str) -> str:
    if key_id.startswith(UNDER_DATA_KEY):
        return json.dumps(["contacts", "contacts", "sealed", row.study_id, row.owner, row.field])
    return f"contacts/{row.study_id}/{row.owner}/{row.field}"  # as it was before there were data keys


def _normal_phone(value: str, region: str | None) -> str:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise Invalid(errors=[_fault("phone", "A phone number starts with + and its country code.")])
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _normal_email(value: str) -> str:
    text = unicodedata.normalize("NFKC", value.strip()).lower()
    local, at, domain = text.rpartition("@")
    if not (at and local and "." in domain) or any(c.isspace() or ord(c) < 32 for c in text):
        raise Invalid(errors=[_fault("email", "This is not an e-mail address.")])
    return text


def _fault(field: str, detail: str) -> dict[str, str]:
    return {"pointer": f"/contact/{field}", "code": f"bad_{field}", "detail": detail}
