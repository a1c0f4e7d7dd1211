"""The console's register of what people ask about data on them, by those whom the API lets.

DR-01  Noted, settled once with a reason; a restriction is set by it and ended; erasing asks for a passkey.
DR-02  Her pages, her own data and the list of looks can be used by everybody on a phone; her own data can be printed.
"""

from __future__ import annotations

from datetime import date

import pytest

from epro.privacy import rights
from epro.privacy.models import RightsRequest
from epro.studies.models import Participant
from epro.tx import begin, look, system
from tests.cast import STUDY, at
from tests.doors import chromium
from tests.doors.scene import TODAY
from tests.doors.test_console_pages import ROOT, browser

pytestmark = pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module")
TESTS = system("tests")


def her(stage):
    with look(TESTS) as tx:
        return tx.get(Participant, STUDY, stage.ada.subject_id)


def test_a_request_is_noted_settled_and_what_it_held_is_let_go(stage):  # DR-01
    noor, ines = browser(stage, "noor"), browser(stage, "ines")
    hers = f"{ROOT}/participants/{stage.ada.subject_id}"
    wish = {"kind": "restriction", "asked_on": "2026-03-01", "text": "leave it as it is"}
    with stage.today():
        noted = noor.do(f"{hers}/rights", on=hers, **wish)
        address = noted.headers["Location"]
        assert (noted.status_code, "leave it as it is" in noor.get(f"{ROOT}/rights").text) == (303, True)
        assert f"{address}/answer" not in noor.get(address).text, "an investigator settles it"
        assert noor.do(f"{address}/answer", outcome="granted", reason="x").status_code == 403
        assert ines.do(f"{address}/answer", on=address, outcome="granted").status_code == 422
        said = {"outcome": "granted", "reason": "as she asks"}
        assert ines.do(f"{address}/answer", on=address, **said).status_code == 303
        again = ines.do(f"{address}/answer", on=f"{ROOT}/rights", **{**said, "outcome": "refused"})
        assert again.status_code == 409 and "as she asks" in ines.get(address).text
        held = ines.get(f"{ROOT}/rights").text
        assert her(stage).restricted_at and f"{stage.ada.subject_id}#her-data" in held
        assert noor.do(f"{hers}/restriction/end", reason="x").status_code == 403
        assert ines.do(f"{hers}/restriction/end", on=hers, reason="her word").status_code == 303
        assert her(stage).restricted_at is None
        assert "leave it as it is" in noor.get(f"{ROOT}/rights?state=all").text
        assert "leave it as it is" not in noor.get(f"{ROOT}/rights").text


@pytest.mark.browser
def test_her_own_data_can_be_read_by_everybody_and_printed(stage, stage_environ):  # DR-02
    hers = f"{ROOT}/participants/{stage.ada.subject_id}"
    pages = (f"{ROOT}/rights/{stage.ada.rights_request}", f"{ROOT}/looks", hers)
    with chromium.opened() as browser, chromium.serving(stage_environ, at(TODAY)) as address:
        window = chromium.Window(browser, address, "zh-CN", 375)
        window.sign_in("ines")
        for path in pages:
            assert window.go(path) == 200
            window.page.eval_on_selector_all("details.act", "all => all.forEach(one => one.open = true)")
            assert window.faults() == [], path
        window.page.fill("#own-reason", "her letter")
        window.page.click("button[value=print]")
        window.page.wait_for_selector("article.own")
        assert window.faults() == []
        assert window.page.pdf()[:5] == b"%PDF-" and window.said == []


def test_an_erasure_is_done_before_it_is_granted(stage, monkeypatch):  # DR-01
    ines, ada = browser(stage, "ines"), stage.ada
    with stage.today(), begin(TESTS) as tx:
        row = tx.get(Participant, STUDY, ada.subject_id, lock=True)
        made = rights.note(tx, row, rights.Wish("erasure", date(2026, 3, 1), "forget me"))
    address = f"{ROOT}/rights/{made.id}"
    with stage.today():
        early = ines.do(f"{address}/answer", on=address, outcome="granted", reason="x")
        assert early.status_code == 409
        monkeypatch.setitem(stage.cast.app.config["EPRO"], "PHISHING_RESISTANT", "required")
        asked = ines.do(f"{ROOT}/participants/{ada.subject_id}/erasure", on=address, reason="her letter")
        assert asked.status_code == 303 and "/proof" in asked.headers["Location"]
        monkeypatch.setitem(stage.cast.app.config["EPRO"], "PHISHING_RESISTANT", "optional")
        done = ines.do(f"{ROOT}/participants/{ada.subject_id}/erasure", on=address, reason="her letter")
        assert done.status_code == 303
        assert ines.do(f"{address}/answer", on=address, outcome="granted", reason="x").status_code == 303
    with look(TESTS) as tx:
        assert tx.get(RightsRequest, STUDY, made.id).outcome == "granted"
        assert tx.get(Participant, STUDY, ada.subject_id).erased_at
