"""Every page of the console. Importing a file is what adds its routes: a new one is named here."""

from __future__ import annotations

from flask import Flask

from epro.console import (
    accounts,
    admin,
    answers,
    building,
    compliance,
    copies,
    data,
    elsewhere,
    enrolment,
    entrance,
    excusing,
    looks,
    moving,
    participants,
    queries,
    refusing,
    rights,
    set_aside,
    signing,
    trail_pages,
    wordings,
    worklist,
)
from epro.console.door import PAGES, console

FILES = (
    *(
        accounts,
        entrance,
        refusing,
        worklist,
        participants,
        answers,
        signing,
        queries,
        set_aside,
        copies,
        rights,
    ),
    *(compliance, data, trail_pages, looks, admin, building, wordings),
    *(elsewhere, enrolment, moving, excusing),
)


def register(app: Flask) -> None:
    """Add the console's door with all its pages; a route that states no roles stops the start."""
    app.register_blueprint(console)
    for rule in app.url_map.iter_rules():
        name = rule.endpoint
        if name.startswith("console.") and name not in PAGES and name not in console.open_doors:
            raise RuntimeError(f"the page {rule} states no roles")
