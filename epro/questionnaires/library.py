"""The instruments that ship with the project, read from package data."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from epro import canonical
from epro.errors import NotFound
from epro.questionnaires.instrument import Instrument, parse


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


@cache
def _bundled() -> tuple[Instrument, ...]:
    folder = files("epro.questionnaires").joinpath("instruments")
    sources = [entry for entry in folder.iterdir() if entry.name.endswith(".json")]
    read = [parse(canonical.decode(source.read_bytes())) for source in sources]
    return tuple(sorted(read, key=_by_code_then_version))


def _by_code_then_version(instrument: Instrument) -> tuple[str, list[int]]:
    return instrument.code, [int(part) for part in instrument.version.split(".")]
