"""The instruments that ship with the project, read from package data.

A scoring table that belongs to an instrument's owner stands in a file of its own under `tables/`, with its source
and rights, and is put into the definition when that is read: digest and published copy then hold the numbers too.
Taking such a file out takes out the instruments that need it, and nothing else.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from epro import canonical
from epro.errors import NotFound
from epro.questionnaires.instrument import Instrument, InstrumentFault, parse
from epro.questionnaires.parts import Fault
from epro.questionnaires.sense import beside, senseless

# Answers of this code or more want a person at once, whatever the scores come to. PHQ-9: item 9 (CamCOPS documentation,
# phq9). Scoring does not know of it: the alerts of a study's file must look.
SAFETY_ITEMS = {"phq9": {"phq09": 1}}


class UnknownInstrument(NotFound):
    """No instrument is bundled under this code and version."""

    code = "unknown_instrument"


def bundled() -> list[Instrument]:
    """Every bundled instrument, by code, then version from old to new."""
    return list(_bundled())


def bundled_instrument(code: str, version: str | None = None) -> Instrument:
    """The bundled instrument of this code, the newest version unless named. Raises UnknownInstrument."""
    found = [one for one in _bundled() if one.code == code and version in (None, one.version)]
    if not found:
        raise UnknownInstrument()
    return found[-1]


def definition(data: Any) -> Instrument:
    """The instrument that a new definition describes; `parse`, and whether it makes sense beside the bundled ones.

    Raises InstrumentFault, all faults named.
    """
    found: list[Fault] = []
    try:
        instrument = parse(data)
        data = instrument.document()
    except InstrumentFault as fault:
        found += [Fault(**one) for one in fault.errors]
    if isinstance(data, dict):
        found += [*senseless(data), *beside(data, _codes_of)]
    if found:
        raise InstrumentFault(found)
    return instrument


def _codes_of(code: str) -> dict[str, tuple[int, ...]] | None:
    known = [one for one in _bundled() if one.code == code]
    return {item.id: item.codes for item in known[-1].items} if known else None


@cache
def _bundled() -> tuple[Instrument, ...]:
    folder = files("epro.questionnaires").joinpath("instruments")
    sources = [entry for entry in folder.iterdir() if entry.name.endswith(".json")]
    whole = [with_tables(canonical.decode(source.read_bytes())) for source in sources]
    read = [parse(data) for data in whole if data is not None]
    return tuple(sorted(read, key=_by_code_then_version))


def with_tables(data: Any) -> Any | None:
    """The definition with its tables in place of their files' names; None where a file has been taken out."""
    named = data.get("tables") if isinstance(data, dict) else None
    if not isinstance(named, dict):
        return data
    tables = {name: _table(told) if isinstance(told, str) else told for name, told in named.items()}
    return None if None in tables.values() else data | {"tables": tables}


def _table(name: str) -> Any | None:
    found = files("epro.questionnaires").joinpath("tables", name)
    return canonical.decode(found.read_bytes()) if found.is_file() else None


def _by_code_then_version(instrument: Instrument) -> tuple[str, list[int]]:
    return instrument.code, [int(part) for part in instrument.version.split(".")]


def derived_from(code: str) -> Instrument | None:
    """The first version of the bundled instrument whose items are days of this one, or None."""
    return _derived().get(code)


@cache
def _derived() -> dict[str, Instrument]:
    newest_first = reversed(_bundled())
    return {one.derived_from["instrument"]: one for one in newest_first if one.derived_from}
