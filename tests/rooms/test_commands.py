"""Each command as a person calls it: from a shell, in its text form, where no application is open around it.

CM-01  What reads says something, ends as it should and shows no trace of a fault, in each form and language.
CM-02  No command is left out of these tables without a word why.
CM-03  What is not there is told in the same words by every command, with exit 2.
CM-04  A command that reads leaves no empty database behind where there is none.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import re
from pathlib import Path
from uuid import uuid4

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import create_app
from epro.cli import epro, main, opening
from epro.responses.models import Response
from epro.scheduling import occurrences
from epro.stream.outlets import TRIAL_DATABASE
from epro.studies.models import Participant
from epro.tx import look, system
from tests.cast import PASSWORD, STUDY, STUDY_FILE

TESTS = system("tests")
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
BY_STUDY = ("--study", STUDY)


@pytest.fixture
def shell(environ, monkeypatch):
    """Calls that see no application of the test's own; to make theirs once is enough."""
    made = create_app(environ)
    monkeypatch.setattr(opening, "create_app", lambda: made)
    monkeypatch.setenv("EPRO_STAFF_PASSWORD", PASSWORD)

    def call(words, places):
        told = contextvars.Context().run(
            CliRunner().invoke, epro, [str(word).format(**places) for word in words], env=environ
        )
        assert (told.exit_code, told.exception) == (0, None), (words, told.output, told.exception)
        return told.output

    return call


READ = (  # in this order; the words of a call
    ("anchors", "import", "{csv}", *BY_STUDY, "--dry-run"),
    ("anchors", "import", "{csv}", *BY_STUDY),
    ("cut", "make", "first", *BY_STUDY),
    ("cut", "list", *BY_STUDY),
    ("export", "csv", *BY_STUDY, "--out", "{folder}"),
    ("keys", "status"),
    ("keys", "reindex"),
    ("manifest", "make", *BY_STUDY, "--date", "2026-03-02"),
    ("manifest", "show", "2026-03-02", *BY_STUDY),
    ("manifest", "verify", *BY_STUDY),
    ("manifest", "verify", *BY_STUDY, "--trial-database"),
    ("privacy", "access-report", "01-001"),
    ("privacy", "access-report", "01-001", "--lang", "zh-CN"),
    ("privacy", "access-report", "01-001", "--json"),
    ("rescore", *BY_STUDY, "--dry-run"),
    ("rescore", *BY_STUDY),
    ("signatures", "verify"),
    ("sink", "list", *BY_STUDY),
    ("sink", "parked", TRIAL_DATABASE, *BY_STUDY),
    ("sink", "retry", TRIAL_DATABASE, *BY_STUDY),
    ("study", "check", STUDY_FILE),
    ("study", "publish", STUDY_FILE),
    ("study", "amend", "{later}", "--dry-run"),
    ("study", "amend", "{later}"),
    ("study", "approve", STUDY, "1.1", "--site", "01", "--date", "2026-03-09", "--dry-run"),
    ("study", "approve", STUDY, "1.1", "--site", "01", "--date", "2026-03-09"),
    ("trail", "head"),
    ("trail", "seal"),
    ("trail", "key"),
    ("trail", "checkpoint"),
    ("trail", "export", "-"),
    ("trail", "prove", "{response}"),
    ("trail", "readers", "01-001"),
    ("trail", "readers", "01-001", "--lang", "zh-CN"),
    ("trail", "verifier"),
    ("trail", "verify"),
    ("trialdb", "reconcile", *BY_STUDY),
    ("why", "01-001"),
    ("why", "01-001", "--lang", "zh-CN"),
    ("why", "01-001", "--response", "{response}"),
    ("why", "01-001", "--occurrence", "{occurrence}"),
    ("wording", "status", STUDY),
)
ACTING = (  # what changes people and machines; `{id}` is the id that the call before told
    ("staff", "add", "--email", "new@example.org", "--name", "New", "--role", "nurse@diary/01", "--totp"),
    ("staff", "totp", "{id}"),
    ("staff", "unlock", "{id}", "--reason", "she rang"),
    ("staff", "reset-factors", "{id}", "--reason", "a lost phone"),
    ("staff", "sso-unlink", "{id}", "--reason", "she has left"),
    ("staff", "close", "{id}", "--reason", "she has left"),
    ("staff", "invite", "--email", "next@example.org", "--name", "Next", "--role", "nurse@diary/01"),
    ("key", "add", *BY_STUDY, "--name", "a machine"),
    ("key", "sources", "{id}", "--from", "192.0.2.0/24", "--reason", "it has moved"),
    ("key", "revoke", "{id}", "--reason", "not needed"),
    ("sink", "add", "files", "x", *BY_STUDY, "--set", "folder={folder}"),
    ("sink", "pause", "x", *BY_STUDY, "--reason", "a test"),
    ("sink", "list", *BY_STUDY),
    ("sink", "resume", "x", *BY_STUDY, "--reason", "a test"),
    ("sink", "replay", "x", *BY_STUDY, "--from", "1", "--reason", "a test"),
    ("sink", "remove", "x", *BY_STUDY, "--reason", "a test"),
    ("privacy", "erase", "01-001", "--reason", "her letter", "--yes"),
    ("privacy", "access-report", "01-001"),
)
ELSEWHERE = {  # where those are called that need no application around them, or a place of their own
    "db upgrade": "test_config.py",
    "demo": "walks/test_demo.py",
    "serve": "walks/test_with_real_processes.py",
    "worker": "walks/test_with_real_processes.py",
    "study simulate": "test_rehearsal.py",
    "trialdb grant-script": "test_trial_database.py",
    "keys rotate": "test_contacts.py",
    "keys remove": "test_contacts.py",
    "trail read-by": "test_reading_breadth.py",
    "privacy own-data": "test_own_data.py",
    "staff sso-invite": "test_signin_sso.py",
    "wording approve": "test_wording_packs.py",
    "wording import": "test_wording_packs.py",
    "wording preview": "test_wording_packs.py",
    "wording template": "test_wording_packs.py",
    **{
        f"instrument {name}": "test_questionnaires_cli.py"
        for name in ("check", "explain", "list", "new", "reference", "score", "show")
    },
}


