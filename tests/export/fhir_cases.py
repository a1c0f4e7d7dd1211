"""Resources and answers for the judges of FHIR: every instrument, with every way of answering and of not answering."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from epro.export import fhir_names as names
from epro.export.fhir_questionnaires import questionnaire
from epro.export.fhir_responses import Version, questionnaire_response
from epro.export.fhir_scores import observation, week_observation
from epro.questionnaires import library, scoring
from epro.questionnaires.instrument import Instrument, Item, localised
from epro.questionnaires.kinds import NOT_APPLICABLE, REFUSED

BASE = "https://epro.test/fhir/r4"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPACE = UUID(int=7)


def answers(instrument: Instrument, chance: random.Random) -> dict[str, Any]:
    """One set of answers that fit: mostly codes, now and then nothing, not applicable or refused."""
    missing = chance.choice((0, 0.1, 0.5))
    return {
        item.id: _answer(item, chance, missing) for item in instrument.items if chance.random() > missing / 4
    }


def _answer(item: Item, chance: random.Random, missing: float) -> Any:
    if chance.random() >= missing:
        return chance.choice(item.codes)
    ways = [None]
    if item.not_applicable:
        ways.append(NOT_APPLICABLE)  # type: ignore[arg-type]
    if item.refusable:
        ways.append(REFUSED)  # type: ignore[arg-type]
    return chance.choice(ways)


def told(instrument: Instrument, language: str = "en", *, scoring: bool = True) -> dict[str, Any]:
    words = localised(instrument, language)
    return questionnaire(instrument, words, base=BASE, published_at=NOON, scoring=scoring)


def row(instrument: Instrument, number: int, **changes: Any) -> SimpleNamespace:
    """A response's row, as the database gives it."""
    made = {
        "study_id": "msc-sle",
        "subject_id": "101-001",
        "id": uuid5(SPACE, f"{instrument.code}/{number}"),
        "occurrence_id": uuid5(SPACE, f"occurrence {number}"),
        "instrument_code": instrument.code,
        "instrument_version": instrument.version,
        "language": "en",
        "local_day": date(2026, 3, 2),
        "time_zone": "Asia/Shanghai",
        "started_at": NOON - timedelta(minutes=3),
        "corrected_at": NOON,
        "received_at": NOON + timedelta(seconds=5),
        "filed_at": NOON + timedelta(seconds=5),
        "site_id": "101",
        "follows": "1.0",
    }
    return SimpleNamespace(**made | changes)


def response(instrument: Instrument, number: int, given: dict[str, Any], **how: Any) -> dict[str, Any]:
    found = row(instrument, number)
    version = Version(found.id, how.pop("version", 1), NOON)
    return questionnaire_response(found, given, instrument, version, base=BASE, **how)


def observations(
    instrument: Instrument, number: int, given: dict[str, Any], run: int = 1
) -> list[dict[str, Any]]:
    found = row(instrument, number)
    version = Version(found.id, 1, NOON)
    return [
        observation(score_row(found, one, run), instrument, version)
        for one in scoring.score(instrument, given)
    ]


def score_row(found: SimpleNamespace, one: Any, run: int = 1) -> SimpleNamespace:
    own = {name: getattr(one, name) for name in ("scale", "value", "reason", "answered", "expected", "rule")}
    own |= {"method": one.method, "method_version": str(one.method_version), "blinded": one.blinded}
    return SimpleNamespace(
        study_id=found.study_id,
        subject_id=found.subject_id,
        response_id=found.id,
        run=run,
        scored_at=NOON,
        completed=NOON,
        definition_version=None if run == 1 else "1.0",
        **own,
    )


def week_observations(
    instrument: Instrument, number: int, days: dict[str, Any], run: int = 1
) -> list[dict[str, Any]]:
    """The scores of a week: of a diary, by this definition."""
    found = row(instrument, number)
    first = date(2026, 3, 2)
    own = {"id": found.id, "week": number, "first_day": first, "last_day": first + timedelta(days=6)}
    versions = [
        Version(uuid5(SPACE, f"{number}/{day}"), 1, NOON) for day, code in days.items() if code is not None
    ]
    return [
        week_observation(SimpleNamespace(**vars(score_row(found, one, run)) | own), instrument, versions)
        for one in scoring.score(instrument, days)
    ]


def everything(seed: int = 1, times: int = 30) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Resources of every bundled instrument, and cases of answers with our scores."""
    chance, resources, cases = random.Random(seed), [], []
    for instrument in library.bundled():
        resources += [told(instrument, language) for language in instrument.languages]
        for number in range(times):
            given = answers(instrument, chance)
            made = response(instrument, number, given)
            scores = {one.scale: one.value for one in scoring.score(instrument, given)}
            cases.append(
                {
                    "questionnaire": names.questionnaire_id(instrument.code, instrument.version, "en"),
                    "response": made,
                    "scores": scores,
                    "answers": given,
                }
            )
            if number < 5:
                resources += [made, *observations(instrument, number, given, run=1 + number % 2)]
                if instrument.derived_from:
                    resources += week_observations(instrument, number + 1, given, run=1 + number % 2)
                resources.append(response(instrument, number, given, version=2))
                resources.append(response(instrument, number, given, withheld=None))
                resources.append(response(instrument, number, given, withheld={instrument.items[0].id}))
    return resources, cases
