"""Scoring tables: the fixture that reads them.

A table has one column for each item it is about and one, marked `=`, for each scale. A cell holds a code, `NA`
(not applicable), `REFUSED`, or nothing (not answered); under a scale the expected value, or `-` for no score, or
the reason for there being none. The column `rest` holds the answer of every item that has no column; without it
they are not answered.
"""

from __future__ import annotations

from typing import Any

import pytest

from epro.questionnaires.bulk import encode, outcomes, score_codes
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
        rest = answer(row.get("rest", ""))
        answers = {item.id: rest for item in instrument.items} if rest is not None else {}
        answers |= {
            name: answer(cell) for name, cell in row.items() if name != "rest" and not name.startswith("= ")
        }
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
    return int(cell) if cell.isdigit() else cell or None


def result(cell: str) -> float | str | None:
    if cell == "-":
        return None
    return cell if cell[0].isalpha() else float(cell)


def told(value: float | None, reason: str | None, wanted: Any) -> float | str | None:
    """The value, or its absence, or the reason of its absence where a reason is expected."""
    return reason if value is None and isinstance(wanted, str) else value


def singly(instrument: Instrument, answers: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    scores = {one.scale: one for one in score(instrument, answers)}
    return {
        name: told(scores[name].value, scores[name].reason, wanted[name]) for name in wanted if name in scores
    }


def in_bulk(instrument: Instrument, answers: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    columns = {column.scale: column for column in score_codes(instrument, encode(instrument, [answers]))}
    found = {name: outcomes(instrument, columns[name])[0] for name in wanted if name in columns}
    for name, (value, _) in found.items():
        column = columns[name].value[0]
        assert value == column or (value is None and column != column)
    return {name: told(*outcome, wanted[name]) for name, outcome in found.items()}
