"""Opening the application for a command: settings from the environment, faults of the database in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import Flask
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from epro import create_app, db, production, schema
from epro.errors import NotFound
from epro.studies import access
from epro.studies.models import Participant
from epro.tx import Tx


class Refused(click.ClickException):
    """Nothing was looked at and nothing was done: exit code 2, as for a call that is wrong."""

    exit_code = 2


@contextmanager
def opened(*, to_serve: bool = False) -> Iterator[Flask]:
    """The application with its context. Says what to do when the database is away or not migrated yet.

    `to_serve`: it is to run for others, so what production needs is asked first.
    """
    app = create_app()
    try:
        with app.app_context(), _closing_connections():
            if to_serve:
                production.refuse_unsafe_start(app)
            _refuse_none_there(db.engine())
            if not schema.is_current(db.engine()):
                raise Refused("The database is not at the newest schema: run `epro db upgrade`.")
            yield app
    except (OperationalError, ProgrammingError) as fault:
        raise Refused(f"The database does not answer as it should ({type(fault.orig).__name__}).") from None


def _refuse_none_there(engine: Engine) -> None:
    """Opening a file of SQLite that is not there would make an empty one."""
    url = engine.url
    if url.get_backend_name() == "sqlite" and url.database and not os.path.exists(url.database):
        raise Refused(f"There is no database at {url.database}: run `epro db upgrade`.")


def participant_named(tx: Tx, subject: str, permission: str, study: str | None, **how: bool) -> Participant:
    """The participant meant, where a command names one. Raises NotFound, which says who is not there, and where."""
    try:
        return access.participant(tx, subject, permission, study_id=study, **how)
    except NotFound:
        raise NotFound(f"There is no participant {subject}{f' in {study}' if study else ''}.") from None


@contextmanager
def _closing_connections() -> Iterator[None]:
    try:
        yield
    finally:
        for engine in db.db.engines.values():
            engine.dispose()
