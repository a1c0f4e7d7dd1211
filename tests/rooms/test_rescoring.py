"""Scoring again: differences are found and reported, new runs are appended, nothing is overwritten."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from epro.cli import epro
from epro.questionnaires import catalogue
from epro.questionnaires.instrument import parse
from epro.questionnaires.library import bundled_instrument
from epro.responses import endpoints, rescoring, runs
from epro.responses.models import Response, Score
from epro.stream import delivering, feed, reconciling
from epro.studies.models import Participant
from epro.tx import begin, look, system

RESCORER = system("rescoring")


def changed(**of_item):
    """The diary's definition, version 1.1: its only item is another."""
    data = bundled_instrument("fatigue_diary").document()
    data["version"] = "1.1"
    data["items"][0] |= of_item
    return parse(data)


def renamed():
    """The diary's definition, version 1.1: its only scale has another name, so that the old one is not defined."""
    data = bundled_instrument("fatigue_diary").document()
    data["version"] = "1.1"
    data["scales"][0] |= {
        "name": "worst",
        "sdtm": {**data["scales"][0].get("sdtm", {}), "qstestcd": "FDWORST"},
    }
    return parse(data)


def up_to_nine():
    """The diary's definition, version 1.1: 10 is no choice any more."""
    data = bundled_instrument("fatigue_diary").document()
    data["version"] = "1.1"
    data["choice_sets"]["rating"] = data["choice_sets"]["rating"][:10]
    data["scales"][0]["range"] = [0, 9]
    return parse(data)


@pytest.fixture
def answered(cast):
    """Three evenings of Ada and Ben; returns the phones."""
    with cast.on("2026-03-02T10:00"):
        phones = [cast.phone(), cast.phone()]
    for day, codes in enumerate([(4, 7), (10, 0), (5, 5)], start=2):
        with cast.on(f"2026-03-{day:02}T20:00") as now:
            for phone, code in zip(phones, codes, strict=True):
                phone.answer(phone.open_at(now)[0], {"worst_fatigue": code}, now, now)
                phone.upload(now)
    cast.relay()
    return phones


@pytest.fixture
def reversed_diary(monkeypatch):
    later = changed(reversed=True)
    monkeypatch.setattr(catalogue, "bundled_instrument", lambda code, version: later)
    with begin(RESCORER) as tx:
        catalogue.publish(tx, "fatigue_diary", "1.1")
    return {"fatigue_diary": later}


@pytest.fixture
def renamed_scale(monkeypatch):
    later = renamed()
    monkeypatch.setattr(catalogue, "bundled_instrument", lambda code, version: later)
    return later


@pytest.fixture
def rescore(answered, environ):
    def run(*more):
        return CliRunner(env=environ).invoke(epro, ["rescore", "--study", "diary", *more])

    return run


def compared(cast):
    return list(reconciling.differences(cast.sinks[0], "diary", delivering.definitions()))


def look_for(later):
    with look(RESCORER) as tx:
        return rescoring.find_changes(tx, "diary", rescoring.subjects(tx, "diary"), later)


def append(changes, later):
    done = 0
    for subject_id in sorted({change.subject_id for change in changes}):
        with begin(RESCORER) as tx:
            own = [change for change in changes if change.subject_id == subject_id]
            done += rescoring.append(tx, "diary", subject_id, own, later)
    return done


def rows():
    with look(RESCORER) as tx:
        query = sa.select(Score.response_id, Score.run, Score.value, Score.definition_version)
        return tx.session.execute(query.order_by(Score.response_id, Score.run)).all()


def test_the_same_definition_and_method_change_nothing(answered):
    assert look_for({}) == ([], 6)


def test_another_definition_is_told_score_by_score_before_anything_is_written(answered, reversed_diary):
    before = rows()
    changes, responses = look_for(reversed_diary)
    assert responses == 6
    assert sorted((change.old, change.new) for change in changes) == [
        (0, 10),
        (4, 6),
        (5, 5),
        (5, 5),
        (7, 3),
        (10, 0),
    ]
    assert [change.differs for change in changes].count(True) == 4
    assert {change.run for change in changes} == {2}
    assert all(change.why[0].startswith("definition ") for change in changes)
    assert rows() == before


