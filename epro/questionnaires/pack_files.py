"""The files in which wording travels: CSV for a spreadsheet, XLIFF 2.0 for a translator's tool. Pure.

Both hold the same keys and give the same pack. What comes in is untrusted: no file is larger than `LARGEST`, and
XML with a document type (the way to entities and outside files) is refused before anything in it is looked at.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.parsers import expat

from epro.questionnaires import packs
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.pack_checks import META, FindInstrument, Row, check, places_of
from epro.questionnaires.packs import FACTS, Pack, PackFault

LARGEST = 2 * 1024 * 1024  # bytes
HEADER = ("key", "placeholder_label", "text")
XLIFF = "urn:oasis:names:tc:xliff:document:2.0"
VERSIONS = ("2.0", "2.1")  # share one namespace


class Unreadable(Exception):
    """The file cannot be read any further."""

    def __init__(self, place: str, code: str, detail: str, mend: str):
        self.fault = PackFault(place, code, detail, mend)
        super().__init__(code)


def csv_template(instrument: Instrument, language: str) -> str:
    """A table to fill. Its first character tells a spreadsheet that it is UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADER)
    writer.writerows(_lines(instrument, language, language))
    return "\ufeff" + out.getvalue()


def xliff_template(instrument: Instrument, language: str) -> str:
    """The same to fill in a translator's tool; the sources are our labels, in English where there are any."""
    source = "en" if "en" in instrument.wording else instrument.languages[0]
    root = ElementTree.Element("xliff", xmlns=XLIFF, version="2.0", srcLang=source, trgLang=language)
    name = f"{instrument.code}-{instrument.version}"
    file = ElementTree.SubElement(root, "file", id="wording", original=name, canResegment="no")
    for key, label, text in _lines(instrument, language, source):
        unit = ElementTree.SubElement(file, "unit", id=key)
        segment = ElementTree.SubElement(unit, "segment", state="translated" if text else "initial")
        ElementTree.SubElement(segment, "source").text = label
        ElementTree.SubElement(segment, "target").text = text
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def read(raw: bytes, find: FindInstrument) -> tuple[Pack | None, list[PackFault]]:
    """The pack in a file of either kind, or None and every fault of it."""
    try:
        text = _text(raw)
        rows = _xliff(text) if text.lstrip().startswith("<") else _csv(text)
    except Unreadable as stop:
        return None, [stop.fault]
    return check(rows, find)


def _lines(instrument: Instrument, language: str, labels: str) -> Iterator[tuple[str, str, str]]:
    known = {
        "instrument": instrument.code, "instrument_version": instrument.version, "language": language,
    }  # fmt: skip
    for name, meaning in FACTS.items():
        yield META + name, meaning, known.get(name, "")
    for place in places_of(instrument):
        yield place.key, packs.ours(place.labels, labels), ""


def _text(raw: bytes) -> str:
    if len(raw) > LARGEST:
        raise Unreadable("file", "too_large", f"It has over {LARGEST} bytes.", "Send the pack alone.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = raw[: fault.start].count(b"\n") + 1
        mend = "Save it as UTF-8 (in a spreadsheet: CSV UTF-8)."
        raise Unreadable(f"line {line}", "not_utf8", "The file is not UTF-8.", mend) from None
    if not text.strip():
        raise Unreadable(
            "file", "empty_file", "There is nothing in the file.", "Make a template and fill it."
        )
    return text


def _tidy(text: str | None) -> str:
    """Without the blanks around it, which nobody means, and with one kind of line break."""
    return (text or "").replace("\r\n", "\n").replace("\r", "\n").strip()


# CSV


def _csv(text: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    found: list[Row] = []
    try:
        header = tuple(cell.strip() for cell in next(reader))[: len(HEADER)]
        if header != HEADER:
            mend = f"The first line is {','.join(HEADER)}."
            raise Unreadable("line 1", "bad_header", "The columns are not those of the template.", mend)
        for cells in reader:
            found += _row(cells, reader.line_num)
    except csv.Error as fault:
        mend = "Quote a text that holds commas, quotes or line breaks, and double the quotes within."
        raise Unreadable(f"line {reader.line_num}", "bad_csv", f"{fault}.", mend) from None
    return found


def _delimiter(text: str) -> str:
    """What follows the first column's name: spreadsheets of some countries write semicolons or tabs."""
    first = text.split("\n", 1)[0]
    return next((mark for mark in ";\t" if first.startswith(f"key{mark}")), ",")


def _row(cells: list[str], line: int) -> list[Row]:
    if not any(cell.strip() for cell in cells):
        return []
    if len(cells) < len(HEADER) or any(cell.strip() for cell in cells[len(HEADER) :]):
        detail = f"{len(HEADER)} columns are needed, here are {len(cells)}."
        raise Unreadable(f"line {line}", "bad_row", detail, "Quote a text that holds the separator.")
    return [Row(f"line {line}", cells[0].strip(), _tidy(cells[2]))]


# XLIFF


def _xliff(text: str) -> list[Row]:
    _refuse_document_type(text)
    root = ElementTree.fromstring(text)
    _check_root(root)
    found = [_unit(unit) for unit in root.iter(f"{{{XLIFF}}}unit")]
    declared, said = root.get("trgLang", ""), {row.key: row for row in found}.get(META + "language")
    if said is not None and said.text and said.text != declared:
        detail = f"trgLang is {declared[:40]}, and meta.language {said.text[:40]}."
        raise Unreadable(said.place, "other_language", detail, "Name one language in both places.")
    return found


def _refuse_document_type(text: str) -> None:
    """A look through the whole file with the bare parser, which stops at the first sign of a document type."""

    def stop(*_: object) -> None:
        mend = "Take the DOCTYPE out: entities and outside files are not followed."
        raise Unreadable(f"line {parser.CurrentLineNumber}", "dtd_refused", "It has a document type.", mend)

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = stop
    try:
        parser.Parse(text, True)
    except expat.ExpatError as fault:
        detail = f"{expat.ErrorString(fault.code)}."
        raise Unreadable(f"line {fault.lineno}", "bad_xml", detail, "Export the file again.") from None


def _check_root(root: ElementTree.Element) -> None:
    if not root.tag.endswith("}xliff") and root.tag != "xliff":
        raise Unreadable("line 1", "not_xliff", "It is XML and no XLIFF.", "Send XLIFF 2.0, or CSV.")
    if root.tag != f"{{{XLIFF}}}xliff" or root.get("version") not in VERSIONS:
        detail = f"Version {root.get('version', '')[:10]} is not read."
        raise Unreadable("line 1", "other_xliff_version", detail, "Export it as XLIFF 2.0, or send CSV.")
    if not root.get("trgLang"):
        mend = "Set trgLang on <xliff>."
        raise Unreadable("line 1", "no_target_language", "No target language is named.", mend)


def _unit(unit: ElementTree.Element) -> Row:
    key = unit.get("id", "")
    segments = unit.findall(f"{{{XLIFF}}}segment")
    if len(segments) != 1:
        mend = "Join its segments before the export."
        raise Unreadable(f"unit {key}", "split_unit", f"It has {len(segments)} segments, not one.", mend)
    target = segments[0].find(f"{{{XLIFF}}}target")
    if target is not None and len(target):
        mend = "Write plain words without inline codes."
        raise Unreadable(f"unit {key}", "inline_markup", "Its target holds inline codes.", mend)
    return Row(f"unit {key}", key, _tidy(target.text if target is not None else ""))
