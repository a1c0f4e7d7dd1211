"""The site: queries about answers. A data manager asks and closes, the site answers; nobody changes an answer here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from epro.api import looking, telling
from epro.api.door import actor
from epro.api.schemas_queries import ClosureIn, QueriesIn, QueriesOut, QueryIn, QueryOut, SaidIn
from epro.api.site import site
from epro.queries import asking
from epro.queries.asking import Standing
from epro.queries.models import Query
from epro.responses import correcting
from epro.studies import access
from epro.tx import begin, look


@site.post("/responses/<uuid:response_id>/queries")
@site.arguments(QueryIn)
@site.response(200, QueryOut)
def ask_query(wanted: dict[str, Any], response_id: UUID) -> dict[str, Any]:
    """Ask the site about a response, or about one answer of it."""
    try:
        with begin(actor()) as tx:
            return told(asking.ask(tx, response_id, **wanted))
    except IntegrityError:  # an id that stands where nothing can be seen from here
        raise correcting.IdTaken() from None


@site.get("/queries")
@site.arguments(QueriesIn, location="query")
@site.response(200, QueriesOut)
def queries(asked: dict[str, Any]) -> dict[str, Any]:
    """Queries at your sites, the newest first; `?state=asked` gives those that wait for the site."""
    access.allow(actor(), asking.READ)
    with look(actor()) as tx:
        query = telling.asked_for(asking.listed(tx, asked.get("state")), Query, asked)
        if "subject_id" in asked:
            query = query.where(Query.subject_id == asked["subject_id"])
        query = query.order_by(Query.asked_at.desc(), Query.id)
        rows = tx.all(query.limit(asked["limit"] + 1).offset(asked["offset"]))
        found = asking.standing(tx, rows[: asked["limit"]])
        for one in found:
            looking.at_row(one.query, "answers")
        return {"queries": [told(one) for one in found], "more": len(rows) > len(found)}


@site.get("/queries/<uuid:query_id>")
@site.response(200, QueryOut)
def one_query(query_id: UUID) -> dict[str, Any]:
    """One query with everything that was said."""
    with look(actor()) as tx:
        found = asking.find(tx, query_id)
        looking.at_row(found.query, "answers")
        return told(found)


@site.post("/queries/<uuid:query_id>/answer")
@site.arguments(SaidIn)
@site.response(200, QueryOut)
def answer_query(wanted: dict[str, Any], query_id: UUID) -> dict[str, Any]:
    """The site answers."""
    with begin(actor()) as tx:
        return told(asking.answer(tx, query_id, wanted["text"]))


@site.post("/queries/<uuid:query_id>/question")
@site.arguments(SaidIn)
@site.response(200, QueryOut)
def ask_query_again(wanted: dict[str, Any], query_id: UUID) -> dict[str, Any]:
    """Ask again: what the site answered was not enough."""
    with begin(actor()) as tx:
        return told(asking.ask_again(tx, query_id, wanted["text"]))


@site.post("/queries/<uuid:query_id>/closure")
@site.arguments(ClosureIn)
@site.response(200, QueryOut)
def close_query(wanted: dict[str, Any], query_id: UUID) -> dict[str, Any]:
    """Close it; who asked does."""
    with begin(actor()) as tx:
        return told(asking.close(tx, query_id, wanted.get("text")))


def told(found: Standing) -> dict[str, Any]:
    """A query as staff reads it."""
    row = found.query
    return {
        "id": row.id,
        "study": row.study_id,
        "subject_id": row.subject_id,
        "response_id": row.original_id,
        "item": row.item,
        "state": found.state,
        "asked_by": row.asked_by,
        "asked_at": row.asked_at,
        "steps": found.steps,
    }
