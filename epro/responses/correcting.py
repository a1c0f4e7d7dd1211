"""Corrections of answers: the site says what is right, who said so and why. The first answers stay as they were.

A correction is a response of its own that names the first (`amends_id`), with all answers after it, scored by the
instrument that the first was answered in. The value that counts is that of the latest (see receiving.primary).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from epro import canonical, trail
from epro.errors import Conflict, Invalid, NotAllowed, NotFound
from epro.questionnaires import catalogue, checking
from epro.questionnaires.instrument import Instrument
from epro.responses import receipts, receiving, runs, sight
from epro.responses.models import Amendment, Response, Score
from epro.responses.receiving import Filed
from epro.responses.submission import Finding, read
from epro.scheduling import occurrences, protocols
from epro.scheduling.models import Occurrence
from epro.studies import access, participants
from epro.studies.models import Participant
from epro.tx import Actor, Tx

REPORTERS = ("participant", "caregiver", "site")
CORRECT = "response.correct"


class NotCurrent(Conflict):
    """Somebody has corrected this response meanwhile: read it again."""

    code = "not_current"


class IdTaken(Conflict):
    """This id is in use."""

    code = "id_taken"


@dataclass(frozen=True)
class Wish:
    """What is to be corrected. `answers` are the changed items only, None clears one; `follows` is the number of the
    correction that was read (0: none), if whoever asks wants to be sure.
    """

    answers: Mapping[str, Any]
    reason: str
    reported_by: str
    reported_at: datetime | None = None
    id: UUID | None = None
    follows: int | None = None
    settled_from: UUID | None = None

    @property
    def digest(self) -> str:
        """What makes two requests the same."""
        when = trail.instant(self.reported_at) if self.reported_at else None
        said = [self.reason, self.reported_by, when, self.follows, str(self.settled_from)]
        return canonical.digest({"answers": dict(self.answers), "said": said})


@dataclass(frozen=True)
class Case:
    """A response with its corrections, the first of all first; the participant is a plain row, locked."""

    participant: Any
    versions: Sequence[Response]
    occurrence: Any
    instrument: Instrument

    @property
    def original(self) -> Response:
        return self.versions[0]

    @property
    def current(self) -> Response:
        return self.versions[-1]

    def filed(self, tx: Tx) -> Filed:
        """The current answers and scores, as alerts look at them."""
        now = self.current
        values = {row.scale: row.value for row in runs.scores_of(tx, now.study_id, [now.id])}
        return Filed(now.id, self.occurrence, receiving.answers_of(now), values, now.corrected_at)


@dataclass(frozen=True)
class Corrected:
    """A correction as it is, or as it would be: the new row, its scores, and the scores before (scale -> row)."""

    row: Mapping[str, Any]
    scores: list[dict[str, Any]]
    before: Mapping[str, Any]
    case: Case
    repeated: bool = False

    @property
    def filed(self) -> Filed:
        values = {one["scale"]: one["value"] for one in self.scores}
        answers = json.loads(self.row["body"])["answers"]
        return Filed(self.row["id"], self.case.occurrence, answers, values, self.row["corrected_at"])


def versions(tx: Tx, study_id: str, response_id: UUID) -> list[Response]:
    """The original of this response and its corrections, in order. Empty when there is none."""
    named = tx.get(Response, study_id, response_id)
    if named is None:
        return []
    first = named.amends_id or named.id
    query = sa.select(Response).where(
        Response.study_id == study_id, sa.or_(Response.id == first, Response.amends_id == first)
    )
    return tx.all(query.order_by(sa.nulls_first(Response.amendment_no)))


def find(tx: Tx, response_id: UUID, permission: str = CORRECT) -> Response:
    """The response of this id at one of the actor's sites. Raises NotFound, Conflict."""
    access.allow(tx.actor, permission)
    visible = access.visible(tx.actor, permission, Response)
    found: Response = access.the_one(tx, sa.select(Response).where(Response.id == response_id, visible))
    return found


def refuse_others(tx: Tx, participant: Any) -> None:
    """Raise NotAllowed unless the actor decides on corrections at her site: investigators do, nurses where the study
    says so. No setting takes it from the investigators, none gives it to a sponsor, and no second role does.
    """
    if access.is_sponsors(tx.actor, participant.study_id):
        raise NotAllowed("Who works for the sponsor in this study changes no answers.")
    here = roles_here(tx.actor, participant.study_id, participant.site_id)
    protocol = protocols.find(tx, participant.study_id, participant.protocol_version)
    if "investigator" not in here and not protocol.nurses_may_correct:
        raise NotAllowed()


