"""Moving a participant's plan: what would change is shown first, then it is done with a reason.

What is done is what was shown: the form brings back the mark of its preview, and when the plan has moved on
meanwhile she is shown it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, g, request

from epro import canonical
from epro.api import looking, telling
from epro.api.door import actor
from epro.api.schemas import ZONES, AnchorIn, ArmIn, LanguageIn, TimeZoneIn
from epro.console.door import act, page
from epro.console.page import asked, back_to, show
from epro.console.worklist import SITE_ROLES, labels
from epro.errors import Conflict, NotAllowed
from epro.notifications.recalls import recalled
from epro.responses import sight
from epro.scheduling import comparing, occurrences, protocols, replanning
from epro.scheduling.models import Occurrence
from epro.scheduling.replanning import Wish
from epro.studies import access, participants
from epro.studies.models import Participant
from epro.tx import Tx, begin, look

SCHEMAS = {"anchor": AnchorIn, "arm": ArmIn, "language": LanguageIn, "time_zone": TimeZoneIn}
WISHES: dict[str, Callable[[dict[str, Any]], Wish]] = {
    "anchor": lambda said: Wish(anchor=(said["anchor"], said["date"])),
    "arm": lambda said: Wish(arm=said["arm"]),
    "language": lambda said: Wish(language=said["language"]),
    "time_zone": lambda said: Wish(time_zone=said["time_zone"]),
}
CHANGES = (
    "moved",
    "cancelled",
    "new",
    "opened_late",
    "skipped_as_over",
    "skipped_as_doubled",
    "renewed",
    "kept",
)
NAMES = ("anchor", "date", "arm", "language", "time_zone")


class MovedOn(Conflict):
    """The plan has changed since it was shown: look at the preview again."""

    code = "plan_moved_on"


@page("/studies/<study_id>/participants/<subject_id>/plan", roles=SITE_ROLES)
def plan(study_id: str, subject_id: str) -> Response:
    """What can be moved; with a wish in the address, what that would change. Nothing is done."""
    with look(actor()) as tx:
        row = _find(tx, study_id, subject_id)
        looking.at_row(row, "record")
        g.zone = row.time_zone
        protocol = protocols.find(tx, study_id, row.protocol_version)
        wish = _wish(request.args.to_dict(), "-") if any(map(request.args.get, NAMES)) else None
        told = _told(tx, row, wish) if wish else None
        rows = occurrences.of(tx, row) if told else []
        settled = {one.id for one in rows if comparing.settled(one)}
        return show(
            "plan.html",
            row=row,
            protocol=protocol,
            anchors=[one for one in protocol.anchors if one.base is None],
            anchor_label={one.id: one.label for one in protocol.anchors},
            days=participants.anchors(tx, row),
            arms=protocol.arms if sight.knows_arm(tx, row) else (),
            zones=sorted(zone for zone in ZONES if "/" in zone and not zone.startswith(("Etc/", "SystemV/"))),
            wanted={name: request.args.get(name, "") for name in NAMES},
            told=told,
            mark=_mark(told) if told else "",
            groups=_grouped(told) if told else {},
            stays=_stays(rows),
            coming=_unchanged(told, settled) if told else 0,
            label=labels(tx, study_id),
            today=tx.now.astimezone(ZoneInfo(row.time_zone)).date(),
        )


@act("/studies/<study_id>/participants/<subject_id>/plan", roles=SITE_ROLES)
def move_plan(study_id: str, subject_id: str) -> Response:
    """Do what was shown."""
    said = {name: request.form.get(name, "").strip() for name in NAMES}
    wish = _wish(said, request.form.get("reason", "").strip())
    with begin(actor()) as tx:
        row = _find(tx, study_id, subject_id, lock=True)
        if _mark(_told(tx, row, wish)) != request.form.get("mark"):
            raise MovedOn()
        replanning.carry_out(tx, row, wish, request.form["reason"].strip())
    return back_to("participant", study_id=study_id, subject_id=subject_id)


def _find(tx: Tx, study_id: str, subject_id: str, *, lock: bool = False) -> Participant:
    row = access.participant(tx, subject_id, "participant.anchor", study_id=study_id, lock=lock)
    if row.withdrawn_at is not None:
        raise participants.AlreadyWithdrawn()
    return row


def _wish(said: dict[str, Any], reason: str) -> Wish:
    """One thing at a time, under the rules of the interface."""
    given = {name: said[name] for name in NAMES if said.get(name)}
    kind = next((name for name in WISHES if name in given), "anchor")
    fields = ("anchor", "date") if kind == "anchor" else (kind,)
    filled = {name: given[name] for name in fields if name in given}
    return WISHES[kind](asked(SCHEMAS[kind], {**filled, **({"reason": reason} if reason else {})}))


def _told(tx: Tx, row: Participant, wish: Wish) -> dict[str, Any]:
    if wish.arm and not sight.knows_arm(tx, row):  # what would change tells which one it is
        raise NotAllowed()
    found = replanning.preview(tx, row, wish)
    told: dict[str, Any] = telling.differences(found, preview=True, recalled=recalled(tx, found))
    told["behind"], told["doubts"] = replanning.behind(tx, row, wish), replanning.doubts_of(tx, row, wish)
    skipped = {want.id for want in comparing.without_row(found.over, occurrences.of(tx, row))}
    told["skipped_as_over"] = [one for one in told["skipped_as_over"] if one["id"] in skipped]
    return told | {name: sorted(told[name], key=lambda one: one["opens_at"]) for name in CHANGES}


def _unchanged(told: dict[str, Any], settled: set[Any]) -> int:
    """How many are open or coming and stay just as they are."""
    return len({one["id"] for one in told["kept"]} - settled - {one["id"] for one in told["renewed"]})


def _stays(rows: list[Occurrence]) -> dict[str, list[tuple[str, list[date]]]]:
    """What is on file and no plan changes, by kind and assessment, with the days for which it stands."""
    found: dict[str, dict[str, list[date]]] = {}
    for row in rows:
        kind = "answers" if row.fulfilled_at else "misses" if row.missed_at else None
        if kind:
            found.setdefault(kind, {}).setdefault(row.assessment_id, []).append(row.local_day)
    return {kind: list(found[kind].items()) for kind in ("answers", "misses") if kind in found}


def _grouped(told: dict[str, Any]) -> dict[str, list[tuple[str, list[Any]]]]:
    """What changes, by kind and assessment, each in the order of its days; kinds without any are left out."""
    found: dict[str, dict[str, list[Any]]] = {}
    for name in CHANGES:
        for one in told[name] if name != "kept" else ():
            found.setdefault(name, {}).setdefault(one["assessment"], []).append(one)
    return {name: list(by_assessment.items()) for name, by_assessment in found.items()}


def _mark(told: dict[str, Any]) -> str:
    """What was shown, in short; the order of lines says nothing."""
    shown = {name: sorted(str(one["id"]) for one in told[name]) for name in CHANGES if name != "kept"}
    days = sorted(f"{one['id']} {one['opens_at']}" for one in [*told["moved"], *told["new"]])
    warned = [str(one) for one in (told["behind"], *told["doubts"]) if one]
    return hashlib.sha256(canonical.encode({**shown, "days": days, "warned": warned})).hexdigest()
