"""Parquet (zstd), a file for each table. Pure.

Rows are gathered and set down in parts beside, as they come; at the end each part becomes columns and a row group of
the one file. So there is never more in memory than one part of each table.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from epro.export import csv_files, dictionary
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.sheets import NUMBER, TEXT, WHOLE, Block, Column, Sheet, blocks, sheets

PART = 20_000  # rows
TYPES: dict[str, Any] = {TEXT: pl.String, NUMBER: pl.Float64, WHOLE: pl.Int64}


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """A file for each table, and the dictionary."""
    wanted = options.extra.get("tables")
    chosen = [sheet for sheet in sheets(extract) if wanted is None or sheet.name in wanted]
    tables = {sheet.name: _Table(sheet, folder.path) for sheet in chosen}
    for block in blocks(extract, tables.__contains__):
        tables[block.table].add(block)
    for name, table in tables.items():
        folder.note(f"{name}.parquet", table.close(folder.at(f"{name}.parquet")))
    dictionary.write(extract, folder, chosen, csv_files.encoded)


class _Table:
    """One table on its way: the part at hand, and the parts that are done.

    Of the part at hand each head stands once, and each end of a row that is not like one before; where they belong is
    told by numbers, so that columns are made of what differs alone.
    """

    def __init__(self, sheet: Sheet, beside: Path):
        self.sheet, self.beside = sheet, beside
        self.heads: list[tuple[Any, ...]] = []
        self.counts: list[int] = []  # how many rows begin with each head
        self.ends: dict[tuple[Any, ...], int] = {}
        self.places: list[int] = []  # the end of each row
        self.gathered, self.rows, self.parts = 0, 0, list[Path]()

    def add(self, block: Block) -> None:
        self.heads.append(block.head)
        self.counts.append(len(block.rows))
        ends = self.ends
        self.places += [ends.setdefault(row, len(ends)) for row in block.rows]
        self.gathered += len(block.rows)
        if self.gathered >= PART:
            self._set_down()

    def close(self, target: Path) -> int:
        """Make the one file of the parts; returns its rows."""
        self._set_down()
        whole = register_io_source(self._frames, schema=self._frame((), (), (), ()).schema)
        whole.sink_parquet(target, row_group_size=PART, maintain_order=True)
        return self.rows

    def _set_down(self) -> None:
        part = self.beside / f".{self.sheet.name}.{len(self.parts):06}.part"
        part.write_bytes(marshal.dumps((self.heads, self.counts, list(self.ends), self.places)))
        self.parts.append(part)
        self.rows += self.gathered
        self.heads, self.counts, self.gathered = [], [], 0
        self.ends, self.places = {}, []

    def _frames(self, *asked: Any) -> Iterator[pl.DataFrame]:
        """The parts as columns, one after the other, as whoever writes them asks for them: all of each."""
        for part in self.parts:
            yield self._frame(*marshal.loads(part.read_bytes()))
            part.unlink()

    def _frame(
        self,
        heads: Sequence[tuple[Any, ...]],
        counts: Sequence[int],
        ends: Sequence[tuple[Any, ...]],
        places: Sequence[int],
    ) -> pl.DataFrame:
        """Heads and ends are made into columns once each, and then repeated as often as rows have them."""
        of_heads = np.repeat(np.arange(len(heads)), np.array(counts, dtype=np.int64))
        begins = _columns(self.sheet.head, heads)[of_heads]
        return begins.hstack(_columns(self.sheet.rest, ends)[np.array(places, dtype=np.int64)])


def _columns(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pl.DataFrame(list(map(_series, columns, values)))


def _series(column: Column, values: Any) -> pl.Series:
    return pl.Series(column.name, values, dtype=TYPES[column.type], strict=False)
