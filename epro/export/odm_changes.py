"""How a participant's values came to be as they are: change by change, each with who, when and why. Pure.

What an ODM file of transactions is made of. A value that comes is inserted, one that is another is updated, one that
is no more is removed; nothing is ever said twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from epro.export import odm_content, rows
from epro.export.odm_content import PARADATA, SUBJECT_PLACE, SYSTEM, Content, Place, Values
from epro.export.records import Response, Run, Signature, Subject, Version, Week

INSERT, UPDATE, REMOVE, CONTEXT = "Insert", "Update", "Remove", "Context"
DATA_MANAGEMENT = "DataManagement"
Moment = tuple[int, Callable[[], "Change"]]


@dataclass(frozen=True)
class Change:
    """What one act did to one form. `how` is Insert where the form is new, Remove where it goes, else Context.

    `items`: item group OID -> (item OID, Insert | Update | Remove, value). `source` is the id of the
    event in the trail. `signed`: what a signature under the form as it stands means.
    """

    place: Place
    how: str
    items: dict[str, list[tuple[str, str, str | None]]]
    at: str
    by: str
    source: str
    reason: str | None = None
    edit_point: str | None = None
    signed: str | None = None


def changes_of(content: Content, subject: Subject) -> Iterator[Change]:
    """Every change of this participant's values, in the order in which they came to be on record."""
    return _History(content, subject).changes()


