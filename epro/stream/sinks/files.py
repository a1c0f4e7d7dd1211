"""Files: one line for each entry, one file for each UTC day of the feed. The last whole line says how far they come.

A line that a crash tore is cut off before the next is written; what was written is flushed to the disk before it
counts. So each position stands there exactly once, whatever dies when. What is told again must be what stands there:
where another entry does, the feed was put back to an earlier day, and a person must look.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path

import orjson

from epro.stream.feed import Entry
from epro.stream.sinks import Behind, SinkGone, SinkUnavailable

DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.ndjson")
TAIL = 64 * 1024
FOLDERS, FILES = 0o750, 0o640  # less what the worker's umask takes: answers are for the owner and the group


class FilesOutlet:
    """Appends entries to the files of one study in one folder."""

    batch = 1000

    def __init__(self, folder: str, study_id: str):
        self.folder = Path(folder) / study_id

    def deliver(self, entries: Sequence[Entry], now: datetime) -> dict[int, str]:
        """Append what is not there yet. Raises Behind when something before it is missing, SinkGone when another entry
        stands at the place of one of them, and SinkUnavailable.
        """
        try:
            with self._alone():
                last = self._last()
                self._compare([entry for entry in entries if entry.position <= last])
                fresh = [entry for entry in entries if entry.position > last]
                if fresh and fresh[0].position > last + 1:
                    raise Behind(last)
                placed = zip(self._days_of(fresh), fresh, strict=True)
                for day, pairs in groupby(placed, key=itemgetter(0)):
                    self._append(day, [entry for _, entry in pairs])
        except OSError as fault:
            raise SinkUnavailable(type(fault).__name__) from None
        return {}

    def _compare(self, told_again: Sequence[Entry]) -> None:
        """Nothing is passed over because another entry once had its position."""
        if not told_again:
            return
        there = dict(self._ids(told_again[0].position))
        for entry in told_again:
            if there.get(entry.position) != str(entry.event_id):
                raise SinkGone(f"astray: another entry stands at position {entry.position} of the files")

    def _ids(self, first: int) -> Iterator[tuple[int, str]]:
        """Position and id of every line from a position on, the newest first."""
        for file in reversed(self._files()):
            for line in reversed(_lines(file)):
                told = orjson.loads(line)
                if told["position"] < first:
                    return
                yield told["position"], told["event_id"]

    def rewind(self, position: int) -> None:
        """Take out every line after this position; they will be written again."""
        with self._alone():
            for file in reversed(self._files()):
                kept = [line for line in _lines(file) if orjson.loads(line)["position"] <= position]
                with file.open("r+b") as opened:
                    opened.truncate(sum(map(len, kept)))
                    os.fsync(opened.fileno())
                if kept:
                    return
                file.unlink()

    def close(self) -> None:
        pass

    def _days_of(self, entries: Sequence[Entry]) -> list[str]:
        """The day of the file each belongs in: of its act, but never before that of a file with earlier entries."""
        newest = [file.stem for file in self._files()[-1:]]
        days = [str(entry.content["at"])[:10] for entry in entries]
        return list(accumulate([*newest, *days], max))[len(newest) :]

    def _append(self, day: str, entries: Sequence[Entry]) -> None:
        file = self.folder / f"{day}.ndjson"
        new = not file.exists()
        with open(file, "ab", opener=_opened) as opened:
            opened.write(b"".join(f"{entry.line()}\n".encode() for entry in entries))
            opened.flush()
            os.fsync(opened.fileno())
        if new:
            _sync_folder(self.folder)

    def _last(self) -> int:
        """The position of the last whole line; a torn one behind it is cut off."""
        for file in reversed(self._files()):
            _cut_torn(file)
            if line := _last_line(file):
                return int(orjson.loads(line)["position"])
        return 0

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if DAY.fullmatch(path.name))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        for made in (self.folder.parent, self.folder):
            made.mkdir(FOLDERS, parents=True, exist_ok=True)
        with open(self.folder / ".lock", "w", opener=_opened) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, FILES)


def _cut_torn(file: Path) -> None:
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        keep = _end_of_last_line(opened, size)
        if keep < size:
            opened.truncate(keep)
            os.fsync(opened.fileno())


def _end_of_last_line(opened: object, size: int) -> int:
    place = size
    while place > 0:
        first = max(0, place - TAIL)
        opened.seek(first)  # type: ignore[attr-defined]
        found = opened.read(place - first).rfind(b"\n")  # type: ignore[attr-defined]
        if found >= 0:
            return int(first + found + 1)
        place = first
    return 0


def _last_line(file: Path) -> bytes:
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        if size == 0:
            return b""
        begin = _end_of_last_line(opened, size - 1)
        opened.seek(begin)
        return opened.read()


def _lines(file: Path) -> list[bytes]:
    return [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
