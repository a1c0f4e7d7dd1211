"""What every page of the console does for who works with it: says what was done, once, and is whole on a phone."""

from __future__ import annotations

import re

import pytest
from lxml import html

from epro.console import saying
from epro.console.door import DONE, PAGES
from epro.signin import kept
from tests.cast import PASSWORD
from tests.doors.test_console_building import LATER
from tests.doors.test_console_pages import ROOT, browser

ANSWERS_ITSELF = {
    f"console.{name}"
    for name in (
        *("begin_totp", "confirm_totp", "new_codes", "add_passkey", "passkey_options"),
        *("proof_challenge", "prove", "prove_by_passkey", "check_study", "hand_out"),
    )
}
"""Acts whose answer is what was asked for: a picture, codes, a file, what one would change; or a step on the way."""


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
    looked_at = {
        "noor": ("participants", f"participants/{stage.ada.subject_id}", "answers"),
        "dana": ("held?all=1", "build/wording", "trail/checks"),
        "bo": ("build",),
        "alma": ("sites", f"staff/{stage.ids['noor']}", "system"),
    }
    browsers = {name: browser(stage, name) for name in looked_at}
    for name, page in [(name, page) for name, pages in looked_at.items() for page in pages]:
        with stage.today():
            told = browsers[name].get(f"{ROOT}/{page}").text
            tables = re.findall(r'<table class="[^"]*stacked".*?</table>', told, re.S)
            assert name == "noor" or len(tables) == told.count("<table "), page
            for table in tables:
                heads = re.findall(
                    r'<th role="columnheader" scope="col">(?:<span class="visually-hidden">)?(.*?)<', table
                )
                for row in re.findall(r'<tr role="row">(.*?)</tr>', table.split("<tbody")[1], re.S):
                    assert re.findall(r'<t[dh] role="\w+" data-label="(.*?)"', row) == heads
            assert tables, page


def test_after_showing_who_she_is_the_form_is_as_she_left_it(stage):
    alma, page = browser(stage, "alma"), f"{ROOT}/staff"
    typed = {
        "name": "Nina Neu",
        "email": "nina@example.org",
        "language": "zh-CN",
        "role": "monitor",
        "site": "02",
    }
    with stage.today(minutes=6):
        here = {"Sec-Fetch-Site": "same-origin", "Referer": f"https://epro.test{page}"}
        asked = alma.send(page, here, form_token=alma.token(page), **typed)
        proof = asked.headers["Location"]
        assert proof == f"/console/account/proof?next={page}"  # nothing of what she typed
        told = alma.get(proof).text
        assert "What you had typed is kept meanwhile" in told and "Nina" not in told
        assert "Nina" not in alma.get(page).text  # not before she has shown who she is
        back = alma.do("/console/account/proof", on=proof, password=PASSWORD, next=page)
        assert back.headers["Location"] == page
        told = alma.get(page).text
        assert "You have shown who you are." in told and 'value="Nina Neu"' in told
        assert '<option value="monitor" selected' in told and '<option value="02" selected' in told
        form = next(one for one in html.document_fromstring(told).forms if one.action == page)
        sent = alma.send(page, **dict(form.form_values()))
        assert sent.status_code == 303 and re.match(rf"{page}/[0-9a-f-]{{36}}$", sent.headers["Location"])
        assert "Nina" not in alma.get(page).text.split("<form")[-1]  # what was sent is kept no longer


@pytest.mark.parametrize("sign", ["\uffff", "\ufffe"], ids=ascii)
def test_a_sign_that_no_page_may_hold_keeps_her_from_nothing(stage, sign):
    alma, page = browser(stage, "alma"), f"{ROOT}/staff"
    with stage.today(minutes=6):
        asked = alma.do(page, on=page, name=f"Nina{sign} Neu", email="n@example.org", role="monitor")
        alma.do("/console/account/proof", on=asked.headers["Location"], password=PASSWORD, next=page)
        told = alma.get(page)
        assert told.status_code == 200 and 'value="Nina Neu"' in told.text


@pytest.mark.parametrize(
    ("language", "words"), [("en", "was too long to be kept"), ("zh-CN", "内容过长，无法保留")]
)
def test_who_typed_too_much_to_be_kept_is_told_so(stage, monkeypatch, language, words):
    """Also after a wrong password; and nothing is said to be kept."""
    monkeypatch.setattr(kept, "LONGEST", 10)
    alma, page, prove = browser(stage, "alma"), f"{ROOT}/staff", "/console/account/proof"
    with stage.today(minutes=6):
        alma.send("/console/language", language=language, next=page)
        asked = alma.do(page, on=page, name="Nina Neu", email="n@example.org", role="monitor")
        told = alma.get(asked.headers["Location"]).text
        assert words in told and "is kept meanwhile" not in told and "会保留" not in told
        (form,) = [one for one in html.document_fromstring(told).forms if one.action == prove]
        wrong = alma.send(prove, **{**dict(form.form_values()), "password": "wrong"})
        assert wrong.status_code == 401 and words in wrong.text
        assert words not in alma.get(prove).text


