"""Every route of the console, written out by hand, with the roles that may use it.

A route that stands in the console and not here fails `test_who_may.py`. Whoever adds one says here who may use it.
"""

from __future__ import annotations

EVERYBODY = "nurse investigator data_manager study_builder administrator"
ANYBODY = "anybody"  # without signing in

ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/console/"): EVERYBODY,
    ("GET", "/console/sign-in"): ANYBODY,
    ("POST", "/console/sign-in"): ANYBODY,
    ("POST", "/console/sign-out"): EVERYBODY,
    ("POST", "/console/language"): ANYBODY,
    ("GET", "/console/static/<path:name>"): ANYBODY,
    ("GET", "/console/studies/<study_id>/"): EVERYBODY,
    ("GET", "/console/<path:elsewhere>"): EVERYBODY,
}
