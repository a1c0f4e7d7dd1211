"""SAS XPORT version 5 (SAS technical note TS-140), a file for each SDTM dataset. Pure.

What the format cannot carry is refused, with its place and the mend, and never cut: names over 8 characters, labels
over 40, texts over 200 bytes, anything but ASCII. Written by hand, row by row: the stamps in the file are the cut's,
so the same cut gives the same bytes, and memory stays as it is however many rows there are.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import orjson

from epro.errors import Invalid
from epro.export import csv_files, define, dictionary, sdtm
from epro.export.extract import Extract, Options
from epro.export.files import Folder
from epro.export.sdtm import Variable
from epro.export.spool import Spool, spool

LONGEST_NAME, LONGEST_LABEL, LONGEST_TEXT = 8, 40, 200
RECORD = 80
MISSING = b"\x2e" + bytes(7)
NAMESTR = struct.Struct(">hhhh8s40s8shhh2s8shhl52s")
MOST_TOLD = 50


class NotTransportable(Invalid):
    """XPORT cannot carry this; see errors for each place and its mend, or take Dataset-JSON, which can."""

    code = "not_transportable"


def write(extract: Extract, folder: Folder, options: Options) -> None:
    """A file for each dataset, named in lower case, define.xml and the dictionary. Raises NotTransportable."""
    spools = spool(extract, options, folder.path)
    try:
        refuse(spools)
        for one in spools:
            name = f"{one.dataset.name.lower()}.xpt"
            dataset(folder.at(name), one, extract.cut.at)
            folder.note(name, one.rows)
    finally:
        for one in spools:
            one.path.unlink()
    described = [(one.dataset, one.widths, f"{one.dataset.name.lower()}.xpt") for one in spools]
    folder.write("define.xml", define.document(extract, options, described))
    dictionary.write(extract, folder, [], csv_files.encoded)


def refuse(spools: list[Spool]) -> None:
    """Raise NotTransportable if anything does not fit, naming every place (the first fifty)."""
    faults = [fault for one in spools for fault in (*_faults_of_names(one), *_faults_of_values(one))]
    if faults:
        raise NotTransportable(errors=faults[:MOST_TOLD])


def _faults_of_names(spool: Spool) -> Iterator[dict[str, str]]:
    dataset = spool.dataset
    named = [(dataset.name, dataset.label), *((one.name, one.label) for one in dataset.variables)]
    for name, label in named:
        place = f"/{dataset.name}" + ("" if name == dataset.name else f"/{name}")
        if len(name) > LONGEST_NAME or not name.isascii():
            yield _fault(
                place, "The name has more than 8 characters, or others than ASCII: give a shorter one."
            )
        if len(label) > LONGEST_LABEL or not label.isascii():
            yield _fault(
                place, "The label has more than 40 characters, or others than ASCII: give a shorter one."
            )


def _faults_of_values(spool: Spool) -> Iterator[dict[str, str]]:
    names = [one.name for one in spool.dataset.variables]
    for number, line in enumerate(spool.lines(), 1):
        if line.isascii() and b"\\u" not in line and max(spool.widths) <= LONGEST_TEXT:
            continue
        for name, value in zip(names, orjson.loads(line), strict=True):
            place = f"/{spool.dataset.name}/{number}/{name}"
            if isinstance(value, str) and not value.isascii():
                yield _fault(
                    place,
                    "Other characters than ASCII: give the definition an English text, or take Dataset-JSON.",
                )
            elif isinstance(value, str) and len(value) > LONGEST_TEXT:
                yield _fault(place, "More than 200 bytes: shorten the text, or take Dataset-JSON.")


def _fault(place: str, detail: str) -> dict[str, str]:
    return {"pointer": place, "code": "not_transportable", "detail": detail}


def dataset(target: Path, spool: Spool, at: datetime) -> None:
    """One dataset as a transport file."""
    variables = spool.dataset.variables
    lengths = [
        8 if _is_number(one) else max(width, 1)
        for one, width in zip(variables, spool.widths or [1] * len(variables), strict=True)
    ]
    stamp = at.astimezone(UTC).strftime("%d%b%y:%H:%M:%S").upper()
    with target.open("wb", 1 << 20) as file:
        _heads(file, spool, lengths, stamp)
        written = _rows(file, spool, lengths)
        file.write(b" " * (-written % RECORD))


def _heads(file: BinaryIO, spool: Spool, lengths: list[int], stamp: str) -> None:
    name, label = spool.dataset.name, spool.dataset.label
    system = f"{'9.4':<8}{'EPRO':<8}"
    file.write(_header("LIBRARY", 0))
    file.write(_record(f"{'SAS':<8}{'SAS':<8}{'SASLIB':<8}{system}{'':24}{stamp}"))
    file.write(_record(stamp))
    file.write(_header("MEMBER", 0, "01600000000140"))
    file.write(_header("DSCRPTR", 0))
    file.write(_record(f"{'SAS':<8}{name:<8}{'SASDATA':<8}{system}{'':24}{stamp}"))
    file.write(_record(f"{stamp}{'':16}{label:<40}{'':8}"))
    file.write(_header("NAMESTR", len(lengths)))
    described = b"".join(_namestrs(spool.dataset.variables, lengths))
    file.write(described + b" " * (-len(described) % RECORD))
    file.write(_header("OBS", 0))


def _header(kind: str, count: int, end: str = "00000000000000") -> bytes:
    return _record(f"HEADER RECORD*******{kind:<8}HEADER RECORD!!!!!!!{count:010}000000{end}")


def _record(text: str) -> bytes:
    return text.ljust(RECORD).encode("ascii")[:RECORD]


def _namestrs(variables: tuple[Variable, ...], lengths: list[int]) -> Iterator[bytes]:
    position = 0
    for number, (one, length) in enumerate(zip(variables, lengths, strict=True), 1):
        texts = [text.encode("ascii") for text in (f"{one.name:<8}", f"{one.label:<40}", f"{'':8}")]
        kind = 1 if _is_number(one) else 2
        yield NAMESTR.pack(
            kind, 0, length, number, *texts, 0, 0, 0, bytes(2), texts[2], 0, 0, position, bytes(52)
        )
        position += length


def _rows(file: BinaryIO, spool: Spool, lengths: list[int]) -> int:
    shape = list(zip(map(_is_number, spool.dataset.variables), lengths, strict=True))
    written = 0
    for values in spool.values():
        row = b"".join(
            [
                _number(value) if number else (value or "").encode("ascii").ljust(length)
                for (number, length), value in zip(shape, values, strict=True)
            ]
        )
        file.write(row)
        written += len(row)
    return written


def _is_number(variable: Variable) -> bool:
    return variable.type in (sdtm.INTEGER, sdtm.FLOAT)


@lru_cache(maxsize=65_536)
def _number(value: float | None) -> bytes:
    """A number as IBM's mainframes had it: sign, exponent of 16, 56 bits. Exact for every double in its range."""
    if value is None:
        return MISSING
    if value == 0:
        return bytes(8)
    fraction, exponent = math.frexp(abs(value))
    sixteens = -(-exponent // 4)
    if not -64 <= sixteens <= 63:
        raise NotTransportable("A number is too large or too small for XPORT.")
    bits = int(math.ldexp(fraction, 56 - (4 * sixteens - exponent)))
    sign = 0x80 if value < 0 else 0
    return bytes([sign | (sixteens + 64)]) + bits.to_bytes(7, "big")
