"""The study builder's pages: versions of the study file, trying another one, its release site by site."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request
from marshmallow import fields

from epro import production
from epro.api.door import actor
from epro.api.schemas import Strict, Text
from epro.config import ConfigurationError
from epro.console.door import act, kept_form, page
from epro.console.page import asked, back_to, on_to, show, speak
from epro.console.wordings import SEALED_OFF
from epro.console.worklist import labels, names_of, site_zone
from epro.errors import Conflict, Invalid, NotFound
from epro.notifications import study_files
from epro.questionnaires import wording
from epro.scheduling import amending, protocols, rehearsals
from epro.scheduling.protocol import Protocol
from epro.signin import stepup
from epro.studies import access
from epro.tx import Tx, begin, look

BUILDERS = ("study_builder", "administrator")
LARGEST_FILE = 256 * 1024
REPORT_SPEAKS = 'lang="{0}" data-lang="{0}"'  # as the report itself begins
REPORTS = 20  # of rehearsals, on the page
MOST_TRIED = 300  # participants whose plans are tried while somebody waits


class ApprovalIn(Strict):
    version = Text(32, required=True)
    site = Text(32, required=True)
    day = fields.Date(required=True)


class NotReadable(Invalid):
    """This is no study file: a text in UTF-8 of at most 256 KiB."""

    code = "not_a_study_file"


@page("/studies/<study_id>/build", roles=BUILDERS, menu="build.menu", order=60)
def build(study_id: str) -> Response:
    """The versions of the study file, and which site follows which."""
    with look(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        g.zone = site_zone(tx, study_id)
        approvals = protocols.approvals(tx, study_id)
        there = protocols.by_site(tx, study_id)
        return show(
            "build.html",
            versions=protocols.published(tx, study_id),
            there=there,
            current=protocols.current(tx, study_id),
            approvals=approvals,
            rehearsals=rehearsals.listed(tx, study_id, REPORTS),
            names=names_of(row.entered_by for row in approvals),
            sites=sorted({site.id for one in protocols.versions(tx, study_id) for site in one.sites}),
        )


@page("/studies/<study_id>/build/versions/<version>/file", roles=BUILDERS)
def study_file(study_id: str, version: str) -> Response:
    """The file as it was published, comments and all."""
    with look(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        row = next((one for one in protocols.published(tx, study_id) if one.version == version), None)
    if row is None:
        raise NotFound()
    response = Response(row.source, content_type="application/yaml; charset=utf-8")
    response.headers.set("Content-Disposition", "attachment", filename=f"{study_id}-{row.version}.yaml")
    return response


@page("/studies/<study_id>/build/rehearsals/<digest>", roles=BUILDERS)
def rehearsal(study_id: str, digest: str) -> Response:
    """The report of a rehearsal, in a page that may run and load nothing; `?as=file` hands it out as it was made."""
    with look(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        made = rehearsals.page_of(tx, study_id, digest)
    as_file = request.args.get("as") == "file"
    response = Response(made if as_file else _in_her_language(made), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = SEALED_OFF
    if as_file:
        response.headers.set(
            "Content-Disposition", "attachment", filename=f"{study_id}-rehearsal-{digest[:12]}.html"
        )
    return response


@page("/studies/<study_id>/build/rehearsals/<digest>/figures", roles=BUILDERS)
def rehearsal_file(study_id: str, digest: str) -> Response:
    """The same figures for machines, to the byte that the digest is of."""
    with look(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        made = rehearsals.figures_of(tx, study_id, digest)
    response = Response(made, content_type="application/json; charset=utf-8")
    name = f"{study_id}-rehearsal-{digest[:12]}.json"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@act("/studies/<study_id>/build/check", roles=BUILDERS)
def check_study(study_id: str) -> Response:
    """Every fault of a file, or what publishing it would change; nothing is done."""
    text = _uploaded()
    with look(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        return _checked(tx, study_id, text)


@page("/studies/<study_id>/build/check", roles=BUILDERS)
def checked_study(study_id: str) -> Response:
    """What was checked before she was asked to show who she is, checked again; else where a file is chosen."""
    form = kept_form()
    text = (form.fields.get("source") or [""])[0].replace("\r\n", "\n") if form else ""
    if not text:
        return on_to("build", study_id=study_id)
    with look(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        return _checked(tx, study_id, text)


@act("/studies/<study_id>/build/publish", roles=BUILDERS)
def publish_study(study_id: str) -> Response:
    """Publish what was checked just now. It moves nobody: each site goes over when it was approved there."""
    text = request.form.get("source", "").replace("\r\n", "\n")
    with begin(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        stepup.require(tx)
        protocol, faults = study_files.read(text, study_files.known_instruments(wording.languages(tx)))
        if protocol is None or protocol.study_id != study_id:
            raise Invalid(
                errors=[{"pointer": one.place, "code": one.code, "detail": one.message} for one in faults]
            )
        _refuse_unready(tx, protocol)
        amending.publish(tx, protocol, text)
    return back_to("build", study_id=study_id)


@act("/studies/<study_id>/build/approval", roles=BUILDERS)
def approve_site(study_id: str) -> Response:
    """Enter the ethics approval of a site; from that day on it follows the version."""
    wanted = asked(ApprovalIn)
    with begin(actor()) as tx:
        access.one_study(actor(), "study.publish", study_id)
        stepup.require(tx)
        protocol = amending.published(tx, study_id, wanted["version"], wanted["site"])
        _refuse_unready(tx, protocol, published=True)
        amending.approve(tx, study_id, wanted["version"], wanted["site"], wanted["day"])
    return back_to("build", study_id=study_id)


def _in_her_language(made: str) -> str:
    """The report holds both languages and chooses by what its root says; its own script may not run here."""
    language = speak().language
    return made.replace(
        f"<html {REPORT_SPEAKS.format('zh-CN')}>", f"<html {REPORT_SPEAKS.format(language)}>", 1
    )


def _checked(tx: Tx, study_id: str, text: str) -> Response:
    told = _tried(tx, study_id, text)
    found = told["protocol"].assessments if told["protocol"] else ()
    label = labels(tx, study_id) | {one.id: one.label for one in found}
    return show("study_check.html", text=text, label=label, **told)


def _uploaded() -> str:
    file = request.files.get("file")
    raw = file.read(LARGEST_FILE + 1) if file else b""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NotReadable() from None
    if not text.strip() or len(raw) > LARGEST_FILE or "\0" in text:
        raise NotReadable()
    return text.replace("\r\n", "\n")


def _tried(tx: Tx, study_id: str, text: str) -> dict[str, Any]:
    """What is told of a file: its faults; or, of one without any, whom and what it would change."""
    protocol, faults = study_files.read(text, study_files.known_instruments(wording.languages(tx)))
    told: dict[str, Any] = {"protocol": protocol, "faults": faults, "refused": [], "effect": None, "many": 0}
    told |= {"published": False}
    if protocol is None:
        return told
    if protocol.study_id != study_id:
        return told | {"refused": [("study.id", protocol.study_id)], "protocol": None, "other_study": True}
    try:
        told["published"] = protocols.is_published(tx, protocol)
        if told["published"] and protocols.versions(tx, study_id)[-1].version == protocol.version:
            return told  # the first one amends none
        before = amending.amended(tx, protocol)
        amending.refuse_unfit(tx, protocol)
        _refuse_unready(tx, protocol)
    except (Conflict, NotFound) as fault:
        refused = [(one["pointer"], one["detail"]) for one in fault.errors] or [("", fault.detail)]
        return told | {"refused": refused}
    many = len(amending.concerned(tx, protocol))
    if many > MOST_TRIED:
        changes = amending.changes(before, protocol)
        shown = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
        effect = {"amends": before.version, "assessments": shown, "elsewhere": changes.elsewhere, "sites": []}
        return told | {"many": many, "effect": effect}
    return told | {"effect": study_files.effect(tx, protocol, before)}


def _refuse_unready(tx: Tx, protocol: Protocol, *, published: bool = False) -> None:
    try:
        production.refuse_unready(tx, protocol, published=published)
    except ConfigurationError as fault:
        raise Conflict(str(fault)) from None
