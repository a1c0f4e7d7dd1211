"""Forgetting to record is impossible: a commit that changed an audited row in silence is refused.

Audited tables say so in their `info` ({"audited": True}); `unaudited` there names columns that are mere
bookkeeping (when to look again, counters). The guard watches rows that the session flushes and statements
that it executes.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction

from epro.db import OWES, RECORDED, RecordingSession, SilentChange, settle

__all__ = ["SilentChange"]

SAVEPOINTS = "epro.savepoints"  # what was owed and recorded when each began


@event.listens_for(RecordingSession, "before_flush")
def _watch_rows(session: Session, context: Any, instances: Any) -> None:
    if session.info.get(RECORDED):
        return  # it has paid already; what undoes the record undoes what is changed from here on, too
    touched = [*session.new, *session.deleted, *(row for row in session.dirty if _changed(session, row))]
    for row in touched:
        if sa.inspect(row).mapper.local_table.info.get("audited"):
            session.info[OWES] = sa.inspect(row).mapper.local_table.name


@event.listens_for(RecordingSession, "do_orm_execute")
def _watch_statements(state: ORMExecuteState) -> None:
    if not (state.is_insert or state.is_update or state.is_delete):
        return
    table = state.statement.table  # type: ignore[attr-defined]
    info = table.info
    if info.get("audited") and not _bookkeeping(state, info):
        state.session.info[OWES] = table.name


@event.listens_for(RecordingSession, "before_commit")
def _settle(session: Session) -> None:
    session.flush()
    if session.in_nested_transaction():
        return  # a savepoint's end is not the act's
    settle(session.info)


@event.listens_for(RecordingSession, "after_transaction_create")
def _note_savepoint(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info.setdefault(SAVEPOINTS, WeakKeyDictionary())[transaction] = _account(session)


@event.listens_for(RecordingSession, "after_soft_rollback")
def _go_back(session: Session, transaction: SessionTransaction) -> None:
    """What is undone neither owes nor pays: back to how it was when the savepoint, or the act, began."""
    if transaction.nested:
        session.info[OWES], session.info[RECORDED] = session.info[SAVEPOINTS][transaction]
    elif transaction.parent is None:
        session.info.pop(OWES, None)
        session.info.pop(RECORDED, None)


def _account(session: Session) -> tuple[str | None, bool]:
    return session.info.get(OWES), session.info.get(RECORDED, False)


def _changed(session: Session, row: Any) -> bool:
    if not session.is_modified(row):
        return False
    state = sa.inspect(row)
    quiet = state.mapper.local_table.info.get("unaudited", ())
    return any(a.history.has_changes() for a in state.attrs if a.key not in quiet)


def _bookkeeping(state: ORMExecuteState, info: Any) -> bool:
    if not state.is_update:
        return False
    values = getattr(state.statement, "_values", None) or {}
    names = {getattr(column, "key", column) for column in values}
    return bool(names) and names <= set(info.get("unaudited", ()))
