"""Making a page out of a template: strict, escaped, in the viewer's language, with what every page carries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Response, current_app, g, redirect, request, url_for
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from epro import clock
from epro.console import filling, saying
from epro.console.door import (
    PAGES,
    SPOKEN,
    done_before,
    keep_done,
    keep_spoken,
    kept_form,
    take_done,
    viewer,
)
from epro.console.saying import Voice
from epro.errors import Invalid
from epro.scheduling import protocols
from epro.signin import browsers
from epro.tx import Tx

HERE = Path(__file__).parent
STATIC = HERE / "static"
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,  # every template, whatever its name
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def show(template: str, status: int = 200, /, **values: Any) -> Response:
    """A whole page, or the part of one that the template makes. A whole one says what was done just before, once."""
    kept = None if template.startswith("_") else done_before()
    made = TEMPLATES.get_template(template).render(**_carried(), **{"just_done": _words_of(kept), **values})
    response = Response(_filled(made, status), status, content_type="text/html; charset=utf-8")
    if kept is not None:
        take_done(response)
    who = viewer()
    if who is not None and not template.startswith("_"):
        keep_spoken(response, speak().language)
    return response


def _filled(made: str, status: int) -> str:
    """The page with what she had typed before she was asked to show who she is, where its form stands on it."""
    form = kept_form() if g.get("goes_on") and request.method == "GET" and status == 200 else None
    return (filling.filled(made, form, speak()("proof.goes_on")) if form else None) or made


def done_now() -> str:
    """What the act at hand has done, for an act that ends in a page of its own."""
    return _words_of((request.endpoint or "").removeprefix("console."))


def _words_of(act: str | None) -> str:
    key = f"done.{act}"
    return speak()(key) if key in saying.texts() else ""


def asked_with(
    schema: type[Schema], more: Mapping[str, Any], leave_out: Callable[[str], bool] = lambda name: False
) -> dict[str, Any]:
    """The same where a form says something in a way of its own: `more` are these fields, made out of others."""
    filled = {name: text.strip() for name, text in request.form.items()}
    kept = {
        name: text for name, text in filled.items() if text and name != "form_token" and not leave_out(name)
    }
    return _loaded(schema, {**kept, **more})


def back_to(endpoint: str, **names: Any) -> Response:
    """After something was done: the page that shows it, and says so. Asked again it is only looked at again."""
    response = on_to(endpoint, **names)
    keep_done(response, (request.endpoint or "").removeprefix("console."))
    return response


def on_to(endpoint: str, **names: Any) -> Response:
    """Another page, where nothing was done."""
    return redirect(url_for(f"console.{endpoint}", **names), 303)  # type: ignore[return-value]


def asked(schema: type[Schema], filled: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a form says, under the rules that the same thing has at the API; fields left empty are left out.

    `filled` is what it says, where a form has another shape than what programs send.
    """
    if filled is None:
        texts = {name: text.strip() for name, text in request.form.items() if name != "form_token"}
        filled = {name: text for name, text in texts.items() if text}
    return _loaded(schema, filled)


def _loaded(schema: type[Schema], filled: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = schema().load(filled)
    except ValidationError as fault:
        raise Invalid(errors=_faults("", fault.messages)) from None
    return found


def speak() -> Voice:
    """The voice of this request: the language chosen here, else the account's; where nobody is signed in, that of who
    was here last, else the browser's.
    """
    who = viewer()
    chosen = saying.speaks(request.cookies.get("epro-language")) or saying.speaks(
        who.language if who else request.cookies.get(SPOKEN)
    )
    return Voice(chosen or saying.nearest(request.accept_languages.best_match), g.get("zone", "UTC"))


def way(wanted: str | None) -> str:
    """Where to go on to: a page of the console, and no other place."""
    parts = urlsplit(wanted or "")
    plain = wanted and wanted.isprintable() and "\\" not in wanted and not parts.scheme and not parts.netloc
    if not plain or not parts.path.startswith("/console/") or parts.path.startswith("//"):
        return "/console/"
    return wanted or "/console/"


def page_at_or_above(path: str) -> str:
    """This address, or the next one above it that can be looked at: what a form has answered cannot be."""
    map = current_app.url_map.bind("")
    while path.startswith("/console/"):
        try:
            if map.match(path, method="GET")[0] != "console.nowhere":
                return path
        except RequestRedirect:
            return path
        except HTTPException:
            pass
        path = path.rstrip("/").rpartition("/")[0]
    return "/console/"


def _here() -> str:
    """Where one may come back to: this page, or the one that its form stands on."""
    return request.full_path.rstrip("?") if request.method == "GET" else page_at_or_above(request.path)


def study_title(tx: Tx, study_id: str) -> str:
    """A study as it calls itself."""
    protocol = protocols.current(tx, study_id)
    return speak().label(protocol.title) if protocol else study_id


def asset(name: str) -> str:
    """The address of a file that browsers may keep: it changes with its content."""
    return url_for("console.static", name=name, v=_digest(name))


def _carried() -> dict[str, Any]:
    who, study_id, t = viewer(), g.get("study_id"), speak()
    return {
        "t": t,
        "languages": saying.LANGUAGES,
        "viewer": who,
        "study_id": study_id,
        "menu": open_to_her(study_id) if who else [],
        "endpoint": (request.endpoint or "").removeprefix("console."),
        "form_waits": bool(g.get("form_waits")),
        "here": _here(),
        "link": lambda endpoint, **names: url_for(f"console.{endpoint}", **names),
        "asset": asset,
        "now": clock.now(),
        "form_token": browsers.form_token(who.secret) if who else "",
        "hidden_token": _hidden(browsers.form_token(who.secret)) if who else Markup(),
    }


def open_to_her(study_id: str | None) -> list[tuple[str, str]]:
    """(endpoint, text key) of the pages that are open to her here, in their order."""
    if study_id is None:
        return []
    who = viewer()
    roles = {grant.role for grant in who.grants if grant.study_id == study_id} if who else set()
    found = [(one.order, name, one.menu) for name, one in PAGES.items() if one.menu and one.roles & roles]
    return [(name.removeprefix("console."), key) for _, name, key in sorted(found) if key]


def _hidden(token: str) -> Markup:
    return Markup('<input type="hidden" name="form_token" value="{}">').format(token)


def _faults(at: str, messages: Any) -> list[dict[str, str]]:
    if isinstance(messages, dict):
        return [one for key, inner in messages.items() for one in _faults(f"{at}/{key}", inner)]
    return [{"pointer": at, "code": "invalid", "detail": str(message)} for message in messages]


@lru_cache(maxsize=64)
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
