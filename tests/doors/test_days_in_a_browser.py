"""The day of each role, step by step in a real Chromium: what is seen after every step is what was done.

The nurse's is in `test_in_a_browser.py`. With EPRO_TEST_PICTURES=FOLDER the pages are photographed in both languages,
on a phone and at a desk, to be looked at by people.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from epro import worker
from epro.notifications.models import Heartbeat
from epro.questionnaires import wording
from epro.responses.models import SetAside
from epro.stream import comparing, cursors, delivering, outlets
from epro.stream.cursors import Key
from epro.stream.feed import after
from epro.tx import begin, look, system
from tests.cast import PASSWORD, STAFF, STUDY, STUDY_FILE, at
from tests.doors import chromium
from tests.doors.scene import TODAY, entry
from tests.support.wordings import made_up_words

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module"),
]
ROOT = f"/console/studies/{STUDY}"
TESTS = system("tests")
REFUSED = (
    r"(status of|Error Code) (401|403)"  # a wrong password, and who is asked to show once more who she is
)
FILE = STUDY_FILE.read_text(encoding="utf-8")


class Hour:
    """What the served application takes the time to be."""

    def __init__(self) -> None:
        self.now = at(TODAY)

    def __call__(self) -> Any:
        return self.now

    @contextmanager
    def later(self, minutes: int) -> Iterator[None]:
        self.now += timedelta(minutes=minutes)
        try:
            yield
        finally:
            self.now -= timedelta(minutes=minutes)


@pytest.fixture(scope="module")
def stage_environ(stage_environ, tmp_path_factory):
    """With a trial database, as a data manager has one."""
    trial = f"sqlite:///{tmp_path_factory.mktemp('trial')}/trial.sqlite"
    return {**stage_environ, "EPRO_TRIAL_DATABASE_URL": trial}


@pytest.fixture(scope="module")
def hour() -> Hour:
    return Hour()


@pytest.fixture(scope="module")
def address(stage, stage_environ, hour):
    chromium.wanted()
    with chromium.serving(stage_environ, hour) as found:
        yield found


@pytest.fixture(scope="module")
def browser(address):
    with chromium.opened() as found:
        yield found


@pytest.fixture
def window(request, browser, address) -> Iterator[chromium.Window]:
    """A window that its person has signed in at; no fault is told by the browser until it is shut."""
    name, language, width = request.param
    made = chromium.Window(browser, address, language, width)
    made.sign_in(name)
    yield made
    made.page.context.close()
    assert [one for one in made.said if not re.search(REFUSED, one)] == []


def of(name: str, language: str, width: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("window", [(name, language, width)], indirect=True, ids=[STAFF[name][0]])


def seen(window: chromium.Window, name: str, *texts: str) -> None:
    """These words stand on the page, nothing on it keeps anybody out, and it can be photographed."""
    window.page.mouse.move(
        0, 0
    )  # a button that changes its colours under the mouse has those of neither state
    window.page.evaluate("() => Promise.all(document.getAnimations().map(one => one.finished))")
    main = window.page.inner_text("main")
    assert [text for text in texts if text not in main] == [], main
    assert (name, window.faults()) == (name, [])
    window.picture(name)


def opened(window: chromium.Window, path: str) -> Any:
    assert window.go(f"{ROOT}/{path}") == 200, path
    return window.page


BEGUN = """form => {
  const shut = form.closest('details');
  if (shut) shut.open = true;
  document.querySelector('#said').replaceChildren();
  document.querySelector('main').dataset.before = 'yes';
}"""
OVER = """() => {
  const main = document.querySelector('main');
  return main && (!main.dataset.before || document.querySelector('#said').innerText.trim() !== '');
}"""


def done(window: chromium.Window, form: str, **filled: str) -> None:
    """Fill the first form of this address, send it, and wait for what comes of it: another page, or a refusal."""
    page = window.page
    where = page.locator(f"main form[action$='{form}']").first
    where.evaluate(BEGUN)
    for name, value in filled.items():
        field = where.locator(f"[name='{name}']").first
        kind = field.evaluate("one => one.tagName === 'SELECT' ? 'select' : one.type")
        if kind == "select":
            field.select_option(value)
        elif kind in ("checkbox", "radio"):
            where.locator(f"[name='{name}'][value='{value}']").check()
        else:
            field.fill(value)
    where.locator("button").last.click()
    page.wait_for_function(OVER)
    page.wait_for_load_state()


def proven(window: chromium.Window) -> None:
    """The page that asks who she is, answered; it leads back."""
    window.page.wait_for_selector("form[action$='/account/proof']")
    seen(window, "proof")
    window.page.fill("#password", PASSWORD)
    window.page.click("form[action$='/account/proof'] button")
    window.page.wait_for_url(lambda where: "/proof" not in where)


@of("ines", "en", 1280)
def test_an_investigators_day(stage, window, hour, tmp_path):
    """Reads, corrects, signs a visit by password, settles what was set aside, takes her own copy home."""
    ada = stage.ada.subject_id
    with stage.today():
        odd = entry(stage.ada.phone, answers={"worst_fatigue": 3, "none": 1})
        stage.ada.phone.speak("POST", "/v1/phone/responses", {"responses": [odd]})
    page = opened(window, "answers")
    seen(window, "answers", ada)
    page.click(f"main a[href$='/answers/{stage.ada.response}']")
    page.wait_for_selector("#correct")
    seen(window, "answer", "ticked the wrong number")
    done(
        window, "/correct", **{"answer.worst_fatigue": "2", "reported_by": "participant", "reason": "said so"}
    )
    seen(window, "answer-corrected", "said so")
    page = opened(window, "signing")
    page.click(f"main a[href*='/participants/{ada}/signing']")
    page.wait_for_selector("#sign")
    seen(window, "signing-a-visit", "Ines")
    if page.locator("[name=accepts_policy]").count():
        page.check("[name=accepts_policy]")
    done(window, "/signing", meaning="reviewed", password="not hers")
    assert page.locator("[role=alert]").first.inner_text()
    done(window, "/signing", password=PASSWORD)
    seen(window, "signatures", "Ines", ada)
    page = opened(window, "set-aside")
    with look(TESTS) as tx:
        waiting = sa.select(SetAside).where(SetAside.settled_at.is_(None), SetAside.subject_id == ada)
        row = tx.all(waiting.where(SetAside.study_id == STUDY))[0]
    page.click(f"main a[href$='/set-aside/{row.id}']")
    page.wait_for_selector("[name=leave_out]")
    seen(window, "set-aside")
    done(window, "/settle", leave_out="none", reason="the app sent one too many")
    assert page.locator("main a[href*='/answers/']").count()
    seen(window, "settled", "the app sent one too many")
    with hour.later(6):
        opened(window, "copy")
        done(window, "/copy")
        proven(window)
        done(window, "/copy")
        with stage.today(6):
            worker.export()
        opened(window, "copy")
        seen(window, "copy")
        with page.expect_download() as fetched:
            page.click("#copies a")
    fetched.value.save_as(tmp_path / "copy.zip")
    assert any(ada in name or name for name in zipfile.ZipFile(tmp_path / "copy.zip").namelist())


@of("dana", "zh-CN", 1280)
def test_a_data_managers_day(stage, window, tmp_path):
    """Sees what lags and what is parked, has it tried again and compared; an export; a query; what the site decides."""
    with stage.today(), begin(TESTS) as tx:
        outlets.add(tx, STUDY, "lake", "files", {"folder": str(tmp_path / "lake")})
        held = {one.position: (one, "HTTP 422") for one in after(tx, STUDY, 0, 2)}
        cursors.park(tx, Key(STUDY, "lake"), held, Random(1))
    page = opened(window, "data")
    assert page.locator("main .tag-amber").count()  # behind
    with stage.today():
        delivering.relay(stage.cast.sinks)
    opened(window, "data")
    seen(window, "data", "lake", "trial-database")
    page.click("main a[href$='/sinks/lake']")
    page.wait_for_selector("form[action$='/retry']")
    seen(window, "sink", "lake")
    done(window, "/retry")
    with look(TESTS) as tx:
        assert cursors.parked(tx, Key(STUDY, "lake"))[0].next_try_at == at(TODAY)
    opened(window, "data")
    done(window, "/comparison")
    with stage.today():
        comparing.run_due(stage.cast.sinks)
    opened(window, "data")
    seen(window, "compared", "无差异")
    assert re.search(r"[0-9a-f]{64}", page.inner_text("main"))  # of the manifest
    opened(window, "exports")
    done(window, "/exports", format="csv", cut="first")
    page.wait_for_selector("#exports .tag-amber")
    with stage.today():
        worker.export()
    link = page.locator("#exports a[href$='/file']").first
    link.wait_for()  # by itself, without being loaded again
    seen(window, "exports", "csv")
    with page.expect_download() as fetched:
        link.click()
    fetched.value.save_as(tmp_path / "export.zip")
    assert zipfile.ZipFile(tmp_path / "export.zip").namelist()
    opened(window, f"answers/{stage.cara.response}")
    done(window, "/ask", text="9 on a day without complaints?")
    seen(window, "query", "9 on a day without complaints?")
    opened(window, "held?all=1")
    seen(window, "held", stage.cara.subject_id)


@of("bo", "en", 1280)
def test_a_study_builders_day(stage, window, hour, tmp_path):
    """A file with a fault, the amendment tried and published, released at a site; wording read and approved."""
    pack = made_up_words("fatigue_diary", "en", "9.0")
    with stage.today(), begin(TESTS) as tx:
        wording.import_pack(tx, pack)
    page = opened(window, "build")
    for name, text, told in (
        ("faulty", FILE.replace("Asia/Shanghai", "Asia/Atlantis"), "Asia/Atlantis"),
        ("amended", FILE.replace('version: "1.0"', 'version: "2.0"', 1), "amends version 1.0"),
    ):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        opened(window, "build")
        page.set_input_files("#file", tmp_path / f"{name}.yaml")
        page.click("form[action$='/check'] button")
        page.wait_for_url(lambda where: where.endswith("/check"))
        assert told in page.inner_text("main")
        assert (name, window.faults()) == (name, [])
    page.click("form[action$='/publish'] button")
    page.wait_for_url(lambda where: where.endswith("/build"))
    done(window, "/approval", version="2.0", site="02", day="2026-03-04")
    seen(window, "build", "approved 2026-03-04", "every invariant held")
    with page.context.expect_page() as report:
        page.click("main a[href*='/rehearsals/'][target]")
    report.value.wait_for_load_state()
    assert "rehearsed with seed 1" in report.value.inner_text("body")
    assert (
        report.value.evaluate("() => document.scripts.length") and window.said == []
    )  # its script has not run
    report.value.close()
    opened(window, "build/wording")
    seen(window, "wording", "Wording 9.0")
    page.click("main a[href$='/packs/9.0']")
    page.wait_for_selector("#read")
    seen(window, "wording-pack", pack.digest)
    with page.context.expect_page() as preview:
        page.click("main a[target=_blank]")
    preview.value.wait_for_load_state()
    assert "words of title" in preview.value.inner_text("body")
    preview.value.close()
    with hour.later(6):
        done(window, "/approve", read="yes")
        proven(window)
        opened(window, "build/wording/fatigue_diary/1.0/en/packs/9.0")
        done(window, "/approve", read="yes")
    opened(window, "build/wording/fatigue_diary/1.0/en/packs/9.0")
    seen(window, "wording-approved", "1 of 2 approvals", "Bo")


@of("alma", "zh-CN", 375)
def test_an_administrators_day(stage, window, browser, address):
    """Invites, gives a role, ends a session, makes and revokes a key, sees that the worker lives."""
    with stage.today(), begin(TESTS) as tx:
        tx.add(Heartbeat(worker="worker-of-the-tests", beat_at=tx.now))
    other = chromium.Window(browser, address)
    other.sign_in("otto")
    page = opened(window, "staff")
    done(window, "/staff", name="新来的护士", email="new@example.org", role="nurse", site="02")
    seen(window, "invited", "新来的护士", "new@example.org")
    done(window, "/roles", role="investigator", site="02")
    seen(window, "person", "研究者")
    opened(window, f"staff/{stage.ids['otto']}")
    done(window, "/end")
    assert other.go(f"{ROOT}/worklist") == 200 and "/sign-in" in other.page.url
    other.page.context.close()
    opened(window, "keys")
    done(window, "/keys", name="统计", role="machine", days="30")
    seen(window, "key-made", "统计")
    made = page.inner_text("main code.digest")
    assert len(made) > 20
    opened(window, "keys")
    assert made not in page.content()  # shown once
    mine = page.locator("main li.line", has_text="统计").locator("details", has_text="撤销")
    mine.locator("summary").click()
    mine.locator("textarea").fill("不再需要")
    mine.locator("form button").click()
    page.wait_for_load_state("networkidle")
    assert "统计" in page.inner_text("main li.line:has-text('已')")
    seen(window, "keys")
    opened(window, "system")
    seen(window, "system", "worker-of-the-tests")


@of("mona", "en", 375)
def test_a_monitors_day(stage, window):
    """Who did what, narrowed down, with before and after; whether the record is whole; nothing to change anywhere."""
    page = opened(window, "trail")
    seen(window, "trail")
    page.select_option("#action", "response.amended")
    page.fill("#subject", stage.ada.subject_id)
    page.click("main form button")
    page.wait_for_url(lambda where: "action=response.amended" in where)
    seen(window, "trail-filtered", "ticked the wrong number", "worst_fatigue")
    assert stage.cara.subject_id not in page.inner_text("main ol")
    page.fill("#until", "2020-01-01")
    page.click("main form button")
    page.wait_for_url(lambda where: "until=2020-01-01" in where)
    seen(window, "trail-empty")
    with stage.today():
        worker.verify(at(TODAY))
    opened(window, "trail/checks")
    seen(window, "trail-checks", "no fault")
    for path in ("participants", "answers", "compliance", "held?all=1", "signing", "queries"):
        opened(window, path)
        assert page.locator("main form[method=post]").count() == 0, path


def test_the_pages_before_signing_in(browser, address):
    window = chromium.Window(browser, address, "en", 375)
    for name, path in (("sign-in", "sign-in"), ("recovery", "recovery"), ("link", "link#of-nobody")):
        window.go(f"/console/{path}")
        assert (name, window.faults()) == (name, [])
        window.picture(name)
    assert window.said == []
    window.page.context.close()
