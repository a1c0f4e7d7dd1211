"""Electronic signatures: who, what, when, meaning; under exactly what was read; broken by any change of it.

SG-01  A signature shows name, role, meaning and instant, and stands in trail and feed (21 CFR 11.50).
SG-02  Only an investigator of the site signs, after showing once more who she is; one proof, one signature (11.200).
SG-03  What is signed is the revision that was read, with its scores; all of a visit at once.
SG-04  A correction and a re-scoring break it, on record, and its signer is told.
SG-05  One changed byte, of what was signed or of the signature, is found (11.70).
"""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import clock, db, trail
from epro.cli import epro
from epro.cli.study import known_instruments
from epro.notifications import signed
from epro.notifications.models import Message
from epro.questionnaires import catalogue
from epro.responses.models import Response, Score
from epro.scheduling import protocols
from epro.scheduling.reading import read
from epro.signin import staff
from epro.signin.models import SignInSession
from epro.signing import verifying
from epro.signing.models import Signature, SignatureBreak, SignedResponse
from epro.simulation.people import Phone
from epro.trail.models import Event
from epro.tx import Grant, begin, look, system
from tests.cast import PASSWORD, STUDY, STUDY_FILE
from tests.rooms.test_corrections import LATER, amend, ask, entry, on_sqlite, rows, told, upload
from tests.rooms.test_corrections import ada as patient  # noqa: F401
from tests.rooms.test_rescoring import changed, up_to_nine
from tests.support.owner import as_owner

TESTS = system("tests")
SIGNING = {"meaning": "approved", "accepts_policy": True, "password": PASSWORD}


@pytest.fixture
def ada(patient):  # noqa: F811
    return patient


def sign(cast, response_id, who="ines", when=LATER, **changes):
    body = {name: value for name, value in {**SIGNING, **changes}.items() if value is not ...}
    return ask(cast, who, "POST", f"/v1/site/responses/{response_id}/signatures", body, when)


def faults():
    with look(TESTS) as tx:
        return [fault.what for fault in verifying.faults(tx)]


# SG-01.


