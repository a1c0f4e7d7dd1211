"""Scoring again what is on file: by the present methods, or by a later version of the definition.

Differences are found on whole columns. A changed score is appended as the next run, in the trail and in the feed; no
score is overwritten, and one that comes out the same by the same definition and method is left alone. A scale that
the definition does not have keeps its rows and counts no more (see `runs`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from epro import trail
from epro.errors import Conflict
from epro.questionnaires import catalogue
from epro.questionnaires.bulk import Codes, encode, outcomes, score_codes
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.scoring import INVALID_ANSWERS, InvalidAnswers, score
from epro.responses import receiving, weeks
from epro.responses.models import Response, Score
from epro.responses.weeks import Standing
from epro.studies.models import Participant
from epro.tx import Tx

Later = Mapping[str, Instrument]
"""Instrument code -> the definition to score by, in place of that of each response's latest run."""


NOT_DEFINED = "not_defined"
"""Why there is no new score: the definition has no such scale."""


class NotRescored(Conflict):
    """The study has changed meanwhile; run it again."""

    code = "not_rescored"


@dataclass(frozen=True)
class Change:
    """One scale of one response that is to get another run. `why` says what is not as it was."""

    subject_id: str
    response_id: UUID
    scale: str
    run: int
    old: float | None
    old_reason: str | None
    new: float | None
    new_reason: str | None
    why: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the number (or the reason for there being none) is another one."""
        return (self.old, self.old_reason) != (self.new, self.new_reason)

    @property
    def refused(self) -> bool:
        """The answers do not fit the definition: the score stays as it is, and a person must look."""
        return self.new_reason == INVALID_ANSWERS

    @property
    def dropped(self) -> bool:
        """The definition has no such scale: nothing is appended, and the score of before counts no more."""
        return self.new_reason == NOT_DEFINED

    @property
    def appended(self) -> bool:
        """Whether this is another row of scores."""
        return not self.refused and not self.dropped


@dataclass(frozen=True)
class _Filed:
    """One response with its latest scores, by scale."""

    row: Any
    answers: dict[str, Any]
    scores: Mapping[str, Any]
    week: Standing | None = None
    """Where it is not a response but a week of a diary."""

    @property
    def version(self) -> str:
        """The definition of the latest run: what was scored by a later one stays with that."""
        latest = max(self.scores.values(), key=lambda one: (one.scored_at, one.run), default=None)
        return self.made_by(latest)

    def made_by(self, score: Any) -> str:
        """The version of the definition that a score of it was made by."""
        version: str = (score and score.definition_version) or self.row.instrument_version
        return version


def subjects(tx: Tx, study_id: str) -> list[str]:
    """The participants of a study that have answered, in order."""
    query = sa.select(Response.subject_id).where(Response.study_id == study_id).distinct()
    return tx.all(query.order_by(Response.subject_id))


def find_changes(tx: Tx, study_id: str, subject_ids: Sequence[str], later: Later) -> tuple[list[Change], int]:
    """What would change for these participants, and how many responses were looked at."""
    filed = _filed(tx, study_id, subject_ids)
    by_version: dict[tuple[str, str], list[_Filed]] = defaultdict(list)
    for one in filed:
        by_version[one.row.instrument_code, one.version].append(one)
    changes: list[Change] = []
    for (code, version), group in by_version.items():
        definition = later.get(code) or catalogue.find(tx, code, version)
        assert definition is not None, f"{code} {version} was published, and is gone"
        changes += _of_group(group, definition)
    return changes, sum(one.week is None for one in filed)


def append(tx: Tx, study_id: str, subject_id: str, changes: Iterable[Change], later: Later) -> int:
    """Append the next run of these scores of one participant; returns how many rows. Raises NotRescored."""
    participant = tx.get(Participant, study_id, subject_id, lock=True)
    by_response: dict[UUID, list[Change]] = defaultdict(list)
    for change in changes:
        if change.appended:
            by_response[change.response_id].append(change)
    if participant is None or not by_response:
        return 0
    now = {one.row.id: one for one in _filed(tx, study_id, [subject_id])}
    return sum(_append(tx, participant, now[id], found, later) for id, found in by_response.items())


def _append(tx: Tx, participant: Participant, filed: _Filed, changes: list[Change], later: Later) -> int:
    latest = {scale: one.run for scale, one in filed.scores.items()}
    if any(latest.get(change.scale, 0) != change.run - 1 for change in changes):
        raise NotRescored()
    response = filed.row
    definition = later.get(response.instrument_code) or catalogue.find(
        tx, response.instrument_code, filed.version
    )
    assert definition is not None
    if filed.week is not None:
        known = filed.week.row
        why = f"scored again: {'; '.join(dict.fromkeys(reason for one in changes for reason in one.why))}"
        found = weeks.again(tx, known, weeks.answers_of(tx, known, definition))
        return weeks.append(tx, participant, found, definition, known.run, reason=why)
    runs = {change.scale: change.run for change in changes}
    rows = [
        _row(tx, response, one, runs[one.scale])
        for one in score(definition, filed.answers)
        if one.scale in runs
    ]
    tx.insert(Score, rows)
    event = trail.record(
        tx,
        participant,
        "response.rescored",
        "response",
        response.id,
        scales=sorted(runs),
        definition={"version": definition.version, "digest": definition.digest},
    )
    trail.stream(tx, event, participant, "response.rescored", _told(response, definition, rows))
    return len(rows)


def _row(tx: Tx, response: Any, one: Any, run: int) -> dict[str, Any]:
    return {
        "study_id": response.study_id,
        "response_id": response.id,
        "run": run,
        "subject_id": response.subject_id,
        "scale": one.scale,
        "value": one.value,
        "reason": one.reason,
        "answered": one.answered,
        "expected": one.expected,
        "rule": one.rule,
        "method": one.method,
        "method_version": str(one.method_version),
        "items_used": list(one.items_used),
        "items_missing": list(one.items_missing),
        "blinded": one.blinded,
        "scored_at": tx.now,
        "definition_version": one.instrument_version,
        "definition_digest": one.instrument_digest,
    }


def _told(response: Any, definition: Instrument, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The new scores as the feed tells them."""
    left_out = {"study_id", "subject_id", "response_id", "scored_at"}
    told = [{name: value for name, value in row.items() if name not in left_out} for row in rows]
    instrument = {"code": definition.code, "version": definition.version, "digest": definition.digest}
    rescored = {"response_id": str(response.id), "instrument": instrument}
    if response.amends_id is not None:  # by which a sink knows that both belong to one record
        rescored["amends_id"] = str(response.amends_id)
    return {"rescored": rescored, "scores": told}