def roles_here(actor: Actor, study_id: str, site_id: str) -> set[str]:
    """The roles by which somebody corrects at this site."""
    return {
        grant.role
        for grant in access.grants_for(actor, CORRECT)
        if grant.study_id == study_id and grant.site_id in (site_id, "*")
    }


def hers(tx: Tx, found: Any, *, lock: bool = True) -> Any:
    """The participant of this row, plain and locked, for one who may correct. Raises NotAllowed."""
    participant = tx.plain(Participant, found.study_id, found.subject_id, lock=lock)
    refuse_others(tx, participant)
    return participant


def case_of(tx: Tx, participant: Any, response_id: UUID) -> Case:
    """Everything about a response of hers that is to be corrected. Raises NotFound."""
    found = versions(tx, participant.study_id, response_id)
    if not found or found[0].subject_id != participant.subject_id:
        raise NotFound()
    occurrence = tx.plain(Occurrence, participant.study_id, found[0].occurrence_id)
    instrument = catalogue.find(tx, found[0].instrument_code, found[0].instrument_version)
    assert occurrence is not None and instrument is not None
    return Case(participant, found, occurrence, instrument)


def prepare(tx: Tx, case: Case, wish: Wish) -> Corrected:
    """The correction as it would be; nothing is written. Raises Invalid, NotCurrent, IdTaken."""
    known = _known(tx, case, wish)
    if known is not None:
        return known
    number = len(case.versions)
    if wish.follows is not None and wish.follows != number - 1:
        raise NotCurrent()
    answers = _answers(tx, case, wish)
    row = _row(tx, case, wish, answers, number)
    scores = receiving.score_rows(tx, case.participant, row["id"], case.instrument, answers)
    return Corrected(row, scores, _scores_before(tx, case), case)


def write(tx: Tx, corrected: Corrected, wish: Wish) -> None:
    """Store it: with its scores, in the trail, in the feed."""
    case, row, participant = corrected.case, corrected.row, corrected.case.participant
    before = case.current
    with tx.together():
        tx.insert(Response, [row])
        tx.insert(Score, corrected.scores)
        tx.insert(Amendment, [_facts(tx, case, wish, row["id"])])
        occurrences.fulfil(
            tx, participant, case.occurrence
        )  # it is: what its week comes to is looked at again
        event = trail.record(
            tx,
            participant,
            "response.amended",
            "response",
            row["id"],
            reason=wish.reason,
            digest=row["digest"],
            amends=str(case.original.id),
            number=row["amendment_no"],
            before={"response": str(before.id), "digest": before.digest},
            items=sorted(wish.answers),
            reported_by=wish.reported_by,
            reported_at=trail.instant(wish.reported_at) if wish.reported_at else None,
            settled_from=str(wish.settled_from) if wish.settled_from else None,
        )
        trail.stream(tx, event, participant, "response.amended", _told(tx, corrected, wish))
        participants.put_back(tx, participant)


def amendments_of(tx: Tx, study_id: str, response_ids: Iterable[UUID]) -> dict[UUID, Amendment]:
    """Why each of these corrections was made, by its response id."""
    query = sa.select(Amendment).where(
        Amendment.study_id == study_id, Amendment.response_id.in_(list(response_ids))
    )
    return {row.response_id: row for row in tx.all(query)}


def _known(tx: Tx, case: Case, wish: Wish) -> Corrected | None:
    """The same correction, made before; None when it is new. Raises IdTaken."""
    if wish.id is None:
        return None
    row = tx.get(Response, case.original.study_id, wish.id)
    if row is None:
        return None
    made = tx.get(Amendment, row.study_id, row.id)
    if row.amends_id != case.original.id or made is None or made.asked_digest != wish.digest:
        raise IdTaken()
    until = [one for one in case.versions if (one.amendment_no or 0) < (row.amendment_no or 0)]
    earlier = replace(case, versions=until)
    columns = {column.key: getattr(row, column.key) for column in sa.inspect(Response).column_attrs}
    first = {"response_id": row.id}
    scores = [_plain(one) | first for one in _first_run(tx, row)]
    return Corrected(columns, scores, _scores_before(tx, earlier), earlier, repeated=True)


def _first_run(tx: Tx, row: Response) -> list[Score]:
    query = sa.select(Score).where(
        Score.study_id == row.study_id, Score.response_id == row.id, Score.run == 1
    )
    return tx.all(query.order_by(Score.scale))


