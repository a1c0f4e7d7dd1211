"""Contact data are put right, and what a person asks about data on her is noted, due, answered once.

RI-01  Another number is the one that messages go to and that she is found by; the trail says which field, never what.
RI-05  A change of contact data counts once its act is on record: not before, and not when that is lost.
RI-02  A request is due a month later, stands until an investigator answers it, and is answered once.
RI-03  A restriction that is granted stops messages, search, calendar and forgetting, until it is ended.
RI-04  An erasure is said to be granted only when it is done.
"""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from epro import db, worker
from epro.contacts import data_keys, store
from epro.contacts.models import Contact
from epro.notifications.models import Message
from epro.privacy import rectifying, rights
from epro.studies.models import Participant
from epro.trail import verifying
from epro.trail.models import Event
from epro.tx import Grant, Tx, begin, look, system
from tests.cast import STUDY, at
from tests.doors.scene import hire, publish
from tests.rooms.test_corrections import ask

TESTS = system("tests")
NOON = at("2026-03-02T12:00")
EVENING = at("2026-03-02T19:01")
SITE = "/v1/site/participants/01-001"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        return cast.phone(contact={"phone": "+8613900000001", "name": "Ada Li"})


def kept():
    return store.of(STUDY, "participant/01-001")


def trail_of(action):
    with look(TESTS) as tx:
        return [json.loads(one) for one in tx.all(sa.select(Event.body).where(Event.action == action))]


def note(cast, kind="restriction", who="noor", when=NOON, **more):
    wish = {"kind": kind, "asked_on": "2026-03-02", "text": "her letter", **more}
    return ask(cast, who, "POST", f"{SITE}/rights-requests", wish, when)


def answer(cast, made, outcome="granted", who="ines", reason="as she asks"):
    path = f"/v1/site/rights-requests/{made.body['id']}/answer"
    return ask(cast, who, "POST", path, {"outcome": outcome, "reason": reason}, NOON)


def waiting(cast, who="noor", query=""):
    return ask(cast, who, "GET", f"/v1/site/rights-requests{query}", None, NOON).body["requests"]


# RI-01.


def test_another_number_is_the_one_that_counts(cast, ada):
    change = {"phone": "+8613900000002", "name": None, "reason": "a new phone"}
    assert ask(cast, "noor", "POST", f"{SITE}/contact", change, NOON).status == 200
    assert kept() == {"phone": "+8613900000002"}
    for number, found in (("+8613900000001", 0), ("+8613900000002", 1)):
        told = ask(cast, "noor", "POST", "/v1/site/participants/search", {"phone": number}, NOON)
        assert len(told.body["participants"]) == found
    cast.tick(EVENING)
    assert [one.to for one in cast.sms.taken] == ["+8613900000002"]
    (told,) = trail_of("participant.contact_changed")
    assert told["reason"] == "a new phone" and told["details"]["contact"]["name"] == "erased"
    assert "139000" not in json.dumps(told) and verified()


def verified():
    with look(TESTS) as tx:
        return list(verifying.faults(tx, Participant)) == []


@on_sqlite
def test_who_puts_contact_data_right_and_what_is_refused(cast, ada):
    change = {"phone": "+8613900000002", "reason": "a new phone"}
    for who, status in {"otto": 404, "dana": 403, "mona": 403, "bo": 403, "alma": 403}.items():
        assert ask(cast, who, "POST", f"{SITE}/contact", change, NOON).status == status, who
    for wrong in ({"reason": "x"}, {"phone": "12", "reason": "x"}, {"phone": "+8613900000002"}):
        refused = ask(cast, "noor", "POST", f"{SITE}/contact", wrong, NOON)
        assert refused.status == 422 and "139" not in json.dumps(refused.body)
    assert kept() == {"phone": "+8613900000001", "name": "Ada Li"}


