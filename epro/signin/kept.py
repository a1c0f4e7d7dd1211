"""What somebody had typed when she was asked to show once more who she is: it waits for her, and for nobody else.

It stands with her session, sealed with the secret of her cookie, for ten minutes; then the worker takes it away, also
when she never came back. What proves who somebody is does not stand there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from epro import keys
from epro.contacts import sealing
from epro.signin.models import SignInSession
from epro.tx import Tx

GOOD_FOR = timedelta(minutes=10)
LONGEST = 600_000  # letters of JSON, where a letter may take two; a study file of the largest size fits in
NEVER = ("password", "otp", "link", "form_token")
_NAME = "sessions/kept_form"


@dataclass(frozen=True)
class Form:
    """A form as it was sent: where to, and what stood in each of its fields."""

    address: str
    fields: Mapping[str, Sequence[str]]


def keep(tx: Tx, session_id: UUID, secret: str, form: Form) -> bool:
    """Keep it in the place of what was kept before; what is too long is not kept. Whether it was.

    A line ends in one letter here, as on the page; a browser makes two of it again.
    """
    safe = {
        name: [text.replace("\r\n", "\n") for text in texts]
        for name, texts in form.fields.items()
        if name not in NEVER
    }
    text = json.dumps(asdict(Form(form.address, safe)), ensure_ascii=False)
    if len(text) > LONGEST:
        return False
    sealed = sealing.seal(_key(secret), "0", _NAME, text)
    tx.session.execute(_row(session_id).values(kept_form=sealed, kept_at=tx.now))
    return True


def find(tx: Tx, session_id: UUID, secret: str) -> Form | None:
    """What is kept, while it is good."""
    query = sa.select(SignInSession.kept_form, SignInSession.kept_at).where(SignInSession.id == session_id)
    sealed, kept_at = tx.session.execute(query).one()
    if sealed is None or kept_at is None or tx.now - kept_at > GOOD_FOR:
        return None
    try:
        return Form(**json.loads(sealing.unseal(_key(secret), "0", _NAME, sealed)))
    except sealing.CannotOpen:
        return None


def forget(tx: Tx, session_id: UUID) -> None:
    tx.session.execute(_row(session_id).values(kept_form=None, kept_at=None))


def forget_old(tx: Tx) -> None:
    """What is good no more, of every session: its owner may never come back."""
    old = SignInSession.kept_at < tx.now - GOOD_FOR
    tx.session.execute(sa.update(SignInSession).where(old).values(kept_form=None, kept_at=None))


def waits(row: SignInSession) -> bool:
    """Whether something is kept, good or not."""
    return row.kept_at is not None


def may_go_on(row: SignInSession) -> bool:
    """Whether she has shown who she is since it was kept."""
    return row.kept_at is not None and row.proved_at is not None and row.proved_at >= row.kept_at


def _row(session_id: UUID) -> sa.Update:
    return sa.update(SignInSession).where(SignInSession.id == session_id)


def _key(secret: str) -> bytes:
    return keys.derive(secret, "kept form")
