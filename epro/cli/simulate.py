"""`epro study simulate`: rehearse a study file with virtual participants, and write the report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import yaml

from epro import worker
from epro.cli import progress
from epro.cli.opening import opened
from epro.cli.study import BUILDER, FILE, read_or_exit, text_of
from epro.notifications.study_files import known_instruments
from epro.scheduling import rehearsals
from epro.simulation import parts, report
from epro.tx import begin, look


@click.command()
@FILE
@click.option("--participants", type=click.IntRange(1, 100_000), default=200, show_default=True)
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same report.")
@click.option(
    "--report",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("rehearsal"),
    show_default=True,
    help="Where report.html and report.json are written.",
)
@click.option("--keep", is_flag=True, help="Keep the report in the database, beside the published study.")
def simulate(file: Path, participants: int, days: int, seed: int, folder: Path, keep: bool) -> None:
    """Rehearse a study file with virtual participants on a moved clock. Exits with 1 if an invariant broke.

    With --keep the study builder finds the report on the page of the study file. It needs no other option: which
    version was rehearsed is known by its digest.
    """
    text = text_of(file)
    protocol = read_or_exit(file, text, known_instruments())
    if keep:
        with opened(), look(BUILDER) as tx:  # before an hour is spent
            rehearsals.refuse_unknown(tx, protocol.study_id)
    asked = parts.Asked(participants, days, seed)
    with progress.shown("Rehearsing", parts.steps(asked), lines=True) as done:
        outcome = parts.rehearse(protocol, text, asked, worker.attend, worker.send, done)
    told = report.told(protocol, asked, outcome, _prices(text))
    report.write(told, protocol, folder)
    _say(told, folder)
    if keep:
        with opened(), begin(BUILDER) as tx:
            new = rehearsals.keep(tx, report.figures(told), report.page(told, protocol))
        click.echo("kept: on the page of the study file" if new else "kept before, exactly so")
    if report.is_broken(told):
        sys.exit(1)


def _prices(text: str) -> dict[str, Any]:
    """What the file itself says that messages cost."""
    said = (yaml.safe_load(text) or {}).get("rehearsal")
    return said if isinstance(said, dict) else {}


def _say(told: dict[str, Any], folder: Path) -> None:
    figures = told["figures"]
    click.echo(
        f"{figures['windows']} windows, {figures['answers']} answers, {figures['reminders']} reminders,"
        f" {figures['alerts']} alerts"
    )
    for finding in told["findings"]:
        click.echo(f"finding: {finding['place']}: {finding['text']['en']} [{finding['code']}]")
    for result in told["evidence"]:
        if result["broken"]:
            cases = "; ".join(result["cases"][:3])
            click.echo(
                f"broken: {result['text']['en']}: {result['broken']} of {result['checked']}: {cases}",
                err=True,
            )
    click.echo(f"report: {folder / 'report.html'}")
