"""The data manager's day: what lags is seen and told again; exports are asked for and fetched; what is held is listed.

Requirement G30; threats S2 (a site with another's), S3 (across studies).
"""

from __future__ import annotations

from random import Random

import pytest

from epro import worker
from epro.exporting import jobs
from epro.stream import comparing, cursors, delivering, outlets
from epro.stream.cursors import Key
from epro.stream.feed import after
from epro.stream.models import SinkRow
from epro.stream.sinks import trial_tables as trial
from epro.tx import begin, look, system
from tests.cast import STUDY
from tests.doors.test_console_pages import ROOT, browser

TESTS = system("tests")


@pytest.fixture(scope="module")
def stage_environ(stage_environ, tmp_path_factory):
    """With a trial database."""
    return {
        **stage_environ,
        "EPRO_TRIAL_DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('trial')}/trial.sqlite",
    }


@pytest.fixture(scope="module")
def dana(stage, tmp_path_factory):
    """Her browser, on a study with a sink of files that has carried nothing yet."""
    folder = str(tmp_path_factory.mktemp("files"))
    with stage.today(), begin(TESTS) as tx:
        outlets.add(tx, STUDY, "lake", "files", {"folder": folder})
    return browser(stage, "dana")


def row() -> SinkRow:
    with look(TESTS) as tx:
        found = tx.get(SinkRow, STUDY, "lake")
        assert found is not None
        return found


def do(browser, path, **form):
    return browser.do(f"{ROOT}/{path}", on=f"{ROOT}/exports", **form)


def test_what_lags_is_seen_and_catches_up(stage, dana):
    with stage.today():
        before, live = dana.get(f"{ROOT}/data").text, dana.get(f"{ROOT}/data/live").text
        for told in (before, live):
            assert "behind" in told and "lake" in told and "trial-database" in told
        assert "<html" not in live
        delivering.relay(stage.cast.sinks)
        assert "up to date" in dana.get(f"{ROOT}/data/live").text


def test_a_sink_is_paused_let_go_on_and_told_again(stage, dana):
    with stage.today():
        for name in ("lake", "trial-database"):
            address = f"{ROOT}/sinks/{name}"
            assert do(dana, f"sinks/{name}/pause").status_code == 422  # not without a reason
            for act, form, shown in (
                ("pause", {"reason": "the lake is cleaned"}, "the lake is cleaned"),
                ("resume", {"reason": "clean again"}, "Pause"),
                ("replay", {"first": "1", "reason": "lost a disk"}, "behind"),
            ):
                answer = do(dana, f"sinks/{name}/{act}", **form)
                assert (answer.status_code, answer.headers.get("Location")) == (303, address), answer.text
                assert shown in dana.get(address).text
        told = dana.get(f"{ROOT}/trail?action=sink.replayed").text
    assert "lost a disk" in told and row().position == 0


def test_a_trial_database_that_is_astray_is_shown_and_not_told_again(stage, dana):
    (target,) = stage.cast.sinks
    with stage.today():
        delivering.relay([target])
        place = target.place(STUDY).position
        with target.engine.begin() as connection:
            connection.execute(trial.feed_state.update().values(POSITION=place + 5))
        live, page = dana.get(f"{ROOT}/data/live").text, dana.get(f"{ROOT}/sinks/trial-database").text
        for told in (live, page):
            assert (
                "ahead of the feed" in told
                and f"It has come to {place + 5}, and the feed only to {place}" in told
            )
        assert "Tell it again" not in page
        assert do(dana, "sinks/trial-database/replay", first="1", reason="no").status_code == 409
        with target.engine.begin() as connection:
            connection.execute(trial.feed_state.update().values(POSITION=place))


