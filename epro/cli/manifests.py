"""`epro manifest`: what a study's feed came to, day by day, signed and chained."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import click
import orjson

from epro import db
from epro.cli.opening import opened
from epro.stream import delivering, manifests
from epro.stream.sequencer import SEQUENCER, last_position
from epro.stream.sinks.trial_db import TrialDatabase
from epro.tx import begin, look, system

COMMAND = system("command")


@click.group()
def manifest() -> None:
    """Daily manifests of a study's feed: counts and digests, signed and chained."""


@manifest.command()
@click.option("--study", required=True)
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="A UTC day; without it, yesterday.")
def make(study: str, day: datetime | None) -> None:
    """Make the manifests up to a day that is over, where there are none; the worker does it after midnight."""
    with opened(), begin(COMMAND) as tx:
        wanted = day.date() if day else tx.now.astimezone(UTC).date() - timedelta(days=1)
        row = manifests.make(tx, study, wanted)
    click.echo(f"{wanted}: {row.digest}" if row else f"{wanted}: nothing to tell of")


@manifest.command()
@click.argument("named", metavar="DAY", type=click.DateTime(["%Y-%m-%d"]), required=False)
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="The same, as `make` takes it.")
@click.option("--study", required=True)
def show(named: datetime | None, day: datetime | None, study: str) -> None:
    """Print the manifest of DAY, a UTC day such as 2026-03-31."""
    if named and day:
        raise click.UsageError("Name one day.")
    day = day or named
    if day is None:
        raise click.UsageError("Name the day: `epro manifest show 2026-03-31 --study STUDY`.")
    with opened(), look(COMMAND) as tx:
        told = manifests.told(manifests.find(tx, study, day.date()))
    click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())


@manifest.command()
@click.option("--study", required=True)
@click.option("--trial-database", "there", is_flag=True, help="Count what stands in the trial database.")
def verify(study: str, there: bool) -> None:
    """Count and digest the entries again, check chain and signatures; names every day that differs, exit 1."""
    with opened(), look(SEQUENCER) as tx:
        if there:
            url = db.settings()["TRIAL_DATABASE_URL"]
            if not url:
                raise click.UsageError("EPRO_TRIAL_DATABASE_URL is not set.")
            with closing(TrialDatabase(url, delivering.definitions())) as target:
                found = list(manifests.faults(tx, study, target.counted(study)))
        else:
            counted = manifests.of_feed(tx, study, 0, last_position(tx, study))
            found = list(manifests.faults(tx, study, counted))
    for fault in found:
        click.echo(fault)
    click.echo(f"{len(found)} fault{'s' if len(found) != 1 else ''}")
    if found:
        raise click.exceptions.Exit(1)
