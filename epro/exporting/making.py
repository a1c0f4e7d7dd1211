"""Making an export: its files, what is said about them, and the trail's entry of who read what."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID, uuid4

import orjson

from epro import trail
from epro.export import files
from epro.export.extract import Extract, Options
from epro.export.registry import Format
from epro.tx import Actor, begin

ABOUT = "export.json"
SELDOM = (200_000, 20, 20)
_guard, _at_it = Lock(), list[Any]()


@dataclass(frozen=True)
class Made:
    """An export that is done: its files stand in `folder`; `digest` is over all of them."""

    id: UUID
    folder: files.Folder
    told: dict[str, Any]
    at: datetime

    @property
    def rows(self) -> int:
        return sum(one["rows"] for one in self.told["files"])

    @property
    def digest(self) -> str:
        return str(self.told["digest"])

    def names(self) -> list[str]:
        """Its files, what is told about them last."""
        return [*(one["name"] for one in self.told["files"]), ABOUT]


def make(
    actor: Actor, extract: Extract, format: Format, options: Options, path: Path, id: UUID | None = None
) -> Made:
    """Write the files into an empty folder and say so in the trail. The same cut, reader and options give the same."""
    folder = files.Folder(path)
    with _collecting_seldom():
        format.write(extract, folder, options)
    told = _told(extract, format, options, folder)
    folder.at(ABOUT).write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
    made = Made(id or uuid4(), folder, told, extract.cut.at)
    _record(actor, made)
    return made


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Entries are read by the million, and none holds itself in a circle: looking for circles as often as Python does
    costs a quarter of the time. Of several exports in one process the last one puts it back.
    """
    with _guard:
        if not _at_it:
            _at_it.append(gc.get_threshold())
            gc.set_threshold(*SELDOM)
        _at_it.append(())
    try:
        yield
    finally:
        with _guard:
            _at_it.pop()
            if len(_at_it) == 1:
                gc.set_threshold(*_at_it.pop())


def _told(extract: Extract, format: Format, options: Options, folder: files.Folder) -> dict[str, Any]:
    cut, listed = extract.cut, files.told(folder)
    return {
        "study": extract.study_id,
        "cut": {
            "name": cut.name,
            "position": cut.position,
            "at": cut.stamp,
            "event_id": cut.event_id,
            "digest": extract.digest,
        },
        "format": format.name,
        "options": asdict(options),
        "blinded": extract.blinded,
        "sites": None if extract.sites is None else list(extract.sites),
        "software": f"epro {extract.software}",
        "protocol_versions": [protocol.version for protocol in extract.protocols],
        "instruments": [
            {"code": one.code, "version": one.version, "digest": one.digest} for one in extract.definitions()
        ],
        "files": listed,
        "digest": files.digest_of(listed),
    }


def _record(actor: Actor, made: Made) -> None:
    told = made.told
    with begin(actor) as tx:
        trail.record(
            tx,
            trail.study_chain(tx, told["study"]),
            "export.made",
            "export",
            made.id,
            format=told["format"],
            cut=told["cut"]["name"],
            position=told["cut"]["position"],
            blinded=told["blinded"],
            sites=told["sites"],
            rows=made.rows,
            files=len(told["files"]),
            digest=made.digest,
        )