class _History:
    """The values as they stand while one goes through the entries."""

    def __init__(self, content: Content, subject: Subject):
        self.content, self.subject = content, subject
        self.stand: dict[Place, Values] = {}

    def changes(self) -> Iterator[Change]:
        for _, make in sorted(self._moments(), key=lambda moment: moment[0]):
            change = make()
            if change.items or change.signed or change.how == REMOVE:
                yield change

    def _moments(self) -> Iterator[Moment]:
        for entry in self.subject.history:
            yield entry["position"], partial(self._of_herself, entry)
        for id, steps in self._not_done().items():
            yield from self._of_not_done(id, steps)
        for response in self.subject.responses:
            yield from self._of_response(response)
        for signature in self.subject.signatures:
            yield from self._of_signature(signature)
        for week in self.subject.weeks:
            yield week.position, partial(self._of_week, week)

    def _of_signature(self, signature: Signature) -> Iterator[Moment]:
        told = signature.told
        by, stands = odm_content.user(told["signed_by"]), {one.id: one for one in self.subject.responses}
        about = {"at": told["signed_at"], "by": by, "source": signature.event_id, "signed": told["meaning"]}
        for one in told["responses"]:
            if one["original_id"] in stands:
                place = self.content.place(stands[one["original_id"]])
                yield signature.position, partial(Change, place, CONTEXT, {}, **about)

    def _of_week(self, week: Week) -> Change:
        return self._now(
            self.content.week_place(week),
            self.content.week_values(week),
            at=week.at,
            by=SYSTEM,
            source=week.event_id,
            edit_point=DATA_MANAGEMENT,
        )

    def _of_herself(self, entry: dict[str, Any]) -> Change:
        values = {"IG.SUBJECT": dict(self.stand.get(SUBJECT_PLACE, {}).get("IG.SUBJECT", {}))}
        known = Subject(self.subject.study_id, self.subject.subject_id, self.subject.site)
        known.enrolled, known.withdrawal = entry.get("participant"), entry.get("withdrawal")
        if entry["kind"] == "anchor.unset":
            values["IG.SUBJECT"].pop(f"I.SUBJECT.anchor.{entry['anchor']['id']}", None)
        elif "anchor" in entry:
            known.anchors = {entry["anchor"]["id"]: entry["anchor"]["date"]}
        elif known.enrolled:
            known.anchors = dict(known.enrolled.get("anchors") or {})
        values["IG.SUBJECT"] |= odm_content.subject_values(known).get("IG.SUBJECT", {})
        by = odm_content.of_herself(entry)
        return self._now(SUBJECT_PLACE, values, at=entry["at"], by=by, source=entry["event_id"])

    def _of_response(self, response: Response) -> Iterator[Moment]:
        place = self.content.place(response)
        for version in response.versions:
            yield version.position, partial(self._filed, place, replace(version, settlement=None))
            if version.settlement:
                yield (
                    version.settlement["position"],
                    partial(self._settled, place, version, version.settlement),
                )
            for number, run in enumerate(version.runs[1:], 2):
                yield run.position, partial(self._scored, place, version, run, number)

    def _filed(self, place: Place, version: Version) -> Change:
        values = self.content.response_values(version, version.runs[0].scores)
        amendment = version.amendment
        if amendment is None:
            at = min(version.told["corrected_at"], version.told["received_at"])
            by = odm_content.patient(self.subject)
            return self._now(place, values, at=at, by=by, source=version.event_id)
        return self._now(
            place,
            values,
            at=amendment["made_at"],
            by=odm_content.user(amendment["made_by"]),
            source=version.event_id,
            reason=amendment.get("reason") or "corrected",
        )

    def _settled(self, place: Place, version: Version, settlement: dict[str, Any]) -> Change:
        """A person took it in after it had been set aside: her act, not the participant's."""
        values = {**self.stand.get(place, {}), f"IG.{PARADATA}": odm_content.paradata(version)}
        return self._now(
            place,
            values,
            at=settlement["settled_at"],
            by=odm_content.user(settlement["settled_by"]),
            source=settlement["event_id"],
            reason=settlement.get("reason") or "settled",
        )

    def _scored(self, place: Place, version: Version, run: Run, number: int) -> Change:
        names = self.content.of(version.told["instrument"])
        scores = names.of_scores(version.scores_after(number), run.definition)
        values = {**self.stand.get(place, {}), names.scores: scores}
        return self._now(
            place,
            values,
            at=run.at,
            by=SYSTEM,
            source=run.event_id,
            reason="scored again",
            edit_point=DATA_MANAGEMENT,
        )

    def _not_done(self) -> dict[str, list[dict[str, Any]]]:
        """Of each occurrence what was told of its not being answered, in order."""
        found: dict[str, list[dict[str, Any]]] = {}
        for one in sorted((*self.subject.misses, *self.subject.excuses), key=lambda step: step["position"]):
            found.setdefault(one["id"], []).append(one)
        return found

    def _of_not_done(self, id: str, steps: Sequence[dict[str, Any]]) -> Iterator[Moment]:
        """What was missed, excused, both or not any more, until an answer came."""
        place, missed = self.content.missed(steps[0]), False
        for one in steps:
            missed = missed or "excuse" not in one
            values = odm_content.not_done(rows.MISSED) if missed else {}
            if one.get("stands"):
                values = odm_content.not_done(odm_content.why_excused(one))
            yield one["position"], partial(self._now, place, values, **_by_whom(one))
        answers = [
            version
            for response in self.subject.responses
            for version in response.versions
            if version.told["occurrence_id"] == id and version.position > steps[0]["position"]
        ]
        if answers:
            first = min(answers, key=lambda version: version.position)
            # It goes just before the answer comes, at the same position: sorting keeps the order of what is equal.
            about = {"at": first.at, "by": SYSTEM, "source": first.event_id, "reason": "answered after all"}
            yield first.position, partial(self._now, place, {}, **about)

    def _now(self, place: Place, values: Values, **about: Any) -> Change:
        """From now on these are the form's values."""
        before = self.stand.get(place)
        if values:
            self.stand[place] = values
        else:
            self.stand.pop(place, None)
        how = INSERT if before is None else CONTEXT if values else REMOVE
        return Change(place, how, _differences(before or {}, values) if values else {}, **about)


def _by_whom(step: dict[str, Any]) -> dict[str, Any]:
    """When, by whom and why it was missed, excused, or its excuse taken back."""
    if (excuse := step.get("excuse")) is None:
        return {"at": step["missed_at"], "by": SYSTEM, "source": step["event_id"]}
    reason = "excused" if step["stands"] else "excuse taken back"
    by = odm_content.user(excuse["by"])
    return {"at": excuse["at"], "by": by, "source": step["event_id"], "reason": reason}


def _differences(before: Values, after: Values) -> dict[str, list[tuple[str, str, str | None]]]:
    found: dict[str, list[tuple[str, str, str | None]]] = {}
    for group in {**before, **after}:
        old, new = before.get(group, {}), after.get(group, {})
        steps: list[tuple[str, str, str | None]] = [(oid, REMOVE, None) for oid in old if oid not in new]
        steps += [
            (oid, UPDATE if oid in old else INSERT, value)
            for oid, value in new.items()
            if old.get(oid) != value
        ]
        if steps:
            found[group] = steps
    return found
