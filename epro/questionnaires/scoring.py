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
from epro.questionnaires.instrument import NOT_APPLICABLE, Instrument, Scale
from epro.questionnaires.methods import METHODS, Method, Span

TOO_FEW_ANSWERS = "too_few_answers"
INVALID_ANSWERS = "invalid_answers"


class InvalidAnswers(Invalid):
    """Some answers do not fit the instrument, so nothing is scored; see errors."""

    code = INVALID_ANSWERS


class Score(NamedTuple):
    """One scale's score. `value` is None exactly when `reason` is a code.

    Full precision: rounding is for display. `answered` of `expected` items were answered; `items_missing`
    holds the rest, those answered 'not applicable' included. `rule` is the missing rule that was applied.
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


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """A scale, laid out for scoring: `scored[item id]` maps a code to its scored code."""

    scale: Scale
    scored: dict[str, dict[int, int]]
    minimum: int
    span: Span
    method: Method
    tail: tuple[str, int, str, str, str, bool]

    def value(self, total: int, answered: int) -> float | None:
        """The score of `answered` items whose scored codes sum to `total`; None when they are too few."""
        if answered < self.minimum:
            return None
        return float(self.method.value(total, answered, self.span))


@lru_cache(maxsize=128)
def plan_of(instrument: Instrument) -> tuple[ScalePlan, ...]:
    """One plan for each scale, in the order of the definition."""
    return tuple(_plan(instrument, scale) for scale in instrument.scales)


def score(instrument: Instrument, answers: Mapping[str, Any]) -> list[Score]:
    """One Score a scale, in the order of the definition, from answers (item id -> code, None or "NA").

    Raises InvalidAnswers, naming the items and never the answers, if `checking.check` has findings.
    """
    findings = check(instrument, answers)
    if findings:
        raise InvalidAnswers(errors=[finding._asdict() for finding in findings])
    return [_score(plan, answers) for plan in plan_of(instrument)]


def _plan(instrument: Instrument, scale: Scale) -> ScalePlan:
    items = [instrument.item(name) for name in scale.items]
    codes = items[0].codes
    names = (instrument.code, instrument.version, instrument.digest)
    return ScalePlan(
        scale=scale,
        scored={item.id: item.scored_codes for item in items},
        minimum=scale.missing.minimum(len(items)),
        span=Span(len(items), min(codes), max(codes)),
        method=METHODS[scale.method, scale.method_version],
        tail=(scale.method, scale.method_version, *names, scale.blinded),
    )


def _score(plan: ScalePlan, answers: Mapping[str, Any]) -> Score:
    total = 0
    used, missing = [], []
    for item, scored in plan.scored.items():
        answer = answers.get(item)
        if answer is None or answer == NOT_APPLICABLE:
            missing.append(item)
        else:
            used.append(item)
            total += scored[answer]
    value = plan.value(total, len(used))
    reason = TOO_FEW_ANSWERS if value is None else None
    rule, expected = str(plan.scale.missing), plan.span.expected
    return Score(
        plan.scale.name, value, reason, len(used), expected, rule, tuple(used), tuple(missing), *plan.tail
    )