@on_sqlite
def test_each_command_in_its_text_form(cast, shell, tmp_path):  # CM-01
    places = _scene(cast, tmp_path)
    for words in READ:
        assert shell(words, places).strip() or words[:2] == ("sink", "parked"), words


@on_sqlite
def test_each_act_on_people_and_machines(cast, shell, tmp_path):  # CM-01
    places = _scene(cast, tmp_path)
    for words in ACTING:
        if found := re.search("[0-9a-f]{8}-[0-9a-f-]{27}", shell(words, places)):
            places["id"] = found[0]


def test_no_command_is_left_out():  # CM-02
    called = {" ".join(words[:length]) for words in (*READ, *ACTING) for length in (1, 2)}
    assert {name for name in _names(epro) if name not in called} == set(ELSEWHERE)


def _names(command, *above):
    if not isinstance(command, click.Group):
        return [" ".join(above)]
    return [name for word, one in command.commands.items() for name in _names(one, *above, word)]


def _scene(cast, folder) -> dict[str, object]:
    """Three have answered; files to read lie there."""
    cast.three_answer()
    with cast.on("2026-03-02T21:00"):
        cast.relay()
    (folder / "days.csv").write_text("subject_id,anchor,date\n01-001,infusion,2026-03-05\n")
    later = STUDY_FILE.read_text(encoding="utf-8").replace('version: "1.0"', 'version: "1.1"', 1)
    (folder / "later.yaml").write_text(later, encoding="utf-8")
    with look(TESTS) as tx:
        answer = tx.all(sa.select(Response.id).where(Response.subject_id == "01-001"))[0]
        due = occurrences.of(tx, tx.get(Participant, STUDY, "01-001"))[0].id
        return {
            "csv": folder / "days.csv",
            "later": folder / "later.yaml",
            "folder": folder / "csv",
            "response": answer,
            "occurrence": due,
        }


@on_sqlite
def test_both_ways_of_naming_a_study_and_a_day(cast, shell, tmp_path):
    places = _scene(cast, tmp_path)
    assert shell(("wording", "status", *BY_STUDY), places) == shell(("wording", "status", STUDY), places)
    shell(("manifest", "make", *BY_STUDY, "--date", "2026-03-02"), places)
    day = shell(("manifest", "show", "--date", "2026-03-02", *BY_STUDY), places)
    assert day == shell(("manifest", "show", "2026-03-02", *BY_STUDY), places)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no pipes by name here")
