"""`epro demo`: a study with some weeks of history, web and worker, ready to be tried."""

from __future__ import annotations

import click


@click.command()
def demo() -> None:
    """A demonstration."""
    raise click.ClickException("not there yet")
