"""Every route that there is, for every role at her own site, at another and in another study; a layer at a time.

Nothing is listed by hand but what a path or a form needs to mean something: the routes are those of the application's
map, so a page of tomorrow is tried here too. What is asked is Ada's (site 01). Who is from elsewhere holds every
role there is, so that no lock stops her, and must find nothing of Ada's in any answer and change nothing of hers:
by the queries' scope alone, and on PostgreSQL by its policies alone (requirement G30, threats S2, S3, S4, S5).
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from epro import db
from epro.console import door
from epro.signin import machine_keys
from epro.studies.access import ROLES
from epro.studies.models import Participant
from epro.tx import Grant, begin, look, system
from tests.cast import STUDY
from tests.console.browser import Browser
from tests.doors import layers
from tests.doors.routes import NOBODY, ROUTES, in_the_application
from tests.doors.scene import OTHER, Side, Stage, hire

SQLITE = pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module")
POSTGRES = pytest.mark.parametrize("stage_databases", ["postgresql"], indirect=True, scope="module")
OWN_THINGS = ("/v1/staff/me", "/v1/staff/log", "/v1/staff/token", "/console/account", "/console/sign-out")
"""What is about the person who asks, whoever she is."""
PLACES = {"home": (STUDY, "01"), "far": (STUDY, "02"), "abroad": (OTHER, "*")}
KINDS = (
    "Patient",
    "ResearchSubject",
    "QuestionnaireResponse",
    "Observation",
    "Task",
    "Provenance",
    "AuditEvent",
)
MARK = "a note that is of site 01 alone"
FORM = {
    "note": "x",
    "reason": "x",
    "outcome": "reached",
    "channel": "phone",
    "to": NOBODY,
    "language": "en",
    "date": "2026-03-20",
    "anchor": "infusion",
    "arm": "active",
    "study": STUDY,
    "site": "01",
    "password": "x",
    "confirm": "yes",
    "first_day": "2026-03-02",
    "last_day": "2026-03-06",
}
"""One form for all: each takes what it knows."""


@dataclass(frozen=True)
class Ask:
    """One request about what is Ada's."""

    method: str
    rule: str
    path: str
    roles: frozenset[str]
    body: Any = None
    page: bool = False


@dataclass
class Person:
    """Somebody of the staff, by token and by cookie."""

    name: str
    stage: Stage
    browser: Browser = field(init=False)
    form_token: str = field(init=False)

    def __post_init__(self) -> None:
        self.browser = Browser(self.stage.cast.app)
        with self.stage.today():
            self.stage.token(self.name)
            assert self.browser.sign_in(self.name).status_code == 303
            self.form_token = self.browser.token("/console/account")

    def ask(self, one: Ask) -> TestResponse:
        if not one.page:
            return self.stage.ask(self.name, one.method, one.path, one.body)
        with self.stage.today():
            if one.method == "GET":
                return self.browser.get(one.path)
            return self.browser.send(one.path, form_token=self.form_token, **FORM)


def asked_for(stage: Stage, study: str = STUDY) -> list[Ask]:
    """Every route of the staff, of sponsors and of FHIR, and every page of the console, with Ada's names in it."""
    found = [
        one for one in [*_of_the_api(stage), *_pages(stage, study)] if not one.rule.startswith(OWN_THINGS)
    ]
    return sorted(found, key=lambda one: (one.method != "GET", one.rule))


def _of_the_api(stage: Stage) -> Iterator[Ask]:
    for (method, rule), route in ROUTES.items():
        if route.lock not in ("staff", "sponsor", "fhir"):
            continue
        roles = frozenset(route.roles.split() if route.lock != "fhir" else ROLES)
        given = {name: str(find(stage)) for name, find in route.names.items()}
        for kind in KINDS if given.get("kind") else [None]:
            names = hers(stage) | given | ({"kind": kind, "name": stage.ada.response} if kind else {})
            yield Ask(method, rule, _filled(rule, names) + route.query, roles, route.body)


def _pages(stage: Stage, study: str) -> Iterator[Ask]:
    for rule in stage.cast.app.url_map.iter_rules():
        for method in (rule.methods or set()) & {"GET", "POST"} if rule.endpoint in door.PAGES else ():
            path = _filled(rule.rule, hers(stage) | {"study_id": study})
            yield Ask(method, rule.rule, path, door.PAGES[rule.endpoint].roles, page=True)


