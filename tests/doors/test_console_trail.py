"""Who reads the trail in the browser: by person, participant, time and act; at her sites only; what is hidden withheld.

Requirement G30; threats S2 (a site with another's), S3 (across studies).
"""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from epro import db, trail
from epro.privacy.models import Reading
from epro.responses import sight, trail_sight
from epro.studies import access
from epro.studies.models import Participant
from epro.trail import browsing, checks
from epro.trail.models import Event
from epro.tx import Grant, begin, look, system
from tests.cast import STUDY, at
from tests.doors.scene import hire
from tests.doors.test_console_pages import ROOT, browser

KEPT_BACK = "Some of this is withheld"


@pytest.fixture(scope="module")
def mona(stage):
    with stage.today():
        hire("mira", Grant(STUDY, "02", "monitor"))
    return browser(stage, "mona")


def test_a_monitor_looks_for_what_one_person_did_with_one_participant(stage, mona):
    ines = f"staff:{stage.cast.ids['ines']}"
    with stage.today():
        told = mona.get(f"{ROOT}/trail").text
        assert "Older" in told
        hers = mona.get(f"{ROOT}/trail?subject={stage.ada.subject_id}&action=response.amended").text
        assert hers.count('class="changes') + hers.count("table-sm changes") == 1
        assert (
            "ticked the wrong number" in hers and "worst_fatigue" in hers and ">7<" in hers and ">6<" in hers
        )
        assert f"participants/{stage.cara.subject_id}" not in hers
        assert "Nothing was found" in mona.get(f"{ROOT}/trail?actor={ines}&since=2031-01-01").text
        asked = mona.get(f"{ROOT}/trail?since=2026-03-02&until=2026-03-02&action=participant.enrolled").text
    assert stage.ada.subject_id in asked and stage.cara.subject_id in asked


def test_one_chooses_among_the_people_of_ones_own_sites(stage, mona):
    with stage.today():
        hire("mora", Grant(STUDY, "02", "monitor"))
        whole, part = (one.get(f"{ROOT}/trail").text for one in (mona, browser(stage, "mora")))
    ids = {name: f'value="staff:{stage.cast.ids[name]}"' for name in ("noor", "otto", "dana")}
    assert all(one in whole for one in ids.values())
    assert [name for name, one in ids.items() if one in part] == ["otto", "dana"]


def test_a_moved_plan_is_told_by_names_and_on_the_clock_of_the_site(stage, mona):
    noor, address = browser(stage, "noor"), f"{ROOT}/participants/{stage.ada.subject_id}/plan"
    with stage.today():
        shown = noor.get(address, query_string={"time_zone": "Europe/Berlin"}).text
        mark = re.search(r'name="mark" value="([0-9a-f]{64})"', shown)[1]
        made = noor.do(address, on=address, time_zone="Europe/Berlin", reason="travels", mark=mark)
        assert made.status_code == 303
        told = mona.get(f"{ROOT}/trail?action=plan.changed&subject={stage.ada.subject_id}").text
    first = re.search(r'<tbody.*?<th [^>]*class="named"[^>]*>(.*?)</th><td [^>]*>(.*?)</td>', told, re.DOTALL)
    assert re.fullmatch(r"[A-Z].* · \w{3} \d+ \w{3}", first[1])
    local, utc = re.findall(r"(\d{4}-\d\d-\d\d[ T]\d\d):\d\d:\d\d", first[2])[:2]
    assert "T" not in local and at(f"{local[:10]}T{local[11:]}") == at(utc, "UTC")


def test_one_page_follows_the_other_and_none_is_left_out(stage):
    with look(system("tests")) as tx:
        everything = tx.all(sa.select(Event.id).where(Event.study_id == STUDY))
        found, behind = [], None
        while rows := browsing.page(tx, browsing.Wanted(STUDY), trail_sight.scope(tx), behind, 7):
            found += rows
            behind = browsing.place(str(browsing.Place(rows[-1].at, rows[-1].id)))
    assert len(found) == len(everything) == len({one.id for one in found})
    assert found == sorted(found, key=lambda one: (one.at, one.id), reverse=True)


@pytest.mark.parametrize("text", ["", None, "none", "2026-03-01_x", "2026-03-01T00:00:00_" + "0" * 32])
def test_a_place_that_cannot_be_read_is_the_beginning(text):
    assert browsing.place(text) is None


def test_who_reads_one_site_sees_neither_the_other_nor_what_is_of_the_whole_study(stage, mona):
    mira = browser(stage, "mira")
    with stage.today():
        pages = [
            mira.get(f"{ROOT}/trail?{query}").text
            for query in (
                "",
                f"subject={stage.ada.subject_id}",
                "action=participant.enrolled",
                "action=cut.made",
            )
        ]
        assert "first" in mona.get(f"{ROOT}/trail?action=cut.made").text
    assert stage.cara.subject_id in "".join(pages)
    assert not re.search(rf"{stage.ada.subject_id}</a>", "".join(pages))
    assert "Nothing was found" in pages[1] and "Nothing was found" in pages[3]


