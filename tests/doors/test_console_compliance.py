"""Compliance counted in the database: by site, week and assessment; of one's own sites only."""

from __future__ import annotations

import re
from datetime import date

import pytest

from epro.console import drawing
from epro.scheduling import compliance
from epro.scheduling.compliance import Count, Sum
from epro.tx import Actor, Grant, look
from tests.cast import STUDY, at
from tests.doors.test_console_pages import ROOT, browser

MONDAY = date(2026, 3, 2)


def test_counts_are_those_of_her_sites(stage):
    """Both answered on Monday and missed on Tuesday; what is not over yet is not counted."""
    everywhere = Actor("staff", "dana", grants=(Grant(STUDY, "*", "data_manager"),))
    for site, grant in (("01", Grant(STUDY, "01", "nurse")), ("02", Grant(STUDY, "02", "monitor"))):
        with look(Actor("staff", "somebody", grants=(grant,)), at("2026-03-04T10:00")) as tx:
            assert compliance.counts(tx, STUDY, MONDAY) == [Count(site, MONDAY, "evening", 2, 1, 1)]
            assert compliance.counts(tx, STUDY, date(2026, 3, 3)) == [Count(site, MONDAY, "evening", 1, 0, 1)]
    with look(everywhere, at("2026-03-04T10:00")) as tx:
        found = compliance.counts(tx, STUDY, MONDAY)
        assert [one.due for one in found] == [2, 2]
        assert len(compliance.counts(tx, STUDY, MONDAY, site_id="02", assessment_id="evening")) == 1
        assert compliance.counts(tx, STUDY, MONDAY, assessment_id="none") == []
    assert compliance.added(found, lambda one: one.week) == {MONDAY: Sum(4, 2, 2)}


@pytest.mark.parametrize(
    ("day", "weeks", "monday"), [(MONDAY, 0, MONDAY), (date(2026, 3, 8), 1, date(2026, 2, 23))]
)
def test_weeks_begin_on_monday(day, weeks, monday):
    assert compliance.monday_before(day, weeks) == monday


def test_bars_are_as_long_as_what_they_count():
    (one, none) = drawing.columns([("a", Sum(8, 6, 1)), ("b", Sum())])
    assert (one.answered, one.missed, one.percent) == (90.0, 15.0, "75")
    assert (none.answered, none.missed, none.percent) == (0.0, 0.0, "")
    assert drawing.bars([("a", Sum(8, 6, 1))])[0].answered == 225.0


def test_the_charts_are_drawn_with_a_table_behind(stage):
    for name, sites in (("noor", ["01"]), ("otto", ["02"]), ("mona", ["01", "02"])):
        who = browser(stage, name)
        with stage.today():
            told = who.get(f"{ROOT}/compliance").text
            assert "Nothing was due" in who.get(f"{ROOT}/compliance?assessment=none&weeks=x&site=9").text
        assert told.count("<svg") == 3 and " style=" not in told
        rows = re.findall(r'<th scope="row">(\d\d) [^<]*</th><td class="numbers">2</td>', told)
        assert rows == sites
