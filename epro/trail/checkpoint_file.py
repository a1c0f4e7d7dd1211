"""Checkpoints in a file that only grows, for a place where the database's keepers cannot write.

Each worker that has the file catches up with it: what another worker sealed, or while it was away, comes too.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from epro.trail import INSTALLATION, sealing
from epro.trail.entries import Fault
from epro.trail.models import Checkpoint
from epro.tx import Tx, look

log = logging.getLogger(__name__)
TAIL = 4096  # a note is far shorter
PAGE = 1000


def write_out(path: str | None) -> int:
    """Append the checkpoints that the file does not have yet; returns how many."""
    if not path:
        return 0
    with open(path, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        written, size = 0, _last_size(Path(path))
        while found := _page(size):
            file.write("".join(f"{one.note}\n" for one in found).encode())
            written, size = written + len(found), found[-1].size
        file.flush()
        os.fsync(file.fileno())
    return written


def faults(tx: Tx, path: str | None) -> Iterator[Fault]:
    """Checkpoints of the file that are not, or not like this, among those on record."""
    if not path or not Path(path).exists():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        parts = file.read().split("\n\n")
    for text, signed in zip(parts[::2], parts[1::2], strict=False):
        lines = text.strip("\n").split("\n")
        size = int(lines[1]) if len(lines) == 4 and lines[1].isdigit() else 0
        row = tx.get(Checkpoint, size)
        if row is None or row.note != f"{text}\n\n{signed}\n":
            yield Fault(INSTALLATION, "log", size, "the file of checkpoints has another one here")


def _page(size: int) -> list[Checkpoint]:
    with look(sealing.SEALER) as tx:
        newest = sealing.last(tx)
        if size and (newest is None or newest.size < size):
            told = {"action": "trail.log_shorter_than_file", "size": size}
            log.error("the log is shorter than the file of checkpoints says", extra=told)
        return sealing.after(tx, size, PAGE)


def _last_size(path: Path) -> int:
    """The size in the last whole note of the file; 0 where there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        notes = file.read().decode(errors="replace").split("\n\n")
    for text in reversed(notes):
        lines = text.strip("\n").split("\n")
        if len(lines) == 4 and lines[1].isdigit():
            return int(lines[1])
    return 0
