"""The data dictionary that goes with every export: what each column means, and every item and scale with its codes.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from epro.export import rows
from epro.export.extract import Extract
from epro.export.files import Folder
from epro.export.sheets import Sheet
from epro.questionnaires.instrument import Instrument, Item, Scale, Texts

HEAD = (
    *(
        "TABLE",
        "NAME",
        "KIND",
        "TYPE",
        "LABEL",
        "INSTRUMENT",
        "INSTRVER",
        "ID",
        "NUMBER",
        "CODES",
        "REVERSED",
    ),
    *("RANGE", "DIRECTION", "METHOD", "MISSING_RULE", "ITEMS", "ORIGIN", "DIGEST"),
)
Line = dict[str, Any]


def write(
    extract: Extract, folder: Folder, tables: list[Sheet], as_csv: Callable[[Iterable[Iterable[Any]]], bytes]
) -> None:
    """dictionary.csv for people, dictionary.json for programs; both say the same."""
    lines = [*of_columns(tables), *of_parts(extract)]
    table = [HEAD, *map(cells, lines)]
    folder.write("dictionary.csv", as_csv(table), len(lines))
    folder.write("dictionary.json", orjson.dumps(lines, option=orjson.OPT_INDENT_2) + b"\n", len(lines))


def cells(line: Line) -> list[Any]:
    """One line as cells under HEAD."""
    return [_cell(line.get(name)) for name in HEAD]


def of_columns(tables: list[Sheet]) -> list[Line]:
    """Every column of every table."""
    return [
        {
            "TABLE": sheet.name,
            "NAME": column.name,
            "KIND": "column",
            "TYPE": column.type,
            "LABEL": column.label,
        }
        for sheet in tables
        for column in sheet.columns
    ]


def of_parts(extract: Extract) -> list[Line]:
    """Every item and every scale of every definition that a row may name, as far as they may be shown."""
    return [
        line
        for instrument in extract.definitions()
        for line in (
            *(_item(instrument, item) for item in extract.items(instrument)),
            *(_scale(instrument, scale) for scale in extract.scales(instrument)),
        )
    ]


def said(texts: Texts) -> str:
    """A text in English where there is one, else in the first language there is."""
    return texts.get("en") or next(iter(texts.values()))


def _part(instrument: Instrument, part: Item | Scale, kind: str) -> Line:
    return {
        "NAME": rows.test_code(part),
        "KIND": kind,
        "TYPE": "number",
        "LABEL": rows.test_name(part),
        "INSTRUMENT": instrument.code,
        "INSTRVER": instrument.version,
        "ORIGIN": part.sdtm.origin if part.sdtm else "sponsor",
        "DIGEST": instrument.digest,
    }


def _item(instrument: Instrument, item: Item) -> Line:
    return _part(instrument, item, "item") | {
        "ID": item.id,
        "NUMBER": str(item.number),
        "CODES": {str(choice.code): said(choice.label) for choice in item.choices},
        "REVERSED": item.reversed,
    }


def _scale(instrument: Instrument, scale: Scale) -> Line:
    return _part(instrument, scale, "score") | {
        "ID": scale.name,
        "RANGE": list(scale.range),
        "DIRECTION": scale.direction,
        "METHOD": f"{scale.method} {scale.method_version}",
        "MISSING_RULE": str(scale.missing),
        "ITEMS": list(scale.items),
    }


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return "; ".join(f"{code} = {label}" for code, label in value.items())
    if isinstance(value, list):
        return " ".join(str(one) for one in value)
    if isinstance(value, bool):
        return "Y" if value else "N"
    return value
