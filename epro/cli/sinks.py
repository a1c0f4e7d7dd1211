"""`epro sink`: where a study's feed goes beside the trial database."""

from __future__ import annotations

import os

import click

from epro.cli.opening import opened
from epro.errors import Invalid
from epro.stream import cursors, health, outlets, tending
from epro.stream.outlets import TRIAL_DATABASE
from epro.stream.sequencer import last_position
from epro.stream.sinks import AHEAD, FOREIGN
from epro.trail import instant
from epro.tx import begin, look, system

COMMAND = system("command")
ASTRAY = {AHEAD: "AHEAD OF THE FEED", FOREIGN: "OF ANOTHER FEED"}


@click.group()
def sink() -> None:
    """Where a study's feed goes: webhooks, Kafka, files."""


@sink.command()
@click.argument("kind", type=click.Choice(["webhook", "kafka", "files"]))
@click.argument("name")
@click.option("--study", required=True)
@click.option(
    "--set", "given", multiple=True, metavar="OPTION=VALUE", help="May be repeated; secrets as env:NAME."
)
def add(kind: str, name: str, study: str, given: tuple[str, ...]) -> None:
    """Add a sink. It is told everything from the first entry on."""
    options = dict(_pair(text) for text in given)
    with opened(), begin(COMMAND) as tx:
        try:
            secret = outlets.add(tx, study, name, kind, options)
        except ValueError as fault:
            raise Invalid(str(fault)) from None
    click.echo(f"Sink {name} added.")
    if secret:
        click.echo(f"Its signing secret, shown once:\n{secret}")


@sink.command("list")
@click.option("--study", required=True)
def list_all(study: str) -> None:
    """Every sink, how far it has come, and what is the matter with it."""
    with opened(), look(COMMAND) as tx:
        newest = last_position(tx, study)
        lines = [_line(one) for one in health.sinks(tx, study)]
    click.echo("\n".join([f"The feed of {study} is at {newest}.", *lines]))


@sink.command()
@click.argument("name")
@click.option("--study", required=True)
@click.option("--reason", required=True)
def pause(name: str, study: str, reason: str) -> None:
    """Deliver nothing until `resume`; nothing is lost meanwhile."""
    with opened():
        tending.pause(COMMAND, study, name, reason)
    click.echo(f"Sink {name} paused.")


@sink.command()
@click.argument("name")
@click.option("--study", required=True)
@click.option("--reason", required=True)
def resume(name: str, study: str, reason: str) -> None:
    """Go on where it stood."""
    with opened():
        tending.resume(COMMAND, study, name, reason)
    click.echo(f"Sink {name} goes on.")


@sink.command()
@click.argument("name")
@click.option("--study", required=True)
@click.option(
    "--from", "first", required=True, type=click.IntRange(1), help="The first position to deliver again."
)
@click.option("--reason", required=True)
def replay(name: str, study: str, first: int, reason: str) -> None:
    """Deliver again from a position on. Receivers know by the event id what they had before."""
    with opened():
        _need_trial_database(name)
        tending.replay(COMMAND, study, name, first, reason)
    click.echo(f"Sink {name} is told again from {first} on.")


@sink.command()
@click.argument("name")
@click.option("--study", required=True)
@click.option("--reason", required=True)
def remove(name: str, study: str, reason: str) -> None:
    """Deliver nothing any more and forget its secret."""
    with opened(), begin(COMMAND) as tx:
        outlets.remove(tx, outlets.found(tx, study, name), reason)
    click.echo(f"Sink {name} removed.")


@sink.command()
@click.argument("name")
@click.option("--study", required=True)
def parked(name: str, study: str) -> None:
    """Entries that it refused, and those that wait behind them; exit 1 if there are any."""
    with opened(), look(COMMAND) as tx:
        _need_trial_database(name)
        lines = [_parked_line(row) for row in health.parked(tx, study, name)]
    for line in lines:
        click.echo(line)
    if lines:
        raise click.exceptions.Exit(1)


@sink.command()
@click.argument("name")
@click.option("--study", required=True)
@click.option("--position", type=click.IntRange(1), help="One entry; without it all that are parked.")
def retry(name: str, study: str, position: int | None) -> None:
    """Try parked entries again: those of the trial database now, others at the worker's next strike."""
    with opened():
        _need_trial_database(name)
        count, refused = tending.retry(COMMAND, study, name, position)
    for again, why in refused:
        click.echo(f"{again}: {why}")
    click.echo(f"{count} applied." if name == TRIAL_DATABASE else f"{count} will be tried.")


def _need_trial_database(name: str) -> None:
    if name == TRIAL_DATABASE and not health.has_trial_database():
        raise click.UsageError("EPRO_TRIAL_DATABASE_URL is not set.")


def _line(one: health.Health) -> str:
    words = [f"{one.name} ({one.kind})"]
    if one.state in health.ASTRAY:
        words.append(
            f"{ASTRAY[one.state]}: it is at {one.position}, nothing is written to it (docs/sinks.md)"
        )
    elif one.position is not None:
        words.append(f"at {one.position}" if one.lag else "up to date")
    words.append(f"{one.parked} parked" if one.parked else "")
    if one.state in (health.PAUSED, health.AWAY):
        since = f" since {instant(one.since)}" if one.since else ""
        words.append(f"{one.state}{since}: {one.why}")
    return ", ".join(word for word in words if word)


def _parked_line(row: health.Parked) -> str:
    if row.attempts is None:
        return f"{row.position}: {row.reason}"
    again = f"again {instant(row.next_try_at)}" if row.next_try_at else "left to a person"
    return f"{row.position}: {row.reason}" + (
        "" if row.reason == cursors.WAITS else f", tried {row.attempts}, {again}"
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"`{text}` is not OPTION=VALUE.", param_hint="--set")
    if value.startswith("env:") and value[4:] not in os.environ:
        raise click.BadParameter(f"{value[4:]} is not set in the environment.", param_hint="--set")
    return name, value
