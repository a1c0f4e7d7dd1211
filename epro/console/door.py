"""The console's door: the cookie that opens it, who may see which page, and what every form must bring back.

A page is a function under `page(rule, roles=...)`; a change is one under `act(rule, roles=...)`. Both state who may,
and a route that stands in neither keeps the application from starting. With a study in its address the actor is
narrowed to that study before anything is looked up: what she may do elsewhere is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from flask import Response, g, request

from epro import clock, db
from epro.api.door import Door
from epro.errors import EproError, NotAllowed, NotFound, NotSignedIn
from epro.signin import browsers, factors, kept, known
from epro.signin.models import Staff
from epro.studies.access import ROLES
from epro.tx import Actor, Grant, begin, look, system

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
EVERYBODY = frozenset(ROLES)
DOOR = system("console")
DONE = "epro-done"
SPOKEN = "epro-spoken"
View = TypeVar("View", bound=Callable[..., Any])


class ForgedForm(EproError):
    """This form does not come from a page of this session: open the page again and send it from there."""

    status, code = 403, "forged_form"


@dataclass(frozen=True)
class Page:
    """Who may open a route; `menu` is the text key of its place in the menu, `order` where that place is."""

    roles: frozenset[str]
    menu: str | None = None
    order: int = 0
    live: bool = False  # asked by the page itself, again and again: no sign that somebody is there


@dataclass(frozen=True)
class Viewer:
    """Who sits before the browser. `grants` are all her roles; those of the actor are the ones in the study at hand."""

    name: str
    language: str
    grants: tuple[Grant, ...]
    secret: str

    @property
    def studies(self) -> list[str]:
        return sorted({grant.study_id for grant in self.grants})


PAGES: dict[str, Page] = {}
OPEN = (
    "sign_in",
    "enter",
    "language",
    "static",
    "link",
    "choose_password",
    "lost",
    "ask_link",
    "passkey_challenge",
    "passkey_enter",
    "elsewhere",
    "link_elsewhere",
    "back_from_elsewhere",
    "signed_out_elsewhere",
)
FROM_ELSEWHERE = {"console.signed_out_elsewhere"}  # no form: what comes is signed


PROVING = {f"console.{name}" for name in ("prove", "proof_challenge", "prove_by_passkey")}
"""On the way of who shows once more who she is: what she had typed waits for her return."""
WITHOUT_SECOND_FACTOR: set[str] = {"console.sign_out"}


def _lock() -> Actor:
    actor = _signed_in()
    page, study_id = PAGES[request.endpoint or ""], (request.view_args or {}).get("study_id")
    if study_id is not None:
        actor = replace(actor, grants=tuple(one for one in actor.grants if one.study_id == study_id))
        if not actor.grants:
            raise NotFound()
        g.study_id = study_id
    if page.roles != EVERYBODY and not page.roles.intersection(grant.role for grant in actor.grants):
        raise NotAllowed()
    return actor


console = Door("console", "/console", "The staff's pages", _lock, open_doors=OPEN)


def page(
    rule: str,
    *,
    roles: Collection[str],
    menu: str | None = None,
    order: int = 0,
    live: bool = False,
) -> Callable[[View], View]:
    """A page that shows something and changes nothing."""

    def add(view: View) -> View:
        PAGES[f"console.{view.__name__}"] = Page(frozenset(roles), menu, order, live)
        console.add_url_rule(rule, view.__name__, view, methods=["GET"])
        return view

    return add


def act(rule: str, *, roles: Collection[str]) -> Callable[[View], View]:
    """Something that is done: by a form of this session only."""

    def add(view: View) -> View:
        PAGES[f"console.{view.__name__}"] = Page(frozenset(roles))
        console.add_url_rule(rule, view.__name__, view, methods=["POST"])
        return view

    return add


def open_page(rule: str, method: str = "GET") -> Callable[[View], View]:
    """A page for everybody who comes by. Its name stands in OPEN too."""

    def add(view: View) -> View:
        assert view.__name__ in OPEN
        console.add_url_rule(rule, view.__name__, view, methods=[method])
        return view

    return add


@console.before_request
def only_our_forms() -> None:
    """A form comes from a page of ours; of a session, from a page of that session."""
    if request.method in ("GET", "HEAD", "OPTIONS") or request.endpoint in FROM_ELSEWHERE:
        return
    if not _is_from_here():
        raise ForgedForm()
    if request.endpoint not in console.open_doors:
        given = request.form.get("form_token") or request.headers.get("X-Form-Token", "")
        if not browsers.is_form_token(g.viewer.secret, given):
            raise ForgedForm()
        if g.form_waits and request.endpoint not in PROVING:
            _forget_form()


@console.after_request
def dressed(response: Response) -> Response:
    """Nothing of these pages is kept, framed, or runs what it did not bring itself."""
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Vary"] = "Cookie, HX-Request, Accept-Language"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = (
        "same-origin"  # with none at all, forms would come without their origin
    )
    return response


def viewer() -> Viewer | None:
    """Who is signed in, if anybody."""
    found: Viewer | None = g.get("viewer")
    return found


def cookie_name() -> str:
    """With this prefix a browser takes the cookie over TLS only, from this host only, for the whole of it."""
    return "__Host-epro" if _secure() else "epro-plain"


def ended_by() -> str | None:
    """Why the session that was open in this browser was ended, where its cookie still tells."""
    secret = request.cookies.get(cookie_name(), "")
    if not secret:
        return None
    with look(DOOR) as tx:
        return browsers.ended_by(tx, secret)


def give_cookie(response: Response, secret: str) -> None:
    """A new session in this browser; the one that was open in it ends."""
    with begin(DOOR, clock.now()) as tx:
        browsers.leave(tx, request.cookies.get(cookie_name(), ""))
    life = timedelta(hours=float(db.settings()["SESSION_HOURS"] or 0))
    _set(response, cookie_name(), secret, int(life.total_seconds()))


def know_device(response: Response, secret: str | None) -> None:
    """From now on this browser is known to be hers: what strangers get wrong elsewhere does not count here."""
    if secret is not None:
        _set(response, f"{cookie_name()}-device", secret, int(known.KNOWN_FOR.total_seconds()))


def take_cookie(response: Response) -> None:
    _set(response, cookie_name(), "", 0)


def keep_way(response: Response, secret: str) -> None:
    """While she is at the provider: what only this browser can come back with."""
    _set(response, f"{cookie_name()}-sso", secret, 600)


def take_way(response: Response) -> None:
    _set(response, f"{cookie_name()}-sso", "", 0)


def keep_language(response: Response, language: str) -> None:
    _set(response, "epro-language", language, 365 * 86_400)


def keep_spoken(response: Response, language: str) -> None:
    """What was spoken to her, for the sign-in page that follows. It is no choice: the next account speaks its own."""
    if request.cookies.get(SPOKEN) != language:
        _set(response, SPOKEN, language, 365 * 86_400)


def keep_form() -> bool:
    """The form at hand waits until its sender has shown who she is; an upload does not. False if it is too long."""
    session_id = _session_id()
    if not session_id or request.method != "POST" or request.is_json:
        return True
    fields = request.form.to_dict(flat=False)
    with begin(DOOR, clock.now()) as tx:
        return kept.keep(tx, session_id, g.viewer.secret, kept.Form(request.path, fields))


def kept_form() -> kept.Form | None:
    """What she had typed, once she has shown who she is."""
    session_id = _session_id()
    if not session_id or not g.get("goes_on"):
        return None
    with look(DOOR) as tx:
        return kept.find(tx, session_id, g.viewer.secret)


def _forget_form() -> None:
    session_id = _session_id()
    if session_id:
        with begin(DOOR, clock.now()) as tx:
            kept.forget(tx, session_id)


def _session_id() -> UUID | None:
    actor: Actor | None = g.get("actor")
    return actor.session_id if actor else None


def keep_done(response: Response, act: str) -> None:
    """What was done just now, for the next page to say: the act's name and nothing about anybody."""
    _set(response, DONE, act, 60)


