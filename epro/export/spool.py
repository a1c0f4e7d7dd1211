"""SDTM datasets set down row by row, so that what stands before the rows (how many, how long) can be told. Pure.

A row is a line: a JSON array, which is also what Dataset-JSON's line format has. Whoever needs the values reads them
back one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from epro.export import sdtm
from epro.export.extract import Extract, Options
from epro.export.sdtm import Block, Dataset

BUFFER = 1 << 20
MOST_KEPT = 50_000


@dataclass
class Spool:
    """The rows of one dataset in a file of their own. `widths`: of each variable the longest text, in bytes."""

    dataset: Dataset
    path: Path
    rows: int = 0
    widths: list[int] = field(default_factory=list)

    def lines(self) -> Iterator[bytes]:
        """Every row as its line, with its end."""
        with self.path.open("rb", BUFFER) as file:
            yield from file

    def values(self) -> Iterator[list[Any]]:
        """Every row as values."""
        return map(orjson.loads, self.lines())


def spool(extract: Extract, options: Options, beside: Path) -> list[Spool]:
    """The datasets of a study, each set down beside; the caller removes them. Supplements only where they have rows."""
    made = {one.name: Spool(one, beside / f".{one.name}.rows") for one in sdtm.datasets(extract)}
    pieces = _Pieces()
    with ExitStack() as opened:
        files: dict[str, BinaryIO] = {
            name: opened.enter_context(open(one.path, "wb", BUFFER)) for name, one in made.items()
        }
        for block in sdtm.blocks(extract, options):
            files[block.dataset].write(_lines(block, pieces).encode())
            made[block.dataset].rows += len(block.rows)
            _measure(made[block.dataset], block, pieces)
    kept = [one for one in made.values() if one.rows or not one.dataset.supplemental]
    for one in made.values():
        if one not in kept:
            one.path.unlink()
    return kept


def _lines(block: Block, pieces: _Pieces) -> str:
    head = "[" + inside(block.head) + ","
    end = ("," + inside(block.timing) if block.timing else "") + "]\n"
    if block.first is None:
        return "".join([head + pieces.text(row) + end for row in block.rows])
    sitting = "," + inside(block.sitting) + ","
    return "".join(
        [
            f"{head}{number}{sitting}{pieces.text(row)}{end}"
            for number, row in enumerate(block.rows, block.first)
        ]
    )


def inside(values: tuple[Any, ...]) -> str:
    """Values as JSON, without the brackets."""
    return orjson.dumps(values)[1:-1].decode()


class _Pieces:
    """Answers as JSON text, and which of them have been measured: the same few come again and again."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], str] = {}
        self.fresh: list[tuple[Any, ...]] = []

    def text(self, row: tuple[Any, ...]) -> str:
        found = self.known.get(row)
        if found is None:
            if len(self.known) > MOST_KEPT:
                self.known.clear()
            found = self.known[row] = inside(row)
            self.fresh.append(row)
        return found


def _measure(spool: Spool, block: Block, pieces: _Pieces) -> None:
    """Note how long the texts of this block are; those of rows that are known have been noted."""
    number = () if block.first is None else (None,)
    before = (*block.head, *number, *block.sitting)
    if not spool.widths:
        spool.widths = [0] * len(spool.dataset.variables)
    _wider(spool.widths, 0, before)
    for row in pieces.fresh:
        _wider(spool.widths, len(before), row)
    _wider(spool.widths, len(spool.dataset.variables) - len(block.timing), block.timing)
    pieces.fresh.clear()


def _wider(widths: list[int], start: int, values: tuple[Any, ...]) -> None:
    for place, value in enumerate(values, start):
        if isinstance(value, str) and len(value.encode()) > widths[place]:
            widths[place] = len(value.encode())
