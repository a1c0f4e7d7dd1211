"""One Excel workbook: a sheet for each table, the dictionary, and what it is. Pure.

Row by row to disk; nothing in it is a formula or a link, whatever was written by whom.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from epro.errors import Invalid
from epro.export import dictionary
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.sheets import Sheet, blocks, sheets

MAIN = "export.xlsx"
MOST_ROWS = 1_048_575  # below the head; a sheet that is full goes on in the next
LONGEST_CELL = 32_767
LONGEST_NAME = 31


class DoesNotFit(Invalid):
    """A value is longer than a cell of Excel may be; take another format."""

    code = "does_not_fit"


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """The workbook."""
    book = xlsxwriter.Workbook(
        str(folder.at(MAIN)),
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "tmpdir": str(folder.path),
        },
    )
    book.set_properties({"created": extract.cut.at.astimezone(UTC).replace(tzinfo=None)})
    try:
        folder.note(MAIN, _fill(book, extract))
    finally:
        book.close()


def _fill(book: Any, extract: Extract) -> int:
    chosen = sheets(extract)
    tables = {sheet.name: _Table(book, sheet.name, _names(sheet)) for sheet in chosen}
    for block in blocks(extract, tables.__contains__):
        for row in block.rows:
            tables[block.table].add((*block.head, *row))
    lines = [*dictionary.of_columns(chosen), *dictionary.of_parts(extract)]
    explained = _Table(book, "dictionary", dictionary.HEAD)
    for line in lines:
        explained.add(dictionary.cells(line))
    about = _Table(book, "about", ("WHAT", "VALUE"))
    for pair in _about(extract):
        about.add(pair)
    return sum(table.rows for table in tables.values()) + len(lines)


def _names(sheet: Sheet) -> list[str]:
    return [column.name for column in sheet.columns]


def _about(extract: Extract) -> list[tuple[str, Any]]:
    cut = extract.cut
    told: list[tuple[str, Any]] = [("study", cut.study_id), ("cut", cut.name), ("position", cut.position)]
    sites = "all" if extract.sites is None else " ".join(extract.sites)
    blinded = "Y" if extract.blinded else "N"
    entry = [("event_id", cut.event_id), ("digest", extract.digest)]
    return [*told, ("at", cut.stamp), *entry, ("sites", sites), ("blinded", blinded)]


class _Table:
    """The sheet, or the sheets, of one table."""

    def __init__(self, book: Any, name: str, head: Iterable[str]):
        self.book, self.name, self.head = book, name, list(head)
        self.rows, self.sheets, self.line = 0, 0, 0
        self.sheet = self._next()

    def add(self, values: Iterable[Any]) -> None:
        if self.line > MOST_ROWS:
            self.sheet = self._next()
        self._write(values)
        self.rows += 1

    def _next(self) -> Worksheet:
        self.sheets, self.line = self.sheets + 1, 0
        suffix = "" if self.sheets == 1 else f"_{self.sheets}"
        self.sheet = self.book.add_worksheet(self.name[: LONGEST_NAME - len(suffix)] + suffix)
        self._write(self.head)
        self.sheet.freeze_panes(1, 0)
        return self.sheet

    def _write(self, values: Iterable[Any]) -> None:
        for place, value in enumerate(values):
            if isinstance(value, str):
                if len(value) > LONGEST_CELL:
                    raise DoesNotFit()
                self.sheet.write_string(self.line, place, value)
            elif value is not None:
                self.sheet.write_number(self.line, place, value)
        self.line += 1
