"""How far the wording of each instrument is, its preview, and the word of two people that it is the holder's own."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request

from epro.api.door import actor
from epro.api.schemas import Strict, Text
from epro.console.door import act, page
from epro.console.page import asked, back_to, show
from epro.console.worklist import names_of, site_zone
from epro.errors import NotFound
from epro.questionnaires import catalogue, previews, wording, wording_told
from epro.questionnaires.instrument import Instrument
from epro.scheduling import protocols
from epro.signin import stepup
from epro.studies import access
from epro.tx import Tx, begin, look

HANDLERS = ("study_builder", "data_manager", "administrator")
PERMISSION = "wording.handle"
SEALED_OFF = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
OF_A_PACK = "/studies/<study_id>/build/wording/<code>/<version>/<language>/packs/<name>"


class WordingApprovalIn(Strict):
    """What she has read, by its digest, and that she has."""

    digest = Text(64, required=True)
    read = Text(3, required=True)


class OtherWording(NotFound):
    """This is not the wording that you have read: look at it again."""

    code = "other_wording"


@page("/studies/<study_id>/build/wording", roles=HANDLERS, menu="wording.menu", order=62)
def wording_status(study_id: str) -> Response:
    """Of each instrument and language that is asked: how far its wording is."""
    with look(actor()) as tx:
        access.allow(actor(), PERMISSION, study_id)
        g.zone = site_zone(tx, study_id)
        found = [
            (one, language, wording.standing(tx, one, language))
            for code, version, language in _asked_for(tx, study_id)
            if (one := catalogue.find(tx, code, version)) is not None
        ]
        return show("wording.html", rows=found, needed=wording.APPROVALS)


@page("/studies/<study_id>/build/wording/<code>/<version>/<language>", roles=HANDLERS)
def wording_preview(study_id: str, code: str, version: str, language: str) -> Response:
    """Every screen of an instrument as a phone shows it, in a page of its own that may run and load nothing."""
    with look(actor()) as tx:
        found = _find(tx, study_id, code, version, language)
        made = previews.preview(found, language, *_pack(tx, found, language, request.args.get("pack")))
    response = Response(made, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = SEALED_OFF
    return response


@page(OF_A_PACK, roles=HANDLERS)
def wording_pack(study_id: str, code: str, version: str, language: str, name: str) -> Response:
    """One imported wording: whose it is, who brought it in, who has approved it, and approving it."""
    with look(actor()) as tx:
        found = _find(tx, study_id, code, version, language)
        g.zone = site_zone(tx, study_id)
        row, approvals = wording.story(tx, (code, version, language, name))
        standing = wording.standing(tx, found, language)
        return show(
            "wording_pack.html",
            row=row,
            approvals=approvals,
            needed=wording.APPROVALS,
            in_force=any(one.in_force and one.wording_version == name for one in standing),
            may=wording.may_approve(actor(), row, approvals),
            names=names_of([row.imported_by, *(one.approved_by for one in approvals)]),
        )


@act(f"{OF_A_PACK}/approve", roles=HANDLERS)
def approve_wording(study_id: str, code: str, version: str, language: str, name: str) -> Response:
    """She has read it and it is what the licence holder gave; the same rule as `epro wording approve`."""
    read = asked(WordingApprovalIn)
    person = access.beyond_studies(actor(), PERMISSION)
    with begin(person) as tx:
        stepup.require(tx)
        _find(tx, study_id, code, version, language)
        key = (code, version, language, name)
        if wording.story(tx, key)[0].digest != read["digest"]:
            raise OtherWording()
        wording.approve(tx, key)
    return back_to("wording_status", study_id=study_id)


def _asked_for(tx: Tx, study_id: str) -> Any:
    return protocols.asked_of(protocols.to_be_asked(tx, study_id))


def _find(tx: Tx, study_id: str, code: str, version: str, language: str) -> Instrument:
    """The instrument, where this study asks it in this language. Raises NotFound."""
    access.allow(actor(), PERMISSION, study_id)
    asks = (code, version, language) in _asked_for(tx, study_id)
    found = catalogue.find(tx, code, version) if asks else None
    if found is None:
        raise NotFound()
    return found


def _pack(tx: Tx, found: Instrument, language: str, name: str | None) -> tuple[Any, str]:
    """The wording meant and what is told of it: a pack by its version, else our own labels. Raises NotFound."""
    ours = previews.spoken(language)
    if name:
        pack = wording.find(tx, (found.code, found.version, language, name))
        if pack is None:
            raise wording.UnknownWording()
        standing = wording.standing(tx, found, language)
        return pack, next(wording_told.told_of(one, ours) for one in standing if one.digest == pack.digest)
    if language not in found.wording:
        raise wording.UnknownWording()
    return None, wording_told.OF_DEFINITION[found.wording[language]][ours]