@on_sqlite
def test_a_study_file_is_read_once_so_that_a_pipe_will_do(cast, shell, tmp_path):
    later = STUDY_FILE.read_text(encoding="utf-8").replace('version: "1.0"', 'version: "1.1"', 1)

    def piped(word, *options):
        with _pipe(later) as path:
            return shell(("study", word, path, *options), {})

    assert "has no faults" in piped("check")
    assert "1.1 amends 1.0" in piped("amend", "--dry-run")
    assert "1.1 published" in piped("publish")
    small = ("--participants", "1", "--days", "1", "--report", tmp_path / "report")
    assert "report: " in piped("simulate", *small)


@contextlib.contextmanager
def _pipe(text):
    """The path of a pipe that gives this text, once."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    yield f"/dev/fd/{reading}"
    os.close(reading)


@on_sqlite
def test_what_was_looked_for_is_named(cast, environ, tmp_path):
    cast.three_answer()
    file, strange, answers = tmp_path / "days.csv", uuid4(), tmp_path / "answers.json"
    file.write_text("subject_id,anchor,date\n01-009,infusion,2026-03-05\n")
    answers.write_text('{"q1": 3}')
    for words, said in (
        (("anchors", "import", file, *BY_STUDY), "line 2: 01-009: There is no such participant in diary."),
        (("why", "01-009"), "There is no participant 01-009."),
        (("why", "01-001", "--response", strange), f"01-001 has no response {strange}."),
        (("keys", "rotate", "--new"), "derived from EPRO_SECRET_KEY"),
        (("instrument", "explain", "fss", answers), "Items of fss: "),
        (("wording", "status"), "Name one study"),
        (("manifest", "show", *BY_STUDY), "Name the day"),
    ):
        told = CliRunner().invoke(epro, [str(word) for word in words], env=environ)
        assert told.exit_code and said in f"{told.output} {told.exception}", (words, told.output)


@on_sqlite
def test_what_is_not_there_is_told_alike(cast, environ, monkeypatch, capsys, tmp_path):  # CM-03
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    nothing = str(uuid4())
    for words, said in (
        (("trail", "prove", nothing), f"There is no entry or receipt {nothing}."),
        (("trail", "prove", "abc"), "There is no entry or receipt abc."),
        (("why", "01-099"), "There is no participant 01-099."),
        (
            ("export", "csv", "--study", "elsewhere", "--out", str(tmp_path / "x")),
            "There is no study elsewhere.",
        ),
        (("trail", "read-by", "nobody"), "There is no account nobody."),
    ):
        monkeypatch.setattr("sys.argv", ["epro", *words])
        with pytest.raises(SystemExit) as ended:
            contextvars.Context().run(main)
        assert (ended.value.code, capsys.readouterr().err) == (2, f"Error: {said}\n"), words


@on_sqlite
def test_what_reads_makes_no_database(environ, tmp_path, monkeypatch):  # CM-04
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    monkeypatch.chdir(fresh)
    there = {**environ, "EPRO_DATABASE_URL": "sqlite:///epro.sqlite"}
    there |= {name: "" for name in environ if name.endswith("_DATABASE_URL") and name != "EPRO_DATABASE_URL"}
    for words in (("why", "01-001"), ("trail", "verify"), ("trail", "head"), ("cut", "list", *BY_STUDY)):
        told = contextvars.Context().run(CliRunner().invoke, epro, [*words], env=there)
        assert told.exit_code == 2 and "There is no database at" in told.output, told.output
        assert "run `epro db upgrade`." in told.output and os.listdir(fresh) == []


@on_sqlite
def test_a_place_that_is_not_there_is_refused_before_a_password_is_asked_for(cast, environ, monkeypatch):
    monkeypatch.delenv("EPRO_STAFF_PASSWORD", raising=False)
    who = ("staff", "add", "--email", "new@example.org", "--name", "New", "--role")
    for role, said in (("nurse@diary/77", "no site 77 in diary"), ("nurse@elsewhere", "no study elsewhere")):
        told = contextvars.Context().run(CliRunner().invoke, epro, [*who, role], env=environ)
        assert said in str(told.exception) and "Password" not in told.output, told.output


def test_a_fault_of_a_study_file_ends_before_its_mend(tmp_path):
    text = re.sub("(?m)^ *zone_policy:.*\n", "", STUDY_FILE.read_text(encoding="utf-8"))
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    told = CliRunner().invoke(epro, ["study", "check", str(tmp_path / "study.yaml")])
    assert told.exit_code == 1 and "zone_policy is missing. Add zone_policy" in told.output, told.output
