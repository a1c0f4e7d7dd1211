"""An instrument: a questionnaire or diary in one version, as frozen data read from JSON.

The definition says what is asked and how it is scored; it holds no expressions. `instrument.schema.json`
describes its format, `faults.py` what a schema cannot say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from rfc8785 import CanonicalizationError

from epro import canonical
from epro.errors import Invalid, NotFound
from epro.questionnaires.faults import Fault, faults_of

Texts = Mapping[str, str]
"""One text in each language of the definition: language tag -> text."""

NOT_APPLICABLE = "NA"
"""The answer 'not applicable', on items that offer it. Counts as unanswered in every missing rule."""


class InstrumentFault(Invalid):
    """The instrument definition has faults; see errors."""

    code = "instrument_fault"

    def __init__(self, faults: list[Fault]):
        lines = "; ".join(f"{fault.pointer or '/'} {fault.code}: {fault.detail}" for fault in faults)
        super().__init__(f"{len(faults)} faults: {lines}", errors=[fault._asdict() for fault in faults])


class UnknownLanguage(NotFound):
    """The instrument has no wording in this language."""

    code = "unknown_language"


@dataclass(frozen=True, slots=True)
class SdtmTest:
    """SDTM names of an item or score. `origin` is cdisc (controlled terminology) or sponsor (our own)."""

    qstestcd: str
    qstest: str
    origin: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its code (0-250) and label."""

    code: int
    label: Texts


@dataclass(frozen=True, slots=True)
class Item:
    """One question. `number` is as printed on the form; `text` is what the participant reads."""

    id: str
    number: int | str
    label: Texts
    text: Texts
    choices: tuple[Choice, ...]
    reversed: bool
    not_applicable: bool
    blinded: bool
    owner_code: str | None
    sdtm: SdtmTest | None

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes on offer, in the order of the form."""
        return tuple(choice.code for choice in self.choices)

    @property
    def scored_codes(self) -> dict[int, int]:
        """Code as stored -> code as scored: lowest + highest - code where reversed, else itself."""
        turn = min(self.codes) + max(self.codes)
        return {code: turn - code if self.reversed else code for code in self.codes}


@dataclass(frozen=True, slots=True)
class MissingRule:
    """How many items of a scale must be answered for a score. Never fewer than one."""

    kind: str
    k: int | None = None

    def minimum(self, expected: int) -> int:
        """The least number of answered items of `expected`; exactly half is enough for at_least_half only."""
        least = {"at_least_half": (expected + 1) // 2, "more_than_half": expected // 2 + 1, "all": expected}
        return self.k or least[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}_{self.k}" if self.k else self.kind


@dataclass(frozen=True, slots=True)
class Scale:
    """A number computed from items by a named method. `direction` is higher_is_better or higher_is_worse."""

    name: str
    label: Texts
    method: str
    method_version: int
    items: tuple[str, ...]
    missing: MissingRule
    range: tuple[int, int]
    direction: str
    blinded: bool
    sdtm: SdtmTest | None


@dataclass(frozen=True, eq=False)
class Instrument:
    """One version of a definition. Two are equal when their digests are."""

    code: str
    version: str
    digest: str
    """SHA-256, hex, of the definition's canonical JSON (RFC 8785)."""
    canonical: bytes = field(repr=False)
    title: Texts = field(repr=False)
    wording: Mapping[str, str] = field(repr=False)
    """Language -> status: placeholder, own or licensed."""
    recall: str | None = field(repr=False)
    """ISO 8601 duration."""
    qscat: str | None = field(repr=False)
    items: tuple[Item, ...] = field(repr=False)
    scales: tuple[Scale, ...] = field(repr=False)

    def document(self) -> dict[str, Any]:
        """The whole definition, a fresh copy."""
        read: dict[str, Any] = json.loads(self.canonical)
        return read

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.wording)

    def item(self, item_id: str) -> Item:
        """The item with this id. Raises KeyError."""
        return next((item for item in self.items if item.id == item_id), None) or _missing(item_id)

    def scale(self, name: str) -> Scale:
        """The scale with this name. Raises KeyError."""
        return next((scale for scale in self.scales if scale.name == name), None) or _missing(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instrument) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def parse(data: Any) -> Instrument:
    """The instrument that a definition (read from JSON) describes. Raises InstrumentFault, all faults named."""
    encoded = _canonical(data)
    data = json.loads(encoded)  # 4.0 and 4 are one code, as they are one digest
    faults = faults_of(data)
    if faults:
        raise InstrumentFault(faults)
    return Instrument(
        code=data["code"],
        version=data["version"],
        digest=sha256(encoded).hexdigest(),
        canonical=encoded,
        title=MappingProxyType(dict(data["title"])),
        wording=MappingProxyType({language: facts["status"] for language, facts in data["wording"].items()}),
        recall=data.get("recall", {}).get("period"),
        qscat=data.get("sdtm", {}).get("qscat"),
        items=tuple(_item(item, data["choice_sets"]) for item in data["items"]),
        scales=tuple(_scale(scale) for scale in data["scales"]),
    )


