"""Exports from the database: cuts that stay, the same bytes again, each reader's own share, a record of reading."""

from __future__ import annotations

import json
import zipfile

import polars as pl
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro import trail
from epro.cli import exports as commands
from epro.cli import main, trialdb  # noqa: F401 - main: the whole command line loads
from epro.errors import Conflict, Invalid, NotAllowed, NotFound
from epro.export import registry
from epro.export.extract import Options
from epro.exporting import cuts, making, reading
from epro.stream import sequencer
from epro.studies.models import Participant
from epro.trail.models import Event
from epro.tx import Actor, Grant, begin, look, system
from tests.cast import STUDY

TESTS = system("tests")
MACHINE = Actor("key", "00000000-0000-4000-8000-000000000001", grants=(Grant(STUDY, "*", "machine"),))


def person(role, site="*"):
    return Actor("staff", "00000000-0000-4000-8000-000000000002", grants=(Grant(STUDY, site, role),))


@pytest.fixture
def answered(cast):
    """Two people of site 01 and one of 02 have answered; all of it has its position."""
    with cast.on("2026-03-02T10:00"):
        phones = [cast.phone(contact={}), cast.phone(contact={}), cast.phone("otto", contact={})]
    with cast.on("2026-03-02T20:00") as now:
        for number, phone in enumerate(phones):
            phone.answer(phone.open_at(now)[0], {"worst_fatigue": number}, now, now)
            phone.upload(now)
    cast.relay()
    return phones


def exported(actor, tmp_path, cut=None, **how):
    point = reading.point(STUDY, cut)
    tmp_path.mkdir(exist_ok=True)
    return making.make(actor, reading.extract(actor, point, **how), registry.find("csv"), Options(), tmp_path)


def long(made):
    return pl.read_csv(made.folder.at("long.csv"), infer_schema_length=None)


def answer_again(cast, phone):
    with cast.on("2026-03-03T20:00") as now:
        phone.sync()
        phone.answer(phone.open_at(now)[0], {"worst_fatigue": 9}, now, now)
        phone.upload(now)
    cast.relay()


def test_a_cut_is_the_same_for_ever(cast, answered, tmp_path):
    with cast.on("2026-03-02T21:00") as now, begin(TESTS, now) as tx:
        made = cuts.make(tx, STUDY, "first")
        assert made.position == 6
    before = exported(TESTS, tmp_path / "one", "first")
    answer_again(cast, answered[0])
    after, newest = exported(TESTS, tmp_path / "two", "first"), exported(TESTS, tmp_path / "three")
    assert {name: before.folder.at(name).read_bytes() for name in before.names()} == {
        name: after.folder.at(name).read_bytes() for name in after.names()
    }
    assert long(newest).height == long(after).height + 2 and newest.digest != after.digest


def test_cuts_are_never_moved(cast, answered):
    with begin(TESTS) as tx:
        cuts.make(tx, STUDY, "first", 2)
    with begin(TESTS) as tx:
        assert cuts.make(tx, STUDY, "first", 2).position == 2
        with pytest.raises(Conflict, match="at position 2"):
            cuts.make(tx, STUDY, "first")
        for name in ("now", "", "a b", "../x", "x" * 65):
            with pytest.raises(Invalid):
                cuts.make(tx, STUDY, name)
        with pytest.raises(Invalid, match="no position 9"):
            cuts.make(tx, STUDY, "later", 9)
        assert cuts.make(tx, STUDY, "before", 0).position == 0
    with pytest.raises(cuts.UnknownCut):
        reading.point(STUDY, "another")
    with pytest.raises(NotFound):
        reading.point("no-such-study")


def test_each_reader_gets_her_own_share(cast, answered, tmp_path):
    whole = exported(MACHINE, tmp_path / "machine", unblinded=True)
    site = exported(person("investigator", "01"), tmp_path / "site")
    assert set(long(whole)["SITEID"]) == {1, 2} and set(long(site)["SITEID"]) == {1}
    assert long(whole).height == 6 and long(site).height == 4
    assert (site.told["sites"], whole.told["sites"], whole.told["blinded"]) == (["01"], None, False)
    cut = whole.told["cut"]  # the place is the study's, whoever reads; a digest of what is there is not
    assert site.told["cut"] == {**cut, "digest": None} and cut["digest"]


