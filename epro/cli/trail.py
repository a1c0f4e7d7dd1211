"""`epro trail`: the signed head, and the check that nothing was changed, removed, swapped or cut off."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from epro.cli import progress
from epro.cli.opening import opened
from epro.responses import integrity
from epro.studies.models import Participant
from epro.trail import verifying
from epro.trail.entries import Fault
from epro.trail.models import Event
from epro.tx import Tx, look, system

AUDITOR = system("auditor")


@click.group()
def trail() -> None:
    """The trail of every act."""


@trail.command()
def head() -> None:
    """Print the signed heads of all chains. Keep it elsewhere: `verify --head` then sees if the end is cut off."""
    with opened(), look(AUDITOR) as tx:
        click.echo(json.dumps(verifying.signed_head(tx, Participant), indent=1))


@trail.command()
@click.option(
    "--head",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A head printed earlier and kept elsewhere.",
)
def verify(kept: Path | None) -> None:
    """Check every chain, and every response against what the trail says of it."""
    with opened(), look(AUDITOR) as tx:
        count = tx.session.scalar(sa.select(sa.func.count()).select_from(Event)) or 0
        with progress.shown("Checking", count) as done:
            found = list(_faults(tx, kept, done))
    for fault in found:
        click.echo(str(fault), err=True)
    if found:
        click.echo(f"{len(found)} fault{'s' if len(found) != 1 else ''} in {count} entries", err=True)
        sys.exit(1)
    click.echo(f"{count} entries, no fault")


def _faults(tx: Tx, kept: Path | None, done: Callable[[int], None]) -> Iterator[Fault]:
    try:
        earlier = _read(kept) if kept else None
        yield from verifying.faults(tx, Participant, kept=earlier, progress=done)
    except ValueError as fault:
        raise click.ClickException(str(fault)) from None
    yield from integrity.faults(tx)


def _read(kept: Path) -> Any:
    try:
        return json.loads(kept.read_text(encoding="utf-8"))
    except ValueError:
        raise click.ClickException(f"{kept.name} is not JSON.") from None
