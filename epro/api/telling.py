"""How rows are told to staff: which fields, and what a role may see of scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from epro.notifications import alerts, following, rules
from epro.notifications.models import Alert, Message
from epro.responses import receiving, runs, settling, sight
from epro.responses.models import Response, Score, SetAside, Settlement
from epro.responses.sight import hides_answers, hides_scores
from epro.scheduling import comparing, excusing, occurrences, protocols
from epro.scheduling import compliance as counting
from epro.scheduling.comparing import Differences
from epro.scheduling.doubts import Doubt
from epro.scheduling.models import Occurrence, Snooze
from epro.scheduling.replanning import Behind
from epro.scheduling.state import State, state_of
from epro.signin import devices
from epro.studies import access, notes, participants
from epro.studies.models import Participant, ParticipantNote
from epro.trail.entries import instant
from epro.tx import Tx


def participant(tx: Tx, row: Participant, anchors: dict[str, date]) -> dict[str, Any]:
    return {
        "subject_id": row.subject_id,
        "study_id": row.study_id,
        "site_id": row.site_id,
        "language": row.language,
        "time_zone": row.time_zone,
        "protocol_version": row.protocol_version,
        "arm": row.arm if row.arm and sight.knows_arm(tx, row) else None,
        "anchors": anchors,
        "enrolled_at": row.enrolled_at,
        "withdrawn_at": row.withdrawn_at,
        "restricted_at": row.restricted_at,
        "messages": row.opted_out_at is None,
    }


def alert(tx: Tx, row: Alert) -> dict[str, Any]:
    """An alert as staff see it. Who must not see scores learns of one on an answer that a call is needed, and not to
    which questionnaire it was.
    """
    told = {name: getattr(row, name) for name in ALERT}
    told |= {"standing": alerts.stands(row), "urgency": alerts.urgency(row)}
    if row.reopenings:
        told |= following.in_force(tx, row)
    if row.kind == alerts.ANSWER and hides_answers(tx, row):
        told |= {"why": {"call_needed": True}, "occurrence_id": None}
    return told


ALERT = (
    "id",
    "study_id",
    "site_id",
    "subject_id",
    "kind",
    "urgency",
    "occurrence_id",
    "why",
    "raised_at",
    "escalations",
    "acknowledged_at",
    "acknowledged_by",
    "acknowledged_note",
    "resolved_at",
    "resolved_by",
    "outcome",
    "resolved_note",
    "cleared_at",
    "cleared_why",
    "owner",
    "due_at",
    "misses",
    "reopenings",
)


def differences(
    found: Differences,
    *,
    preview: bool,
    recalled: int,
    behind: Behind | None = None,
    doubtful: Sequence[Doubt] = (),
) -> dict[str, Any]:
    """What a new plan changes, with a warning where answers would lie before the new day of an anchor, and what is
    doubtful about that day.
    """
    return {
        **({"warning": str(behind)} if behind else {}),
        "warnings": doubts(doubtful),
        "preview": preview,
        "planned_through": found.through,
        "reminders_recalled": recalled,
        "kept": [_row(row) for row in found.kept],
        "renewed": [{**_row(row), "changes": _changes(row, want)} for row, want in found.renewed],
        "moved": [{**_row(want), "before_opens_at": row.opens_at} for row, want in found.moved],
        "cancelled": [_row(row) for row in found.cancelled],
        "new": [_row(want) for want in found.new],
        "opened_late": [_row(want) for want in found.late],
        "skipped_as_over": [_row(want) for want in found.over],
        "skipped_as_doubled": [_row(want) for want in found.doubled],
    }


def doubts(those: Sequence[Doubt]) -> list[dict[str, str]]:
    """Days that are taken and had better be looked at once more."""
    return [{"pointer": f"/anchors/{one.anchor}", "code": one.code, "detail": str(one)} for one in those]


def excused(tx: Tx, row: Occurrence) -> dict[str, Any]:
    """An occurrence with its excuse, if one stands."""
    told = {name: getattr(row, name) for name in OF_AN_EXCUSE}
    return {**_row(row), "local_day": row.local_day, "state": state_of(row, tx.now).value, **told}


OF_AN_EXCUSE = ("missed_at", "excused_at", "excused_reason", "excused_by")


def excused_days(tx: Tx, found: excusing.Found, *, preview: bool, recalled: int) -> dict[str, Any]:
    """What of some days is excused, or not any more."""
    return {
        "preview": preview,
        "count": len(found.rows),
        "missed": sum(row.missed_at is not None for row in found.rows),
        "answered": found.answered,
        "reminders_recalled": recalled,
        "occurrences": [excused(tx, row) for row in found.rows],
    }


def timeline(tx: Tx, row: Participant) -> dict[str, Any]:
    """One participant's whole story, as JSON."""
    responses, asides = receiving.of(tx, row), receiving.set_aside(tx, row)
    scores, counting = _scores(tx, row, responses), _counting(responses)
    settled = settling.made_of(tx, asides)
    return {
        "participant": _json(participant(tx, row, participants.anchors(tx, row))),
        "occurrences": [_occurrence(tx, found) for found in occurrences.of(tx, row)],
        "responses": [
            _response(
                found, scores, found.id in counting, hidden=sight.hides_content(tx, row, _asked_by(found))
            )
            for found in responses
        ],
        "set_aside": [
            _set_aside(found, settled.get(found.id), hidden=sight.hides_content(tx, row)) for found in asides
        ],
        "messages": [
            _message(found)
            for found in _of(tx, Message, row, Message.planned_at)
            if found.purpose not in rules.ABOUT_NONE
        ],
        "alerts": [_json(alert(tx, found)) for found in _of(tx, Alert, row, Alert.raised_at)],
        "anchors": [
            {
                "anchor": a.anchor,
                "date": a.day.isoformat(),
                "set_at": instant(a.set_at),
                "set_by": a.set_by,
                "reason": a.reason,
                "taken_back": a.taken_back,
            }
            for a in participants.anchor_rows(tx, row)
        ],
        "time_zones": [
            {"time_zone": stay.time_zone, "since": instant(stay.since)}
            for stay in participants.zone_stays(tx, row)
        ],
        "snoozes": [
            {
                "occurrence_id": str(found.occurrence_id),
                "asked_at": instant(found.asked_at),
                "until": instant(found.until),
            }
            for found in _of(tx, Snooze, row, Snooze.asked_at)
        ],
        "devices": [_device(found) for found in devices.of(tx, row)],
        "notes": [note(found) for found in notes.of(tx, row)],
    }


