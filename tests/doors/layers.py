"""The layers that stand before a participant's rows, each with the way to take it away in a test.

*Lock*: which role may use a route at all, and in the console to which study she is narrowed. *Scope*: the condition
that every query of participants' rows carries (`studies/access.py`). *Policies*: the database's own, on PostgreSQL.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from epro import tx
from epro.console import door
from epro.errors import NotFound
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Actor, system
from tests.cast import STUDY


def without_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any role may use any route, and no page narrows anybody to its study."""
    monkeypatch.setattr(access, "allow", lambda *_, **__: None)
    monkeypatch.setattr(door, "replace", lambda actor, **_: actor)
    monkeypatch.setattr(
        door, "PAGES", {name: door.Page(door.EVERYBODY, live=page.live) for name, page in door.PAGES.items()}
    )


def without_scope(monkeypatch: pytest.MonkeyPatch, only: str | None = None) -> None:
    """Our own answer to whose rows she may touch: everybody's. With `only`, under this one permission."""
    visible = access.visible

    def anything(actor: Actor, permission: str, table: Any = Participant) -> Any:
        if only is None or permission == only:
            return sa.true()
        return visible(actor, permission, table)

    monkeypatch.setattr(access, "visible", anything)
    if only is None:
        monkeypatch.setattr(access, "participant", _anybody)
        for name in ("one_study", "some_study"):
            monkeypatch.setattr(access, name, _the_study)


def without_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL is told that everybody reaches everything."""
    real = tx.set_reach
    monkeypatch.setattr(tx, "set_reach", lambda session, actor: real(session, system("tests")))


def _the_study(actor: Actor, permission: str, asked: str | None) -> str:
    access.allow(actor, permission)
    return STUDY


def _anybody(
    tx: Any, subject_id: str, permission: str, *, study_id: str | None = None, lock: bool = False
) -> Participant:
    access.allow(tx.actor, permission)
    found: list[Participant] = tx.all(
        sa.select(Participant).where(
            Participant.subject_id == subject_id, Participant.study_id == (study_id or STUDY)
        )
    )
    if not found:
        raise NotFound()
    return found[0]
