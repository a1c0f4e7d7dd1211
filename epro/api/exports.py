"""Exports at the sponsor's door: asked for and fetched later, or at once where they are small."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any
from uuid import UUID

from flask import Response, url_for

from epro.api import looking
from epro.api.door import actor
from epro.api.schemas import ExportIn, ExportNowIn, ExportOut
from epro.api.sponsor import sponsor
from epro.errors import Conflict, Unavailable
from epro.export import files, registry
from epro.export.extract import Options
from epro.exporting import jobs, making, reading
from epro.exporting.models import ExportJob
from epro.signin import stepup
from epro.studies import access
from epro.tx import Actor, look

ZIP, BINARY = "application/zip", {"type": "string", "format": "binary"}
LARGEST = 20_000  # entries of the feed that are exported while somebody waits
AT_ONCE = BoundedSemaphore(1)  # it holds a thread of the web process


@sponsor.post("/exports")
@sponsor.arguments(ExportIn)
@sponsor.response(202, ExportOut)
def ask(asked: dict[str, Any]) -> Any:
    """Ask for an export. A worker makes it; its `id` is what its status is told by. Whoever asked may fetch it."""
    who = actor()
    study_id = access.some_study(who, "export.make", asked.get("study"))
    shown_again(who, study_id, unblinded=asked["unblinded"])
    job = jobs.ask(
        who, study_id, asked["format"], asked.get("cut"), _options(asked), unblinded=asked["unblinded"]
    )
    return told(job)


@sponsor.get("/exports/<uuid:job_id>")
@sponsor.response(200, ExportOut)
def export_status(job_id: UUID) -> Any:
    """How far an export is, and where it can be fetched when it is done."""
    return told(jobs.find(actor(), job_id))


@sponsor.get("/exports/<uuid:job_id>/file")
@sponsor.response(200, BINARY, content_type=ZIP)
def export_file(job_id: UUID) -> Any:
    """The export: an archive of its files, with `export.json`, which says what it is."""
    job = jobs.find(actor(), job_id)
    return sent(jobs.file_of(actor(), job), job)


@sponsor.get("/exports/<format>")
@sponsor.arguments(ExportNowIn, location="query")
@sponsor.response(200, BINARY, content_type=ZIP)
def export_now(asked: dict[str, Any], format: str) -> Any:
    """A small study at once, as an archive. What is large is asked for with POST."""
    who, kind = actor(), registry.find(format)
    study_id = access.some_study(who, "export.make", asked.get("study"))
    reading.may(who, study_id, unblinded=asked["unblinded"])
    shown_again(who, study_id, unblinded=asked["unblinded"])
    looking.at(study_id, None, "export", kind.name)
    point = reading.point(study_id, asked.get("cut"))
    if reading.size(who, point) > LARGEST:
        raise Conflict("This is too much to wait for: ask for it with POST /v1/sponsor/exports.")
    if not AT_ONCE.acquire(blocking=False):
        raise Unavailable("Another export is being made; try again, or ask with POST /v1/sponsor/exports.")
    try:
        source = reading.extract(who, point, unblinded=asked["unblinded"])
        with tempfile.TemporaryDirectory(prefix="epro-export-") as beside:
            made = making.make(who, source, kind, _options(asked), Path(beside))
            return _archive(made, kind)
    finally:
        AT_ONCE.release()


def shown_again(who: Actor, study_id: str | None = None, *, unblinded: bool = False) -> None:
    """Raise StepUpNeeded unless a person has just shown who she is: an export is her whole site, or more.

    Unblinded it asks for a passkey, and for who is of the site: she knows whose the subject ids are, so to her it is an
    export of data of known people. PasskeyNeeded.
    """
    known = study_id is not None and access.is_sites(who, study_id)
    with look(who) as tx:
        (stepup.require_resistant if unblinded or known else stepup.require)(tx)


def told(job: ExportJob) -> dict[str, Any]:
    """A job as its asker sees it."""
    status = jobs.state(job)
    found = {
        "id": job.id,
        "study": job.study_id,
        "format": job.request["format"],
        "cut": job.request["cut"],
        "position": job.position,
        "status": status,
        "asked_at": job.asked_at,
        "progress": jobs.share(job),
        "fault": job.fault,
    }
    if job.made is not None:
        found |= {name: job.made[name] for name in ("bytes", "sha256", "rows", "digest", "files")}
    if status == "done":
        found["file"] = url_for("sponsor.export_file", job_id=job.id)
    return found


def sent(path: Path, job: ExportJob) -> Response:
    """The file of a finished job, piece by piece."""
    assert job.made is not None
    looking.at(job.study_id, None, "export", f"{job.request['format']} {job.id}")
    response = _sent(_chunks(path), job.made["name"])
    response.content_length = job.made["bytes"]
    return response


def _options(asked: dict[str, Any]) -> Options:
    extra = {"container": asked["container"]} if "container" in asked else {}
    return Options(asked["flavour"], asked["scores"], extra)


def _archive(made: making.Made, kind: registry.Format) -> Response:
    """In memory: it is small, and its folder goes at once."""
    whole = made.folder.at(".whole.zip")
    files.zipped(made.folder, made.names(), made.at, whole)
    place = made.told["cut"]["name"] or made.told["cut"]["position"]
    return _sent([whole.read_bytes()], f"{made.told['study']}-{place}-{kind.name}.zip")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(files.CHUNK):
            yield chunk


def _sent(content: Iterable[bytes], name: str) -> Response:
    response = Response(content, mimetype=ZIP)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "no-store"
    return response