def note(row: ParticipantNote) -> dict[str, Any]:
    """A remark about a participant."""
    return {"id": str(row.id), "at": instant(row.at), "by": row.by, "note": row.note}


def compliance(tx: Tx, asked: dict[str, Any]) -> dict[str, Any]:
    """Counts by participant and assessment, of what has opened so far."""
    query = sa.select(Occurrence).where(
        access.visible(tx.actor, "participant.read", Occurrence),
        Occurrence.opens_at <= tx.now,
        counting.IS_DUE,
    )
    query = asked_for(query, Occurrence, asked)
    counts: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTED, 0))
    for row in tx.session.scalars(
        query.order_by(Occurrence.study_id, Occurrence.subject_id).execution_options(yield_per=1000)
    ):
        _count(counts[(row.study_id, row.subject_id, row.assessment_id)], row, tx)
    rows = [
        {"study": study, "subject_id": subject, "assessment": assessment, **count}
        for (study, subject, assessment), count in sorted(counts.items())
    ]
    page = rows[asked["offset"] : asked["offset"] + asked["limit"]]
    return {"compliance": page, "more": len(rows) > asked["offset"] + len(page)}


def asked_for(query: sa.Select[Any], table: Any, asked: dict[str, Any]) -> sa.Select[Any]:
    """The rows of the study and the site that were asked for."""
    if "study" in asked:
        query = query.where(table.study_id == asked["study"])
    if "site" in asked:
        own = sa.and_(Participant.study_id == table.study_id, Participant.subject_id == table.subject_id)
        query = query.where(sa.exists().where(own, Participant.site_id == asked["site"]))
    return query


COUNTED = ("due", "answered", "missed", "open")


def _count(count: dict[str, int], row: Occurrence, tx: Tx) -> None:
    state = state_of(row, tx.now)
    count["due"] += 1
    count["answered"] += state is State.FULFILLED
    count["missed"] += state is State.MISSED
    count["open"] += state not in (State.FULFILLED, State.MISSED)


def _scores(tx: Tx, row: Participant, responses: list[Response]) -> dict[Any, list[dict[str, Any]]]:
    protocol = protocols.find(tx, row.study_id, row.protocol_version)
    hidden = hides_scores(tx.actor, protocol, row.study_id, row.site_id)
    found: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for score in runs.scores_of(tx, row.study_id, [response.id for response in responses]):
        if not hidden and not score.blinded:
            found[score.response_id].append(_score(score))
    return found


def _score(score: Score) -> dict[str, Any]:
    return {
        "scale": score.scale,
        "value": score.value,
        "reason": score.reason,
        "answered": score.answered,
        "expected": score.expected,
        "rule": score.rule,
        "method": score.method,
        "method_version": score.method_version,
        "items_used": score.items_used,
        "items_missing": score.items_missing,
    }


