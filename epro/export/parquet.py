"""Parquet (zstd), a file for each table. Pure.

Rows are gathered by column and set down in parts of their own beside; at the end the parts become the row groups of
one file. So there is never more in memory than one part of each table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from epro.export import csv_files, dictionary
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.sheets import NUMBER, TEXT, WHOLE, Block, Sheet, blocks, sheets

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
    """One table on its way: the columns of the part at hand, and the parts that are done."""

    def __init__(self, sheet: Sheet, beside: Path):
        self.sheet, self.beside = sheet, beside
        self.columns: list[list[Any]] = [[] for _ in sheet.columns]
        self.gathered, self.rows, self.parts = 0, 0, list[Path]()

    def add(self, block: Block) -> None:
        count, wide = len(block.rows), len(block.head)
        for column, value in zip(self.columns, block.head, strict=False):
            column.extend([value] * count)
        for column, values in zip(self.columns[wide:], zip(*block.rows, strict=True), strict=True):
            column.extend(values)
        self.gathered += count
        if self.gathered >= PART:
            self._set_down()

    def close(self, target: Path) -> int:
        """Make the one file of the parts; returns its rows."""
        if not self.parts:
            self.rows = self.gathered
            self._frame().write_parquet(target, row_group_size=PART)
            return self.rows
        self._set_down()
        whole = pl.scan_parquet(self.parts, low_memory=True)
        whole.sink_parquet(target, row_group_size=PART, maintain_order=True)
        for part in self.parts:
            part.unlink()
        return self.rows

    def _set_down(self) -> None:
        part = self.beside / f".{self.sheet.name}.{len(self.parts):06}.part"
        self._frame().write_parquet(part)
        self.parts.append(part)
        self.rows += self.gathered
        self.columns, self.gathered = [[] for _ in self.columns], 0

    def _frame(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                pl.Series(column.name, values, dtype=TYPES[column.type], strict=False)
                for column, values in zip(self.sheet.columns, self.columns, strict=True)
            ]
        )
