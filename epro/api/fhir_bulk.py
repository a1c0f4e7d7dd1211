"""Bulk export: /$export and /Group/{study}/$export, on the FHIR door."""

from __future__ import annotations

from uuid import UUID

import orjson
from flask import Response, request, stream_with_context

from epro.api import looking
from epro.api.door import actor
from epro.api.fhir import base, door
from epro.errors import NotFound
from epro.export.fhir_search import BadSearch
from epro.exporting import fhir_bulk
from epro.trail.entries import instant
from epro.tx import begin, look

LINES = "application/fhir+ndjson"
FORMATS = (None, LINES, "application/ndjson", "ndjson")


@door.get("/$export")
def export() -> Response:
    """Ask for everything of a study; of several that are open to the caller `study` names one."""
    return _asked(request.args.get("study"))


@door.get("/Group/<study>/$export")
def export_group(study: str) -> Response:
    """The same; a study is the group of its participants."""
    return _asked(study)


@door.get("/bulk/<uuid:export_id>")
def manifest(export_id: UUID) -> Response:
    """The list of files."""
    with look(actor()) as tx:
        row = fhir_bulk.find(tx, export_id)
    here = f"{base()}/bulk/{row.id}"
    told = {
        "transactionTime": instant(fhir_bulk.good_from(row)),
        "request": row.request["url"],
        "requiresAccessToken": True,
        "output": [{"type": kind, "url": f"{here}/{kind}.ndjson"} for kind in row.request["kinds"]],
        "error": [],
    }
    return Response(orjson.dumps(told), content_type="application/json")


@door.get("/bulk/<uuid:export_id>/<kind>.ndjson")
def file(export_id: UUID, kind: str) -> Response:
    """One file, line by line."""
    who = actor()
    with look(who) as tx:
        row = fhir_bulk.find(tx, export_id)
    if kind not in row.request["kinds"]:
        raise NotFound()
    looking.at(row.study_id, None, "fhir", f"{kind} {row.id}")
    return Response(stream_with_context(fhir_bulk.lines(who, row, kind, base())), content_type=LINES)


@door.delete("/bulk/<uuid:export_id>")
def let_go(export_id: UUID) -> Response:
    """End an export."""
    with begin(actor()) as tx:
        fhir_bulk.end(tx, export_id)
    return Response(status=202)


def _asked(study: str | None) -> Response:
    if "respond-async" not in request.headers.get("Prefer", ""):
        raise BadSearch("Bulk exports are asked for with `Prefer: respond-async`.")
    if request.args.get("_outputFormat") not in FORMATS:
        raise BadSearch("The files are NDJSON.")
    kinds = [kind for kind in request.args.get("_type", "").split(",") if kind]
    with begin(actor()) as tx:
        row = fhir_bulk.ask(tx, study, kinds, request.args.get("_since"), request.url)
        export_id = row.id
    return Response(status=202, headers={"Content-Location": f"{base()}/bulk/{export_id}"})
