"""What participants have asked about data on them: noted, settled with a reason, and what may be done about it.

The same rules as at the API: nurse and investigator note and read, an investigator settles, ends a restriction, erases.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Response, g, request

from epro.api import looking, own_data
from epro.api.door import actor
from epro.api.schemas import ReasonIn
from epro.api.schemas_privacy import RightsAnswerIn, RightsRequestIn
from epro.console import drawing
from epro.console.door import act, page
from epro.console.page import asked, back_to, show
from epro.console.worklist import SITE_ROLES, labels, names_of, site_zone
from epro.privacy import copies, erasing, rights
from epro.privacy.models import RightsRequest
from epro.scheduling import protocols
from epro.signin import stepup
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx, begin, look

ANSWERERS = ("investigator",)
LINES = 50
STATES = ("standing", "all")


@page("/studies/<study_id>/rights", roles=SITE_ROLES, menu="rights.menu", order=29)
def rights_requests(study_id: str) -> Response:
    """What waits for an answer, what is due first first; or all of it; and whose data are held still."""
    state = "all" if request.args.get("state") == "all" else "standing"
    number = max(1, min(request.args.get("page", 1, int), 10_000))
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        query = rights.listed(tx, standing=state == "standing").where(RightsRequest.study_id == study_id)
        rows = tx.all(query.limit(LINES + 1).offset((number - 1) * LINES))
        held = rights.restricted(tx, study_id)
        for row in (*rows[:LINES], *held):
            looking.at_row(row, "record")
        return show(
            "rights.html",
            rows=rows[:LINES],
            more=len(rows) > LINES,
            page=number,
            state=state,
            states=STATES,
            held=held,
            today=tx.now.astimezone(ZoneInfo(g.zone)).date(),
        )


@page("/studies/<study_id>/rights/<uuid:request_id>", roles=SITE_ROLES)
def rights_request(study_id: str, request_id: UUID) -> Response:
    """One request, what can be done about it, and its answer."""
    with look(actor()) as tx:
        row = rights.find(tx, request_id, study_id=study_id)
        her = access.participant(tx, row.subject_id, rights.NOTE, study_id=study_id)
        looking.at_row(her, "record")
        g.zone = her.time_zone
        return show(
            "rights_request.html",
            one=row,
            her=her,
            today=tx.now.astimezone(ZoneInfo(her.time_zone)).date(),
            names=names_of([row.noted_by, row.answered_by]),
            outcomes=rights.OUTCOMES,
            may_answer=may_answer(),
        )


@act("/studies/<study_id>/participants/<subject_id>/rights", roles=SITE_ROLES)
def note_rights(study_id: str, subject_id: str) -> Response:
    """Write down what she asks."""
    wanted = asked(RightsRequestIn)
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, rights.NOTE, study_id=study_id, lock=True)
        made = rights.note(tx, row, rights.Wish(**wanted))
        request_id = made.id
    return back_to("rights_request", study_id=study_id, request_id=request_id)


@act("/studies/<study_id>/rights/<uuid:request_id>/answer", roles=ANSWERERS)
def answer_rights(study_id: str, request_id: UUID) -> Response:
    """Settle it, once, with the reason."""
    said = asked(RightsAnswerIn)
    with begin(actor()) as tx:
        rights.answer(tx, request_id, said["outcome"], said["reason"], study_id=study_id)
    return back_to("rights_request", study_id=study_id, request_id=request_id)


@act("/studies/<study_id>/participants/<subject_id>/restriction/end", roles=ANSWERERS)
def lift_restriction(study_id: str, subject_id: str) -> Response:
    """What was held still may be used again."""
    reason = asked(ReasonIn)["reason"]
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, rights.ANSWER, study_id=study_id, lock=True)
        rights.lift(tx, row, reason)
    return back_to("participant", study_id=study_id, subject_id=subject_id)


@act("/studies/<study_id>/participants/<subject_id>/erasure", roles=ANSWERERS)
def erase_contact(study_id: str, subject_id: str) -> Response:
    """Erase her contact data for good; it asks to show once more who one is, by a passkey."""
    with begin(actor()) as tx:
        stepup.require_resistant(tx)
        reason = asked(ReasonIn)["reason"]
        row = access.participant(tx, subject_id, "participant.erase", study_id=study_id, lock=True)
        erasing.erase(tx, row, reason)
    return back_to("participant", study_id=study_id, subject_id=subject_id)


@act("/studies/<study_id>/participants/<subject_id>/own-data", roles=ANSWERERS)
def hand_out(study_id: str, subject_id: str) -> Response:
    """All that is on file of her, for her: a file that programs read, or a page to print in her language."""
    form = copies.PRINTED if request.form.get("form") == copies.PRINTED else copies.FILE
    with begin(actor()) as tx:
        stepup.require_resistant(tx)
        said = {"reason": request.form.get("reason", "").strip()}
        made = own_data.hand_out(tx, subject_id, study_id, form, asked(ReasonIn, said)["reason"])
        label, days = labels(tx, study_id), day_labels(tx, study_id)
    looking.at(study_id, subject_id, "export", "own data")
    if form == copies.FILE:
        return own_data.sent(made)
    g.zone = made.told["time_zone"]
    hers = drawing.voices(made.told["language"], g.zone)[0]
    return show(
        "own_data.html", told=made.told, digest=made.digest, hers=hers, label=label, anchor_label=days
    )


def day_labels(tx: Tx, study_id: str) -> dict[str, Any]:
    """What the days that counting starts from are called."""
    return {one.id: one.label for found in protocols.versions(tx, study_id)[::-1] for one in found.anchors}


def may_answer() -> bool:
    return bool(access.grants_for(actor(), rights.ANSWER))


def of_her(tx: Tx, her: Participant) -> list[RightsRequest]:
    """What she has asked, for her page; nothing for who may not read it."""
    if not access.grants_for(actor(), rights.NOTE):
        return []
    query = rights.listed(tx, standing=False).where(
        RightsRequest.study_id == her.study_id, RightsRequest.subject_id == her.subject_id
    )
    return tx.all(query)
