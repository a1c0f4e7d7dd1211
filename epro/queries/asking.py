"""Asking, answering, asking again, closing: each a step that stays, in trail and feed, under the participant's lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from epro import canonical, trail
from epro.errors import Conflict, Invalid, NotAllowed
from epro.queries.models import Query, QueryStep
from epro.questionnaires import catalogue
from epro.responses import correcting
from epro.studies import access, participants
from epro.studies.models import Participant
from epro.tx import Tx

ASK, ANSWER, READ = "query.ask", "query.answer", "query.read"
ASKED, ANSWERED, CLOSED = STATES = ("asked", "answered", "closed")
"""How a query stands is what its last step says: asked waits for the site, answered for who asked."""


class QueryClosed(Conflict):
    """This query is closed; ask another one."""

    code = "query_closed"


class NotAnswered(Conflict):
    """The site has not answered yet; a query that is not needed any more is closed with a reason."""

    code = "query_not_answered"


@dataclass(frozen=True)
class Standing:
    """A query with everything that was said."""

    query: Query
    steps: Sequence[QueryStep]

    @property
    def state(self) -> str:
        return self.steps[-1].kind


def ask(tx: Tx, response_id: UUID, text: str, item: str | None = None, id: UUID | None = None) -> Standing:
    """Ask about a response. With the same `id` again nothing more is asked."""
    found = correcting.find(tx, response_id, ASK)
    participant = _locked(tx, found)
    digest = canonical.digest({"response": str(found.amends_id or found.id), "item": item, "text": text})
    known = tx.get(Query, found.study_id, id) if id else None
    if known is not None:
        if known.asked_digest != digest or known.asked_by != str(tx.actor):
            raise correcting.IdTaken()
        return standing(tx, [known])[0]
    instrument = catalogue.find(tx, found.instrument_code, found.instrument_version)
    if item is not None and (instrument is None or all(one.id != item for one in instrument.items)):
        raise Invalid(
            errors=[{"pointer": "/item", "code": "unknown_item", "detail": "There is no such item."}]
        )
    query = Query(
        study_id=found.study_id,
        id=id or uuid4(),
        subject_id=found.subject_id,
        original_id=found.amends_id or found.id,
        item=item,
        asked_by=str(tx.actor),
        asked_at=tx.now,
        asked_digest=digest,
    )
    tx.add(query)
    tx.session.flush()
    return _say(tx, participant, Standing(query, []), ASKED, text, _role(tx, participant, ASK))


def answer(tx: Tx, query_id: UUID, text: str) -> Standing:
    """The site answers. A correction is made by itself; here is said that it was, or why not."""
    participant, found = _open(tx, query_id, ANSWER)
    return _say(tx, participant, found, ANSWERED, text, _role(tx, participant, ANSWER))


def ask_again(tx: Tx, query_id: UUID, text: str) -> Standing:
    """What the site answered was not enough."""
    participant, found = _open(tx, query_id, ASK)
    if found.state != ANSWERED:
        raise NotAnswered()
    return _say(tx, participant, found, ASKED, text, _role(tx, participant, ASK))


def close(tx: Tx, query_id: UUID, text: str | None = None) -> Standing:
    """Who asked is content; before an answer only with a reason. Nobody else closes it."""
    participant, found = _open(tx, query_id, ASK)
    if found.query.asked_by != str(tx.actor):
        raise NotAllowed("Who asked closes it.")
    if found.state != ANSWERED and not text:
        raise NotAnswered()
    return _say(tx, participant, found, CLOSED, text, _role(tx, participant, ASK))


def find(tx: Tx, query_id: UUID, permission: str = READ) -> Standing:
    """The query of this id at one of the actor's sites. Raises NotFound, Conflict."""
    access.allow(tx.actor, permission)
    visible = access.visible(tx.actor, permission, Query)
    found = access.the_one(tx, sa.select(Query).where(Query.id == query_id, visible))
    return standing(tx, [found])[0]


def listed(tx: Tx, state: str | None = None) -> sa.Select[Any]:
    """The queries at the actor's sites; those that stand like this."""
    access.allow(tx.actor, READ)
    query = sa.select(Query).where(access.visible(tx.actor, READ, Query))
    if state is None:
        return query
    own = (QueryStep.study_id == Query.study_id, QueryStep.query_id == Query.id)
    later = aliased(QueryStep)
    after = sa.exists().where(
        later.study_id == Query.study_id, later.query_id == Query.id, later.number > QueryStep.number
    )
    last = after.correlate(Query, QueryStep)
    return query.where(sa.exists().where(*own, QueryStep.kind == state, ~last).correlate(Query))


def standing(tx: Tx, rows: Sequence[Query]) -> list[Standing]:
    """These queries with what was said in each."""
    steps: dict[tuple[str, UUID], list[QueryStep]] = defaultdict(list)
    asked = sa.select(QueryStep).where(
        QueryStep.study_id.in_({row.study_id for row in rows}),
        QueryStep.query_id.in_([row.id for row in rows]),
    )
    for step in tx.all(asked.order_by(QueryStep.number)):
        steps[step.study_id, step.query_id].append(step)
    return [Standing(row, steps[row.study_id, row.id]) for row in rows]


def about(tx: Tx, study_id: str, original_id: UUID) -> list[Standing]:
    """The queries about one response (by the id of the first), in order."""
    query = sa.select(Query).where(Query.study_id == study_id, Query.original_id == original_id)
    return standing(tx, tx.all(query.order_by(Query.asked_at, Query.id)))


def _open(tx: Tx, query_id: UUID, permission: str) -> tuple[Any, Standing]:
    """The query, not closed, with its participant plain and locked."""
    participant = _locked(tx, find(tx, query_id, permission).query)
    found = find(tx, query_id, permission)  # as it stands now that nobody else can add to it
    if found.state == CLOSED:
        raise QueryClosed()
    return participant, found


def _locked(tx: Tx, row: Any) -> Any:
    participant = tx.plain(Participant, row.study_id, row.subject_id, lock=True)
    assert participant is not None
    return participant


def _role(tx: Tx, participant: Any, permission: str) -> str:
    """As what she speaks here."""
    here = [
        grant.role
        for grant in access.grants_for(tx.actor, permission)
        if grant.study_id == participant.study_id and grant.site_id in ("*", participant.site_id)
    ]
    return sorted(here)[0] if here else tx.actor.kind


def _say(tx: Tx, participant: Any, found: Standing, kind: str, text: str | None, role: str) -> Standing:
    query = found.query
    step = QueryStep(
        study_id=query.study_id,
        query_id=query.id,
        number=len(found.steps) + 1,
        subject_id=query.subject_id,
        kind=kind,
        text=text,
        said_by=str(tx.actor),
        role=role,
        said_at=tx.now,
    )
    tx.add(step)
    tx.session.flush()
    action = f"query.{kind}"
    event = trail.record(
        tx,
        participant,
        action,
        "query",
        query.id,
        reason=text,
        response=str(query.original_id),
        item=query.item,
        number=step.number,
    )
    trail.stream(tx, event, participant, action, {"query": told(query, step)})
    participants.put_back(tx, participant)
    return Standing(query, [*found.steps, step])


def told(query: Query, step: QueryStep) -> dict[str, Any]:
    """A step as the feed tells it."""
    return {
        "id": str(query.id),
        "original_id": str(query.original_id),
        "item": query.item,
        "number": step.number,
        "kind": step.kind,
        "text": step.text,
        "said_by": step.said_by,
        "role": step.role,
        "said_at": trail.instant(step.said_at),
    }