def test_new_runs_stand_beside_the_old_ones(answered, reversed_diary):
    before = {row.response_id: row.value for row in rows()}
    assert append(look_for(reversed_diary)[0], reversed_diary) == 6
    after = rows()
    assert [(row.run, row.definition_version) for row in after] == [(1, None), (2, "1.1")] * 6
    assert all(row.value == before[row.response_id] for row in after if row.run == 1)
    assert all(row.value == 10 - before[row.response_id] for row in after if row.run == 2)
    assert look_for(reversed_diary) == ([], 6)  # and doing it again changes nothing


def test_a_later_definition_stays_in_force_when_nothing_is_asked_for(answered, reversed_diary):
    append(look_for(reversed_diary)[0], reversed_diary)
    assert look_for({}) == ([], 6)
    back = {"fatigue_diary": bundled_instrument("fatigue_diary")}
    assert {change.run for change in look_for(back)[0]} == {3}


def test_the_feed_and_the_trial_database_carry_them(cast, answered, reversed_diary):
    append(look_for(reversed_diary)[0], reversed_diary)
    cast.relay()
    with look(RESCORER) as tx:
        told = [e.content for e in feed.after(tx, "diary", 0, 1000) if e.kind == "response.rescored"]
    assert len(told) == 6
    assert told[0]["rescored"]["instrument"]["version"] == "1.1"
    assert [score["run"] for score in told[0]["scores"]] == [2]
    with cast.sinks[0].engine.connect() as connection:
        found = connection.execute(sa.text('SELECT "RUN", count(*) FROM scores GROUP BY "RUN" ORDER BY 1'))
        assert [tuple(row) for row in found] == [(1, 6), (2, 6)]
        joined = sa.text('SELECT DISTINCT "RUN", "DEFVER", "INSTRVER" FROM v_current_scores')
        assert [tuple(row) for row in connection.execute(joined)] == [(2, "1.1", "1.0")]
    assert compared(cast) == []
    with cast.sinks[0].engine.begin() as connection:
        connection.execute(sa.text("""UPDATE scores SET "DEFVER" = '1.0' WHERE "RUN" = 2"""))
    assert {(one.what, one.table, one.columns) for one in compared(cast)} == {
        ("changed", "scores", ("DEFVER",))
    }


def test_a_rescoring_of_a_correction_names_what_it_corrects(cast, answered, reversed_diary):
    first = next(iter(answered[0].receipts))
    with cast.on("2026-03-05T10:00"):
        correction = {
            "answers": {"worst_fatigue": 8},
            "reason": "she misread it",
            "reported_by": "participant",
        }
        made = cast.staff("ines").call("POST", f"/v1/site/responses/{first}/amendments", correction)
        assert made.ok, made.body
        noor = cast.staff("noor")
        for asked in (first, made.body["id"]):  # whoever asks for the first is told what stands in its place
            told = noor.must("GET", f"/v1/site/responses/{asked}/scores")
            assert (told["response_id"], told["current"]) == (asked, made.body["id"])
    append(look_for(reversed_diary)[0], reversed_diary)
    cast.relay()
    with look(RESCORER) as tx:
        told = [
            e.content["rescored"] for e in feed.after(tx, "diary", 0, 1000) if e.kind == "response.rescored"
        ]
        corrected = {str(one.id): str(one.amends_id) for one in tx.all(sa.select(Response)) if one.amends_id}
    assert list(corrected.values()) == [first]
    assert {one["response_id"]: one["amends_id"] for one in told if "amends_id" in one} == corrected


def test_answers_that_a_definition_does_not_take_keep_their_score(answered):
    later = {"fatigue_diary": up_to_nine()}
    changes, _ = look_for(later)
    refused = [change for change in changes if change.refused]
    assert [(change.old, change.new, change.new_reason) for change in refused] == [
        (10, None, "invalid_answers")
    ]
    append(refused, later)
    assert {row.run for row in rows()} == {1}


def test_a_number_that_nothing_explains_is_told(answered):
    """Somebody has changed a stored score behind our back."""
    with look(RESCORER) as tx:
        changes, _ = rescoring.find_changes(tx, "diary", rescoring.subjects(tx, "diary"), {})
        filed = rescoring._filed(tx, "diary", rescoring.subjects(tx, "diary"))
    assert changes == []
    one = filed[0]
    wrong = type("Old", (), {**one.scores["worst_fatigue"]._mapping, "value": 99.0})()
    tampered = rescoring._Filed(one.row, one.answers, {"worst_fatigue": wrong})
    definition = bundled_instrument("fatigue_diary")
    (found,) = rescoring._of_group([tampered], definition)
    assert (found.old, found.new) == (99, one.answers["worst_fatigue"])
    assert found.why == ("the same definition and method give another number",)


