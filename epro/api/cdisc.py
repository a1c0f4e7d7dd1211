"""The CDISC Dataset-JSON API 1.0, to be read: studies, their datasets page by page, snapshots, which are cuts.

Its clients send their key as `api-key`; a bearer token opens it as well. What is optional there and changes something
is not built: it is answered with 501.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import orjson
from flask import Response, make_response, request, stream_with_context
from werkzeug.http import parse_date

from epro import db
from epro.api import exports, looking
from epro.api.door import Door, actor, cdisc_lock
from epro.api.schemas import DatasetIn, DatasetsIn, UnblindedIn
from epro.errors import NotFound
from epro.export.extract import Extract
from epro.exporting import cuts, reading, serving
from epro.signin import stepup
from epro.studies import access
from epro.tx import look

PREFIX = "/cdisc/dataset-json"
cdisc = Door("cdisc", PREFIX, "CDISC Dataset-JSON API 1.0, to be read", cdisc_lock)
JSON = "application/json"
STANDARD = "sdtmig"  # of every dataset served here
OBJECT: dict[str, Any] = {"type": "object"}  # as CDISC's own description has it
LIST = {"type": "array", "items": OBJECT}


def _served(
    study_id: str, label: str | None = None, *, unblinded: bool = False, going_on: bool = False
) -> Any:
    """What is served to who asks; to a person unblinded only after a passkey, where the installation asks for it."""
    if unblinded and stepup.is_resistant_asked():
        exports.shown_again(actor(), unblinded=True)
    return serving.served(actor(), study_id, label, unblinded=unblinded, going_on=going_on)


@cdisc.get("/about")
@cdisc.response(200, OBJECT)
def about() -> Any:
    """What this is."""
    links = [{"name": "studies", "href": _address("/studies")}]
    public = db.settings()["PUBLIC_URL"] or ""
    return make_response(
        {"lastUpdated": "2026-11-29T00:00:00Z", "author": public, "repo": public, "links": links}
    )


@cdisc.get("/studies")
@cdisc.response(200, LIST)
def studies() -> Any:
    """The studies that this key may read."""
    return make_response([_study(study_id) for study_id in _mine()])


@cdisc.get("/studies/<study_oid>")
@cdisc.response(200, OBJECT)
def one_study(study_oid: str) -> Any:
    """A study: its datasets, definitions and snapshots."""
    study_id = _known(study_oid)
    found = {"datasets": _listed(study_oid, _served(study_id))}
    return make_response(_study(study_id) | found)


@cdisc.get("/studies/<study_oid>/snapshots")
@cdisc.response(200, LIST)
def snapshots(study_oid: str) -> Any:
    """The cuts of a study, each with its address."""
    return make_response(_snapshots(_known(study_oid)))


@cdisc.get("/studies/<study_oid>/snapshots/<label>")
@cdisc.response(200, OBJECT)
def one_snapshot(study_oid: str, label: str) -> Any:
    """A study as it was at a cut."""
    study_id = _known(study_oid)
    there = _served(study_id, label)
    return make_response(_study(study_id) | {"datasets": _listed(study_oid, there, label)})


@cdisc.get("/studies/<study_oid>/datasets")
@cdisc.arguments(DatasetsIn, location="query")
@cdisc.response(200, LIST)
def datasets(asked: dict[str, Any], study_oid: str) -> Any:
    """The datasets of a study, of one standard if that is asked."""
    there = _served(_known(study_oid), unblinded=asked["unblinded"])
    found = _listed(study_oid, there) if asked["standard"] in ("", STANDARD) else []
    return _unchanged(there) or _dated(Response(orjson.dumps(found), content_type=JSON), there)


@cdisc.get("/studies/<study_oid>/datasets/<dataset_oid>")
@cdisc.arguments(DatasetIn, location="query")
@cdisc.response(200, OBJECT)
def one_dataset(asked: dict[str, Any], study_oid: str, dataset_oid: str) -> Any:
    """A dataset: whole, its metadata, its data, or some of its rows; those that follow fit those before."""
    study_id, going_on = _known(study_oid), asked["offset"] > 0
    there = _served(study_id, unblinded=asked["unblinded"], going_on=going_on)
    return _dataset(study_id, there, dataset_oid, asked)


@cdisc.get("/studies/<study_oid>/snapshots/<label>/datasets/<dataset_oid>")
@cdisc.arguments(DatasetIn, location="query")
@cdisc.response(200, OBJECT)
def snapshot_dataset(asked: dict[str, Any], study_oid: str, label: str, dataset_oid: str) -> Any:
    """A dataset as it was at a cut: the same for ever."""
    study_id = _known(study_oid)
    there = _served(study_id, label, unblinded=asked["unblinded"])
    return _dataset(study_id, there, dataset_oid, asked)


@cdisc.get("/studies/<study_oid>/defines")
@cdisc.response(200, LIST)
def defines(study_oid: str) -> Any:
    """Where the Define-XML of a study is."""
    _known(study_oid)
    address = _address(f"/studies/{quote(study_oid)}/defines/define")
    return make_response([{"label": "define", "href": address}])


@cdisc.get("/studies/<study_oid>/defines/<name>")
@cdisc.arguments(UnblindedIn, location="query")
@cdisc.response(200, OBJECT)
def one_define(asked: dict[str, Any], study_oid: str, name: str) -> Any:
    """The Define-XML of a study."""
    if name != "define":
        raise NotFound()
    there = _served(_known(study_oid), unblinded=asked["unblinded"])
    return make_response({"label": name, "defineXML": there.define()})


def _mine() -> list[str]:
    who = actor()
    access.allow(who, "export.make")
    return sorted({grant.study_id for grant in access.grants_for(who, "export.make")})


def _known(study_oid: str) -> str:
    """The study of this OID, if the reader may read it; else NotFound."""
    for study_id in _mine():
        if study_oid == f"STDY.{study_id}":
            return study_id
    raise NotFound()


def _study(study_id: str) -> dict[str, Any]:
    extract = _extract(study_id)
    oid, title = f"STDY.{study_id}", extract.protocol.title
    return {
        "studyOID": oid,
        "name": study_id,
        "label": title.get("en") or next(iter(title.values())),
        "standards": [STANDARD],
        "href": _address(f"/studies/{quote(oid)}"),
        "metaDataRef": [{"label": "define", "href": _address(f"/studies/{quote(oid)}/defines/define")}],
        "snapshots": _snapshots(study_id),
        "studyCreationDateTime": extract.cut.stamp,
    }


def _extract(study_id: str) -> Extract:
    return reading.extract(actor(), reading.point(study_id))


def _snapshots(study_id: str) -> list[dict[str, str]]:
    with look(reading.EXPORTER) as tx:
        names = [cut.name for cut in cuts.of(tx, study_id)]
    oid = quote(f"STDY.{study_id}")
    return [{"label": name, "href": _address(f"/studies/{oid}/snapshots/{quote(name)}")} for name in names]


def _listed(study_oid: str, there: serving.Served, label: str | None = None) -> list[dict[str, Any]]:
    within = f"/studies/{quote(study_oid)}" + (f"/snapshots/{quote(label)}" if label else "")
    return [
        {
            "itemGroupOID": head["itemGroupOID"],
            "name": head["name"],
            "label": head["label"],
            "standard": STANDARD,
            "records": head["records"],
            "href": _address(f"{within}/datasets/{quote(head['itemGroupOID'])}"),
            "datasetJSONCreationDateTime": head["datasetJSONCreationDateTime"],
        }
        for head in there.heads()
    ]


def _dataset(study_id: str, there: serving.Served, oid: str, asked: dict[str, Any]) -> Response:
    head = there.head(oid)
    unchanged = _unchanged(there)
    if unchanged is not None:
        return unchanged
    if not asked["metadataonly"]:
        looking.at(study_id, None, "dataset", oid)
    whole = _whole(there, head, asked)
    zipped = request.accept_encodings.quality("gzip") > 0 and "gzip" in request.headers.get(
        "Accept-Encoding", ""
    )
    response = Response(stream_with_context(_gzip(whole) if zipped else whole), content_type=JSON)
    if zipped:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Authorization, api-key, Accept-Encoding"
    return _dated(response, there)


def _whole(there: serving.Served, head: dict[str, Any], asked: dict[str, Any]) -> Iterator[bytes]:
    if asked["metadataonly"]:
        yield orjson.dumps(head)
        return
    yield b"{" if asked["dataonly"] else orjson.dumps(head)[:-1] + b","
    yield b'"rows":['
    for number, row in enumerate(there.rows(head["itemGroupOID"], asked["offset"], asked["limit"] or None)):
        yield b"," + row if number else row
    yield b"]}"


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


def _unchanged(there: serving.Served) -> Response | None:
    """304 where the reader has what there is."""
    known = parse_date(request.headers.get("If-Modified-Since"))
    if known is not None and there.at.replace(microsecond=0) <= known:
        return _dated(Response(status=304), there)
    return None


def _dated(response: Response, there: serving.Served) -> Response:
    moment: datetime = there.at.astimezone(UTC).replace(microsecond=0)
    response.headers["Last-Modified"] = format_datetime(moment, usegmt=True)
    return response


def _address(path: str) -> str:
    return (db.settings()["PUBLIC_URL"] or "").rstrip("/") + PREFIX + path
