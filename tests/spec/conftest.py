"""Scoring tables: the fixture that reads them.

A table has one column for each item it is about and one, marked `=`, for each scale. A cell holds a code, `NA`
(not applicable) or nothing (not answered); under a scale the expected value, or `-` for no score. Items without
a column are not answered.
"""

from __future__ import annotations

from typing import Any

import pytest

from epro.questionnaires.bulk import encode, score_codes
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.library import bundled_instrument
from epro.questionnaires.scoring import score


@pytest.fixture
def scoring_spec():
    return check_table


def check_table(code: str, version: str, table: str) -> None:
    """Every row, scored singly and in bulk, gives exactly the values it expects."""
    instrument = bundled_instrument(code, version)
    rows = read(table)
    assert rows, "a table without rows proves nothing"
    for number, row in enumerate(rows, 1):
        answers = {name: answer(cell) for name, cell in row.items() if not name.startswith("= ")}
        expected = {name[2:]: result(cell) for name, cell in row.items() if name.startswith("= ")}
        assert expected, "a row without an expected score proves nothing"
        assert singly(instrument, answers, expected) == expected, f"row {number}"
        assert in_bulk(instrument, answers, expected) == expected, f"row {number}, in bulk"


def read(table: str) -> list[dict[str, str]]:
    lines = [
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.strip().splitlines()
    ]
    head, *rows = lines
    return [dict(zip(head, row, strict=True)) for row in rows]


def answer(cell: str) -> int | str | None:
    if cell in ("", "NA"):
        return cell or None
    return int(cell)


def result(cell: str) -> float | None:
    return None if cell == "-" else float(cell)


def singly(instrument: Instrument, answers: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    return {one.scale: one.value for one in score(instrument, answers) if one.scale in wanted}


def in_bulk(instrument: Instrument, answers: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    columns = score_codes(instrument, encode(instrument, [answers]))
    values = {column.scale: column.value[0] for column in columns if column.scale in wanted}
    return {name: None if value != value else float(value) for name, value in values.items()}
