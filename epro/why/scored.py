"""What became of an upload: filed or held, with what remarks; and why a score is there or missing. Pure.

No answer and no value of a score stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from epro.questionnaires import explaining
from epro.questionnaires.instrument import Instrument
from epro.scheduling.protocol import Assessment
from epro.why.happened import Happened
from epro.why.sentences import LANGUAGES, Said, Word


def filed(
    response: Any, findings: Iterable[Mapping[str, Any]], assessment: Assessment, *, counts: bool
) -> list[Said]:
    """A response on file, with the findings that may be told; `counts`: whether it is the one that counts for its
    occurrence."""
    facts = {
        "assessment": assessment.label,
        "local_day": response.local_day,
        "completed_at": response.corrected_at,
    }
    told = [Said("response.stored", response.received_at, facts)]
    told += [_finding("response.finding", response, one) for one in findings]
    if not counts:
        told.append(Said("response.other_counts", response.received_at))
    return told


def corrected(
    corrections: Sequence[Happened],
    runs: Sequence[Mapping[str, Any]],
    definition: Instrument,
    *,
    hidden: bool,
) -> Iterator[Said]:
    """Each correction with its reason, and of each scale that it changed, that it did. `runs` are the scores of the
    original and of each correction in turn, scale -> row.
    """
    for number, one in enumerate(corrections, 1):
        facts = {"number": number, "who": one.who, "reason": None if hidden else one.reason}
        yield Said("response.amended", one.at, facts)
        for name, row in runs[number].items():
            before = runs[number - 1].get(name)
            changed = before is None or (before.value, before.reason) != (row.value, row.reason)
            if changed and not (hidden or row.blinded):
                scale = definition.scale(name).label
                yield Said("score.corrected", one.at, {"scale": scale, "number": number})


def settled(one: Happened, *, hidden: bool) -> Said:
    """What a person decided about an upload that was set aside."""
    outcome = Word("settled", one.details["outcome"])
    reason = None if hidden else one.reason
    return Said("upload.settled", one.at, {"who": one.who, "outcome": outcome, "reason": reason})


def set_aside(aside: Any, findings: Iterable[Mapping[str, Any]]) -> list[Said]:
    """An upload that could not be filed, and every reason for it that may be told."""
    told = [Said(f"upload.{aside.outcome}", aside.received_at, {"id": aside.id})]
    return told + [_finding("upload.finding", aside, one) for one in findings]


def scores(rows: Sequence[Any], definitions: Mapping[str, Instrument]) -> Iterator[Said]:
    """Of each scale whether there is a score, and why not; blinded ones are nobody's to read here."""
    for row in rows:
        if row.blinded:
            continue
        scale = definitions[row.scale].scale(row.scale)
        facts = {
            "scale": scale.label,
            "answered": row.answered,
            "expected": row.expected,
            "rule": row.rule,
            "rule_words": {language: explaining.rule(scale, language)["words"] for language in LANGUAGES},
        }
        if row.reason is None:
            yield Said("score.made", row.scored_at, facts)
        else:
            facts |= {"because": Word("score", row.reason), "items_missing": tuple(row.items_missing)}
            yield Said("score.missing", row.scored_at, facts)


def _finding(code: str, row: Any, finding: Mapping[str, Any]) -> Said:
    facts = {"finding": Word("finding", finding["code"]), "pointer": finding.get("pointer")}
    return Said(code, row.received_at, facts)
