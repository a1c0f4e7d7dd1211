"""Who may open what: each route of the console with each role, without a cookie, and with another's study."""

from __future__ import annotations

import re

import pytest

from epro import create_app
from epro.console import door
from tests.cast import STAFF, STUDY
from tests.console.browser import Browser
from tests.console.routes import ANYBODY, ROUTES
from tests.doors.routes import in_the_application

ROLES = {role: name for name, (role, site, _) in STAFF.items() if site in ("01", "*")}
NOBODY = "00000000-0000-4000-8000-000000000000"


def path_of(rule: str, study: str = STUDY) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda name: study if name[1] == "study_id" else NOBODY, rule)


def test_every_route_stands_in_the_table(app):
    assert {one for one in in_the_application(app) if one[1].startswith("/console/")} == set(ROUTES)


def test_a_route_that_states_no_roles_stops_the_start(environ, monkeypatch):
    monkeypatch.delitem(door.PAGES, "console.home")
    with pytest.raises(RuntimeError, match="/console/"):
        create_app(environ)


def test_without_a_cookie_everything_leads_to_the_entrance(app):
    browser = Browser(app)
    for (method, rule), roles in ROUTES.items():
        if roles == ANYBODY:
            continue
        path = path_of(rule)
        answer = browser.get(path) if method == "GET" else browser.send(path)
        assert answer.status_code == (303 if method == "GET" else 401), rule
        if method == "GET":
            assert answer.headers["Location"].startswith("/console/sign-in"), rule


def test_every_role_at_every_route(cast):
    wrong = []
    for role, name in ROLES.items():
        browser = Browser(cast.app)
        browser.sign_in(name)
        for (method, rule), roles in ROUTES.items():
            if rule.endswith(("sign-out", "sign-in")) or roles == ANYBODY:
                continue
            path = path_of(rule)
            answer = browser.get(path) if method == "GET" else browser.do(path)
            if (answer.status_code == 403) == (role in roles.split()):
                wrong.append((role, method, rule, answer.status_code))
    assert wrong == []


def test_a_study_in_which_she_has_no_role_is_answered_like_one_that_is_not(cast):
    browser = Browser(cast.app)
    browser.sign_in("noor")
    for method, rule in ROUTES:
        if "<study_id>" in rule:
            path = path_of(rule, "another")
            answer = browser.get(path) if method == "GET" else browser.do(path)
            assert answer.status_code == 404, rule
