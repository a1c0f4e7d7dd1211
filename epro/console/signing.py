"""Signing: what waits for it, all of a visit on one page to be read and signed, and the signatures there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Response as Reply
from flask import g, request

from epro.api import looking, site_signatures, telling_signatures
from epro.api.door import actor, guesses
from epro.api.schemas_signatures import ManySigningIn, OneSigningIn
from epro.console.answers import may_sign, scales_of, signing_facts
from epro.console.door import act, page
from epro.console.page import asked_with, back_to, show, speak
from epro.console.participants import READERS
from epro.console.worklist import labels, names_of, site_zone
from epro.responses import correcting, receiving, runs, words
from epro.responses.models import Response
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.signing import signatures
from epro.signing.models import Signature
from epro.studies import access
from epro.tx import Tx, look

SIGNERS = ("investigator",)
MOST = 50  # lines of one list; responses on one page to be signed
NO_VISIT = "-"


@page("/studies/<study_id>/signing", roles=READERS, menu="signatures.title", order=25)
def signing(study_id: str) -> Reply:
    """What waits for her signature, by participant and visit; the newest signatures, and those that do not hold."""
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        signs = bool(access.grants_for(actor(), signatures.SIGN))
        newest = _newest(tx, study_id)
        told = [telling_signatures.signature(tx, one) for one in newest]
        for one in newest:
            looking.at_row(one.signature, "record")
        return show(
            "signing.html",
            signs=signs,
            waiting=_waiting(tx, study_id) if signs else [],
            told=told,
            visits=_visit_labels(tx, study_id),
            names=names_of(
                part.get("broken_by")
                for one in told
                for part in one["responses"]
                if str(part.get("broken_by")).startswith("staff:")
            ),
            **signing_facts(tx),
        )


@page("/studies/<study_id>/participants/<subject_id>/signing", roles=SIGNERS)
def visit_signing(study_id: str, subject_id: str) -> Reply:
    """Everything of a visit that waits (`?visit=-`: what stands outside visits), to be read and signed at once."""
    visit = request.args.get("visit", NO_VISIT)[:64]
    with look(actor()) as tx:
        her = access.participant(tx, subject_id, signatures.SIGN, study_id=study_id)
        looking.at_row(her, "answers")
        g.zone = her.time_zone
        query = _of_visit(signatures.waiting(tx), None if visit == NO_VISIT else visit)
        query = query.where(Response.study_id == study_id, Response.subject_id == subject_id)
        rows = tx.all(query.order_by(Response.received_at, Response.id).limit(MOST))
        may = may_sign(tx, her)
        read = [_read(tx, row, seen=may) for row in rows]
        return show(
            "visit_signing.html",
            her=her,
            visit=visit,
            visits=_visit_labels(tx, study_id),
            read=read,
            may=may,
            label=labels(tx, study_id),
            **signing_facts(tx),
        )


@act("/studies/<study_id>/participants/<subject_id>/signing", roles=SIGNERS)
@guesses
def sign_visit(study_id: str, subject_id: str) -> Reply:
    """One signature under everything that was read."""
    with look(actor()) as tx:
        access.participant(tx, subject_id, signatures.SIGN, study_id=study_id)
    ids = request.form.getlist("response")
    _must_have_read(ids)
    wanted = asked_with(
        ManySigningIn, {"responses": ids, **_shown()}, leave_out=lambda name: name in ("response", "as_read")
    )
    site_signatures.sign(tuple(wanted.pop("responses")), {**wanted, "language": speak().language})
    return back_to("signing", study_id=study_id)


@act("/studies/<study_id>/answers/<uuid:response_id>/sign", roles=SIGNERS)
@guesses
def sign_answer(study_id: str, response_id: UUID) -> Reply:
    """Sign one response, the revision that was read."""
    with look(actor()) as tx:
        correcting.find(tx, response_id, signatures.SIGN)
    wanted = asked_with(OneSigningIn, _shown(), leave_out=lambda name: name == "as_read")
    read = wanted.pop("current", response_id)
    _must_have_read([str(read)])
    site_signatures.sign((read,), {**wanted, "language": speak().language})
    return back_to("answer", study_id=study_id, response_id=response_id)


def _must_have_read(ids: list[str]) -> None:
    """Raise NotCurrent unless the form says of each of these how it was shown: nobody signs what no page has shown."""
    if not set(ids) <= _marks().keys():
        raise correcting.NotCurrent()


def _marks() -> dict[str, str]:
    """Revision -> the mark that it was shown with."""
    return dict(one.split(":", 1) for one in request.form.getlist("as_read") if ":" in one)


def _shown() -> dict[str, Any]:
    """What she has read, and her password as she typed it, blanks too; none where she has shown a passkey before."""
    password = request.form.get("password", "")
    return {"as_read": _marks(), **({"password": password} if password else {})}


def _read(tx: Tx, row: Response, *, seen: bool) -> dict[str, Any]:
    """One response as it is to be read before it is signed."""
    now = correcting.versions(tx, row.study_id, row.id)[-1]
    found = words.sheet(tx, now)
    scores = [one for one in runs.scores_of(tx, row.study_id, [now.id]) if not one.blinded]
    return {
        "first": row,
        "now": now,
        "mark": signatures.marks(tx, row.study_id, [now])[now.id],
        "sheet": found,
        "scales": scales_of(found),
        "lines": found.lines(receiving.answers_of(now)) if seen else [],
        "scores": scores if seen else [],
    }


def _waiting(tx: Tx, study_id: str) -> list[Any]:
    """Participant and visit, with how many responses wait there; those that wait longest first."""
    query = signatures.waiting(tx).where(Response.study_id == study_id).join(Occurrence, _its_occurrence())
    since = sa.func.min(Response.received_at).label("since")
    counted = query.with_only_columns(
        Response.subject_id, Occurrence.visit_id, sa.func.count().label("count"), since
    ).group_by(Response.subject_id, Occurrence.visit_id)
    return list(tx.session.execute(counted.order_by(since, Response.subject_id).limit(MOST)))


def _of_visit(query: sa.Select[Any], visit: str | None) -> sa.Select[Any]:
    there = Occurrence.visit_id.is_(None) if visit is None else Occurrence.visit_id == visit
    return query.join(Occurrence, _its_occurrence()).where(there)


def _its_occurrence() -> sa.ColumnElement[bool]:
    return sa.and_(Occurrence.study_id == Response.study_id, Occurrence.id == Response.occurrence_id)


def _newest(tx: Tx, study_id: str) -> list[signatures.Standing]:
    """The newest signatures at her sites."""
    query = sa.select(Signature).where(
        Signature.study_id == study_id, access.visible(actor(), "response.read", Signature)
    )
    rows = tx.all(query.order_by(Signature.signed_at.desc(), Signature.id).limit(MOST))
    return signatures.standing(tx, rows)


def _visit_labels(tx: Tx, study_id: str) -> dict[str, Mapping[str, str]]:
    """Visit -> its label, of every version of a study; the newest says it."""
    found: dict[str, Mapping[str, str]] = {}
    for protocol in reversed(protocols.versions(tx, study_id)):
        found |= {visit.id: visit.label for visit in protocol.visits}
    return found