def test_definitions_that_scores_were_made_by_are_known_at_the_cut_and_to_who_reads_the_scores(
    cast, answered
):
    at_the_cut = reading.point(STUDY)
    with begin(TESTS) as tx:
        participant = tx.get(Participant, STUDY, answered[0].subject_id, lock=True)
        event = trail.record(tx, participant, "week.scored", "week", "evening/1")
        made_by = {"code": "fatigue_diary_weekly", "version": "1.0", "digest": "d"}
        trail.stream(tx, event, participant, "week.scored", {"week": {"instrument": made_by}, "scores": []})
    sequencer.sequence()
    now = reading.point(STUDY)
    told = [
        set(reading.extract(*asked).scored_by())
        for asked in ((MACHINE, now), (MACHINE, at_the_cut), (person("investigator", "02"), now))
    ]
    assert told == [{("fatigue_diary_weekly", "1.0")}, set(), set()]


def test_who_may_not(cast, answered, tmp_path):
    for role in ("nurse", "study_builder", "administrator"):
        with pytest.raises(NotAllowed):
            exported(person(role), tmp_path / role)
    elsewhere = Actor("key", "k", grants=(Grant("another", "*", "machine"),))
    with pytest.raises(NotFound):
        exported(elsewhere, tmp_path / "elsewhere")
    with pytest.raises(NotAllowed):
        exported(person("data_manager"), tmp_path / "unblinded", unblinded=True)


def test_every_export_is_on_record(cast, answered, tmp_path):
    made = exported(person("investigator", "01"), tmp_path / "site")
    with look(TESTS) as tx:
        event = tx.one(sa.select(Event).where(Event.action == "export.made"))
    told = json.loads(event.body)
    assert told["actor"] == "staff:00000000-0000-4000-8000-000000000002"
    details = told["details"]
    assert (details["format"], details["position"], details["cut"]) == ("csv", 6, None)
    assert (details["digest"], details["rows"], details["sites"]) == (made.digest, made.rows, ["01"])


def test_the_command_writes_a_folder_an_archive_or_a_file(cast, answered, environ, tmp_path):
    run = lambda command, *words: CliRunner(env=environ).invoke(command, words)  # noqa: E731
    assert run(commands.cut, "make", "dmc", "--study", STUDY).exit_code == 0
    assert "dmc  6" in run(commands.cut, "list", "--study", STUDY).output
    for out in ("folder", "whole.zip", "answers.csv"):
        done = run(commands.export, "csv", "--study", STUDY, "--cut", "dmc", "--out", str(tmp_path / out))
        assert done.exit_code == 0, done.output
        assert "diary up to position 6" in done.output
    assert (tmp_path / "folder" / "long.csv").read_bytes() == (tmp_path / "answers.csv").read_bytes()
    with zipfile.ZipFile(tmp_path / "whole.zip") as archive:
        assert archive.read("long.csv") == (tmp_path / "answers.csv").read_bytes()
        assert {"export.json", "dictionary.json", "subjects.csv"} <= set(archive.namelist())
    assert (tmp_path / "answers.export.json").is_file()
    assert run(commands.export, "csv", "--study", STUDY, "--out", "/no/such/place.csv").exit_code == 2


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_folder_holds_one_export_and_what_else_was_there(cast, answered, environ, tmp_path, monkeypatch):
    """Of one before nothing is left, and while another is made nothing says that it is whole."""
    ask = ["dataset-json", "--study", STUDY, "--out", str(tmp_path / "out")]
    run = lambda *words: CliRunner(env=environ).invoke(commands.export, [*ask, *words])  # noqa: E731
    assert run("--container", "ndjson").exit_code == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert (tmp_path / "out" / "qsfd.ndjson").is_file()
    assert run().exit_code == 0
    told = json.loads((tmp_path / "out" / "export.json").read_bytes())
    names = {"export.json", "notes.txt"} | {one["name"] for one in told["files"]}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names and "qsfd.json" in names
    monkeypatch.setattr(making, "_told", lambda *_: 1 / 0)
    assert run().exit_code == 1
    assert not (tmp_path / "out" / "export.json").exists()


def test_a_study_without_entries_is_exported_too(cast, tmp_path):
    made = exported(TESTS, tmp_path / "empty")
    assert (made.told["cut"]["position"], long(made).height) == (0, 0)
