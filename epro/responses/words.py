"""A response as who gave it read it: its questions and choices in her language, by the wording in force at the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from epro.questionnaires import catalogue, wording
from epro.questionnaires.instrument import Instrument, UnknownLanguage, localised
from epro.questionnaires.kinds import kind_of, settled
from epro.responses.models import Response
from epro.tx import Tx


@dataclass(frozen=True)
class Line:
    """One question. `words` are those of the choice that was taken; `kind` says why there is none."""

    item: str
    number: str
    text: str
    code: Any
    words: str | None
    kind: str


@dataclass(frozen=True)
class Sheet:
    """A questionnaire as it was read. `language` is that of the words, where there are none in hers; `is_placeholder`
    when they are our short labels in the place of a licensed text.
    """

    title: str
    language: str
    is_placeholder: bool
    questions: Mapping[str, Mapping[str, Any]]
    instrument: Instrument

    def lines(self, answers: Mapping[str, Any]) -> list[Line]:
        """Question by question what was answered; items whose answers no person reads are left out."""
        given = settled(self.instrument, answers)
        return [
            _line(self.questions[item.id], given[item.id])
            for item in self.instrument.items
            if not item.blinded
        ]

    def choices(self, item: str) -> list[tuple[Any, str]]:
        """(code, words) of what may be answered."""
        words = {one["code"]: one["label"] for one in self.questions[item]["choices"]}
        return [(code, words.get(code, "")) for code in self.instrument.item(item).codes]


def sheet(tx: Tx, row: Response) -> Sheet:
    """The questionnaire that this response answers, in the words of then."""
    named = row.instrument_code, row.instrument_version
    found = sheet_of(tx, named, row.language, row.corrected_at)
    assert found is not None
    return found


def sheet_of(tx: Tx, named: tuple[str, str], language: str, at: datetime) -> Sheet | None:
    """A questionnaire in this language as it was read at a time; None where no such version is published."""
    code, version = named
    instrument = catalogue.find(tx, code, version) if code and version else None
    if instrument is None:
        return None
    approved = wording.approved(tx, language, instrument.code)
    packs = [one for one in approved if one.version == version and one.at <= at]
    pack = wording.find(tx, packs[-1][:4]) if packs else None
    try:
        shown = localised(instrument, language, pack)
    except UnknownLanguage:
        language = next(iter(instrument.wording))
        shown = localised(instrument, language)
    questions = {one["id"]: one for one in shown["items"]}
    return Sheet(shown["title"], language, shown["wording"]["status"] == "placeholder", questions, instrument)


def _line(question: Mapping[str, Any], code: Any) -> Line:
    words = next((one["label"] for one in question["choices"] if one["code"] == code), None)
    return Line(question["id"], str(question["number"]), question["text"], code, words, kind_of(code))
