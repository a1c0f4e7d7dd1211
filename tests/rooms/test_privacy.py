"""What a person may ask of us about herself, and what is forgotten by itself.

PV-01  Erasing her makes every copy of her contact data unreadable; the trail still holds and her answers stay.
PV-02  It ends what could still reach her: messages that wait, push subscriptions, phones, codes, her calendar.
PV-03  Contact data do not outlive the end of a participation for longer than the setting says.
PV-04  Whom a restored backup brings back is erased again.
PV-05  Somebody is found by her exact number or address, by her own site alone.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import clock, worker
from epro.canonical import decode
from epro.cli import epro
from epro.contacts import data_keys, push, store
from epro.contacts.models import DataKey
from epro.notifications.models import Message, SentText
from epro.privacy import erasing, finding, readings, reporting
from epro.responses import integrity
from epro.signin.models import ActivationCode, Device, MachineKey
from epro.studies.models import Participant
from epro.trail import verifying
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STUDY, at
from tests.support.owner import as_owner

TESTS = system("tests")
ADA = (STUDY, "participant/01-001")
REACH = {"phone": "+8613900000001", "email": "ada@example.org", "name": "Ada Li"}
SUBSCRIPTION = {"endpoint": "https://push.example.org/ada", "keys": {"p256dh": "x", "auth": "y"}}
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    """In the study for a day, with an answer, a phone and a push subscription."""
    with cast.on("2026-03-02T10:00"):
        phone = cast.phone(contact=REACH)
    with cast.on("2026-03-02T20:00") as now:
        phone.answer(phone.open_at(now)[0], {"worst_fatigue": 4}, now, now)
        phone.upload(now)
    with begin(TESTS) as tx:
        device = tx.one(sa.select(Device))
        push.keep(STUDY, "01-001", device.id, SUBSCRIPTION, at("2026-03-02T20:00"))
    return phone


def act(tx, name="01-001"):
    return tx.get(Participant, STUDY, name, lock=True)


def events(*actions: str) -> list[dict]:
    with look(TESTS) as tx:
        found = tx.all(sa.select(Event).where(Event.action.in_(actions)).order_by(Event.chain, Event.seq))
    return [decode(one.body.encode()) for one in found]


def faults() -> list[str]:
    with look(TESTS) as tx:
        return [str(one) for one in (*verifying.faults(tx, Participant), *integrity.faults(tx))]


def test_an_erased_person_cannot_be_reached_and_the_record_holds(cast, ada, environ):  # PV-01, PV-02
    with clock.moved_to(at("2026-03-03T19:00")):
        worker.attend()  # a reminder waits to be sent
    with begin(TESTS, at("2026-03-03T19:01")) as tx:
        tx.add(SentText(number="n" * 64, message_id=tx.one(sa.select(Message.id)), text="t" * 64, at=tx.now))
    with cast.on("2026-03-03T19:05"):
        ada.refresh()
        link = ada.must("POST", "/v1/phone/calendar")["url"]
        ines = cast.staff("ines")
        told = ines.must("POST", "/v1/site/participants/01-001/erasure", {"reason": "she asked for it"})
        assert told["withdrawn_at"] and told["subject_id"] == "01-001"
        again = ines.call("POST", "/v1/site/participants/01-001/erasure", {"reason": "twice"})
        assert (again.status, again.body["code"]) == (409, "already_erased")
        assert ada.call("GET", "/v1/phone/me").status == 401
        assert cast.app.test_client().get(link.partition("epro.test")[2]).status_code == 404
    assert (store.of(*ADA), store.fields_of(*ADA), data_keys.find(*ADA)) == ({}, [], None)
    assert store.owners("phone", REACH["phone"]) == []
    cast.tick(at("2026-03-03T19:30"))
    assert cast.sms.taken == [] and cast.email.taken == []
    with look(TESTS) as tx:
        waiting = tx.all(sa.select(Message).where(Message.recipient == ADA[1], Message.withheld_at.is_(None)))
        assert [message for message in waiting if message.begun_at is None] == []
        assert tx.all(sa.select(SentText)) == []
        assert tx.one(sa.select(ActivationCode).where(ActivationCode.ended_at.is_(None))) is None
    (told,) = events("participant.erased")
    assert told["reason"] == "she asked for it" and told["actor"].startswith("staff:")
    assert told["details"]["fields"] == ["email", "name", "phone", "push"]
    assert told["details"]["messages_recalled"] >= 1
    assert events("participant.withdrawn")[0]["reason"] == "she asked for it"
    assert faults() == []
    with as_owner(environ, keep=False) as connection:
        answers = str(connection.execute(sa.text("SELECT * FROM responses")).all())
    assert "worst_fatigue" in answers and "01-001" in answers


def test_only_an_investigator_of_her_site_erases(cast, ada):
    with cast.on("2026-03-03T10:00"):
        for name, status in (("noor", 403), ("dana", 403), ("alma", 403), ("otto", 403)):
            answer = cast.staff(name).call(
                "POST", "/v1/site/participants/01-001/erasure", {"reason": "a try"}
            )
            assert answer.status == status, name
    assert store.of(*ADA)["name"] == "Ada Li"


@on_sqlite
def test_the_command_erases_once_it_is_confirmed(cast, ada, environ, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    command = ["privacy", "erase", "01-001", "--reason", "her letter of today"]
    assert CliRunner().invoke(epro, command, input="n\n").exit_code == 1 and store.of(*ADA)
    told = CliRunner().invoke(epro, [*command, "--yes"])
    assert told.output.startswith("The contact data of 01-001 are erased") and store.of(*ADA) == {}
    checked = CliRunner().invoke(epro, ["trail", "verify"])
    assert (checked.exit_code, "no fault" in checked.output) == (0, True)


def test_contact_data_are_forgotten_some_days_after_the_end(cast, ada, app):  # PV-03
    with cast.on("2026-03-05T10:00"):
        cast.enrol(contact={"phone": "+8613900000002"})
        cast.staff("noor").must("POST", "/v1/site/participants/01-001/withdrawal", {"reason": "own wish"})
    assert worker.forget(at("2026-04-04T09:59")) == 0 and store.of(*ADA)["name"] == "Ada Li"
    assert worker.forget(at("2026-04-04T10:00")) == 1 and store.of(*ADA) == {}
    assert worker.forget(at("2026-04-05T10:00")) == 0
    assert store.of(STUDY, "participant/01-002") == {"phone": "+8613900000002"}  # she goes on
    (told,) = events("participant.erased")
    assert (told["actor"], told["reason"]) == ("system:clockwork", erasing.BY_ITSELF)
    assert faults() == []


def test_a_key_that_comes_back_with_a_backup_is_destroyed_again(cast, ada, environ):  # PV-04
    with as_owner(environ, where="contact_keys") as connection:
        copy = [row._asdict() for row in connection.execute(sa.select(DataKey).filter_by(owner=ADA[1]))]
    with begin(TESTS, at("2026-03-04T10:00")) as tx:
        erasing.erase(tx, act(tx), "asked for")
    with as_owner(environ, where="contact_keys") as connection:
        connection.execute(sa.insert(DataKey), copy)
    assert data_keys.find(*ADA)
    before = set(data_keys.owners(("", ""), 100))
    assert worker.forget(at("2026-03-04T11:00")) == 1
    assert before - set(data_keys.owners(("", ""), 100)) == {ADA}


@on_sqlite
def test_an_act_that_fails_at_the_end_can_be_done_again(cast, ada, monkeypatch):
    real = store.erase

    def broken(*owner: str) -> int:
        real(*owner)
        raise RuntimeError("just after the key was destroyed")

    monkeypatch.setattr(store, "erase", broken)
    with pytest.raises(RuntimeError), begin(TESTS, at("2026-03-04T10:00")) as tx:
        erasing.erase(tx, act(tx), "asked for")
    assert (store.of(*ADA), events("participant.erased")) == ({}, [])
    monkeypatch.setattr(store, "erase", real)
    with begin(TESTS, at("2026-03-04T10:01")) as tx:
        erasing.erase(tx, act(tx), "asked for")
    assert len(events("participant.erased")) == 1 and faults() == []


def test_a_site_finds_its_own_and_nobody_elses(cast):  # PV-05
    with cast.on("2026-03-02T10:00"):
        cast.enrol(contact={"phone": "+86 139 0000 0001", "email": "Ada@Example.org"})
        cast.enrol("otto", contact={"phone": "+8613900000001"})
    actors = {
        name: Actor("staff", name, grants=(Grant(STUDY, site, role),))
        for name, site, role in (("noor", "01", "nurse"), ("otto", "02", "nurse"), ("none", "03", "nurse"))
    }

    def found(name: str, field: str, value: str) -> list[str]:
        with look(actors[name]) as tx:
            return [row.subject_id for row in finding.by_contact(tx, field, value)]

    assert found("noor", "phone", "+86 139-0000-0001") == ["01-001"]
    assert found("otto", "phone", "+8613900000001") == ["02-001"]
    assert found("none", "phone", "+8613900000001") == []
    assert (
        found("noor", "email", " ADA@example.org") == ["01-001"]
        and found("otto", "email", "ada@example.org") == []
    )
    assert found("noor", "phone", "+8613900000002") == []
    with cast.on("2026-03-02T11:00"):
        search = "/v1/site/participants/search"
        noor = cast.staff("noor")
        (one,) = noor.must("POST", search, {"phone": "+8613900000001"})["participants"]
        assert one["subject_id"] == "01-001" and "139" not in str(one)
        for body in ({}, {"phone": "+8613900000001", "email": "a@b.cd"}, {"phone": "0139"}, {"name": "Ada"}):
            answer = noor.call("POST", search, body)
            assert answer.status == 422 and "139" not in str(answer.body), body
        assert cast.staff("dana").call("POST", search, {"phone": "+8613900000001"}).status == 403


@on_sqlite
def test_whole_people_without_contact_data_are_erased_too(cast):
    with cast.on("2026-03-02T10:00"):
        cast.phone(contact={})
    with begin(TESTS, at("2026-03-02T10:00") + timedelta(hours=1)) as tx:
        erasing.erase(tx, act(tx), "asked for")
    assert events("participant.erased")[0]["details"]["fields"] == [] and faults() == []


def test_a_report_tells_who_did_what(cast, ada):
    with look(TESTS) as tx:
        told = reporting.report(tx, tx.get(Participant, STUDY, "01-001"), "en")
        chinese = reporting.lines(
            reporting.report(tx, tx.get(Participant, STUDY, "01-001"), "zh-CN"), "zh-CN"
        )
    by = {(row["who"], row["act"]): row for row in told["acts"]}
    assert by["staff", "participant.enrolled"]["account"] == cast.ids["noor"]
    assert sum(row["times"] for row in told["acts"]) == len(events_of("01-001"))
    assert "工作人员" in chinese and len(chinese.splitlines()) == 4 + len(told["acts"]) + len(
        told["readings"]
    )
    assert not any(value in chinese + str(told) for value in REACH.values())


def events_of(subject_id: str) -> list[Event]:
    with look(TESTS) as tx:
        return tx.all(sa.select(Event).where(Event.subject_id == subject_id))


@on_sqlite
def test_the_command_reports_in_both_languages(cast, ada, environ, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(epro, ["privacy", "access-report", "01-001", "--lang", "zh-CN"])
    assert told.exit_code == 0 and told.output.splitlines()[1].split("\t")[0] == "谁"
    assert "受试者入组" in told.output and "participant.enrolled" not in told.output
    assert "Noor" in told.output and cast.ids["noor"] not in told.output
    with look(TESTS) as tx:
        machine = Actor("key", str(tx.one(sa.select(MachineKey.id))), STUDY)
    for who in (system("clockwork"), system("some part"), machine):
        with begin(who) as tx:
            readings.note(tx, [readings.Look(STUDY, "01-001", "record")], "site")
    told = CliRunner().invoke(epro, ["privacy", "access-report", "01-001"])
    who = {tuple(line.split("\t")[:2]) for line in told.output.splitlines()}
    assert who >= {("the system", "the clockwork"), ("the system", "some part"), ("a machine", "tests")}
    assert ("the participant", "01-001") in who
    told = CliRunner().invoke(epro, ["privacy", "access-report", "01-001", "--json"])
    assert json.loads(told.output)["subject_id"] == "01-001"
