"""Showing once more who one is, before an act that weighs: export, roles, keys, signatures, erasing."""

from __future__ import annotations

from datetime import timedelta

from epro import db
from epro.errors import EproError
from epro.signin.models import SignInSession
from epro.tx import Tx

GOOD_FOR = timedelta(minutes=5)
RESISTANT = frozenset({"passkey", "sso_phr"})  # what cannot be given away on a wrong page


class StepUpNeeded(EproError):
    """Show once more who you are, then repeat: this act asks for it."""

    status, code = 403, "step_up_needed"


class PasskeyNeeded(EproError):
    """This act asks for a passkey: show one, or set one up for your account first."""

    status, code = 403, "passkey_needed"


def require(tx: Tx) -> None:
    """Raise StepUpNeeded unless the person who acts has shown who she is within five minutes.

    Machines and the software itself have nothing to show: what they may do is decided by their keys.
    """
    if tx.actor.kind == "staff" and not is_fresh(tx):
        raise StepUpNeeded()


def require_resistant(tx: Tx) -> None:
    """The same by a passkey, or by a sign-in elsewhere that is as good: for acts of administrators, for erasing and for
    unblinding. Raises PasskeyNeeded; where the installation leaves it open, what `require` does.
    """
    if not is_resistant_asked():
        require(tx)
    elif tx.actor.kind == "staff" and not (is_fresh(tx) and _was_resistant(tx)):
        raise PasskeyNeeded()


def is_resistant_asked() -> bool:
    return db.settings()["PHISHING_RESISTANT"] != "optional"


def _was_resistant(tx: Tx) -> bool:
    row = tx.get(SignInSession, tx.actor.session_id) if tx.actor.session_id else None
    return row is not None and (row.proved_with or row.second_factor) in RESISTANT


def is_fresh(tx: Tx) -> bool:
    """Whether the session at hand was opened or proved again within five minutes."""
    row = tx.get(SignInSession, tx.actor.session_id) if tx.actor.session_id else None
    return row is not None and row.proved_at is not None and tx.now - row.proved_at <= GOOD_FOR
