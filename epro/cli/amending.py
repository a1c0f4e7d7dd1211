"""`epro study amend` and `epro study approve`: a later version of a study, shown first, in force site by site."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from epro import production
from epro.cli.opening import opened
from epro.cli.progress import shown
from epro.cli.study import BUILDER, FILE, name_and_exit, read_or_exit, text_of
from epro.notifications import study_files
from epro.notifications.study_files import COUNTED, known_instruments
from epro.questionnaires import wording
from epro.scheduling import amending
from epro.scheduling.protocol import Protocol
from epro.tx import Tx, begin, look

DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would change; publish and enter nothing.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="The numbers as JSON.")


@click.command()
@FILE
@DRY_RUN
@AS_JSON
def amend(file: Path, dry_run: bool, as_json: bool) -> None:
    """Publish a later version of a study. It moves nobody: each site goes over when it has been approved there."""
    text = text_of(file)
    with opened(), (look if dry_run else begin)(BUILDER) as tx:
        protocol = read_or_exit(file, text, known_instruments(wording.languages(tx)))
        production.refuse_unready(tx, protocol)
        before = _fitting(tx, protocol)
        told = _told(tx, protocol, before)
        if not dry_run:
            amending.amend(tx, protocol, text)
    _show(told, as_json)
    if not as_json:
        click.echo(
            "dry run: nothing is published" if dry_run else "published; each site waits for its approval"
        )


@click.command()
@click.argument("study")
@click.argument("version")
@click.option("--site", required=True, help="The site whose ethics committee has approved.")
@click.option("--date", "on", required=True, type=click.DateTime(["%Y-%m-%d"]), help="From which day on.")
@DRY_RUN
@AS_JSON
def approve(study: str, version: str, site: str, on: datetime, dry_run: bool, as_json: bool) -> None:
    """Enter the ethics approval of a site. From that day on it follows this version; its participants are moved."""
    with opened(), (look if dry_run else begin)(BUILDER) as tx:
        enter = amending.approval if dry_run else amending.approve
        row = enter(tx, study, version, site, on.date())
        protocol = amending.published(tx, study, version, site)
        production.refuse_unready(tx, protocol, published=True)
        told = _told(tx, protocol, amending.amended(tx, protocol), site)
        in_force = row.in_force_from
    _show(told, as_json)
    if not as_json:
        word = "would be" if dry_run else "is"
        click.echo(f"{study} {version} {word} in force at site {site} from {in_force.isoformat()} on")


def _fitting(tx: Tx, protocol: Protocol) -> Protocol:
    """The version that is amended. Names every fault on stderr and exits with 1 if there is any."""
    before = amending.amended(tx, protocol)
    try:
        amending.refuse_unfit(tx, protocol)
    except amending.UnfitAmendment as unfit:
        name_and_exit(unfit)
    return before


def _told(tx: Tx, protocol: Protocol, before: Protocol, site: str | None = None) -> dict[str, Any]:
    """What going over would change now: assessments, and for each site and participant how many of what."""
    with shown("re-planning", len(amending.concerned(tx, protocol, site))) as step:
        return study_files.effect(tx, protocol, before, site, step)


def _show(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for line in _lines(told):
        click.echo(line)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['study']} {told['version']} amends {told['amends']}"
    names = told["assessments"]
    for word in ("added", "removed"):
        if names[word]:
            yield f"  {word}: {', '.join(names[word])}"
    for id, keys in names["changed"].items():
        yield f"  changed: {id} ({', '.join(keys)})"
    for part, keys in told["elsewhere"].items():
        yield f"  changed: {part}" + (f" ({', '.join(keys)})" if keys else "")
    for site in told["sites"]:
        yield f"site {site['site']}: {site['participants']} participants, {_numbers(site)}"
        for one in told["participants"]:
            if one["site"] == site["site"]:
                yield f"  {one['subject_id']}: {_numbers(one)}"


def _numbers(row: dict[str, Any]) -> str:
    return ", ".join(f"{row[name]} {name}" for name in COUNTED)
