"""What every page of the console does for who works with it: says what was done, once, and is whole on a phone."""

from __future__ import annotations

import re

import pytest

from epro.console import saying
from epro.console.door import DONE, PAGES
from tests.doors.test_console_pages import ROOT, browser

ANSWERS_ITSELF = {
    f"console.{name}"
    for name in (
        *("begin_totp", "confirm_totp", "new_codes", "add_passkey", "passkey_options"),
        *("proof_challenge", "prove", "prove_by_passkey", "check_study"),
    )
}
"""Acts whose answer is what was asked for: a picture, codes, what a file would change; or a step on the way."""


def test_whatever_is_done_is_said_in_both_languages(stage):
    acts = {
        rule.endpoint
        for rule in stage.cast.app.url_map.iter_rules()
        if rule.endpoint in PAGES and "POST" in (rule.methods or ())
    }
    said = {f"console.{key.removeprefix('done.')}" for key in saying.texts() if key.startswith("done.")}
    assert (acts - said, said - acts) == (ANSWERS_ITSELF, set())


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Your try to reach her is written down."), ("zh-CN", "联系情况已记录。")]
)
def test_what_was_done_is_said_on_the_next_page_and_on_no_other(stage, language, words):
    noor, address = browser(stage, "noor"), f"{ROOT}/alerts/{stage.ada.alert}"
    with stage.today():
        noor.send("/console/language", language=language, next=address)
        assert '<div id="done" role="status"></div>' in noor.get(address).text
        done = noor.do(f"{address}/contact", on=address, channel="phone", outcome="no_answer")
        assert done.headers["Location"] == address  # nothing of it in an address
        kept = noor.client.get_cookie(DONE, domain="epro.test")
        assert (kept.value, kept.http_only, kept.secure) == ("contact_alert", True, True)
        noor.get(f"{ROOT}/worklist/live")  # a part of a page says nothing, and takes nothing away
        assert f'<div id="done" role="status"><p class="done">{words}</p></div>' in noor.get(address).text
        assert words not in noor.get(address).text


def test_what_was_refused_is_not_said_to_be_done(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/alerts/{stage.ada.alert}"
    with stage.today():
        assert noor.do(f"{address}/note", on=address).status_code == 422
        assert noor.client.get_cookie(DONE, domain="epro.test") is None
        noor.client.set_cookie(DONE, "<b>made up</b>", domain="epro.test")
        told = noor.get(address).text
    assert "made up" not in told and '<div id="done" role="status"></div>' in told


def test_a_table_that_becomes_cards_has_a_heading_at_every_value(stage):
    noor = browser(stage, "noor")
    with stage.today():
        for page in ("participants", f"participants/{stage.ada.subject_id}", "answers"):
            tables = re.findall(
                r'<table class="[^"]*stacked".*?</table>', noor.get(f"{ROOT}/{page}").text, re.S
            )
            for table in tables:
                heads = re.findall(r'<th role="columnheader" scope="col">(.*?)</th>', table)
                for row in re.findall(r'<tr role="row">(.*?)</tr>', table.split("<tbody")[1], re.S):
                    assert re.findall(r'<t[dh] role="\w+" data-label="(.*?)"', row) == heads
            assert tables, page