def test_the_database_says_it_once_more(stage, mona, monkeypatch):
    """With our own answer taken away, rows of another site still do not come out on PostgreSQL."""
    if db.engine().dialect.name != "postgresql":
        pytest.skip("SQLite has no row policies")
    mira = browser(stage, "mira")
    monkeypatch.setattr(access, "visible", lambda *_, **__: sa.true())
    with stage.today():
        told = "".join(
            mira.get(f"{ROOT}/{page}").text for page in ("trail", "participants", "compliance", "held?all=1")
        )
    assert stage.cara.subject_id in told and f"{stage.ada.subject_id}</a>" not in told


def test_what_is_hidden_from_her_is_withheld(stage, mona, monkeypatch):
    monkeypatch.setattr(sight, "hides_content", lambda *_: True)
    with stage.today():
        told = mona.get(f"{ROOT}/trail?subject={stage.ada.subject_id}&action=response.amended").text
        stored = mona.get(f"{ROOT}/trail?subject={stage.ada.subject_id}&action=response.stored").text
    assert "ticked the wrong number" not in told and "worst_fatigue" not in told and KEPT_BACK in told
    assert stage.ada.stored["digest"] not in stored and KEPT_BACK in stored


def test_what_was_before_stands_beside_what_is_after(stage, mona):
    path = f"/v1/site/participants/{stage.ada.subject_id}/language"
    wish = {"language": "zh-CN", "reason": "reads it better"}
    assert stage.ask("noor", "POST", path, wish).status_code == 200
    with stage.today():
        asked = f"{ROOT}/trail?subject={stage.ada.subject_id}&action=participant.settings_changed"
        assert re.search(r"<td [^>]*>en</td>\s*<td [^>]*>zh-CN</td>", mona.get(asked).text)


def test_an_arm_is_told_to_who_treats_her_only(stage, mona):
    with stage.today(), begin(system("tests")) as tx:
        ada = tx.get(Participant, STUDY, stage.ada.subject_id, lock=True)
        why = {"reason": "drawn for cordelia", "arm": "verum", "before": "sugar"}
        trail.record(tx, ada, "arm.set", "participant", ada.subject_id, **why)
    address = f"{ROOT}/trail?subject={stage.ada.subject_id}&action=arm.set"
    with stage.today():
        told, treating = mona.get(address).text, browser(stage, "ines").get(address).text
    assert KEPT_BACK in told and not any(word in told for word in ("verum", "sugar", "cordelia"))
    assert KEPT_BACK not in treating and all(word in treating for word in ("verum", "sugar", "cordelia"))


def test_pages_that_show_what_she_answered_or_how_she_is_planned_leave_a_reading(stage, mona):
    ines, ada = browser(stage, "ines"), stage.ada.subject_id
    for who, name, path, kind in (
        (mona, "mona", f"trail?subject={ada}&action=response.amended", "answers"),
        (mona, "mona", f"trail?subject={ada}&action=participant.enrolled", "record"),
        (mona, "mona", "signing", "record"),
        (mona, "mona", "held?all=1", "answers"),
        (mona, "mona", "queries?state=asked", "answers"),
        (ines, "ines", "set-aside", "answers"),
        (ines, "ines", f"participants/{ada}/plan", "record"),
    ):
        mine = (Reading.reader == f"staff:{stage.cast.ids[name]}", Reading.subject_id == ada)
        query = sa.select(sa.func.count()).where(*mine, Reading.study_id == STUDY, Reading.kind == kind)
        with look(system("tests")) as tx:
            before = tx.session.scalar(query)
        with stage.today():
            assert ada in who.get(f"{ROOT}/{path}").text
        with look(system("tests")) as tx:
            assert tx.session.scalar(query) == before + 1, path


def test_the_last_check_and_the_newest_checkpoint_are_shown(stage, mona):
    address = f"{ROOT}/trail/checks"
    with stage.today():
        first = mona.get(address).text
        with begin(checks.AUDITOR) as tx:
            checks.keep(tx, 100, 90, [])
            faulty = checks.Fault(STUDY, "participant/01-001", 3, "the entry was changed")
            checks.keep(tx, 101, 90, [faulty])
        told, of_site = mona.get(address).text, browser(stage, "mira").get(address).text
    assert re.search(r"<code>[0-9a-f]{64}</code>", first)
    assert "no fault" in told and "1 faults" in told and "the entry was changed" in told
    assert "1 faults" in of_site and "the entry was changed" not in of_site
