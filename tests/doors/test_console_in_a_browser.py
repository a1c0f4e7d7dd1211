"""Every page of every menu in a real Chromium: nothing serious for who cannot see it, nothing wider than the screen.

A page is looked at once, by the first role that has it in its menu; languages, widths and light take turns.
"""

from __future__ import annotations

from itertools import cycle

import pytest

from epro.console import door
from epro.studies.access import ROLES
from tests.cast import STAFF, STUDY, at
from tests.doors import chromium
from tests.doors.scene import TODAY

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("stage_databases", ["sqlite"], indirect=True, scope="module"),
]
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


def test_every_page_of_every_menu_can_be_used_by_everybody(stage, stage_environ):
    wrong, looks = [], cycle(LOOKS)
    rules = {rule.endpoint: rule.rule for rule in stage.cast.app.url_map.iter_rules()}
    mine = [(role, name, next(looks)) for role, names in pages().items() for name in names]
    with chromium.opened() as browser, chromium.serving(stage_environ, at(TODAY)) as address:
        for role, look in sorted({(role, look) for role, _, look in mine}):
            language, width, light = look
            window = chromium.Window(browser, address, language, width, light=light)
            window.sign_in(NAMES[role])
            for name in [one for whose, one, how in mine if (whose, how) == (role, look)]:
                assert window.go(rules[name].replace("<study_id>", STUDY)) == 200, (role, name)
                wrong += [(name, *look, found) for found in window.faults()]
            wrong += [(role, *look, said) for said in window.said]
            window.page.context.close()
    assert wrong == []