@on_sqlite
def test_a_change_that_is_not_on_record_is_none(cast, ada, monkeypatch):
    def away(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(rectifying.trail, "record", away)
    with pytest.raises(RuntimeError), begin(TESTS) as tx:
        rectifying.change(
            tx, tx.get(Participant, STUDY, "01-001", lock=True), {"phone": "+8613900000002"}, "x"
        )
    assert kept() == {"phone": "+8613900000001", "name": "Ada Li"}


def change(number="+8613900000002"):
    with begin(TESTS) as tx:
        hers = tx.get(Participant, STUDY, "01-001", lock=True)
        rectifying.change(tx, hers, {"phone": number, "name": None}, "x")


def test_a_change_counts_when_it_is_on_record_and_not_before(cast, ada, monkeypatch):
    """Its transaction is lost at the very end, or its process is, after the end."""

    def lost(_):
        raise RuntimeError

    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(Tx, "commit", lost)
        change("+8613900000009")
    assert (kept(), waits()) == (BEFORE, ["next/name", "next/phone"])
    assert worker.settle() == 1 and (kept(), waits()) == (BEFORE, []), "it never was"
    change()
    assert kept() == BEFORE and worker.settle() == 1 and worker.settle() == 0
    assert (kept(), waits()) == ({"phone": "+8613900000002"}, [])
    change("+8613900000003")
    change("+8613900000004")
    assert kept() == {"phone": "+8613900000003"}, "the one before was over when the next began"
    rectifying.settle(STUDY, "01-001")
    assert kept() == {"phone": "+8613900000004"} and verified()


def test_what_waits_goes_with_her_key(cast, ada):
    change()
    data_keys.destroy(STUDY, "participant/01-001")
    assert worker.settle() == 1 and waits() == []


BEFORE = {"phone": "+8613900000001", "name": "Ada Li"}


def waits():
    with Session(db.contacts_engine()) as session:
        query = sa.select(Contact.field).where(Contact.field.startswith("next/")).order_by(Contact.field)
        return list(session.scalars(query))


# RI-02.


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-01-31", "2026-02-28"),
        ("2028-01-31", "2028-02-29"),
        ("2026-12-15", "2027-01-15"),
        ("2026-11-30", "2026-12-30"),
    ],
)
def test_a_request_is_due_a_month_later(asked, due):
    assert rights.due_on(date.fromisoformat(asked)) == date.fromisoformat(due)


def test_a_request_stands_until_it_is_answered_once(cast, ada):
    first, later = note(cast, "access"), note(cast, "other", asked_on="2026-02-20")
    assert (first.status, first.body["due_on"]) == (201, "2026-04-02")
    assert [one["id"] for one in waiting(cast)] == [later.body["id"], first.body["id"]], "due first first"
    assert answer(cast, first, "partly").body["outcome"] == "partly"
    assert answer(cast, first, "partly").status == 200
    again = answer(cast, first, "refused")
    assert (again.status, again.body["code"]) == (409, "already_answered")
    assert [one["id"] for one in waiting(cast)] == [later.body["id"]]
    assert len(waiting(cast, query="?standing=false")) == 2
    (asked, _), (told,) = trail_of("rights.asked"), trail_of("rights.answered")
    assert asked["details"] == {"kind": "access", "asked_on": "2026-03-02", "due_on": "2026-04-02"}
    assert (told["reason"], told["details"]["outcome"]) == ("as she asks", "partly")


@on_sqlite
def test_whose_requests_somebody_sees_and_answers(cast, ada):
    made = note(cast, id="0b5b1d5e-0000-4000-8000-000000000007")
    assert note(cast, id=made.body["id"]).body["id"] == made.body["id"]
    assert note(cast, "access", id=made.body["id"]).status == 409
    assert note(cast, asked_on="2026-03-03").status == 422, "a day that is to come"
    assert note(cast, who="otto").status == 404 and note(cast, who="dana").status == 403
    assert waiting(cast, "otto") == [] and len(waiting(cast, "ines")) == 1
    assert ask(cast, "mona", "GET", "/v1/site/rights-requests", None, NOON).status == 403
    assert answer(cast, made, who="noor").status == 403


