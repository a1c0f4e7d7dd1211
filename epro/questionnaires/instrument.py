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
from epro.questionnaires import packs
from epro.questionnaires.conditions import Condition
from epro.questionnaires.faults import faults_of, span_of
from epro.questionnaires.methods import Span
from epro.questionnaires.packs import Pack
from epro.questionnaires.parts import Fault

Texts = Mapping[str, str]
"""One text in each language of the definition: language tag -> text."""


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
    """One question. `number` is as printed on the form; `text` is what the participant reads.

    `numeric`: a number is entered or a mark set between the lowest and the highest code; only the ends have
    labels. `recode`: code -> scored code, where that is neither the code nor its reversal. `asked_if`: the
    condition of asking it; `not_asked_as`: the code that counts for it when the condition leaves it out.
    `required`: None, "soft" (are you sure?) or "hard".
    """

    id: str
    number: int | str
    label: Texts
    text: Texts
    choices: tuple[Choice, ...]
    numeric: bool
    reversed: bool
    recode: Mapping[int, int] | None
    not_applicable: bool
    refusable: bool
    required: str | None
    asked_if: Condition | None
    not_asked_as: int | None
    blinded: bool
    owner_code: str | None
    sdtm: SdtmTest | None

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes on offer, in the order of the form."""
        return tuple(choice.code for choice in self.choices)

    @property
    def scored_codes(self) -> dict[int, int]:
        """Code as stored -> code as scored: recoded, or lowest + highest - code where reversed, or itself."""
        if self.recode is not None:
            return {code: self.recode[code] for code in self.codes}
        turn = min(self.codes) + max(self.codes)
        return {code: turn - code if self.reversed else code for code in self.codes}


@dataclass(frozen=True, slots=True)
class MissingRule:
    """How many items of a scale must be answered for a score. Never fewer than one.

    `by_method`: any one lets the method decide, which knows what it needs.
    """

    kind: str
    k: int | None = None

    def minimum(self, expected: int) -> int:
        """The least number of answered items of `expected`; exactly half is enough for at_least_half only."""
        least = {"at_least_half": (expected + 1) // 2, "more_than_half": expected // 2 + 1, "all": expected}
        least["by_method"] = 1
        return self.k or least[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}_{self.k}" if self.k else self.kind


@dataclass(frozen=True, slots=True)
class Scale:
    """A number computed from items by a named method. `direction`: higher_is_better, higher_is_worse or none.

    `recode` (code -> scored code) holds for this scale in place of what its items say. `span` is all that the
    method may know. `decimals`: for display only. `interpretation`: facts with their sources, as in the definition.
    """

    name: str
    label: Texts
    method: str
    method_version: int
    items: tuple[str, ...]
    missing: MissingRule
    recode: Mapping[int, int] | None
    span: Span
    range: tuple[float, float]
    direction: str
    decimals: int
    interpretation: tuple[Mapping[str, Any], ...]
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
    checks: tuple[Mapping[str, Any], ...] = field(repr=False, default=())
    """Edit checks on several items, as in the definition."""
    derived_from: Mapping[str, Any] | None = field(repr=False, default=None)
    """Where its items are the days of another instrument's item: instrument, item, days."""

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
    items = tuple(_item(item, data) for item in data["items"])
    return Instrument(
        code=data["code"],
        version=data["version"],
        digest=sha256(encoded).hexdigest(),
        canonical=encoded,
        title=MappingProxyType(dict(data["title"])),
        wording=MappingProxyType({language: facts["status"] for language, facts in data["wording"].items()}),
        recall=data.get("recall", {}).get("period"),
        qscat=data.get("sdtm", {}).get("qscat"),
        items=items,
        scales=tuple(_scale(scale, data, items) for scale in data["scales"]),
        checks=tuple(MappingProxyType(check) for check in data.get("checks", ())),
        derived_from=data.get("derived_from"),
    )


def localised(instrument: Instrument, language: str, pack: Pack | None = None) -> dict[str, Any]:
    """The definition as a phone gets it: one language, the wording's status, no scoring, no other language.

    `pack`: the licensed wording in this language, in place of the definition's own. Raises UnknownLanguage; there
    is no falling back, because a participant must be asked in a language that was checked for this instrument.
    """
    if pack is None and language not in instrument.wording:
        known = ", ".join(instrument.wording)
        raise UnknownLanguage(f"This instrument has no wording in this language; it has: {known}.")
    whole, words = instrument.document(), _Words(language, pack)
    told = ("format", "code", "version", "edition", "rights")
    shown: dict[str, Any] = {key: whole[key] for key in told if key in whole}
    shown |= {"digest": instrument.digest, "language": language, "wording": _status(instrument, words)}
    shown |= _shown_labels(whole, words)
    shown["screens"] = screens(instrument)
    shown["checks"] = [
        {**check, "message": words.say(packs.check_key(check["id"]), check["message"])}
        for check in whole.get("checks", [])
    ]
    sets = [item["choices"] for item in whole["items"]]
    shown["items"] = [
        _shown_item(item, name, words) for item, name in zip(instrument.items, sets, strict=True)
    ]
    shown["scales"] = [
        {"name": scale.name, "label": packs.ours(scale.label, language)} for scale in instrument.scales
    ]
    return shown


