"""One participant on one page: what is open, missed, due next, standing, held; each with its short reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from epro.scheduling.protocol import Protocol
from epro.scheduling.state import State, state_of
from epro.scheduling.timeline import Planned
from epro.why.due import label_of
from epro.why.sentences import Said, Word

CODES = {State.OPEN: "open", State.CLOSED_WAITING: "waiting", State.MISSED: "missed"}


def occurrences(rows: Sequence[Any], protocols: Mapping[str, Protocol], now: datetime) -> Iterator[Said]:
    """Those that are open, wait for the phone or were missed; and the next of each assessment. In plan order."""
    coming: set[str] = set()
    for row in rows:
        state = state_of(row, now)
        facts = _facts(row, protocols[row.protocol_version])
        if state in CODES:
            at = row.missed_at or row.opens_at
            yield Said(f"page.{CODES[state]}", at, facts)
        elif state is State.UPCOMING and row.assessment_id not in coming:
            coming.add(row.assessment_id)
            yield Said("page.next", row.opens_at, facts)


def further(want: Planned, protocol: Protocol) -> Said:
    """What the plan has first, where no row stands for it yet."""
    return Said("page.further", want.opens_at, _told(want, protocol))


def alert(row: Any, *, hidden: bool, urgency: str) -> Said:
    """A standing alert."""
    short = Word("short", "call" if hidden else row.kind)
    facts = {"urgency": Word("urgency", urgency), "short": short, "id": row.id}
    return Said("page.alert", row.raised_at, facts)


def held(aside: Any, findings: Sequence[Mapping[str, Any]]) -> Said:
    """An upload that waits for a person, with the first reason that may be told."""
    finding = Word("finding", findings[0]["code"]) if findings else None
    return Said("page.held", aside.received_at, {"finding": finding, "id": aside.id})


def _facts(row: Any, protocol: Protocol) -> dict[str, Any]:
    return _told(row, protocol) | {"study_day": row.study_day}


def _told(row: Any, protocol: Protocol) -> dict[str, Any]:
    return {
        "id": row.id,
        "assessment": protocol.assessment(row.assessment_id).label,
        "local_day": row.local_day,
        "anchor": label_of(protocol.anchors, row.anchor),
        "opens_at": row.opens_at,
        "closes_at": row.closes_at,
        "grace_until": row.grace_until,
    }
