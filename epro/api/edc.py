"""The EDC: the trial's other system, which knows the first dose and the visits. It hands days in and reads nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from epro.api.door import Door, actor, edc_lock
from epro.api.schemas import AnchorQuery, AnchorsIn, AnchorsOut
from epro.notifications.recalls import recalled
from epro.scheduling import incoming
from epro.scheduling.incoming import Given, Taken
from epro.studies import access
from epro.tx import Tx, begin

edc = Door("edc", "/v1/edc", "The EDC: dates of the trial that plans hang on", edc_lock)
UNSAID = "given by the trial's EDC system"


@edc.post("/anchors")
@edc.arguments(AnchorQuery, location="query")
@edc.arguments(AnchorsIn)
@edc.response(200, AnchorsOut)
def anchors(asked: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Days that anchors fall on, such as the first dose. Each stands for itself: one that cannot be taken stops no
    other. Sent again, it changes nothing. With `?preview=true` nothing is done, and the answer tells what would be.
    """
    study_id = access.one_study(actor(), "anchor.import", asked.get("study"))
    results = [_one(study_id, one, asked["preview"]) for one in wanted["anchors"]]
    counted = Counter(one["outcome"] for one in results)
    return {"preview": asked["preview"], "study": study_id, "counts": dict(counted), "results": results}


def _one(study_id: str, one: dict[str, Any], preview: bool) -> dict[str, Any]:
    given = Given(one["subject_id"], one["anchor"], one["date"], one.get("reason") or UNSAID)
    with begin(actor()) as tx:
        return told(tx, incoming.take(tx, study_id, given, preview=preview))


def told(tx: Tx, taken: Taken) -> dict[str, Any]:
    """What came of one day, and in numbers what it changes in her plan."""
    result: dict[str, Any] = {
        "subject_id": taken.given.subject_id,
        "anchor": taken.given.anchor,
        "date": taken.given.day,
        "outcome": taken.outcome,
    }
    if taken.before:
        result["before"] = taken.before
    if taken.warning:
        result["warning"] = taken.warning
    if taken.refusal:
        result |= {"code": taken.refusal, "detail": taken.detail}
    if found := taken.differences:
        result["plan"] = {**found.counts(), "reminders_recalled": recalled(tx, found)}
    return result
