"""The days of the roles in a real Chromium, and axe-core on every page that a role may open.

A nurse's morning is walked step by step, on a phone in Chinese and at a desk in English. Every other page comes from
the console's own map: whoever adds one has it looked at here, in one of the two.
"""

from __future__ import annotations

import pytest

from epro.console import door
from epro.studies.access import ROLES
from epro.tx import Grant
from tests.cast import STUDY, at
from tests.doors import chromium
from tests.doors.scene import TODAY, hire
from tests.doors.test_matrix import _filled, hers

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module"),
]
PHONE, DESK = ("zh-CN", 375), ("en", 1280)
NEVER_LOOKED_AT = {"console.nowhere"}
"""Pages that are no pages: what is not there."""


@pytest.fixture(scope="module")
def address(stage, stage_environ):
    chromium.wanted()
    with stage.today():
        for role in ROLES:
            hire(
                f"walks-{role.replace('_', '-')}",
                Grant(STUDY, "01" if role in ("nurse", "investigator") else "*", role),
            )
    with chromium.serving(stage_environ, at(TODAY)) as found:
        yield found


@pytest.fixture(scope="module")
def browser(address):
    with chromium.opened() as found:
        yield found


def looked_at(window: chromium.Window, where: str) -> None:
    """Nothing serious on this page, and it says that it is in her language."""
    assert (where, window.faults()) == (where, [])
    assert window.page.get_attribute("html", "lang") == window.language, where


@pytest.mark.parametrize(("how", "nurse", "whose"), [(PHONE, "noor", "ada"), (DESK, "otto", "cara")])
def test_a_nurses_morning(stage, browser, address, how, nurse, whose):
    language, width = how
    window = chromium.Window(browser, address, language, width)
    page, hers_is = window.page, getattr(stage, whose)
    window.go("/console/sign-in")
    window.speak()
    looked_at(window, "entrance")
    window.sign_in(nurse)
    window.go(f"/console/studies/{STUDY}/worklist")
    assert hers_is.subject_id in page.inner_text("main")
    looked_at(window, "worklist")
    page.click(f"main a[href$='/alerts/{hers_is.alert}']")
    page.wait_for_selector("form[action$='/take']")
    looked_at(window, "alert")
    page.click("form[action$='/take'] button")
    page.wait_for_selector("form[action$='/take']", state="detached")
    page.select_option("form[action$='/contact'] select[name=channel]", "phone")
    page.select_option("form[action$='/contact'] select[name=outcome]", "will_answer")
    page.fill("form[action$='/contact'] textarea", "rang at ten, she will do it tonight")
    page.click("form[action$='/contact'] button")
    page.wait_for_selector("text=rang at ten")
    page.select_option("form[action$='/resolve'] select[name=outcome]", "reached")
    page.click("form[action$='/resolve'] button")
    page.wait_for_selector("form[action$='/reopen']")
    looked_at(window, "alert that is over")
    page.click(f"main a.subject[href$='/{hers_is.subject_id}']")
    page.wait_for_selector("form[action$='/letter']")
    looked_at(window, "participant")
    page.click("form[action$='/letter'] button")
    page.wait_for_selector("svg")
    assert hers_is.subject_id in page.inner_text("body")
    looked_at(window, "letter")
    window.go(f"/console/studies/{STUDY}/participants/{hers_is.subject_id}")
    page.click("details:has(form[action$='/withdraw']) summary")
    page.fill("form[action$='/withdraw'] textarea", "she moves away")
    looked_at(window, "participant, about to leave")
    page.click("form[action$='/withdraw'] button")
    page.wait_for_selector("form[action$='/withdraw']", state="detached")
    looked_at(window, "participant who has left")
    assert window.said == []
    page.context.close()


def pages(stage) -> list[tuple[str, str, str]]:
    """Every page of the console's map that shows itself: role that may, name, address; each page once."""
    found = []
    for rule in stage.cast.app.url_map.iter_rules():
        page = door.PAGES.get(rule.endpoint)
        if page is None or page.live or "GET" not in (rule.methods or ()) or rule.endpoint in NEVER_LOOKED_AT:
            continue
        if not rule.endpoint.endswith(("_file", "nothing", "elsewhere")):
            role = next(role for role in ROLES if role in page.roles)
            found.append((role, rule.endpoint, _filled(rule.rule, hers(stage))))
    return sorted(found)


def test_axe_finds_nothing_on_any_page_that_a_role_may_open(stage, browser, address):
    wrong, shown = {}, []
    for number, (language, width) in enumerate((PHONE, DESK)):
        for role in ROLES:
            mine = [one for place, one in enumerate(pages(stage)) if one[0] == role and place % 2 == number]
            if not mine:
                continue
            window = chromium.Window(browser, address, language, width)
            window.sign_in(f"walks-{role.replace('_', '-')}")
            for _, name, path in mine:
                status = window.go(path)
                if status == 200:
                    shown.append(name)
                    if found := window.faults():
                        wrong[name, language] = found
                elif status not in (404, 409):  # nothing of Ada's kind there; she has left
                    wrong[name, language] = [f"answered {status}"]
            if any("404" not in said and "409" not in said for said in window.said):
                wrong[role, language] = window.said
            window.page.context.close()
    assert wrong == {}
    assert len(shown) >= 8


def test_a_page_with_a_fault_would_be_seen(browser, address):
    """axe is there and looks."""
    window = chromium.Window(browser, address)
    window.go("/console/sign-in")
    window.page.evaluate(
        "document.querySelector('label').remove(), document.documentElement.removeAttribute('lang')"
    )
    found = window.faults()
    assert any(one.startswith("html-has-lang") for one in found)
    window.page.context.close()
