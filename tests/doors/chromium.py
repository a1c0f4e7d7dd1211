"""A real browser before a served application: Debian's Chromium, and axe-core to look at each page it shows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from epro import clock, create_app, db
from tests.cast import PASSWORD

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[1] / "vendor" / "axe-4.14.1.min.js"
LOOK = """() => axe.run(document, {resultTypes: ['violations'],
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
  .then(found => found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => `${v.id}: ${v.nodes.map(n => n.target.join(' ')).slice(0, 3).join(' | ')}`))"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def wanted() -> None:
    """Skip where there is no Chromium; on a build machine that is a fault."""
    if not CHROMIUM.exists():
        why = f"there is no Chromium at {CHROMIUM}: on Debian, apt install chromium"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Of a browser's many requests none is worth a line."""


@contextmanager
def serving(environ: dict[str, str], moment: datetime | Callable[[], datetime]) -> Iterator[str]:
    """These databases served on this machine, at an hour that stands still or that is asked for; gives the address."""
    app = create_app({**environ, "EPRO_SECURE_COOKIES": "off"})

    def at_this_hour(asked: Any, start: Any) -> Any:
        with clock.moved_to(moment() if callable(moment) else moment):
            return app(asked, start)

    server = make_server("127.0.0.1", 0, at_this_hour, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        app.config["EPRO"]["PUBLIC_URL"] = f"http://127.0.0.1:{server.port}"
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        with app.app_context():
            for engine in db.db.engines.values():
                engine.dispose()


@contextmanager
def opened() -> Iterator[Any]:
    """The browser."""
    wanted()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Window:
    """One person before one window: `page` is Playwright's; `said` keeps every fault that the browser tells of."""

    browser: Any
    address: str
    language: str = "en"
    width: int = 1280
    bypass: bool = False
    light: str = "light"  # or dark
    said: list[str] = field(default_factory=list)
    page: Any = field(init=False)

    def __post_init__(self) -> None:
        context = self.browser.new_context(
            locale=self.language,
            viewport={"width": self.width, "height": 900},
            bypass_csp=self.bypass,
            color_scheme=self.light,
        )
        self.page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda one: one.type == "error" and self.said.append(one.text))
        self.page.on("pageerror", lambda fault: self.said.append(str(fault)))
        self.page.on("dialog", self._dialog)

    def _dialog(self, dialog: Any) -> None:
        self.said.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()

    def sign_in(self, name: str) -> None:
        self.go("/console/sign-in")
        self.page.fill("#email", f"{name}@example.org")
        self.page.fill("#password", PASSWORD)
        self.page.click("form[action$='/sign-in'] button")
        self.page.wait_for_url(lambda where: "/sign-in" not in where)
        self.speak()

    def speak(self) -> None:
        """In this language, whatever her account says."""
        if self.page.get_attribute("html", "lang") != self.language:
            self.page.click(f"form[action$='/language'] button[lang='{self.language}']")
            self.page.wait_for_selector(f"html[lang='{self.language}']")

    def go(self, path: str) -> int:
        answer = self.page.goto(self.address + path)
        return int(answer.status) if answer else 0

    def faults(self) -> list[str]:
        """What axe finds serious on the page as it stands, and whether it is wider than the window."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[str] = self.page.evaluate(LOOK)
        wider = self.page.evaluate(WIDER)
        return [*found, *([f"{wider} pixels wider than the window"] if wider > 0 else [])]

    def picture(self, name: str) -> None:
        """With EPRO_TEST_PICTURES set, keep there how this page looks: both languages, on a phone and at a desk."""
        folder = os.environ.get("EPRO_TEST_PICTURES")
        if not folder:
            return
        for language in ("en", "zh-CN"):
            self._speak_for_now(language)
            for width in (375, 1280):
                self.page.set_viewport_size({"width": width, "height": 900})
                self.page.screenshot(path=f"{folder}/{name}-{language}-{width}.png", full_page=True)
        self._speak_for_now(self.language)
        self.page.set_viewport_size({"width": self.width, "height": 900})

    def _speak_for_now(self, language: str) -> None:
        self.page.context.add_cookies([{"name": "epro-language", "value": language, "url": self.address}])
        self.page.reload()
