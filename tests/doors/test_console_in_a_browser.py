"""Every page of every menu in a real Chromium: nothing serious for who cannot see it, nothing wider than the screen.

A page is looked at once, by the first role that has it in its menu; languages, widths and light take turns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from epro import create_app
from epro.console import door
from epro.studies.access import ROLES
from tests.cast import STAFF, STUDY
from tests.console.browser import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module"),
]
AXE = next(Path(__file__).parents[1].joinpath("vendor").glob("axe-*.min.js"))
SERIOUS = """async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]})).violations
    .filter(one => ["serious", "critical"].includes(one.impact))
    .map(one => one.id + " " + one.nodes[0].html)"""
LOOKS = (("en", 1280, "light"), ("zh-CN", 375, "light"), ("zh-CN", 1280, "dark"), ("en", 375, "dark"))
NAMES = {role: name for name, (role, site, _) in STAFF.items() if site in ("01", "*")}


def pages() -> dict[str, list[str]]:
    """Role -> the addresses in its menu that no role before it has."""
    found: dict[str, list[str]] = {role: [] for role in ROLES}
    for name, page in door.PAGES.items():
        if page.menu:
            first = next(role for role in ROLES if role in page.roles)
            found[first].append(name)
    return found


@pytest.fixture(scope="module")
def served(stage_environ, stage) -> Iterator[tuple[str, dict[str, str]]]:
    """A server without TLS on the stage, and a cookie for each role."""
    app = create_app({**stage_environ, "EPRO_SECURE_COOKIES": "off"})
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    cookies = {}
    for role, name in NAMES.items():
        browser = Browser(app)
        assert browser.sign_in(name).status_code == 303
        cookies[role] = browser.client.get_cookie("epro-plain", domain="epro.test").value
    yield f"http://127.0.0.1:{server.port}", cookies
    server.shutdown()
    thread.join()
    with app.app_context():
        for engine in app.extensions["sqlalchemy"].engines.values():
            engine.dispose()


def test_every_page_of_every_menu_can_be_used_by_everybody(served, stage):
    from playwright.sync_api import sync_playwright

    address, cookies = served
    wrong, looks = [], cycle(LOOKS)
    rules = {rule.endpoint: rule.rule for rule in stage.cast.app.url_map.iter_rules()}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for role, names in pages().items():
            for name in names:
                language, width, light = next(looks)
                context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=light)
                context.add_cookies(
                    [
                        {"name": key, "value": value, "url": address}
                        for key, value in (("epro-plain", cookies[role]), ("epro-language", language))
                    ]
                )
                page = context.new_page()
                page.on("console", lambda told: told.type == "error" and wrong.append((name, told.text)))  # noqa: B023
                answer = page.goto(f"{address}{rules[name].replace('<study_id>', STUDY)}")
                assert answer.status == 200, (role, name)
                page.evaluate(AXE.read_text(encoding="utf-8"))
                wrong += [(name, language, width, light, found) for found in page.evaluate(SERIOUS)]
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wrong.append((name, language, width, "wider than the screen"))
                context.close()
        chromium.close()
    assert wrong == []