def test_parked_entries_are_shown_with_their_reason_and_tried_again(stage, dana):
    with stage.today():
        with begin(TESTS) as tx:
            entries = {one.position: (one, "HTTP 422") for one in after(tx, STUDY, 0, 2)}
            cursors.park(tx, Key(STUDY, "lake"), entries, Random(1))
        told = dana.get(f"{ROOT}/sinks/lake").text
        assert told.count("HTTP 422") == 2
        assert do(dana, "sinks/lake/retry", position="1").status_code == 303
        with look(TESTS) as tx:
            first, second = cursors.parked(tx, Key(STUDY, "lake"))
            assert first.next_try_at == tx.now and second.next_try_at > tx.now
        assert do(dana, "sinks/lake/retry").status_code == 303


def test_a_comparison_is_asked_for_and_made_by_the_worker(stage, dana):
    with stage.today(minutes=1):
        assert do(dana, "data/comparison").status_code == 303
        assert do(dana, "data/comparison").status_code == 409
        assert "asked for" in dana.get(f"{ROOT}/data/live").text
        delivering.relay(stage.cast.sinks)
        assert comparing.run_due(stage.cast.sinks) == 1 and comparing.run_due(stage.cast.sinks) == 0
        assert "no difference" in dana.get(f"{ROOT}/data/live").text
    with look(TESTS) as tx:
        (made,) = comparing.of(tx, STUDY, 5)
    assert made.differences == 0 and made.entries > 10


def test_an_export_is_asked_for_watched_and_fetched(stage, dana):
    with stage.today(minutes=2):
        assert dana.do(f"{ROOT}/exports", on=f"{ROOT}/exports", format="none").status_code == 404
        asked = dana.do(
            f"{ROOT}/exports",
            on=f"{ROOT}/exports",
            format="csv",
            cut="first",
            scores="derived",
            flavour="safe",
        )
        assert asked.status_code == 303
        assert "waiting" in dana.get(f"{ROOT}/exports/live").text
        with look(TESTS) as tx:
            job = jobs.of(tx, STUDY, None, 1)[0]
        assert job.request["options"] == {"flavour": "safe", "scores": "derived", "extra": {}}
        assert dana.get(f"{ROOT}/exports/{job.id}/file").status_code == 409
        worker.export()
        assert f"{ROOT}/exports/{job.id}/file" in dana.get(f"{ROOT}/exports").text
        file = dana.get(f"{ROOT}/exports/{job.id}/file")
        assert file.data[:2] == b"PK" and file.headers["Cache-Control"] == "no-store"
        assert dana.get(f"{ROOT}/exports/{stage.exports['machine']}/file").status_code == 404


def test_asking_for_an_export_asks_who_she_is_when_that_is_long_ago(stage, dana):
    with stage.today(minutes=6):
        answer = dana.do(f"{ROOT}/exports", on=f"{ROOT}/exports", format="csv")
    assert answer.headers["Location"].startswith("/console/account/proof?next=")


def test_what_is_held_is_listed_with_the_decision(stage, dana):
    with stage.today():
        waiting, everything = dana.get(f"{ROOT}/held").text, dana.get(f"{ROOT}/held?all=1").text
    assert "Nothing waits" in waiting
    assert (
        stage.ada.subject_id in everything
        and stage.cara.subject_id in everything
        and "rejected" in everything
    )


def test_who_manages_one_site_has_neither_the_feed_nor_the_others_answers(stage, dana):
    dita = browser(stage, "dita")
    with stage.today():
        for path in ("data", "data/live", "sinks/lake", "sinks/none"):
            assert dita.get(f"{ROOT}/{path}").status_code in (403, 404), path
        told = dita.get(f"{ROOT}/held?all=1").text
        assert do(dita, "sinks/lake/pause", reason="none").status_code in (403, 404)
    assert stage.cara.subject_id in told and f"participants/{stage.ada.subject_id}" not in told
    assert row().paused_at is None


def test_a_page_far_behind_the_last_is_empty(stage, dana):
    with stage.today():
        for number in (10**18, 10_000, -1, 0):
            assert dana.get(f"{ROOT}/held?page={number}").status_code == 200, number