def _filed(tx: Tx, study_id: str, subject_ids: Sequence[str]) -> list[_Filed]:
    columns = (
        Response.study_id,
        Response.id,
        Response.amends_id,
        Response.subject_id,
        Response.instrument_code,
    )
    query = sa.select(*columns, Response.instrument_version, Response.instrument_digest, Response.body).where(
        Response.study_id == study_id, Response.subject_id.in_(subject_ids)
    )
    rows = tx.session.execute(query.order_by(Response.subject_id, Response.received_at, Response.id)).all()
    latest: dict[UUID, dict[str, Any]] = defaultdict(dict)
    of_them = sa.select(
        Score.response_id,
        Score.scale,
        Score.run,
        Score.scored_at,
        Score.value,
        Score.reason,
        Score.method,
        Score.method_version,
        Score.definition_digest,
        Score.definition_version,
    ).where(Score.study_id == study_id, Score.subject_id.in_(subject_ids))
    for one in tx.session.execute(of_them.order_by(Score.run)):
        latest[one.response_id][one.scale] = one
    responses = [_Filed(row, receiving.answers_of(row), latest[row.id]) for row in rows]
    return responses + [_week(tx, one) for one in weeks.standing(tx, study_id, subject_ids)]


def _week(tx: Tx, found: Standing) -> _Filed:
    """A week of a diary among what was filed: its answers are days of the diary."""
    row = found.row
    definition = catalogue.find(tx, row.instrument_code, row.definition_version)
    assert definition is not None
    about = SimpleNamespace(
        id=row.id,
        subject_id=row.subject_id,
        instrument_code=row.instrument_code,
        instrument_version=row.definition_version,
        instrument_digest=row.definition_digest,
    )
    return _Filed(about, weeks.answers_of(tx, row, definition), found.scores, found)


def _of_group(group: list[_Filed], definition: Instrument) -> Iterator[Change]:
    """Changes among responses that are scored by one definition."""
    fitting, refused, codes = _fitting(group, definition)
    for column in score_codes(definition, codes):
        scale = definition.scale(column.scale)
        how = (scale.method, str(scale.method_version), definition.digest)
        for one, (value, reason) in zip(fitting, outcomes(definition, column), strict=True):
            yield from _compared(one, column.scale, value, reason, how, definition.version)
    for one in fitting:
        yield from _dropped(one, definition)
    for one in refused:
        for name, old in one.scores.items():
            fits = (f"the answers do not fit {definition.code} {definition.version}",)
            known = (one.row.subject_id, one.row.id, name, old.run + 1)
            yield Change(*known, old.value, old.reason, None, INVALID_ANSWERS, fits)


def _fitting(group: list[_Filed], definition: Instrument) -> tuple[list[_Filed], list[_Filed], Codes]:
    """Those whose answers the definition takes, those whose it does not, and the codes of the first."""
    try:
        return group, [], encode(definition, [one.answers for one in group])
    except InvalidAnswers as fault:
        odd = {error["response"] for error in fault.errors}
    fitting = [one for at, one in enumerate(group) if at not in odd]
    refused = [one for at, one in enumerate(group) if at in odd]
    return fitting, refused, encode(definition, [one.answers for one in fitting])


def _dropped(filed: _Filed, definition: Instrument) -> Iterator[Change]:
    """The scales that counted up to now and that the definition does not have."""
    for name, old in filed.scores.items():
        if filed.made_by(old) == filed.version and all(scale.name != name for scale in definition.scales):
            why = (
                f"{definition.code} {definition.version} has no such scale;"
                f" the score by {filed.version} stays on record and counts no more",
            )
            known = (filed.row.subject_id, filed.row.id, name, old.run)
            yield Change(*known, old.value, old.reason, None, NOT_DEFINED, why)


def _compared(
    filed: _Filed,
    scale: str,
    value: float | None,
    reason: str | None,
    how: tuple[str, str, str],
    version: str,
) -> Iterator[Change]:
    old = filed.scores.get(scale)
    if old is None:
        yield Change(
            filed.row.subject_id, filed.row.id, scale, 1, None, None, value, reason, ("a scale that is new",)
        )
        return
    was = (old.method, old.method_version, old.definition_digest or filed.row.instrument_digest)
    names = ("method", "method version", f"definition {filed.made_by(old)} -> {version}, digest")
    why = [
        f"{word} {before[:12]} -> {after[:12]}"
        for word, before, after in zip(names, was, how, strict=True)
        if before != after
    ]
    if (old.value, old.reason) != (value, reason) and not why:
        why.append("the same definition and method give another number")
    if filed.made_by(old) != filed.version:
        why.append(f"a scale that {filed.version} does not have")
    if why:
        known = (filed.row.subject_id, filed.row.id, scale, old.run + 1)
        yield Change(*known, old.value, old.reason, value, reason, tuple(why))
