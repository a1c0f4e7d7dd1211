"""`epro serve` and `epro worker`."""

from __future__ import annotations

import logging

import click

from epro import worker as clockwork
from epro.cli.opening import opened


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def serve(host: str, port: int) -> None:
    """The web process, for development. In production: `gunicorn wsgi:app`."""
    with opened(to_serve=True) as app:
        app.run(host=host, port=port, threaded=True)


@click.command()
def worker() -> None:
    """The clockwork: reminders, misses, alerts, and the feed into the trial database. Run as many as you like."""
    handler = logging.StreamHandler()
    handler.setFormatter(clockwork.Line())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it would tell of every look at the schema
    logging.getLogger("apscheduler").setLevel(
        logging.ERROR
    )  # it would tell of every strike that found one at work
    with opened(to_serve=True) as app:
        clockwork.run(app)