def _shown_labels(whole: dict[str, Any], words: _Words) -> dict[str, Any]:
    shown: dict[str, Any] = {"title": words.say(packs.TITLE, whole["title"])}
    if "recall" in whole:
        shown["recall"] = whole["recall"] | {"label": words.say(packs.RECALL, whole["recall"]["label"])}
    for key, name in ((packs.NOT_APPLICABLE, "not_applicable_label"), (packs.REFUSED, "refused_label")):
        if name in whole:
            shown[name] = words.say(key, whole[name])
    return shown


@dataclass(frozen=True, slots=True)
class _Words:
    """Where the words of one language come from."""

    language: str
    pack: Pack | None

    def say(self, key: str, texts: Texts) -> str:
        return self.pack.texts[key] if self.pack else texts[self.language]


def _status(instrument: Instrument, words: _Words) -> dict[str, str]:
    pack = words.pack
    if pack is None:
        return {"status": instrument.wording[words.language]}
    told = {"status": "licensed", "version": pack.wording_version, "digest": pack.digest}
    return told | {"licence_holder": pack.licence_holder}


def screens(instrument: Instrument) -> list[dict[str, Any]]:
    """Screen by screen, the items each shows and how: `single`, or a `grid`. One item a screen unless said."""
    said: list[dict[str, Any]] = instrument.document().get("screens", [])
    return said or [{"layout": "single", "items": [item.id]} for item in instrument.items]


def _shown_item(item: Item, choice_set: str, words: _Words) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": item.id,
        "number": item.number,
        "label": packs.ours(item.label, words.language),
        "text": words.say(packs.item_key(item.id), item.text),
        "choices": [],
        "not_applicable": item.not_applicable,
        "refusable": item.refusable,
        "required": item.required,
        "asked_if": item.asked_if,
    }
    if not item.numeric:
        return shown | {"choices": [_shown_choice(choice, choice_set, words) for choice in item.choices]}
    ends = {"lowest": item.choices[0], "highest": item.choices[-1]}
    return shown | {
        "range": {side: _shown_choice(choice, choice_set, words) for side, choice in ends.items()}
    }


def _shown_choice(choice: Choice, choice_set: str, words: _Words) -> dict[str, Any]:
    return {
        "code": choice.code,
        "label": words.say(packs.choice_key(choice_set, choice.code), choice.label),
    }


def _item(item: dict[str, Any], data: dict[str, Any]) -> Item:
    label = _texts(item["label"])
    choices = data["choice_sets"][item["choices"]]
    return Item(
        id=item["id"],
        number=item["number"],
        label=label,
        text=_texts(item["text"]) if "text" in item else label,
        choices=_choices(choices),
        numeric=isinstance(choices, dict),
        reversed=item["reversed"],
        recode=_recode(item, data),
        not_applicable=item["not_applicable"],
        refusable=item.get("refusable", False),
        required=item.get("required"),
        asked_if=item.get("asked_if"),
        not_asked_as=item.get("not_asked_as"),
        blinded=item["blinded"],
        owner_code=item.get("owner_code"),
        sdtm=_sdtm(item),
    )


def _choices(data: Any) -> tuple[Choice, ...]:
    """A list as it stands; of a range every whole number, with words at its two ends only."""
    if isinstance(data, list):
        return tuple(Choice(choice["code"], _texts(choice["label"])) for choice in data)
    low, high = data["lowest"], data["highest"]
    plain = [
        Choice(code, {tag: str(code) for tag in low["label"]})
        for code in range(low["code"], high["code"] + 1)
    ]
    return (
        Choice(low["code"], _texts(low["label"])),
        *plain[1:-1],
        Choice(high["code"], _texts(high["label"])),
    )


def _scale(scale: dict[str, Any], data: dict[str, Any], items: tuple[Item, ...]) -> Scale:
    recode = _recode(scale, data)
    by_id = {item.id: item for item in items}
    scored = [
        [recode[code] for code in by_id[name].codes] if recode else list(by_id[name].scored_codes.values())
        for name in scale["items"]
    ]
    return Scale(
        name=scale["name"],
        label=_texts(scale["label"]),
        method=scale["method"],
        method_version=scale["method_version"],
        items=tuple(scale["items"]),
        missing=MissingRule(**scale["missing"]),
        recode=recode,
        span=span_of(scale, data, scored),
        range=(scale["range"][0], scale["range"][1]),
        direction=scale["direction"],
        decimals=scale.get("decimals", 2),
        interpretation=tuple(MappingProxyType(fact) for fact in scale.get("interpretation", ())),
        blinded=scale["blinded"],
        sdtm=_sdtm(scale),
    )


def _recode(part: dict[str, Any], data: dict[str, Any]) -> Mapping[int, int] | None:
    if "recode" not in part:
        return None
    return MappingProxyType({int(code): value for code, value in data["recodes"][part["recode"]].items()})


def _texts(data: Mapping[str, str]) -> Texts:
    return MappingProxyType(dict(data))


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
