"""CSV (RFC 4180, UTF-8): `raw` for machines, `safe` for people with spreadsheets. Pure.

Raw: an empty cell is missing, `""` is an empty text. Safe: besides, nothing that came from outside can be taken for
a formula: not at the start of a cell, and not behind what another locale's spreadsheet takes for a separator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, BinaryIO

from epro.export import dictionary
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.sheets import Sheet, blocks, number_text, sheets

SPECIAL = re.compile(r'[",\r\n]')
# What begins a formula, in ASCII and in its full-width form, at the start or behind a separator or a line's end.
FORMULA = re.compile(r"(^|[;,\t\r\n|])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20\t\r])")
BOM = b"\xef\xbb\xbf"  # by which a spreadsheet knows that this is UTF-8
BUFFER = 1 << 20
MOST_KEPT = 50_000
Cell = Callable[[Any], str]


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """A file for each table, and the dictionary."""
    cell = safe if options.flavour == "safe" else raw
    start = BOM if options.flavour == "safe" else b""
    wanted = options.extra.get("tables")
    chosen = [sheet for sheet in sheets(extract) if wanted is None or sheet.name in wanted]
    with ExitStack() as opened:
        files: dict[str, BinaryIO] = {
            sheet.name: opened.enter_context(open(folder.at(f"{sheet.name}.csv"), "wb", BUFFER))
            for sheet in chosen
        }
        written = _write(extract, chosen, files, cell, start)
    for name, rows in written.items():
        folder.note(f"{name}.csv", rows)
    dictionary.write(extract, folder, chosen, lambda lines: start + encoded(lines, cell))


def raw(value: Any) -> str:
    """A cell as it is; None is an empty one."""
    if value is None:
        return ""
    if isinstance(value, str):
        if not value or SPECIAL.search(value):
            return '"' + value.replace('"', '""') + '"'
        return value
    return number_text(value) if isinstance(value, float) else str(value)


def safe(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    return raw(FORMULA.sub(r"\1\2'", value) if isinstance(value, str) else value)


def encoded(lines: Iterable[Iterable[Any]], cell: Cell = raw) -> bytes:
    """Whole lines."""
    return "".join(",".join(map(cell, line)) + "\r\n" for line in lines).encode()


def _write(
    extract: Extract, chosen: list[Sheet], files: dict[str, BinaryIO], cell: Cell, start: bytes
) -> dict[str, int]:
    count = dict.fromkeys(files, 0)
    for sheet in chosen:
        files[sheet.name].write(start + encoded([[column.name for column in sheet.columns]], cell))
    ends = _Ends(cell)
    for block in blocks(extract, files.__contains__):
        head = ",".join(map(cell, block.head)) + ","
        text = "".join([head + ends[row] for row in block.rows])
        files[block.table].write(text.encode())
        count[block.table] += len(block.rows)
    return count


class _Ends(dict[tuple[Any, ...], str]):
    """The ends of lines, as text: the same few answers come again and again."""

    def __init__(self, cell: Cell):
        self.cell = cell

    def __missing__(self, row: tuple[Any, ...]) -> str:
        if len(self) > MOST_KEPT:
            self.clear()
        self[row] = text = ",".join(map(self.cell, row)) + "\r\n"
        return text
