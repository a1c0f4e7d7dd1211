"""Answers as they arrive, in the words that were read: the first, every correction with who, when and why, signatures.

Correcting is the same function as behind `/v1/site/responses/{id}/amendments`, with a look at the scores first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Response as Reply
from flask import g, request

from epro.api import looking, site_queries, telling_corrections
from epro.api.door import actor
from epro.api.schemas_corrections import CorrectionIn
from epro.console.door import act, page
from epro.console.page import asked_with, back_to, show
from epro.console.participants import READERS
from epro.console.worklist import SITE_ROLES, labels, names_of, site_zone
from epro.errors import Invalid
from epro.notifications import corrections
from epro.queries import asking
from epro.questionnaires.kinds import NOT_APPLICABLE, REFUSED
from epro.responses import correcting, receiving, runs, sight, words
from epro.responses.models import Response, Score
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.signing import meanings, signatures
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, begin, look

LINES = 50
CLEARED = "cleared"
Scores = list[Score]


@page("/studies/<study_id>/answers", roles=READERS, menu="answers.menu", order=22)
def answers(study_id: str) -> Reply:
    """The answers at her sites, the newest first."""
    wanted = request.args.get("q", "")[:64].strip()
    number = max(1, min(request.args.get("page", 1, int), 10_000))
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        query = sa.select(Response).where(
            Response.study_id == study_id,
            Response.amends_id.is_(None),
            access.visible(actor(), "response.read", Response),
        )
        if wanted:
            query = query.where(Response.subject_id.icontains(wanted, autoescape=True))
        query = query.order_by(Response.received_at.desc(), Response.id)
        rows = tx.all(query.limit(LINES + 1).offset((number - 1) * LINES))
        shown = rows[:LINES]
        return show(
            "answers.html",
            rows=shown,
            more=len(rows) > LINES,
            page=number,
            wanted=wanted,
            corrected=_corrected(tx, study_id, shown),
            signed=signed_of(tx, study_id, shown),
            label=labels(tx, study_id),
        )


@page("/studies/<study_id>/answers/<uuid:response_id>", roles=READERS)
def answer(study_id: str, response_id: UUID) -> Reply:
    """One response with its whole history, in the words that were read."""
    return _answer(study_id, response_id)


@act("/studies/<study_id>/answers/<uuid:response_id>/correct", roles=SITE_ROLES)
def correct_answer(study_id: str, response_id: UUID) -> Reply:
    """Correct answers, with a reason and who reported it; first what it does to the scores, then the correction."""
    with look(actor()) as tx:
        found = correcting.find(tx, response_id, correcting.CORRECT)
        changed = _changed(words.sheet(tx, found), request.form)
        her = tx.get(Participant, found.study_id, found.subject_id)
    said = asked_with(CorrectionIn, {"answers": changed, **_reported(her)}, leave_out=_is_ours)
    preview = request.form.get("step") != "make"
    wish = correcting.Wish(**said)
    if preview:
        with look(actor()) as tx:
            made = telling_corrections.corrected(tx, corrections.preview(tx, response_id, wish), preview=True)
        return _answer(study_id, response_id, made["differences"])
    with begin(actor()) as tx:
        if wish.reported_at is not None and wish.reported_at > tx.now:
            raise Invalid(errors=[{"pointer": "/reported_at", "code": "invalid", "detail": ""}])
        corrections.correct(tx, response_id, wish)
    return back_to("answer", study_id=study_id, response_id=response_id)


def _answer(
    study_id: str,
    response_id: UUID,
    differences: list[Mapping[str, Any]] | None = None,
) -> Reply:
    with look(actor()) as tx:
        found = correcting.find(tx, response_id, "response.read")
        looking.at_row(found, "answers")
        her = tx.get(Participant, found.study_id, found.subject_id)
        assert her is not None
        g.zone = her.time_zone
        told = telling_corrections.story(tx, found)
        versions = correcting.versions(tx, found.study_id, found.id)
        read = words.sheet(tx, versions[0])
        seen = "answers" in told["versions"][0]
        lines = [read.lines(receiving.answers_of(one)) for one in versions] if seen else []
        occurrence = tx.get(Occurrence, found.study_id, found.occurrence_id)
        assert occurrence is not None
        return show(
            "answer.html",
            her=her,
            told=told,
            sheet=read,
            scales=scales_of(read),
            seen=seen,
            lines=lines,
            visit=visit_label(tx, her, occurrence),
            label=labels(tx, study_id),
            names=names_of(_people(told)),
            may_correct=may_correct(tx, her),
            may_sign=may_sign(tx, her) and all(not one["holds"] for one in told["signatures"]),
            scores_of=_by_standing(tx, found.study_id, told["versions"]),
            to_choose={line.item: _choices(read, line.item) for line in (lines[-1] if lines else [])},
            reporters=correcting.REPORTERS,
            differences=differences,
            queries=[site_queries.told(one) for one in asking.about(tx, found.study_id, versions[0].id)],
            may_ask=bool(access.grants_for(actor(), asking.ASK)),
            filled=request.form,
            **signing_facts(tx),
        )


def scales_of(read: words.Sheet) -> dict[str, Mapping[str, str]]:
    """What the scales of an instrument are called."""
    return {scale.name: scale.label for scale in read.instrument.scales}


def signing_facts(tx: Tx) -> dict[str, Any]:
    """What a form for signing shows."""
    return {
        "meanings": meanings.MEANINGS,
        "policy": meanings.POLICY,
        "accepted": signatures.has_accepted(tx),
        "enabled": signatures.is_enabled(),
    }


def may_correct(tx: Tx, her: Participant) -> bool:
    """Whether a form for correcting would be taken."""
    if access.is_sponsors(tx.actor, her.study_id):
        return False
    here = correcting.roles_here(tx.actor, her.study_id, her.site_id)
    protocol = protocols.find(tx, her.study_id, her.protocol_version)
    return "investigator" in here or ("nurse" in here and protocol.nurses_may_correct)


def may_sign(tx: Tx, her: Participant) -> bool:
    """Whether she is an investigator here who may read what she signs."""
    grants = access.grants_for(tx.actor, signatures.SIGN)
    protocol = protocols.find(tx, her.study_id, her.protocol_version)
    here = any(one.study_id == her.study_id and one.site_id in ("*", her.site_id) for one in grants)
    here = here and not access.is_sponsors(tx.actor, her.study_id)
    return here and not sight.hides_scores(tx.actor, protocol, her.study_id, her.site_id)


def visit_label(tx: Tx, her: Participant, occurrence: Occurrence) -> Mapping[str, str]:
    """What the study calls the visit of an occurrence; empty where there is none."""
    if occurrence.visit_id is None:
        return {}
    protocol = protocols.find(tx, her.study_id, occurrence.protocol_version)
    return protocol.visit(occurrence.visit_id).label


def signed_of(tx: Tx, study_id: str, rows: list[Response]) -> dict[UUID, bool]:
    """Original id -> whether a signature holds under it; not there where nobody has signed."""
    found: dict[UUID, bool] = {}
    ids = {row.id for row in rows}
    for one in signatures.over(tx, study_id, ids):
        for part in one.signed:
            if part.original_id in ids:
                holds = part.original_id not in one.breaks
                found[part.original_id] = found.get(part.original_id, False) or holds
    return found


def _corrected(tx: Tx, study_id: str, rows: list[Response]) -> dict[UUID, int]:
    """Original id -> how often it was corrected."""
    query = (
        sa.select(Response.amends_id, sa.func.count())
        .where(Response.study_id == study_id, Response.amends_id.in_([row.id for row in rows]))
        .group_by(Response.amends_id)
    )
    return {row[0]: row[1] for row in tx.session.execute(query) if row[0] is not None}


def _by_standing(tx: Tx, study_id: str, versions: list[dict[str, Any]]) -> dict[UUID, tuple[Scores, Scores]]:
    """Version -> the scores of it that count, and those of earlier scorings that count no more."""
    last = runs.scores_of(tx, study_id, [one["id"] for one in versions])
    counting = {(one.response_id, one.scale, one.run) for one in last}
    return {one["id"]: _split(one["scores"], counting) for one in versions}


def _split(scores: Scores, counting: set[tuple[UUID, str, int]]) -> tuple[Scores, Scores]:
    counts = {True: list[Score](), False: list[Score]()}
    for one in scores:
        counts[(one.response_id, one.scale, one.run) in counting].append(one)
    return counts[True], counts[False]


def _people(told: Mapping[str, Any]) -> list[Any]:
    made = [one["amendment"]["made_by"] for one in told["versions"] if one["amendment"]]
    broke = [part.get("broken_by") for one in told["signatures"] for part in one["responses"]]
    return [one for one in (*made, *broke) if one and str(one).startswith("staff:")]


def _choices(read: words.Sheet, item: str) -> list[tuple[str, str]]:
    """(value in the form, words) of what an item may be corrected to."""
    found = [(str(code), f"{code} · {said}" if said else str(code)) for code, said in read.choices(item)]
    known = read.instrument.item(item)
    besides = [(NOT_APPLICABLE, known.not_applicable), (REFUSED, known.refusable)]
    return [*found, *((code, "") for code, offered in besides if offered), (CLEARED, "")]


def _is_ours(name: str) -> bool:
    return name.startswith("answer.") or name in ("step", "follows", "reported_local")


def _reported(her: Any) -> dict[str, Any]:
    """What the form says in its own way: the number of the correction that was read, a time on her wall clock."""
    found: dict[str, Any] = {}
    follows, at = request.form.get("follows", ""), request.form.get("reported_local", "")
    if follows.isdigit():
        found["follows"] = int(follows[:7])
    if at:
        found["reported_at"] = on_her_clock("reported_at", at, her.time_zone).isoformat()
    return found


def on_her_clock(name: str, text: str, zone: str) -> datetime:
    """Day and hour as a field of a form has them, on a participant's wall clock. Raises Invalid."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise Invalid(errors=[{"pointer": f"/{name}", "code": "invalid", "detail": ""}]) from None


def _changed(read: words.Sheet, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form changes; a field left at "as it is" is empty."""
    found: dict[str, Any] = {}
    for item in read.instrument.items:
        said = form.get(f"answer.{item.id}", "")
        if said:
            found[item.id] = _code(said)
    return found


def _code(said: str) -> Any:
    if said == CLEARED:
        return None
    return int(said) if said.lstrip("-").isdigit() and len(said) < 10 else said
