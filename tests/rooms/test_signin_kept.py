"""What somebody had typed before she was asked who she is: hers alone, for ten minutes, without what proves her."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from lxml import html

from epro import worker
from epro.console.filling import filled
from epro.scheduling import source
from epro.signin import kept
from epro.signin.kept import Form
from epro.signin.models import SignInSession
from epro.tx import begin, look, system
from tests.cast import at

TESTS, NOW = system("tests"), at("2026-03-02T10:00")
FORM = Form("/console/studies/a/staff", {"name": ["Ännchen 娜"], "password": ["secret words"], "otp": ["1"]})


def session() -> SignInSession:
    row = SignInSession(
        id=uuid4(), refresh_hash="", rotated_at=NOW, started_at=NOW, expires_at=NOW + timedelta(hours=1)
    )
    with begin(TESTS, NOW) as tx:
        tx.add(row)
    return row


def test_it_opens_for_her_alone_while_it_is_good_and_keeps_no_password(cast):
    row = session()
    assert (kept.waits(row), kept.may_go_on(row)) == (False, False)
    with begin(TESTS, NOW) as tx:
        assert kept.keep(tx, row.id, "hers", FORM)
    with look(TESTS, NOW + timedelta(minutes=9)) as tx:
        assert kept.find(tx, row.id, "hers") == Form(FORM.address, {"name": ["Ännchen 娜"]})
        assert kept.find(tx, row.id, "another") is None
        stored = tx.one(sa.select(SignInSession.kept_form).where(SignInSession.id == row.id))
        assert "nchen" not in stored
    with look(TESTS, NOW + timedelta(minutes=11)) as tx:
        assert kept.find(tx, row.id, "hers") is None
    with begin(TESTS, NOW) as tx:
        assert not kept.keep(tx, row.id, "hers", Form("/x", {"source": ["x" * kept.LONGEST]}))  # too long
        assert kept.find(tx, row.id, "hers") is not None
        kept.forget(tx, row.id)
        assert kept.find(tx, row.id, "hers") is None


def test_what_she_never_came_back_for_is_taken_away_by_the_worker(cast):
    """Also when she has closed the page: nothing of it stays in any row, and what is still good does."""
    old, young = session(), session()
    with begin(TESTS, NOW) as tx:
        kept.keep(tx, old.id, "hers", FORM)
    with begin(TESTS, NOW + timedelta(minutes=1)) as tx:
        kept.keep(tx, young.id, "another's", FORM)
    columns = sa.select(SignInSession.kept_form, SignInSession.kept_at).where(SignInSession.id == old.id)
    worker.forget_typed(NOW + kept.GOOD_FOR)
    with look(TESTS, NOW + kept.GOOD_FOR) as tx:
        assert kept.find(tx, old.id, "hers") is not None  # good to the last moment
    worker.forget_typed(NOW + kept.GOOD_FOR + timedelta(seconds=1))
    with look(TESTS, NOW + timedelta(minutes=11)) as tx:
        assert tx.session.execute(columns).one() == (None, None)
        assert kept.find(tx, young.id, "another's") is not None


@pytest.mark.parametrize("line", ["a\r\n", "\r\n", '"\r\n', "\t", "娜"], ids=ascii)
def test_a_study_file_of_the_largest_size_fits(cast, line):
    """As a form brings it, whose lines end in two letters; they come back as one."""
    there = line.replace("\r\n", "\n")
    times = source.MAX_CHARACTERS // len(there)
    row = session()
    with begin(TESTS, NOW) as tx:
        fits = kept.keep(tx, row.id, "hers", Form("/x", {"source": [line * times]}))
        found = kept.find(tx, row.id, "hers")
    assert fits and found
    same = found.fields["source"] == [there * times]
    assert same  # shown in full, half a million letters would stand here


PAGE = """<!doctype html><html><body><div id="done"></div>
<form method="post" action="/other"><input name="name" value="-"></form>
<form method="post" action="/a%20b"><input type="hidden" name="role" value="monitor">
<input name="name" value="-"></form>
<details><form method="post" action="/a%20b"><input type="hidden" name="form_token" value="t">
<input type="hidden" name="role" value="nurse"><input name="name" value="-"><input name="password" type="password">
<input type="checkbox" name="c" value="1" checked><input type="checkbox" name="c" value="2">
<select name="s"><option value="x" selected>X</option><option value="y">Y</option></select>
<textarea name="why">-</textarea><button>Go</button></form></details></body></html>"""


def test_its_form_is_filled_and_no_other():
    fields = {
        "role": ["nurse"],
        "name": ['"><b>'],
        "c": ["2"],
        "s": ["y"],
        "why": ["\n<i>&"],
        "password": ["p"],
    }
    told = filled(PAGE, Form("/a b", fields), "Go on <now>")
    assert told.count('value="-"') == 2
    hers = told[told.index("<details open") :]
    assert html.document_fromstring(told).forms[2].fields["name"] == '"><b>'
    assert '<input type="checkbox" name="c" value="1">' in hers and 'value="2" checked' in hers
    assert '<option value="x">' in hers and '<option value="y" selected' in hers
    assert "\n\n&lt;i&gt;&amp;</textarea>" in hers and "<button autofocus" in hers
    assert 'value="p"' not in told and 'value="t"' in hers
    assert '<p class="done">Go on &lt;now&gt;</p>' in told


@pytest.mark.parametrize(
    "form",
    [Form("/elsewhere", {}), Form("/a b", {"role": ["administrator"], "name": ["n"]})],
    ids=["another address", "another row of the list"],
)
def test_a_page_without_its_form_stays_as_it_is(form):
    assert filled(PAGE, form, "words") is None


def test_characters_that_no_page_may_hold_are_left_out():
    refused = "\x00\x08\x0b\x0c\x1f\ufffe\uffff"
    fields = {"role": ["nurse"], "name": [f"Ni{refused}na 🙂"], "why": [f"so{refused}\tit is"]}
    told = filled(PAGE, Form("/a b", fields), "words")
    assert 'value="Nina 🙂"' in told and "\nso\tit is</textarea>" in told


def test_a_field_without_any_text_stays_as_it_is():
    told = filled(PAGE, Form("/a b", {"role": ["nurse"], "name": [], "why": []}), "words")
    assert told.count('value="-"') == 3 and ">-</textarea>" in told


def test_a_box_that_she_had_unticked_comes_back_unticked():
    """A form says nothing of it; what the page ticks by itself, what is shut, and what cannot be empty, is known."""
    page = PAGE.replace(
        "<textarea", '<input type="checkbox" name="shut" checked disabled>\n<select name="m" multiple>'
        "<option selected>a</option></select><textarea"
    )  # fmt: skip
    told = filled(page, Form("/a b", {"role": ["nurse"], "name": ["n"]}), "words")
    boxes = {one.get("name"): one.get("checked") for one in html.document_fromstring(told).iter("input")}
    assert boxes["c"] is None and boxes["shut"] is not None
    assert "<option>a</option>" in told and '<option value="x" selected>' in told
