"""The description of the API, to read and to try in a browser, without asking any outside host.

`GET /docs` is a page of our own around Swagger UI, whose files come out of the installed package
`swagger_ui_bundle`; that is Swagger UI 4, which shows OpenAPI 3.0 and refuses 3.1. flask-smorest's own page
carries an inline script, which the content security policy of this one forbids; `static/docs-init.js` does
that work instead.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort, render_template, send_from_directory
from swagger_ui_bundle import swagger_ui_path

ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
"""All that the page needs of the package's folder; nothing else in there is served."""

A_DAY = 86_400
"""Seconds a browser may keep an asset."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Swagger UI's arrows are data: pictures in its style sheet
        "connect-src 'self'",  # the description itself, and the calls that a reader tries out
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

docs = Blueprint("docs", __name__, template_folder="templates", static_folder=None)


def register(app: Flask) -> None:
    """Add `GET /docs` and the files it loads. It shows whatever the app serves at `/openapi.json`."""
    app.register_blueprint(docs)


@docs.get("/docs")
def page() -> Response:
    """The description of the API as a page."""
    response = Response(render_template("docs.html"))
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@docs.get("/docs/init.js")
def init() -> Response:
    """The few lines that start Swagger UI."""
    return send_from_directory(docs.root_path, "static/docs-init.js", max_age=A_DAY)


@docs.get("/docs/assets/<name>")
def asset(name: str) -> Response:
    """One file of Swagger UI."""
    if name not in ASSETS:
        abort(404)
    return send_from_directory(swagger_ui_path, name, max_age=A_DAY)
