"""A wording pack: the licensed texts of one instrument in one language, with the facts of its licence. Pure.

How a pack is written and read stands in `pack_files.py`, what is wrong with one in `pack_checks.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from epro import canonical

TITLE, RECALL, NOT_APPLICABLE, REFUSED = "title", "recall", "not_applicable", "refused"
FACTS = {
    "instrument": "code of the instrument",
    "instrument_version": "version of its definition",
    "language": "language of the texts",
    "wording_version": "version of this wording, such as 1.0; other texts need another version",
    "licence_holder": "who holds the rights in the wording",
    "licence_reference": "number and date of the licence",
    "translation_certificate": "reference of the translation certificate; for the original language: original",
    "same_as_label": "keys whose licensed words are those of our own label, with spaces between; else empty",
}
"""What a pack says of itself, each under the key meta.<name>, and what is to be written there."""


class PackFault(NamedTuple):
    """`place` is a line of a CSV or a unit of an XLIFF, `code` a stable word, `mend` says what to do."""

    place: str
    code: str
    detail: str
    mend: str


@dataclass(frozen=True)
class Pack:
    """One version of one instrument's wording in one language. `texts`: key -> words."""

    instrument: str
    instrument_version: str
    language: str
    wording_version: str
    licence_holder: str
    licence_reference: str
    translation_certificate: str
    same_as_label: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def document(self) -> dict[str, Any]:
        """The whole pack as a JSON value."""
        facts = {name: getattr(self, name) for name in FACTS}
        return {"format": 1, **facts, "same_as_label": list(self.same_as_label), "texts": dict(self.texts)}

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the pack's canonical JSON; the same whichever kind of file it came in."""
        return canonical.digest(self.document())

    @property
    def name(self) -> str:
        """instrument/version/language/wording version, as the trail names it."""
        return f"{self.instrument}/{self.instrument_version}/{self.language}/{self.wording_version}"


def made_of(facts: Mapping[str, str], texts: Mapping[str, str]) -> Pack:
    """A pack of facts that were checked. The order in which keys were confirmed is no content."""
    told = {name: facts[name] for name in FACTS if name != "same_as_label"}
    same = tuple(sorted(set(facts.get("same_as_label", "").split())))
    return Pack(**told, same_as_label=same, texts=MappingProxyType(dict(texts)))


def from_document(data: Mapping[str, Any]) -> Pack:
    """The pack that `document` wrote."""
    facts = {name: data[name] for name in FACTS}
    return made_of(facts | {"same_as_label": " ".join(data["same_as_label"])}, data["texts"])


def item_key(item_id: str) -> str:
    return f"item.{item_id}"


def choice_key(choice_set: str, code: int) -> str:
    return f"choice.{choice_set}.{code}"


def check_key(check_id: str) -> str:
    return f"check.{check_id}"


def ours(texts: Mapping[str, str], language: str) -> str:
    """Our own label: in this language, else in English, else in the first there is."""
    wanted: Iterable[str] = (language, "en", *texts)
    return next(texts[tag] for tag in wanted if tag in texts)
