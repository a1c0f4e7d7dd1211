"""Compliance counted in the database: by site, week and assessment; of one's own sites only."""

from __future__ import annotations

import re
from datetime import date

import pytest
import sqlalchemy as sa

from epro.console import drawing
from epro.scheduling import compliance as room
from epro.scheduling import counted
from epro.scheduling.compliance import Count, Sum
from epro.tx import Actor, Grant, look
from tests.cast import STUDY, at
from tests.doors.scene import OTHER
from tests.doors.test_console_pages import ROOT, browser

MONDAY = date(2026, 3, 2)


def test_counts_are_those_of_her_sites(stage):
    """Both answered on Monday and missed on Tuesday; what is not over yet is not counted."""
    everywhere = Actor("staff", "dana", grants=(Grant(STUDY, "*", "data_manager"),))
    for site, grant in (("01", Grant(STUDY, "01", "nurse")), ("02", Grant(STUDY, "02", "monitor"))):
        with look(Actor("staff", "somebody", grants=(grant,)), at("2026-03-04T10:00")) as tx:
            assert room.counts(tx, STUDY, MONDAY) == [Count(site, MONDAY, "evening", 2, 1, 1)]
            assert room.counts(tx, STUDY, date(2026, 3, 3)) == [Count(site, MONDAY, "evening", 1, 0, 1)]
    with look(everywhere, at("2026-03-04T10:00")) as tx:
        found = room.counts(tx, STUDY, MONDAY)
        assert [one.due for one in found] == [2, 2]
        assert len(room.counts(tx, STUDY, MONDAY, site_id="02", assessment_id="evening")) == 1
        assert room.counts(tx, STUDY, MONDAY, assessment_id="none") == []
    assert room.added(found, lambda one: one.week) == {MONDAY: Sum(4, 2, 2)}


@pytest.mark.parametrize(
    ("day", "weeks", "monday"), [(MONDAY, 0, MONDAY), (date(2026, 3, 8), 1, date(2026, 2, 23))]
)
def test_weeks_begin_on_monday(day, weeks, monday):
    assert room.monday_before(day, weeks) == monday


def test_bars_are_as_long_as_what_they_count():
    (one, none) = drawing.bars([("a", Sum(8, 6, 1)), ("b", Sum())])
    assert (one.answered, one.missed, one.percent) == (75.0, 12.5, "75")
    assert (none.answered, none.missed, none.percent) == (0.0, 0.0, "")


PLACES = {"first": "01", "second": "02", "whole": "*"}


def test_the_charts_are_drawn_with_a_table_behind(stage):
    for name, sites in (("noor", ["01"]), ("otto", ["02"]), ("mona", ["01", "02"])):
        who = browser(stage, name)
        with stage.today():
            told = who.get(f"{ROOT}/compliance").text
            assert "Nothing was due" in who.get(f"{ROOT}/compliance?assessment=none&weeks=x&site=9").text
        assert told.count("<rect") == 3 * (1 + len(sites) + 1) and " style=" not in told
        rows = re.findall(r'<th scope="row">(\d\d) [^<]*</th><td class="numbers">2</td>', told)
        assert rows == sites


def test_a_large_study_is_counted_by_the_worker_and_told_the_same(stage, monkeypatch):
    """What is kept is what counting gives; each sees her sites of it; left alone too long it is counted anew."""
    monkeypatch.setattr(counted, "LARGE", 1)
    asked = (STUDY, date(2026, 1, 5))
    mine = {
        name: Actor("staff", name, grants=(Grant(STUDY, site, "nurse"),)) for name, site in PLACES.items()
    }

    def told(name: str, minutes: int = 0, **more: str):
        with stage.today(minutes), look(mine[name]) as tx:
            return counted.told(tx, *asked, **more), room.counts(tx, *asked, **more)

    with stage.today():
        assert counted.keep_due() == 2 and counted.keep_due() == 0
    for name in mine:
        for more in ({}, {"assessment_id": "evening"}, {"site_id": "02"}, {"assessment_id": "none"}):
            (kept, at), found = told(name, 5, **more)
            assert kept == found, (name, more)
            assert (at is None) == (
                more.get("site_id") == "02" and name == "first"
            )  # not hers: nothing is kept
        assert told(name)[0][0] != []
    with stage.today(minutes=29):
        assert "about every ten minutes" in browser(stage, "mona").get(f"{ROOT}/compliance").text
    assert told("whole", 31)[0][1] is None
    with stage.today(minutes=11):
        assert counted.keep_due() == 2
    assert told("whole", 31)[0][1] is not None


def test_a_study_that_cannot_be_counted_stops_no_other(stage, monkeypatch, caplog):
    """Whichever comes first; it is told of by name, and tried again with the next strike."""
    monkeypatch.setattr(counted, "LARGE", 1)
    real = room.counts
    for broken, minutes in ((STUDY, 60), (OTHER, 75)):

        def counts(tx, study_id, *asked, broken=broken, **more):
            if study_id == broken:
                raise ValueError("a row that nobody understands")
            return real(tx, study_id, *asked, **more)

        caplog.clear()
        with stage.today(minutes=minutes):
            monkeypatch.setattr(room, "counts", counts)
            assert counted.keep_due() == 1
            told = [one for one in caplog.records if one.name == counted.__name__]
            assert [(one.action, one.study_id) for one in told] == [("count.put_off", broken)]
            assert "nobody understands" not in told[0].getMessage()
            monkeypatch.setattr(room, "counts", real)
            assert counted.keep_due() == 1


def test_a_database_that_is_away_is_no_fault_of_a_study(stage, monkeypatch):
    monkeypatch.setattr(counted, "LARGE", 1)

    def away(*asked, **more):
        raise sa.exc.OperationalError("select", {}, Exception("gone"))

    with stage.today(minutes=90):
        monkeypatch.setattr(room, "counts", away)
        with pytest.raises(sa.exc.OperationalError):
            counted.keep_due()
