"""Queries: asked by a data manager, answered by the site, closed by who asked; every word stays.

QY-01  A query goes its way: asked, answered, asked again, closed; nothing is said in a closed one.
QY-02  Only a data manager asks, only the site answers, only who asked closes; at their own sites.
QY-03  Each step stands in trail, feed, export and trial database.
QY-04  The same request again adds nothing; two that answer and close at once leave one order.
"""

from __future__ import annotations

import json
from threading import Thread
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from epro.errors import Conflict
from epro.queries import asking
from epro.queries.models import Query, QueryStep
from epro.responses import integrity
from epro.signin import staff
from epro.stream.sinks import trial_tables
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import PASSWORD, STUDY
from tests.rooms.test_corrections import ada as patient  # noqa: F401
from tests.rooms.test_corrections import ask, entry, on_sqlite, rows, told, upload

TESTS = system("tests")


@pytest.fixture
def sent(patient):  # noqa: F811
    made = entry(patient)
    upload(patient, made)
    return made


def say(cast, who, query_id, what, **body):
    return ask(cast, who, "POST", f"/v1/site/queries/{query_id}/{what}", body)


def put(cast, sent, who="dana", **more):
    body = {"text": "a 6 after a week of 2?", **more}
    return ask(cast, who, "POST", f"/v1/site/responses/{sent['id']}/queries", body)


def test_a_query_goes_its_way(cast, sent):
    made = put(cast, sent, item="worst_fatigue")
    assert made.status == 200, made.body
    query_id = made.body["id"]
    assert (made.body["state"], made.body["item"]) == ("asked", "worst_fatigue")
    listed = ask(cast, "noor", "GET", "/v1/site/queries?state=asked").body["queries"]
    assert [one["id"] for one in listed] == [query_id]
    early = say(cast, "dana", query_id, "question", text="well?")
    assert (early.status, early.body["code"]) == (409, "query_not_answered")
    assert say(cast, "dana", query_id, "closure").body["code"] == "query_not_answered"
    assert say(cast, "noor", query_id, "answer", text="she had fever").body["state"] == "answered"
    assert say(cast, "dana", query_id, "question", text="on which day?").body["state"] == "asked"
    assert say(cast, "ines", query_id, "answer", text="on that day").body["state"] == "answered"
    done = say(cast, "dana", query_id, "closure").body
    assert [(step["kind"], step["role"], step["text"]) for step in done["steps"]] == [
        ("asked", "data_manager", "a 6 after a week of 2?"),
        ("answered", "nurse", "she had fever"),
        ("asked", "data_manager", "on which day?"),
        ("answered", "investigator", "on that day"),
        ("closed", "data_manager", None),
    ]
    for who, what in (("noor", "answer"), ("dana", "question"), ("dana", "closure")):
        late = say(cast, who, query_id, what, text="one more")
        assert (late.status, late.body["code"]) == (409, "query_closed")
    fed = [one["query"] for kind in ("asked", "answered", "closed") for one in told(f"query.{kind}")]
    assert sorted(one["number"] for one in fed) == [1, 2, 3, 4, 5]
    with look(TESTS) as tx:
        assert list(integrity.faults(tx)) == []
    cast.relay()
    (sink,) = cast.sinks
    with sink.engine.connect() as connection:
        kept = connection.execute(sa.select(trial_tables.queries.c.STEPNO, trial_tables.queries.c.TEXT)).all()
    assert sorted(number for number, _ in kept) == [1, 2, 3, 4, 5]


@on_sqlite
def test_everybody_has_her_own_part(cast, sent):
    for who in ("noor", "ines", "bo", "alma"):
        assert put(cast, sent, who).status == 403, who
    query_id = put(cast, sent).body["id"]
    assert say(cast, "dana", query_id, "answer", text="so it is").status == 403
    assert say(cast, "noor", query_id, "closure", text="done").status == 403
    assert say(cast, "otto", query_id, "answer", text="mine?").status == 404
    assert ask(cast, "otto", "GET", f"/v1/site/queries/{query_id}").status == 404
    assert ask(cast, "otto", "GET", "/v1/site/queries").body["queries"] == []
    with begin(TESTS) as tx:
        grants = [Grant(STUDY, "*", "data_manager")]
        staff.add(tx, email="dirk@example.org", name="Dirk", password=PASSWORD, language="en", grants=grants)
    say(cast, "noor", query_id, "answer", text="yes")
    assert say(cast, "dirk", query_id, "closure").status == 403
    assert put(cast, sent, item="no such item").body["errors"][0]["code"] == "unknown_item"
    assert len(rows(QueryStep)) == 2


@on_sqlite
def test_the_same_question_again_is_asked_once(cast, sent):
    own = str(uuid4())
    assert put(cast, sent, id=own).body == put(cast, sent, id=own).body
    assert put(cast, sent, id=own, text="another").body["code"] == "id_taken"
    assert len(rows(Query)) == 1


@on_sqlite
def test_before_an_answer_it_is_closed_with_a_reason(cast, sent):
    query_id = put(cast, sent).body["id"]
    assert say(cast, "dana", query_id, "closure", text="asked by mistake").body["state"] == "closed"


def test_answering_and_closing_at_once_leave_one_order(cast, sent):
    dana = Actor("staff", cast.ids["dana"], grants=(Grant(STUDY, "*", "data_manager"),))
    noor = Actor("staff", cast.ids["noor"], grants=(Grant(STUDY, "01", "nurse"),))
    with begin(dana) as tx:
        query_id = asking.ask(tx, UUID(sent["id"]), "why?").query.id
    with begin(noor) as tx:
        asking.answer(tx, query_id, "so it was")
    failed = []

    def act(who, what):
        with cast.app.app_context():
            try:
                with begin(who) as tx:
                    what(tx)
            except Conflict as refused:
                failed.append(refused.code)

    acts = [
        (dana, lambda tx: asking.close(tx, query_id)),
        (noor, lambda tx: asking.answer(tx, query_id, "and more")),
    ]
    threads = [Thread(target=act, args=one) for one in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kinds = [step.kind for step in sorted(rows(QueryStep), key=lambda step: step.number)]
    assert kinds[-1] == "closed" and failed == (["query_closed"] if len(kinds) == 3 else [])


def test_the_reason_in_the_trail_is_what_was_said(cast, sent):
    put(cast, sent)
    with look(TESTS) as tx:
        event = json.loads(tx.one(sa.select(Event.body).where(Event.action == "query.asked")))
    assert event["reason"] == "a 6 after a week of 2?"
