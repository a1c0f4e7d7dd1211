"""A phone app built on FHIR, in a real browser: LHC-Forms shows a questionnaire, is filled in, and hands it in.

LHC-Forms comes from npm with the judges; nothing in it knows of us.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.serving import make_server

from epro import clock
from epro.exporting import fhir_reading
from epro.tx import look, system
from tests.cast import at

HERE = Path(__file__).parent
LFORMS = HERE / "node_modules" / "lforms" / "dist" / "lforms"
CHROMIUM = os.environ.get("EPRO_TEST_CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or not LFORMS.is_dir(),
        reason="no chromium, or LHC-Forms is not installed: make conformance",
    ),
]


@pytest.fixture
def address(app) -> Iterator[str]:
    """A server on this machine: the application, the page of the app, and LHC-Forms beside it."""

    def evening(environ: Any, start: Any) -> list[bytes]:
        with clock.moved_to(at("2026-03-02T20:02")):
            return list(app.wsgi_app(environ, start))

    served = SharedDataMiddleware(evening, {"/lforms": str(LFORMS), "/phone.html": str(HERE / "phone.html")})
    server = make_server("127.0.0.1", 0, served, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_lhc_forms_fetches_shows_fills_in_and_hands_in(app, cast, address):
    sync_api = pytest.importorskip("playwright.sync_api")
    with cast.on("2026-03-02T20:00") as now:
        phone = cast.phone()
        diary = phone.open_at(now)[0]
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            told = _filled_in(browser.new_page(), address, phone, diary["id"])
            browser.close()
    assert (told["status"], told["outcome"]) == (201, "stored"), told
    with clock.moved_to(at("2026-03-02T20:05")):
        with look(system("tests")) as tx:
            filed = fhir_reading.one(tx, "QuestionnaireResponse", told["id"], "https://epro.test/fhir/r4")
            score = fhir_reading.one(tx, "Observation", f"{told['id'].replace('-', '')}.worst-fatigue", "x")
    assert filed["item"][0]["answer"][0]["valueCoding"]["code"] == "7"
    assert score["valueQuantity"]["value"] == 7


def _filled_in(page: Any, address: str, phone: Any, task: str) -> dict[str, Any]:
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.goto(f"{address}/phone.html")
    page.wait_for_function("() => window.LForms?.Util?.addFormToPage !== undefined", timeout=20_000)
    page.evaluate("([key, task]) => show(key, task)", [phone.key, task])
    page.wait_for_selector("#form input")
    _choose(page, "7")
    response_id = str(uuid4())
    told = page.evaluate(
        "([key, id, authored]) => handIn(key, id, authored)",
        [phone.key, response_id, "2026-03-02T20:01:00+08:00"],
    )
    assert faults == []
    return told | {"id": response_id}


def _choose(page: Any, code: str) -> None:
    """The option of this code, as a finger does."""
    display = page.evaluate(
        "(code) => questionnaire.item[0].answerOption.find((one) => one.valueCoding.code === code).valueCoding.display",
        code,
    )
    page.get_by_text(display, exact=True).first.click()