def test_an_id_is_used_once_in_a_study(cast, ada):
    """Whoever else has used it: at another site, whose requests are not to be seen from here; or in another study."""
    made = note(cast, id="0b5b1d5e-0000-4000-8000-000000000007")
    with cast.on("2026-03-02T10:00"):
        subject = cast.enrol("otto")["subject_id"]
    wish = {"kind": "access", "asked_on": "2026-03-02", "text": "x", "id": made.body["id"]}
    there = ask(cast, "otto", "POST", f"/v1/site/participants/{subject}/rights-requests", wish, NOON)
    assert (there.status, there.body["code"]) == (409, "conflict")


def test_an_id_in_two_studies_asks_which_is_meant(cast, ada):
    publish("other")
    hire("nils", Grant("other", "01", "nurse"))
    hire("ida", Grant("other", "01", "investigator"), Grant(STUDY, "01", "investigator"))
    with cast.on("2026-03-02T10:00"):
        where = {"study": "other", "site": "01", "language": "en", "time_zone": "Asia/Shanghai"}
        nils = cast.staff("nils")
        there = nils.enrol(**where, anchors={"enrolment": "2026-03-02"}, contact={})["subject_id"]
    wish = {
        "kind": "access",
        "asked_on": "2026-03-02",
        "text": "x",
        "id": "0b5b1d5e-0000-4000-8000-000000000007",
    }
    assert note(cast, **wish).status == 201
    path = f"/v1/site/participants/{there}/rights-requests"
    assert ask(cast, "nils", "POST", path, wish, NOON).status == 201
    said, path = {"outcome": "granted", "reason": "x"}, f"/v1/site/rights-requests/{wish['id']}/answer"
    assert ask(cast, "ida", "POST", path, said, NOON).status == 409
    for study in ("other", STUDY):
        assert ask(cast, "ida", "POST", f"{path}?study={study}", said, NOON).body["study"] == study


# RI-03.


def test_what_is_held_still_is_not_used_until_it_is_ended(cast, ada):
    made = note(cast)
    assert answer(cast, made).status == 200
    cast.tick(EVENING)
    assert cast.sms.taken == [] and "restricted" in reasons()
    found = ask(cast, "noor", "POST", "/v1/site/participants/search", {"phone": "+8613900000001"}, NOON)
    assert found.body["participants"] == []
    with begin(TESTS, NOON) as tx:
        tx.get(Participant, STUDY, "01-001", lock=True).withdrawn_at = NOON
        rights.trail.record(tx, tx.get(Participant, STUDY, "01-001"), "test.done", "test", 1)
    worker.forget(NOON + timedelta(days=99))
    assert kept(), "kept, for she asked for it"
    ended = ask(cast, "ines", "POST", f"{SITE}/restriction/end", {"reason": "her word"}, NOON)
    assert ended.body["restricted_at"] is None
    again = ask(cast, "ines", "POST", f"{SITE}/restriction/end", {"reason": "her word"}, NOON)
    assert (again.status, again.body["code"]) == (409, "not_restricted")
    worker.forget(NOON + timedelta(days=99))
    assert kept() == {} and verified()


def reasons():
    with look(TESTS) as tx:
        return tx.all(sa.select(Message.withheld_reason))


# RI-04.


@on_sqlite
def test_an_erasure_is_granted_when_it_is_done(cast, ada):
    made = note(cast, "erasure")
    early = answer(cast, made)
    assert (early.status, early.body["code"]) == (409, "not_done_yet")
    assert ask(cast, "ines", "POST", f"{SITE}/erasure", {"reason": "her letter"}, NOON).status == 200
    assert answer(cast, made).status == 200
    gone = ask(cast, "noor", "POST", f"{SITE}/contact", {"phone": "+8613900000002", "reason": "x"}, NOON)
    assert (gone.status, gone.body["code"]) == (409, "already_erased")