def test_a_signature_says_who_when_and_what_it_means(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    assert [one["id"] for one in ask(cast, "ines", "GET", "/v1/site/unsigned").body["responses"]] == [
        sent["id"]
    ]
    made = sign(cast, sent["id"])
    assert made.status == 200, made.body
    signature = made.body
    assert (signature["name"], signature["role"], signature["meaning"]) == (
        "Ines",
        "investigator",
        "approved",
    )
    assert signature["statement"].startswith("I approve") and signature["time_zone"] == "Asia/Shanghai"
    assert signature["signed_by"] == f"staff:{cast.ids['ines']}" and signature["shown_by"] == "password"
    assert [(one["id"], one["holds"]) for one in signature["responses"]] == [(sent["id"], True)]
    assert ask(cast, "ines", "GET", "/v1/site/unsigned").body["responses"] == []
    (fed,) = told("signature.made")
    assert fed["signature"]["name"] == "Ines" and fed["signature"]["digest"] == signature["digest"]
    with look(TESTS) as tx:
        event = json.loads(tx.one(sa.select(Event).where(Event.action == "signature.made")).body)
    assert event["details"]["digest"] == signature["digest"] and "Ines" not in json.dumps(event)
    story = ask(cast, "noor", "GET", f"/v1/site/responses/{sent['id']}").body
    assert [one["id"] for one in story["signatures"]] == [signature["id"]]
    assert faults() == []


# SG-02.


@on_sqlite
def test_only_an_investigator_of_the_site_signs(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    for who in ("noor", "dana", "bo", "alma"):
        assert sign(cast, sent["id"], who).status == 403, who
    with begin(TESTS) as tx:
        staff.add(
            tx,
            email="olga@example.org",
            name="Olga",
            password=PASSWORD,
            language="en",
            grants=[Grant(STUDY, "02", "investigator")],
        )
    assert sign(cast, sent["id"], "olga").status == 404
    assert rows(Signature) == []


def test_she_shows_once_more_who_she_is_and_once_for_each_signature(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    ines = cast.staff("ines")
    with clock.moved_to(LATER):
        ines.sign_in()
    assert sign(cast, sent["id"], ines, password="not hers").status == 401
    # Having just signed in is not showing it at the signature.
    refused = sign(cast, sent["id"], ines, password=...)
    assert (refused.status, refused.body["code"]) == (403, "step_up_needed")
    soon = LATER + timedelta(minutes=2)
    assert ask(cast, ines, "POST", "/v1/staff/me/step-up", {"password": PASSWORD}, soon).status == 204
    assert sign(cast, sent["id"], ines, soon, password=...).status == 200
    again = sign(cast, sent["id"], ines, soon, password=..., meaning="reviewed")
    assert (again.status, again.body["code"]) == (403, "step_up_needed")
    assert len(rows(Signature)) == 1


@on_sqlite
def test_a_signature_says_what_was_shown_for_it_and_not_what_opened_the_session(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    ines = cast.staff("ines")
    with clock.moved_to(LATER):
        ines.sign_in()
    with begin(TESTS) as tx:
        for session in tx.all(sa.select(SignInSession).where(SignInSession.staff_id.is_not(None))):
            session.second_factor = "sso"
    assert sign(cast, sent["id"], ines, LATER + timedelta(minutes=1)).body["shown_by"] == "password"
    with look(TESTS) as tx:
        query = sa.select(SignInSession.second_factor).where(SignInSession.staff_id.is_not(None))
        assert set(tx.all(query)) == {"sso"}  # that goes on counting where a second factor is asked for


@on_sqlite
def test_the_first_signature_accepts_what_one_is(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    refused = sign(cast, sent["id"], accepts_policy=False)
    assert (refused.status, refused.body["code"]) == (409, "policy_not_accepted")
    assert sign(cast, sent["id"]).status == 200
    assert sign(cast, sent["id"], accepts_policy=False, meaning="reviewed").status == 200
    said = [
        json.loads(row.body)["policy_accepted"]
        for row in sorted(rows(Signature), key=lambda row: row.meaning)
    ]
    assert said == [True, False]


@on_sqlite
def test_in_production_nobody_signs_without_the_certification(cast, ada, monkeypatch):
    sent = entry(ada)
    upload(ada, sent)
    monkeypatch.setitem(db.settings(), "ENV", "production")
    assert sign(cast, sent["id"]).body["code"] == "signing_not_enabled"
    monkeypatch.setitem(db.settings(), "SIGNATURE_CERTIFICATION", "letter of 2026-01-12")
    assert sign(cast, sent["id"]).status == 200


# SG-03.


def test_several_at_once_and_only_as_they_were_read(cast, ada):
    first, second = entry(ada), entry(ada, 5)
    upload(ada, first, second)
    both = {**SIGNING, "responses": [first["id"], second["id"]], "id": str(uuid4())}
    made = ask(cast, "ines", "POST", "/v1/site/signatures", both)
    assert made.status == 200 and len(made.body["responses"]) == 2
    assert ask(cast, "ines", "POST", "/v1/site/signatures", both).body["id"] == both["id"]
    other = ask(cast, "ines", "POST", "/v1/site/signatures", {**both, "meaning": "reviewed"})
    assert other.body["code"] == "id_taken"
    assert sign(cast, first["id"]).body["code"] == "already_signed"
    amend(cast, second["id"])
    stale = ask(cast, "ines", "POST", "/v1/site/signatures", {**both, "id": str(uuid4())})
    assert (stale.status, stale.body["code"]) == (409, "not_current")
    assert sign(cast, second["id"], current=second["id"]).body["code"] == "not_current"
    assert len(rows(Signature)) == 1 and len(rows(SignedResponse)) == 2 and faults() == []


@on_sqlite
def test_two_participants_are_not_signed_together(cast, ada):
    with cast.on("2026-03-02T10:00"):
        ben = cast.phone(contact={})
    mine, his = entry(ada), entry(ben)
    upload(ada, mine)
    upload(ben, his)
    body = {**SIGNING, "responses": [mine["id"], his["id"]]}
    refused = ask(cast, "ines", "POST", "/v1/site/signatures", body)
    assert (refused.status, refused.body["errors"][0]["code"]) == (422, "not_together")


# SG-04.


def test_a_correction_breaks_it_and_its_signer_is_told(cast, ada):
    sent, other = entry(ada), entry(ada, 5)
    upload(ada, sent, other)
    both = {**SIGNING, "responses": [sent["id"], other["id"]]}
    signature = ask(cast, "ines", "POST", "/v1/site/signatures", both).body
    amended = amend(cast, sent["id"]).body["id"]
    amend(cast, sent["id"], answers={"worst_fatigue": 3})  # broken once, however often
    (broken,) = rows(SignatureBreak)
    assert (str(broken.original_id), str(broken.response_id), broken.cause) == (
        sent["id"],
        amended,
        "corrected",
    )
    (fed,) = told("signature.broken")
    assert fed["signature_break"]["signature_id"] == signature["id"]
    now = ask(cast, "noor", "GET", f"/v1/site/signatures/{signature['id']}").body
    assert not now["holds"]
    assert {one["id"]: one["holds"] for one in now["responses"]} == {sent["id"]: False, other["id"]: True}
    listed = ask(cast, "noor", "GET", "/v1/site/signatures?broken=true").body["signatures"]
    assert [one["id"] for one in listed] == [signature["id"]]
    waiting = ask(cast, "ines", "GET", "/v1/site/unsigned").body["responses"]
    assert [one["id"] for one in waiting] == [sent["id"]] and waiting[0]["current"] != amended
    with look(TESTS) as tx:
        message = tx.one(sa.select(Message).where(Message.purpose == "signature"))
    assert message.recipient == f"staff/{cast.ids['ines']}"
    assert cast.tick(LATER + timedelta(minutes=1)) and "signed" in cast.sms.taken[-1].text
    assert sign(cast, sent["id"]).status == 200
    assert ask(cast, "ines", "GET", "/v1/site/unsigned").body["responses"] == [] and faults() == []


def test_scores_of_another_run_break_it(cast, ada):
    sent = entry(ada)
    upload(ada, sent)
    sign(cast, sent["id"])
    with clock.moved_to(LATER + timedelta(days=1)), begin(TESTS) as tx:
        (score,) = tx.all(sa.select(Score))
        again = {column.key: getattr(score, column.key) for column in sa.inspect(Score).column_attrs}
        tx.insert(Score, [again | {"run": 2, "value": 5.0, "scored_at": tx.now}])
        assert signed.rescored(tx, STUDY, ada.subject_id, [UUID(sent["id"])]) == 1
    (broken,) = rows(SignatureBreak)
    assert broken.cause == "rescored" and faults() == []


@pytest.fixture
def rescore(cast, environ, monkeypatch):
    """The real command, with another definition of the diary as version 1.1."""

    def run(later, when=LATER + timedelta(days=1)):
        monkeypatch.setattr(catalogue, "bundled_instrument", lambda code, version: later)
        asked = ["rescore", "--study", STUDY, "--with", "fatigue_diary=1.1"]
        with clock.moved_to(when):
            return CliRunner().invoke(epro, asked, env=environ)

    return run


def test_the_command_that_scores_again_breaks_what_stands_under_it(cast, ada, rescore):
    sent, other = entry(ada), entry(ada, 5)
    upload(ada, sent, other)
    assert sign(cast, sent["id"]).status == 200
    result = rescore(changed(reversed=True))
    assert (result.exit_code, result.exception) == (0, None), result.output
    (broken,) = rows(SignatureBreak)
    assert (str(broken.original_id), broken.cause) == (sent["id"], "rescored")
    assert sorted(row.run for row in rows(Score)) == [1, 1, 2, 2] and faults() == []
    with look(TESTS) as tx:
        assert tx.one(sa.select(Message).where(Message.purpose == "signature")) is not None
        own = sa.select(Event.seq).where(Event.chain == f"participant/{ada.subject_id}").order_by(Event.seq)
        seqs = tx.all(own)
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_a_revision_that_kept_its_score_keeps_its_signature(cast, ada, rescore):
    """What the later definition does not take gets no run; and the first one, replaced, is not what was signed."""
    sent = entry(ada)
    upload(ada, sent)
    amend(cast, sent["id"], answers={"worst_fatigue": 10})
    signature = sign(cast, sent["id"], when=LATER + timedelta(minutes=1)).body
    result = rescore(up_to_nine())
    assert result.exit_code == 1 and "1 could not be scored" in result.output, result.output
    assert sorted(row.run for row in rows(Score)) == [1, 1, 2]
    assert rows(SignatureBreak) == [] and faults() == []
    assert ask(cast, "ines", "GET", f"/v1/site/signatures/{signature['id']}").body["holds"]


def test_scores_that_were_not_read_are_not_signed(cast, ada, rescore):
    sent = entry(ada)
    upload(ada, sent)
    read = ask(cast, "ines", "GET", f"/v1/site/responses/{sent['id']}").body
    assert rescore(changed(reversed=True)).exit_code == 0
    meanwhile = sign(cast, sent["id"])  # asked before that scoring, in its turn after it
    assert (meanwhile.status, meanwhile.body["code"]) == (409, "not_current")
    later = LATER + timedelta(days=2)
    stale = sign(cast, sent["id"], when=later, as_read={sent["id"]: read["as_read"]})
    assert (stale.status, stale.body["code"]) == (409, "not_current")
    assert rows(Signature) == []
    again = ask(cast, "ines", "GET", f"/v1/site/responses/{sent['id']}", when=later).body["as_read"]
    assert again != read["as_read"]
    assert sign(cast, sent["id"], when=later, as_read={sent["id"]: again}).status == 200
    assert faults() == []


def test_a_run_that_would_seem_older_than_a_signature_is_not_written(cast, ada, rescore):
    """The scoring began first, and the signature took the lock before it."""
    sent = entry(ada)
    upload(ada, sent)
    sign(cast, sent["id"])
    refused = rescore(changed(reversed=True), LATER - timedelta(seconds=1))
    assert refused.exit_code != 0 and {row.run for row in rows(Score)} == {1}
    assert rows(SignatureBreak) == [] and faults() == []


# SG-05.


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("responses", "body", None),
        ("responses", "findings", "[1]"),
        ("scores", "value", 3.0),
        ("signatures", "signer_name", "Otto"),
        ("signatures", "meaning", "reviewed"),
        ("signatures", "seal", "x"),
        ("signatures", "body", None),
        ("signed_responses", "digest", "0" * 64),
    ],
)
@on_sqlite
def test_one_changed_byte_is_found(cast, ada, environ, table, column, value):
    sent = entry(ada)
    upload(ada, sent)
    sign(cast, sent["id"])
    assert faults() == []
    with as_owner(environ, table) as connection:
        if value is None:
            connection.execute(sa.text(f"UPDATE {table} SET {column} = replace({column}, '01', '02')"))
        else:
            connection.execute(sa.text(f"UPDATE {table} SET {column} = :value"), {"value": value})
    assert len(faults()) >= 1
    result = CliRunner().invoke(epro, ["signatures", "verify"], env=environ)
    assert result.exit_code == 1 and "fault" in result.output


def test_a_correction_without_a_break_is_found(cast, ada, environ):
    sent = entry(ada)
    upload(ada, sent)
    sign(cast, sent["id"])
    result = CliRunner().invoke(epro, ["signatures", "verify"], env=environ)
    assert (result.exit_code, result.output) == (0, "1 signature, no fault\n")
    with begin(TESTS) as tx:
        first = tx.one(sa.select(Response))
        row = {column.key: getattr(first, column.key) for column in sa.inspect(Response).column_attrs}
        tx.insert(Response, [row | {"id": uuid4(), "amends_id": first.id, "amendment_no": 1}])
        trail.record(tx, trail.study_chain(tx), "test.planted", "response", first.id)
    assert any("no break is on record" in what for what in faults())


@pytest.fixture
def twins(cast):
    """A phone in each of two studies of the same site, whose subject ids are alike; Ines is investigator in both."""
    text = STUDY_FILE.read_text(encoding="utf-8").replace("id: diary", "id: twin")
    protocol, problems = read(text, known_instruments())
    assert protocol is not None, problems
    with cast.on("2026-03-01T10:00"), begin(TESTS) as tx:
        protocols.publish(tx, protocol, text)
        staff.give(tx, UUID(cast.ids["ines"]), Grant("twin", "01", "investigator"))
    with cast.on("2026-03-02T10:00"):
        ines, about = cast.staff("ines"), {"site": "01", "language": "en", "time_zone": "Asia/Shanghai"}
        made = ines.enrol(study="twin", anchors={"enrolment": "2026-03-02"}, **about)
        code = ines.must("POST", f"/v1/site/participants/{made['subject_id']}/activation-code?study=twin", {})
        other = Phone(cast.line).activate(code["activation_code"])
        return [cast.phone(contact={}), other]


def test_ids_that_two_studies_share_are_of_each_by_itself(cast, twins):
    """Whoever answers or signs makes the ids: nothing keeps two studies of one installation apart but us."""
    same, signed_as, single = uuid4(), str(uuid4()), []
    for day in ("2026-03-02", "2026-03-03"):
        with cast.on(f"{day}T20:00") as now:
            for phone in twins:
                phone.sync()
                id = same if day == "2026-03-02" else None
                made = phone.answer(phone.open_at(now)[0], {"worst_fatigue": 3}, now, now, response_id=id)
                assert phone.upload(now)[0]["outcome"] == "stored"
                single += [made["id"]] if id is None else []
    with cast.on("2026-03-03T21:00"):
        ines = cast.staff("ines")
        change = {"answers": {"worst_fatigue": 4}, "reason": "misread", "reported_by": "site"}
        for method, path, body in (
            ("GET", f"/v1/site/responses/{same}", None),
            ("POST", f"/v1/site/responses/{same}/amendments", change),
        ):
            assert ines.call(method, path, body).status == 409, "neither is changed by chance"
        wish = {"id": signed_as, "meaning": "reviewed", "password": PASSWORD, "accepts_policy": True}
        for one in single:
            told = ines.must("POST", f"/v1/site/responses/{one}/signatures", wish)
            assert [part["id"] for part in told["responses"]] == [one]
        assert ines.call("GET", f"/v1/site/signatures/{signed_as}").status == 409
    assert faults() == []