def _plain(score: Score) -> dict[str, Any]:
    return {column.key: getattr(score, column.key) for column in sa.inspect(Score).column_attrs}


def _scores_before(tx: Tx, case: Case) -> dict[str, Score]:
    now = case.current
    return {row.scale: row for row in runs.scores_of(tx, now.study_id, [now.id])}


def _answers(tx: Tx, case: Case, wish: Wish) -> dict[str, Any]:
    """All answers after the correction. Raises Invalid for what does not fit, or changes nothing: that is not said of
    answers that are kept from the actor, for it would tell them.
    """
    now = receiving.answers_of(case.current)
    answers = {**now, **wish.answers}
    faults = checking.check(case.instrument, answers)
    if faults:
        raise Invalid(errors=[_fault(one) for one in faults[: receiving.MOST_FINDINGS]])
    changed = {item for item, code in answers.items() if code != now.get(item)}
    if not changed and not _kept_from_actor(tx, case, wish.answers):
        detail = "This is what stands there already."
        raise Invalid(errors=[{"pointer": "/answers", "code": "nothing_changed", "detail": detail}])
    return answers


def _kept_from_actor(tx: Tx, case: Case, items: Iterable[str]) -> bool:
    """Whether she must not learn what was answered to one of these items."""
    first, her = case.original, case.participant
    protocol = protocols.find(tx, her.study_id, her.protocol_version)
    if sight.hides_scores(tx.actor, protocol, her.study_id, her.site_id):
        return True
    blinded = sight.blinded_items(tx, first.instrument_code, first.instrument_version)
    return not blinded.isdisjoint(items)


def _fault(found: checking.Finding) -> dict[str, str]:
    return {
        "pointer": f"/answers/{receiving.escaped(found.item)}",
        "code": found.code,
        "detail": found.detail,
    }


def _row(tx: Tx, case: Case, wish: Wish, answers: Mapping[str, Any], number: int) -> dict[str, Any]:
    first, new_id = case.original, wish.id or uuid4()
    content = _content(case, wish, new_id, answers, number)
    body, digest = canonical.encode(content).decode(), canonical.digest(content)
    kept = {column.key: getattr(first, column.key) for column in sa.inspect(Response).column_attrs}
    remarks = [
        Finding(one.code, one.detail, f"/answers/{receiving.escaped(one.item)}").told()
        for one in checking.remarks(case.instrument, answers)
    ]
    return kept | {
        "id": new_id,
        "received_at": tx.now,
        "device_id": None,
        "body": body,
        "digest": digest,
        "signature": receipts.sign(str(new_id), digest, tx.now),
        "findings": remarks,
        "amends_id": first.id,
        "amendment_no": number,
    }


def _content(case: Case, wish: Wish, new_id: UUID, answers: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What the digest is taken over: the whole answer as it stands now, and why."""
    kept = ("occurrence_id", "instrument", "language", "started_at", "completed_at", "time_zone")
    first = json.loads(case.original.body)
    content = {name: first[name] for name in kept if name in first}
    amendment = {"number": number, "reason": wish.reason, "reported_by": wish.reported_by}
    if wish.reported_at is not None:
        amendment["reported_at"] = trail.instant(wish.reported_at)
    named = {"id": str(new_id), "amends_id": str(case.original.id), "amendment": amendment}
    settled = {"settled_from": str(wish.settled_from)} if wish.settled_from else {}
    return content | named | settled | {"answers": dict(answers)}


def _facts(tx: Tx, case: Case, wish: Wish, new_id: UUID) -> dict[str, Any]:
    return {
        "study_id": case.original.study_id,
        "response_id": new_id,
        "subject_id": case.original.subject_id,
        "reason": wish.reason,
        "reported_by": wish.reported_by,
        "reported_at": wish.reported_at,
        "made_by": str(tx.actor),
        "made_at": tx.now,
        "before_digest": case.current.digest,
        "asked_digest": wish.digest,
    }


def _told(tx: Tx, corrected: Corrected, wish: Wish) -> dict[str, Any]:
    """As the feed tells it: the response as any other, with what it amends and why."""
    content = json.loads(corrected.row["body"])
    told = receiving.told(corrected.row, corrected.case.occurrence, read(content), corrected.scores)
    made = {"made_by": str(tx.actor), "made_at": trail.instant(tx.now)}
    told["response"] |= {"amends_id": content["amends_id"], "amendment": content["amendment"] | made}
    if wish.settled_from is not None:
        told["response"]["settled_from"] = str(wish.settled_from)
    return told
