"""The files that an export comes to: named, counted, and with nothing in them that depends on the hour. Pure."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

CHUNK = 1 << 20
SIGN = 64 << 20  # bytes between two signs of life while files are packed


@dataclass
class Folder:
    """Where an export's files are made. `path` must be empty, or hold what may be written over."""

    path: Path
    files: dict[str, int] = field(default_factory=dict)
    """Name -> how many rows it holds, in the order in which they were begun."""

    def at(self, name: str) -> Path:
        """Where the file of this name is, or will be, made."""
        return self.path / name

    def note(self, name: str, rows: int) -> None:
        """Say that a file is done and how many rows it holds."""
        self.files[name] = rows

    def write(self, name: str, content: bytes, rows: int = 0) -> None:
        """A small file, at once."""
        self.at(name).write_bytes(content)
        self.note(name, rows)


def told(folder: Folder) -> list[dict[str, Any]]:
    """Every file by name, with rows, size and digest."""
    return [
        {
            "name": name,
            "rows": rows,
            "bytes": folder.at(name).stat().st_size,
            "sha256": digest(folder.at(name)),
        }
        for name, rows in sorted(folder.files.items())
    ]


def digest(path: Path) -> str:
    """SHA-256, hex, of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(files: list[dict[str, Any]]) -> str:
    """One digest for all of them: over their names and their digests."""
    listed = [[one["name"], one["sha256"]] for one in files]
    return hashlib.sha256(orjson.dumps(listed)).hexdigest()


def zipped(
    folder: Folder,
    names: list[str],
    at: datetime,
    target: Path,
    before_each: Callable[[], None] = lambda: None,
) -> None:
    """The files in one archive; its stamps are the cut's. `before_each` is called before each 64 MiB of them."""
    when = at.timetuple()[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, when)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with folder.at(name).open("rb") as source, archive.open(entry, "w", force_zip64=True) as inside:
                while chunk := source.read(CHUNK):
                    if source.tell() % SIGN < CHUNK:
                        before_each()
                    inside.write(chunk)


def moved(source: Path, target: Path) -> None:
    """Put a finished file in its place at once, so that nobody ever finds half of it."""
    os.replace(source, target)
