"""The nurse's day: what can still be saved, what was missed, what nobody has taken, what did not go out.

Taking in hand, noting a call, saying what came of it: the same functions as behind `/v1/site/alerts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Response, g

from epro import trail
from epro.api import looking, telling, telling_alerts
from epro.api.door import actor
from epro.api.schemas import ContactAttemptIn, HandOverIn, NoteIn, ReasonIn, RemarkIn, ResolutionIn
from epro.console.door import act, page
from epro.console.page import asked, back_to, show
from epro.contacts import store
from epro.errors import Invalid
from epro.notifications import alerts, following
from epro.notifications.models import Alert, Message
from epro.scheduling import protocols
from epro.scheduling.models import Occurrence
from epro.studies import access
from epro.studies.models import Participant, Site
from epro.tx import Tx, begin, look

SITE_ROLES = ("nurse", "investigator")
MOST = 50  # lines of one list; whoever has more has other worries
LOOKING_BACK = timedelta(days=3)  # for messages that did not go out


@page("/studies/<study_id>/worklist", roles=SITE_ROLES, menu="worklist.menu", order=10)
def worklist(study_id: str) -> Response:
    """The worklist as it is now."""
    return _worklist(study_id, "worklist.html")


@page("/studies/<study_id>/worklist/live", roles=SITE_ROLES, live=True)
def worklist_live(study_id: str) -> Response:
    """The same, as the page asks for it again and again."""
    return _worklist(study_id, "_worklist.html")


@page("/studies/<study_id>/alerts/<uuid:alert_id>", roles=SITE_ROLES)
def alert(study_id: str, alert_id: UUID) -> Response:
    """One alert with all that was done with it, and what can be done now."""
    with look(actor()) as tx:
        row = _find(tx, alert_id)
        looking.at_row(row, "alert")
        told = telling_alerts.story(tx, row)
        return show(
            "alert.html",
            alert=told,
            stands=alerts.stands(row),
            withdrawn_at=_withdrawn_at(tx, row),
            label=labels(tx, study_id),
            names=names_of([*told["colleagues"], told["owner"], *(step["by"] for step in told["steps"])]),
            me=actor().id,
            outcomes=alerts.OUTCOMES,
            channels=following.CHANNELS,
            came_of_it=following.CAME_OF_IT,
        )


@act("/studies/<study_id>/alerts/<uuid:alert_id>/take", roles=SITE_ROLES)
def take_alert(study_id: str, alert_id: UUID) -> Response:
    """Take it in hand."""
    return _done(study_id, alert_id, lambda tx: alerts.acknowledge(tx, alert_id, asked(NoteIn).get("note")))


@act("/studies/<study_id>/alerts/<uuid:alert_id>/contact", roles=SITE_ROLES)
def contact_alert(study_id: str, alert_id: UUID) -> Response:
    """Write down a try to reach her."""
    wanted = asked(ContactAttemptIn)
    told = wanted["channel"], wanted["outcome"], wanted.get("note")
    return _done(study_id, alert_id, lambda tx: following.note_contact(tx, alert_id, *told))


@act("/studies/<study_id>/alerts/<uuid:alert_id>/note", roles=SITE_ROLES)
def note_alert(study_id: str, alert_id: UUID) -> Response:
    """Write down a remark."""
    return _done(study_id, alert_id, lambda tx: following.add_note(tx, alert_id, asked(RemarkIn)["note"]))


@act("/studies/<study_id>/alerts/<uuid:alert_id>/hand-over", roles=SITE_ROLES)
def hand_over_alert(study_id: str, alert_id: UUID) -> Response:
    """Give it to a colleague."""
    wanted = asked(HandOverIn)
    return _done(
        study_id, alert_id, lambda tx: following.hand_over(tx, alert_id, wanted["to"], wanted.get("note"))
    )


@act("/studies/<study_id>/alerts/<uuid:alert_id>/resolve", roles=SITE_ROLES)
def resolve_alert(study_id: str, alert_id: UUID) -> Response:
    """Say what came of it."""
    wanted = asked(ResolutionIn)
    if wanted["outcome"] not in alerts.OUTCOMES:
        raise Invalid(errors=[{"pointer": "/outcome", "code": "unknown_outcome", "detail": ""}])
    return _done(
        study_id, alert_id, lambda tx: alerts.resolve(tx, alert_id, wanted["outcome"], wanted.get("note"))
    )


@act("/studies/<study_id>/alerts/<uuid:alert_id>/reopen", roles=SITE_ROLES)
def reopen_alert(study_id: str, alert_id: UUID) -> Response:
    """Open it again."""
    return _done(study_id, alert_id, lambda tx: following.reopen(tx, alert_id, asked(ReasonIn)["reason"]))


def labels(tx: Tx, study_id: str) -> dict[str, Any]:
    """Assessment -> its label, of every version of a study; the newest says it."""
    found: dict[str, Any] = {}
    for protocol in reversed(protocols.versions(tx, study_id)):
        found |= {assessment.id: assessment.label for assessment in protocol.assessments}
    return found


def names_of(ids: Iterable[Any]) -> dict[str, str]:
    """Who of the staff is called what, by id and by `staff:id`. Others are not in it.

    All of a page are read from the contact store at once, and kept no longer than the answer takes: who was erased
    has no name on the next one.
    """
    wanted = {id for one in ids if one and ":" not in (id := str(one).removeprefix("staff:"))}
    known: dict[str, str] = g.setdefault("names", {})
    owners = {f"staff/{id}": id for id in wanted - known.keys()}
    kept = store.of_many(trail.INSTALLATION, owners, "name")
    known |= {id: kept.get(owner, id[:8]) for owner, id in owners.items()}
    found = {id: known[id] for id in wanted}
    return found | {f"staff:{id}": name for id, name in found.items()}


def site_zone(tx: Tx, study_id: str) -> str:
    """The clock that the viewer reads: that of her site, or of the first of her sites."""
    own = sorted(grant.site_id for grant in actor().grants)
    sites = tx.all(sa.select(Site).where(Site.study_id == study_id).order_by(Site.id))
    return next((site.time_zone for site in sites if site.id in own or "*" in own), "UTC")


def own_zone(tx: Tx) -> str:
    """The same where no study is at hand: of the first study of hers that has a site."""
    studies = sorted({grant.study_id for grant in actor().grants})
    return next((zone for one in studies if (zone := site_zone(tx, one)) != "UTC"), "UTC")


def _worklist(study_id: str, template: str) -> Response:
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        standing = alerts.listed(tx, standing=True, limit=MOST + 1, offset=0, study_id=study_id)
        told = [telling.alert(tx, row) for row in standing]
        return show(
            template,
            zone=g.zone,
            risks=[
                telling_alerts.at_risk(*row)
                for row in following.at_risk(tx, limit=MOST, offset=0, study_id=study_id)
            ],
            waiting=[one for one in told if one["owner"] is None],
            in_hand=[one for one in told if one["owner"] is not None],
            undelivered=_undelivered(tx, study_id),
            label=labels(tx, study_id),
            names=names_of(one["owner"] for one in told),
            days=_days(tx, standing),
            gone=_gone(tx, study_id, standing),
            me=f"staff:{actor().id}",
        )


def _undelivered(tx: Tx, study_id: str) -> list[Message]:
    """Messages of the last days to participants that failed, or of which nobody can say whether they went out."""
    since = tx.now - LOOKING_BACK
    query = sa.select(Message).where(
        Message.study_id == study_id,
        access.visible(tx.actor, "participant.read", Message),
        Message.recipient.like("participant/%"),
        Message.due_at >= since,
        Message.withheld_at.is_(None),
        sa.or_(Message.failed_at.is_not(None), Message.unknown_at.is_not(None)),
    )
    return tx.all(query.order_by(Message.due_at.desc(), Message.id).limit(MOST))


def _days(tx: Tx, rows: list[Alert]) -> dict[UUID, Occurrence]:
    """The occurrence behind each alert, by its id."""
    ids = [row.occurrence_id for row in rows]
    query = sa.select(Occurrence).where(
        access.visible(tx.actor, "alert.read", Occurrence), Occurrence.id.in_(ids)
    )
    return {row.id: row for row in tx.all(query)} if ids else {}


def _find(tx: Tx, alert_id: UUID) -> Alert:
    row = alerts.find(tx, alert_id)
    participant = tx.get(Participant, row.study_id, row.subject_id)
    g.zone = participant.time_zone if participant else "UTC"
    return row


def _withdrawn_at(tx: Tx, row: Alert) -> datetime | None:
    """When she has left the study, if she has."""
    participant = tx.get(Participant, row.study_id, row.subject_id)
    return participant.withdrawn_at if participant else None


def _gone(tx: Tx, study_id: str, rows: list[Alert]) -> set[str]:
    """Who of these has left the study."""
    query = sa.select(Participant.subject_id).where(
        Participant.study_id == study_id,
        access.visible(tx.actor, "alert.read"),
        Participant.subject_id.in_({row.subject_id for row in rows}),
        Participant.withdrawn_at.is_not(None),
    )
    return set(tx.all(query)) if rows else set()


def _done(study_id: str, alert_id: UUID, act: Callable[[Tx], Any]) -> Response:
    with begin(actor()) as tx:
        act(tx)
    return back_to("alert", study_id=study_id, alert_id=alert_id)