def _counting(responses: list[Response]) -> set[Any]:
    """Ids of the responses that count: of several to one occurrence, one."""
    by_occurrence = defaultdict(list)
    for response in responses:
        by_occurrence[response.occurrence_id].append(response)
    return {receiving.primary(rivals).id for rivals in by_occurrence.values()}


def _asked_by(response: Response) -> tuple[str, str]:
    return response.instrument_code, response.instrument_version


def _hides(tx: Tx, row: SetAside) -> bool:
    participant = tx.get(Participant, row.study_id, row.subject_id)
    return sight.hides_content(tx, participant)


def _response(
    row: Response, scores: dict[Any, list[dict[str, Any]]], counts: bool, *, hidden: bool
) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "occurrence_id": str(row.occurrence_id),
        "assessment": row.assessment_id,
        "instrument": {"code": row.instrument_code, "version": row.instrument_version},
        "language": row.language,
        "local_day": row.local_day.isoformat(),
        "completed_at": instant(row.completed_at),
        "corrected_at": instant(row.corrected_at),
        "received_at": instant(row.received_at),
        "time_zone": row.time_zone,
        "clock_offset_ms": row.clock_offset_ms,
        "digest": None if hidden else row.digest,
        "findings": sight.findings(row.findings, hidden=hidden),
        "counts": counts,
        "amends_id": str(row.amends_id) if row.amends_id else None,
        "amendment_no": row.amendment_no,
        "scores": scores.get(row.id, []),
    }


def _occurrence(tx: Tx, row: Occurrence) -> dict[str, Any]:
    facts = ("fulfilled_at", "at_risk_at", "missed_at", "excused_at", "cancelled_at", "opens_at", "closes_at")
    told = {name: instant(getattr(row, name)) if getattr(row, name) else None for name in facts}
    return {
        "id": str(row.id),
        "assessment": row.assessment_id,
        "visit": row.visit_id,
        "study_day": row.study_day,
        "local_day": row.local_day.isoformat(),
        "time_zone": row.time_zone,
        "state": state_of(row, tx.now).value,
        "cancelled_reason": row.cancelled_reason,
        "excused_reason": row.excused_reason,
        "excused_by": row.excused_by,
        "protocol_version": row.protocol_version,
        **told,
    }


def _set_aside(row: SetAside, made: Settlement | None, *, hidden: bool) -> dict[str, Any]:
    return {
        "settled_at": instant(made.settled_at) if made else None,
        "settled_as": made.outcome if made else None,
        "filed_as": str(made.response_id) if made and made.response_id else None,
        "id": str(row.id),
        "response_id": row.response_id,
        "outcome": row.outcome,
        "digest": None if hidden else row.digest,
        "findings": sight.reasons(row.findings, hidden=hidden),
        "received_at": instant(row.received_at),
    }


def _message(row: Message) -> dict[str, Any]:
    facts = (
        "planned_at",
        "due_at",
        "begun_at",
        "withheld_at",
        "accepted_at",
        "failed_at",
        "unknown_at",
        "delivered_at",
        "shown_at",
        "opened_at",
    )
    told = {name: instant(getattr(row, name)) if getattr(row, name) else None for name in facts}
    return {
        "id": str(row.id),
        "purpose": row.purpose,
        "recipient": row.recipient,
        "template": row.template,
        "channel": row.channel,
        "occurrence_id": str(row.occurrence_id) if row.occurrence_id else None,
        "alert_id": str(row.alert_id) if row.alert_id else None,
        "why": row.why,
        "withheld_reason": row.withheld_reason,
        "failure": row.failure,
        **told,
    }


def _device(row: Any) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "platform": row.platform,
        "app_version": row.app_version,
        "activated_at": instant(row.activated_at),
        "revoked_at": instant(row.revoked_at) if row.revoked_at else None,
    }


def _of(tx: Tx, model: Any, row: Participant, order: Any) -> list[Any]:
    query = sa.select(model).where(model.study_id == row.study_id, model.subject_id == row.subject_id)
    return tx.all(query.order_by(order, model.id))


def _changes(row: Any, want: Any) -> list[dict[str, Any]]:
    told = comparing.changes(row, want).items()
    return [
        {"what": name, "before": _plain(before), "after": _plain(after)} for name, (before, after) in told
    ]


def _row(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "assessment": row.assessment_id,
        "opens_at": row.opens_at,
        "closes_at": row.closes_at,
    }


def _json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if hasattr(value, "utcoffset") and hasattr(value, "date"):
        return instant(value)
    return value if isinstance(value, (str, int, float, bool, list, type(None))) else str(value)
