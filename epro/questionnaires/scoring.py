"""Scores from answers, with everything needed to explain and to repeat them.

`score` sits on the way of every submission, so what can be known beforehand is laid out once for each
instrument (`plan_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from epro.errors import Invalid
from epro.questionnaires.checking import check
from epro.questionnaires.conditions import NOT_ASKED
from epro.questionnaires.instrument import Instrument, Scale
from epro.questionnaires.kinds import settled
from epro.questionnaires.methods import METHODS, TOO_FEW_ANSWERS, Method, Pattern

INVALID_ANSWERS = "invalid_answers"


class InvalidAnswers(Invalid):
    """Some answers do not fit the instrument, so nothing is scored; see errors."""

    code = INVALID_ANSWERS


class Score(NamedTuple):
    """One scale's score. `value` is None exactly when `reason` is a code.

    Full precision: rounding is for display. `answered` of `expected` items were answered, or count as answered
    because branching left them out; `items_missing` holds the rest, whatever the kind of their answers.
    `rule` is the missing rule that was applied.
    """

    scale: str
    value: float | None
    reason: str | None
    answered: int
    expected: int
    rule: str
    items_used: tuple[str, ...]
    items_missing: tuple[str, ...]
    method: str
    method_version: int
    instrument_code: str
    instrument_version: str
    instrument_digest: str
    blinded: bool


Outcome = tuple[float | None, str | None]
"""A value, or None and the reason."""


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """A scale, laid out for scoring: `scored[item id]` maps an answer to its scored code."""

    scale: Scale
    scored: dict[str, dict[Any, int]]
    minimum: int
    method: Method
    tail: tuple[str, int, str, str, str, bool]

    def of_number(self, number: int, answered: int) -> Outcome:
        """By sum or highest: what `answered` items come to whose scored codes have this sum, or this maximum."""
        if answered < self.minimum:
            return None, TOO_FEW_ANSWERS
        return float(self.method.value(number, answered, self.scale.span)), None

    def of_pattern(self, pattern: Pattern) -> Outcome:
        """By pattern: what these scored codes come to, one for each item, None where there is none."""
        if len(pattern) - pattern.count(None) < self.minimum:
            return None, TOO_FEW_ANSWERS
        found = self.method.value(pattern, self.scale.span)
        return (None, found) if isinstance(found, str) else (float(found), None)


@lru_cache(maxsize=128)
def plan_of(instrument: Instrument) -> tuple[ScalePlan, ...]:
    """One plan for each scale, in the order of the definition."""
    return tuple(_plan(instrument, scale) for scale in instrument.scales)


@lru_cache(maxsize=128)
def branches(instrument: Instrument) -> bool:
    """Whether any item may be left out by the answers before it."""
    return any(item.asked_if is not None for item in instrument.items)


def score(instrument: Instrument, answers: Mapping[str, Any]) -> list[Score]:
    """One Score a scale, in the order of the definition, from answers (see kinds.py).

    Raises InvalidAnswers, naming the items and never the answers, if `checking.check` has findings.
    """
    findings = check(instrument, answers)
    if findings:
        raise InvalidAnswers(errors=[finding._asdict() for finding in findings])
    if branches(instrument):
        answers = settled(instrument, answers)
    return [_score(plan, answers) for plan in plan_of(instrument)]


def _plan(instrument: Instrument, scale: Scale) -> ScalePlan:
    names = (instrument.code, instrument.version, instrument.digest)
    return ScalePlan(
        scale=scale,
        scored={name: scored_answers(instrument, scale, name) for name in scale.items},
        minimum=scale.missing.minimum(len(scale.items)),
        method=METHODS[scale.method, scale.method_version],
        tail=(scale.method, scale.method_version, *names, scale.blinded),
    )


def scored_answers(instrument: Instrument, scale: Scale, name: str) -> dict[Any, int]:
    """What each answer of an item counts on a scale; answers that are not in it are missing."""
    item = instrument.item(name)
    scored: dict[Any, int] = dict(item.scored_codes)
    if scale.recode is not None:
        scored = {code: scale.recode[code] for code in item.codes}
    if item.not_asked_as is not None:
        scored[NOT_ASKED] = scored[item.not_asked_as]
    return scored


def _score(plan: ScalePlan, answers: Mapping[str, Any]) -> Score:
    pattern = [scored.get(answers.get(item)) for item, scored in plan.scored.items()]
    used = tuple(item for item, code in zip(plan.scored, pattern, strict=True) if code is not None)
    missing = tuple(item for item, code in zip(plan.scored, pattern, strict=True) if code is None)
    codes = [code for code in pattern if code is not None]
    if plan.method.by == "pattern":
        value, reason = plan.of_pattern(tuple(pattern))
    else:
        number = sum(codes) if plan.method.by == "sum" else max(codes, default=0)
        value, reason = plan.of_number(number, len(codes))
    rule, expected = str(plan.scale.missing), len(pattern)
    return Score(
        plan.scale.name,
        value,
        reason,
        len(codes),
        expected,
        rule,
        used,
        missing,
        *plan.tail,
    )
