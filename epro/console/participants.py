"""The participants of her sites, and one of them on one page: what was due and came, what was sent, alerts, phones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Response, g, request

from epro.api import looking, telling
from epro.api.door import actor
from epro.api.schemas import ReasonIn, RemarkIn
from epro.api.schemas_privacy import ContactChangeIn
from epro.console import acting, days, drawing, numbers, rights
from epro.console.door import act, page
from epro.console.page import asked, asked_with, back_to, done_now, show, speak
from epro.console.worklist import SITE_ROLES, labels, names_of
from epro.contacts import store
from epro.privacy import rectifying
from epro.privacy.rights import KINDS
from epro.questionnaires import catalogue
from epro.questionnaires.instrument import Scale
from epro.scheduling import compliance, excusing, leaving, occurrences, protocols
from epro.scheduling.doubts import Doubt
from epro.scheduling.models import Occurrence
from epro.scheduling.protocol import Anchor
from epro.scheduling.state import state_of
from epro.signin import devices
from epro.studies import access, notes
from epro.studies import participants as room
from epro.studies.models import Participant, Site
from epro.tx import Tx, begin, look
from epro.why import asking

READERS = (*SITE_ROLES, "data_manager", "monitor")
LINES = 50
SHOWN = 40  # messages on the page, the newest
SORTS = {
    "subject": (Participant.subject_id,),
    "enrolled": (Participant.enrolled_at.desc(), Participant.subject_id),
}


@page("/studies/<study_id>/participants", roles=READERS, menu="participants.menu", order=20)
def participants(study_id: str) -> Response:
    """The participants of her sites: a page of them, searched by subject id."""
    wanted = {name: request.args.get(name, "")[:64] for name in ("q", "sort", "site")}
    number = max(1, min(request.args.get("page", 1, int), 10_000))
    with look(actor()) as tx:
        query = sa.select(Participant).where(
            Participant.study_id == study_id, access.visible(actor(), "participant.read")
        )
        if wanted["q"]:
            query = query.where(Participant.subject_id.icontains(wanted["q"].strip(), autoescape=True))
        if wanted["site"]:
            query = query.where(Participant.site_id == wanted["site"])
        order = SORTS.get(wanted["sort"], SORTS["subject"])
        rows = tx.all(query.order_by(*order).limit(LINES + 1).offset((number - 1) * LINES))
        sites = access.sites(tx, "participant.read", study_id)
        return show(
            "participants.html",
            rows=rows[:LINES],
            more=len(rows) > LINES,
            page=number,
            wanted=wanted,
            counts=_counts(tx, study_id, rows[:LINES]),
            sites={site.id: site.names for site in sites},
        )


@page("/studies/<study_id>/participants/<subject_id>", roles=READERS)
def participant(study_id: str, subject_id: str) -> Response:
    """One participant on one page."""
    with look(actor()) as tx:
        row = access.participant(tx, subject_id, "participant.read", study_id=study_id)
        g.zone = row.time_zone
        looking.at_row(row, "answers")
        told = telling.timeline(tx, row)
        today = tx.now.astimezone(ZoneInfo(row.time_zone)).date()
        lines = _calendar(tx, row, today)
        return show(
            "participant.html",
            row=row,
            told=told,
            today=today,
            weeks=days.weeks(today),
            states=_by_day(lines),
            parted=days.parted(lines, today),
            standing=days.standing(asking.why(tx, row, {}, speak().language)["sentences"], today),
            messages=[one for one in told["messages"] if one["recipient"].startswith("participant/")][::-1][
                :SHOWN
            ],
            label=labels(tx, study_id),
            anchor_label={
                one.id: one.label for one in protocols.find(tx, study_id, row.protocol_version).anchors
            },
            lines=drawing.sparklines(told["responses"], _scales(tx, told["responses"])),
            phones=devices.of(tx, row),
            names=names_of(
                [
                    *(one["set_by"] for one in told["anchors"]),
                    *(one["owner"] for one in told["alerts"]),
                    *(one["by"] for one in told["notes"]),
                ]
            ),
            excusable={one.id for one, _ in lines if excusing.excusable(tx, one)},
            may_act=bool(access.grants_for(actor(), "participant.withdraw")),
            contact_fields=store.FIELDS,
            requests=rights.of_her(tx, row),
            kinds=KINDS,
            may_settle=rights.may_answer(),
            given=acting.given,
        )


@act("/studies/<study_id>/participants/<subject_id>/letter", roles=SITE_ROLES)
def letter(study_id: str, subject_id: str) -> Response:
    """A new activation code on a letter to print, in both languages; it is shown only now."""
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, "participant.activate", study_id=study_id, lock=True)
        if row.withdrawn_at is not None:
            raise room.AlreadyWithdrawn()
        text, code = devices.make_code(tx, row)
        return show_letter(row, tx.get(Site, study_id, row.site_id), text, code.expires_at)


def show_letter(
    row: Participant,
    site: Site | None,
    text: str,
    expires_at: datetime,
    doubts: Sequence[Doubt] = (),
    anchors: Sequence[Anchor] = (),
) -> Response:
    """The letter with this code; and what is doubtful about the days with which she was enrolled just now."""
    g.study_id = row.study_id
    return show(
        "letter.html",
        just_done=done_now(),
        row=row,
        code=text,
        qr=drawing.drawn(devices.qr_svg(text)),
        expires_at=expires_at,
        site=site,
        doubts=doubts,
        anchor_label={one.id: one.label for one in anchors},
        voices=drawing.voices(row.language, row.time_zone),
    )


@act("/studies/<study_id>/participants/<subject_id>/devices/<uuid:device_id>/revoke", roles=SITE_ROLES)
def revoke_device(study_id: str, subject_id: str, device_id: UUID) -> Response:
    """End one phone, lost or replaced."""
    reason = asked(ReasonIn)["reason"]
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, "device.revoke", study_id=study_id, lock=True)
        devices.revoke(tx, row, device_id, reason)
    return back_to("participant", study_id=study_id, subject_id=subject_id)


@act("/studies/<study_id>/participants/<subject_id>/devices/<uuid:device_id>/replace", roles=SITE_ROLES)
def replace_device(study_id: str, subject_id: str, device_id: UUID) -> Response:
    """End one phone and make the letter for the next one, in one act."""
    reason = asked(ReasonIn)["reason"]
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, "device.revoke", study_id=study_id, lock=True)
        if row.withdrawn_at is not None:
            raise room.AlreadyWithdrawn()
        devices.revoke(tx, row, device_id, reason)
        text, code = devices.make_code(tx, row)
        return show_letter(row, tx.get(Site, study_id, row.site_id), text, code.expires_at)


@act("/studies/<study_id>/participants/<subject_id>/notes", roles=SITE_ROLES)
def note_participant(study_id: str, subject_id: str) -> Response:
    """Write down a remark about her."""
    said = asked(RemarkIn)["note"]
    with begin(actor()) as tx:
        notes.add(
            tx, access.participant(tx, subject_id, "participant.note", study_id=study_id, lock=True), said
        )
    return back_to("participant", study_id=study_id, subject_id=subject_id)


@act("/studies/<study_id>/participants/<subject_id>/contact", roles=SITE_ROLES)
def change_contact(study_id: str, subject_id: str) -> Response:
    """Put her contact data right: what is filled in is kept from now on, what is ticked is taken away."""
    gone = {name: None for name in request.form.getlist("gone") if name in store.FIELDS}
    wanted = asked_with(ContactChangeIn, gone, leave_out=lambda name: name == "gone")
    reason = wanted.pop("reason")
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, "participant.contact", study_id=study_id, lock=True)
        if (site := tx.get(Site, study_id, row.site_id)) and wanted.get("phone"):
            wanted["phone"] = numbers.spelled(wanted["phone"], site.time_zone)
        rectifying.change(tx, row, wanted, reason)
    rectifying.settle(study_id, subject_id)
    return back_to("participant", study_id=study_id, subject_id=subject_id)


@act("/studies/<study_id>/participants/<subject_id>/withdraw", roles=SITE_ROLES)
def withdraw(study_id: str, subject_id: str) -> Response:
    """End her participation."""
    reason = asked(ReasonIn)["reason"]
    with begin(actor()) as tx:
        row = access.participant(tx, subject_id, "participant.withdraw", study_id=study_id, lock=True)
        leaving.withdraw(tx, row, reason)
    return back_to("participant", study_id=study_id, subject_id=subject_id)


def _counts(tx: Tx, study_id: str, rows: list[Participant]) -> Mapping[str, Any]:
    """Per participant of a page: how many were due so far, came, were missed."""

    def some(fact: Any) -> Any:
        return sa.func.sum(sa.case((fact.is_not(None), 1), else_=0))

    query = (
        sa.select(
            Occurrence.subject_id,
            sa.func.count().label("due"),
            some(Occurrence.fulfilled_at).label("came"),
            some(Occurrence.missed_at).label("missed"),
        )
        .where(
            Occurrence.study_id == study_id,
            Occurrence.subject_id.in_([row.subject_id for row in rows]),
            access.visible(tx.actor, "participant.read", Occurrence),
            Occurrence.closes_at <= tx.now,
            compliance.IS_DUE,
        )
        .group_by(Occurrence.subject_id)
    )
    return {row.subject_id: row for row in tx.session.execute(query)} if rows else {}


def _scales(tx: Tx, responses: list[dict[str, Any]]) -> dict[str, Scale]:
    """Each scale that was scored, by the newest definition that was answered."""
    versions = {(one["instrument"]["code"], one["instrument"]["version"]) for one in responses}
    return {
        drawing.scale_key(code, scale.name): scale
        for code, version in sorted(versions)
        if (found := catalogue.find(tx, code, version)) is not None
        for scale in found.scales
    }


def _calendar(tx: Tx, row: Participant, today: date) -> list[tuple[Occurrence, str]]:
    """What was or is due, with its state, in the order of her days; four weeks back and two ahead."""
    shown = days.weeks(today)
    found = [one for one in occurrences.of(tx, row) if shown[0][0] <= one.local_day <= shown[-1][-1]]
    return [
        (one, _state(one, tx.now)) for one in sorted(found, key=lambda one: (one.local_day, one.opens_at))
    ]


def _state(one: Occurrence, now: datetime) -> str:
    late = one.fulfilled_at is not None and one.missed_at is not None
    return "late" if late else state_of(one, now).value


def _by_day(lines: list[tuple[Occurrence, str]]) -> Mapping[date, list[str]]:
    found: dict[date, list[str]] = defaultdict(list)
    for one, state in lines:
        found[one.local_day].append(state)
    return dict(found)
