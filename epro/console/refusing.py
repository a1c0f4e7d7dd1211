"""Refusals of the console as people read them: a page, or a few lines where a form was sent from a page."""

from __future__ import annotations

from flask import Response, request, url_for
from werkzeug.exceptions import HTTPException

from epro.api import errors
from epro.console.door import console
from epro.console.page import show, speak
from epro.console.saying import texts
from epro.errors import EproError, NotSignedIn

LONGEST_WAY = 1000


@console.errorhandler(NotSignedIn)
def to_the_entrance(error: NotSignedIn) -> Response:
    """Who is not signed in is asked to, and comes back to where she wanted to go."""
    wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
    where = url_for("console.sign_in", next=wanted[:LONGEST_WAY] or None)
    response = Response("", 303 if request.method in ("GET", "HEAD") else 401, content_type="text/plain")
    if request.headers.get("HX-Request"):
        response.status_code = 401
        response.headers["HX-Redirect"] = url_for("console.sign_in")
    elif response.status_code == 303:
        response.headers["Location"] = where
    else:
        return _refused(401, error.code, speak()("problem.not_signed_in"), [])
    return response


@console.errorhandler(EproError)
def refused(error: EproError) -> Response:
    """What is on record contradicts it, or a field is wrong; said in her language where we know how."""
    response = _refused(error.status, error.code, _said(error), error.errors)
    if error.status in errors.PAUSES:
        response.headers["Retry-After"] = errors.PAUSES[error.status]
    return response


@console.errorhandler(HTTPException)
def of_http(error: HTTPException) -> Response:
    status = error.code or 500
    if 300 <= status < 400:  # a redirect is no refusal
        return error.get_response()  # type: ignore[return-value]
    return _refused(status, str(status), speak().of("problem", status), [])


def _said(error: EproError) -> str:
    key = f"problem.{error.code}"
    return speak()(key) if key in texts() and not _tells_more(error) else speak().phrase(error.detail)


def _tells_more(error: EproError) -> bool:
    """A conflict says in its own words what it contradicts."""
    return error.code == "conflict" and error.detail != (type(error).__doc__ or "").strip()


def _refused(status: int, code: str, said: str, faults: list[dict[str, str]]) -> Response:
    part = "_refused.html" if request.headers.get("HX-Request") else "refused.html"
    return show(part, status, status=status, code=code, said=said, faults=[_field(one) for one in faults])


def _field(fault: dict[str, str]) -> tuple[str, str]:
    """(field, what is wrong with it), in her language where we know how."""
    t, name = speak(), fault.get("pointer", "").strip("/").rpartition("/")[2]
    words = t.of("fault", fault.get("code"))
    return t.of("field", name), t.phrase(fault.get("detail", "")) if words == fault.get("code") else words
