"""Coming in and going out: sign-in page, sign-out, the language, the first page, and the files that pages load."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, redirect, request, send_from_directory

from epro import db
from epro.api.door import actor, coming, guesses
from epro.console import saying
from epro.console.door import (
    EVERYBODY,
    act,
    ended_by,
    give_cookie,
    keep_language,
    know_device,
    open_page,
    page,
    take_cookie,
    viewer,
)
from epro.console.page import STATIC, back_to, on_to, open_to_her, show, study_title, way
from epro.errors import NotFound
from epro.signin import browsers, emergency, sessions, sso, staff
from epro.tx import begin, look

A_YEAR = 365 * 86_400
SUFFIXES = (".css", ".js", ".svg")


@open_page("/sign-in")
def sign_in() -> Response:
    """The sign-in page."""
    return _entrance()


@open_page("/sign-in", "POST")
@guesses
def enter() -> Response:
    """Let somebody in: a new secret in a new cookie, whatever cookie came along."""
    form = {name: request.form.get(name, "") for name in ("email", "password", "otp")}
    opened = staff.sign_in(
        form["email"], form["password"], form["otp"] or None, coming(), browsers.open_session
    )
    if opened is None:
        return _entrance(401, refused=True)
    response: Any = redirect(way(request.form.get("next")), 303)
    give_cookie(response, opened[1])
    know_device(response, opened[2])
    return response


@act("/sign-out", roles=EVERYBODY)
def sign_out() -> Response:
    """End this session. To the provider's own way out a link leads on: a browser lets no form of ours do so."""
    with begin(actor()) as tx:
        session = sso.came_by(tx)
        staff.log_out(tx)
    out = sso.way_out(session)
    g.viewer = None  # the page that follows is nobody's any more
    response = show("signed_out.html", address=out, provider=sso.name()) if out else back_to("sign_in")
    take_cookie(response)
    return response


@open_page("/language", "POST")
def language() -> Response:
    """Read on in another language; this browser remembers it."""
    response: Any = redirect(way(request.form.get("next")), 303)
    keep_language(response, saying.speaks(request.form.get("language")) or "en")
    return response


@page("/", roles=EVERYBODY)
def home() -> Response:
    """The studies she works in; with only one, its first page."""
    who = viewer()
    assert who is not None
    if len(who.studies) == 1:
        return on_to("study", study_id=who.studies[0])
    with look(actor()) as tx:
        return show("home.html", studies=[(one, study_title(tx, one)) for one in who.studies])


@page("/studies/<study_id>/", roles=EVERYBODY)
def study(study_id: str) -> Response:
    """The first page that is open to her in this study."""
    menu = open_to_her(study_id)
    return on_to(menu[0][0], study_id=study_id) if menu else show("nothing.html")


@open_page("/static/<path:name>")
def static(name: str) -> Response:
    """One file that pages load."""
    if not name.endswith(SUFFIXES):
        abort(404)
    return send_from_directory(STATIC, name, max_age=A_YEAR)


@page("/<path:elsewhere>", roles=EVERYBODY)
def nowhere(elsewhere: str) -> Response:
    """Whatever else is asked for."""
    raise NotFound()


def _entrance(status: int = 200, *, refused: bool = False) -> Response:
    return show(
        "sign_in.html",
        status,
        refused=refused,
        elsewhere=not refused and ended_by() == sessions.TOO_MANY,
        most=db.settings()["SESSIONS_AT_ONCE"],
        sso=sso.name() if sso.is_on() else None,
        sealed=emergency.is_sealed(),
        next=way(request.values.get("next")),
        email=request.form.get("email", "") if refused else "",
    )
