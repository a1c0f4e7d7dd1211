"""What record an entry belongs to, so that later entries of one that waits wait too. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

NAMED = {
    "response": ("id", "amends_id", "settled_from"),
    "rescored": ("response_id", "amends_id"),
    "week": ("id",),
    "set_aside": ("id",),
    "settlement": ("set_aside_id", "response_id"),
    "occurrence": ("id",),
    "alert": ("id",),
    "signature": ("id",),
    "query": ("id",),
    "signature_break": ("signature_id",),
}
OF_THE_PARTICIPANT = ("participant", "withdrawal", "anchor")


def records_of(content: dict[str, Any]) -> frozenset[str]:
    """The records that an entry is about, each with its participant: a response and what it corrects, for one."""
    subject = content.get("subject_id", "")
    ids = {
        str(content[part][name])
        for part, names in NAMED.items()
        if isinstance(content.get(part), dict)
        for name in names
        if content[part].get(name)
    }
    if any(part in content for part in OF_THE_PARTICIPANT):
        ids.add("participant")
    return frozenset(f"{subject}/{one}" for one in ids)


def waits(content: dict[str, Any], behind: Iterable[Collection[str]]) -> bool:
    """Whether an entry must wait behind one of those whose records are given."""
    mine = records_of(content)
    return any(not mine.isdisjoint(others) for others in behind)