def hers(stage: Stage) -> dict[str, str]:
    """What the names in addresses stand for: what is Ada's."""
    ada = stage.ada
    return {
        "subject_id": ada.subject_id,
        "alert_id": str(ada.alert),
        "device_id": str(ada.device),
        "response_id": ada.response,
        "set_aside_id": str(ada.set_aside),
        "occurrence_id": str(ada.occurrence),
        "message_id": str(ada.message),
        "staff_id": stage.ids["noor"],
        "job_id": stage.exports["ines"],
        "site_id": "01",
        "code": "fatigue_diary",
        "version": "1.0",
        "study_id": STUDY,
        "study": STUDY,
    }


def _filled(rule: str, names: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        kind, name = found[1] or "", found[2]
        return names.get(name, NOBODY if kind == "uuid:" else "1")

    return re.sub(r"<(\w+:)?(\w+)>", value, rule)


def marks_of(side: Side) -> set[str]:
    found = {side.occurrence, side.alert, side.message, side.device, side.set_aside, side.response}
    return {str(one) for one in found}


def text_of(answer: TestResponse) -> str:
    """What is told; of a zip what is packed in it."""
    data = answer.data
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            data = b"".join(packed.read(name) for name in packed.namelist())
    return data.decode("utf-8", "replace")


def leaks(person: Person, asks: Iterable[Ask], foreign: Iterable[Side]) -> dict[tuple[str, str], set[str]]:
    """Route -> what stood in its answer and is not hers to see."""
    marks = {MARK}.union(*(marks_of(side) for side in foreign))
    found: dict[tuple[str, str], set[str]] = {}
    for one in asks:
        answer = person.ask(one)
        text = text_of(answer)
        asked_with = one.path + str(one.body)  # what she sent herself may come back
        shown = {mark for mark in marks if mark in text and mark not in asked_with}
        if shown:
            found.setdefault((one.method, one.rule), set()).update(shown)
    return found


def rows_out_of_reach(name: str, of: set[Any] | None = None) -> dict[Any, list[str]]:
    """Every row of participants whom she may not reach, by participant; `of`: of these alone."""
    tables = [
        t for t in db.Base.metadata.sorted_tables if {"study_id", "subject_id"} <= set(t.columns.keys())
    ]
    study, site = PLACES[name]
    found: dict[Any, list[str]] = {}
    with look(system("tests")) as tx:
        for one in tx.all(sa.select(Participant)):
            if one.study_id != study or site not in ("*", one.site_id):
                found[one.study_id, one.subject_id] = []
        for table in tables:
            for row in tx.session.execute(sa.select(table)).mappings():
                key = (row["study_id"], row["subject_id"])
                if key in found:
                    found[key].append(f"{table.name}: {dict(row)}")
    return {key: sorted(rows) for key, rows in found.items() if of is None or key in of}


@pytest.fixture(scope="module")
def people(stage) -> dict[str, Person]:
    """`home`, `far` and `abroad` hold every role at Ada's site, at the other site, in the other study."""
    with stage.today():
        for name, where in PLACES.items():
            hire(name, *(Grant(*where, role) for role in ROLES))
        for role in ROLES:
            hire(f"only-{role.replace('_', '-')}", Grant(STUDY, "01", role))
    noted = stage.ask("noor", "POST", f"/v1/site/alerts/{stage.ada.alert}/notes", {"note": MARK})
    assert noted.status_code < 300
    return {
        name: Person(name, stage) for name in (*PLACES, *(f"only-{role.replace('_', '-')}" for role in ROLES))
    }


def foreign_to(name: str, stage: Stage) -> tuple[Side, ...]:
    return (stage.ada, stage.eve) if name == "far" else (stage.ada, stage.cara)


def tried(stage: Stage, people: dict[str, Person], *, enrolling: bool = True) -> dict[Any, Any]:
    """What who is from elsewhere found of Ada's, by person and route; and whose rows changed.

    `enrolling`: a new participant where she may not reach is a change too. Whether she may enrol there only a lock
    can say: of somebody who is not there yet there is no row that a query could leave out.
    """
    found: dict[Any, Any] = {}
    for name in ("far", "abroad"):
        before = rows_out_of_reach(name)
        asks = asked_for(stage)
        if name == "abroad":  # Eve has Ada's subject id in her study
            asks = [_naming_the_study(one) for one in asks]
            asks += [one for one in _pages(stage, OTHER) if "<study_id>" in one.rule]
        asks = [one for one in asks if not one.rule.startswith(OWN_THINGS)]
        found |= {
            (name, *route): what for route, what in leaks(people[name], asks, foreign_to(name, stage)).items()
        }
        after = rows_out_of_reach(name, None if enrolling else set(before))
        changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
        if changed:
            found[name, "rows changed"] = changed
    return found


def _naming_the_study(one: Ask) -> Ask:
    if one.page or "<subject_id>" not in one.rule:
        return one
    return replace(one, path=f"{one.path}{'&' if '?' in one.path else '?'}study={STUDY}")


@SQLITE
def test_the_map_is_tried_whole(stage):
    """Whatever stands behind a lock of the staff is asked for, and nothing of the table is passed over."""
    rules = {(one.method, one.rule) for one in asked_for(stage)}
    pages = {(m, r) for m, r in in_the_application(stage.cast.app) if r.startswith("/console/")}
    opened = {f"console.{name}" for name in door.OPEN}
    ends = {r.rule for r in stage.cast.app.url_map.iter_rules() if r.endpoint in opened}
    left = {(m, r) for m, r in pages - rules if not r.startswith(OWN_THINGS) and r not in ends}
    assert left == set() and len(rules) > 90


@SQLITE
def test_at_home_she_finds_what_is_hers(stage, people):
    """Else the tests below could pass by asking for nothing that is there."""
    shown = leaks(people["home"], [one for one in asked_for(stage) if one.method == "GET"], [stage.ada])
    assert len(shown) >= 14, sorted(shown)
    assert MARK in set().union(*shown.values())


@SQLITE
def test_by_lock_and_scope_nobody_from_elsewhere_finds_or_changes_anything(stage, people):
    assert tried(stage, people) == {}


@SQLITE
def test_by_the_queries_scope_alone_nobody_finds_anything(stage, people, monkeypatch):
    """No lock, and no policies: SQLite has none."""
    layers.without_lock(monkeypatch)
    assert tried(stage, people, enrolling=False) == {}


@POSTGRES
@pytest.mark.postgres
def test_by_the_policies_alone_nobody_finds_anything(stage, people, monkeypatch):
    layers.without_lock(monkeypatch)
    layers.without_scope(monkeypatch)
    assert tried(stage, people) == {}


@POSTGRES
@pytest.mark.postgres
def test_on_postgresql_too_the_queries_hold_when_the_policies_are_off(stage, people, monkeypatch):
    layers.without_policies(monkeypatch)
    assert tried(stage, people) == {}


@SQLITE
def test_by_the_lock_alone_no_role_opens_what_is_not_for_her(stage, people, monkeypatch):
    """Every role at her own site, every route that is not for her; the queries would show her everything."""
    layers.without_scope(monkeypatch)
    opened = [
        (role, one.method, one.rule, answer.status_code)
        for role in ROLES
        for one in asked_for(stage)
        if role not in one.roles
        and (answer := people[f"only-{role.replace('_', '-')}"].ask(one)).status_code not in (403, 404)
    ]
    assert opened == []


@SQLITE
def test_a_hole_would_be_found(stage, people, monkeypatch):
    """One query that forgets whose rows it may show: the routes that use it are named, and no others."""
    layers.without_scope(monkeypatch, only="alert.read")
    reading = [one for one in asked_for(stage) if one.method == "GET"]
    found = leaks(people["far"], reading, foreign_to("far", stage))
    assert ("GET", "/v1/site/alerts") in found
    assert ("GET", "/console/studies/<study_id>/worklist") in found
    assert not {rule for _, rule in found if rule.endswith(("/participants", "/set-aside", "/compliance"))}


@POSTGRES
@pytest.mark.postgres
def test_a_hole_in_both_layers_would_be_found(stage, people, monkeypatch):
    layers.without_scope(monkeypatch)
    layers.without_policies(monkeypatch)
    reading = [one for one in asked_for(stage) if one.method == "GET"]
    found = leaks(people["far"], reading, foreign_to("far", stage))
    assert len(found) >= 14, sorted(found)


def test_machines_reach_their_study_and_no_other(stage):
    with stage.today(), begin(system("tests")) as tx:
        key = machine_keys.add(tx, OTHER, "abroad", 30)[1]
    marks = marks_of(stage.ada) | marks_of(stage.cara)
    for one in asked_for(stage):
        if not one.page and one.method == "GET":
            answer = stage.send("GET", one.path, key)
            text = text_of(answer)
            assert not {mark for mark in marks if mark in text and mark not in one.path}, one.rule
