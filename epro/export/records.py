"""One participant as the feed tells of her up to a position: what every export is made from. Pure.

Nothing is dropped: a response keeps every version of itself and every run of its scores. What counts now is
`current`, the latest amendment, and its `scores`, the latest run of each scale of the definition in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from epro.export.rows import EXCUSED, MISSED

Told = dict[str, Any]


@dataclass(slots=True)
class Run:
    """One scoring: the scores as the feed told them, and by which entry."""

    position: int
    at: str
    event_id: str
    scores: list[Told]
    definition: Told = field(default_factory=dict)
    """By which the scores were made: code, version, digest."""


@dataclass(slots=True)
class Version:
    """A response as it was filed (number 0), or as an amendment left it (1, 2, ...). `told` is the feed's word."""

    id: str
    number: int
    position: int
    at: str
    event_id: str
    told: Told
    runs: list[Run]
    settlement: Told | None = None
    """How a person filed it, with `position` and `event_id`, where it was held or in conflict."""

    @property
    def scores(self) -> list[Told]:
        """Of every scale of the definition in force the latest run, in the order they were first told."""
        return self.scores_after(len(self.runs))

    def scores_after(self, runs: int) -> list[Told]:
        """What counted after so many runs. A scale that the last one's definition does not have counts no more."""
        if runs == 1:
            return self.runs[0].scores
        latest = {score["scale"]: (run, score) for run in self.runs[:runs] for score in run.scores}
        by = self.runs[runs - 1].definition.get("version")
        return [score for run, score in latest.values() if run.definition.get("version") == by]

    @property
    def definition(self) -> Told:
        """By which the scores that count were made."""
        return self.runs[-1].definition

    @property
    def amendment(self) -> Told | None:
        """Number, reason, who reported it, who made it and when; None for what was filed first."""
        found: Told | None = self.told.get("amendment")
        return found


@dataclass(slots=True)
class Response:
    """One filed response with its amendments; `id` is the id of the one that was filed first."""

    id: str
    versions: list[Version]

    @property
    def current(self) -> Version:
        return self.versions[-1]


@dataclass(slots=True)
class SetAside:
    """What was held or in conflict, and how a person settled it, if she has."""

    position: int
    at: str
    outcome: str
    told: Told
    settlement: Told | None = None


@dataclass(slots=True)
class Week:
    """A week of the diary, scored; of several scorings of a week the latest is last."""

    position: int
    at: str
    event_id: str
    told: Told
    scores: list[Told]


@dataclass(slots=True)
class Signature:
    """An investigator's signature as the feed told it; `breaks`: original id -> why it does not hold for it."""

    position: int
    at: str
    event_id: str
    told: Told
    breaks: dict[str, Told] = field(default_factory=dict)


@dataclass(slots=True)
class Subject:
    """All that the feed tells of one participant."""

    study_id: str
    subject_id: str
    site: str
    enrolled: Told | None = None
    enrolled_position: int | None = None
    withdrawal: Told | None = None
    anchors: dict[str, str] = field(default_factory=dict)
    responses: list[Response] = field(default_factory=list)
    misses: list[Told] = field(default_factory=list)
    """Every occurrence that was missed, those answered or excused later too; `unanswered` leaves these out."""
    excuses: list[Told] = field(default_factory=list)
    """Every excuse that was given or taken back, in order: the occurrence with `excuse` and, of one given, `stands`."""
    set_aside: list[SetAside] = field(default_factory=list)
    weeks: list[Week] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    queries: list[Told] = field(default_factory=list)
    """Entries about queries, whole, in order."""
    history: list[Told] = field(default_factory=list)
    """Entries about the participant herself, whole, in order: enrolled, an anchor set, withdrawn."""
    alerts: list[Told] = field(default_factory=list)
    """Entries about alerts, whole, in order."""
    entries: list[Told] = field(default_factory=list)
    """Every entry, whole, in order."""

    @property
    def usubjid(self) -> str:
        """SDTM's unique subject identifier: study and subject id."""
        return f"{self.study_id}-{self.subject_id}"

    def counting(self) -> set[str]:
        """Ids of what counts: of several answers to one occurrence the earliest completed, then the smallest id."""
        first: dict[str, tuple[str, str]] = {}
        for response in self.responses:
            told = response.versions[0].told
            mine = (told["corrected_at"], response.id)
            first[told["occurrence_id"]] = min(first.get(told["occurrence_id"], mine), mine)
        return {id for _, id in first.values()}

    def scored_weeks(self) -> list[Week]:
        """Of every week of every diary the latest scoring, in the order of their days."""
        latest = {(week.told["assessment"], week.told["number"]): week for week in self.weeks}
        return [latest[key] for key in sorted(latest)]

    def unanswered(self) -> list[Told]:
        """What was missed and has neither been answered nor excused since."""
        settled = self._answered() | {one["id"] for one in self.excused()}
        return [miss for miss in self.misses if miss["id"] not in settled]

    def excused(self) -> list[Told]:
        """What is excused and was not answered all the same."""
        last, answered = {one["id"]: one for one in self.excuses}, self._answered()
        return [one for id, one in last.items() if one["stands"] and id not in answered]

    def not_done(self, at: datetime) -> list[tuple[Told, str]]:
        """What was due by then and not answered, each with why: what was missed, then what is excused."""
        over = [one for one in self.excused() if datetime.fromisoformat(one["closes_at"]) <= at]
        reasons = [(one, EXCUSED.get(one["excuse"]["reason"], EXCUSED["other"])) for one in over]
        return [*((miss, MISSED) for miss in self.unanswered()), *reasons]

    def _answered(self) -> set[str]:
        return {response.current.told["occurrence_id"] for response in self.responses}