def test_a_file_that_was_checked_is_still_there_after_showing_who_she_is(stage):
    bo, check = browser(stage, "bo"), f"{ROOT}/build/check"
    with stage.today():
        assert bo.get(check).headers["Location"] == f"{ROOT}/build"
    with stage.today(minutes=6):
        here = {"Sec-Fetch-Site": "same-origin", "Referer": f"https://epro.test{check}"}
        asked = bo.send(f"{ROOT}/build/publish", here, form_token=bo.token(f"{ROOT}/build"), source=LATER)
        assert asked.headers["Location"] == f"/console/account/proof?next={check}"
        bo.do("/console/account/proof", on="/console/account/proof", password=PASSWORD, next=check)
        told = bo.get(check).text
        form = next(one for one in html.document_fromstring(told).forms if one.action.endswith("/publish"))
        assert form.form_values()[1][1].strip() == LATER.strip()
        assert bo.send(f"{ROOT}/build/publish", **dict(form.form_values())).status_code == 303


def test_who_types_the_host_alone_comes_to_the_console(stage):
    visitor = browser(stage, "noor").client
    page = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for path, accept, status in (("/", page, 303), ("/", "*/*", 404), ("/", None, 404), ("/none", page, 404)):
        answer = visitor.get(path, headers={"Accept": accept} if accept else {})
        assert answer.status_code == status, (path, accept)
        there = ("/console/", None) if status == 303 else (None, "not_found")
        assert (answer.headers.get("Location"), (answer.get_json(silent=True) or {}).get("code")) == there


def test_a_preview_is_in_the_order_of_time_and_says_what_its_headings_mean(stage):
    noor = browser(stage, "noor")
    with stage.today():
        told = noor.get(
            f"{ROOT}/participants/{stage.ada.subject_id}/plan?anchor=enrolment&date=2026-03-01"
        ).text
    moved = told[told.index("These move") :]
    assert "in another window" in moved
    days = re.findall(r"→</span> (\d+) (\w{3}) ", moved.split("</ul></details>")[0])
    assert len(days) > 2 and days == sorted(
        days, key=lambda day: ("Feb Mar Apr May".index(day[1]), int(day[0]))
    )
    assert f'<span class="tag">{len(days)}</span>' in moved and 'name="date" value="2026-03-01"' in told


def test_whoever_has_left_is_said_to_have_left_where_her_alert_stands(stage):
    noor, address = browser(stage, "noor"), f"{ROOT}/alerts/{stage.ada.alert}"
    with stage.today():
        assert "She left the study" not in noor.get(address).text
        participant = f"{ROOT}/participants/{stage.ada.subject_id}"
        assert noor.do(f"{participant}/withdraw", on=participant, reason="moves away").status_code == 303
        told, listed = noor.get(address).text, noor.get(f"{ROOT}/worklist").text
        assert "She left the study" in told and '<option value="withdrew" selected' in told
        assert "withdrawn</span>" in listed
        assert noor.do(f"{address}/resolve", on=address, outcome="withdrew").status_code == 303
        assert "She left the study" not in noor.get(address).text


def test_the_account_leads_back_and_the_language_to_a_page_that_can_be_looked_at(stage):
    noor = browser(stage, "noor")
    with stage.today():
        assert '<a href="/console/">← Back to the study</a>' in noor.get("/console/account").text
        page = f"{ROOT}/participants/{stage.ada.subject_id}"
        refused = noor.do(f"{page}/notes", on=page)
    assert refused.status_code == 422 and f'name="next" value="{page}"' in refused.text


def test_what_is_refused_is_said_in_her_language(stage):
    noor = browser(stage, "noor")
    with stage.today():
        noor.send("/console/language", language="zh-CN", next="/console/")
        told = noor.get(f"{ROOT}/participants?q=%00")
        short = noor.do(f"{ROOT}/alerts/{stage.ada.alert}/note", on=f"{ROOT}/alerts/{stage.ada.alert}")
    assert told.status_code == 400 and "NUL 字符" in told.text
    assert short.status_code == 422 and "此项必填。" in short.text
