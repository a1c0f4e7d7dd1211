"""Every refusal leaves as application/problem+json (RFC 9457), made here and nowhere else."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from flask import Flask, Response, g, redirect, request
from sqlalchemy.exc import OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException

from epro.api.door import limiter
from epro.errors import EproError, Unavailable, places
from epro.export.fhir_documents import MEDIA, refusal
from epro.signin import rates

log = logging.getLogger(__name__)

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid",
    429: "Too many requests",
    500: "Internal error",
    501: "Not built",
    503: "Unavailable",
}

PAUSES = {429: "60", 503: "5"}  # seconds to wait before the next try


def register(app: Flask) -> None:
    """Translate whatever is raised."""
    app.register_error_handler(EproError, _ours)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(OperationalError, _database_away)
    app.register_error_handler(TimeoutError, _database_away)
    app.register_error_handler(Exception, _unforeseen)


def problem(status: int, code: str, detail: str, **more: Any) -> Response:
    """One problem document; at the FHIR door, one OperationOutcome."""
    if request.path.startswith("/fhir/"):
        told = refusal(status, code, detail, more.get("errors", ()))
        response = Response(orjson.dumps(told), status, content_type=MEDIA)
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="epro"'
        return response
    body = {
        "type": f"urn:epro:problem:{code}",
        "title": TITLES.get(status, "Refused"),
        "status": status,
        "detail": detail,
        "code": code,
        **more,
    }
    response = Response(orjson.dumps(body), status, content_type="application/problem+json")
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="epro"'
    return response


def _ours(error: EproError) -> Response:
    more = {"errors": error.errors} if error.errors else {}
    response = problem(error.status, error.code, error.detail, **more, **error.extra)
    if error.status in PAUSES:
        response.headers["Retry-After"] = PAUSES[error.status]
    return response


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    if _is_a_visitor(status):
        return redirect("/console/", 303)  # type: ignore[return-value]
    if status == 405 and request.path.startswith("/cdisc/"):
        return problem(501, "not_built", "This part of the interface is optional and is not built here.")
    code = {
        404: "not_found",
        405: "method_not_allowed",
        413: "too_large",
        415: "unsupported_media_type",
        429: "too_many",
    }.get(status, "refused" if status < 500 else "internal_error")
    detail = TITLES.get(status, "The request cannot be carried out.") + "."
    if status == 429:
        detail = "Too many tries; wait and try again."
    response = problem(status, code, detail)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    if status == 429 and limiter.current_limit is not None:
        response.headers["Retry-After"] = str(rates.seconds_until(limiter.current_limit.reset_at))
    return response


def _is_a_visitor(status: int) -> bool:
    """Somebody who typed nothing but the host: a browser, which asks for a page. Programs are answered as anywhere."""
    wants_page = request.accept_mimetypes.quality("text/html") > request.accept_mimetypes.quality(
        "application/json"
    )
    return status == 404 and request.path == "/" and request.method in ("GET", "HEAD") and wants_page


def _database_away(error: Exception) -> Response:
    log.error("database away", extra={"action": "database.away", "fault": type(error).__name__})
    return _ours(Unavailable("The database does not answer just now; try again."))


def _unforeseen(error: Exception) -> Response:
    # The traceback goes to the log without values: what was asked may hold answers.
    log.error(
        "unforeseen %s at %s",
        type(error).__name__,
        places(error),
        extra={
            "action": "request.failed",
            "request_id": g.get("request_id"),
            "route": str(request.url_rule),
            "fault": type(error).__name__,
        },
    )
    return problem(
        500, "internal_error", "Something went wrong here; it has been noted.", request_id=g.get("request_id")
    )
