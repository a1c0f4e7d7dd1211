"""The data manager's pages: is everything where it belongs, exports, and what is held for a person."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Response, g, request
from marshmallow import Schema, fields, validate

from epro.api import looking, telling_corrections
from epro.api.door import actor
from epro.api.exports import sent
from epro.api.schemas import ExportIn, ReasonIn
from epro.console.door import act, page
from epro.console.page import asked, back_to, show
from epro.console.worklist import names_of, site_zone
from epro.errors import NotFound, Unavailable
from epro.export import registry
from epro.export.extract import Options
from epro.exporting import cuts, jobs
from epro.responses import sight
from epro.responses.models import SetAside
from epro.signin import stepup
from epro.stream import comparing, health, keeping, manifests, tending
from epro.stream.models import Manifest
from epro.stream.sinks import SinkUnavailable
from epro.studies import access
from epro.tx import Tx, begin, look

DATA = ("data_manager",)
DAYS, EXPORTS, HELD = 30, 30, 50


class ReplayIn(ReasonIn):
    first = fields.Integer(required=True, validate=validate.Range(1))


class RetryIn(Schema):
    position = fields.Integer(validate=validate.Range(1))


@page("/studies/<study_id>/data", roles=DATA, menu="data.menu", order=40)
def data(study_id: str) -> Response:
    """The feed, its sinks, the comparison with the trial database, the daily manifests."""
    return _data(study_id, "data.html")


@page("/studies/<study_id>/data/live", roles=DATA, live=True)
def data_live(study_id: str) -> Response:
    """The numbers that change by themselves, as the page asks for them again and again."""
    return _data(study_id, "_sinks.html")


@page("/studies/<study_id>/sinks/<name>", roles=DATA)
def sink(study_id: str, name: str) -> Response:
    """One sink: what is parked, and what can be done."""
    with look(actor()) as tx:
        _whole(study_id)
        g.zone = site_zone(tx, study_id)
        found = next((one for one in health.sinks(tx, study_id) if one.name == name), None)
        if found is None:
            raise NotFound()
        parked = health.parked(tx, study_id, name) if found.position is not None else []
        return show("sink.html", sink=found, parked=parked, feed=health.feed(tx, study_id), zone=g.zone)


@act("/studies/<study_id>/sinks/<name>/pause", roles=DATA)
def pause_sink(study_id: str, name: str) -> Response:
    """Deliver nothing for a while."""
    tending.pause(_tending(study_id), study_id, name, asked(ReasonIn)["reason"])
    return back_to("sink", study_id=study_id, name=name)


@act("/studies/<study_id>/sinks/<name>/resume", roles=DATA)
def resume_sink(study_id: str, name: str) -> Response:
    """Go on."""
    tending.resume(_tending(study_id), study_id, name, asked(ReasonIn)["reason"])
    return back_to("sink", study_id=study_id, name=name)


@act("/studies/<study_id>/sinks/<name>/replay", roles=DATA)
def replay_sink(study_id: str, name: str) -> Response:
    """Tell it again from a position on."""
    wanted = asked(ReplayIn)
    try:
        tending.replay(_tending(study_id), study_id, name, wanted["first"], wanted["reason"])
    except SinkUnavailable as fault:
        raise Unavailable("The sink does not answer now; try again later.") from fault
    return back_to("sink", study_id=study_id, name=name)


@act("/studies/<study_id>/sinks/<name>/retry", roles=DATA)
def retry_sink(study_id: str, name: str) -> Response:
    """Try parked entries again: one, or all."""
    try:
        tending.retry(_tending(study_id), study_id, name, asked(RetryIn).get("position"))
    except SinkUnavailable as fault:
        raise Unavailable("The sink does not answer now; try again later.") from fault
    return back_to("sink", study_id=study_id, name=name)


@act("/studies/<study_id>/data/comparison", roles=DATA)
def compare_now(study_id: str) -> Response:
    """Have the trial database compared with the feed; a worker does it."""
    with begin(_tending(study_id)) as tx:
        comparing.ask(tx, study_id)
    return back_to("data", study_id=study_id)


@page("/studies/<study_id>/exports", roles=DATA, menu="exports.menu", order=42)
def exports(study_id: str) -> Response:
    """Exports that were asked for, with their progress; asking for another one."""
    return _exports(study_id, "exports.html")


@page("/studies/<study_id>/exports/live", roles=DATA, live=True)
def exports_live(study_id: str) -> Response:
    """The same list, as the page asks for it again and again."""
    return _exports(study_id, "_exports.html")


@act("/studies/<study_id>/exports", roles=DATA)
def ask_export(study_id: str) -> Response:
    """Ask for an export; it asks to show once more who one is."""
    wanted = asked(ExportIn)
    with look(actor()) as tx:
        stepup.require(tx)
    options = Options(wanted["flavour"], wanted["scores"], {})
    jobs.ask(actor(), study_id, wanted["format"], wanted.get("cut"), options, unblinded=False)
    return back_to("exports", study_id=study_id)


@page("/studies/<study_id>/exports/<uuid:job_id>/file", roles=DATA)
def export_download(study_id: str, job_id: UUID) -> Response:
    """The file, for who asked for it."""
    job = jobs.find(actor(), job_id)
    if job.study_id != study_id:
        raise NotFound()
    return sent(jobs.file_of(actor(), job), job)


@page("/studies/<study_id>/held", roles=("data_manager", "monitor"), menu="held.menu", order=44)
def held(study_id: str) -> Response:
    """What could not be filed and waits for the site's decision, or was decided about."""
    number, standing = min(max(1, request.args.get("page", 1, int)), 10_000), request.args.get("all") != "1"
    with look(actor()) as tx:
        access.allow(actor(), "response.read", study_id)
        g.zone = site_zone(tx, study_id)
        query = sa.select(SetAside).where(
            SetAside.study_id == study_id, access.visible(actor(), "response.read", SetAside)
        )
        if standing:
            query = query.where(SetAside.settled_at.is_(None))
        newest = query.order_by(SetAside.received_at.desc(), SetAside.id)
        rows = tx.all(newest.limit(HELD + 1).offset((number - 1) * HELD))
        told = telling_corrections.set_asides(tx, rows[:HELD])
        for row in rows[:HELD]:
            looking.at_row(row, "answers")
        made_by = [one["settlement"]["settled_by"] for one in told if one["settlement"]]
        return show(
            "held.html",
            rows=told,
            more=len(rows) > HELD,
            page=number,
            standing=standing,
            names=names_of(made_by),
            zone=g.zone,
        )


