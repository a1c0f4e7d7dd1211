"""Queries about answers: a data manager asks and closes, the site answers. Both sides read the same page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Response as Reply
from flask import g, request

from epro.api import looking, site_queries
from epro.api.door import actor
from epro.api.schemas_queries import ClosureIn, QueryIn, SaidIn
from epro.console.door import act, page
from epro.console.page import asked, back_to, show
from epro.console.participants import READERS
from epro.console.worklist import SITE_ROLES, names_of, site_zone
from epro.queries import asking
from epro.queries.models import Query
from epro.responses import correcting, words
from epro.responses.models import Response
from epro.studies.models import Participant
from epro.tx import Tx, begin, look

ASKERS = ("data_manager", "monitor")
LINES = 50


@page("/studies/<study_id>/queries", roles=READERS, menu="queries.menu", order=27)
def queries(study_id: str) -> Reply:
    """Queries at her sites: first those that wait for her side."""
    mine = asking.ASKED if may_answer() else asking.ANSWERED
    wanted = request.args.get("state", mine)
    state = wanted if wanted in asking.STATES else mine
    number = max(1, min(request.args.get("page", 1, int), 10_000))
    with look(actor()) as tx:
        g.zone = site_zone(tx, study_id)
        query = asking.listed(tx, state).where(Query.study_id == study_id)
        query = query.order_by(Query.asked_at.desc(), Query.id)
        rows = tx.all(query.limit(LINES + 1).offset((number - 1) * LINES))
        told = [site_queries.told(one) for one in asking.standing(tx, rows[:LINES])]
        for row in rows[:LINES]:
            looking.at_row(row, "answers")
        return show(
            "queries.html",
            told=told,
            state=state,
            states=asking.STATES,
            more=len(rows) > LINES,
            page=number,
            names=names_of(step.said_by for one in told for step in one["steps"]),
        )


@page("/studies/<study_id>/queries/<uuid:query_id>", roles=READERS)
def query(study_id: str, query_id: UUID) -> Reply:
    """One query with everything that was said, and what can be said now."""
    with look(actor()) as tx:
        found = asking.find(tx, query_id)
        her = tx.get(Participant, study_id, found.query.subject_id)
        assert her is not None
        looking.at_row(her, "answers")
        g.zone = her.time_zone
        return show(
            "query.html",
            one=site_queries.told(found),
            question=_question(tx, found.query),
            language=_language(tx, found.query),
            names=names_of(step.said_by for step in found.steps),
            answers=may_answer(),
            asks=may_ask(),
            mine=found.query.asked_by == str(actor()),
        )


@act("/studies/<study_id>/answers/<uuid:response_id>/ask", roles=ASKERS)
def ask_query(study_id: str, response_id: UUID) -> Reply:
    """Ask about a response, or about one answer of it."""
    wanted = asked(QueryIn)
    with begin(actor()) as tx:
        made = asking.ask(tx, response_id, wanted["text"], wanted.get("item"))
    return back_to("query", study_id=study_id, query_id=made.query.id)


@act("/studies/<study_id>/queries/<uuid:query_id>/answer", roles=SITE_ROLES)
def answer_query(study_id: str, query_id: UUID) -> Reply:
    """The site answers."""
    return _said(study_id, query_id, lambda tx: asking.answer(tx, query_id, asked(SaidIn)["text"]))


@act("/studies/<study_id>/queries/<uuid:query_id>/ask", roles=ASKERS)
def ask_query_again(study_id: str, query_id: UUID) -> Reply:
    """What the site answered was not enough."""
    return _said(study_id, query_id, lambda tx: asking.ask_again(tx, query_id, asked(SaidIn)["text"]))


@act("/studies/<study_id>/queries/<uuid:query_id>/close", roles=ASKERS)
def close_query(study_id: str, query_id: UUID) -> Reply:
    """Who asked is content."""
    return _said(study_id, query_id, lambda tx: asking.close(tx, query_id, asked(ClosureIn).get("text")))


def may_ask() -> bool:
    return any(grant.role in ASKERS for grant in actor().grants)


def may_answer() -> bool:
    return any(grant.role in SITE_ROLES for grant in actor().grants)


def _said(study_id: str, query_id: UUID, say: Callable[[Tx], Any]) -> Reply:
    with begin(actor()) as tx:
        say(tx)
    return back_to("query", study_id=study_id, query_id=query_id)


def _question(tx: Tx, row: Query) -> str:
    """The question that it is about, as it was read; empty where it is about all of the response."""
    if row.item is None:
        return ""
    found = correcting.find(tx, row.original_id, "response.read")
    return str(words.sheet(tx, found).questions[row.item]["text"])


def _language(tx: Tx, row: Query) -> str:
    found = tx.get(Response, row.study_id, row.original_id)
    return found.language if found else ""
