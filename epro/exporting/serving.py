"""Datasets kept ready for a reader who comes page by page: made once at a cut, for him, and read from the disk then.

What the feed is now is made anew at most every five minutes, and only for who begins at the first row: pages fit
together for a day, as long as their reader begins nothing else. A named cut stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any
from uuid import uuid4

import orjson

from epro import clock
from epro.errors import NotFound, Unavailable
from epro.export.extract import CutPoint, Options
from epro.export.registry import find
from epro.exporting import jobs, making, reading
from epro.tx import Actor

FRESH = timedelta(minutes=5)
GOING_ON = timedelta(days=1)  # with the pages of one dataset
SERVED = "served"
AT_ONCE = BoundedSemaphore(1)


@dataclass(frozen=True)
class Served:
    """A study's datasets, ready on the disk."""

    folder: Path
    at: datetime

    def heads(self) -> list[dict[str, Any]]:
        """What is said of each dataset but its rows, by name."""
        return [_head(path) for path in sorted(self.folder.glob("*.ndjson"))]

    def head(self, oid: str) -> dict[str, Any]:
        """The same of one. Raises NotFound."""
        return _head(self._path(oid))

    def rows(self, oid: str, offset: int, limit: int | None) -> Iterator[bytes]:
        """Rows as JSON, from the one at `offset`, so many at most."""
        with self._path(oid).open("rb") as file:
            last = None if limit is None else offset + 1 + limit
            for line in islice(file, offset + 1, last):
                yield line[:-1]

    def define(self) -> str:
        return (self.folder / "define.xml").read_text(encoding="utf-8")

    def _path(self, oid: str) -> Path:
        name = oid.removeprefix("IG.")
        path = self.folder / f"{name.lower()}.ndjson"
        if not name.isalnum() or oid != f"IG.{name.upper()}" or not path.is_file():
            raise NotFound()
        return path


def served(
    actor: Actor, study_id: str, cut: str | None = None, *, unblinded: bool = False, going_on: bool = False
) -> Served:
    """The datasets of a study for this reader, up to a cut or up to now; or, where she is `going_on` with the pages of
    one, those that she began with. Raises NotAllowed, NotFound.
    """
    reading.may(actor, study_id, unblinded=unblinded)
    mine = jobs.folder() / SERVED / reading.reader(actor, study_id, unblinded)
    if cut is None and (ready := _fresh(mine, GOING_ON if going_on else FRESH)):
        return ready
    point = reading.point(study_id, cut)
    target = mine / _name(point.position, point.digest)
    if not target.is_dir():
        _make_alone(actor, point, target, unblinded)
    if cut is None:
        (mine / "now").write_bytes(orjson.dumps([target.name, point.at, clock.now()]))
    return Served(target, point.at)


def _name(position: int, digest: str) -> str:
    """With the digest, so that a database put back to an earlier day finds nothing of what it has not yet lived."""
    return f"{position}-{digest[:16]}"


def remove_old() -> None:
    """Take away what was made so long ago; it is made again when somebody asks."""
    until = clock.now() - timedelta(days=jobs.days_kept())
    for about in (jobs.folder() / SERVED).glob("*/*/" + making.ABOUT):
        if about.stat().st_mtime < until.timestamp():
            shutil.rmtree(about.parent, ignore_errors=True)


def _fresh(mine: Path, long_enough: timedelta) -> Served | None:
    try:
        name, at, made = orjson.loads((mine / "now").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    age = clock.now() - datetime.fromisoformat(made)
    folder = mine / str(name)
    if not timedelta(0) <= age < long_enough or not folder.is_dir():
        return None
    return Served(folder, datetime.fromisoformat(at))


def _make_alone(actor: Actor, point: CutPoint, target: Path, unblinded: bool) -> None:
    """One at a time in each web process: phones must find the other threads free."""
    if not AT_ONCE.acquire(blocking=False):
        raise Unavailable("Datasets are being made for another request; try again in a moment.")
    try:
        _make(actor, point, target, unblinded)
    finally:
        AT_ONCE.release()


def _make(actor: Actor, point: CutPoint, target: Path, unblinded: bool) -> None:
    """Beside, and then put in its place whole; who comes second finds it there."""
    beside = target.with_name(f".{uuid4().hex}")
    beside.mkdir(parents=True)
    try:
        extract = reading.extract(actor, point, unblinded=unblinded)
        options = Options(extra={"container": "ndjson"})
        making.make(actor, extract, find("dataset-json"), options, beside)
        beside.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _head(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head: dict[str, Any] = orjson.loads(file.readline())
        return head