def _data(study_id: str, template: str) -> Response:
    with look(actor()) as tx:
        _whole(study_id)
        g.zone = site_zone(tx, study_id)
        return show(
            template,
            feed=health.feed(tx, study_id),
            sinks=health.sinks(tx, study_id),
            daily=keeping.newest(tx, study_id),
            comparisons=comparing.of(tx, study_id, 5),
            has_target=health.has_trial_database(),
            manifests=_manifests(tx, study_id) if template == "data.html" else [],
            digests=not sight.keeps_answers(tx, study_id),
            key=manifests.public_key(),
            zone=g.zone,
        )


def _manifests(tx: Tx, study_id: str) -> list[Manifest]:
    query = sa.select(Manifest).where(Manifest.study_id == study_id)
    return tx.all(query.order_by(Manifest.day.desc()).limit(DAYS))


def _exports(study_id: str, template: str) -> Response:
    with look(actor()) as tx:
        access.allow(actor(), "export.make", study_id)
        g.zone = site_zone(tx, study_id)
        whole = any(one.site_id == "*" for one in access.grants_for(actor(), "export.make"))
        rows = jobs.of(tx, study_id, None if whole else str(actor()), EXPORTS)
        return show(
            template,
            rows=[(row, jobs.state(row), jobs.share(row)) for row in rows],
            mine=str(actor()),
            names=names_of(row.asked_by for row in rows if row.asked_by.startswith("staff:")),
            formats=registry.FORMATS.values(),
            cuts=cuts.of(tx, study_id),
            zone=g.zone,
        )


def _whole(study_id: str) -> None:
    """The feed is a whole study's: raise unless the actor holds it at all sites."""
    access.one_study(actor(), "feed.read", study_id)


def _tending(study_id: str) -> Any:
    access.one_study(actor(), "sink.tend", study_id)
    return actor()