DIARY_1_1 = ("--with", "fatigue_diary=1.1")


def test_each_score_by_another_definition_is_told_also_where_the_number_is_the_same(rescore, reversed_diary):
    for more in ((*DIARY_1_1, "--dry-run"), DIARY_1_1):
        told = rescore(*more)
        assert told.exit_code == 0, told.output
        lines = [line for line in told.stdout.splitlines() if " worst_fatigue: " in line]
        assert (
            len(lines) == 6 and sum("5.0 -> 5.0 (definition 1.0 -> 1.1, digest " in one for one in lines) == 2
        )
        assert "6 scores" in told.output and "4 of them with another value" in told.output
    told = rescore("--with", "fatigue_diary=1.1", "--json")
    assert told.stdout == "" and "0 scores appended" in told.stderr


def test_a_scale_that_the_definition_has_no_more_is_told_and_counts_no_more(cast, rescore, renamed_scale):
    told = rescore(*DIARY_1_1, "--json")
    assert told.exit_code == 0, told.output
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    dropped = [one for one in lines if one["scale"] == "worst_fatigue"]
    assert len(lines) == 12 and {one["new_reason"] for one in dropped} == {"not_defined"}
    assert "no such scale" in dropped[0]["why"][0] and "6 not defined any more" in told.stderr
    assert Counter((row.run, row.definition_version) for row in rows()) == {(1, None): 6, (1, "1.1"): 6}
    with look(RESCORER) as tx:
        response = tx.all(sa.select(Response))[0]
        assert [one.scale for one in runs.scores_of(tx, "diary", [response.id])] == ["worst"]
        assert len(runs.every_scale_of(tx, "diary", [response.id])) == 2
        before = runs.scores_of(tx, "diary", [response.id], response.received_at)
        assert [one.scale for one in before] == ["worst_fatigue"]
        her = tx.get(Participant, "diary", response.subject_id)
        assert endpoints.points(tx, her, "evening", "worst_fatigue") == []
        assert len(endpoints.points(tx, her, "evening", "worst")) == 3
    noor = cast.staff("noor")
    explained = noor.must("GET", f"/v1/site/responses/{response.id}/scores")["scores"]
    assert [one["scale"] for one in explained] == ["worst"]
    listed = noor.timeline(response.subject_id)["responses"]
    assert {score["scale"] for one in listed for score in one["scores"]} == {"worst"}
    again = rescore()
    assert again.exit_code == 0 and "0 scores appended" in again.output and "0 not defined" in again.output


def test_a_scale_counts_again_when_a_definition_has_it_again(rescore, renamed_scale, monkeypatch):
    assert rescore(*DIARY_1_1).exit_code == 0
    monkeypatch.setattr(catalogue, "bundled_instrument", bundled_instrument)
    told = rescore("--with", "fatigue_diary=1.0")
    assert told.exit_code == 0, told.output
    assert "6 scores appended" in told.output and "6 not defined any more" in told.output
    with look(RESCORER) as tx:
        ids = tx.all(sa.select(Response.id))
        found = runs.scores_of(tx, "diary", ids)
    assert {(one.scale, one.run, one.definition_version) for one in found} == {("worst_fatigue", 2, "1.0")}


def test_a_study_that_moved_on_meanwhile_is_left_alone(answered, reversed_diary):
    changes, _ = look_for(reversed_diary)
    append(changes, reversed_diary)
    with pytest.raises(rescoring.NotRescored):
        append(changes, reversed_diary)


def test_every_run_is_in_the_trail(answered, reversed_diary):
    from epro.trail.models import Event

    append(look_for(reversed_diary)[0], reversed_diary)
    with look(RESCORER) as tx:
        events = tx.all(sa.select(Event).where(Event.action == "response.rescored"))
        ids = {str(id) for id in tx.all(sa.select(Response.id))}
    assert {event.object_id for event in events} == ids
    assert json.loads(events[0].body)["details"]["scales"] == ["worst_fatigue"]
