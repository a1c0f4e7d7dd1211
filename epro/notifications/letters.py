"""Sending the letters to the staff about their own accounts: plain text in their language, nothing of any study.

A letter is claimed before it is sent, with no transaction open while the mail server is spoken to. One whose fate
nobody knows is sent again while it is of use, under the same message id. A link's secret is forgotten once it has left.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from epro import clock, db, trail
from epro.contacts import store
from epro.notifications import witnesses
from epro.notifications.senders import Outgoing, Sender, SendFailed, SendUnknown
from epro.signin import letters, reminding
from epro.signin.models import MachineKey, Staff, StaffLetter
from epro.trail import sealing
from epro.tx import Tx, begin, look, system, table_of

WORKER = system("worker")
AGAIN_AFTER, LONGEST = timedelta(minutes=1), timedelta(minutes=30)
UNUSUAL = "unusual_reading"
NO_ADDRESS = "no_address"
LINK_PAGE = "/console/link"  # the secret stands in the fragment: no server, no proxy and no log ever sees it


def send_due(senders: dict[str, Sender], now: datetime | None = None, limit: int = 50) -> int:
    """Send letters that are due, each tried once; returns how many were tried."""
    sender = senders.get("email")
    if sender is None:
        return 0
    moment = now or clock.now()
    with look(WORKER, moment) as tx:
        due = tx.rows(_DUE, {"now": moment, "most": limit})
    return sum(_send(sender, row.id, moment) for row in due)


def wording(language: str, kind: str) -> dict[str, str]:
    """Subject and text of a letter; in English where there is none in this language."""
    texts = _texts()
    return texts.get(language, texts["en"])[kind]


_LETTERS, _NOW = table_of(StaffLetter), sa.bindparam("now", type_=StaffLetter.expires_at.type)
_DUE = (
    sa.select(_LETTERS.c.id)
    .where(_LETTERS.c.next_try_at.is_not(None), _LETTERS.c.next_try_at <= _NOW, _LETTERS.c.expires_at > _NOW)
    .order_by(_LETTERS.c.next_try_at, _LETTERS.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def _send(sender: Sender, letter_id: UUID, now: datetime) -> bool:
    with begin(WORKER, now) as tx:
        outgoing = _claimed(tx, letter_id)
    if outgoing is None:
        return False
    fault: str | None = None
    final = True
    try:
        sender.send(outgoing)
    except SendFailed as refused:
        fault, final = refused.code, refused.permanent
    except SendUnknown as unknown:
        fault, final = unknown.code, False
    with begin(WORKER, now) as tx:
        _note(tx, letter_id, fault, final)
    return True


def _claimed(tx: Tx, letter_id: UUID) -> Outgoing | None:
    """The letter, and that it is being sent; None when another worker has it or nobody is to have it any more."""
    row = tx.get(StaffLetter, letter_id, lock=True)
    if row is None or row.next_try_at is None or row.next_try_at > tx.now:
        return None
    person = tx.get(Staff, row.staff_id)
    address = store.of(trail.INSTALLATION, f"staff/{row.staff_id}").get("email")
    if person is None or person.closed_at is not None or not address:
        row.next_try_at, row.sealed, row.fault = None, None, NO_ADDRESS
        return None
    row.tries += 1
    row.next_try_at = tx.now + min(AGAIN_AFTER * 2 ** min(row.tries - 1, 8), LONGEST)
    return _outgoing(row, person.language, address, row.expires_at - tx.now, _more(tx, row))


def _more(tx: Tx, row: StaffLetter) -> dict[str, str]:
    if row.kind == UNUSUAL:
        return _unusual(row)
    return _key_near_its_end(tx, row) if row.kind == reminding.KIND else _checkpoint(tx, row)


def _unusual(row: StaffLetter) -> dict[str, str]:
    """Which account, by a number that says nothing, how many participants, and where what it did is to be read."""
    account, day, count = (letters.secret_of(row) or "").split()
    return {"account": account, "day": day, "count": count, "page": f"{db.settings()['PUBLIC_URL']}/console/"}


def _key_near_its_end(tx: Tx, row: StaffLetter) -> dict[str, str]:
    """What a letter about a machine key says: which it is, by a number that says nothing of a study, and until when."""
    key = tx.get(MachineKey, UUID(letters.secret_of(row)))
    return {"key": str(key.id), "day": key.expires_at.date().isoformat()} if key else {}


def _checkpoint(tx: Tx, row: StaffLetter) -> dict[str, str]:
    """What a letter to a witness carries: the newest checkpoint as it is signed, and the key it is checked with."""
    newest = sealing.last(tx) if row.kind == witnesses.KIND else None
    return {"checkpoint": newest.note, "key": sealing.public_key(tx)} if newest else {}


def _outgoing(
    row: StaffLetter, language: str, address: str, valid_for: timedelta, more: dict[str, str]
) -> Outgoing:
    settings = db.settings()
    secret = letters.secret_of(row)
    values = {
        "app_name": settings["APP_NAME"] or "epro",
        "link": f"{settings['PUBLIC_URL']}{LINK_PAGE}#{secret}" if secret else "",
        **more,
    }
    told = wording(language, row.kind)
    return Outgoing(
        message_id=row.id,
        to=address,
        text=told["text"].format_map(values),
        subject=told["subject"].format_map(values),
        language=language,
        valid_for=valid_for,
        callback_url=None,
    )


def _note(tx: Tx, letter_id: UUID, fault: str | None, final: bool) -> None:
    row = tx.get(StaffLetter, letter_id, lock=True)
    assert row is not None
    row.fault = fault
    if fault is None:
        row.sent_at = tx.now
    if final:
        row.next_try_at, row.sealed = None, None


@cache
def _texts() -> dict[str, dict[str, dict[str, str]]]:
    file = Path(__file__).with_suffix(".json")
    found: dict[str, dict[str, dict[str, str]]] = json.loads(file.read_text(encoding="utf-8"))
    return found
