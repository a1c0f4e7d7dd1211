"""epro: the electronic patient-reported outcome backend of a clinical trial.

`create_app` is the only place that ties doors to ground; it holds no rule.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue
from flask_jwt_extended import JWTManager
from werkzeug.middleware.proxy_fix import ProxyFix

from epro import clock, config, db

__version__ = config.VERSION


def create_app(environ: Mapping[str, str] | None = None) -> Flask:
    """The application with these settings (default: the environment's). Raises ConfigurationError in production
    when something that production needs is missing, naming all of it.
    """
    settings = config.read(os.environ if environ is None else environ)
    config.refuse_unsafe(settings)
    app = Flask("epro.api", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(_flask_settings(settings))
    app.config["EPRO"] = settings
    db.init_app(app, settings)
    _doors(app, settings)
    _manners(app, settings)
    return app


def _flask_settings(settings: Mapping[str, str | None]) -> dict[str, Any]:
    from epro.api.door import LARGER_BODIES

    return {
        "SECRET_KEY": settings["SECRET_KEY"],
        "MAX_CONTENT_LENGTH": max(LARGER_BODIES.values()),  # each door's own: door.refuse_large
        "JWT_ALGORITHM": "HS256",
        "JWT_ENCODE_NBF": False,
        "RATELIMIT_ENABLED": settings["RATE_LIMITS"] == "on",
        "API_TITLE": "epro",
        "API_VERSION": "1",
        "OPENAPI_VERSION": "3.0.3",
        "OPENAPI_URL_PREFIX": "/",
        "OPENAPI_JSON_PATH": "openapi.json",
    }


def _doors(app: Flask, settings: Mapping[str, str | None]) -> None:
    from epro.api import (
        calendars,
        cdisc,
        description,
        docs,
        door,
        edc,
        errors,
        exports,
        fhir,
        fhir_bulk,
        health,
        hooks,
        phone,
        site,
        site_alerts,
        site_corrections,
        site_excuses,
        site_plans,
        site_privacy,
        site_queries,
        site_signatures,
        sponsor,
        staff,
        staff_accounts,
    )
    from epro.console import pages
    from epro.signin import rates, sessions

    assert site_alerts.one_alert  # importing it is what adds its routes to the site's door
    assert site_corrections.amendments  # likewise
    assert site_excuses.excuse  # and here
    assert site_plans.anchors  # and so here
    assert site_privacy.erasure  # and here
    assert site_signatures.unsigned  # and here
    assert site_queries.queries  # and here
    assert fhir_bulk.export  # and here, to the FHIR door
    assert exports.ask  # and here
    assert rates.DatabaseStorage.STORAGE_SCHEME  # importing it is what makes the storage known
    with app.app_context():
        app.config["JWT_SECRET_KEY"] = sessions.jwt_key()
    JWTManager(app)
    door.limiter.init_app(app)
    api = description.Description(app)
    for blueprint in (
        phone.phone,
        staff.door,
        staff_accounts.door,
        site.site,
        sponsor.sponsor,
        edc.edc,
        hooks.hooks,
        hooks.aliyun,
        health.health,
        cdisc.cdisc,
        calendars.calendars,
    ):
        api.register_blueprint(blueprint)
    pages.register(app)  # for people, and so not in the description of the API
    app.register_blueprint(fhir.door)  # described by its own CapabilityStatement
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    api.spec.options["security"] = [{"bearer": []}]
    docs.register(app)
    errors.register(app)
    door.refuse_unlocked(app)
    proxies = int(settings["TRUSTED_PROXIES"] or 0)
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]


def _manners(app: Flask, settings: Mapping[str, str | None]) -> None:
    from epro.api import door, health, looking

    @app.before_request
    def begins() -> ResponseReturnValue | None:
        g.request_id, g.began = uuid4().hex, clock.monotonic()
        door.refuse_large()
        door.refuse_nul()
        return None

    @app.after_request
    def ends(response: Response) -> Response:
        response.headers.setdefault("X-Request-Id", g.setdefault("request_id", uuid4().hex))
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers.setdefault("Vary", "Authorization")
        if response.status_code >= 400 or not request.path.startswith("/docs"):
            response.headers.setdefault("Cache-Control", "no-store")
        if (settings["PUBLIC_URL"] or "").startswith("https://"):
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
        return health.note(looking.write_down(response))
