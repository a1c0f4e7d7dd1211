"""What one of the staff has looked at, and word to administrators when that is much more than usual.

RB-01  Whoever opens data of more participants than the setting says is told of once a day, in the trail and by letter.
RB-02  Who has looked at whom, by reader and day, at the console and the command line; at one's own sites only.
"""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import clock, worker
from epro.cli import epro
from epro.notifications.letters import send_due
from epro.privacy import readings
from epro.privacy.readings import Look
from epro.signin.models import StaffLetter
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STUDY, at
from tests.console.browser import Browser

TESTS = system("tests")
NOON = at("2026-03-02T12:00")
ROOT = f"/console/studies/{STUDY}"
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def most(cast):
    cast.app.config["EPRO"]["READING_ALARM"] = "3"


def open_many(cast, name, subjects, when=NOON, kind="staff"):
    reader = Actor(kind, cast.ids[name] if kind == "staff" else name, grants=(Grant(STUDY, "*", "monitor"),))
    with begin(reader, when) as tx:
        readings.note(tx, [Look(STUDY, one, "answers") for one in subjects], "console")


def told():
    with look(TESTS) as tx:
        query = sa.select(Event.body).where(Event.action == "readings.unusual").order_by(Event.seq)
        return [json.loads(one) for one in tx.all(query)]


def letters():
    with look(TESTS) as tx:
        return [
            one.staff_id
            for one in tx.all(sa.select(StaffLetter).where(StaffLetter.kind == "unusual_reading"))
        ]


def test_who_opens_many_is_told_of_once_a_day(cast, most):  # RB-01
    with cast.on("2026-03-02T10:00"):
        subjects = [cast.enrol(contact={})["subject_id"] for _ in range(4)]
    open_many(cast, "mona", subjects[:3])
    open_many(cast, "mona", [None, subjects[0]])
    open_many(cast, "a-machine", subjects, kind="key")
    assert worker.watch(NOON) == 0, "three of them, however often; what machines read is theirs to read"
    open_many(cast, "mona", subjects[3:])
    assert [worker.watch(NOON), worker.watch(NOON + timedelta(hours=2))] == [1, 0]
    (entry,) = told()
    assert entry["details"] == {"day": "2026-03-02", "count": 4, "most": 3}
    assert (entry["object"]["id"], letters()) == (cast.ids["mona"], [UUID(cast.ids["alma"])])
    assert not any(one in json.dumps(entry) for one in subjects)
    open_many(cast, "mona", subjects, NOON + timedelta(days=1))
    assert worker.watch(NOON + timedelta(days=1, minutes=5)) == 1 and len(told()) == 2
    with clock.moved_to(NOON):
        send_due({"email": cast.email}, NOON)
    sent = [one for one in cast.email.taken if cast.ids["mona"] in one.text]
    assert "4" in sent[0].text and STUDY not in sent[0].text
    cast.app.config["EPRO"]["READING_ALARM"] = "0"
    open_many(cast, "noor", subjects)
    assert worker.watch(NOON) == 0


def test_an_administrator_gets_no_letter_about_herself(cast, most):  # RB-01
    with cast.on("2026-03-02T10:00"):
        subjects = [cast.enrol(contact={})["subject_id"] for _ in range(4)]
    open_many(cast, "alma", subjects)
    assert worker.watch(NOON) == 1 and letters() == [] and len(told()) == 1


@on_sqlite
def test_what_one_has_looked_at_is_read_at_ones_own_sites(cast, environ, monkeypatch):  # RB-02
    with cast.on("2026-03-02T10:00"):
        here, there = cast.enrol(contact={})["subject_id"], cast.enrol("otto", contact={})["subject_id"]
    open_many(cast, "mona", [here, there])
    page = f"{ROOT}/looks?reader=staff:{cast.ids['mona']}&since=2026-03-02&until=2026-03-02"
    with cast.on("2026-03-03T12:00"):
        for who, sees in {"ines": {here}, "dana": {here, there}, "alma": {here, there}}.items():
            browser = Browser(cast.app)
            browser.sign_in(who)
            shown = browser.get(page).text
            assert {one for one in (here, there) if one in shown} == sees, who
            assert here not in browser.get(page.replace("since=2026-03-02", "since=2026-03-03")).text
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    call = ["trail", "read-by", "mona@example.org", "--since", "2026-03-02", "--until", "2026-03-02"]
    said = CliRunner().invoke(epro, call)
    assert said.output.splitlines()[0] == "2 looks at data of 2 participants." and here in said.output
    assert json.loads(CliRunner().invoke(epro, [*call, "--json"]).output)[0]["kind"] == "answers"
    for who, study, why in (("nobody", STUDY, "account nobody"), ("nobody", "elsewhere", "study elsewhere")):
        refused = CliRunner().invoke(epro, ["trail", "read-by", who, "--study", study])
        assert str(refused.exception) == f"There is no {why}."