def localised(instrument: Instrument, language: str) -> dict[str, Any]:
    """The definition as a phone gets it: one language, the wording's status, no scoring, no other language.

    Raises UnknownLanguage; there is no falling back, because a participant must be asked in a language that
    was checked for this instrument.
    """
    if language not in instrument.wording:
        known = ", ".join(instrument.wording)
        raise UnknownLanguage(f"This instrument has no wording in this language; it has: {known}.")
    whole = instrument.document()
    told = ("format", "code", "version", "edition", "rights")
    shown: dict[str, Any] = {key: whole[key] for key in told if key in whole}
    shown |= {"digest": instrument.digest, "language": language, "wording": whole["wording"][language]}
    shown["title"] = instrument.title[language]
    if "recall" in whole:
        shown["recall"] = whole["recall"] | {"label": whole["recall"]["label"][language]}
    if "not_applicable_label" in whole:
        shown["not_applicable_label"] = whole["not_applicable_label"][language]
    shown["items"] = [_shown_item(item, language) for item in instrument.items]
    shown["scales"] = [{"name": scale.name, "label": scale.label[language]} for scale in instrument.scales]
    return shown


def _shown_item(item: Item, language: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "number": item.number,
        "label": item.label[language],
        "text": item.text[language],
        "choices": [{"code": choice.code, "label": choice.label[language]} for choice in item.choices],
        "not_applicable": item.not_applicable,
    }


def _item(data: dict[str, Any], choice_sets: dict[str, Any]) -> Item:
    label = MappingProxyType(dict(data["label"]))
    return Item(
        id=data["id"],
        number=data["number"],
        label=label,
        text=MappingProxyType(dict(data["text"])) if "text" in data else label,
        choices=tuple(
            Choice(choice["code"], MappingProxyType(dict(choice["label"])))
            for choice in choice_sets[data["choices"]]
        ),
        reversed=data["reversed"],
        not_applicable=data["not_applicable"],
        blinded=data["blinded"],
        owner_code=data.get("owner_code"),
        sdtm=_sdtm(data),
    )


def _scale(data: dict[str, Any]) -> Scale:
    return Scale(
        name=data["name"],
        label=MappingProxyType(dict(data["label"])),
        method=data["method"],
        method_version=data["method_version"],
        items=tuple(data["items"]),
        missing=MissingRule(**data["missing"]),
        range=(data["range"][0], data["range"][1]),
        direction=data["direction"],
        blinded=data["blinded"],
        sdtm=_sdtm(data),
    )


def _sdtm(data: dict[str, Any]) -> SdtmTest | None:
    return SdtmTest(**data["sdtm"]) if "sdtm" in data else None


def _canonical(data: Any) -> bytes:
    try:
        return canonical.encode(data)
    except CanonicalizationError:
        fault = Fault("", "not_canonical", "A text or number has no canonical JSON form.")
        raise InstrumentFault([fault]) from None


def _missing(name: str) -> Any:
    raise KeyError(name)
