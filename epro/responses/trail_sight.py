"""The trail's entries as a reader may see them: what was before beside what is after, and what is hidden withheld.

The trail holds no answers and no contact data. But a digest of few possible answers tells the one, so can a finding,
an alert's rule or a reason in somebody's own words; and an arm tells what a blinded reader must not know.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro.responses import sight
from epro.responses.models import Response
from epro.studies import access
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Tx

AFTER = {"anchor.set": "day", "anchor.unset": "day", "arm.set": "arm", "protocol.followed": "version"}
"""Acts whose entry says what was before: the name of what it is now."""
ABOUT_ANSWERS = ("response", "alert", "week", "message", "query", "signature", "settlement", "reminder")
TOLD_ANYWAY = frozenset(
    {
        "occurrence",
        "response",
        "amends",
        "number",
        "reported_at",
        "settled_from",
        "attempt",
        "channel",
        "kind",
    }
    | {"outcome", "run", "purpose", "recipient", "template", "again", "provider_id", "wording", "to", "step"}
)
"""Details of such acts that say nothing of answers."""
OF_ARMS = frozenset({"arm"})
OVER_ENTRIES = frozenset({"cut.made", "manifest.made"})
"""Acts whose `digest` is over bytes of the feed."""


@dataclass(frozen=True)
class Told:
    """One entry for one reader."""

    event: Event
    seq: int
    reason: str | None
    changes: Sequence[tuple[str, Any, Any]] = ()  # what, before, after
    details: Mapping[str, Any] = field(default_factory=dict)
    withheld: bool = False


def scope(tx: Tx) -> sa.ColumnElement[bool]:
    """Which entries the actor may see: of the participants of her sites; of whole studies, all there is."""
    whole = {one.study_id for one in access.grants_for(tx.actor, "trail.read") if one.site_id == "*"}
    if tx.actor.kind == "system":
        return sa.true()
    return sa.or_(Event.study_id.in_(whole), access.visible(tx.actor, "trail.read", Event))


def told(tx: Tx, events: Sequence[Event]) -> list[Told]:
    """The entries of one page."""
    people = _people(tx, events)
    hides = {key: sight.hides_content(tx, row) for key, row in people.items()}
    knows = {key: sight.knows_arm(tx, row) for key, row in people.items()}
    studies = {one.study_id for one in events if one.action in OVER_ENTRIES}
    veiled = {study_id for study_id in studies if sight.keeps_answers(tx, study_id)}
    return [_tell(tx, one, hides, knows, veiled) for one in events]


def _people(tx: Tx, events: Sequence[Event]) -> dict[tuple[str, str | None], Participant]:
    named = {(one.study_id, one.subject_id) for one in events if one.subject_id}
    if not named:
        return {}
    keys = sa.tuple_(Participant.study_id, Participant.subject_id).in_(named)
    rows = tx.all(sa.select(Participant).where(keys, access.visible(tx.actor, "trail.read")))
    return {(row.study_id, row.subject_id): row for row in rows}


def _tell(
    tx: Tx, event: Event, hides: Mapping[Any, bool], knows: Mapping[Any, bool], veiled: Collection[str]
) -> Told:
    body, key = json.loads(event.body), (event.study_id, event.subject_id)
    details, arms = _said(body["details"]), knows.get(key, tx.actor.kind == "system")
    hidden = hides.get(key, False) and _is_about_answers(event)
    hidden = hidden or (event.action == "arm.set" and not arms)
    kept = {
        name: value
        for name, value in details.items()
        if (arms or name not in OF_ARMS) and (not hidden or name in TOLD_ANYWAY)
    }
    if event.action in OVER_ENTRIES and event.study_id in veiled:
        kept.pop("digest", None)
    changes = [] if hidden else _changes(tx, event, details)
    beside = {"before", "moves", AFTER.get(event.action), *(what for what, _, _ in changes)}
    shown = {name: value for name, value in kept.items() if name not in beside}
    reason = None if hidden else body["reason"]
    return Told(event, event.seq, reason, changes, shown, withheld=kept.keys() != details.keys())


def _changes(tx: Tx, event: Event, details: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    if event.action in AFTER:
        name = AFTER[event.action]
        return [(details.get("anchor", name), details.get("before"), details.get(name))]
    if event.action == "response.amended":
        return _answers(tx, event, details)
    if event.action == "participant.settings_changed":
        was = details.get("before") or {}
        return [(name, was.get(name), value) for name, value in details.items() if name != "before"]
    return [(one["id"], one["from"], one["to"]) for one in details.get("moves") or ()]


def _answers(tx: Tx, event: Event, details: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What a correction changed, item by item; never an item that is blinded."""
    now, was = (
        tx.get(Response, event.study_id, UUID(found))
        for found in (event.object_id, details["before"]["response"])
    )
    if now is None or was is None:
        return []
    after, before = json.loads(now.body)["answers"], json.loads(was.body)["answers"]
    veiled = sight.blinded_items(tx, now.instrument_code, now.instrument_version)
    changed = [item for item in sorted({*after, *before}) if after.get(item) != before.get(item)]
    return [(item, before.get(item), after.get(item)) for item in changed if item not in veiled]


def _is_about_answers(event: Event) -> bool:
    return event.action.partition(".")[0] in ABOUT_ANSWERS


def _said(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details that say something; of contact data only which fields, as commitments say nothing to anybody."""
    found = {name: value for name, value in details.items() if value not in (None, [], {}, "")}
    if isinstance(found.get("contact"), dict):
        found["contact"] = sorted(found["contact"])
    return found
