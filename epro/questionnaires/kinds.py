"""What kind of answer an item got: answered, skipped, not applicable, refused, not asked. Pure.

On the wire an answer is a code, null (skipped), "NA" (not applicable), "REFUSED" (prefer not to answer) or
"NOT_ASKED" (left out by branching). An absent answer is a skipped one, unless branching says that it was not asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from epro.questionnaires.conditions import NOT_ASKED, holds

if TYPE_CHECKING:
    from epro.questionnaires.instrument import Instrument

NOT_APPLICABLE = "NA"
REFUSED = "REFUSED"

ANSWERED_KIND, SKIPPED_KIND = "answered", "skipped"
KINDS = {
    None: SKIPPED_KIND,
    NOT_APPLICABLE: "not_applicable",
    REFUSED: "refused",
    NOT_ASKED: "not_asked",
}
"""What is sent -> kind; a code is `answered`."""


def kind_of(answer: Any) -> str:
    """The kind of one answer as `settled` gives it."""
    return KINDS.get(answer, ANSWERED_KIND) if answer is None or isinstance(answer, str) else ANSWERED_KIND


def settled(instrument: Instrument, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Every item's answer once branching is applied: code, None, NA, REFUSED or NOT_ASKED.

    An item that was answered stays answered, whatever branching says. One that is missing is NOT_ASKED where its
    condition is false, and skipped where the phone says NOT_ASKED and the condition is not false.
    """
    return settled_and_counted(instrument, answers)[0]


def settled_and_counted(
    instrument: Instrument, answers: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same, and beside it what conditions see: an item that was not asked may count as a code."""
    found: dict[str, Any] = {}
    counted: dict[str, Any] = {}
    for item in instrument.items:
        answer = answers.get(item.id)
        if answer is None or answer == NOT_ASKED:
            left_out = item.asked_if is not None and holds(item.asked_if, counted) is False
            answer = NOT_ASKED if left_out else None
        elif type(answer) is float:
            answer = int(answer)
        found[item.id] = answer
        as_code = answer == NOT_ASKED and item.not_asked_as is not None
        counted[item.id] = item.not_asked_as if as_code else answer
    return found, counted
