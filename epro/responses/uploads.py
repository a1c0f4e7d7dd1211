"""An upload that was set aside as a person reads it: its answers in the words that were read, and what fits none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from epro.questionnaires import checking
from epro.responses import correcting, receiving, words
from epro.responses.models import Response, SetAside
from epro.responses.submission import Submission, correction, read
from epro.responses.words import Line, Sheet
from epro.tx import Tx


@dataclass(frozen=True)
class Reading:
    """`sheet` is None where the upload names no instrument that is published; then nothing is known to fit."""

    submission: Submission
    sheet: Sheet | None
    lines: Sequence[Line]
    unfit: Mapping[str, Any]
    on_file: Mapping[str, Line]
    """Item -> what is on file, of a conflict with an answer to the same questionnaire."""

    def asked(self, item: str) -> str | None:
        """The question of an item, if it is one of this questionnaire."""
        question = self.sheet.questions.get(item) if self.sheet else None
        return None if question is None else f"{question['number']} {question['text']}"

    @property
    def differs(self) -> frozenset[str]:
        """The items that the upload answers otherwise than what is on file."""
        return frozenset(
            one.item
            for one in self.lines
            if one.item in self.on_file and one.code != self.on_file[one.item].code
        )


def reading(tx: Tx, aside: SetAside, content: Any, language: str, on_file: Response | None) -> Reading:
    """What an upload says, as far as it can be read; `content` is what the viewer may see of it."""
    said = read(content)
    sheet = _sheet(tx, said, language, aside.received_at)
    if sheet is None:
        return Reading(said, None, (), said.answers, {})
    faults = {found.item for found in checking.check(sheet.instrument, said.answers)}
    unfit = {item: code for item, code in said.answers.items() if item[: checking.LONGEST_NAME] in faults}
    fit = {item: code for item, code in said.answers.items() if item not in unfit}
    lines = [one for one in sheet.lines(fit) if one.item not in unfit]
    return Reading(said, sheet, lines, unfit, _on_file(tx, sheet, on_file))


def corrected_by(aside: SetAside) -> timedelta:
    """What the phone's account of time is corrected by."""
    offset = aside.clock_offset_ms
    return correction(None if offset is None else timedelta(milliseconds=offset))


def _sheet(tx: Tx, said: Submission, language: str, at: datetime) -> Sheet | None:
    """What it names may be any text; what no database takes names nothing."""
    spoken, named = said.language or language, (said.instrument_code or "", said.instrument_version or "")
    if not all(text.isprintable() for text in (spoken, *named)):
        return None
    return words.sheet_of(tx, named, spoken, at)


def _on_file(tx: Tx, sheet: Sheet, found: Response | None) -> dict[str, Line]:
    """The answer on file as it stands by now, in the same words."""
    if found is None or found.instrument_code != sheet.instrument.code:
        return {}
    current = correcting.versions(tx, found.study_id, found.id)[-1]
    return {line.item: line for line in sheet.lines(receiving.answers_of(current))}
