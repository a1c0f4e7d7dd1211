"""What an export is made from, and what it may show. Pure.

An `Extract` is a study at a cut, for one reader: the same cut and the same reader give the same bytes, for ever.
Writers ask it for subjects one at a time, as often as they like, and never hold more than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from epro.export.records import Subject
from epro.questionnaires.instrument import Instrument, Item, Scale
from epro.scheduling.protocol import Protocol, Visit


@dataclass(frozen=True)
class CutPoint:
    """The place in a study's feed up to which an export reads. `at` is when that position was given."""

    study_id: str
    position: int
    at: datetime
    digest: str
    """SHA-256, hex, of the bytes of the entry at this position; of nothing at position 0."""
    name: str | None = None
    event_id: str | None = None
    """Of the entry at this position; None at position 0."""

    @property
    def stamp(self) -> str:
        """The one instant that stands inside the files, without fractions: 2026-03-02T10:00:00Z."""
        return self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Options:
    """What may be asked of a format beyond its name."""

    flavour: str = "raw"
    """raw: for machines; safe: nothing in a CSV file that a spreadsheet takes for a formula."""
    scores: str = "captured"
    """How scores stand in SDTM: captured (a result as collected) or derived (QSDRVFL = Y)."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What a single format understands."""


@dataclass(frozen=True)
class Extract:
    """A study at a cut for one reader. `blinded`: without the items and scales that are kept from him."""

    cut: CutPoint
    protocols: tuple[Protocol, ...]
    """Every version published up to the cut, the newest first."""
    instrument: Callable[[str, str], Instrument]
    subjects: Callable[[], Iterator[Subject]]
    """From the first, in the order of their ids."""
    blinded: bool = True
    sites: tuple[str, ...] | None = None
    """The sites that are read; None is all of them."""
    software: str = "0"
    scored_by: Callable[[], Iterable[tuple[str, str]]] = tuple
    """Code and version of each definition that a score up to the cut was made by without having been asked: those of a
    diary's weeks, and later ones by which something was scored again.
    """

    @property
    def study_id(self) -> str:
        return self.cut.study_id

    @property
    def protocol(self) -> Protocol:
        """The newest version at the cut."""
        return self.protocols[0]

    @property
    def digest(self) -> str | None:
        """Of the entry at the cut; not for a blinded reader, who would find an answer in it by trying."""
        return None if self.blinded else self.cut.digest

    def version(self, version: str) -> Protocol:
        """The protocol of this version. Raises LookupError."""
        for protocol in self.protocols:
            if protocol.version == version:
                return protocol
        raise LookupError(f"protocol {version} is not published")

    def instruments(self) -> list[Instrument]:
        """What the protocols ask, each version once, by code and then from old to new."""
        asked = {
            (one.instrument.code, one.instrument.version)
            for protocol in self.protocols
            for one in protocol.assessments
        }
        return [self.instrument(*key) for key in sorted(asked, key=_by_version)]

    def definitions(self) -> list[Instrument]:
        """The same, and those by which scores were made: whatever a row may name."""
        known = {(one.code, one.version) for one in self.instruments()} | set(self.scored_by())
        return [self.instrument(*key) for key in sorted(known, key=_by_version)]

    def instrument_missed(self, miss: Mapping[str, Any]) -> Instrument | None:
        """What was not answered, or None. An entry of before it was told is of what the newest protocol asks."""
        asked, assessment = miss.get("instrument"), miss["assessment"]
        if asked:
            return self.instrument(asked["code"], asked["version"])
        for protocol in self.protocols:
            for one in protocol.assessments:
                if one.id == assessment:
                    return self.instrument(one.instrument.code, one.instrument.version)
        return None

    def visit(self, version: str | None, visit: str | None) -> Visit | None:
        """The visit of a response, by its own protocol's version where that is told."""
        if not visit:
            return None
        tried = [self.version(version)] if version else self.protocols
        return next((one for protocol in tried for one in protocol.visits if one.id == visit), None)

    def items(self, instrument: Instrument) -> tuple[Item, ...]:
        """The items that may be shown; those of a diary's week are nobody's: they stand with their days."""
        if instrument.derived_from:
            return ()
        return tuple(item for item in instrument.items if not (self.blinded and item.blinded))

    def scales(self, instrument: Instrument) -> tuple[Scale, ...]:
        """The scales that may be shown."""
        return tuple(scale for scale in instrument.scales if not (self.blinded and scale.blinded))


def _by_version(key: tuple[str, str]) -> tuple[str, list[int]]:
    return key[0], [int(part) for part in key[1].split(".")]
