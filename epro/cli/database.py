"""`epro db` and `epro contacts`: migrations, and the keys of the contact store."""

from __future__ import annotations

import os

import click
from sqlalchemy.exc import OperationalError

from epro import config, schema
from epro.cli.opening import opened
from epro.contacts import store


@click.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring both databases to the newest schema."""
    settings = config.read(os.environ)
    config.refuse_unsafe(settings)
    try:
        schema.upgrade(settings)
    except OperationalError as fault:
        raise click.ClickException(f"The database does not answer ({type(fault.orig).__name__}).") from None
    click.echo("The databases are at the newest schema.")


@click.group()
def contacts() -> None:
    """The contact store."""


@contacts.command()
def rotate() -> None:
    """Seal again, under the newest key of EPRO_CONTACTS_KEYS, what is still under an older one."""
    with opened():
        click.echo(f"{store.rotate()} fields sealed again.")
