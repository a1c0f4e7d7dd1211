"""What somebody had typed before she was asked who she is: hers alone, for ten minutes, without what proves her."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from lxml import html

from epro.console.filling import filled
from epro.signin import kept
from epro.signin.kept import Form
from epro.signin.models import SignInSession
from epro.tx import begin, look, system
from tests.cast import at

TESTS, NOW = system("tests"), at("2026-03-02T10:00")
FORM = Form("/console/studies/a/staff", {"name": ["Ännchen 娜"], "password": ["secret words"], "otp": ["1"]})


def test_it_opens_for_her_alone_while_it_is_good_and_keeps_no_password(cast):
    with begin(TESTS, NOW) as tx:
        row = SignInSession(
            id=uuid4(),
            refresh_hash="",
            rotated_at=NOW,
            started_at=NOW,
            expires_at=NOW + timedelta(hours=1),
        )
        tx.add(row)
        assert (kept.waits(row), kept.may_go_on(row)) == (False, False)
    with begin(TESTS, NOW) as tx:
        kept.keep(tx, row.id, "hers", FORM)
    with look(TESTS, NOW + timedelta(minutes=9)) as tx:
        assert kept.find(tx, row.id, "hers") == Form(FORM.address, {"name": ["Ännchen 娜"]})
        assert kept.find(tx, row.id, "another") is None
        stored = tx.one(sa.select(SignInSession.kept_form).where(SignInSession.id == row.id))
        assert "nchen" not in stored
    with look(TESTS, NOW + timedelta(minutes=11)) as tx:
        assert kept.find(tx, row.id, "hers") is None
    with begin(TESTS, NOW) as tx:
        kept.keep(tx, row.id, "hers", Form("/x", {"source": ["x" * kept.LONGEST]}))  # too long: not kept
        assert kept.find(tx, row.id, "hers") is not None
        kept.forget(tx, row.id)
        assert kept.find(tx, row.id, "hers") is None


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
