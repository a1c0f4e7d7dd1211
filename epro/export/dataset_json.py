"""CDISC Dataset-JSON 1.1: `.json`, `.ndjson` (a line a row), `.dsjc` (that, compressed); with Define-XML. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from epro.errors import Invalid
from epro.export import csv_files, define, dictionary, sdtm
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.spool import Spool, spool

CONTAINERS = ("json", "ndjson", "dsjc")
BATCH = 1 << 20


class UnknownContainer(Invalid):
    """Dataset-JSON comes as json, ndjson or dsjc."""

    code = "unknown_container"


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """A file for each dataset, define.xml and the dictionary. `container`: json (default), ndjson, dsjc, or all."""
    asked = options.extra.get("container", "json")
    containers = CONTAINERS if asked == "all" else (asked,)
    if not set(containers) <= set(CONTAINERS):
        raise UnknownContainer()
    spools = spool(extract, options, folder.path)
    for one in spools:
        for container in containers:
            name = f"{one.dataset.name.lower()}.{container}"
            _WRITERS[container](folder.at(name), head(extract, one), one)
            folder.note(name, one.rows)
        one.path.unlink()
    described = [(one.dataset, one.widths, f"{one.dataset.name.lower()}.{containers[0]}") for one in spools]
    folder.write("define.xml", define.document(extract, options, described))
    dictionary.write(extract, folder, [], csv_files.encoded)


def head(extract: Extract, spool: Spool) -> dict[str, Any]:
    """All that Dataset-JSON says about a dataset but its rows, in the recommended order."""
    dataset, cut = spool.dataset, extract.cut
    return {
        "datasetJSONCreationDateTime": cut.stamp,
        "datasetJSONVersion": "1.1.0",
        "fileOID": f"{extract.study_id}.{cut.position}.{dataset.name}",
        "dbLastModifiedDateTime": cut.stamp,
        "originator": "epro",
        "sourceSystem": {"name": "epro", "version": extract.software},
        "studyOID": define.study_oid(extract),
        "metaDataVersionOID": define.version_oid(extract),
        "metaDataRef": "define.xml",
        "itemGroupOID": define.group_oid(dataset),
        "records": spool.rows,
        "name": dataset.name,
        "label": dataset.label,
        "columns": columns(dataset, spool.widths),
    }


def columns(dataset: sdtm.Dataset, widths: list[int]) -> list[dict[str, Any]]:
    """The columns of a dataset; of texts with the length that they come to."""
    return [
        {
            "itemOID": define.item_oid(dataset, one.name),
            "name": one.name,
            "label": one.label,
            "dataType": one.type,
            **({"length": max(width, 1)} if one.type == sdtm.STRING else {}),
            **({"keySequence": one.key} if one.key else {}),
        }
        for one, width in zip(dataset.variables, widths or [0] * len(dataset.variables), strict=True)
    ]


def _json(target: Path, about: dict[str, Any], spool: Spool) -> None:
    with target.open("wb", BATCH) as file:
        file.write(orjson.dumps(about)[:-1] + b',"rows":[')
        for number, line in enumerate(spool.lines()):
            file.write((b",\n" if number else b"\n") + line[:-1])
        file.write(b"\n]}\n")


def _ndjson(target: Path, about: dict[str, Any], spool: Spool) -> None:
    with target.open("wb", BATCH) as file:
        for chunk in _stream(about, spool):
            file.write(chunk)


def _dsjc(target: Path, about: dict[str, Any], spool: Spool) -> None:
    packer = zlib.compressobj(9)
    with target.open("wb", BATCH) as file:
        for chunk in _stream(about, spool):
            file.write(packer.compress(chunk))
        file.write(packer.flush())


def _stream(about: dict[str, Any], spool: Spool) -> Iterator[bytes]:
    yield orjson.dumps(about) + b"\n"
    with spool.path.open("rb") as rows:
        while chunk := rows.read(BATCH):
            yield chunk


_WRITERS = {"json": _json, "ndjson": _ndjson, "dsjc": _dsjc}
