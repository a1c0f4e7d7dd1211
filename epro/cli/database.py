"""`epro db`: migrations."""

from __future__ import annotations

import os

import click
from sqlalchemy.exc import OperationalError

from epro import config, schema
from epro.cli.opening import Refused


@click.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the databases to the newest schema."""
    settings = config.read(os.environ)
    config.refuse_unsafe(settings)
    try:
        schema.upgrade(settings)
    except OperationalError as fault:
        raise Refused(f"The database does not answer ({type(fault.orig).__name__}).") from None
    click.echo("The databases are at the newest schema.")
