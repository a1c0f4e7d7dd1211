"""All that is on file of a person, for her: a file and a page, under lock, on record, without what is kept from people.

OD-01  It holds contact data, answers in her words, scores, plan, messages, consents, what she asked, who has looked.
OD-02  An investigator of her site hands it out, by a passkey; the trail says how much it was, and its digest.
OD-03  What is blinded, or hidden from the role, is not in it, and it says what kind is missing; the arm is in none.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import db
from epro.cli import epro
from epro.questionnaires import catalogue
from epro.responses import sight
from epro.trail.models import Event
from epro.tx import look, system
from tests.cast import STUDY, at
from tests.console.browser import Browser
from tests.rooms.test_corrections import ask, entry, upload

TESTS = system("tests")
NOON = at("2026-03-03T12:00")
SITE = "/v1/site/participants/01-001"
PAGE = f"/console/studies/{STUDY}/participants/01-001"
WISH = {"reason": "her letter"}
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def ada(cast):
    with cast.on("2026-03-02T10:00"):
        phone = cast.phone(contact={"phone": "+8613900000001", "name": "Ada Li"})
    cast.tick(at("2026-03-02T19:01"))
    upload(phone, entry(phone, score=6))
    return phone


def handed_out():
    with look(TESTS) as tx:
        query = sa.select(Event.body).where(Event.action == "participant.data_handed_out")
        return [json.loads(one) for one in tx.all(query)]


def test_it_holds_what_is_on_file_of_her_and_stands_in_the_trail(cast, ada):  # OD-01, OD-02
    with cast.on("2026-03-02T22:00"):
        wish = {"kind": "access", "asked_on": "2026-03-02", "text": "all of it"}
        ask(cast, "noor", "POST", f"{SITE}/rights-requests", wish, NOON)
    ask(cast, "noor", "GET", f"{SITE}/timeline", None, NOON)
    made = cast.app.test_client().post(
        f"{SITE}/own-data", json=WISH, headers={"Authorization": f"Bearer {cast.staff('ines').key}"}
    )
    told = json.loads(made.data)
    assert made.status_code == 200 and "01-001-own-data.json" in made.headers["Content-Disposition"]
    assert told["contact"] == {"phone": "+8613900000001", "name": "Ada Li"}
    (given,) = told["answers"]
    assert given["answers"][0]["question"] and given["answers"][0]["answer"] == 6 and given["scores"]
    assert given["scores"][0]["label"] != given["scores"][0]["scale"]
    assert {one["act"] for one in told["consents"]} >= {"participant.enrolled"}
    assert told["plan"] and told["messages_sent"] and told["phones"] and told["withheld"] == []
    assert told["requests"][0]["text"] == "all of it"
    assert told["looked_at"][0]["reader"] == "staff" and cast.ids["noor"] not in made.text
    (entry_of,) = handed_out()
    assert entry_of["details"]["digest"] == hashlib.sha256(made.data).hexdigest()
    assert (entry_of["details"]["counts"]["answers"], entry_of["reason"]) == (1, "her letter")
    assert "139000" not in json.dumps(entry_of) and "Ada Li" not in json.dumps(entry_of)


@on_sqlite
def test_who_hands_it_out(cast, ada):  # OD-02
    for who, status in {"otto": 403, "noor": 403, "dana": 403, "mona": 403, "bo": 403, "alma": 403}.items():
        assert ask(cast, who, "POST", f"{SITE}/own-data", WISH, NOON).status == status, who
    cast.app.config["EPRO"]["PHISHING_RESISTANT"] = "required"
    refused = ask(cast, "ines", "POST", f"{SITE}/own-data", WISH, NOON)
    assert (refused.status, refused.body["code"]) == (403, "passkey_needed") and handed_out() == []


@on_sqlite
def test_what_is_kept_from_people_is_not_in_it(cast, ada, monkeypatch):  # OD-03
    with look(TESTS) as tx:
        known = catalogue.find(tx, "fatigue_diary", "1.0")
    parts = {
        name: tuple(replace(one, blinded=True) for one in getattr(known, name))
        for name in ("items", "scales")
    }
    blinded = replace(known, digest="1" * 64, **parts)
    monkeypatch.setitem(db.remembered(), ("instrument", "fatigue_diary", "1.0"), blinded)
    told = ask(cast, "ines", "POST", f"{SITE}/own-data", WISH, NOON).body
    assert (told["answers"][0]["answers"], told["withheld"]) == ([], ["answers"])
    monkeypatch.undo()
    monkeypatch.setattr(sight, "hides_scores", lambda *_: True)
    told = ask(cast, "ines", "POST", f"{SITE}/own-data", WISH, NOON).body
    assert "answers" not in told["answers"][0] and told["withheld"] == ["answers", "scores"]


@on_sqlite
def test_the_page_is_in_her_language_and_the_command_writes_over_nothing(
    cast, ada, environ, monkeypatch, tmp_path
):
    with cast.on("2026-03-03T12:00"):
        ines = Browser(cast.app)
        ines.sign_in("ines")
        shown = ines.do(f"{PAGE}/own-data", on=PAGE, reason="her letter", form="print")
        assert shown.status_code == 200 and "Ada Li" in shown.text and "Data on 01-001" in shown.text
        file = ines.do(f"{PAGE}/own-data", on=PAGE, reason="her letter", form="file")
        assert json.loads(file.data)["contact"]["name"] == "Ada Li"
    assert [one["details"]["format"] for one in handed_out()] == ["print", "file"]
    assert handed_out()[0]["details"]["digest"] in shown.text
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    call = ["privacy", "own-data", "01-001", "--reason", "x", "--out", str(tmp_path / "ada.json")]
    first, second = (CliRunner().invoke(epro, call) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 2), (first.output, second.output)
    assert json.loads((tmp_path / "ada.json").read_text())["answers"]
    assert (tmp_path / "ada.json").stat().st_mode & 0o077 == 0 and len(handed_out()) == 3