def fold(study_id: str, subject_id: str, entries: Iterable[Told]) -> Subject:
    """The participant that these entries tell of: each the feed's content with its `position`, in order."""
    subject = Subject(study_id, subject_id, "")
    of: dict[str, Version] = {}
    for entry in entries:
        subject.site = entry["site"]
        subject.entries.append(entry)
        step = _STEPS.get(entry["kind"])
        if step is not None:
            step(subject, of, entry)
        elif "alert" in entry:
            subject.alerts.append(entry)
    return subject


def _stored(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    version = _version(entry, 0)
    of[version.id] = version
    subject.responses.append(Response(version.id, [version]))


def _amended(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    version = _version(entry, entry["response"]["amendment"]["number"])
    of[version.id] = version
    original = entry["response"]["amends_id"]
    for response in subject.responses:
        if response.id == original:
            response.versions.append(version)
            response.versions.sort(key=lambda one: one.number)
            return
    subject.responses.append(Response(original, [version]))


def _version(entry: Told, number: int) -> Version:
    position, at, event = entry["position"], entry["at"], entry["event_id"]
    run = Run(position, at, event, entry["scores"], entry["response"]["instrument"])
    return Version(entry["response"]["id"], number, position, at, event, entry["response"], [run])


def _rescored(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    version = of.get(entry["rescored"]["response_id"])
    if version is None:  # a record that names a response which the feed does not tell of
        return
    how = {"definition": entry["rescored"]["instrument"]}
    scores = [score | how for score in entry["scores"]]
    made_by = entry["rescored"]["instrument"]
    version.runs.append(Run(entry["position"], entry["at"], entry["event_id"], scores, made_by))


def _set_aside(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    outcome = entry["kind"].partition(".")[2]
    subject.set_aside.append(SetAside(entry["position"], entry["at"], outcome, entry["set_aside"]))


def _settled(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    settlement = entry["settlement"]
    for one in subject.set_aside:
        if one.told["id"] == settlement["set_aside_id"]:
            one.settlement = settlement | {"at": entry["at"]}
    filed = of.get(settlement.get("response_id") or "")
    if filed is not None:
        filed.settlement = settlement | {"position": entry["position"], "event_id": entry["event_id"]}


def _missed(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    about = {"position": entry["position"], "event_id": entry["event_id"]}
    subject.misses.append(entry["occurrence"] | about)


def _excused(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    about = {"position": entry["position"], "event_id": entry["event_id"], "excuse": entry["excuse"]}
    subject.excuses.append(entry["occurrence"] | about | {"stands": entry["kind"] == "occurrence.excused"})


def _enrolled(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    subject.history.append(entry)
    subject.enrolled, subject.enrolled_position = entry["participant"], entry["position"]
    subject.anchors.update(_days(entry["participant"].get("anchors") or {}))


def _withdrawn(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    subject.history.append(entry)
    subject.withdrawal = entry["withdrawal"]


def _anchor(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    subject.history.append(entry)
    subject.anchors[entry["anchor"]["id"]] = entry["anchor"]["date"]


def _anchor_unset(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    subject.history.append(entry)
    subject.anchors.pop(entry["anchor"]["id"], None)


def _week(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    position, at, event = entry["position"], entry["at"], entry["event_id"]
    subject.weeks.append(Week(position, at, event, entry["week"], entry["scores"]))


def _signature(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    position, at, event = entry["position"], entry["at"], entry["event_id"]
    subject.signatures.append(Signature(position, at, event, entry["signature"]))


def _signature_break(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    told = entry["signature_break"]
    for one in subject.signatures:
        if one.told["id"] == told["signature_id"]:
            one.breaks[told["original_id"]] = told


def _query(subject: Subject, of: dict[str, Version], entry: Told) -> None:
    subject.queries.append(entry)


def _days(anchors: Mapping[str, str]) -> dict[str, str]:
    return {name: day for name, day in anchors.items() if day}


_STEPS = {
    "response.stored": _stored,
    "response.amended": _amended,
    "response.rescored": _rescored,
    "response.held": _set_aside,
    "response.conflict": _set_aside,
    "response.settled": _settled,
    "occurrence.missed": _missed,
    "occurrence.excused": _excused,
    "occurrence.unexcused": _excused,
    "participant.enrolled": _enrolled,
    "participant.withdrawn": _withdrawn,
    "anchor.set": _anchor,
    "anchor.unset": _anchor_unset,
    "week.scored": _week,
    "signature.made": _signature,
    "query.asked": _query,
    "query.answered": _query,
    "query.closed": _query,
    "signature.broken": _signature_break,
}
