"""`epro trialdb`: does the trial database hold exactly what the feed says?"""

from __future__ import annotations

import os
import sys

import click

from epro import db
from epro.cli import progress
from epro.cli.opening import Refused, opened
from epro.config import read
from epro.errors import NotFound
from epro.stream import delivering
from epro.stream.reconciling import differences
from epro.stream.sequencer import SEQUENCER, last_position
from epro.stream.sinks import SinkUnavailable
from epro.stream.sinks.trial_db import TrialDatabase
from epro.stream.sinks.trial_readers import reader_script
from epro.studies.models import Study
from epro.tx import look


@click.group()
def trialdb() -> None:
    """The trial database."""


@trialdb.command("grant-script")
@click.option("--role", required=True, help="Who is to read.")
def grant_script(role: str) -> None:
    """Print what makes a role that reads everything in the trial database, now and later, and changes nothing."""
    url = read(os.environ)["TRIAL_DATABASE_URL"]
    if not url:
        raise click.UsageError("EPRO_TRIAL_DATABASE_URL is not set.")
    click.echo(reader_script(url, role))


@trialdb.command()
@click.option("--study", required=True)
def reconcile(study: str) -> None:
    """Compare source and trial database row by row; names every difference, exit 1 if there is one."""
    with opened():
        url = db.settings()["TRIAL_DATABASE_URL"]
        if not url:
            raise click.UsageError("EPRO_TRIAL_DATABASE_URL is not set.")
        with look(SEQUENCER) as tx:
            if tx.get(Study, study) is None:
                raise NotFound(f"There is no study {study}.")
            count = last_position(tx, study)
        known = delivering.definitions()
        target = TrialDatabase(url, known)
        try:
            with progress.shown("Comparing", count) as done:
                found = list(differences(target, study, known, done))
        except SinkUnavailable as fault:
            raise Refused(f"The trial database does not answer ({fault}).") from None
        finally:
            target.close()
    for difference in found:
        click.echo(str(difference))
    click.echo(f"{count} entries compared, {len(found)} difference{'s' if len(found) != 1 else ''}")
    if found:
        sys.exit(1)