def done_before() -> str | None:
    """What the page before this one has done, while no other page has said it."""
    return request.cookies.get(DONE)


def take_done(response: Response) -> None:
    _set(response, DONE, "", 0)


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        name, value, max_age=seconds, path="/", secure=_secure(), httponly=True, samesite="Lax"
    )


def _secure() -> bool:
    return db.settings()["SECURE_COOKIES"] == "on"


def _signed_in() -> Actor:
    secret = request.cookies.get(cookie_name(), "")
    if not secret:
        raise NotSignedIn()
    with look(DOOR) as tx:
        session = browsers.find(tx, secret)
        actor = browsers.actor_of(tx, session) if session else None
        if session is None or actor is None:
            raise NotSignedIn()
        if factors.is_missing(session) and request.endpoint not in WITHOUT_SECOND_FACTOR:
            raise factors.SecondFactorMissing()
        person, late = tx.get(Staff, session.staff_id), browsers.is_to_be_noted(tx, session)
        assert person is not None
    g.form_waits, g.goes_on = kept.waits(session), kept.may_go_on(session)
    g.viewer = Viewer(browsers.name_in(session, secret), person.language, actor.grants, secret)
    if late and not PAGES[request.endpoint or ""].live:
        with begin(DOOR, clock.now()) as tx:
            browsers.note_seen(tx, session.id)
    return actor


def _is_from_here() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:  # no script can make this one up
        return site == "same-origin"
    origin = request.headers.get("Origin", "")
    return bool(origin) and _place(origin) in (
        _place(request.host_url),
        _place(db.settings()["PUBLIC_URL"] or ""),
    )


def _place(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()
